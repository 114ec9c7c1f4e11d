package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"number": number,
}).Parse(pageText))

// HTML writes the report as one file that asks nothing of other hosts.
func HTML(w io.Writer, r *Report) error {
	d := r.digest()
	if err := pageTemplate.Execute(w, htmlPage{d, map[string]bool{}}); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// htmlPage is what the template sees of a digest.
type htmlPage struct {
	*digest
	told map[string]bool // lines already shown
}

// Findings are all, in the order of people.
func (p htmlPage) Findings() []*finding { return p.findings() }

// Spans says when a finding's failures were.
func (p htmlPage) Spans(f *finding) string { return p.spans(f) }

// Outcome says what became of the request that is followed.
func (p htmlPage) Outcome() string { return p.outcome() }

// Stamp writes the instant of a chapter.
func (p htmlPage) Stamp(c chapter) string { return p.stamp(c) }

// Short takes the common folder off a path.
func (p htmlPage) Short(s string) string {
	if s == "-" {
		return "standard input"
	}
	return p.short(s)
}

// proofOnPage is a proof with the page it stands on: the lines to show, and
// those to fold away because they are many or were shown before.
type proofOnPage struct {
	Page        htmlPage
	Proof       proof
	First, Rest []cite
}

// With hands a proof to its template.
func (p htmlPage) With(x proof) proofOnPage {
	out := proofOnPage{Page: p, Proof: x}
	for _, c := range x.Cites {
		key := fmt.Sprint(c.Path, c.Line, c.Text)
		if p.told[key] || len(out.First) == showCites {
			out.Rest = append(out.Rest, c)
			continue
		}
		p.told[key] = true
		out.First = append(out.First, c)
	}
	return out
}

// citeOnPage is a cite with the words for its place.
type citeOnPage struct {
	cite
	Where string
}

// Cite hands a cite to its template.
func (p htmlPage) Cite(c cite) citeOnPage {
	return citeOnPage{c, c.at(p.Short(c.Path))}
}

// Tone is the colour of the finding with a number.
func (p htmlPage) Tone(no int) string { return p.findings()[no-1].Tone() }

// Word is the grade with how sure it is.
func (f *finding) Word() string { return f.word() }

// Tone is the class of a finding's colour.
func (f *finding) Tone() string {
	switch {
	case f.Innocent:
		return "calm"
	case f.Cause == nil:
		return "open"
	case f.Grade == "proven":
		return "sure"
	}
	return "half"
}

// Share is the width of a weight's bar, in percent; 20 decibans, a hundred to
// one, fill it.
func (p proof) Share() int { return int(math.Min(100, math.Abs(p.Weight)*5)) }

// Decibans writes the weight.
func (p proof) Decibans() string { return fmt.Sprintf("%+.1f dB", p.Weight) }

// Troubles says what of an input was not read.
func (in Input) Troubles() []string {
	var out []string
	for _, t := range in.troubles() {
		s := t.says
		if t.at.Line > 0 && t.at.Text != "" {
			s += fmt.Sprintf(" (%d: %s)", t.at.Line, cut(t.at.Text, 120))
		}
		out = append(out, s)
	}
	return out
}

// bar is one bar of the time chart, in units of its view box: one a step
// across, a hundred down.
type bar struct {
	X     int
	Y, H  float64
	Title string
}

// Bars are the bars of a row.
func (p htmlPage) Bars(r plotRow) []bar {
	var out []bar
	for i, n := range r.Counts {
		if n == 0 {
			continue
		}
		h := math.Max(6, 100*float64(n)/float64(max(p.Plot.Most, 1)))
		at := p.Plot.Start.Add(p.Plot.Step * time.Duration(i)).In(p.zone)
		out = append(out, bar{X: i, Y: 100 - h, H: h, Title: at.Format("15:04:05") + ": " + requests(n)})
	}
	return out
}

// Steps is how many steps the plot has.
func (p htmlPage) Steps() int {
	if len(p.Plot.Rows) == 0 {
		return 1
	}
	return len(p.Plot.Rows[0].Counts)
}

// From, Middle and To label the axis of the plot.
func (p htmlPage) From() string { return p.axis(p.Plot.Start) }

// Middle is the label of the middle of the axis.
func (p htmlPage) Middle() string {
	return p.axis(p.Plot.Start.Add(p.Plot.End().Sub(p.Plot.Start) / 2))
}

// To is the label of the end of the axis.
func (p htmlPage) To() string { return p.axis(p.Plot.End()) }

// Step is how long one bar is.
func (p htmlPage) Step() string { return span(p.Plot.Step) }

// Width is the length of a rung in percent, on a logarithmic scale from half
// a second to the longest of its ladder.
func (l ladder) Width(r rung) int {
	longest := time.Second
	for _, x := range l.Rungs {
		longest = max(longest, x.Dur)
	}
	if r.Endless {
		return 100
	}
	scale := func(d time.Duration) float64 { return math.Log1p(2 * d.Seconds()) }
	return max(3, int(88*scale(r.Dur)/scale(longest)))
}
