package golang

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// accessLog reads the request lines of gin and of chi's middleware.Logger.
var accessLog = source.AppRequests(source.Format{ID: "go-access", Tech: tech, Title: "request lines of gin and chi"}, source.Sure, backend(), readAccess)

func readAccess(env *source.Env, b []byte, q *fact.Request) bool {
	b = bytes.TrimSpace(b)
	if rest, ok := bytes.CutPrefix(b, []byte("[GIN] ")); ok {
		return readGin(env, rest, q)
	}
	return readChi(env, b, q)
}

// readGin: 2026/03/09 - 14:00:00 | 200 |    1.2345ms |    10.0.0.4 | GET      "/cart"
func readGin(env *source.Env, b []byte, q *fact.Request) bool {
	f := bytes.SplitN(b, []byte("|"), 5)
	if len(f) != 5 {
		return false
	}
	stamp := bytes.Replace(bytes.TrimSpace(f[0]), []byte(" - "), []byte(" "), 1)
	if t, res, _, ok := source.SlashTime(env, stamp); ok {
		q.Time, q.Res = t, fact.Lasting(res)
	}
	q.Status = source.Int(bytes.TrimSpace(f[1]))
	q.Duration = duration(bytes.TrimSpace(f[2]))
	q.Client = source.View(bytes.TrimSpace(f[3]))
	method, path := source.Field(bytes.TrimSpace(f[4]))
	path, _, ok := source.Quoted(path)
	q.Method, q.Path = source.View(method), source.View(path)
	return ok && q.Status.Known
}

// readChi: 2026/03/09 14:00:00 [host/Ab-000001] "GET http://h/cart HTTP/1.1"
// from 10.0.0.4:51234 - 200 512B in 1.2ms
func readChi(env *source.Env, b []byte, q *fact.Request) bool {
	if t, res, rest, ok := source.SlashTime(env, b); ok {
		q.Time, q.Res, b = t, fact.Lasting(res), bytes.TrimLeft(rest, " ")
	}
	if id, rest, ok := source.Bracketed(b); ok {
		q.IDs = append(q.IDs, source.View(id))
		b = rest
	}
	line, rest, ok := source.Quoted(b)
	if !ok || !source.HasPrefix(rest, "from ") {
		return false
	}
	method, target, proto, ok := source.RequestLine(line)
	client, rest := source.Field(rest[len("from "):])
	rest, dash := bytes.CutPrefix(rest, []byte("- "))
	if !ok || !dash {
		return false
	}
	if i := bytes.Index(target, []byte("://")); i > 0 {
		target = target[i+3:]
		if j := bytes.IndexByte(target, '/'); j >= 0 {
			q.Host, target = source.View(target[:j]), target[j:]
		}
	}
	status, rest := source.Field(rest)
	size, rest := source.Field(rest)
	took, ok := bytes.CutPrefix(rest, []byte("in "))
	q.Client, q.Method, q.Path, q.Proto = source.View(client), source.View(method), source.View(target), source.View(proto)
	q.Status, q.Bytes = source.Int(status), source.Int(bytes.TrimSuffix(size, []byte("B")))
	q.Duration = duration(took)
	return ok && q.Status.Known
}

// duration reads what time.Duration prints, "1m2.5s" and "85.3µs"; any blanks
// end it.
func duration(b []byte) fact.Dur {
	f, _ := source.Field(b)
	if len(f) == 0 || len(f) > 32 {
		return fact.Dur{}
	}
	d, err := time.ParseDuration(source.View(f))
	if err != nil || d < 0 {
		return fact.Dur{}
	}
	return fact.Lasting(d)
}
