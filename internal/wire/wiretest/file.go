// Package wiretest makes captures in memory for the tests of what reads them:
// TCP conversations that go well or badly, laid into IP, into whatever carries
// IP, and into capture files of every kind.
//
//	w := wiretest.New()
//	c := w.Conn("10.0.0.1:40000", "10.0.0.2:80").Open()
//	c.Client("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
//	w.Wait(time.Second)
//	c.RST(wiretest.Server)
//	file := wiretest.Pcap{}.File(w.Packets)
//
// Lengths and sequence numbers are as real hosts would send them; checksums are
// right in the headers of IPv4 alone.
package wiretest

import (
	"encoding/binary"
	"time"
)

// Packet is an IP packet and when it passed.
type Packet struct {
	Time int64  // nanoseconds since 1970
	Data []byte // from the IP header on, whole
	Lost int    // bytes at its end that the capture's snap length cut off
}

// Pcap is how a pcap file is written. The zero value is what tcpdump writes on
// a usual machine: little-endian, microseconds, Ethernet.
type Pcap struct {
	Big, Nano bool
	In        *Encapsulation // nil means Ethernet
}

// File writes a capture.
func (x Pcap) File(packets []Packet) []byte {
	in := x.In
	if in == nil {
		in = &Plain
	}
	o := order(x.Big)
	magic, unit := uint32(0xa1b2c3d4), int64(1000)
	if x.Nano {
		magic, unit = 0xa1b23c4d, 1
	}
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, 4)
	b = o.AppendUint64(b, 0)
	b = o.AppendUint32(b, 256<<10)
	b = o.AppendUint32(b, in.Link)
	for i := range packets {
		p := &packets[i]
		data := in.Wrap(p.Data)
		b = o.AppendUint32(b, uint32(p.Time/1e9))
		b = o.AppendUint32(b, uint32(p.Time%1e9/unit))
		b = o.AppendUint32(b, uint32(len(data)-p.Lost))
		b = o.AppendUint32(b, uint32(len(data)))
		b = append(b, data[:len(data)-p.Lost]...)
	}
	return b
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func order(big bool) byteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// NG writes a pcapng file, block by block.
type NG struct {
	o     byteOrder
	b     []byte
	links []*Encapsulation
	res   []byte
	moved []int64
}

// Section begins a section, in which everything is described anew.
func (x *NG) Section(big bool) *NG {
	x.o, x.links, x.res, x.moved = order(big), nil, nil, nil
	body := x.o.AppendUint32(nil, 0x1a2b3c4d)
	body = x.o.AppendUint16(body, 1)
	body = x.o.AppendUint16(body, 0)
	body = x.o.AppendUint64(body, 1<<64-1) // of unknown length
	return x.Block(0x0a0d0d0a, body)
}

// Block writes a block of any kind.
func (x *NG) Block(kind uint32, body []byte) *NG {
	n := len(body)
	pad := (4 - n%4) % 4
	x.b = x.o.AppendUint32(x.b, kind)
	x.b = x.o.AppendUint32(x.b, uint32(12+n+pad))
	x.b = append(append(x.b, body...), make([]byte, pad)...)
	x.b = x.o.AppendUint32(x.b, uint32(12+n+pad))
	return x
}

// Micro is the resolution of an interface that names none.
const Micro = 6

// Interface describes an interface. resolution is if_tsresol: n for 10^-n
// seconds, 0x80+n for 2^-n; offset is if_tsoffset in seconds.
func (x *NG) Interface(in *Encapsulation, resolution byte, offset int64) *NG {
	if in == nil {
		in = &Plain
	}
	x.links, x.res, x.moved = append(x.links, in), append(x.res, resolution), append(x.moved, offset)
	b := x.o.AppendUint16(nil, uint16(in.Link))
	b = x.o.AppendUint16(b, 0)
	b = x.o.AppendUint32(b, 0)
	b = x.option(b, 2, []byte("eth0")) // if_name, of no interest
	if resolution != Micro {
		b = x.option(b, 9, []byte{resolution})
	}
	if offset != 0 {
		b = x.option(b, 14, x.o.AppendUint64(nil, uint64(offset)))
	}
	b = x.option(b, 0, nil)
	return x.Block(1, b)
}

func (x *NG) option(b []byte, code uint16, v []byte) []byte {
	b = x.o.AppendUint16(b, code)
	b = x.o.AppendUint16(b, uint16(len(v)))
	return append(append(b, v...), make([]byte, (4-len(v)%4)%4)...)
}

// ticks is the time of a packet on an interface.
func (x *NG) ticks(which int, ns int64) uint64 {
	ns -= x.moved[which] * 1e9
	r := int(x.res[which] & 0x7f)
	if x.res[which]&0x80 != 0 {
		return uint64(ns/1e9)<<r + uint64(float64(ns%1e9)/1e9*float64(uint64(1)<<r)+0.5)
	}
	t := uint64(ns)
	for ; r < 9; r++ {
		t /= 10
	}
	for ; r > 9; r-- {
		t *= 10
	}
	return t
}

// The kinds of blocks that hold packets.
const (
	Old      = 2
	Simple   = 3
	Enhanced = 6
)

// Packet writes a packet, seen at an interface, in a block of some kind.
func (x *NG) Packet(kind uint32, which int, p Packet) *NG {
	data := x.links[which].Wrap(p.Data)
	seen := data[:len(data)-p.Lost]
	t := x.ticks(which, p.Time)
	var b []byte
	switch kind {
	case Simple:
		b = x.o.AppendUint32(b, uint32(len(data)))
		return x.Block(kind, append(b, seen...))
	case Old:
		b = x.o.AppendUint16(b, uint16(which))
		b = x.o.AppendUint16(b, 0)
	default:
		b = x.o.AppendUint32(b, uint32(which))
	}
	b = x.o.AppendUint32(b, uint32(t>>32))
	b = x.o.AppendUint32(b, uint32(t))
	b = x.o.AppendUint32(b, uint32(len(seen)))
	b = x.o.AppendUint32(b, uint32(len(data)))
	b = append(b, seen...)
	b = append(b, make([]byte, (4-len(seen)%4)%4)...)
	b = x.option(b, 1, []byte("a comment"))
	b = x.option(b, 0, nil)
	return x.Block(kind, b)
}

// File is what was written.
func (x *NG) File() []byte { return x.b }

// Epoch is when conversations begin.
var Epoch = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)
