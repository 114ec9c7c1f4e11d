package gunicorn

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// said is one message and where its facts go.
type said struct {
	r   *reader
	l   *source.Line
	at  time.Time
	res fact.Dur
	pid int // of the process that logged
	msg []byte
	h   source.Holes
	out source.Sink
}

func (s *said) event(kind fact.EventKind, reason string) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: string(s.msg[:min(len(s.msg), maxDetail)])}
	e.Time, e.Res, e.Party = s.at, s.res, backend()
	e.Party.PID = s.pid
	return e
}

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

type act = func(*said)

func is(kind fact.EventKind, reason string) act {
	return func(s *said) { s.out.State(s.event(kind, reason)) }
}

// worker makes an act about the worker whose pid is the first hole.
func worker(kind fact.EventKind, reason string) act {
	return func(s *said) {
		s.pid = source.PID(s.h[0])
		s.out.State(s.event(kind, reason))
	}
}

var rules = source.NewRules(
	source.Rule[act]{Words: "WORKER TIMEOUT (pid:%d)", Do: (*said).timeout},
	source.Rule[act]{Words: "Worker (pid:%d) was sent SIG%w!", Do: func(s *said) { s.killed(s.h[0], 0, "SIG"+string(s.h[1])) }},
	source.Rule[act]{Words: "Worker with pid %d was terminated due to signal %d", Do: func(s *said) { s.killed(s.h[0], int(source.Int(s.h[1]).Or(0)), "") }},
	source.Rule[act]{Words: "Worker (pid:%d) exited with code %d", Do: (*said).exited},
	source.Rule[act]{Words: "Worker (pid:%d) exited with code: %d", Do: (*said).exited},
	source.Rule[act]{Words: "Worker exiting (pid: %d)", Do: worker(fact.WorkerExited, "exiting")},
	source.Rule[act]{Words: "Booting worker with pid: %d", Do: worker(fact.WorkerStarted, "")},
	source.Rule[act]{Words: "Worker failed to boot", Do: is(fact.BootFailed, "worker")},
	source.Rule[act]{Words: "App failed to load", Do: is(fact.BootFailed, "application")},
	source.Rule[act]{Words: "Exception in worker process", Do: is(fact.AppError, "exception")},
	source.Rule[act]{Words: "Autorestarting worker after current request", Do: is(fact.WorkerRecycled, "max_requests")},
	source.Rule[act]{Words: "Handling signal: %w", Do: (*said).signal},
	source.Rule[act]{Words: "Shutting down: Master", Do: is(fact.ProcessExited, "shutdown")},
	source.Rule[act]{Words: "Hang up: Master", Do: is(fact.ConfigReloaded, "hup")},
	source.Rule[act]{Words: "Starting gunicorn %w", Do: (*said).starting},
	source.Rule[act]{Words: "Listening at: %w (%d)", Do: (*said).listening},
	source.Rule[act]{Words: "Using worker: %w", Do: (*said).class},
	source.Rule[act]{Words: "Connection in use: %s", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "Can't connect to ('%s", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "Error handling request %s", Do: (*said).handling},
	source.Rule[act]{Words: "Ignoring EPIPE", Do: is(fact.ClientLeft, "EPIPE")},
	source.Rule[act]{Words: "Ignoring connection reset", Do: is(fact.ClientLeft, "ECONNRESET")},
	source.Rule[act]{Words: "Ignoring socket not connected", Do: is(fact.ClientLeft, "ENOTCONN")},
	source.Rule[act]{Words: "Ignored premature client disconnection", Do: is(fact.ClientLeft, "disconnect")},
	source.Rule[act]{Words: "[Errno 24] Too many open files", Do: (*said).files},
	source.Rule[act]{Words: "No more files available", Do: (*said).files},
)

// own are the messages that gunicorn alone writes; the others need its frame.
func own(msg []byte) bool {
	for _, w := range [...]string{"WORKER TIMEOUT (pid:", "Worker (pid:", "Worker with pid ", "Booting worker with pid", "Worker exiting (pid", "Worker failed to boot", "Autorestarting worker after", "Starting gunicorn ", "Shutting down: Master"} {
		if source.Has(msg, w) {
			return true
		}
	}
	return false
}

var processLog = source.Format{
	ID: "gunicorn-log", Tech: tech, Title: "gunicorn log",
	Sniff:     sniff,
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

func sniff(l *source.Line) source.Confidence {
	if len(l.Text) < 12 {
		return source.No
	}
	_, _, _, level, msg := frame(&source.Env{}, l.Text)
	var h source.Holes
	_, known := rules.Match(msg, &h)
	switch {
	case level != "" && known:
		return source.Sure
	case known && own(msg):
		return source.Likely
	case level != "":
		return source.Possible
	case named(l.Path) && source.Has(msg, "] \"") && source.Has(msg, " HTTP/"):
		return source.Possible // an access log of its own: any server's format, but the file bears the name
	}
	return source.No
}

// frame cuts "[2026-03-09 14:00:00 +0000] [31] [INFO] message". Any part may be
// missing in a pasted line; level is empty unless the last one is there.
func frame(env *source.Env, b []byte) (at time.Time, res time.Duration, pid int, level string, msg []byte) {
	msg = bytes.TrimSpace(b)
	for range 3 {
		in, rest, ok := source.Bracketed(msg)
		if !ok {
			break
		}
		if t, r, left, ok := source.ISOTime(env, in); ok && len(left) == 0 && at.IsZero() {
			at, res = t, r
		} else if n := source.PID(in); n > 0 && pid == 0 {
			pid = n
		} else if isLevel(in) {
			return at, res, pid, string(in), rest
		} else {
			break
		}
		msg = rest
	}
	return at, res, pid, "", msg
}

func isLevel(b []byte) bool {
	switch string(b) {
	case "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL":
		return true
	}
	return false
}

type reader struct {
	env   *source.Env
	q     fact.Request
	class bool // the worker's class was told, and the defaults with it
	slow  bool // the default time-out was stated
	mine  bool // gunicorn's own lines were read
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	at, res, pid, level, msg := frame(r.env, l.Text)
	s := said{r: r, l: l, at: at, res: fact.Lasting(res), pid: pid, msg: msg, out: out}
	if at.IsZero() {
		s.at, s.res = l.Time, l.Res
	}
	if do, ok := rules.Match(msg, &s.h); ok && (level != "" || own(msg)) {
		r.mine = true
		do(&s)
		return source.Mine
	}
	if (r.mine || named(l.Path)) && r.access(&s) {
		return source.Mine
	}
	if level != "" && !at.IsZero() && pid > 0 {
		if why, ok := bytes.CutPrefix(msg, []byte("Socket error processing request")); ok && len(why) < 3 {
			// gunicorn passes over a client that left (EPIPE, ECONNRESET,
			// ENOTCONN) at debug level: this is some other error of a socket.
			s.out.State(s.event(fact.AppError, "socket error"))
		}
		out.Seen(at)
		return source.Mine
	}
	return source.NotMine
}

func (*reader) Close(source.Sink) {}

// access reads a line of the default access log, which is any server's combined
// format: it is gunicorn's only among its own lines. A last number is %(L)s,
// seconds with a fraction, or %(D)s, microseconds.
func (r *reader) access(s *said) bool {
	client, t, line, rest, ok := source.CommonFront(s.msg)
	if !ok {
		return false
	}
	q := &r.q
	*q = fact.Request{}
	q.Time, q.Res, q.Party = t, fact.Lasting(time.Second), backend()
	q.Party.PID = s.pid
	if string(client) != "-" {
		q.Client = source.View(client)
	}
	method, path, proto, _ := source.RequestLine(line)
	q.Method, q.Path, q.Proto = source.View(method), source.View(path), source.View(proto)
	status, rest := source.Field(rest)
	if q.Status = source.Int(status); !q.Status.Known {
		return false
	}
	size, rest := source.Field(rest)
	q.Bytes = source.Int(size)
	_, rest, _ = source.Quoted(rest)
	agent, rest, _ := source.Quoted(rest)
	if string(agent) != "-" {
		q.UserAgent = source.View(agent)
	}
	q.Duration = took(bytes.Trim(rest, ` "`))
	source.Answered(q)
	s.out.State(q)
	return true
}

// minMicros is the least whole number taken for microseconds: an application
// in Python does not answer sooner, and whole seconds do not get so large.
const minMicros = 1000

func took(b []byte) fact.Dur {
	if bytes.IndexByte(b, '.') > 0 {
		return source.Secs(b)
	}
	if n := source.Int(b); n.Known && n.N >= minMicros && n.N < 1e12 {
		return fact.Lasting(time.Duration(n.N) * time.Microsecond)
	}
	return fact.Dur{}
}

func (s *said) timeout() {
	s.pid = source.PID(s.h[0])
	s.out.State(s.event(fact.WorkerTimedOut, "timeout"))
	if !s.r.slow && !s.r.class {
		s.r.slow = true
		x := fallback(fact.WorkerTimeout, s.l.N, "#timeout")
		x.Dur = fact.Lasting(30 * time.Second)
		s.out.State(x)
	}
}

func (s *said) killed(pid []byte, number int, name string) {
	s.pid = source.PID(pid)
	if number == 0 {
		number = signals[name]
	}
	for n, k := range signals {
		if k == number && name == "" {
			name = n
		}
	}
	e := s.event(fact.WorkerExited, name)
	e.Signal = number
	s.out.State(e)
	if number == 11 || number == 7 || number == 4 {
		c := s.event(fact.Crashed, name)
		c.Signal = number
		s.out.State(c)
	}
}

var signals = map[string]int{"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGILL": 4, "SIGABRT": 6, "SIGBUS": 7, "SIGKILL": 9, "SIGSEGV": 11, "SIGTERM": 15}

func (s *said) exited() {
	s.pid = source.PID(s.h[0])
	e := s.event(fact.WorkerExited, "")
	e.Exit = source.Int(s.h[1])
	s.out.State(e)
}

func (s *said) signal() {
	switch name := strings.TrimRight(string(s.h[0]), "."); name {
	case "term", "int", "quit":
		s.out.State(s.event(fact.ProcessStopping, "SIG"+strings.ToUpper(name)))
	case "hup", "usr2":
		s.out.State(s.event(fact.ConfigReloaded, "SIG"+strings.ToUpper(name)))
	default:
		s.out.Seen(s.at)
	}
}

func (s *said) starting() {
	e := s.event(fact.ProcessStarted, "")
	e.Attrs = map[string]string{fact.AttrVersion: string(s.h[0])}
	s.out.State(e)
}

func (s *said) listening() {
	x := setting(fact.ListenAddress, s.l.N)
	x.Basis, x.Text = fact.Measured, string(s.h[0])
	x.Time, x.Party.PID = s.at, source.PID(s.h[1])
	s.out.State(x)
}

func (s *said) class() {
	s.r.class = true
	defaults(classOf(string(s.h[0])), nil, s.l.N, s.out)
}

func (s *said) handling() {
	e := s.event(fact.AppError, "request")
	if s.h[0][0] == '/' {
		path, _ := source.Field(s.h[0])
		e.Path = string(path)
	}
	s.out.State(e)
}

func (s *said) files() {
	e := s.event(fact.LimitReached, "EMFILE")
	e.Limit = fact.LimitFiles
	s.out.State(e)
}
