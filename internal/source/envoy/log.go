package envoy

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// sniffLog knows "[2026-03-09 12:00:00.123][7][info][main] ..." and what
// Istio's agent makes of it: "2026-03-09T12:00:00.123456Z\tinfo\tenvoy main\t...".
func sniffLog(l *source.Line) source.Confidence {
	t := l.Text
	if len(t) < 30 {
		return source.No
	}
	if t[0] == '[' && t[5] == '-' && t[11] == ' ' {
		if i := bytes.IndexByte(t, ']'); i > 19 && i < 32 && i+2 < len(t) && t[i+1] == '[' && t[i+2] >= '0' && t[i+2] <= '9' {
			return source.Sure
		}
	}
	if t[4] == '-' && t[10] == 'T' {
		if i := bytes.IndexByte(t, '\t'); i > 0 && i < 40 {
			r := t[i+1:]
			if j := bytes.IndexByte(r, '\t'); j > 0 && j < 10 && (source.HasPrefix(r[j+1:], "envoy ") || source.HasPrefix(r[j+1:], "Envoy proxy") || source.HasPrefix(r[j+1:], "Agent draining") || source.HasPrefix(r[j+1:], "Epoch ")) {
				return source.Sure
			}
		}
	}
	return source.No
}

// note is what a message of the process log tells.
type note struct {
	kind   fact.EventKind
	reason string
	limit  fact.Limit
}

var notes = source.NewRules(
	source.Rule[note]{Words: "starting main dispatch loop", Do: note{kind: fact.ProcessStarted}},
	source.Rule[note]{Words: "Envoy proxy is ready", Do: note{kind: fact.ProcessStarted, reason: "ready"}},
	source.Rule[note]{Words: "Envoy proxy is NOT ready: %s", Do: note{kind: fact.NotReady}},
	source.Rule[note]{Words: "caught ENVOY_SIG%w", Do: note{kind: fact.ProcessStopping, reason: "SIGTERM"}},
	source.Rule[note]{Words: "caught SIG%w", Do: note{kind: fact.ProcessStopping, reason: "SIGTERM"}},
	source.Rule[note]{Words: "Agent draining Proxy", Do: note{kind: fact.ProcessStopping, reason: "draining"}},
	source.Rule[note]{Words: "shutting down admin due to child startup", Do: note{kind: fact.ConfigReloaded, reason: "hot-restart"}},
	source.Rule[note]{Words: "Epoch %d terminated with an error: %s", Do: note{kind: fact.ProcessExited}},
	source.Rule[note]{Words: "Epoch %d exited with error: %s", Do: note{kind: fact.ProcessExited}},
	source.Rule[note]{Words: "Caught Segmentation fault", Do: note{kind: fact.Crashed, reason: "SIGSEGV"}},
	source.Rule[note]{Words: "Caught Bus error", Do: note{kind: fact.Crashed, reason: "SIGBUS"}},
	source.Rule[note]{Words: "Caught Aborted", Do: note{kind: fact.Crashed, reason: "SIGABRT"}},
	source.Rule[note]{Words: "][critical][assert] %s", Do: note{kind: fact.Crashed, reason: "panic"}},
	source.Rule[note]{Words: "panic: %s", Do: note{kind: fact.Crashed, reason: "panic"}},
	source.Rule[note]{Words: "Too many open files", Do: note{kind: fact.LimitReached, limit: fact.LimitFiles}},
	source.Rule[note]{Words: "verload action %w became active", Do: note{kind: fact.LimitReached, limit: fact.LimitRequests}},
	source.Rule[note]{Words: "cannot bind '%s': Address already in use", Do: note{kind: fact.BootFailed}},
	source.Rule[note]{Words: "error initializing configuration '%s'%s", Do: note{kind: fact.BootFailed}},
	source.Rule[note]{Words: "gRPC config stream closed: %d, %s", Do: note{kind: fact.DependencyDown, reason: "control-plane"}},
	source.Rule[note]{Words: "gRPC config stream to %w closed%s", Do: note{kind: fact.DependencyDown, reason: "control-plane"}},
	source.Rule[note]{Words: "gRPC config for %w rejected: %s", Do: note{kind: fact.ConfigBroken}},
)

// logReader reads the process log.
type logReader struct{ env *source.Env }

// Line implements [source.LineReader].
func (r *logReader) Line(l *source.Line, out source.Sink) source.Took {
	if sniffLog(l) == source.No {
		return source.NotMine
	}
	t := l.Text
	var at time.Time
	var res time.Duration
	var pid int
	if t[0] == '[' {
		at, res, _, _ = source.ISOTime(r.env, t[1:])
	} else {
		at, res, _, _ = source.ISOTime(r.env, t)
	}
	var h source.Holes
	n, ok := notes.Match(t, &h)
	if !ok {
		out.Seen(at)
		return source.Mine
	}
	ev := &fact.Event{Kind: n.kind, Reason: n.reason, Limit: n.limit, Detail: string(bytes.TrimSpace(message(t)))}
	ev.Time = at
	if res >= time.Millisecond {
		ev.Res = fact.Lasting(res)
	}
	ev.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, PID: pid}
	if n.kind == fact.ProcessExited {
		exit(ev, h[1])
	}
	out.State(ev)
	return source.Mine
}

// exit reads "exit status 137" and "signal: killed".
func exit(ev *fact.Event, b []byte) {
	if v, ok := source.Between(b, "exit status ", ""); ok {
		f, _ := source.Field(v)
		ev.Exit = source.Int(f)
	}
	if source.Has(b, "signal: killed") {
		ev.Signal = 9
	}
}

// message is what follows the last bracket or tab of a line's front.
func message(t []byte) []byte {
	if t[0] != '[' {
		for range 2 {
			if i := bytes.IndexByte(t, '\t'); i >= 0 {
				t = t[i+1:]
			}
		}
		return t
	}
	for len(t) > 0 && t[0] == '[' {
		i := bytes.IndexByte(t, ']')
		if i < 0 {
			break
		}
		t = bytes.TrimLeft(t[i+1:], " ")
	}
	return t
}

// Close implements [source.LineReader].
func (r *logReader) Close(source.Sink) {}
