package cause

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Grade is how sure a verdict is, in a word.
type Grade string

// The grades.
const (
	Proven       Grade = "proven"
	Likely       Grade = "likely"
	Possible     Grade = "possible"
	Undetermined Grade = "undetermined"
)

// The confidence from which each grade is given. Proven also wants a signal
// that shows the cause itself.
const (
	provenFrom   = 0.93
	likelyFrom   = 0.70
	possibleFrom = 0.40
)

// UndeterminedID stands for failures whose cause cannot be told.
const UndeterminedID = "undetermined"

// Verdict is a cause, what it explains and on what evidence.
type Verdict struct {
	Cause      *Cause // nil if undetermined
	Confidence float64
	Grade      Grade
	Mechanism  fact.Mechanism
	Failures   []*failure.Failure
	Recovered  int // tries of the same kind that were made good
	N          int // failed requests
	First      time.Time
	Last       time.Time
	Blame      fact.Party
	Signals    []Signal // for it, the weightiest first
	Doubts     []Signal // against it
	RuledOut   []Rival
	Fix        Fix
	Next       []Next
	Contrasts  []failure.Contrast
	Clock      *failure.ClockMinute
}

// ID is the cause's id, or "undetermined".
func (v *Verdict) ID() string {
	if v.Cause == nil {
		return UndeterminedID
	}
	return v.Cause.ID
}

// Rival is a cause that was weighed and found less likely.
type Rival struct {
	Cause      *Cause
	Confidence float64
	// Says is the fact that speaks against it, or that nothing speaks for it.
	Says  string
	Facts []fact.Fact
}

// Judge weighs causes. The zero value knows none.
type Judge struct {
	Causes []*Cause
}

// opinion is a cause's opinion with its score.
type opinion struct {
	cause *Cause
	Opinion
	score float64 // decibans against unknown
	odds  float64
	p     float64
}

// Try judges the world: every episode, then verdicts of one cause and party
// together, sorted by failures explained, then confidence.
func (j *Judge) Try(w *failure.World) []*Verdict {
	var out []*Verdict
	for _, e := range w.Episodes(j.trouble) {
		for _, v := range j.episode(e, 0) {
			if v.Cause == nil && len(e.Failures) == 0 {
				continue // a trouble that no cause makes anything of, and no request failed
			}
			out = merge(out, v)
		}
	}
	for _, v := range out {
		v.finish(w)
	}
	slices.SortStableFunc(out, func(a, b *Verdict) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(b.Confidence, a.Confidence), strings.Compare(a.ID(), b.ID()), strings.Compare(a.Blame.Name, b.Blame.Name))
	})
	return out
}

func (j *Judge) trouble(e *fact.Event) bool {
	for _, c := range j.Causes {
		if slices.Contains(c.Troubles, e.Kind) {
			return true
		}
	}
	return false
}

// splitDepth bounds how often an episode is split.
const splitDepth = 4

// splitScore is the score at which a cause may take its failures out of an
// episode: ten to one against unknown.
const splitScore = 10

// episode judges one episode, splitting it where a strong cause explains only
// a part of its failures.
func (j *Judge) episode(e *failure.Episode, depth int) []*Verdict {
	ops := j.opinions(e)
	if depth < splitDepth {
		for _, o := range ops {
			if len(o.Claims) == 0 || len(o.Claims) == len(e.Failures) || o.score < splitScore {
				continue
			}
			in, rest := split(e.Failures, o.Claims)
			a, b := e.With(in), e.With(rest)
			b.Recovered = nil
			return append(j.episode(a, depth+1), j.episode(b, depth+1)...)
		}
	}
	return []*Verdict{j.verdict(e, ops)}
}

func split(all, part []*failure.Failure) (in, rest []*failure.Failure) {
	claimed := map[*failure.Failure]bool{}
	for _, f := range part {
		claimed[f] = true
	}
	for _, f := range all {
		if claimed[f] {
			in = append(in, f)
		} else {
			rest = append(rest, f)
		}
	}
	return in, rest
}

// opinions asks every cause and returns those with something to say, the
// highest score first.
func (j *Judge) opinions(e *failure.Episode) []*opinion {
	var ops []*opinion
	for _, c := range j.Causes {
		if !c.Asks(e) {
			continue
		}
		o := &opinion{cause: c, Opinion: c.Explain(e)}
		if len(o.Signals) == 0 || o.Claims != nil && len(o.Claims) == 0 {
			continue
		}
		o.score = c.Prior + sum(o.Signals)
		ops = append(ops, o)
	}
	slices.SortStableFunc(ops, func(a, b *opinion) int {
		return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(a.cause.ID, b.cause.ID))
	})
	return ops
}

// sum adds weights; of each group only the weightiest for and the weightiest
// against count.
func sum(signals []Signal) float64 {
	total := 0.0
	up, down := map[string]float64{}, map[string]float64{}
	for _, s := range signals {
		switch {
		case s.Group == "":
			total += s.Weight
		case s.Weight > 0:
			up[s.Group] = max(up[s.Group], s.Weight)
		default:
			down[s.Group] = min(down[s.Group], s.Weight)
		}
	}
	for _, g := range sortedKeys(up) {
		total += up[g]
	}
	for _, g := range sortedKeys(down) {
		total += down[g]
	}
	return total
}

func sortedKeys(m map[string]float64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// mostOdds bounds the odds of one cause against unknown: nothing in a log is
// surer than one in two thousand.
const mostOdds = 2000

// verdict weighs the opinions on one episode against each other and unknown.
func (j *Judge) verdict(e *failure.Episode, ops []*opinion) *Verdict {
	v := &Verdict{Mechanism: e.Mechanism, Failures: e.Failures, Recovered: len(e.Recovered), N: e.N()}
	if len(e.Failures) == 0 {
		v.First, v.Last = e.Span()
	}
	var deep, shallow []*opinion
	for _, o := range ops {
		if len(o.Claims) > 0 && len(o.Claims)*2 < len(e.Failures) {
			continue // what explains the smaller part, and was too weak to take it out, does not decide for all
		}
		o.odds = min(mostOdds, math.Pow(10, o.score/10))
		if o.cause.Kind == Shallow {
			shallow = append(shallow, o)
		} else {
			deep = append(deep, o)
		}
	}
	takeOver(deep)
	total := 1.0 // unknown
	for _, o := range deep {
		total += o.odds
	}
	for _, o := range deep {
		o.p = o.odds / total
	}
	slices.SortStableFunc(deep, func(a, b *opinion) int {
		return cmp.Or(cmp.Compare(b.p, a.p), strings.Compare(a.cause.ID, b.cause.ID))
	})
	best := first(deep)
	if s := first(shallow); s != nil {
		rest := 1.0
		if best != nil {
			rest -= best.p
		}
		// A shallow cause only repeats the mechanism; it is right as far as
		// nothing deeper is, and the mechanism was read right.
		s.p = rest * s.odds / (1 + s.odds)
		if best == nil || s.p > best.p || best.p < possibleFrom {
			best = s
		}
	}
	v.decide(best, e)
	v.rivals(append(deep, shallow...), best)
	j.untraced(v, e, ops)
	v.Next = slices.Clone(v.Next)
	for i := range v.Next {
		v.Next[i].Command = forStack(e.World, v.Next[i].Command)
	}
	return v
}

func first(ops []*opinion) *opinion {
	if len(ops) == 0 {
		return nil
	}
	return ops[0]
}

// takeOver gives the odds of causes to deeper ones that explain them, where
// the deeper one is itself more likely than not.
func takeOver(ops []*opinion) {
	for _, a := range ops {
		if a.odds <= 1 {
			continue
		}
		for _, b := range ops {
			if b != a && b.odds > 0 && slices.Contains(a.cause.Over, b.cause.ID) && !slices.Contains(b.cause.Over, a.cause.ID) {
				a.odds = min(mostOdds, a.odds+b.odds)
				b.odds = 0
			}
		}
	}
}

// decide fills the verdict from the best opinion.
func (v *Verdict) decide(best *opinion, e *failure.Episode) {
	v.Grade = Undetermined
	if best == nil {
		v.Next = nextFor(e)
		return
	}
	v.Confidence = best.p
	v.Next = best.Next
	if best.p < possibleFrom {
		if len(v.Next) == 0 {
			v.Next = nextFor(e)
		}
		v.Signals = plain(best.Signals)
		return
	}
	v.Cause, v.Blame, v.Fix = best.cause, best.Blame, best.Fix
	v.Blame.Tech = accused(e.World, v.Blame)
	proof := false
	for _, s := range best.Signals {
		if s.Weight >= 0 {
			v.Signals = append(v.Signals, s)
			proof = proof || s.Proof
		} else {
			v.Doubts = append(v.Doubts, s)
		}
	}
	byWeight := func(a, b Signal) int {
		return cmp.Or(cmp.Compare(math.Abs(b.Weight), math.Abs(a.Weight)), strings.Compare(a.Says, b.Says))
	}
	slices.SortStableFunc(v.Signals, byWeight)
	slices.SortStableFunc(v.Doubts, byWeight)
	v.Grade = grade(best.p, proof && len(v.Failures) > 0)
	if v.Grade != Proven && len(v.Next) == 0 {
		v.Next = nextFor(e)
	}
}

// grade is the word for a confidence; proof tells that the cause itself was
// shown.
func grade(confidence float64, proof bool) Grade {
	switch {
	case confidence >= provenFrom && proof:
		return Proven
	case confidence >= likelyFrom:
		return Likely
	}
	return Possible
}

// witnesses are technologies that tell of others' troubles: they are not whom
// a verdict blames.
var witnesses = []string{"journal", "docker", "kube", "linux", "applog"}

// accused is the technology to blame for a party that only its witness named:
// that of the only server the evidence knows, or none.
func accused(w *failure.World, p fact.Party) string {
	if !slices.Contains(witnesses, p.Tech) || p.Role == fact.RoleHost || p.Role == fact.RoleOrchestrator {
		return p.Tech
	}
	only := ""
	for _, t := range w.Techs(fact.RoleBackend) {
		if slices.Contains(witnesses, t) {
			continue
		}
		if only != "" {
			return ""
		}
		only = t
	}
	return only
}

// rivals lists what else was weighed.
func (v *Verdict) rivals(ops []*opinion, best *opinion) {
	for _, o := range ops {
		if o == best && o.p >= possibleFrom || best != nil && best.p >= possibleFrom && slices.Contains(best.cause.Over, o.cause.ID) || o.cause.Kind == Shallow {
			continue
		}
		r := Rival{Cause: o.cause, Confidence: o.p}
		worst := Signal{}
		for _, s := range o.Signals {
			if s.Weight < worst.Weight {
				worst = s
			}
		}
		if worst.Says == "" {
			continue
		}
		r.Says, r.Facts = worst.Says, worst.Facts
		v.RuledOut = append(v.RuledOut, r)
	}
}

// mostRuledOut bounds the causes that are listed for having left no trace.
const mostRuledOut = 4

// untraced lists causes of which the evidence should show a trace, and does
// not.
func (j *Judge) untraced(v *Verdict, e *failure.Episode, ops []*opinion) {
	first, last := e.Span()
	if len(e.Failures) == 0 || first.IsZero() || v.Cause != nil && v.Cause.Kind == Innocent {
		return
	}
	for _, c := range j.Causes {
		if len(v.RuledOut) >= mostRuledOut {
			return
		}
		if c == v.Cause || !c.Asks(e) || slices.ContainsFunc(ops, func(o *opinion) bool { return o.cause == c }) || v.Cause != nil && slices.Contains(v.Cause.Over, c.ID) {
			continue
		}
		for _, t := range c.Traces {
			if e.World.Tells(t.Role, first) && e.World.Tells(t.Role, last) {
				v.RuledOut = append(v.RuledOut, Rival{Cause: c, Says: t.None})
				break
			}
		}
	}
}

// merge adds v to a verdict of the same cause and party, if there is one.
func merge(out []*Verdict, v *Verdict) []*Verdict {
	for _, o := range out {
		if o.Cause != v.Cause || o.Blame.Tech != v.Blame.Tech || o.Blame.Name != v.Blame.Name {
			continue
		}
		if v.Cause == nil && o.Mechanism != v.Mechanism {
			continue
		}
		o.absorb(v)
		return out
	}
	return append(out, v)
}

// mostSignals is up to how many signals a verdict takes further ones that only
// repeat for another moment what one of them says.
const mostSignals = 6

// absorb joins another episode's verdict of the same cause. The confidence is
// the failures' mean.
func (v *Verdict) absorb(w *Verdict) {
	nv, nw := float64(max(v.N, 1)), float64(max(w.N, 1))
	v.Confidence = (v.Confidence*nv + w.Confidence*nw) / (nv + nw)
	proof := v.Grade == Proven && v.N >= w.N || w.Grade == Proven && w.N >= v.N
	if v.Cause != nil {
		v.Grade = grade(v.Confidence, proof)
	}
	if w.N > v.N {
		v.Mechanism = w.Mechanism
	}
	v.Failures = append(v.Failures, w.Failures...)
	// Ruled out is what both episodes rule out.
	v.RuledOut = slices.DeleteFunc(slices.Clone(v.RuledOut), func(r Rival) bool {
		return !slices.ContainsFunc(w.RuledOut, func(o Rival) bool { return o.Cause == r.Cause })
	})
	v.N += w.N
	v.Recovered += w.Recovered
	for _, s := range w.Signals {
		// The same kind of thing seen again adds its facts, not its words.
		i := slices.IndexFunc(v.Signals, func(o Signal) bool { return o.Says == s.Says || o.Why == s.Why && !chancy(s.Why) })
		if i < 0 {
			// Of events of many episodes the first few stand for all.
			if alike := slices.IndexFunc(v.Signals, func(o Signal) bool { return chancy(o.Why) && chancy(s.Why) }); alike < 0 || len(v.Signals) < mostSignals {
				v.Signals = append(v.Signals, s)
			}
			continue
		}
		o := &v.Signals[i]
		for _, f := range s.Facts {
			if len(o.Facts) < 2*MaxCited && !slices.Contains(o.Facts, f) {
				o.Facts = append(slices.Clip(o.Facts), f)
			}
		}
	}
	slices.SortStableFunc(v.Signals, func(a, b Signal) int { return cmp.Compare(b.Weight, a.Weight) })
	if v.First.IsZero() || !w.First.IsZero() && w.First.Before(v.First) {
		v.First = w.First
	}
	if w.Last.After(v.Last) {
		v.Last = w.Last
	}
	if v.Fix.Summary == "" {
		v.Fix = w.Fix
	}
	if v.Blame.Address != w.Blame.Address {
		v.Blame.Address = ""
	}
}

// chancy: the reason is that of nearness in time, whose number differs from
// episode to episode.
func chancy(why string) bool { return strings.HasPrefix(why, nearWhy) }

// finish computes what needs all failures of the verdict.
func (v *Verdict) finish(w *failure.World) {
	if len(v.Failures) == 0 {
		return
	}
	slices.SortStableFunc(v.Failures, func(a, b *failure.Failure) int { return a.Time.Compare(b.Time) })
	e := &failure.Episode{World: w, Mechanism: v.Mechanism, Gateway: v.Failures[0].Gateway, Failures: v.Failures}
	v.First, v.Last = e.Span()
	v.Contrasts = e.Contrasts()
	if c, ok := e.Clock(); ok {
		v.Clock = &c
	}
}
