package pcap

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/wire"
)

func streamID(n int) string { return strconv.Itoa(n) }

// try fills in what c's one leg showed: the request at the server.
func (r *reader) try(c *call, f wire.Flow, e *wire.Exchange) {
	a := fact.Attempt{Address: c.at.name}
	if e.Status > 0 {
		a.Status = fact.Num(e.Status)
	}
	if e.Index > 0 {
		a.Index = fact.Num(e.Index)
	}
	if e.Idle >= 0 {
		a.Idle = fact.Lasting(e.Idle)
	}
	switch {
	case e.Index > 1, e.Idle >= rested, e.Index == 0 && e.Idle >= 0:
		a.Reused = fact.Num(1)
	case e.Index == 1:
		a.Reused = fact.Num(0)
	}
	if e.First != 0 {
		a.Header = fact.Lasting(time.Duration(e.First - e.Start))
	}
	a.Took = fact.Lasting(e.Took(r.now))
	a.Ended, a.Errno = mechanism(e, f)
	if a.Ended == fact.ClientGone && f.Conn().Missing[1] > 0 {
		// The one who asked waited for what never arrived.
		if a.Ended = fact.ReplyTimedOut; e.First != 0 {
			a.Ended = fact.CutMidReply
		}
	}
	c.tried = a
	if a.Ended == "" {
		return
	}
	w := f.Conn()
	if e.End == 0 {
		c.tried.Took = fact.Lasting(time.Duration(max(0, w.Closed-e.Start)))
		if w.ResetN != 0 && w.Last > e.Start {
			c.tried.Took = fact.Lasting(time.Duration(w.Last - e.Start))
		}
	}
	if e.Index == 1 && w.Answered > w.LastSYN {
		c.tried.Connect = fact.Lasting(time.Duration(w.Answered - w.LastSYN))
	}
	c.tried.ConnID = streamID(c.stream)
	c.lost = a.Ended == fact.EarlyReply && e.Sent > e.First
	c.gaveUp = e.Ended == wire.ClientReset || e.Ended == wire.ClientClosed
	if e.HasClosed && (e.ClosedAgo >= 0 || e.Unaware) {
		c.tried.ClosedAgo = fact.Lasting(e.ClosedAgo)
	}
}

// rested is from what silence on a connection that carried no request yet is
// one that was kept: pools open some ahead.
const rested = 500 * time.Millisecond

// mechanism says how an exchange ended as its leg shows.
func mechanism(e *wire.Exchange, f wire.Flow) (fact.Mechanism, int) {
	switch e.Ended {
	case wire.ServerReset, wire.StreamReset:
		return fact.ResetBeforeReply, source.ECONNRESET
	case wire.ServerClosed, wire.GoneAway:
		return fact.ClosedBeforeReply, 0
	case wire.ServerCut:
		return fact.CutMidReply, 0
	case wire.BadAnswer:
		return fact.BadReply, 0
	case wire.ClientReset, wire.ClientClosed:
		return fact.ClientGone, 0
	case wire.Answered:
		if e.Early && !e.ReqWhole && f.Conn().Reset == wire.Server {
			return fact.EarlyReply, source.ECONNRESET
		}
	}
	return "", 0
}

// ordinary counts a request that went well, and reports true; or false where
// somebody wants the whole of it.
func (r *reader) ordinary(f wire.Flow, c *call, e *wire.Exchange) bool {
	if e.Opaque {
		return true // a turn of a conversation is no request that anybody counts
	}
	member := c.tried.Address
	if len(c.inner) > 0 {
		member = c.inner[0].tried.Address
	}
	r.in.At(int(e.EndN))
	if r.fold != nil && r.fold.Fold(&source.Ordinary{Time: at(e.End), Status: max(e.Status, 100), Method: method(e.Method), Tried: true, Member: member}) {
		return true
	}
	req := r.request(c, e)
	r.complete(c, req)
	if r.keen != nil && r.keen.Keen(req) {
		r.stateConn(r.connOf(f.Conn(), askedBy(e), &c.tried))
		for _, x := range c.inner {
			if x.flow.Stream() == x.stream {
				x.tried.ConnID = streamID(x.stream)
				r.stateConn(r.connOf(x.flow.Conn(), asked{x.startN, askedBy(e).text}, &x.tried))
			}
		}
	}
	r.out.State(req)
	return true
}

// method is a string of its own for the usual ones.
func method(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	}
	return string(b)
}

// request makes the fact of a call, without its tries.
func (r *reader) request(c *call, e *wire.Exchange) *fact.Request {
	q := &fact.Request{Wire: true, ConnID: streamID(c.stream), Method: method(e.Method), Path: string(e.Target), Host: string(e.Host)}
	q.Time = at(max(e.End, e.Sent))
	for _, id := range e.IDs {
		q.IDs = append(q.IDs, string(id))
	}
	if e.Proto > 1 {
		q.Proto = "2"
	} else if !e.Opaque {
		q.Proto = "1." + strconv.Itoa(int(e.Proto))
	}
	if e.Status > 0 {
		q.Status = fact.Num(e.Status)
	}
	q.Bytes, q.ReqBytes = fact.Num(int64(e.Bytes)), fact.Num(int64(e.ReqBytes))
	q.Duration = c.tried.Took
	if q.Duration.Known {
		q.Time = at(e.Start).Add(q.Duration.D)
	}
	q.Origin.Line = r.telling(c, e)
	q.Origin.Text = r.says(c, e) + r.noted(q.Origin.Line)
	if e.Cut {
		q.Attrs = map[string]string{fact.AttrCut: "head"}
	}
	if e.Bad != nil {
		q.Detail = fmt.Sprintf("%.60q", e.Bad)
	}
	return q
}

// telling is the packet that tells most of how a request ended.
func (r *reader) telling(c *call, e *wire.Exchange) int {
	if c.tried.Ended != "" && e.FirstN == 0 && c.flow.Stream() == c.stream {
		w := c.flow.Conn()
		switch {
		case w.ResetN > e.StartN:
			return int(w.ResetN)
		case w.ClosedN > 0:
			return int(max(w.ClosedN, e.StartN))
		}
	}
	return int(max(e.EndN, e.FirstN, e.StartN))
}

// says tells the exchange in a line, as a summary of packets would.
func (r *reader) says(c *call, e *wire.Exchange) string {
	ask := fmt.Sprintf("%s %s", e.Method, e.Target)
	if e.Opaque {
		ask = fmt.Sprintf("%d bytes of TLS", e.ReqBytes)
	}
	if e.Unpaired {
		ask = "an answer without a request"
	}
	s := fmt.Sprintf("stream %d, %v → %v: %s", c.stream, c.client, c.server, ask)
	if e.Index > 1 {
		s += fmt.Sprintf(" (request %d, after %s idle)", e.Index, short(e.Idle))
	}
	switch c.tried.Ended {
	case fact.ResetBeforeReply:
		s += ", then RST from the server"
		if e.Ended == wire.StreamReset {
			s += fmt.Sprintf(" (RST_STREAM, error %d)", e.Code)
		}
	case fact.ClosedBeforeReply:
		s += ", no answer, FIN from the server"
	case fact.CutMidReply:
		s += fmt.Sprintf(" → %d, closed after %d bytes of the body", e.Status, e.Bytes)
		if e.Want >= 0 {
			s += fmt.Sprintf(" of %d", e.Want)
		}
	case fact.BadReply:
		s += fmt.Sprintf(" → no HTTP: %.40q", e.Bad)
	case fact.ClientGone, fact.ReplyTimedOut:
		s += fmt.Sprintf(", closed by the one who asked after %s", short(c.tried.Took.D))
	case fact.EarlyReply:
		s += fmt.Sprintf(" → %d before the body was sent, then RST", e.Status)
	default:
		s += fmt.Sprintf(" → %d after %s", e.Status, short(c.tried.Took.D))
	}
	return s
}

// noted is what the recorder noted on a packet, to be put behind it.
func (r *reader) noted(n int) string {
	if s := r.notes[n]; s != "" {
		return " (" + s + ")"
	}
	return ""
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "unknown"
	case d >= time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%d µs", d.Microseconds())
}

// conclude states a request that was held back.
func (r *reader) conclude(c *call) {
	q := c.req
	r.complete(c, q)
	r.in.At(q.Origin.Line)
	if q.Ended == "" && q.Status.Known && q.Status.N < 500 && len(q.Attempts) < 2 {
		r.out.State(q) // it went well after all
		return
	}
	for _, x := range r.legs(c) {
		if x.conn != nil {
			r.stateConn(x.conn)
		}
	}
	r.out.State(q)
}

// legs are the connections a request went over, its own first.
func (r *reader) legs(c *call) []*call {
	out := append([]*call{c}, c.inner...)
	for x := c.next; x != nil && len(c.inner) == 0 && len(out) < maxInner; x = x.next {
		out = append(out, x)
	}
	return out
}

// complete settles who asked, the tries, and how it ended.
func (r *reader) complete(c *call, q *fact.Request) {
	sv := c.at
	gone := c.tried.Ended == fact.ClientGone
	var dial *dial
	if q.Status.Or(0) >= 500 && !troubled(c) {
		dial = r.claim(c)
	}
	if len(c.inner) > 0 || dial != nil || sv.fronts() {
		// The server is a gateway: this is its own view.
		q.Party = fact.Party{Role: fact.RoleGateway, Tech: sv.tech, Address: sv.name}
		q.Client = c.client.String()
		for _, x := range c.inner {
			a := x.tried
			if x.gaveUp && !gone && a.Ended == fact.ClientGone {
				a.Ended = fact.ReplyTimedOut // the gateway gave up, its client did not
			}
			if a.Ended == "" && a.Status.Known && a.Status.N >= 500 {
				a.Ended = fact.AppAnswered
			}
			q.Attempts = append(q.Attempts, a)
		}
		if dial != nil {
			q.Attempts = append(q.Attempts, dial.try)
			r.stateConn(dial.conn)
		}
		r.ending(c, q)
		return
	}
	q.Party = r.whoAsked(c)
	first := c.tried
	if first.Ended == fact.ClientGone && r.timedOut(c) {
		first.Ended = fact.ReplyTimedOut
	}
	q.Attempts = append(q.Attempts, first)
	for x := c.next; x != nil && x.over && len(q.Attempts) < maxInner; x = x.next {
		q.Attempts = append(q.Attempts, x.tried)
		q.Status = x.tried.Status
	}
	last := &q.Attempts[len(q.Attempts)-1]
	if c.lost && last.Ended == fact.EarlyReply {
		q.Status = fact.Int{} // who is still sending when the reset comes does not get to read it
	}
	if last.Ended == "" && last.Status.Known && last.Status.N >= 500 {
		if sv.answers() || !gatewayStatus(last.Status.N) {
			last.Ended, q.Writer = fact.AppAnswered, fact.WriterBackend
		}
	}
	q.Ended, q.Errno = last.Ended, last.Errno
}

// ending settles how a gateway's request ended.
func (r *reader) ending(c *call, q *fact.Request) {
	if c.tried.Ended != "" {
		q.Ended, q.Errno = c.tried.Ended, c.tried.Errno
	}
	n := len(q.Attempts)
	switch {
	case q.Status.Or(0) >= 500 && n > 0:
		last := q.Attempts[n-1]
		q.Ended, q.Errno = last.Ended, last.Errno
		q.Writer = fact.WriterSelf
		if last.Status == q.Status {
			q.Ended, q.Writer = fact.AppAnswered, fact.WriterBackend
		}
	case q.Status.Or(0) >= 500 && (c.own || gatewayStatus(q.Status.N)):
		q.Writer = fact.WriterSelf
	case q.Status.Or(0) >= 500:
		q.Ended, q.Writer = fact.AppAnswered, fact.WriterBackend // proxies make no others
	case q.Ended != "" && q.Ended != fact.ClientGone && n > 0 && q.Attempts[n-1].Ended != "":
		// What the gateway did to its client follows from what befell it.
		q.Ended, q.Errno = q.Attempts[n-1].Ended, q.Attempts[n-1].Errno
	}
}

// gatewayStatus: one that proxies make themselves.
func gatewayStatus(n int64) bool { return n >= 502 && n <= 504 }

// whoAsked is the party that sent a request whose other leg is not here.
func (r *reader) whoAsked(c *call) fact.Party {
	p := fact.Party{Role: fact.RoleClient, Address: c.client.Addr().String()}
	if c.proxied {
		p.Role = fact.RoleGateway
	}
	if a := c.client.Addr(); !a.IsLoopback() {
		for _, s := range r.on[a] {
			if s.tech != "" {
				p.Role, p.Tech = fact.RoleGateway, s.tech
			}
		}
	}
	return p
}

// usualLimits are the time-outs that proxies and clients have, in seconds.
var usualLimits = []float64{1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 29, 30, 40, 45, 50, 60, 75, 90, 100, 120, 180, 240, 300, 600, 900, 3600}

// timedOut: the one who asked gave up after a time that somebody had set.
func (r *reader) timedOut(c *call) bool {
	if !c.tried.Took.Known || c.tried.Header.Known {
		return false
	}
	took := c.tried.Took.D.Seconds()
	return slices.ContainsFunc(usualLimits, func(s float64) bool { return took >= s-0.005 && took < s+max(0.03, s*0.004) })
}
