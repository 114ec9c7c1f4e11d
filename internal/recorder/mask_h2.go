package recorder

import (
	"bytes"
	"encoding/binary"
	"sync"

	"golang.org/x/net/http2/hpack"
)

// h2mask overwrites secrets in one direction of HTTP/2 in clear: the values of
// secret fields, and whole queries, since those are mostly packed by Huffman's
// code and end where they end. What it writes unpacks to zeros or x of at most
// the same length, so that decoders of what was recorded stay in step.
//
// It reads byte by byte, as bytes are written before the next segment is
// there. A field whose name it cannot know, because the connection began
// before the recording, counts as a secret.
type h2mask struct {
	preface int  // bytes of the client's that are still to come
	lost    bool // where frames begin is not known: everything is overwritten
	head    [9]byte
	headN   int
	left    int // bytes of the frame that are to come
	pad     int // of those, at the end
	before  int // bytes before the fields
	padded  bool
	fields  fieldMask
}

// The frame types and flags that matter (RFC 9113).
const (
	h2Data         = 0
	h2Headers      = 1
	h2Settings     = 4
	h2Promise      = 5
	h2Continuation = 9
	h2MaxType      = 16

	h2EndHeaders = 0x04
	h2Padded     = 0x08
	h2Priority   = 0x20

	// h2MaxFrame is the longest frame that is believed, in bytes: senders may
	// have agreed on 16 MB, and nearly all stay with 16 KB.
	h2MaxFrame = 1 << 20
)

var h2Preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

// beginsH2 reports whether a connection's first bytes of a side are HTTP/2.
func beginsH2(payload []byte, first bool) bool {
	return bytes.HasPrefix(payload, h2Preface[:16]) ||
		first && len(payload) >= 9 && payload[0] == 0 && payload[3] == h2Settings && payload[4] == 0 &&
			binary.BigEndian.Uint32(payload[5:]) == 0 && binary.BigEndian.Uint16(payload[1:])%6 == 0
}

// resync begins anew at a segment behind a gap, if it begins with a frame.
func (h *h2mask) resync(payload []byte) {
	*h = h2mask{lost: !framesFrom(payload)}
}

// framesFrom reports whether frames follow each other from a segment's first
// byte to its last, or into the next segment.
func framesFrom(b []byte) bool {
	if bytes.HasPrefix(b, h2Preface) {
		return true
	}
	for n := 0; ; n++ {
		if len(b) < 9 {
			return n > 0
		}
		size := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		if size > h2MaxFrame || b[3] > h2MaxType || b[5]&0x80 != 0 {
			return false
		}
		if len(b) < 9+size {
			return true
		}
		b = b[9+size:]
	}
}

// pass masks what the stream goes on with.
func (h *h2mask) pass(m *masker, payload []byte, seq uint32) {
	if h.preface == 0 && bytes.HasPrefix(payload, h2Preface[:16]) {
		h.preface, h.lost, h.headN = len(h2Preface), false, 0
	}
	if h.lost {
		m.cover(payload, seq, 0, len(payload))
		return
	}
	for i := 0; i < len(payload); {
		switch {
		case h.preface > 0:
			n := min(h.preface, len(payload)-i)
			h.preface -= n
			i += n
		case h.headN < len(h.head):
			h.head[h.headN] = payload[i]
			h.headN++
			i++
			if h.headN == len(h.head) && !h.begin() {
				h.lost = true
				m.cover(payload, seq, i, len(payload))
				return
			}
		default:
			n := min(h.left, len(payload)-i)
			h.body(m, payload[i:i+n], seq+uint32(i))
			i += n
			h.left -= n
			h.end()
		}
	}
}

// begin reads a frame's head.
func (h *h2mask) begin() bool {
	kind, flags := h.head[3], h.head[4]
	h.left = int(h.head[0])<<16 | int(h.head[1])<<8 | int(h.head[2])
	h.pad, h.before, h.padded = 0, 0, false
	switch kind {
	case h2Headers, h2Promise:
		h.padded = flags&h2Padded != 0
		if kind == h2Promise {
			h.before = 4
		} else if flags&h2Priority != 0 {
			h.before = 5
		}
	}
	if h.left > h2MaxFrame || kind > h2MaxType {
		return false
	}
	h.end()
	return true
}

// end gets ready for the next frame, if this one is whole.
func (h *h2mask) end() {
	if h.left > 0 {
		return
	}
	h.headN = 0
	if h.ofFields() && h.head[4]&h2EndHeaders != 0 {
		h.fields.state = fieldStart
	}
}

func (h *h2mask) ofFields() bool {
	return h.head[3] == h2Headers || h.head[3] == h2Promise || h.head[3] == h2Continuation
}

// body masks a piece of a frame.
func (h *h2mask) body(m *masker, piece []byte, seq uint32) {
	if h.head[3] == h2Data {
		m.follow(piece, seq)
		return
	}
	if !h.ofFields() {
		return
	}
	from := -1 // where what is overwritten begins
	for i, b := range piece {
		x := b
		switch {
		case h.padded:
			h.padded, h.pad = false, int(b)
		case h.before > 0:
			h.before--
		case h.left-i > h.pad:
			x = h.fields.next(b)
		}
		switch {
		case x != b && from < 0:
			from = i
		case x == b && from >= 0:
			m.note(span{seq + uint32(from), seq + uint32(i)})
			from = -1
		}
		piece[i] = x
	}
	if from >= 0 {
		m.note(span{seq + uint32(from), seq + uint32(len(piece))})
	}
}

// fieldMask masks fields as HPACK writes them (RFC 7541).
type fieldMask struct {
	state  fieldState
	value  uint32 // of the number that is read, and then the bytes left
	shift  uint8
	insert bool // the field enters the dynamic table
	packed bool // the text is in Huffman's code
	class  fieldClass
	name   []byte
	// table has the classes of what entered the dynamic table, the newest
	// first. What left it is not referred to any more.
	table []fieldClass

	size    uint32 // of the value, in bytes
	at      uint32 // the byte of it that comes next
	code    uint32 // bits of a symbol
	codeLen uint8
	hidden  bool // what comes is overwritten
	fillAt  uint32
}

type fieldState uint8

const (
	fieldStart fieldState = iota
	fieldIndex            // the rest of a literal's name's number
	fieldSkip             // of a number that does not matter
	fieldNameSize
	fieldNameSizeMore
	fieldName
	fieldValueSize
	fieldValueSizeMore
	fieldValue
)

// fieldClass says what of a field's value is secret.
type fieldClass uint8

const (
	classPlain  fieldClass = iota
	classSecret            // all of it
	classQuery             // from the question mark on
)

const (
	// maxTable is how many fields of the dynamic table are known; with its
	// usual 4096 bytes it has at most 128.
	maxTable = 512
	// maxName is how much of a name is looked at, in bytes.
	maxName = 64
	// maxField is the longest value that is believed.
	maxField = 1 << 24
	// staticFields is the length of HPACK's static table.
	staticFields = 61
)

// staticClasses are the fields of the static table that hold secrets.
var staticClasses = map[uint32]fieldClass{
	4: classQuery, 5: classQuery, // :path
	23: classSecret, // authorization
	32: classSecret, // cookie
	46: classQuery,  // location
	49: classSecret, // proxy-authorization
	51: classQuery,  // referer
	55: classSecret, // set-cookie
}

// next takes one byte and gives what is to stand there.
func (f *fieldMask) next(b byte) byte {
	switch f.state {
	case fieldStart:
		f.start(b)
	case fieldIndex, fieldSkip, fieldNameSizeMore, fieldValueSizeMore:
		f.value += uint32(b&0x7f) << min(f.shift, 31)
		f.shift += 7
		if b&0x80 == 0 || f.shift > 28 {
			f.number()
		}
	case fieldNameSize, fieldValueSize:
		f.packed = b&0x80 != 0
		f.read(b, 7, f.state+1)
	case fieldName:
		if len(f.name) < maxName {
			f.name = append(f.name, b)
		}
		if f.value--; f.value == 0 {
			f.named()
		}
	case fieldValue:
		b = f.mask(b)
		f.at++
		if f.value--; f.value == 0 {
			f.done()
		}
	}
	return b
}

// start reads the first byte of a field.
func (f *fieldMask) start(b byte) {
	f.insert = false
	switch {
	case b&0x80 != 0: // wholly in the table
		f.read(b, 7, fieldSkip)
	case b&0xc0 == 0x40:
		f.insert = true
		f.read(b, 6, fieldIndex)
	case b&0xe0 == 0x20: // the table's new size
		f.read(b, 5, fieldSkip)
	default:
		f.read(b, 4, fieldIndex)
	}
}

// read begins a number whose first bits are in b.
func (f *fieldMask) read(b byte, bits uint8, state fieldState) {
	f.state, f.shift = state, 0
	most := uint32(1)<<bits - 1
	if f.value = uint32(b) & most; f.value < most {
		f.number()
	}
}

// number goes on behind a number.
func (f *fieldMask) number() {
	f.value = min(f.value, maxField)
	switch f.state {
	case fieldSkip:
		f.state = fieldStart
	case fieldIndex:
		if f.state = fieldValueSize; f.value == 0 {
			f.state, f.name = fieldNameSize, f.name[:0]
			return
		}
		f.class = f.known(f.value)
	case fieldNameSizeMore:
		if f.state = fieldName; f.value == 0 {
			f.named()
		}
	case fieldValueSizeMore:
		f.state, f.size, f.at, f.code, f.codeLen = fieldValue, f.value, 0, 0, 0
		f.hidden, f.fillAt = f.class == classSecret, 0
		if f.value == 0 {
			f.done()
		}
	}
}

// known is the class of a field by its number in the tables.
func (f *fieldMask) known(i uint32) fieldClass {
	if i <= staticFields {
		return staticClasses[i]
	}
	if i -= staticFields + 1; int(i) < len(f.table) {
		return f.table[i]
	}
	return classSecret
}

// named takes a name in that was spelt out.
func (f *fieldMask) named() {
	f.state, f.class = fieldValueSize, classPlain
	name := string(f.name)
	if f.packed {
		var err error
		if name, err = hpack.HuffmanDecodeToString(f.name); err != nil {
			f.class = classSecret // longer than maxName, or broken
		}
	}
	switch {
	case secretHeader([]byte(name)):
		f.class = classSecret
	case name == ":path" || name == "referer" || name == "location":
		f.class = classQuery
	}
}

// done ends a field.
func (f *fieldMask) done() {
	f.state = fieldStart
	if f.insert {
		if len(f.table) == maxTable {
			f.table = f.table[:maxTable-1]
		}
		f.table = append(f.table, 0)
		copy(f.table[1:], f.table)
		f.table[0] = f.class
	}
}

// mask gives what stands for a byte of a value.
func (f *fieldMask) mask(b byte) byte {
	switch {
	case f.class == classPlain:
		return b
	case f.hidden && !f.packed:
		return 'x'
	case !f.hidden && !f.packed:
		f.hidden = b == '?'
		return b
	}
	codes, question := huffman()
	for bit := range uint32(8) {
		at := f.at*8 + bit
		if f.hidden {
			b = f.zero(b, at)
			continue
		}
		f.code = f.code<<1 | uint32(b>>(7-bit)&1)
		f.codeLen++
		if k := (huffmanKey{f.code, f.codeLen}); k == question {
			f.hidden, f.fillAt = true, at+1
		} else if codes[k] {
			f.code, f.codeLen = 0, 0
		}
	}
	return b
}

// zero sets a bit as the digit 0 has it, whose code is five zeros; what does
// not make five is the text's end, of ones.
func (f *fieldMask) zero(b byte, at uint32) byte {
	end := f.size * 8
	one := byte(0x80) >> (at % 8)
	if at >= end-(end-f.fillAt)%5 {
		return b | one
	}
	return b &^ one
}

type huffmanKey struct {
	code uint32
	bits uint8
}

// huffman gives the codes of all symbols, and the question mark's. It takes
// them from hpack, which does not tell them: eight of a symbol have as many
// bytes as one has bits.
var huffman = sync.OnceValues(func() (codes map[huffmanKey]bool, question huffmanKey) {
	codes = map[huffmanKey]bool{}
	for symbol := range 256 {
		eight := string(bytes.Repeat([]byte{byte(symbol)}, 8))
		bits := uint8(hpack.HuffmanEncodeLength(eight))
		packed := append(hpack.AppendHuffmanString(nil, eight), 0, 0, 0, 0)
		k := huffmanKey{binary.BigEndian.Uint32(packed) >> (32 - bits), bits}
		codes[k] = true
		if symbol == '?' {
			question = k
		}
	}
	return codes, question
})
