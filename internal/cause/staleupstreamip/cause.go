// Package staleupstreamip judges proxies that go on asking an address at which
// the server no longer is.
package staleupstreamip

import (
	"fmt"
	"net/netip"
	"strings"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "stale-upstream-ip",
	Title: "The proxy still asks an old address of the server",
	What:  "The server was created anew and got another address. nginx looks names up once, when it starts: it asks the old address until it is reloaded.",
	Shows: []string{
		"connect() failed (111) or (113) to an address that the container or pod no longer has",
		"it begins with a redeploy of the server and ends with a reload of the proxy",
		"a host name written directly in proxy_pass or in an upstream block, without `resolve`",
	},
	Fixes: []string{
		"let nginx look the name up again: a resolver, and the name in a variable; from 1.27.3 on `server NAME resolve;`",
		"until then: nginx -s reload after each redeploy",
	},
	Links:      []string{"https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver"},
	Mechanisms: []fact.Mechanism{fact.Refused, fact.Unreachable, fact.ConnectTimedOut, fact.AppAnswered},
	Prior:      -8,
	PriorWhy:   "most refused connections go to the right address",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	current := currentAddresses(e.World)
	var gone []*failure.Failure
	old := ""
	for _, f := range e.Failures {
		host := hostOf(f.Try.Address)
		if a, err := netip.ParseAddr(host); err != nil || a.IsLoopback() {
			continue
		}
		if len(current) > 0 && current[host] == nil && sameNet(host, current) {
			gone = append(gone, f)
			old = host
		}
	}
	if len(gone) > 0 && e.Mechanism != fact.AppAnswered {
		var cited []fact.Fact
		for _, k := range sorted(current) {
			cited = append(cited, current[k])
		}
		if len(gone) < len(e.Failures) {
			o.Claims = gone
		}
		o.Signals = append(o.Signals, cause.For(16, "an address that nobody has any more is answered by nobody", fmt.Sprintf("%s is none of the addresses that the servers have now (%s)", old, strings.Join(sorted(current), ", ")), append(cause.Cite(gone), cited...)...))
	}
	for _, s := range e.World.AllSettings(fact.RoleGateway, fact.UpstreamResolve) {
		if s.Text == "start" && s.Basis == fact.Configured && e.Mechanism != fact.AppAnswered {
			o.Signals = append(o.Signals, cause.For(4, "a name that is looked up once goes stale with the next redeploy", fmt.Sprintf("%s looks the name %s up only when it starts", cause.TechTitle(s.Party.Tech), s.Object), s).In("resolve"))
		}
	}
	if s, ok := endsWithReload(e); ok {
		o.Signals = append(o.Signals, s)
	}
	if s, ok := moved(e); ok {
		o.Signals = append(o.Signals, s)
	}
	strong := false
	for _, s := range o.Signals {
		strong = strong || s.Weight >= 8
	}
	if !strong {
		return cause.Opinion{}
	}
	o.Blame = e.Gateway
	o.Fix = cause.Fix{
		Summary: "Let the proxy look the server's name up while it runs; reload it now.",
		Steps:   []string{"now: nginx -s reload"},
		Patch:   "# Docker: 127.0.0.11; Kubernetes: the address of the cluster's DNS\nresolver 127.0.0.11 valid=10s;\nset $backend NAME;\nproxy_pass http://$backend:PORT;",
	}
	o.Next = []cause.Next{{Evidence: "the address that the server has now", Command: "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' NAME; kubectl get pods -o wide", WouldTell: "whether the proxy asks an address that is no longer in use"}}
	return o
}

// currentAddresses are the addresses that orchestrators say servers have.
func currentAddresses(w *failure.World) map[string]fact.Fact {
	out := map[string]fact.Fact{}
	for _, e := range w.Of(fact.PodPlaced, fact.EndpointAdded, fact.ProcessStarted) {
		if e.Party.Address != "" && e.Party.Role != fact.RoleGateway {
			out[hostOf(e.Party.Address)] = e
		}
	}
	return out
}

// sameNet: some current address is of the same private network; an address of
// elsewhere is another matter.
func sameNet(host string, current map[string]fact.Fact) bool {
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for c := range current {
		b, err := netip.ParseAddr(c)
		if err != nil {
			continue
		}
		if p, err := b.Prefix(min(16, b.BitLen())); err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}

// endsWithReload: no failure came after the proxy read its configuration anew,
// and requests did.
func endsWithReload(e *failure.Episode) (cause.Signal, bool) {
	_, last := e.Span()
	if last.IsZero() || len(e.Failures) < 3 {
		return cause.Signal{}, false
	}
	for _, r := range e.World.Of(fact.ConfigReloaded, fact.ProcessStarted) {
		if r.Party.Role == fact.RoleGateway && r.Party.Tech == e.Gateway.Tech && r.Time.After(last) && r.Time.Before(e.World.Last) {
			return cause.For(9, "a reload mends nothing but names and configuration", fmt.Sprintf("the failures end when %s reads its configuration anew", cause.TechTitle(e.Gateway.Tech)), r).In("resolve"), true
		}
	}
	return cause.Signal{}, false
}

// movedFrom is how many good requests before and after show where the server
// was: fewer may all have gone to one of several members by chance.
const movedFrom = 5

// moved: until the failures good requests went to one address, which is the
// one that fails; after them all go to another.
func moved(e *failure.Episode) (cause.Signal, bool) {
	old := e.Failures[0].Try.Address
	first, last := e.Span()
	if old == "" || first.IsZero() {
		return cause.Signal{}, false
	}
	for _, f := range e.Failures {
		if f.Try.Address != old {
			return cause.Signal{}, false
		}
	}
	before, after, now := 0, 0, ""
	var shown fact.Fact
	for _, c := range e.World.Controls {
		if c.Party.Tech != e.Gateway.Tech || len(c.Attempts) == 0 || c.Upstream != e.Upstream {
			continue
		}
		to := c.Attempts[len(c.Attempts)-1].Address
		switch {
		case !c.Time.After(first) && to == old:
			before++
		case c.Time.After(last) && to != old && (now == "" || to == now):
			after, now, shown = after+1, to, c
		case c.Time.After(first) && !c.Time.After(last) && to == old, !c.Time.After(first), c.Time.After(last):
			return cause.Signal{}, false
		}
	}
	if before < movedFrom || after < movedFrom || hostOf(now) == hostOf(old) {
		return cause.Signal{}, false
	}
	return cause.For(16, "one of several members is asked before and after; a server that moved is asked at one address first and at another then", fmt.Sprintf("until then requests went to %s, which refuses from then on; after the failures they go to %s", old, now), append(cause.Cite(e.Failures[:1]), shown)...), true
}

func hostOf(a string) string {
	if strings.HasPrefix(a, "[") {
		if i := strings.IndexByte(a, ']'); i > 0 {
			return a[1:i]
		}
	}
	if i := strings.LastIndexByte(a, ':'); i > 0 && strings.IndexByte(a, ':') == i {
		return a[:i]
	}
	return a
}

func sorted(m map[string]fact.Fact) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	for i := range keys {
		for j := i; j > 0 && keys[j] < keys[j-1]; j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
	return keys
}
