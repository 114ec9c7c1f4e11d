// Package uvicorn reads the logs of the ASGI servers uvicorn and hypercorn, and
// their options on command lines and in uvicorn.run().
//
// Both close an idle connection after 5 s; hypercorn also after 1000 requests.
// Messages are those of uvicorn/server.py, protocols and supervisors, and of
// hypercorn's logging.py.
package uvicorn

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "uvicorn"

// Formats is what this package reads.
var Formats = []source.Format{processLog, options}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

const (
	docUvicorn   = "https://www.uvicorn.org/settings/"
	docHypercorn = "https://hypercorn.readthedocs.io/en/latest/how_to_guides/configuring.html"
)

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

type said struct {
	r   *reader
	l   *source.Line
	at  time.Time
	res fact.Dur
	msg []byte
	h   source.Holes
	out source.Sink
}

func (s *said) event(kind fact.EventKind, reason string) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: string(s.msg[:min(len(s.msg), maxDetail)])}
	e.Time, e.Res, e.Party = s.at, s.res, backend()
	return e
}

type act = func(*said)

func is(kind fact.EventKind, reason string) act {
	return func(s *said) { s.out.State(s.event(kind, reason)) }
}

// process makes an act about the process whose pid is the first hole.
func process(kind fact.EventKind, reason string) act {
	return func(s *said) {
		e := s.event(kind, reason)
		e.Party.PID = source.PID(s.h[0])
		s.out.State(e)
	}
}

func quiet(*said) {}

var rules = source.NewRules(
	source.Rule[act]{Words: "Uvicorn running on %w (", Do: (*said).running},
	source.Rule[act]{Words: "Uvicorn running on unix socket %w (", Do: (*said).running},
	source.Rule[act]{Words: "Running on %w (CTRL + C to quit)", Do: (*said).hypercorn},
	source.Rule[act]{Words: "Started server process [%d]", Do: process(fact.WorkerStarted, "")},
	source.Rule[act]{Words: "Finished server process [%d]", Do: process(fact.ProcessExited, "shutdown")},
	source.Rule[act]{Words: "Started parent process [%d]", Do: process(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "Started reloader process [%d]", Do: quiet},
	source.Rule[act]{Words: "Application startup complete", Do: is(fact.ProcessStarted, "application")},
	source.Rule[act]{Words: "Application startup failed. Exiting", Do: is(fact.BootFailed, "application")},
	source.Rule[act]{Words: "Error loading ASGI app", Do: is(fact.BootFailed, "application")},
	source.Rule[act]{Words: "error while attempting to bind on address %s: address already in use", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "Exception in ASGI application", Do: is(fact.AppError, "exception")},
	source.Rule[act]{Words: "Waiting for connections to close", Do: is(fact.ProcessStopping, "connections")},
	source.Rule[act]{Words: "Waiting for background tasks to complete", Do: is(fact.ProcessStopping, "tasks")},
	source.Rule[act]{Words: "Cancel %d running task(s), timeout graceful shutdown exceeded", Do: is(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "Exceeded concurrency limit", Do: (*said).concurrency},
	source.Rule[act]{Words: "Maximum request limit of %d exceeded. Terminating process", Do: is(fact.WorkerRecycled, "limit_max_requests")},
	source.Rule[act]{Words: "Child process [%d] died", Do: process(fact.WorkerExited, "died")},
	source.Rule[act]{Words: "Terminated child process [%d]", Do: process(fact.ProcessStopping, "stop")},
	source.Rule[act]{Words: "Stopping parent process [%d]", Do: process(fact.ProcessStopping, "stop")},
	source.Rule[act]{Words: "detected changes in %s. Reloading...", Do: is(fact.RestartPlanned, "reload")},
	source.Rule[act]{Words: "detected file change in %s. Reloading...", Do: is(fact.RestartPlanned, "reload")},
	source.Rule[act]{Words: "socket.accept() out of system resource", Do: (*said).files},
	source.Rule[act]{Words: "ASGI callable returned without starting response", Do: is(fact.AppError, "no response")},
	source.Rule[act]{Words: "ASGI callable returned without completing response", Do: is(fact.AppError, "incomplete response")},
)

// plain are messages in words that others use, too.
var plain = source.NewRules(
	source.Rule[act]{Words: "^Shutting down", Do: is(fact.ProcessStopping, "stop")},
	source.Rule[act]{Words: "^Waiting for application shutdown", Do: quiet},
	source.Rule[act]{Words: "^Waiting for application startup", Do: quiet},
	source.Rule[act]{Words: "^Application shutdown complete", Do: quiet},
	source.Rule[act]{Words: "^Invalid HTTP request received", Do: quiet},
)

var processLog = source.Format{
	ID: "uvicorn-log", Tech: tech, Title: "uvicorn or hypercorn log",
	Sniff: func(l *source.Line) source.Confidence {
		_, _, msg, level := frame(&source.Env{}, l.Text)
		if len(msg) < 8 {
			return source.No
		}
		var q fact.Request
		var h source.Holes
		if readAccess(msg, &q) {
			if level {
				return source.Sure
			}
			return source.Likely
		}
		if _, ok := rules.Match(msg, &h); ok {
			if level {
				return source.Sure
			}
			return source.Fragment
		}
		if _, ok := plain.Match(msg, &h); ok && level {
			return source.Possible
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

// frame cuts "INFO:     ", with a stamp before it where one is configured, and
// hypercorn's "[2026-03-09 14:00:00 +0000] [12] [INFO] ".
func frame(env *source.Env, b []byte) (t time.Time, res fact.Dur, msg []byte, level bool) {
	msg = bytes.TrimSpace(b)
	if at, r, rest, ok := source.ISOTime(env, bytes.TrimPrefix(msg, []byte("["))); ok {
		t, res = at, fact.Lasting(r)
		msg = bytes.TrimLeft(rest, "] -")
		if in, rest, ok := source.Bracketed(msg); ok && source.PID(in) > 0 {
			msg = rest
		}
	}
	msg = bytes.TrimPrefix(msg, []byte("uvicorn.error - "))
	msg = bytes.TrimPrefix(msg, []byte("uvicorn.access - "))
	in := bytes.TrimPrefix(msg, []byte("["))
	for _, w := range [...]string{"INFO", "WARNING", "ERROR", "CRITICAL", "DEBUG"} {
		if rest, ok := bytes.CutPrefix(in, []byte(w)); ok && len(rest) > 1 && (rest[0] == ':' || rest[0] == ' ' || rest[0] == ']') {
			return t, res, bytes.TrimLeft(rest, ":] -"), true
		}
	}
	return t, res, msg, false
}

type reader struct {
	env   *source.Env
	q     fact.Request
	known bool
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	at, res, msg, level := frame(r.env, l.Text)
	if at.IsZero() {
		at, res = l.Time, l.Res
	}
	q := &r.q
	*q = fact.Request{}
	if readAccess(msg, q) {
		q.Time, q.Res, q.Party = at, res, backend()
		r.defaults(l, out)
		out.State(q)
		return source.Mine
	}
	s := said{r: r, l: l, at: at, res: res, msg: msg, out: out}
	do, ok := rules.Match(msg, &s.h)
	if !ok && level {
		do, ok = plain.Match(msg, &s.h)
	}
	if !ok {
		return source.NotMine
	}
	do(&s)
	out.Seen(at)
	return source.Mine
}

func (*reader) Close(source.Sink) {}

// readAccess: `10.0.0.4:51234 - "GET /cart HTTP/1.1" 200 OK`.
func readAccess(b []byte, q *fact.Request) bool {
	client, rest := source.Field(b)
	if !bytes.HasPrefix(rest, []byte(`- "`)) || len(client) < 3 || bytes.IndexByte(client, ':') < 0 {
		return false
	}
	line, rest, ok := source.Quoted(rest[2:])
	if !ok {
		return false
	}
	method, path, proto, ok := source.RequestLine(line)
	status, _ := source.Field(rest)
	q.Status = source.Int(status)
	if !ok || proto == nil || !q.Status.Known || q.Status.N < 100 || q.Status.N > 599 {
		return false
	}
	q.Client, q.Method, q.Path, q.Proto = source.View(client), source.View(method), source.View(path), source.View(proto)
	source.Answered(q)
	return true
}

func (r *reader) defaults(l *source.Line, out source.Sink) {
	if r.known {
		return
	}
	r.known = true
	s := setting(fact.KeepAliveIdle, "uvicorn --timeout-keep-alive {s}", l.N)
	s.Dur, s.Basis, s.Origin.URL = fact.Seconds(5), fact.Default, docUvicorn
	out.State(s)
}

func setting(k fact.Knob, spelling string, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling}
	s.Party, s.Origin.Line = backend(), line
	return s
}

func (s *said) running() {
	s.out.State(s.event(fact.ProcessStarted, ""))
	x := setting(fact.ListenAddress, "uvicorn --host 0.0.0.0", s.l.N)
	x.Basis, x.Text, x.Time = fact.Measured, string(s.h[0]), s.at
	s.out.State(x)
	s.r.defaults(s.l, s.out)
}

func (s *said) hypercorn() {
	s.out.State(s.event(fact.ProcessStarted, "hypercorn"))
	if s.r.known {
		return
	}
	s.r.known = true
	hypercornDefaults(s.l.N, s.out)
}

// hypercornDefaults states what Hypercorn does unless told otherwise.
func hypercornDefaults(line int, out source.Sink) {
	x := setting(fact.KeepAliveIdle, "keep_alive_timeout = {s}", line)
	x.Dur, x.Basis, x.Origin.URL, x.Where = fact.Seconds(5), fact.Default, docHypercorn, "hypercorn.toml"
	out.State(x)
	x = setting(fact.MaxConnRequests, "keep_alive_max_requests = {n}", line)
	x.Num, x.Basis, x.Origin.URL, x.Where = fact.Num(1000), fact.Default, docHypercorn, "hypercorn.toml"
	out.State(x)
}

func (s *said) concurrency() {
	e := s.event(fact.LimitReached, "limit_concurrency")
	e.Limit = fact.LimitRequests
	s.out.State(e)
}

func (s *said) files() {
	e := s.event(fact.LimitReached, "EMFILE")
	e.Limit = fact.LimitFiles
	s.out.State(e)
}

// knobs are options: of the command line with hyphens, of Python with
// underscores.
var knobs = []struct {
	name    string
	knob    fact.Knob
	seconds bool
}{
	{"timeout-keep-alive", fact.KeepAliveIdle, true},
	{"timeout-graceful-shutdown", fact.GracefulTimeout, true},
	{"limit-concurrency", fact.MaxConnections, false},
	{"limit-max-requests", fact.WorkerMaxRequests, false},
	{"workers", fact.Workers, false},
	{"backlog", fact.ListenBacklog, false},
	{"keep-alive-timeout", fact.KeepAliveIdle, true}, // hypercorn.toml
	{"keep-alive-max-requests", fact.MaxConnRequests, false},
}

var options = source.Format{
	ID: "uvicorn-options", Tech: tech, Title: "options of uvicorn or hypercorn",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 12 || len(b) > 4096 {
			return source.No
		}
		if command(b) {
			return source.Likely
		}
		for _, k := range knobs {
			if k.name == "workers" || k.name == "backlog" {
				continue
			}
			if value(b, k.name).Known {
				return source.Fragment
			}
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return optionReader{} },
}

// command reports whether b starts the server or calls uvicorn.run.
func command(b []byte) bool {
	for _, name := range [...]string{"uvicorn", "hypercorn"} {
		i := bytes.Index(b, []byte(name))
		if i < 0 || i > 0 && !strings.ContainsRune(" /\"'", rune(b[i-1])) {
			continue
		}
		rest := b[i+len(name):]
		if source.HasPrefix(rest, ".run(") || len(rest) > 3 && strings.ContainsRune(" \"',", rune(rest[0])) && (source.Has(rest, " --") || source.Has(rest, `"--`)) && source.Has(rest, ":") {
			return true
		}
	}
	return false
}

// value finds an option's number: "--name 5", "--name=5", "name=5", "name = 5"
// and, in lists, `"--name", "5"`.
func value(b []byte, name string) fact.Int {
	i := bytes.Index(b, []byte(name))
	if i < 0 {
		if i = bytes.Index(b, []byte(strings.ReplaceAll(name, "-", "_"))); i < 0 {
			return fact.Int{}
		}
	}
	rest := bytes.TrimLeft(b[i+len(name):], ` ="',:`)
	if len(rest) == len(b[i+len(name):]) {
		return fact.Int{}
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	return source.Int(rest[:n])
}

type optionReader struct{}

func (optionReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	whole := command(b)
	took, idle := false, false
	for _, k := range knobs {
		n := value(b, k.name)
		if !n.Known || n.N < 0 || n.N > 1<<30 || !whole && (k.name == "workers" || k.name == "backlog") {
			continue
		}
		s := setting(k.knob, "uvicorn --"+k.name+" {n}", l.N)
		if k.seconds {
			s.Dur, s.Spelling = fact.Seconds(float64(n.N)), "uvicorn --"+k.name+" {s}"
		} else {
			s.Num = n
		}
		took = true
		idle = idle || k.knob == fact.KeepAliveIdle
		out.State(s)
	}
	if whole && !idle {
		r := reader{}
		r.defaults(l, out)
	}
	if !took && !whole {
		return source.NotMine
	}
	return source.Mine
}

func (optionReader) Close(source.Sink) {}
