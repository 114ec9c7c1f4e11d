package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes one line of a text from evidence: escape sequences that colour
// are taken out whole, every other control character (and what reverses the
// direction of writing) is dropped, line ends and tabs become blanks, and
// bytes that are no UTF-8 are read as Latin-1.
func clean(s string) string { return scrub(s, false) }

// cleanLines is clean for texts of several lines.
func cleanLines(s string) string { return strings.TrimRight(scrub(s, true), "\n ") }

func scrub(s string, lines bool) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if n := colour(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			r = rune(s[i])
		}
		i += n
		switch {
		case r == '\n' && lines:
			b.WriteByte('\n')
		case r == '\t' && lines:
			b.WriteString("    ")
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case hidden(r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain reports whether s is printable ASCII, as most texts are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// hidden characters are not shown by themselves and change how others are.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) || r == 0xfeff
}

// colour is the length of an ANSI sequence that sets colours, at the front of
// s; 0 if there is none.
func colour(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	for i := 2; i < len(s) && i < 32; i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && c != ':' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}
