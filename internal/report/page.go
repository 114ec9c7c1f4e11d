package report

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// columns is the width of text: what any terminal, mail and pager shows.
const columns = 80

// paint is how a piece of text is coloured, as the parameters of an ANSI
// sequence.
type paint string

// The paints. They use the terminal's own sixteen colours, so that its light
// or dark background fits.
const (
	noPaint paint = ""
	bold    paint = "1"
	dim     paint = "2"
	red     paint = "1;31"
	yellow  paint = "1;33"
	green   paint = "32"
	cyan    paint = "36"
)

// page collects lines of text, none wider than [columns].
type page struct {
	b     strings.Builder
	color bool
}

// put writes one line at an indent, cut to the page.
func (p *page) put(c paint, indent int, s string) {
	if s != "" {
		p.b.WriteString(strings.Repeat(" ", indent))
		p.b.WriteString(p.painted(c, cut(s, columns-indent)))
	}
	p.b.WriteByte('\n')
}

func (p *page) painted(c paint, s string) string {
	if !p.color || c == noPaint || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

func (p *page) blank() { p.b.WriteByte('\n') }

// wrap writes a text over as many lines as it needs, the first after lead, the
// others under it.
func (p *page) wrap(c paint, indent int, lead, s string) {
	hang := indent + cells(lead)
	for i, line := range fold(s, columns-hang) {
		if i == 0 {
			p.b.WriteString(strings.Repeat(" ", indent) + lead)
		} else {
			p.b.WriteString(strings.Repeat(" ", hang))
		}
		p.b.WriteString(p.painted(c, line))
		p.b.WriteByte('\n')
	}
}

// head writes a heading.
func (p *page) head(s string) {
	p.blank()
	p.put(bold, 0, s)
}

// block writes lines to paste, never cut. One that is too long is broken at a
// blank outside quotes; mark stands before the break, and a comment goes on as
// one. Where a word alone is too long for the page, the block moves to the
// left.
func (p *page) block(s string, c paint, in int, mark string) {
	if s == "" {
		return
	}
	in = blockIndent(s, in, mark)
	for line := range strings.Lines(s) {
		line = strings.TrimRight(line, "\n")
		body := strings.TrimLeft(line, " ")
		lead := min(in+len(line)-len(body), columns/2)
		at, comment := commentIn(body)
		for cells(body) > columns-lead {
			head := breakable(body, columns-lead-len(mark), at)
			body = body[len(head):]
			at -= len(head)
			switch {
			case comment != "" && at < 0: // broken within the comment
				p.put(c, lead, strings.TrimRight(head, " "))
				body, at = comment+strings.TrimLeft(body, " "), 0
			case strings.HasSuffix(head, " "):
				body = strings.TrimLeft(body, " ")
				p.put(c, lead, strings.TrimRight(head, " ")+mark)
				lead = min(in+len(line)-len(strings.TrimLeft(line, " "))+2, columns/2)
			default:
				// Within a word a shell goes on at the very front of the next
				// line.
				p.put(c, lead, head+strings.TrimLeft(mark, " "))
				lead = 0
			}
		}
		p.put(c, lead, body)
	}
}

// blockIndent is the indent, at most in, at which no word of a block is broken.
func blockIndent(s string, in int, mark string) int {
	for line := range strings.Lines(s) {
		for word := range strings.FieldsSeq(line) {
			in = max(0, min(in, columns-2-len(mark)-cells(word)))
		}
	}
	return in
}

// commentIn finds the comment of a line, outside quotes: where it begins and
// the marker with which it goes on; beyond the line and empty if there is none.
func commentIn(s string) (at int, marker string) {
	quote := byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == quote:
			quote = 0
		case quote == 0 && (i == 0 || s[i-1] == ' '):
			for _, m := range []string{"#", "//", ";"} {
				if strings.HasPrefix(s[i:], m) && (i == 0 || m != ";") {
					return i, m + " "
				}
			}
		}
	}
	return len(s) + 1, ""
}

// breakable is the longest front of s within n columns that ends with a blank
// outside quotes or within a comment, which begins at the byte comment; or, if
// there is none, what fits.
func breakable(s string, n, comment int) string {
	front, quote, at := take(s, n), byte(0), 0
	for i := range len(front) {
		switch c := front[i]; {
		case i > comment+2 && c == ' ':
			at = i + 1
		case i >= comment: // quotes count no more
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == quote:
			quote = 0
		case c == ' ' && quote == 0:
			at = i + 1
		}
	}
	if at > 12 {
		return front[:at]
	}
	return front
}

// fold breaks a text at blanks into lines of at most n columns; a word longer
// than a line is broken.
func fold(s string, n int) []string {
	n = max(n, 8)
	var out []string
	line, used := "", 0
	for _, word := range strings.Fields(s) {
		w := cells(word)
		if used > 0 && used+1+w > n {
			out = append(out, line)
			line, used = "", 0
		}
		for w > n {
			head := take(word, n)
			out = append(out, head)
			word = word[len(head):]
			w = cells(word)
		}
		if used > 0 {
			line += " "
			used++
		}
		line += word
		used += w
	}
	if used > 0 || len(out) == 0 {
		out = append(out, line)
	}
	return out
}

// cut shortens a text to n columns and says so with three dots.
func cut(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	return strings.TrimRight(take(s, max(n-3, 0)), " ") + "..."
}

// take returns the front of s that fits n columns, at least one character.
func take(s string, n int) string {
	used := 0
	for i, r := range s {
		w := cell(r)
		if used+w > n && i > 0 {
			return s[:i]
		}
		used += w
	}
	return s
}

// cells is how many columns a text takes.
func cells(s string) int {
	n := 0
	for _, r := range s {
		n += cell(r)
	}
	return n
}

func cell(r rune) int {
	if r < 0x300 {
		return 1
	}
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// pad fills a text with blanks to n columns.
func pad(s string, n int) string {
	if w := cells(s); w < n {
		return s + strings.Repeat(" ", n-w)
	}
	return s
}

// padLeft sets a text to the right of n columns.
func padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s))) + s
}

// cutLeft shortens a text to its last n columns.
func cutLeft(s string, n int) string {
	if cells(s) <= n {
		return s
	}
	r := []rune(s)
	for len(r) > 0 && cells(string(r)) > n-3 {
		r = r[1:]
	}
	return "..." + string(r)
}
