// Package wafratelimit judges requests that a rule refused.
package wafratelimit

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "waf-or-rate-limit",
	Title: "A rule refused the request: rate limit or web application firewall",
	What:  "A limit on requests or connections, or a firewall's rule, refused it on purpose. Behind one public address may be many users; one page may make more requests than the limit allows.",
	Shows: []string{
		"nginx: limiting requests, excess ... by zone; limiting connections by zone (503 unless limit_req_status says otherwise)",
		"Google: denied_by_security_policy, throttled_by_security_policy; AWS: actions waf, forbidden",
	},
	Fixes: []string{
		"raise rate or burst above what one page or one office does, or key it by user instead of address",
		"answer with 429, not 503, so that it is not taken for an outage: limit_req_status 429;",
	},
	Mechanisms: []fact.Mechanism{fact.Denied},
	Troubles:   []fact.EventKind{fact.RequestRejected},
	Prior:      0,
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if e.Mechanism == fact.Denied {
		f := e.Failures[0]
		says := fmt.Sprintf("%s refused by a rule", cause.Count(e.N(), "request"))
		if f.Detail != "" {
			says += ": " + cause.Cut(f.Detail, 140)
		} else if f.Code != "" {
			says += ": " + f.Code
		}
		o.Signals = append(o.Signals, cause.Itself(e, 22, "the gateway says so in words of its own", says))
		o.Blame = f.Gateway
	} else if s, claims, ok := cause.NearEvents(e, e.World.Of(fact.RequestRejected), time.Second, time.Second, func(n int, x *fact.Event) string {
		return "requests were refused by a rule: " + cause.Cut(x.Detail, 120)
	}); ok {
		o.Signals, o.Claims = append(o.Signals, s), claims
	}
	if len(o.Signals) == 0 {
		return o
	}
	o.Fix = cause.Fix{Summary: "The rule did what it says: decide whether its limit is right, and let it answer 429 instead of 503."}
	if limit := e.World.Setting(fact.RoleGateway, e.Gateway.Tech, fact.RateLimit); limit != nil {
		o.Signals = append(o.Signals, cause.For(0, "the rule itself", "the rule is: "+limit.Text, limit))
	}
	if e.Gateway.Tech == "nginx" || e.Gateway.Tech == "" {
		o.Fix.Patch = "limit_req_status 429;\nlimit_conn_status 429;"
		o.Fix.Steps = []string{"limit_req zone=NAME burst=TWICE-A-PAGE nodelay;   # a page makes dozens of requests at once"}
	}
	return o
}
