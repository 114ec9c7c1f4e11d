package report

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// digest is a report as all four writers tell it: sentences made, texts
// cleaned, times still instants.
type digest struct {
	Total, Failed, Recovered, Left int // Left: requests whose client went away
	Start, End                     time.Time
	Headline                       string
	Asked                          string     // "after 2026-03-09 14:00:00": the bounds asked for
	Faults, Others                 []*finding // Others accuse nobody, or nobody could be named
	Inputs                         []Input
	Folder                         string // common to all inputs, with a slash at its end; taken off for people
	Assumptions                    []string
	Plot                           plot
	Story                          []chapter
	Rungs                          []ladder
	captures                       map[string]bool // inputs that hold packets, by path
	zone                           *time.Location
}

// finding is one verdict.
type finding struct {
	*cause.Verdict
	No       int // in the order of people, from 1
	ID       string
	Title    string
	Innocent bool
	Sentence string
	Who      string // "Node (10.8.0.5:8080)", empty if nobody is named
	Percent  string
	Evidence []proof
	Doubts   []proof
	Not      []rival
	Fix      cause.Fix
	Next     []cause.Next
	Apart    []string
	Links    []string
	Wires    []*wire  // examples, the most telling first
	Filters  []filter // that show all of them in Wireshark
}

// proof is a signal with the places it rests on.
type proof struct {
	Says, Why string
	Weight    float64
	Cites     []cite
}

// cite is one place in the evidence.
type cite struct {
	Path, URL string
	Line      int
	Text      string
	Time      time.Time
	Packet    bool // Line is a packet's number
	Default   bool // a documented default, not something written in the file
}

type rival struct {
	Cause, Says string
	Confidence  float64
}

func (r *Report) digest() *digest {
	w := r.World
	d := &digest{Total: w.Total, Failed: w.Failed, Recovered: len(w.Recovered), zone: r.Zone}
	if d.zone == nil {
		d.zone = time.UTC
	}
	d.Start, d.End = r.window()
	for _, f := range w.Failures {
		if f.Mechanism == fact.ClientGone {
			d.Left += f.N
		}
	}
	d.captures = map[string]bool{}
	for _, in := range r.Inputs {
		d.captures[in.Path] = in.captured()
		in.Path, in.Title, in.Err = clean(in.Path), clean(in.Title), clean(in.Err)
		in.FirstSkipped.Text, in.FirstUnrecognised.Text = clean(in.FirstSkipped.Text), clean(in.FirstUnrecognised.Text)
		d.Inputs = append(d.Inputs, in)
	}
	d.Folder = commonFolder(d.Inputs)
	for _, v := range r.Verdicts {
		f := d.finding(v)
		if f.Innocent || v.Cause == nil {
			d.Others = append(d.Others, f)
		} else {
			d.Faults = append(d.Faults, f)
		}
	}
	slices.SortStableFunc(d.Others, func(a, b *finding) int { return cmp.Compare(rank(a), rank(b)) })
	for i, f := range d.findings() {
		f.No = i + 1
	}
	d.Asked = d.asked(r.Since, r.Until)
	d.Headline = d.headline()
	d.Assumptions = r.assumptions(d)
	d.Plot = d.plot()
	d.Rungs = ladders(w)
	d.Story = d.chapters(r.Story)
	return d
}

// rank puts what nobody could tell before what accuses nobody.
func rank(f *finding) int {
	if f.Innocent {
		return 1
	}
	return 0
}

// findings are all, in the order in which people read them.
func (d *digest) findings() []*finding { return slices.Concat(d.Faults, d.Others) }

// window is what the evidence speaks of, within the bounds asked for.
func (r *Report) window() (start, end time.Time) {
	start, end = r.World.First, r.World.Last
	if !r.Since.IsZero() && (start.IsZero() || start.Before(r.Since)) {
		start = r.Since
	}
	if !r.Until.IsZero() && (end.IsZero() || end.After(r.Until)) {
		end = r.Until
	}
	return start.UTC(), end.UTC()
}

func (d *digest) finding(v *cause.Verdict) *finding {
	f := &finding{Verdict: v, ID: v.ID(), Percent: percent(v.Confidence)}
	if v.Cause != nil {
		f.Title, f.Innocent, f.Links = clean(v.Cause.Title), v.Cause.Kind == cause.Innocent, v.Cause.Links
	} else {
		f.Title = "Cause not known"
		if v.Mechanism != "" {
			f.Title += ": " + mechanismWords(v.Mechanism)
		}
	}
	f.Who = who(v.Blame)
	f.Sentence = d.sentence(f)
	for _, s := range v.Signals {
		f.Evidence = append(f.Evidence, d.proofOf(s))
	}
	if len(f.Evidence) == 0 && len(v.Failures) > 0 {
		says := "what is told of them"
		if v.Mechanism != "" {
			says = mechanismWords(v.Mechanism)
		}
		f.Evidence = []proof{d.proofOf(cause.Signal{Says: says, Why: "what the evidence says of these failures", Facts: cause.Cite(v.Failures)})}
	}
	for _, s := range v.Doubts {
		f.Doubts = append(f.Doubts, d.proofOf(s))
	}
	for _, o := range v.RuledOut {
		f.Not = append(f.Not, rival{o.Cause.ID, clean(o.Says), o.Confidence})
	}
	f.Fix = cause.Fix{Summary: clean(v.Fix.Summary), Patch: cleanLines(v.Fix.Patch)}
	for _, s := range v.Fix.Steps {
		f.Fix.Steps = append(f.Fix.Steps, clean(s))
	}
	for _, n := range v.Next {
		f.Next = append(f.Next, cause.Next{Evidence: clean(n.Evidence), Command: cleanLines(n.Command), WouldTell: clean(n.WouldTell)})
	}
	for _, c := range v.Contrasts {
		f.Apart = append(f.Apart, contrast(c))
	}
	if v.Clock != nil {
		f.Apart = append(f.Apart, d.clock(v.Clock))
	}
	f.Wires = wires(v)
	f.Filters = filtersOf(v, f.Wires)
	return f
}

func (d *digest) proofOf(s cause.Signal) proof {
	p := proof{Says: clean(s.Says), Why: clean(s.Why), Weight: s.Weight}
	seen := map[string]bool{}
	for _, x := range s.Facts {
		c := d.citeOf(x)
		key := fmt.Sprint(c.Path, c.Line, c.Text)
		if !seen[key] {
			seen[key] = true
			p.Cites = append(p.Cites, c)
		}
	}
	return p
}

func (d *digest) citeOf(x fact.Fact) cite {
	h := x.Head()
	c := cite{Path: clean(h.Origin.Path), Line: h.Origin.Line, Text: clean(h.Origin.Text), URL: clean(h.Origin.URL), Time: h.Time, Packet: d.isPacket(x)}
	if conn, ok := x.(*fact.Conn); ok && c.Text == "" {
		c.Text = clean(connSays(conn))
	}
	if set, ok := x.(*fact.Setting); ok && set.Basis == fact.Default {
		c.Default, c.Text = true, defaultText(set)
	}
	return c
}

// defaultText says a default as its owner's user would write it.
func defaultText(s *fact.Setting) string {
	text := ""
	switch {
	case s.Dur.Known && s.Spelling != "":
		text = cause.Spell(s.Spelling, s.Dur.D)
	case s.Num.Known && s.Spelling != "":
		text = cause.SpellNum(s.Spelling, s.Num.N)
	case s.Dur.Known:
		text = string(s.Knob) + " " + cause.Span(s.Dur.D)
	case s.Num.Known:
		text = fmt.Sprintf("%s %d", s.Knob, s.Num.N)
	default:
		text = string(s.Knob) + " " + s.Text
	}
	return clean(text)
}

// who names a party for a sentence: "Node (10.8.0.5:8080)".
func who(p fact.Party) string {
	name := p.Name
	if p.Tech != "" && (name == "" || !witnesses[p.Tech] || p.Role != fact.RoleBackend) {
		name = cause.TechTitle(p.Tech)
		if p.Name != "" && !strings.EqualFold(p.Name, name) {
			name += " " + p.Name
		}
	}
	switch {
	case name == "" && p.Address == "":
		return clean(roleWords[p.Role])
	case name == "":
		name = cmp.Or(roleWords[p.Role], "the party at")
	}
	if p.Address != "" && p.Address != p.Name {
		name += " (" + p.Address + ")"
	}
	return clean(name)
}

// witnesses record what others did: a backend that they name is not theirs.
var witnesses = map[string]bool{"journal": true, "linux": true, "docker": true, "kube": true}

var roleWords = map[fact.Role]string{
	fact.RoleClient: "the client", fact.RoleGateway: "the proxy", fact.RoleBackend: "the server",
	fact.RoleHost: "the host", fact.RoleOrchestrator: "the orchestrator", fact.RoleResolver: "the name server",
}

// percent says a confidence; nothing in a log is surer than 99 %.
func percent(c float64) string { return fmt.Sprintf("%d%%", min(99, int(c*100+0.5))) }

// commonFolder is the folder that all inputs share, if there are several in
// it or its name is long.
func commonFolder(in []Input) string {
	if len(in) == 0 {
		return ""
	}
	dir := filepath.Dir(in[0].Path)
	for _, i := range in {
		if i.Path == "-" {
			return ""
		}
		for dir != "." && dir != "/" && !strings.HasPrefix(i.Path, dir+"/") {
			dir = filepath.Dir(dir)
		}
	}
	if dir == "." || dir == "/" {
		return ""
	}
	return dir + "/"
}

// short takes the common folder off a path.
func (d *digest) short(path string) string { return strings.TrimPrefix(path, d.Folder) }

func (r *Report) assumptions(d *digest) []string {
	var out []string
	if r.ZoneAssumed {
		out = append(out, fmt.Sprintf("some stamps name no time zone and were read as %s; --tz ZONE changes that", d.zoneName(d.Start)))
	}
	for _, path := range slices.Sorted(maps.Keys(r.World.Moved)) {
		by, which := r.World.Moved[path], "later"
		if by < 0 {
			by, which = -by, "earlier"
		}
		out = append(out, fmt.Sprintf("%s names no time zone: the access log has its requests %s %s, so it was read so; other logs of that machine may want --tz", d.short(path), cause.Span(by), which))
	}
	if d.zoneName(d.Start) != "UTC" && slices.ContainsFunc(d.findings(), (*finding).tellsClock) {
		out = append(out, fmt.Sprintf("times within the sentences of the evidence are in UTC, all others in %s", d.zoneName(d.Start)))
	}
	for _, s := range r.World.Skews {
		a, b := vantage(s.A), vantage(s.B)
		ahead := s.Ahead
		if ahead < 0 {
			a, b, ahead = b, a, -ahead
		}
		out = append(out, fmt.Sprintf("the clock of %s is %s ahead of that of %s (seen at %s); taken into account", a, cause.Span(ahead), b, cause.Count(s.Matched, "request")))
	}
	for _, in := range d.Inputs {
		if in.Backwards > 0 {
			out = append(out, fmt.Sprintf("%s: time runs backwards at %s, as if several logs were joined or a clock was set", d.short(in.Path), cause.Count(in.Backwards, in.unit())))
		}
	}
	return out
}

// clockTime is a time of day within a sentence.
var clockTime = regexp.MustCompile(`\b[0-2]\d:[0-5]\d\b`)

// tellsClock reports whether a cause wrote a time of day into its sentences.
func (f *finding) tellsClock() bool {
	tells := func(p proof) bool { return clockTime.MatchString(p.Says) }
	return slices.ContainsFunc(f.Evidence, tells) || slices.ContainsFunc(f.Doubts, tells)
}

// vantage makes words of "nginx//web-1".
func vantage(s string) string {
	if file, ok := strings.CutPrefix(s, "capture/"); ok {
		if i := strings.LastIndexByte(file, '/'); i >= 0 {
			file = file[:i] // whose view it shows is no matter of its clock
		}
		return clean(path.Base(file))
	}
	parts := strings.Split(s, "/")
	out := cause.TechTitle(parts[0])
	for _, p := range parts[1:] {
		if p != "" {
			out += " " + p
		}
	}
	return clean(out)
}

func contrast(c failure.Contrast) string {
	return clean(fmt.Sprintf("%s %s: %s failures, but %s good requests of the same minutes", c.Property, c.Value, share(c.Failed, c.FailedOf), share(c.Ordinary, c.OrdinaryOf)))
}

func share(n, of int) string {
	switch {
	case n == of:
		return fmt.Sprintf("all %d", n)
	case n == 0:
		return fmt.Sprintf("none of %d", of)
	}
	return fmt.Sprintf("%d of %d", n, of)
}

// clock says that failures gather at one minute of a cycle.
func (d *digest) clock(c *failure.ClockMinute) string {
	when := fmt.Sprintf("every %s, %s in", cause.Span(c.Every), cause.Span(c.At))
	switch {
	case c.Every == 24*time.Hour:
		t := time.Unix(0, 0).UTC().Add(c.At)
		when = "every day at " + t.Format("15:04") + " UTC"
	case c.Every == time.Hour:
		when = fmt.Sprintf("at minute %02d of the hour", int(c.At.Minutes()))
	case c.At == 0:
		when = "every " + cause.Span(c.Every) + " by the clock"
	}
	return fmt.Sprintf("the clock: %s failures lie %s (%d times): look for a job that starts then", share(c.In, c.Of), when, c.Bursts)
}
