package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// resets listens to the kernel's tracepoint tcp_send_reset, which since Linux
// 6.10 says why a reset is sent. The program in the kernel only copies what
// names the connection; where that lies is read from the kernel's own type
// information (BTF), so nothing is compiled and no kernel version is assumed.
type resets struct {
	prog   *ebpf.Program
	events *ebpf.Map
	link   link.Link
	reader *ringbuf.Reader
	done   chan struct{}

	ports []uint16
	names map[uint32]string
	known *reasons
}

// resetLayout is where the fields lie that the program copies, in bytes.
type resetLayout struct {
	skbHead, skbNetwork, skbTransport           int32
	family, daddr, saddr, dport, daddr6, saddr6 int32
	sport                                       int32
}

// resetRing is the buffer between kernel and recorder, in bytes: some 3,000
// resets.
const resetRing = 256 << 10

// watchResets begins to listen. The error says in one line what is missing.
func watchResets(ports []uint16, known *reasons) (*resets, error) {
	layout, names, err := resetTypes()
	if err != nil {
		return nil, err
	}
	w := &resets{ports: ports, names: names, known: known, done: make(chan struct{})}
	if err := w.load(layout); err != nil {
		close(w.done)
		w.close()
		if errors.Is(err, os.ErrPermission) {
			return nil, &MissingError{Need: "CAP_BPF and CAP_PERFMON", Says: "the system grants that to programs with CAP_BPF and CAP_PERFMON", Err: err}
		}
		return nil, err
	}
	go w.listen()
	return w, nil
}

// resetTypes reads from BTF where things lie, and what the reasons are called.
func resetTypes() (l resetLayout, names map[uint32]string, err error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return l, nil, fmt.Errorf("this kernel does not describe its types (/sys/kernel/btf/vmlinux): %w", err)
	}
	var trace *btf.Typedef
	if err := spec.TypeByName("btf_trace_tcp_send_reset", &trace); err != nil {
		return l, nil, errors.New("this kernel has no tracepoint tcp_send_reset")
	}
	names = map[uint32]string{}
	var reasons *btf.Enum
	pointer, _ := trace.Type.(*btf.Pointer)
	if pointer != nil {
		if proto, ok := pointer.Target.(*btf.FuncProto); ok && len(proto.Params) == 4 { // context, socket, packet, reason
			reasons, _ = btf.UnderlyingType(proto.Params[3].Type).(*btf.Enum)
		}
	}
	if reasons == nil {
		return l, nil, errors.New("this kernel does not say why it sends resets; Linux 6.10 and later do")
	}
	for _, v := range reasons.Values {
		names[uint32(v.Value)] = strings.TrimPrefix(strings.TrimPrefix(v.Name, "SK_RST_REASON_"), "TCP_")
	}
	for _, x := range []struct {
		in, field string
		at        *int32
	}{
		{"sk_buff", "head", &l.skbHead}, {"sk_buff", "network_header", &l.skbNetwork}, {"sk_buff", "transport_header", &l.skbTransport},
		{"sock_common", "skc_family", &l.family}, {"sock_common", "skc_daddr", &l.daddr}, {"sock_common", "skc_rcv_saddr", &l.saddr},
		{"sock_common", "skc_dport", &l.dport}, {"sock_common", "skc_v6_daddr", &l.daddr6}, {"sock_common", "skc_v6_rcv_saddr", &l.saddr6},
		{"inet_sock", "inet_sport", &l.sport}, // skc_num is 0 once the socket is closed
	} {
		var s *btf.Struct
		if err := spec.TypeByName(x.in, &s); err != nil {
			return l, nil, fmt.Errorf("this kernel's types have no %s: %w", x.in, err)
		}
		at, ok := fieldAt(s.Members, x.field, 0)
		if !ok && strings.HasPrefix(x.field, "skc_v6") {
			at, ok = -1, true // a kernel without IPv6
		}
		if !ok {
			return l, nil, fmt.Errorf("this kernel's %s has no %s", x.in, x.field)
		}
		*x.at = at
	}
	return l, names, nil
}

// fieldAt finds a field's offset in bytes, within structures and unions
// without a name as well.
func fieldAt(members []btf.Member, name string, base btf.Bits) (int32, bool) {
	for _, m := range members {
		if m.Name == name {
			return int32((base + m.Offset).Bytes()), true
		}
		if m.Name != "" {
			continue
		}
		var inner []btf.Member
		switch t := btf.UnderlyingType(m.Type).(type) {
		case *btf.Struct:
			inner = t.Members
		case *btf.Union:
			inner = t.Members
		}
		if at, ok := fieldAt(inner, name, base+m.Offset); ok {
			return at, true
		}
	}
	return 0, false
}

// What the program in the kernel hands over, by offsets in bytes:
//
//	0  time (u64, CLOCK_MONOTONIC)
//	8  reason (u32)
//	12 kind (u32)
//	16 of a packet that was answered by the reset: the first 40 bytes of its IP
//	   header, and at 56 its two ports; the reset goes the other way.
//	   of a socket: family (u16), at 18 and 20 the ports, remote and local, at
//	   24 the remote address, at 40 the local one.
const (
	eventSize   = 64
	eventReason = 8
	eventKind   = 12
	eventBody   = 16
	eventRemote = 24
	eventLocal  = 40
	eventPorts  = 56

	kindPacket = 0
	kindSocket = 1
	familyIPv4 = 2
	familyIPv6 = 10
)

// load puts the program into the kernel and attaches it.
func (w *resets) load(l resetLayout) (err error) {
	rlimit.RemoveMemlock() // only kernels before 5.11 ask for it, and they have no reasons
	if w.events, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: resetRing}); err != nil {
		return fmt.Errorf("make buffer for the kernel's reasons: %w", err)
	}
	w.prog, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, Instructions: resetProgram(l, w.events.FD()),
		License: "Dual BSD/GPL", // of this program alone: the kernel lends its helpers to no other
	})
	if err != nil {
		return fmt.Errorf("load program on tcp_send_reset: %w", err)
	}
	if w.link, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "tcp_send_reset", Program: w.prog}); err != nil {
		return fmt.Errorf("attach to tcp_send_reset: %w", err)
	}
	if w.reader, err = ringbuf.NewReader(w.events); err != nil {
		return fmt.Errorf("read the kernel's reasons: %w", err)
	}
	return nil
}

// resetProgram is the program: registers 6 to 9 are its context, the socket,
// the packet and the packet's memory.
func resetProgram(l resetLayout, events int) asm.Instructions {
	const event = -eventSize // on the stack; what is read for the program's own use lies below it
	const scratch = event - 16
	read := func(to int32, size int32, base asm.Register, at int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, to),
			asm.Mov.Imm(asm.R2, size),
			asm.Mov.Reg(asm.R3, base), asm.Add.Imm(asm.R3, at),
			asm.FnProbeReadKernel.Call(),
		}
	}
	// header reads what a 16-bit offset in the packet's structure points at.
	header := func(to, size, offset int32) asm.Instructions {
		return slices.Concat(
			read(scratch+8, 2, asm.R8, offset),
			asm.Instructions{
				asm.LoadMem(asm.R1, asm.R10, scratch+8, asm.Half),
				asm.Add.Reg(asm.R1, asm.R9),
				asm.StoreMem(asm.R10, scratch+8, asm.R1, asm.DWord),
				asm.LoadMem(asm.R9, asm.R10, scratch+8, asm.DWord),
			},
			read(to, size, asm.R9, 0),
			asm.Instructions{asm.LoadMem(asm.R9, asm.R10, scratch, asm.DWord)},
		)
	}
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 0, asm.DWord),
		asm.LoadMem(asm.R8, asm.R6, 8, asm.DWord),
		asm.Mov.Imm(asm.R1, 0),
	}
	for at := int16(scratch); at < 0; at += 8 {
		p = append(p, asm.StoreMem(asm.R10, at, asm.R1, asm.DWord))
	}
	p = append(p,
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R10, event, asm.R0, asm.DWord),
		asm.LoadMem(asm.R1, asm.R6, 16, asm.DWord),
		asm.StoreMem(asm.R10, event+eventReason, asm.R1, asm.Word),
		asm.JEq.Imm(asm.R8, 0, "socket"),
	)
	p = append(p, read(scratch, 8, asm.R8, l.skbHead)...)
	p = append(p, asm.LoadMem(asm.R9, asm.R10, scratch, asm.DWord))
	p = append(p, header(event+eventBody, 40, l.skbNetwork)...)
	p = append(p, header(event+eventPorts, 4, l.skbTransport)...)
	p = append(p,
		asm.Ja.Label("send"),
		asm.JEq.Imm(asm.R7, 0, "exit").WithSymbol("socket"),
		asm.StoreImm(asm.R10, event+eventKind, kindSocket, asm.Word),
	)
	p = append(p, read(event+eventBody, 2, asm.R7, l.family)...)
	p = append(p, read(event+eventBody+2, 2, asm.R7, l.dport)...)
	p = append(p, read(event+eventBody+4, 2, asm.R7, l.sport)...)
	p = append(p,
		asm.LoadMem(asm.R1, asm.R10, event+eventBody, asm.Half),
		asm.JEq.Imm(asm.R1, familyIPv6, "six"),
	)
	p = append(p, read(event+eventRemote, 4, asm.R7, l.daddr)...)
	p = append(p, read(event+eventLocal, 4, asm.R7, l.saddr)...)
	p = append(p, asm.Ja.Label("send"))
	six := asm.Instructions{asm.Mov.Imm(asm.R0, 0)}
	if l.daddr6 >= 0 && l.saddr6 >= 0 {
		six = append(six, read(event+eventRemote, 16, asm.R7, l.daddr6)...)
		six = append(six, read(event+eventLocal, 16, asm.R7, l.saddr6)...)
	}
	six[0] = six[0].WithSymbol("six")
	p = append(p, six...)
	return append(p,
		asm.LoadMapPtr(asm.R1, events).WithSymbol("send"),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, event),
		asm.Mov.Imm(asm.R3, eventSize),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"),
		asm.Return(),
	)
}

// listen takes events in until the reader is closed.
func (w *resets) listen() {
	defer close(w.done)
	var rec ringbuf.Record
	for {
		if err := w.reader.ReadInto(&rec); err != nil {
			return // closed: nothing else ends it
		}
		if x, ok := w.reason(rec.RawSample); ok {
			w.known.add(x)
		}
	}
}

// reason reads one event.
func (w *resets) reason(b []byte) (x reason, ok bool) {
	if len(b) < eventSize {
		return x, false
	}
	num := binary.NativeEndian.Uint32(b[eventReason:])
	if x.why = reasonText(w.names[num]); x.why == "" {
		x.why = fmt.Sprintf("reason %d", num)
	}
	var mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return x, false
	}
	x.time = time.Now().UnixNano() - (mono.Nano() - int64(binary.NativeEndian.Uint64(b)))
	switch kind, body := binary.NativeEndian.Uint32(b[eventKind:]), b[eventBody:]; {
	case kind == kindPacket && body[0]>>4 == 4:
		x.dst.IP, x.src.IP = mapped(body[12:16]), mapped(body[16:20])
	case kind == kindPacket && body[0]>>4 == 6:
		copy(x.dst.IP[:], body[8:24])
		copy(x.src.IP[:], body[24:40])
	case kind == kindSocket && binary.NativeEndian.Uint16(body) == familyIPv4:
		x.dst.IP, x.src.IP = mapped(b[eventRemote:][:4]), mapped(b[eventLocal:][:4])
	case kind == kindSocket && binary.NativeEndian.Uint16(body) == familyIPv6:
		copy(x.dst.IP[:], b[eventRemote:])
		copy(x.src.IP[:], b[eventLocal:])
	default:
		return x, false
	}
	x.dst.Port, x.src.Port = binary.BigEndian.Uint16(b[eventPorts:]), binary.BigEndian.Uint16(b[eventPorts+2:])
	if binary.NativeEndian.Uint32(b[eventKind:]) == kindSocket {
		x.dst.Port, x.src.Port = binary.BigEndian.Uint16(b[eventBody+2:]), binary.BigEndian.Uint16(b[eventBody+4:])
	}
	return x, len(w.ports) == 0 || slices.Contains(w.ports, x.src.Port) || slices.Contains(w.ports, x.dst.Port)
}

// mapped writes an IPv4 address as package wire does.
func mapped(b []byte) (ip [16]byte) {
	copy(ip[10:], []byte{0xff, 0xff, b[0], b[1], b[2], b[3]})
	return ip
}

// close stops listening and takes the program out of the kernel.
func (w *resets) close() {
	if w.reader != nil {
		w.reader.Close()
	}
	<-w.done
	if w.link != nil {
		w.link.Close()
	}
	w.prog.Close()
	w.events.Close()
}
