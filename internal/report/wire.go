package report

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// wire is how one request went over the wire, as its packet ladder tells it.
type wire struct {
	// Legs are the connections it went over, as far as packets are known: one,
	// or the client's and the one to the server.
	Legs []leg
	// Parties are the names of the lifelines, one more than legs.
	Parties []string
	// Steps are all rows, in the order of time; see shown.
	Steps []step
	Says  string   // what happened, in one sentence; may be empty
	Notes []string // what the rows cannot show
	// Apart: the legs' clocks do not agree, so that they are told one under
	// the other.
	Apart bool

	zero []time.Time // instant from which a leg's steps are timed; zero if not known
	told int         // how much there is to tell
}

// leg is one connection of a wire.
type leg struct {
	Path, Stream   string
	Client, Server string
	conn           *fact.Conn
}

// passage is what is told of one request by those who saw it, for its wire.
type passage struct {
	conns   []*fact.Conn
	seen    []*fact.Request
	try     fact.Attempt
	ended   fact.Mechanism
	gateway fact.Party
	backend fact.Party
	asks    string // "POST /orders"
}

func passageOf(f *failure.Failure) passage {
	return passage{conns: f.Conns, seen: f.Seen, try: f.Try, ended: f.Mechanism, gateway: f.Gateway, backend: f.Backend, asks: f.Method + " " + f.Path}
}

// wireOf draws a passage; nil if no packet of it is known.
func wireOf(p passage) *wire {
	front, back := p.legs()
	if front == nil && back == nil {
		return nil
	}
	w := &wire{}
	near, far := p.names(front != nil)
	switch {
	case back == nil:
		w.Parties = []string{"client", near}
		if p.gateway.Role != fact.RoleGateway {
			w.Parties[1] = far
		}
	case front == nil:
		w.Parties = []string{near, far}
	default:
		w.Parties = []string{"client", near, far}
	}
	for _, c := range []*fact.Conn{front, back} {
		if c != nil {
			w.Legs = append(w.Legs, leg{Path: clean(c.Origin.Path), Stream: clean(c.ID), Client: clean(c.Client), Server: clean(c.Server), conn: c})
		}
	}
	w.lay(p)
	w.Notes = p.notes(w)
	w.Says = p.sentence(w)
	w.told = len(w.Legs) * tellingRows
	for _, s := range w.shown(tellingRows) {
		if s.Kind == packet && s.Says != "ACK" {
			w.told++
		}
	}
	return w
}

// tellingRows bounds how much the number of rows counts when the most telling
// example is looked for: a longer ladder tells no more.
const tellingRows = 12

// legs finds the client's connection and that of the try that failed, each nil
// if no packet of it is known.
func (p *passage) legs() (front, back *fact.Conn) {
	var live []*fact.Conn
	for _, c := range p.conns {
		if c != nil && len(c.Packets) > 0 {
			live = append(live, c)
		}
	}
	n := len(live)
	named := slices.ContainsFunc(p.tries(), func(a fact.Attempt) bool { return a.ConnID != "" })
	switch {
	case n == 0:
	case named:
		for _, c := range live {
			switch {
			case !p.isTry(c):
				front = cmp.Or(front, c)
			case back == nil || back.ID != p.try.ConnID:
				back = c
			}
		}
	case n > 1 && twoLegs(live[0], live[n-1]):
		front, back = live[0], live[n-1]
	case p.atGateway(live[n-1]):
		front = live[n-1]
	case p.gateway.Role == fact.RoleGateway:
		back = live[n-1]
	default:
		front = live[0]
	}
	return front, back
}

// atGateway reports whether a connection is one of a client to the gateway.
func (p *passage) atGateway(c *fact.Conn) bool {
	return slices.ContainsFunc(p.seen, func(r *fact.Request) bool {
		return r.Wire && r.Party.Role == fact.RoleGateway && r.Client != "" && r.Party.Address == c.Server
	})
}

// tries are all that is told of tries.
func (p *passage) tries() []fact.Attempt {
	out := []fact.Attempt{p.try}
	for _, r := range p.seen {
		out = append(out, r.Attempts...)
	}
	return out
}

// isTry reports whether a connection is that of a try.
func (p *passage) isTry(c *fact.Conn) bool {
	return slices.ContainsFunc(p.tries(), func(a fact.Attempt) bool {
		return a.ConnID != "" && a.ConnID == c.ID && (a.Address == "" || c.Server == "" || a.Address == c.Server)
	})
}

// twoLegs reports, where no try names its connection, whether the first is a
// client's and the other its gateway's: two tries come from one host.
func twoLegs(a, b *fact.Conn) bool {
	from, to := hostOf(a.Client), hostOf(b.Client)
	return a.Server != b.Server && (from != to || net.ParseIP(from).IsLoopback())
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// names are what the gateway and the server are called.
func (p *passage) names(both bool) (near, far string) {
	near, far = "client", "server"
	if both || p.gateway.Role == fact.RoleGateway {
		near = "proxy"
	}
	title := func(q fact.Party, otherwise string) string {
		if q.Tech == "" || q.Role != fact.RoleGateway && q.Role != fact.RoleBackend {
			return otherwise
		}
		return strings.TrimPrefix(cause.TechTitle(q.Tech), "the ")
	}
	if p.gateway.Role == fact.RoleGateway {
		near = title(p.gateway, near)
	}
	return clean(near), clean(title(p.backend, far))
}

// tryOn is the try that went over a connection.
func (p *passage) tryOn(c *fact.Conn) fact.Attempt {
	if p.try.ConnID != "" && p.try.ConnID == c.ID || len(p.conns) == 1 && (p.try.Idle.Known || p.try.ClosedAgo.Known) {
		return p.try
	}
	for _, a := range p.tries() {
		if a.ConnID != "" && a.ConnID == c.ID && (a.Address == "" || a.Address == c.Server) {
			return a
		}
	}
	return p.try
}

// last is the connection nearest to the server.
func (w *wire) last() *fact.Conn { return w.Legs[len(w.Legs)-1].conn }

// start is the step from which the others are timed; nil if there is none.
func (w *wire) start() *step {
	for i := range w.Steps {
		if w.Steps[i].Zero {
			return &w.Steps[i]
		}
	}
	return nil
}

// killer is the packet that ended it; nil if none did.
func (w *wire) killer() *step {
	for i := range w.Steps {
		if w.Steps[i].Killing {
			return &w.Steps[i]
		}
	}
	return nil
}

// notes say of a wire what its rows cannot show.
func (p *passage) notes(w *wire) []string {
	var out []string
	for _, l := range w.Legs {
		if l.conn.Foreign != "" {
			out = append(out, clean("the reset is not the peer's own, something between sent it: "+l.conn.Foreign))
		}
	}
	var others []string
	for _, c := range p.conns {
		if c != nil && c.ID != "" && !slices.ContainsFunc(w.Legs, func(l leg) bool { return l.conn == c }) {
			others = append(others, clean(c.ID))
		}
	}
	switch n := len(others); {
	case n == 1:
		out = append(out, "another try went over stream "+others[0])
	case n > 1:
		out = append(out, fmt.Sprintf("%d other tries went over streams %s", n, strings.Join(others[:min(n, 8)], ", ")))
	}
	if w.Apart {
		out = append(out, "the two captures' clocks do not agree: each is timed by itself")
	}
	return out
}

// maxWires bounds the examples of one verdict.
const maxWires = 5

// wires are examples of a verdict's failures on the wire, the most telling
// first.
func wires(v *cause.Verdict) []*wire {
	var out []*wire
	add := func(w *wire) {
		if w == nil || len(out) == maxWires && w.told <= out[maxWires-1].told {
			return
		}
		out = append(out, w)
		slices.SortStableFunc(out, func(a, b *wire) int { return cmp.Compare(b.told, a.told) })
		out = out[:min(len(out), maxWires)]
	}
	for i, f := range v.Failures {
		if len(f.Conns) > 0 && i < maxLooked {
			add(wireOf(passageOf(f)))
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, s := range v.Signals {
		for _, x := range s.Facts[:min(len(s.Facts), maxWires)] {
			if c, ok := x.(*fact.Conn); ok {
				add(wireOf(passage{conns: []*fact.Conn{c}, ended: c.Ended, gateway: c.Party, asks: " "}))
			}
		}
	}
	return out
}

// examples are those of a finding that the story has not told.
func (d *digest) examples(f *finding) []*wire {
	told := map[*fact.Conn]bool{}
	for i := range d.Story {
		for _, w := range d.Story[i].wires() {
			told[w.last()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(f.Wires), func(w *wire) bool { return told[w.last()] })
}

// maxLooked bounds the failures among which examples are looked for: the
// thousandth of a kind shows what the first did.
const maxLooked = 1000
