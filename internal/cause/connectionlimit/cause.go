// Package connectionlimit judges requests that the gateway refused because a
// number of connections or requests that it allows was reached.
package connectionlimit

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
	ID:    "connection-limit",
	Title: "Connection limit: the proxy may open no more connections",
	What: "The proxy counts its connections, or those to one server, and was at the number it is allowed. Requests then fail at once, or wait in its queue until that runs out of time. " +
		"The server may be healthy; it is slow answers or long-lived connections (websockets) that fill the number.",
	Shows: []string{
		"nginx: 1024 worker_connections are not enough, answered with 500",
		"HAProxy: sQ, with a long time in the queue (Tw) and srv_queue above zero; PC where its own maxconn is full",
		"Envoy: UO, x-envoy-overloaded: true; Varnish: backend busy; Fastly: Backend.max_conn reached",
	},
	Fixes: []string{
		"raise the number, if the server can take more: worker_connections, maxconn, circuit_breakers, max_connections",
		"add servers, or make the slow answers faster: the number is a protection",
		"count both sides: nginx needs two connections for each proxied request",
	},
	Links: []string{
		"https://nginx.org/en/docs/ngx_core_module.html#worker_connections",
		"https://docs.haproxy.org/2.8/configuration.html#5.2-maxconn",
		"https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/circuit_breaking",
	},
	Mechanisms: []fact.Mechanism{fact.LimitHit, fact.GatewayFault, fact.NoBackend, fact.ConnectTimedOut, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.LimitReached},
	Prior:      -3,
	PriorWhy:   "four of about a hundred and fifty collected incidents; nothing else writes these words",
	Explain:    explain,
}

// The window: a full proxy says so at the request that it refuses.
const before, after = 5 * time.Second, 5 * time.Second

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var told []*failure.Failure
	for _, f := range e.Failures {
		if ownWords(f) {
			told = append(told, f)
		}
	}
	if len(told) > 0 {
		o.Signals = append(o.Signals, cause.For(20, "the proxy's own word for it", toldSays(told), cause.Cite(told)...).AsProof().In("limit"))
		o.Claims, o.Blame = told, told[0].Gateway
	}
	var events []*fact.Event
	for _, x := range e.World.Of(fact.LimitReached) {
		if (x.Limit == fact.LimitConnections || x.Limit == fact.LimitRequests) && x.Reason != "orphaned sockets" {
			events = append(events, x)
		}
	}
	s, claims, ok := cause.NearEvents(e, others(e, events), before, after, says)
	if ok && !otherErrno(claims) {
		o.Signals = append(o.Signals, s.In("limit"))
		if o.Blame == (fact.Party{}) {
			o.Blame, o.Claims = s.Facts[0].Head().Party, claims
		}
	}
	if len(o.Signals) == 0 {
		return o
	}
	o.Blame.PID = 0
	if w := queueing(told); w != "" {
		o.Signals = append(o.Signals, cause.For(2, "a queue builds up in front of a limit only", w, cause.Cite(told)...))
	}
	o.Fix = fix(e, o.Blame, told, events)
	o.Next = []cause.Next{{
		Evidence: "connections now and the limit", Command: "curl -s http://127.0.0.1/nginx_status; echo 'show stat' | socat stdio /run/haproxy/admin.sock | cut -d, -f1,2,3,5,6,7; curl -s localhost:15000/stats | grep overflow",
		WouldTell: "whether the number is too small for ordinary load, or slow answers fill it",
	}}
	return o
}

// ownWords: the request failed at a number of connections, as its own record
// says; limits of descriptors, ports, queues and rates have other words.
func ownWords(f *failure.Failure) bool {
	if f.Mechanism != fact.LimitHit || f.Errno != 0 || f.Try.Errno != 0 {
		return false
	}
	low := strings.ToLower(f.Code + " " + f.Detail)
	for _, w := range [...]string{"open files", "descriptor", "backlog", "listen queue", "rate", "assign requested", "not available", "temporarily unavailable", "memory", "throttl"} {
		if strings.Contains(low, w) {
			return false
		}
	}
	switch f.Gateway.Tech {
	case "haproxy":
		return !strings.HasPrefix(f.Code, "R")
	case "envoy":
		return strings.Contains(f.Code, "UO") || strings.Contains(low, "overflow")
	case "heroku":
		return strings.HasPrefix(f.Code, "H22")
	}
	return true
}

// otherErrno: the requests' own error names another limit.
func otherErrno(fs []*failure.Failure) bool {
	for _, f := range fs {
		if f.Errno != 0 || f.Try.Errno != 0 {
			return true
		}
	}
	return false
}

// others leaves out limits of parties that are not in the path.
func others(e *failure.Episode, events []*fact.Event) []*fact.Event {
	kin, _ := cause.Ask(e).Kindred(events)
	return kin
}

func toldSays(told []*failure.Failure) string {
	f := told[0]
	n := 0
	for _, x := range told {
		n += x.N
	}
	tech := cause.TechTitle(f.Gateway.Tech)
	switch {
	case f.Gateway.Tech == "haproxy" && strings.HasPrefix(f.Code, "sQ"):
		return fmt.Sprintf("%s waited in %s's queue until its time was up (sQ): every server was at its maxconn", cause.Count(n, "request"), tech)
	case f.Gateway.Tech == "haproxy":
		return fmt.Sprintf("%s had reached its own number of connections for %s (%s)", tech, cause.Count(n, "request"), f.Code)
	case f.Gateway.Tech == "envoy":
		return fmt.Sprintf("%s met a full circuit breaker in Envoy (UO)", cause.Count(n, "request"))
	case f.Detail != "":
		return fmt.Sprintf("%s had no connection left for %s: %s", tech, cause.Count(n, "request"), cause.Cut(f.Detail, 100))
	}
	return fmt.Sprintf("%s had no connection left for %s", tech, cause.Count(n, "request"))
}

func queueing(told []*failure.Failure) string {
	for _, f := range told {
		for _, r := range f.Seen {
			if q := r.Attrs[fact.AttrQueue]; q != "" && q != "0" {
				return q + " requests waited before one that failed"
			}
		}
	}
	return ""
}

func says(_ int, x *fact.Event) string {
	s := cause.TechTitle(x.Party.Tech) + " had reached its number of connections"
	if x.Max.Known {
		s += fmt.Sprintf(" (%d)", x.Max.N)
	}
	return s
}

func fix(e *failure.Episode, p fact.Party, told []*failure.Failure, events []*fact.Event) cause.Fix {
	most := fact.Int{}
	for _, x := range events {
		if x.Max.Known {
			most = x.Max
		}
	}
	knob := fact.MaxConnections
	if p.Tech == "haproxy" || p.Tech == "envoy" || p.Tech == "varnish" {
		knob = fact.UpstreamMax
	}
	limit := e.World.Setting(fact.RoleGateway, p.Tech, knob)
	if limit != nil && limit.Num.Known {
		most = limit.Num
	}
	f := cause.Fix{Summary: fmt.Sprintf("Raise the number of connections that %s allows, if the server can take more; else add servers or make the slow answers faster.", cause.TechTitle(p.Tech))}
	want := int64(16384)
	if most.Known && p.Tech != "nginx" {
		want = most.N * 4
	}
	switch {
	case p.Tech == "nginx":
		f.Patch = fmt.Sprintf("worker_processes auto;\nworker_rlimit_nofile %d;\nevents { worker_connections %d; }   # two connections a proxied request", 4*want, want)
	case limit != nil && limit.Spelling != "":
		f.Patch = cause.SpellNum(limit.Spelling, want)
		if limit.Where != "" {
			f.Steps = append(f.Steps, "in "+limit.Where)
		}
	case p.Tech == "haproxy":
		f.Patch = "backend app\n  default-server maxconn 200   # what one server can work on at once\n  timeout queue 10s            # how long others may wait"
	case p.Tech == "envoy":
		f.Patch = "# Istio: DestinationRule\ntrafficPolicy:\n  connectionPool:\n    tcp: {maxConnections: 4096}\n    http: {http1MaxPendingRequests: 4096, http2MaxRequests: 4096}"
	case p.Tech == "varnish":
		f.Patch = "backend app { .host = \"app\"; .port = \"8080\"; .max_connections = 500; }"
	}
	f.Steps = append(f.Steps, "watch how long answers take at that time: connections in use = requests a second x seconds each")
	if p.Tech == "nginx" {
		f.Steps = append(f.Steps, "websockets and event streams hold two connections each for as long as they live")
	}
	return f
}
