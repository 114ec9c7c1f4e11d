package wire

import (
	"encoding/binary"
	"maps"
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
	of    uint32
	end   bool
	lost  bool
	ready bool
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
	// maxTable bounds a header table, in bytes: what nearly all use.
	maxTable = 64 << 10
)

// readH2 walks the frames of one side.
func (t *Table) readH2(i uint32, d, n int, ts int64, data []byte) {
	f := &t.flows[i]
	x := t.h2[f.num]
	if x == nil {
		x = &h2conn{streams: map[uint32]int32{}}
		for k := range x.side {
			x.side[k].dec = hpack.NewDecoder(4096, nil)
			x.side[k].dec.SetAllowedMaxDynamicTableSize(maxTable)
			x.side[k].dec.SetMaxStringLength(maxHead)
		}
		t.h2[f.num] = x
	}
	s := &x.side[d]
	if s.lost {
		return
	}
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
			x.goAway, x.last = true, binary.BigEndian.Uint32(b)&0x7fffffff
			f.mark(MarkGoAway, d, uint32(n), ts, 0, uint16(binary.BigEndian.Uint32(b[4:])))
			t.h2Gone(i, x)
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
	s.lost, s.buf = true, nil
}
