package nginx

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// sniffError says whether a line is of nginx's error log.
func sniffError(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 12 {
		return source.No
	}
	if b[0] == '{' {
		in := *l
		if !shipped(&source.Env{}, &in) {
			return source.No
		}
		return sniffError(&in) - 5 // the record may be another's, who knows more of it
	}
	e := parse(&source.Env{}, b)
	var h source.Holes
	switch {
	case e.klog:
		if _, ok := controllerRules.Match(e.text, &h); ok {
			return source.Likely + 10
		}
		return source.No
	case e.framed && !e.time.IsZero() && e.pid > 0:
		return source.Sure
	case e.framed && e.pid > 0 && bytes.IndexByte(b, '#') > 0, source.HasPrefix(b, "nginx: ["):
		return source.Sure - 5
	}
	r, ok := e.rule(&h)
	switch {
	case !ok || !r.telling:
		return source.No
	case e.framed:
		return source.Possible
	case ours(l):
		return source.Likely
	}
	return source.Fragment
}

// maxPending bounds a message of several lines, in bytes: nginx cuts its own
// at 2 KiB, what PHP adds comes in further messages.
const maxPending = 16 << 10

// errorReader reads an error log.
type errorReader struct {
	env     *source.Env
	out     source.Sink
	req     fact.Request
	pending []byte // a message whose quote is still open
	from    source.Line
	trace   bool // the last message may go on in lines of a stack trace
	said    map[string]bool
}

func newErrorReader(env *source.Env) source.LineReader {
	return &errorReader{env: env, said: map[string]bool{}}
}

// Line implements [source.LineReader].
func (r *errorReader) Line(l *source.Line, out source.Sink) source.Took {
	r.out = out
	if len(l.Text) == 0 {
		return source.NotMine
	}
	if in := *l; l.Text[0] == '{' && shipped(r.env, &in) {
		l = &in
	}
	e := parse(r.env, l.Text)
	if e.framed || e.klog {
		r.flush()
	} else if r.pending != nil {
		r.pending = append(append(r.pending, '\n'), l.Text[:min(len(l.Text), maxPending-len(r.pending))]...)
		if closes(l.Text) || len(r.pending) >= maxPending-1 {
			r.flush()
		}
		return source.Mine
	} else if r.trace && continues(l.Text) {
		return source.Mine
	}
	r.trace = false
	if e.time.IsZero() {
		e.time, e.res = l.Time, l.Res
	}
	if e.framed && opens(e.text) {
		r.pending = append(r.pending[:0:0], l.Text...)
		r.from = *l
		return source.Mine
	}
	return r.read(&e, l)
}

// opens reports whether a message quotes what FastCGI wrote, and the quote
// does not end in its line.
func opens(text []byte) bool {
	i := bytes.Index(text, []byte(`FastCGI sent in stderr: "`))
	return i >= 0 && !closes(text[i:])
}

func closes(b []byte) bool {
	return source.Has(b, `" while `) || source.Has(b, `", client: `)
}

// continues reports whether a line without a frame belongs to the message
// before it.
func continues(b []byte) bool {
	return b[0] == '\t' || source.HasPrefix(b, "stack traceback") || source.HasPrefix(b, "coroutine ") ||
		b[0] == ' ' && (source.Has(b, "client: ") || source.Has(b, "request: \""))
}

// flush reads the message that was gathered.
func (r *errorReader) flush() {
	if r.pending == nil {
		return
	}
	text := r.pending
	r.pending = nil
	e := parse(r.env, text)
	if e.time.IsZero() {
		e.time, e.res = r.from.Time, r.from.Res
	}
	l := r.from
	l.Text = text
	r.read(&e, &l)
}

// read states what one message tells.
func (r *errorReader) read(e *entry, l *source.Line) source.Took {
	x := &report{entry: e, r: r, line: l.N}
	if e.klog {
		if do, ok := controllerRules.Match(e.text, &x.holes); ok {
			do(x)
			return source.Mine
		}
		return source.NotMine
	}
	rule, ok := e.rule(&x.holes)
	if !e.framed && (!ok || !rule.telling) {
		return source.NotMine
	}
	r.trace = e.framed
	switch {
	case ok:
		rule.do(x)
	case e.level == "emerg":
		x.broken()
	case len(e.upstream) > 0 && e.grave() && e.towardsMember():
		x.fail("", e.phase())
	}
	r.out.Seen(e.time)
	return source.Mine
}

func (e *entry) grave() bool {
	switch e.level {
	case "error", "crit", "alert", "emerg":
		return true
	}
	return e.level == "" // unknown
}

// Close implements [source.LineReader].
func (r *errorReader) Close(out source.Sink) {
	r.out = out
	r.flush()
}

// report is an entry on its way to facts.
type report struct {
	*entry
	r     *errorReader
	line  int
	holes source.Holes
}

func (x *report) head(h *fact.Header) {
	h.Time, h.Res = x.time, x.res
	h.Party = party
	h.Party.PID = x.pid
	h.Origin.Line = x.line
}

// fail states the trouble of one try, or of the request itself where no
// member was asked.
func (x *report) fail(m fact.Mechanism, p fact.Phase) {
	q := x.ask(m, p)
	x.r.out.State(q)
}

// ask fills a Request with what the line tells of it.
func (x *report) ask(m fact.Mechanism, p fact.Phase) *fact.Request {
	q := &x.r.req
	q.Reset()
	x.head(&q.Header)
	q.Partial = true
	q.ConnID = x.conn
	q.Client = source.View(bytes.TrimSpace(x.client))
	if len(x.entry.request) > 0 {
		q.Method, q.Path, q.Proto = asked(x.entry.request)
	}
	q.Path, q.Host = relative(q.Path, source.View(x.host))
	if q.Host == "" && plainName(x.server) {
		q.Host = source.View(x.server)
	}
	q.Ended, q.Phase, q.Errno = m, p, x.errno
	q.Detail = string(x.text)
	addr := address(x.upstream)
	if len(addr) > 0 {
		if groupName(addr) {
			q.Upstream = source.View(addr)
		}
		a := try(q, 0)
		a.Address, a.Ended, a.Errno = source.View(addr), m, x.errno
	}
	return q
}

// plainName reports whether a server's name is a host's, not "_" or a pattern.
func plainName(b []byte) bool {
	return len(b) > 1 && b[0] != '~' && b[0] != '*' && bytes.IndexByte(b, ':') < 0 && bytes.IndexByte(b, '.') > 0
}

// event makes an Event of what the line tells.
func (x *report) event(kind fact.EventKind) *fact.Event {
	ev := &fact.Event{Kind: kind, Detail: string(x.text)}
	x.head(&ev.Header)
	ev.Client = string(bytes.TrimSpace(x.client))
	if len(x.entry.request) > 0 {
		m, target, _ := asked(x.entry.request)
		target, _ = relative(target, "")
		ev.Method, ev.Path = strings.Clone(m), strings.Clone(target)
	}
	return ev
}

func (x *report) state(f fact.Fact) { x.r.out.State(f) }

// once reports true for the first call with key.
func (x *report) once(key string) bool {
	if x.r.said[key] {
		return false
	}
	x.r.said[key] = true
	return true
}
