package failure

import (
	"cmp"
	"slices"
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
	return strings.Join([]string{p.Tech, p.Name, p.Host}, "/")
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
	vantages := map[string]bool{}
	for i, r := range fulls {
		vantages[vantage(r)] = true
		for _, id := range r.IDs {
			byID[id] = append(byID[id], i)
		}
	}
	if len(vantages) > 1 {
		for i, r := range fulls {
			for _, id := range r.IDs {
				for _, k := range byID[id] {
					if k != i && vantage(fulls[k]) != vantage(r) {
						parent[find(i)] = find(k)
					}
				}
			}
		}
		w.skews(fulls, byID)
		w.byTime(fulls, parent, find)
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

// skews estimates the clocks' differences from requests with one id in two
// vantage points.
func (w *World) skews(fulls []*fact.Request, byID map[string][]int) {
	diffs := map[[2]string][]time.Duration{}
	for _, is := range byID {
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

// byTime joins records without a common id: the nearest in time with the same
// method and path, if it is the only one that near.
func (w *World) byTime(fulls []*fact.Request, parent []int, find func(int) int) {
	type key struct{ method, path string }
	index := map[key][]int{}
	for i, r := range fulls {
		if r.Method != "" && !r.Time.IsZero() && failedStatus(r) {
			k := key{r.Method, pathOf(r.Path)}
			index[k] = append(index[k], i)
		}
	}
	for _, is := range index {
		for n, i := range is {
			a := fulls[i]
			var found []int
			for m, k := range is {
				b := fulls[k]
				if m == n || vantage(a) == vantage(b) || find(i) == find(k) || clash(a, b) {
					continue
				}
				gap := a.Time.Sub(b.Time) - w.skew(vantage(a), vantage(b))
				if gap.Abs() <= crossSlack+a.Res.Or(0)+b.Res.Or(0) {
					found = append(found, k)
				}
			}
			if len(found) == 1 {
				parent[find(i)] = find(found[0])
			}
		}
	}
}

// clash: both carry ids and share none, so they are two requests; or one
// address is known on both sides and differs.
func clash(a, b *fact.Request) bool {
	return len(a.IDs) > 0 && len(b.IDs) > 0 && !slices.ContainsFunc(a.IDs, func(id string) bool { return slices.Contains(b.IDs, id) })
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
