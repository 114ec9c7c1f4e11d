package wiretest

import (
	"encoding/binary"
	"net/netip"
)

var be = binary.BigEndian

// The TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Segment is a TCP segment in an IP packet.
type Segment struct {
	Src, Dst netip.AddrPort
	Seq, Ack uint32
	Flags    uint8
	Window   uint16
	TTL      uint8
	ID       uint16 // with IPv4
	Options  []byte // of TCP, a multiple of 4 bytes
	Extra    []byte // options of IPv4, or extension headers of IPv6, the first a destination header
	Payload  []byte
}

// Packet is the IP packet.
func (s *Segment) Packet() []byte {
	b := be.AppendUint16(nil, s.Src.Port())
	b = be.AppendUint16(b, s.Dst.Port())
	b = be.AppendUint32(b, s.Seq)
	b = be.AppendUint32(b, s.Ack)
	b = append(b, byte(5+len(s.Options)/4)<<4, s.Flags)
	b = be.AppendUint16(b, s.Window)
	b = be.AppendUint32(b, 0)
	b = append(append(b, s.Options...), s.Payload...)
	return ip(s.Src.Addr(), s.Dst.Addr(), 6, s.TTL, s.ID, s.Extra, b)
}

// ip puts an IP header before b.
func ip(src, dst netip.Addr, proto, ttl byte, id uint16, extra, b []byte) []byte {
	if src.Is4() {
		head := []byte{0x40 | byte(5+len(extra)/4), 0}
		head = be.AppendUint16(head, uint16(20+len(extra)+len(b)))
		head = be.AppendUint16(head, id)
		head = append(head, 0x40, 0, ttl, proto, 0, 0)
		head = append(append(append(head, src.AsSlice()...), dst.AsSlice()...), extra...)
		sum := uint32(0)
		for i := 0; i < len(head); i += 2 {
			sum += uint32(be.Uint16(head[i:]))
		}
		for sum>>16 != 0 {
			sum = sum&0xffff + sum>>16
		}
		be.PutUint16(head[10:], ^uint16(sum))
		return append(head, b...)
	}
	if len(extra) > 0 {
		proto = 60
	}
	head := []byte{0x60, 0, 0, 0}
	head = be.AppendUint16(head, uint16(len(extra)+len(b)))
	head = append(head, proto, ttl)
	head = append(append(append(head, src.AsSlice()...), dst.AsSlice()...), extra...)
	return append(head, b...)
}

// Extensions are three extension headers of IPv6 before TCP: destination
// options, a fragment header of a packet that is no fragment, and routing.
var Extensions = []byte{
	44, 0, 1, 4, 0, 0, 0, 0,
	43, 0, 0, 0, 0, 0, 0, 9,
	6, 2, 4, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
}

// Routers are options of IPv4: a router alert and padding.
var Routers = []byte{0x94, 4, 0, 0, 1, 1, 1, 0}

// Unreachable is an ICMP error about packet, of a type and a code; info is what
// stands before the quotation (an MTU).
func Unreachable(by netip.Addr, kind, code byte, info uint32, packet []byte) []byte {
	proto, src := byte(1), 12
	if packet[0]>>4 == 6 {
		proto, src = 58, 8
	}
	to, _ := netip.AddrFromSlice(packet[src : src+len(by.AsSlice())])
	b := be.AppendUint32([]byte{kind, code, 0, 0}, info)
	return ip(by, to, proto, 64, 7, nil, append(b, packet[:min(len(packet), 68)]...))
}

// Encapsulation is what carries IP packets.
type Encapsulation struct {
	Name string
	Link uint32 // the link type of the capture
	Wrap func(packet []byte) []byte
}

// Plain is Ethernet.
var Plain = Encapsulation{"ethernet", 1, ethernet}

func version(b []byte) uint16 {
	if b[0]>>4 == 6 {
		return 0x86dd
	}
	return 0x0800
}

func ethernet(b []byte) []byte { return ether(version(b), b) }

func ether(kind uint16, b []byte) []byte {
	h := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}
	h = append(be.AppendUint16(h, kind), b...)
	for len(h) < 60 {
		h = append(h, 0)
	}
	return h
}

func front(head ...byte) func([]byte) []byte {
	return func(b []byte) []byte { return append(append([]byte{}, head...), b...) }
}

// typed puts a head before b that ends in its Ethernet type.
func typed(b []byte, head ...byte) []byte {
	return append(be.AppendUint16(append([]byte{}, head...), version(b)), b...)
}

var tunnel = [2]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}

// inIP carries b in an IPv4 packet between two tunnel ends.
func inIP(proto byte, b []byte) []byte { return ip(tunnel[0], tunnel[1], proto, 64, 1, nil, b) }

func inGRE(b []byte, head ...byte) []byte {
	return ethernet(inIP(47, append(append([]byte{}, head...), b...)))
}

func inUDP(port uint16, b []byte) []byte {
	h := be.AppendUint16(nil, 50000)
	h = be.AppendUint16(h, port)
	h = be.AppendUint16(h, uint16(8+len(b)))
	h = be.AppendUint16(h, 0)
	return ethernet(inIP(17, append(h, b...)))
}

func inPPP(b []byte) []byte {
	if version(b) == 0x86dd {
		return append([]byte{0x00, 0x57}, b...)
	}
	return append([]byte{0x00, 0x21}, b...)
}

func pppoe(b []byte) []byte {
	p := inPPP(b)
	return append(be.AppendUint16([]byte{0x11, 0, 0, 1}, uint16(len(p))), p...)
}

// inner4 is 4 or 41, as IP carries IP.
func inner4(b []byte) byte {
	if version(b) == 0x86dd {
		return 41
	}
	return 4
}

// Encapsulations are all that is read.
var Encapsulations = []Encapsulation{
	Plain,
	{"vlan", 1, func(b []byte) []byte { return ether(0x8100, typed(b, 0, 7)) }},
	{"qinq", 1, func(b []byte) []byte { return ether(0x88a8, typed(b, 0, 7, 0x81, 0, 0, 8)) }},
	{"mpls", 1, func(b []byte) []byte { return ether(0x8847, front(0, 1, 0, 64, 0, 2, 1, 64)(b)) }},
	{"pppoe", 1, func(b []byte) []byte { return ether(0x8864, pppoe(b)) }},
	{"null", 0, front(2, 0, 0, 0)},
	{"null of a big-endian machine", 0, front(0, 0, 0, 2)},
	{"loop", 108, front(0, 0, 0, 2)},
	{"ppp", 9, func(b []byte) []byte { return append([]byte{0xff, 3}, inPPP(b)...) }},
	{"ppp without address", 9, inPPP},
	{"raw", 101, front()},
	{"raw of BSD", 12, front()},
	{"chdlc", 104, func(b []byte) []byte { return typed(b, 0x0f, 0) }},
	{"sll", 113, func(b []byte) []byte { return typed(b, 0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0) }},
	{"sll2", 276, func(b []byte) []byte {
		h := be.AppendUint16(nil, version(b))
		h = append(h, 0, 0, 0, 0, 0, 1, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0)
		return append(h, b...)
	}},
	{"ip in ip", 1, func(b []byte) []byte { return ethernet(inIP(inner4(b), b)) }},
	{"gre", 1, func(b []byte) []byte { return inGRE(typed(b, 0, 0)) }},
	{"gre with checksum, key and sequence", 1, func(b []byte) []byte {
		head := be.AppendUint16([]byte{0xb0, 0}, version(b))
		return inGRE(b, append(head, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1)...)
	}},
	{"ethernet in gre", 1, func(b []byte) []byte { return inGRE(ethernet(b), 0, 0, 0x65, 0x58) }},
	{"erspan I", 1, func(b []byte) []byte { return inGRE(ethernet(b), 0, 0, 0x88, 0xbe) }},
	{"erspan II", 1, func(b []byte) []byte {
		return inGRE(ethernet(b), 0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 1)
	}},
	{"erspan III", 1, func(b []byte) []byte {
		return inGRE(ethernet(b), 0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0)
	}},
	{"erspan III with a subheader", 1, func(b []byte) []byte {
		return inGRE(ethernet(b), 0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0x0c, 0, 0, 0, 0, 0, 0, 0)
	}},
	{"vxlan", 1, func(b []byte) []byte { return inUDP(4789, append([]byte{8, 0, 0, 0, 0, 0, 7, 0}, ethernet(b)...)) }},
	{"vxlan of Linux", 1, func(b []byte) []byte { return inUDP(8472, append([]byte{8, 0, 0, 0, 0, 0, 7, 0}, ethernet(b)...)) }},
	{"vxlan-gpe", 1, func(b []byte) []byte {
		next := byte(1)
		if version(b) == 0x86dd {
			next = 2
		}
		return inUDP(4790, append([]byte{0x0c, 0, 0, next, 0, 0, 7, 0}, b...))
	}},
	{"vxlan-gpe with ethernet", 1, func(b []byte) []byte { return inUDP(4790, append([]byte{0x0c, 0, 0, 3, 0, 0, 7, 0}, ethernet(b)...)) }},
	{"geneve", 1, func(b []byte) []byte {
		return inUDP(6081, append([]byte{0, 0, 0x65, 0x58, 0, 0, 7, 0}, ethernet(b)...))
	}},
	{"geneve with an option", 1, func(b []byte) []byte {
		return inUDP(6081, append([]byte{2, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 1, 0, 0, 0, 0}, ethernet(b)...))
	}},
	{"vlan in vxlan", 1, func(b []byte) []byte {
		return inUDP(4789, append([]byte{8, 0, 0, 0, 0, 0, 7, 0}, ether(0x8100, typed(b, 0, 7))...))
	}},
}
