package failure

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"culprit/internal/fact"
)

// Joiner collects facts and makes failures of them. The zero value is ready.
type Joiner struct {
	fulls, partials, backend, controls []*fact.Request
	events                             []*fact.Event
	settings                           []*fact.Setting
	samples                            []*fact.Sample
	conns                              []*fact.Conn
}

// Add takes one fact, which the joiner keeps and must not change any more.
func (j *Joiner) Add(f fact.Fact) {
	switch f := f.(type) {
	case *fact.Request:
		switch {
		case f.Control:
			j.controls = append(j.controls, f)
		case f.Partial:
			j.partials = append(j.partials, f)
		case f.Party.Role == fact.RoleBackend:
			j.backend = append(j.backend, f)
		default:
			j.fulls = append(j.fulls, f)
		}
	case *fact.Event:
		j.events = append(j.events, f)
	case *fact.Setting:
		j.settings = append(j.settings, f)
	case *fact.Sample:
		j.samples = append(j.samples, f)
	case *fact.Conn:
		j.conns = append(j.conns, f)
	}
}

// Take returns what is ripe at the given instant: all that ended up to then,
// with everything known around it. The zero time takes all. What was taken is
// not returned again; events, settings and samples stay for what comes later.
func (j *Joiner) Take(until time.Time) *World {
	ripe := func(in []*fact.Request) (now, later []*fact.Request) {
		if until.IsZero() {
			return in, nil
		}
		for _, r := range in {
			if r.Time.After(until) {
				later = append(later, r)
			} else {
				now = append(now, r)
			}
		}
		return now, later
	}
	var fulls, partials, backend, controls []*fact.Request
	fulls, j.fulls = ripe(j.fulls)
	partials, j.partials = ripe(j.partials)
	backend, j.backend = ripe(j.backend)
	controls, j.controls = ripe(j.controls)
	for _, in := range [][]*fact.Request{fulls, partials, backend, controls} {
		sortRequests(in)
	}
	moved := mover(align(fulls, partials))
	partials = moved.requests(partials)
	inner := behind(fulls, partials, controls)
	fulls, more := recast(inner, fulls)
	controls, ordinary := recast(inner, controls)
	backend = append(append(backend, more...), ordinary...)
	sortRequests(backend)
	w := newWorld(moved.events(j.events), j.settings, recastSamples(inner, moved.samples(j.samples)), j.conns, controls)
	w.Moved = moved
	w.join(fulls, partials, backend)
	return w
}

// sortRequests orders by time, then by where it is written, so that the order
// of the inputs does not matter.
func sortRequests(in []*fact.Request) {
	slices.SortStableFunc(in, func(a, b *fact.Request) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Origin.Path, b.Origin.Path), cmp.Compare(a.Origin.Line, b.Origin.Line), strings.Compare(a.Path, b.Path))
	})
}

// The tolerances of joining without a request id.
const (
	// partialSlack: an error-log line and the access-log line of one request
	// are stamped by one clock, each in whole seconds.
	partialSlack = 2 * time.Second
	// longestRequest bounds how long before a request's end an error line of it
	// may stand: the time-outs of large uploads.
	longestRequest = time.Hour
	// crossSlack: two machines' clocks after their estimated skew is taken
	// off, and the way between them.
	crossSlack = 1500 * time.Millisecond
	// sameRequest: error lines on one connection with one request line within
	// this time are tries of one request; longer than the usual connect
	// time-outs of three tries, shorter than a person's reload.
	sameRequest = 3 * time.Second
)

// join makes failures of requests.
func (w *World) join(fulls, partials, backend []*fact.Request) {
	w.captured(fulls)
	left := attach(fulls, partials)
	groups := w.clusters(fulls, left.attached)
	for _, g := range groups {
		if f := w.build(g, left.attached); f != nil {
			f.Recovered = f.Recovered || w.idle(g)
			w.take(f)
		}
	}
	for _, p := range left.loose {
		if f := w.buildLoose(p, left.matched, fulls); f != nil {
			w.take(f)
		}
	}
	slices.SortStableFunc(w.Failures, compareFailures)
	w.pages()
	w.ejected()
	slices.SortStableFunc(w.Recovered, compareFailures)
	w.backendRequests(backend)
	w.connections()
}

// pages gives an error page that somebody saw, without a time and without a
// word on how it came about, to the first failure that a log tells more of: it
// is the same trouble, not another.
func (w *World) pages() {
	bare := func(f *Failure) bool {
		return f.Mechanism == "" && f.Time.IsZero() && f.Try.Address == "" && f.Method == ""
	}
	kept := w.Failures[:0:0]
	for _, f := range w.Failures {
		i := -1
		if bare(f) {
			i = slices.IndexFunc(w.Failures, func(x *Failure) bool {
				return !bare(x) && x.Mechanism != fact.ClientGone && (!x.Status.Known || !f.Status.Known || x.Status == f.Status)
			})
		}
		if i < 0 {
			kept = append(kept, f)
			continue
		}
		w.Failures[i].Seen = append(w.Failures[i].Seen, f.Seen...)
	}
	w.Failures = kept
}

func compareFailures(a, b *Failure) int {
	oa, ob := a.Seen[0].Origin, b.Seen[0].Origin
	return cmp.Or(a.Time.Compare(b.Time), strings.Compare(oa.Path, ob.Path), cmp.Compare(oa.Line, ob.Line), strings.Compare(a.Path, b.Path))
}

func (w *World) take(f *Failure) {
	if f.Recovered {
		w.Recovered = append(w.Recovered, f)
	} else {
		w.Failures = append(w.Failures, f)
	}
}

// loose is what attach could not tie to a full record.
type loose struct {
	attached map[*fact.Request][]*fact.Request
	loose    [][]*fact.Request // error lines of one request each
	matched  map[string]int    // per technology: how many found their record
}

// attach ties error-log lines to the access-log lines of the same request: by
// client and request line; where the error log names no request, by client
// alone, or by time alone, and then only to requests that failed.
func attach(fulls, partials []*fact.Request) loose {
	type key struct{ tech, client, method, path string }
	index := map[key][]*fact.Request{}
	put := func(k key, r *fact.Request) { index[k] = append(index[k], r) }
	if len(partials) == 0 {
		fulls = nil // nobody asks for them
	}
	for _, r := range fulls {
		put(key{r.Party.Tech, "", r.Method, r.Path}, r)
		if failedStatus(r) {
			put(key{tech: r.Party.Tech}, r)
			if c := hostOf(r.Client); c != "" {
				put(key{tech: r.Party.Tech, client: c}, r)
			}
		}
	}
	out := loose{attached: map[*fact.Request][]*fact.Request{}, matched: map[string]int{}}
	var rest []*fact.Request
	for _, p := range partials {
		if p.Party.Role == fact.RoleBackend {
			continue
		}
		k := key{p.Party.Tech, "", p.Method, p.Path}
		if p.Method == "" {
			k = key{tech: p.Party.Tech, client: hostOf(p.Client)}
		}
		best := out.nearest(p, index[k])
		if best == nil {
			rest = append(rest, p)
			continue
		}
		out.attached[best] = append(out.attached[best], p)
		out.matched[p.Party.Tech]++
	}
	for _, p := range partials {
		if p.N() > 1 {
			out.spread(p, index[key{tech: p.Party.Tech}])
		}
	}
	out.loose = gather(rest)
	return out
}

// counted is within what time of it the requests lie for which a line that was
// counted for others stands: sources count by the minute.
const counted = time.Minute

// spread gives a line that stands for many to the failed records around it that
// have none of their own and do not say themselves how they ended.
func (l *loose) spread(p *fact.Request, candidates []*fact.Request) {
	left := p.N() - 1
	from := sort.Search(len(candidates), func(i int) bool { return !candidates[i].Time.Before(p.Time.Add(-counted)) })
	for _, r := range candidates[from:] {
		if left <= 0 || r.Time.After(p.Time.Add(counted)) {
			return
		}
		if r.Ended != "" || r.Writer == fact.WriterBackend || len(l.attached[r]) > 0 || p.Method != "" && p.Method != r.Method {
			continue
		}
		l.attached[r] = append(l.attached[r], p)
		left -= r.N()
	}
}

// nearest finds the record among candidates, which are in the order of time,
// that an error line belongs to.
func (l *loose) nearest(p *fact.Request, candidates []*fact.Request) *fact.Request {
	if p.Time.IsZero() {
		return nil
	}
	var best *fact.Request
	bestGap := time.Duration(0)
	from := sort.Search(len(candidates), func(i int) bool { return !candidates[i].Time.Before(p.Time.Add(-partialSlack)) })
	for _, r := range candidates[from:] {
		if r.Time.After(p.Time.Add(longestRequest)) {
			break
		}
		if !sameHost(p.Client, r.Client) || !compatible(p.Party.Host, r.Party.Host) {
			continue
		}
		if start := r.Time.Add(-r.Duration.Or(0)); p.Time.Before(start.Add(-partialSlack)) || p.Time.After(r.Time.Add(partialSlack)) {
			continue
		}
		gap := r.Time.Sub(p.Time).Abs()
		// A record that already has as many lines as failed tries is taken.
		if n := len(l.attached[r]); n > 0 && n >= max(1, failedTries(r)) {
			gap += time.Minute
		}
		if best == nil || gap < bestGap {
			best, bestGap = r, gap
		}
	}
	return best
}

func failedTries(r *fact.Request) int {
	n := 0
	for _, a := range r.Attempts {
		if a.Ended != "" || a.Status.Known && a.Status.N >= 500 {
			n++
		}
	}
	return n
}

// gather puts error lines of one request together: same connection and request
// line, close in time.
func gather(partials []*fact.Request) [][]*fact.Request {
	type key struct{ tech, conn, method, path, host string }
	open := map[key]int{}
	var out [][]*fact.Request
	for _, p := range partials {
		k := key{p.Party.Tech, p.ConnID, p.Method, p.Path, p.Party.Host}
		if i, ok := open[k]; ok && p.ConnID != "" {
			last := out[i][len(out[i])-1]
			if p.Time.Sub(last.Time) <= sameRequest+last.Duration.Or(0) {
				out[i] = append(out[i], p)
				continue
			}
		}
		open[k] = len(out)
		out = append(out, []*fact.Request{p})
	}
	return out
}

// sameHost compares two addresses without their ports; an unknown one fits.
func sameHost(a, b string) bool {
	return a == "" || b == "" || hostOf(a) == hostOf(b)
}

func compatible(a, b string) bool { return a == "" || b == "" || a == b }

// hostOf takes the port off an address: "10.0.0.1:80", "[::1]:80", "::1".
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
