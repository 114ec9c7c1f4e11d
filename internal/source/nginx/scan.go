package nginx

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"culprit/internal/source"
)

// values are the fields of one line.
type values struct {
	has  uint64
	far  uint64 // kinds that may hold a blank
	nAny int
	nID  int
	any  [maxAny][]byte
	ids  [maxIDs][]byte

	// A field's place in the line, where scan found it, else the field:
	// places cost less to note, for the garbage collector need not know.
	line   []byte
	placed uint64 // kinds that have a place
	tail   int    // where the layout's tail begins
	dense  uint64 // [layout.dense]
	place  [kinds]extent
	at     [kinds][]byte

	widths [maxFields]int8 // of each field in the line before
}

type extent struct{ from, to uint32 }

// The bounds of fields of one kind in one line.
const (
	maxAny = 40
	maxIDs = 4
)

func (v *values) get(k kind) []byte {
	if v.has&(1<<k) == 0 {
		return nil
	}
	if v.placed&(1<<k) != 0 {
		return v.line[v.place[k].from:v.place[k].to]
	}
	return v.at[k]
}

func (v *values) reset() { v.has, v.far, v.placed, v.tail, v.nAny, v.nID = 0, 0, 0, -1, 0, 0 }

func (v *values) set(k kind, b []byte) {
	switch k {
	case kSkip:
		return
	case kAny, kText:
		if v.nAny < maxAny {
			v.any[v.nAny] = b
			v.nAny++
		}
		return
	case kID:
		if v.nID < maxIDs && len(b) > 1 {
			v.ids[v.nID] = b
			v.nID++
		}
		return
	}
	if v.has&(1<<k) != 0 && (len(b) == 0 || len(b) == 1 && b[0] == '-') {
		return // a field twice: what is known stays
	}
	v.at[k] = b
	v.has |= 1 << k
	v.placed &^= 1 << k
}

// scan reads b as l has it into v. A line that was cut after its status is
// read as far as it goes.
//
// Nearly all fields of nearly all lines are short and as long as in the line
// before, or in quotes without escapes: those are found here, others by
// [field.width]. That a field is as long as before is guessed first and found
// true after, so that the processor need not wait for one field's end to look
// for the next.
func (l *layout) scan(b []byte, v *values) bool {
	v.reset()
	v.line, v.dense = b, l.dense
	if len(b) < len(l.head) || string(b[:len(l.head)]) != l.head {
		return false
	}
	p := len(l.head)
	// Words may be read beyond the line where the memory is ours.
	all := b[:min(len(b)+wordsAhead, cap(b))]
	for i := range l.fields {
		f := &l.fields[i]
		if i == l.tail {
			v.tail = p
		}
		n := -1
		switch {
		case f.near && p+wordsAhead <= len(all):
			w := all[p : p+wordsAhead : p+wordsAhead]
			n = v.usual(i, byteIn(w, f.first))
			if n < 0 || p+n+len(f.lit) > len(b) || binary.LittleEndian.Uint64(w[n:])&f.mask != f.word || f.until == untilList && inList(w, n) {
				n = -1
			}
		case f.until == untilQuote:
			if n = bytes.IndexByte(b[p:], '"'); n < 0 || n > 0 && b[p+n-1] == '\\' || !f.follows(b[p+n:]) {
				n = -1
			}
		case f.until == untilEnd || f.until == untilWord:
			if n = len(b) - p; n > wordsAhead || n > 0 && (b[len(b)-1] == '\r' || blankIn(all[p:], n)) {
				n = -1
			}
		case f.until == untilStamp:
			if n = stampSize; len(b)-p < stampSize || b[p+2] != '/' || b[p+11] != ':' || !f.follows(b[p+n:]) {
				n = -1
			}
		}
		if n < 0 {
			if n = f.far(b[p:]); n < 0 {
				v.found(f.before)
				return l.cut(b[p:], i, v)
			}
			v.far |= 1 << f.kind
		}
		if f.once {
			v.place[f.kind] = extent{uint32(p), uint32(p + n)}
		} else if f.kind != kSkip {
			v.set(f.kind, b[p:p+n])
		}
		p += n + len(f.lit)
	}
	v.found(l.onces)
	return p == len(b) || len(bytes.TrimRight(b[p:], " \t\r")) == 0
}

// found notes that the places of some kinds are known.
func (v *values) found(kinds uint64) {
	v.has |= kinds
	v.placed |= kinds
}

const (
	// stampSize is how long a stamp of the common log format is, in bytes.
	stampSize = 26
	// wordsAhead is how far scan looks for a short field's end and what
	// follows it: two words, and a third to compare.
	wordsAhead = 24
)

// blankIn reports whether one of the first n bytes of b is a blank.
func blankIn(b []byte, n int) bool {
	if len(b) < 16 || n > 16 {
		return source.IndexNear(b[:n], ' ') >= 0
	}
	i := byteIn(b, eightBlanks)
	return i >= 0 && i < n
}

// byteIn is the place of a byte, eight times in c, in the first two words of
// w; -1 if it is not there.
func byteIn(w []byte, c uint64) int {
	x := binary.LittleEndian.Uint64(w) ^ c
	if z := (x - lowBits) &^ x & highBits; z != 0 {
		return bits.TrailingZeros64(z) >> 3
	}
	x = binary.LittleEndian.Uint64(w[8:]) ^ c
	if z := (x - lowBits) &^ x & highBits; z != 0 {
		return 8 + bits.TrailingZeros64(z)>>3
	}
	return -1
}

// usual returns n, the width of field i, by way of the width it had before.
func (v *values) usual(i, n int) int {
	if w := &v.widths[i&(maxFields-1)]; int(*w) != n {
		*w = int8(n)
		return n
	} else {
		return int(*w)
	}
}

// far is [field.width] where the field's text follows, else -1.
func (f *field) far(b []byte) int {
	n := f.width(b)
	if n < 0 {
		return -1
	}
	switch f.until {
	case untilText, untilShort, untilBlank, untilList:
		return n
	}
	if n > len(b) || !f.follows(b[n:]) {
		return -1
	}
	return n
}

// cut reports whether a line whose rest b does not fit field i may be one that
// ends too early.
func (l *layout) cut(b []byte, i int, v *values) bool {
	f := &l.fields[i]
	if rest := bytes.TrimRight(b, " \t\r"); i == len(l.fields)-1 && len(f.lit) > 0 && len(bytes.TrimSpace([]byte(f.lit))) == 0 {
		v.set(f.kind, rest)
		return true
	}
	if v.has&(1<<kStatus) == 0 || status(v.get(kStatus)) < 0 {
		return false
	}
	if len(b) == 0 {
		return true
	}
	return f.until == untilQuote && bytes.IndexByte(b, '"') < 0 || bytes.HasSuffix(b, []byte("..."))
}

// width is how long the field at the front of b is, or -1.
func (f *field) width(b []byte) int {
	switch f.until {
	case untilStamp:
		if len(b) >= 26 && b[2] == '/' && b[11] == ':' {
			return 26
		}
		return bytes.Index(b, []byte(f.lit))
	case untilQuote:
		return quote(b)
	case untilBlank:
		return source.IndexNear(b, ' ')
	case untilList:
		return listEnd(b)
	case untilShort:
		for from := 0; ; {
			i := source.IndexNear(b[from:], f.lit[0])
			if i < 0 {
				return -1
			}
			if from += i; f.follows(b[from:]) {
				return from
			}
			from++
		}
	case untilEnd:
		return len(bytes.TrimRight(b, "\r"))
	case untilWord:
		if bytes.IndexByte(b, ' ') >= 0 {
			return -1
		}
		return len(bytes.TrimRight(b, "\r"))
	case untilRequest:
		i := bytes.Index(b, []byte(" HTTP/"))
		if i < 0 {
			return bytes.Index(b, []byte(f.lit))
		}
		j := bytes.Index(b[i+6:], []byte(f.lit))
		if j < 0 {
			return -1
		}
		return i + 6 + j
	}
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], f.lit[0])
		if i < 0 {
			return -1
		}
		i += from
		if f.follows(b[i:]) {
			return i
		}
		from = i + 1
	}
}

// quote is where the first double quote stands that no backslash protects.
func quote(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '"')
		if i < 0 {
			return -1
		}
		i += from
		if i == 0 || b[i-1] != '\\' {
			return i
		}
		back := 1
		for i-1-back >= 0 && b[i-1-back] == '\\' {
			back++
		}
		if back%2 == 0 {
			return i
		}
		from = i + 1
	}
}

// inList reports whether a blank at b[i] belongs to a list.
func inList(b []byte, i int) bool {
	return i > 0 && b[i-1] == ',' || b[i+1] == ':' || b[i+1] == ','
}

// Words of eight bytes, in which bytes are looked for all at once.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// listEnd is where a list of values of several tries ends: at a blank that
// neither follows a comma nor stands beside a lone colon.
func listEnd(b []byte) int {
	for from := 0; ; {
		i := source.IndexNear(b[from:], ' ')
		if i < 0 {
			return -1
		}
		i += from
		switch {
		case i > 0 && b[i-1] == ',':
			from = i + 1
		case i+2 < len(b) && b[i+1] == ':' && b[i+2] == ' ':
			from = i + 3
		case i+2 < len(b) && b[i+1] == ',' && b[i+2] == ' ':
			from = i + 3
		default:
			return i
		}
	}
}

// status reads three digits; -1 if b is anything else.
func status(b []byte) int {
	if len(b) != 3 || b[0]-'0' > 9 || b[1]-'0' > 9 || b[2]-'0' > 9 {
		return -1
	}
	return int(b[0]-'0')*100 + int(b[1]-'0')*10 + int(b[2]-'0')
}
