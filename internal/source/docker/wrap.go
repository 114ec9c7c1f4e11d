package docker

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Wrappers take off what a container run time, or a tool that shows many
// containers' logs at once, puts around a line. What is coloured comes first:
// colours hide every other frame.
var Wrappers = []source.Wrapper{
	{ID: "ansi", Unwrap: unwrapColours},
	{ID: "docker-json", Unwrap: unwrapJSON},
	{ID: "kubernetes-record", Unwrap: unwrapRecord},
	{ID: "cri", Unwrap: unwrapCRI},
	{ID: "kubectl-prefix", Unwrap: unwrapPrefix},
	{ID: "compose", Unwrap: unwrapCompose},
	{ID: "stern", Unwrap: unwrapStern},
	{ID: "container-stamp", Unwrap: unwrapStamp},
}

// nano is the resolution of the run times' stamps: they drop zeros at the end.
var nano = fact.Lasting(1)

// unwrapColours takes out terminal control sequences.
func unwrapColours(_ *source.Env, l *source.Line) bool {
	if bytes.IndexByte(l.Text, esc) < 0 {
		return false
	}
	l.Text = plain(l.Text)
	return true
}

const esc = 0x1b

// plain returns b without terminal control sequences: CSI (ESC [ ... letter),
// OSC (ESC ] ... BEL or ESC \) and what else begins with ESC.
func plain(b []byte) []byte {
	i := bytes.IndexByte(b, esc)
	if i < 0 {
		return b
	}
	out := append(make([]byte, 0, len(b)), b[:i]...)
	for i < len(b) {
		if b[i] != esc {
			out = append(out, b[i])
			i++
			continue
		}
		i++
		if i == len(b) {
			break
		}
		switch b[i] {
		case '[':
			for i++; i < len(b) && (b[i] < 0x40 || b[i] > 0x7e); i++ {
			}
			i++
		case ']':
			for i++; i < len(b) && b[i] != 0x07 && b[i] != esc; i++ {
			}
			if i < len(b) && b[i] == esc {
				i++ // the backslash that ends it
			}
			i++
		case '(', ')':
			i += 2
		default:
			i++
		}
	}
	return out
}

// unwrapJSON reads a record of the json-file driver,
// {"log":"text\n","stream":"stderr","attrs":{"tag":"web"},"time":"..."}. A
// record that is cut within the text counts too.
func unwrapJSON(env *source.Env, l *source.Line) bool {
	const front = `{"log":`
	b := l.Text
	if !source.HasPrefix(b, front) {
		return unwrapRewritten(env, l)
	}
	text, rest, closed := source.Quoted(b[len(front):])
	if !closed {
		if len(b) <= len(front)+1 || b[len(front)] != '"' {
			return unwrapRewritten(env, l)
		}
		text, rest = b[len(front)+1:], nil
	}
	if closed {
		at, ok := source.Between(rest, `"time":"`, `"`)
		if !ok {
			return unwrapRewritten(env, l)
		}
		t, _, _, ok := source.ISOTime(env, at)
		if !ok {
			return false
		}
		l.Time, l.Res = t, nano
	}
	if tag, ok := source.Between(rest, `"tag":"`, `"`); ok && l.Container == "" {
		l.Container = string(tag)
	}
	name(l)
	l.Text = plain(trimEnd(unescape(text)))
	return true
}

// unwrapRewritten reads such a record that a tool wrote anew: with blanks
// between its members, or with these in another order.
func unwrapRewritten(env *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) < 2 || b[0] != '{' || !source.Has(b, `"log"`) || !source.Has(b, `"stream"`) || source.Has(b, `"kubernetes"`) {
		return false
	}
	var text, stream, at, tag []byte
	for rest := b[1:]; ; {
		rest = bytes.TrimLeft(rest, " \t,")
		key, after, ok := source.Quoted(rest)
		if !ok {
			break // the end, or what is cut
		}
		after = bytes.TrimLeft(after, " \t")
		if len(after) == 0 || after[0] != ':' {
			return false
		}
		after = bytes.TrimLeft(after[1:], " \t")
		value, next, ok := source.Quoted(after)
		if !ok { // attrs, the only member that is no text
			i := bytes.IndexByte(after, '}')
			if string(key) != "attrs" || i < 0 {
				return false
			}
			tag, _ = member(after[:i], "tag")
			rest = after[i+1:]
			continue
		}
		switch string(key) {
		case "log":
			text = value
		case "stream":
			stream = value
		case "time":
			at = value
		default:
			return false
		}
		rest = next
	}
	if text == nil || string(stream) != "stdout" && string(stream) != "stderr" {
		return false
	}
	t, _, _, ok := source.ISOTime(env, at)
	if !ok {
		return false
	}
	l.Time, l.Res = t, nano
	if len(tag) > 0 && l.Container == "" {
		l.Container = string(tag)
	}
	name(l)
	l.Text = plain(trimEnd(unescape(text)))
	return true
}

// unwrapRecord reads a record as log shippers (fluentd, fluent-bit, Vector)
// write it for a container of a cluster: {"log":"text",...,"kubernetes":{
// "pod_name":"...","host":"...",...}}.
func unwrapRecord(env *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) < 2 || b[0] != '{' || !source.Has(b, `"kubernetes":`) {
		return false
	}
	text, ok := member(b, "log")
	if !ok {
		if text, ok = member(b, "message"); !ok {
			return false
		}
	}
	for _, key := range [...]string{"time", "@timestamp", "timestamp", "date"} {
		if at, ok := member(b, key); ok {
			if t, res, _, ok := source.ISOTime(env, at); ok {
				l.Time, l.Res = t, fact.Lasting(res)
				break
			}
		}
	}
	if v, ok := member(b, "pod_name"); ok {
		l.Container = string(v)
	}
	if v, ok := member(b, "host"); ok {
		l.Host = string(v)
	} else if v, ok := member(b, "pod_node_name"); ok {
		l.Host = string(v)
	}
	l.Text = plain(trimEnd(unescape(text)))
	return true
}

// member finds the text of the first member called key in a JSON object,
// wherever it stands.
func member(b []byte, key string) ([]byte, bool) {
	quoted := `"` + key + `":`
	i := bytes.Index(b, []byte(quoted))
	if i < 0 {
		return nil, false
	}
	v, _, ok := source.Quoted(bytes.TrimLeft(b[i+len(quoted):], " "))
	return v, ok
}

// unwrapCRI reads a line of containerd or CRI-O,
// "2026-01-02T03:04:05.678901234Z stderr F text". The run time cuts what is
// longer than 16 KiB and marks all pieces but the last with P; each piece is
// read alone.
func unwrapCRI(env *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) < 30 || b[4] != '-' || b[10] != 'T' {
		return false
	}
	i := bytes.IndexByte(b, ' ')
	if i < 20 || len(b) < i+9 {
		return false
	}
	if stream := source.View(b[i : i+8]); stream != " stdout " && stream != " stderr " {
		return false
	}
	tags, text := source.Field(b[i+8:])
	if len(tags) == 0 || tags[0] != 'F' && tags[0] != 'P' || len(tags) > 1 && tags[1] != ':' {
		return false
	}
	t, _, rest, ok := source.ISOTime(env, b[:i])
	if !ok || len(rest) != 0 {
		return false
	}
	// The text's own indent stays: only one blank belongs to the frame.
	if n := i + 8 + len(tags) + 1; n <= len(b) {
		text = b[n:]
	}
	l.Time, l.Res = t, nano
	name(l)
	l.Text = plain(text)
	return true
}

// stampDigits is how many digits of a second tell the stamp that docker logs
// -t, compose logs -t and kubectl logs --timestamps put before a line from the
// stamps that programs write themselves: those have three, six or seven (.NET).
// Kubernetes drops zeros at the end, so one in ten has eight.
const stampDigits = 8

// unwrapStamp reads "2026-01-02T03:04:05.678901234Z text".
func unwrapStamp(env *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) < 30 || b[4] != '-' || b[10] != 'T' || b[19] != '.' {
		return false
	}
	n := 20
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n-20 < stampDigits {
		return false
	}
	t, _, rest, ok := source.ISOTime(env, b)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return false
	}
	l.Time, l.Res = t, nano
	name(l)
	l.Text = rest[1:]
	return true
}

// trimEnd cuts line ends.
func trimEnd(b []byte) []byte { return bytes.TrimRight(b, "\r\n") }
