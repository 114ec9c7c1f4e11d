package failure

import (
	"math"
	"slices"
	"sort"
	"time"

	"culprit/internal/fact"
)

// Near is how events lie to failures.
type Near struct {
	Hit   []*Failure    // failures with such an event in their window
	By    []*fact.Event // for each of Hit, the nearest event
	Timed int           // failures whose time is known
	// Undated events have no time: they may belong to any failure.
	Undated []*fact.Event
	// Chance is how likely a random instant has such an event in its window.
	Chance float64
}

// minSpan is the shortest stretch over which events are taken to be spread
// when their rate is judged: a paste of ten seconds does not mean that such
// events come every ten seconds.
const minSpan = time.Hour

// Near finds for each failure the nearest of the events that lie from before
// the failed try began until after the request ended. events must be in the
// order of time.
func (w *World) Near(fs []*Failure, events []*fact.Event, before, after time.Duration) Near {
	var n Near
	var dated []*fact.Event
	for _, e := range events {
		if e.Time.IsZero() {
			n.Undated = append(n.Undated, e)
		} else {
			dated = append(dated, e)
		}
	}
	t := newTimeline(dated)
	for _, f := range fs {
		if f.Time.IsZero() {
			continue
		}
		n.Timed++
		slack := f.Res
		from, to := f.Start().Add(-before-slack), f.Time.Add(after+slack)
		if best := t.nearest(f.Time, from, to); best != nil {
			n.Hit = append(n.Hit, f)
			n.By = append(n.By, best)
		}
	}
	span := max(w.Last.Sub(w.First), minSpan)
	covered := time.Duration(0)
	var end time.Time
	for _, e := range dated {
		from, to := e.Time.Add(-after-time.Second), e.Time.Add(before+time.Second)
		if from.Before(end) {
			from = end
		}
		if to.After(from) {
			covered += to.Sub(from)
			end = to
		}
	}
	n.Chance = min(1, float64(covered)/float64(span))
	return n
}

// timeline finds events by time.
type timeline struct {
	events []*fact.Event
	lasted []int         // those that went on for a while
	res    time.Duration // the coarsest of the events'
}

// newTimeline takes events in the order of time.
func newTimeline(events []*fact.Event) *timeline {
	t := &timeline{events: events}
	ordered := slices.IsSortedFunc(events, func(a, b *fact.Event) int { return a.Time.Compare(b.Time) })
	for i, e := range events {
		if !e.First.IsZero() || !ordered {
			t.lasted = append(t.lasted, i)
		}
		t.res = max(t.res, e.Res.Or(0))
	}
	return t
}

// nearest returns the event nearest to at of those that touch the window;
// between equals the first.
func (t *timeline) nearest(at, from, to time.Time) *fact.Event {
	best := -1
	look := func(i int) {
		e := t.events[i]
		first := e.Time
		if !e.First.IsZero() {
			first = e.First
		}
		if e.Time.Before(from.Add(-e.Res.Or(0))) || first.After(to.Add(e.Res.Or(0))) {
			return
		}
		if best >= 0 {
			have, gap := t.events[best].Time.Sub(at).Abs(), e.Time.Sub(at).Abs()
			if gap > have || gap == have && i > best {
				return
			}
		}
		best = i
	}
	for _, i := range t.lasted {
		look(i)
	}
	begin, end := from.Add(-t.res), to.Add(t.res)
	i := sort.Search(len(t.events), func(i int) bool { return !t.events[i].Time.Before(begin) })
	for ; i < len(t.events) && !t.events[i].Time.After(end); i++ {
		look(i)
	}
	if best < 0 {
		return nil
	}
	return t.events[best]
}

// Around returns those of fs, which are in the order of time, that ended within
// d of an instant. Those of unknown time are not among them.
func Around(fs []*Failure, at time.Time, d time.Duration) []*Failure {
	from, to := at.Add(-d), at.Add(d)
	i := sort.Search(len(fs), func(i int) bool { return !fs[i].Time.Before(from) })
	n := sort.Search(len(fs)-i, func(n int) bool { return fs[i+n].Time.After(to) })
	return fs[i : i+n]
}

// Decibans weighs k of n failures that have an event in their window against
// chance: 10 log10 of how much likelier that is if such events fail requests
// (nine in ten hit) than if not (chance), kept within limit.
func Decibans(k, n int, chance, limit float64) float64 {
	if n == 0 {
		return 0
	}
	const hit = 0.9
	chance = min(max(chance, 1e-4), hit)
	d := 10 * (float64(k)*math.Log10(hit/chance) + float64(n-k)*math.Log10((1-hit)/(1-chance)))
	return max(-limit, min(limit, d))
}

// Fisher returns the one-sided p-value of a 2x2 table: the chance of at least
// a of a+b in the first row if rows do not matter (Fisher's exact test).
func Fisher(a, b, c, d int) float64 {
	n, k, r := a+b+c+d, a+c, a+b
	p := 0.0
	for x := a; x <= min(k, r); x++ {
		if r-x > n-k {
			continue
		}
		p += math.Exp(choose(k, x) + choose(n-k, r-x) - choose(n, r))
	}
	return min(1, p)
}

// Binomial returns the chance of at least k of n at rate p each.
func Binomial(k, n int, p float64) float64 {
	if k <= 0 {
		return 1
	}
	sum := 0.0
	for x := k; x <= n; x++ {
		sum += math.Exp(choose(n, x) + float64(x)*math.Log(p) + float64(n-x)*math.Log1p(-p))
	}
	return min(1, sum)
}

// choose is the logarithm of n over k.
func choose(n, k int) float64 {
	if k < 0 || k > n {
		return math.Inf(-1)
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
