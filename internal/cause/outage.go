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
