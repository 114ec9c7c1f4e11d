// Package uwsgi reads uWSGI's log, with its request lines, and its
// configuration.
//
// Messages are those of core/master.c, master_checks.c, master_utils.c,
// logging.c and writer.c, versions 1.9 to 2.1. A worker that works on one
// request longer than harakiri seconds is killed; the listen queue holds 100
// unless told otherwise; the http router closes the connection after each
// response unless http-keepalive is set, and gives up after http-timeout, 60 s.
package uwsgi

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "uwsgi"

// Formats is what this package reads.
var Formats = []source.Format{processLog, file, options}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

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
	return e
}

type act = func(*said)

func is(kind fact.EventKind, reason string) act {
	return func(s *said) { s.out.State(s.event(kind, reason)) }
}

// worker makes an act about the worker whose pid is hole i.
func worker(kind fact.EventKind, reason string, i int) act {
	return func(s *said) {
		e := s.event(kind, reason)
		e.Party.PID = source.PID(s.h[i])
		s.out.State(e)
	}
}

func quiet(*said) {}

var rules = source.NewRules(
	// Time-outs. The first is the kill; the others say what it was doing.
	source.Rule[act]{Words: "*** HARAKIRI ON WORKER %d (pid: %d, try: %d%s", Do: (*said).harakiri},
	source.Rule[act]{Words: "HARAKIRI ON WORKER %d (pid: %d, try: %d%s", Do: (*said).harakiri},
	source.Rule[act]{Words: "HARAKIRI: --- uWSGI worker %d (pid: %d) WAS managing request %s since %s ---", Do: (*said).managing},
	source.Rule[act]{Words: "HARAKIRI [core %d] %w - %w %s since %d", Do: (*said).core},
	source.Rule[act]{Words: "HARAKIRI: --- uWSGI worker %d core %d (pid: %d) WAS managing request %s since %s ---", Do: func(s *said) { s.request(s.h[2], s.h[3]) }},
	source.Rule[act]{Words: "HARAKIRI triggered by worker %d", Do: quiet},
	source.Rule[act]{Words: "HARAKIRI !!!", Do: quiet},
	source.Rule[act]{Words: "HARAKIRI [", Do: is(fact.WorkerTimedOut, "harakiri")},
	source.Rule[act]{Words: "*** backtrace of %d ***", Do: quiet},

	// The listen queue.
	source.Rule[act]{Words: "*** uWSGI listen queue of socket \"%w\" (fd: %d) full !!! (%d/%d)", Do: (*said).full},
	source.Rule[act]{Words: "*** uWSGI listen queue of socket %d full !!! (%d/%d)", Do: func(s *said) { s.queue("", s.h[1], s.h[2]) }},
	source.Rule[act]{Words: "Listen queue size is greater than the system max net.core.somaxconn (%d)", Do: (*said).somaxconn},

	// Workers.
	source.Rule[act]{Words: "DAMN ! worker %d (pid: %d) died, killed by signal %d", Do: (*said).killed},
	source.Rule[act]{Words: "DAMN ! worker %d (pid: %d) died :( trying respawn", Do: worker(fact.WorkerExited, "died", 1)},
	source.Rule[act]{Words: "worker %d killed successfully (pid: %d)", Do: worker(fact.WorkerExited, "killed", 1)},
	source.Rule[act]{Words: "Respawned uWSGI worker %d (new pid: %d)", Do: worker(fact.WorkerStarted, "respawn", 1)},
	source.Rule[act]{Words: "spawned uWSGI worker %d (pid: %d, cores: %d)", Do: worker(fact.WorkerStarted, "", 1)},
	source.Rule[act]{Words: "spawned uWSGI worker %d (and the only) (pid: %d", Do: worker(fact.WorkerStarted, "", 1)},
	source.Rule[act]{Words: "...The work of process %d is done. Seeya!", Do: worker(fact.WorkerRecycled, "max-requests", 0)},
	source.Rule[act]{Words: "worker %d lifetime reached, it was running for %d second(s)", Do: is(fact.WorkerRecycled, "max-worker-lifetime")},
	source.Rule[act]{Words: "!!! uWSGI process %d got Segmentation Fault !!!", Do: (*said).segfault},
	source.Rule[act]{Words: "your processes number limit is %d", Do: quiet},
	source.Rule[act]{Words: "*** no app loaded. going in full dynamic mode ***", Do: is(fact.BootFailed, "no application")},
	source.Rule[act]{Words: "--- no python application found", Do: is(fact.AppError, "no application")},
	source.Rule[act]{Words: "unable to load app %d (mountpoint='%s", Do: is(fact.BootFailed, "application")},
	source.Rule[act]{Words: "worker respawning too fast !!!", Do: is(fact.RestartBackoff, "respawn")},
	source.Rule[act]{Words: "*** UNSAFE WORKER RESPAWN", Do: quiet},
	source.Rule[act]{Words: "evil memory usage", Do: quiet},

	// The client left.
	source.Rule[act]{Words: "SIGPIPE: writing to a closed pipe/socket/fd (probably the client disconnected) on request %s (ip %w)", Do: (*said).sigpipe},
	source.Rule[act]{Words: "uwsgi_response_%w(): Broken pipe [%s] during %w %s (%w)", Do: (*said).brokenPipe},
	source.Rule[act]{Words: "uwsgi_response_%w(): Connection reset by peer [%s] during %w %s (%w)", Do: (*said).brokenPipe},
	source.Rule[act]{Words: "^OSError: write error", Do: quiet},
	source.Rule[act]{Words: "^IOError: write error", Do: quiet},

	// The server.
	source.Rule[act]{Words: "*** Starting uWSGI %w (", Do: (*said).starting},
	source.Rule[act]{Words: "uWSGI http bound on %w fd %d", Do: (*said).bound},
	source.Rule[act]{Words: "WSGI app %d (mountpoint='%s') ready in %d seconds", Do: is(fact.ProcessStarted, "application")},
	source.Rule[act]{Words: "probably another instance of uWSGI is running on the same address", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "SIGINT/SIGTERM received...killing workers", Do: is(fact.ProcessStopping, "SIGTERM")},
	source.Rule[act]{Words: "SIGINT/SIGQUIT received...killing workers", Do: is(fact.ProcessStopping, "SIGQUIT")},
	source.Rule[act]{Words: "...gracefully killing workers...", Do: is(fact.ProcessStopping, "graceful")},
	source.Rule[act]{Words: "...brutally killing workers...", Do: is(fact.ProcessStopping, "brutal")},
	source.Rule[act]{Words: "goodbye to uWSGI", Do: is(fact.ProcessExited, "shutdown")},
	source.Rule[act]{Words: "VACUUM: ", Do: quiet},
	source.Rule[act]{Words: "binary reloading uWSGI", Do: is(fact.ConfigReloaded, "reload")},
	source.Rule[act]{Words: "[uwsgi-cron] running \"%s\" (pid %d)", Do: func(s *said) { s.cron(fact.JobStarted, 0, 1) }},
	source.Rule[act]{Words: "[uwsgi-cron] command \"%s\" running with pid %d exited after %d second", Do: (*said).cronEnded},
	source.Rule[act]{Words: "[uwsgi-httprouter] unable to connect() to node", Do: is(fact.NoBackendLeft, "router")},
	source.Rule[act]{Words: "Too many open files", Do: (*said).files},
)

func (s *said) harakiri() {
	e := s.event(fact.WorkerTimedOut, "harakiri")
	e.Party.PID = source.PID(s.h[1])
	s.r.late = e.Party.PID
	s.out.State(e)
}

// core: "HARAKIRI [core 0] 10.0.0.1 - GET /x since 1757340000".
func (s *said) core() {
	e := s.event(fact.SlowRequest, "harakiri")
	e.Client, e.Method, e.Path, e.Party.PID = string(s.h[1]), string(s.h[2]), string(s.h[3]), s.r.late
	if since := source.Int(s.h[4]); since.Known && since.N > 0 && !s.at.IsZero() {
		if d := s.at.Sub(time.Unix(since.N, 0)); d >= 0 && d < 24*time.Hour {
			e.Lasted = fact.Lasting(d)
		}
	}
	s.out.State(e)
}

func (s *said) managing() { s.request(s.h[1], s.h[2]) }

func (s *said) request(pid, path []byte) {
	e := s.event(fact.SlowRequest, "harakiri")
	e.Party.PID, e.Path = source.PID(pid), string(path)
	if since, ok := source.Between(s.msg, " since ", " ---"); ok && !s.at.IsZero() {
		if t, _, _, ok := source.ANSITime(s.r.env, since); ok {
			if d := s.at.Sub(t); d >= 0 && d < 24*time.Hour {
				e.Lasted = fact.Lasting(d)
			}
		}
	}
	s.out.State(e)
}

func (s *said) full() { s.queue(string(s.h[0]), s.h[2], s.h[3]) }

func (s *said) queue(socket string, used, most []byte) {
	e := s.event(fact.LimitReached, "listen queue")
	e.Limit, e.Used, e.Max, e.Party.Address = fact.LimitQueue, source.Int(used), source.Int(most), socket
	s.out.State(e)
}

// somaxconn: uWSGI does not start with a queue that the kernel would cut.
func (s *said) somaxconn() {
	e := s.event(fact.BootFailed, "somaxconn")
	e.Max = source.Int(s.h[0])
	s.out.State(e)
}

func (s *said) killed() {
	e := s.event(fact.WorkerExited, "")
	e.Party.PID, e.Signal = source.PID(s.h[1]), int(source.Int(s.h[2]).Or(0))
	if e.Signal == 9 {
		e.Reason = "SIGKILL"
	}
	s.out.State(e)
	switch e.Signal {
	case 4, 6, 7, 8, 11: // ILL, ABRT, BUS, FPE, SEGV
		c := s.event(fact.Crashed, "signal")
		c.Party.PID, c.Signal = e.Party.PID, e.Signal
		s.out.State(c)
	}
}

func (s *said) segfault() {
	e := s.event(fact.Crashed, "SIGSEGV")
	e.Party.PID, e.Signal = source.PID(s.h[0]), 11
	s.out.State(e)
}

func (s *said) sigpipe() {
	e := s.event(fact.ClientLeft, "SIGPIPE")
	e.Path, e.Client = string(s.h[0]), string(s.h[1])
	s.r.left = e.Path
	s.out.State(e)
}

// brokenPipe follows sigpipe about the same request, unless that is switched
// off; it tells the method, too.
func (s *said) brokenPipe() {
	if s.r.left != "" && s.r.left == string(s.h[3]) {
		s.r.left = ""
		return
	}
	e := s.event(fact.ClientLeft, "EPIPE")
	e.Method, e.Path, e.Client = string(s.h[2]), string(s.h[3]), string(s.h[4])
	s.out.State(e)
}

func (s *said) starting() {
	e := s.event(fact.ProcessStarted, "")
	e.Attrs = map[string]string{fact.AttrVersion: string(s.h[0])}
	s.out.State(e)
	s.r.known = true
	stateDefaults(s.l.N, nil, s.out)
}

func (s *said) bound() {
	x := newSetting(fact.ListenAddress, "http = {n}", s.l.N)
	x.Basis, x.Text, x.Time = fact.Measured, string(s.h[0]), s.at
	s.out.State(x)
}

func (s *said) cron(kind fact.EventKind, command, pid int) {
	e := s.event(kind, "uwsgi-cron")
	e.Party.PID = source.PID(s.h[pid])
	e.Attrs = map[string]string{fact.AttrJob: string(s.h[command])}
	s.out.State(e)
}

func (s *said) cronEnded() {
	e := s.event(fact.JobEnded, "uwsgi-cron")
	e.Party.PID, e.Lasted = source.PID(s.h[1]), source.Secs(s.h[2])
	e.Attrs = map[string]string{fact.AttrJob: string(s.h[0])}
	s.out.State(e)
}

func (s *said) files() {
	if !source.Has(s.msg, "[core/") && !source.Has(s.msg, "accept()") {
		return
	}
	e := s.event(fact.LimitReached, "EMFILE")
	e.Limit = fact.LimitFiles
	s.out.State(e)
}

var processLog = source.Format{
	ID: "uwsgi-log", Tech: tech, Title: "uWSGI log",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 10 {
			return source.No
		}
		if requestLine(b) {
			return source.Sure
		}
		_, _, msg, framed := frame(&source.Env{}, b)
		var h source.Holes
		if _, ok := rules.Match(msg, &h); ok {
			switch {
			case source.Has(msg, "uWSGI"), source.Has(msg, "HARAKIRI"), source.Has(msg, "[uwsgi-"), source.Has(msg, "uwsgi_"), source.Has(msg, "DAMN ! worker"), source.Has(msg, "SIGPIPE: writing"):
				return source.Sure
			case framed && !source.Has(msg, "Too many open files"):
				return source.Likely
			case source.Has(msg, ": write error"), source.Has(msg, "Too many open files"):
				return source.No
			}
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

// frame cuts "Tue Jan  9 04:04:46 2026 - message".
func frame(env *source.Env, b []byte) (time.Time, fact.Dur, []byte, bool) {
	if t, res, rest, ok := source.ANSITime(env, b); ok {
		if msg, ok := bytes.CutPrefix(rest, []byte(" - ")); ok {
			return t, fact.Lasting(res), msg, true
		}
	}
	if in, rest, ok := source.Bracketed(b); ok { // log-date with a format of one's own
		if t, res, left, ok := source.ISOTime(env, in); ok && len(left) == 0 {
			return t, fact.Lasting(res), bytes.TrimPrefix(rest, []byte("- ")), true
		}
	}
	return time.Time{}, fact.Dur{}, b, false
}

type reader struct {
	env   *source.Env
	q     fact.Request
	known bool
	left  string // path whose client left, as the line before told
	late  int    // pid of the worker that was killed last
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if requestLine(b) {
		return r.request(l, b, out)
	}
	at, res, msg, framed := frame(r.env, b)
	s := said{r: r, l: l, at: at, res: res, msg: msg, out: out}
	if !framed {
		s.at, s.res = l.Time, l.Res
	}
	do, ok := rules.Match(msg, &s.h)
	if !ok {
		if framed {
			out.Seen(at)
			return source.Mine
		}
		return source.NotMine
	}
	do(&s)
	out.Seen(s.at)
	return source.Mine
}

func (*reader) Close(source.Sink) {}
