package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"culprit/internal/fact"
)

// step is one row of a packet ladder.
type step struct {
	Kind       stepKind
	Leg        int
	N          int       // number of the first packet
	At         time.Time // of the first packet
	Packets    int       // how many it stands for, or left out
	FromServer bool
	Says       string
	Killing    bool // it ended the request
	Bad        bool // it carries the error
	Zero       bool // the others are timed from here

	flags, what string
	bytes       int
	last        time.Time // of the last packet
	again       []time.Time
	after       bool // of what came before, something is not told
	opening     bool // a whole handshake
}

type stepKind int

const (
	packet  stepKind = iota
	silence          // nothing was sent for a time
	leftOut          // packets that are not shown
)

// tellSilence is the least time without a packet that is told as such.
const tellSilence = 100 * time.Millisecond

// mostSilences bounds those of one ladder; the longest stay.
const mostSilences = 4

// lay makes the steps of a wire.
func (w *wire) lay(p passage) {
	legs := make([][]step, len(w.Legs))
	for i := range w.Legs {
		legs[i] = rowsOf(w.Legs[i].conn, i)
	}
	n := len(legs) - 1
	w.zero = make([]time.Time, n+1)
	zero := p.zero(w.last(), legs[n])
	if zero >= 0 {
		legs[n][zero].Zero = true
		w.zero[0], w.zero[n] = legs[n][zero].At, legs[n][zero].At
	}
	if k := kills(w.last(), p.ended, legs[n], zero); k >= 0 {
		legs[n][k].Killing = true
		for i := range min(k, max(zero, 0)) { // the close that the request ran into
			s := &legs[n][i]
			s.Bad = s.Bad || s.FromServer && (s.is("FIN") || s.is("RST"))
		}
	}
	for i := range legs {
		legs[i] = withSilences(w.Legs[i].conn, legs[i])
	}
	w.Steps = legs[0]
	if n > 0 {
		same := w.Legs[0].Path == w.Legs[1].Path
		w.Apart = !same && disagree(legs[0], legs[1])
		if w.Apart {
			w.Steps = slices.Concat(legs[0], legs[1])
			w.zero[0] = legs[0][max(0, slices.IndexFunc(legs[0], func(s step) bool { return s.data() && !s.FromServer }))].At
		} else {
			w.Steps = merge(legs[0], legs[1], same)
		}
	}
}

// rowsOf makes a step of each packet, in the order of the capture, and one of
// packets that repeat each other.
func rowsOf(c *fact.Conn, leg int) []step {
	ps := slices.Clone(c.Packets)
	slices.SortStableFunc(ps, func(a, b fact.Packet) int { return cmp.Compare(a.N, b.N) })
	var out []step
	for _, q := range ps {
		s := step{Leg: leg, N: q.N, At: q.Time, last: q.Time, Packets: 1 + max(q.More, 0), FromServer: q.FromServer, flags: clean(q.Flags), what: clean(q.Says), bytes: max(q.Bytes, 0), after: q.After}
		if n := len(out); n > 0 && out[n-1].repeats(&s) {
			p := &out[n-1]
			if len(p.again) == 0 {
				p.again = append(p.again, p.At)
			}
			p.again, p.Packets, p.bytes, p.last = append(p.again, s.At), p.Packets+s.Packets, p.bytes+s.bytes, s.last
			continue
		}
		out = append(out, s)
	}
	out = opened(out)
	for i := range out {
		var before *step
		if i > 0 {
			before = &out[i-1]
		}
		out[i].Says = out[i].words(before)
		out[i].Bad = out[i].FromServer && len(out[i].what) >= 3 && out[i].what[0] == '5' && out[i].isStatus()
	}
	return out
}

// opened tells a handshake that went well as one step.
func opened(rows []step) []step {
	i := slices.IndexFunc(rows, func(s step) bool { return s.is("SYN") })
	if i < 0 || len(rows) < i+4 {
		return rows
	}
	a, b, c := &rows[i], &rows[i+1], &rows[i+2]
	if a.flags != "SYN" || a.FromServer || a.Packets > 1 || b.flags != "SYN ACK" || !b.FromServer || c.flags != "ACK" || c.FromServer || a.what+b.what+c.what != "" {
		return rows
	}
	a.opening, a.Packets, a.last = true, 3, c.last
	return slices.Delete(rows, i+1, i+3)
}

// repeats reports whether b says what s did, and goes on from it.
func (s *step) repeats(b *step) bool {
	if s.FromServer != b.FromServer || s.flags != b.flags || s.what != b.what {
		return false
	}
	return s.flags != "" || s.what == "" || resent(s.what)
}

// resent reports whether a packet's words say that it was sent before.
func resent(says string) bool {
	return strings.Contains(says, "again") || strings.Contains(says, "retransmi")
}

func (s *step) isStatus() bool {
	w := s.what
	return len(w) >= 3 && w[0] >= '1' && w[0] <= '5' && w[1] >= '0' && w[1] <= '9' && w[2] >= '0' && w[2] <= '9' && (len(w) == 3 || w[3] == ' ')
}

// data reports whether it carries payload.
func (s *step) data() bool {
	return s.Kind == packet && !strings.HasPrefix(s.what, "ICMP") && (s.bytes > 0 || s.flags == "" && s.what != "")
}

func (s *step) is(flag string) bool {
	return s.Kind == packet && slices.Contains(strings.Fields(s.flags), flag)
}

// words are what a step says on its arrow.
func (s *step) words(before *step) string {
	out := s.what
	switch {
	case s.opening && !s.At.IsZero() && s.last.After(s.At):
		return "handshake, " + exactly(s.last.Sub(s.At))
	case s.opening:
		return "handshake"
	case s.flags == "ACK" && s.what != "":
	case s.flags != "" && !strings.HasPrefix(s.what, s.flags):
		out = strings.TrimSuffix(s.flags+", "+s.what, ", ")
	}
	if out == "" {
		out = "data"
	}
	if s.what == "" && s.bytes > 0 {
		out += ", " + plural(s.bytes, "byte", "bytes")
	}
	switch {
	case s.Packets < 2:
	case s.flags == "" && !resent(s.what):
		out += fmt.Sprintf(" in %s packets", number(s.Packets))
	default:
		out += fmt.Sprintf(" ×%s", number(s.Packets))
	}
	return out + s.offsets(before)
}

// offsets says how long after the first of them packets were sent again.
func (s *step) offsets(before *step) string {
	if !resent(s.what) || s.At.IsZero() {
		return ""
	}
	from, times := s.At, s.again
	if before != nil && before.FromServer == s.FromServer && !before.At.IsZero() {
		from = before.At
		if len(times) == 0 {
			times = []time.Time{s.At}
		}
	}
	var out []string
	for _, t := range times {
		if d := t.Sub(from); d > 0 {
			out = append(out, roughly(d))
		}
	}
	if len(out) > 4 {
		out = append(out[:3], "...", out[len(out)-1])
	}
	if len(out) == 0 {
		return ""
	}
	return ", after " + strings.Join(out, ", ")
}

// zero finds the step that sent the request that failed, or what comes nearest
// to it; -1 if there is none.
func (p *passage) zero(c *fact.Conn, rows []step) int {
	for _, r := range p.seen {
		if !r.Wire || r.Origin.Path != c.Origin.Path || r.ConnID != c.ID {
			continue
		}
		if i := slices.IndexFunc(rows, func(s step) bool {
			return !s.FromServer && s.data() && s.N <= r.Origin.Line && r.Origin.Line < s.N+s.Packets
		}); i >= 0 {
			return i
		}
	}
	best := -1
	for i, s := range rows {
		if s.FromServer || !s.data() || strings.Contains(s.what, "alert") || resent(s.what) {
			continue
		}
		if s.what != "" || best < 0 || rows[best].what == "" {
			best = i
		}
	}
	if best < 0 && len(rows) > 0 {
		best = 0
	}
	return best
}

// kills finds the packet that ended a request: the reset or the error after it
// was sent, else the close after it, else what came before; -1 if none did.
func kills(c *fact.Conn, ended fact.Mechanism, rows []step, zero int) int {
	switch cmp.Or(ended, c.Ended) {
	case "", fact.AppAnswered, fact.Denied:
		return -1
	}
	tests := []func(s step) bool{
		func(s step) bool { return s.is("RST") },
		func(s step) bool {
			return s.Kind == packet && (strings.HasPrefix(s.what, "ICMP") || strings.Contains(s.what, "alert"))
		},
		func(s step) bool { return s.is("FIN") },
	}
	for _, from := range []int{max(zero, 0), 0} {
		for _, is := range tests {
			if i := slices.IndexFunc(rows[min(from, len(rows)):], is); i >= 0 {
				return from + i
			}
		}
	}
	return -1
}

// withSilences puts the times without a packet between the steps.
func withSilences(c *fact.Conn, rows []step) []step {
	// The longest are told, and of equal ones the last.
	var long []int
	for i := 1; i < len(rows); i++ {
		if !rows[i].after && gap(&rows[i-1], &rows[i]) >= tellSilence && !resent(rows[i].what) {
			long = append(long, i)
		}
	}
	slices.SortFunc(long, func(a, b int) int {
		return cmp.Or(cmp.Compare(gap(&rows[b-1], &rows[b]), gap(&rows[a-1], &rows[a])), cmp.Compare(b, a))
	})
	long = long[:min(len(long), mostSilences)]
	var out []step
	asked, begun := false, false // a request is open; the failed one was sent
	for i, s := range rows {
		if slices.Contains(long, i) {
			p := &rows[i-1]
			out = append(out, step{Kind: silence, Leg: s.Leg, N: p.N, At: p.last, last: s.At, Says: silent(c, gap(p, &s), asked, begun, s.FromServer)})
		}
		if s.after && i > 0 {
			out = append(out, step{Kind: leftOut, Leg: s.Leg, N: rows[i-1].N, At: rows[i-1].last, Says: "others left out"})
		}
		if s.data() || s.is("SYN") {
			asked = !s.FromServer && !s.opening
		}
		begun = begun || s.Zero
		out = append(out, s)
	}
	if n := len(rows); n > 0 && asked && !rows[n-1].FromServer && (c.How == "timeout" || c.Ended == fact.ConnectTimedOut) {
		out = append(out, step{Kind: silence, Leg: rows[n-1].Leg, N: rows[n-1].N, At: rows[n-1].last, Says: "no answer"})
	}
	return out
}

func gap(a, b *step) time.Duration {
	if a.last.IsZero() || b.At.IsZero() {
		return 0
	}
	return b.At.Sub(a.last)
}

// silent says what it was that nothing was sent for a time.
func silent(c *fact.Conn, d time.Duration, asked, begun, answered bool) string {
	switch {
	case asked && answered:
		return "answer after " + exactly(d)
	case asked:
		return "no answer for " + exactly(d)
	case begun && c.Ended == fact.CutMidReply:
		return "silent for " + exactly(d)
	}
	return "idle " + exactly(d)
}

// merge puts two legs into one order: that of the capture, or of time.
func merge(a, b []step, same bool) []step {
	var out []step
	before := func(x, y *step) bool {
		if same && x.N > 0 && y.N > 0 {
			return x.N <= y.N
		}
		return !y.At.Before(x.At)
	}
	for len(a) > 0 && len(b) > 0 {
		if before(&a[0], &b[0]) {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return slices.Concat(out, a, b)
}

// disagree reports whether two captures' clocks contradict each other: what
// was sent to the server had not yet come from the client.
func disagree(front, back []step) bool {
	var sent, forwarded time.Time
	for _, s := range front {
		if s.data() && !s.FromServer && (sent.IsZero() || s.At.Before(sent)) {
			sent = s.At
		}
	}
	for _, s := range back {
		if s.Zero && s.data() {
			forwarded = s.At
		}
	}
	return !sent.IsZero() && !forwarded.IsZero() && forwarded.Before(sent)
}

// shown are at most about n of the steps, and what says that others are left
// out between them.
func (w *wire) shown(n int) []step { return shorten(w.Steps, n) }

func shorten(steps []step, n int) []step {
	if len(steps) <= n {
		return steps
	}
	keep := make([]bool, len(steps))
	kept := 0
	add := func(i int) {
		if i >= 0 && i < len(steps) && !keep[i] && kept < n {
			keep[i] = true
			kept++
		}
	}
	must := func(is func(s *step) bool, around int) {
		for i := range steps {
			if is(&steps[i]) {
				add(i)
				for k := 1; k <= around; k++ {
					add(i - k)
					add(i + k)
				}
			}
		}
	}
	must(func(s *step) bool { return s.Zero || s.Killing }, 0)
	add(0)
	add(len(steps) - 1)
	must(func(s *step) bool { return s.Zero || s.Killing }, 1)
	must(func(s *step) bool { return s.Kind == silence || s.Bad }, 0)
	must(func(s *step) bool { return s.Kind == silence }, 1)
	for i := len(steps) - 1; kept < n && i >= 0; i-- {
		if steps[i].Says != "ACK" {
			add(i)
		}
	}
	return replaced(steps, keep)
}

// replaced puts one step in place of each stretch that is not kept.
func replaced(steps []step, keep []bool) []step {
	var out []step
	for i := 0; i < len(steps); i++ {
		if keep[i] {
			out = append(out, steps[i])
			continue
		}
		from := i
		for i+1 < len(steps) && !keep[i+1] {
			i++
		}
		if from == i { // saying so would take as much room
			out = append(out, steps[i])
			continue
		}
		gone := step{Kind: leftOut, Leg: steps[from].Leg, N: steps[from].N, At: steps[from].At}
		for _, s := range steps[from : i+1] {
			if s.Kind == packet {
				gone.Packets += s.Packets
			}
			if s.Leg != gone.Leg {
				gone.Leg = -1
			}
		}
		gone.Says = plural(gone.Packets, "packet", "packets") + " left out"
		out = append(out, gone)
	}
	return out
}
