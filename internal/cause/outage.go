package cause

import (
	"slices"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// The bounds of an outage.
const (
	// outageGap parts two outages where nothing tells that the server came
	// back: any service under watch is asked more often.
	outageGap = 15 * time.Minute
	// bootSlack is how long a started server may take until it listens.
	bootSlack = 60 * time.Second
)

// Outage extends claims, failures right at the death of a server, by those
// that follow until it runs again: a dead server goes on failing requests
// long after the event that killed it.
func Outage(e *failure.Episode, claims []*failure.Failure) []*failure.Failure {
	switch e.Mechanism {
	case fact.Refused, fact.NoBackend, fact.Unreachable, fact.ConnectTimedOut, fact.MechanismUnknown:
	default:
		return claims
	}
	if len(claims) == 0 || len(claims) == len(e.Failures) {
		return claims
	}
	mine := map[*failure.Failure]bool{}
	for _, f := range claims {
		mine[f] = true
	}
	a := Ask(e)
	starts, _ := a.Kindred(e.World.Of(fact.ProcessStarted, fact.BackendUp, fact.NodeBack))
	var out []*failure.Failure
	var died, last time.Time // of the outage that is under way
	for _, f := range e.Failures {
		if !mine[f] {
			if last.IsZero() || f.Time.Sub(last) > outageGap || cameBack(starts, died, f.Time.Add(-bootSlack)) {
				continue
			}
		} else if f.Time.Sub(last) > outageGap || cameBack(starts, died, f.Time) {
			died = f.Time
		}
		if died.IsZero() {
			died = f.Time
		}
		out = append(out, f)
		last = f.Time
	}
	return out
}

// cameBack reports whether one of the events lies between two instants.
func cameBack(starts []*fact.Event, from, to time.Time) bool {
	return slices.ContainsFunc(starts, func(x *fact.Event) bool { return x.Time.After(from) && x.Time.Before(to) })
}

// BootTime is how long a server that loads little needs until it listens.
const BootTime = 2 * time.Second

// warmUp is how long after a start refusals may still be laid to it.
const warmUp = 2 * time.Minute

// LateRefusals counts, of all tries that were refused after a start of a
// server, those that came over [BootTime] after it: the process had been
// started and did not listen. A try counts whether or not the request was made
// good by another.
func LateRefusals(e *failure.Episode) (late, refused int) {
	a := Ask(e)
	starts, _ := a.Kindred(e.World.Of(fact.ProcessStarted))
	ends := e.World.Of(fact.ProcessStopping, fact.ProcessExited, fact.Crashed, fact.OOMKilled)
	first, last := e.Span()
	for _, f := range slices.Concat(e.World.Failures, e.World.Recovered) {
		if f.Mechanism != fact.Refused || f.Time.IsZero() || f.Time.Before(first.Add(-warmUp)) || f.Time.After(last.Add(warmUp)) {
			continue
		}
		refused++
		var begun *fact.Event
		for _, x := range starts {
			if !x.Time.IsZero() && x.Time.Before(f.Time) && f.Time.Sub(x.Time) <= warmUp {
				begun = x
			}
		}
		if begun == nil || f.Time.Sub(begun.Time) <= BootTime+f.Res {
			continue
		}
		gone := slices.ContainsFunc(ends, func(x *fact.Event) bool {
			return x.Time.After(begun.Time) && x.Time.Before(f.Time.Add(f.Res))
		})
		if !gone {
			late++
		}
	}
	return late, refused
}
