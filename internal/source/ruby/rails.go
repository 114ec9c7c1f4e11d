package ruby

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// railsLog reads Rails' own pair of lines, "Started" and "Completed", lograge's
// single one, and exceptions.
var railsLog = source.Format{
	ID: "rails-log", Tech: tech, Title: "Rails log",
	Sniff: func(l *source.Line) source.Confidence {
		if len(l.Text) < 12 {
			return source.No
		}
		_, _, _, msg, logger := frame(&source.Env{}, l.Text)
		_, msg = tagged(msg)
		switch {
		case started(msg), completed(msg), lograge(msg):
			return source.Sure
		case source.HasPrefix(msg, "Processing by ") && source.Has(msg, "#"):
			return source.Likely
		}
		if _, _, ok := exception(msg); ok {
			if logger {
				return source.Likely
			}
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &railsReader{env: env} },
}

// maxOpen bounds the requests that were started and not completed.
const maxOpen = 512

type railsReader struct {
	env  *source.Env
	q    fact.Request
	open map[string]begun
}

type begun struct {
	method, path, client string
}

// tagged takes tags off: "[6f1c9c1e-...] [10.0.0.4] ". The first is the request
// id.
func tagged(b []byte) (id, rest []byte) {
	rest = b
	for range 4 {
		in, after, ok := source.Bracketed(rest)
		if !ok || bytes.IndexByte(in, ' ') >= 0 {
			break
		}
		if id == nil && len(in) >= 8 {
			id = in
		}
		rest = after
	}
	return id, rest
}

func started(b []byte) bool {
	return source.HasPrefix(b, "Started ") && source.Has(b, "\" for ") && source.Has(b, " at ")
}

func completed(b []byte) bool {
	return source.HasPrefix(b, "Completed ") && len(b) > 15 && b[10] >= '1' && b[10] <= '5' && source.Has(b, "ms")
}

func lograge(b []byte) bool {
	return source.HasPrefix(b, "method=") && source.Has(b, " path=") && source.Has(b, " status=") && source.Has(b, " duration=")
}

func (r *railsReader) Line(l *source.Line, out source.Sink) source.Took {
	at, res, pid, msg, _ := frame(r.env, l.Text)
	if at.IsZero() {
		at, res = l.Time, l.Res
	}
	id, msg := tagged(msg)
	q := &r.q
	*q = fact.Request{IDs: q.IDs[:0]}
	q.Time, q.Res, q.Party = at, res, backend()
	q.Party.PID = pid
	if len(id) > 0 {
		q.IDs = append(q.IDs, source.View(id))
	}
	key := string(id)
	if key == "" && pid > 0 {
		key = string(l.Text[:min(len(l.Text), 3)]) // one thread, no tags: the last one started
	}
	switch {
	case started(msg):
		r.start(key, msg)
	case completed(msg):
		r.complete(q, key, msg)
		out.State(q)
	case lograge(msg):
		r.line(q, msg)
		out.State(q)
	case source.HasPrefix(msg, "Processing by "), source.HasPrefix(msg, "Parameters: "), source.HasPrefix(msg, "Rendered "), source.HasPrefix(msg, "Rendering "), source.HasPrefix(msg, "Redirected to "):
	default:
		kind, text, ok := exception(msg)
		if !ok {
			if trace(msg) {
				return source.Mine
			}
			return source.NotMine
		}
		s := said{l: l, at: at, res: res, pid: pid, msg: msg, out: out}
		s.exception(kind, text)
	}
	out.Seen(at)
	return source.Mine
}

func (*railsReader) Close(source.Sink) {}

// start: Started GET "/cart" for 10.0.0.4 at 2026-03-09 14:00:00 +0000.
func (r *railsReader) start(key string, msg []byte) {
	method, rest := source.Field(msg[len("Started "):])
	path, rest, ok := source.Quoted(rest)
	if !ok {
		return
	}
	_, rest = source.Field(rest)
	client, _ := source.Field(rest)
	if r.open == nil || len(r.open) >= maxOpen {
		r.open = map[string]begun{}
	}
	r.open[key] = begun{string(method), string(path), string(client)}
}

// complete: Completed 500 Internal Server Error in 12ms (ActiveRecord: 3.3ms).
func (r *railsReader) complete(q *fact.Request, key string, msg []byte) {
	if b, ok := r.open[key]; ok {
		q.Method, q.Path, q.Client = b.method, b.path, b.client
		delete(r.open, key)
	}
	status, rest := source.Field(msg[len("Completed "):])
	q.Status = source.Int(status)
	if took, ok := source.Between(rest, "in ", "ms"); ok {
		q.Duration = millis(took)
	}
	source.Answered(q)
}

// line reads lograge's: durations are milliseconds.
func (r *railsReader) line(q *fact.Request, msg []byte) {
	for len(msg) > 0 {
		var f []byte
		f, msg = source.Field(msg)
		key, value, ok := bytes.Cut(f, []byte("="))
		if !ok {
			continue
		}
		switch string(key) {
		case "method":
			q.Method = source.View(value)
		case "path":
			q.Path = source.View(value)
		case "host":
			q.Host = source.View(value)
		case "status":
			q.Status = source.Int(value)
		case "duration":
			q.Duration = millis(value)
		case "ip", "remote_ip":
			q.Client = source.View(value)
		case "request_id", "uuid", "trace_id":
			q.IDs = append(q.IDs, source.View(value))
		}
	}
	source.Answered(q)
}

func millis(b []byte) fact.Dur {
	d := source.Secs(b)
	if !d.Known {
		return d
	}
	return fact.Lasting(d.D / time.Duration(1000))
}

// exception reads "NoMethodError (undefined method ...):" and
// "/srv/a.rb:3:in `f': text (NameError)".
func exception(b []byte) (kind, text []byte, ok bool) {
	b = bytes.TrimRight(b, ":")
	if len(b) < 8 || b[len(b)-1] != ')' {
		return nil, nil, false
	}
	if i := bytes.Index(b, []byte(" (")); i > 0 && class(b[:i]) {
		return b[:i], b[i+2 : len(b)-1], true
	}
	if i := bytes.LastIndex(b, []byte(" (")); i > 0 && class(b[i+2:len(b)-1]) && source.Has(b[:i], ".rb:") && source.Has(b[:i], ":in ") {
		return b[i+2 : len(b)-1], b[:i], true
	}
	return nil, nil, false
}

// class reports whether b is the name of an exception.
func class(b []byte) bool {
	if len(b) == 0 || b[0] < 'A' || b[0] > 'Z' {
		return false
	}
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != ':' && c != '_' {
			return false
		}
	}
	return bytes.HasSuffix(b, []byte("Error")) || bytes.HasSuffix(b, []byte("Exception")) || bytes.HasSuffix(b, []byte("Timeout")) || bytes.HasSuffix(b, []byte("ConnectionBad")) || source.HasPrefix(b, "Errno::E")
}

func trace(b []byte) bool {
	return source.Has(b, ".rb:") && source.Has(b, ":in ")
}

func (s *said) exception(kind, text []byte) {
	switch name := string(kind); {
	case name == "ActionController::RoutingError", name == "ActiveRecord::RecordNotFound", name == "ActionController::BadRequest", name == "ActionController::InvalidAuthenticityToken":
		return // answered with 4xx
	case name == "NoMemoryError":
		s.out.State(s.event(fact.HeapExhausted, name))
	case name == "Errno::ENOSPC":
		s.out.State(s.event(fact.DiskFull, name))
	case name == "Errno::EMFILE":
		files(s)
	case name == "Errno::EADDRINUSE":
		s.out.State(s.event(fact.BootFailed, "address in use"))
	case name == "Errno::EPIPE":
		s.out.State(s.event(fact.ClientLeft, name))
	case name == "SocketError" && source.Has(text, "getaddrinfo"):
		s.out.State(s.event(fact.DNSFailed, name))
	case dependency(name):
		s.out.State(s.event(fact.DependencyDown, name))
	default:
		s.out.State(s.event(fact.AppError, name))
	}
}

// dependency reports whether an exception is about another server.
func dependency(name string) bool {
	switch name {
	case "PG::ConnectionBad", "ActiveRecord::ConnectionNotEstablished", "ActiveRecord::ConnectionTimeoutError", "ActiveRecord::DatabaseConnectionError", "Mysql2::Error::ConnectionError", "Redis::CannotConnectError", "Redis::TimeoutError", "RedisClient::CannotConnectError", "Net::ReadTimeout", "Net::OpenTimeout", "Faraday::ConnectionFailed", "Faraday::TimeoutError", "HTTP::ConnectionError", "Excon::Error::Timeout", "RestClient::Exceptions::ReadTimeout", "RestClient::Exceptions::OpenTimeout", "RestClient::ServerBrokeConnection", "Errno::ECONNREFUSED", "Errno::ECONNRESET", "Errno::ETIMEDOUT", "Errno::EHOSTUNREACH":
		return true
	}
	return false
}
