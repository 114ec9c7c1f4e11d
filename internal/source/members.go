// What follows reads JSON without allocating, for lines that are read by the
// million. Whole documents and rare lines go through fastjson.

package source

import (
	"bytes"
	"encoding/json"

	"culprit/internal/fact"
)

// Members calls f for each member of the JSON object at the front of b, with
// its name and the bytes of its value, and returns what follows the object. It
// allocates nothing, and reads an object that was cut as far as it goes; ok is
// false then.
func Members(b []byte, f func(name, value []byte)) (rest []byte, ok bool) {
	b = blank(b)
	if len(b) == 0 || b[0] != '{' {
		return b, false
	}
	b = blank(b[1:])
	for len(b) > 0 && b[0] == '"' {
		n := JSONStringEnd(b)
		if n < 0 {
			return nil, false
		}
		name := b[1 : n-1]
		b = blank(b[n:])
		if len(b) == 0 || b[0] != ':' {
			return b, false
		}
		b = blank(b[1:])
		n = valueEnd(b)
		if n <= 0 {
			return b, false
		}
		f(name, b[:n])
		b = blank(b[n:])
		if len(b) == 0 || b[0] != ',' {
			break
		}
		b = blank(b[1:])
	}
	if len(b) == 0 || b[0] != '}' {
		return b, false
	}
	return b[1:], true
}

func blank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// JSONStringEnd is the length of the string that b begins with, or -1.
func JSONStringEnd(b []byte) int {
	for i := 1; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return -1
		}
		i += j
		back := 0
		for b[i-1-back] == '\\' && back < i-1 {
			back++
		}
		if back%2 == 0 {
			return i + 1
		}
	}
	return -1
}

// valueEnd is the length of the value that b begins with, or -1.
func valueEnd(b []byte) int {
	if len(b) == 0 {
		return -1
	}
	switch b[0] {
	case '"':
		return JSONStringEnd(b)
	case '{', '[':
		depth := 0
		for i := 0; i < len(b); i++ {
			switch b[i] {
			case '"':
				n := JSONStringEnd(b[i:])
				if n < 0 {
					return -1
				}
				i += n - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	for i, c := range b {
		if c == ',' || c == '}' || c == ']' || c == ' ' {
			return i
		}
	}
	return len(b)
}

// JSONText is the content of a string value; it shares memory with v unless there
// are escapes.
func JSONText(v []byte) []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	var s string
	if json.Unmarshal(v, &s) != nil {
		return v[1 : len(v)-1]
	}
	return []byte(s)
}

// JSONInt is a whole number, written bare or in quotes.
func JSONInt(v []byte) fact.Int {
	if len(v) > 2 && v[0] == '"' {
		v = v[1 : len(v)-1]
	}
	return Int(v)
}
