// Package clientabort judges requests whose client left first.
package clientabort

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "client-abort",
	Title: "The client left before the answer",
	What:  "The browser, the app or the caller closed its connection: a user who moved on, a search that was typed further, a caller's own time-out. No server failed.",
	Shows: []string{
		"nginx: 499; HAProxy: CC, CD, CH, CR; Envoy: DC; Google: client_disconnected_before_any_response; ALB: 460",
		"a broken pipe or SIGPIPE in the application when it writes the answer",
	},
	Fixes:      []string{"nothing on the server side; where all last equally long, a caller's time-out is shorter than the work"},
	Kind:       cause.Innocent,
	Mechanisms: []fact.Mechanism{fact.ClientGone},
	Troubles:   []fact.EventKind{fact.ClientLeft},
	Prior:      0,
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		s, claims, ok := cause.NearEvents(e, e.World.Of(fact.ClientLeft), 0, 0, func(n int, x *fact.Event) string {
			return "the application wrote to a client that had left: " + cause.Cut(x.Detail, 120)
		})
		if !ok {
			return o
		}
		o.Signals, o.Claims = []cause.Signal{s}, claims
	} else {
		s := cause.Itself(e, 22, "the gateway says so in words of its own", fmt.Sprintf("%s closed by the client first", cause.Count(e.N(), "request")))
		if onWire(e) {
			s = cause.For(14, "packets show who closed first; whether the one who asked is a client or a proxy that gave up, its leg alone does not", fmt.Sprintf("%s closed by the one who asked, before the answer", cause.Count(e.N(), "request")), cause.CiteConns(e.Failures)...)
			for _, f := range e.Failures {
				if c := cause.LastConn(f); c != nil && c.Foreign != "" {
					s = cause.Against(15, "a device between sent it in the client's name", "the reset is not the client's: "+c.Foreign, c)
					s.Plain = true
				}
			}
			if n := stuck(e); n > 0 {
				s = cause.Against(8, "who gives up on what does not get through is not the cause", fmt.Sprintf("%s had sent data again and again without an acknowledgement", cause.Count(n, "connection")), cause.CiteConns(e.Failures)...)
			}
			s.Proof = s.Weight > 0 && e.Gateway.Role == fact.RoleGateway && frontLeg(e)
		}
		o.Signals = append(o.Signals, s)
	}
	o.Blame = fact.Party{Role: fact.RoleClient}
	o.Fix = cause.Fix{Summary: "No server failed. Leave these out of error rates."}
	if t, n := commonWait(e); n >= 5 {
		o.Fix.Steps = []string{fmt.Sprintf("%d of %d left after about %s: somebody's time-out; make the work faster, or ask the caller to wait longer", n, len(e.Failures), cause.Span(t))}
	}
	return o
}

// onWire: nobody but a capture tells of it.
func onWire(e *failure.Episode) bool {
	for _, f := range e.Failures {
		for _, r := range f.Seen {
			if !r.Wire {
				return false
			}
		}
	}
	return true
}

// stuck counts the connections whose packets did not get through, if that is
// most of them.
func stuck(e *failure.Episode) int {
	n := 0
	for _, f := range e.Failures {
		if c := cause.LastConn(f); c != nil {
			if again, _, _ := cause.SentAgain(c); again > 2 {
				n++
			}
		}
	}
	if n*2 < len(e.Failures) {
		return 0
	}
	return n
}

// frontLeg: the leg on which the one who asked left is that in front of a
// gateway.
func frontLeg(e *failure.Episode) bool {
	for _, f := range e.Failures {
		if f.Client == "" {
			return false
		}
	}
	return true
}

// commonWait finds the whole second at which most clients left, if most did.
func commonWait(e *failure.Episode) (time.Duration, int) {
	per := map[int64]int{}
	timed := 0
	for _, f := range e.Failures {
		if d, ok := f.Took(); ok && d >= 900*time.Millisecond {
			per[int64((d+100*time.Millisecond)/time.Second)]++
			timed++
		}
	}
	best, n := int64(0), 0
	for s, k := range per {
		if k > n || k == n && s < best {
			best, n = s, k
		}
	}
	if n*2 < timed {
		return 0, 0
	}
	return time.Duration(best) * time.Second, n
}
