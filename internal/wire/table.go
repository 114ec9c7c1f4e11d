package wire

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// Options steer a [Table]. The zero value follows connections and tells
// nobody.
type Options struct {
	// IDHeaders are fields that identify a request, in lower case.
	IDHeaders []string
	// OnOpen is called when the server first answers a SYN.
	OnOpen func(f Flow, at int64)
	// OnRequest is called when a request's head was read, OnAnswer when that of
	// its (final) answer was, with what of the body came with it. head may be
	// nil where it was not read.
	OnRequest func(f Flow, e *Exchange)
	OnAnswer  func(f Flow, e *Exchange, head, body []byte)
	// OnExchange is called once for each exchange, when it ended.
	OnExchange func(f Flow, e *Exchange)
	// OnSlow is called once for an exchange that is unanswered after Slow.
	OnSlow func(f Flow, e *Exchange)
	Slow   time.Duration
	// OnConn is called once for each connection, when it is over, or when
	// nothing more of it can be followed.
	OnConn func(c *Conn)
	// MaxFlows bounds the connections followed at once; 0 means a quarter of a
	// million. Over it, those that were silent longest are let go.
	MaxFlows int
}

// The bounds and delays of following connections.
const (
	// defaultFlows times the size of a flow are 100 MB.
	defaultFlows = 256 << 10
	// settle is how long after its end a connection is judged: a reset that a
	// middlebox made up, and that nobody heeded, shows by what follows.
	settle = int64(200 * time.Millisecond)
	// linger is how long a closed connection is remembered, so that its late
	// packets do not open a new one: twice the longest TIME_WAIT in use.
	linger = int64(120 * time.Second)
	// maxLinger bounds those. Four times as many leave a processor's cache, and
	// a fifth of the speed with it; these are most of a second's at ten
	// thousand connections a second.
	maxLinger = 8 << 10
	// patience is how long a connection that nobody answered is waited for:
	// the SYNs at 0, 1, 3 and 7 s have gone out.
	patience = int64(10 * time.Second)
	// maxOpen bounds the requests in flight on all connections: four times what
	// a busy gateway has. They take a kilobyte each, and six at most.
	maxOpen = 64 << 10
	// copied is how soon after a packet its copy follows where one capture
	// sees it twice (-i any, loopback): less than the least time after which
	// TCP sends again.
	copied = int64(5 * time.Millisecond)
)

// Table follows TCP connections. It is not safe for concurrent use.
type Table struct {
	opt   Options
	flows []flow // index 0 is nobody
	free  uint32 // chained by flow.chain
	used  int
	hash  []uint32
	mask  uint64
	salt  salt
	hand  uint32 // of the clock that chooses whom to let go
	// streams is how many connections were seen.
	streams uint32

	ex     []*Exchange // by number; 0 is nobody
	exFree []int32
	parts  parts
	held   held

	closing, opening, slow, over queue
	soon                         int64 // nothing in them is due before

	// Of the few flows that need more, by flow.num.
	h2      map[uint32]*h2conn
	h2old   queue // of those, the oldest first
	h2Bytes int   // what their buffers take
	tls     map[uint32]*tlsConn
	icmps   map[uint32]icmpNote
	stray   map[uint32]int64 // when an answer without a request came

	now     int64
	nowN    uint32
	names   []idName
	lines   lines
	wanted  [2][256]bool // first letters of the fields that are read of each side, in lower case
	conn    Conn
	Stats   Stats
	scratch []byte
	snapped bool // the bytes that are missing are the end of a packet
	cut     bool // the head that is read lacks its end
	quiet   bool // what was read last says nothing but that the connection ends
}

// Stats counts what was seen.
type Stats struct {
	Segments    int // TCP segments, copies included
	Copies      int // seen twice by the capture
	Streams     int
	Requests    int // heads of HTTP/1 requests
	Answers     int // heads of HTTP/1 responses, interim ones included
	Requests2   int // HTTP/2 streams with a request
	Answers2    int // and those of them with a response
	Resets      int // RST segments
	Retransmits int
	Gaps        int // stretches of payload that were not captured
	Evicted     int // connections let go for want of room
}

// NewTable makes a table.
func NewTable(opt Options) *Table {
	if opt.MaxFlows <= 0 {
		opt.MaxFlows = defaultFlows
	}
	t := &Table{opt: opt, flows: make([]flow, 1, 1024), ex: make([]*Exchange, 1), h2: map[uint32]*h2conn{}, tls: map[uint32]*tlsConn{}, icmps: map[uint32]icmpNote{}, stray: map[uint32]int64{}}
	for i := range t.salt {
		t.salt[i] = rand.Uint64()
	}
	t.rehash(1 << 10)
	for _, n := range opt.IDHeaders {
		if n != "" {
			t.names = append(t.names, idName{n})
			t.wanted[0][n[0]|0x20] = true
		}
	}
	for _, c := range "hctvfx" {
		t.wanted[0][c] = true
	}
	for _, c := range "ctu" {
		t.wanted[1][c] = true
	}
	t.parts.init()
	t.held.init()
	return t
}

// key names a connection, the lesser end first.
type key struct {
	aHi, aLo, bHi, bLo uint64
	ports              uint32
}

// keyOf also says whether the segment's source is the second of the key.
func keyOf(s *Segment) (k key, second bool) {
	ah, al := binary.BigEndian.Uint64(s.Src.IP[:8]), binary.BigEndian.Uint64(s.Src.IP[8:])
	bh, bl := binary.BigEndian.Uint64(s.Dst.IP[:8]), binary.BigEndian.Uint64(s.Dst.IP[8:])
	if ah > bh || ah == bh && (al > bl || al == bl && s.Src.Port > s.Dst.Port) {
		return key{bh, bl, ah, al, uint32(s.Dst.Port)<<16 | uint32(s.Src.Port)}, true
	}
	return key{ah, al, bh, bl, uint32(s.Src.Port)<<16 | uint32(s.Dst.Port)}, false
}

// salt is mixed into hashes, so that nobody can make a capture whose
// connections all fall into one bucket. Nothing that is told depends on it.
type salt [4]uint64

func (s *salt) hash(k *key) uint64 {
	a := fold(k.aHi^s[0], k.aLo^s[1])
	b := fold(k.bHi^s[2], k.bLo^s[3])
	return fold(a^uint64(k.ports), b^s[0])
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (k *key) ends() (a, b Endpoint) {
	binary.BigEndian.PutUint64(a.IP[:8], k.aHi)
	binary.BigEndian.PutUint64(a.IP[8:], k.aLo)
	binary.BigEndian.PutUint64(b.IP[:8], k.bHi)
	binary.BigEndian.PutUint64(b.IP[8:], k.bLo)
	a.Port, b.Port = uint16(k.ports>>16), uint16(k.ports)
	return a, b
}

func (t *Table) rehash(n int) {
	t.hash, t.mask = make([]uint32, n), uint64(n-1)
	for i := 1; i < len(t.flows); i++ {
		f := &t.flows[i]
		if f.num != 0 {
			h := &t.hash[t.salt.hash(&f.k)&t.mask]
			f.chain, *h = *h, uint32(i)
		}
	}
}

func (t *Table) find(k *key) uint32 {
	for i := t.hash[t.salt.hash(k)&t.mask]; i != 0; i = t.flows[i].chain {
		if t.flows[i].k == *k {
			return i
		}
	}
	return 0
}

// open makes a flow. Only here may flows move in memory: pointers to them hold
// from one segment to the next.
func (t *Table) open(k *key) uint32 {
	if t.used >= t.opt.MaxFlows {
		t.evict(false)
	}
	i := t.free
	if i != 0 {
		t.free = t.flows[i].chain
	} else {
		if len(t.flows) == cap(t.flows) {
			grown := make([]flow, len(t.flows), min(len(t.flows)*2, t.opt.MaxFlows+2))
			copy(grown, t.flows)
			t.flows = grown
		}
		t.flows = append(t.flows, flow{})
		i = uint32(len(t.flows) - 1)
	}
	t.used++
	if t.used > len(t.hash) {
		t.rehash(len(t.hash) * 4)
	}
	t.streams++
	t.Stats.Streams++
	f := &t.flows[i]
	*f = flow{k: *k, num: t.streams}
	h := &t.hash[t.salt.hash(k)&t.mask]
	f.chain, *h = *h, i
	return i
}

// drop forgets a flow that was told of.
func (t *Table) drop(i uint32) {
	f := &t.flows[i]
	p := &t.hash[t.salt.hash(&f.k)&t.mask]
	for *p != i {
		p = &t.flows[*p].chain
	}
	*p = f.chain
	t.release(f)
	*f = flow{chain: t.free}
	t.free = i
	t.used--
}

// release gives back what a flow holds.
func (t *Table) release(f *flow) {
	for d := range f.half {
		h := &f.half[d]
		t.parts.put(&h.part)
		t.held.drop(h)
	}
	for f.first != 0 {
		t.exDone(f, f.first)
	}
	switch f.proto {
	case ProtoH2:
		t.forgetH2(f)
	case ProtoTLS:
		delete(t.tls, f.num)
	}
	if f.has(hasICMP) {
		delete(t.icmps, f.num)
	}
	if len(t.stray) > 0 {
		delete(t.stray, f.num)
	}
}

// evict lets a flow go that was silent for a while: a clock goes round, and
// takes whom it finds untouched since it last came by; if asking, of those with
// requests in flight.
func (t *Table) evict(asking bool) {
	for {
		if t.hand++; int(t.hand) >= len(t.flows) {
			t.hand = 1
		}
		f := &t.flows[t.hand]
		if f.num == 0 || asking && f.first == 0 {
			continue
		}
		if f.touched && !f.done {
			f.touched = false
			continue
		}
		if !f.done {
			t.Stats.Evicted++
			t.finish(t.hand)
		}
		t.drop(t.hand)
		return
	}
}

// queue are flows (or exchanges) whose time comes in the order in which they
// were put.
type queue struct {
	items []due
	head  int
	most  int // over it, what is void is looked for
}

type due struct {
	at  int64
	i   uint32
	num uint32 // the flow's, or the exchange's serial, then
}

func (q *queue) put(d due) {
	if q.head > 1024 && q.head*2 > len(q.items) {
		n := copy(q.items, q.items[q.head:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, d)
}

func (q *queue) len() int { return len(q.items) - q.head }

// ready reports whether the first is due at now.
func (q *queue) ready(now int64) bool { return q.head < len(q.items) && q.items[q.head].at <= now }

func (q *queue) take() due {
	d := q.items[q.head]
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return d
}

// Tick tells the time, in nanoseconds since 1970, where no packet does.
func (t *Table) Tick(now int64) {
	if now > t.now {
		t.now = now
	}
	t.due()
}

// leastQueue is from how many items on a queue is cleared of what is void.
const leastQueue = 8 << 10

// later puts d into q.
func (t *Table) later(q *queue, d due) {
	if q.len() >= max(q.most, leastQueue) {
		// In a capture whose time stands still, nothing would ever be due.
		kept := q.items[:0]
		for _, x := range q.items[q.head:] {
			if t.valid(q, x) {
				kept = append(kept, x)
			}
		}
		q.items, q.head, q.most = kept, 0, 2*len(kept)
	}
	q.put(d)
	t.soon = min(t.soon, d.at)
}

// valid reports whether what is queued still stands for something: at most one
// item a flow or an exchange does.
func (t *Table) valid(q *queue, d due) bool {
	if q == &t.slow {
		e := t.ex[d.i]
		return e.serial == d.num && e.flow != 0 && e.First == 0 && !e.slow
	}
	f := &t.flows[d.i]
	switch {
	case f.num != d.num:
		return false
	case q == &t.h2old:
		return t.h2[d.num] != nil
	case q == &t.over:
		return f.done
	case q == &t.opening:
		return !f.done && f.answeredT == 0 && f.has(synSeen)
	}
	return !f.done
}

// due does what has come to its time.
func (t *Table) due() {
	if t.now < t.soon && t.over.len() <= maxLinger {
		return
	}
	for t.closing.ready(t.now) {
		d := t.closing.take()
		if !t.valid(&t.closing, d) {
			continue
		}
		f := &t.flows[d.i]
		if f.bits &^= settling; !f.closing {
			continue // a reset that was taken back
		}
		if at := max(f.half[0].closeT, f.half[1].closeT) + settle; at > d.at {
			f.bits |= settling
			t.later(&t.closing, due{at, d.i, d.num}) // and came again
			continue
		}
		t.finish(d.i)
	}
	for t.opening.ready(t.now) {
		if d := t.opening.take(); t.valid(&t.opening, d) {
			t.finish(d.i)
		}
	}
	for t.slow.ready(t.now) {
		if d := t.slow.take(); t.valid(&t.slow, d) {
			e := t.ex[d.i]
			e.slow = true
			t.opt.OnSlow(Flow{t, e.flow}, e)
		}
	}
	for t.over.ready(t.now) || t.over.len() > maxLinger {
		if d := t.over.take(); t.valid(&t.over, d) {
			t.drop(d.i)
		}
	}
	t.soon = math.MaxInt64
	for _, q := range [...]*queue{&t.closing, &t.opening, &t.slow, &t.over} {
		if q.len() > 0 {
			t.soon = min(t.soon, q.items[q.head].at)
		}
	}
}

// Close tells of everything that is still open.
func (t *Table) Close() {
	for i := 1; i < len(t.flows); i++ {
		if f := &t.flows[i]; f.num != 0 && !f.done {
			t.finish(uint32(i))
		}
	}
}

// Flow is a connection that is being followed. It is valid during a callback.
type Flow struct {
	t *Table
	i uint32
}

// Stream is its number, as Wireshark counts: from 0.
func (f Flow) Stream() int { return int(f.t.flows[f.i].num) - 1 }

// Ends are who opened it and who was asked.
func (f Flow) Ends() (client, server Endpoint) { return f.t.flows[f.i].ends() }

// Closed is when either side closed it first; 0 if none has.
func (f Flow) Closed() int64 {
	x := &f.t.flows[f.i]
	if x.closer == Nobody {
		return 0
	}
	return x.half[x.closer-1].closeT
}

// Conn is what is known of the connection so far. It is valid until the next
// call of the table.
func (f Flow) Conn() *Conn { return f.t.describe(&f.t.flows[f.i]) }
