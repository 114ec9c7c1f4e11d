package varnish

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// health reads a Backend_health record: "shop Went sick ---X-R- 0 2 3 0.0 0.0
// "HTTP/1.1 503 …"".
func health(v []byte, l *source.Line, out source.Sink) {
	v = bytes.TrimPrefix(v, []byte("- "))
	name, rest := source.Field(v)
	e := &fact.Event{Header: fact.Header{Time: l.Time, Res: l.Res}}
	e.Party = fact.Party{Role: fact.RoleBackend, Name: string(name)}
	switch {
	case source.HasPrefix(rest, "Went sick"):
		e.Kind = fact.BackendDown
	case source.HasPrefix(rest, "Back healthy"):
		e.Kind = fact.BackendUp
	case source.HasPrefix(rest, "Still sick"):
		e.Kind = fact.ProbeFailed
	default:
		out.Seen(l.Time)
		return
	}
	if e.Kind != fact.BackendUp {
		e.Reason = "health-check"
		e.Attrs = map[string]string{}
		if why := probeWhy(rest); why != "" {
			e.Attrs[fact.AttrWhy] = why
		}
	}
	if i := bytes.IndexByte(rest, '"'); i >= 0 {
		e.Detail = string(bytes.Trim(rest[i:], `"`))
	}
	out.State(e)
}

// probeWhy reads the flags of a probe: 4 or 6 connected, X sent, R received,
// H the expected answer.
func probeWhy(rest []byte) string {
	f := bytes.Fields(rest)
	if len(f) < 3 {
		return ""
	}
	flags := f[2]
	switch {
	case source.Has(rest, "imeout"):
		return "timeout"
	case source.Has(rest, "refused"):
		return "refused"
	case bytes.IndexByte(flags, 'R') >= 0:
		return "status"
	case bytes.IndexByte(flags, 'r') >= 0:
		return "reset"
	}
	return ""
}

var daemon = source.Format{
	ID:          "varnish-daemon",
	Tech:        tech,
	Title:       "varnishd's manager",
	Sniff:       sniffDaemon,
	NewReader:   func(*source.Env) source.LineReader { return &daemonReader{} },
	Independent: true,
}

// message is what is done with a line of the manager.
type message struct {
	alone source.Confidence
	do    func(h *source.Holes, e *fact.Event)
}

func rule(words string, alone source.Confidence, do func(*source.Holes, *fact.Event)) source.Rule[message] {
	return source.Rule[message]{Words: words, Do: message{alone, do}}
}

func ordinary(*source.Holes, *fact.Event) {}

// messages are those of the manager process, and of the page it makes.
var messages = source.NewRules(
	rule("Child (%d) died signal=%d", source.Likely, died),
	rule("Child (%d) died status=%d", source.Likely, diedStatus),
	rule("Child (%d) not responding to CLI, kill", source.Likely, unresponsive),
	rule("Child (%d) Panic at: %s", source.Likely, panicked),
	rule("Child (%d) Panic message:%s", source.Likely, panicked),
	rule("Child (%d) Last panic at: %s", source.Likely, ordinary),
	rule("Child (%d) Started", source.Likely, started),
	rule("child (%d) Started", source.Likely, started),
	rule("Child (%d) said %s", source.Likely, ordinary),
	rule("Child (%d) ended", source.Likely, ended),
	rule("Child cleanup complete", source.Likely, ordinary),
	rule("Child launched OK", source.Likely, ordinary),
	rule("Stopping Child", source.Likely, ordinary),
	rule("Manager got SIG%w", source.Likely, stopping),
	rule("manager stopping child", source.Likely, ordinary),
	rule("manager dies", source.Likely, ordinary),
	rule("Platform: Linux,", source.Fragment, ordinary),
	rule("Version: varnish-%w", source.Likely, ordinary),
	rule("VCL compilation failed", source.Possible, brokenVCL),
)

func sniffDaemon(l *source.Line) source.Confidence {
	if len(l.Text) > 1<<10 {
		return source.No
	}
	var h source.Holes
	m, ok := messages.Match(l.Text, &h)
	if !ok {
		return source.No
	}
	if l.Program == "varnishd" || source.Has(l.Text, "varnishd[") {
		return source.Sure
	}
	return m.alone
}

// crashNames are the signals of a crash, by their numbers on Linux.
var crashNames = map[int]string{4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}

func died(h *source.Holes, e *fact.Event) {
	e.Kind, e.Party.PID = fact.WorkerExited, source.PID(h[0])
	e.Signal = number(h[1])
	if name := crashNames[e.Signal]; name != "" {
		e.Kind, e.Reason = fact.Crashed, name
	}
}

func diedStatus(h *source.Holes, e *fact.Event) {
	e.Kind, e.Party.PID, e.Exit = fact.WorkerExited, source.PID(h[0]), source.Int(h[1])
}

func unresponsive(h *source.Holes, e *fact.Event) {
	e.Kind, e.Party.PID = fact.WorkerTimedOut, source.PID(h[0])
}

func panicked(h *source.Holes, e *fact.Event) {
	e.Kind, e.Party.PID, e.Reason = fact.Crashed, source.PID(h[0]), "panic"
}

func started(h *source.Holes, e *fact.Event) {
	e.Kind, e.Party.PID = fact.WorkerStarted, source.PID(h[0])
}

func ended(h *source.Holes, e *fact.Event) {
	e.Kind, e.Party.PID = fact.WorkerExited, source.PID(h[0])
}

func stopping(_ *source.Holes, e *fact.Event) { e.Kind = fact.ProcessStopping }

func brokenVCL(_ *source.Holes, e *fact.Event) { e.Kind = fact.ConfigBroken }

// daemonReader reads the manager's lines.
type daemonReader struct{}

// Line implements [source.LineReader].
func (r *daemonReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) > 1<<10 {
		return source.NotMine
	}
	var h source.Holes
	m, ok := messages.Match(l.Text, &h)
	if !ok {
		return source.NotMine
	}
	e := &fact.Event{Header: fact.Header{Time: l.Time, Res: l.Res, Party: gateway()}}
	e.Party.PID = l.PID
	e.Detail = string(bytes.TrimSpace(l.Text))
	m.do(&h, e)
	if e.Kind == "" {
		out.Seen(l.Time)
		return source.Mine
	}
	out.State(e)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *daemonReader) Close(source.Sink) {}
