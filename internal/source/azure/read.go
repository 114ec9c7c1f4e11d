package azure

import (
	"bytes"
	"errors"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// mine: the text is of one of the gateways.
func mine(t []byte) bool {
	return source.Has(t, "ApplicationGatewayAccess") || source.Has(t, "ApplicationGatewayFirewall") || source.Has(t, "FrontDoorAccessLog") ||
		source.Has(t, "FrontdoorAccessLog") || source.Has(t, "FrontDoorHealthProbeLog") || source.Has(t, "FrontDoorWebApplicationFirewallLog") ||
		source.Has(t, "FrontdoorWebApplicationFirewallLog") || source.Has(t, "AGWAccessLogs")
}

func sniffLine(l *source.Line) source.Confidence {
	t := bytes.TrimLeft(l.Text, " \t,[")
	switch {
	case len(t) < 20 || t[0] != '{':
		return source.No
	case mine(t):
		return source.Sure
	case source.Has(t, "erverRouted") && source.Has(t, "ttpStatus"), source.Has(t, `"trackingReference"`) && source.Has(t, `"httpStatusCode"`):
		return source.Sure
	}
	return source.No
}

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	if sniffLine(l) == source.No {
		return source.NotMine
	}
	t := bytes.TrimRight(bytes.TrimLeft(l.Text, " \t,["), " \t,]")
	v, err := r.parser.ParseBytes(t)
	if err != nil {
		return source.Broken
	}
	if !r.object(v, out) {
		return source.Broken
	}
	return source.Mine
}

// Close implements [source.LineReader].
func (r *reader) Close(source.Sink) {}

// sniffDoc knows records printed over several lines; one a line is left to the
// reader of lines.
func sniffDoc(head []byte, _ string) source.Confidence {
	t := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(t) == 0 || t[0] != '{' && t[0] != '[' || !mine(t) {
		return source.No
	}
	line, _, more := bytes.Cut(t, []byte("\n"))
	line = bytes.TrimRight(line, " \t\r,")
	if !more || bytes.HasPrefix(line, []byte("{")) && line[len(line)-1] == '}' {
		return source.No
	}
	return source.Sure
}

var errNoRecord = errors.New("read records: none found")

func readDoc(env *source.Env, doc *source.Doc, out source.Sink) error {
	d := &docSink{out: out}
	r := newReader(env)
	data := doc.Data
	read := 0
	at, line := 0, 1
	for i := 0; i < len(data); {
		if data[i] != '{' {
			i++
			continue
		}
		end, wraps := objectEnd(data[i:])
		if wraps {
			i++ // look at the records inside
			continue
		}
		line += bytes.Count(data[at:i], []byte{'\n'})
		at = i
		if end == 0 {
			doc.Skip(line, "record is cut")
			break
		}
		d.line, d.text = line, data[i:i+end]
		v, err := r.parser.ParseBytes(d.text)
		switch {
		case err != nil:
			doc.Skip(line, err.Error())
		case r.object(v, d):
			read++
		default:
			doc.Skip(line, "not a gateway's record")
		}
		i += end
	}
	if read == 0 {
		return errNoRecord
	}
	return nil
}

// objectEnd is the length of the object that b begins with, 0 if it is cut;
// wraps is true if it is the one around the records.
func objectEnd(b []byte) (end int, wraps bool) {
	if k := bytes.TrimLeft(b[1:], " \t\r\n"); bytes.HasPrefix(k, []byte(`"records"`)) {
		return 0, true
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1, false
			}
		}
	}
	return 0, false
}

// docSink gives facts their place in a document.
type docSink struct {
	out  source.Sink
	line int
	text []byte
}

func (d *docSink) State(f fact.Fact) {
	h := f.Head()
	h.Origin.Line = d.line
	h.Origin.Text = string(bytes.Join(bytes.Fields(d.text[:min(len(d.text), 2*fact.MaxText)]), []byte{' '}))
	if len(h.Origin.Text) > fact.MaxText {
		h.Origin.Text = h.Origin.Text[:fact.MaxText]
	}
	d.out.State(f)
}

func (d *docSink) Inner(l *source.Line) { d.out.Inner(l) }
func (d *docSink) Seen(t time.Time)     { d.out.Seen(t) }

// maxWords bounds a line that is searched for words, in bytes.
const maxWords = 2 << 10

// findWord finds an error word that only these gateways write.
func findWord(t []byte) []byte {
	if len(t) > maxWords {
		return nil
	}
	if i := bytes.Index(t, []byte("ERRORINFO_")); i >= 0 {
		return word(t[i:])
	}
	for _, k := range [...]string{"ErrorInfo", "errorInfo"} {
		if i := bytes.Index(t, []byte(k)); i >= 0 {
			return word(bytes.TrimLeft(t[i+len(k):], `_s":= '`))
		}
	}
	return nil
}

func word(t []byte) []byte {
	i := 0
	for i < len(t) && (t[i] == '_' || t[i] >= 'A' && t[i] <= 'Z' || t[i] >= 'a' && t[i] <= 'z') {
		i++
	}
	if _, ok := errorWords(t[:i]); !ok {
		return nil
	}
	return t[:i]
}

func sniffWords(l *source.Line) source.Confidence {
	if findWord(l.Text) != nil {
		return source.Fragment
	}
	return source.No
}

type wordsReader struct{ req fact.Request }

// Line implements [source.LineReader].
func (r *wordsReader) Line(l *source.Line, out source.Sink) source.Took {
	w := findWord(l.Text)
	if w == nil {
		return source.NotMine
	}
	x, _ := errorWords(w)
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	q.Code, q.Ended, q.Writer, q.Phase = source.View(w), x.ended, x.writer, x.phase
	for f := range bytes.FieldsFuncSeq(l.Text, func(c rune) bool {
		return c == ' ' || c == '\t' || c == ',' || c == '|' || c == ':' || c == '"' || c == '=' || c == '.' || c == '('
	}) {
		if n := source.Int(f); n.Known && len(f) == 3 && n.N >= 400 && n.N < 600 {
			q.Status = n
			break
		}
	}
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *wordsReader) Close(source.Sink) {}
