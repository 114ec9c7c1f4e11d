package node

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
	msg []byte
	h   source.Holes
	out source.Sink
}

func (s *said) event(kind fact.EventKind, reason string) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: string(s.msg[:min(len(s.msg), maxDetail)])}
	e.Time, e.Res, e.Party = s.at, s.res, backend()
	if pid, ok := source.Between(s.l.Text, "(node:", ")"); ok {
		e.Party.PID = source.PID(pid)
	}
	return e
}

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

type act = func(*said)

func is(kind fact.EventKind, reason string) act {
	return func(s *said) { s.out.State(s.event(kind, reason)) }
}

func quiet(*said) {}

// rules are messages that say what they mean by themselves.
var rules = source.NewRules(
	// V8's last words.
	source.Rule[act]{Words: "JavaScript heap out of memory", Do: (*said).heap},
	source.Rule[act]{Words: "invalid array length Allocation failed", Do: (*said).heap},
	source.Rule[act]{Words: "ERR_WORKER_OUT_OF_MEMORY", Do: (*said).heap},
	source.Rule[act]{Words: "^[%d:0x%s ms: %s", Do: (*said).collection},
	source.Rule[act]{Words: "^<--- ", Do: quiet},
	source.Rule[act]{Words: "^==== JS stack trace ==", Do: quiet},
	source.Rule[act]{Words: "^----- Native stack trace -----", Do: quiet},
	source.Rule[act]{Words: "^----- JavaScript stack trace -----", Do: quiet},
	source.Rule[act]{Words: "^FATAL ERROR: %s", Do: is(fact.Crashed, "abort")},
	source.Rule[act]{Words: "^Aborted (core dumped)", Do: func(s *said) { s.exited(nil, nil, nil, []byte("SIGABRT")) }},

	// Errors that end a start or name a limit.
	source.Rule[act]{Words: "listen EADDRINUSE: address already in use %w", Do: (*said).inUse},
	source.Rule[act]{Words: "listen EADDRINUSE %w", Do: (*said).inUse},
	source.Rule[act]{Words: "listen EACCES: permission denied %w", Do: boot("permission denied")},
	source.Rule[act]{Words: "listen EADDRNOTAVAIL: %s", Do: boot("address not available")},
	source.Rule[act]{Words: "Error: Cannot find module '%s'", Do: boot("module missing")},
	source.Rule[act]{Words: "ERR_MODULE_NOT_FOUND", Do: boot("module missing")},
	source.Rule[act]{Words: "EMFILE: too many open files", Do: files},
	source.Rule[act]{Words: "accept EMFILE", Do: files},
	source.Rule[act]{Words: "connect EMFILE", Do: files},
	source.Rule[act]{Words: "ENFILE: file table overflow", Do: files},
	source.Rule[act]{Words: "ENOSPC: System limit for number of file watchers reached", Do: files},
	source.Rule[act]{Words: "ENOSPC: no space left on device", Do: is(fact.DiskFull, "")},

	// How the process ends.
	source.Rule[act]{Words: "^Node.js v%d.%s", Do: (*said).goodbye},
	source.Rule[act]{Words: "Unhandled 'error' event", Do: (*said).uncaught},
	source.Rule[act]{Words: "triggerUncaughtException(", Do: (*said).uncaught},
	source.Rule[act]{Words: "UnhandledPromiseRejectionWarning: Unhandled promise rejection", Do: quiet},
	source.Rule[act]{Words: "UnhandledPromiseRejectionWarning: %s", Do: (*said).rejection},
	source.Rule[act]{Words: "UnhandledPromiseRejection: %s", Do: (*said).rejected},
	source.Rule[act]{Words: "[DEP0018] DeprecationWarning", Do: quiet},
	source.Rule[act]{Words: "uncaughtException: %s", Do: is(fact.Crashed, "uncaught")},
	source.Rule[act]{Words: "code: 'ERR_UNHANDLED_REJECTION'", Do: (*said).rejected},

	// Supervisors.
	source.Rule[act]{Words: "App [%w] with id [%d] and pid [%d], exited with code [%d] via signal [%w]", Do: (*said).pm2Exited},
	source.Rule[act]{Words: "App [%w] exited with code [%d] via signal [%w]", Do: func(s *said) { s.exited(s.h[0], nil, s.h[1], s.h[2]) }},
	source.Rule[act]{Words: "App [%w] starting in -%w mode-", Do: named(fact.WorkerStarted, "")},
	source.Rule[act]{Words: "App [%w] online", Do: named(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "Change detected on path %s for app %w - restarting", Do: func(s *said) { s.name(fact.RestartPlanned, "watch", s.h[1]) }},
	source.Rule[act]{Words: "Stopping app:%w id:%d", Do: named(fact.ProcessStopping, "stop")},
	source.Rule[act]{Words: "had too many unstable restarts (%d). Stopped", Do: (*said).unstable},
	source.Rule[act]{Words: "Process %d restarted because it exceeds --max-memory-restart value (current_memory=%d max_memory_limit=%d", Do: (*said).memoryRestart},
	source.Rule[act]{Words: "pid=%d msg=failed to kill", Do: is(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "pid=%d msg=process killed", Do: quiet},
	source.Rule[act]{Words: "[nodemon] app crashed", Do: is(fact.Crashed, "uncaught")},
	source.Rule[act]{Words: "[nodemon] restarting due to changes", Do: is(fact.RestartPlanned, "watch")},
	source.Rule[act]{Words: "[nodemon] starting `%s`", Do: is(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "[nodemon] clean exit", Do: func(s *said) { s.exited(nil, nil, []byte("0"), nil) }},
	source.Rule[act]{Words: "^npm ERR! errno %d", Do: func(s *said) { s.exited(nil, nil, s.h[0], nil) }},
	source.Rule[act]{Words: "^npm error errno %d", Do: func(s *said) { s.exited(nil, nil, s.h[0], nil) }},
	source.Rule[act]{Words: "^npm ERR! signal %w", Do: func(s *said) { s.exited(nil, nil, nil, s.h[0]) }},
	source.Rule[act]{Words: "^npm error signal %w", Do: func(s *said) { s.exited(nil, nil, nil, s.h[0]) }},
	source.Rule[act]{Words: "^error Command failed with exit code %d", Do: func(s *said) { s.exited(nil, nil, s.h[0], nil) }},
	source.Rule[act]{Words: "^npm info using node@v%w", Do: func(s *said) { s.version(s.h[0]) }},
	source.Rule[act]{Words: "Nest application successfully started", Do: is(fact.ProcessStarted, "")},

	// Development proxies: here Node is the gateway.
	source.Rule[act]{Words: "Failed to proxy %w %s", Do: func(s *said) { s.proxy(s.h[0], s.h[1]) }},
	source.Rule[act]{Words: "[HPM] Error occurred while proxying request %w to %w %s", Do: func(s *said) { s.proxied(s.h[0], s.h[1], s.h[2]) }},
	source.Rule[act]{Words: "[HPM] Error occurred while trying to proxy request %w from %w to %w %s", Do: func(s *said) { s.proxied(s.h[0], s.h[2], s.h[3]) }},
	source.Rule[act]{Words: "[HPM] Error occurred while trying to proxy to: %w", Do: func(s *said) { s.proxied(s.h[0], nil, nil) }},
	source.Rule[act]{Words: "Could not proxy request %w from %w to %w %s", Do: func(s *said) { s.proxied(s.h[0], s.h[2], s.h[3]) }},
	source.Rule[act]{Words: "[vite] http proxy error: %w", Do: (*said).viteProxy},
)

var processLog = source.Format{
	ID: "node-log", Tech: tech, Title: "Node.js process log",
	Sniff:     sniff,
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

func sniff(l *source.Line) source.Confidence {
	b := bytes.TrimSpace(l.Text)
	if len(b) < 8 {
		return source.No
	}
	var h source.Holes
	if _, ok := rules.Match(b, &h); ok {
		if unmistakable(b) {
			return source.Likely
		}
		return source.Fragment
	}
	if frame(b) {
		return source.Likely
	}
	if _, ok := header(b); ok || place(b) {
		return source.Fragment
	}
	return source.No
}

// place reports whether b is a place in a script, "/srv/app.js:12": the first
// line of what Node prints of an error that nobody caught.
func place(b []byte) bool {
	i := bytes.LastIndexByte(b, ':')
	if i < 0 || !source.Int(b[i+1:]).Known || bytes.IndexByte(b, ' ') >= 0 {
		return false
	}
	if source.HasPrefix(b, "node:") {
		return true
	}
	for _, ext := range [...]string{".js", ".mjs", ".cjs", ".ts"} {
		if bytes.HasSuffix(b[:i], []byte(ext)) && (b[0] == '/' || source.HasPrefix(b, "file://")) {
			return true
		}
	}
	return false
}

func unmistakable(b []byte) bool {
	for _, w := range [...]string{"JavaScript heap out", "EADDRINUSE", "EMFILE", "Node.js v", "UnhandledPromiseRejection", "[nodemon]", "via signal [", "Failed to proxy http", "[HPM]", "<--- ", "[vite]"} {
		if source.Has(b, w) {
			return true
		}
	}
	return false
}

// server reports whether a message shows that a server of Node's is what the
// log is about: not its last line, which brings its version, nor a proxy's, for
// whom another is the server.
func server(b []byte) bool {
	for _, w := range [...]string{"Node.js v", "Failed to proxy", "[HPM]", "[vite]"} {
		if source.Has(b, w) {
			return false
		}
	}
	return unmistakable(b)
}

// frame reports whether b is a line of a V8 stack trace: "at f (file.js:1:2)".
func frame(b []byte) bool {
	if !source.HasPrefix(b, "at ") {
		return false
	}
	end := bytes.TrimRight(b, "{ ")
	end = bytes.TrimRight(end, ")")
	for range 2 { // line and column
		i := len(end)
		for i > 0 && end[i-1] >= '0' && end[i-1] <= '9' {
			i--
		}
		if i == len(end) || i == 0 || end[i-1] != ':' {
			return source.HasPrefix(b, "at ") && (source.Has(b, "(<anonymous>)") || source.Has(b, "(native)"))
		}
		end = end[:i-1]
	}
	return true
}

// header reports whether b begins as the first line of an error: a class name
// that ends in Error and a message. It may follow a time or a label.
func header(b []byte) (text []byte, ok bool) {
	i := bytes.Index(b, []byte("Error"))
	if i < 0 || i > 120 {
		return nil, false
	}
	start := i
	for start > 0 && (b[start-1]|0x20 >= 'a' && b[start-1]|0x20 <= 'z') {
		start--
	}
	after := b[i+5:]
	if len(after) > 0 && after[0] == ' ' && len(after) > 1 && after[1] == '[' { // Error [ERR_X]: text
		after = after[bytes.IndexByte(after, ']')+1:]
	}
	if !source.HasPrefix(after, ": ") {
		return nil, false
	}
	return b[start:], true
}

// reader joins the lines of a trace.
type reader struct {
	env      *source.Env
	known    bool // Node was recognised for sure
	pending  []byte
	pendLine source.Line
	trace    bool
	fatal    bool // the trace is of an error that nobody caught
	last     string
	used     fact.Int
	vite     *fact.Request
	code     bool // the line of code at fault comes next
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	at, res, msg := r.stamp(l, b)
	s := said{r: r, l: l, at: at, res: res, msg: msg, out: out}
	if frame(msg) {
		r.sure(l, out)
		r.open(out)
		r.trace = true
		return source.Mine
	}
	if r.vite != nil {
		return r.viteReason(msg, out)
	}
	if do, ok := rules.Match(msg, &s.h); ok {
		if !source.Has(msg, "ERR_UNHANDLED_REJECTION") {
			r.flush()
		}
		if server(msg) {
			r.sure(l, out)
		}
		do(&s)
		return source.Mine
	}
	if text, ok := header(msg); ok {
		r.flush()
		r.last = string(text[:min(len(text), maxDetail)])
		if r.network(&s, text) {
			return source.Mine
		}
		r.pending = append(r.pending[:0], text...)
		r.pendLine = *l
		r.pendLine.Text, r.pendLine.Time, r.pendLine.Res = append([]byte(nil), l.Text...), at, res
		r.pendLine.Host = strings.Clone(l.Host)
		return source.Mine
	}
	if r.inside(b) {
		return source.Mine
	}
	r.flush()
	return source.NotMine
}

// inside reports whether b belongs to a trace or dump that is being read: the
// properties of an error object, the line of code, V8's own stack.
func (r *reader) inside(b []byte) bool {
	if r.code {
		r.code = false
		return true
	}
	switch {
	case len(bytes.Trim(b, "^~ ")) == 0:
		return true
	case place(b):
		r.fatal, r.code = true, true
		return true
	case source.HasPrefix(b, "throw "), source.HasPrefix(b, "Emitted 'error' event"), source.HasPrefix(b, "node:"):
		r.fatal = true
		return true
	case r.trace && (b[0] == '}' || source.HasPrefix(b, "code: ") || source.HasPrefix(b, "errno: ") || source.HasPrefix(b, "syscall: ") || source.HasPrefix(b, "address: ") || source.HasPrefix(b, "port: ") || source.HasPrefix(b, "[cause]") || source.HasPrefix(b, "[errors]")):
		return true
	case r.used.Known || r.known:
		n, rest, ok := bytes.Cut(b, []byte(": 0x")) // " 1: 0xb7a940 node::Abort() [node]"
		return ok && source.Int(bytes.TrimSpace(n)).Known && len(rest) > 4
	}
	return false
}

func (r *reader) Close(source.Sink) { r.flush() }

// stamp takes off a stamp that pm2 or a logger put before a message.
func (r *reader) stamp(l *source.Line, b []byte) (time.Time, fact.Dur, []byte) {
	rest := bytes.TrimPrefix(b, []byte("["))
	if t, res, rest, ok := source.ISOTime(r.env, rest); ok {
		return t, fact.Lasting(res), bytes.TrimLeft(rest, ":] \t")
	}
	return l.Time, l.Res, b
}

// sure states Node's defaults once.
func (r *reader) sure(l *source.Line, out source.Sink) {
	if !r.known {
		r.known = true
		defaults(l, out)
	}
}

// open states the error whose trace begins.
func (r *reader) open(out source.Sink) {
	if len(r.pending) == 0 {
		return
	}
	e := &fact.Event{Kind: fact.AppError, Detail: string(r.pending[:min(len(r.pending), maxDetail)])}
	e.Reason, _, _ = strings.Cut(e.Detail, ":")
	if r.fatal {
		e.Kind, e.Reason, r.fatal = fact.Crashed, "uncaught", false
		r.last = ""
	}
	l := &r.pendLine
	e.Time, e.Res, e.Party = l.Time, l.Res, backend()
	e.Party.Host, e.Party.PID = l.Host, l.PID
	e.Origin.Line, e.Origin.Text = l.N, string(l.Text[:min(len(l.Text), fact.MaxText)])
	out.State(e)
	r.pending = r.pending[:0]
}

func (r *reader) flush() { r.pending, r.trace = r.pending[:0], false }

// network states an error about somebody else's server.
func (r *reader) network(s *said, text []byte) bool {
	m, _, _, ok := source.NetError(text)
	if !ok || m == fact.LimitHit {
		return false
	}
	kind, reason := fact.DependencyDown, string(m)
	switch {
	case m == fact.NameNotResolved:
		kind = fact.DNSFailed
	case source.Has(text, "write EPIPE"), m == fact.ClientGone:
		kind = fact.ClientLeft
	}
	s.msg = text
	e := s.event(kind, reason)
	if addr := target(text); addr != "" {
		e.Attrs = map[string]string{fact.AttrDependency: addr}
	}
	s.out.State(e)
	if r.fatal {
		s.out.State(s.event(fact.Crashed, "uncaught"))
		r.fatal, r.last = false, ""
	}
	r.trace = true
	return true
}

// target is the address or name in "connect ECONNREFUSED 127.0.0.1:5432" and
// "getaddrinfo ENOTFOUND db".
func target(b []byte) string {
	for _, w := range [...]string{"ECONNREFUSED ", "ETIMEDOUT ", "ENOTFOUND ", "EAI_AGAIN ", "EHOSTUNREACH ", "ENETUNREACH ", "ECONNRESET "} {
		if rest, ok := source.Between(b, w, ""); ok {
			f, _ := source.Field(rest)
			return string(bytes.TrimRight(f, ",;)]}'\""))
		}
	}
	return ""
}

func boot(reason string) act { return is(fact.BootFailed, reason) }

func files(s *said) {
	e := s.event(fact.LimitReached, "EMFILE")
	e.Limit = fact.LimitFiles
	s.out.State(e)
	s.r.trace = true
}

func (s *said) inUse() {
	e := s.event(fact.BootFailed, "address in use")
	e.Party.Address = strings.TrimPrefix(string(s.h[0]), "::") // ":::3000" is port 3000 of every address
	s.out.State(e)
	s.r.fatal, s.r.trace, s.r.last = false, true, ""
}

// collection is a line of V8's last garbage collections; it tells how much
// memory was left in use: "... Mark-sweep 2045.5 (2082.9) -> 2044.9 (2083.1) MB".
func (s *said) collection() {
	if _, after, ok := bytes.Cut(s.h[2], []byte(" -> ")); ok {
		mb, _ := source.Field(after)
		if d := source.Secs(mb); d.Known {
			s.r.used = fact.Num(int64(d.D.Seconds() * (1 << 20)))
		}
	}
}

func (s *said) heap() {
	e := s.event(fact.HeapExhausted, "heap")
	e.Used, s.r.used = s.r.used, fact.Int{}
	s.out.State(e)
	s.r.known, s.r.trace = true, true
}

func (s *said) uncaught() { s.r.fatal = true }

// goodbye: the version is the last line of a process that dies of an error.
func (s *said) goodbye() {
	if s.r.last != "" {
		e := s.event(fact.Crashed, "uncaught")
		e.Detail = s.r.last
		s.out.State(e)
		s.r.last = ""
	}
	s.r.fatal, s.r.trace = false, false
	s.version(bytes.TrimPrefix(s.msg, []byte("Node.js v")))
	s.r.sure(s.l, s.out)
}

func (s *said) version(v []byte) {
	e := s.event(fact.ProcessExited, "")
	e.Kind = fact.ProcessExited
	e.Exit = fact.Num(1)
	if !source.HasPrefix(s.msg, "Node.js v") {
		e.Kind, e.Exit = fact.ProcessStarted, fact.Int{}
	}
	e.Attrs = map[string]string{fact.AttrVersion: string(v)}
	s.out.State(e)
}

func (s *said) rejection() {
	s.msg = s.h[0]
	if !s.r.network(s, s.h[0]) {
		s.out.State(s.event(fact.AppError, "unhandled rejection"))
	}
	s.r.trace = true
}

// rejected: since version 15 a rejected promise that nobody handles ends the
// process. The message and its code come one after the other.
func (s *said) rejected() {
	if !s.r.trace {
		s.out.State(s.event(fact.Crashed, "unhandled rejection"))
	}
	s.r.trace, s.r.fatal, s.r.last = true, false, ""
}

func named(kind fact.EventKind, reason string) act {
	return func(s *said) { s.name(kind, reason, s.h[0]) }
}

func (s *said) name(kind fact.EventKind, reason string, name []byte) {
	e := s.event(kind, reason)
	app, _, _ := bytes.Cut(name, []byte(":")) // "api:0" is process 0 of api
	e.Party.Name = string(app)
	s.out.State(e)
}

func (s *said) pm2Exited() { s.exited(s.h[0], s.h[2], s.h[3], s.h[4]) }

// exited: pm2 tells the signal it sent itself where the code is 0.
func (s *said) exited(name, pid, code, signal []byte) {
	e := s.event(fact.ProcessExited, string(signal))
	app, _, _ := bytes.Cut(name, []byte(":"))
	e.Party.Name, e.Party.PID, e.Exit = string(app), source.PID(pid), source.Int(code)
	e.Signal = signals[string(signal)]
	if e.Exit.N > 128 && e.Exit.N < 160 {
		e.Signal = int(e.Exit.N - 128)
	}
	s.out.State(e)
}

var signals = map[string]int{"SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGABRT": 6, "SIGBUS": 7, "SIGKILL": 9, "SIGSEGV": 11, "SIGPIPE": 13, "SIGTERM": 15}

func (s *said) unstable() {
	e := s.event(fact.RestartBackoff, "unstable")
	e.Count = int(min(source.Int(s.h[0]).Or(0), 1<<30))
	s.out.State(e)
}

func (s *said) memoryRestart() {
	e := s.event(fact.WorkerRecycled, "memory")
	e.Used, e.Max = source.Int(s.h[1]), source.Int(s.h[2])
	s.out.State(e)
}
