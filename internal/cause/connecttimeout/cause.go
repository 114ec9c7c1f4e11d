// Package connecttimeout judges connections that nobody answered, or that the
// network said cannot be made.
package connecttimeout

import (
	"fmt"
	"strings"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "connect-timeout",
	Title: "No connection: the server's address did not answer",
	What:  "The proxy asked for a connection and got no answer in time, or the network answered that the host cannot be reached. The machine is gone, a firewall drops or rejects the packets, the address is wrong, or the server's accept queue is full.",
	Shows: []string{
		"nginx: upstream timed out (110) while connecting to upstream, or connect() failed (113: No route to host); HAProxy: sC; Go: dial tcp: i/o timeout",
		"the time to fail equals the proxy's connect time-out, or is near zero with errno 113 and 101",
	},
	Fixes: []string{
		"check from the proxy's machine whether the address and port can be reached, and which firewall or security group lies between",
		"take servers that are gone out of the proxy's list, and check servers actively",
	},
	Kind:       cause.Shallow,
	Mechanisms: []fact.Mechanism{fact.ConnectTimedOut, fact.Unreachable},
	Prior:      5,
	PriorWhy:   "the error is read right in nine of ten; of published incidents in which it is all there is, seven in ten came out as no more than that",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	if len(e.Failures) == 0 {
		return cause.Opinion{}
	}
	f := e.Failures[0]
	to := f.Backend.Address
	if to == "" {
		to = "the server"
	}
	says := fmt.Sprintf("%s to %s got no answer", cause.Count(e.N(), "connection attempt"), to)
	summary := "Find out why " + to + " does not answer: a machine that is gone, a firewall, a wrong address, or a full accept queue."
	if e.Mechanism == fact.Unreachable {
		says = fmt.Sprintf("the network rejected %s to %s as unreachable", cause.Count(e.N(), "connection attempt"), to)
		summary = "Find out who rejects packets to " + to + ": errno 113 at once is most often a firewall that rejects (firewalld, iptables REJECT), or a host that is gone."
	}
	s := cause.Itself(e, 0, "the mechanism itself", says)
	if cause.Captured(e.Failures) {
		s.Says, s.Facts = says+onWire(e), cause.CiteConns(e.Failures)
	}
	return cause.Opinion{
		Signals: []cause.Signal{s},
		Blame:   f.Backend,
		Fix: cause.Fix{Summary: summary, Steps: []string{
			"from the proxy's machine: nc -vz " + hostPort(f.Backend.Address) + "; ip route get ADDRESS",
			"on the server: ss -ltn | grep " + cause.PortOf(f.Backend.Address) + "   # Recv-Q at its Send-Q means a full accept queue",
			"firewalls on both: nft list ruleset; firewall-cmd --list-all; security groups and NetworkPolicies",
		}},
		Next: append([]cause.Next{{
			Evidence: "counters of dropped connections on the server", Command: "nstat -az TcpExtListenOverflows TcpExtListenDrops; ss -ltn",
			WouldTell: "whether the accept queue overflowed, or the packets never arrived",
		}}, capture(e)...),
	}
}

// capture asks for packets where there are none.
func capture(e *failure.Episode) []cause.Next {
	if cause.Captured(e.Failures) {
		return nil
	}
	return []cause.Next{cause.CaptureNext(e.Failures[0].Backend.Address, "whether the server answers others in the same seconds: then its queue is full, or else it is gone or barred")}
}

// onWire adds what packets tell: how often it was asked, or who said no.
func onWire(e *failure.Episode) string {
	syns := int64(0)
	for _, f := range e.Failures {
		c := cause.LastConn(f)
		for _, p := range c.Packets {
			if strings.HasPrefix(p.Says, "ICMP ") {
				return ": " + p.Says
			}
		}
		syns = max(syns, c.SYNs.Or(0))
	}
	if syns < 2 {
		return ""
	}
	return fmt.Sprintf(": SYN sent up to %d times, and no packet came back", syns)
}

func hostPort(a string) string {
	if a == "" {
		return "ADDRESS PORT"
	}
	return a
}
