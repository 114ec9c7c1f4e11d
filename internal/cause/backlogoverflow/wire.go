package backlogoverflow

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// This file reads a full queue off the wire: SYNs that got no answer, or one
// only when they were repeated, from a server that answers others in the same
// seconds. A device that drops packets, and a full connection table, do the
// same: packets alone do not prove it.
const (
	// dropped: some SYNs went unanswered while others were answered.
	dropped = 5
	// late: and others were answered only when repeated.
	late = 3
	// busy: and what was answered then took much longer than at other times.
	busy = 4
	// slower is from how many times the usual duration a server is called busy.
	slower = 5
	// beside is how near in time the others must have been answered.
	beside = 3 * time.Second
	// leastUnanswered is from how many unanswered requests something is told.
	leastUnanswered = 3
)

// onWire judges connections that nobody answered.
func onWire(e *failure.Episode) []cause.Signal {
	if e.Mechanism != fact.ConnectTimedOut || !cause.Captured(e.Failures) {
		return nil
	}
	var in []*failure.Failure
	alive := cause.Answers(e.World)
	for _, f := range e.Failures {
		if near(alive[f.Try.Address], f.Start(), f.Time) {
			in = append(in, f)
		}
	}
	if len(in) < leastUnanswered || len(in)*2 < len(e.Failures) {
		return nil
	}
	to := in[0].Try.Address
	s := cause.For(dropped, "a server that is gone, and a firewall that bars the way, answer nobody; of what drops some SYNs and takes others, a full queue is the most common", fmt.Sprintf("%s to %s got no answer to their SYNs, while the server answered others in the same seconds", cause.Count(len(in), "connection attempt"), to), cause.CiteConns(in)...)
	s.Plain = true
	out := []cause.Signal{s}
	if s, ok := repeated(e, to); ok {
		out = append(out, s)
	}
	if s, ok := slowThen(e, to); ok {
		out = append(out, s)
	}
	if s, ok := lossy(e, to); ok {
		out = append(out, s)
	}
	return out
}

// near: one of the instants, which are in their order, lies about a stretch of
// time.
func near(all []time.Time, from, to time.Time) bool {
	i := sort.Search(len(all), func(i int) bool { return !all[i].Before(from.Add(-beside)) })
	return i < len(all) && !all[i].After(to.Add(beside))
}

// repeated: connections were made only at a repeated SYN.
func repeated(e *failure.Episode, to string) (cause.Signal, bool) {
	var facts []fact.Fact
	n := 0
	for _, c := range e.World.Conns {
		if c.Server == to && c.SYNs.Or(0) > 1 && c.Connect.Known && c.Ended != fact.ConnectTimedOut {
			if n++; len(facts) < cause.MaxCited {
				facts = append(facts, c)
			}
		}
	}
	if n < 2 {
		return cause.Signal{}, false
	}
	return cause.For(late, "a queue that has room again takes the repeated SYN", fmt.Sprintf("%s came about only when the SYN was repeated", cause.Count(n, "more connection")), facts...), true
}

// slowThen: what the server answered in those seconds took long.
func slowThen(e *failure.Episode, to string) (cause.Signal, bool) {
	first, last := e.Span()
	var then, usual []time.Duration
	var facts []fact.Fact
	for _, r := range e.World.Controls {
		if !r.Duration.Known || !slices.ContainsFunc(r.Attempts, func(a fact.Attempt) bool { return a.Address == to }) {
			continue
		}
		if slices.ContainsFunc(e.Failures, func(f *failure.Failure) bool {
			return !r.Time.Before(f.Start().Add(-time.Second)) && !r.Time.Add(-r.Duration.D).After(f.Time.Add(time.Second))
		}) {
			then = append(then, r.Duration.D)
			facts = append(facts, r)
		} else if r.Time.Before(first) || r.Time.After(last) || len(e.Failures) > 1 {
			usual = append(usual, r.Duration.D)
		}
	}
	if len(then) < 3 || len(usual) < 5 {
		return cause.Signal{}, false
	}
	slices.Sort(then)
	slices.Sort(usual)
	a, b := then[len(then)/2], usual[len(usual)/2]
	if a < slower*b || a < 100*time.Millisecond {
		return cause.Signal{}, false
	}
	return cause.For(busy, "a device that drops packets does not make a server slow", fmt.Sprintf("requests that it answered in those seconds took %s (median), at other times %s", cause.Span(a), cause.Span(b)), facts[:min(len(facts), cause.MaxCited)]...), true
}

// lossy: data was lost too, and so it is the way rather than the queue.
func lossy(e *failure.Episode, to string) (cause.Signal, bool) {
	n := 0
	var facts []fact.Fact
	for _, c := range e.World.Conns {
		if c.Server != to || !c.Connect.Known {
			continue
		}
		if again, _, _ := cause.SentAgain(c); again > 0 {
			n++
			facts = append(facts, c)
		}
	}
	if n < 2 {
		return cause.Signal{}, false
	}
	return cause.Against(4, "a full queue loses no data of connections that it took", fmt.Sprintf("%s lost data as well", cause.Count(n, "connection")), facts[:min(len(facts), cause.MaxCited)]...), true
}
