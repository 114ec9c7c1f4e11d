package wire

import (
	"encoding/binary"
	"math"
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
	// maxLinger bounds those.
	maxLinger = 32 << 10
	// patience is how long a connection that nobody answered is waited for:
	// the SYNs at 0, 1, 3 and 7 s have gone out.
	patience = int64(10 * time.Second)
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
	h2    map[uint32]*h2conn
	tls   map[uint32]*tlsConn
	icmps map[uint32]icmpNote

	now     int64
	nowN    uint32
	names   []idName
	wanted  [256]bool // first letters of the fields that are read, in lower case
	conn    Conn
	Stats   Stats
	scratch []byte
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
	t := &Table{opt: opt, flows: make([]flow, 1, 1024), ex: make([]*Exchange, 1), h2: map[uint32]*h2conn{}, tls: map[uint32]*tlsConn{}, icmps: map[uint32]icmpNote{}}
	t.rehash(1 << 10)
	for _, n := range opt.IDHeaders {
		if n != "" {
			t.names = append(t.names, idName{n})
			t.wanted[n[0]] = true
		}
	}
	for _, c := range "hctvfx" {
		t.wanted[c] = true
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

func (k *key) hash() uint64 {
	const m = 0x9e3779b97f4a7c15
	h := (k.aLo ^ k.aHi*3) * m
	h = (h ^ h>>29 ^ k.bLo ^ k.bHi*5) * m
	h = (h ^ h>>32 ^ uint64(k.ports)) * m
	return h ^ h>>29
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
			h := &t.hash[f.k.hash()&t.mask]
			f.chain, *h = *h, uint32(i)
		}
	}
}

func (t *Table) find(k *key) uint32 {
	for i := t.hash[k.hash()&t.mask]; i != 0; i = t.flows[i].chain {
		if t.flows[i].k == *k {
			return i
		}
	}
	return 0
}

// open makes a flow.
func (t *Table) open(k *key) uint32 {
	if t.used >= t.opt.MaxFlows {
		t.evict()
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
	h := &t.hash[k.hash()&t.mask]
	f.chain, *h = *h, i
	return i
}

// drop forgets a flow that was told of.
func (t *Table) drop(i uint32) {
	f := &t.flows[i]
	p := &t.hash[f.k.hash()&t.mask]
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
		delete(t.h2, f.num)
	case ProtoTLS:
		delete(t.tls, f.num)
	}
	if f.has(hasICMP) {
		delete(t.icmps, f.num)
	}
}

// evict lets a flow go that was silent for a while: a clock goes round, and
// takes whom it finds untouched since it last came by.
func (t *Table) evict() {
	for {
		if t.hand++; int(t.hand) >= len(t.flows) {
			t.hand = 1
		}
		f := &t.flows[t.hand]
		if f.num == 0 {
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

// later puts d into q.
func (t *Table) later(q *queue, d due) {
	q.put(d)
	t.soon = min(t.soon, d.at)
}

// due does what has come to its time.
func (t *Table) due() {
	if t.now < t.soon && t.over.len() <= maxLinger {
		return
	}
	for t.closing.ready(t.now) {
		d := t.closing.take()
		if f := &t.flows[d.i]; f.num == d.num && !f.done && f.closing {
			t.finish(d.i)
		}
	}
	for t.opening.ready(t.now) {
		d := t.opening.take()
		if f := &t.flows[d.i]; f.num == d.num && !f.done && f.answeredT == 0 && f.has(synSeen) {
			t.finish(d.i)
		}
	}
	for t.slow.ready(t.now) {
		d := t.slow.take()
		if e := t.ex[d.i]; e.serial == d.num && e.flow != 0 && e.First == 0 && !e.slow {
			e.slow = true
			t.opt.OnSlow(Flow{t, e.flow}, e)
		}
	}
	for t.over.ready(t.now) || t.over.len() > maxLinger {
		d := t.over.take()
		if f := &t.flows[d.i]; f.num == d.num && f.done {
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
