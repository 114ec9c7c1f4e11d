package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"culprit/internal/cause"
)

// What text shows of long lists; --verbose shows all.
const (
	showProofs = 5
	showCites  = 2 // of the first proof; one of the others
	showSteps  = 4
	showNot    = 4
	showApart  = 3
	// tiny: a verdict on under one failure in twenty is told in short, where
	// others tell of more.
	tiny = 20
)

// Text writes the report for a terminal of 80 columns.
func Text(w io.Writer, r *Report) error {
	d := r.digest()
	t := &text{page: page{color: r.Color}, d: d, verbose: r.Verbose, told: map[string]bool{}}
	if t.story(); d.Story == nil || len(d.findings()) > 0 {
		t.summary()
	}
	for _, f := range d.findings() {
		t.finding(f)
	}
	t.timeline()
	t.inputs()
	t.assumptions()
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

type text struct {
	page
	d       *digest
	verbose bool
	told    map[string]bool // lines already shown
}

// summary is the first line, and with several findings one line each.
func (t *text) summary() {
	t.wrap(bold, 0, "", t.d.Headline)
	fs := t.d.findings()
	if len(fs) < 2 {
		return
	}
	wide := 0
	for _, f := range fs {
		wide = max(wide, cells(f.ID))
	}
	for _, f := range fs {
		head := fmt.Sprintf("%2d  %s  %s  %s", f.No, padLeft(number(f.N), 7), pad(f.word(), 13), pad(f.ID, wide+1))
		tail := ""
		if f.Who != "" {
			tail = " " + cut(f.Who, columns-cells(head)-1)
		} else {
			head = strings.TrimRight(head, " ")
		}
		t.b.WriteString(t.painted(f.paint(), head) + tail + "\n")
	}
}

// word is the grade with how sure it is.
func (f *finding) word() string {
	if f.Cause == nil {
		return "not known"
	}
	return string(f.Grade) + " " + f.Percent
}

func (f *finding) paint() paint {
	switch {
	case f.Innocent:
		return dim
	case f.Grade == cause.Proven:
		return red
	case f.Grade == cause.Likely, f.Grade == cause.Possible:
		return yellow
	}
	return noPaint
}

// finding tells one verdict.
func (t *text) finding(f *finding) {
	t.blank()
	lead := ""
	if len(t.d.findings()) > 1 {
		lead = fmt.Sprintf("%d. ", f.No)
	}
	t.wrap(f.paint(), 0, lead, f.Sentence)
	in := cells(lead)
	small := !t.verbose && len(t.d.findings()) > 1 && f.No > 1 && f.N*tiny < t.d.Failed
	t.facts(f, in)
	t.proofs(f, in, small)
	if !small {
		t.doubts(f, in)
	}
	t.wires(f, in, small)
	if small {
		if f.Fix.Summary != "" {
			t.wrap(noPaint, in, "Fix: ", f.Fix.Summary)
		}
		return
	}
	t.apart(f, in)
	t.fix(f, in)
	t.not(f, in)
	t.next(f, in)
}

// facts are the id and when it was.
func (t *text) facts(f *finding, in int) {
	parts := []string{f.ID}
	if s := t.d.spans(f); s != "" {
		parts = append(parts, s)
	}
	if n := f.Verdict.Recovered; n > 0 {
		parts = append(parts, plural(n, "more try was", "more tries were")+" made good by a retry")
	}
	t.wrap(dim, in, "", strings.Join(parts, " · "))
}

func (t *text) proofs(f *finding, in int, small bool) {
	list := f.Evidence
	if !t.verbose {
		list = list[:min(len(list), showProofs)]
	}
	if small {
		list = list[:min(len(list), 1)]
	}
	if len(list) == 0 {
		return
	}
	t.wrap(bold, in, "", "Evidence")
	for i, p := range list {
		says := p.Says
		if t.verbose {
			says += fmt.Sprintf(" [%+.1f dB: %s]", p.Weight, p.Why)
		}
		t.wrap(noPaint, in+2, "- ", says)
		t.cites(p, in+4, max(1, showCites-i))
	}
}

// cites shows lines not yet shown, as many as told; of the others, where they
// stand.
func (t *text) cites(p proof, in, most int) {
	shown, left := 0, []string{}
	for _, c := range p.Cites {
		where := t.where(c)
		switch {
		case c.Default:
			t.wrap(dim, in, "", c.Text+" (documented default)")
		case t.told[where+c.Text] || where == "" && c.Text == "":
		case shown < most || t.verbose:
			t.told[where+c.Text] = true
			shown++
			t.cite(c, where, in)
		case where != "":
			left = append(left, where)
		}
	}
	if len(left) > 0 {
		t.wrap(dim, in, "", "also "+strings.Join(joinLines(left), ", "))
	}
}

// joinLines writes "a.log:3, a.log:7" as "a.log:3, 7", and packets as
// "a.pcap packet 3, 7".
func joinLines(in []string) []string {
	var out []string
	prev := ""
	for _, s := range in {
		i := strings.LastIndexByte(s, ':')
		if k := strings.LastIndex(s, packetWord); k > i {
			i = k + len(packetWord) - 1
		}
		if i > 0 && s[:i] == prev {
			s = s[i+1:]
		} else if i > 0 {
			prev = s[:i]
		}
		out = append(out, s)
	}
	return out
}

// packetWord stands between a capture and a packet's number.
const packetWord = " packet "

// cite shows one line behind its place, cut after a few lines of text.
func (t *text) cite(c cite, where string, in int) {
	lead := where + "  "
	if c.Text == "" {
		t.put(cyan, in, where)
		return
	}
	if cells(lead) > columns/2 {
		t.put(cyan, in, where)
		lead = "  "
	}
	hang := in + 4
	first := fold(c.Text, columns-in-cells(lead))[0]
	rest := strings.TrimSpace(strings.TrimPrefix(strings.Join(strings.Fields(c.Text), " "), first))
	if where != strings.TrimSpace(lead) {
		hang = in + 2
	}
	t.b.WriteString(strings.Repeat(" ", in) + t.painted(cyan, lead) + t.painted(dim, first) + "\n")
	if rest == "" {
		return
	}
	if !t.verbose {
		t.put(dim, hang, cut(rest, columns-hang))
		return
	}
	t.wrap(dim, hang, "", rest)
}

// where says file and line.
func (t *text) where(c cite) string {
	if c.Path == "" {
		return ""
	}
	return c.at(t.d.pathWords(c.Path))
}

func (t *text) doubts(f *finding, in int) {
	for _, p := range f.Doubts {
		says := "but " + p.Says
		if t.verbose {
			says += fmt.Sprintf(" [%+.1f dB: %s]", p.Weight, p.Why)
		}
		t.wrap(noPaint, in+2, "- ", says)
	}
}

func (t *text) apart(f *finding, in int) {
	if len(f.Apart) == 0 {
		return
	}
	t.wrap(bold, in, "", "What sets the failures apart")
	for i, s := range f.Apart {
		if i == showApart && !t.verbose {
			break
		}
		t.wrap(noPaint, in+2, "- ", s)
	}
}

func (t *text) fix(f *finding, in int) {
	if f.Fix.Summary == "" && f.Fix.Patch == "" && len(f.Fix.Steps) == 0 {
		return
	}
	for _, g := range t.d.findings()[:f.No-1] {
		if g.Fix.Summary == f.Fix.Summary && g.Fix.Patch == f.Fix.Patch && slices.Equal(g.Fix.Steps, f.Fix.Steps) {
			t.wrap(bold, in, "", fmt.Sprintf("Fix: as for %d", g.No))
			return
		}
	}
	t.wrap(bold, in, "", "Fix")
	if f.Fix.Summary != "" {
		t.wrap(noPaint, in+2, "", f.Fix.Summary)
	}
	t.block(f.Fix.Patch, green, in+6, "")
	for i, s := range f.Fix.Steps {
		if i == showSteps && !t.verbose {
			break
		}
		t.wrap(noPaint, in+2, "- ", s)
	}
}

func (t *text) not(f *finding, in int) {
	if len(f.Not) == 0 {
		return
	}
	t.wrap(bold, in, "", "Ruled out")
	for i, o := range f.Not {
		if i == showNot && !t.verbose {
			break
		}
		says := o.Says
		if t.verbose {
			says += fmt.Sprintf(" (%s)", percent(o.Confidence))
		}
		t.wrap(noPaint, in+2, "- ", o.Cause+": "+says)
	}
}

func (t *text) next(f *finding, in int) {
	if len(f.Next) == 0 || f.Grade == cause.Proven && !t.verbose {
		return
	}
	t.wrap(bold, in, "", f.Ask())
	list := f.Next
	if !t.verbose {
		list = list[:1]
	}
	const mark = ` \`
	indent := in + 6 // one for all commands
	for _, n := range list {
		indent = blockIndent(n.Command, indent, mark)
	}
	for _, n := range list {
		s := n.Evidence
		if n.WouldTell != "" {
			s += ": " + n.WouldTell
		}
		t.wrap(noPaint, in+2, "", s)
		t.block(n.Command, green, indent, mark)
	}
}

// bars are the heights of a count in the plot, the least first.
var bars = []rune("▁▂▃▄▅▆▇█")

// timeline draws a row of bars a finding over the time of the failures.
func (t *text) timeline() {
	if p := t.d.Plot; len(p.Rows) > 0 {
		t.head("When (one column is " + span(p.Step) + ")")
		t.plotRows()
	}
}

func (t *text) plotRows() {
	p := t.d.Plot
	const label = 23
	for _, r := range p.Rows {
		var b strings.Builder
		for _, n := range r.Counts {
			if n == 0 {
				b.WriteRune('·')
				continue
			}
			b.WriteRune(bars[(n*len(bars)-1)/max(p.Most, 1)])
		}
		c := yellow
		if !r.Fault {
			c = dim
		}
		name := r.ID
		if len(t.d.findings()) > 1 {
			name = fmt.Sprintf("%d %s", r.No, r.ID)
		}
		t.b.WriteString(pad(cut(name, label), label) + " " + t.painted(c, b.String()) + " " + number(r.N) + "\n")
	}
	steps := len(p.Rows[0].Counts)
	from, to := t.d.axis(p.Start), t.d.axis(p.End())
	gap := max(1, steps-cells(from)-cells(to))
	t.put(dim, label+1, from+strings.Repeat(" ", gap)+to)
}

// story tells what every party said of one request.
func (t *text) story() {
	if t.d.Story == nil {
		return
	}
	t.put(bold, 0, "The story of this request")
	for _, c := range t.d.Story {
		t.wrap(noPaint, 2, pad(t.d.stamp(c), 14), c.Party+": "+c.Says)
		t.cite(c.Cite, t.where(c.Cite), 16)
		if c.Wire != nil {
			t.wire(c.Wire, 4)
		}
	}
	t.blank()
	t.wrap(bold, 0, "", t.d.outcome())
	t.blank()
}

// inputs lists what was read, and what was not.
func (t *text) inputs() {
	var unread []Input
	head := "Read"
	if t.d.Folder != "" {
		head += ", in " + t.d.Folder
	}
	t.head(head)
	wide, lines := 14, 0 // "standard input"
	for _, in := range t.d.Inputs {
		if in.Read() {
			wide = max(wide, min(36, cells(t.d.short(in.Path))))
			lines = max(lines, cells(in.Amount()))
		}
	}
	listed := 0
	for _, in := range t.d.Inputs {
		if !in.Read() || in.Unrecognised > 0 || in.Skipped > 0 || in.Err != "" {
			unread = append(unread, in)
		}
		if !in.Read() {
			continue
		}
		if listed++; listed > maxListed && !t.verbose {
			continue
		}
		name := t.d.short(in.Path)
		if name == "-" {
			name = "standard input"
		}
		name = cutLeft(name, wide)
		title := in.Title
		if title == "" {
			title = in.Format
		}
		t.put(noPaint, 2, pad(name, wide)+"  "+padLeft(in.Amount(), lines)+"  "+title)
	}
	if listed == 0 {
		t.put(noPaint, 2, "nothing")
	}
	if listed > maxListed && !t.verbose {
		t.put(dim, 2, fmt.Sprintf("and %d more", listed-maxListed))
	}
	t.unread(unread)
}

// maxListed bounds the inputs listed in text.
const maxListed = 20

func (t *text) unread(list []Input) {
	if len(list) == 0 {
		return
	}
	t.head("Not read, or not wholly")
	for i, in := range list {
		if i == maxListed && !t.verbose {
			t.put(dim, 2, fmt.Sprintf("and %d more", len(list)-maxListed))
			break
		}
		name := t.d.short(in.Path)
		if name == "-" {
			name = "standard input"
		}
		for _, s := range in.troubles() {
			t.wrap(noPaint, 2, "", name+": "+s.says)
			if s.at.Line > 0 && s.at.Text != "" {
				t.put(dim, 4, fmt.Sprintf("%d: %s", s.at.Line, s.at.Text))
			}
		}
	}
}

type trouble struct {
	says string
	at   Excerpt
}

// troubles says what of an input was not read.
func (in *Input) troubles() []trouble {
	var out []trouble
	if in.Err != "" {
		out = append(out, trouble{says: in.Err})
	}
	if in.CutEnd {
		at := in.FirstSkipped
		if in.Unrecognised > 0 {
			at = in.FirstUnrecognised
		}
		return append(out, trouble{"the last " + in.unit() + " is cut", at})
	}
	if in.Skipped > 0 {
		out = append(out, trouble{plural(in.Skipped, in.unit()+" is", in.unit()+"s are") + " damaged, the first", in.FirstSkipped})
	}
	switch {
	case in.Unrecognised > 0 && in.Unrecognised >= in.Lines:
		out = append(out, trouble{"no format recognised; its first line", in.FirstUnrecognised})
	case in.Unrecognised > 0:
		out = append(out, trouble{fmt.Sprintf("%s of %s not recognised, the first", number(in.Unrecognised), in.Amount()), in.FirstUnrecognised})
	case !in.Read() && in.Err == "" && in.Lines == 0:
		out = append(out, trouble{says: "empty"})
	case !in.Read() && in.Err == "":
		out = append(out, trouble{says: "no format recognised"})
	}
	return out
}

func (t *text) assumptions() {
	if len(t.d.Assumptions) == 0 {
		return
	}
	t.head("Assumed")
	for _, s := range t.d.Assumptions {
		t.wrap(noPaint, 2, "", s)
	}
}
