package wire

import (
	"bytes"
	"hash/maphash"
	"time"
)

// state is what a side's reader expects next.
type state uint8

const (
	atStart       state = iota // a message's head
	inBody                     // left bytes
	inClose                    // a body up to the close
	inSize                     // a chunk's size
	inDigits                   // the same, as far as it came in left
	inExt                      // the rest of that line
	inChunk                    // left bytes of a chunk
	inChunkEnd                 // the line end behind it
	inTrailer                  // at the beginning of a trailer's line
	inTrailerLine              // within one
	isLost                     // after a gap: until a packet begins a message
	isOpaque                   // nothing that can be read
)

// http reads messages of one side and returns what is left.
func (t *Table) http(i uint32, d, n int, ts int64, data []byte) []byte {
	h := &t.flows[i].half[d]
	if d == 0 && (h.state == inBody || h.state == inSize) && beginsRequest(data) {
		t.unsentBody(i)
	}
	switch h.state {
	case atStart:
		return t.head(i, d, n, ts, data)
	case inBody, inChunk:
		k := int(min(h.left, uint64(len(data))))
		t.counted(i, d, n, ts, k)
		if h.left -= uint64(k); h.left == 0 {
			if h.state == inChunk {
				h.state = inChunkEnd
			} else {
				t.messageEnd(i, d, n, ts)
			}
		}
		return data[k:]
	case inClose:
		t.counted(i, d, n, ts, len(data))
		return nil
	case isLost:
		if d == 0 && beginsRequest(data) || d == 1 && beginsAnswer(data) {
			h.state = atStart
			return data
		}
		return nil
	case isOpaque:
		return nil
	}
	return t.chunked(i, d, n, ts, data)
}

// chunked reads the frame of a chunked body.
func (t *Table) chunked(i uint32, d, n int, ts int64, data []byte) []byte {
	h := &t.flows[i].half[d]
	for k, c := range data {
		switch h.state {
		case inSize:
			v := hex(c)
			if v > 15 {
				t.noChunk(i, d)
				return nil
			}
			h.state, h.left = inDigits, uint64(v)
		case inDigits:
			v := hex(c)
			switch {
			case v < 16 && h.left < 1<<56:
				h.left = h.left<<4 | uint64(v)
			case c == '\n':
				if h.left > 0 {
					h.state = inChunk
					return data[k+1:]
				}
				h.state = inTrailer
			case c == ';', c == ' ', c == '\t', c == '\r':
				h.state = inExt
			default:
				t.noChunk(i, d)
				return nil
			}
		case inExt:
			if c == '\n' {
				if h.left > 0 {
					h.state = inChunk
					return data[k+1:]
				}
				h.state = inTrailer
			}
		case inChunkEnd:
			switch c {
			case '\r':
			case '\n':
				h.state, h.left = inSize, 0
			default:
				t.noChunk(i, d)
				return nil
			}
		case inTrailer:
			switch c {
			case '\r':
			case '\n':
				t.messageEnd(i, d, n, ts)
				return data[k+1:]
			default:
				h.state = inTrailerLine
			}
		case inTrailerLine:
			if c == '\n' {
				h.state = inTrailer
			}
		}
	}
	return nil
}

// noChunk: what should be a chunk's frame is none: an application wrote an error
// page into its answer, for one. Whoever closes then, the answer is cut, and
// nothing of its side can be read from there on.
func (t *Table) noChunk(i uint32, d int) {
	f := &t.flows[i]
	if f.half[d].state = isLost; d == 0 {
		return
	}
	f.half[1].state = isOpaque
	if e := t.answering(f); e != nil {
		e.broken = true
	}
}

func hex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// counted notes payload of a body.
func (t *Table) counted(i uint32, d, n int, ts int64, k int) {
	f := &t.flows[i]
	if d == 0 {
		if f.last != 0 {
			e := t.ex[f.last]
			e.ReqBytes += uint64(k)
			e.Sent, e.SentN = ts, uint32(n)
		}
		return
	}
	if e := t.answering(f); e != nil {
		e.Bytes += uint64(k)
		e.End, e.EndN = ts, uint32(n)
	}
}

// answering is the exchange whose answer is under way, or comes next.
func (t *Table) answering(f *flow) *Exchange {
	for k := f.first; k != 0; k = t.ex[k].next {
		if !t.ex[k].ended {
			return t.ex[k]
		}
	}
	return nil
}

// head reads a message's head, which may need several packets.
func (t *Table) head(i uint32, d, n int, ts int64, data []byte) []byte {
	h := &t.flows[i].half[d]
	before := 0
	b := data
	if h.part == 0 {
		if b = bytes.TrimLeft(data, "\r\n"); len(b) == 0 {
			return nil
		}
		data = b
	} else {
		before = len(t.parts.all[h.part].data)
		if !t.parts.add(&h.part, data[:min(len(data), max(maxHead-before, 1))], ts, uint32(n), 0) {
			h.state = isLost
			return nil
		}
		b = t.parts.all[h.part].data
	}
	k := 0
	if before == 0 {
		k = t.lineUp(b, d)
	} else if k = headEnd(b[max(0, before-3):]); k >= 0 {
		k += max(0, before-3)
	}
	// What is known of a beginning need not be asked again of each packet.
	if (before < leastLine || k >= 0) && !t.plausible(i, d, n, ts, b) {
		t.parts.put(&t.flows[i].half[d].part)
		return nil
	}
	at := part{t: ts, n: uint32(n), seq: h.next}
	switch {
	case k < 0 && before == 0:
		if h.part == 0 && !t.parts.add(&h.part, b, ts, uint32(n), h.next) {
			h.state = isLost
		}
		return nil
	case k < 0:
		return nil
	case before > 0:
		p := &t.parts.all[h.part]
		at = part{t: p.t, n: p.n, seq: p.seq}
		t.scratch = append(t.scratch[:0], b[:k]...)
		t.parts.put(&h.part)
		b = t.scratch
		t.lineUp(b, d)
	}
	rest := data[k-before:]
	t.message(i, d, n, ts, at, b[:k], rest)
	return rest
}

var emptyLine = []byte("\r\n\r\n")

// headEnd is how long a head is with its empty line; negative if it goes on.
func headEnd(b []byte) int {
	first := bytes.IndexByte(b, '\n')
	if first < 0 {
		return -1
	}
	if first > 0 && b[first-1] == '\r' {
		if k := bytes.Index(b[first-1:], emptyLine); k >= 0 {
			return first - 1 + k + len(emptyLine)
		}
	}
	from := 0
	for {
		k := bytes.IndexByte(b[from:], '\n')
		if k < 0 {
			return -1
		}
		k += from
		switch {
		case k+1 < len(b) && b[k+1] == '\n':
			return k + 2
		case k+2 < len(b) && b[k+1] == '\r' && b[k+2] == '\n':
			return k + 3
		}
		from = k + 1
	}
}

// plausible: what comes where a head must begin is one.
func (t *Table) plausible(i uint32, d, n int, ts int64, b []byte) bool {
	f := &t.flows[i]
	h := &f.half[d]
	if d == 0 {
		if beginsRequest(b) || couldAsk(b) {
			return true
		}
		h.state = isLost
		return false
	}
	if beginsAnswer(b) || couldAnswer(b) {
		return true
	}
	h.state = isLost
	if e := t.answering(f); e != nil && e.First == 0 && f.gaps == 0 && (f.has(synSeen) || e.Index > 1) {
		e.First, e.FirstN, e.End, e.EndN = ts, uint32(n), ts, uint32(n)
		e.Bad = e.keep(b, maxValue)
		if bytes.HasPrefix(b, []byte("SSH-")) {
			t.Stats.Requests-- // no HTTP server was asked
		}
		f.mark(MarkData, d, uint32(n), ts, 0, 0)
		t.emit(f, e, BadAnswer)
	}
	return false
}

var seed = maphash.MakeSeed()

// message takes a whole head; rest is what came with it of the body.
func (t *Table) message(i uint32, d, n int, ts int64, at part, head, rest []byte) {
	if d == 0 {
		t.request(i, n, ts, at, head)
	} else {
		t.answer(i, n, ts, at, head, rest)
	}
}

// body is what a head tells of what follows it.
type body struct {
	length  int64 // negative: not told
	chunked bool
	h2c     bool
}

func (t *Table) request(i uint32, n int, ts int64, at part, head []byte) {
	f := &t.flows[i]
	h := &f.half[0]
	t.unseenAnswers(f)
	if f.queued >= maxQueue {
		h.state = isOpaque
		return
	}
	e := t.asks(i, at, n, ts)
	t.Stats.Requests++
	e.Hash = maphash.Bytes(seed, head)
	b := t.requestFields(e, head)
	if e.wantReq = b.length; b.chunked {
		e.wantReq = 0
	}
	switch {
	case t.cut:
		e.ReqWhole, e.Cut = true, true
	case b.chunked:
		h.state, h.left = inSize, 0
	case b.length > 0:
		h.state, h.left = inBody, uint64(b.length)
	default:
		e.ReqWhole = true
		h.state = atStart
	}
	t.asked(i, e)
	if was, ok := t.stray[f.num]; ok {
		delete(t.stray, f.num)
		if e.ReqWhole && at.t-was < astray {
			t.emit(f, e, Open) // its answer stands before it
		}
	}
}

// astray is how far apart the packets of two processors' queues may stand in
// the wrong order, in nanoseconds.
const astray = int64(10 * time.Millisecond)

// unsentBody: a request comes where a body was due that nobody sent, because
// the answer came first: "Expect: 100-continue" asks for that.
func (t *Table) unsentBody(i uint32) {
	f := &t.flows[i]
	if f.last == 0 {
		return
	}
	if e := t.ex[f.last]; e.ended && e.ReqBytes == 0 && f.half[0].left == uint64(e.wantReq) {
		t.emit(f, e, Answered)
		f.half[0].state = atStart
	}
}

// unseenAnswers lets go of requests whose answers passed and were not
// captured.
func (t *Table) unseenAnswers(f *flow) {
	for f.first != 0 && t.missed(f) {
		e := t.ex[f.first]
		if e.ended || e.First != 0 {
			return
		}
		t.emit(f, e, Open)
		h := &f.half[1]
		h.next, h.state = f.half[0].acked, isLost
		t.parts.put(&h.part)
	}
}

// missed: the client acknowledges more than was captured of the server's.
func (t *Table) missed(f *flow) bool {
	s := &f.half[1]
	if s.held != 0 || !seen(s) {
		return false
	}
	off := int32(f.half[0].acked - s.next)
	return off > 1 && off < inWindow
}

func (t *Table) answer(i uint32, n int, ts int64, at part, head, rest []byte) {
	f := &t.flows[i]
	h := &f.half[1]
	status, proto, ok := statusLine(head)
	if !ok {
		h.state = isLost
		return
	}
	t.Stats.Answers++
	f.mark(MarkAnswer, 1, at.n, at.t, 0, uint16(status))
	e := t.answering(f)
	if status < 200 && status != 101 {
		return // more is to come
	}
	if e == nil {
		e = t.newEx(f, i)
		e.Unpaired, e.ReqWhole = true, true
		if int32(h.acked-f.half[0].next) > 0 { // it acknowledges what has yet to come
			t.stray[f.num] = at.t
		}
		e.Start, e.StartN = at.t, at.n
	}
	e.Status, e.Proto = status, proto
	e.First, e.FirstN, e.End, e.EndN = at.t, at.n, ts, uint32(n)
	e.Early = !e.ReqWhole
	b := t.answerFields(head)
	if b.length >= 0 {
		e.Want = b.length
	}
	if t.opt.OnAnswer != nil {
		t.opt.OnAnswer(Flow{t, i}, e, head, rest)
	}
	switch {
	case t.cut:
		t.messageEnd(i, 1, n, ts)
	case status == 101, e.connect && status < 300:
		t.tunnel(i, n, ts, e, b)
	case e.noBody || status == 204 || status == 304:
		t.messageEnd(i, 1, n, ts)
	case b.chunked:
		h.state, h.left = inSize, 0
	case b.length > 0:
		h.state, h.left = inBody, uint64(b.length)
	case b.length == 0:
		t.messageEnd(i, 1, n, ts)
	default:
		h.state = inClose
	}
}

// tunnel: from here on, something else is spoken.
func (t *Table) tunnel(i uint32, n int, ts int64, e *Exchange, b body) {
	f := &t.flows[i]
	e.ReqWhole = true
	t.messageEnd(i, 1, n, ts)
	for d := range f.half {
		f.half[d].state = isOpaque
		t.parts.put(&f.half[d].part)
	}
	if b.h2c {
		f.proto = ProtoH2
		for d := range f.half {
			f.half[d].state, f.half[d].left = atStart, 0
		}
	}
}

// messageEnd: the last byte of a side's message passed.
func (t *Table) messageEnd(i uint32, d, n int, ts int64) {
	f := &t.flows[i]
	f.half[d].state = atStart
	if d == 0 {
		if f.last == 0 {
			return
		}
		e := t.ex[f.last]
		e.ReqWhole, e.Sent, e.SentN = true, ts, uint32(n)
		if e.ended {
			t.emit(f, e, Answered)
		}
		return
	}
	e := t.answering(f)
	if e == nil {
		return
	}
	e.ended, e.End, e.EndN = true, ts, uint32(n)
	if e.ReqWhole {
		t.emit(f, e, Answered)
	}
}

// ended: a side's FIN; a body that goes up to the close is whole.
func (t *Table) ended(i uint32, d int) {
	f := &t.flows[i]
	if h := &f.half[d]; d == 1 && f.proto == ProtoHTTP && h.state == inClose {
		t.messageEnd(i, 1, int(h.closeN), h.lastT)
	}
}

// cutHead makes the best of a head whose end was not captured: a capture may
// keep the first bytes of each packet alone. How long the body is is not known
// then, so the next packet that begins a message is waited for.
func (t *Table) cutHead(i uint32, d int) bool {
	f := &t.flows[i]
	h := &f.half[d]
	if h.part == 0 {
		return false
	}
	p := &t.parts.all[h.part]
	k := bytes.LastIndexByte(p.data, '\n') + 1
	if k == 0 && d == 0 {
		return false
	}
	if k == 0 {
		k = len(p.data)
	}
	at := part{t: p.t, n: p.n, seq: p.seq}
	t.scratch = append(t.scratch[:0], p.data[:k]...)
	t.parts.put(&h.part)
	before := t.Stats.Requests + t.Stats.Answers
	t.cut = true
	t.lineUp(t.scratch, d)
	t.message(i, d, int(f.lastN), f.lastT, at, t.scratch, nil)
	t.cut = false
	t.flows[i].half[d].state = isLost
	return t.Stats.Requests+t.Stats.Answers > before
}

// httpGap passes over bytes that were not captured.
func (t *Table) httpGap(i uint32, d, size int) {
	f := &t.flows[i]
	h := &f.half[d]
	switch h.state {
	case inBody, inChunk:
		if uint64(size) <= h.left {
			t.counted(i, d, int(f.lastN), f.lastT, size)
			if h.left -= uint64(size); h.left > 0 {
				return
			}
			if h.state == inChunk {
				h.state = inChunkEnd
			} else {
				t.messageEnd(i, d, int(f.lastN), f.lastT)
			}
			return
		}
	case inClose:
		t.counted(i, d, int(f.lastN), f.lastT, size)
		return
	case isOpaque:
		return
	}
	h.state = isLost
	// What it was about to answer may have been answered in what is missing.
	if d == 1 {
		if e := t.answering(f); e != nil {
			t.emit(f, e, Open)
		}
	} else if f.last != 0 {
		if e := t.ex[f.last]; !e.ReqWhole {
			e.ReqWhole = true
			if e.ended {
				t.emit(f, e, Answered)
			}
		}
	}
}
