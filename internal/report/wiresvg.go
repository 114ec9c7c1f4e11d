package report

import (
	"fmt"
)

// The drawing's measures, in the units of its view box: one is about a pixel
// of a desktop's page.
const (
	svgWidth  = 880
	svgLeft   = 170 // the first lifeline; time and number are left of it
	svgRight  = svgWidth - 24
	svgHead   = 34 // the names
	svgRow    = 30
	svgRest   = 32 // a silence, or what is left out
	svgLetter = 7.3
	svgRows   = 24
)

// wireOnPage is a wire as the page's template sees it.
type wireOnPage struct {
	Says     string
	Notes    []string
	Drawings []drawing
}

// drawing is one ladder: of a leg, or of both side by side.
type drawing struct {
	Legs          []string // addresses
	Zero          string
	Label         string
	Width, Height int
	Names         []svgName
	Lines         []svgLine
	Rows          []svgStep
}

type svgName struct {
	X, Y   int
	Anchor string
	Text   string
}

// svgLine is a piece of a lifeline, broken where nothing is sent.
type svgLine struct {
	X, From, To int
	Gap         bool
}

type svgStep struct {
	Y, TextY         int
	Time, N          string
	Arrow            bool
	From, To, Middle int
	Heads            []string
	Says, Title      string
	Class            string
}

// Draw hands a wire to its template.
func (p htmlPage) Draw(w *wire) wireOnPage {
	out := wireOnPage{Says: w.Says, Notes: w.Notes}
	if !w.Apart {
		out.Drawings = append(out.Drawings, p.drawing(w, w.shown(svgRows), 0, len(w.Legs)))
		return out
	}
	for i := range w.Legs {
		var steps []step
		for _, s := range w.Steps {
			if s.Leg == i {
				steps = append(steps, s)
			}
		}
		out.Drawings = append(out.Drawings, p.drawing(w, shorten(steps, svgRows), i, i+1))
	}
	return out
}

// Examples are the ladders of a finding.
func (p htmlPage) Examples(f *finding) []*wire { return p.examples(f) }

// More heads the examples that are folded away.
func (p htmlPage) More(list []*wire) string {
	return plural(len(list)-1, "more example", "more examples")
}

// Captured reports whether an input holds packets instead of lines.
func (in Input) Captured() bool { return in.captured() }

// drawing sets steps between the lifelines of the legs from first to below
// end.
func (p htmlPage) drawing(w *wire, steps []step, first, end int) drawing {
	d := drawing{Width: svgWidth, Label: "packet ladder", Zero: p.zeroWords(w, end-1)}
	if w.Says != "" {
		d.Label += ": " + w.Says
	}
	for i := first; i < end; i++ {
		d.Legs = append(d.Legs, p.legWords(&w.Legs[i]))
	}
	span := (svgRight - svgLeft) / (end - first)
	for i, name := range w.Parties[first : end+1] {
		n := svgName{X: svgLeft + i*span, Y: 18, Anchor: "middle", Text: cut(name, 24)}
		switch i {
		case 0:
			n.X, n.Anchor = n.X-8, "start"
		case end - first:
			n.X, n.Anchor = n.X+8, "end"
		}
		d.Names = append(d.Names, n)
	}
	lives := make([]svgLine, end-first+1)
	for i := range lives {
		lives[i] = svgLine{X: svgLeft + i*span, From: svgHead - 8}
	}
	y := svgHead
	for i := range steps {
		s := &steps[i]
		high := svgRow
		if s.Kind != packet {
			high = svgRest
		}
		for k := range lives {
			broken := s.Kind != packet && (s.Leg < 0 || s.Leg == first+k || s.Leg == first+k-1)
			if broken != lives[k].Gap {
				lives[k].To = y
				d.Lines = append(d.Lines, lives[k])
				lives[k] = svgLine{X: lives[k].X, From: y, Gap: broken}
			}
		}
		d.Rows = append(d.Rows, p.row(w, s, svgLeft+(s.Leg-first)*span, span, y, high))
		y += high
	}
	for k := range lives {
		lives[k].To = y + 8
		d.Lines = append(d.Lines, lives[k])
	}
	d.Height = y + 12
	return d
}

// row places a step between two lifelines.
func (p htmlPage) row(w *wire, s *step, left, span, y, high int) svgStep {
	if s.Leg < 0 {
		left, span = svgLeft, svgRight-svgLeft
	}
	r := svgStep{Y: y + high - 8, Middle: left + span/2, Says: cut(s.Says, int(float64(span-24)/svgLetter))}
	if s.Kind != packet {
		r.TextY = y + high/2 + 4
		r.Class = "rest"
		if s.Kind == silence {
			r.Class = "idle"
		}
		return r
	}
	r.TextY, r.Arrow = r.Y-6, true
	r.Time = w.offsetOf(s)
	if s.N > 0 {
		r.N = fmt.Sprint(s.N)
	}
	switch {
	case s.Killing:
		r.Class = "kill"
	case s.Bad:
		r.Class = "bad"
	}
	if !s.At.IsZero() {
		r.Title = s.At.In(p.zone).Format("15:04:05.000000")
	}
	if s.Packets > 1 {
		r.Title += " " + plural(s.Packets, "packet", "packets")
	}
	r.From, r.To = left+3, left+span-3
	if !s.FromServer || s.opening {
		r.Heads = append(r.Heads, fmt.Sprintf("%d,%d %d,%d %d,%d", r.To, r.Y, r.To-9, r.Y-4, r.To-9, r.Y+4))
	}
	if s.FromServer || s.opening {
		r.Heads = append(r.Heads, fmt.Sprintf("%d,%d %d,%d %d,%d", r.From, r.Y, r.From+9, r.Y-4, r.From+9, r.Y+4))
	}
	return r
}
