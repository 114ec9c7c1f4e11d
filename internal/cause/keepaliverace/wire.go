package keepaliverace

import (
	"fmt"
	"slices"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// This file reads the race off the wire.

// The bounds of what packets tell.
const (
	// tooSoon, in hundredths of the time-out: no server closes an idle
	// connection before.
	tooSoon = 70
	// leastRest is the shortest time-out of idle connections that is thought
	// of where none is known.
	leastRest = 900 * time.Millisecond
	// pair is how near each other two rests alone must be.
	pair = 150 * time.Millisecond
	// tooShort: no server has so short a one unless it is measured or
	// configured so.
	tooShort = 700 * time.Millisecond
)

// otherwise reports whether packets show that a failure was no race for an idle
// connection, and says why.
func otherwise(e *failure.Episode, f *failure.Failure) (says string, no bool) {
	c := cause.LastConn(f)
	if c == nil {
		return "", false
	}
	rest, known := cause.Rested(f)
	t := cause.IdleAt(e, f.Try.Address)
	most := cause.MeasuredAt(e.World, f.Try.Address, fact.MaxConnRequests)
	switch {
	case c.Foreign != "":
		return "the reset is not the server's: " + c.Foreign, true
	case f.Try.Reused.Is(0):
		return "the request went out on a fresh connection", true
	case known && most != nil && f.Try.Index.Known && f.Try.Index.N == most.Num.N+1 && rest < leastRest:
		return fmt.Sprintf("the server closes connections after request %d, and this was the next", most.Num.N), true
	case known && t != nil && t.Dur.Known && rest*100 < t.Dur.D*tooSoon && t.Basis != fact.Default:
		return fmt.Sprintf("the connection had rested for only %s when it was closed; the server keeps idle ones for %s", cause.Span(rest), cause.Span(t.Dur.D)), true
	case known && rest < tooShort && (t == nil || !t.Dur.Known || t.Dur.D > 2*leastRest):
		return fmt.Sprintf("the connection had rested for only %s when it was closed: no time-out of idle connections is that short", cause.Span(rest)), true
	}
	return "", false
}

// ruledOut is the opinion where packets show of every failure that it was no
// race.
func ruledOut(e *failure.Episode) cause.Opinion {
	says, _ := otherwise(e, e.Failures[0])
	if says == "" || !cause.Captured(e.Failures) {
		return cause.Opinion{}
	}
	return cause.Opinion{
		Signals: []cause.Signal{cause.Against(25, "a race is lost to the time-out of an idle connection, and to nothing else", says, cause.CiteConns(e.Failures)...)},
		Blame:   blame(e), Next: nextElse(e),
	}
}

// raced: packets show that the server had closed the connection, at the age at
// which it closes idle ones, before it knew of the request.
func raced(e *failure.Episode) (cause.Signal, bool) {
	var near, late, loose, off []*failure.Failure
	var ahead, rests, odd []time.Duration
	var t *fact.Setting
	for _, f := range e.Failures {
		rest, known := cause.Rested(f)
		if !known {
			continue
		}
		s := cause.IdleAt(e, f.Try.Address)
		switch told := s != nil && s.Dur.Known; {
		case told && (rest-s.Dur.D).Abs() <= slack(s) && cause.Decided(f):
			near, ahead, t = append(near, f), append(ahead, f.Try.ClosedAgo.D), s
		case told && (rest-s.Dur.D).Abs() <= slack(s):
			late, t = append(late, f), s
		case told:
			off, odd, t = append(off, f), append(odd, rest), s
		case cause.Decided(f):
			loose, rests = append(loose, f), append(rests, rest)
		}
	}
	idle := ""
	if t != nil {
		idle = fmt.Sprintf("its time-out for idle connections (%s, %s)", cause.Span(t.Dur.D), basis(t))
	}
	switch {
	case len(near) > 0:
		says := fmt.Sprintf("%s ran into a close that the server's side had already decided on, %s, at %s", cause.Count(len(near), "request"), ago(ahead), idle)
		if len(late) > 0 {
			says += fmt.Sprintf("; %d more were reset unread at that age", len(late))
		}
		return cause.For(24, "packets show the race itself: the close came first, at the age at which this server closes idle connections, and knew nothing of the request", says, append(cause.CiteConns(near), t)...).AsProof(), true
	case len(late) > 0:
		s := cause.For(14, "a server that works on a request does not reset it just as its idle time-out ends", fmt.Sprintf("%s reset unread when their connections had rested for %s", cause.Count(len(late), "request"), idle), append(cause.CiteConns(late), t)...)
		s.Proof = len(late) > 1
		return s, true
	case len(loose) > 0:
		return unmeasured(loose, rests)
	case len(off) > 0:
		return cause.Against(15, "an idle time-out closes at its age, not at another", fmt.Sprintf("the connections had rested for %s to %s when they were closed, not for %s", exact(slices.Min(odd)), exact(slices.Max(odd)), idle), append(cause.CiteConns(off), t)...), true
	}
	return cause.Signal{}, false
}

// unmeasured judges closes that were decided before the request, of a server
// whose time-out is not known.
func unmeasured(fs []*failure.Failure, rests []time.Duration) (cause.Signal, bool) {
	sorted := slices.Sorted(slices.Values(rests))
	mid := sorted[len(sorted)/2]
	if mid < leastRest {
		return cause.Signal{}, false
	}
	together := 0
	for _, r := range rests {
		if (r - mid).Abs() <= cause.Agree(mid) {
			together++
		}
	}
	says := fmt.Sprintf("%s ran into a close that the server's side had already decided on, after %s of rest", cause.Count(len(fs), "request"), exact(mid))
	facts := cause.CiteConns(fs)
	for _, f := range fs {
		if n := cause.LastConn(f).Together.Or(0); n >= 2 {
			return cause.Against(10, "a time-out of idle connections would show in those; what ends a process closes connections of any age", fmt.Sprintf("%s; %s that had rested for other times closed in the same hundredth of a second", says, cause.Count(int(n), "more connection")), facts...), true
		}
	}
	switch {
	case together >= 3 && together*10 >= len(rests)*7 || len(rests) == 2 && sorted[1]-sorted[0] < pair:
		s := cause.For(16, "what ends a process closes connections of any age; these had all rested equally long", says, facts...)
		s.Proof = together >= 3
		return s, true
	case len(rests) > 1:
		return cause.Against(10, "a time-out closes connections of one age; these had rested for various times", fmt.Sprintf("%s, %s to %s", says, exact(sorted[0]), exact(sorted[len(sorted)-1])), facts...), true
	case whole(mid):
		return cause.For(12, "time-outs are whole seconds; one rest in fifteen is so near one by chance", says, facts...).AsProof(), true
	}
	return cause.For(1, "an idle connection was closed; whether by a time-out, one close does not tell", says, facts...), true
}

// whole: a round number of seconds, as time-outs are; servers look once a
// second or less.
func whole(d time.Duration) bool {
	off := d % time.Second
	return off < 60*time.Millisecond || off > 990*time.Millisecond
}

// slack is how far off a time-out a close may lie.
func slack(t *fact.Setting) time.Duration {
	if t.Basis == fact.Measured {
		return cause.Agree(t.Dur.D)
	}
	return max(jitter, cause.Agree(t.Dur.D)) // advertised is not real
}

func basis(t *fact.Setting) string {
	switch {
	case t.Basis == fact.Measured && t.Count > 0:
		return "measured at " + cause.Count(t.Count, "close")
	case t.Basis == fact.Measured:
		return "measured"
	case t.Basis == fact.Default:
		return "its default"
	}
	return "as configured"
}

// ago says how long before, or after, the requests passed the closes did.
func ago(ds []time.Duration) string {
	least, most := slices.Min(ds), slices.Max(ds)
	switch {
	case least >= 0 && len(ds) == 1:
		return exact(most) + " before the request passed"
	case least >= 0:
		return exact(least) + " to " + exact(most) + " before they passed"
	case most < 0 && len(ds) == 1:
		return exact(-least) + " after the request passed, before it was read"
	case most < 0:
		return "up to " + exact(-least) + " after they passed, before they were read"
	}
	return fmt.Sprintf("from %s before to %s after they passed", exact(most), exact(-least))
}

// exact says a duration with as many digits as packets give it.
func exact(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%d us", d.Microseconds())
}

// wentDown: packets show that the server went away in those seconds.
func wentDown(e *failure.Episode) (cause.Signal, bool) {
	hit := 0
	var facts []fact.Fact
	for _, x := range cause.Endings(e.World) {
		n := 0
		for _, f := range e.Failures {
			if f.Try.Address == x.Address && !f.Time.Before(x.At.Add(-around)) && !f.Time.After(x.Until.Add(around)) {
				n++
			}
		}
		if hit += n; n > 0 && len(facts) < cause.MaxCited {
			facts = append(facts, x.Facts()[0])
		}
	}
	if hit == 0 || hit*2 < len(e.Failures) {
		return cause.Signal{}, false
	}
	return cause.Against(20, "a process that ends closes all its connections, idle or not", fmt.Sprintf("the server's process went away within %s of %d of %d failures", cause.Span(around), hit, len(e.Failures)), facts...).In("died"), true
}

// nextElse asks what else closed the connections.
func nextElse(e *failure.Episode) []cause.Next {
	return []cause.Next{{
		Evidence: "the server's own log of the same minutes", Command: "kubectl logs POD --timestamps; docker logs -t NAME; journalctl -u UNIT -o short-iso",
		WouldTell: "whether a worker was replaced, killed, or restarted as it closed these connections",
	}}
}
