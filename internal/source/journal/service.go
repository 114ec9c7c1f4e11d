package journal

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// serviceState is what `service NAME status` or `supervisorctl status` says of
// a service.
type serviceState struct {
	kind   fact.EventKind // empty if it is well
	reason string
}

// stateWords are the words after a service's name, as upstart, System V init
// scripts of Debian and of Red Hat, and supervisorctl write them.
var stateWords = []struct {
	words string
	does  serviceState
}{
	{"stop/waiting", serviceState{fact.ProcessExited, "stopped"}},
	{"stop/killed", serviceState{fact.ProcessExited, "stopped"}},
	{"stop/post-stop", serviceState{fact.ProcessExited, "stopped"}},
	{"start/running", serviceState{}},
	{"is not running", serviceState{fact.ProcessExited, "not running"}},
	{"is stopped", serviceState{fact.ProcessExited, "stopped"}},
	{"dead but pid file exists", serviceState{fact.ProcessExited, "dead"}},
	{"dead but subsys locked", serviceState{fact.ProcessExited, "dead"}},
}

// supervised are states of supervisorctl.
var supervised = map[string]serviceState{
	"RUNNING": {}, "STARTING": {}, "STOPPING": {fact.ProcessStopping, "stop"},
	"STOPPED": {fact.ProcessExited, "stopped"}, "EXITED": {fact.ProcessExited, "exited"},
	"FATAL": {fact.RestartBackoff, "fatal"}, "BACKOFF": {fact.RestartBackoff, "backoff"},
}

// runit reads what `sv status` and tools upon it print: "run: nginx: (pid 553)
// 1449s; run: log: (pid 548) 1449s", "down: nginx: 4s, normally up".
func runit(b []byte) (name string, s serviceState, ok bool) {
	state, rest, found := bytes.Cut(b, []byte(": "))
	if !found || string(state) != "run" && string(state) != "down" && string(state) != "finish" && string(state) != "fail" {
		return "", s, false
	}
	word, rest, found := bytes.Cut(rest, []byte(": "))
	if !found || !program(word) {
		return "", s, false
	}
	switch string(state) {
	case "run":
		return string(word), s, source.HasPrefix(rest, "(pid ")
	case "down":
		return string(word), serviceState{fact.ProcessExited, "down"}, source.Has(rest, "s")
	case "finish":
		return string(word), serviceState{fact.ProcessStopping, "stop"}, source.HasPrefix(rest, "(pid ")
	}
	return string(word), serviceState{fact.BootFailed, ""}, source.HasPrefix(rest, "unable to change to service directory") || source.HasPrefix(rest, "runsv not running")
}

// service reads such a line.
func service(b []byte) (name string, s serviceState, ok bool) {
	if name, s, ok = runit(b); ok {
		return name, s, true
	}
	b = bytes.TrimPrefix(b, []byte("* "))
	if len(b) > 120 {
		return "", s, false
	}
	word, rest := source.Field(b)
	if !program(word) {
		return "", s, false
	}
	for _, w := range stateWords {
		if after, found := bytes.CutPrefix(rest, []byte(w.words)); found && ends(after) {
			return string(word), w.does, true
		}
	}
	state, how := source.Field(rest)
	if s, ok = supervised[string(state)]; ok {
		switch {
		case bytes.Contains(b, []byte("   ")), source.HasPrefix(how, "pid "), source.HasPrefix(how, "Exited too quickly"), source.HasPrefix(how, "Not started"):
			return string(word), s, true
		}
	}
	return "", serviceState{}, false
}

// program reports whether b may be a service's name: a word in small letters
// that is not one of a sentence.
func program(b []byte) bool {
	if len(b) < 2 || len(b) > 64 {
		return false
	}
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("._-@:+", c) < 0 {
			return false
		}
	}
	switch string(b) {
	case "it", "this", "that", "which", "server", "service", "still", "and", "what", "app", "application", "container", "he", "she", "if", "process", "daemon":
		return false
	}
	return true
}

// ends reports whether nothing but a mark, a process or a shrug follows.
func ends(b []byte) bool {
	b = bytes.TrimSpace(b)
	return len(b) == 0 || string(b) == "." || source.HasPrefix(b, ", process ") || source.HasPrefix(b, "... ") || string(b) == "..." || source.HasPrefix(b, "(pid") || string(b) == "failed!"
}

// serviceStatus states what a line of such an output tells.
func (r *unitReader) serviceStatus(l *source.Line, b []byte, out source.Sink) bool {
	name, s, ok := service(b)
	if !ok {
		return false
	}
	if s.kind != "" {
		e := &fact.Event{Kind: s.kind, Reason: s.reason, Detail: string(b)}
		e.Time, e.Res, e.Party = l.Time, l.Res, party(name)
		out.State(e)
	}
	return true
}
