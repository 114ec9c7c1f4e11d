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
		"on the wire: a reset in the server's name that is not the server's (another TTL or IP id than its other packets)",
	},
	Fixes: []string{
		"raise rate or burst above what one page or one office does, or key it by user instead of address",
		"answer with 429, not 503, so that it is not taken for an outage: limit_req_status 429;",
	},
	Mechanisms: []fact.Mechanism{fact.Denied, fact.ResetBeforeReply, fact.CutMidReply, fact.TLSFailed},
	Troubles:   []fact.EventKind{fact.RequestRejected},
	Prior:      0,
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if fs := cause.Foreign(e.Failures); len(fs) > 0 {
		return between(e, fs)
	}
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
		if e.Mechanism != "" {
			return o // a refusal is an answer, no reset
		}
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

// The weights of a reset that is not the server's: a rule is one reason for
// which a device between sends one; that it forgot an idle connection is
// another, and a balancer whose servers answer with several TTLs a third.
const (
	once  = 2
	often = 6
	// forgotten is from what silence a firewall may have forgotten the
	// connection: the shortest usual time of state tables.
	forgotten = 30 * time.Second
)

// between judges resets that a device between client and server sent in the
// server's name: no server is to be accused of them.
func between(e *failure.Episode, fs []*failure.Failure) cause.Opinion {
	c := cause.LastConn(fs[0])
	o := cause.Opinion{Blame: fact.Party{Role: fact.RoleGateway, Name: "a device on the way to " + c.Server}}
	if len(fs) < len(e.Failures) {
		o.Claims = fs
	}
	w := float64(once)
	if len(fs) >= 3 {
		w = often
	}
	s := cause.For(w, "a reset with other marks than the server's packets comes from something between: a firewall's rule most often", fmt.Sprintf("%s reset by a packet that the server did not send: %s", cause.Count(len(fs), "connection"), c.Foreign), cause.CiteConns(fs)...)
	s.Plain = true
	o.Signals = append(o.Signals, s)
	if c.Idle.Known && c.Idle.D >= forgotten {
		o.Signals = append(o.Signals, cause.Against(4, "state tables forget what is silent", fmt.Sprintf("the connection had been silent for %s before: the device may have forgotten it", cause.Span(c.Idle.D)), c))
	}
	o.Fix = cause.Fix{
		Summary: "Find the device that resets connections between the one who asks and " + c.Server + ": a firewall, an intrusion filter, a DDoS scrubber. The server did not send these resets.",
		Steps:   []string{"its distance: compare the resets' TTL with the server's in the capture, and with traceroute -T -p " + cause.PortOf(c.Server) + " ADDRESS", "if it resets after a silence: TCP keep-alives, or idle time-outs below the device's"},
	}
	o.Next = []cause.Next{{
		Evidence: "a second capture, at the server itself, of the same minutes", Command: cause.CaptureNext(c.Server, "").Command,
		WouldTell: "a reset that the server never sent is not in it: then the device is between the two captures",
	}}
	return o
}
