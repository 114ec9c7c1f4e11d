package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
)

// Schema names the form of the JSON report. Fields may be added to it, never
// renamed.
const Schema = "culprit.report/v1"

type jsonReport struct {
	Schema      string        `json:"schema"`
	Summary     string        `json:"summary"`
	Window      jsonWindow    `json:"window"`
	Inputs      []jsonInput   `json:"inputs"`
	Requests    jsonRequests  `json:"requests"`
	Verdicts    []jsonVerdict `json:"verdicts"`
	Timeline    *jsonTimeline `json:"timeline,omitempty"`
	Assumptions []string      `json:"assumptions,omitempty"`
	Story       []jsonChapter `json:"story,omitempty"`
}

type jsonChapter struct {
	Time  instant `json:"time"`
	Party string  `json:"party"`
	Says  string  `json:"says"`
	Path  string  `json:"path"`
	Line  int     `json:"line"`
	Text  string  `json:"text"`

	Connections []jsonConn `json:"connections,omitempty"`
}

// instant is RFC 3339 in UTC, null if not known.
type instant struct{ time.Time }

func (t instant) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(time.RFC3339Nano))
}

type jsonWindow struct {
	Start instant `json:"start"`
	End   instant `json:"end"`
}

type jsonInput struct {
	Path              string       `json:"path"`
	Format            string       `json:"format"`
	Lines             int          `json:"lines"`
	Skipped           int          `json:"skipped"`
	Unrecognised      int          `json:"unrecognised"`
	Requests          int          `json:"requests,omitempty"`
	FirstSkipped      *jsonExcerpt `json:"first_skipped,omitempty"`
	FirstUnrecognised *jsonExcerpt `json:"first_unrecognised,omitempty"`
	Cut               int          `json:"cut,omitempty"`
	Backwards         int          `json:"backwards,omitempty"`
	Error             string       `json:"error,omitempty"`
	// Counts are what a capture holds: streams, responses, resets, refused.
	Counts map[string]int `json:"counts,omitempty"`
}

type jsonExcerpt struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

type jsonRequests struct {
	Total      int `json:"total"`
	Failed     int `json:"failed"`
	Recovered  int `json:"recovered"`
	ClientLeft int `json:"client_left"`
}

type jsonVerdict struct {
	Cause      string         `json:"cause"`
	Title      string         `json:"title"`
	Summary    string         `json:"summary"`
	Grade      cause.Grade    `json:"grade"`
	Confidence float64        `json:"confidence"`
	Mechanism  fact.Mechanism `json:"mechanism"`
	Failures   int            `json:"failures"`
	Recovered  int            `json:"recovered"`
	First      instant        `json:"first"`
	Last       instant        `json:"last"`
	Blame      jsonBlame      `json:"blame"`
	Evidence   []jsonEvidence `json:"evidence"`
	Against    []jsonAgainst  `json:"against"`
	Doubts     []jsonDoubt    `json:"doubts"`
	Fix        jsonFix        `json:"fix"`
	Next       *jsonNext      `json:"next"`
	NextAll    []jsonNext     `json:"next_all"`
	Contrasts  []jsonContrast `json:"contrasts"`
	Clock      *jsonClock     `json:"clock,omitempty"`
	IDs        []string       `json:"request_ids,omitempty"`
	// Connections are those of examples; DisplayFilters show all of them.
	Connections    []jsonConn   `json:"connections,omitempty"`
	DisplayFilters []jsonFilter `json:"display_filter,omitempty"`
}

type jsonBlame struct {
	Party   string `json:"party"`
	Name    string `json:"name"`
	Address string `json:"address"`
	Role    string `json:"role"`
	Tech    string `json:"tech,omitempty"`
	Host    string `json:"host,omitempty"`
}

type jsonEvidence struct {
	Path   string  `json:"path"`
	Line   int     `json:"line"`
	Text   string  `json:"text"`
	Says   string  `json:"says"`
	Weight float64 `json:"weight"`
	Why    string  `json:"why,omitempty"`
	Time   instant `json:"time"`
	URL    string  `json:"url,omitempty"`
}

type jsonAgainst struct {
	Cause      string  `json:"cause"`
	Says       string  `json:"says"`
	Confidence float64 `json:"confidence"`
}

type jsonDoubt struct {
	Says   string  `json:"says"`
	Weight float64 `json:"weight"`
	Why    string  `json:"why,omitempty"`
}

type jsonFix struct {
	Summary string   `json:"summary"`
	Steps   []string `json:"steps"`
	Patch   string   `json:"patch"`
}

type jsonNext struct {
	Evidence  string `json:"evidence"`
	Command   string `json:"command"`
	WouldTell string `json:"would_tell"`
}

type jsonContrast struct {
	Property    string  `json:"property"`
	Value       string  `json:"value"`
	Failed      int     `json:"failed"`
	FailedOf    int     `json:"failed_of"`
	Ordinary    int     `json:"ordinary"`
	OrdinaryOf  int     `json:"ordinary_of"`
	Probability float64 `json:"probability"`
}

type jsonClock struct {
	EverySeconds float64 `json:"every_s"`
	AtSeconds    float64 `json:"at_s"`
	In           int     `json:"in"`
	Of           int     `json:"of"`
	Times        int     `json:"times"`
}

type jsonTimeline struct {
	Start  instant   `json:"start"`
	Step   float64   `json:"step_s"`
	Counts []jsonRow `json:"rows"`
}

type jsonRow struct {
	Cause  string `json:"cause"`
	Counts []int  `json:"counts"`
}

// maxIDs bounds the request ids listed of one verdict: to look some up, not to
// copy the log.
const maxIDs = 50

// JSON writes the report as one JSON object.
func JSON(w io.Writer, r *Report) error {
	d := r.digest()
	out := jsonReport{
		Schema: Schema, Summary: d.Headline,
		Window:      jsonWindow{instant{d.Start}, instant{d.End}},
		Requests:    jsonRequests{d.Total, d.Failed, d.Recovered, d.Left},
		Inputs:      []jsonInput{},
		Verdicts:    []jsonVerdict{},
		Assumptions: d.Assumptions,
	}
	for _, in := range d.Inputs {
		j := jsonInput{Path: in.Path, Format: in.Format, Lines: in.Lines, Skipped: in.Skipped, Unrecognised: in.Unrecognised, Requests: in.Requests, Cut: in.Cut, Backwards: in.Backwards, Error: in.Err, Counts: in.Counts}
		j.FirstSkipped, j.FirstUnrecognised = jsonExcerptOf(in.FirstSkipped), jsonExcerptOf(in.FirstUnrecognised)
		out.Inputs = append(out.Inputs, j)
	}
	for _, v := range r.Verdicts {
		out.Verdicts = append(out.Verdicts, jsonVerdictOf(d.finding(v)))
	}
	if p := d.Plot; len(p.Rows) > 0 {
		out.Timeline = &jsonTimeline{Start: instant{p.Start}, Step: p.Step.Seconds()}
		for _, row := range p.Rows {
			out.Timeline.Counts = append(out.Timeline.Counts, jsonRow{row.ID, row.Counts})
		}
	}
	for _, c := range d.Story {
		out.Story = append(out.Story, jsonChapter{Time: instant{c.At}, Party: c.Party, Says: c.Says, Path: c.Cite.Path, Line: c.Cite.Line, Text: c.Cite.Text, Connections: jsonConns(c.wires())})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func jsonExcerptOf(x Excerpt) *jsonExcerpt {
	if x.Line == 0 {
		return nil
	}
	return &jsonExcerpt{x.Line, x.Text}
}

func jsonVerdictOf(f *finding) jsonVerdict {
	v := jsonVerdict{
		Cause: f.ID, Title: f.Title, Summary: f.Sentence, Grade: f.Grade, Confidence: round(f.Confidence, 4), Mechanism: f.Mechanism,
		Failures: f.N, Recovered: f.Verdict.Recovered, First: instant{f.First}, Last: instant{f.Last}, Blame: blameOf(f),
		Evidence: []jsonEvidence{}, Against: []jsonAgainst{}, Doubts: []jsonDoubt{}, NextAll: []jsonNext{}, Contrasts: []jsonContrast{},
		Fix: jsonFix{f.Fix.Summary, append([]string{}, f.Fix.Steps...), f.Fix.Patch},
	}
	for _, p := range f.Evidence {
		for _, c := range p.Cites {
			v.Evidence = append(v.Evidence, jsonEvidence{c.Path, c.Line, c.Text, p.Says, round(p.Weight, 2), p.Why, instant{c.Time}, c.URL})
		}
	}
	for _, o := range f.Not {
		v.Against = append(v.Against, jsonAgainst{o.Cause, o.Says, round(o.Confidence, 4)})
	}
	for _, p := range f.Verdict.Doubts {
		v.Doubts = append(v.Doubts, jsonDoubt{clean(p.Says), round(p.Weight, 2), clean(p.Why)})
	}
	for _, n := range f.Next {
		v.NextAll = append(v.NextAll, jsonNext{n.Evidence, n.Command, n.WouldTell})
	}
	if len(v.NextAll) > 0 {
		v.Next = &v.NextAll[0]
	}
	for _, c := range f.Contrasts {
		v.Contrasts = append(v.Contrasts, jsonContrast{c.Property, clean(c.Value), c.Failed, c.FailedOf, c.Ordinary, c.OrdinaryOf, round(c.Probability, 8)})
	}
	if c := f.Clock; c != nil {
		v.Clock = &jsonClock{c.Every.Seconds(), c.At.Seconds(), c.In, c.Of, c.Bursts}
	}
	v.Connections = jsonConns(f.Wires)
	for _, x := range f.Filters {
		v.DisplayFilters = append(v.DisplayFilters, jsonFilter{x.Path, x.Expr(), x.More})
	}
	for _, x := range f.Failures {
		for _, id := range x.IDs {
			if len(v.IDs) < maxIDs {
				v.IDs = append(v.IDs, clean(id))
			}
		}
	}
	return v
}

// blameOf names the party: its role, its name or else its technology.
func blameOf(f *finding) jsonBlame {
	p := f.Blame
	b := jsonBlame{Party: string(p.Role), Role: string(p.Role), Name: clean(p.Name), Address: clean(p.Address), Tech: p.Tech, Host: clean(p.Host)}
	switch {
	case b.Party != "":
	case f.Innocent:
		b.Party = "none"
	default:
		b.Party = "unknown"
	}
	if b.Name == "" {
		b.Name = p.Tech
	}
	return b
}

func round(f float64, digits int) float64 {
	m := math.Pow(10, float64(digits))
	return math.Round(f*m) / m
}
