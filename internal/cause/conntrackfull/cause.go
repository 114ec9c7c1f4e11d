// Package conntrackfull judges packets dropped because the kernel's table of
// tracked connections was full.
package conntrackfull

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "conntrack-full",
	Title: "Connection tracking table full: the kernel drops new connections",
	What: "A machine with a stateful firewall, NAT or kube-proxy remembers every connection. When that table is full, the first packet of each new connection is dropped without a word. " +
		"Connections that exist go on, so everything looks fine except that new ones time out.",
	Shows: []string{
		"kernel: nf_conntrack: nf_conntrack: table full, dropping packet",
		"connect time-outs to many addresses at once, in multiples of 1, 3, 7 s; established connections are fine",
		"/proc/sys/net/netfilter/nf_conntrack_count near nf_conntrack_max; insert_failed and drop rising in conntrack -S",
	},
	Fixes: []string{
		"a bigger table: net.netfilter.nf_conntrack_max (about 320 bytes an entry)",
		"shorter memory of what is closed: nf_conntrack_tcp_timeout_time_wait, nf_conntrack_tcp_timeout_established (five days by default)",
		"fewer connections: keep them open and use them again; no tracking (NOTRACK) for the proxy's own ports",
	},
	Links: []string{
		"https://docs.kernel.org/networking/nf_conntrack-sysctl.html",
	},
	Mechanisms: []fact.Mechanism{fact.ConnectTimedOut, fact.Unreachable, fact.ReplyTimedOut, fact.NoBackend, fact.GatewayFault, fact.NameNotResolved, fact.LimitHit, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.LimitReached},
	Prior:      -4,
	PriorWhy:   "rare; but where the kernel says it, packets were dropped",
	Explain:    explain,
}

// The window: the kernel repeats the message every few seconds at most while
// it drops, and a connection that is not answered fails up to a minute later.
const before, after = 90 * time.Second, 10 * time.Second

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var events []*fact.Event
	for _, x := range e.World.Of(fact.LimitReached) {
		if x.Limit == fact.LimitConntrack {
			events = append(events, x)
		}
	}
	s, claims, ok := cause.NearEvents(e, events, before, after, says)
	if !ok {
		return o
	}
	o.Signals = append(o.Signals, s)
	o.Claims = claims
	if e.Mechanism == fact.ConnectTimedOut {
		o.Signals = append(o.Signals, cause.For(4, "a dropped first packet ends in just this way", "connections were not answered", cause.Cite(e.Failures)...))
	}
	if e.Mechanism == fact.ReplyTimedOut {
		o.Signals = append(o.Signals, cause.Against(5, "connections that exist are not dropped", "the connections had been opened", cause.Cite(e.Failures)...))
	}
	x := s.Facts[0].(*fact.Event)
	o.Blame = fact.Party{Role: fact.RoleHost, Tech: "linux", Host: x.Party.Host, Name: x.Party.Host}
	o.Fix = fix(e)
	o.Next = []cause.Next{{
		Evidence: "how full the table is, and of what", Command: "sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; conntrack -S | head; conntrack -L 2>/dev/null | awk '{print $4}' | sort | uniq -c",
		WouldTell: "whether it is full now, and whether closed connections fill it",
	}}
	return o
}

func says(_ int, x *fact.Event) string {
	s := "the kernel's table of connections was full, and it dropped packets"
	if x.Max.Known {
		s += fmt.Sprintf(" (%d entries)", x.Max.N)
	}
	if x.N() > 1 {
		s += fmt.Sprintf(" (%d times)", x.N())
	}
	return s
}

func fix(e *failure.Episode) cause.Fix {
	want := int64(1 << 20)
	f := cause.Fix{Summary: "Enlarge the table of tracked connections, and let it forget closed ones sooner."}
	if s := e.World.Setting(fact.RoleHost, "", fact.ConntrackMax); s != nil && s.Num.Known {
		f.Summary = fmt.Sprintf("The table holds %d connections: enlarge it, and let it forget closed ones sooner.", s.Num.N)
		want = max(want, s.Num.N*4)
	}
	f.Patch = fmt.Sprintf("# /etc/sysctl.d/60-conntrack.conf\nnet.netfilter.nf_conntrack_max = %d\nnet.netfilter.nf_conntrack_tcp_timeout_time_wait = 30\nnet.netfilter.nf_conntrack_tcp_timeout_established = 86400", want)
	f.Steps = []string{
		"sysctl --system   # at once; loaded again at each boot after the module",
		"on Kubernetes kube-proxy sets it: --conntrack-max-per-core, --conntrack-min",
		"let the proxy keep connections to its servers, so that fewer are opened",
	}
	return f
}
