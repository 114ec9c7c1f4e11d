// Package caddy reads what Caddy writes: the JSON records of version 2 (access
// log, errors of handlers, reverse_proxy and its health checks, the process),
// the same in its console format, the error lines of version 1, and the parts
// of a Caddyfile that decide how it proxies.
//
// A record's ts is when it was written, which is the end of the request. An
// access record does not say who made its status: Caddy's own errors are empty
// and carry no header but its own. What went wrong is the message of a record
// of the logger http.log.error, in the words of Go's net package.
package caddy

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "caddy"

// Formats are the formats of Caddy.
var Formats = []source.Format{records, console, old, caddyfile}

func gateway() fact.Party { return fact.Party{Role: fact.RoleGateway, Tech: tech} }

var records = source.Format{
	ID:          "caddy-json",
	Tech:        tech,
	Title:       "Caddy log, JSON",
	Sniff:       sniffRecord,
	NewReader:   func(env *source.Env) source.LineReader { return &recordReader{env: env, attrs: map[string]string{}} },
	Independent: true,
}

// sniffRecord knows Caddy's records by level, ts and the names of its loggers.
func sniffRecord(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 20 || b[0] != '{' {
		return source.No
	}
	head := b[:min(len(b), 400)]
	switch {
	case source.Has(head, `"logger":"http.log.`), source.Has(head, `"logger":"http.handlers.`), source.Has(head, `"logger":"tls.cache`), source.Has(head, `"logger":"admin.api`), source.Has(head, `"logger":"http.auto_https"`):
		return source.Sure
	case source.Has(head, `"err_trace"`), source.Has(b, `"err_trace":"reverseproxy.`):
		return source.Sure
	case source.Has(head, `"logger":"admin`), source.Has(head, `"logger":"tls`), source.Has(head, `"logger":"http`):
		if source.Has(head, `"level":"`) && source.Has(head, `"ts":`) {
			return source.Likely
		}
	}
	for _, m := range [...]string{"using provided configuration", "using config from file", "using adjacent Caddyfile", "serving initial configuration", "autosaved config (load with", "adapted config to JSON", "Caddyfile input is not formatted", "maxprocs: ", "GOMEMLIMIT is updated", "shutting down apps", "exiting; byeee"} {
		if source.Has(head, `"msg":"`+m) && source.Has(head, `"level":"`) {
			return source.Likely
		}
	}
	if source.Has(head, `"msg":"handled request"`) && source.Has(head, `"request":{`) {
		return source.Sure // a log of its own, without a logger's name
	}
	return source.No
}

// record is what a JSON record holds.
type record struct {
	level, logger, msg  []byte
	ts                  []byte
	request, respHeader []byte
	duration            []byte
	size, status        fact.Int
	errID, errText      []byte
	upstream            []byte
	statusCode          fact.Int
	exitCode            fact.Int
}

func (r *record) set(name, value []byte) {
	switch string(name) {
	case "level":
		r.level = source.JSONText(value)
	case "logger":
		r.logger = source.JSONText(value)
	case "msg", "message":
		r.msg = source.JSONText(value)
	case "ts", "time", "timestamp":
		r.ts = value
	case "request":
		r.request = value
	case "resp_headers":
		r.respHeader = value
	case "duration", "latency":
		r.duration = value
	case "size":
		r.size = source.JSONInt(value)
	case "status":
		r.status = source.JSONInt(value)
	case "status_code":
		r.statusCode = source.JSONInt(value)
	case "exit_code":
		r.exitCode = source.JSONInt(value)
	case "err_id":
		r.errID = source.JSONText(value)
	case "error", "err":
		r.errText = source.JSONText(value)
	case "host", "upstream", "addr":
		if r.upstream == nil || string(name) == "upstream" {
			r.upstream = source.JSONText(value)
		}
	}
}

// recordReader reads JSON records.
type recordReader struct {
	env    *source.Env
	req    fact.Request
	attrs  map[string]string
	rec    record
	client []byte
	stated bool
}

// Line implements [source.LineReader].
func (r *recordReader) Line(l *source.Line, out source.Sink) source.Took {
	if sniffRecord(l) == source.No && !mayFollow(l.Text) {
		return source.NotMine
	}
	r.rec = record{}
	_, whole := source.Members(l.Text, r.rec.set)
	if len(r.rec.msg) == 0 && len(r.rec.request) == 0 {
		if !whole {
			return source.Broken
		}
		return source.NotMine
	}
	t, res := when(r.env, r.rec.ts)
	if t.IsZero() {
		t, res = l.Time, l.Res
	}
	r.state(t, res, out)
	return source.Mine
}

// mayFollow reports whether a line without a known logger still has the shape
// of Caddy's records: a plugin's, for one.
func mayFollow(b []byte) bool {
	return source.HasPrefix(b, `{"level":"`) && source.Has(b[:min(len(b), 120)], `"ts":`) && source.Has(b[:min(len(b), 300)], `"msg":"`) && source.Has(b[:min(len(b), 200)], `"logger":"`)
}

// Close implements [source.LineReader].
func (r *recordReader) Close(source.Sink) {}

// when reads a time: seconds with a fraction, milliseconds or nanoseconds as a
// number, or text in one of the formats of Caddy's time_format.
func when(env *source.Env, v []byte) (time.Time, fact.Dur) {
	if len(v) == 0 {
		return time.Time{}, fact.Dur{}
	}
	if v[0] == '"' {
		s := source.JSONText(v)
		if t, res, _, ok := source.ISOTime(env, s); ok {
			return t, fact.Lasting(res)
		}
		if t, res, _, ok := source.SlashTime(env, s); ok {
			return t, fact.Lasting(res)
		}
		if t, _, ok := source.CLFTime(s); ok {
			return t, fact.Seconds(1)
		}
		return time.Time{}, fact.Dur{}
	}
	whole, frac, _ := bytes.Cut(v, []byte("."))
	n := source.Int(whole)
	if !n.Known || n.N <= 0 {
		return time.Time{}, fact.Dur{}
	}
	// The size tells the unit: an instant of this century has ten digits of
	// seconds.
	switch len(whole) {
	case 10:
		ns := int64(0)
		unit := int64(time.Second)
		for _, c := range frac {
			if c < '0' || c > '9' || unit < 10 {
				break
			}
			unit /= 10
			ns += int64(c-'0') * unit
		}
		res := time.Second
		if len(frac) > 0 {
			res = time.Microsecond // final zeros are not written
		}
		return time.Unix(n.N, ns).UTC(), fact.Lasting(res)
	case 13:
		return time.UnixMilli(n.N).UTC(), fact.Millis(1)
	case 19:
		return time.Unix(0, n.N).UTC(), fact.Dur{}
	}
	return time.Time{}, fact.Dur{}
}

// took reads a duration: seconds as a number, or Go's text, "1.5ms".
func took(v []byte) fact.Dur {
	if len(v) > 2 && v[0] == '"' {
		d, err := time.ParseDuration(string(source.JSONText(v)))
		if err != nil || d < 0 {
			return fact.Dur{}
		}
		return fact.Lasting(d)
	}
	for _, c := range v {
		if c == 'e' || c == 'E' { // 5.1e-05
			return exponent(v)
		}
	}
	return source.Secs(v)
}
