package pcap

import (
	"hash/maphash"
	"slices"

	"culprit/internal/fact"
	"culprit/internal/wire"
)

// call is a request that passed.
type call struct {
	tag            uint64 // its place among those in flight, and 1
	key            uint64 // of method and target; 0 if they cannot be read
	alike, before  *call  // those in flight around it in the same bucket: begun before, and after
	at             *server
	hash           uint64 // of the whole head
	flow           wire.Flow
	stream         int
	client, server wire.Endpoint
	start, end     int64
	startN         uint32
	ids            []uint64 // hashes
	proxied        bool
	own            bool // a gateway made its error answer itself
	// outer is the request that a gateway answers by sending this one; inner
	// are those it sends. next is the same request sent again when this one's
	// connection was lost, again that it is such a one.
	outer *call
	inner []*call
	next  *call
	again bool

	over   bool // it ended, as the following tell
	lost   bool // an early answer, which the one who asked may not have read
	gaveUp bool // the one who asked did, before the answer
	tried  fact.Attempt
	conn   *fact.Conn    // of one that failed
	req    *fact.Request // of one that is stated later
	due    int64         // when
}

// The bounds of matching.
const (
	// maxCalls bounds the requests in flight that are remembered.
	maxCalls = 64 << 10
	// maxAlike bounds those for one target that are compared.
	maxAlike = 64
	// maxPassed bounds those that are looked at in vain, the latest first: more
	// are in flight for one target nowhere.
	maxPassed = 4096
	// maxEdges bounds the pairs of gateway and server that are remembered.
	maxEdges = 64 << 10
	// maxInner bounds the tries of one request.
	maxInner = 16
	// maxLate bounds the failed requests that are held back.
	maxLate = 4096
	// resent is within what time of its loss a request is sent again by those
	// who do so, in nanoseconds: at once, and HAProxy after a second.
	resent = int64(1.2e9)
	// patience is how long what belongs to a failed request is waited for.
	patience = int64(1.5e9)
	// longest is how long its other tries are.
	longest = int64(120e9)
)

// buckets are how many chains the requests in flight are in.
const buckets = 1 << 12

var seed = maphash.MakeSeed()

// keyOf spreads what is asked for.
func keyOf(e *wire.Exchange) uint64 {
	return maphash.Bytes(seed, e.Target) ^ uint64(len(e.Method))<<32 ^ uint64(e.Method[0]) | 1
}

// onRequest: a request's head passed.
func (r *reader) onRequest(f wire.Flow, e *wire.Exchange) {
	if r.inFlight >= maxCalls {
		return
	}
	c := r.take()
	e.Tag = c.tag
	r.calls[c.tag-1] = c
	r.inFlight++
	c.hash, c.flow, c.stream, c.start, c.proxied = e.Hash, f, f.Stream(), e.Start, e.Proxied
	c.startN = e.StartN
	c.client, c.server = f.Ends()
	c.at = r.server(c.server)
	for _, id := range e.IDs {
		c.ids = append(c.ids, maphash.Bytes(seed, id))
	}
	if e.Opaque || len(e.Method) == 0 {
		return
	}
	c.key = keyOf(e)
	r.relate(c)
	head := &r.asked[c.key%buckets]
	if c.alike, *head = *head, c; c.alike != nil {
		c.alike.before = c
	}
}

// relate finds the request that c belongs to: the same sent before in vain, or
// one that the machine which sends c is answering.
func (r *reader) relate(c *call) {
	var outer, other *call
	several := false
	n, passed := 0, 0
	for x := r.asked[c.key%buckets]; x != nil && n < maxAlike && passed < maxPassed; x = x.alike {
		passed++
		if x.key != c.key || x.stream == c.stream || !sameIDs(x.ids, c.ids) {
			continue
		}
		n++
		from := machine(c.client.Addr())
		// Two tries in a row may pass in the wrong order where they come over
		// different connections: an id tells that they are of one request.
		if x.hash == c.hash && (x.next == nil || len(c.ids) > 0 && !x.next.over) && machine(x.client.Addr()) == from && r.lost(x, c.start) {
			c.next, x.next, c.again = x.next, c, true
			outer = x.outer
			break
		}
		if x.hash == c.hash && !x.over && !x.again && len(c.ids) > 0 && machine(x.client.Addr()) == from && r.lost(c, c.start) {
			c.next, x.again = x, true // it was sent before x, and passes later
			outer = x.outer
			break
		}
		if x.over || x.server == c.server || r.edges[edge{c.server, x.server}] {
			continue
		}
		switch {
		case machine(x.server.Addr()) == from:
			if outer == nil || busy(outer) && !busy(x) {
				outer = x
			}
		case len(x.inner) == 0:
			several = several || other != nil
			other = x
		}
	}
	if outer == nil && !c.again && c.next == nil && r.kindred(c, other, several) {
		outer = other
	}
	if outer != nil && len(outer.inner) < maxInner {
		c.outer = outer
		if len(r.edges) < maxEdges {
			r.edges[edge{outer.server, c.server}] = true
		}
		outer.inner = append(outer.inner, c)
		outer.at.gateway, c.at.inner = true, true
	}
}

// edge says that a gateway asked a server. On one machine, addresses do not
// tell which is which; the first request that passed both does.
type edge struct{ gateway, server wire.Endpoint }

// busy: it has a try under way.
func busy(x *call) bool { return len(x.inner) > 0 && !x.inner[len(x.inner)-1].over }

// lost: shortly before at, the connection of x was closed without an answer.
func (r *reader) lost(x *call, at int64) bool {
	if x.over {
		return x.tried.Ended != "" && at-x.end < resent
	}
	if x.flow.Stream() != x.stream {
		return false
	}
	closed := x.flow.Closed()
	return closed != 0 && at-closed < resent
}

// sameIDs: both name one request, or one of them none.
func sameIDs(a, b []uint64) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(id uint64) bool { return slices.Contains(b, id) })
}

func (r *reader) take() *call {
	if n := len(r.spare); n > 0 {
		c := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return c
	}
	r.calls = append(r.calls, nil)
	return &call{tag: uint64(len(r.calls))}
}

// call is the one of an exchange; nil if it is not among those in flight.
func (r *reader) call(e *wire.Exchange) *call {
	if e.Tag == 0 {
		return nil
	}
	return r.calls[e.Tag-1]
}

// leave takes a call out of those that later ones are compared with.
func (r *reader) leave(c *call) {
	r.calls[c.tag-1] = nil
	r.inFlight--
	if c.key == 0 {
		return
	}
	if c.before != nil {
		c.before.alike = c.alike
	} else if r.asked[c.key%buckets] == c {
		r.asked[c.key%buckets] = c.alike
	}
	if c.alike != nil {
		c.alike.before = c.before
	}
	c.alike, c.before = nil, nil
}

// recycle gives the memory of a call back to which nobody refers any more, and
// that of its tries.
func (r *reader) recycle(c *call) {
	for _, x := range c.inner {
		r.recycle(x)
	}
	*c = call{tag: c.tag, ids: c.ids[:0], inner: c.inner[:0]}
	r.spare = append(r.spare, c)
}

// onExchange: a request ended, well or not.
func (r *reader) onExchange(f wire.Flow, e *wire.Exchange) {
	if e.Ended == wire.Open && e.Status == 0 || e.Unpaired && e.Status < 500 {
		r.drop(e) // how it went on was not captured
		return
	}
	c := r.call(e)
	if c == nil {
		c = r.take()
		c.flow, c.stream, c.start = f, f.Stream(), e.Start
		c.client, c.server = f.Ends()
		c.at = r.server(c.server)
	} else {
		r.leave(c)
	}
	c.over, c.end = true, r.now
	r.try(c, f, e)
	c.at.asked(e)
	if e.Opaque && (c.tried.Ended == fact.ClientGone && !r.timedOut(c) || c.tried.Ended != "" && elsewhere(f.Conn())) {
		c.tried.Ended = "" // nobody can tell that an answer was due
		if c.outer == nil && !c.again {
			r.recycle(c)
		}
		return
	}
	failed := c.tried.Ended != "" || e.Status >= 500
	if failed {
		c.conn = r.connOf(f.Conn(), askedBy(e), &c.tried)
		c.tried.ConnID = c.conn.ID
		r.behind(c, askedBy(e).text)
	}
	switch {
	case c.outer != nil && (!failed || len(c.inner) == 0):
		return // it is a try of that one, and stated with it
	case c.again && c.outer == nil && !failed:
		return // the one that it repeats is stated with it
	case !failed && len(c.inner) < 2 && !troubled(c) && c.next == nil && r.ordinary(f, c, e):
		if !referred(c) {
			r.recycle(c)
		}
		return
	}
	c.req = r.request(c, e)
	c.due = r.now + patience
	if len(r.late) >= maxLate {
		r.late[0].due = 0
		r.settle(r.now)
	}
	r.late = append(r.late, c)
}

// behind keeps the connections of the tries of a request that failed though
// they did not, as far as they can be seen.
func (r *reader) behind(c *call, what string) {
	for _, x := range c.inner {
		if x.conn == nil && x.flow.Stream() == x.stream {
			x.conn = r.connOf(x.flow.Conn(), asked{x.startN, what}, &x.tried)
			x.tried.ConnID = x.conn.ID
		}
	}
}

// drop forgets an exchange of which too little is known.
func (r *reader) drop(e *wire.Exchange) {
	if c := r.call(e); c != nil {
		r.leave(c)
		c.over = true
	}
}

// troubled: a try of it failed.
func troubled(c *call) bool {
	return slices.ContainsFunc(c.inner, func(x *call) bool { return !x.over || x.tried.Ended != "" })
}

// referred: it is told of elsewhere, or something that belongs to a try of it
// is under way, or waits to be told.
func referred(c *call) bool {
	return c.outer != nil || c.again || slices.ContainsFunc(c.inner, pending)
}

func pending(x *call) bool {
	return !x.over || x.next != nil || x.req != nil || slices.ContainsFunc(x.inner, pending)
}

// settle states what was held back long enough by now, and everything if now
// is 0.
func (r *reader) settle(now int64) {
	kept := r.late[:0]
	for i, c := range r.late {
		if now != 0 && now < c.due {
			kept = append(kept, r.late[i:]...)
			break
		}
		if now != 0 && r.waits(c) && now-c.end < longest {
			kept = append(kept, c)
			continue
		}
		r.conclude(c)
	}
	clear(r.late[len(kept):])
	r.late = kept
	r.dialled(now) // last: some of those may have claimed theirs
}

// waits: something that belongs to it is not over.
func (r *reader) waits(c *call) bool {
	for x := c; x != nil; x = x.next {
		if !x.over || slices.ContainsFunc(x.inner, func(y *call) bool { return !y.over }) {
			return true
		}
	}
	return false
}
