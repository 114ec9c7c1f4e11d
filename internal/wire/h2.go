package wire

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// h2conn is what is known of a connection that speaks HTTP/2 in clear.
type h2conn struct {
	side    [2]h2side
	streams map[uint32]int32 // to exchanges
	started bool             // the client's preface was taken off
	goAway  bool
	last    uint32 // of the GOAWAY
}

type h2side struct {
	buf   []byte // a frame as far as it came, or a header block
	skip  int    // bytes of a frame that are not wanted
	dec   *hpack.Decoder
	block []byte // a header block that goes on in CONTINUATION
	// of is the stream of that block, and last whether it ends the stream.
	of   uint32
	end  bool
	lost bool
}

// The frames of HTTP/2 that are read.
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	frameGoAway       = 7
	frameContinuation = 9
)

// The flags of frames.
const (
	flagEndStream  = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 32
)

// The bounds of HTTP/2.
const (
	frameHead = 9
	// maxSettings is the longest SETTINGS frame that is taken for a beginning:
	// six bytes each, of which a dozen are defined.
	maxSettings = 6 * 32
	// maxFrame is the longest frame whose content is wanted, in bytes.
	maxFrame = 64 << 10
	// maxStreams bounds those open on one connection.
	maxStreams = 1024
	// maxTable bounds a header table, in bytes: four times what nearly all use.
	maxTable = 16 << 10
	// maxH2 bounds the connections whose frames are read at once: each has two
	// tables. Over it, the oldest are read no further.
	maxH2 = 1024
	// maxH2Bytes bounds the frames and heads of all of them that are waiting for
	// their end, in bytes.
	maxH2Bytes = 16 << 20
)

// readH2 walks the frames of one side.
func (t *Table) readH2(i uint32, d, n int, ts int64, data []byte) {
	f := &t.flows[i]
	if f.half[d].state == isOpaque {
		return
	}
	x := t.h2[f.num]
	if x == nil {
		x = &h2conn{streams: map[uint32]int32{}}
		for k := range x.side {
			x.side[k].dec = hpack.NewDecoder(4096, nil)
			x.side[k].dec.SetAllowedMaxDynamicTableSize(maxTable)
			x.side[k].dec.SetMaxStringLength(maxHead)
		}
		if len(t.h2) >= maxH2 {
			t.letGoH2()
		}
		t.h2[f.num] = x
		t.later(&t.h2old, due{math.MaxInt64, i, f.num})
	}
	s := &x.side[d]
	if s.lost {
		return
	}
	t.h2Bytes -= s.room()
	t.readFrames(i, d, n, ts, x, data)
	s.tidy()
	if t.h2Bytes += s.room(); t.h2Bytes > maxH2Bytes {
		t.h2Bytes -= s.room()
		s.lost, s.buf, s.block = true, nil, nil
	}
}

// room is what a side's buffers take, in bytes.
func (s *h2side) room() int { return cap(s.buf) + cap(s.block) }

// tidy gives up large buffers that are not needed now.
func (s *h2side) tidy() {
	if s.lost || len(s.buf) == 0 && cap(s.buf) > spare {
		s.buf = nil
	}
	if s.lost || len(s.block) == 0 && cap(s.block) > spare {
		s.block = nil
	}
}

// letGoH2 stops to read the frames of the oldest connection.
func (t *Table) letGoH2() {
	for t.h2old.len() > 0 {
		d := t.h2old.take()
		if !t.valid(&t.h2old, d) {
			continue
		}
		f := &t.flows[d.i]
		for f.first != 0 {
			t.emit(f, t.ex[f.first], Open)
		}
		f.half[0].state, f.half[1].state = isOpaque, isOpaque
		t.forgetH2(f)
		return
	}
}

// forgetH2 gives up what is known of a connection's frames.
func (t *Table) forgetH2(f *flow) {
	if x := t.h2[f.num]; x != nil {
		t.h2Bytes -= x.side[0].room() + x.side[1].room()
		delete(t.h2, f.num)
	}
}

// readFrames walks the frames that are whole, and keeps the rest.
func (t *Table) readFrames(i uint32, d, n int, ts int64, x *h2conn, data []byte) {
	s := &x.side[d]
	if s.skip > 0 {
		k := min(s.skip, len(data))
		s.skip -= k
		data = data[k:]
	}
	s.buf = append(s.buf, data...)
	b := s.buf
	if d == 0 && !x.started {
		if len(b) < len(h2Preface) {
			return
		}
		if string(b[:len(h2Preface)]) == string(h2Preface) {
			b = b[len(h2Preface):]
		}
		x.started = true
	}
	for len(b) >= frameHead && !s.lost {
		size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		kind, flags, stream := b[3], b[4], binary.BigEndian.Uint32(b[5:])&0x7fffffff
		wanted := kind == frameHeaders || kind == frameContinuation || kind == frameReset || kind == frameGoAway
		switch {
		case !wanted:
			if kind == frameData {
				t.h2Data(i, d, n, ts, x, stream, size, flags)
			}
			k := min(len(b), frameHead+size)
			s.skip = frameHead + size - k
			b = b[k:]
			continue
		case size > maxFrame:
			s.lost = true
			continue
		case len(b) < frameHead+size:
			s.buf = append(s.buf[:0], b...)
			return
		}
		t.h2Frame(i, d, n, ts, x, kind, flags, stream, b[frameHead:frameHead+size])
		b = b[frameHead+size:]
	}
	s.buf = append(s.buf[:0], b...)
}

// h2Frame takes one frame.
func (t *Table) h2Frame(i uint32, d, n int, ts int64, x *h2conn, kind, flags uint8, stream uint32, b []byte) {
	f := &t.flows[i]
	s := &x.side[d]
	switch kind {
	case frameHeaders:
		if flags&flagPadded != 0 && len(b) > 0 {
			pad := int(b[0])
			b = b[1:max(1, len(b)-pad)]
		}
		if flags&flagPriority != 0 {
			b = b[min(5, len(b)):]
		}
		s.of, s.end, s.block = stream, flags&flagEndStream != 0, append(s.block[:0], b...)
	case frameContinuation:
		if stream != s.of || len(s.block)+len(b) > maxFrame {
			s.lost = true
			return
		}
		s.block = append(s.block, b...)
	case frameReset:
		if len(b) >= 4 {
			code := binary.BigEndian.Uint32(b)
			if code != 0 {
				f.mark(MarkStreamReset, d, uint32(n), ts, 0, uint16(code))
			}
			t.h2Reset(i, d, n, ts, x, stream, code)
		}
		return
	case frameGoAway:
		if len(b) >= 8 && d == 1 {
			last := binary.BigEndian.Uint32(b) & 0x7fffffff
			f.mark(MarkGoAway, d, uint32(n), ts, 0, uint16(binary.BigEndian.Uint32(b[4:])))
			if !x.goAway || last < x.last {
				x.goAway, x.last = true, last
				t.h2Gone(i, x)
			}
		}
		return
	}
	if flags&flagEndHeaders != 0 {
		t.h2Headers(i, d, n, ts, x)
	}
}

// h2Headers takes a whole header block.
func (t *Table) h2Headers(i uint32, d, n int, ts int64, x *h2conn) {
	s := &x.side[d]
	fields, err := s.dec.DecodeFull(s.block)
	s.block = s.block[:0]
	if err != nil {
		fields = nil // a table that began before the capture
	}
	if d == 0 {
		t.h2Request(i, n, ts, x, s.of, s.end, fields)
		return
	}
	f := &t.flows[i]
	k, ok := x.streams[s.of]
	if !ok {
		return
	}
	e := t.ex[k]
	status := 0
	for _, x := range fields {
		if x.Name == ":status" {
			status = int(length([]byte(x.Value)))
		}
	}
	if status < 100 || status > 599 || status < 200 {
		if status >= 100 && status < 200 {
			return
		}
		status = max(e.Status, 0)
	}
	if e.First == 0 {
		e.Status, e.First, e.FirstN, e.Proto = status, ts, uint32(n), 2
		e.Early = !e.ReqWhole
		t.Stats.Answers2++
		f.mark(MarkAnswer, 1, uint32(n), ts, 0, uint16(status))
	}
	e.End, e.EndN = ts, uint32(n)
	if s.end {
		t.h2End(i, x, s.of)
	}
}

func (t *Table) h2Request(i uint32, n int, ts int64, x *h2conn, stream uint32, end bool, fields []hpack.HeaderField) {
	if _, ok := x.streams[stream]; ok || len(x.streams) >= maxStreams {
		return // trailers, or too many
	}
	e := t.asks(i, part{t: ts, n: uint32(n), seq: t.flows[i].half[0].next}, n, ts)
	e.Proto, e.ReqWhole = 2, end
	x.streams[stream] = e.self
	var none body
	for _, h := range fields {
		switch h.Name {
		case ":method":
			e.Method = e.keep([]byte(h.Value), 24)
		case ":path":
			e.Target = e.keep([]byte(h.Value), maxTarget)
		case ":authority":
			e.Host = e.keep([]byte(h.Value), maxValue)
		default:
			t.field(e, &none, []byte(h.Name), []byte(h.Value))
		}
	}
	t.Stats.Requests2++
	t.asked(i, e)
}

func (t *Table) h2Data(i uint32, d, n int, ts int64, x *h2conn, stream uint32, size int, flags uint8) {
	k, ok := x.streams[stream]
	if !ok {
		return
	}
	e := t.ex[k]
	end := flags&flagEndStream != 0
	if d == 0 {
		e.ReqBytes += uint64(size)
		e.Sent, e.SentN = ts, uint32(n)
		if e.ReqWhole = e.ReqWhole || end; end && e.ended {
			t.h2End(i, x, stream)
		}
		return
	}
	e.Bytes += uint64(size)
	e.End, e.EndN = ts, uint32(n)
	if end {
		t.h2End(i, x, stream)
	}
}

// h2End: the answer on a stream is whole.
func (t *Table) h2End(i uint32, x *h2conn, stream uint32) {
	e := t.ex[x.streams[stream]]
	delete(x.streams, stream)
	e.ended = true
	t.emit(&t.flows[i], e, Answered)
}

// h2Reset: a side gave a stream up.
func (t *Table) h2Reset(i uint32, d, n int, ts int64, x *h2conn, stream, code uint32) {
	k, ok := x.streams[stream]
	if !ok {
		return
	}
	e := t.ex[k]
	delete(x.streams, stream)
	e.End, e.EndN, e.Code = ts, uint32(n), code
	switch {
	case d == 0:
		t.emit(&t.flows[i], e, ClientReset)
	case e.Status != 0 && code == 0:
		t.emit(&t.flows[i], e, Answered) // the answer is whole, the request's rest is not wanted
	case e.Status != 0:
		t.emit(&t.flows[i], e, ServerCut)
	default:
		t.emit(&t.flows[i], e, StreamReset)
	}
}

// h2Gone: streams over the last of a GOAWAY were not looked at.
func (t *Table) h2Gone(i uint32, x *h2conn) {
	for _, stream := range slices.Sorted(maps.Keys(x.streams)) {
		if stream > x.last {
			e := t.ex[x.streams[stream]]
			delete(x.streams, stream)
			t.emit(&t.flows[i], e, GoneAway)
		}
	}
}

// h2Gap: a frame's head may be among the bytes that were not captured.
func (t *Table) h2Gap(f *flow, d, size int) {
	x := t.h2[f.num]
	if x == nil {
		return
	}
	s := &x.side[d]
	if size <= s.skip {
		s.skip -= size
		return
	}
	t.h2Bytes -= s.room()
	s.lost, s.buf, s.block = true, nil, nil
}
