package traefik

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var common = source.Format{
	ID:          "traefik-access",
	Tech:        tech,
	Title:       "Traefik access log",
	Sniff:       sniffCommon,
	NewReader:   func(*source.Env) source.LineReader { return &commonReader{} },
	Independent: true,
}

// entry is the parts of a common line: those of the common log format, and
// count, router, server and duration after them.
type entry struct {
	client, date, request, status, size, agent []byte
	router, server, took                       []byte
}

// cut splits a line. Only the tail of Traefik's makes it Traefik's.
func (e *entry) cut(b []byte) bool {
	if !bytes.HasSuffix(b, []byte("ms")) {
		return false
	}
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
	if _, rest, ok = maybeQuoted(rest); !ok {
		return false
	}
	if e.agent, rest, ok = maybeQuoted(rest); !ok {
		return false
	}
	count, rest := source.Field(rest)
	if !source.Int(count).Known && string(count) != "-" {
		return false
	}
	if e.router, rest, ok = maybeQuoted(rest); !ok {
		return false
	}
	if e.server, e.took, ok = maybeQuoted(rest); !ok {
		return false
	}
	return source.Int(e.took[:max(len(e.took)-2, 0)]).Known
}

// maybeQuoted reads a quoted field, or a bare word where there are no quotes.
func maybeQuoted(b []byte) (field, rest []byte, ok bool) {
	if len(b) > 0 && b[0] != '"' {
		field, rest = source.Field(b)
		return field, rest, len(rest) > 0
	}
	return source.Quoted(b)
}

func sniffCommon(l *source.Line) source.Confidence {
	var e entry
	if !e.cut(l.Text) {
		return source.No
	}
	if _, _, ok := source.CLFTime(e.date); !ok {
		return source.No
	}
	return source.Sure
}

// commonReader reads the common format.
type commonReader struct {
	req   fact.Request
	clock source.CommonClock
}

// Line implements [source.LineReader].
func (r *commonReader) Line(l *source.Line, out source.Sink) source.Took {
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
	q.Duration = source.Millis(e.took[:len(e.took)-2])
	q.Time, q.Res = at.Add(q.Duration.Or(0)), fact.Seconds(1)
	if string(e.client) != "-" {
		q.Client = source.View(e.client)
	}
	q.Status, q.Bytes = source.Int(e.status), source.Int(e.size)
	if method, target, proto, ok := source.RequestLine(e.request); ok {
		q.Method, q.Path, q.Proto = source.View(method), source.View(target), source.View(version(proto))
	}
	if string(e.agent) != "-" {
		q.UserAgent = source.View(e.agent)
	}
	if string(e.router) != "-" {
		q.Upstream = source.View(e.router)
	}
	// "/" is version 1's word for no server.
	asked := len(e.server) > 2
	if asked {
		q.Attempts = append(q.Attempts, fact.Attempt{Address: source.View(address(e.server))})
	}
	judge(q, q.Bytes, asked)
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *commonReader) Close(source.Sink) {}

// version shortens "2.0" to "2".
func version(b []byte) []byte {
	if len(b) == 3 && b[1] == '.' && b[2] == '0' && b[0] > '1' {
		return b[:1]
	}
	return b
}
