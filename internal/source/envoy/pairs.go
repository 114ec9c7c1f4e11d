package envoy

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// pairs reads access lines in formats of the user's own: key=value with any
// separator, and fields between bars or blanks that hold response flags beside
// one of Envoy's details.
var pairs = source.Format{
	ID: "envoy-pairs", Tech: tech, Title: "Envoy access log in a format of its user's",
	Sniff:       sniffPairs,
	NewReader:   func(env *source.Env) source.LineReader { return &pairsReader{access: accessReader{env: env}} },
	Independent: true,
}

// flagKeys are what formats call the response flags, besides those of JSON.
var flagKeys = append(slices.Clone(keys.flags), "response_flag", "resp_flags", "flag")

// detailKeys are what they call the details.
var detailKeys = append(slices.Clone(keys.details), "status_details", "details", "response_code_detail")

func sniffPairs(l *source.Line) source.Confidence {
	t := l.Text
	if len(t) < 12 || len(t) > maxReply || t[0] == '{' {
		return source.No
	}
	if marked(t) {
		if x, ok := paired(t); ok {
			if len(known(x.details)) > 0 || len(x.status) > 0 {
				return source.Sure
			}
			return source.Likely
		}
	}
	if x, ok := listed(t); ok {
		if len(x.status) > 0 && len(x.flags) > 0 {
			return source.Likely
		}
		return source.Fragment
	}
	return source.No
}

// marked reports whether a line has one of the keys that are Envoy's.
func marked(t []byte) bool {
	return source.Has(t, "flag") && (source.Has(t, "response_flag") || source.Has(t, "responseFlags") || source.Has(t, "resp_flags") || source.Has(t, "RESPONSE_FLAGS")) ||
		source.Has(t, "response_code_details") || source.Has(t, "status_details")
}

// paired takes a line of keys and values apart. It is one of Envoy's if its
// flags or its details are.
func paired(t []byte) (x line, ok bool) {
	for len(t) > 0 {
		i := bytes.IndexAny(t, "=:")
		if i < 0 {
			break
		}
		from := bytes.LastIndexAny(t[:i], " \t|,;[({\"") + 1
		key := source.View(t[from:i])
		t = bytes.TrimLeft(t[i+1:], " ")
		var value []byte
		if v, rest, quoted := source.Quoted(t); quoted {
			value, t = v, rest
		} else {
			end := bytes.IndexAny(t, " \t|;")
			if j := bytes.IndexByte(t, '{'); j >= 0 && (end < 0 || j < end) {
				if k := bytes.IndexByte(t[j:], '}'); k >= 0 {
					end = j + k + 1
				}
			}
			if end < 0 {
				end = len(t)
			}
			value, t = bytes.TrimRight(t[:end], ",)]"), t[end:]
		}
		x.put(key, value)
	}
	if len(x.flags) > 0 && !isFlags(x.flags) {
		return x, false
	}
	return x, len(x.flags) > 0 || isDetail(x.details)
}

// put sets the field that a key names, if none was set before.
func (x *line) put(key string, value []byte) {
	if key == "" || len(value) == 0 {
		return
	}
	for _, f := range [...]struct {
		names []string
		to    *[]byte
	}{
		{flagKeys, &x.flags}, {detailKeys, &x.details}, {keys.status, &x.status}, {keys.stamp, &x.stamp}, {keys.method, &x.method}, {keys.path, &x.path},
		{keys.proto, &x.proto}, {keys.transport, &x.transport}, {keys.received, &x.received}, {keys.sent, &x.sent}, {keys.duration, &x.duration},
		{keys.service, &x.service}, {keys.forwarded, &x.forwarded}, {keys.agent, &x.agent}, {keys.id, &x.id}, {keys.authority, &x.authority},
		{keys.upstream, &x.upstream}, {keys.cluster, &x.cluster}, {keys.remote, &x.remote}, {keys.attempts, &x.attempts},
	} {
		if len(*f.to) == 0 && slices.Contains(f.names, key) {
			*f.to = value
			return
		}
	}
	switch {
	case key == "request" && len(x.path) == 0 && value[0] == '/':
		x.path = value
	case key == "alpn" && len(x.proto) == 0:
		x.proto = value
	case strings.HasSuffix(key, "request_id") && len(x.id) == 0:
		x.id = value
	}
}

// isDetail reports whether b is one of the details that tell of a failure, or
// that a member answered.
func isDetail(b []byte) bool {
	name, _ := splitDetail(b)
	if source.HasPrefix(name, "upstream_reset_") {
		return true
	}
	_, ok := details[string(name)]
	return ok && bytes.IndexByte(name, '_') > 0
}

// maxBare bounds a line that holds a status and a detail alone, in bytes.
const maxBare = 120

// listed finds flags, a status and a detail among fields that have no names.
func listed(t []byte) (x line, ok bool) {
	if bytes.IndexByte(t, '_') < 0 {
		return x, false
	}
	for f := range bytes.FieldsFuncSeq(t, func(c rune) bool { return c == ' ' || c == '\t' || c == '|' || c == ';' || c == '"' }) {
		f = bytes.Trim(f, ",()[]")
		switch {
		case len(f) == 3 && source.Int(f).Known && f[0] >= '1' && f[0] <= '5' && len(x.status) == 0:
			x.status = f
		case len(f) > 1 && len(x.flags) == 0 && isFlags(f):
			x.flags = f
		case len(f) > 8 && len(x.details) == 0 && isDetail(f):
			x.details = f
		case len(f) > 2 && f[0] == '/' && len(x.path) == 0:
			x.path = f
		case len(x.method) == 0 && (string(f) == "GET" || string(f) == "POST" || string(f) == "PUT" || string(f) == "DELETE" || string(f) == "PATCH" || string(f) == "HEAD"):
			x.method = f
		}
	}
	switch {
	case len(x.details) == 0:
		return x, false
	case len(x.flags) > 0, len(x.status) > 0 && bytes.Count(t, []byte{'|'}) > 2:
		return x, true
	}
	return x, len(x.status) > 0 && string(x.details) != "via_upstream" && len(t) < maxBare
}

// pairsReader reads such lines.
type pairsReader struct{ access accessReader }

// Line implements [source.LineReader].
func (r *pairsReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) > maxReply {
		return source.NotMine
	}
	x, ok := line{}, false
	if marked(l.Text) {
		x, ok = paired(l.Text)
	}
	if !ok {
		if x, ok = listed(l.Text); !ok {
			return source.NotMine
		}
	}
	if len(x.stamp) == 0 {
		x.stamp = bytes.TrimLeft(l.Text, "[ ")
		if _, _, _, dated := source.ISOTime(r.access.env, x.stamp); !dated {
			x.stamp = nil
		}
	}
	if name, _ := splitDetail(x.details); string(x.status) == "200" && !source.Has(name, "_after_") && r.answers(&x) {
		x.status = nil // of gRPC: the status that counts stands in a trailer
	}
	r.access.state(&x, timed{out, l, r.epoch(l.Text)})
	return source.Mine
}

// answers reports whether Envoy itself made the answer, before any of the
// member's came.
func (r *pairsReader) answers(x *line) bool {
	name, _ := splitDetail(x.details)
	if source.HasPrefix(name, "upstream_reset_before") {
		return true
	}
	o, ok := details[string(name)]
	return ok && o.writer == fact.WriterSelf && o.ended != ""
}

// epoch reads Unix seconds that stand in a line's first brackets.
func (r *pairsReader) epoch(t []byte) time.Time {
	in, _, ok := source.Bracketed(t)
	if !ok {
		return time.Time{}
	}
	for f := range bytes.FieldsSeq(in) {
		if n := source.Int(f); len(f) == 10 && n.Known && f[0] == '1' {
			return time.Unix(n.N, 0).UTC()
		}
	}
	return time.Time{}
}

// Close implements [source.LineReader].
func (r *pairsReader) Close(source.Sink) {}

// timed gives facts without a time that of the line.
type timed struct {
	source.Sink
	l  *source.Line
	at time.Time
}

func (t timed) State(f fact.Fact) {
	if h := f.Head(); h.Time.IsZero() {
		if h.Time, h.Res = t.l.Time, t.l.Res; !t.at.IsZero() {
			h.Time, h.Res = t.at, fact.Seconds(1)
		}
	}
	t.Sink.State(f)
}
