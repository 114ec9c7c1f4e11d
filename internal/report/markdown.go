package report

import (
	"fmt"
	"io"
	"path"
	"strings"

	"culprit/internal/cause"
)

// Markdown writes the report for a ticket.
func Markdown(w io.Writer, r *Report) error {
	d := r.digest()
	m := &markdown{d: d}
	m.head()
	for _, f := range d.findings() {
		m.finding(f)
	}
	m.timeline()
	m.inputs()
	if len(d.Assumptions) > 0 {
		m.line("## Assumed")
		m.line("")
		for _, s := range d.Assumptions {
			m.line("- " + prose(s))
		}
	}
	if _, err := io.WriteString(w, strings.TrimRight(m.b.String(), "\n")+"\n"); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

type markdown struct {
	b strings.Builder
	d *digest
}

func (m *markdown) line(s string) { m.b.WriteString(s + "\n") }

// para writes a paragraph and the blank line after it.
func (m *markdown) para(s string) { m.line(s + "\n") }

func (m *markdown) head() {
	m.para("# " + prose(m.d.Headline))
	if m.d.Story != nil {
		m.para("## The story of this request")
		for _, c := range m.d.Story {
			m.line(fmt.Sprintf("- %s **%s**: %s", m.d.stamp(c), prose(c.Party), prose(c.Says)))
			m.line("  " + strings.TrimSpace(place(c.Cite)+" "+code(c.Cite.Text)))
			if c.Wire != nil {
				m.line("")
				m.wire(c.Wire)
			}
		}
		m.line("")
		m.para(m.d.outcome())
	}
	fs := m.d.findings()
	if len(fs) < 2 {
		return
	}
	m.line("| failed | how sure | cause | who |")
	m.line("| ---: | --- | --- | --- |")
	for _, f := range fs {
		m.line(fmt.Sprintf("| %s | %s | %s | %s |", number(f.N), f.word(), prose(f.ID), prose(f.Who)))
	}
	m.line("")
}

func (m *markdown) finding(f *finding) {
	m.para("## " + prose(strings.TrimSuffix(f.Title, ".")))
	m.para("**" + prose(f.Sentence) + "**")
	meta := code(f.ID)
	if s := m.d.spans(f); s != "" {
		meta += ", " + s
	}
	if n := f.Verdict.Recovered; n > 0 {
		meta += ", " + plural(n, "more try was", "more tries were") + " made good by a retry"
	}
	m.para(meta)
	m.proofs("Evidence", f.Evidence, true)
	m.wires(f)
	m.proofs("What speaks against it", f.Doubts, false)
	m.list("What sets the failures apart", f.Apart)
	m.fix(f.Fix)
	var not []string
	for _, o := range f.Not {
		not = append(not, o.Cause+": "+o.Says)
	}
	m.list("Ruled out", not)
	m.next(f)
}

func (m *markdown) proofs(head string, list []proof, numbered bool) {
	if len(list) == 0 {
		return
	}
	m.para("### " + head)
	for i, p := range list {
		mark := "- "
		if numbered {
			mark = fmt.Sprintf("%d. ", i+1)
		}
		m.line(mark + prose(p.Says))
		for k, c := range p.Cites {
			if k == showCites {
				m.line(fmt.Sprintf("   - and %s", plural(len(p.Cites)-k, "more line", "more lines")))
				break
			}
			if c.Default {
				m.line("   - documented default: " + code(c.Text))
				continue
			}
			m.line("   - " + strings.TrimSpace(place(c)+" "+code(c.Text)))
		}
	}
	m.line("")
}

// place is file and line.
func place(c cite) string {
	if c.Path == "" {
		return ""
	}
	if c.Line == 0 {
		return "**" + prose(path.Base(c.Path)) + "**"
	}
	return "**" + c.at(prose(path.Base(c.Path))) + "**"
}

func (m *markdown) list(head string, items []string) {
	if len(items) == 0 {
		return
	}
	m.para("### " + head)
	for _, s := range items {
		m.line("- " + prose(s))
	}
	m.line("")
}

func (m *markdown) fix(f cause.Fix) {
	if f.Summary == "" && f.Patch == "" && len(f.Steps) == 0 {
		return
	}
	m.para("### Fix")
	if f.Summary != "" {
		m.para(prose(f.Summary))
	}
	m.fence(f.Patch)
	for _, s := range f.Steps {
		m.line("- " + prose(s))
	}
	if len(f.Steps) > 0 {
		m.line("")
	}
}

func (m *markdown) next(f *finding) {
	if len(f.Next) == 0 {
		return
	}
	m.para("### " + f.Ask())
	for _, n := range f.Next {
		s := n.Evidence
		if n.WouldTell != "" {
			s += ": " + n.WouldTell
		}
		m.para("- " + prose(s))
		m.fence(n.Command)
	}
}

func (m *markdown) timeline() {
	p := m.d.Plot
	if len(p.Rows) == 0 {
		return
	}
	m.para("## When")
	var t text
	t.d = m.d
	t.plotRows()
	m.fence(t.b.String())
}

func (m *markdown) inputs() {
	m.para("## Read")
	m.line("| file | format | lines | not read |")
	m.line("| --- | --- | ---: | --- |")
	for _, in := range m.d.Inputs {
		var bad []string
		for _, t := range in.troubles() {
			s := prose(t.says)
			if t.at.Line > 0 && t.at.Text != "" {
				s += " " + code(cut(fmt.Sprintf("%d: %s", t.at.Line, t.at.Text), 100))
			}
			bad = append(bad, s)
		}
		m.line(fmt.Sprintf("| %s | %s | %s | %s |", prose(in.Path), prose(in.Title), in.count(), strings.ReplaceAll(strings.Join(bad, "; "), "|", `\|`)))
	}
	m.line("")
}

// wires draws one example of a finding, and prints how to see all packets.
func (m *markdown) wires(f *finding) {
	list := m.d.examples(f)
	if len(list) == 0 && len(f.Filters) == 0 {
		return
	}
	m.para("### On the wire")
	for _, w := range list[:min(len(list), 1)] {
		m.wire(w)
	}
	for _, x := range f.Filters {
		m.fence(x.Command())
		if s := x.Rest(); s != "" {
			m.para(s)
		}
	}
}

// wire draws a ladder as text does.
func (m *markdown) wire(w *wire) {
	if w.Says != "" {
		m.para(prose(w.Says))
	}
	t := text{d: m.d}
	bare := *w
	bare.Says = ""
	t.wire(&bare, 0)
	m.fence(t.b.String())
}

// fence writes lines to paste between marks longer than any in them.
func (m *markdown) fence(s string) {
	if s == "" {
		return
	}
	mark := strings.Repeat("`", max(3, longestRun(s, '`')+1))
	m.para(mark + "\n" + strings.TrimRight(s, "\n") + "\n" + mark)
}

// code sets a text between marks longer than any in it.
func code(s string) string {
	if s == "" {
		return ""
	}
	mark := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return mark + s + mark
}

func longestRun(s string, c byte) int {
	most, n := 0, 0
	for i := range len(s) {
		if s[i] == c {
			n++
			most = max(most, n)
		} else {
			n = 0
		}
	}
	return most
}

// prose escapes what Markdown, and the HTML in it, would take for markup.
func prose(s string) string { return markup.Replace(s) }

var markup = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "|", `\|`, "#", `\#`, "~", `\~`,
)
