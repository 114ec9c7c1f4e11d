package gclb

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// marks are keys of which an entry has several.
var marks = []string{"insertId", "logName", "httpRequest", "jsonPayload", "textPayload", "protoPayload", "statusDetails", "proxyStatus", "receiveTimestamp"}

func countMarks(head []byte) int {
	n := 0
	for _, m := range marks {
		if source.Has(head, m) {
			n++
		}
	}
	return n
}

// sniffDoc knows arrays, objects over several lines, and YAML documents.
// Objects of one line each are left to the reader of lines.
func sniffDoc(head []byte, _ string) source.Confidence {
	t := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	if len(t) == 0 || countMarks(t) < 2 {
		return source.No
	}
	line, _, more := bytes.Cut(t, []byte("\n"))
	line = bytes.TrimRight(line, " \t\r,")
	switch {
	case t[0] == '[':
		rest := bytes.TrimLeft(t[1:], " \t\r\n")
		if len(rest) > 0 && rest[0] == '{' {
			return source.Sure
		}
	case t[0] == '{':
		if more && line[len(line)-1] != '}' {
			return source.Sure
		}
	case isYAML(t):
		return source.Sure
	}
	return source.No
}

// isYAML: entries have their keys at the line's beginning.
func isYAML(t []byte) bool {
	n := 0
	for _, m := range marks {
		if bytes.HasPrefix(t, []byte(m+":")) || source.Has(t, "\n"+m+":") || source.Has(t, "\n- "+m+":") || bytes.HasPrefix(t, []byte("- "+m+":")) {
			n++
		}
	}
	return n > 1
}

// maxYAML bounds one YAML document, in bytes; an entry is at most 256 KiB.
const maxYAML = 1 << 20

// errNoEntry means that a document held no entry at all.
var errNoEntry = errors.New("read log entries: none found")

func readDoc(env *source.Env, doc *source.Doc, out source.Sink) error {
	d := &docReader{r: newReader(env), doc: doc, out: out, line: 1}
	t := bytes.TrimLeft(doc.Data, " \t\r\n\xef\xbb\xbf")
	if len(t) > 0 && (t[0] == '{' || t[0] == '[') {
		d.json()
	} else {
		d.yaml()
	}
	if d.read == 0 {
		return errNoEntry
	}
	return nil
}

// docReader reads the entries of a document and gives their facts an origin.
type docReader struct {
	r    *reader
	doc  *source.Doc
	out  source.Sink
	at   int // how far lines were counted
	line int
	read int
	text []byte
	obj  []byte // the entry being read
}

// lineAt is the number of the line at offset i; offsets only grow.
func (d *docReader) lineAt(i int) int {
	d.line += bytes.Count(d.doc.Data[d.at:i], []byte{'\n'})
	d.at = i
	return d.line
}

func (d *docReader) json() {
	data := d.doc.Data
	for i := 0; i < len(data); {
		if data[i] != '{' {
			i++
			continue
		}
		n := d.lineAt(i)
		d.obj = data[i:]
		end := d.one(d.obj, n)
		if end <= 0 {
			// No JSON: perhaps keys without quotes, as consoles print them.
			if m := d.loose(data[i:], n); m > 0 {
				i += m
				continue
			}
			d.doc.Skip(n, string(data[i:min(len(data), i+120)]))
			j := bytes.Index(data[i+1:], []byte("\n{"))
			if j < 0 {
				return
			}
			i += j + 2
			continue
		}
		i += end
	}
}

// one reads the object that begins at t and returns its length, 0 if it is
// none that could be read.
func (d *docReader) one(t []byte, n int) int {
	var e entry
	end, ok := d.r.w.walk(t, &e)
	if !ok {
		return 0
	}
	d.obj = t[:end]
	l := &source.Line{Text: d.obj, Path: d.doc.Path, N: n}
	if d.r.object(d.obj, l, d) == source.Mine {
		d.read++
	} else {
		d.doc.Skip(n, "not a log entry")
	}
	return end
}

// loose reads an object printed with bare keys and without commas, one field a
// line, and returns its length.
func (d *docReader) loose(t []byte, n int) int {
	var e entry
	depth, i := 0, 0
	for i < len(t) {
		line, _, _ := bytes.Cut(t[i:], []byte{'\n'})
		i += min(len(line)+1, len(t)-i)
		line = bytes.TrimSpace(line)
		key, value, ok := bytes.Cut(line, []byte{':'})
		value = bytes.Trim(bytes.TrimSpace(value), `",'`)
		if ok && len(value) > 0 {
			assign(&e, columnOf(bytes.Trim(key, `"' `)), value)
		}
		depth += bytes.Count(line, []byte{'{'}) - bytes.Count(line, []byte{'}'})
		if depth <= 0 {
			break
		}
	}
	if len(e.details) == 0 && len(e.proxy) == 0 {
		return 0
	}
	d.obj = t[:i]
	d.r.request(&e, 0, d)
	d.read++
	return i
}

func (d *docReader) yaml() {
	data := d.doc.Data
	for i := 0; i < len(data); {
		end := len(data)
		if j := bytes.Index(data[i:], []byte("\n---")); j >= 0 {
			end = i + j + 1
		}
		part := data[i:end]
		n := d.lineAt(i)
		if bytes.HasPrefix(part, []byte("---")) {
			if k := bytes.IndexByte(part, '\n'); k >= 0 {
				part, n = part[k+1:], n+1
			} else {
				part = nil
			}
		}
		if len(bytes.TrimSpace(part)) > 0 {
			if err := d.yamlEntry(part, n); err != nil {
				d.doc.Skip(n, err.Error())
			}
		}
		i = end
	}
}

// yamlEntry reads one YAML document: an entry, or a list of them.
func (d *docReader) yamlEntry(part []byte, n int) (err error) {
	if len(part) > maxYAML {
		return fmt.Errorf("read YAML: document over %d KiB", maxYAML>>10)
	}
	defer func() {
		// The parser is not ours and the text is hostile.
		if p := recover(); p != nil {
			err = fmt.Errorf("read YAML: %v", p)
		}
	}()
	j, err := yaml.YAMLToJSON(part)
	if err != nil {
		return fmt.Errorf("read YAML: %w", err)
	}
	before := d.read
	for i := 0; i < len(j); {
		if j[i] != '{' {
			i++
			continue
		}
		end := d.one(j[i:], n)
		if end == 0 {
			break
		}
		i += end
	}
	if d.read == before {
		return errNoEntry
	}
	return nil
}

// State gives a fact its place in the document.
func (d *docReader) State(f fact.Fact) {
	h := f.Head()
	h.Origin.Line = d.line
	d.text = flatten(d.text[:0], d.obj)
	h.Origin.Text = source.View(d.text)
	d.out.State(f)
}

// Inner hands on a text of the document.
func (d *docReader) Inner(l *source.Line) { d.out.Inner(l) }

// Seen passes on what instant the document speaks of.
func (d *docReader) Seen(t time.Time) { d.out.Seen(t) }

// flatten puts an object that was printed over many lines on one.
func flatten(dst, b []byte) []byte {
	quoted, blank := false, false
	for i := 0; i < len(b) && len(dst) < fact.MaxText; i++ {
		c := b[i]
		if c == '"' && (i == 0 || b[i-1] != '\\') {
			quoted = !quoted
		}
		if !quoted && c <= ' ' {
			blank = true
			continue
		}
		if blank && len(dst) > 0 && c != '}' && c != ']' && dst[len(dst)-1] != '{' && dst[len(dst)-1] != '[' {
			dst = append(dst, ' ')
		}
		blank = false
		dst = append(dst, c)
	}
	return dst
}
