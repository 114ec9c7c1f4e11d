// Package connectrefused judges connections that the server's machine refused:
// nobody listens at that address.
package connectrefused

import (
	"fmt"
	"strings"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "connect-refused",
	Title: "Connection refused: nobody listens at the server's address",
	What:  "The proxy asked for a connection and the server's machine refused it at once: the process is down, not yet up, listens on another port or address, or its socket file is missing.",
	Shows: []string{
		"nginx: connect() failed (111: Connection refused); HAProxy: SC with Tc -1; Go: dial tcp: connection refused",
		"failures at once, for every method, until the server listens again",
		"an address [::1] where the server listens on 127.0.0.1 only: a name that resolves to both",
	},
	Fixes: []string{
		"start the server, and let something restart it (systemd Restart=, a container's restart policy, a liveness probe)",
		"compare the address in the log with what the server listens on: port, 127.0.0.1 against 0.0.0.0, IPv4 against IPv6",
	},
	Kind:       cause.Shallow,
	Mechanisms: []fact.Mechanism{fact.Refused},
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
	says := fmt.Sprintf("%s refused", cause.Count(e.N(), "connection"))
	if f.Backend.Address != "" {
		says += " by " + f.Backend.Address
	}
	facts := cause.Cite(e.Failures)
	if cause.Captured(e.Failures) {
		facts = cause.CiteConns(e.Failures)
		says += ": SYN, answered by RST"
		if c := cause.LastConn(f); c.Foreign != "" {
			says += ", which the server did not send (" + c.Foreign + ")"
			o.Blame = fact.Party{}
		} else if back(e) {
			says += "; it answered others before and after"
		}
	}
	o.Signals = append(o.Signals, cause.For(0, "the mechanism itself", says, facts...).AsProof())
	o.Fix = cause.Fix{
		Summary: "Find out why nothing listens at " + orServer(f.Backend.Address) + ", and have it restarted when it dies.",
		Steps:   []string{"ss -ltnp | grep " + cause.PortOf(f.Backend.Address) + "   # on the server: who listens, on which address"},
	}
	if strings.HasPrefix(f.Backend.Address, "[::1]") {
		o.Fix.Summary = "The proxy asks [::1], where the server does not listen: write 127.0.0.1 instead of localhost, or let the server listen on both."
		o.Fix.Patch = "proxy_pass http://127.0.0.1:" + cause.PortOf(f.Backend.Address) + ";"
	}
	if strings.HasPrefix(f.Backend.Address, "127.") && (e.Gateway.Name != "" || e.Gateway.Tech == "nginx" && len(e.World.Techs(fact.RoleOrchestrator)) > 0) {
		o.Fix.Steps = append(o.Fix.Steps, "if the proxy runs in a container: "+f.Backend.Address+" is the container itself; write the server's service name, or host.docker.internal")
	}
	o.Next = []cause.Next{{
		Evidence: "the server's own log and its supervisor's", Command: "kubectl describe pod POD; kubectl logs POD --previous; journalctl -u UNIT -o short-iso; docker events --since 1h",
		WouldTell: "whether it crashed, was killed, was restarted by a rollout, or never listened there",
	}}
	return o
}

// back: requests to the same address were answered before the first refusal and
// after the last.
func back(e *failure.Episode) bool {
	first, last := e.Span()
	at := cause.Answers(e.World)[e.Failures[0].Backend.Address]
	return len(at) > 0 && at[0].Before(first) && at[len(at)-1].After(last)
}

func orServer(a string) string {
	if a == "" {
		return "the server's address"
	}
	return a
}
