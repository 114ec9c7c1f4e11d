package ruby

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// said is one message and where its facts go.
type said struct {
	l   *source.Line
	at  time.Time
	res fact.Dur
	pid int
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

type act = func(*said)

func is(kind fact.EventKind, reason string) act {
	return func(s *said) { s.out.State(s.event(kind, reason)) }
}

// worker makes an act about the worker whose pid is hole i.
func worker(kind fact.EventKind, reason string, i int) act {
	return func(s *said) {
		s.pid = source.PID(s.h[i])
		s.out.State(s.event(kind, reason))
	}
}

// timedOut makes an act about a worker that was killed; lasted and pid are
// holes, lasted -1 where it is not told.
func timedOut(reason string, lasted, pid int) act {
	return func(s *said) {
		s.pid = source.PID(s.h[pid])
		e := s.event(fact.WorkerTimedOut, reason)
		if lasted >= 0 {
			e.Lasted = source.Secs(s.h[lasted])
		}
		s.out.State(e)
	}
}

func quiet(*said) {}

// own are messages that tell by themselves who wrote them.
var own = source.NewRules(
	source.Rule[act]{Words: "Puma starting in %w mode", Do: is(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "* Puma version: %w (", Do: (*said).pumaVersion},
	source.Rule[act]{Words: "* Version %w (ruby %s), codename", Do: (*said).pumaVersion},
	source.Rule[act]{Words: "- Worker %d (PID: %d) booted", Do: worker(fact.WorkerStarted, "", 1)},
	source.Rule[act]{Words: "- Worker %d (pid: %d) booted", Do: worker(fact.WorkerStarted, "", 1)},
	source.Rule[act]{Words: "! Terminating timed out worker (Worker %d failed to check in within %d seconds): %d", Do: timedOut("check-in", 1, 2)},
	source.Rule[act]{Words: "! Terminating timed out worker (worker failed to check in within %d seconds): %d", Do: timedOut("check-in", 0, 1)},
	source.Rule[act]{Words: "! Terminating timed out worker (%s failed to boot within %d seconds): %d", Do: timedOut("boot", 1, 2)},
	source.Rule[act]{Words: "! Terminating timed out worker: %d", Do: timedOut("check-in", -1, 0)},
	source.Rule[act]{Words: "- Gracefully stopping, waiting for requests to finish", Do: is(fact.ProcessStopping, "graceful")},
	source.Rule[act]{Words: "- Gracefully shutting down workers", Do: is(fact.ProcessStopping, "graceful")},
	source.Rule[act]{Words: "=== puma shutdown: ", Do: is(fact.ProcessExited, "shutdown")},
	source.Rule[act]{Words: "- Stopping %d for phased upgrade", Do: worker(fact.WorkerRecycled, "phased restart", 0)},
	source.Rule[act]{Words: "- Starting phased worker restart", Do: is(fact.ConfigReloaded, "phased restart")},
	source.Rule[act]{Words: "Are you trying to open an SSL connection to a non-SSL Puma?", Do: is(fact.TLSTrouble, "TLS on a plain port")},
	source.Rule[act]{Words: "Puma::HttpParserError", Do: quiet},
	source.Rule[act]{Words: "Puma::ConnectionError", Do: is(fact.ClientLeft, "connection")},
	source.Rule[act]{Words: "Rack app (\"%w %w\" - (%w)): %s", Do: (*said).rackApp},
	source.Rule[act]{Words: "Rack app error handling request { %w %w }", Do: (*said).rackApp},
	source.Rule[act]{Words: "Puma caught this error: %s", Do: is(fact.AppError, "exception")},
	source.Rule[act]{Words: "Error reached top of thread-pool: %s", Do: is(fact.AppError, "exception")},
	source.Rule[act]{Words: "Early termination of worker", Do: is(fact.WorkerExited, "early")},
	source.Rule[act]{Words: "PumaWorkerKiller: %sSending TERM to pid %d consuming", Do: worker(fact.WorkerRecycled, "memory", 1)},
	source.Rule[act]{Words: "(Errno::EADDRINUSE)", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "Too many open files - accept(2)", Do: files},
	source.Rule[act]{Words: "(Errno::EMFILE)", Do: files},
	source.Rule[act]{Words: "worker=%d PID:%d timeout (%ds > %ds), killing", Do: timedOut("timeout", 3, 1)},
	source.Rule[act]{Words: "reaped #<Process::Status: pid %d SIG%w (signal %d)", Do: (*said).reaped},
	source.Rule[act]{Words: "reaped #<Process::Status: pid %d exit %d>", Do: (*said).exited},
	source.Rule[act]{Words: "worker=%d spawned pid=%d", Do: worker(fact.WorkerStarted, "", 1)},
	source.Rule[act]{Words: "worker=%d ready", Do: is(fact.WorkerStarted, "ready")},
	source.Rule[act]{Words: "adding listener failed addr=%w (in use)", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "worker (pid: %d) exceeds max number of requests (limit: %d)", Do: worker(fact.WorkerRecycled, "max requests", 0)},
	source.Rule[act]{Words: "worker (pid: %d) exceeds memory limit", Do: worker(fact.WorkerRecycled, "memory", 0)},
	source.Rule[act]{Words: "Request queue is full. Returning an error", Do: (*said).passengerQueue},
	source.Rule[act]{Words: "Rack::Timeout::RequestTimeout%w %sran for longer than %dms", Do: func(s *said) { s.rackTimeout(s.h[2]) }},
	source.Rule[act]{Words: "source=rack-timeout %stimeout=%dms %sstate=timed_out", Do: func(s *said) { s.rackTimeout(s.h[1]) }},
)

// framed are messages in ordinary words, which need Ruby's Logger around them.
var framed = source.NewRules(
	source.Rule[act]{Words: "master process ready", Do: is(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "master complete", Do: is(fact.ProcessExited, "shutdown")},
	source.Rule[act]{Words: "listening on addr=%w fd=%d", Do: (*said).unicornListens},
	source.Rule[act]{Words: "app error: %s", Do: is(fact.AppError, "exception")},
	source.Rule[act]{Words: "forked child re-executing", Do: is(fact.ConfigReloaded, "USR2")},
)

var serverLog = source.Format{
	ID: "ruby-server-log", Tech: tech, Title: "log of Puma, Unicorn or Passenger",
	Sniff: func(l *source.Line) source.Confidence {
		if len(l.Text) < 12 {
			return source.No
		}
		_, _, _, msg, logger := frame(&source.Env{}, l.Text)
		var h source.Holes
		if _, ok := own.Match(msg, &h); ok {
			return source.Likely
		}
		if logger {
			if _, ok := framed.Match(msg, &h); ok {
				return source.Likely
			}
			return source.Possible
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &serverReader{env: env} },
}

type serverReader struct{ env *source.Env }

func (r *serverReader) Line(l *source.Line, out source.Sink) source.Took {
	at, res, pid, msg, logger := frame(r.env, l.Text)
	s := said{l: l, at: at, res: res, pid: pid, msg: msg, out: out}
	if at.IsZero() {
		s.at, s.res = l.Time, l.Res
	}
	do, ok := own.Match(msg, &s.h)
	if !ok && logger {
		do, ok = framed.Match(msg, &s.h)
	}
	switch {
	case ok:
		do(&s)
	case logger, source.HasPrefix(msg, "* "), source.HasPrefix(msg, "- "), source.HasPrefix(msg, "Use Ctrl-C"):
		out.Seen(s.at)
	default:
		return source.NotMine
	}
	return source.Mine
}

func (*serverReader) Close(source.Sink) {}

func (s *said) pumaVersion() {
	e := s.event(fact.ProcessStarted, "")
	e.Attrs = map[string]string{fact.AttrVersion: string(s.h[0])}
	s.out.State(e)
	pumaDefaults(string(s.h[0]), s.l.N, s.out)
}

// rackApp: the application raised, and Puma answered with 500.
func (s *said) rackApp() {
	e := s.event(fact.AppError, "exception")
	e.Method, e.Path, e.Client = string(s.h[0]), string(s.h[1]), string(s.h[2])
	s.out.State(e)
}

func (s *said) unicornListens() {
	x := setting(fact.ListenAddress, "listen", "unicorn.rb", s.l.N)
	x.Basis, x.Text, x.Time = fact.Measured, string(s.h[0]), s.at
	s.out.State(x)
	unicornDefaults(s.l.N, s.out)
}

func (s *said) reaped() {
	s.pid = source.PID(s.h[0])
	e := s.event(fact.WorkerExited, "SIG"+string(s.h[1]))
	e.Signal = int(source.Int(s.h[2]).Or(0))
	s.out.State(e)
	switch e.Signal {
	case 4, 6, 7, 8, 11: // ILL, ABRT, BUS, FPE, SEGV
		c := s.event(fact.Crashed, e.Reason)
		c.Signal = e.Signal
		s.out.State(c)
	}
}

func (s *said) exited() {
	s.pid = source.PID(s.h[0])
	e := s.event(fact.WorkerExited, "")
	e.Exit = source.Int(s.h[1])
	s.out.State(e)
}

func (s *said) passengerQueue() {
	e := s.event(fact.LimitReached, "request queue")
	e.Limit = fact.LimitQueue
	s.out.State(e)
}

func (s *said) rackTimeout(ms []byte) {
	e := s.event(fact.SlowRequest, "rack-timeout")
	e.Lasted = source.Millis(ms)
	if id, ok := source.Between(s.msg, " id=", " "); ok && len(id) > 0 {
		e.IDs = []string{string(bytes.Clone(id))}
	}
	s.out.State(e)
}

func files(s *said) {
	e := s.event(fact.LimitReached, "EMFILE")
	e.Limit = fact.LimitFiles
	s.out.State(e)
}
