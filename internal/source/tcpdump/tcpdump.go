// Package tcpdump reads packets as tcpdump, tshark and Wireshark print them, a
// line a packet, and follows each connection as far as the lines show it: a
// refused or unanswered SYN, a reset or an end instead of an answer, packets
// that a tunnel cut, and ICMP's words about sizes and ports.
//
// What a line does not say is not guessed: who asks is who sent the SYN, or
// else the side with the higher port; a connection whose beginning is not in
// the text may have been used before.
package tcpdump

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "tcpdump"

// Formats is what this package reads.
var Formats = []source.Format{{
	ID: "packet-lines", Tech: tech, Title: "packets as tcpdump and tshark print them",
	Sniff: sniff,
	NewReader: func(env *source.Env) source.LineReader {
		return &reader{env: env, conns: map[string]*conn{}, told: map[string]bool{}}
	},
}}

func sniff(l *source.Line) source.Confidence {
	if len(l.Text) < 20 || len(l.Text) > maxLine {
		return source.No
	}
	if _, ok := parse(&source.Env{}, l.Text); ok {
		return source.Likely
	}
	return source.No
}

// maxLine bounds a line, in bytes: a packet's summary, with options.
const maxLine = 2 << 10

// maxConns bounds the connections that are followed at once.
const maxConns = 4096

// giveUp is how many SYNs without an answer make a connection that could not be
// made: the second may be a packet lost by chance.
const giveUp = 3

// conn is one connection on its way.
type conn struct {
	client, server string
	line           int
	syns           int
	accepted       bool // the SYN was answered
	fresh          bool // its SYN was seen
	requests       int
	waiting        bool // a request was sent and nothing of an answer came
	answering      bool
	method, path   string
	idle           fact.Dur
	last           packet
	done           bool
}

type reader struct {
	env   *source.Env
	conns map[string]*conn
	order []string
	told  map[string]bool // troubles that were stated
}

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) < 20 || len(l.Text) > maxLine {
		return source.NotMine
	}
	p, ok := parse(r.env, l.Text)
	if !ok {
		return source.NotMine
	}
	if p.time.IsZero() {
		p.time = l.Time
	}
	p.line = l.N
	switch {
	case len(p.icmp) > 0:
		r.icmp(&p, out)
	case p.truncated:
		r.trouble(&p, "MTU", "truncated packets", out)
	}
	if p.src != "" && (p.flags != 0 || len(p.http) > 0) {
		r.follow(&p, out)
	}
	out.Seen(p.time)
	return source.Mine
}

// trouble states, once in each of its words, what the network did to packets.
func (r *reader) trouble(p *packet, reason, detail string, out source.Sink) {
	if r.told[detail] || len(r.told) >= maxConns {
		return
	}
	r.told[detail] = true
	e := &fact.Event{Kind: fact.NetworkTrouble, Reason: reason, Detail: detail}
	e.Time, e.Party = p.time, fact.Party{Role: fact.RoleHost, Tech: tech}
	e.Origin.Line = p.line
	out.State(e)
}

func (r *reader) icmp(p *packet, out source.Sink) {
	if i := bytes.Index(p.icmp, []byte(", length")); i > 0 {
		p.icmp = p.icmp[:i]
	}
	switch {
	case source.Has(p.icmp, "need to frag"), source.Has(p.icmp, "packet too big"):
		r.trouble(p, "MTU", string(p.icmp), out)
	case source.Has(p.icmp, "admin prohibited"), source.Has(p.icmp, "host") && source.Has(p.icmp, "unreachable"), source.Has(p.icmp, "net") && source.Has(p.icmp, "unreachable"):
		r.trouble(p, "unreachable", string(p.icmp), out)
	}
}

// of finds the connection of a packet, or begins one.
func (r *reader) of(p *packet) *conn {
	if c := r.conns[p.src+" "+p.dst]; c != nil {
		return c
	}
	if c := r.conns[p.dst+" "+p.src]; c != nil {
		return c
	}
	if len(p.http) > 0 && p.flags == 0 { // tshark shows no ports beside a request
		for i := len(r.order) - 1; i >= 0; i-- {
			c := r.conns[r.order[i]]
			if c != nil && (sameHost(c.client, p.src) && sameHost(c.server, p.dst) || sameHost(c.client, p.dst) && sameHost(c.server, p.src)) {
				return c
			}
		}
	}
	for i := len(r.order) - 1; i >= 0 && i > len(r.order)-16; i-- { // one that began with a line without ports
		c := r.conns[r.order[i]]
		if c == nil || p.flags == 0 || port(c.client) != 0 && !source.Has([]byte(c.client), "::") {
			continue
		}
		switch {
		case sameHost(p.src, c.client) && sameHost(p.dst, c.server):
			c.client, c.server = p.src, p.dst
		case sameHost(p.src, c.server) && sameHost(p.dst, c.client):
			c.client, c.server = p.dst, p.src
		default:
			continue
		}
		delete(r.conns, r.order[i])
		r.order[i] = c.client + " " + c.server
		r.conns[r.order[i]] = c
		return c
	}
	if len(r.conns) >= maxConns {
		clear(r.conns)
		r.order = r.order[:0]
	}
	c := &conn{client: p.src, server: p.dst, line: p.line}
	if p.flags&syn != 0 && p.flags&ack != 0 || p.flags&syn == 0 && port(p.src) < port(p.dst) && port(p.src) > 0 {
		c.client, c.server = p.dst, p.src
	}
	key := c.client + " " + c.server
	r.conns[key] = c
	r.order = append(r.order, key)
	return c
}

func (r *reader) follow(p *packet, out source.Sink) {
	c := r.of(p)
	fromServer := p.src == c.server || len(p.http) > 0 && p.flags == 0 && sameHost(c.server, p.src)
	data := p.length > 0 || len(p.http) > 0
	switch {
	case p.flags&syn != 0 && !fromServer:
		if c.done || c.accepted && c.requests > 0 {
			*c = conn{client: c.client, server: c.server, line: p.line}
		}
		c.syns++
		c.fresh = true
	case p.flags&syn != 0:
		c.accepted = true
	case p.flags&rst != 0 && fromServer && c.syns > 0 && !c.accepted:
		c.end(fact.Refused, fact.PhaseConnecting, "rst", p, out)
	case p.flags&rst != 0 && fromServer && c.waiting:
		c.end(fact.ResetBeforeReply, fact.PhaseWaiting, "rst", p, out)
	case p.flags&fin != 0 && fromServer && c.waiting && !data:
		c.end(fact.ClosedBeforeReply, fact.PhaseWaiting, "fin", p, out)
	case p.flags&rst != 0 && fromServer && c.answering && c.requests > 0:
		c.end(fact.CutMidReply, fact.PhaseReading, "rst", p, out)
	case data && fromServer:
		c.waiting, c.answering = false, true
	case data && !c.waiting:
		c.waiting, c.answering = true, false
		c.requests++
		c.idle = p.since(&c.last)
		m, target, _, ok := source.RequestLine(p.http)
		if c.method, c.path = "", ""; ok {
			c.method, c.path = string(m), string(target)
		}
	}
	c.last = *p
	c.last.icmp, c.last.http = nil, nil
}

// end states how a connection ended that failed a request.
func (c *conn) end(m fact.Mechanism, phase fact.Phase, how string, p *packet, out source.Sink) {
	if c.done {
		return
	}
	c.done, c.waiting, c.answering = true, false, false
	k := &fact.Conn{Client: c.client, Server: c.server, How: how, Ended: m, ClosedBy: fact.RoleBackend}
	q := &fact.Request{Partial: true, Method: c.method, Path: c.path, Client: "", Ended: m, Phase: phase}
	a := fact.Attempt{Address: c.server, Ended: m}
	switch m {
	case fact.Refused:
		a.Errno = source.ECONNREFUSED
	case fact.ResetBeforeReply, fact.CutMidReply:
		a.Errno = source.ECONNRESET
	case fact.ConnectTimedOut:
		a.Errno, k.ClosedBy = source.ETIMEDOUT, ""
	}
	if c.requests > 0 {
		if c.requests > 1 || !c.fresh {
			k.Idle, a.Idle = c.idle, c.idle
		}
		if c.fresh || c.requests > 1 {
			k.Requests, a.Index = fact.Num(int64(c.requests)), fact.Num(int64(c.requests))
			a.Reused = fact.Num(0)
			if c.requests > 1 {
				a.Reused = fact.Num(1)
			}
		}
	}
	q.Errno, q.Attempts = a.Errno, []fact.Attempt{a}
	q.Time, k.Time = p.time, p.time
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, Address: hostOf(c.client)}
	k.Party = fact.Party{Role: fact.RoleHost, Tech: tech}
	q.Origin.Line, k.Origin.Line = p.line, p.line
	q.Detail = describe[m]
	out.State(q)
	out.State(k)
}

// describe says what the packets showed.
var describe = map[fact.Mechanism]string{
	fact.Refused: "RST in answer to SYN", fact.ResetBeforeReply: "RST in answer to a request", fact.ClosedBeforeReply: "FIN in answer to a request",
	fact.CutMidReply: "RST within an answer", fact.ConnectTimedOut: "SYNs without an answer",
}

// Close implements [source.LineReader].
func (r *reader) Close(out source.Sink) {
	for _, key := range r.order {
		if c := r.conns[key]; c != nil && c.syns >= giveUp && !c.accepted && !c.done {
			c.end(fact.ConnectTimedOut, fact.PhaseConnecting, "timeout", &c.last, out)
		}
	}
	clear(r.conns)
	r.order = nil
}

// sameHost reports whether an address is of a host.
func sameHost(addr, host string) bool {
	return addr == host || len(addr) > len(host) && addr[:len(host)] == host && addr[len(host)] == ':'
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	if i := bytes.LastIndexByte([]byte(addr), ':'); i > 0 && port(addr) > 0 {
		return addr[:i]
	}
	return addr
}

// port is the number of an address' port; 0 if there is none.
func port(addr string) int {
	i := bytes.LastIndexByte([]byte(addr), ':')
	return source.PID([]byte(addr[i+1:]))
}
