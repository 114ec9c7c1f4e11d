package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// record is what is read of a journal entry.
type record struct {
	message             []byte
	when                int64 // microseconds since 1970
	host, program, unit string
	pid                 int
	exact               bool // when is the sender's own
}

// field takes one field of an entry.
func (r *record) field(name string, value []byte) {
	switch name {
	case "MESSAGE":
		r.message = append([]byte(nil), value...)
	case "_SOURCE_REALTIME_TIMESTAMP":
		if n := source.Int(value); n.Known {
			r.when, r.exact = n.N, true
		}
	case "__REALTIME_TIMESTAMP":
		if n := source.Int(value); n.Known && !r.exact {
			r.when = n.N
		}
	case "_HOSTNAME":
		r.host = string(value)
	case "SYSLOG_IDENTIFIER":
		r.program = string(value)
	case "_COMM":
		if r.program == "" {
			r.program = string(value)
		}
	case "_PID", "SYSLOG_PID":
		if pid := source.PID(value); pid > 0 {
			r.pid = pid
		}
	case "_SYSTEMD_UNIT":
		if r.unit == "" {
			r.unit = string(value)
		}
	case "UNIT": // the unit that a message of systemd is about
		r.unit = string(value)
	}
}

// apply narrows l to the entry's message.
func (r *record) apply(l *source.Line) {
	if r.when > 0 {
		l.Time, l.Res = time.UnixMicro(r.when).UTC(), fact.Lasting(time.Microsecond)
	}
	l.Host, l.Program, l.PID, l.Unit = r.host, r.program, r.pid, r.unit
	if ours(r.program) {
		l.PID = 0 // its messages are about others
	}
	l.Text, l.Wrapped = r.message, true
}

// unwrapJSON reads a line of `journalctl -o json`, json-seq or json-sse.
func unwrapJSON(_ *source.Env, l *source.Line) bool {
	b := bytes.TrimPrefix(l.Text, []byte("\x1e"))
	b = bytes.TrimPrefix(b, []byte("data: "))
	if len(b) == 0 || b[0] != '{' || !source.Has(b, `"MESSAGE"`) || !source.Has(b, `"__`) {
		return false
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil {
		return false
	}
	var r record
	for _, name := range [...]string{"MESSAGE", "_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP", "_HOSTNAME", "SYSLOG_IDENTIFIER", "_COMM", "SYSLOG_PID", "_PID", "_SYSTEMD_UNIT", "UNIT"} {
		if value, ok := jsonValue(fields[name]); ok {
			r.field(name, value)
		}
	}
	if r.message == nil {
		return false
	}
	if i := bytes.IndexByte(r.message, '\n'); i >= 0 {
		r.message = r.message[:i]
	}
	r.apply(l)
	return true
}

// jsonValue reads a field's value: a string, an array of bytes where it is not
// UTF-8 or has control characters, or an array of values, of which the last is
// taken.
func jsonValue(raw json.RawMessage) ([]byte, bool) {
	if len(raw) == 0 {
		return nil, false
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil, false
		}
		return []byte(s), true
	case '[':
		var numbers []uint16
		if json.Unmarshal(raw, &numbers) == nil {
			value := make([]byte, 0, len(numbers))
			for _, n := range numbers {
				value = append(value, byte(n))
			}
			return value, true
		}
		var values []json.RawMessage
		if json.Unmarshal(raw, &values) == nil && len(values) > 0 && len(values[len(values)-1]) > 0 && values[len(values)-1][0] == '"' {
			return jsonValue(values[len(values)-1])
		}
	case 'n': // null: the value was too long for the output
		return nil, false
	default:
		return raw, true
	}
	return nil, false
}

var export = source.Format{
	ID: "journal-export", Tech: tech, Role: fact.RoleHost, Title: "journalctl -o export",
	Sniff: func(l *source.Line) source.Confidence {
		if source.HasPrefix(l.Text, "__CURSOR=s=") || source.HasPrefix(l.Text, "__REALTIME_TIMESTAMP=") {
			return source.Sure
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &exportReader{} },
}

// maxBinary bounds a binary field, in bytes; the journal's own limit for a
// message is 48 KiB before it is cut.
const maxBinary = 64 << 10

// exportReader gathers the fields of a record, one a line. A field that holds
// line ends stands as its name alone, then its length as 64 bits little endian
// and its bytes.
type exportReader struct {
	rec    record
	path   string
	first  int
	name   string // of a binary field being gathered
	binary []byte
}

func (r *exportReader) Line(l *source.Line, out source.Sink) source.Took {
	if r.name != "" {
		return r.more(l.Text)
	}
	if len(l.Text) == 0 {
		r.Close(out)
		return source.Mine
	}
	name, value, ok := bytes.Cut(l.Text, []byte("="))
	if !fieldName(name) {
		return source.NotMine
	}
	if source.HasPrefix(l.Text, "__CURSOR=") {
		r.Close(out) // where blank lines were lost
	}
	if r.first == 0 {
		r.first, r.path = l.N, l.Path
	}
	if !ok {
		r.name, r.binary = string(name), r.binary[:0]
		return source.Mine
	}
	r.rec.field(string(name), value)
	return source.Mine
}

// more takes the next piece of a binary field.
func (r *exportReader) more(b []byte) source.Took {
	if len(r.binary) > 0 {
		r.binary = append(r.binary, '\n')
	}
	r.binary = append(r.binary, b...)
	if len(r.binary) < 8 {
		return source.Mine
	}
	n := binary.LittleEndian.Uint64(r.binary)
	if n > maxBinary {
		r.name = ""
		return source.Broken
	}
	if have := uint64(len(r.binary) - 8); have >= n {
		r.rec.field(r.name, r.binary[8:8+n])
		r.name = ""
	}
	return source.Mine
}

func (r *exportReader) Close(out source.Sink) {
	if r.rec.message != nil {
		l := source.Line{Path: r.path, N: r.first}
		r.rec.apply(&l)
		for text := range bytes.SplitSeq(r.rec.message, []byte("\n")) {
			if len(text) > 0 {
				inner := l
				inner.Text = text
				out.Inner(&inner)
			}
		}
	} else if r.rec.when > 0 {
		out.Seen(time.UnixMicro(r.rec.when).UTC())
	}
	r.rec, r.first = record{}, 0
}

// fieldName reports whether b is a journal field's name.
func fieldName(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 64
}
