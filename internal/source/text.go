package source

import (
	"bytes"
	"strconv"
	"unsafe"

	"culprit/internal/fact"
)

// View returns b as a string that shares its memory: for facts on their way to
// a [Sink], which copies what it keeps.
func View(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

// Field cuts b at the first blank and skips the blanks after it.
func Field(b []byte) (field, rest []byte) {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return b, nil
	}
	j := i + 1
	for j < len(b) && b[j] == ' ' {
		j++
	}
	return b[:i], b[j:]
}

// Quoted reads a field in double quotes, in which a backslash protects the
// next byte, from the front of b; the quotes are taken off, escapes stay. ok
// is false if b does not begin with a quote or the quote is not closed.
func Quoted(b []byte) (field, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, b, false
	}
	for i := 1; i < len(b); {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return nil, b, false
		}
		j += i
		back := 0
		for k := j - 1; k > 0 && b[k] == '\\'; k-- {
			back++
		}
		if back%2 == 0 {
			return b[1:j], bytes.TrimLeft(b[j+1:], " "), true
		}
		i = j + 1
	}
	return nil, b, false
}

// Bracketed reads a field in square brackets from the front of b.
func Bracketed(b []byte) (field, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '[' {
		return nil, b, false
	}
	j := bytes.IndexByte(b, ']')
	if j < 0 {
		return nil, b, false
	}
	return b[1:j], bytes.TrimLeft(b[j+1:], " "), true
}

// Between returns what stands in b after the first pre and before the next
// post; post "" means to the end.
func Between(b []byte, pre, post string) ([]byte, bool) {
	i := bytes.Index(b, []byte(pre))
	if i < 0 {
		return nil, false
	}
	b = b[i+len(pre):]
	if post == "" {
		return b, true
	}
	j := bytes.Index(b, []byte(post))
	if j < 0 {
		return nil, false
	}
	return b[:j], true
}

// Has reports whether b contains s.
func Has(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

// HasPrefix reports whether b begins with s.
func HasPrefix(b []byte, s string) bool { return len(b) >= len(s) && View(b[:len(s)]) == s }

// Int reads a whole decimal number; it is unknown if b is anything else, "-"
// included.
func Int(b []byte) fact.Int {
	if len(b) == 0 || len(b) > 19 {
		return fact.Int{}
	}
	neg, n := false, int64(0)
	for i, c := range b {
		if i == 0 && c == '-' && len(b) > 1 {
			neg = true
			continue
		}
		if c < '0' || c > '9' {
			return fact.Int{}
		}
		n = n*10 + int64(c-'0')
	}
	if n < 0 {
		return fact.Int{}
	}
	if neg {
		n = -n
	}
	return fact.Num(n)
}

// Secs reads seconds with a fraction, as nginx writes times; it is unknown if
// b is anything else or negative, "-" included.
func Secs(b []byte) fact.Dur {
	if len(b) == 0 || len(b) > 20 {
		return fact.Dur{}
	}
	n, unit, point := int64(0), int64(1_000_000_000), false
	for _, c := range b {
		switch {
		case c == '.' && !point:
			point = true
		case c < '0' || c > '9':
			return fact.Dur{}
		case !point:
			if n = n*10 + int64(c-'0'); n > 9_000_000_000 {
				return fact.Dur{}
			}
		case unit > 1:
			unit /= 10
			n = n*10 + int64(c-'0')
		}
	}
	if len(b) == 1 && b[0] == '.' {
		return fact.Dur{}
	}
	if d := n * unit; n == 0 || d/n == unit {
		return fact.Dur{D: timeDuration(d), Known: true}
	}
	return fact.Dur{}
}

// Millis reads whole milliseconds, unknown if negative or no number.
func Millis(b []byte) fact.Dur {
	n := Int(b)
	if !n.Known || n.N < 0 {
		return fact.Dur{}
	}
	return fact.Millis(n.N)
}

// PID reads a process number, 0 if it is none.
func PID(b []byte) int {
	n, err := strconv.ParseInt(View(b), 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

// RequestLine splits "GET /path HTTP/1.1" into method, target and version
// ("1.1"). A line that has another shape yields ok false, and is the target.
func RequestLine(b []byte) (method, target, proto []byte, ok bool) {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 || i > 20 {
		return nil, b, nil, false
	}
	for _, c := range b[:i] {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return nil, b, nil, false
		}
	}
	method = b[:i]
	rest := b[i+1:]
	j := bytes.LastIndexByte(rest, ' ')
	if j < 0 {
		return method, rest, nil, true
	}
	if v := rest[j+1:]; HasPrefix(v, "HTTP/") {
		return method, rest[:j], v[5:], true
	}
	return method, rest, nil, true
}
