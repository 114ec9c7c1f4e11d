// Package portexhaustion judges connections that could not be opened because
// no source port towards the server was free.
package portexhaustion

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "port-exhaustion",
	Title: "Out of source ports: too many connections to one address",
	What: "Each connection from one machine to one server address and port needs a source port of its own, 28,231 by default, and a closed one stays taken for a minute. " +
		"A proxy that opens a connection for each request runs out at about 470 requests a second.",
	Shows: []string{
		"connect() failed (99: Cannot assign requested address); musl: Address not available; Go, Node: EADDRNOTAVAIL",
		"only under load, only towards one address; ss -s shows tens of thousands in timewait",
	},
	Fixes: []string{
		"keep connections to the server open (upstream keepalive): the one fix that also makes it faster",
		"a wider range of ports: net.ipv4.ip_local_port_range; net.ipv4.tcp_tw_reuse=1",
		"more addresses: several server addresses or ports, or several source addresses (proxy_bind, source in HAProxy)",
		"behind a NAT gateway: more ports for each machine there",
	},
	Links: []string{
		"https://docs.kernel.org/networking/ip-sysctl.html",
		"https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
	},
	Mechanisms: []fact.Mechanism{fact.LimitHit, fact.GatewayFault, fact.ConnectTimedOut, fact.Refused, fact.AppAnswered, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.LimitReached},
	Prior:      -3,
	PriorWhy:   "rare, but nothing else has this error",
	Explain:    explain,
}

// The window: ports stay taken for a minute.
const before, after = 60 * time.Second, 10 * time.Second

// eaddrnotavail as on Linux.
const eaddrnotavail = 99

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var told []*failure.Failure
	n := 0
	for _, f := range e.Failures {
		if f.Errno == eaddrnotavail || f.Try.Errno == eaddrnotavail {
			told = append(told, f)
			n += f.N
		}
	}
	if len(told) > 0 {
		says := fmt.Sprintf("no source port was free for %s (errno 99)", cause.Count(n, "connection"))
		if a := told[0].Backend.Address; a != "" {
			says += " to " + a
		}
		o.Signals = append(o.Signals, cause.For(22, "the system call's own error", says, cause.Cite(told)...).AsProof().In("limit"))
		o.Claims, o.Blame = told, told[0].Gateway
	}
	var events []*fact.Event
	for _, x := range e.World.Of(fact.LimitReached) {
		if x.Limit == fact.LimitPorts {
			events = append(events, x)
		}
	}
	if s, claims, ok := cause.NearEvents(e, events, before, after, says); ok && (len(told) == 0 || len(claims) > 0) {
		if e.Mechanism != fact.LimitHit && len(e.Failures) > 0 {
			s.Weight = min(s.Weight, 12) // these end in other ways, too
		}
		if len(told) == 0 {
			o.Claims, o.Blame = claims, s.Facts[0].Head().Party
		}
		o.Signals = append(o.Signals, s.In("limit"))
	}
	if len(o.Signals) == 0 {
		return o
	}
	o.Blame.PID = 0
	if s := e.World.Setting(fact.RoleHost, "", fact.PortRange); s != nil && s.Num.Known {
		o.Signals = append(o.Signals, cause.For(1, "it bounds the connections to one address", fmt.Sprintf("%d ports towards one address", s.Num.N), s))
	}
	if s := cause.PoolIdle(e); s != nil && s.Text == "off" {
		o.Signals = append(o.Signals, cause.For(3, "each request takes a port for a minute", "the proxy opens a connection for each request", s))
	}
	o.Fix = fix(e)
	o.Next = []cause.Next{{
		Evidence: "the ports in use", Command: "ss -s; ss -tan state time-wait | awk '{print $4}' | sort | uniq -c | sort -rn | head; sysctl net.ipv4.ip_local_port_range net.ipv4.tcp_tw_reuse",
		WouldTell: "towards which address they are taken",
	}}
	return o
}

func says(_ int, x *fact.Event) string {
	if x.Reason == "time-wait table" {
		return "the kernel's table of closed connections overflowed"
	}
	return cause.TechTitle(x.Party.Tech) + " found no free source port"
}

func fix(e *failure.Episode) cause.Fix {
	f := cause.Fix{
		Summary: "Keep connections to the server open instead of opening one for each request; then widen the range of ports.",
		Patch:   "# /etc/sysctl.d/60-ports.conf\nnet.ipv4.ip_local_port_range = 1024 65535\nnet.ipv4.tcp_tw_reuse = 1",
	}
	switch e.Gateway.Tech {
	case "nginx":
		f.Patch = "upstream app {\n  server 10.0.0.5:8080;\n  keepalive 64;\n}\n# in the location\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\n" + f.Patch
	case "haproxy":
		f.Patch = "backend app\n  http-reuse always\n  # and, where one address is not enough: source 0.0.0.0 usesrc clientip, or a source line a server\n\n" + f.Patch
	case "apache":
		f.Patch = "ProxyPass / http://app:8080/ enablereuse=on ttl=30\n\n" + f.Patch
	}
	f.Steps = []string{"sysctl --system   # loads the file", "if the server is on the same machine, a unix socket needs no ports"}
	return f
}
