package journal

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// supervisorRules are supervisord's messages (supervisor/process.py). Their
// times have milliseconds after a comma and no zone.
var supervisorRules = source.NewRules(
	source.Rule[act]{Words: "exited: %w (exit status %d; %s)", Do: (*said).childExited},
	source.Rule[act]{Words: "exited: %w (terminated by SIG%w; %s)", Do: (*said).childKilled},
	source.Rule[act]{Words: "exited: %w (terminated by SIG%w (core dumped); %s)", Do: (*said).childKilled},
	source.Rule[act]{Words: "stopped: %w (exit status %d)", Do: (*said).childExited},
	source.Rule[act]{Words: "stopped: %w (terminated by SIG%w)", Do: (*said).childKilled},
	source.Rule[act]{Words: "spawned: '%w' with pid %d", Do: (*said).childSpawned},
	source.Rule[act]{Words: "success: %w entered RUNNING state", Do: childIs(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "gave up: %w entered FATAL state", Do: childIs(fact.RestartBackoff, "fatal")},
	source.Rule[act]{Words: "killing '%w' (%d) with SIGKILL", Do: childIs(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "waiting for %w to stop", Do: childIs(fact.ProcessStopping, "stop")},
	source.Rule[act]{Words: "spawnerr: %s", Do: func(s *said) { s.unit = ""; s.state(fact.BootFailed, "exec") }},
)

var supervisor = source.Format{
	ID: "supervisord", Tech: tech, Role: fact.RoleHost, Title: "supervisord's log",
	Sniff: func(l *source.Line) source.Confidence {
		level, msg, framed := supervisorText(l)
		var h source.Holes
		_, ok := supervisorRules.Match(msg, &h)
		switch {
		case ok && framed && level != "":
			return source.Sure
		case ok:
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &supervisorReader{env} },
}

type supervisorReader struct{ env *source.Env }

// supervisorText cuts "2026-03-09 14:00:00,123 INFO message".
func supervisorText(l *source.Line) (level string, msg []byte, framed bool) {
	b := trimSpace(l.Text)
	if len(b) > 24 && b[4] == '-' && b[10] == ' ' && b[19] == ',' && b[23] == ' ' {
		b, framed = b[24:], true
	}
	f, rest := source.Field(b)
	switch string(f) {
	case "INFO", "WARN", "CRIT", "ERRO", "DEBG", "TRAC", "BLAT":
		return string(f), rest, framed
	}
	return "", b, framed
}

func (r *supervisorReader) Line(l *source.Line, out source.Sink) source.Took {
	level, msg, framed := supervisorText(l)
	s := said{l: l, msg: msg, out: out, env: r.env}
	do, ok := supervisorRules.Match(msg, &s.h)
	if !ok && (!framed || len(level) != 4 || level == "INFO" || level == "WARN") {
		return source.NotMine // applications share the words
	}
	if framed {
		if t, res, _, good := source.ISOTime(r.env, trimSpace(l.Text)); good {
			l.Time, l.Res = t, fact.Lasting(res)
		}
	}
	if ok {
		do(&s)
	}
	out.Seen(l.Time)
	return source.Mine
}

func (*supervisorReader) Close(source.Sink) {}

func childIs(kind fact.EventKind, reason string) act {
	return func(s *said) {
		s.unit = string(s.h[0])
		e := s.event(kind)
		e.Reason = reason
		e.Party.PID = source.PID(s.h[1])
		s.out.State(e)
	}
}

func (s *said) childSpawned() {
	s.unit = string(s.h[0])
	e := s.event(fact.WorkerStarted)
	e.Party.PID = source.PID(s.h[1])
	s.out.State(e)
}

func (s *said) childExited() {
	s.unit = string(s.h[0])
	e := s.event(fact.ProcessExited)
	e.Exit, e.Reason = source.Int(s.h[1]), string(s.h[2])
	s.out.State(e)
}

func (s *said) childKilled() {
	s.unit = string(s.h[0])
	e := s.event(fact.ProcessExited)
	name, _, _ := strings.Cut(string(bytes.TrimRight(s.h[1], ";)")), " ")
	e.Signal, e.Reason = signalNumber(name), "SIG"+name
	s.out.State(e)
	if crashSignal(e.Signal) {
		c := s.event(fact.Crashed)
		c.Signal, c.Reason = e.Signal, e.Reason
		s.out.State(c)
	}
}
