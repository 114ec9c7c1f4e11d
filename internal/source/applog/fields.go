package applog

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// fields is what keys of a structured line told, whatever they were called.
type fields struct {
	q     fact.Request
	level string
	msg   []byte
	err   []byte
	nanos bool   // a bare latency counts nanoseconds (echo)
	when  []byte // a stamp
}

// reset empties f and keeps its memory.
func (f *fields) reset() {
	ids := f.q.IDs[:0]
	*f = fields{}
	f.q.IDs = ids
}

// set takes one key and its value. Keys are compared in lower case.
func (f *fields) set(key string, value []byte) {
	if len(value) == 0 || len(key) > 48 || string(value) == "-" {
		return
	}
	switch strings.ToLower(key) {
	case "method", "http_method", "request_method", "verb", "http.method", "http.request.method":
		if method(value) {
			f.q.Method = source.View(value)
		}
	case "path", "uri", "url", "request_uri", "request_path", "endpoint", "http.target", "http.url", "url.path", "target":
		f.q.Path, f.q.Host = pathOf(value, f.q.Host)
	case "host", "hostname_requested", "authority", "server.address":
		f.q.Host = source.View(value)
	case "status", "status_code", "statuscode", "response_status", "code", "http_status", "http.status_code", "http.response.status_code", "resp_status":
		if n := source.Int(value); n.Known && n.N >= 100 && n.N <= 599 {
			f.q.Status = n
		}
	case "duration", "latency", "elapsed", "took", "response_time", "request_time", "resp_elapsed", "time_taken", "latency_human":
		if d := duration(value, f.nanos); d.Known && (!f.q.Duration.Known || key == "latency_human") {
			f.q.Duration = d
		}
	case "duration_ms", "latency_ms", "elapsed_ms", "responsetime", "response_time_ms", "time_ms", "request_duration_ms", "durationms", "elapsedms", "took_ms", "elapsedmilliseconds":
		if d := source.Secs(value); d.Known {
			f.q.Duration = fact.Lasting(d.D / 1000)
		}
	case "duration_s", "duration_seconds", "elapsed_s", "latency_seconds":
		f.q.Duration = source.Secs(value)
	case "request_id", "requestid", "req_id", "reqid", "x_request_id", "x-request-id", "trace_id", "traceid", "trace.id", "correlation_id", "correlationid", "id", "dd.trace_id", "traceparent":
		if len(value) >= 6 {
			f.q.IDs = append(f.q.IDs, source.View(value))
		}
	case "remote_ip", "remote_addr", "client_ip", "client", "ip", "clientip", "remoteaddr", "client.address", "peer":
		f.q.Client = source.View(value)
	case "user_agent", "useragent", "ua":
		f.q.UserAgent = source.View(value)
	case "bytes", "bytes_out", "size", "response_size", "resp_bytes":
		f.q.Bytes = source.Int(value)
	case "level", "severity", "lvl", "loglevel", "log.level", "levelname", "@l":
		f.level = strings.ToLower(string(value[:min(len(value), 12)]))
	case "msg", "message", "event", "@m":
		f.msg = value
	case "err", "error", "exception", "error.message", "cause", "exc_info":
		f.err = value
	case "time", "ts", "timestamp", "@timestamp", "asctime", "@t", "datetime":
		f.when = value
	}
}

// time is the instant of the line.
func (f *fields) time(env *source.Env, l *source.Line) {
	if len(f.when) == 0 {
		return
	}
	if t, res, _, ok := source.ISOTime(env, f.when); ok {
		l.Time, l.Res = t, fact.Lasting(res)
		return
	}
	if t, res, _, ok := source.SlashTime(env, f.when); ok {
		l.Time, l.Res = t, fact.Lasting(res)
		return
	}
	d := source.Secs(f.when)
	if !d.Known {
		if n := source.Int(f.when); n.Known && n.N > 1e12 && n.N < 1e14 {
			l.Time, l.Res = time.UnixMilli(n.N).UTC(), fact.Lasting(time.Millisecond)
		}
		return
	}
	if d.D > 1e18 && d.D < 5e18 { // seconds since 1970, between 2001 and 2128
		l.Time, l.Res = time.Unix(0, int64(d.D)).UTC(), fact.Lasting(time.Millisecond)
	}
}

// state states what the fields tell, and reports whether that was anything.
func (f *fields) state(l *source.Line, errors *int, out source.Sink) bool {
	q := &f.q
	if q.Method != "" && q.Path != "" {
		q.Time, q.Res, q.Party = l.Time, l.Res, backend()
		answered(q)
		if len(f.err) > 0 && q.Status.Or(500) >= 500 {
			q.Detail = clip(f.err)
		}
		out.State(q)
		if len(f.err) > 0 && !q.Status.Known {
			trouble(l, f.err, out)
		}
		return true
	}
	msg := f.msg
	if len(f.err) > 0 {
		msg = append(append(append(make([]byte, 0, len(f.msg)+len(f.err)+2), f.msg...), ": "...), f.err...)
	}
	if !bad(f.level) || len(msg) == 0 {
		return false
	}
	if (f.level[0] != 'w' || len(f.err) > 0 || forwards(msg)) && trouble(l, msg, out) {
		return true
	}
	if f.level[0] != 'w' && *errors < maxErrors {
		*errors++
		out.State(event(l, fact.AppError, "logged", backend(), msg))
	}
	return true
}

// bad reports whether a level tells of trouble.
func bad(level string) bool {
	switch level {
	case "error", "err", "fatal", "critical", "crit", "panic", "dpanic", "alert", "emergency", "severe", "warn", "warning":
		return true
	}
	return false
}

func method(b []byte) bool {
	switch string(b) {
	case "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS":
		return true
	}
	return false
}

// pathOf cuts scheme and host off a URL.
func pathOf(b []byte, host string) (string, string) {
	if i := bytes.Index(b, []byte("://")); i > 0 && i < 6 {
		rest := b[i+3:]
		if j := bytes.IndexByte(rest, '/'); j >= 0 {
			return source.View(rest[j:]), source.View(rest[:j])
		}
		return "/", source.View(rest)
	}
	if b[0] != '/' && b[0] != '*' {
		return "", host
	}
	return source.View(b), host
}

// duration reads "12ms", "1.5s", "85.3µs", "12 ms", and a bare number: seconds
// if it has a fraction and is small, else milliseconds, or nanoseconds.
func duration(b []byte, nanos bool) fact.Dur {
	if len(b) > 24 {
		return fact.Dur{}
	}
	if d := source.Secs(b); d.Known {
		switch {
		case nanos:
			if n := source.Int(b); n.Known {
				return fact.Lasting(time.Duration(n.N))
			}
			return fact.Dur{}
		case bytes.IndexByte(b, '.') >= 0 && d.D < 10*time.Second:
			return d
		}
		return fact.Lasting(d.D / 1000)
	}
	d, err := time.ParseDuration(strings.ReplaceAll(string(b), " ", ""))
	if err != nil || d < 0 {
		return fact.Dur{}
	}
	return fact.Lasting(d)
}
