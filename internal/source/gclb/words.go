package gclb

import (
	"bytes"

	"culprit/internal/source"
)

// column is a field of an entry that tables, CSV files and printed objects
// name.
type column int

const (
	noColumn column = iota
	colStamp
	colStatus
	colDetails
	colProxy
	colMethod
	colURL
	colLatency
	colServer
	colRemote
	colAgent
	colService
	colRule
	colTrace
	colRespSize
	colReqSize
	colCount
	colInsert
	colProtocol
)

// columnOf knows a column by its name: "httpRequest.status", "STATUS_DETAILS",
// "statusDetails".
func columnOf(name []byte) column {
	var buf [40]byte
	n := 0
	for _, c := range name[bytes.LastIndexByte(name, '.')+1:] {
		if c == '_' || c == ' ' || c == '-' {
			continue
		}
		if n == len(buf) {
			return noColumn
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		buf[n] = c
		n++
	}
	switch string(buf[:n]) {
	case "timestamp", "time":
		return colStamp
	case "status", "statuscode", "responsecode", "httpstatus":
		return colStatus
	case "statusdetails", "statusdetail":
		return colDetails
	case "proxystatus":
		return colProxy
	case "requestmethod", "method":
		return colMethod
	case "requesturl", "url":
		return colURL
	case "latency":
		return colLatency
	case "serverip":
		return colServer
	case "remoteip":
		return colRemote
	case "useragent":
		return colAgent
	case "backendservicename", "backendtargetname", "backendservice":
		return colService
	case "forwardingrulename":
		return colRule
	case "trace":
		return colTrace
	case "responsesize":
		return colRespSize
	case "requestsize":
		return colReqSize
	case "count", "f0", "requests", "n":
		return colCount
	case "insertid":
		return colInsert
	case "protocol":
		return colProtocol
	}
	return noColumn
}

// assign puts a value into its field.
func assign(e *entry, c column, v []byte) {
	e.lb, e.hasHTTP = true, true
	switch c {
	case colStamp:
		e.stamp = v
	case colStatus:
		e.status = v
	case colDetails:
		e.details = v
	case colProxy:
		e.proxy = bytes.ReplaceAll(v, []byte(`\"`), []byte(`"`))
	case colMethod:
		e.method = v
	case colURL:
		e.url = v
	case colLatency:
		e.latency = v
	case colServer:
		e.server = v
	case colRemote:
		e.remote = v
	case colAgent:
		e.agent = v
	case colService:
		e.service = v
	case colRule:
		e.rule = v
	case colTrace:
		e.trace = v
	case colRespSize:
		e.respSize = v
	case colReqSize:
		e.reqSize = v
	case colProtocol:
		e.protocol = v
	}
}

// characteristic: no other software uses the word.
func characteristic(word []byte) bool {
	if len(word) < 14 || bytes.Count(word, []byte{'_'}) < 2 {
		return false
	}
	o, ok := statusDetails[string(word)]
	if !ok {
		return false
	}
	return source.Has(word, "backend") || source.Has(word, "_security_policy") || o.ended == "client-gone"
}

// findWord returns the first statusDetails word in t, as a token of its own
// that is no key of something.
func findWord(t []byte) []byte {
	for from := 0; from < len(t); {
		i := bytes.IndexByte(t[from:], '_')
		if i < 0 {
			return nil
		}
		i += from
		a, b := i, i
		for a > from && isWordByte(t[a-1]) {
			a--
		}
		for b < len(t) && isWordByte(t[b]) {
			b++
		}
		next := bytes.TrimLeft(t[b:], ` "'`)
		// backend_timeout is also what others call a knob.
		timeout := string(t[a:b]) == "backend_timeout" && (source.Has(t, "tatus") || len(bytes.TrimSpace(t)) == b-a)
		if (timeout || characteristic(t[a:b])) && (len(next) == 0 || next[0] != ':' && next[0] != '=') {
			return t[a:b]
		}
		from = max(b, i+1)
	}
	return nil
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}

// maxRow bounds what is looked at for words, in bytes.
const maxRow = 4 << 10

func sniffWords(l *source.Line) source.Confidence {
	t := l.Text[:min(len(l.Text), maxRow)]
	if bytes.IndexByte(t, '_') < 0 && !source.Has(t, "tatusDetails") && !source.Has(t, "httpRequest.") {
		return source.No
	}
	if cols, _ := header(t); cols != nil {
		return source.Likely
	}
	if w := findWord(t); w != nil && recordLike(t) {
		return source.Fragment
	}
	if source.Has(t, "proxyStatus") && (source.Has(t, "error=") || source.Has(t, "details=")) && recordLike(t) {
		return source.Fragment
	}
	return source.No
}

// proseWords is how many plain words a record may hold beside its values.
const proseWords = 2

// recordLike tells a row or a field from a sentence.
func recordLike(t []byte) bool {
	plain := 0
	for len(t) > 0 {
		var w []byte
		w, t = source.Field(t)
		w = bytes.Trim(w, `.,;:"'()`)
		letters := len(w) > 1
		for _, c := range w {
			if c < 'a' || c > 'z' {
				letters = false
				break
			}
		}
		if letters {
			plain++
		}
	}
	return plain <= proseWords
}

// header reads a table's head; nil if t is none. sep is ',', tab, '|' or a
// blank for columns two blanks apart.
func header(t []byte) (cols []column, sep byte) {
	for _, s := range []byte{',', '\t', '|', ' '} {
		parts := splitRow(t, s, nil)
		if len(parts) < 2 {
			continue
		}
		known, sure := 0, false
		cols = cols[:0]
		for _, p := range parts {
			c := columnOf(p)
			if c != noColumn {
				known++
			}
			if c == colDetails || c == colProxy || bytes.HasPrefix(p, []byte("httpRequest.")) || bytes.HasPrefix(p, []byte("jsonPayload.")) {
				sure = true
			}
			cols = append(cols, c)
		}
		if sure && known > 1 && known*2 >= len(parts) || sure && known > 3 {
			return cols, s
		}
	}
	return nil, 0
}

// splitRow cuts a row into its cells.
func splitRow(t []byte, sep byte, cells [][]byte) [][]byte {
	cells = cells[:0]
	if sep == ' ' {
		for t = bytes.TrimSpace(t); len(t) > 0; t = bytes.TrimLeft(t, " ") {
			i := bytes.Index(t, []byte("  "))
			if i < 0 {
				i = len(t)
			}
			cells = append(cells, t[:i])
			t = t[i:]
		}
		if len(cells) == 1 {
			return splitBlanks(cells[0], cells[:0])
		}
		return cells
	}
	if sep == '|' {
		t = bytes.Trim(t, " |")
	}
	for {
		var cell []byte
		t = bytes.TrimLeft(t, " ")
		if q, rest, ok := source.Quoted(t); ok && sep == ',' {
			cell = q
			i := bytes.IndexByte(rest, sep)
			if i < 0 {
				return append(cells, cell)
			}
			t = rest[i+1:]
		} else {
			i := bytes.IndexByte(t, sep)
			if i < 0 {
				return append(cells, bytes.TrimSpace(t))
			}
			cell, t = bytes.TrimSpace(t[:i]), t[i+1:]
		}
		cells = append(cells, cell)
	}
}

func splitBlanks(t []byte, cells [][]byte) [][]byte {
	for len(t) > 0 {
		var f []byte
		f, t = source.Field(t)
		cells = append(cells, f)
	}
	return cells
}

// wordsReader reads rows of tables, and lines that hold a statusDetails word.
type wordsReader struct {
	env   *source.Env
	r     *reader
	cols  []column
	sep   byte
	cells [][]byte
}

// Line implements [source.LineReader].
func (w *wordsReader) Line(l *source.Line, out source.Sink) source.Took {
	if w.r == nil {
		w.r = newReader(w.env)
	}
	t := l.Text[:min(len(l.Text), maxRow)]
	if cols, sep := header(t); cols != nil {
		w.cols, w.sep = cols, sep
		return source.Mine
	}
	if w.cols != nil && w.row(t, out) {
		return source.Mine
	}
	word := findWord(t)
	if word == nil && !source.Has(t, "proxyStatus") || !recordLike(t) {
		return source.NotMine
	}
	var e entry
	e.lb, e.details = true, word
	if word == nil {
		_, v, _ := bytes.Cut(t, []byte("proxyStatus"))
		e.proxy = bytes.ReplaceAll(bytes.TrimLeft(v, `": `), []byte(`\"`), []byte(`"`))
		if err, det := splitProxyStatus(e.proxy); err == nil && det == nil {
			return source.NotMine
		}
	}
	w.r.request(&e, w.pick(t, word, &e), out)
	return source.Mine
}

// Close implements [source.LineReader].
func (w *wordsReader) Close(source.Sink) {}

// row reads a table's row.
func (w *wordsReader) row(t []byte, out source.Sink) bool {
	w.cells = splitRow(t, w.sep, w.cells)
	if len(w.cells) != len(w.cols) {
		return false
	}
	var e entry
	count, told := 0, false
	for i, c := range w.cols {
		v := w.cells[i]
		if len(v) == 0 || string(v) == "-" || string(v) == "null" {
			continue
		}
		if c == colCount {
			if n := source.Int(v); n.Known && n.N > 1 && n.N < 1<<31 {
				count = int(n.N)
			}
			continue
		}
		if c == colStatus && !source.Int(v).Known {
			return bytes.Trim(v, "-") == nil || len(bytes.Trim(v, "-")) == 0
		}
		told = told || c == colStatus || c == colDetails || c == colProxy
		assign(&e, c, v)
	}
	if !told {
		return false
	}
	w.r.request(&e, count, out)
	return true
}

// pick looks around a word for the values that a record has, and returns how
// many requests the line stands for, 0 if it does not say.
func (w *wordsReader) pick(t, word []byte, e *entry) int {
	count := 0
	for f := range bytes.FieldsFuncSeq(t, func(r rune) bool {
		return r == ' ' || r == '\t' || r == ',' || r == '|' || r == '"' || r == '\'' || r == '{' || r == '}' || r == '(' || r == ')' || r == ';' || r == '['
	}) {
		f = bytes.TrimRight(f, ":.]")
		n := source.Int(bytes.TrimLeft(f, "x×"))
		switch {
		case len(f) == 0, bytes.Equal(f, word):
		case n.Known && n.N >= 100 && n.N <= 599 && len(f) == 3 && len(e.status) == 0:
			e.status = f
		case n.Known && n.N > 0 && n.N < 1<<31 && count == 0:
			count = int(n.N)
		case len(f) > 2 && f[len(f)-1] == 's' && source.Secs(f[:len(f)-1]).Known:
			e.latency = f
		case len(f) >= 19 && f[4] == '-' && f[7] == '-' && f[10] == 'T':
			e.stamp = f
		case source.HasPrefix(f, "http://"), source.HasPrefix(f, "https://"):
			e.url = f
		case isMethod(f):
			e.method = f
		}
	}
	if count == 1 {
		count = 0
	}
	return count
}

func isMethod(f []byte) bool {
	switch string(f) {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		return true
	}
	return false
}
