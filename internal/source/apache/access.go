package apache

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var access = source.Format{
	ID:          "apache-access",
	Tech:        tech,
	Title:       "Apache access log",
	Sniff:       sniffAccess,
	NewReader:   newAccessReader,
	Independent: true,
}

// unitHint is the key under which the configuration tells the unit of the time
// that log formats end with: "us", "ms" or "s".
const unitHint = "apache-time-unit"

// maxFront bounds what may stand before the date of an access line, in bytes:
// a virtual host, an address and a user's name.
const maxFront = 400

// entry is the parts of an access line.
type entry struct {
	vhost, client, date, request, status, size []byte
	tail                                       []byte // what follows the size
}

// cut splits an access line; ok is false if it has another shape.
func (e *entry) cut(b []byte) bool {
	open := bytes.Index(b[:min(len(b), maxFront)], []byte(" ["))
	if open < 0 || len(b) < open+30 || b[open+28] != ']' || b[open+4] != '/' || b[open+8] != '/' {
		return false
	}
	front := b[:open]
	e.client, front = source.Field(front)
	next, rest := source.Field(front)
	if next2, _ := source.Field(rest); len(next2) > 0 {
		// Four words: a virtual host stands first. A user's name with a blank
		// also has four, but then the first is the address.
		if isAddress(next) || !isAddress(e.client) && len(next) > 1 {
			e.vhost, e.client = e.client, next
		}
	}
	if len(next) == 0 {
		return false
	}
	e.date = b[open+2 : open+28]
	b = skipBlank(b[open+29:])
	var ok bool
	if e.request, b, ok = source.Quoted(b); !ok {
		return false
	}
	e.status, b = source.Field(b)
	if len(e.status) != 3 && string(e.status) != "-" {
		return false
	}
	e.size, e.tail = source.Field(b)
	return len(e.size) > 0 && (e.size[0] == '-' || e.size[0] >= '0' && e.size[0] <= '9')
}

func skipBlank(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// isAddress reports whether b begins as an IP address does.
func isAddress(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	hex, dots, colons := 0, 0, 0
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
		case c == '.':
			dots++
		case c == ':':
			colons++
		default:
			return false
		}
	}
	return dots == 3 && colons < 2 || dots%3 == 0 && colons > 1
}

// sniffAccess grades an access line. The bare formats are also those of
// others; a virtual host in front and a pair of times at the end are not.
func sniffAccess(l *source.Line) source.Confidence {
	var e entry
	if !e.cut(l.Text) {
		return source.No
	}
	if _, _, ok := source.CLFTime(e.date); !ok {
		return source.No
	}
	extra := e.extra()
	switch {
	case len(e.vhost) > 0 && bytes.IndexByte(e.vhost, ':') > 0 && len(extra) == 0:
		return source.Likely
	case pairOfTimes(extra):
		return source.Likely
	}
	return source.Possible
}

// extra is what follows referrer and agent.
func (e *entry) extra() []byte {
	b := e.tail
	for range 2 {
		_, rest, ok := source.Quoted(b)
		if !ok {
			break
		}
		b = rest
	}
	return b
}

// pairOfTimes recognises "%T/%D", seconds and microseconds of one duration.
func pairOfTimes(b []byte) bool {
	w, _ := source.Field(b)
	w = bytes.Trim(w, "*")
	i := bytes.IndexByte(w, '/')
	if i <= 0 {
		return false
	}
	s, us := source.Int(w[:i]), source.Int(w[i+1:])
	return s.Known && us.Known && us.N/1_000_000 == s.N
}

// accessReader reads one access log.
type accessReader struct {
	req   fact.Request
	unit  time.Duration // of a time at the end; 0 unknown
	clock source.CommonClock
}

func newAccessReader(env *source.Env) source.LineReader {
	r := &accessReader{}
	if h := env.Hints(unitHint); len(h) == 1 {
		r.unit = units[h[0]]
	}
	return r
}

var units = map[string]time.Duration{"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second}

// Line implements [source.LineReader].
func (r *accessReader) Line(l *source.Line, out source.Sink) source.Took {
	var e entry
	if !e.cut(l.Text) {
		return source.NotMine
	}
	at, ok := r.clock.Time(e.date)
	if !ok {
		return source.NotMine
	}
	q := &r.req
	q.Reset()
	q.Party = gateway()
	q.Time, q.Res = at, fact.Seconds(1)
	q.Client = source.View(e.client)
	if len(e.client) == 1 && e.client[0] == '-' {
		q.Client = ""
	}
	q.Host = source.View(vhost(e.vhost))
	q.Status, q.Bytes = source.Int(e.status), source.Int(e.size)
	if method, target, proto, ok := source.RequestLine(e.request); ok && len(proto) > 0 {
		q.Method, q.Path, q.Proto = source.View(method), source.View(target), source.View(bytes.TrimSuffix(proto, []byte(".0")))
		if string(proto) == "1.0" {
			q.Proto = "1.0"
		}
	}
	r.tail(&e)
	if q.Duration.Known {
		q.Time = q.Time.Add(q.Duration.D)
	}
	switch {
	case q.Status.Is(499):
		q.Ended = fact.ClientGone // some builds and LiteSpeed write nginx's code
	}
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *accessReader) Close(source.Sink) {}

// vhost is a virtual host without the standard ports.
func vhost(b []byte) []byte {
	if i := bytes.LastIndexByte(b, ':'); i > 0 && bytes.IndexByte(b[:i], ':') < 0 {
		return b[:i]
	}
	return b
}

// tail reads referrer, agent, and the fields that were appended.
func (r *accessReader) tail(e *entry) {
	q := &r.req
	b := e.tail
	if _, rest, ok := source.Quoted(b); ok {
		if agent, rest2, ok := source.Quoted(rest); ok {
			if string(agent) != "-" {
				q.UserAgent = source.View(agent)
			}
			rest = rest2
		}
		b = rest
	} else if source.HasPrefix(b, "- ") {
		b = b[2:]
	}
	times := 0
	for len(b) > 0 {
		var w []byte
		if _, rest, ok := source.Quoted(b); ok {
			b = rest
			continue
		}
		if w, b = source.Field(b); len(w) == 0 || w[0] == '"' {
			return
		}
		if d := r.took(w); d.Known {
			if times++; times == 1 {
				q.Duration = d
			} else if q.Duration.D > d.D && q.Duration.D-d.D > time.Second {
				return // two unlike numbers: bytes rather than times
			}
		}
	}
}

// sureMicros is from which a bare number at the end of a line can only be
// microseconds: as seconds it would be over the longest time-outs.
const sureMicros = 4000

// took reads one appended field as the duration of the request: %D in
// microseconds, %T in seconds, or both with a slash between. A bare number is
// told apart by the configuration, or by its size.
func (r *accessReader) took(w []byte) fact.Dur {
	w = bytes.Trim(w, "*")
	for _, name := range [...]string{"D=", "us=", "rt=", "time=", "took="} {
		if source.HasPrefix(w, name) {
			w = w[len(name):]
			break
		}
	}
	if i := bytes.IndexByte(w, '/'); i > 0 {
		if pairOfTimes(w) {
			return micros(w[i+1:])
		}
		return fact.Dur{}
	}
	w = bytes.TrimSuffix(w, []byte("us"))
	if bytes.HasSuffix(w, []byte("ms")) {
		return source.Millis(w[:len(w)-2])
	}
	n := source.Int(w)
	switch {
	case !n.Known || n.N < 0 || n.N > int64(24*time.Hour/time.Microsecond):
		return fact.Dur{}
	case r.unit > 0:
		if n.N > int64(24*time.Hour/r.unit) {
			return fact.Dur{}
		}
		return fact.Lasting(time.Duration(n.N) * r.unit)
	case n.N == 0 || n.N >= sureMicros:
		return micros(w)
	}
	return fact.Dur{}
}

func micros(b []byte) fact.Dur {
	n := source.Int(b)
	if !n.Known || n.N < 0 || n.N > int64(24*time.Hour/time.Microsecond) {
		return fact.Dur{}
	}
	return fact.Lasting(time.Duration(n.N) * time.Microsecond)
}
