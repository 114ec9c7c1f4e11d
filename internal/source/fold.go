package source

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"culprit/internal/fact"
)

// The bounds of what is kept of one input.
const (
	// controlsAMinute is how many ordinary requests of each minute are stated
	// for comparison: enough that a share of one in four is seen in one
	// minute, and of one in a hundred in ten.
	controlsAMinute = 16
	// maxBackend is how many ordinary requests of a backend's own log are
	// kept, so that "the backend never saw it" can be told.
	maxBackend = 30_000
	// maxBuckets bounds the samples; over it, the interval is made longer.
	maxBuckets = 20_000
	// maxNames bounds the distinct upstreams counted apart.
	maxNames = 1024
)

// fold keeps of one input's requests what can help to explain a failure, and
// counts the rest.
type fold struct {
	step    int64 // interval of the samples, in seconds
	minutes map[int64]*minute
	size    int // tallies in all minutes
	cur     *minute
	cells   [1 << cellBits]cell // counts not yet in minutes
	names   map[string]int32    // upstreams
	list    []upstream
	near    [1 << nearBits]int32 // their numbers, by a hash of the name

	kept     []*fact.Request // troubled ones
	alike    map[alike]*alikeN
	grain    grain
	answered []*fact.Request     // ordinary ones of a backend
	controls map[int64][]control // by minute, the lowest hashes
	bar      bar                 // of the minute looked at last
	lost     int                 // requests of a backend not kept
	latest   int64

	perMinute int   // controls a minute
	thinAt    int   // minutes of controls over which they are thinned
	spacing   int64 // one minute of so many has controls
}

// upstream is a member that requests were sent to.
type upstream struct {
	name  string
	heard time.Time // when it was last heard of
}

func newFold() *fold {
	return &fold{
		step: 60, minutes: map[int64]*minute{}, names: map[string]int32{"": 0}, list: []upstream{{}},
		alike: map[alike]*alikeN{}, grain: finest, controls: map[int64][]control{},
		perMinute: controlsAMinute, thinAt: maxMinutes, spacing: 1,
	}
}

// Troubled reports whether a request is more than ordinary: it failed, was
// tried again, or the party says how it ended.
func Troubled(r *fact.Request) bool {
	if r.Ended != "" || len(r.Attempts) > 1 {
		return true
	}
	if r.Partial && (!r.Status.Known || r.Status.N >= 500) {
		return true // an error log's line; one about a 404 is ordinary
	}
	if !r.Status.Known {
		return false
	}
	switch s := r.Status.N; {
	case s >= 500, s == 0, s == 408, s == 413, s == 444, s == 460, s == 499, s < 0:
		return true
	}
	return false
}

// add takes one request. own makes a copy of it that may be kept.
func (f *fold) add(r *fact.Request, offset int64, own func(*fact.Request) *fact.Request) {
	sec := int64(0)
	if !r.Time.IsZero() {
		sec = r.Time.Unix()
		f.latest = max(f.latest, sec)
	}
	at := sec - sec%60
	up := int32(0)
	if n := len(r.Attempts); n > 0 {
		up = f.name(r.Attempts[n-1].Address)
	} else {
		up = f.name(r.Upstream)
	}
	if !r.Partial {
		f.count(sec, keyOf(up, methodOf(r.Method), classOf(r.Status)), r.N())
	}
	switch {
	case Troubled(r):
		f.idle(r)
		f.keep(r, own)
	case r.Party.Role != fact.RoleBackend:
		f.control(r, at, offset, own)
	case len(f.answered) < maxBackend:
		f.answered = append(f.answered, own(r))
	default:
		f.lost++
	}
	f.hear(r, up)
}

// shift moves the origins by the lines that stand before this fold's range.
func (f *fold) shift(lines int) {
	for _, r := range f.kept {
		r.Origin.Line += lines
	}
	for _, r := range f.answered {
		r.Origin.Line += lines
	}
	for _, c := range f.controls {
		for _, x := range c {
			x.req.Origin.Line += lines
		}
	}
}

// merge adds the fold of a later range of the same input.
func (f *fold) merge(g *fold) {
	number := make([]int32, len(g.list))
	for i, u := range g.list {
		number[i] = f.name(u.name)
		if h := &f.list[number[i]].heard; u.heard.After(*h) {
			*h = u.heard
		}
	}
	for g.step < f.step {
		g.coarsen()
	}
	for f.step < g.step {
		f.coarsen()
	}
	g.settle()
	f.settle()
	for _, m := range g.minutes {
		f.absorb(m, func(k tallyKey) tallyKey {
			up, method, class := k.parts()
			return keyOf(number[up], method, class)
		})
	}
	for f.size > maxBuckets && f.step < maxStep {
		f.coarsen()
	}
	f.latest = max(f.latest, g.latest)
	as := func(r *fact.Request) *fact.Request { return r }
	for _, r := range g.kept {
		f.keep(r, as)
	}
	room := min(len(g.answered), maxBackend-len(f.answered))
	f.answered = append(f.answered, g.answered[:room]...)
	f.lost += len(g.answered) - room
	f.lost += g.lost
	f.join(g.controls)
}

// idle tells each try of r how long nothing had been heard of its member: a
// lower bound of its connection's idle age, where the log has no such field.
func (f *fold) idle(r *fact.Request) {
	start, ok := r.Start()
	if !ok {
		start = r.Time
	}
	if start.IsZero() {
		return
	}
	for i := range r.Attempts {
		a := &r.Attempts[i]
		if a.Idle.Known || a.Address == "" {
			continue
		}
		if k, ok := f.names[a.Address]; ok {
			if t := f.list[k].heard; !t.IsZero() && !start.Before(t) && f.list[k].name != "other" {
				a.Idle = fact.Lasting(start.Sub(t))
			}
		}
	}
}

func (f *fold) hear(r *fact.Request, last int32) {
	n := len(r.Attempts)
	if n == 0 || r.Partial || r.Time.IsZero() {
		return
	}
	f.list[last].heard = r.Time
	for i := range n - 1 {
		f.list[f.name(r.Attempts[i].Address)].heard = r.Time
	}
}

// end yields what was kept and counted, in the order of time.
func (f *fold) end(path string, party fact.Party, yield func(fact.Fact)) {
	all := slices.Concat(f.kept, f.answered)
	for _, c := range f.controls {
		for _, x := range c {
			all = append(all, x.req)
		}
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := all[i], all[j]
		if a.Origin.Line != b.Origin.Line {
			return a.Origin.Line < b.Origin.Line
		}
		return a.Time.Before(b.Time)
	})
	for _, r := range all {
		yield(r)
	}
	type row struct {
		at int64
		k  tallyKey
		n  int
	}
	var rows []row
	f.settle()
	for _, m := range f.minutes {
		for k, n := range m.tallies {
			rows = append(rows, row{m.at, k, n})
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		ua, ma, ca := a.k.parts()
		ub, mb, cb := b.k.parts()
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(f.list[ua].name, f.list[ub].name), cmp.Compare(ma, mb), cmp.Compare(ca, cb))
	})
	step := time.Duration(f.step) * time.Second
	labels := map[tallyKey]map[string]string{} // shared: nobody changes them
	for _, w := range rows {
		s := &fact.Sample{Name: fact.SampleRequests, Interval: fact.Lasting(step), Value: float64(w.n), Count: w.n}
		s.Party, s.Origin.Path = party, path
		if w.at != 0 {
			s.Time = time.Unix(w.at, 0).Add(step).UTC()
		}
		if s.Labels = labels[w.k]; s.Labels == nil {
			s.Labels = f.labels(w.k)
			labels[w.k] = s.Labels
		}
		yield(s)
	}
}

// labels tell what a tally counts.
func (f *fold) labels(k tallyKey) map[string]string {
	m := map[string]string{}
	up, method, class := k.parts()
	if n := f.list[up].name; n != "" {
		m["upstream"] = n
	}
	if s := methods[method]; s != "" {
		m["method"] = s
	}
	if class < 10 {
		m["class"] = string(rune('0'+class)) + "xx"
	}
	return m
}
