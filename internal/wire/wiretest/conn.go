package wiretest

import (
	"net/netip"
	"slices"
	"time"
)

// Wire is where packets pass.
type Wire struct {
	Packets []Packet
	now     int64
	ports   uint16
}

// New makes a wire at [Epoch].
func New() *Wire { return &Wire{now: Epoch.UnixNano()} }

// step is how long after one packet the next passes.
const step = int64(200 * time.Microsecond)

// Wait lets time go by.
func (w *Wire) Wait(d time.Duration) { w.now += int64(d) }

// Put lets an IP packet pass.
func (w *Wire) Put(packet []byte) {
	w.now += step
	w.Packets = append(w.Packets, Packet{Time: w.now, Data: packet})
}

// last is the n-th packet from the end, from 1.
func (w *Wire) last(n int) *Packet { return &w.Packets[len(w.Packets)-n] }

// Lose takes the last packet out: it was not captured.
func (w *Wire) Lose() { w.Packets = w.Packets[:len(w.Packets)-1] }

// Swap has the last two packets pass in the other order.
func (w *Wire) Swap() {
	a, b := w.last(2), w.last(1)
	a.Time, b.Time = b.Time, a.Time
	*a, *b = *b, *a
}

// Again repeats the n-th packet from the end, d later.
func (w *Wire) Again(n int, d time.Duration) {
	p := *w.last(n)
	w.now += int64(d)
	p.Time = w.now
	w.Packets = append(w.Packets, p)
}

// Cut leaves of the last packet all but its last n bytes, as a snap length
// does.
func (w *Wire) Cut(n int) { w.last(1).Lost = n }

// Sides of a connection.
const (
	Client = iota
	Server
)

// Conn is a TCP connection on a wire.
type Conn struct {
	w  *Wire
	At [2]netip.AddrPort
	// Next is each side's next sequence number.
	Next [2]uint32
	TTL  [2]uint8
	ID   [2]uint16
	// Quiet: data is not acknowledged by itself.
	Quiet bool
	// Extra goes into each IP header.
	Extra []byte
	// Window is what both sides advertise.
	Window uint16
}

// Conn makes a connection, of which nothing has passed yet.
func (w *Wire) Conn(client, server string) *Conn {
	c := &Conn{w: w, At: [2]netip.AddrPort{netip.MustParseAddrPort(client), netip.MustParseAddrPort(server)}, TTL: [2]uint8{64, 63}, ID: [2]uint16{1000, 40000}, Window: 501}
	c.Next = [2]uint32{1000 + uint32(w.ports)<<8, 900000 + uint32(w.ports)<<8}
	w.ports++
	return c
}

// Send lets a segment of a side pass. Its number goes on behind it, and behind
// SYN and FIN.
func (c *Conn) Send(side int, flags uint8, payload string) *Segment {
	s := c.segment(side, flags, c.Next[side], payload)
	c.Next[side] += uint32(len(payload))
	if flags&(SYN|FIN) != 0 {
		c.Next[side]++
	}
	c.w.Put(s.Packet())
	return s
}

// At sequence number seq, whatever the side's next is; it stays what it is.
func (c *Conn) sendAt(side int, flags uint8, seq uint32, payload string) {
	c.w.Put(c.segment(side, flags, seq, payload).Packet())
}

// SendAt lets a segment pass that stands off bytes from the side's next.
func (c *Conn) SendAt(side int, flags uint8, off int, payload string) {
	c.sendAt(side, flags, c.Next[side]+uint32(off), payload)
}

func (c *Conn) segment(side int, flags uint8, seq uint32, payload string) *Segment {
	s := &Segment{Src: c.At[side], Dst: c.At[1-side], Seq: seq, Flags: flags, TTL: c.TTL[side], Window: c.Window, Extra: c.Extra, Payload: []byte(payload)}
	if flags&ACK != 0 {
		s.Ack = c.Next[1-side]
	}
	c.ID[side]++
	s.ID = c.ID[side]
	return s
}

// Open shakes hands.
func (c *Conn) Open() *Conn {
	c.Send(Client, SYN, "")
	c.Send(Server, SYN|ACK, "")
	c.Ack(Client)
	return c
}

// Ack lets a bare acknowledgement pass.
func (c *Conn) Ack(side int) { c.Send(side, ACK, "") }

// AckLess acknowledges n bytes less than came: something before them is missing.
func (c *Conn) AckLess(side, n int) {
	c.Next[1-side] -= uint32(n)
	c.Ack(side)
	c.Next[1-side] += uint32(n)
}

// Data sends payload, in segments of the given sizes and one for the rest, and
// has it acknowledged.
func (c *Conn) Data(side int, payload string, sizes ...int) {
	for _, n := range sizes {
		if n >= len(payload) {
			break
		}
		c.Send(side, ACK|PSH, payload[:n])
		payload = payload[n:]
	}
	c.Send(side, ACK|PSH, payload)
	if !c.Quiet {
		c.Ack(1 - side)
	}
}

// Client sends payload from the client.
func (c *Conn) Client(payload string, sizes ...int) { c.Data(Client, payload, sizes...) }

// Server sends payload from the server.
func (c *Conn) Server(payload string, sizes ...int) { c.Data(Server, payload, sizes...) }

// FIN closes a side, and has that acknowledged.
func (c *Conn) FIN(side int) {
	c.Send(side, FIN|ACK, "")
	c.Ack(1 - side)
}

// RST resets the connection in the name of a side.
func (c *Conn) RST(side int) { c.Send(side, RST|ACK, "") }

// Close is an orderly end, begun by a side.
func (c *Conn) Close(side int) {
	c.Send(side, FIN|ACK, "")
	c.Send(1-side, FIN|ACK, "")
	c.Ack(side)
}

// Ask is a request and its whole answer.
func (c *Conn) Ask(target string) {
	c.Client(Get(target))
	c.Server(OK("hello"))
}

// Merge lays the packets of wires into one, by their times.
func Merge(wires ...*Wire) *Wire {
	out := New()
	for _, w := range wires {
		out.Packets = append(out.Packets, w.Packets...)
		out.now = max(out.now, w.now)
	}
	slices.SortStableFunc(out.Packets, func(a, b Packet) int { return int(min(max(a.Time-b.Time, -1), 1)) })
	return out
}
