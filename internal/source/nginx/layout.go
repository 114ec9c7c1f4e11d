package nginx

import (
	"encoding/binary"
	"strings"
)

// A layout is a compiled log_format: text, field, text, field... and text.
type layout struct {
	head    string
	fields  []field
	has     uint64 // kinds the layout has fields for
	onces   uint64 // those that only one field has
	tail    int    // from this field on there are only numbers and members
	dense   uint64 // kinds whose fields hold no blank, unless they are found by [field.far]
	flavour flavour
	learnt  learnt
}

// field is one variable of a layout and the text that follows it.
type field struct {
	kind  kind
	until until
	once  bool // the only field of its kind, and of one that holds one value
	// before are the kinds of such fields that stand before it.
	before uint64
	lit    string
	// The first eight bytes of lit as a number, and which of its bits count:
	// one comparison instead of a call for what stands between most fields.
	word, mask uint64
	first      uint64 // the first byte of lit, eight times
	near       bool   // it ends at the first place of lit, which is short
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

// numbers are the kinds of fields that hold no text.
const numbers = upFields | 1<<kUpLength | 1<<kUpReceived | 1<<kDuration | 1<<kStatus | 1<<kBytes | 1<<kReqBytes

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
		f.first = f.word & 0xff * lowBits
		switch f.until {
		case untilText, untilShort, untilBlank, untilList:
			f.near = len(f.lit) <= 8
		}
	}
	l.tail = len(l.fields)
	for i := range l.fields {
		f := &l.fields[i]
		f.before = l.onces
		switch f.kind {
		case kSkip, kAny, kText, kID:
		default:
			if f.once = count[f.kind] == 1; f.once {
				l.onces |= 1 << f.kind
				if f.near && f.lit[0] == ' ' {
					l.dense |= 1 << f.kind
				}
			}
		}
	}
	for l.tail > 0 && 1<<l.fields[l.tail-1].kind&numbers != 0 {
		l.tail--
	}
	for _, f := range l.fields[:l.tail] {
		if 1<<f.kind&upFields != 0 {
			l.tail = len(l.fields) // not all stand there
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
