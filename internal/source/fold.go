package source

import (
	"sort"
	"time"

	"culprit/internal/fact"
)

// The bounds of what is kept of one input.
const (
	// controlsAMinute is how many ordinary requests of each minute are stated
	// for comparison: enough that a share of one in four is seen in one
	// minute, and of one in a hundred in ten.
	controlsAMinute = 16
	// alikeAMinute is how many failures that look alike are kept whole in one
	// minute; the others are counted on the last of them.
	alikeAMinute = 50
	// maxKept bounds the requests kept whole.
	maxKept = 40_000
	// maxBackend is how many ordinary requests of a backend's own log are
	// kept, so that "the backend never saw it" can be told.
	maxBackend = 30_000
	// maxBuckets bounds the samples; over it, the interval is made longer.
	maxBuckets = 20_000
	// maxNames bounds the distinct upstreams and methods counted apart.
	maxNames = 256
)

// fold keeps of one input's requests what can help to explain a failure, and
// counts the rest.
type fold struct {
	step     time.Duration // interval of the samples
	buckets  map[bucket]*tally
	last     bucket
	lastT    *tally
	names    map[string]bool
	heard    map[string]time.Time // per upstream address: when it was last heard of
	kept     []*fact.Request
	alike    map[alike]*alikeN
	controls map[int64][]control // by minute, the lowest hashes
	backend  int
	lost     int // requests of a backend not kept

	total, failed int
	first, latest time.Time
}

type bucket struct {
	at       int64 // Unix seconds of its beginning
	upstream string
	method   string
	class    int // status / 100; -1 unknown
}

type tally struct {
	key   bucket // owns its strings
	n     int
	sum   time.Duration
	timed int
	slow  time.Duration
}

type alike struct {
	minute         int64
	status         int64
	ended          fact.Mechanism
	code           string
	upstream, meth string
	partial        bool
}

type alikeN struct {
	n    int
	last *fact.Request
}

type control struct {
	hash uint64
	req  *fact.Request
}

func newFold() *fold {
	return &fold{
		step: time.Minute, buckets: map[bucket]*tally{}, names: map[string]bool{}, heard: map[string]time.Time{},
		alike: map[alike]*alikeN{}, controls: map[int64][]control{},
	}
}

// Troubled reports whether a request is more than ordinary: it failed, was
// tried again, or the party says how it ended.
func Troubled(r *fact.Request) bool {
	if r.Partial || r.Ended != "" || len(r.Attempts) > 1 {
		return true
	}
	if !r.Status.Known {
		return false
	}
	switch s := r.Status.N; {
	case s >= 500, s == 0, s == 408, s == 444, s == 460, s == 499, s < 0:
		return true
	}
	return false
}

// add takes one request. own makes a copy of it that may be kept.
func (f *fold) add(r *fact.Request, offset int64, own func() *fact.Request) {
	minute := int64(0)
	if !r.Time.IsZero() {
		sec := r.Time.Unix()
		minute = sec - sec%60
		if f.first.IsZero() || r.Time.Before(f.first) {
			f.first = r.Time
		}
		if r.Time.After(f.latest) {
			f.latest = r.Time
		}
	}
	if !r.Partial {
		f.count(r, minute)
	}
	troubled := Troubled(r)
	switch {
	case troubled:
		f.idle(r)
		f.keep(r, minute, own)
	case r.Party.Role == fact.RoleBackend && f.backend < maxBackend:
		f.backend++
		f.kept = append(f.kept, own())
	case r.Party.Role != fact.RoleBackend:
		f.control(r, minute, offset, own)
	default:
		f.lost++
	}
	f.hear(r)
}

// count folds r into the sample of its minute.
func (f *fold) count(r *fact.Request, minute int64) {
	n := r.N()
	f.total += n
	b := bucket{at: minute, class: -1}
	if f.step > time.Minute {
		b.at -= b.at % int64(f.step/time.Second)
	}
	if r.Status.Known {
		b.class = int(r.Status.N / 100)
	}
	if len(r.Attempts) > 0 {
		b.upstream = r.Attempts[len(r.Attempts)-1].Address
	} else {
		b.upstream = r.Upstream
	}
	b.method = r.Method
	t := f.lastT
	if t == nil || b != f.last {
		if t = f.buckets[b]; t == nil {
			b.upstream, b.method = f.name(b.upstream), f.name(b.method)
			if t = f.buckets[b]; t == nil {
				if len(f.buckets) >= maxBuckets {
					f.coarsen()
					b.at -= b.at % int64(f.step/time.Second)
				}
				if t = f.buckets[b]; t == nil {
					t = &tally{key: b}
					f.buckets[b] = t
				}
			}
		}
		f.last, f.lastT = t.key, t
	}
	t.n += n
	if r.Duration.Known {
		t.timed++
		t.sum += r.Duration.D
		t.slow = max(t.slow, r.Duration.D)
	}
}

// name returns a copy of s that may be kept, or "other" where there are too
// many.
func (f *fold) name(s string) string {
	if s == "" || f.names[s] {
		return cloneString(s)
	}
	if len(f.names) >= maxNames {
		return "other"
	}
	c := cloneString(s)
	f.names[c] = true
	return c
}

// coarsen makes the samples' interval longer and joins what falls together.
func (f *fold) coarsen() {
	f.step *= 10
	joined := make(map[bucket]*tally, len(f.buckets)/4)
	for b, t := range f.buckets {
		b.at -= b.at % int64(f.step/time.Second)
		if j := joined[b]; j != nil {
			j.n += t.n
			j.timed += t.timed
			j.sum += t.sum
			j.slow = max(j.slow, t.slow)
		} else {
			t.key = b
			joined[b] = t
		}
	}
	f.buckets, f.lastT = joined, nil
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
		if t, ok := f.heard[a.Address]; ok && !a.Idle.Known && a.Address != "" && !start.Before(t) {
			a.Idle = fact.Lasting(start.Sub(t))
		}
	}
}

func (f *fold) hear(r *fact.Request) {
	if r.Time.IsZero() || r.Partial {
		return
	}
	for i := range r.Attempts {
		addr := r.Attempts[i].Address
		if addr == "" {
			continue
		}
		if _, ok := f.heard[addr]; ok {
			f.heard[addr] = r.Time
		} else if len(f.heard) < 16*maxNames {
			f.heard[cloneString(addr)] = r.Time
		}
	}
}

// keep keeps a request that is more than ordinary, or counts it on one like
// it.
func (f *fold) keep(r *fact.Request, minute int64, own func() *fact.Request) {
	f.failed += r.N()
	k := alike{minute: minute, status: r.Status.Or(-1), ended: r.Ended, code: r.Code, meth: r.Method, partial: r.Partial}
	if len(r.Attempts) > 0 {
		k.upstream = r.Attempts[len(r.Attempts)-1].Address
	}
	a := f.alike[k]
	if a == nil {
		k.code, k.upstream, k.meth = cloneString(k.code), cloneString(k.upstream), cloneString(k.meth)
		a = &alikeN{}
		f.alike[k] = a
	}
	a.n += r.N()
	if a.last != nil && (a.n > alikeAMinute || len(f.kept) >= maxKept) {
		a.last.Count = a.last.N() + r.N()
		return
	}
	if len(f.kept) >= maxKept && len(f.kept) >= 2*maxKept {
		return // the samples still count it
	}
	a.last = own()
	f.kept = append(f.kept, a.last)
}

// control keeps r if its hash is among the lowest of its minute: a random
// sample that is the same in every run.
func (f *fold) control(r *fact.Request, minute, offset int64, own func() *fact.Request) {
	h := mix(uint64(offset))
	c := f.controls[minute]
	if len(c) >= controlsAMinute && h >= c[len(c)-1].hash {
		return
	}
	f.idle(r)
	req := own()
	req.Control = true
	i := sort.Search(len(c), func(i int) bool { return c[i].hash > h })
	if len(c) < controlsAMinute {
		c = append(c, control{})
	}
	copy(c[i+1:], c[i:])
	c[i] = control{h, req}
	f.controls[minute] = c
	if len(f.controls) > 4*60 {
		f.thin()
	}
}

// thin drops controls of minutes far from any failure, all but one a minute.
func (f *fold) thin() {
	near := map[int64]bool{}
	for k := range f.alike {
		for m := k.minute - 5*60; m <= k.minute+5*60; m += 60 {
			near[m] = true
		}
	}
	latest := f.latest.Unix()
	for m, c := range f.controls {
		if !near[m] && latest-m > 10*60 {
			if m%(60*60) == 0 {
				f.controls[m] = c[:min(1, len(c))]
			} else {
				delete(f.controls, m)
			}
		}
	}
}

// mix spreads the bits of x (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// end yields what was kept and counted, in the order of time.
func (f *fold) end(path string, party fact.Party, yield func(fact.Fact)) {
	all := f.kept
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
	keys := make([]bucket, 0, len(f.buckets))
	for b := range f.buckets {
		keys = append(keys, b)
	}
	sort.Slice(keys, func(i, j int) bool {
		a, b := keys[i], keys[j]
		if a.at != b.at {
			return a.at < b.at
		}
		if a.upstream != b.upstream {
			return a.upstream < b.upstream
		}
		if a.method != b.method {
			return a.method < b.method
		}
		return a.class < b.class
	})
	for _, b := range keys {
		t := f.buckets[b]
		s := &fact.Sample{Name: fact.SampleRequests, Interval: fact.Lasting(f.step), Value: float64(t.n), Count: t.n, Labels: map[string]string{}}
		s.Party, s.Origin.Path = party, path
		if b.at != 0 {
			s.Time = time.Unix(b.at, 0).Add(f.step).UTC()
		}
		if b.upstream != "" {
			s.Labels["upstream"] = b.upstream
		}
		if b.method != "" {
			s.Labels["method"] = b.method
		}
		if b.class >= 0 {
			s.Labels["class"] = string(rune('0'+b.class)) + "xx"
		}
		yield(s)
	}
}
