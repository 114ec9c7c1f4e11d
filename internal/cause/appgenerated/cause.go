// Package appgenerated judges errors that the application itself answered.
package appgenerated

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "app-generated",
	Title: "The application itself answered with this status",
	What:  "The gateway only passed on what the application said. Nothing between them failed; the reason is in the application's own log.",
	Shows: []string{
		"Google: response_sent_by_backend; Envoy: via_upstream; ALB: both status codes equal; HAProxy: --; nginx: $upstream_status with a header time",
	},
	Fixes:      []string{"look into the application's log for this request; the gateway is not at fault"},
	Kind:       cause.Innocent,
	Mechanisms: []fact.Mechanism{fact.AppAnswered},
	Prior:      4,
	PriorWhy:   "an error without a gateway's own word for it is the application's more often than not",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	relayed, seen := 0, 0
	statuses := map[int64]int{}
	for _, f := range e.Failures {
		if f.Relayed {
			relayed++
		}
		if f.BackendSaw == failure.Yes && f.BackendRequest.Status.Or(0) >= 500 {
			seen++
		}
		statuses[f.Status.Or(0)]++
	}
	if relayed*2 >= len(e.Failures) {
		o.Signals = append(o.Signals, cause.For(16, "the gateway's record says that the member answered", fmt.Sprintf("%s passed on as the application gave it", cause.Count(e.N(), "answer")), cause.Cite(e.Failures)...).AsProof())
	} else {
		o.Signals = append(o.Signals, cause.For(2, "gateways make 502, 503 and 504, hardly ever 500", fmt.Sprintf("%s of a status that gateways hardly make themselves (%d)", cause.Count(e.N(), "answer"), e.Failures[0].Status.Or(0)), cause.Cite(e.Failures)...))
	}
	if seen > 0 {
		o.Signals = append(o.Signals, cause.For(8, "its own log says so", fmt.Sprintf("the application's own log has %d of them with an error status", seen), e.Failures[0].BackendRequest))
	}
	if s, _, ok := cause.NearEvents(e, e.World.Of(fact.AppError, fact.DependencyDown, fact.HeapExhausted), time.Second, time.Second, func(n int, x *fact.Event) string {
		return "the application logged an error of its own then: " + cause.Cut(x.Detail, 120)
	}); ok {
		s.Weight = min(s.Weight, 8)
		o.Signals = append(o.Signals, s)
	}
	o.Blame = e.Failures[0].Backend
	o.Blame.Role = fact.RoleBackend
	o.Fix = cause.Fix{Summary: "Nothing between client and application failed: look into the application's own log for these requests."}
	if cs := e.Contrasts(); len(cs) > 0 {
		o.Fix.Steps = []string{fmt.Sprintf("they gather at %s %s: %d of %d", cs[0].Property, cs[0].Value, cs[0].Failed, cs[0].FailedOf)}
	}
	return o
}
