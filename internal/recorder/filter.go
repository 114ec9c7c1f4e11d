package recorder

import (
	"golang.org/x/net/bpf"

	"culprit/internal/wire"
)

// filterFor is the program with which the kernel chooses frames: TCP with one
// of the ports on either side (all TCP without ports), and ICMP errors, which
// tell why a connection could not be made. It is a classic BPF program, so
// CAP_NET_RAW is enough for it.
//
// The kernel hands over what it sends itself as well. On a loopback interface
// it so sees each packet twice; those on their way out are left out there:
// loopback is the index of that interface, 0 if there is none.
func filterFor(link wire.LinkType, ports []uint16, loopback int) ([]bpf.RawInstruction, error) {
	a := &filterProgram{labels: map[string]int{}}
	if loopback > 0 {
		a.load(bpf.LoadExtension{Num: bpf.ExtInterfaceIndex})
		a.unless(uint32(loopback), "frame")
		a.load(bpf.LoadExtension{Num: bpf.ExtType})
		a.when(packetOutgoing, "drop")
		a.label("frame")
	}
	if link == wire.LinkEthernet {
		a.ethernet(ports)
	} else {
		a.load(bpf.LoadAbsolute{Off: 0, Size: 1})
		a.load(bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
		a.when(4, "ip4@00")
		a.when(6, "ip6@00")
		a.goTo("drop")
		a.ip4(0, ports)
		a.ip6(0, ports)
	}
	a.label("keep")
	a.load(bpf.RetConstant{Val: wholeFrame})
	a.label("drop")
	a.load(bpf.RetConstant{Val: 0})
	return bpf.Assemble(a.link())
}

const (
	packetOutgoing = 4       // PACKET_OUTGOING of linux/if_packet.h
	wholeFrame     = 1 << 18 // more than any frame
	// MaxPorts bounds a filter: some 24 instructions a port, of the 4096 that
	// the kernel takes.
	MaxPorts = 64
)

// ethernet finds the IP header behind no, one or two VLAN tags. The kernel
// takes an outer tag off before it asks the filter, but not an inner one.
func (a *filterProgram) ethernet(ports []uint16) {
	depths := []struct {
		at   uint32
		name string
	}{{0, "@14"}, {4, "@18"}, {8, "@22"}}
	for i, d := range depths {
		a.load(bpf.LoadAbsolute{Off: 12 + d.at, Size: 2})
		a.when(0x0800, "ip4"+d.name)
		a.when(0x86dd, "ip6"+d.name)
		if i == len(depths)-1 {
			break
		}
		next := "tag" + depths[i+1].name
		for _, tag := range []uint32{0x8100, 0x88a8, 0x9100} {
			a.when(tag, next)
		}
		a.goTo("drop")
		a.label(next)
	}
	a.goTo("drop")
	for _, d := range depths {
		a.ip4(14+d.at, ports)
		a.ip6(14+d.at, ports)
	}
}

// ip4 chooses by an IPv4 header at an offset.
func (a *filterProgram) ip4(at uint32, ports []uint16) {
	name := suffix(at)
	a.label("ip4" + name)
	a.load(bpf.LoadAbsolute{Off: at + 9, Size: 1})
	a.when(1, "icmp4"+name)
	a.unless(6, "drop")
	a.load(bpf.LoadAbsolute{Off: at + 6, Size: 2})
	a.load(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x1fff})
	a.unless(0, "drop") // a later fragment has no ports
	if len(ports) == 0 {
		a.goTo("keep")
	} else {
		a.load(bpf.LoadMemShift{Off: at})
		a.load(bpf.LoadIndirect{Off: at, Size: 2})
		a.ports(ports)
		a.load(bpf.LoadIndirect{Off: at + 2, Size: 2})
		a.ports(ports)
		a.goTo("drop")
	}
	a.label("icmp4" + name)
	a.load(bpf.LoadMemShift{Off: at})
	a.load(bpf.LoadIndirect{Off: at, Size: 1})
	a.when(3, "keep")  // destination unreachable
	a.when(11, "keep") // time exceeded
	a.goTo("drop")
}

// ip6 chooses by an IPv6 header at an offset; extension headers are not
// walked, which takes more than such a program can.
func (a *filterProgram) ip6(at uint32, ports []uint16) {
	name := suffix(at)
	a.label("ip6" + name)
	a.load(bpf.LoadAbsolute{Off: at + 6, Size: 1})
	a.when(58, "icmp6"+name)
	a.unless(6, "drop")
	if len(ports) == 0 {
		a.goTo("keep")
	} else {
		a.load(bpf.LoadAbsolute{Off: at + 40, Size: 2})
		a.ports(ports)
		a.load(bpf.LoadAbsolute{Off: at + 42, Size: 2})
		a.ports(ports)
		a.goTo("drop")
	}
	a.label("icmp6" + name)
	a.load(bpf.LoadAbsolute{Off: at + 40, Size: 1})
	for kind := range uint32(3) {
		a.when(kind+1, "keep") // unreachable, too big, time exceeded
	}
	a.goTo("drop")
}

func (a *filterProgram) ports(ports []uint16) {
	for _, p := range ports {
		a.when(uint32(p), "keep")
	}
}

func suffix(at uint32) string {
	return "@" + string(rune('0'+at/10)) + string(rune('0'+at%10))
}

// filterProgram assembles a program with names for the places jumped to.
type filterProgram struct {
	prog   []bpf.Instruction
	labels map[string]int
	jumps  []jump
}

type jump struct {
	at int
	to string
}

func (a *filterProgram) load(i bpf.Instruction) { a.prog = append(a.prog, i) }
func (a *filterProgram) label(name string)      { a.labels[name] = len(a.prog) }

// goTo jumps; a conditional jump reaches 255 instructions at most, this one
// any, so conditions are written as a skip over it.
func (a *filterProgram) goTo(to string) {
	a.jumps = append(a.jumps, jump{len(a.prog), to})
	a.prog = append(a.prog, bpf.Jump{})
}

// when jumps if the accumulator is v.
func (a *filterProgram) when(v uint32, to string) {
	a.prog = append(a.prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1})
	a.goTo(to)
}

// unless jumps if the accumulator is not v.
func (a *filterProgram) unless(v uint32, to string) {
	a.prog = append(a.prog, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: 1})
	a.goTo(to)
}

// link sets how far the jumps skip.
func (a *filterProgram) link() []bpf.Instruction {
	for _, j := range a.jumps {
		a.prog[j.at] = bpf.Jump{Skip: uint32(a.labels[j.to] - j.at - 1)}
	}
	return a.prog
}
