package journal

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// cronRules are the lines of Vixie cron and its descendants, cronie, busybox
// crond and anacron.
var cronRules = source.NewRules(
	source.Rule[fact.EventKind]{Words: "^(%w) CMD (%s", Do: fact.JobStarted},
	source.Rule[fact.EventKind]{Words: "^(%w) CMDEND (%s", Do: fact.JobEnded},
	source.Rule[fact.EventKind]{Words: "^USER %w pid %d cmd %s", Do: fact.JobStarted},
	source.Rule[fact.EventKind]{Words: "^Job `%w' started", Do: fact.JobStarted},
	source.Rule[fact.EventKind]{Words: "^Job `%w' terminated", Do: fact.JobEnded},
)

var cron = source.Format{
	ID: "cron", Tech: tech, Role: fact.RoleHost, Title: "cron's log",
	Sniff: func(l *source.Line) source.Confidence {
		if cronProgram(l.Program) {
			return source.Sure
		}
		_, msg, ok := cronText(l)
		if !ok || len(msg) < 8 || msg[0] != '(' && !source.HasPrefix(msg, "USER ") && !source.HasPrefix(msg, "Job `") {
			return source.No
		}
		var h source.Holes
		if _, ok := cronRules.Match(msg, &h); ok {
			return source.Likely
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return cronReader{} },
}

func cronProgram(name string) bool {
	switch strings.ToLower(name) {
	case "cron", "crond", "anacron", "/usr/sbin/cron", "run-parts":
		return true
	}
	return false
}

// cronText is a line's message, without the tag it may have kept.
func cronText(l *source.Line) (t tag, msg []byte, ok bool) {
	msg = trimSpace(l.Text)
	if cronProgram(l.Program) {
		return tag{program: l.Program, pid: l.PID}, msg, true
	}
	if l.Program != "" {
		return t, nil, false
	}
	if t, rest, ok := readTag(msg); ok && cronProgram(t.program) {
		return t, rest, true
	}
	return t, msg, true
}

type cronReader struct{}

func (cronReader) Line(l *source.Line, out source.Sink) source.Took {
	t, msg, ok := cronText(l)
	if !ok {
		return source.NotMine
	}
	var h source.Holes
	kind, ok := cronRules.Match(msg, &h)
	if !ok {
		if cronProgram(l.Program) {
			out.Seen(l.Time)
			return source.Mine
		}
		return source.NotMine
	}
	command := string(h[1])
	switch {
	case source.HasPrefix(msg, "USER "):
		command = string(h[2])
	case source.HasPrefix(msg, "Job "):
		command = string(h[0])
	default:
		command = strings.TrimSuffix(command, ")")
	}
	command = strings.TrimSpace(command)
	e := &fact.Event{Kind: kind, Detail: command, Attrs: map[string]string{fact.AttrJob: command}}
	e.Time, e.Res = l.Time, l.Res
	e.Party = fact.Party{Role: fact.RoleHost, Tech: tech, Name: "cron", PID: t.pid}
	out.State(e)
	return source.Mine
}

func (cronReader) Close(source.Sink) {}
