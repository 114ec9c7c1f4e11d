package source

import (
	"bytes"
	"io"
)

// MaxLine bounds one line, in bytes: ten times the longest log line met in
// the field (a Kubernetes object as one JSON line). What is longer is cut.
const MaxLine = 1 << 20

// restSize is how much of a line that a block cuts goes in front of the next
// block, in bytes. Longer lines are put together elsewhere.
const restSize = 64 << 10

// lineReader yields the lines of r without their ends. It reads blocks, each
// behind the rest of the one before.
type lineReader struct {
	r        io.Reader
	mem      []byte // room for a rest, and a block
	from, to int    // what of it was not handed out
	long     []byte
	cut      int // lines that were cut at MaxLine
	err      error
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: r, mem: make([]byte, restSize+blockSize)}
}

// reset begins to read another.
func (l *lineReader) reset(r io.Reader) { *l = lineReader{r: r, mem: l.mem, long: l.long} }

// next returns the next line, which is valid until the call after it.
func (l *lineReader) next() ([]byte, error) {
	rest := l.mem[l.from:l.to]
	i := bytes.IndexByte(rest, '\n')
	if i < 0 {
		return l.across()
	}
	l.from += i + 1
	if i > 0 && rest[i-1] == '\r' {
		return trimEOL(rest[:i]), nil
	}
	return rest[:i], nil
}

// across returns the next line where what was read does not hold its end.
func (l *lineReader) across() ([]byte, error) {
	for l.to-l.from <= restSize {
		n := l.to - l.from
		if !l.more() {
			if n == 0 {
				return nil, l.err
			}
			b := l.mem[l.from:l.to]
			l.from = l.to
			return trimEOL(b), nil
		}
		if bytes.IndexByte(l.mem[restSize:l.to], '\n') >= 0 {
			return l.next()
		}
	}
	return l.longLine()
}

// more reads a block behind what is left.
func (l *lineReader) more() bool {
	n := l.to - l.from
	copy(l.mem[restSize-n:restSize], l.mem[l.from:l.to])
	l.from, l.to = restSize-n, restSize
	for l.to == restSize && l.err == nil {
		n, l.err = l.r.Read(l.mem[restSize:])
		l.to += n
	}
	return l.to > restSize
}

// longLine returns a line that is longer than a rest may be.
func (l *lineReader) longLine() ([]byte, error) {
	l.long = l.long[:0]
	over := false
	for end := false; !end; {
		b := l.mem[l.from:l.to]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b, end = b[:i+1], true
		}
		l.from += len(b)
		if room := MaxLine - len(l.long); len(b) > room {
			b, over = b[:room], true
		}
		l.long = append(l.long, b...)
		if !end && !l.more() {
			break // the next call meets the error again
		}
	}
	if over {
		l.cut++
	}
	return trimEOL(l.long), nil
}

func trimEOL(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}
