package haproxy

import (
	"bytes"

	"culprit/internal/source"
)

// sniffAccess recognises an access line by its date and its timers.
func sniffAccess(l *source.Line) source.Confidence {
	b := l.Text
	at := stampAt(b)
	if at < 0 {
		if _, _, ok := connectLine(b); ok {
			return source.Sure
		}
		return source.No
	}
	if b[at+21] == ' ' {
		if _, ok := cutCLF(b); ok {
			return source.Sure
		}
	}
	i := bytes.IndexByte(b[at:], ']')
	if i < 0 || at+i+2 > len(b) {
		return source.No
	}
	rest := skipBlank(b[at+i+1:])
	var n line
	if n.read(rest) {
		return source.Sure
	}
	if handshake(rest) {
		return source.Likely
	}
	if n.search(rest) {
		return source.Sure
	}
	return source.No
}

// handshake reports whether a line is of the kind HAProxy writes about a
// client's connection that came to no request: "fe/bind: SSL handshake
// failure". They say nothing of servers.
func handshake(b []byte) bool {
	i := bytes.Index(b, []byte(": "))
	if i <= 0 || bytes.IndexByte(b[:i], '/') <= 0 || bytes.IndexByte(b[:i], ' ') >= 0 {
		return false
	}
	text := b[i+2:]
	for _, w := range [...]string{"SSL", "TLS", "PROXY protocol", "onnection closed", "onnection error", "NetScaler", "Timeout during", "SOCKS4"} {
		if source.Has(text, w) {
			return true
		}
	}
	return false
}

// connect reads the line of a proxy without any log option,
// "Connect from 10.0.0.9:40780 to 10.0.0.1:80 (main/HTTP)". It is written when
// the connection comes in, and tells nothing more.
func (r *accessReader) connect(l *source.Line, out source.Sink) source.Took {
	if _, _, ok := connectLine(l.Text); !ok {
		return source.NotMine
	}
	out.Seen(l.Time)
	return source.Mine
}

func connectLine(b []byte) (from, to []byte, ok bool) {
	const word = "Connect from "
	i := bytes.Index(b[:min(len(b), maxPrefix)], []byte(word))
	if i < 0 {
		return nil, nil, false
	}
	from, rest := source.Field(b[i+len(word):])
	if !source.HasPrefix(rest, "to ") {
		return nil, nil, false
	}
	to, rest = source.Field(rest[3:])
	ok = len(rest) > 2 && rest[0] == '(' && (bytes.HasSuffix(rest, []byte("/HTTP)")) || bytes.HasSuffix(rest, []byte("/TCP)")))
	return from, to, ok
}

// captured reads captured headers, "{shop.example.com|curl/8|…}": a host, and
// numbers that identify the request.
func (r *accessReader) captured(b []byte) {
	for len(b) > 0 {
		v := b
		if i := bytes.IndexByte(b, '|'); i >= 0 {
			v, b = b[:i], b[i+1:]
		} else {
			b = nil
		}
		switch {
		case isID(v):
			r.req.IDs = append(r.req.IDs, source.View(v))
		case r.req.Host == "" && isHost(v):
			r.req.Host = source.View(v)
		}
	}
}

// isHost reports whether v reads like a host name with a dot, perhaps with a
// port, and is no IP address: that would rather be a forwarded client.
func isHost(v []byte) bool {
	if len(v) < 4 || len(v) > 253 {
		return false
	}
	dot, letter := false, false
	for i, c := range v {
		switch {
		case c == '.':
			dot = i > 0
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letter = true
		case c >= '0' && c <= '9' || c == '-' || c == '_':
		case c == ':' && i > 0:
			return dot && letter && source.Int(v[i+1:]).Known
		default:
			return false
		}
	}
	return dot && letter
}

// isID reports whether v is a request id: a UUID, a traceparent, or HAProxy's
// own `unique-id-format %{+X}o\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid`.
func isID(v []byte) bool {
	if len(v) < 16 || len(v) > 128 {
		return false
	}
	hex, dashes, seps := 0, 0, 0
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
		case c == '-':
			dashes++
		case c == ':' || c == '_':
			seps++
		default:
			return false
		}
	}
	switch {
	case seps == 0 && dashes == 0:
		return hex == 32 || hex == 16
	case seps == 0:
		return hex == 32 && dashes == 4 || dashes == 3 && hex == 52
	}
	return dashes == 0 && seps >= 4 && hex >= 20
}

// clfLine is what follows the quoted referrer and agent, both empty, in
// HAProxy's CLF.
type clfLine struct {
	front, back []byte
}

// cutCLF recognises `option httplog clf`: a common-log line whose referrer and
// agent are empty and followed by the client's port and milliseconds.
func cutCLF(b []byte) (q clfLine, ok bool) {
	const mark = ` "" "" `
	i := bytes.Index(b, []byte(mark))
	if i < 0 {
		return q, false
	}
	q.front, q.back = b[:i], b[i+len(mark):]
	port, rest := source.Field(q.back)
	ms, rest := source.Field(rest)
	return q, source.Int(port).Known && source.Int(ms).Known && len(rest) > 0 && rest[0] == '"'
}

// clf reads a line that cutCLF cut.
func (r *accessReader) clf(l *source.Line, c clfLine, out source.Sink) source.Took {
	q := &r.req
	q.Reset()
	q.Party = gateway()
	open := bytes.IndexByte(c.front, '[')
	if open < 0 {
		return source.NotMine
	}
	start, rest, ok := source.CLFTime(c.front[open+1:])
	if !ok || len(rest) < 2 || rest[0] != ']' {
		return source.NotMine
	}
	var n line
	n.request, rest, ok = source.Quoted(skipBlank(rest[1:]))
	if !ok {
		return source.NotMine
	}
	status, rest := source.Field(rest)
	n.status, n.bytes = source.Int(status), source.Int(rest)
	port, rest := source.Field(c.back)
	ms, rest := source.Field(rest)
	var name [3][]byte
	for i := range name {
		if name[i], rest, ok = source.Quoted(rest); !ok {
			return source.Broken
		}
	}
	n.frontend, n.backend, n.server = name[0], name[1], name[2]
	n.pair = bytes.Join([][]byte{n.backend, n.server}, []byte("/"))
	for n.timers = 0; n.timers < len(n.timer); n.timers++ {
		var w []byte
		w, rest = source.Field(rest)
		v := source.Int(bytes.TrimPrefix(w, []byte("+")))
		if !v.Known {
			return source.Broken
		}
		n.timer[n.timers] = int(v.N)
	}
	if n.state, rest = source.Field(rest); len(n.state) > 2 && n.state[0] == '"' {
		n.state = bytes.Trim(n.state, `"`)
	}
	if len(n.state) < 2 || !stateLetters(n.state) {
		return source.Broken
	}
	var count [7]int
	for i := range count {
		var w []byte
		w, rest = source.Field(rest)
		count[i] = small(w)
	}
	n.retries, n.queued = count[4], count[5]+count[6]
	start = start.Add(source.Millis(ms).Or(0))
	client, _ := source.Field(c.front)
	who := append(append(append([]byte{}, client...), ':'), port...)
	r.state(&n, who, start, l)
	q.Client = string(who)
	for rest = skipBlank(rest); len(rest) > 0; {
		var v []byte
		if v, rest, ok = source.Quoted(rest); !ok {
			break
		}
		r.captured(v)
	}
	out.State(q)
	return source.Mine
}
