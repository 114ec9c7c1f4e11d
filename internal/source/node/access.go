package node

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// accessLog reads morgan's formats dev, tiny and short, and the request lines
// of Next. morgan's common and combined are any server's: those of Apache.
var accessLog = source.AppRequests(source.Format{ID: "node-access", Tech: tech, Title: "request lines of morgan and Next"}, source.Likely, backend(), readAccess)

// answered says who made the status: this is the log of the one who did.
func answered(q *fact.Request) {
	if q.Status.Known {
		source.Answered(q)
	}
}

func readAccess(_ *source.Env, b []byte, q *fact.Request) bool {
	b = bytes.TrimSpace(b)
	if len(b) < 12 {
		return false
	}
	if i := bytes.Index(b, []byte(" - ")); i > 0 && i < 40 { // short: "addr - user GET / HTTP/1.1 200 5 - 1 ms"
		client := b[:i]
		user, rest := source.Field(b[i+3:])
		if len(user) > 0 && bytes.IndexByte(client, ' ') < 0 && method(rest) {
			q.Client = source.View(client)
			b = rest
		}
	}
	if !method(b) {
		return false
	}
	m, rest := source.Field(b)
	path, rest := source.Field(rest)
	if len(path) == 0 || path[0] != '/' && !source.HasPrefix(path, "http") {
		return false
	}
	if source.HasPrefix(rest, "HTTP/") {
		proto, after := source.Field(rest)
		q.Proto, rest = source.View(proto[5:]), after
	}
	status, rest := source.Field(rest)
	if string(status) != "-" {
		q.Status = source.Int(status)
		if !q.Status.Known || q.Status.N < 100 || q.Status.N > 599 {
			return false
		}
	} else {
		q.Ended = fact.ClientGone // morgan has no status where the answer was never sent
	}
	q.Method, q.Path = source.View(m), source.View(path)
	if after, ok := bytes.CutPrefix(rest, []byte("in ")); ok { // Next: "GET / 200 in 12ms"
		var left []byte
		q.Duration, left = took(after)
		left = bytes.TrimSpace(left)
		return q.Duration.Known && (len(left) == 0 || left[0] == '(')
	}
	first, rest := source.Field(rest)
	if sep, after := source.Field(rest); string(sep) == "-" { // tiny and short: "512 - 12.3 ms"
		q.Bytes = source.Int(first)
		q.Duration, _ = took(after)
		return q.Duration.Known || string(after) == "- ms"
	}
	unit, rest := source.Field(rest)
	dash, size := source.Field(rest)
	if string(unit) != "ms" || string(dash) != "-" { // dev: "12.3 ms - 512"
		return false
	}
	q.Duration = millis(first)
	q.Bytes = source.Int(size)
	return q.Duration.Known || string(first) == "-"
}

// took reads "12ms", "1.2s", "12.3 ms" from the front of b.
func took(b []byte) (fact.Dur, []byte) {
	i := 0
	for i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] == '.') {
		i++
	}
	rest := bytes.TrimLeft(b[i:], " ")
	switch {
	case source.HasPrefix(rest, "ms"):
		return millis(b[:i]), rest[2:]
	case source.HasPrefix(rest, "s"):
		return source.Secs(b[:i]), rest[1:]
	}
	return fact.Dur{}, b
}

// millis reads milliseconds with a fraction.
func millis(b []byte) fact.Dur {
	d := source.Secs(b)
	if !d.Known {
		return d
	}
	return fact.Lasting(d.D / 1000)
}

func method(b []byte) bool {
	i := bytes.IndexByte(b, ' ')
	if i < 3 || i > 7 {
		return false
	}
	switch string(b[:i]) {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		return true
	}
	return false
}
