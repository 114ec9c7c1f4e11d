package nginx

import (
	"bytes"
	"encoding/json"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// frontSize is how much of a line may stand before nginx's own frame, in bytes:
// a forwarder's stamp, host, tag and the name of the file it reads.
const frontSize = 200

// inside finds nginx's frame behind what forwarders put before it: its stamp
// with a level, or a level with a process. It returns what begins with the
// frame.
func inside(b []byte) ([]byte, bool) {
	for from := 1; from < len(b); {
		i := bytes.IndexByte(b[from:min(len(b), frontSize)], '[')
		if i < 0 {
			return nil, false
		}
		i += from
		if level, rest, ok := source.Bracketed(b[i:]); ok && isLevel(level) {
			if at := i - len("2006/01/02 15:04:05 "); at >= 0 && b[at+4] == '/' && b[at+7] == '/' && b[at+13] == ':' && b[at+16] == ':' {
				return b[at:], true
			}
			var e entry
			if e.process(rest); e.pid > 0 {
				return b[i:], true
			}
		}
		from = i + 1
	}
	return nil, false
}

// curly are quotes as word processors and trackers make them of plain ones.
var curly = [...]string{"\u201c", "\u201d", "\u201e", "\u201f", "\u00ab", "\u00bb", "&quot;"}

// straight returns b with plain quotes.
func straight(b []byte) []byte {
	if bytes.IndexByte(b, 0xe2) < 0 && bytes.IndexByte(b, 0xc2) < 0 && !source.Has(b, "&quot;") {
		return b
	}
	for _, q := range curly {
		if source.Has(b, q) {
			b = bytes.ReplaceAll(b, []byte(q), []byte{'"'})
		}
	}
	return b
}

// retyped returns a message whose additions somebody typed anew with other
// stops between them ("; client 10.0.0.1", ", host : \"a\"") as nginx writes
// them; b itself where nothing is to be mended.
func retyped(b []byte) []byte {
	for _, c := range contexts {
		key := bytes.TrimRight([]byte(c[2:]), ": \"")
		for from := 0; ; {
			i := bytes.Index(b[from:], key)
			if i < 0 {
				break
			}
			i += from
			from = i + len(key)
			if i < 2 || b[i-1] != ' ' || b[i-2] != ',' && b[i-2] != ';' || source.HasPrefix(b[i-2:], c) {
				continue
			}
			j := from
			for j < len(b) && (b[j] == ' ' || b[j] == ':' || b[j] == '=') {
				j++
			}
			if j == from || j == len(b) {
				continue
			}
			if c[len(c)-1] == '"' {
				if b[j] != '"' {
					continue // cut off, or no value of nginx's
				}
				j++
			} else if !bytes.ContainsAny(b[from:j], ":=") && (b[j] < '0' || b[j] > '9') {
				continue // words of a message
			}
			b = append(append(append([]byte(nil), b[:i-2]...), c...), b[j:]...)
			from = i - 2 + len(c)
		}
	}
	return b
}

// number reads "*12 " at the front, the number of a connection, where nothing
// told the process.
func (e *entry) number(b []byte) []byte {
	if len(b) < 4 || b[0] != '*' {
		return b
	}
	n, rest := source.Field(b)
	if !source.Int(n[1:]).Known || len(rest) == 0 {
		return b
	}
	e.conn = string(n)
	return rest
}

// rule finds what is to be done with a message. A message that nginx did not
// log itself, but somebody quoted, may have other letters' case.
func (e *entry) rule(h *source.Holes) (message, bool) {
	if !e.framed && len(e.action) > 0 && e.phase() == "" {
		e.action = bytes.ToLower(e.action)
	}
	m, ok := messageRules.Match(e.text, h)
	if ok || e.framed && e.pid > 0 || !source.Has(e.text, "pstream") {
		return m, ok
	}
	low := bytes.ToLower(e.text)
	if m, ok = messageRules.Match(low, h); ok {
		e.msg, e.action = parts(low)
	}
	return m, ok
}

// headless: a message without its beginning, "failed (111: Connection refused)
// while connecting to upstream". What nginx was doing tells the call.
func (x *report) headless() {
	p := x.phase()
	if p == fact.PhaseConnecting {
		x.connect(nil)
		return
	}
	if p == "" && len(x.action) == 0 {
		p = fact.PhaseWaiting
	}
	x.fail(source.ErrnoMechanism(x.errno, p), p)
}

// frontal reports whether nginx's frame is the front of the line.
func frontal(b []byte) bool {
	return len(b) == 0 || b[0] == '[' || len(b) > 21 && b[4] == '/' && b[7] == '/' && b[13] == ':' && b[20] == '['
}

// messageKeys are the members in which forwarders and loggers that write JSON
// keep a message.
var messageKeys = [...]string{"message", "msg", "log", "error", "error_message", "text", "line", "MESSAGE"}

// stampKeys are those in which they keep its time.
var stampKeys = [...]string{"@timestamp", "timestamp", "time", "ts", "date"}

// shipped narrows l to a message of nginx's that stands in a JSON record; it
// reports false where there is none.
func shipped(env *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) > maxPending || !source.Has(b, "upstream") && !source.Has(b, "worker_connections") && !source.Has(b, "#") {
		return false
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(b, &m) != nil {
		return false
	}
	text := func(key string) []byte {
		var s string
		if json.Unmarshal(m[key], &s) != nil {
			return nil
		}
		return []byte(s)
	}
	for _, key := range messageKeys {
		t := bytes.TrimSpace(text(key))
		if len(t) < 12 || t[0] == '{' {
			continue
		}
		e := parse(env, t)
		var h source.Holes
		if _, ok := e.rule(&h); !ok && e.pid == 0 {
			continue
		}
		l.Text = t
		for _, k := range stampKeys {
			if at, res, _, ok := source.ISOTime(env, text(k)); ok {
				l.Time, l.Res = at, fact.Lasting(res)
				break
			}
		}
		return true
	}
	return false
}

// bareErrno: the number and words of a failed call alone, as nginx writes them
// together. Those it is read for come of connecting.
func (x *report) bareErrno() {
	if x.errno == source.EMFILE {
		x.exhausted()
		return
	}
	x.connect(nil)
}
