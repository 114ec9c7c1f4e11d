package wire

import (
	"encoding/binary"
	"net/netip"
)

// LinkType is the kind of a packet's outermost header, as the tcpdump group
// numbers them (https://www.tcpdump.org/linktypes.html).
type LinkType uint32

// The link types that are read.
const (
	LinkNull     LinkType = 0 // BSD loopback, in the writer's byte order
	LinkEthernet LinkType = 1
	LinkPPP      LinkType = 9
	LinkRawBSD   LinkType = 12
	LinkRawOld   LinkType = 14
	LinkPPPoE    LinkType = 51
	LinkRaw      LinkType = 101
	LinkCHDLC    LinkType = 104
	LinkLoop     LinkType = 108 // OpenBSD loopback, big-endian
	LinkSLL      LinkType = 113 // tcpdump -i any
	LinkIPv4     LinkType = 228
	LinkIPv6     LinkType = 229
	LinkSLL2     LinkType = 276 // tcpdump -i any, since 4.99
)

// Kind says what a packet turned out to be.
type Kind uint8

// The kinds.
const (
	Other Kind = iota // nothing of TCP
	TCP
	// Unreachable is an ICMP error about a TCP packet: the segment has that
	// packet's addresses and sequence number, and ICMP what it says.
	Unreachable
	Fragment // a later part of an IP packet: its ports are not known
	Broken   // its headers are cut or wrong
)

// Endpoint is an address and a port.
type Endpoint struct {
	IP   [16]byte // IPv4 as ::ffff:a.b.c.d
	Port uint16
}

// AddrPort is e as a netip value.
func (e Endpoint) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(e.Addr(), e.Port)
}

// Addr is the address alone.
func (e Endpoint) Addr() netip.Addr { return netip.AddrFrom16(e.IP).Unmap() }

// String writes "10.0.0.1:80" or "[::1]:80".
func (e Endpoint) String() string { return e.AddrPort().String() }

// The TCP flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
)

// Segment is a TCP segment.
type Segment struct {
	Src, Dst Endpoint
	Seq, Ack uint32
	Window   uint16
	Flags    uint8
	TTL      uint8
	ID       uint16 // of the IPv4 header; 0 with IPv6
	Stamp    uint32 // TSval of the time stamp option; 0 without
	Len      int    // payload bytes as sent
	Payload  []byte // as captured, and no more than Len
	ICMP     ICMP   // of an Unreachable
}

// ICMP is what an ICMP error says.
type ICMP struct {
	V6         bool
	Type, Code uint8
	MTU        int // of "fragmentation needed" and "packet too big"
	// By is who sent the error.
	By netip.Addr
}

// maxNested bounds how many headers may lie one in the other: VLAN in VLAN in
// Ethernet, IP in GRE, Ethernet in VXLAN in UDP in IP, and some more.
const maxNested = 16

// The Ethernet types that are read.
const (
	etherIPv4   = 0x0800
	etherVLAN   = 0x8100
	etherQinQ   = 0x88a8
	etherQinQ2  = 0x9100
	etherIPv6   = 0x86dd
	etherMPLS   = 0x8847
	etherPPPoE  = 0x8864
	etherBridge = 0x6558 // Ethernet in GRE
	etherSpan   = 0x88be // ERSPAN in GRE
	etherSpan3  = 0x22eb
)

// Decode takes headers off a packet, of which data was captured and which was
// orig bytes long, and fills s if it is TCP or an ICMP error about TCP.
func Decode(link LinkType, data []byte, orig int, s *Segment) Kind {
	// The hot path: TCP in IPv4 in Ethernet.
	if link == LinkEthernet && len(data) >= 34 && data[12] == 8 && data[13] == 0 {
		return ipv4(data[14:], orig-14, s, 0)
	}
	switch link {
	case LinkEthernet:
		return ethernet(data, orig, s, 0)
	case LinkSLL:
		if len(data) < 16 {
			return Broken
		}
		return ether(binary.BigEndian.Uint16(data[14:]), data[16:], orig-16, s, 0)
	case LinkSLL2:
		if len(data) < 20 {
			return Broken
		}
		return ether(binary.BigEndian.Uint16(data), data[20:], orig-20, s, 0)
	case LinkNull, LinkLoop:
		// The family's number differs between systems; the version of the
		// header behind it does not.
		if len(data) < 5 {
			return Broken
		}
		return ip(data[4:], orig-4, s, 0)
	case LinkRaw, LinkRawBSD, LinkRawOld, LinkIPv4, LinkIPv6:
		return ip(data, orig, s, 0)
	case LinkPPP:
		return ppp(data, orig, s, 0)
	case LinkPPPoE:
		if len(data) < 6 {
			return Broken
		}
		return ppp(data[6:], orig-6, s, 0)
	case LinkCHDLC:
		if len(data) < 4 {
			return Broken
		}
		return ether(binary.BigEndian.Uint16(data[2:]), data[4:], orig-4, s, 0)
	}
	return Other
}

func ethernet(b []byte, orig int, s *Segment, depth int) Kind {
	if len(b) < 14 {
		return Broken
	}
	return ether(binary.BigEndian.Uint16(b[12:]), b[14:], orig-14, s, depth+1)
}

// ether goes on behind an Ethernet type.
func ether(kind uint16, b []byte, orig int, s *Segment, depth int) Kind {
	for ; depth < maxNested; depth++ {
		switch kind {
		case etherIPv4:
			return ipv4(b, orig, s, depth)
		case etherIPv6:
			return ipv6(b, orig, s, depth)
		case etherVLAN, etherQinQ, etherQinQ2:
			if len(b) < 4 {
				return Broken
			}
			kind, b, orig = binary.BigEndian.Uint16(b[2:]), b[4:], orig-4
		case etherMPLS:
			if len(b) < 5 {
				return Broken
			}
			bottom := b[2]&1 != 0
			b, orig = b[4:], orig-4
			if bottom {
				return ip(b, orig, s, depth)
			}
		case etherPPPoE:
			if len(b) < 6 {
				return Broken
			}
			return ppp(b[6:], orig-6, s, depth+1)
		case etherBridge:
			return ethernet(b, orig, s, depth+1)
		default:
			return Other
		}
	}
	return Other
}

// ppp goes on behind a PPP header, with or without its address and control
// bytes.
func ppp(b []byte, orig int, s *Segment, depth int) Kind {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 0x03 {
		b, orig = b[2:], orig-2
	}
	if len(b) < 2 {
		return Broken
	}
	switch binary.BigEndian.Uint16(b) {
	case 0x0021:
		return ipv4(b[2:], orig-2, s, depth+1)
	case 0x0057:
		return ipv6(b[2:], orig-2, s, depth+1)
	}
	return Other
}

// ip tells IPv4 and IPv6 apart by the version.
func ip(b []byte, orig int, s *Segment, depth int) Kind {
	if len(b) == 0 {
		return Broken
	}
	switch b[0] >> 4 {
	case 4:
		return ipv4(b, orig, s, depth)
	case 6:
		return ipv6(b, orig, s, depth)
	}
	return Other
}

// The IP protocols that are read.
const (
	protoICMP   = 1
	protoIPv4   = 4
	protoTCP    = 6
	protoUDP    = 17
	protoIPv6   = 41
	protoGRE    = 47
	protoICMPv6 = 58
)

var mapped = [12]byte{10: 0xff, 11: 0xff}

func ipv4(b []byte, orig int, s *Segment, depth int) Kind {
	if len(b) < 20 || b[0]>>4 != 4 {
		return Broken
	}
	head := int(b[0]&15) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 {
		total = orig // segmentation left to the network card
	}
	if head < 20 || total < head || len(b) < head {
		return Broken
	}
	s.ID, s.TTL = binary.BigEndian.Uint16(b[4:]), b[8]
	copy(s.Src.IP[:12], mapped[:])
	copy(s.Dst.IP[:12], mapped[:])
	copy(s.Src.IP[12:], b[12:16])
	copy(s.Dst.IP[12:], b[16:20])
	if binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return Fragment
	}
	if len(b) > total {
		b = b[:total] // the Ethernet frame's padding
	}
	return transport(b[9], b[head:], total-head, s, depth+1)
}

// maxExtensions bounds the extension headers of one IPv6 packet.
const maxExtensions = 16

func ipv6(b []byte, orig int, s *Segment, depth int) Kind {
	if len(b) < 40 || b[0]>>4 != 6 {
		return Broken
	}
	total := int(binary.BigEndian.Uint16(b[4:]))
	if total == 0 {
		total = max(orig-40, 0) // a jumbogram, or left to the network card
	}
	next := b[6]
	s.ID, s.TTL = 0, b[7]
	copy(s.Src.IP[:], b[8:24])
	copy(s.Dst.IP[:], b[24:40])
	b = b[40:]
	if len(b) > total {
		b = b[:total]
	}
	for range maxExtensions {
		size := 0
		switch next {
		case 0, 43, 60, 135, 139, 140: // hop by hop, routing, destination, mobility, HIP, shim6
			if len(b) < 8 {
				return Broken
			}
			size = 8 + int(b[1])*8
		case 51: // authentication
			if len(b) < 8 {
				return Broken
			}
			size = 8 + int(b[1])*4
		case 44: // fragment
			if len(b) < 8 {
				return Broken
			}
			if binary.BigEndian.Uint16(b[2:])&^7 != 0 {
				return Fragment
			}
			size = 8
		default:
			return transport(next, b, total, s, depth+1)
		}
		if size > len(b) {
			return Broken
		}
		next, b, total = b[0], b[size:], total-size
	}
	return Other
}

// transport goes on behind an IP header; total is how long what follows is.
func transport(proto byte, b []byte, total int, s *Segment, depth int) Kind {
	if proto == protoTCP {
		return tcp(b, total, s)
	}
	if depth >= maxNested {
		return Other
	}
	switch proto {
	case protoICMP, protoICMPv6:
		return icmp(b, proto == protoICMPv6, s)
	case protoIPv4:
		return ipv4(b, total, s, depth+1)
	case protoIPv6:
		return ipv6(b, total, s, depth+1)
	case protoGRE:
		return gre(b, total, s, depth+1)
	case protoUDP:
		return udp(b, total, s, depth+1)
	}
	return Other
}

func tcp(b []byte, total int, s *Segment) Kind {
	if len(b) < 20 {
		return Broken
	}
	head := int(b[12]>>4) * 4
	s.Src.Port, s.Dst.Port = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	s.Seq, s.Ack = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	s.Flags, s.Window = b[13], binary.BigEndian.Uint16(b[14:])
	s.Len, s.Stamp, s.Payload = total-head, 0, nil
	switch {
	case head < 20 || head > total:
		s.Len = 0 // malformed, and still a packet of its connection
		return TCP
	case len(b) < head:
		return TCP // the header is cut: what it has of a payload is not known
	case head == 32 && binary.BigEndian.Uint32(b[20:]) == 0x0101080a:
		s.Stamp = binary.BigEndian.Uint32(b[24:])
	case head > 20:
		s.Stamp = stamp(b[20:head])
	}
	s.Payload = b[head:]
	return TCP
}

// stamp finds TSval among TCP's options.
func stamp(o []byte) uint32 {
	for len(o) > 0 {
		switch {
		case o[0] == 0:
			return 0
		case o[0] == 1:
			o = o[1:]
			continue
		case len(o) < 2 || o[1] < 2 || int(o[1]) > len(o):
			return 0
		case o[0] == 8 && o[1] == 10:
			return binary.BigEndian.Uint32(o[2:])
		}
		o = o[o[1]:]
	}
	return 0
}

// gre goes on behind a GRE header (RFC 2784, 2890), ERSPAN included.
func gre(b []byte, total int, s *Segment, depth int) Kind {
	if len(b) < 4 {
		return Broken
	}
	flags, kind := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	size := 4
	for _, bit := range [...]uint16{0x8000, 0x2000, 0x1000} { // checksum, key, sequence
		if flags&bit != 0 {
			size += 4
		}
	}
	switch kind {
	case etherSpan:
		if flags&0x1000 != 0 {
			size += 8 // type II has a head of its own, type I has none
		}
		kind = etherBridge
	case etherSpan3:
		if size += 12; len(b) >= size && b[size-1]&1 != 0 {
			size += 8 // a subheader of the platform's
		}
		kind = etherBridge
	}
	if len(b) < size {
		return Broken
	}
	return ether(kind, b[size:], total-size, s, depth+1)
}

// The UDP ports of what carries Ethernet.
const (
	portVXLAN      = 4789
	portVXLANLinux = 8472
	portVXLANGPE   = 4790
	portGeneve     = 6081
)

func udp(b []byte, total int, s *Segment, depth int) Kind {
	if len(b) < 8 {
		return Other
	}
	port := binary.BigEndian.Uint16(b[2:])
	b, total = b[8:], total-8
	switch port {
	case portVXLAN, portVXLANLinux:
		if len(b) >= 22 && b[0]&0x08 != 0 {
			return ethernet(b[8:], total-8, s, depth+1)
		}
	case portVXLANGPE:
		if len(b) >= 22 && b[0]&0x04 != 0 {
			switch b[3] {
			case 1, 2:
				return ip(b[8:], total-8, s, depth+1)
			case 3:
				return ethernet(b[8:], total-8, s, depth+1)
			}
		}
	case portGeneve:
		if len(b) < 8 {
			return Other
		}
		size := 8 + int(b[0]&0x3f)*4
		if len(b) >= size {
			return ether(binary.BigEndian.Uint16(b[2:]), b[size:], total-size, s, depth+1)
		}
	}
	return Other
}

// icmp reads an error that quotes a TCP packet.
func icmp(b []byte, v6 bool, s *Segment) Kind {
	if len(b) < 8 {
		return Other
	}
	x := ICMP{V6: v6, Type: b[0], Code: b[1], By: s.Src.Addr()}
	switch {
	case v6 && (x.Type == 1 || x.Type == 2 || x.Type == 3):
		if x.Type == 2 {
			x.MTU = int(min(binary.BigEndian.Uint32(b[4:]), 1<<20))
		}
	case !v6 && (x.Type == 3 || x.Type == 11):
		if x.Type == 3 && x.Code == 4 {
			x.MTU = int(binary.BigEndian.Uint16(b[6:]))
		}
	default:
		return Other
	}
	b = b[8:]
	var head int
	switch {
	case v6 && len(b) >= 48 && b[6] == protoTCP:
		head = 40
		copy(s.Src.IP[:], b[8:24])
		copy(s.Dst.IP[:], b[24:40])
	case !v6 && len(b) >= 28 && b[0]>>4 == 4 && b[9] == protoTCP && len(b) >= int(b[0]&15)*4+8:
		head = int(b[0]&15) * 4
		copy(s.Src.IP[12:], b[12:16])
		copy(s.Dst.IP[12:], b[16:20])
	default:
		return Other
	}
	t := b[head:]
	s.Src.Port, s.Dst.Port, s.Seq = binary.BigEndian.Uint16(t), binary.BigEndian.Uint16(t[2:]), binary.BigEndian.Uint32(t[4:])
	s.Ack, s.Flags, s.Len, s.Payload, s.ICMP = 0, 0, 0, nil, x
	return Unreachable
}
