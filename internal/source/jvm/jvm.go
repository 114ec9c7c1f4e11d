// Package jvm reads what servers on the Java virtual machine write: the
// machine's own last words and garbage collections, Spring Boot with Tomcat,
// Jetty, Undertow or Netty, stack traces, Tomcat's server.xml, Spring's
// application.properties and application.yml, memory flags.
//
// Idle connections: Tomcat keeps them for connectionTimeout, which is 60 s (the
// server.xml it ships says 20 s), and closes after 100 requests; Jetty 30 s;
// Undertow 60 s; Reactor Netty for ever.
package jvm

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "jvm"

// Formats is what this package reads.
var Formats = []source.Format{processLog, yaml, settings}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

func clip(b []byte) string { return string(b[:min(len(b), maxDetail)]) }

// Documentation of defaults.
const (
	docTomcat   = "https://tomcat.apache.org/tomcat-10.1-doc/config/http.html"
	docJetty    = "https://jetty.org/docs/jetty/12/operations-guide/protocols/index.html"
	docUndertow = "https://undertow.io/undertow-docs/undertow-docs-2.1.0/index.html"
	docNetty    = "https://projectreactor.io/docs/netty/release/reference/http-server.html"
)

func setting(k fact.Knob, spelling, where string, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: where}
	s.Party, s.Origin.Line = backend(), line
	return s
}

const properties = "application.properties"

// defaults states what an embedded server does unless told otherwise.
func defaults(server string, line int, out source.Sink) {
	state := func(k fact.Knob, spelling, url string, d time.Duration, n int64, text string) {
		s := setting(k, spelling, properties, line)
		s.Basis, s.Origin.URL, s.Text = fact.Default, url, text
		if d > 0 {
			s.Dur = fact.Lasting(d)
		}
		if n > 0 {
			s.Num = fact.Num(n)
		}
		out.State(s)
	}
	switch server {
	case "Tomcat":
		state(fact.KeepAliveIdle, "server.tomcat.keep-alive-timeout={s}s", docTomcat, time.Minute, 0, "")
		state(fact.MaxConnRequests, "server.tomcat.max-keep-alive-requests={n}", docTomcat, 0, 100, "")
		state(fact.Workers, "server.tomcat.threads.max={n}", docTomcat, 0, 200, "")
		state(fact.ListenBacklog, "server.tomcat.accept-count={n}", docTomcat, 0, 100, "")
	case "Jetty":
		state(fact.KeepAliveIdle, "server.jetty.connection-idle-timeout={s}s", docJetty, 30*time.Second, 0, "")
	case "Undertow":
		state(fact.KeepAliveIdle, "server.undertow.no-request-timeout={s}s", docUndertow, time.Minute, 0, "")
	case "Netty":
		state(fact.KeepAliveIdle, "server.netty.idle-timeout={s}s", docNetty, 0, 0, "none")
	}
}

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
	e := &fact.Event{Kind: kind, Reason: reason, Detail: clip(s.msg)}
	e.Time, e.Res, e.Party = s.at, s.res, backend()
	return e
}

type act = func(*said)

func is(kind fact.EventKind, reason string) act {
	return func(s *said) { s.out.State(s.event(kind, reason)) }
}

func limit(what fact.Limit, reason string) act {
	return func(s *said) {
		e := s.event(fact.LimitReached, reason)
		e.Limit = what
		s.out.State(e)
	}
}

func quiet(*said) {}

var rules = source.NewRules(
	// Memory.
	source.Rule[act]{Words: "OutOfMemoryError: unable to create new native thread", Do: limit(fact.LimitProcesses, "threads")},
	source.Rule[act]{Words: "OutOfMemoryError: unable to create native thread", Do: limit(fact.LimitProcesses, "threads")},
	source.Rule[act]{Words: "java.lang.OutOfMemoryError: %s", Do: (*said).heap},
	source.Rule[act]{Words: "Exception: java.lang.OutOfMemoryError thrown from", Do: is(fact.HeapExhausted, "heap")},
	source.Rule[act]{Words: "Terminating due to java.lang.OutOfMemoryError", Do: is(fact.ProcessExited, "ExitOnOutOfMemoryError")},
	source.Rule[act]{Words: "There is insufficient memory for the Java Runtime Environment", Do: is(fact.HeapExhausted, "native memory")},
	source.Rule[act]{Words: "A fatal error has been detected by the Java Runtime Environment", Do: is(fact.Crashed, "JVM")},
	source.Rule[act]{Words: "Pause Full (%s) %w %fms", Do: (*said).pause},
	source.Rule[act]{Words: "[Full GC (%s, %f secs]", Do: (*said).oldPause},

	// Limits.
	source.Rule[act]{Words: "Too many open files", Do: (*said).files},
	source.Rule[act]{Words: "All threads (%d) are currently busy", Do: (*said).busy},
	source.Rule[act]{Words: "Maximum number of threads (%d) created for connector", Do: (*said).busy},
	source.Rule[act]{Words: "Connection is not available, request timed out after %dms", Do: (*said).pool},

	// Start and stop.
	source.Rule[act]{Words: "APPLICATION FAILED TO START", Do: is(fact.BootFailed, "application")},
	source.Rule[act]{Words: "Web server failed to start. Port %d was already in use", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "java.net.BindException: Address already in use", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "Tomcat started on port(s): %d", Do: ready("Tomcat")},
	source.Rule[act]{Words: "Tomcat started on port %d", Do: ready("Tomcat")},
	source.Rule[act]{Words: "Jetty started on port(s) %d", Do: ready("Jetty")},
	source.Rule[act]{Words: "Jetty started on port %d", Do: ready("Jetty")},
	source.Rule[act]{Words: "Undertow started on port(s) %d", Do: ready("Undertow")},
	source.Rule[act]{Words: "Undertow started on port %d", Do: ready("Undertow")},
	source.Rule[act]{Words: "Netty started on port(s): %d", Do: ready("Netty")},
	source.Rule[act]{Words: "Netty started on port %d", Do: ready("Netty")},
	source.Rule[act]{Words: "Started %w in %f seconds (", Do: (*said).started},
	source.Rule[act]{Words: "Starting ProtocolHandler [\"http-%w\"]", Do: ready("Tomcat")},
	source.Rule[act]{Words: "Server startup in [%d] milliseconds", Do: is(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "Started ServerConnector@", Do: ready("Jetty")},
	source.Rule[act]{Words: "Started oejs.ServerConnector@", Do: ready("Jetty")},
	source.Rule[act]{Words: "Stopped ServerConnector@", Do: is(fact.ProcessStopping, "stop")},
	source.Rule[act]{Words: "Commencing graceful shutdown. Waiting for active requests to complete", Do: is(fact.ProcessStopping, "graceful")},
	source.Rule[act]{Words: "Graceful shutdown aborted with one or more requests still active", Do: is(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "Graceful shutdown complete", Do: is(fact.ProcessExited, "graceful")},
	source.Rule[act]{Words: "Pausing ProtocolHandler [", Do: is(fact.ProcessStopping, "stop")},
	source.Rule[act]{Words: "Stopping ProtocolHandler [", Do: quiet},
	source.Rule[act]{Words: "Stopping service [Tomcat]", Do: is(fact.ProcessStopping, "stop")},

	// Requests.
	source.Rule[act]{Words: "ClientAbortException: %s", Do: is(fact.ClientLeft, "abort")},
	source.Rule[act]{Words: "Invalid character found in method name [0x16", Do: is(fact.TLSTrouble, "TLS on a plain port")},
	source.Rule[act]{Words: "Request header is too large", Do: is(fact.AppError, "request header too large")},
	source.Rule[act]{Words: "Servlet.service() for servlet [%s] in context with path [%s] threw exception", Do: is(fact.AppError, "servlet")},
	source.Rule[act]{Words: "Error parsing HTTP request header", Do: quiet},
)

var processLog = source.Format{
	ID: "java-log", Tech: tech, Title: "log of a Java server",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 12 {
			return source.No
		}
		if frameLine(b) {
			return source.Likely
		}
		var h source.Holes
		if _, ok := rules.Match(b, &h); ok && !source.Has(b, "Too many open files") || source.Has(b, "java.") && source.Has(b, "Too many open files") {
			if source.Has(b, "java.") || source.Has(b, "Tomcat") || source.Has(b, "HikariPool") || source.Has(b, "ProtocolHandler") || source.Has(b, "ServerConnector") || source.Has(b, "Java Runtime") {
				return source.Likely
			}
			return source.Fragment
		}
		if _, _, ok := exception(b); ok {
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

type reader struct {
	env    *source.Env
	server string // whose defaults were stated
	trace  bool   // a stack trace is being read
	net    bool   // it was stated as trouble with another server
	// error without a package before it: only a trace makes it Java's
	held *fact.Event
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if frameLine(b) {
		if r.held != nil {
			out.State(r.held)
			r.held = nil
		}
		r.trace = true
		return source.Mine
	}
	s := said{r: r, l: l, msg: b, out: out}
	s.at, s.res = l.Time, l.Res
	if t, res, rest, ok := source.ISOTime(r.env, bytes.TrimPrefix(b, []byte("["))); ok {
		s.at, s.res, s.msg = t, fact.Lasting(res), bytes.TrimLeft(rest, " ]")
	} else if t, rest, ok := julStamp(r.env, b); ok {
		s.at, s.res, s.msg = t, fact.Lasting(time.Millisecond), rest
	}
	if do, ok := rules.Match(b, &s.h); ok {
		if source.Has(b, "Too many open files") && !source.Has(b, "java.") && !r.trace {
			return source.NotMine
		}
		r.held = nil
		do(&s)
		r.trace = true
		return source.Mine
	}
	if kind, text, ok := exception(s.msg); ok {
		s.thrown(kind, text)
		return source.Mine
	}
	r.held = nil
	if r.trace && (source.HasPrefix(b, "... ") || source.HasPrefix(b, "Suppressed: ") || source.HasPrefix(b, "# ") || string(b) == "#") {
		return source.Mine
	}
	r.trace, r.net = false, false
	return source.NotMine
}

func (*reader) Close(source.Sink) {}

// julStamp reads "09-Mar-2026 14:00:05.000", which Tomcat's own log has.
func julStamp(env *source.Env, b []byte) (t time.Time, rest []byte, ok bool) {
	if len(b) < 25 || b[2] != '-' || b[6] != '-' || b[11] != ' ' || b[14] != ':' || b[20] != '.' {
		return t, b, false
	}
	mon := source.Month(b[3:6])
	var n [6]int64
	for i, at := range [...][2]int{{7, 11}, {0, 2}, {12, 14}, {15, 17}, {18, 20}, {21, 24}} {
		if n[i] = source.Int(b[at[0]:at[1]]).Or(-1); n[i] < 0 {
			return t, b, false
		}
	}
	if mon == 0 {
		return t, b, false
	}
	t = env.Local(int(n[0]), mon, int(n[1]), int(n[2]), int(n[3]), int(n[4]), int(n[5])*int(time.Millisecond))
	return t, bytes.TrimLeft(b[24:], " "), true
}

// frameLine reports whether b is a line of a stack: "at a.b.C.m(C.java:12)".
func frameLine(b []byte) bool {
	if !source.HasPrefix(b, "at ") || b[len(b)-1] != ')' && !source.Has(b, ") ~[") && !source.Has(b, ") [") {
		return false
	}
	return source.Has(b, ".java:") || source.Has(b, ".kt:") || source.Has(b, ".scala:") || source.Has(b, "(Native Method)") || source.Has(b, "(Unknown Source)")
}

// exception finds "java.net.ConnectException: Connection refused", alone or at
// the end of a logger's line.
func exception(b []byte) (kind, text []byte, ok bool) {
	for _, pre := range [...]string{"Caused by: ", "Exception in thread "} {
		if rest, cut := bytes.CutPrefix(b, []byte(pre)); cut {
			if pre[0] == 'E' {
				_, rest, _ = source.Quoted(rest)
			}
			b = rest
		}
	}
	for _, end := range [...]string{"Exception", "Error"} {
		i := bytes.Index(b, []byte(end))
		if i < 0 {
			continue
		}
		after := b[i+len(end):]
		if len(after) > 0 && !source.HasPrefix(after, ": ") && !source.HasPrefix(after, ":") {
			continue
		}
		start := i
		for start > 0 && (b[start-1]|0x20 >= 'a' && b[start-1]|0x20 <= 'z' || b[start-1] == '.' || b[start-1] == '$' || b[start-1] == '_' || b[start-1] >= '0' && b[start-1] <= '9') {
			start--
		}
		kind = b[start : i+len(end)]
		if bytes.Count(kind, []byte(".")) < 2 { // a package has at least two parts
			continue
		}
		return kind, bytes.TrimLeft(bytes.TrimPrefix(after, []byte(":")), " "), true
	}
	return nil, nil, false
}

// thrown: an exception's first line, or that of a cause. What it means is told
// by the cause if that is trouble with another server.
func (s *said) thrown(kind, text []byte) {
	r := s.r
	cause := source.HasPrefix(s.msg, "Caused by: ")
	uncaught := source.HasPrefix(s.msg, "Exception in thread ")
	m, _, _, net := source.NetError(s.msg)
	if !net {
		net = source.Has(kind, "PrematureCloseException") || source.Has(kind, "CommunicationsException") || source.Has(kind, "SocketTimeoutException") || source.Has(kind, "JDBCConnectionException") || source.Has(kind, "RedisConnectionFailureException")
	}
	name := string(kind[bytes.LastIndexByte(kind, '.')+1:])
	switch {
	case cause && r.net:
	case net && m == fact.NameNotResolved:
		r.net = true
		s.foreign(fact.DNSFailed, "lookup", text)
	case net && m == fact.ClientGone, net && source.Has(s.msg, "Broken pipe"):
		s.out.State(s.event(fact.ClientLeft, name))
	case net:
		r.net = true
		reason := string(m)
		if reason == "" {
			reason = name
		}
		s.foreign(fact.DependencyDown, reason, text)
	case cause:
	case uncaught:
		s.out.State(s.event(fact.Crashed, "uncaught"))
	default:
		e := s.event(fact.AppError, name)
		e.Origin.Line, e.Origin.Text = s.l.N, clip(s.l.Text)
		e.Party.Host, e.Party.PID = strings.Clone(s.l.Host), s.l.PID
		r.held = e
		if source.HasPrefix(kind, "java.") || source.HasPrefix(kind, "org.") || source.HasPrefix(kind, "jakarta.") || source.HasPrefix(kind, "javax.") {
			s.out.State(e)
			r.held = nil
		}
	}
	r.trace = true
}

// foreign states trouble with another server, whose name may end the text:
// "api:8080 failed to respond", "Connect to api:8080 [...] failed".
func (s *said) foreign(kind fact.EventKind, reason string, text []byte) {
	e := s.event(kind, reason)
	if to, ok := source.Between(text, "Connect to ", " "); ok {
		e.Attrs = map[string]string{fact.AttrDependency: string(to)}
	} else if to, ok := bytes.CutSuffix(text, []byte(" failed to respond")); ok {
		e.Attrs = map[string]string{fact.AttrDependency: string(to)}
	} else if to, ok := source.Between(text, "Connection refused: ", ""); ok {
		f, _ := source.Field(to)
		e.Attrs = map[string]string{fact.AttrDependency: string(f)}
	}
	s.out.State(e)
}

func (s *said) heap() { s.out.State(s.event(fact.HeapExhausted, clip(s.h[0]))) }

// longPause is when a collection stops the server for longer than probes wait.
const longPause = time.Second

func (s *said) pause() {
	if d := source.Secs(s.h[2]); d.Known && d.D/1000 >= longPause {
		e := s.event(fact.CPUBusy, "gc")
		e.Lasted = fact.Lasting(d.D / 1000)
		s.out.State(e)
	}
}

func (s *said) oldPause() {
	if d := source.Secs(s.h[1]); d.Known && d.D >= longPause {
		e := s.event(fact.CPUBusy, "gc")
		e.Lasted = d
		s.out.State(e)
	}
}

func (s *said) files() { limit(fact.LimitFiles, "EMFILE")(s) }

func (s *said) busy() {
	e := s.event(fact.LimitReached, "threads")
	e.Limit, e.Max = fact.LimitWorkers, source.Int(s.h[0])
	s.out.State(e)
}

// pool: HikariCP had no connection to the database to give.
func (s *said) pool() {
	e := s.event(fact.DependencyDown, "pool exhausted")
	e.Lasted = source.Millis(s.h[0])
	if used, ok := source.Between(s.msg, "active=", ","); ok {
		e.Used = source.Int(used)
	}
	if most, ok := source.Between(s.msg, "total=", ","); ok {
		e.Max = source.Int(most)
	}
	s.out.State(e)
}

func ready(server string) act {
	return func(s *said) {
		s.out.State(s.event(fact.ProcessStarted, server))
		if s.r.server == "" {
			s.r.server = server
			defaults(server, s.l.N, s.out)
		}
	}
}

func (s *said) started() {
	e := s.event(fact.ProcessStarted, "application")
	e.Lasted = source.Secs(s.h[1])
	s.out.State(e)
}
