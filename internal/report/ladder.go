package report

import (
	"cmp"
	"slices"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// ladder compares time-outs that must be in one order, the hop in front
// first.
type ladder struct {
	Title string
	Rule  string // what the order should be
	Rungs []rung
	Wrong bool
}

// rung is one known time-out.
type rung struct {
	Who, Knob string
	Value     string
	Dur       time.Duration // 0: without end
	Endless   bool
	Basis     fact.Basis
	Wrong     bool
}

// ladders finds the time-outs whose order matters: idle connections, where
// the server must outlast the proxy, and answers, where the proxy must outlast
// the server's own limit. [fact.RequestTimeout] is none of these: with many
// servers it bounds how long a request may take to arrive.
func ladders(w *failure.World) []ladder {
	var out []ladder
	front, back := rungs(w, fact.RoleGateway, fact.PoolIdle), rungs(w, fact.RoleBackend, fact.KeepAliveIdle)
	if len(front) > 0 && len(back) > 0 {
		l := ladder{Title: "How long an idle connection is kept", Rule: "The server must keep it longer than the proxy does."}
		l.join(front, back, func(f, b rung) bool { return !b.Endless && (f.Endless || f.Dur >= b.Dur) })
		out = append(out, l)
	}
	front, back = rungs(w, fact.RoleGateway, fact.UpstreamReply), rungs(w, fact.RoleBackend, fact.WorkerTimeout)
	if len(front) > 0 && len(back) > 0 {
		l := ladder{Title: "How long an answer may take", Rule: "The proxy should wait longer than the server works before it gives up by itself."}
		l.join(front, back, func(f, b rung) bool { return !f.Endless && (b.Endless || f.Dur <= b.Dur) })
		out = append(out, l)
	}
	return out
}

// join puts both sides into the ladder and marks the server's rungs that are
// out of order.
func (l *ladder) join(front, back []rung, wrong func(f, b rung) bool) {
	for i := range back {
		for _, f := range front {
			if wrong(f, back[i]) {
				back[i].Wrong, l.Wrong = true, true
			}
		}
	}
	l.Rungs = slices.Concat(front, back)
}

// maxRungs bounds the rungs of one side.
const maxRungs = 4

func rungs(w *failure.World, role fact.Role, knob fact.Knob) []rung {
	best := map[string]*fact.Setting{}
	var order []string
	for _, s := range w.AllSettings(role, knob) {
		if (!s.Dur.Known || s.Dur.D <= 0) && s.Text != "none" {
			continue
		}
		// A configured value of a technology makes its default void.
		key := s.Party.Tech
		if s.Basis != fact.Default {
			key += "\x00" + s.Party.Name + "\x00" + s.Object
		}
		if best[key] == nil {
			order = append(order, key)
			best[key] = s
		} else if s.Basis.Outranks(best[key].Basis) {
			best[key] = s
		}
	}
	told := map[string]bool{}
	for _, s := range best {
		if s.Basis != fact.Default {
			told[s.Party.Tech] = true
		}
	}
	var out []rung
	for _, k := range order {
		s := best[k]
		if s.Basis == fact.Default && told[s.Party.Tech] {
			continue
		}
		r := rung{Who: who(fact.Party{Role: s.Party.Role, Tech: s.Party.Tech, Name: cmp.Or(s.Party.Name, s.Object)}), Knob: string(s.Knob), Dur: s.Dur.D, Endless: s.Text == "none" && !s.Dur.Known, Basis: s.Basis}
		r.Value = "without end"
		if !r.Endless {
			r.Value = cause.Span(s.Dur.D)
		}
		if len(out) < maxRungs {
			out = append(out, r)
		}
	}
	return out
}
