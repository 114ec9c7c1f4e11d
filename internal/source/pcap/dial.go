package pcap

import (
	"fmt"
	"slices"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/wire"
)

// dial is a connection that did not come about: refused, unanswered,
// unreachable, or failed in the TLS handshake.
type dial struct {
	client, server wire.Endpoint
	from, to       int64
	n              int // the packet that tells
	try            fact.Attempt
	conn           *fact.Conn
	text           string
	foreign        string // what came instead of a TLS handshake
	taken          bool   // a request is told with it
}

// open is a connection that came about.
type open struct {
	client, server wire.Endpoint
	from, at       int64
	taken          bool
}

// The bounds of what connections are compared.
const (
	maxDials = 4096
	maxOpens = 4096
	// instead is how long after a connection failed another is taken to stand
	// in for it: HAProxy turns to the next server after a second.
	instead = int64(1.2e9)
	// beside is how long before: a browser that tries two addresses at once.
	beside = int64(300e6)
	// dialLate is how long what a failed connection was for is waited for.
	dialLate = int64(2e9)
	// unanswered is how long nobody answered a lone SYN: the second is due
	// after one second.
	unanswered = int64(3e9)
)

// onOpen: a server answered a SYN.
func (r *reader) onOpen(f wire.Flow, at int64) {
	if len(r.opens) >= maxOpens {
		r.opens = append(r.opens[:0], r.opens[maxOpens/2:]...)
	}
	o := open{at: at, from: f.Conn().Opened}
	o.client, o.server = f.Ends()
	r.opens = append(r.opens, o)
}

// onConn: a connection is over.
func (r *reader) onConn(c *wire.Conn) {
	if c.Protocol == wire.ProtoTLS {
		r.counts.tls++
	}
	sv := r.server(c.Server)
	sv.over(c)
	r.askerOver(c)
	switch {
	case c.Refused:
		r.counts.refused++
		r.dial(c, fact.Refused, source.ECONNREFUSED)
	case c.Unanswered && c.ICMP != nil:
		r.dial(c, fact.Unreachable, icmpErrno(c.ICMP))
	case c.Unanswered:
		r.counts.unanswered++
		if (c.SYNs > 1 || r.now-c.LastSYN > unanswered) && !sv.oneSided {
			r.dial(c, fact.ConnectTimedOut, source.ETIMEDOUT)
		}
	case c.SYNs > 1 && c.Answered > c.LastSYN && !sv.oneSided:
		// It came about late: the server's side had not taken the first SYN.
		r.quiet(&dial{n: int(c.LastN), conn: r.connOf(c, asked{}, &fact.Attempt{})})
	case handshakeFailed(c):
		for i := range r.opens {
			if o := &r.opens[i]; o.client == c.Client && o.server == c.Server {
				o.taken = true // it stands in for nobody
			}
		}
		r.dial(c, fact.TLSFailed, 0)
	}
}

// icmpErrno is what the kernel makes of an ICMP error.
func icmpErrno(x *wire.ICMP) int {
	switch {
	case x.V6 && x.Type == 1 && x.Code == 4, !x.V6 && x.Type == 3 && x.Code == 3:
		return source.ECONNREFUSED
	case !x.V6 && x.Type == 3 && (x.Code == 0 || x.Code == 6 || x.Code == 9 || x.Code == 11), x.V6 && x.Type == 1 && x.Code == 0:
		return source.ENETUNREACH
	}
	return source.EHOSTUNREACH
}

// handshakeFailed: a client said hello, no data was ever sent, and somebody
// said why, or the server hung up.
func handshakeFailed(c *wire.Conn) bool {
	t := &c.TLS
	if c.Protocol != wire.ProtoTLS || !t.Hello || t.Data || c.Gaps > 0 {
		return false
	}
	return t.AlertBy != wire.Nobody || t.Foreign != "" || !t.Answered && c.ClosedBy == wire.Server
}

func (r *reader) dial(c *wire.Conn, how fact.Mechanism, errno int) {
	d := &dial{foreign: c.TLS.Foreign, client: c.Client, server: c.Server, from: c.Opened, to: r.now, n: int(c.LastN)}
	switch {
	case c.ResetN > 0:
		d.n = int(c.ResetN)
	case c.TLS.AlertN > 0:
		d.n = int(c.TLS.AlertN)
	case c.ICMPN > 0:
		d.n = int(c.ICMPN)
	case how == fact.ConnectTimedOut:
		d.to = c.LastSYN
	}
	if c.Closed > 0 {
		d.to = c.Closed
	}
	d.try = fact.Attempt{Address: r.server(c.Server).name, Ended: how, Errno: errno, ConnID: streamID(c.Stream)}
	d.try.Took = fact.Lasting(time.Duration(max(0, d.to-d.from)))
	d.conn = r.connOf(c, asked{}, &d.try)
	d.text = fmt.Sprintf("stream %d, %v → %v: %s", c.Stream, c.Client, c.Server, d.says(c))
	if len(r.dials) >= maxDials {
		r.stateDial(r.dials[0])
		r.dials = r.dials[1:]
	}
	r.dials = append(r.dials, d)
}

func (d *dial) says(c *wire.Conn) string {
	switch d.try.Ended {
	case fact.Refused:
		return "SYN, answered by RST"
	case fact.ConnectTimedOut:
		if c.SYNs == 1 {
			return "SYN, no answer"
		}
		return fmt.Sprintf("SYN %d times in %s, no answer", c.SYNs, short(time.Duration(c.LastSYN-c.Opened)))
	case fact.Unreachable:
		return "SYN, answered by ICMP " + icmpWords(c.ICMP) + " from " + c.ICMP.By.String()
	}
	s := "TLS hello"
	if c.TLS.ServerName != "" {
		s += " for " + c.TLS.ServerName
	}
	switch {
	case c.TLS.Foreign != "":
		return s + fmt.Sprintf(", answered by %.60q, which is not TLS", c.TLS.Foreign)
	case c.TLS.AlertBy != wire.Nobody:
		by := "server"
		if c.TLS.AlertBy == wire.Client {
			by = "client"
		}
		return s + ", alert by the " + by + ": " + alertWords(c.TLS.Alert)
	case c.How == "rst":
		return s + ", then RST from the server"
	}
	return s + ", then FIN from the server"
}

// claim finds the connection that did not come about for a request that a
// gateway answered with an error, among those of its machine while it was in
// flight: the last.
func (r *reader) claim(c *call) *dial {
	from := machine(c.server.Addr())
	for _, d := range slices.Backward(r.dials) {
		if !d.taken && service(d.server) == "" && r.kinOf(d.client.Addr()) == from && d.server != c.server && d.from >= c.start && d.from <= c.end {
			d.taken = true
			return d
		}
	}
	return nil
}

// dialled states the connections that did not come about, of which by now no
// request is told, and all if now is 0.
func (r *reader) dialled(now int64) {
	i := 0
	for ; i < len(r.dials); i++ {
		if d := r.dials[i]; now != 0 && now-d.to < dialLate+patience {
			break
		}
		if now == 0 && len(r.late) > 0 {
			break // they may claim it yet
		}
		r.stateDial(r.dials[i])
	}
	r.dials = slices.Delete(r.dials, 0, i)
}

func (r *reader) stateDial(d *dial) {
	if d.taken {
		return
	}
	if name := service(d.server); name != "" {
		r.dependency(d, name)
		return
	}
	if r.replaced(d) || r.fronted(d) {
		r.quiet(d) // nobody was failed, and yet it tells of the server
		return
	}
	q := &fact.Request{Wire: true, ConnID: d.try.ConnID, Ended: d.try.Ended, Errno: d.try.Errno, Attempts: []fact.Attempt{d.try}, Duration: d.try.Took}
	q.Phase = fact.PhaseConnecting
	if d.try.Ended == fact.TLSFailed {
		q.Phase = fact.PhaseTLS
	}
	if f := d.foreign; f != "" {
		q.Detail = fmt.Sprintf("not TLS: %.60q", f)
	}
	q.Time, q.Party = at(d.to), r.whoAsked(&call{client: d.client})
	q.Origin.Line, q.Origin.Text = d.n, d.text+r.noted(d.n)
	r.in.At(d.n)
	r.stateConn(d.conn)
	r.out.State(q)
}

// maxQuiet bounds the connections that are stated although no request is known
// to have failed with them.
const maxQuiet = 500

// quiet states a connection alone that did not come about.
func (r *reader) quiet(d *dial) {
	if r.quieted < maxQuiet {
		r.quieted++
		r.in.At(d.n)
		r.stateConn(d.conn)
	}
}

// replaced: the same machine got a connection to the same port at once, by
// another address or by trying again: nobody was failed.
func (r *reader) replaced(d *dial) bool {
	from := machine(d.client.Addr())
	busy := r.busy(d)
	for i := range r.opens {
		o := &r.opens[i]
		if o.server.IP == d.server.IP && busy {
			continue
		}
		if o.taken || o.server.Port != d.server.Port || o.at < d.from-beside || o.from > d.to+instead {
			continue
		}
		if o.server.IP == d.server.IP && o.from < d.from {
			continue // it was there before
		}
		if machine(o.client.Addr()) == from || o.client.Addr().Is4() != d.client.Addr().Is4() {
			o.taken = true
			return true
		}
	}
	return false
}

// The stretch around a failed connection over which others to the same server
// are counted, and how many may be expected in the time in which one would
// stand in for it, before no one does: it was for another request.
const (
	around   = int64(5e9)
	byChance = 0.5
)

// busy: the machine opens connections to that very server so often that one
// follows by chance.
func (r *reader) busy(d *dial) bool {
	n := 0
	for i := range r.opens {
		o := &r.opens[i]
		if o.server == d.server && o.client.IP == d.client.IP && o.from > d.from-around && o.from < d.to+around {
			n++
		}
	}
	window := float64(d.to - d.from + instead)
	return float64(n)*window/(window+2*float64(around)) > byChance
}

// fronted: the machine that asked is a gateway whose own requests are in the
// capture: those that failed are told with their connections, and so no
// request failed for this one.
func (r *reader) fronted(d *dial) bool {
	for _, s := range r.on[r.kinOf(d.client.Addr())] {
		if s.gateway && s.end != d.server {
			return true
		}
	}
	return false
}
