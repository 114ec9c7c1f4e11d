package pcap

import (
	"slices"

	"culprit/internal/fact"
	"culprit/internal/wire"
)

// call is a request that passed.
type call struct {
	tag            uint64
	key            uint64 // of method and target; 0 if they cannot be read
	hash           uint64 // of the whole head
	flow           wire.Flow
	stream         int
	client, server wire.Endpoint
	start, end     int64
	ids            []string
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

// keyOf spreads what is asked for (FNV-1a).
func keyOf(method, target []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range [...][]byte{method, target} {
		for _, c := range b {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h *= 31
	}
	return h | 1
}

// onRequest: a request's head passed.
func (r *reader) onRequest(f wire.Flow, e *wire.Exchange) {
	if len(r.calls) >= maxCalls {
		return
	}
	r.tags++
	e.Tag = r.tags
	c := r.take()
	c.tag, c.hash, c.flow, c.stream, c.start, c.proxied = e.Tag, e.Hash, f, f.Stream(), e.Start, e.Proxied
	c.client, c.server = f.Ends()
	for _, id := range e.IDs {
		c.ids = append(c.ids, string(id))
	}
	r.calls[c.tag] = c
	if e.Opaque || len(e.Method) == 0 {
		return
	}
	c.key = keyOf(e.Method, e.Target)
	alike := r.asked[c.key]
	r.relate(c, alike)
	if len(alike) < maxAlike {
		r.asked[c.key] = append(alike, c)
	}
}

// relate finds the request that c belongs to: the same sent before in vain, or
// one that the machine which sends c is answering.
func (r *reader) relate(c *call, alike []*call) {
	from := machine(c.client.Addr())
	var outer *call
	for _, x := range slices.Backward(alike) {
		if !sameIDs(x.ids, c.ids) || x.stream == c.stream {
			continue
		}
		// Two tries in a row may pass in the wrong order where they come over
		// different connections: an id tells that they are of one request.
		if x.hash == c.hash && (x.next == nil || len(c.ids) > 0 && !x.next.over) && machine(x.client.Addr()) == from && r.lost(x, c.start) {
			c.next, x.next, c.again = x.next, c, true
			outer = x.outer
			break
		}
		if x.hash == c.hash && !x.over && !x.again && len(c.ids) > 0 && machine(x.client.Addr()) == from && r.lost(c, c.start) {
			c.next, x.again = x, true // it was sent before x, and passes later
			break
		}
		if !x.over && x.server != c.server && machine(x.server.Addr()) == from && !r.edges[edge{c.server, x.server}] && (outer == nil || busy(outer) && !busy(x)) {
			outer = x
		}
	}
	if outer != nil && len(outer.inner) < maxInner {
		c.outer = outer
		r.edges[edge{outer.server, c.server}] = true
		outer.inner = append(outer.inner, c)
		r.server(outer.server).gateway = true
		r.server(c.server).inner = true
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
func sameIDs(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(id string) bool { return slices.Contains(b, id) })
}

func (r *reader) take() *call {
	if n := len(r.spare); n > 0 {
		c := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return c
	}
	return &call{}
}

// leave takes a call out of those that later ones are compared with.
func (r *reader) leave(c *call) {
	delete(r.calls, c.tag)
	if c.key == 0 {
		return
	}
	alike := r.asked[c.key]
	if i := slices.Index(alike, c); i >= 0 {
		alike = slices.Delete(alike, i, i+1)
	}
	if len(alike) == 0 {
		delete(r.asked, c.key)
	} else {
		r.asked[c.key] = alike
	}
}

// recycle gives the memory of a call back to which nobody refers any more, and
// that of its tries.
func (r *reader) recycle(c *call) {
	for _, x := range c.inner {
		r.recycle(x)
	}
	*c = call{ids: c.ids[:0], inner: c.inner[:0]}
	r.spare = append(r.spare, c)
}

// onExchange: a request ended, well or not.
func (r *reader) onExchange(f wire.Flow, e *wire.Exchange) {
	if e.Ended == wire.Open && e.Status == 0 || e.Unpaired && e.Status < 500 {
		r.drop(e) // how it went on was not captured
		return
	}
	c := r.calls[e.Tag]
	if c == nil {
		c = r.take()
		c.flow, c.stream, c.start = f, f.Stream(), e.Start
		c.client, c.server = f.Ends()
	} else {
		r.leave(c)
	}
	c.over, c.end = true, r.now
	r.try(c, f, e)
	sv := r.server(c.server)
	sv.asked(e)
	if e.Opaque && c.tried.Ended == fact.ClientGone && !r.timedOut(c) {
		c.tried.Ended = "" // nobody can tell that an answer was due
		if c.outer == nil && !c.again {
			r.recycle(c)
		}
		return
	}
	failed := c.tried.Ended != "" || e.Status >= 500
	if failed && (c.tried.Ended != fact.AppAnswered || e.Status >= 500) {
		c.conn = r.connOf(f.Conn(), e, &c.tried)
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

// drop forgets an exchange of which too little is known.
func (r *reader) drop(e *wire.Exchange) {
	if c := r.calls[e.Tag]; c != nil {
		r.leave(c)
		c.over = true
	}
}

// troubled: a try of it failed.
func troubled(c *call) bool {
	return slices.ContainsFunc(c.inner, func(x *call) bool { return !x.over || x.tried.Ended != "" })
}

// referred: a try of it is still under way, or it is told of elsewhere.
func referred(c *call) bool {
	return c.outer != nil || c.again || slices.ContainsFunc(c.inner, func(x *call) bool { return !x.over || x.next != nil })
}

// settle states what was held back long enough by now, and everything if now
// is 0.
func (r *reader) settle(now int64) {
	r.dialled(now)
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
