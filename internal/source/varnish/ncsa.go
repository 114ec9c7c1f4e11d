package varnish

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var access = source.Format{
	ID:          "varnish-access",
	Tech:        tech,
	Title:       "varnishncsa access log",
	Sniff:       sniffAccess,
	NewReader:   func(*source.Env) source.LineReader { return &accessReader{attrs: map[string]string{}} },
	Independent: true,
}

// entry is the parts of a line in the combined format.
type entry struct {
	client, date, request, status, size, agent, tail []byte
}

func (e *entry) cut(b []byte) bool {
	open := bytes.Index(b[:min(len(b), 300)], []byte(" ["))
	if open < 0 || len(b) < open+30 || b[open+28] != ']' {
		return false
	}
	e.client, _ = source.Field(b[:open])
	e.date = b[open+2 : open+28]
	rest := bytes.TrimLeft(b[open+29:], " ")
	var ok bool
	if e.request, rest, ok = source.Quoted(rest); !ok {
		return false
	}
	e.status, rest = source.Field(rest)
	e.size, rest = source.Field(rest)
	if _, rest, ok = source.Quoted(rest); !ok {
		return false
	}
	if e.agent, rest, ok = source.Quoted(rest); !ok {
		return false
	}
	e.tail = rest
	return len(e.status) == 3
}

// absolute finds the target of a request line that names its host, as
// varnishncsa writes %r.
func absolute(request []byte) bool {
	_, rest := source.Field(request)
	return source.HasPrefix(rest, "http://") || source.HasPrefix(rest, "https://")
}

// handlings are the values of %{Varnish:handling}x.
var handlings = map[string]bool{"hit": true, "miss": true, "pass": true, "pipe": true, "synth": true, "hitmiss": true, "hitpass": true, "streaming-hit": true}

func (e *entry) handled() bool {
	for b := e.tail; len(b) > 0; {
		var w []byte
		if w, b = source.Field(b); handlings[string(bytes.Trim(w, `"`))] {
			return true
		}
	}
	return false
}

func sniffAccess(l *source.Line) source.Confidence {
	var e entry
	if !e.cut(l.Text) {
		return source.No
	}
	if _, _, ok := source.CLFTime(e.date); !ok {
		return source.No
	}
	switch abs := absolute(e.request); {
	case e.handled() && abs:
		return source.Sure
	case e.handled(), abs:
		return source.Likely
	case l.Program == "varnishncsa":
		return source.Sure
	}
	return source.No
}

// accessReader reads varnishncsa's lines.
type accessReader struct {
	req   fact.Request
	attrs map[string]string
	clock source.CommonClock
}

// Line implements [source.LineReader].
func (r *accessReader) Line(l *source.Line, out source.Sink) source.Took {
	var e entry
	if !e.cut(l.Text) || !absolute(e.request) && !e.handled() && l.Program != "varnishncsa" {
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
	if string(e.client) != "-" {
		q.Client = source.View(e.client)
	}
	q.Status, q.Bytes = source.Int(e.status), source.Int(e.size)
	if string(e.agent) != "-" {
		q.UserAgent = source.View(e.agent)
	}
	if method, target, proto, ok := source.RequestLine(e.request); ok {
		q.Method, q.Proto = source.View(method), source.View(proto)
		if i := bytes.Index(target, []byte("://")); i > 0 && i < 8 {
			rest := target[i+3:]
			slash := bytes.IndexByte(rest, '/')
			if slash < 0 {
				slash = len(rest)
			}
			q.Host, target = source.View(rest[:slash]), rest[slash:]
		}
		q.Path = source.View(target)
	}
	r.tail(e.tail)
	q.Time = q.Time.Add(q.Duration.Or(0))
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *accessReader) Close(source.Sink) {}

// tail reads the fields that were appended: %D in microseconds, times in
// seconds, the handling, and a FetchError.
func (r *accessReader) tail(b []byte) {
	q := &r.req
	for first := true; len(b) > 0; first = false {
		if w, rest, ok := source.Quoted(b); ok {
			r.word(w, first)
			b = rest
			continue
		}
		next, _ := source.Field(b)
		plain := len(next) < 2 || next[0] >= '0' && next[0] <= '9' || handlings[string(next)]
		if e, ok := readFetchError(b, false); ok && !plain && q.Status.Is(503) && q.Ended == "" {
			q.Ended, q.Phase, q.Errno = e.ended, e.phase, e.errno
			q.Writer, q.Detail = fact.WriterSelf, source.View(b)
			return
		}
		var w []byte
		w, b = source.Field(b)
		r.word(w, first)
	}
}

// word reads one appended field. A whole number is %D only where it comes
// first; further on it may be a transaction's number.
func (r *accessReader) word(w []byte, first bool) {
	q := &r.req
	switch {
	case handlings[string(w)]:
		clear(r.attrs)
		r.attrs[fact.AttrCacheStatus] = string(bytes.ToUpper(w))
		q.Attrs = r.attrs
	case q.Duration.Known || len(w) == 0:
	default:
		if n := source.Int(w); first && n.Known && n.N >= 0 && n.N < int64(24*time.Hour/time.Microsecond) {
			q.Duration = fact.Lasting(time.Duration(n.N) * time.Microsecond)
		} else if bytes.IndexByte(w, '.') > 0 {
			q.Duration = source.Secs(w)
		}
	}
	if e, ok := readFetchError(w, false); ok && q.Status.Is(503) && q.Ended == "" && bytes.IndexByte(w, ' ') > 0 {
		q.Ended, q.Phase, q.Errno = e.ended, e.phase, e.errno
		q.Writer, q.Detail = fact.WriterSelf, source.View(w)
	}
}
