// Package golang reads what programs in Go write by themselves: panics and
// fatal errors of the run time, the lines of net/http's server and reverse
// proxy, request lines of gin and chi, and server code that sets time-outs.
//
// Words are those of runtime/panic.go, net/http/server.go and
// net/http/httputil/reverseproxy.go. A server without IdleTimeout keeps idle
// connections for ever; a transport drops them after 90 s.
package golang

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "golang"

// Formats is what this package reads.
var Formats = []source.Format{accessLog, processLog, sourceCode}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }
func gateway() fact.Party { return fact.Party{Role: fact.RoleGateway, Tech: tech} }

const docHTTP = "https://pkg.go.dev/net/http"

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

func clip(b []byte) string { return string(b[:min(len(b), maxDetail)]) }

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

func quiet(*said) {}

var rules = source.NewRules(
	source.Rule[act]{Words: "http: panic serving %w: %s", Do: (*said).serving},
	source.Rule[act]{Words: "http: Accept error: %s: too many open files", Do: (*said).files},
	source.Rule[act]{Words: "http: proxy error: %s", Do: (*said).proxyError},
	source.Rule[act]{Words: "httputil: ReverseProxy read error during body copy: %s", Do: (*said).bodyCopy},
	source.Rule[act]{Words: "http: TLS handshake error from %w: EOF", Do: quiet},
	source.Rule[act]{Words: "http: TLS handshake error from %w: %s", Do: (*said).handshake},
	source.Rule[act]{Words: "http: Server closed", Do: is(fact.ProcessStopping, "shutdown")},
	source.Rule[act]{Words: "http: superfluous response.WriteHeader call", Do: quiet},
	source.Rule[act]{Words: "http: response.WriteHeader on hijacked connection", Do: quiet},
	source.Rule[act]{Words: "http: response.Write on hijacked connection", Do: quiet},
	source.Rule[act]{Words: "Unsolicited response received on idle HTTP channel starting with", Do: is(fact.DependencyDown, "unsolicited response")},
	source.Rule[act]{Words: "listen tcp %w: bind: %s", Do: (*said).bind},
	source.Rule[act]{Words: "listen unix %w: bind: %s", Do: (*said).bind},
	source.Rule[act]{Words: "^panic: %s", Do: (*said).panicked},
	source.Rule[act]{Words: "^fatal error: runtime: out of memory", Do: is(fact.HeapExhausted, "out of memory")},
	source.Rule[act]{Words: "^fatal error: runtime: cannot allocate memory", Do: is(fact.HeapExhausted, "out of memory")},
	source.Rule[act]{Words: "^runtime: out of memory: cannot allocate", Do: quiet},
	source.Rule[act]{Words: "^runtime: goroutine stack exceeds %d-byte limit", Do: quiet},
	source.Rule[act]{Words: "^fatal error: stack overflow", Do: is(fact.Crashed, "stack overflow")},
	source.Rule[act]{Words: "^fatal error: concurrent map %s", Do: is(fact.Crashed, "concurrent map")},
	source.Rule[act]{Words: "^fatal error: all goroutines are asleep", Do: is(fact.Crashed, "deadlock")},
	source.Rule[act]{Words: "^fatal error: unexpected signal during runtime execution", Do: is(fact.Crashed, "signal")},
	source.Rule[act]{Words: "^fatal error: sync: %s", Do: is(fact.Crashed, "sync")},
	source.Rule[act]{Words: "^[signal SIG%w: ", Do: quiet},
	source.Rule[act]{Words: "^[Recovery] %s panic recovered:", Do: is(fact.AppError, "panic")},
	source.Rule[act]{Words: "^[GIN-debug] Listening and serving HTTP on %w", Do: (*said).serves},
)

var processLog = source.Format{
	ID: "go-log", Tech: tech, Title: "log of a Go program",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 8 {
			return source.No
		}
		_, _, msg := frame(&source.Env{}, b)
		var h source.Holes
		if _, ok := rules.Match(msg, &h); ok {
			if source.HasPrefix(msg, "http: ") || source.HasPrefix(msg, "httputil: ") || source.HasPrefix(msg, "fatal error: ") || source.HasPrefix(msg, "panic: runtime error") || source.HasPrefix(msg, "[GIN") {
				return source.Likely
			}
			return source.Fragment
		}
		if goroutine(msg) {
			return source.Likely
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

// frame takes off the log package's stamp and the place in the code, which
// log.Llongfile adds.
func frame(env *source.Env, b []byte) (time.Time, fact.Dur, []byte) {
	t, res, rest, ok := source.SlashTime(env, b)
	if !ok {
		return t, fact.Dur{}, b
	}
	rest = bytes.TrimLeft(rest, " ")
	if i := bytes.Index(rest, []byte(": ")); i > 0 && bytes.LastIndex(rest[:i], []byte(".go:")) > 0 && bytes.IndexByte(rest[:i], ' ') < 0 {
		rest = rest[i+2:]
	}
	return t, fact.Lasting(res), rest
}

// goroutine reports whether b heads a stack: "goroutine 12 [running]:".
func goroutine(b []byte) bool {
	rest, ok := bytes.CutPrefix(b, []byte("goroutine "))
	if !ok {
		return false
	}
	n, rest := source.Field(rest)
	return source.Int(n).Known && len(rest) > 2 && rest[0] == '[' && source.Has(rest, "]:")
}

type reader struct {
	env    *source.Env
	server bool // net/http was recognised, its default stated
	proxy  bool
	stack  bool // a stack is being read
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	at, res, msg := frame(r.env, b)
	s := said{r: r, l: l, at: at, res: res, msg: msg, out: out}
	if at.IsZero() {
		s.at, s.res = l.Time, l.Res
	}
	if do, ok := rules.Match(msg, &s.h); ok {
		again := r.stack && source.HasPrefix(msg, "panic: ")
		if r.stack = again; again {
			return source.Mine // the same panic again, higher in the stack
		}
		if source.HasPrefix(msg, "http: ") {
			r.defaults(l, out)
		}
		do(&s)
		return source.Mine
	}
	switch {
	case goroutine(msg):
		r.stack = true
		return source.Mine
	case len(b) == 0:
		return source.Mine
	case r.stack && (l.Text[0] == '\t' || bytes.HasSuffix(b, []byte(")")) || source.HasPrefix(b, "created by ") || source.HasPrefix(b, "exit status ") || source.HasPrefix(b, "main.")):
		return source.Mine
	case source.HasPrefix(b, "exit status 2"):
		return source.Mine
	}
	r.stack = false
	return source.NotMine
}

func (*reader) Close(source.Sink) {}

// defaults states once that a server keeps idle connections.
func (r *reader) defaults(l *source.Line, out source.Sink) {
	if r.server {
		return
	}
	r.server = true
	s := setting(fact.KeepAliveIdle, backend(), "IdleTimeout: {s} * time.Second", l.N)
	s.Text, s.Basis, s.Origin.URL = "none", fact.Default, docHTTP+"#Server"
	out.State(s)
}

func setting(k fact.Knob, who fact.Party, spelling string, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling}
	s.Party, s.Origin.Line = who, line
	return s
}

// serving: a handler's panic closes its connection without an answer.
func (s *said) serving() {
	e := s.event(fact.Crashed, "panic")
	e.Client, e.Detail = string(s.h[0]), clip(s.h[1])
	s.r.stack = true
	s.out.State(e)
}

func (s *said) panicked() {
	e := s.event(fact.Crashed, "panic")
	s.r.stack = true
	s.out.State(e)
}

func (s *said) files() {
	e := s.event(fact.LimitReached, "EMFILE")
	e.Limit = fact.LimitFiles
	s.out.State(e)
}

func (s *said) handshake() {
	e := s.event(fact.TLSTrouble, "handshake")
	e.Client, e.Attrs = string(s.h[0]), map[string]string{fact.AttrTLS: clip(s.h[1])}
	s.out.State(e)
}

func (s *said) bind() {
	reason := "bind"
	if source.Has(s.h[1], "address already in use") {
		reason = "address in use"
	} else if source.Has(s.h[1], "permission denied") {
		reason = "permission denied"
	}
	e := s.event(fact.BootFailed, reason)
	e.Party.Address = string(s.h[0])
	s.out.State(e)
}

func (s *said) serves() {
	s.out.State(s.event(fact.ProcessStarted, ""))
	x := setting(fact.ListenAddress, backend(), "router.Run(\":8080\")", s.l.N)
	x.Basis, x.Text = fact.Measured, string(s.h[0])
	s.out.State(x)
	s.r.defaults(s.l, s.out)
}

// proxyError: httputil.ReverseProxy could not get an answer, and made a 502.
func (s *said) proxyError() {
	why := s.h[0]
	q := s.attempt(why)
	q.Status = fact.Num(502)
	if q.Ended == fact.ClientGone {
		q.Status = fact.Int{} // nobody is there to see it
	}
	s.out.State(q)
	if !s.r.proxy {
		s.r.proxy = true
		poolDefaults(s.l.N, s.out)
	}
}

// poolDefaults states how long a proxy keeps connections.
func poolDefaults(line int, out source.Sink) {
	x := setting(fact.PoolIdle, gateway(), "IdleConnTimeout: {s} * time.Second", line)
	x.Dur, x.Basis, x.Origin.URL = fact.Seconds(90), fact.Default, docHTTP+"#DefaultTransport"
	out.State(x)
}

func (s *said) bodyCopy() {
	q := s.attempt(s.h[0])
	if q.Ended != fact.ClientGone {
		q.Ended, q.Phase = fact.CutMidReply, fact.PhaseReading
		q.Attempts[0].Ended = fact.CutMidReply
	}
	s.out.State(q)
}

func (s *said) attempt(why []byte) *fact.Request {
	q := &fact.Request{Partial: true, Detail: clip(why), Writer: fact.WriterSelf}
	q.Time, q.Res, q.Party = s.at, s.res, gateway()
	m, phase, errno, _ := source.NetError(why)
	q.Ended, q.Phase, q.Errno = m, phase, errno
	q.Attempts = []fact.Attempt{{Address: peer(why), Ended: m, Errno: errno}}
	return q
}

// peer is the other side in "dial tcp 10.0.0.5:8080: ..." and "read tcp
// 10.0.0.1:5000->10.0.0.5:8080: ...".
func peer(b []byte) string {
	if rest, ok := source.Between(b, "->", ""); ok {
		f, _ := source.Field(rest)
		return strings.TrimRight(string(f), ":")
	}
	if name, ok := source.Between(b, "lookup ", ""); ok {
		f, _ := source.Field(name)
		return strings.TrimRight(string(f), ":")
	}
	for _, pre := range [...]string{"dial tcp ", "dial unix ", "dial tcp4 ", "dial tcp6 "} {
		if rest, ok := source.Between(b, pre, ""); ok {
			f, _ := source.Field(rest)
			return strings.TrimRight(string(f), ":")
		}
	}
	return ""
}
