package source

import (
	"sort"
	"time"

	"culprit/internal/fact"
)

// sink collects what the readers of one input state.
type sink struct {
	f       *feeder
	rep     *Report
	machine *machine
	format  *Format
	line    *Line // the one that is being read
	offset  int64
	folds   map[*Format]*fold
	parties map[*Format]fact.Party
	order   []*Format
	facts   []fact.Fact
	tally   tallies
	cov     map[*Format]*span
	prev    int64     // the instant seen last, in Unix nanoseconds
	timed   bool      // there was one
	at      time.Time // the same
	depth   int
	whole   bool // every request is wanted whole
	keeper  keeper

	fold    *fold // the one used last, of format folded
	folded  *Format
	span    *span // of format spanned
	spanned *Format
}

type tallies map[*Format]int

type span struct {
	first, last time.Time
	lines       int
	from, to    int64 // the same, in Unix nanoseconds
}

func (f *feeder) sink(rep *Report) *sink {
	return &sink{f: f, rep: rep, tally: tallies{}, whole: f.opt.All || f.opt.Follow != nil}
}

// State implements [Sink].
func (s *sink) State(x fact.Fact) {
	h := x.Head()
	s.fill(h)
	s.seen(h.Time)
	if s.f.opt.Follow != nil && s.f.opt.Follow(x, s.line.Text) {
		s.f.found(s.own(x))
	}
	r, isRequest := x.(*fact.Request)
	if !isRequest {
		s.facts = append(s.facts, s.own(x))
		return
	}
	if !r.Partial {
		s.rep.Requests += r.N()
	}
	if s.f.opt.All {
		s.facts = append(s.facts, s.own(x))
		return
	}
	fo := s.fold
	if fo == nil || s.folded != s.format {
		fo = s.foldOf(r)
	}
	fo.add(r, s.offset, s.ownRequest)
}

// Keen implements [Keen].
func (s *sink) Keen(r *fact.Request) bool {
	return s.f.opt.Follow != nil && s.f.opt.Follow(r, nil)
}

// foldOf finds the fold of the format that states r, and makes it of r, its
// first request.
func (s *sink) foldOf(r *fact.Request) *fold {
	fo := s.folds[s.format]
	if fo == nil {
		if s.folds == nil {
			s.folds, s.parties = map[*Format]*fold{}, map[*Format]fact.Party{}
		}
		fo = newFold()
		s.folds[s.format] = fo
		p := r.Party
		p.PID, p.Address = 0, ""
		c := fact.Event{Header: fact.Header{Party: p}}
		s.parties[s.format] = c.Clone().Head().Party
		s.order = append(s.order, s.format)
	}
	s.fold, s.folded = fo, s.format
	return fo
}

// own makes a copy of x that may be kept, with its origin and without secrets.
func (s *sink) own(x fact.Fact) fact.Fact {
	h := x.Head()
	text := h.Origin.Text
	if h.Origin.Line == 0 {
		h.Origin.Line = s.line.N
	}
	if h.Origin.Path == "" {
		h.Origin.Path = s.line.Path
	}
	if text == "" {
		t := s.line.Text
		h.Origin.Text = View(t[:min(len(t), fact.MaxText)])
	}
	var c fact.Fact
	if r, ok := x.(*fact.Request); ok {
		c = s.keeper.request(r)
	} else {
		c = x.Clone()
	}
	h.Origin = fact.Origin{Text: text} // as the reader left it, for it may use x again
	return c
}

// fill adds to a fact what the line's wrapper knows.
func (s *sink) fill(h *fact.Header) {
	l := s.line
	if h.Time.IsZero() && !l.Time.IsZero() {
		h.Time, h.Res = l.Time, l.Res
	}
	if h.Party.Host == "" {
		h.Party.Host = l.Host
	}
	if h.Party.PID == 0 {
		h.Party.PID = l.PID
	}
	if h.Party.Name == "" {
		switch {
		case l.Container != "":
			h.Party.Name = l.Container
		case l.Unit != "":
			h.Party.Name = l.Unit
		}
	}
}

// Inner implements [Sink].
func (s *sink) Inner(l *Line) {
	if s.depth >= 4 {
		return
	}
	if s.machine == nil {
		s.f.machine(nil, s)
	}
	format, line, cur := s.format, s.line, s.machine.cur
	s.depth++
	inner := *l
	if inner.Path == "" {
		inner.Path = line.Path
	}
	if inner.N == 0 {
		inner.N = line.N
	}
	pin := s.machine.pin
	s.machine.pin = nil
	s.machine.line(&inner)
	s.machine.pin = pin
	s.depth--
	s.format, s.line, s.machine.cur = format, line, cur
}

// Seen implements [Sink].
func (s *sink) Seen(t time.Time) { s.seen(t) }

func (s *sink) seen(t time.Time) {
	if t.IsZero() {
		return
	}
	ns := t.UnixNano()
	if s.timed && s.prev-ns > int64(time.Minute) {
		s.rep.Backwards++
	}
	s.prev, s.timed, s.at = ns, true, t
	c := s.span
	if c == nil || s.spanned != s.format {
		c = s.spanOf(t)
	}
	c.lines++
	if ns > c.from && ns < c.to {
		return // nothing new
	}
	s.cover(t)
	if t.Before(c.first) {
		c.first = t
	}
	if t.After(c.last) {
		c.last = t
	}
	c.from, c.to = c.first.UnixNano(), c.last.UnixNano()
}

// spanOf finds the span of the format that is being read, or begins it at t.
func (s *sink) spanOf(t time.Time) *span {
	c := s.cov[s.format]
	if c == nil {
		if s.cov == nil {
			s.cov = map[*Format]*span{}
		}
		c = &span{first: t, last: t}
		s.cov[s.format] = c
	}
	s.span, s.spanned = c, s.format
	return c
}

func (s *sink) cover(t time.Time) {
	if t.IsZero() {
		return
	}
	if s.rep.First.IsZero() || t.Before(s.rep.First) {
		s.rep.First = t
	}
	if t.After(s.rep.Last) {
		s.rep.Last = t
	}
}

func (s *sink) skip(n int, text string) {
	s.rep.Skipped++
	if s.rep.FirstSkipped.N == 0 {
		s.rep.FirstSkipped = Excerpt{n, s.excerpt(text)}
	}
}

func (s *sink) unknown(l *Line, wrapped bool) {
	if s.depth > 0 || wrapped {
		return // a record's text or a logger's ordinary line: its frame was read
	}
	s.rep.Unknown++
	if s.rep.FirstUnknown.N == 0 {
		s.rep.FirstUnknown = Excerpt{l.N, s.excerpt(string(l.Text[:min(len(l.Text), 200)]))}
	}
}

func (s *sink) excerpt(text string) string {
	if !s.f.opt.ShowSecrets {
		return Redact(text)
	}
	return text
}

// end returns the input's facts and completes its report.
func (s *sink) end() []fact.Fact {
	if s.machine != nil {
		s.machine.close()
	}
	out := s.facts
	for _, x := range s.order {
		fo := s.folds[x]
		fo.end(s.rep.Path, s.parties[x], func(f fact.Fact) { out = append(out, f) })
		s.folds[x] = &fold{lost: fo.lost} // lets its memory go
	}
	covered := make([]*Format, 0, len(s.cov))
	for x := range s.cov {
		if x != nil {
			covered = append(covered, x)
		}
	}
	sort.Slice(covered, func(i, j int) bool { return covered[i].ID < covered[j].ID })
	for _, x := range covered {
		c := s.cov[x]
		cov := &fact.Sample{Name: fact.SampleCoverage, Interval: fact.Lasting(c.last.Sub(c.first)), Count: c.lines, Value: float64(c.lines)}
		cov.Time, cov.Party, cov.Origin.Path = c.last, fact.Party{Tech: x.Tech}, s.rep.Path
		cov.Party.Role = x.Role
		if cov.Party.Role == "" {
			cov.Party.Role = s.roleOf(x.Tech)
		}
		if p, ok := s.parties[x]; ok {
			cov.Party = p
		}
		cov.Labels = map[string]string{"format": x.ID}
		if fo := s.folds[x]; fo != nil && fo.lost > 0 {
			cov.Labels["kept"] = "part"
		}
		out = append(out, cov)
	}
	if s.rep.Format == "" {
		most := 0
		for i := range s.f.formats {
			x := &s.f.formats[i]
			if n := s.tally[x]; n > most {
				most, s.rep.Format, s.rep.Tech = n, x.ID, x.Tech
			}
		}
	}
	if !s.f.opt.ShowSecrets && s.rep.Format != "facts" {
		redactFacts(out)
	}
	return out
}

// redactAtOnce is how many facts one processor takes at a time.
const redactAtOnce = 256

// redactFacts takes secrets out of facts on all processors. Samples share
// their labels, and are left to one.
func redactFacts(facts []fact.Fact) {
	parallel((len(facts)+redactAtOnce-1)/redactAtOnce, true, func(i int) {
		for _, x := range facts[i*redactAtOnce : min(len(facts), (i+1)*redactAtOnce)] {
			if _, shares := x.(*fact.Sample); !shares {
				redactFact(x)
			}
		}
	})
	for _, x := range facts {
		if _, shares := x.(*fact.Sample); shares {
			redactFact(x)
		}
	}
}

// roleOf is the role of the first party of a technology that an event names.
func (s *sink) roleOf(tech string) fact.Role {
	for _, x := range s.facts {
		if e, ok := x.(*fact.Event); ok && e.Party.Tech == tech && e.Party.Role != "" {
			return e.Party.Role
		}
	}
	return ""
}
