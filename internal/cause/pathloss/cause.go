// Package pathloss judges paths that lose packets, above all large ones.
package pathloss

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
	ID:    "path-loss",
	Title: "The network loses packets on the way, above all large ones",
	What:  "Small packets pass and large ones do not (a tunnel with a smaller MTU, and no ICMP to tell), or a link loses some of all. Connections are made, and then hang: in the TLS handshake, in an upload, in an answer over a certain size.",
	Shows: []string{
		"works below an exact size (1,372 or 1,868 bytes) and hangs above it",
		"TLS handshake time-outs although the TCP connection was made",
		"one pair of machines only; retransmissions, link flaps, an MTU that differs between nodes",
	},
	Fixes: []string{
		"make the MTU of tunnels and pods small enough for the path, or clamp the segment size: iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
		"let ICMP fragmentation-needed through",
	},
	Mechanisms: []fact.Mechanism{fact.ReplyTimedOut, fact.ClientGone, fact.ConnectTimedOut, fact.TLSFailed, fact.CutMidReply},
	Troubles:   []fact.EventKind{fact.NetworkTrouble},
	Over:       []string{"tls-handshake"},
	Prior:      -4,
	PriorWhy:   "few time-outs are the network's",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if e.Mechanism == fact.ClientGone {
		// Of clients that left, only packets tell that their requests hung.
		s, claims := onWire(e)
		if s.Says == "" {
			return o
		}
		o.Signals = append(o.Signals, s)
		if o.Claims = claims; len(claims) == len(e.Failures) {
			o.Claims = nil
		}
		return advised(o)
	}
	if s, claims, ok := cause.NearEvents(e, e.World.Of(fact.NetworkTrouble), 30*time.Second, 5*time.Second, func(n int, x *fact.Event) string {
		return "the network had trouble then: " + cause.Cut(x.Detail, 120)
	}); ok {
		s.Weight = min(s.Weight, 18) // trouble on a link may concern another path
		o.Signals, o.Claims = append(o.Signals, s), claims
	}
	if s, claims := onWire(e); s.Says != "" {
		if o.Signals = append(o.Signals, s); o.Claims == nil && len(claims) < len(e.Failures) {
			o.Claims = claims
		}
	}
	var hang []*failure.Failure
	for _, f := range e.Failures {
		if f.Mechanism == fact.TLSFailed && strings.Contains(strings.ToLower(f.Detail), "handshake timeout") {
			hang = append(hang, f)
		}
	}
	if len(hang) > 0 {
		o.Signals = append(o.Signals, cause.For(9, "the connection was made and the larger packets of the handshake did not come", fmt.Sprintf("%s hung in the TLS handshake", cause.Count(len(hang), "request")), cause.Cite(hang)...))
	}
	for _, c := range e.Contrasts() {
		if c.Property == "request size" && !strings.HasPrefix(c.Value, "under 1 KiB") && c.Failed*10 >= c.FailedOf*9 {
			o.Signals = append(o.Signals, cause.For(10, "only size sets them apart", fmt.Sprintf("%d of %d failed requests are of one size (%s), and %d of %d good ones", c.Failed, c.FailedOf, c.Value, c.Ordinary, c.OrdinaryOf), cause.Cite(e.Failures)...))
		}
	}
	if len(o.Signals) == 0 {
		return o
	}
	return advised(o)
}

func advised(o cause.Opinion) cause.Opinion {
	o.Fix = cause.Fix{
		Summary: "Find the size above which packets are lost, and make the MTU on that path agree.",
		Steps: []string{
			"ping -M do -s 1472 SERVER; lower 1472 until it passes   # the path's MTU is that + 28",
			"ip link   # compare the MTU of tunnels (wg0, tunl0, flannel, cali) between nodes",
			"iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
		},
	}
	o.Next = []cause.Next{{
		Evidence: "whether large packets pass", Command: "ping -M do -s 1472 -c 3 SERVER; ping -M do -s 1372 -c 3 SERVER",
		WouldTell: "the size above which packets are lost; none means that the way takes them all",
	}}
	return o
}
