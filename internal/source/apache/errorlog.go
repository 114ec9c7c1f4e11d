package apache

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var errorLog = source.Format{
	ID:        "apache-error",
	Tech:      tech,
	Title:     "Apache error log",
	Sniff:     sniffError,
	NewReader: func(env *source.Env) source.LineReader { return &errorReader{env: env, open: map[string]*trouble{}} },
}

// frame is what stands before the message of an error line.
type frame struct {
	date         []byte
	module       []byte // "proxy_http"; empty in 2.2
	level        []byte
	pid          int
	thread       string // "pid 5:tid 6", as written
	client       []byte
	code         apr
	referer      bool
	text         []byte // the message without number and client
	bracketed    bool   // the line begins with a date of Apache's
	hasAH        bool
	sourceOfText []byte
}

// levels are the severities of LogLevel.
var levels = map[string]bool{
	"emerg": true, "alert": true, "crit": true, "error": true, "warn": true, "notice": true, "info": true, "debug": true,
}

func isLevel(b []byte) bool {
	return levels[string(b)] || source.HasPrefix(b, "trace") && len(b) == 6
}

// cutFrame reads the groups in brackets, the number and the client of a line;
// what is left is its message.
func cutFrame(b []byte) (f frame) {
	f.sourceOfText = b
	if len(b) > 28 && b[0] == '[' && b[4] == ' ' && b[8] == ' ' && source.Month(b[5:8]) != 0 {
		if i := bytes.IndexByte(b, ']'); i > 20 && i < 40 {
			f.date, f.bracketed = b[1:i], true
			b = skipBlank(b[i+1:])
		}
	}
	for range 8 {
		b = skipBlank(b)
		if len(b) > 1 && b[0] == '[' {
			group, rest, ok := source.Bracketed(b)
			if !ok || !f.group(group) {
				break
			}
			b = rest
			continue
		}
		if code, rest, ok := cutCode(b); ok && !f.code.set {
			f.code, b = code, rest
			continue
		}
		if rest, ok := cutSource(b); ok {
			b = rest
			continue
		}
		break
	}
	if i := bytes.Index(b, []byte(", referer: ")); i > 0 {
		b, f.referer = b[:i], true
	}
	if len(f.level) > 0 {
		b = f.broken(b)
	}
	f.text = b
	f.hasAH = len(b) > 8 && b[0] == 'A' && b[1] == 'H' && b[7] == ':' && source.Int(b[2:7]).Known
	return f
}

// broken finds the message of a line whose frame lost some of its brackets on
// the way: "[proxy:error] pid 5:tid 6Permission denied: AH00952: ...".
func (f *frame) broken(b []byte) []byte {
	i := bytes.Index(b[:min(len(b), 120)], []byte(": AH"))
	if i < 0 || len(b) < i+10 || b[i+9] != ':' || !source.Int(b[i+4:i+9]).Known {
		return b
	}
	before := b[:i+2]
	for _, w := range bareWords {
		if bytes.HasSuffix(before, []byte(w.words)) {
			if !f.code.set {
				f.code = w.code
			}
			return b[i+2:]
		}
	}
	return b
}

// cutSource takes off the place in the program that LogLevel debug shows,
// "mod_proxy_http.c(1520): ".
func cutSource(b []byte) (rest []byte, ok bool) {
	i := bytes.Index(b[:min(len(b), 60)], []byte("): "))
	if i < 0 {
		return b, false
	}
	file, line, ok := bytes.Cut(b[:i], []byte(".c("))
	if !ok || bytes.IndexByte(file, ' ') >= 0 || !source.Int(line).Known {
		return b, false
	}
	return b[i+3:], true
}

// group reads one group in brackets; false if it is part of a message.
func (f *frame) group(g []byte) bool {
	switch {
	case source.HasPrefix(g, "client "):
		f.client = g[len("client "):]
	case source.HasPrefix(g, "remote "):
		f.client = g[len("remote "):]
	case source.HasPrefix(g, "pid "):
		f.thread = string(g)
		p := g[4:]
		if i := bytes.IndexByte(p, ':'); i > 0 {
			p = p[:i]
		}
		f.pid = source.PID(p)
	case isLevel(g):
		f.level = g
	case bytes.IndexByte(g, ':') > 0 && isLevel(g[bytes.IndexByte(g, ':')+1:]):
		i := bytes.IndexByte(g, ':')
		f.module, f.level = g[:i], g[i+1:]
	case source.HasPrefix(g, "host "), source.HasPrefix(g, "tid "), source.HasPrefix(g, "vhost "), source.HasPrefix(g, "rid "), source.HasPrefix(g, "unique_id "):
	default:
		return false
	}
	return true
}

// framed reports whether the frame is surely Apache's.
func (f *frame) framed() bool {
	return f.bracketed && len(f.level) > 0 || len(f.module) > 0 && f.pid > 0
}

func (f *frame) time(env *source.Env, l *source.Line) (time.Time, fact.Dur) {
	if len(f.date) > 0 {
		if t, res, _, ok := source.ANSITime(env, f.date); ok {
			return t, fact.Lasting(res)
		}
	}
	return l.Time, l.Res
}

func sniffError(l *source.Line) source.Confidence {
	if len(l.Text) < 12 {
		return source.No
	}
	f := cutFrame(l.Text)
	if f.framed() {
		return source.Sure
	}
	var h source.Holes
	m, ok := messages.Match(f.text, &h)
	switch {
	case !ok:
		return source.No
	case f.hasAH:
		return source.Likely
	}
	return m.alone
}

// errorReader reads one error log. Apache tells one trouble in two or three
// lines of one thread; they are joined.
type errorReader struct {
	env       *source.Env
	open      map[string]*trouble // by thread
	order     []string
	stated    bool // the defaults
	reloading bool // a restart was announced; what follows is no new process
	at        time.Time
}

// trouble is what some lines of a thread told of one request so far.
type trouble struct {
	req  fact.Request
	at   time.Time
	done bool
}

// maxOpen bounds the threads whose last trouble is held, and joinWithin how
// long: the lines of one trouble are written within a millisecond.
const (
	maxOpen    = 512
	joinWithin = time.Second
)

// Line implements [source.LineReader].
func (r *errorReader) Line(l *source.Line, out source.Sink) source.Took {
	f := cutFrame(l.Text)
	var h source.Holes
	m, ok := messages.Match(f.text, &h)
	if !ok && !f.framed() {
		return source.NotMine
	}
	t, res := f.time(r.env, l)
	if !t.IsZero() {
		r.at = t
	}
	r.expire(out)
	if f.framed() && !r.stated {
		r.stated = true
		stateDefaults(out, nil)
	}
	c := &context{r: r, f: &f, h: &h, out: out, l: l, t: t, res: res}
	c.limits()
	if !ok {
		out.Seen(t)
		return source.Mine
	}
	m.do(c)
	if !c.said {
		out.Seen(t)
	}
	return source.Mine
}

// Close implements [source.LineReader].
func (r *errorReader) Close(out source.Sink) {
	for _, k := range r.order {
		r.end(k, out)
	}
	r.order = r.order[:0]
}

// end states what is known of the trouble of thread k.
func (r *errorReader) end(k string, out source.Sink) {
	if p := r.open[k]; p != nil {
		delete(r.open, k)
		out.State(&p.req)
	}
}

// expire states troubles that nothing was added to.
func (r *errorReader) expire(out source.Sink) {
	n := 0
	for n < len(r.order) {
		p := r.open[r.order[n]]
		if p != nil && len(r.order)-n < maxOpen && (r.at.IsZero() || r.at.Sub(p.at).Abs() < joinWithin) {
			break
		}
		r.end(r.order[n], out)
		n++
	}
	r.order = r.order[n:]
}
