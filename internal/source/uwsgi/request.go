package uwsgi

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// requestLine reports whether b is a request line:
//
//	[pid: 12|app: 0|req: 3/9] 10.0.0.1 () {44 vars in 875 bytes} [Tue Oct  4 10:34:14 2026] GET /x => generated 0 bytes in 1747 msecs (HTTP/1.1 200) 5 headers in 90 bytes (1 switches on core 0)
func requestLine(b []byte) bool {
	return source.HasPrefix(b, "[pid: ") && source.Has(b, " => generated ")
}

// request reads a request line. Its stamp is when the request came.
func (r *reader) request(l *source.Line, b []byte, out source.Sink) source.Took {
	q := &r.q
	*q = fact.Request{}
	q.Party = backend()
	if pid, ok := source.Between(b, "[pid: ", "|"); ok {
		q.Party.PID = source.PID(pid)
	}
	i := bytes.Index(b, []byte("] "))
	if i < 0 {
		return source.Broken
	}
	client, rest := source.Field(b[i+2:])
	if string(client) != "-" {
		q.Client = source.View(client)
	}
	i = bytes.Index(rest, []byte("} ["))
	if i < 0 {
		return source.Broken
	}
	rest = rest[i+3:]
	start, res, after, ok := source.ANSITime(r.env, rest)
	if !ok {
		return source.Broken
	}
	line, answer, ok := bytes.Cut(bytes.TrimPrefix(after, []byte("] ")), []byte(" => generated "))
	if !ok {
		return source.Broken
	}
	method, path, _, _ := source.RequestLine(line)
	q.Method, q.Path = source.View(method), source.View(path)
	size, answer := source.Field(answer)
	q.Bytes = source.Int(size)
	if took, ok := source.Between(answer, " in ", " msecs"); ok {
		q.Duration = source.Millis(took)
	} else if took, ok := source.Between(answer, "in ", " micros"); ok {
		if n := source.Int(took); n.Known && n.N >= 0 && n.N < 1e15 {
			q.Duration = fact.Lasting(time.Duration(n.N) * time.Microsecond)
		}
	}
	q.Time, q.Res = start.Add(q.Duration.Or(0)), fact.Lasting(res)
	if proto, ok := source.Between(answer, "(HTTP/", ")"); ok {
		v, status := source.Field(proto)
		q.Proto, q.Status = source.View(v), source.Int(status)
	}
	source.Answered(q)
	if headers, ok := source.Between(answer, " headers in ", " bytes"); ok && string(headers) == "0" && q.Bytes.Is(0) {
		// Nothing was written at all: the connection had gone.
		q.Ended, q.Writer = fact.ClientGone, fact.WriterUnknown
	}
	out.State(q)
	return source.Mine
}
