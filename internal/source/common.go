package source

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"time"

	"culprit/internal/fact"
)

// A CommonClock reads the stamps of one log in the common log format, each
// second's once.
type CommonClock struct {
	stamp [26]byte // of the line before, whose instant is at
	at    time.Time
}

// Time reads a stamp as [CLFTime] does; b must hold all its 26 bytes.
func (c *CommonClock) Time(b []byte) (t time.Time, ok bool) {
	if *(*[26]byte)(b) != c.stamp {
		t, _, ok := CLFTime(b)
		if !ok {
			return t, false
		}
		c.at = t
		copy(c.stamp[:], b)
	}
	return c.at, true
}

// CommonFront reads a line in the common log format up to its request line,
// `client ident user [02/Jan/2006:15:04:05 -0700] "request"`, and leaves the
// status and what follows in rest.
func CommonFront(b []byte) (client []byte, t time.Time, request, rest []byte, ok bool) {
	client, rest = Field(b)
	_, rest = Field(rest)
	_, rest = Field(rest)
	if len(rest) < 30 || rest[0] != '[' {
		return
	}
	t, rest, ok = CLFTime(rest[1:])
	if ok = ok && HasPrefix(rest, "] "); ok {
		request, rest, ok = Quoted(rest[2:])
	}
	return
}

// ReadLines has a reader of lines read a whole document.
func ReadLines(r LineReader, doc *Doc, out Sink) {
	n := 0
	for line := range bytes.Lines(doc.Data) {
		n++
		r.Line(&Line{Text: bytes.TrimRight(line, "\r\n"), Path: doc.Path, N: n}, out)
	}
	r.Close(out)
}

// Words of eight bytes, in which bytes are looked for all at once.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// IndexNear is [bytes.IndexByte] for what is near: it looks at eight bytes at a
// time before a call is worth it.
func IndexNear(b []byte, c byte) int {
	i := 0
	for ; i < 32 && i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ lowBits*uint64(c)
		if z := (x - lowBits) &^ x & highBits; z != 0 {
			return i + bits.TrailingZeros64(z)>>3
		}
	}
	if j := bytes.IndexByte(b[i:], c); j >= 0 {
		return i + j
	}
	return -1
}

// Answered says of q, whose status its writer made, that it was its own doing.
func Answered(q *fact.Request) {
	q.Writer = fact.WriterSelf
	if q.Status.N >= 500 {
		q.Ended = fact.AppAnswered
	}
}

// AppRequests completes f, an application's own request lines, of which each
// stands alone: read fills a request from one and reports whether it is such a
// line, which sniffing then grades as c. Where read leaves the time, the
// wrapper's holds.
func AppRequests(f Format, c Confidence, app fact.Party, read func(env *Env, b []byte, q *fact.Request) bool) Format {
	f.Sniff = func(l *Line) Confidence {
		var q fact.Request
		if read(&Env{}, l.Text, &q) {
			return c
		}
		return No
	}
	f.NewReader = func(env *Env) LineReader { return &appRequests{env: env, app: app, read: read} }
	f.Independent = true
	return f
}

type appRequests struct {
	env  *Env
	app  fact.Party
	read func(env *Env, b []byte, q *fact.Request) bool
	q    fact.Request
}

func (r *appRequests) Line(l *Line, out Sink) Took {
	q := &r.q
	*q = fact.Request{IDs: q.IDs[:0]}
	if !r.read(r.env, l.Text, q) {
		return NotMine
	}
	if q.Time.IsZero() {
		q.Time, q.Res = l.Time, l.Res
	}
	q.Party = r.app
	if q.Status.Known {
		Answered(q)
	}
	out.State(q)
	return Mine
}

func (*appRequests) Close(Sink) {}
