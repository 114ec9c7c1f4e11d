package wire

import (
	"bytes"
	"strconv"
)

// idName is a field that identifies a request.
type idName struct{ name string }

// fieldOf cuts the first field off a head. A line that continues the one
// before it counts as one without a name.
func fieldOf(b []byte) (name, value, rest []byte) {
	k := bytes.IndexByte(b, '\n')
	line := b
	if k < 0 {
		b = nil
	} else {
		line, b = b[:k], b[k+1:]
	}
	c := bytes.IndexByte(line, ':')
	if c <= 0 {
		return nil, nil, b
	}
	return line[:c], bytes.TrimSpace(line[c+1:]), b
}

// is compares a field's name with one in lower case.
func is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := range name {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// contains reports whether a list holds a word, in lower case.
func contains(value []byte, word string) bool {
	for len(value) > 0 {
		var item []byte
		item, value, _ = bytes.Cut(value, []byte{','})
		if is(bytes.TrimSpace(item), word) {
			return true
		}
	}
	return false
}

// length reads Content-Length; negative if it makes no sense.
func length(v []byte) int64 {
	if len(v) == 0 || len(v) > 18 {
		return -1
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// requestFields fills e from a request's head.
func (t *Table) requestFields(e *Exchange, head []byte) body {
	b := body{length: -1}
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	line = bytes.TrimRight(line, "\r")
	method, line, _ := bytes.Cut(line, []byte{' '})
	target := line
	if k := bytes.LastIndexByte(line, ' '); k >= 0 {
		target = line[:k]
		if v := line[k+1:]; len(v) == 8 && v[7] >= '0' && v[7] <= '9' {
			e.Proto = v[7] - '0'
		}
	}
	e.Method, e.Target = e.keep(method, 24), e.keep(bytes.TrimSpace(target), maxTarget)
	e.noBody, e.connect = string(method) == "HEAD", string(method) == "CONNECT"
	for _, x := range t.lines {
		name, value, _ := fieldOf(head[x.from:x.to])
		t.field(e, &b, name, value)
	}
	return b
}

// lines are the fields of a head that are looked at.
type lines []struct{ from, to int32 }

// maxLines bounds those of one head.
const maxLines = 256

// lineUp finds a side's lines of a head that are looked at, and returns how long
// the head is with its empty line; negative if it goes on.
func (t *Table) lineUp(b []byte, d int) int {
	t.lines = t.lines[:0]
	for pos, first := 0, true; ; first = false {
		k := bytes.IndexByte(b[pos:], '\n')
		if k < 0 {
			return -1
		}
		line := b[pos : pos+k]
		switch {
		case first:
		case k == 0, k == 1 && line[0] == '\r':
			return pos + k + 1
		case t.wanted[d][line[0]|0x20] && len(t.lines) < maxLines:
			t.lines = append(t.lines, struct{ from, to int32 }{int32(pos), int32(pos + k)})
		}
		pos += k + 1
	}
}

// field takes one field of a request.
func (t *Table) field(e *Exchange, b *body, name, value []byte) {
	if len(name) == 0 {
		return
	}
	switch name[0] | 0x20 {
	case 'h':
		if is(name, "host") {
			e.Host = e.keep(value, maxValue)
			return
		}
	case 'c':
		if is(name, "content-length") {
			b.length = length(value)
			return
		}
	case 't':
		if is(name, "transfer-encoding") {
			b.chunked = contains(value, "chunked")
			return
		}
	case 'v':
		e.Proxied = e.Proxied || is(name, "via")
	case 'f':
		e.Proxied = e.Proxied || is(name, "forwarded")
	case 'x':
		e.Proxied = e.Proxied || is(name, "x-forwarded-for") || is(name, "x-real-ip")
	}
	if len(e.IDs) == maxIDs || len(value) == 0 {
		return
	}
	for i := range t.names {
		if is(name, t.names[i].name) {
			e.IDs = append(e.IDs, e.keep(value, maxValue))
			return
		}
	}
}

// statusLine reads "HTTP/1.1 200 OK".
func statusLine(head []byte) (status int, proto byte, ok bool) {
	if len(head) < 12 || !beginsAnswer(head) {
		return 0, 0, false
	}
	for _, c := range head[9:12] {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		status = status*10 + int(c-'0')
	}
	return status, head[7] - '0', status >= 100
}

// answerFields reads what an answer's head tells of its body.
func (t *Table) answerFields(head []byte) body {
	b := body{length: -1}
	for _, x := range t.lines {
		name, value, _ := fieldOf(head[x.from:x.to])
		if len(name) == 0 {
			continue
		}
		switch name[0] | 0x20 {
		case 'c':
			if is(name, "content-length") {
				b.length = length(value)
			}
		case 't':
			if is(name, "transfer-encoding") {
				b.chunked = contains(value, "chunked")
			}
		case 'u':
			if is(name, "upgrade") {
				b.h2c = contains(value, "h2c")
			}
		}
	}
	return b
}

// Header returns the first field of that name, in lower case, in a head.
func Header(head []byte, lower string) []byte {
	_, rest, _ := bytes.Cut(head, []byte{'\n'})
	for len(rest) > 0 {
		var name, value []byte
		name, value, rest = fieldOf(rest)
		if is(name, lower) {
			return value
		}
	}
	return nil
}
