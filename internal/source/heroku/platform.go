package heroku

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// note is what a line of the platform tells. own: no other software writes
// these words, so that they count without a frame.
type note struct {
	kind   fact.EventKind
	reason string
	limit  fact.Limit
	signal int
	own    bool
}

var notes = source.NewRules(
	source.Rule[note]{Words: "State changed from starting to crashed", Do: note{kind: fact.BootFailed, own: true}},
	source.Rule[note]{Words: "State changed from %w to crashed", Do: note{kind: fact.Crashed, reason: "exited", own: true}},
	source.Rule[note]{Words: "State changed from crashed to starting", Do: note{kind: fact.RestartPlanned, own: true}},
	source.Rule[note]{Words: "State changed from starting to up", Do: note{kind: fact.ProcessStarted, own: true}},
	source.Rule[note]{Words: "State changed from up to starting", Do: note{kind: fact.ProcessStopping, reason: "restart", own: true}},
	source.Rule[note]{Words: "State changed from up to down", Do: note{kind: fact.ProcessStopping, reason: "down", own: true}},
	source.Rule[note]{Words: "State changed from up to complete", Do: note{kind: fact.ProcessExited, own: true}},
	source.Rule[note]{Words: "Process exited with status %d", Do: note{kind: fact.ProcessExited, own: true}},
	source.Rule[note]{Words: "Error R10 (Boot timeout)", Do: note{kind: fact.BootFailed, reason: "R10", own: true}},
	source.Rule[note]{Words: "Error R12 (Exit timeout)", Do: note{kind: fact.ProcessStopping, reason: "R12", own: true}},
	source.Rule[note]{Words: "Error R14 (Memory quota exceeded)", Do: note{kind: fact.LimitReached, reason: "R14", limit: fact.LimitMemory, own: true}},
	source.Rule[note]{Words: "Error R15 (Memory quota vastly exceeded)", Do: note{kind: fact.OOMKilled, reason: "R15", signal: 9, own: true}},
	source.Rule[note]{Words: "Error R11 (Bad bind)", Do: note{kind: fact.BootFailed, reason: "R11", own: true}},
	source.Rule[note]{Words: "Error R99 (Platform error)", Do: note{kind: fact.Crashed, reason: "R99", own: true}},
	source.Rule[note]{Words: "Error L10 (", Do: note{}},
	source.Rule[note]{Words: "Stopping all processes with SIGTERM", Do: note{kind: fact.ProcessStopping, reason: "SIGTERM", signal: 15, own: true}},
	source.Rule[note]{Words: "Stopping process with SIGKILL", Do: note{kind: fact.ProcessStopping, reason: "SIGKILL", signal: 9, own: true}},
	source.Rule[note]{Words: "Stopping all processes with SIGKILL", Do: note{kind: fact.ProcessStopping, reason: "SIGKILL", signal: 9, own: true}},
	source.Rule[note]{Words: "Process running mem=%w", Do: note{kind: fact.LimitNear, limit: fact.LimitMemory, own: true}},
	source.Rule[note]{Words: "^Cycling", Do: note{kind: fact.RestartPlanned, reason: "cycling"}},
	source.Rule[note]{Words: "^Restarting", Do: note{kind: fact.RestartPlanned, reason: "restart"}},
	source.Rule[note]{Words: "^Idling", Do: note{kind: fact.ProcessStopping, reason: "idling"}},
	source.Rule[note]{Words: "^Unidling", Do: note{kind: fact.RestartPlanned, reason: "unidling"}},
	source.Rule[note]{Words: "Relocating dyno to a new server", Do: note{kind: fact.NodeTerminating, reason: "relocation", own: true}},
	source.Rule[note]{Words: "^Deploy %w by user", Do: note{kind: fact.Rollout, reason: "deploy"}},
	source.Rule[note]{Words: "^Release v%d created by", Do: note{kind: fact.Rollout, reason: "deploy"}},
	source.Rule[note]{Words: "^Rollback to v%d by", Do: note{kind: fact.Rollout, reason: "rollback"}},
	source.Rule[note]{Words: "^Scaled to %s by user", Do: note{kind: fact.Rollout, reason: "scale"}},
	source.Rule[note]{Words: "^Build failed", Do: note{}},
)

// Exit statuses of a shell for a process that a signal ended.
const signalBase = 128

// platform states what a line of the platform tells; false if it is none.
func (r *reader) platform(f *frame, out source.Sink) bool {
	var h source.Holes
	n, ok := notes.Match(f.text[:min(len(f.text), maxWords)], &h)
	if !ok || f.source == "" && !n.own {
		return false
	}
	if n.kind == "" {
		return true
	}
	ev := &fact.Event{Kind: n.kind, Reason: n.reason, Limit: n.limit, Signal: n.signal, Detail: string(f.text[:min(len(f.text), maxWords)])}
	ev.Time, ev.Res = f.time, f.res
	ev.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Name: string(f.dyno)}
	switch n.kind {
	case fact.Rollout:
		ev.Party = fact.Party{Role: fact.RoleOrchestrator, Tech: tech}
	case fact.OOMKilled:
		ev.Attrs = map[string]string{fact.AttrScope: "cgroup"}
	case fact.LimitNear:
		ev.Used = megabytes(h[0])
	case fact.ProcessExited:
		if ev.Exit = source.Int(h[0]); ev.Exit.Known && ev.Exit.N > signalBase && ev.Exit.N < signalBase+65 {
			ev.Signal = int(ev.Exit.N - signalBase)
		}
	}
	out.State(ev)
	return true
}

// megabytes reads "1062M(207.4%)" into bytes.
func megabytes(b []byte) fact.Int {
	for i, c := range b {
		if c == 'M' {
			if n := source.Int(b[:i]); n.Known && n.N < 1<<30 {
				return fact.Num(n.N << 20)
			}
			break
		}
	}
	return fact.Int{}
}
