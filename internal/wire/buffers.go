package wire

import "unsafe"

// parts are the beginnings of heads that did not come in one packet.
type parts struct {
	all   []part // 0 is nobody
	free  []int32
	bytes int // room of their buffers, those of the free too
}

type part struct {
	data []byte
	t    int64 // when its first byte came
	n    uint32
	seq  uint32
}

// The bounds of buffers.
const (
	// maxHead is the longest head of a message that is read, in bytes: twice
	// what servers take by default.
	maxHead = 32 << 10
	// maxParts bounds all heads that are waiting for their end, in bytes.
	maxParts = 16 << 20
	// maxAhead and maxHeld bound the segments of one side that came before
	// their turn: a large window of them.
	maxAhead = 128
	// maxHeld bounds those of all connections, in bytes, bookkeeping included.
	maxHeld = 32 << 20
	// perHeld is the bookkeeping of one.
	perHeld = int(unsafe.Sizeof(ahead{}))
	// spare is the largest buffer that is kept for the next one: what is larger
	// would pile up.
	spare = 512
)

func (p *parts) init() { p.all = make([]part, 1) }

// add appends data to the part numbered *n, or begins one; false if there is
// no room.
func (p *parts) add(n *int32, data []byte, t int64, packet, seq uint32) bool {
	if *n == 0 {
		if k := len(p.free); k > 0 {
			*n = p.free[k-1]
			p.free = p.free[:k-1]
		} else {
			*n = int32(len(p.all))
			p.all = append(p.all, part{})
		}
		x := &p.all[*n]
		x.t, x.n, x.seq = t, packet, seq
	}
	x := &p.all[*n]
	if len(x.data)+len(data) > maxHead || p.bytes+len(data) > maxParts {
		p.put(n)
		return false
	}
	p.bytes -= cap(x.data)
	x.data = append(x.data, data...)
	p.bytes += cap(x.data)
	return true
}

// drop takes bytes off a part's front, fewer than it has.
func (p *parts) drop(n int32, size int) {
	x := &p.all[n]
	x.data = x.data[:copy(x.data, x.data[size:])]
	x.seq += uint32(size)
}

// put gives a part back.
func (p *parts) put(n *int32) {
	if *n == 0 {
		return
	}
	x := &p.all[*n]
	if x.data = x.data[:0]; cap(x.data) > spare || p.bytes > maxParts/2 {
		p.bytes -= cap(x.data)
		x.data = nil
	}
	p.free = append(p.free, *n)
	*n = 0
}

// held are segments that came before their turn.
type held struct {
	all   []ahead // 0 is nobody
	free  []int32
	bytes int // room of their buffers, those of the free too, and their bookkeeping
}

type ahead struct {
	data []byte
	t    int64
	seq  uint32
	size int
	n    int
	next int32
}

func (x *held) init()             { x.all = make([]ahead, 1) }
func (x *held) at(i int32) *ahead { return &x.all[i] }

// take removes a side's first segment.
func (x *held) take(h *half) {
	i := h.held
	a := &x.all[i]
	h.held = a.next
	x.bytes -= perHeld
	if a.data = a.data[:0]; cap(a.data) > spare || x.bytes > maxHeld/2 {
		x.bytes -= cap(a.data)
		a.data = nil
	}
	x.free = append(x.free, i)
}

func (x *held) drop(h *half) {
	for h.held != 0 {
		x.take(h)
	}
}

// hold keeps a segment that came before its turn.
func (t *Table) hold(i uint32, d, n int, ts int64, s *Segment) {
	f := &t.flows[i]
	h := &f.half[d]
	x := &t.held
	count := 0
	p := &h.held
	for *p != 0 && int32(x.all[*p].seq-s.Seq) <= 0 {
		if a := &x.all[*p]; a.seq == s.Seq && a.size >= s.Len {
			return // held already
		}
		p = &x.all[*p].next
		count++
	}
	after := *p
	for k := after; k != 0; k = x.all[k].next {
		count++
	}
	var k int32
	if m := len(x.free); m > 0 {
		k = x.free[m-1]
		x.free = x.free[:m-1]
		*p = k
	} else {
		k = int32(len(x.all))
		*p = k // before the slice may move
		x.all = append(x.all, ahead{})
	}
	a := &x.all[k]
	x.bytes += perHeld - cap(a.data)
	a.data = append(a.data[:0], s.Payload...)
	a.t, a.seq, a.size, a.n, a.next = ts, s.Seq, s.Len, n, after
	x.bytes += cap(a.data)
	// A side that never sent what was missing, or a capture that lost it.
	for count >= maxAhead && t.flows[i].half[d].held != 0 || x.bytes > maxHeld && t.flows[i].half[d].held != 0 {
		t.jump(i, d)
		count = 0
	}
}

// jump passes over what is missing before the first held segment.
func (t *Table) jump(i uint32, d int) {
	h := &t.flows[i].half[d]
	if missing := int32(t.held.at(h.held).seq - h.next); missing > 0 {
		t.gap(i, d, int(missing))
		t.flows[i].half[d].next += uint32(missing)
	}
	t.unhold(i, d)
}

// unhold passes on what is now in turn.
func (t *Table) unhold(i uint32, d int) {
	for {
		h := &t.flows[i].half[d]
		if h.held == 0 {
			return
		}
		a := *t.held.at(h.held)
		off := int32(a.seq - h.next)
		if off > 0 {
			return
		}
		if cut := -int(off); cut < a.size {
			t.pass(i, d, a.n, a.t, a.data[min(cut, len(a.data)):], a.size-cut)
		}
		if h = &t.flows[i].half[d]; h.held != 0 {
			t.held.take(h)
		}
	}
}

// gap tells the reader of a side's messages that size bytes were not captured.
func (t *Table) gap(i uint32, d, size int) {
	f := &t.flows[i]
	if f.gaps < 1<<16-1 {
		f.gaps++
	}
	t.Stats.Gaps++
	switch f.proto {
	case ProtoTLS:
		t.tlsGap(i, d, size)
	case ProtoHTTP:
		if t.snapped && t.cutHead(i, d) {
			return
		}
	}
	t.parts.put(&t.flows[i].half[d].part)
	switch f.proto {
	case ProtoHTTP:
		t.httpGap(i, d, size)
	case ProtoH2:
		t.h2Gap(f, d, size)
	}
}
