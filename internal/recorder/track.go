package recorder

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"time"

	"culprit/internal/wire"
)

// follower is the tracker that stands on package wire.
type follower struct {
	r     *recorder
	table *wire.Table
}

// maxFlows bounds the connections followed at a time; beyond it, those that
// were silent longest are let go, and counted. One takes some 400 bytes, and
// with a request open 1,400.
const maxFlows = 64 << 10

func newTracker(r *recorder) tracker {
	f := &follower{r: r}
	opt := wire.Options{
		IDHeaders: slices.Concat(r.opt.IDHeaders, idHeaders), MaxFlows: maxFlows,
		OnRequest: f.request, OnAnswer: f.answer, OnExchange: f.exchange, OnConn: f.conn,
	}
	if r.opt.Slow > 0 {
		opt.Slow, opt.OnSlow = r.opt.Slow, f.slow
	}
	f.table = wire.NewTable(opt)
	return f
}

func (t *follower) segment(n int, at int64, kind wire.Kind, s *wire.Segment) {
	if kind == wire.Unreachable {
		t.table.Unreachable(n, at, s)
		return
	}
	if len(t.r.opt.Headers) > 0 && len(s.Payload) > 0 {
		t.headers(at, s)
	}
	t.table.Segment(n, at, s)
}

func (t *follower) tick(now int64) { t.table.Tick(now) }

func (t *follower) counts() (seen, forgotten int) {
	return t.table.Stats.Streams, t.table.Stats.Evicted
}

func (t *follower) request(f wire.Flow, e *wire.Exchange) {
	client, server := f.Ends()
	t.r.requested(client, server, requestOf(e))
}

func (t *follower) answer(f wire.Flow, e *wire.Exchange, _, _ []byte) {
	if e.Status >= 500 {
		t.fail(f, e, Failure{What: ServerError, Status: e.Status, Time: time.Unix(0, e.First)})
	}
}

// endings are the ways of ending that are kept.
var endings = map[wire.Ending]What{
	wire.ServerReset: Reset, wire.ServerClosed: Closed, wire.ServerCut: Cut, wire.ClientReset: ClientReset,
	wire.ClientClosed: ClientClosed, wire.BadAnswer: BadAnswer, wire.StreamReset: Reset, wire.GoneAway: Closed,
}

func (t *follower) exchange(f wire.Flow, e *wire.Exchange) {
	what, ok := endings[e.Ended]
	if e.Ended == wire.Answered && e.Proto == 2 && e.Status >= 500 { // whose answers are told of when they are whole
		what, ok = ServerError, true
	}
	if !ok || e.Unpaired && e.Ended != wire.ServerCut {
		return
	}
	x := Failure{What: what, Status: e.Status}
	switch c := f.Conn(); {
	case e.Opaque && (what == Closed || what == ClientClosed):
		return // what TLS closes in order cannot be told from a failure
	case e.Ended == wire.StreamReset:
		x.Time, x.Says = time.Unix(0, max(e.End, e.First, e.Sent, e.Start)), fmt.Sprintf("HTTP/2 error %d", e.Code)
	case c.ClosedBy != wire.Nobody && e.Ended != wire.BadAnswer:
		x.Time, x.over = time.Unix(0, c.Closed), true
	default:
		x.Time = time.Unix(0, max(e.End, e.First, e.Sent, e.Start))
	}
	if e.HasClosed && e.ClosedAgo > 0 {
		x.Says = fmt.Sprintf("it had closed %s before the request", e.ClosedAgo.Round(time.Microsecond))
	} else if e.Idle >= time.Millisecond && (what == Reset || what == Closed) {
		x.Says = fmt.Sprintf("idle for %s before the request", e.Idle.Round(time.Millisecond))
	}
	t.fail(f, e, x)
}

func (t *follower) slow(f wire.Flow, e *wire.Exchange) {
	t.fail(f, e, Failure{What: Slow, Time: time.Unix(0, t.r.now), Says: "after " + t.r.opt.Slow.String()})
}

func (t *follower) fail(f wire.Flow, e *wire.Exchange, x Failure) {
	x.Client, x.Server = f.Ends()
	x.Request = requestOf(e)
	t.r.failed(x)
}

// idHeaders are fields that gateways hand on, and by which a request is known
// again on the other side.
var idHeaders = []string{
	"x-request-id", "x-correlation-id", "x-kong-request-id", "x-amzn-requestid", "x-amz-cf-id", "cf-ray", "x-azure-ref",
	"x-vercel-id", "x-railway-request-id", "x-trace-id", "traceparent", "x-b3-traceid", "x-amzn-trace-id", "x-cloud-trace-context",
}

// requestOf copies what is known of a request.
func requestOf(e *wire.Exchange) Request {
	q := Request{Method: string(e.Method), Target: string(e.Target), Begin: e.Start, h2: e.Proto == 2}
	for _, id := range e.IDs {
		q.IDs = append(q.IDs, hopless(string(id), &q))
	}
	return q
}

// traces are ids of a whole trace, with a part that each hop changes.
var traces = regexp.MustCompile(`^(?:[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}|.*Root=([^;]+).*|([0-9a-f]{32})/.*)$`)

// hopless is what of an id is the same on both sides of a gateway. A trace has
// many requests, so one of it counts together with the request line.
func hopless(id string, q *Request) string {
	if m := traces.FindStringSubmatch(id); m != nil {
		return m[1] + m[2] + m[3] + " " + q.Method + " " + q.Target
	}
	return id
}

func (t *follower) conn(c *wire.Conn) {
	x := Failure{Client: c.Client, Server: c.Server, over: true}
	switch {
	case c.Refused:
		x.What, x.Time = Refused, time.Unix(0, c.Closed)
	case c.ICMP != nil && c.Answered == 0 && c.Begun:
		x.What, x.Time = Unreachable, time.Unix(0, c.ICMPTime)
		x.Says = fmt.Sprintf("ICMP type %d code %d from %s", c.ICMP.Type, c.ICMP.Code, c.ICMP.By)
	case c.Unanswered:
		x.What, x.Time = Unanswered, time.Unix(0, c.LastSYN)
		x.Says = fmt.Sprintf("%d SYNs in %s", c.SYNs, time.Duration(c.LastSYN-c.Opened).Round(time.Millisecond))
	}
	if x.What != "" {
		t.r.failed(x)
	}
	t.r.closed(c.Client, c.Server, c.Last)
}

// headers looks for the fields that were asked for, in messages that begin
// with this segment.
func (t *follower) headers(at int64, s *wire.Segment) {
	if !startsHTTP(s.Payload) {
		return
	}
	head, _, _ := bytes.Cut(s.Payload, []byte("\r\n\r\n"))
	for line := range bytes.Lines(head) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		for _, h := range t.r.opt.Headers {
			if !bytes.EqualFold(name, []byte(h.Name)) || !bytes.Contains(bytes.ToLower(value), []byte(h.Text)) {
				continue
			}
			x := Failure{What: Header, Time: time.Unix(0, at), Client: s.Src, Server: s.Dst, Says: h.Name}
			if bytes.HasPrefix(s.Payload, []byte("HTTP/")) {
				x.Client, x.Server = s.Dst, s.Src
			} else if method, rest, ok := bytes.Cut(head, []byte(" ")); ok {
				target, _, _ := bytes.Cut(rest, []byte(" "))
				x.Request = Request{Method: string(method), Target: string(target), Begin: at}
			}
			t.r.failed(x)
			return
		}
	}
}

// startsHTTP: a request line or a status line.
func startsHTTP(payload []byte) bool {
	return startsLine(payload) && payload[0] >= 'A'
}
