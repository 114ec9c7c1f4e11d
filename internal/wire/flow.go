package wire

import "time"

// half is one direction of a flow: what one side sends.
type half struct {
	next   uint32 // sequence number expected next
	lastT  int64  // when it last sent something new
	bytes  uint64
	left   uint64 // of the body, chunk or record that is being passed
	closeT int64  // its FIN
	closeN uint32
	// closeAck is what its FIN or RST acknowledges.
	closeAck uint32
	closeSeq uint32 // where it stands among what this side sent
	acked    uint32 // what it acknowledged last
	part     int32  // number of the buffer with the beginning of a head; 0 is none
	held     int32  // number of the first segment ahead of next; 0 is none
	// Of the packet before, to know a copy by.
	wasSeq, wasStamp uint32
	wasLen, wasID    uint16
	id               uint16
	retrans, zeros   uint16
	ttl, wasFlags    uint8
	state            state
	bits             halfBits
}

type halfBits uint8

const (
	halfSeen halfBits = 1 << iota // next is known
	halfFIN
	halfRST
	halfZero // its window is closed
	halfTTL
	halfWas
	halfFINACKed
)

// flow is a connection that is being followed. It holds no pointers, so that a
// million of them cost the garbage collector nothing.
type flow struct {
	k          key
	num        uint32 // 1 + the stream's number; 0 if unused
	chain      uint32 // next in the hash bucket, or of the free
	openedT    int64
	synT       int64 // the last SYN
	answeredT  int64
	lastT      int64
	firstN     uint32
	lastN      uint32
	isn        uint32
	half       [2]half // from the client, from the server
	ring       [ringSize]mark
	marks      uint32
	first      int32 // exchanges in flight
	last       int32
	queued     uint16
	syns       uint16
	synacks    uint16
	gaps       uint16
	requests   uint32
	missing    [2]uint32 // bytes that never arrived, though later ones did
	resetN     uint32
	resetTTL   uint8
	resetUsual uint8
	resetID    uint16
	proto      Protocol
	bits       flowBits
	closer     Side // who sent the first FIN or RST
	resetBy    Side
	// client is the key's second end.
	second  bool
	closing bool // about to be judged
	done    bool // was told of
	touched bool
}

type flowBits uint8

const (
	synSeen flowBits = 1 << iota
	refused
	closeRST // the first close was a reset
	hasICMP
	guessed // who the client is, is a guess
	closeIdle
	foreign
	settling // in the queue of those that are judged
)

func (f *flow) has(b flowBits) bool { return f.bits&b != 0 }

func (f *flow) ends() (client, server Endpoint) {
	a, b := f.k.ends()
	if f.second {
		return b, a
	}
	return a, b
}

// Segment follows one TCP segment. n is the packet's number; ts its time.
func (t *Table) Segment(n int, ts int64, s *Segment) {
	t.Stats.Segments++
	if ts > t.now {
		t.now = ts
		t.due()
	}
	t.nowN = uint32(n)
	if s.Flags&RST != 0 {
		t.Stats.Resets++
	}
	if t.inFlight() >= maxOpen {
		for t.inFlight() > maxOpen-maxOpen/8 {
			t.evict(true)
		}
	}
	k, srcSecond := keyOf(s)
	i := t.find(&k)
	if i != 0 && s.Flags&(SYN|ACK) == SYN && t.anew(&t.flows[i], s, srcSecond) {
		t.replace(i)
		i = 0
	}
	if i == 0 {
		i = t.begin(&k, s, srcSecond)
	}
	f := &t.flows[i]
	d := 0
	if srcSecond != f.second {
		d = 1
	}
	if f.has(guessed) && f.proto == protoNone && len(s.Payload) > 0 && (d == 1 && asks(s.Payload) || d == 0 && beginsAnswer(s.Payload)) {
		t.flip(f)
		d = 1 - d
	}
	f.touched = true
	h := &f.half[d]
	if t.copyOf(f, h, ts, s) {
		t.Stats.Copies++
		return
	}
	if f.firstN == 0 {
		f.firstN = uint32(n)
	}
	f.lastT, f.lastN = ts, uint32(n)
	if f.done {
		return // what comes after the end changes nothing
	}
	if s.Flags&(SYN|RST|FIN) != 0 || !seen(h) {
		t.control(i, d, n, ts, s)
	}
	if s.Flags&ACK != 0 {
		t.acked(i, d, n, ts, s)
	}
	if s.Len > 0 && s.Flags&(SYN|RST) == 0 {
		t.data(i, d, n, ts, s)
	}
	if s.Flags&FIN != 0 && s.Flags&RST == 0 {
		t.fin(i, d, n, ts, s)
	}
}

func seen(h *half) bool { return h.bits&halfSeen != 0 }

// anew: a SYN that is not the flow's own repeated opens a new connection, as
// Wireshark counts.
func (t *Table) anew(f *flow, s *Segment, srcSecond bool) bool {
	if srcSecond != f.second {
		return f.has(synSeen) || f.has(guessed) || f.done
	}
	if !f.has(synSeen) {
		return f.synacks == 0 || f.half[0].next != s.Seq+1 // its answer may stand before it
	}
	return f.isn != s.Seq
}

// replace ends a flow whose addresses are used anew.
func (t *Table) replace(i uint32) {
	if !t.flows[i].done {
		t.finish(i)
	}
	t.drop(i)
}

// begin opens a flow and settles who its client is.
func (t *Table) begin(k *key, s *Segment, srcSecond bool) uint32 {
	i := t.open(k)
	f := &t.flows[i]
	fromClient := true
	switch {
	case s.Flags&(SYN|ACK) == SYN:
	case s.Flags&(SYN|ACK) == SYN|ACK:
		fromClient = false
	case len(s.Payload) > 0 && beginsAnswer(s.Payload):
		fromClient = false
		f.bits |= guessed
	case len(s.Payload) > 0 && beginsRequest(s.Payload):
		f.bits |= guessed
	default:
		// The lesser port is the server's, nearly always.
		fromClient = s.Src.Port > s.Dst.Port
		f.bits |= guessed
	}
	f.second = srcSecond == fromClient
	return i
}

// copyOf: the same packet, seen a second time by the capture.
func (t *Table) copyOf(f *flow, h *half, ts int64, s *Segment) bool {
	was := h.bits&halfWas != 0 && h.wasSeq == s.Seq && h.wasLen == uint16(s.Len) && h.wasID == s.ID && h.wasStamp == s.Stamp && h.wasFlags == s.Flags &&
		ts-f.lastT < copied && ts >= f.lastT && h.acked == s.Ack && (s.ID != 0 || s.Len > 0 || s.Flags&(SYN|FIN|RST) != 0)
	h.bits |= halfWas
	h.wasSeq, h.wasLen, h.wasID, h.wasStamp, h.wasFlags = s.Seq, uint16(s.Len), s.ID, s.Stamp, s.Flags
	if !was {
		return false
	}
	// A pure acknowledgement without a number of its own may be meant.
	return s.ID != 0 || s.Flags&(SYN|FIN|RST) != 0 || s.Len > 0
}

// control follows what opens and resets.
func (t *Table) control(i uint32, d, n int, ts int64, s *Segment) {
	f := &t.flows[i]
	h := &f.half[d]
	switch {
	case s.Flags&RST != 0:
		t.reset(i, d, n, ts, s)
	case s.Flags&SYN != 0 && d == 0:
		if !f.has(synSeen) {
			f.openedT, f.isn = ts, s.Seq
			f.bits |= synSeen
			t.later(&t.opening, due{ts + patience, i, f.num})
		}
		f.synT = ts
		f.syns++
		h.next = s.Seq + 1
		h.bits |= halfSeen
		h.usual(s)
		f.mark(MarkSYN, d, uint32(n), ts, 0, 0)
	case s.Flags&SYN != 0:
		f.synacks++
		if f.answeredT == 0 {
			f.answeredT = ts
			if t.opt.OnOpen != nil {
				t.opt.OnOpen(Flow{t, i}, ts)
			}
		}
		h.next = s.Seq + 1
		h.bits |= halfSeen
		h.usual(s)
		f.mark(MarkSYNACK, d, uint32(n), ts, 0, 0)
		if c := &f.half[0]; !seen(c) {
			c.next = s.Ack
			c.bits |= halfSeen
		}
	case !seen(h):
		h.next = s.Seq
		h.bits |= halfSeen
		h.usual(s)
	}
}

// usual notes how this side's packets look.
func (h *half) usual(s *Segment) {
	h.ttl, h.id = s.TTL, s.ID
	h.bits |= halfTTL
}

// inWindow bounds how far from what is expected a reset's number may lie for it
// to be heeded, in bytes: the largest window.
const inWindow = 1 << 30

// reset follows a RST.
func (t *Table) reset(i uint32, d, n int, ts int64, s *Segment) {
	f := &t.flows[i]
	h := &f.half[d]
	if f.synacks == 0 && f.has(synSeen) && d == 1 && !seen(h) {
		f.bits |= refused
	}
	if seen(h) && !f.has(refused) {
		if off := int32(s.Seq - h.next); s.Seq != 0 && (off > inWindow || off < -inWindow) {
			return // blind: nobody heeds it
		}
	}
	f.mark(MarkRST, d, uint32(n), ts, s.Len, 0)
	if h.bits&halfRST == 0 && f.resetBy == Nobody {
		f.resetBy, f.resetN = Side(d+1), uint32(n)
		if h.bits&halfTTL != 0 && h.ttl != s.TTL {
			f.bits |= foreign
			f.resetTTL, f.resetUsual, f.resetID = s.TTL, h.ttl, s.ID
		}
	}
	h.bits |= halfRST
	t.closes(f, d, n, ts, s, true)
	t.settles(i, ts)
}

// closes notes the first close.
func (t *Table) closes(f *flow, d, n int, ts int64, s *Segment, rst bool) {
	h := &f.half[d]
	if h.closeT == 0 {
		if h.closeSeq = s.Seq + uint32(s.Len); rst && s.Seq == 0 {
			h.closeSeq = h.next
		}
		h.closeT, h.closeN, h.closeAck = ts, uint32(n), s.Ack
		if s.Flags&ACK == 0 {
			h.closeAck = f.half[1-d].next // a bare RST acknowledges nothing: it answers what it was sent
		}
	}
	if f.closer != Nobody {
		return
	}
	f.closer = Side(d + 1)
	if rst {
		f.bits |= closeRST
	}
	if f.requests > 0 && (f.first == 0 || f.first == f.last && t.ex[f.first].Opaque && t.ex[f.first].First != 0) {
		f.bits |= closeIdle
	}
}

// settles has the flow judged after a while.
func (t *Table) settles(i uint32, ts int64) {
	f := &t.flows[i]
	f.closing = true
	if !f.has(settling) {
		f.bits |= settling
		t.later(&t.closing, due{ts + settle, i, f.num})
	}
}

// fin follows a FIN.
func (t *Table) fin(i uint32, d, n int, ts int64, s *Segment) {
	f := &t.flows[i]
	h := &f.half[d]
	if h.bits&halfFIN != 0 {
		return // sent again
	}
	h.bits |= halfFIN
	f.mark(MarkFIN, d, uint32(n), ts, s.Len, 0)
	t.closes(f, d, n, ts, s, false)
	if s.Seq+uint32(s.Len) == h.next {
		t.ended(i, d) // else something before it has not come yet
	}
	if f.half[0].bits&f.half[1].bits&halfFIN != 0 {
		t.settles(i, ts)
	}
}

// acked follows what a side acknowledges, and its window.
func (t *Table) acked(i uint32, d, n int, ts int64, s *Segment) {
	f := &t.flows[i]
	h, o := &f.half[d], &f.half[1-d]
	if s.Window == 0 && s.Flags&(SYN|FIN|RST) == 0 {
		if h.bits&halfZero == 0 {
			h.bits |= halfZero
			h.zeros++
			f.mark(MarkZero, d, uint32(n), ts, 0, 0)
		}
	} else {
		h.bits &^= halfZero
	}
	h.acked = s.Ack
	if s.Flags&RST == 0 && h.bits&halfTTL == 0 {
		h.usual(s)
	}
	if !seen(o) {
		o.next = s.Ack
		o.bits |= halfSeen
		return
	}
	if o.bits&halfFIN != 0 && h.bits&(halfFIN|halfFINACKed) == 0 && s.Len == 0 && s.Flags&(FIN|RST|SYN) == 0 {
		h.bits |= halfFINACKed
		f.mark(MarkFINACK, d, uint32(n), ts, 0, 0)
	}
	// What is acknowledged and was not captured will not come any more.
	if o.held != 0 && int32(s.Ack-t.held.at(o.held).seq) >= 0 {
		t.jump(i, 1-d)
	}
}

// data follows payload.
func (t *Table) data(i uint32, d, n int, ts int64, s *Segment) {
	f := &t.flows[i]
	h := &f.half[d]
	if f.closing && h.bits&halfRST != 0 && int32(s.Seq-h.next) >= 0 {
		// The side in whose name the reset came goes on: it was not its own.
		t.undo(f, d)
	}
	off := int32(s.Seq - h.next)
	switch {
	case off == 0:
		t.pass(i, d, n, ts, s.Payload, s.Len)
		if h.held != 0 {
			t.unhold(i, d)
		}
	case off < 0:
		if -int(off) >= s.Len {
			t.again(f, d, n, ts, s)
			return
		}
		cut := -int(off)
		t.pass(i, d, n, ts, s.Payload[min(cut, len(s.Payload)):], s.Len-cut)
		if h.held != 0 {
			t.unhold(i, d)
		}
	default:
		t.hold(i, d, n, ts, s)
	}
}

// undo takes a reset back that nobody heeded.
func (t *Table) undo(f *flow, d int) {
	h := &f.half[d]
	h.bits &^= halfRST
	f.closing = false
	if h.bits&halfFIN == 0 {
		h.closeT, h.closeN = 0, 0
	}
	if f.closer == Side(d+1) && f.has(closeRST) {
		f.closer = Nobody
		f.bits &^= closeRST | closeIdle
	}
	f.resetBy = Nobody
}

// again follows payload that was sent before.
func (t *Table) again(f *flow, d, n int, ts int64, s *Segment) {
	h := &f.half[d]
	switch {
	case s.Len <= 1 && s.Seq == h.next-1:
		return // a keep-alive probe
	case ts-h.lastT < copied:
		t.Stats.Copies++
		return
	}
	t.Stats.Retransmits++
	if h.retrans < 1<<16-1 {
		h.retrans++
	}
	f.mark(MarkAgain, d, uint32(n), ts, s.Len, 0)
}

// pass hands new payload on. Of size bytes, data was captured.
func (t *Table) pass(i uint32, d, n int, ts int64, data []byte, size int) {
	f := &t.flows[i]
	h := &f.half[d]
	marks := f.marks
	t.quiet = false
	t.read(i, d, n, ts, data)
	if missing := size - len(data); missing > 0 {
		t.snapped = true
		t.gap(i, d, missing)
		t.snapped = false
	}
	h.next += uint32(size)
	h.bytes += uint64(size)
	if !t.quiet {
		h.lastT = ts
	}
	if f.marks == marks {
		f.mark(MarkData, d, uint32(n), ts, size, 0)
	} else if m := &f.ring[(f.marks-1)%ringSize]; m.bytes == 0 {
		m.bytes = uint32(size)
	}
}

// finish tells of a flow that is over.
func (t *Table) finish(i uint32) {
	f := &t.flows[i]
	for d := range f.half {
		if h := &f.half[d]; h.held != 0 {
			// What the other side never acknowledged never arrived.
			hole := int32(t.held.at(h.held).seq - h.next)
			if o := &f.half[1-d]; hole > 0 && o.bits&halfTTL != 0 && int32(o.acked-h.next) <= 0 {
				f.missing[d] = uint32(hole)
				t.held.drop(h)
			}
		}
		for f.half[d].held != 0 {
			t.jump(i, d)
		}
	}
	for f.first != 0 {
		e := t.ex[f.first]
		t.emit(f, e, t.fate(f, e))
	}
	f.done = true
	if t.opt.OnConn != nil {
		t.opt.OnConn(t.describe(f))
	}
	t.release(f)
	t.later(&t.over, due{t.now + linger, i, f.num})
}

// hole: bytes before its FIN or RST were not captured. A reset may count the
// FIN before it.
func (h *half) hole() bool { return h.closeT != 0 && int32(h.closeSeq-h.next) > 1 }

// fate is how an exchange ended that did not end well.
func (t *Table) fate(f *flow, e *Exchange) Ending {
	if e.ended {
		return Answered
	}
	if e.broken {
		return ServerCut
	}
	c, s := &f.half[0], &f.half[1]
	if s.bits&halfTTL == 0 || t.missed(f) || s.hole() && f.missing[1] == 0 || s.state == isLost && (e.Opaque || e.First != 0) {
		return Open // of what the server sent, not all was captured
	}
	if s.closeT != 0 {
		e.HasClosed, e.ClosedAgo = true, time.Duration(e.Start-s.closeT)
		e.Unaware = int32(s.closeAck-e.startSeq) <= 0
	}
	by := f.closer
	if f.missing[1] > 0 {
		// The server answered, and closed perhaps; not all of it arrived.
		if by = Nobody; c.closeT != 0 {
			by = Client
		}
	}
	if by == Client && s.closeT != 0 && c.closeT >= e.Start && s.bits&halfRST != 0 && s.closeT <= c.closeT {
		by = Server
	}
	switch by {
	case Server:
		switch {
		case e.First != 0 && (s.state == inClose && s.bits&halfFIN != 0 || e.Opaque):
			return Answered // no length was promised
		case e.First != 0:
			return ServerCut
		case s.bits&halfRST != 0:
			return ServerReset
		}
		return ServerClosed
	case Client:
		if e.First != 0 && (s.state == inClose || e.Opaque) {
			return Answered // as long as it liked
		}
		if c.bits&halfRST != 0 {
			return ClientReset
		}
		return ClientClosed
	}
	return Open
}

// describe fills the table's Conn.
func (t *Table) describe(f *flow) *Conn {
	c := &t.conn
	marks := c.Marks[:0]
	*c = Conn{
		Stream: int(f.num) - 1, Begun: f.has(synSeen), Opened: f.openedT, FirstN: f.firstN, SYNs: int(f.syns), SYNACKs: int(f.synacks),
		LastSYN: f.synT, Answered: f.answeredT, ClosedBy: f.closer, Refused: f.has(refused), Reset: f.resetBy, ResetN: f.resetN,
		Requests: int(f.requests), Protocol: f.proto, Last: f.lastT, LastN: f.lastN, Idle: f.has(closeIdle), Gaps: int(f.gaps), Rest: -1,
	}
	c.Client, c.Server = f.ends()
	silent := f.half[1].bits&halfTTL == 0 && f.synacks == 0
	c.Unanswered = f.has(synSeen) && silent && !f.has(refused) && !seen(&f.half[1])
	c.OneSided = silent && seen(&f.half[1]) || f.half[0].bits&halfTTL == 0 && seen(&f.half[0])
	if f.closer != Nobody {
		h := &f.half[f.closer-1]
		c.Closed, c.ClosedN, c.How = h.closeT, h.closeN, "fin"
		if f.has(closeRST) {
			c.How = "rst"
		}
		if last := f.before(h.closeT); last != 0 {
			c.Rest = time.Duration(h.closeT - last)
		}
	}
	if f.has(foreign) && f.resetBy != Nobody {
		c.Foreign = &Foreign{TTL: f.resetTTL, Usual: f.resetUsual, ID: f.resetID, UsualAbout: f.half[f.resetBy-1].id}
	}
	if f.has(hasICMP) {
		x := t.icmps[f.num]
		c.ICMP, c.ICMPN, c.ICMPTime = &x.ICMP, x.n, x.t
	}
	for d := range f.half {
		h := &f.half[d]
		c.Bytes[d], c.Retransmits[d], c.ZeroWindows[d], c.Missing[d] = h.bytes, int(h.retrans), int(h.zeros), int(f.missing[d])
	}
	if x := t.tls[f.num]; x != nil {
		c.TLS = x.TLS
	}
	c.Marks = f.marksOf(marks)
	c.Lost = max(0, int(f.marks)-ringSize)
	return c
}

// before is when payload passed last before ts, or the handshake; 0 if nothing
// did.
func (f *flow) before(ts int64) int64 {
	last := int64(0)
	for _, x := range [...]int64{f.half[0].lastT, f.half[1].lastT, f.answeredT} {
		if x <= ts {
			last = max(last, x)
		}
	}
	return last
}

// icmpNote is an ICMP error about a flow.
type icmpNote struct {
	ICMP
	n uint32
	t int64
}

// Unreachable follows an ICMP error about a connection.
func (t *Table) Unreachable(n int, ts int64, s *Segment) {
	if ts > t.now {
		t.now = ts
		t.due()
	}
	k, srcSecond := keyOf(s)
	i := t.find(&k)
	if i == 0 || t.flows[i].done {
		return
	}
	f := &t.flows[i]
	d := 0
	if srcSecond != f.second {
		d = 1
	}
	if !f.has(hasICMP) {
		f.bits |= hasICMP
		t.icmps[f.num] = icmpNote{s.ICMP, uint32(n), ts}
		f.mark(MarkICMP, 1-d, uint32(n), ts, 0, uint16(s.ICMP.Type)<<8|uint16(s.ICMP.Code))
	}
	if f.lastT = ts; f.answeredT == 0 && f.has(synSeen) && d == 0 {
		t.settles(i, ts)
	}
}
