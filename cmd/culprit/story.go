package main

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
	"culprit/internal/report"
	"culprit/internal/source"
)

// story collects what all parties say of one request.
type story struct {
	id    string
	found []fact.Fact
}

// options have the readers hand over every fact that carries the id, ordinary
// requests included.
func (s *story) options() source.Options {
	if s.id == "" {
		return source.Options{}
	}
	return source.Options{Follow: s.carries, Found: func(f fact.Fact) { s.found = append(s.found, f) }}
}

// carries reports whether a fact has the id: as an id, within a trace header,
// or anywhere in its line.
func (s *story) carries(f fact.Fact, line []byte) bool {
	var ids []string
	switch f := f.(type) {
	case *fact.Request:
		ids = f.IDs
	case *fact.Event:
		ids = f.IDs
	default:
		return false
	}
	return slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(id, s.id) }) || bytes.Contains(line, []byte(s.id))
}

// facts are what was found, in the order of time.
func (s *story) facts() []fact.Fact {
	slices.SortStableFunc(s.found, func(a, b fact.Fact) int {
		x, y := a.Head(), b.Head()
		return cmp.Or(x.Time.Compare(y.Time), strings.Compare(x.Origin.Path, y.Origin.Path), cmp.Compare(x.Origin.Line, y.Origin.Line))
	})
	return slices.CompactFunc(s.found, func(a, b fact.Fact) bool {
		// A packet may be where a request ended and its connection too.
		_, conn := a.(*fact.Conn)
		if _, other := b.(*fact.Conn); conn != other {
			return false
		}
		x, y := a.Head().Origin, b.Head().Origin
		return x.Path == y.Path && x.Line == y.Line && x.Line > 0
	})
}

// narrow leaves only verdicts on failures that carry the id, and adds to the
// story what was said of them without it: error logs seldom name an id.
func (s *story) narrow(rep *report.Report) {
	mine := func(f *failure.Failure) bool {
		return slices.ContainsFunc(f.Seen, func(r *fact.Request) bool { return s.carries(r, []byte(r.Origin.Text)) })
	}
	for _, f := range slices.Concat(rep.World.Failures, rep.World.Recovered) {
		if mine(f) {
			s.found = append(s.found, f.Facts()...)
			for _, c := range f.Conns {
				s.found = append(s.found, c)
			}
			if f.BackendRequest != nil {
				s.found = append(s.found, f.BackendRequest)
			}
		}
	}
	s.connections(rep.World)
	rep.Verdicts = slices.DeleteFunc(rep.Verdicts, func(v *cause.Verdict) bool { return !slices.ContainsFunc(v.Failures, mine) })
}

// connections adds those over which the requests of the story went.
func (s *story) connections(w *failure.World) {
	type key struct{ path, id string }
	over, has := map[key]bool{}, map[fact.Fact]bool{}
	for _, f := range s.found {
		has[f] = true
		r, ok := f.(*fact.Request)
		if !ok {
			continue
		}
		over[key{r.Origin.Path, r.ConnID}] = r.ConnID != ""
		for _, a := range r.Attempts {
			if a.ConnID != "" {
				over[key{r.Origin.Path, a.ConnID}] = true
			}
		}
	}
	for _, c := range w.Conns {
		if over[key{c.Origin.Path, c.ID}] && !has[c] {
			s.found = append(s.found, c)
		}
	}
}
