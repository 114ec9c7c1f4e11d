package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Packet is one record of a capture.
type Packet struct {
	N    int   // from 1, as Wireshark's frame.number
	Time int64 // nanoseconds since 1970; 0 if the record has none
	Link LinkType
	// Orig is the packet's length on the wire, in bytes; Data is as much of
	// it as was captured. It is valid until the next call.
	Orig int
	Data []byte
	// Comment is what somebody noted on it (pcapng); valid as long as Data.
	Comment []byte
}

// The bounds of reading.
const (
	// readBlock is how much is read at once, in bytes.
	readBlock = 1 << 20
	// maxPacket is the longest record that is taken for one: tcpdump's largest
	// snapshot is 256 KiB, and no link carries a longer packet.
	maxPacket = 512 << 10
	// maxInterfaces bounds the interfaces of one pcapng section.
	maxInterfaces = 4096
)

// ErrCut says that a capture ends within a record.
var ErrCut = errors.New("the capture ends within a packet")

// ErrNoCapture says that an input is neither pcap nor pcapng.
var ErrNoCapture = errors.New("not a capture: neither pcap nor pcapng")

// A CorruptError says where a capture makes no sense.
type CorruptError struct {
	N   int // the packet that cannot be read
	Why string
}

func (e *CorruptError) Error() string { return fmt.Sprintf("packet %d: %s", e.N, e.Why) }

// The magic numbers of capture files.
const (
	magicMicro = 0xa1b2c3d4
	magicNano  = 0xa1b23c4d
	// magicModified is of the patched libpcap of old Red Hat systems, with 8
	// more bytes in each record's head.
	magicModified = 0xa1b2cd34
	blockSection  = 0x0a0d0d0a
	orderMagic    = 0x1a2b3c4d
)

// IsCapture reports whether a file that begins with head is a pcap or pcapng
// file, and which.
func IsCapture(head []byte) (kind string, ok bool) {
	if len(head) < 4 {
		return "", false
	}
	switch le := binary.LittleEndian.Uint32(head); {
	case le == blockSection:
		return "pcapng", len(head) < 12 || binary.LittleEndian.Uint32(head[8:]) == orderMagic || binary.BigEndian.Uint32(head[8:]) == orderMagic
	case classic(le), classic(binary.BigEndian.Uint32(head)):
		return "pcap", true
	}
	return "", false
}

func classic(magic uint32) bool {
	return magic == magicMicro || magic == magicNano || magic == magicModified
}

// Reader reads the records of a capture.
type Reader struct {
	src io.Reader
	// Where the input comes in blocks: what is left of the last one, and where
	// records that span two are put together; carried: buf is there.
	blocks  blocks
	rest    []byte
	carry   []byte
	carried bool

	buf  []byte
	pos  int // of what is not yet taken
	end  int // of what was read
	err  error
	n    int
	last int64

	order  binary.ByteOrder
	big    bool
	ng     bool
	link   LinkType // of a pcap file
	nano   bool
	head   int // bytes in a pcap record's head
	ifaces []iface
}

// iface is an interface of a pcapng section.
type iface struct {
	link   LinkType
	snap   int
	unit   int64 // nanoseconds a tick, if ticks are decimal and not finer
	finer  int64 // ticks a nanosecond, if they are finer
	shift  uint  // ticks are 2^-shift seconds, if not 0
	offset int64 // seconds to add
}

// NewReader reads a capture's front. The error is ErrNoCapture, or the
// reader's own.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{src: src}
	if b, ok := src.(blocks); ok {
		r.blocks = b
	} else {
		r.buf = make([]byte, readBlock)
	}
	head, err := r.peek(4)
	if err != nil {
		return nil, ErrNoCapture
	}
	kind, ok := IsCapture(head)
	switch {
	case !ok:
		return nil, ErrNoCapture
	case kind == "pcapng":
		r.ng = true
		r.setOrder(false)
		return r, nil
	}
	return r, r.classicHead()
}

func (r *Reader) setOrder(big bool) {
	r.big, r.order = big, binary.LittleEndian
	if big {
		r.order = binary.BigEndian
	}
}

func (r *Reader) classicHead() error {
	h, err := r.peek(24)
	if err != nil {
		return ErrNoCapture
	}
	r.setOrder(!classic(binary.LittleEndian.Uint32(h)))
	magic := r.order.Uint32(h)
	r.nano, r.head = magic == magicNano, 16
	if magic == magicModified {
		r.head = 24
	}
	r.link = LinkType(r.order.Uint32(h[20:]) & 0x0fffffff) // the upper bits tell of the frame check sequence
	r.pos += 24
	return nil
}

// blocks hands out an input without copying it; what it returns is valid until
// the next call.
type blocks interface{ Block() ([]byte, error) }

// fill reads until n bytes lie ahead.
func (r *Reader) fill(n int) error {
	if r.blocks != nil {
		return r.fillBlocks(n)
	}
	if r.pos > 0 {
		copy(r.buf, r.buf[r.pos:r.end])
		r.end -= r.pos
		r.pos = 0
	}
	r.grow(n)
	empty := 0
	for r.end < n && r.err == nil {
		k, err := r.src.Read(r.buf[r.end:])
		r.end += k
		if err != nil {
			r.err = err
		}
		if empty++; k > 0 {
			empty = 0
		}
		if empty > 100 {
			r.err = io.ErrNoProgress
		}
	}
	if r.end-r.pos < n {
		return r.short()
	}
	return nil
}

// grow makes room for n bytes.
func (r *Reader) grow(n int) {
	if n > len(r.buf) {
		b := make([]byte, n+readBlock)
		copy(b, r.buf[:r.end])
		r.buf = b
	}
}

// fillBlocks is fill where the input comes in blocks: records are read where
// they lie, and only one that spans two blocks is copied.
func (r *Reader) fillBlocks(n int) error {
	if r.pos == r.end && len(r.rest) > 0 {
		r.buf, r.pos, r.end, r.rest, r.carried = r.rest, 0, len(r.rest), nil, false
	}
	for r.end-r.pos < n {
		if len(r.rest) == 0 {
			if !r.carried { // what is left of a block goes where it stays
				left := r.buf[r.pos:r.end]
				r.buf = append(r.carry[:0], left...)
				r.pos, r.end, r.carried = 0, len(left), true
			}
			if r.err == nil {
				r.rest, r.err = r.blocks.Block()
			}
			if len(r.rest) == 0 {
				r.carry = r.buf[:0]
				return r.short()
			}
			if r.end == r.pos {
				r.carry = r.buf[:0]
				r.buf, r.pos, r.end, r.rest, r.carried = r.rest, 0, len(r.rest), nil, false
				continue
			}
		}
		k := min(n-(r.end-r.pos), len(r.rest))
		r.buf = append(r.buf[:r.end], r.rest[:k]...)
		r.end, r.rest = r.end+k, r.rest[k:]
		r.carry = r.buf[:0]
	}
	return nil
}

// short is the error where less is left than is needed.
func (r *Reader) short() error {
	switch {
	case r.err != nil && !errors.Is(r.err, io.EOF):
		return r.err
	case r.end == r.pos:
		return io.EOF
	}
	return ErrCut
}

// peek returns the next n bytes without taking them.
func (r *Reader) peek(n int) ([]byte, error) {
	if r.end-r.pos < n {
		if err := r.fill(n); err != nil {
			return nil, err
		}
	}
	return r.buf[r.pos : r.pos+n], nil
}

// skip passes over n bytes, however many.
func (r *Reader) skip(n int) error {
	for n > 0 {
		if r.pos == r.end {
			if err := r.fill(1); err != nil {
				if errors.Is(err, io.EOF) {
					return ErrCut
				}
				return err
			}
		}
		k := min(n, r.end-r.pos)
		r.pos += k
		n -= k
	}
	return nil
}

// Next reads the next packet into p. It returns io.EOF after the last one,
// ErrCut where the file ends within one, a *CorruptError where nothing more can
// be made of it, or the error of the reader beneath.
func (r *Reader) Next(p *Packet) error {
	if r.ng {
		return r.nextBlock(p)
	}
	h, err := r.peek(r.head)
	if err != nil {
		return err
	}
	var sec, sub, capt, orig uint32
	if r.big {
		sec, sub, capt, orig = binary.BigEndian.Uint32(h), binary.BigEndian.Uint32(h[4:]), binary.BigEndian.Uint32(h[8:]), binary.BigEndian.Uint32(h[12:])
	} else {
		sec, sub, capt, orig = binary.LittleEndian.Uint32(h), binary.LittleEndian.Uint32(h[4:]), binary.LittleEndian.Uint32(h[8:]), binary.LittleEndian.Uint32(h[12:])
	}
	if capt > maxPacket {
		return &CorruptError{r.n + 1, fmt.Sprintf("it claims %d bytes", capt)}
	}
	if _, err = r.peek(r.head + int(capt)); err != nil {
		return err
	}
	r.n++
	p.N, p.Link, p.Orig = r.n, r.link, int(min(orig, math.MaxInt32))
	p.Data = r.buf[r.pos+r.head : r.pos+r.head+int(capt)]
	ns := int64(sub)
	if !r.nano {
		ns *= 1000
	}
	p.Time = int64(sec)*1e9 + ns
	r.pos += r.head + int(capt)
	return nil
}

// The blocks of pcapng that are read; others are passed over.
const (
	blockInterface = 1
	blockOldPacket = 2
	blockSimple    = 3
	blockPacket    = 6
)

// nextBlock passes over blocks up to the next packet.
func (r *Reader) nextBlock(p *Packet) error {
	for {
		h, err := r.peek(8)
		if err != nil {
			return err
		}
		kind := r.order.Uint32(h)
		if kind == blockSection {
			if err := r.section(); err != nil {
				return err
			}
			continue
		}
		size := int(r.order.Uint32(h[4:]))
		if size < 12 || size%4 != 0 {
			return &CorruptError{r.n + 1, fmt.Sprintf("a block of %d bytes", size)}
		}
		switch kind {
		case blockInterface, blockPacket, blockSimple, blockOldPacket:
		default:
			if err := r.skip(size); err != nil {
				return err
			}
			continue
		}
		if size > maxPacket+readBlock/2 {
			return &CorruptError{r.n + 1, fmt.Sprintf("a packet's block of %d bytes", size)}
		}
		b, err := r.peek(size)
		if err != nil {
			return err
		}
		r.pos += size
		body := b[8 : size-4]
		if kind == blockInterface {
			if err := r.addInterface(body); err != nil {
				return err
			}
			continue
		}
		r.n++
		if err := r.packet(p, kind, body); err != nil {
			return err
		}
		p.N = r.n
		return nil
	}
}

// section begins a section: its byte order may differ from the one before.
func (r *Reader) section() error {
	h, err := r.peek(12)
	if err != nil {
		return err
	}
	switch {
	case binary.LittleEndian.Uint32(h[8:]) == orderMagic:
		r.setOrder(false)
	case binary.BigEndian.Uint32(h[8:]) == orderMagic:
		r.setOrder(true)
	default:
		return &CorruptError{r.n + 1, "a section without a byte order"}
	}
	size := int(r.order.Uint32(h[4:]))
	if size < 28 || size%4 != 0 {
		return &CorruptError{r.n + 1, fmt.Sprintf("a section head of %d bytes", size)}
	}
	r.ifaces = r.ifaces[:0]
	return r.skip(size)
}

// option finds one among a block's options; nil if it is not there.
func (r *Reader) option(o []byte, want uint16) []byte {
	for len(o) >= 4 {
		code, n := r.order.Uint16(o), int(r.order.Uint16(o[2:]))
		if code == 0 || 4+n > len(o) {
			return nil
		}
		if code == want {
			return o[4 : 4+n]
		}
		o = o[min(len(o), 4+(n+3)&^3):]
	}
	return nil
}

// The options that are read.
const (
	optComment  = 1
	optTSResol  = 9
	optTSOffset = 14
)

func (r *Reader) addInterface(b []byte) error {
	if len(b) < 8 || len(r.ifaces) >= maxInterfaces {
		return &CorruptError{r.n + 1, "an interface that cannot be read"}
	}
	x := iface{link: LinkType(r.order.Uint16(b)), snap: int(r.order.Uint32(b[4:])), unit: 1000}
	for o := b[8:]; len(o) >= 4; {
		code, n := r.order.Uint16(o), int(r.order.Uint16(o[2:]))
		if code == 0 || 4+n > len(o) {
			break
		}
		v := o[4 : 4+n]
		switch {
		case code == optTSResol && n >= 1:
			x.resolution(v[0])
		case code == optTSOffset && n >= 8:
			x.offset = int64(r.order.Uint64(v))
		}
		o = o[min(len(o), 4+(n+3)&^3):]
	}
	r.ifaces = append(r.ifaces, x)
	return nil
}

// resolution takes if_tsresol: 10^-n seconds, or 2^-n with the upper bit set.
func (x *iface) resolution(b byte) {
	x.unit, x.finer, x.shift = 0, 0, 0
	n := int(b & 0x7f)
	switch {
	case b&0x80 != 0:
		x.shift = uint(min(n, 63))
		if n == 0 {
			x.unit = 1e9
		}
	case n <= 9:
		x.unit = pow10(9 - n)
	default:
		x.finer = pow10(min(n-9, 18))
	}
}

func pow10(n int) int64 {
	v := int64(1)
	for range n {
		v *= 10
	}
	return v
}

// instant makes nanoseconds of an interface's ticks.
func (x *iface) instant(ticks uint64) int64 {
	var ns int64
	switch {
	case x.shift > 0:
		whole := ticks >> x.shift
		part := float64(ticks&(1<<x.shift-1)) / float64(uint64(1)<<x.shift)
		ns = int64(whole)*1e9 + int64(part*1e9)
	case x.finer > 0:
		ns = int64(ticks / uint64(x.finer))
	default:
		ns = int64(ticks) * x.unit
	}
	return ns + x.offset*1e9
}

// packet reads one packet's block.
func (r *Reader) packet(p *Packet, kind uint32, b []byte) error {
	bad := &CorruptError{r.n, "its block is too short"}
	which, capt := 0, 0
	switch kind {
	case blockSimple:
		if len(b) < 4 || len(r.ifaces) == 0 {
			return bad
		}
		p.Orig = int(min(r.order.Uint32(b), math.MaxInt32))
		b = b[4:]
		capt = min(p.Orig, len(b))
		if s := r.ifaces[0].snap; s > 0 {
			capt = min(capt, s)
		}
		p.Time = r.last
	default:
		if len(b) < 20 {
			return bad
		}
		which = int(r.order.Uint32(b))
		if kind == blockOldPacket {
			which = int(r.order.Uint16(b))
		}
		if which >= len(r.ifaces) {
			return &CorruptError{r.n, fmt.Sprintf("interface %d is not described", which)}
		}
		p.Time = r.ifaces[which].instant(uint64(r.order.Uint32(b[4:]))<<32 | uint64(r.order.Uint32(b[8:])))
		r.last = p.Time
		capt, p.Orig = int(r.order.Uint32(b[12:])), int(min(r.order.Uint32(b[16:]), math.MaxInt32))
		b = b[20:]
		if capt > len(b) {
			return &CorruptError{r.n, fmt.Sprintf("it claims %d bytes of %d", capt, len(b))}
		}
	}
	p.Link, p.Data, p.Comment = r.ifaces[which].link, b[:capt], nil
	if rest := (capt + 3) &^ 3; kind == blockPacket && len(b) >= rest+8 {
		p.Comment = r.option(b[rest:], optComment)
	}
	return nil
}
