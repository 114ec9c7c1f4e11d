package journal

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// statusRules are the lines of `systemctl status` that tell how a unit ended.
var statusRules = source.NewRules(
	source.Rule[act]{Words: "^Main PID: %d (code=%w, signal=%w)", Do: (*said).statusSignal},
	source.Rule[act]{Words: "^Main PID: %d (code=%w, status=%w)", Do: (*said).statusExit},
	source.Rule[act]{Words: "^Process: %d %w=%s (code=%w, signal=%w)", Do: (*said).statusSignal},
	source.Rule[act]{Words: "^Process: %d %w=%s (code=%w, status=%w)", Do: (*said).statusExit},
	// Lines that a pager cut.
	source.Rule[act]{Words: "^Main PID: %d (code=%w, signal=%w", Do: (*said).statusSignal},
	source.Rule[act]{Words: "^Main PID: %d (code=%w, status=%w", Do: (*said).statusExit},
	source.Rule[act]{Words: "^Process: %d %w=%s (code=%w, signal=%w", Do: (*said).statusSignal},
	source.Rule[act]{Words: "^Process: %d %w=%s (code=%w, status=%w", Do: (*said).statusExit},
	source.Rule[act]{Words: "^Active: failed (Result: %w) since %s;", Do: (*said).statusFailed},
	source.Rule[act]{Words: "^Active: activating (auto-restart) (Result: %w) since %s;", Do: (*said).statusFailed},
	source.Rule[act]{Words: "^Active: inactive (dead) since %s;", Do: (*said).statusDead},
	source.Rule[act]{Words: "^Active: failed (Result: %w)", Do: (*said).statusFailed},
	source.Rule[act]{Words: "^Active: inactive (dead)", Do: (*said).statusDead},
	source.Rule[act]{Words: "^Active: active (running) since %s;", Do: (*said).statusUp},
)

// status reads a line of `systemctl status`.
func (r *unitReader) status(l *source.Line, b []byte, out source.Sink) source.Took {
	for _, mark := range [...]string{"● ", "× ", "○ "} {
		if rest, ok := bytes.CutPrefix(b, []byte(mark)); ok {
			name, _ := source.Field(rest)
			r.defaults(out)
			r.unit = string(name)
			// A row of `systemctl --failed`: unit, load, active, sub.
			if f := strings.Fields(string(rest)); len(f) > 3 && f[2] == "failed" {
				s := said{l: l, unit: r.unit, msg: b, out: out}
				s.state(fact.ProcessExited, "failed")
			}
			return source.Mine
		}
	}
	s := said{l: l, unit: r.unit, msg: b, out: out, env: r.env}
	if do, ok := statusRules.Match(b, &s.h); ok {
		do(&s)
	}
	return source.Mine
}

// statusRow says whether b is another row of `systemctl status`, once a unit
// is being shown.
func statusRow(r *unitReader, b []byte) source.Took {
	name, _, ok := bytes.Cut(b, []byte(": "))
	if !ok || r.unit == "" {
		return source.NotMine
	}
	switch string(name) {
	case "Loaded", "Drop-In", "Docs", "Tasks", "Memory", "CPU", "CGroup", "Duration", "Status", "Invocation", "Main PID", "TriggeredBy", "Trigger", "Triggers", "Process", "Active", "IP", "IO":
		return source.Mine
	}
	return source.NotMine
}

// when sets a fact's time from "Fri 2026-03-06 10:00:00 UTC".
func when(env *source.Env, h *fact.Header, b []byte) {
	if len(b) < 24 || !weekday(b[:3]) {
		return
	}
	if t, res, _, ok := fullTime(env, append(append([]byte(nil), b[4:]...), ' ')); ok {
		h.Time, h.Res = t, fact.Lasting(res)
	}
}

func (s *said) statusSignal() {
	e := s.event(fact.ProcessExited)
	e.Party.PID = source.PID(s.h[0])
	name := s.h[2]
	if len(s.h[4]) > 0 {
		name = s.h[4]
	}
	e.Reason = "SIG" + string(name)
	e.Signal = signalNumber(string(name))
	s.out.State(e)
	if crashSignal(e.Signal) {
		c := s.event(fact.Crashed)
		c.Party.PID, c.Reason, c.Signal = e.Party.PID, e.Reason, e.Signal
		s.out.State(c)
	}
}

func (s *said) statusExit() {
	status := s.h[2]
	if len(s.h[4]) > 0 {
		status = s.h[4]
	}
	number, _, _ := bytes.Cut(status, []byte("/"))
	e := s.event(fact.ProcessExited)
	e.Party.PID, e.Exit = source.PID(s.h[0]), source.Int(number)
	s.out.State(e)
}

func (s *said) statusFailed() {
	s.out = stamped{s.out, s.env, s.h[1]}
	s.result()
}

func (s *said) statusDead() {
	e := s.event(fact.ProcessExited)
	e.Reason = "dead"
	when(s.env, &e.Header, s.h[0])
	s.out.State(e)
}

func (s *said) statusUp() {
	e := s.event(fact.ProcessStarted)
	when(s.env, &e.Header, s.h[0])
	s.out.State(e)
}

// stamped gives facts the time that a status line tells.
type stamped struct {
	source.Sink
	env *source.Env
	at  []byte
}

func (s stamped) State(f fact.Fact) {
	when(s.env, f.Head(), s.at)
	s.Sink.State(f)
}

// signalNumber is a signal's number on Linux, on x86 and ARM.
func signalNumber(name string) int {
	for n, s := range [...]string{1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 10: "USR1", 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 31: "SYS"} {
		if s == name && s != "" {
			return n
		}
	}
	return 0
}
