package cause

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// The price of nearness.
const (
	// nearSpan is the shortest stretch over which events are taken to be
	// spread: a paste of ten seconds does not mean that they come every ten.
	nearSpan = time.Hour
	// nearSlack is how exact stamps of different logs are taken to be.
	nearSlack = time.Second
	// chosen is the price for judging the distance after it was seen.
	chosen = 2
)

// weighNear weighs failures that lie near events against coincidence.
//
// Failures of one outage are one observation, not many: what follows within
// the window of another is counted once. And the nearer an event lies to the
// first failure of an outage, the less likely it lies there by chance: an event
// a second before is worth more than one a minute before, although the window
// holds both. chance is that of the outage that is weighed lowest.
func weighNear(e *failure.Episode, events []*fact.Event, n failure.Near, before, after time.Duration) (weight, chance float64) {
	by := map[*failure.Failure]*fact.Event{}
	for i, f := range n.Hit {
		by[f] = n.By[i]
	}
	dated := 0
	for _, x := range events {
		if !x.Time.IsZero() {
			dated++
		}
	}
	span := max(e.World.Last.Sub(e.World.First), nearSpan)
	outages, hits := 0, 0
	var last time.Time
	open := false // the outage under way has its hit
	for _, f := range e.Failures {
		if f.Time.IsZero() {
			continue
		}
		if last.IsZero() || f.Start().Sub(last) > before+after {
			outages++
			open = false
		}
		last = f.Time
		x := by[f]
		if x == nil || open {
			continue
		}
		open = true
		hits++
		c := n.Chance
		if x.First.IsZero() {
			d := max(f.Start().Sub(x.Time), x.Time.Sub(f.Time), 0)
			near := 2*d + nearSlack + f.Res + x.Res.Or(0)
			c = min(c, chosen*float64(dated)*float64(near)/float64(span))
		}
		chance = max(chance, c)
		weight += failure.Decibans(1, 1, c, NearLimit)
	}
	weight = min(weight, NearLimit)
	if outages > hits {
		// Of many outages some lie near an event by chance: no more is taken
		// from those that do than their number is surprising.
		weight = min(weight, FromP(failure.Binomial(hits, outages, min(max(n.Chance, 1e-4), 0.999))))
	}
	return weight, chance
}
