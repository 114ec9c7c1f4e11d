package python

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// accessLog reads the request lines of Werkzeug and Django's runserver, whose
// stamp has no zone, and of aiohttp, which leaves out two of the common
// format's fields.
var accessLog = source.AppRequests(source.Format{ID: "python-access", Tech: tech, Title: "request lines of Werkzeug, Django and aiohttp"}, source.Sure, backend(), readAccess)

// readAccess: `10.0.0.4 - - [09/Mar/2026 14:00:00] "GET / HTTP/1.1" 200 -`,
// `[09/Mar/2026 14:00:00] "GET / HTTP/1.1" 200 512` and `10.0.0.4
// [09/Mar/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 150 "-" "curl"`, after
// whatever a logger put before.
func readAccess(env *source.Env, b []byte, q *fact.Request) bool {
	i := bytes.Index(b, []byte(`] "`))
	if i < 21 {
		return false
	}
	open := bytes.LastIndexByte(b[:i], '[')
	if open < 0 {
		return false
	}
	stamp, before := b[open+1:i], bytes.TrimRight(b[:open], " ")
	bare := bytes.TrimSuffix(before, []byte(" - -"))
	zoned := false
	if t, ok := clock(env, stamp); ok {
		q.Time = t
	} else if t, _, ok := source.CLFTime(stamp); ok && len(bare) == len(before) && len(bare) > 6 {
		q.Time, zoned = t, true
	} else {
		return false
	}
	if len(bare) > 0 {
		client := bare[bytes.LastIndexByte(bare, ' ')+1:]
		if zoned && (len(client) != len(bare) || !address(client)) {
			return false
		}
		if address(client) {
			q.Client = source.View(client)
		}
	}
	q.Res = fact.Lasting(time.Second)
	line, rest, ok := source.Quoted(b[i+2:])
	if !ok {
		return false
	}
	method, path, proto, ok := source.RequestLine(line)
	status, rest := source.Field(rest)
	q.Status = source.Int(status)
	if !ok || proto == nil || !q.Status.Known {
		return false
	}
	size, _ := source.Field(rest)
	q.Bytes = source.Int(size)
	q.Method, q.Path, q.Proto = source.View(method), source.View(path), source.View(proto)
	return true
}

// clock reads "09/Mar/2026 14:00:00".
func clock(env *source.Env, b []byte) (time.Time, bool) {
	if len(b) != 20 || b[2] != '/' || b[6] != '/' || b[11] != ' ' || b[14] != ':' || b[17] != ':' {
		return time.Time{}, false
	}
	mon := source.Month(b[3:6])
	d, y := source.Int(b[:2]), source.Int(b[7:11])
	h, m, s := source.Int(b[12:14]), source.Int(b[15:17]), source.Int(b[18:20])
	if mon == 0 || d.Or(-1) < 0 || y.Or(-1) < 0 || h.Or(-1) < 0 || m.Or(-1) < 0 || s.Or(-1) < 0 {
		return time.Time{}, false
	}
	return env.Local(int(y.N), mon, int(d.N), int(h.N), int(m.N), int(s.N), 0), true
}

// address reports whether b may be an IP address.
func address(b []byte) bool {
	dots := 0
	for _, c := range b {
		switch {
		case c == '.' || c == ':':
			dots++
		case c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f':
		default:
			return false
		}
	}
	return dots > 1
}

// common reads a line of the common or combined format, which servers such as
// gunicorn write among the tracebacks of their applications. Alone it could be
// any server's.
func (r *reader) common(b []byte, out source.Sink) bool {
	client, t, line, rest, ok := source.CommonFront(b)
	if !ok {
		return false
	}
	q := &r.q
	*q = fact.Request{}
	method, path, proto, _ := source.RequestLine(line)
	status, rest := source.Field(rest)
	size, rest := source.Field(rest)
	if q.Status = source.Int(status); !q.Status.Known {
		return false
	}
	_, rest, _ = source.Quoted(rest)
	_, rest, _ = source.Quoted(rest)
	switch n := source.Int(rest); {
	case bytes.IndexByte(rest, '.') > 0:
		q.Duration = source.Secs(rest)
	case n.Known && n.N >= 1000 && n.N < 1e12: // microseconds: no answer is sooner, no seconds are as many
		q.Duration = fact.Lasting(time.Duration(n.N) * time.Microsecond)
	}
	q.Time, q.Res, q.Party, q.Bytes = t, fact.Lasting(time.Second), backend(), source.Int(size)
	if address(client) {
		q.Client = source.View(client)
	}
	q.Method, q.Path, q.Proto = source.View(method), source.View(path), source.View(proto)
	source.Answered(q)
	out.State(q)
	return true
}
