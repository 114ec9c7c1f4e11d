package pcap

import (
	"fmt"
	"time"

	"culprit/internal/fact"
	"culprit/internal/wire"
)

// asked is a request as its packet tells it.
type asked struct {
	n    uint32 // the packet
	text string
}

func askedBy(e *wire.Exchange) asked {
	if e.Opaque || e.Unpaired {
		return asked{}
	}
	return asked{e.StartN, string(e.Method) + " " + string(e.Target)}
}

// connOf makes the fact of a connection, of which what was asked there and what
// came of it are told.
func (r *reader) connOf(c *wire.Conn, what asked, try *fact.Attempt) *fact.Conn {
	x := &fact.Conn{
		ID: streamID(c.Stream), Client: c.Client.String(), Server: c.Server.String(), Opened: at(c.Opened), How: c.How, Closed: at(c.Closed),
		Requests: fact.Num(c.Requests), BytesIn: fact.Num(int64(c.Bytes[1])), BytesOut: fact.Num(int64(c.Bytes[0])),
		Retransmits: fact.Num(c.Retransmits[0] + c.Retransmits[1]), ZeroWindows: fact.Num(c.ZeroWindows[0] + c.ZeroWindows[1]), ServerName: c.TLS.ServerName,
	}
	if n := max(c.Missing[0], c.Missing[1]); n > 0 {
		x.Missing = fact.Num(n)
	}
	if c.SYNs > 0 {
		x.SYNs = fact.Num(c.SYNs)
	}
	x.Time, x.Origin.Line = at(c.Last), int(c.LastN)
	x.Protocol = map[wire.Protocol]string{wire.ProtoHTTP: "http", wire.ProtoTLS: "tls", wire.ProtoH2: "h2c"}[c.Protocol]
	if c.Answered >= c.LastSYN && c.LastSYN > 0 {
		x.Connect = fact.Lasting(time.Duration(c.Answered - c.LastSYN))
	}
	switch c.ClosedBy {
	case wire.Client:
		x.ClosedBy = fact.RoleClient
	case wire.Server:
		x.ClosedBy = fact.RoleBackend
	}
	switch {
	case try.Idle.Known:
		x.Idle = try.Idle
	case c.Rest >= 0:
		x.Idle = fact.Lasting(c.Rest)
	}
	x.Ended = try.Ended
	if c.ICMP != nil && c.ClosedBy == wire.Nobody {
		x.How, x.Closed = "icmp", at(c.ICMPTime)
	}
	if c.Unanswered && c.ICMP == nil {
		x.How = "timeout"
	}
	if f := c.Foreign; f != nil {
		x.Foreign = fmt.Sprintf("TTL %d, its other packets have %d", f.TTL, f.Usual)
		if f.ID != 0 {
			x.Foreign += fmt.Sprintf("; IP id %d, theirs are about %d", f.ID, f.UsualAbout)
		}
	}
	x.Packets = r.packets(c, what)
	return x
}

// stateConn states a connection as it stood when a request on it ended, once.
func (r *reader) stateConn(x *fact.Conn) {
	k := told{x.ID, x.Origin.Line}
	if r.conns[k] || len(r.conns) >= maxConns {
		return
	}
	r.conns[k] = true
	if x.ClosedBy == fact.RoleBackend {
		// Only by now the others' ends are known.
		x.Together = fact.Num(r.named[x.Server].together(x.Closed.UnixNano()))
	}
	r.out.State(x)
}

// told is a connection as far as one of its packets.
type told struct {
	id string
	n  int
}

// packets tells the marks of a connection.
func (r *reader) packets(c *wire.Conn, what asked) []fact.Packet {
	var out []fact.Packet
	if c.Begun && c.Lost > 0 {
		out = append(out, fact.Packet{N: int(c.FirstN), Time: at(c.Opened), Flags: "SYN"})
	}
	for i, m := range c.Marks {
		p := fact.Packet{After: i == 0 && c.Lost > 0, N: int(m.N), Time: at(m.Time), FromServer: m.From == wire.Server, Bytes: int(m.Bytes), More: int(m.More)}
		p.Flags, p.Says = words(m, c, what)
		if note := r.notes[p.N]; note != "" && p.Says == "" {
			p.Says = note
		}
		out = append(out, p)
	}
	return out
}

// words says what a mark is.
func words(m wire.Mark, c *wire.Conn, what asked) (flags, says string) {
	switch m.Kind {
	case wire.MarkSYN:
		return "SYN", ""
	case wire.MarkSYNACK:
		return "SYN ACK", ""
	case wire.MarkFIN:
		if n := c.Missing[m.From-1]; n > 0 {
			return "FIN", fmt.Sprintf("behind %d bytes that never arrived", n)
		}
		return "FIN", ""
	case wire.MarkFINACK:
		return "ACK", ""
	case wire.MarkRST:
		return "RST", ""
	case wire.MarkAgain:
		return "", "sent again"
	case wire.MarkZero:
		return "ACK", "no room (window 0)"
	case wire.MarkICMP:
		if c.ICMP != nil {
			return "", "ICMP " + icmpWords(c.ICMP)
		}
	case wire.MarkHello:
		if m.From == wire.Client && c.TLS.ServerName != "" {
			return "", "TLS hello for " + c.TLS.ServerName
		}
		return "", "TLS hello"
	case wire.MarkAlert:
		return "", "TLS alert: " + alertWords(uint8(m.Aux))
	case wire.MarkAnswer:
		return "", fmt.Sprintf("%d", m.Aux)
	case wire.MarkGoAway:
		return "", fmt.Sprintf("GOAWAY, error %d", m.Aux)
	case wire.MarkStreamReset:
		return "", fmt.Sprintf("RST_STREAM, error %d", m.Aux)
	case wire.MarkRequest:
		if m.N == what.n && what.text != "" {
			return "", what.text
		}
		return "", fmt.Sprintf("request %d", m.Aux)
	}
	return "", ""
}

// icmpWords name an ICMP error as tcpdump does.
func icmpWords(x *wire.ICMP) string {
	if x.V6 {
		switch {
		case x.Type == 2:
			return fmt.Sprintf("packet too big (MTU %d)", x.MTU)
		case x.Type == 3:
			return "time exceeded"
		}
		names := []string{"no route", "prohibited", "beyond scope", "address unreachable", "port unreachable", "source policy", "route rejected"}
		if int(x.Code) < len(names) {
			return names[x.Code]
		}
		return "unreachable"
	}
	if x.Type == 11 {
		return "time exceeded"
	}
	names := []string{"net unreachable", "host unreachable", "protocol unreachable", "port unreachable", "fragmentation needed", "source route failed", "net unknown", "host unknown", "host isolated", "net prohibited", "host prohibited", "net unreachable for this service", "host unreachable for this service", "admin prohibited"}
	switch {
	case x.Code == 4:
		return fmt.Sprintf("fragmentation needed (MTU %d)", x.MTU)
	case int(x.Code) < len(names):
		return names[x.Code]
	}
	return "unreachable"
}

// alertWords name a TLS alert (RFC 8446, section 6).
func alertWords(code uint8) string {
	switch code {
	case 10:
		return "unexpected message"
	case 20:
		return "bad record MAC"
	case 22:
		return "record overflow"
	case 40:
		return "handshake failure"
	case 42:
		return "bad certificate"
	case 43:
		return "unsupported certificate"
	case 44:
		return "certificate revoked"
	case 45:
		return "certificate expired"
	case 46:
		return "certificate unknown"
	case 47:
		return "illegal parameter"
	case 48:
		return "unknown CA"
	case 49:
		return "access denied"
	case 50:
		return "decode error"
	case 51:
		return "decrypt error"
	case 70:
		return "protocol version"
	case 71:
		return "insufficient security"
	case 80:
		return "internal error"
	case 86:
		return "inappropriate fallback"
	case 109:
		return "missing extension"
	case 110:
		return "unsupported extension"
	case 112:
		return "unrecognized name"
	case 113:
		return "bad certificate status response"
	case 115:
		return "unknown PSK identity"
	case 116:
		return "certificate required"
	case 120:
		return "no application protocol"
	case wire.Sealed:
		return "encrypted, by the client after the server's certificate"
	}
	return fmt.Sprintf("alert %d", code)
}
