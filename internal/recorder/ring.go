package recorder

import (
	"encoding/binary"
	"slices"
)

// frame is a packet as it lies in the ring.
type frame struct {
	pos  int64 // where it begins, counted since the ring began; grows with each frame
	time int64 // nanoseconds since 1970
	flow uint64
	orig int    // bytes on the wire
	data []byte // as much as was kept; valid until the next put
}

// ring holds the last frames of all connections, oldest overwritten first. It
// is one array of bytes; each record names the one before it of the same
// connection, so that a connection's frames are found without a list of them.
type ring struct {
	buf   []byte
	head  int64 // where the next record goes
	tail  int64 // the oldest record
	keep  int64 // nanoseconds that a frame is kept
	flows map[uint64]chain
	most  int // flows at a time
}

// chain is where a connection's frames end.
type chain struct {
	last int64
	syn  uint32 // sequence number of the SYN that began it
	has  bool   // there was one
}

// The ring's record: 32 bytes, then the frame, then padding to 8 bytes.
const (
	ringHead  = 32
	ringAlign = 8
	// ringPad is the flow of a record that only fills the array's end.
	ringPad = ^uint64(0)
	// MinRing is the least ring: a few of the longest frames.
	MinRing = 1 << 20
	// MaxRing is the largest.
	MaxRing = 16 << 30
	// bytesPerFlow bounds the connections that the ring's index holds: one for
	// so many bytes of ring. A flood of connections of one packet each shortens
	// the ring instead of growing the index.
	bytesPerFlow = 256
)

// newRing returns a ring of size bytes that holds frames for keep nanoseconds.
func newRing(size int, keep int64) *ring {
	size = max(size, MinRing) &^ (ringAlign - 1)
	return &ring{buf: make([]byte, size), keep: keep, flows: map[uint64]chain{}, most: size / bytesPerFlow}
}

// put takes a frame in. A SYN that is not a repetition begins a connection
// anew: what its addresses carried before is no longer found under them.
func (r *ring) put(f frame, syn bool, seq uint32) {
	if len(f.data) > len(r.buf)/4 {
		f.data = f.data[:len(r.buf)/4]
	}
	need := int64(ringHead+len(f.data)+ringAlign-1) &^ (ringAlign - 1)
	at := r.head % int64(len(r.buf))
	if left := int64(len(r.buf)) - at; left < need {
		r.free(left)
		if left >= ringHead {
			r.write(at, f.time, ringPad, int(left-ringHead), 0, -1)
		}
		r.head += left
		at = 0
	}
	r.free(need)
	for r.tail < r.head && (r.oldest() < f.time-r.keep || len(r.flows) >= r.most) {
		r.drop()
	}
	c, known := r.flows[f.flow]
	if !known || syn && (!c.has || c.syn != seq) {
		c = chain{last: -1}
	}
	if syn {
		c.syn, c.has = seq, true
	}
	r.write(at, f.time, f.flow, len(f.data), f.orig, c.last)
	copy(r.buf[at+ringHead:], f.data)
	c.last = r.head
	r.flows[f.flow] = c
	r.head += need
}

func (r *ring) write(at, time int64, flow uint64, n, orig int, prev int64) {
	b := r.buf[at : at+ringHead]
	binary.LittleEndian.PutUint64(b, uint64(time))
	binary.LittleEndian.PutUint64(b[8:], flow)
	binary.LittleEndian.PutUint64(b[16:], uint64(prev))
	binary.LittleEndian.PutUint32(b[24:], uint32(n))
	binary.LittleEndian.PutUint32(b[28:], uint32(orig))
}

// free drops the oldest records until n bytes are free.
func (r *ring) free(n int64) {
	for r.tail < r.head && int64(len(r.buf))-(r.head-r.tail) < n {
		r.drop()
	}
}

// drop drops the oldest record.
func (r *ring) drop() {
	at := r.tail % int64(len(r.buf))
	if left := int64(len(r.buf)) - at; left < ringHead {
		r.tail += left
		return
	}
	b := r.buf[at:]
	flow := binary.LittleEndian.Uint64(b[8:])
	if c, ok := r.flows[flow]; ok && c.last == r.tail {
		delete(r.flows, flow)
	}
	r.tail += int64(ringHead+int(binary.LittleEndian.Uint32(b[24:]))+ringAlign-1) &^ (ringAlign - 1)
}

// oldest is the time of the oldest record; the ring is not empty.
func (r *ring) oldest() int64 {
	at := r.tail % int64(len(r.buf))
	if int64(len(r.buf))-at < ringHead {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(r.buf[at:]))
}

// of appends a connection's frames from position and time on, oldest first, and
// no more than the last most of them. It tells whether the ring no longer has
// what came before them, back to from.
func (r *ring) of(dst []frame, flow uint64, from, since int64, most int) (frames []frame, lost bool) {
	c, ok := r.flows[flow]
	if !ok {
		return dst, false
	}
	n := len(dst)
	for p := c.last; p >= from; {
		if p < r.tail || len(dst)-n >= most {
			lost = true
			break
		}
		b := r.buf[p%int64(len(r.buf)):]
		f := frame{
			pos: p, flow: flow,
			time: int64(binary.LittleEndian.Uint64(b)),
			orig: int(binary.LittleEndian.Uint32(b[28:])),
		}
		if f.time < since {
			break
		}
		k := int(binary.LittleEndian.Uint32(b[24:]))
		f.data = b[ringHead : ringHead+k : ringHead+k]
		dst = append(dst, f)
		p = int64(binary.LittleEndian.Uint64(b[16:]))
	}
	slices.Reverse(dst[n:])
	return dst, lost
}

// used is how many bytes the frames take.
func (r *ring) used() int64 { return r.head - r.tail }
