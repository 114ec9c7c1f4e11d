package failure

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"culprit/internal/fact"
)

// Skew is how far one vantage point's clock is ahead of another's, estimated
// from requests that both saw.
type Skew struct {
	A, B    string // vantage points, as the report names them
	Ahead   time.Duration
	Matched int
}

// vantage names who recorded a request.
func vantage(r *fact.Request) string {
	p := r.Party
	if r.Wire {
		return "capture/" + r.Origin.Path + "/" + viewOf(r)
	}
	return strings.Join([]string{p.Tech, p.Name, p.Host}, "/")
}

// viewOf names whose view of its requests a capture shows: a gateway's, or
// that of those who ask.
func viewOf(r *fact.Request) string {
	if r.Client == "" {
		return ""
	}
	return r.Party.Address
}

// clusters groups the records of one request by different parties: by request
// id, or by method, path and time.
func (w *World) clusters(fulls []*fact.Request, attached map[*fact.Request][]*fact.Request) [][]*fact.Request {
	parent := make([]int, len(fulls))
	for i := range parent {
		parent[i] = i
	}
	var find func(int) int
	find = func(i int) int {
		if parent[i] != i {
			parent[i] = find(parent[i])
		}
		return parent[i]
	}
	byID := map[string][]int{}
	at, vantages := vantages(fulls)
	for i, r := range fulls {
		for _, id := range r.IDs {
			byID[id] = append(byID[id], i)
		}
	}
	if len(vantages) > 1 {
		for _, is := range byID {
			// Of two vantage points and more, each record has one of another's
			// to stand with, and so all stand together.
			if slices.ContainsFunc(is, func(i int) bool { return at[i] != at[is[0]] }) {
				for _, i := range is {
					parent[find(i)] = find(is[0])
				}
			}
		}
		w.skews(fulls, byID)
	}
	if logs, names := logs(fulls); len(names) > 1 {
		w.byWire(fulls, logs, names, parent, find)
		w.byTime(fulls, logs, names, parent, find)
	}
	groups := map[int][]*fact.Request{}
	var roots []int
	for i, r := range fulls {
		root := find(i)
		if groups[root] == nil {
			roots = append(roots, root)
		}
		groups[root] = append(groups[root], r)
	}
	out := make([][]*fact.Request, 0, len(roots))
	for _, root := range roots {
		g := groups[root]
		slices.SortStableFunc(g, func(a, b *fact.Request) int {
			return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(b.Duration.Or(0), a.Duration.Or(0)), strings.Compare(vantage(a), vantage(b)))
		})
		out = append(out, g)
	}
	return out
}

// depth orders parties from the client inwards, where nothing better is known:
// content networks, then clouds' balancers, then everything in the cluster.
func depth(r *fact.Request) int {
	if r.Wire {
		return wireDepth(r)
	}
	if r.Party.Role == fact.RoleClient {
		return 0
	}
	switch r.Party.Tech {
	case "cloudflare", "cloudfront":
		return 1
	case "gclb", "alb", "azure", "heroku":
		return 2
	case "envoy", "linkerd":
		return 4
	}
	return 3
}

// maxShared is how many records may carry an id that tells of clocks: more
// than a request has tries and parties.
const maxShared = 100

// skews estimates the clocks' differences from requests with one id in two
// vantage points.
func (w *World) skews(fulls []*fact.Request, byID map[string][]int) {
	diffs := map[[2]string][]time.Duration{}
	for _, is := range byID {
		if len(is) > maxShared {
			continue // it identifies no request
		}
		for _, i := range is {
			for _, k := range is {
				a, b := fulls[i], fulls[k]
				va, vb := vantage(a), vantage(b)
				if va < vb && !a.Time.IsZero() && !b.Time.IsZero() {
					diffs[[2]string{va, vb}] = append(diffs[[2]string{va, vb}], a.Time.Sub(b.Time))
				}
			}
		}
	}
	for k, d := range diffs {
		slices.Sort(d)
		m := d[len(d)/2]
		if len(d) >= 2 && m.Abs() >= time.Second {
			w.Skews = append(w.Skews, Skew{A: k[0], B: k[1], Ahead: m, Matched: len(d)})
		}
	}
	slices.SortFunc(w.Skews, func(a, b Skew) int { return cmp.Or(strings.Compare(a.A, b.A), strings.Compare(a.B, b.B)) })
}

// skew is how far a's clock is ahead of b's.
func (w *World) skew(a, b string) time.Duration {
	for _, s := range w.Skews {
		switch {
		case s.A == a && s.B == b:
			return s.Ahead
		case s.A == b && s.B == a:
			return -s.Ahead
		}
	}
	return 0
}

// vantages numbers who recorded each request, and names them.
func vantages(fulls []*fact.Request) (at []int, names []string) {
	type party struct{ tech, name, host, capture, view string }
	number := map[party]int{}
	at = make([]int, len(fulls))
	for i, r := range fulls {
		p := party{tech: r.Party.Tech, name: r.Party.Name, host: r.Party.Host}
		if r.Wire {
			p = party{capture: r.Origin.Path, view: viewOf(r)}
		}
		n, ok := number[p]
		if !ok {
			n = len(names)
			number[p] = n
			names = append(names, vantage(r))
		}
		at[i] = n
	}
	return at, names
}

// logs numbers the logs that requests stand in: a party may write two of the
// same requests, or a log may be given twice. Each is named by its party.
func logs(fulls []*fact.Request) (at []int, names []string) {
	type log struct{ tech, name, host, path, view string }
	number := map[log]int{}
	at = make([]int, len(fulls))
	for i, r := range fulls {
		p := log{r.Party.Tech, r.Party.Name, r.Party.Host, r.Origin.Path, ""}
		if r.Wire {
			p = log{path: r.Origin.Path, view: viewOf(r)}
		}
		n, ok := number[p]
		if !ok {
			n = len(names)
			number[p] = n
			names = append(names, vantage(r))
		}
		at[i] = n
	}
	return at, names
}

// alike are records of one log with the same method and path, in the
// order of time.
type alike struct {
	vantage int
	is      []int
	res     time.Duration // the coarsest of theirs
}

// byTime joins records without a common id: the nearest in time with the same
// method and path, if it is the only one that near.
func (w *World) byTime(fulls []*fact.Request, at []int, vantages []string, parent []int, find func(int) int) {
	type key struct{ method, path string }
	index := map[key][]alike{}
	keys := make([]key, len(fulls))
	for i, r := range fulls {
		if r.Wire || r.Method == "" || r.Time.IsZero() || !failedStatus(r) {
			continue
		}
		keys[i] = key{r.Method, pathOf(r.Path)}
		rows := index[keys[i]]
		n := slices.IndexFunc(rows, func(x alike) bool { return x.vantage == at[i] })
		if n < 0 {
			n, rows = len(rows), append(rows, alike{vantage: at[i]})
		}
		rows[n].is, rows[n].res = append(rows[n].is, i), max(rows[n].res, r.Res.Or(0))
		index[keys[i]] = rows
	}
	for i := range fulls {
		found, several := -1, false
		for _, x := range index[keys[i]] {
			if x.vantage != at[i] && !several {
				w.near(fulls, i, x, w.skew(vantages[at[i]], vantages[x.vantage]), func(k int) bool {
					if find(i) != find(k) {
						several, found = found >= 0, k
					}
					return !several
				})
			}
		}
		if found >= 0 && !several {
			parent[find(i)] = find(found)
		}
	}
}

// near yields those of x that may tell of the same request as record i, by
// time and ids, until yield is false.
func (w *World) near(fulls []*fact.Request, i int, x alike, ahead time.Duration, yield func(int) bool) {
	a := fulls[i]
	at, reach := a.Time.Add(-ahead), crossSlack+a.Res.Or(0)
	first := sort.Search(len(x.is), func(j int) bool { return !fulls[x.is[j]].Time.Before(at.Add(-reach - x.res)) })
	for _, k := range x.is[first:] {
		b := fulls[k]
		gap := b.Time.Sub(at)
		if gap > reach+x.res {
			return
		}
		if gap.Abs() <= reach+b.Res.Or(0) && !clash(a, b) && !yield(k) {
			return
		}
	}
}

// clash: both carry ids and share none, so they are two requests; or one party
// has them in two logs, and client or status differ or are not told.
func clash(a, b *fact.Request) bool {
	if vantage(a) == vantage(b) && (a.Client == "" || b.Client == "" || !sameHost(a.Client, b.Client) || a.Status != b.Status) {
		return true
	}
	return differs(a, b)
}

// pathOf takes scheme and authority off an absolute target, and the query off
// a path, as balancers differ in what they log.
func pathOf(p string) string {
	if i := strings.Index(p, "://"); i > 0 && i < 8 {
		p = p[i+3:]
		if k := strings.IndexByte(p, '/'); k >= 0 {
			p = p[k:]
		} else {
			p = "/"
		}
	}
	if i := strings.IndexByte(p, '?'); i >= 0 {
		p = p[:i]
	}
	return p
}

func failedStatus(r *fact.Request) bool {
	return r.Status.Known && (r.Status.N >= 500 || r.Status.N <= 0 || r.Status.N == 499 || r.Status.N == 460) || r.Ended != ""
}
