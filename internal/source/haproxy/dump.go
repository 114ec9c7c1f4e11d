package haproxy

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var errorDump = source.Format{
	ID:        "haproxy-errors",
	Tech:      tech,
	Title:     "HAProxy `show errors`",
	Sniff:     sniffDump,
	NewReader: func(env *source.Env) source.LineReader { return &dumpReader{access: newAccessReader(env)} },
}

func sniffDump(l *source.Line) source.Confidence {
	if _, _, _, ok := dumpTitle(l.Text); ok || source.HasPrefix(l.Text, "Total events captured on [") {
		return source.Sure
	}
	return source.No
}

// dumpTitle reads "[date] backend shop (#3): invalid response".
func dumpTitle(b []byte) (date, proxy []byte, response, ok bool) {
	if len(b) < 30 || b[0] != '[' || b[3] != '/' {
		return
	}
	i := bytes.Index(b, []byte("] "))
	if i < 0 {
		return
	}
	rest := b[i+2:]
	switch {
	case source.HasPrefix(rest, "backend ") && bytes.HasSuffix(rest, []byte(": invalid response")):
		response = true
		rest = rest[len("backend "):]
	case source.HasPrefix(rest, "frontend ") && bytes.HasSuffix(rest, []byte(": invalid request")):
		rest = rest[len("frontend "):]
	default:
		return
	}
	proxy, _ = source.Field(rest)
	return b[1:], proxy, response, true
}

// maxDumpLines bounds what is read of one dump: its buffer is 16 KiB, shown 16
// to 70 bytes a line.
const maxDumpLines = 2000

// dumpReader reads the dumps one after the other. A dump of an answer becomes
// one trouble of one request.
type dumpReader struct {
	access *accessReader // for its dates
	req    *fact.Request // the dump being read; nil between dumps
	asked  bool          // it is of a request, which is the client's affair
	at     source.Line   // its title
	lines  int
	// counted: the line that counts the dumps stood before; a blank one follows
	counted bool

	first              []byte // first line of the answer
	encodings, lengths int    // Transfer-Encoding and Content-Length headers
	ended              bool   // the empty line was seen
	total, wrong       int64  // bytes captured, and where they go wrong
	header             []byte // the header in which they do
	headerAt           bool   // header is known
	state              []byte
}

// Line implements [source.LineReader].
func (r *dumpReader) Line(l *source.Line, out source.Sink) source.Took {
	b := l.Text
	if date, proxy, response, ok := dumpTitle(b); ok {
		r.Close(out)
		t, _, _ := r.access.date(append(append([]byte{}, date[:bytes.IndexByte(date, ']')+1]...), ' '))
		r.begin(l, t, proxy, response)
		return source.Mine
	}
	if source.HasPrefix(b, "Total events captured on [") {
		r.Close(out)
		r.counted = true
		return source.Mine
	}
	if r.counted && len(bytes.TrimSpace(b)) == 0 {
		return source.Mine
	}
	if r.req == nil {
		return source.NotMine
	}
	if r.lines++; r.lines > maxDumpLines {
		r.Close(out)
		return source.NotMine
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return source.Mine
	}
	if b[0] != ' ' {
		r.Close(out)
		return source.NotMine
	}
	r.detail(bytes.TrimLeft(b, " "))
	return source.Mine
}

func (r *dumpReader) begin(l *source.Line, t time.Time, proxy []byte, response bool) {
	*r = dumpReader{access: r.access, asked: !response, at: *l}
	q := &fact.Request{Header: fact.Header{Time: t, Res: fact.Millis(1), Party: gateway()}, Partial: true}
	q.Origin.Line = l.N
	q.Origin.Text = string(l.Text)
	q.Writer, q.Ended, q.Phase = fact.WriterSelf, fact.BadReply, fact.PhaseWaiting
	q.Upstream = string(proxy)
	r.req = q
}

// detail reads one indented line of a dump.
func (r *dumpReader) detail(b []byte) {
	if len(b) > 7 && b[0] >= '0' && b[0] <= '9' && (b[5] == ' ' || b[5] == '+') {
		if at := source.Int(b[:5]); at.Known && b[5] == ' ' {
			r.content(at.N, bytes.TrimLeft(b[6:], " "))
		}
		return
	}
	if src, ok := source.Between(b, "src ", ""); ok {
		src, _ = source.Field(src)
		r.req.Client = string(src)
	}
	if server, ok := source.Between(b, "server ", " ("); ok && !source.HasPrefix(server, "<") {
		r.req.Attempts = []fact.Attempt{{Address: r.req.Upstream + "/" + string(server), Ended: fact.BadReply}}
	}
	if n, ok := source.Between(b, "len ", ","); ok {
		r.total = source.Int(n).Or(0)
	}
	if n, ok := source.Between(b, "error at position ", ""); ok {
		r.wrong = leading(n).Or(-1)
	}
	if s, ok := source.Between(b, "msg state ", "("); ok {
		r.state = bytes.Clone(s)
	}
}

// content reads one line of the captured bytes, as it is shown: "\r\n" are four
// characters.
func (r *dumpReader) content(at int64, b []byte) {
	if r.first == nil && at == 0 {
		r.first = bytes.Clone(b[:min(len(b), 80)])
	}
	if r.ended {
		return
	}
	if string(b) == `\r\n` || string(b) == `\n` {
		r.ended = true
		return
	}
	name, _, ok := bytes.Cut(b, []byte(":"))
	if !ok || at == 0 {
		return
	}
	switch {
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		r.encodings++
	case bytes.EqualFold(name, []byte("Content-Length")):
		r.lengths++
	}
	if r.wrong >= at {
		r.header, r.headerAt = bytes.Clone(name[:min(len(name), 80)]), true
	}
}

// Close implements [source.LineReader]; it also ends a dump before the next.
func (r *dumpReader) Close(out source.Sink) {
	q := r.req
	if q == nil {
		return
	}
	r.req = nil
	if r.asked {
		out.Seen(q.Time)
		return
	}
	q.Detail = "invalid response"
	full := r.total > 0 && r.wrong == r.total && !r.ended && source.HasPrefix(r.state, "MSG_HDR")
	switch {
	case len(r.first) > 0 && !source.HasPrefix(r.first, "HTTP/"):
		q.Detail += ": not HTTP: " + string(r.first)
	case r.encodings > 1:
		q.Detail += ": Transfer-Encoding twice"
	case r.encodings > 0 && r.lengths > 0:
		q.Detail += ": Transfer-Encoding and Content-Length"
	case r.lengths > 1:
		q.Detail += ": Content-Length twice"
	case full:
		q.Ended = fact.ReplyTooBig
		q.Detail += ": header does not fit the buffer"
	case r.headerAt:
		q.Detail += ": in header " + string(r.header)
	}
	for i := range q.Attempts {
		q.Attempts[i].Ended = q.Ended
	}
	out.State(q)
}
