package kube

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// chunk is the text of one YAML object, with as many lines before it as base.
type chunk struct {
	base int // number of the line before its first
	data []byte
}

// The bounds of one object's YAML. The parser's cost grows with the square of
// the keys in one mapping: maxLines, which the endpoints of a service with a
// thousand pods need, takes half a second at worst, and after maxSquares of
// such an input only objects of up to fewLines are read. Nesting and aliases
// are where small texts cost much, too.
const (
	maxChunk   = 512 << 10
	maxLines   = 12_000
	maxSquares = 40 * maxLines * maxLines
	fewLines   = 1000
	maxNesting = 100
	maxAnchors = 100
)

// documents cuts YAML at its separators, and lists at their items, and calls
// yield with each object's text.
func documents(data []byte, yield func(chunk)) {
	line, start, startLine := 0, 0, 0
	flush := func(end int) {
		if doc := data[start:end]; len(bytes.TrimSpace(doc)) > 0 {
			items(chunk{startLine, doc}, yield)
		}
	}
	for i := 0; i < len(data); {
		n := bytes.IndexByte(data[i:], '\n')
		if n < 0 {
			n = len(data) - i - 1
		}
		text := data[i : i+n+1]
		line++
		if bytes.HasPrefix(text, []byte("---")) && strings.Trim(string(text[3:min(len(text), 5)]), " \t\r\n#") == "" || bytes.Equal(bytes.TrimSpace(text), []byte("...")) {
			flush(i)
			start, startLine = i+n+1, line
		}
		i += n + 1
	}
	flush(len(data))
}

// items cuts the items out of a list; what is no list is yielded whole. Each
// item's text is shifted to the left margin.
func items(c chunk, yield func(chunk)) {
	lines := bytes.SplitAfter(c.data, []byte{'\n'})
	first := -1
	for i, l := range lines {
		if bytes.HasPrefix(l, []byte("items:")) {
			first = i + 1
			break
		}
	}
	if first < 0 || !isList(lines) {
		yield(c)
		return
	}
	indent, begin := -1, -1
	flush := func(end int) {
		if begin < 0 {
			return
		}
		var b bytes.Buffer
		for k, l := range lines[begin:end] {
			if k == 0 {
				l = append(bytes.Repeat([]byte{' '}, indent+1), l[indent+1:]...) // the dash
			}
			cut := 0
			for cut < indent+2 && cut < len(l) && l[cut] == ' ' {
				cut++
			}
			b.Write(l[cut:])
		}
		yield(chunk{c.base + begin, b.Bytes()})
	}
	for i := first; i < len(lines); i++ {
		l := lines[i]
		at := len(l) - len(bytes.TrimLeft(l, " "))
		rest := l[at:]
		if len(bytes.TrimSpace(rest)) == 0 {
			continue
		}
		dash := bytes.HasPrefix(rest, []byte("- "))
		if indent < 0 {
			if !dash {
				break
			}
			indent = at
		}
		switch {
		case dash && at == indent:
			flush(i)
			begin = i
		case at <= indent && !dash: // kind: List, metadata:
			flush(i)
			begin, first = -1, i
			return
		}
	}
	flush(len(lines))
}

func isList(lines [][]byte) bool {
	for _, l := range lines {
		if bytes.HasPrefix(l, []byte("kind:")) && bytes.HasSuffix(bytes.TrimRight(l, " \"'\r\n"), []byte("List")) {
			return true
		}
	}
	return false
}

// kindLine is the kind of the object in a chunk, by its own line.
func (c *chunk) kindLine() string {
	for l := range bytes.Lines(c.data) {
		if rest, ok := bytes.CutPrefix(l, []byte("kind:")); ok {
			if i := bytes.Index(rest, []byte(" #")); i >= 0 {
				rest = rest[:i]
			}
			return strings.Trim(string(rest), " \t\r\n\"'")
		}
	}
	return ""
}

// prune blanks what is large and of no use: the record of who set which field.
func (c *chunk) prune() []byte {
	if !bytes.Contains(c.data, []byte("managedFields:")) {
		return c.data
	}
	out := make([]byte, 0, len(c.data))
	within := -1
	for l := range bytes.Lines(c.data) {
		rest := bytes.TrimLeft(l, " ")
		at := len(l) - len(rest)
		if within >= 0 && (at > within || at == within && bytes.HasPrefix(rest, []byte("- ")) || len(bytes.TrimSpace(rest)) == 0) {
			out = append(out, '\n')
			continue
		}
		if within = -1; bytes.HasPrefix(rest, []byte("managedFields:")) {
			within = at
			out = append(out, '\n')
			continue
		}
		out = append(out, l...)
	}
	return out
}

// parse makes nodes of a chunk. line is where it went wrong, if it did; squares
// counts what the large objects of an input cost.
func (c *chunk) parse(squares *int) (body ast.Node, line int, err error) {
	data := c.prune()
	line = c.base + 1
	lines := bytes.Count(data, []byte{'\n'}) - bytes.Count(data, []byte("\n\n"))
	if lines > fewLines {
		*squares += lines * lines
	}
	if len(data) > maxChunk || lines > maxLines || lines > fewLines && *squares > maxSquares {
		return nil, line, fmt.Errorf("an object of more than %d KiB or %d lines", maxChunk>>10, maxLines)
	}
	if err := bounded(data); err != nil {
		return nil, line, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("parse YAML: %v", r)
		}
	}()
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) {
			if t := y.GetToken(); t != nil && t.Position != nil {
				line = c.base + t.Position.Line
			}
			return nil, line, errors.New(y.GetMessage())
		}
		return nil, line, err
	}
	for _, d := range f.Docs {
		if d.Body != nil {
			return d.Body, line, nil
		}
	}
	return nil, line, errors.New("an empty document")
}

// decode fills v. Fields of another type than expected are left out.
func decode(body ast.Node, v any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode YAML: %v", r)
		}
	}()
	return yaml.NodeToValue(body, v, yaml.AllowDuplicateMapKey())
}

// bounded refuses texts whose cost is out of proportion to their size.
func bounded(data []byte) error {
	depth, deepest, anchors := 0, 0, 0
	for i, b := range data {
		switch b {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		case '&', '*':
			if i+1 < len(data) && data[i+1] > ' ' {
				anchors++
			}
		}
	}
	for l := range bytes.Lines(data) {
		rest := bytes.TrimLeft(l, " -?:")
		deepest = max(deepest, (len(l)-len(rest))/2)
	}
	switch {
	case deepest > maxNesting:
		return errors.New("nested too deeply")
	case anchors > maxAnchors:
		return errors.New("too many anchors")
	}
	return nil
}

// lineText is the text of line n of the input, if it lies in the chunk.
func (c *chunk) lineText(n int) string {
	n -= c.base
	for l := range bytes.Lines(c.data) {
		if n--; n == 0 {
			return strings.TrimSpace(string(l[:min(len(l), 500)]))
		}
	}
	return ""
}
