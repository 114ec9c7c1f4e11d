// Package python reads what Python programs write by themselves: tracebacks,
// errors of its HTTP clients, request lines of Werkzeug (Flask), Django's
// runserver, aiohttp and waitress.
//
// A traceback is stated once, by its last line, which names the error; earlier
// ones of a chain ("During handling of the above exception...") led to it.
package python

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "python"

// Formats is what this package reads.
var Formats = []source.Format{accessLog, errorLog}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

func clip(b []byte) string { return string(b[:min(len(b), maxDetail)]) }

const traceHead = "Traceback (most recent call last):"

var errorLog = source.Format{
	ID: "python-errors", Tech: tech, Title: "Python tracebacks and errors",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 8 {
			return source.No
		}
		switch {
		case source.Has(b, traceHead):
			return source.Sure
		case source.HasPrefix(b, "Internal Server Error: /"), source.Has(b, "waitress.queue:Task queue depth is "), source.Has(b, "Task queue depth is "):
			return source.Likely
		case clientError(b):
			return source.Likely
		}
		if kind, _, ok := lastLine(b); ok && wellKnown(kind) {
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

// clientError reports whether b is an error of requests, urllib3 or aiohttp
// about another server, in whatever frame.
func clientError(b []byte) bool {
	return source.Has(b, "ConnectionPool(host='") || source.Has(b, "Cannot connect to host ") || source.Has(b, "urllib.error.URLError") || source.Has(b, "<urlopen error")
}

// reader waits for the end of a traceback.
type reader struct {
	env   *source.Env
	in    bool // a traceback is being read
	last  []byte
	at    time.Time
	res   fact.Dur
	line  source.Line
	path  string // of the request in whose handling it happened
	abort bool   // the worker was being killed
	seen  bool   // a traceback was read: this is the log of a program in Python
	q     fact.Request
	chain bool // the next traceback is about the same trouble
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	at, res, msg := frame(r.env, b)
	if at.IsZero() {
		at, res = l.Time, l.Res
	}
	if source.Has(b, traceHead) {
		if !r.chain {
			r.flush(out)
		}
		r.seen = true
		r.in, r.chain, r.last = true, false, r.last[:0] // the one before led to this one
		r.keep(l, at, res)
		return source.Mine
	}
	if r.in {
		switch {
		case len(b) == 0, chained(b):
			r.chain = r.chain || len(b) > 0
			return source.Mine
		case len(r.last) == 0 && (l.Text[0] == ' ' || l.Text[0] == '\t' || source.HasPrefix(b, "File \"") || caret(b)):
			r.abort = r.abort || source.Has(b, "handle_abort")
			return source.Mine
		case len(r.last) == 0:
			if _, _, ok := lastLine(b); ok {
				r.last = append(r.last[:0], b...)
				return source.Mine
			}
			if len(l.Text) > 0 && !source.Has(b, ":") {
				return source.Mine // a line of code whose blanks were lost
			}
			r.flush(out)
		default:
			r.flush(out)
		}
	}
	if path, ok := bytes.CutPrefix(msg, []byte("Internal Server Error: ")); ok {
		r.path = clip(path)
		e := r.event(fact.AppError, "django", msg, at, res)
		e.Path = r.path
		out.State(e)
		return source.Mine
	}
	if depth, ok := source.Between(msg, "Task queue depth is ", ""); ok {
		e := r.event(fact.LimitNear, "task queue", msg, at, res)
		e.Limit, e.Used = fact.LimitWorkers, source.Int(bytes.TrimSpace(depth))
		out.State(e)
		return source.Mine
	}
	if r.seen && r.common(b, out) {
		return source.Mine
	}
	kind, _, ok := lastLine(msg)
	if !clientError(msg) && !(ok && wellKnown(kind)) {
		return source.NotMine
	}
	r.judge(l, msg, at, res, out)
	return source.Mine
}

func (r *reader) keep(l *source.Line, at time.Time, res fact.Dur) {
	r.at, r.res, r.line = at, res, *l
	r.line.Text, r.line.Host = append([]byte(nil), l.Text...), strings.Clone(l.Host)
}

func (r *reader) Close(out source.Sink) { r.flush(out) }

// flush states the traceback that ended.
func (r *reader) flush(out source.Sink) {
	if r.in && len(r.last) > 0 {
		r.judge(&r.line, r.last, r.at, r.res, out)
	}
	r.in, r.last, r.abort, r.chain = false, r.last[:0], false, false
}

func chained(b []byte) bool {
	return source.HasPrefix(b, "During handling of the above exception") || source.HasPrefix(b, "The above exception was the direct cause")
}

func caret(b []byte) bool { return len(bytes.Trim(b, "^~ |+-")) == 0 }

// frame takes a logger's front off: "2026-03-09 14:00:00,123 - ERROR - " and
// "ERROR:root:".
func frame(env *source.Env, b []byte) (time.Time, fact.Dur, []byte) {
	t, res, rest, ok := source.ISOTime(env, bytes.TrimPrefix(b, []byte("[")))
	if ok {
		b = bytes.TrimLeft(rest, " ]-:,")
	}
	for _, level := range [...]string{"ERROR", "WARNING", "CRITICAL", "INFO", "DEBUG"} {
		if rest, found := bytes.CutPrefix(bytes.TrimPrefix(b, []byte("[")), []byte(level)); found && len(rest) > 0 && (rest[0] == ':' || rest[0] == ' ' || rest[0] == ']') {
			b = bytes.TrimLeft(rest, " ]-:")
			break
		}
	}
	if !ok {
		return t, fact.Dur{}, b
	}
	return t, fact.Lasting(res), b
}

// lastLine cuts the last line of a traceback, "pkg.mod.SomeError: text"; the
// text may be missing.
func lastLine(b []byte) (kind, text []byte, ok bool) {
	kind, text, _ = bytes.Cut(b, []byte(": "))
	kind = bytes.TrimSuffix(kind, []byte(":"))
	if len(kind) < 4 || len(kind) > 120 {
		return nil, nil, false
	}
	for _, c := range kind {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' {
			return nil, nil, false
		}
	}
	name := kind[bytes.LastIndexByte(kind, '.')+1:]
	if len(name) == 0 || name[0] < 'A' || name[0] > 'Z' {
		return nil, nil, false
	}
	for _, end := range [...]string{"Error", "Exception", "Exit", "Interrupt", "Timeout", "Warning", "DoesNotExist", "Disconnected", "Aborted", "Refused", "Exhausted"} {
		if bytes.HasSuffix(name, []byte(end)) {
			return kind, text, true
		}
	}
	return nil, nil, false
}

// wellKnown are errors that are Python's without a traceback around them.
func wellKnown(kind []byte) bool {
	switch string(kind) {
	case "MemoryError", "OSError", "ModuleNotFoundError", "ImportError", "BrokenPipeError", "ConnectionResetError", "ConnectionRefusedError", "TimeoutError", "socket.gaierror", "socket.timeout", "KeyError", "AttributeError", "ValueError", "IndexError", "ZeroDivisionError", "RecursionError", "UnicodeDecodeError":
		return true
	}
	for _, lib := range [...]string{"requests.exceptions.", "urllib3.exceptions.", "aiohttp.", "httpx.", "httpcore.", "psycopg2.", "psycopg.", "sqlalchemy.exc.", "redis.exceptions.", "pymongo.errors.", "django.db.", "MySQLdb.", "pymysql.err.", "botocore.exceptions.", "asyncio.exceptions.", "concurrent.futures."} {
		if source.HasPrefix(kind, lib) {
			return true
		}
	}
	return false
}

func (r *reader) event(kind fact.EventKind, reason string, msg []byte, at time.Time, res fact.Dur) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: clip(msg)}
	e.Time, e.Res, e.Party = at, res, backend()
	return e
}

// judge states what an error line means.
func (r *reader) judge(l *source.Line, msg []byte, at time.Time, res fact.Dur, out source.Sink) {
	kind, text, named := lastLine(msg)
	name := string(kind)
	if !named {
		name = ""
	}
	short := name[strings.LastIndexByte(name, '.')+1:]
	e := r.event(fact.AppError, short, msg, at, res)
	e.Origin.Line, e.Origin.Text = l.N, clip(l.Text)
	e.Party.Host, e.Party.PID = l.Host, l.PID
	m, _, _, net := source.NetError(msg)
	switch {
	case short == "SystemExit" || short == "KeyboardInterrupt" || short == "GeneratorExit" || short == "CancelledError":
		if !r.abort {
			return
		}
		e.Kind, e.Reason = fact.SlowRequest, "aborted" // gunicorn aborts a worker that is too slow: its stack tells where
	case short == "MemoryError":
		e.Kind, e.Reason = fact.HeapExhausted, short
	case source.Has(text, "[Errno 24]"), source.Has(text, "[Errno 23]"):
		e.Kind, e.Reason, e.Limit = fact.LimitReached, "EMFILE", fact.LimitFiles
	case source.Has(text, "[Errno 28]"):
		e.Kind, e.Reason = fact.DiskFull, ""
	case source.Has(text, "[Errno 98]"):
		e.Kind, e.Reason = fact.BootFailed, "address in use"
	case source.Has(text, "[Errno 99]") && source.Has(text, "Cannot assign"):
		e.Kind, e.Limit, e.Reason = fact.LimitReached, fact.LimitPorts, "EADDRNOTAVAIL"
	case source.Has(text, "[Errno 12]"):
		e.Kind, e.Limit, e.Reason = fact.LimitReached, fact.LimitMemory, "ENOMEM"
	case short == "ModuleNotFoundError", short == "ImportError":
		e.Kind, e.Reason = fact.BootFailed, short
	case short == "BrokenPipeError", short == "ClientDisconnect":
		e.Kind, e.Reason = fact.ClientLeft, "EPIPE"
	case pool(text):
		e.Kind, e.Reason = fact.DependencyDown, "pool exhausted"
	case net && m == fact.NameNotResolved, source.Has(msg, "NameResolutionError"), short == "gaierror":
		e.Kind, e.Reason = fact.DNSFailed, "lookup"
	case net && m == fact.ClientGone:
		e.Kind = fact.ClientLeft
	case net, foreign(name), clientError(msg):
		e.Kind = fact.DependencyDown
		if net {
			e.Reason = string(m)
		}
	}
	if addr := server(msg); addr != "" {
		e.Attrs = map[string]string{fact.AttrDependency: addr}
	}
	e.Path, r.path = r.path, ""
	if e.Kind == fact.DependencyDown || e.Kind == fact.DNSFailed {
		e.Path = ""
	}
	out.State(e)
}

// pool reports whether a client ran out of connections of its own pool.
func pool(text []byte) bool {
	return source.Has(text, "QueuePool limit of size") || source.Has(text, "connection pool exhausted") || source.Has(text, "Too many connections")
}

// foreign reports whether an error's class is about another server whatever its
// text says.
func foreign(name string) bool {
	switch name[strings.LastIndexByte(name, '.')+1:] {
	case "OperationalError", "ServerDisconnectedError", "ClientConnectorError", "ConnectTimeout", "ReadTimeout", "ConnectError", "MaxRetryError", "NewConnectionError", "RemoteDisconnected", "ConnectionRefusedError", "ServerSelectionTimeoutError", "AutoReconnect", "RemoteProtocolError", "EndpointConnectionError":
		return true
	}
	return strings.HasPrefix(name, "redis.exceptions.ConnectionError") || strings.HasPrefix(name, "redis.exceptions.TimeoutError") || strings.HasPrefix(name, "requests.exceptions.ConnectionError")
}

// server is the one that an error of a client names.
func server(b []byte) string {
	if host, ok := source.Between(b, "ConnectionPool(host='", "'"); ok {
		if port, ok := source.Between(b, "port=", ")"); ok && source.Int(port).Known {
			return string(host) + ":" + string(port)
		}
		return string(host)
	}
	for _, pre := range [...]string{"Cannot connect to host ", " connecting to ", "connection to server at ", "could not translate host name "} {
		if rest, ok := source.Between(b, pre, ""); ok {
			f, _ := source.Field(rest)
			return strings.Trim(string(f), `"',.:`)
		}
	}
	return ""
}
