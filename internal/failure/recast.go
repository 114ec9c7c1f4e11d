package failure

import (
	"maps"
	"net/netip"

	"culprit/internal/fact"
)

// proxies is how many addresses a log may have as clients to be taken for that
// of a server behind proxies.
const proxies = 2

// behind finds logs of requests whose format many servers write alike
// (combined), and that a server behind the gateway wrote: their only clients
// are one or two private addresses, which no record of the gateway names.
func behind(fulls, partials, controls []*fact.Request) map[string]bool {
	type book struct {
		asks    bool // it tells of upstreams: a gateway's
		clients map[string]bool
		public  bool
	}
	books := map[string]*book{}
	see := func(r *fact.Request) {
		b := books[r.Origin.Path]
		if b == nil {
			b = &book{clients: map[string]bool{}}
			books[r.Origin.Path] = b
		}
		b.asks = b.asks || r.Partial || len(r.Attempts) > 0 || r.Upstream != ""
		c := hostOf(r.Client)
		if len(b.clients) <= proxies {
			b.clients[c] = true
		}
		a, err := netip.ParseAddr(c)
		b.public = b.public || err != nil || !a.IsPrivate() && !a.IsLoopback()
	}
	for _, rs := range [][]*fact.Request{fulls, partials, controls} {
		for _, r := range rs {
			if r.Party.Role == fact.RoleGateway {
				see(r)
			}
		}
	}
	known := map[string]bool{} // clients of gateways
	gateways := false
	for _, b := range books {
		if b.asks {
			gateways = true
			for c := range b.clients {
				known[c] = true
			}
		}
	}
	out := map[string]bool{}
	for path, b := range books {
		if !gateways || b.asks || b.public || len(b.clients) > proxies {
			continue
		}
		other := false
		for c := range b.clients {
			other = other || known[c]
		}
		if !other {
			out[path] = true
		}
	}
	return out
}

// recast gives the records of such logs to the backend.
func recast(paths map[string]bool, in []*fact.Request) (rest, backend []*fact.Request) {
	if len(paths) == 0 {
		return in, nil
	}
	for _, r := range in {
		if !paths[r.Origin.Path] {
			rest = append(rest, r)
			continue
		}
		c := *r
		c.Party.Role, c.Control = fact.RoleBackend, false
		if c.Status.Known && c.Status.N >= 500 {
			c.Ended = fact.AppAnswered
		}
		backend = append(backend, &c)
	}
	return rest, backend
}

// recastSamples does so with what is counted of them.
func recastSamples(paths map[string]bool, in []*fact.Sample) []*fact.Sample {
	if len(paths) == 0 {
		return in
	}
	out := make([]*fact.Sample, len(in))
	for i, s := range in {
		if paths[s.Origin.Path] && s.Party.Role == fact.RoleGateway {
			c := *s
			c.Party.Role = fact.RoleBackend
			// Its ordinary requests were folded as a gateway's are: that one is
			// not among them says nothing.
			if c.Labels = maps.Clone(s.Labels); c.Labels == nil {
				c.Labels = map[string]string{}
			}
			if s.Name == fact.SampleCoverage {
				c.Labels["kept"] = "part"
			}
			s = &c
		}
		out[i] = s
	}
	return out
}
