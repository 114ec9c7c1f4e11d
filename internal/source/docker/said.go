package docker

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// saying is what a line of compose or of the daemon means. The container is
// the first hole, or, where there is none, the field container= of the line.
type saying struct {
	kind   fact.EventKind
	reason string
	status int // the hole with the exit status, from 1; 0 if there is none
}

var sayings = source.NewRules(
	// compose up
	source.Rule[saying]{Words: "^%w exited with code %d", Do: saying{fact.ProcessExited, "", 2}},
	source.Rule[saying]{Words: "^ Container %w  Stopping", Do: saying{fact.ProcessStopping, "stop", 0}},
	source.Rule[saying]{Words: "^ Container %w  Restarting", Do: saying{fact.ProcessStopping, "restart", 0}},
	source.Rule[saying]{Words: "^ Container %w  Recreate", Do: saying{fact.Rollout, "deploy", 0}},
	source.Rule[saying]{Words: "^ Container %w  Started", Do: saying{fact.ProcessStarted, "", 0}},
	source.Rule[saying]{Words: "dependency failed to start: container %w is unhealthy", Do: saying{fact.ProbeFailed, "health-check", 0}},
	source.Rule[saying]{Words: "dependency failed to start: container %w exited (%d)", Do: saying{fact.ProcessExited, "", 2}},
	// dockerd
	source.Rule[saying]{Words: "msg=\"Container failed to exit within %s using the force\"", Do: saying{fact.ProcessStopping, "grace-period-exceeded", -1}},
	source.Rule[saying]{Words: "msg=\"Container %w failed to exit within ", Do: saying{fact.ProcessStopping, "grace-period-exceeded", 0}},
	source.Rule[saying]{Words: "msg=\"Health check for container %w error", Do: saying{fact.ProbeFailed, "health-check", 0}},
)

// said finds what a line says. Most lines are ruled out by a word.
func said(b []byte, h *source.Holes) (saying, bool) {
	if len(b) < 16 || !source.Has(b, " exited ") && !source.HasPrefix(b, " Container ") && !source.Has(b, "ontainer") {
		return saying{}, false
	}
	s, ok := sayings.Match(b, h)
	if !ok || s.status >= 0 && !isName(h[0]) {
		return saying{}, false
	}
	if s.kind == fact.ProcessExited && bytes.HasPrefix(b, h[0]) && !isReplica(h[0]) {
		return saying{}, false // "child exited with code 1": anybody's child
	}
	return s, true
}

// isReplica reports whether a name ends as compose's do, "web-1" or "web_1".
func isReplica(name []byte) bool {
	i := bytes.LastIndexAny(name, "-_")
	return i > 0 && isNumber(name[i+1:])
}

func sniffSaid(l *source.Line) source.Confidence {
	var h source.Holes
	if _, ok := said(l.Text, &h); ok {
		return source.Likely
	}
	if shown(l.Text, nobody{}) {
		return source.Fragment
	}
	return source.No
}

type saidReader struct{ env *source.Env }

func newSaid(env *source.Env) source.LineReader { return &saidReader{env} }

func (r *saidReader) Close(source.Sink) {}

func (r *saidReader) Line(l *source.Line, out source.Sink) source.Took {
	var h source.Holes
	s, ok := said(l.Text, &h)
	if !ok {
		if shown(l.Text, timed{out, r.instant(l)}) {
			return source.Mine
		}
		return source.NotMine
	}
	name := h[0]
	if s.status < 0 {
		name, _ = source.Between(append(l.Text[:len(l.Text):len(l.Text)], ' '), " container=", " ")
	}
	if len(name) == idHex && isHex(name) {
		name = name[:shortID]
	}
	e := &fact.Event{Kind: s.kind, Reason: s.reason}
	e.Party = container(string(name))
	if s.status > 0 {
		if n := source.Int(h[s.status-1]); n.Known {
			exited(e, n.N)
		}
	}
	if at, ok := source.Between(l.Text, `time="`, `"`); ok {
		if t, _, _, ok := source.ISOTime(r.env, at); ok {
			e.Time = t
		}
	}
	if i := bytes.Index(l.Text, []byte(`msg="`)); i >= 0 {
		if msg, _, ok := source.Quoted(l.Text[i+4:]); ok {
			e.Detail = string(msg)
		}
	}
	out.State(e)
	return source.Mine
}

// instant is when a line was written: by its own stamp, else by its frame's.
func (r *saidReader) instant(l *source.Line) fact.Header {
	h := fact.Header{Time: l.Time, Res: l.Res}
	if at, ok := source.Between(l.Text, `time="`, `"`); ok {
		if t, res, _, ok := source.ISOTime(r.env, at); ok {
			h.Time, h.Res = t, fact.Lasting(res)
		}
	}
	return h
}

// timed gives facts the time of their line.
type timed struct {
	source.Sink
	at fact.Header
}

func (t timed) State(f fact.Fact) {
	f.Head().Time, f.Head().Res = t.at.Time, t.at.Res
	t.Sink.State(f)
}
