package source

import (
	"cmp"
	"slices"
	"sort"

	"culprit/internal/fact"
)

// control is an ordinary request that is kept to compare failures with.
type control struct {
	hash uint64
	req  *fact.Request
}

// control keeps r if its hash is among the lowest of its minute: a random
// sample that is the same in every run.
func (f *fold) control(r *fact.Request, minute, offset int64, own func(*fact.Request) *fact.Request) {
	h := mix(uint64(offset))
	if !f.wants(minute, h) {
		return
	}
	f.idle(r)
	req := own(r)
	req.Control = true
	c := f.controls[minute]
	i := sort.Search(len(c), func(i int) bool { return c[i].hash > h })
	if len(c) < f.perMinute {
		c = append(c, control{})
	}
	copy(c[i+1:], c[i:])
	c[i] = control{h, req}
	f.controls[minute] = c
	f.bar.known = false
	f.thin()
}

// join adds the controls of a later range of the same input.
func (f *fold) join(later map[int64][]control) {
	for at, c := range later {
		both := append(f.controls[at], c...)
		slices.SortFunc(both, func(a, b control) int { return cmp.Compare(a.hash, b.hash) })
		f.controls[at] = both[:min(len(both), f.perMinute)]
	}
	f.bar.known = false
	f.thin()
}

// The bounds of controls over many minutes.
const (
	// maxMinutes is over how many minutes controls are held before those far
	// from any failure are let go.
	maxMinutes = 4 * 60
	// maxControls bounds those near failures: sixteen a minute of half a day.
	maxControls = 12_000
)

// thin drops controls where there are too many: of minutes far from any
// failure all but one an hour; then of every minute the half, down to one;
// then every other minute.
func (f *fold) thin() {
	if len(f.controls) <= f.thinAt {
		return
	}
	f.bar.known = false
	near := map[int64]bool{}
	for _, r := range f.kept {
		if r.Time.IsZero() {
			continue
		}
		at := r.Time.Unix()
		if at -= at % 60; near[at] && near[at-5*60] && near[at+5*60] {
			continue
		}
		for m := at - 5*60; m <= at+5*60; m += 60 {
			near[m] = true
		}
	}
	for m, c := range f.controls {
		switch {
		case near[m] || f.latest-m <= 10*60:
		case m%(60*60) == 0:
			f.controls[m] = c[:min(1, len(c))]
		default:
			delete(f.controls, m)
		}
	}
	for len(f.controls)*f.perMinute > maxControls {
		if f.perMinute > 1 {
			f.perMinute /= 2
		} else {
			f.spacing *= 2
		}
		for m, c := range f.controls {
			if m/60%f.spacing != 0 {
				delete(f.controls, m)
				continue
			}
			clear(c[min(len(c), f.perMinute):])
			f.controls[m] = c[:min(len(c), f.perMinute)]
		}
	}
	// As many minutes again may come before it is worth another look.
	f.thinAt = max(maxMinutes, min(2*len(f.controls), maxControls/f.perMinute))
}

// mix spreads the bits of x (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
