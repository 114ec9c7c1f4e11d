package rolloutnodrain

import (
	"fmt"
	"slices"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// The bounds of an order among endings.
const (
	// inTurn is the shortest step of a deployment from one server to the next;
	// what ends two within a second is one event that hit both.
	inTurn = time.Second
	// sameStep, in hundredths, and sameStepLeast: steps of one program are
	// equal, faults keep no time.
	sameStep      = 3
	sameStepLeast = 150 * time.Millisecond
)

// step is from the ending of one server to that of another.
type step struct {
	from, to *cause.Ending
	d        time.Duration
}

// onWire judges what packets alone show: servers of one group that went and
// came back one after the other, at one pace, were told to.
func onWire(e *failure.Episode) cause.Opinion {
	all := turns(cause.Endings(e.World))
	var hit []*failure.Failure
	for _, f := range e.Failures {
		if slices.ContainsFunc(all, func(x *cause.Ending) bool { return x.Hits(f) }) {
			hit = append(hit, f)
		}
	}
	if len(hit)*2 < len(e.Failures) || len(hit) == 0 {
		return cause.Opinion{}
	}
	steps := pace(all)
	w, why := 0.0, ""
	says := ""
	switch n, names := len(steps), names(all); {
	case n >= 2:
		w, why = 8, "two faults keep no time with each other; a program that restarts one server after the other does"
		if n >= 3 {
			w = 13
		}
		says = fmt.Sprintf("%s ended %s after %s, %d times in the same step", steps[0].to.Address, cause.Span(steps[0].d.Round(100*time.Millisecond)), steps[0].from.Address, n)
	case len(names) >= 3 && len(all) == len(names):
		w, why = 8, "faults do not go through a group in turn, each server once"
		says = fmt.Sprintf("%d servers ended one after the other, each once", len(names))
	case len(names) == 2 && len(all) == 2:
		w, why = 1, "a deployment goes from one server to the next; so does an overload"
		says = fmt.Sprintf("%s ended %s after %s", all[1].Address, cause.Span(all[1].At.Sub(all[0].At).Round(100*time.Millisecond)), all[0].Address)
	default:
		return cause.Opinion{}
	}
	var facts []fact.Fact
	for _, x := range all {
		if len(facts) < 2*cause.MaxCited {
			facts = append(facts, x.Facts()[0])
		}
	}
	o := cause.Opinion{Blame: fact.Party{Role: fact.RoleBackend}, Fix: fix(e, &fact.Event{})}
	if len(hit) < len(e.Failures) {
		o.Claims = hit
	}
	s := cause.For(w, why, says+"; "+all[0].Says(), facts...)
	s.Plain, s.Proof = true, false // who told them to stop, packets do not show
	o.Signals = []cause.Signal{s}
	o.Next = []cause.Next{{
		Evidence: "what was deployed or restarted then", Command: "kubectl get events --sort-by=.lastTimestamp; journalctl -o short-iso | grep -E 'Stopping|Stopped|Started'; docker events --since 1h",
		WouldTell: "whether the servers were told to stop, or ended by themselves: packets show only that they went in turn",
	}}
	return o
}

// turns are the endings of servers of one port, those of one server within a
// few seconds taken as one.
func turns(all []*cause.Ending) []*cause.Ending {
	var out []*cause.Ending
	last := map[string]*cause.Ending{}
	for _, x := range all {
		if p := last[x.Address]; p != nil && x.At.Sub(p.Until) < 5*time.Second {
			p.Cut, p.Refused = append(slices.Clip(p.Cut), x.Cut...), append(slices.Clip(p.Refused), x.Refused...)
			p.Until, p.Back = x.Until, x.Back
			continue
		}
		if len(out) > 0 && cause.PortOf(out[0].Address) != cause.PortOf(x.Address) {
			continue
		}
		last[x.Address] = x
		out = append(out, x)
	}
	return out
}

func names(all []*cause.Ending) map[string]bool {
	out := map[string]bool{}
	for _, x := range all {
		out[x.Address] = true
	}
	return out
}

// pace returns the most steps between the same two servers that are equal.
func pace(all []*cause.Ending) []step {
	pairs := map[[2]string][]step{}
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if d := b.At.Sub(a.At); a.Address != b.Address && d >= inTurn {
			k := [2]string{a.Address, b.Address}
			pairs[k] = append(pairs[k], step{a, b, d})
		}
	}
	var best []step
	for _, steps := range pairs {
		for _, s := range steps {
			var alike []step
			for _, o := range steps {
				if (o.d - s.d).Abs() <= max(sameStepLeast, s.d*sameStep/100) {
					alike = append(alike, o)
				}
			}
			// Between equals the first, so that the order of the map is nothing.
			if len(alike) > len(best) || len(alike) == len(best) && alike[0].from.At.Before(best[0].from.At) {
				best = alike
			}
		}
	}
	return best
}
