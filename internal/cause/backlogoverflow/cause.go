// Package backlogoverflow judges servers whose accept queue or workers are all
// taken.
package backlogoverflow

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
	ID:    "backlog-overflow",
	Title: "All workers busy: the server's accept queue overflowed",
	What:  "Every worker of the application is in a request, so new connections wait in the listen queue until it is full; then the kernel drops or refuses them. Requests wait until the proxy gives up, or get no connection at all.",
	Shows: []string{
		"nginx: connect() to unix:... failed (11: Resource temporarily unavailable)",
		"php-fpm: server reached pm.max_children setting; uWSGI: listen queue of socket ... full; kernel: Possible SYN flooding on port",
		"504s and connect time-outs (3 s, 7 s) at peaks, for any path",
	},
	Fixes: []string{
		"more workers, as far as memory allows, or less time in each request: look for the slow call",
		"a longer queue only helps with short bursts: listen backlog and net.core.somaxconn",
	},
	Mechanisms: []fact.Mechanism{fact.LimitHit, fact.ConnectTimedOut, fact.ReplyTimedOut, fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.Refused, fact.NoBackend, fact.MechanismUnknown, fact.AppAnswered},
	Troubles:   []fact.EventKind{fact.LimitReached, fact.SynFlood},
	Prior:      0,
	Explain:    explain,
}

// Weights in decibans, with their reasons beside their use.
const (
	// before: workers are all busy for as long as the proxy lets a request
	// wait; a warning is written once when it begins.
	before = 90 * time.Second
	after  = 5 * time.Second
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var eagain []*failure.Failure
	for _, f := range e.Failures {
		if f.Errno == 11 || f.Try.Errno == 11 {
			eagain = append(eagain, f)
		}
	}
	if len(eagain) > 0 {
		o.Signals = append(o.Signals, cause.For(22, "a Unix socket says so only when its queue is full", fmt.Sprintf("the server's socket had no room for %s (errno 11)", cause.Count(len(eagain), "connection")), cause.Cite(eagain)...).AsProof())
		if len(eagain) < len(e.Failures) {
			o.Claims = eagain
		}
	}
	events := full(e)
	s, claims, ok := cause.NearEvents(e, events, before, after, says)
	if ok && len(events) > 0 {
		if e.Mechanism == fact.AppAnswered || e.Mechanism == fact.MechanismUnknown {
			s.Weight = min(s.Weight, 10) // a busy server also answers 503 by itself
		}
		o.Signals = append(o.Signals, s)
		if len(eagain) == 0 {
			o.Claims = claims
		}
	}
	if wire := onWire(e); len(wire) > 0 {
		o.Signals = append(o.Signals, wire...)
	} else if s, ok := synRetries(e); ok {
		o.Signals = append(o.Signals, s)
	}
	if len(o.Signals) == 0 {
		return o
	}
	o.Next = []cause.Next{{
		Evidence: "the server's counters of its listen queue", Command: "ss -ltn   # Recv-Q at its Send-Q is a full queue\nnstat -az TcpExtListenOverflows TcpExtListenDrops",
		WouldTell: "a queue that overflows counts there; packets that a device dropped on the way do not",
	}}
	if len(e.Failures) > 0 {
		o.Blame = e.Failures[0].Backend
	}
	if len(events) > 0 {
		// The kernel only tells of whose queue it was.
		if p := events[0].Party; p.Role != fact.RoleHost || len(e.Failures) == 0 {
			o.Blame = p
		}
	}
	o.Fix = fix(e, events)
	return o
}

// full returns the events that say that workers or queue ran out.
func full(e *failure.Episode) []*fact.Event {
	var out []*fact.Event
	for _, x := range e.World.Of(fact.LimitReached, fact.SynFlood) {
		if x.Kind == fact.SynFlood || x.Limit == fact.LimitQueue || x.Limit == fact.LimitWorkers {
			out = append(out, x)
		}
	}
	// A queue that somebody looked at while it was full.
	for _, x := range e.World.Of(fact.LimitNear) {
		if x.Limit == fact.LimitQueue && x.Used.Known && x.Max.Known && x.Used.N >= x.Max.N && x.Max.N > 0 {
			out = append(out, x)
		}
	}
	return out
}

func says(n int, x *fact.Event) string {
	what := "its listen queue was full"
	if x.Limit == fact.LimitWorkers {
		what = "all its workers were busy"
	}
	if x.Max.Known {
		what += fmt.Sprintf(" (limit %d)", x.Max.N)
	}
	who := cause.TechTitle(x.Party.Tech)
	return fmt.Sprintf("%s says that %s", who, what)
}

// synRetries: connections that took 1, 3 or 7 s came through at a repeated
// SYN.
func synRetries(e *failure.Episode) (cause.Signal, bool) {
	var hit []*failure.Failure
	for _, f := range e.Failures {
		if c := f.Try.Connect; c.Known && cause.LastConn(f) == nil {
			for _, t := range []time.Duration{time.Second, 3 * time.Second, 7 * time.Second} {
				if (c.D - t).Abs() < 150*time.Millisecond {
					hit = append(hit, f)
					break
				}
			}
		}
	}
	if len(hit) < 2 || len(hit)*2 < len(e.Failures) {
		return cause.Signal{}, false
	}
	return cause.For(8, "Linux repeats a SYN after 1, 3 and 7 s; a dropped SYN is most often a full queue", fmt.Sprintf("%s connected only after 1, 3 or 7 s", cause.Count(len(hit), "request")), cause.Cite(hit)...), true
}

func fix(e *failure.Episode, events []*fact.Event) cause.Fix {
	f := cause.Fix{Summary: "Give the server more workers, or make each request shorter; a longer queue only hides short bursts."}
	tech := ""
	for _, x := range events {
		if x.Party.Tech != "" && x.Party.Tech != "linux" {
			tech = x.Party.Tech
		}
	}
	for _, x := range e.Failures {
		for _, r := range x.Seen {
			if tech == "" && (r.Attrs[fact.AttrProtocol] == "fastcgi" || strings.Contains(x.Backend.Address, "fpm")) {
				tech = "phpfpm"
			}
		}
	}
	n := int64(0)
	for _, x := range events {
		n = max(n, x.Max.Or(0))
	}
	switch tech {
	case "phpfpm":
		want := max(2*n, 20)
		f.Summary = "Raise pm.max_children as far as memory allows (one child is 30 to 100 MB), and find the slow script."
		f.Patch = fmt.Sprintf("pm.max_children = %d\nlisten.backlog = 1024\nrequest_slowlog_timeout = 5s\nslowlog = /var/log/php-fpm-slow.log", want)
		f.Steps = []string{"the pool's file, /etc/php/*/fpm/pool.d/www.conf, as below", "sysctl -w net.core.somaxconn=1024"}
	case "uwsgi":
		f.Patch = "processes = TWICE-AS-MANY\nlisten = 1024"
		f.Steps = []string{"uwsgi.ini as below; net.core.somaxconn must be at least as large: sysctl -w net.core.somaxconn=1024"}
	case "gunicorn":
		f.Patch = "workers = 2 * cores + 1\nworker_class = \"gthread\"\nthreads = 8\nbacklog = 2048"
	case "puma", "ruby", "unicorn":
		f.Steps = []string{"puma.rb: workers and threads up; bind \"unix:///path?backlog=1024\"", "sysctl -w net.core.somaxconn=1024"}
	default:
		f.Steps = []string{"see it live: ss -ltn   # Recv-Q at Send-Q on the port is a full queue", "sysctl -w net.core.somaxconn=4096, and the application's own backlog"}
	}
	return f
}
