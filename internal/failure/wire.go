package failure

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"strings"
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

// wireSlack is how far apart the clocks of a log and of a capture, or of two
// captures of one site, stand at most where nothing tells their skew.
const wireSlack = 150 * time.Millisecond

// byWire joins what captures saw of failed requests to what logs and other
// captures tell of them. Both sides list all of them, and so the nearest in
// time that fits is the one, and each is taken once by a capture.
func (w *World) byWire(fulls []*fact.Request, at []int, names []string, parent []int, find func(int) int) {
	var wires, all []int
	longest := time.Duration(0)
	for i, r := range fulls {
		if r.Time.IsZero() || !failedStatus(r) && len(r.Attempts) < 2 {
			continue
		}
		all = append(all, i)
		longest = max(longest, r.Duration.Or(0))
		if r.Wire {
			wires = append(wires, i)
		}
	}
	type claim struct {
		record  int
		capture string
	}
	taken := map[claim]bool{}
	for _, i := range wires {
		r := fulls[i]
		type match struct {
			k   int
			off time.Duration
		}
		best := map[string]match{} // by log
		from := sort.Search(len(all), func(n int) bool { return !fulls[all[n]].Time.Before(r.Time.Add(-time.Minute)) })
		for _, k := range all[from:] {
			x := fulls[k]
			if x.Time.After(r.Time.Add(longest + time.Minute)) {
				break
			}
			log := x.Origin.Path + "/" + x.Party.Tech
			if x.Wire && x.Origin.Path == r.Origin.Path || taken[claim{k, r.Origin.Path + viewOf(r)}] || find(i) == find(k) {
				continue
			}
			ahead := w.skew(names[at[i]], names[at[k]])
			if off, ok := fits(r, x, ahead); ok {
				if m, have := best[log]; !have || off < m.off {
					best[log] = match{k, off}
				}
			}
		}
		for _, log := range slices.Sorted(maps.Keys(best)) {
			k := best[log].k
			taken[claim{k, r.Origin.Path + viewOf(r)}] = true
			parent[find(i)] = find(k)
		}
	}
}

// fits reports whether x tells of the request that the capture saw as r, and
// how well: the less, the better. ahead is how far r's clock is ahead.
func fits(r, x *fact.Request, ahead time.Duration) (off time.Duration, ok bool) {
	if r.Method != "" && x.Method != "" && r.Method != x.Method || differs(r, x) {
		return 0, false
	}
	path := r.Path != "" && x.Path != "" && pathOf(r.Path) == pathOf(x.Path)
	slack := wireSlack + x.Res.Or(0)
	end := x.Time.Add(ahead).Sub(r.Time)
	if r.Client != "" || !troubled(r) {
		// The same leg: it ends for both at once.
		if !path || end.Abs() > slack || !sameHost(r.Client, x.Client) || r.Status.Known && x.Status.Known && r.Status != x.Status {
			return 0, false
		}
		if x.Wire && x.Client != "" && r.Client != "" && x.Client != r.Client {
			return 0, false
		}
		return end.Abs(), true
	}
	// The leg behind: it lies within the other.
	start := x.Time.Add(ahead - x.Duration.Or(0))
	begun := r.Time.Add(-r.Duration.Or(0))
	if begun.Before(start.Add(-slack)) || r.Time.After(x.Time.Add(ahead+slack)) || !samePlace(x, r) {
		return 0, false
	}
	if !path {
		end += time.Hour // only if nothing else fits
	}
	return end.Abs() + begun.Sub(start).Abs(), true
}

// differs: both carry ids and share none.
func differs(a, b *fact.Request) bool {
	return len(a.IDs) > 0 && len(b.IDs) > 0 && !slices.ContainsFunc(a.IDs, func(id string) bool { return slices.Contains(b.IDs, id) })
}

// samePlace: x says that it asked the address on whose leg r was; or, where it
// names none, x is of the machine that sent r.
func samePlace(x, r *fact.Request) bool {
	to := ""
	if len(r.Attempts) > 0 {
		to = r.Attempts[0].Address
	}
	if len(x.Attempts) > 0 {
		return slices.ContainsFunc(x.Attempts, func(a fact.Attempt) bool { return a.Address == to || !strings.Contains(a.Address, ":") })
	}
	if x.Wire {
		return x.Client != "" && hostOf(x.Party.Address) == hostOf(r.Party.Address)
	}
	return r.Path != "" && pathOf(r.Path) == pathOf(x.Path)
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
