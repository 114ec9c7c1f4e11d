// Package dnsfailure judges names that could not be resolved.
package dnsfailure

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
	ID:    "dns-failure",
	Title: "The server's name could not be resolved",
	What:  "The proxy asked its resolver for the server's name and got no address: the name does not exist there, the resolver failed or did not answer, or the proxy has none set.",
	Shows: []string{
		"nginx: could not be resolved (3: Host not found) or (110: Operation timed out), no resolver defined to resolve",
		"Go: lookup NAME on ADDRESS:53: no such host; CloudFront: OriginDnsError; Envoy: DF; CoreDNS: plugin/errors ... i/o timeout",
	},
	Fixes: []string{
		"nginx asks only the servers of its `resolver` line, not /etc/hosts and not the search domains of /etc/resolv.conf: write the full name",
		"give it two resolvers and a cache, and look at the resolver's own health",
	},
	Mechanisms: []fact.Mechanism{fact.NameNotResolved, fact.NoBackend, fact.ConnectTimedOut, fact.ReplyTimedOut},
	Troubles:   []fact.EventKind{fact.DNSFailed},
	Prior:      0,
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if e.Mechanism == fact.NameNotResolved {
		f := e.Failures[0]
		says := fmt.Sprintf("%s failed because a name could not be resolved", cause.Count(e.N(), "request"))
		if f.Detail != "" {
			says += ": " + cause.Cut(f.Detail, 160)
		}
		o.Signals = append(o.Signals, cause.Itself(e, 20, "the proxy says so in words of its own", says))
		o.Blame = fact.Party{Role: fact.RoleResolver}
	}
	events := e.World.Of(fact.DNSFailed)
	s, claims, ok := cause.NearEvents(e, events, 10*time.Second, 2*time.Second, func(n int, x *fact.Event) string {
		return fmt.Sprintf("a resolver failed at the same time: %s", cause.Cut(x.Detail, 120))
	})
	if ok {
		if e.Mechanism != fact.NameNotResolved {
			// A resolver's trouble beside other failures may have its own victims.
			s.Weight = min(s.Weight, 14)
			o.Claims = claims
		}
		o.Signals = append(o.Signals, s)
		o.Blame = events[0].Party
		if o.Blame.Role == "" {
			o.Blame.Role = fact.RoleResolver
		}
	}
	if len(o.Signals) == 0 {
		return cause.Opinion{}
	}
	o.Fix = fix(e)
	return o
}

func fix(e *failure.Episode) cause.Fix {
	text := commonest(e)
	name := "NAME"
	if len(e.World.Techs(fact.RoleOrchestrator)) > 0 {
		name = "NAME.NAMESPACE.svc.cluster.local"
	}
	f := cause.Fix{Summary: "See why the resolver has no answer for the name: dig NAME @RESOLVER, from the proxy's machine."}
	switch {
	case strings.Contains(text, "no resolver defined"):
		f.Summary = "nginx has no resolver for names in variables: name one."
		f.Patch = "# Docker: 127.0.0.11; Kubernetes: the address of the cluster's DNS\nresolver 127.0.0.53 valid=10s;"
	case strings.Contains(text, "(3:"):
		f.Summary = "The resolver says that the name does not exist. nginx does not use search domains or /etc/hosts: write the full name."
		f.Patch = "set $backend " + name + ";   # the whole name\nproxy_pass http://$backend:PORT;"
	case strings.Contains(text, "(2:"):
		f.Summary = "The resolver answers with a failure (SERVFAIL): look at the resolver, and give nginx a second one."
		f.Patch = "resolver ADDRESS1 ADDRESS2 valid=30s;\nresolver_timeout 5s;"
	case strings.Contains(text, "(110:") || strings.Contains(text, "i/o timeout"):
		f.Summary = "The resolver does not answer in time: look at its load and at the network to it."
		f.Patch = "resolver ADDRESS1 ADDRESS2 valid=30s;\nresolver_timeout 5s;"
	}
	return f
}

// answers are what a resolver may say, as nginx and others write it.
var answers = []string{"no resolver defined", "(3:", "(2:", "(110:", "i/o timeout"}

// commonest is the answer that most failures met.
func commonest(e *failure.Episode) string {
	best, most := "", 0
	for _, a := range answers {
		n := 0
		for _, f := range e.Failures {
			for _, r := range f.Seen {
				if strings.Contains(r.Origin.Text, a) || strings.Contains(r.Detail, a) {
					n += f.N
					break
				}
			}
		}
		if n > most {
			best, most = a, n
		}
	}
	return best
}
