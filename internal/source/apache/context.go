package apache

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// context is one line while it is read.
type context struct {
	r    *errorReader
	f    *frame
	h    *source.Holes
	out  source.Sink
	l    *source.Line
	t    time.Time
	res  fact.Dur
	said bool // something was stated or is held
}

// event states an event of this line.
func (c *context) event(kind fact.EventKind, set func(e *fact.Event)) {
	e := &fact.Event{Header: fact.Header{Time: c.t, Res: c.res, Party: gateway()}, Kind: kind}
	e.Party.PID = c.f.pid
	e.Detail = c.detail()
	e.Client = string(c.f.client)
	if set != nil {
		set(e)
	}
	c.said = true
	c.out.State(e)
}

// detail is the message without number, client and code.
func (c *context) detail() string {
	b := c.f.text
	if c.f.hasAH {
		b = bytes.TrimLeft(b[8:], " ")
	}
	return string(b)
}

// limits states what a number says of any message: that something of the
// process or its machine ran out.
func (c *context) limits() {
	switch c.f.code.errno {
	case source.EMFILE, source.ENFILE:
		c.event(fact.LimitReached, func(e *fact.Event) { e.Limit = fact.LimitFiles })
	case source.EADDRNOTAVAIL:
		if bytes.Contains(c.f.text, []byte("attempt to connect")) {
			c.event(fact.LimitReached, func(e *fact.Event) { e.Limit = fact.LimitPorts })
		}
	case source.ENOSPC:
		if !source.Has(c.f.text, "ResponseFieldSize") {
			c.event(fact.DiskFull, nil)
		}
	}
}

// trouble begins, or adds to, what this line's thread tells of one request.
func (c *context) trouble(ended fact.Mechanism, p fact.Phase) *fact.Request {
	key := c.f.thread
	k := c.r.open[key]
	if k != nil && (k.done || !c.sameClient(&k.req)) {
		c.r.end(key, c.out)
		k = nil
	}
	if k == nil {
		k = &trouble{at: c.r.at}
		q := &k.req
		q.Header = fact.Header{Time: c.t, Res: c.res, Party: gateway()}
		q.Party.PID = c.f.pid
		q.Origin = fact.Origin{Path: c.l.Path, Line: c.l.N, Text: string(c.l.Text[:min(len(c.l.Text), fact.MaxText)])}
		q.Partial, q.Ended, q.Phase, q.Detail = true, ended, p, c.detail()
		q.Errno = c.f.code.errno
		q.Writer = fact.WriterSelf
		c.r.open[key] = k
		c.r.order = append(c.r.order, key)
	} else if k.req.Ended == "" {
		k.req.Ended, k.req.Phase = ended, p
	}
	if len(c.f.client) > 0 {
		k.req.Client = string(c.f.client)
	}
	c.said = true
	return &k.req
}

func (c *context) sameClient(q *fact.Request) bool {
	return len(c.f.client) == 0 && q.Client == "" || q.Client == "" || q.Client == string(c.f.client)
}

// finish marks the trouble of this thread as told: the next line is of another.
func (c *context) finish() {
	if k := c.r.open[c.f.thread]; k != nil {
		k.done = true
	}
}

// tried names the member of the first try of q, and how it ended.
func tried(q *fact.Request, address string) {
	if len(q.Attempts) == 0 {
		q.Attempts = []fact.Attempt{{Address: address, Ended: q.Ended, Errno: q.Errno}}
		return
	}
	a := &q.Attempts[0]
	if a.Address == "" {
		a.Address = address
	}
	if a.Ended == "" {
		a.Ended = q.Ended
	}
}

// clean takes quotes, brackets and final punctuation off an address or path.
func clean(b []byte) string { return strings.TrimRight(string(b), ",;.)\"'") }
