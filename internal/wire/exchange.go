package wire

import "time"

// Ending is how an exchange ended.
type Ending uint8

// The endings.
const (
	Open         Ending = iota // it had not ended when it was seen last
	Answered                   // with a whole answer
	ServerReset                // the server's side reset the connection before any answer
	ServerClosed               // the server's side closed it before any answer
	ServerCut                  // the answer began and the server's side ended it short
	ClientReset                // the client's side reset the connection before the answer's end
	ClientClosed               // the client's side closed it before the answer's end
	BadAnswer                  // what came is no HTTP
	StreamReset                // HTTP/2: the server reset the stream
	GoneAway                   // HTTP/2: the server went away without looking at it
)

// Exchange is a request and its answer. Its slices are valid during a
// callback.
type Exchange struct {
	Method, Target, Host []byte
	IDs                  [][]byte
	// Proxied: the request carries fields that proxies add.
	Proxied bool
	// Opaque: it is a turn of a conversation that cannot be read (TLS).
	Opaque bool
	// Cut: the end of the request's head was not captured.
	Cut bool
	// Unpaired: an answer whose request was not seen.
	Unpaired bool
	// Hash is of the request's head, whole.
	Hash   uint64
	Status int  // of the final answer; 0 if none came
	Proto  byte // 0 or 1 of HTTP/1, 2
	// Index is its place on the connection, from 1; 0 if the connection began
	// before the capture.
	Index int
	// Start and Sent are when the request's first and last byte passed, First
	// and End those of the answer's; 0 if none did. So with the packets'
	// numbers.
	Start, Sent, First, End     int64
	StartN, SentN, FirstN, EndN uint32
	// Idle is how long the connection had been silent before Start; negative
	// if nothing was seen of it before.
	Idle time.Duration
	// ReqBytes and Bytes are the bodies' lengths as far as seen. Want is what
	// the answer's head promised; negative if nothing.
	ReqBytes, Bytes uint64
	Want            int64
	// ReqWhole: the request's last byte was seen.
	ReqWhole bool
	Ended    Ending
	// Early: the answer began before the request was wholly sent.
	Early bool
	// Code is the error of a StreamReset.
	Code uint32
	// Unaware: the FIN or RST that ended it acknowledges nothing of the
	// request: its sender had closed before it could have read any.
	Unaware bool
	// ClosedAgo is how long before Start the server's FIN had passed; negative
	// if it passed after. HasClosed tells whether one did.
	ClosedAgo time.Duration
	HasClosed bool
	// Bad is the beginning of a BadAnswer.
	Bad []byte
	// Tag is the caller's.
	Tag uint64

	buf      []byte // what the slices point into
	ids      [maxIDs][]byte
	next     int32 // in the flow's queue
	self     int32
	flow     uint32
	serial   uint32
	startSeq uint32
	wantReq  int64 // what the request's head promised; negative if nothing
	noBody   bool  // HEAD
	connect  bool  // CONNECT
	slow     bool
	ended    bool // the answer is whole
	broken   bool // it goes on in a way that it cannot
}

// Took is how long it was from the first byte of the request to the end, or to
// at where there was none.
func (e *Exchange) Took(at int64) time.Duration {
	if e.End != 0 {
		at = e.End
	}
	return time.Duration(at - e.Start)
}

const (
	// maxIDs bounds the ids kept of a request.
	maxIDs = 6
	// maxTarget, maxValue bound what is kept of a request's target and of a
	// field, in bytes.
	maxTarget = 1024
	maxValue  = 256
	// maxQueue bounds the requests in flight on one connection.
	maxQueue = 1024
)

// keep copies b, cut, into the exchange's own memory.
func (e *Exchange) keep(b []byte, most int) []byte {
	b = b[:min(len(b), most)]
	if len(e.buf)+len(b) > cap(e.buf) {
		// What points into the old memory goes on doing so.
		e.buf = make([]byte, 0, max(512, len(b)))
	}
	n := len(e.buf)
	e.buf = append(e.buf, b...)
	return e.buf[n:len(e.buf):len(e.buf)]
}

// inFlight is how many exchanges are not told of yet.
func (t *Table) inFlight() int { return len(t.ex) - 1 - len(t.exFree) }

// newEx begins an exchange at the end of the flow's queue.
func (t *Table) newEx(f *flow, i uint32) *Exchange {
	var n int32
	if k := len(t.exFree); k > 0 {
		n = t.exFree[k-1]
		t.exFree = t.exFree[:k-1]
	} else {
		n = int32(len(t.ex))
		t.ex = append(t.ex, &Exchange{})
	}
	e := t.ex[n]
	buf, serial := e.buf[:0], e.serial+1
	*e = Exchange{buf: buf, serial: serial, self: n, flow: i, Idle: -1, Want: -1}
	e.IDs = e.ids[:0]
	if f.last == 0 {
		f.first = n
	} else {
		t.ex[f.last].next = n
	}
	f.last = n
	f.queued++
	return e
}

// asks begins an exchange whose first byte came at at, and whose head ends in
// packet n.
func (t *Table) asks(i uint32, at part, n int, ts int64) *Exchange {
	f := &t.flows[i]
	last := f.before(at.t)
	e := t.newEx(f, i)
	e.Start, e.StartN, e.Sent, e.SentN, e.startSeq = at.t, at.n, ts, uint32(n), at.seq
	if last != 0 {
		e.Idle = time.Duration(at.t - last)
	}
	f.requests++
	if f.has(synSeen) {
		e.Index = int(f.requests)
	}
	f.mark(MarkRequest, 0, at.n, at.t, 0, uint16(min(f.requests, 1<<16-1)))
	return e
}

// asked: the request's head was read.
func (t *Table) asked(i uint32, e *Exchange) {
	if t.opt.OnSlow != nil {
		t.later(&t.slow, due{e.Start + int64(t.opt.Slow), uint32(e.self), e.serial})
	}
	if t.opt.OnRequest != nil {
		t.opt.OnRequest(Flow{t, i}, e)
	}
}

// exDone takes an exchange out of the flow's queue.
func (t *Table) exDone(f *flow, n int32) {
	e := t.ex[n]
	if f.first == n {
		f.first = e.next
		if f.first == 0 {
			f.last = 0
		}
	} else {
		for p := f.first; p != 0; p = t.ex[p].next {
			if t.ex[p].next == n {
				t.ex[p].next = e.next
				if f.last == n {
					f.last = p
				}
				break
			}
		}
	}
	f.queued--
	e.flow, e.next = 0, 0
	t.exFree = append(t.exFree, n)
}

// emit tells of an exchange that ended.
func (t *Table) emit(f *flow, e *Exchange, how Ending) {
	e.Ended = how
	if t.opt.OnExchange != nil {
		t.opt.OnExchange(Flow{t, e.flow}, e)
	}
	t.exDone(f, e.self)
}
