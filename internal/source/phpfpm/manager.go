package phpfpm

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// said is one message and where its facts go.
type said struct {
	l    *source.Line
	at   time.Time
	res  fact.Dur
	pool string
	msg  []byte
	h    source.Holes
	out  source.Sink
}

func (s *said) event(kind fact.EventKind, reason string) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: clip(s.msg)}
	e.Time, e.Res, e.Party = s.at, s.res, pool(s.pool)
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

var rules = source.NewRules(
	source.Rule[act]{Words: "server reached pm.max_children setting (%d)", Do: (*said).full},
	source.Rule[act]{Words: "server reached max_children setting (%d)", Do: (*said).full},
	source.Rule[act]{Words: "seems busy (you may need to increase pm.start_servers%sthere are %d idle, and %d total", Do: (*said).busy},
	source.Rule[act]{Words: "script '%s' (request: \"%w %s\") execution timed out (%f sec), terminating", Do: (*said).timedOut},
	source.Rule[act]{Words: "script '%s' execution timed out (%f sec), terminating", Do: func(s *said) { s.slow(fact.WorkerTimedOut, "request_terminate_timeout", nil, nil, s.h[1]) }},
	source.Rule[act]{Words: "script '%s' (request: \"%w %s\") executing too slow (%f sec), logging", Do: func(s *said) { s.slow(fact.SlowRequest, "", s.h[1], s.h[2], s.h[3]) }},
	source.Rule[act]{Words: "script '%s' executing too slow (%f sec), logging", Do: func(s *said) { s.slow(fact.SlowRequest, "", nil, nil, s.h[1]) }},
	source.Rule[act]{Words: "child %w exited on signal %d (%s", Do: (*said).signalled},
	source.Rule[act]{Words: "child %w exited on signal %d after %s", Do: (*said).signalled},
	source.Rule[act]{Words: "child %d exited with code %d", Do: (*said).exited},
	source.Rule[act]{Words: "child %d started", Do: (*said).started},
	source.Rule[act]{Words: "child %d said into %w: \"%s", Do: (*said).output},
	source.Rule[act]{Words: "fpm is running, pid %d", Do: (*said).running},
	source.Rule[act]{Words: "Terminating ...", Do: is(fact.ProcessStopping, "SIGTERM")},
	source.Rule[act]{Words: "Finishing ...", Do: is(fact.ProcessStopping, "SIGQUIT")},
	source.Rule[act]{Words: "exiting, bye-bye!", Do: is(fact.ProcessExited, "shutdown")},
	source.Rule[act]{Words: "Reloading in progress ...", Do: is(fact.ConfigReloaded, "SIGUSR2")},
	source.Rule[act]{Words: "unable to bind listening socket for address '%s': %s", Do: is(fact.BootFailed, "bind")},
	source.Rule[act]{Words: "An another FPM instance seems to already listen on %s", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "FPM initialization failed", Do: is(fact.BootFailed, "")},
	source.Rule[act]{Words: "failed processes threshold (%d in %d sec) is reached, initiating reload", Do: is(fact.RestartPlanned, "emergency restart")},
	source.Rule[act]{Words: "fork() failed: %s", Do: limit(fact.LimitProcesses, "fork")},
	source.Rule[act]{Words: "failed to accept connection: Too many open files", Do: limit(fact.LimitFiles, "EMFILE")},
	source.Rule[act]{Words: "Too many open files (24)", Do: limit(fact.LimitFiles, "EMFILE")},
)

var managerLog = source.Format{
	ID: "php-fpm-log", Tech: tech, Title: "PHP-FPM log",
	Sniff: func(l *source.Line) source.Confidence {
		if len(l.Text) < 12 {
			return source.No
		}
		_, _, _, level, msg, stamped := frame(&source.Env{}, l.Text)
		var h source.Holes
		_, ok := rules.Match(msg, &h)
		switch {
		case level && ok, stamped && level:
			return source.Sure
		case ok && own(msg):
			return source.Likely
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}

// own are the messages that nobody else writes; the others need the frame.
func own(msg []byte) bool {
	for _, w := range [...]string{"max_children setting (", "seems busy (you may need", "exited on signal ", "sec), terminating", "sec), logging", "fpm is running, pid", "said into std", "failed processes threshold"} {
		if source.Has(msg, w) {
			return !source.Has(msg, "worker process ") // nginx's
		}
	}
	return false
}

// frame cuts "[09-Mar-2026 14:00:00] WARNING: [pool www] message". Debug logs
// have "pid 1, function(), line 2: " after the level.
func frame(env *source.Env, b []byte) (t time.Time, res fact.Dur, name string, level bool, msg []byte, stamped bool) {
	msg = bytes.TrimSpace(b)
	if at, r, rest, ok := stamp(env, msg); ok {
		t, res, msg, stamped = at, fact.Lasting(r), rest, true
	}
	for _, w := range [...]string{"NOTICE: ", "WARNING: ", "ERROR: ", "ALERT: ", "DEBUG: "} {
		if rest, ok := bytes.CutPrefix(msg, []byte(w)); ok {
			msg, level = rest, true
			break
		}
	}
	if level && source.HasPrefix(msg, "pid ") {
		if rest, ok := source.Between(msg, "), line ", ""); ok {
			if _, after, ok := bytes.Cut(rest, []byte(": ")); ok {
				msg = after
			}
		}
	}
	if rest, ok := bytes.CutPrefix(msg, []byte("[pool ")); ok {
		if i := bytes.IndexByte(rest, ']'); i > 0 {
			name, msg = string(rest[:i]), bytes.TrimLeft(rest[i+1:], " ")
		}
	}
	return t, res, name, level, msg, stamped
}

type reader struct {
	env   *source.Env
	known bool
}

func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	at, res, name, level, msg, stamped := frame(r.env, l.Text)
	s := said{l: l, at: at, res: res, pool: name, msg: msg, out: out}
	if !stamped {
		s.at, s.res = l.Time, l.Res
	}
	do, ok := rules.Match(msg, &s.h)
	if !(level && ok || stamped && level || ok && own(msg)) {
		return source.NotMine
	}
	if level && !r.known {
		r.known = true
		defaults(l.N, out)
	}
	if ok {
		do(&s)
	}
	out.Seen(s.at)
	return source.Mine
}

func (*reader) Close(source.Sink) {}

func (s *said) full() {
	e := s.event(fact.LimitReached, "pm.max_children")
	e.Limit, e.Max = fact.LimitWorkers, source.Int(s.h[0])
	e.Used = e.Max
	s.out.State(e)
}

func (s *said) busy() {
	e := s.event(fact.LimitNear, "spare servers")
	e.Limit, e.Used = fact.LimitWorkers, source.Int(s.h[2])
	s.out.State(e)
}

func (s *said) timedOut() {
	s.slow(fact.WorkerTimedOut, "request_terminate_timeout", s.h[1], s.h[2], s.h[3])
}

func (s *said) slow(kind fact.EventKind, reason string, method, path, took []byte) {
	e := s.event(kind, reason)
	e.Method, e.Path, e.Lasted = string(method), string(path), source.Secs(took)
	if pid, ok := source.Between(s.msg, "child ", ","); ok {
		e.Party.PID = source.PID(pid)
	}
	e.Attrs = map[string]string{fact.AttrPath: string(s.h[0])}
	s.out.State(e)
}

func (s *said) signalled() {
	e := s.event(fact.WorkerExited, "")
	e.Party.PID, e.Signal = source.PID(s.h[0]), int(source.Int(s.h[1]).Or(0))
	name := bytes.TrimRight(s.h[2], ")")
	if i := bytes.IndexAny(name, " )"); i >= 0 {
		name = name[:i] // "SIGSEGV - core dumped"
	}
	if source.HasPrefix(name, "SIG") {
		e.Reason = string(name)
	}
	if age, ok := source.Between(s.msg, " after ", " seconds"); ok {
		e.Lasted = source.Secs(age)
	}
	s.out.State(e)
	switch e.Signal {
	case 4, 5, 6, 7, 8, 11: // ILL, TRAP, ABRT, BUS, FPE, SEGV
		c := s.event(fact.Crashed, e.Reason)
		c.Party.PID, c.Signal = e.Party.PID, e.Signal
		s.out.State(c)
	}
}

// exited: a child that has served pm.max_requests, or is idle, ends with 0.
func (s *said) exited() {
	e := s.event(fact.WorkerExited, "")
	e.Party.PID, e.Exit = source.PID(s.h[0]), source.Int(s.h[1])
	if age, ok := source.Between(s.msg, " after ", " seconds"); ok {
		e.Lasted = source.Secs(age)
	}
	if e.Exit.Is(0) {
		e.Kind, e.Reason = fact.WorkerRecycled, "exit 0"
	}
	s.out.State(e)
}

func (s *said) started() {
	e := s.event(fact.WorkerStarted, "")
	e.Party.PID = source.PID(s.h[0])
	s.out.State(e)
}

func (s *said) running() {
	e := s.event(fact.ProcessStarted, "")
	e.Party.PID = source.PID(s.h[0])
	s.out.State(e)
}

// output hands over what a child wrote.
func (s *said) output() {
	text := s.h[2]
	if i := bytes.LastIndexByte(text, '"'); i >= 0 {
		text = text[:i]
	}
	inner := *s.l
	inner.Text, inner.Time, inner.Res = text, s.at, s.res
	inner.PID = source.PID(s.h[0])
	s.out.Inner(&inner)
}
