// Package cause holds the contract of a cause and the Judge that weighs them.
//
// A cause is one folder with one exported value:
//
//	var Cause = cause.Cause{ID: "oom-kill", Title: "...", ..., Explain: explain}
//
// and one line in cause/all. Its Explain looks at an [failure.Episode], which
// has the failures and the world around them, and returns signals: what it saw,
// on which facts, how much that weighs for or against it and why. It never
// says how likely it is: the [Judge] adds up, lets deep causes take over the
// shallow ones they explain, and keeps "unknown" in the running.
//
// The package is pure, and knows no source.
package cause

import (
	"fmt"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Kind says what a cause accuses.
type Kind int

// The kinds.
const (
	// Deep causes say why.
	Deep Kind = iota
	// Shallow causes say only how it ended; they stand where nothing deeper
	// is shown.
	Shallow
	// Innocent findings accuse nobody in the infrastructure.
	Innocent
)

// Cause is the record of one cause. It feeds the Judge, `culprit explain` and
// every report.
type Cause struct {
	ID    string // "keepalive-race"
	Title string // "Keep-alive race: the server closed an idle connection as the proxy reused it"
	// What tells in two or three sentences what happens.
	What string
	// Shows tells by what one knows it, a line each.
	Shows []string
	// Fixes tells how it is mended, a line each, whatever the stack.
	Fixes []string
	// Links are public pages that explain more.
	Links []string

	Kind Kind
	// Mechanisms are those it can produce; it is not asked about others. An
	// episode of troubles alone is put to every cause.
	Mechanisms []fact.Mechanism
	// Troubles are kinds of events that fail requests by themselves, so that
	// they are worth a verdict even where no failed request is in the
	// evidence.
	Troubles []fact.EventKind
	// Over are the ids of causes that are taken over where this one is shown:
	// an OOM kill explains the crash that it looks like.
	Over []string
	// Traces are what it leaves in evidence of a role. Where that covers the
	// time and has none of it, the cause is listed as ruled out.
	Traces []Trace
	// Prior is the weight before any evidence, in decibans against unknown:
	// how common it is among failures of its mechanisms.
	Prior float64
	// PriorWhy is the reason for Prior.
	PriorWhy string

	// Explain weighs an episode.
	Explain func(e *failure.Episode) Opinion
}

// Trace is what a cause leaves, and where.
type Trace struct {
	Role fact.Role
	// None says that it is not there: "no OOM kill in the kernel's log".
	None string
}

// Opinion is what a cause makes of an episode.
type Opinion struct {
	Signals []Signal
	// Claims are the failures it explains; nil means all of the episode, and
	// an empty list none.
	Claims []*failure.Failure
	// Blame is the party that is to change something.
	Blame fact.Party
	// Fix is in the words of the party's own stack, as far as known.
	Fix Fix
	// Next is evidence that would settle it, the best first.
	Next []Next
}

// Signal is one thing seen that speaks for or against a cause.
type Signal struct {
	// Says is a sentence for the report: what was seen.
	Says string
	// Weight is 10·log10 of the likelihood ratio: how much likelier the thing
	// seen is under this cause than without it. 10 is ten to one. Negative
	// speaks against.
	Weight float64
	// Why is the reason for the weight.
	Why string
	// Facts are what it rests on. A signal without facts weighs, but is no
	// proof and is not listed as evidence.
	Facts []fact.Fact
	// Group: of signals of one group only the weightiest counts, since they
	// are the same thing seen twice.
	Group string
	// Plain: what it says holds whatever the cause, and is told even where
	// that cannot be named.
	Plain bool
	// Proof: the signal shows the cause itself, not only its circumstances; a
	// verdict is "proven" only with one.
	Proof bool
}

// Fix is what to do.
type Fix struct {
	Summary string
	Steps   []string
	Patch   string // ready to paste
}

// Next is evidence that is missing.
type Next struct {
	Evidence  string // what
	Command   string // how to get it, ready to paste
	WouldTell string // what it would settle
}

// For is a signal in favour.
func For(weight float64, why, says string, facts ...fact.Fact) Signal {
	return Signal{Says: says, Weight: weight, Why: why, Facts: facts}
}

// Against is a signal against; weight is positive here.
func Against(weight float64, why, says string, facts ...fact.Fact) Signal {
	return Signal{Says: says, Weight: -weight, Why: why, Facts: facts}
}

// In puts the signal into a group.
func (s Signal) In(group string) Signal {
	s.Group = group
	return s
}

// AsProof marks the signal as showing the cause itself.
func (s Signal) AsProof() Signal {
	s.Proof = true
	return s
}

// Asks reports whether the cause is asked about an episode.
func (c *Cause) Asks(e *failure.Episode) bool {
	if len(e.Failures) == 0 {
		return true
	}
	for _, m := range c.Mechanisms {
		if m == e.Mechanism {
			return true
		}
	}
	return false
}

// NearEvents is the signal most causes share: events of some kinds around the
// failures, weighed against coincidence. before reaches back from the start of
// the failed try, after on from its end. claims are the failures near one;
// they are all of the episode's where the evidence has no times.
func NearEvents(e *failure.Episode, events []*fact.Event, before, after time.Duration, says func(hit int, first *fact.Event) string) (s Signal, claims []*failure.Failure, ok bool) {
	if len(events) == 0 {
		return Signal{}, nil, false
	}
	if len(e.Failures) == 0 {
		return troubleSignal(e, events, says)
	}
	n := e.World.Near(e.Failures, events, before, after)
	switch {
	case len(n.Hit) > 0:
		w, chance := weighNear(e, events, n, before, after)
		s = Signal{Weight: w, Why: nearWhy + percent(chance), Proof: true}
		seen := map[*fact.Event]bool{}
		for _, x := range n.By {
			if !seen[x] {
				seen[x] = true
				s.Facts = append(s.Facts, x)
			}
		}
		s.Says = says(len(n.Hit), n.By[0])
		return s, n.Hit, true
	case len(n.Undated) > 0 && (n.Timed == 0 || len(n.Undated) == len(events)):
		s = Signal{Weight: UndatedWeight, Why: "the event is shown beside the failures, without a time to compare"}
		for _, x := range n.Undated {
			s.Facts = append(s.Facts, x)
		}
		s.Says = says(len(e.Failures), n.Undated[0])
		return s, e.Failures, true
	case n.Timed == 0:
		s = Signal{Weight: UndatedWeight, Why: "the failures carry no time to compare"}
		for _, x := range events {
			s.Facts = append(s.Facts, x)
		}
		s.Says = says(len(e.Failures), events[0])
		return s, e.Failures, true
	}
	return Signal{}, nil, false
}

func troubleSignal(e *failure.Episode, events []*fact.Event, says func(int, *fact.Event) string) (Signal, []*failure.Failure, bool) {
	mine := map[*fact.Event]bool{}
	for _, x := range events {
		mine[x] = true
	}
	s := Signal{Weight: TroubleWeight, Why: "the event itself fails the requests in flight", Proof: true}
	for _, t := range e.Troubles {
		if mine[t] {
			s.Facts = append(s.Facts, t)
		}
	}
	if len(s.Facts) == 0 {
		// Events of other kinds around the trouble count less.
		first, last := e.Span()
		for _, x := range events {
			if x.Time.IsZero() || first.IsZero() || !x.Time.Before(first.Add(-5*time.Minute)) && !x.Time.After(last.Add(5*time.Minute)) {
				s.Facts = append(s.Facts, x)
			}
		}
		s.Weight, s.Why, s.Proof = UndatedWeight, "the event lies beside the trouble", false
	}
	if len(s.Facts) == 0 {
		return Signal{}, nil, false
	}
	s.Says = says(len(s.Facts), s.Facts[0].(*fact.Event))
	return s, nil, true
}

// Weights that causes share, in decibans.
const (
	// NearLimit is the most that nearness in time can weigh: one in three
	// hundred coincidences remains thinkable, since what happens together may
	// have a third thing behind it.
	NearLimit = 25
	// UndatedWeight: somebody put the event and the failures into one folder.
	UndatedWeight = 9
	// TroubleWeight: the evidence is the event alone.
	TroubleWeight = 16
)

// nearWhy begins the reason of every weight that nearness in time has.
const nearWhy = "such an event lies near a random instant with probability "

func percent(p float64) string {
	if p < 0.001 {
		return "under 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", p*100)
}

// Itself is the signal of a cause that the mechanism alone shows; weight is
// what the record's own words are worth beyond the prior.
func Itself(e *failure.Episode, weight float64, why, says string) Signal {
	return For(weight, why, says, Cite(e.Failures)...).AsProof()
}

// plain are the signals whose words hold whatever the cause.
func plain(in []Signal) (out []Signal) {
	for _, s := range in {
		if s.Plain {
			out = append(out, s)
		}
	}
	return out
}
