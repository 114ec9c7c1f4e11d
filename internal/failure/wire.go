package failure

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sort"
	"time"

	"culprit/internal/fact"
)

// This file joins what captures saw to what parties wrote down.

// troubled: the record itself tells of trouble on its leg, not of an answer.
func troubled(r *fact.Request) bool { return r.Ended != "" && r.Ended != fact.AppAnswered }

// innerLeg: a captured record is of trouble on the leg behind a gateway.
func innerLeg(r *fact.Request) bool { return r.Client == "" && troubled(r) }

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
	w.wireSkews(fulls, wires)
	// A group has at most one record of each view of a capture.
	views := map[int]map[string]bool{}
	view := func(i int) string { return fulls[i].Origin.Path + " " + viewOf(fulls[i]) + legOf(fulls[i]) }
	for _, i := range all {
		if root := find(i); views[root] == nil {
			views[root] = map[string]bool{}
		}
		if fulls[i].Wire {
			views[find(i)][view(i)] = true
		}
	}
	join := func(i, k int) {
		from, to := find(i), find(k)
		parent[from] = to
		for v := range views[from] {
			views[to][v] = true
		}
	}
	for _, behind := range [...]bool{false, true} {
		for _, i := range wires {
			r := fulls[i]
			if innerLeg(r) != behind {
				continue
			}
			best := map[string]match{} // by log
			from := sort.Search(len(all), func(n int) bool { return !fulls[all[n]].Time.Before(r.Time.Add(-time.Minute)) })
			for _, k := range all[from:] {
				x := fulls[k]
				if x.Time.After(r.Time.Add(longest + time.Minute)) {
					break
				}
				if x.Wire && (x.Origin.Path == r.Origin.Path || innerLeg(x)) || find(i) == find(k) || views[find(k)][view(i)] && x.N() == 1 {
					continue
				}
				log := x.Origin.Path + " " + x.Party.Tech
				if behind {
					log = "" // all its records are one group by now
				}
				off, ok := fits(r, x, w.skew(names[at[i]], names[at[k]]))
				if !ok && x.N() > 1 && r.Time.Sub(x.Time).Abs() < counted && samePlace(x, r) {
					off, ok = 2*time.Hour, true // it is among those that are counted on x
				}
				if m, have := best[log]; ok && (!have || off < m.off) {
					best[log] = match{k, off}
				}
			}
			for _, log := range slices.Sorted(maps.Keys(best)) {
				if k := best[log].k; find(k) != find(i) && (!views[find(k)][view(i)] || fulls[k].N() > 1) {
					join(i, k)
				}
			}
		}
	}
}

// match is a record that fits, and how well: the less, the better.
type match struct {
	k   int
	off time.Duration
}

// legOf tells the leg behind a gateway from the one in front of it.
func legOf(r *fact.Request) string {
	if innerLeg(r) {
		return " behind"
	}
	return ""
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
	if !innerLeg(r) {
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
	begun := r.Time.Add(-r.Duration.Or(0))
	start := begun // where it is not told how long x took
	if x.Duration.Known {
		start = x.Time.Add(ahead - x.Duration.D)
	}
	if begun.Before(start.Add(-slack)) || r.Time.After(x.Time.Add(ahead+slack)) || !x.Duration.Known && end > slack || !samePlace(x, r) {
		return 0, false
	}
	if !path {
		end += time.Hour // only if nothing else fits
	}
	return end.Abs() + begun.Sub(start).Abs(), true
}

// differs: both carry ids and share none.
func differs(a, b *fact.Request) bool {
	return a.Attrs[fact.AttrCut] == "" && b.Attrs[fact.AttrCut] == "" && len(a.IDs) > 0 && len(b.IDs) > 0 && !slices.ContainsFunc(a.IDs, func(id string) bool { return slices.Contains(b.IDs, id) })
}

// samePlace: x says that it asked the address on whose leg r was, or nothing
// against it: it names no address, or one that is still to be looked up.
func samePlace(x, r *fact.Request) bool {
	to := ""
	if len(r.Attempts) > 0 {
		to = r.Attempts[0].Address
	}
	if len(x.Attempts) > 0 {
		return slices.ContainsFunc(x.Attempts, func(a fact.Attempt) bool {
			_, err := netip.ParseAddrPort(a.Address)
			return a.Address == to || err != nil
		})
	}
	if x.Wire {
		return x.Client != "" && hostOf(x.Party.Address) == hostOf(r.Party.Address)
	}
	return x.Party.Role == fact.RoleGateway && (r.Path == "" || pathOf(r.Path) == pathOf(x.Path))
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

// captured notes which inputs are captures of packets.
func (w *World) captured(fulls []*fact.Request) {
	w.captures = map[string]bool{}
	for _, rs := range [...][]*fact.Request{fulls, w.Controls} {
		for _, r := range rs {
			if r.Wire {
				w.captures[r.Origin.Path] = true
			}
		}
	}
}

// idle reports whether what a capture alone shows failed no request of a
// client: a connection that did not come about, or an error that the server
// answered with, while a log of the gateway covers the time and has nothing of
// it. Health checks look like that. Of other troubles HAProxy's log, for one,
// has nothing either.
func (w *World) idle(g []*fact.Request) bool {
	for _, r := range g {
		if !r.Wire || r.Method != "" && r.Ended != fact.AppAnswered || r.Time.IsZero() {
			return false
		}
	}
	for _, c := range w.coverage {
		if c.Party.Role == fact.RoleGateway && !w.captures[c.Origin.Path] && w.hasRequests(c) && covers(c, g[0].Time) {
			return true
		}
	}
	return false
}

// connKey names a connection within all inputs.
type connKey struct{ path, id string }

// connections ties captured connections to the failures on them.
func (w *World) connections() {
	if len(w.Conns) == 0 {
		return
	}
	byID := map[connKey][]*fact.Conn{}
	for _, c := range w.Conns {
		k := connKey{c.Origin.Path, c.ID}
		byID[k] = append(byID[k], c)
		w.span(c.Time)
	}
	for _, f := range slices.Concat(w.Failures, w.Recovered) {
		add := func(at fact.Origin, id string) {
			// Of one that carried several failures, as it stood at this one.
			var best *fact.Conn
			for _, c := range byID[connKey{at.Path, id}] {
				if best == nil || apart(c, at) < apart(best, at) {
					best = c
				}
			}
			if best != nil && id != "" && !slices.Contains(f.Conns, best) {
				f.Conns = append(f.Conns, best)
			}
		}
		for _, r := range f.Seen {
			if !r.Wire {
				continue
			}
			add(r.Origin, r.ConnID)
			for _, a := range r.Attempts {
				add(r.Origin, a.ConnID)
			}
		}
		slices.SortStableFunc(f.Conns, func(a, b *fact.Conn) int {
			return cmp.Compare(b2i(isLast(f, a)), b2i(isLast(f, b)))
		})
		for i, c := range f.Conns {
			if d := w.captureSkew(f.Conns[0].Origin.Path, c.Origin.Path); d != 0 {
				f.Conns[i] = shifted(c, d)
			}
		}
	}
}

// apart is how many packets lie between a place and where a connection was
// seen last.
func apart(c *fact.Conn, at fact.Origin) int {
	return max(c.Origin.Line-at.Line, at.Line-c.Origin.Line)
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
