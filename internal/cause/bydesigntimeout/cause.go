// Package bydesigntimeout judges long-lived exchanges that end at a time-out
// because they are meant to.
package bydesigntimeout

import (
	"fmt"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "by-design-timeout",
	Title: "A long-lived exchange ended at a time-out, as it is meant to",
	What:  "WebSockets, server-sent events, watches and long polls stay open until a proxy's time-out ends them; the client opens them anew. The log shows a time-out or a cut, and nobody lost anything.",
	Shows: []string{
		"status 101, or a path of a stream (websocket, socket.io, events, watch, poll)",
		"the duration equals the proxy's time-out every time",
	},
	Fixes:      []string{"nothing; to have them live longer, send a ping more often than the time-out, or raise it for that path alone"},
	Kind:       cause.Innocent,
	Mechanisms: []fact.Mechanism{fact.ReplyTimedOut, fact.CutMidReply, fact.ClosedBeforeReply, fact.AppAnswered},
	Prior:      -6,
	PriorWhy:   "few time-outs are of streams, and those show it",
	Explain:    explain,
}

// streamWords stand in paths of streams.
var streamWords = []string{"websocket", "socket.io", "sockjs", "/ws/", "/wss", "eventsource", "server-sent", "/sse", "longpoll", "long-poll", "long_poll", "/poll", "signalr", "actioncable", "/cable", "watch=true", "watch=1", "/subscribe", "/stream", "/events", "mercure", "xhr_streaming"}

// longEnough: what ends sooner was no long-lived exchange.
const longEnough = 10 * time.Second

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var claims, upgraded []*failure.Failure
	for _, f := range e.Failures {
		d, ok := f.Took()
		if ok && d < longEnough {
			continue
		}
		switch {
		case f.Status.Is(101):
			upgraded = append(upgraded, f)
			claims = append(claims, f)
		case ok && stream(f.Path):
			claims = append(claims, f)
		}
	}
	if len(claims) == 0 {
		return o
	}
	if len(claims) < len(e.Failures) {
		o.Claims = claims
	}
	if len(upgraded) > 0 {
		o.Signals = append(o.Signals, cause.For(22, "an upgraded connection is no request that waits for an answer", fmt.Sprintf("%s upgraded (status 101)", cause.Count(len(upgraded), "connection")), cause.Cite(upgraded)...).AsProof())
	} else {
		o.Signals = append(o.Signals, cause.For(10, "paths of this name hold the answer back on purpose", fmt.Sprintf("the path is one of a stream: %s", cause.Cut(claims[0].Path, 80)), cause.Cite(claims)...))
	}
	if t, ok := same(claims); ok {
		o.Signals = append(o.Signals, cause.For(6, "work that is slow ends at different times", fmt.Sprintf("each lasted %s", cause.Span(t)), cause.Cite(claims)...))
	}
	o.Blame = e.Gateway
	o.Fix = cause.Fix{Summary: "Nothing failed. To have these live longer, send a ping more often than the time-out, or raise it for that path alone."}
	if e.Gateway.Tech == "nginx" {
		o.Fix.Patch = "proxy_read_timeout 1h;   # in the location of the stream only"
	}
	return o
}

func stream(path string) bool {
	p := strings.ToLower(path)
	if i := strings.IndexByte(p, '?'); i < 0 {
		p += "/"
	}
	for _, w := range streamWords {
		if strings.Contains(p, w) {
			return true
		}
	}
	return strings.HasSuffix(p, "/ws/") || strings.Contains(p, "/ws?")
}

// same: all lasted the same time, within a second.
func same(fs []*failure.Failure) (time.Duration, bool) {
	var lo, hi time.Duration
	n := 0
	for _, f := range fs {
		if d, ok := f.Took(); ok {
			if n == 0 {
				lo, hi = d, d
			}
			lo, hi = min(lo, d), max(hi, d)
			n++
		}
	}
	return lo, n >= 2 && hi-lo <= time.Second
}
