package nginx

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
)

// A layout is a compiled log_format: text, field, text, field... and text.
type layout struct {
	head    string
	fields  []field
	has     uint64 // kinds the layout has fields for
	flavour flavour
	learnt  learnt
}

// field is one variable of a layout and the text that follows it.
type field struct {
	kind  kind
	until until
	once  bool // the only field of its kind, and of one that holds one value
	lit   string
	// The first eight bytes of lit as a number, and which of its bits count:
	// one comparison instead of a call for what stands between most fields.
	word, mask uint64
}

// follows reports whether b begins with the field's text.
func (f *field) follows(b []byte) bool {
	if len(b) >= 8 && len(f.lit) <= 8 {
		return binary.LittleEndian.Uint64(b)&f.mask == f.word
	}
	return len(b) >= len(f.lit) && string(b[:len(f.lit)]) == f.lit
}

// until is how the end of a field is found.
type until uint8

const (
	untilText    until = iota // the next place of the text that follows
	untilQuote                // a double quote that no backslash protects
	untilBlank                // a blank
	untilList                 // a blank that does not belong to a list: "a, b : c"
	untilRequest              // a blank after the protocol of an unquoted request line
	untilStamp                // as long as a stamp of the common log format is
	untilEnd                  // the line's end
	untilWord                 // the line's end, and no blank before it
	untilShort                // as untilText, after a value of few bytes
)

// flavour is whose a layout is, where that tells of defaults.
type flavour uint8

const (
	plain flavour = iota
	ingress
	kong
	proxyManager
	apisix
	elsewhere // as written by other servers too
)

// maxFields bounds the fields of a layout; the longest formats in use have
// under sixty.
const maxFields = 128

// compile reads the text of a log_format directive: "$remote_addr - ...",
// perhaps after "escape=json ". more are further id headers. ok is false if it
// has no field that is of use.
func compile(text string, more []string) (l layout, ok bool) {
	for _, esc := range [...]string{"escape=json ", "escape=none ", "escape=default "} {
		text = strings.TrimPrefix(text, esc)
	}
	text = strings.TrimSpace(text)
	lit := strings.Builder{}
	for i := 0; i < len(text); {
		name, next := variable(text, i)
		if name == "" {
			lit.WriteByte(text[i])
			i++
			continue
		}
		k := varKind(name, more)
		if lit.Len() == 0 && len(l.fields) > 0 {
			l.join(name, k)
		} else if len(l.fields) < maxFields {
			l.text(lit.String())
			l.fields = append(l.fields, field{kind: k})
		}
		lit.Reset()
		i = next
	}
	l.text(lit.String())
	l.finish()
	return l, l.has&(1<<kStatus|1<<kRequest|1<<kTarget|1<<kURI|1<<kMethod) != 0
}

// finish works out how each field is read.
func (l *layout) finish() {
	var count [kinds]int
	for i := range l.fields {
		f := &l.fields[i]
		f.until = l.ending(i)
		l.has |= 1 << f.kind
		count[f.kind]++
		for j := range min(len(f.lit), 8) {
			f.word |= uint64(f.lit[j]) << (8 * j)
			f.mask |= 0xff << (8 * j)
		}
	}
	for i := range l.fields {
		switch f := &l.fields[i]; f.kind {
		case kSkip, kAny, kText, kID:
		default:
			f.once = count[f.kind] == 1
		}
	}
}

// variable returns the name of the variable that begins at text[i], and where
// the text goes on; "" if none does.
func variable(text string, i int) (name string, next int) {
	if text[i] != '$' {
		return "", i
	}
	j := i + 1
	brace := j < len(text) && text[j] == '{'
	if brace {
		j++
	}
	k := j
	for k < len(text) && (text[k] == '_' || text[k] >= '0' && text[k] <= '9' || text[k] >= 'a' && text[k] <= 'z' || text[k] >= 'A' && text[k] <= 'Z') {
		k++
	}
	if k == j {
		return "", i
	}
	if brace && k < len(text) && text[k] == '}' {
		return text[j:k], k + 1
	}
	return text[j:k], k
}

// text sets what follows the last field.
func (l *layout) text(lit string) {
	if len(l.fields) == 0 {
		l.head = lit
		return
	}
	l.fields[len(l.fields)-1].lit = lit
}

// join merges a variable into the field before it, from which no text parts
// it.
func (l *layout) join(name string, k kind) {
	f := &l.fields[len(l.fields)-1]
	switch {
	case name == "is_args" || name == "args" || name == "query_string":
		if f.kind == kURI {
			f.kind = kTarget
		}
	case f.kind == kHost && (k == kTarget || k == kURI):
		f.kind = kURL
	case f.kind == kSkip:
		f.kind = k
	case f.kind == kURL:
	default:
		f.kind = kSkip
	}
}

func (l *layout) ending(i int) until {
	f := l.fields[i]
	before := l.head
	if i > 0 {
		before = l.fields[i-1].lit
	}
	switch {
	case f.kind == kTimeLocal:
		return untilStamp
	case f.lit == "" && (list(f.kind) || f.kind == kAgent || f.kind == kRequest || f.kind == kText):
		return untilEnd
	case f.lit == "":
		return untilWord
	case f.lit[0] == '"' && strings.HasSuffix(before, `"`):
		return untilQuote
	case f.lit[0] == ' ' && f.kind == kRequest:
		return untilRequest
	case f.lit == " " && list(f.kind):
		return untilList
	case f.lit == " ":
		return untilBlank
	}
	switch f.kind {
	case kClient, kStatus, kBytes, kBytesAll, kReqBytes, kDuration, kUpAddr, kUpStatus, kUpConnect, kUpHeader, kUpTime, kUpLength, kUpReceived, kMethod, kMsec, kPID, kConn, kCache:
		return untilShort
	}
	return untilText
}

// list reports whether a field of kind k may hold one value for each try.
func list(k kind) bool {
	switch k {
	case kUpAddr, kUpStatus, kUpConnect, kUpHeader, kUpTime, kUpTimeMS, kUpLength, kUpReceived, kAny, kForwarded, kSkip, kAgentOrUp:
		return true
	}
	return false
}

// values are the fields of one line.
type values struct {
	has  uint64
	nAny int
	nID  int
	at   [kinds][]byte
	any  [maxAny][]byte
	ids  [maxIDs][]byte
}

// The bounds of fields of one kind in one line.
const (
	maxAny = 40
	maxIDs = 4
)

func (v *values) get(k kind) []byte {
	if v.has&(1<<k) == 0 {
		return nil
	}
	return v.at[k]
}

func (v *values) reset() { v.has, v.nAny, v.nID = 0, 0, 0 }

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
}

// scan reads b as l has it into v. A line that was cut after its status is
// read as far as it goes.
func (l *layout) scan(b []byte, v *values) bool {
	v.reset()
	if len(b) < len(l.head) || string(b[:len(l.head)]) != l.head {
		return false
	}
	b = b[len(l.head):]
	for i := range l.fields {
		f := &l.fields[i]
		n := f.width(b)
		switch f.until {
		case untilText, untilShort, untilBlank, untilList:
			if n < 0 {
				return l.cut(b, i, v)
			}
		default:
			if n < 0 || n > len(b) || !f.follows(b[n:]) {
				return l.cut(b, i, v)
			}
		}
		if f.once {
			v.at[f.kind] = b[:n]
			v.has |= 1 << f.kind
		} else if f.kind != kSkip {
			v.set(f.kind, b[:n])
		}
		b = b[n+len(f.lit):]
	}
	if len(b) == 0 {
		return true
	}
	return len(bytes.TrimRight(b, " \t\r")) == 0
}

// cut reports whether a line whose rest b does not fit field i may be one that
// ends too early.
func (l *layout) cut(b []byte, i int, v *values) bool {
	f := &l.fields[i]
	if rest := bytes.TrimRight(b, " \t\r"); i == len(l.fields)-1 && len(f.lit) > 0 && len(bytes.TrimSpace([]byte(f.lit))) == 0 {
		v.set(f.kind, rest)
		return true
	}
	if v.has&(1<<kStatus) == 0 || status(v.at[kStatus]) < 0 {
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
		return index(b, ' ')
	case untilList:
		return listEnd(b)
	case untilShort:
		for from := 0; ; {
			i := index(b[from:], f.lit[0])
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

// Words of eight bytes in which index looks for a byte.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// index is [bytes.IndexByte] for values of a few bytes: it looks at eight at a
// time before a call is worth it.
func index(b []byte, c byte) int {
	i := 0
	for ; i < 32 && i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ lowBits*uint64(c)
		if z := (x - lowBits) &^ x & highBits; z != 0 {
			return i + bits.TrailingZeros64(z)>>3
		}
	}
	if j := bytes.IndexByte(b[i:], c); j >= 0 {
		return i + j
	}
	return -1
}

// listEnd is where a list of values of several tries ends: at a blank that
// neither follows a comma nor stands beside a lone colon.
func listEnd(b []byte) int {
	for from := 0; ; {
		i := index(b[from:], ' ')
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
