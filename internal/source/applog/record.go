package applog

import (
	"bytes"

	"culprit/internal/source"

	"github.com/valyala/fastjson"
)

// record reads one JSON object that stands over several lines, as tools that
// show logs print it, and hands it over as the one line it was.
var record = source.Format{
	ID: "json-record", Tech: tech, Title: "JSON record printed over several lines",
	Sniff: func(l *source.Line) source.Confidence {
		if string(bytes.TrimSpace(l.Text)) == "{" {
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &recordReader{} },
}

// maxRecord bounds such a record, in bytes.
const maxRecord = 64 << 10

type recordReader struct {
	text   []byte
	from   source.Line // the first line, without its text
	depth  int
	parser fastjson.Parser
}

// Line implements [source.LineReader].
func (r *recordReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if r.text == nil {
		if string(b) != "{" {
			return source.NotMine
		}
		r.from = *l
		r.from.Text = nil
	}
	if !partOf(b) || len(r.text)+len(b) > maxRecord {
		r.text, r.depth = nil, 0 // it is something else
		return source.NotMine
	}
	r.text = append(r.text, b...)
	r.depth += nesting(b)
	if r.depth > 0 {
		return source.Mine
	}
	whole := *l
	whole.Text, whole.N = bytes.TrimRight(r.text, ","), r.from.N
	r.text, r.depth = nil, 0
	if _, err := r.parser.ParseBytes(whole.Text); err != nil {
		return source.Broken
	}
	out.Inner(&whole)
	return source.Mine
}

// partOf reports whether a line may be one of a JSON object.
func partOf(b []byte) bool {
	return len(b) == 0 || bytes.IndexByte([]byte(`"{}[],0123456789-`), b[0]) >= 0 ||
		source.HasPrefix(b, "true") || source.HasPrefix(b, "false") || source.HasPrefix(b, "null")
}

// nesting is by how much a line of JSON goes deeper.
func nesting(b []byte) int {
	n, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			n++
		case c == '}' || c == ']':
			n--
		}
	}
	return n
}

// Close implements [source.LineReader].
func (r *recordReader) Close(source.Sink) { r.text = nil }
