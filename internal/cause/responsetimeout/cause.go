// Package responsetimeout judges requests that the server took and did not
// answer in time.
package responsetimeout

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "response-timeout",
	Title: "The server did not answer within the proxy's time-out",
	What:  "The proxy connected, sent the request, and gave up waiting for the answer. The application is slow on this request, waits for something itself, or all its workers are busy.",
	Shows: []string{
		"504; nginx: upstream timed out (110) while reading response header; HAProxy: sH; Envoy: UT; Google: backend_timeout",
		"the duration equals the time-out of one hop: 15, 30, 60, 100, 120 s",
		"the application logs the request later, as done, or never",
	},
	Fixes: []string{
		"find what the slow requests wait for: the application's slow log, its database, its own upstream",
		"raise the time-out only where the work is meant to take long, and then on every hop: the outer one at least as long as the inner",
		"move long work out of the request",
	},
	Kind:       cause.Shallow,
	Mechanisms: []fact.Mechanism{fact.ReplyTimedOut},
	Prior:      5,
	PriorWhy:   "the error is read right in nine of ten; of published incidents in which it is all there is, seven in ten came out as no more than that",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	if len(e.Failures) == 0 {
		return cause.Opinion{}
	}
	f := e.Failures[0]
	o := cause.Opinion{Blame: f.Backend}
	says := fmt.Sprintf("%s sent, and no answer came in time", cause.Count(e.N(), "request"))
	limit := e.World.Setting(fact.RoleGateway, e.Gateway.Tech, fact.UpstreamReply)
	longest := time.Duration(0)
	for _, x := range e.Failures {
		if d, ok := x.Took(); ok {
			longest = max(longest, d)
		}
	}
	if longest > 0 {
		says += fmt.Sprintf("; the longest wait was %s", cause.Span(longest))
	}
	s := cause.Itself(e, 0, "the mechanism itself", says)
	if limit != nil && limit.Dur.Known && longest > 0 && (longest-limit.Dur.D).Abs() < 2*time.Second {
		s.Says += ", which is the time-out of " + cause.TechTitle(e.Gateway.Tech)
		s.Facts = append(s.Facts, limit)
	}
	o.Signals = append(o.Signals, s)
	done := 0
	for _, x := range e.Failures {
		if x.BackendSaw == failure.Yes && x.BackendRequest.Status.Known && x.BackendRequest.Status.N < 500 {
			done++
		}
	}
	if done > 0 {
		o.Signals = append(o.Signals, cause.For(2, "the server finished the work after the proxy had gone", fmt.Sprintf("the server's own log has %d of them as answered", done), e.Failures[0].BackendRequest))
	}
	o.Fix = cause.Fix{Summary: "Find what makes these requests slow in " + server(e) + "; raise the time-out only where the work is meant to take that long."}
	if limit != nil && limit.Spelling != "" && longest > 0 {
		o.Fix.Steps = append(o.Fix.Steps, "if it is meant to take longer: "+cause.Spell(limit.Spelling, 2*longest)+"   # and as much on every hop in front")
	}
	if cs := e.Contrasts(); len(cs) > 0 {
		o.Fix.Steps = append([]string{fmt.Sprintf("begin with %s %s: %d of %d failures, %d of %d good requests", cs[0].Property, cs[0].Value, cs[0].Failed, cs[0].FailedOf, cs[0].Ordinary, cs[0].OrdinaryOf)}, o.Fix.Steps...)
	}
	o.Next = []cause.Next{{
		Evidence: "the application's own log of the same minutes, with durations", Command: "kubectl logs POD --timestamps; journalctl -u UNIT -o short-iso",
		WouldTell: "whether the request reached the application, and whether it worked on it or waited for a free worker",
	}}
	return o
}

func server(e *failure.Episode) string {
	if ts := e.World.Techs(fact.RoleBackend); len(ts) == 1 {
		return cause.TechTitle(ts[0])
	}
	return "the application"
}
