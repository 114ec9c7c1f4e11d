package failure

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"culprit/internal/fact"
)

// This file joins what captures saw to what parties wrote down.

// troubled: the record itself tells of trouble on its leg, not of an answer.
func troubled(r *fact.Request) bool { return r.Ended != "" && r.Ended != fact.AppAnswered }

// wireDepth orders a captured record among those of parties: the leg on which
// the trouble was lies inwards, one that carried an answer outwards.
func wireDepth(r *fact.Request) int {
	switch {
	case r.Party.Role == fact.RoleGateway && r.Client != "":
		return 3 // a gateway's own view, both legs
	case troubled(r):
		return 5
	}
	return 0
}

// placeSlack is how far apart the clocks of a log and of a capture of one
// machine stand at most: the log stamps when it writes.
const placeSlack = 100 * time.Millisecond

// byPlace joins captured troubles that nothing tells the request of (TLS,
// rewritten paths, connections that did not come about) to the one failed
// request that was in flight then, and that asked the same address.
func byPlace(fulls []*fact.Request, parent []int, find func(int) int) {
	var hosts []int // failed requests of parties, in the order of time
	longest := time.Duration(0)
	alone := map[int]int{}
	for i, r := range fulls {
		alone[find(i)]++
		if (!r.Wire || r.Client != "") && failedStatus(r) && !r.Time.IsZero() {
			hosts = append(hosts, i)
			longest = max(longest, r.Duration.Or(0)+r.Res.Or(0))
		}
	}
	taken := map[int]bool{}
	for i, r := range fulls {
		if !r.Wire || r.Client != "" || !troubled(r) || r.Time.IsZero() || alone[find(i)] > 1 {
			continue
		}
		from := sort.Search(len(hosts), func(k int) bool { return !fulls[hosts[k]].Time.Before(r.Time.Add(-placeSlack - time.Second)) })
		found, several := -1, false
		for _, k := range hosts[from:] {
			x := fulls[k]
			if x.Time.After(r.Time.Add(longest + placeSlack + time.Second)) {
				break
			}
			if !taken[k] && inFlight(x, r) && samePlace(x, r) {
				several = several || found >= 0
				if found < 0 {
					found = k
				}
			}
		}
		if found < 0 || several && r.Method == "" && len(fulls[found].Attempts) == 0 {
			continue
		}
		taken[found] = true
		parent[find(i)] = find(found)
	}
}

// inFlight: trouble r befell while x was in flight.
func inFlight(x, r *fact.Request) bool {
	slack := placeSlack + x.Res.Or(0)
	start := x.Time.Add(-x.Duration.Or(0))
	begun := r.Time.Add(-r.Duration.Or(0))
	return !begun.Before(start.Add(-slack)) && !r.Time.After(x.Time.Add(slack))
}

// samePlace: x says that it asked the address on whose leg r was, or, where it
// names none, x is of the machine that sent r.
func samePlace(x, r *fact.Request) bool {
	if x.Method != "" && r.Method != "" && x.Method != r.Method {
		return false
	}
	to := ""
	if len(r.Attempts) > 0 {
		to = r.Attempts[0].Address
	}
	if len(x.Attempts) > 0 {
		return slices.ContainsFunc(x.Attempts, func(a fact.Attempt) bool { return a.Address == to })
	}
	return x.Wire && hostOf(x.Party.Address) == hostOf(r.Party.Address)
}

// gatewayOf is the party that asked, as the records of one request tell: the
// one whose log there is, rather than an address that a capture saw.
func gatewayOf(g []*fact.Request, reporter *fact.Request) fact.Party {
	if !reporter.Wire {
		return reporter.Party
	}
	for _, r := range slices.Backward(g) {
		if !r.Wire && r.Party.Role == fact.RoleGateway {
			return r.Party
		}
	}
	p := reporter.Party
	for _, r := range slices.Backward(g) {
		if r.Wire && r.Party.Role == fact.RoleGateway && r.Client != "" {
			p = r.Party
			break
		}
	}
	if p.Role == fact.RoleClient {
		p.Role = fact.RoleGateway
	}
	p.Address = hostOf(p.Address)
	return p
}

// connKey names a connection within all inputs.
type connKey struct{ path, id string }

// connections ties captured connections to the failures on them.
func (w *World) connections() {
	if len(w.Conns) == 0 {
		return
	}
	byID := map[connKey]*fact.Conn{}
	for _, c := range w.Conns {
		byID[connKey{c.Origin.Path, c.ID}] = c
		w.span(c.Time)
	}
	for _, f := range slices.Concat(w.Failures, w.Recovered) {
		add := func(path, id string) {
			if c := byID[connKey{path, id}]; c != nil && id != "" && !slices.Contains(f.Conns, c) {
				f.Conns = append(f.Conns, c)
			}
		}
		for _, r := range f.Seen {
			if !r.Wire {
				continue
			}
			add(r.Origin.Path, r.ConnID)
			for _, a := range r.Attempts {
				add(r.Origin.Path, a.ConnID)
			}
		}
		slices.SortStableFunc(f.Conns, func(a, b *fact.Conn) int {
			return cmp.Compare(b2i(isLast(f, a)), b2i(isLast(f, b)))
		})
	}
}

// isLast: c is the connection of the try that failed.
func isLast(f *Failure, c *fact.Conn) bool { return f.Try.ConnID == c.ID && f.Try.Address == c.Server }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// spell gives measured settings the spelling of the technology whose other
// settings are known, and measured servers the technology that is the only one
// behind the gateway.
func (w *World) spell() {
	techs := map[fact.Role]map[string]bool{}
	for _, s := range w.Settings {
		if s.Basis == fact.Measured || s.Party.Tech == "" {
			continue
		}
		if techs[s.Party.Role] == nil {
			techs[s.Party.Role] = map[string]bool{}
		}
		techs[s.Party.Role][s.Party.Tech] = true
	}
	for i, s := range w.Settings {
		if s.Basis != fact.Measured || s.Spelling != "" {
			continue
		}
		c := s.Clone().(*fact.Setting)
		if c.Party.Tech == "" && len(techs[c.Party.Role]) == 1 {
			for t := range techs[c.Party.Role] {
				c.Party.Tech = t
			}
		}
		for _, o := range w.Settings {
			if o.Knob == c.Knob && o.Spelling != "" && o.Party.Role == c.Party.Role && o.Party.Tech == c.Party.Tech && c.Party.Tech != "" {
				c.Spelling, c.Where = o.Spelling, o.Where
				break
			}
		}
		w.Settings[i] = c
	}
}
