package cause

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// This file holds what causes ask of captured packets.

// LastConn is the connection of the try that failed, where a capture shows it;
// else nil.
func LastConn(f *failure.Failure) *fact.Conn {
	if f.Try.ConnID == "" {
		return nil
	}
	for _, c := range slices.Backward(f.Conns) {
		if c.ID == f.Try.ConnID && (f.Try.Address == "" || c.Server == f.Try.Address) {
			return c
		}
	}
	return nil
}

// CiteConns returns the connections on which the first failures' tries failed,
// so that the numbers of their packets are told; what was said of them where no
// capture has them.
func CiteConns(fs []*failure.Failure) []fact.Fact {
	var out []fact.Fact
	for _, f := range fs {
		if c := LastConn(f); c != nil && len(out) < MaxCited && !slices.Contains(out, fact.Fact(c)) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return Cite(fs)
	}
	return out
}

// Captured reports whether a capture shows connections of all failures, and at
// least of one.
func Captured(fs []*failure.Failure) bool {
	return len(fs) > 0 && !slices.ContainsFunc(fs, func(f *failure.Failure) bool { return LastConn(f) == nil })
}

// Foreign are the failures whose connection was reset by a packet that is not
// of the server in whose name it came.
func Foreign(fs []*failure.Failure) []*failure.Failure {
	var out []*failure.Failure
	for _, f := range fs {
		if c := LastConn(f); c != nil && c.Foreign != "" && c.ClosedBy != fact.RoleClient {
			out = append(out, f)
		}
	}
	return out
}

// Decided reports whether a capture shows that the server's side had closed the
// connection of the failed try before it knew of the request.
func Decided(f *failure.Failure) bool {
	c := LastConn(f)
	return c != nil && f.Try.ClosedAgo.Known && c.Foreign == "" && c.ClosedBy == fact.RoleBackend
}

// Rested is how long the connection of the failed try had been silent when the
// server's side closed it, as far as a capture shows.
func Rested(f *failure.Failure) (time.Duration, bool) {
	if !f.Try.Idle.Known || LastConn(f) == nil {
		return 0, false
	}
	return max(0, f.Try.Idle.D-max(0, f.Try.ClosedAgo.Or(0))), true
}

// firm is on how many closes that agree a measured time-out must rest to be
// compared with others: fewer may be two restarts, or the failures themselves.
const firm = 3

// IdleAt is how long the server at an address keeps an idle connection: as
// measured there at several closes, or else as its settings tell; nil if
// neither is known.
func IdleAt(e *failure.Episode, address string) *fact.Setting {
	if s := MeasuredAt(e.World, address, fact.KeepAliveIdle); s != nil && (s.Count >= firm || s.Count == 0) {
		return s
	}
	tech := backendTech(e)
	var best *fact.Setting
	for _, s := range e.World.Settings {
		if s.Knob != fact.KeepAliveIdle || s.Party.Role != fact.RoleBackend || s.Basis == fact.Measured || tech != "" && s.Party.Tech != tech || s.Party.Address != "" && s.Party.Address != address {
			continue
		}
		if best == nil || s.Basis.Outranks(best.Basis) {
			best = s
		}
	}
	return best
}

// MeasuredAt is what captures measured of the server at an address; nil if
// nothing.
func MeasuredAt(w *failure.World, address string, knob fact.Knob) *fact.Setting {
	if address == "" {
		return nil
	}
	for _, s := range w.Settings {
		if s.Knob == knob && s.Basis == fact.Measured && s.Party.Address == address {
			return s
		}
	}
	return nil
}

// Agree is how far apart measurements of one idle time-out lie: servers look at
// their connections once a second, or so often that a twentieth of the time
// goes by; where they keep them for less than four seconds, a quarter.
func Agree(t time.Duration) time.Duration {
	return max(min(1100*time.Millisecond, t/4), t/20)
}

// The bounds of an ending.
const (
	// atOnce: the kernel closes the connections of a process that ends within
	// a few milliseconds.
	atOnce = 10 * time.Millisecond
	// thenRefused is within what time of it connections are refused, if
	// nothing else listens there: as soon as anybody asks.
	thenRefused = 3 * time.Second
	// sameGap is the longest pause between two refusals of one outage.
	sameGap = 5 * time.Second
	// unread: a request on a kept connection that is reset so soon was not
	// read: the connection was being closed, whatever for.
	unread = 5 * time.Millisecond
)

// Ending is what packets show where the process behind an address ended: the
// requests in flight cut at one instant, connections refused afterwards, or
// both. Why it ended they do not show.
type Ending struct {
	Address string
	At      time.Time          // the first that was cut or refused
	Cut     []*failure.Failure // requests in flight that were cut, made good or not
	Refused []*fact.Conn
	Until   time.Time // the last that was cut or refused
	// Back is when the address is next known to have answered; zero if it is
	// not.
	Back time.Time
}

// Hits reports whether the ending failed a request.
func (x *Ending) Hits(f *failure.Failure) bool {
	if slices.Contains(x.Cut, f) {
		return true
	}
	c := LastConn(f)
	return c != nil && slices.Contains(x.Refused, c)
}

// Facts are the connections that show it.
func (x *Ending) Facts() []fact.Fact {
	out := CiteConns(x.Cut)
	if len(out) >= MaxCited {
		out = out[:MaxCited-1]
	}
	for _, c := range x.Refused {
		if len(out) < MaxCited {
			out = append(out, c)
		}
	}
	return out
}

// Says tells it in words.
func (x *Ending) Says() string {
	s := x.Address
	if n := len(x.Cut); n > 0 {
		s += fmt.Sprintf(" closed %s with requests in flight", Count(n, "connection"))
		if n > 1 {
			s += fmt.Sprintf(" within %d ms", atOnce.Milliseconds())
		}
		if len(x.Refused) > 0 {
			s += ", then"
		}
	}
	if n := len(x.Refused); n > 0 {
		s += fmt.Sprintf(" refused %s", Count(n, "connection"))
		if d := x.Until.Sub(x.At); d > 0 && n > 1 {
			s += " for " + Span(d.Round(time.Millisecond))
		}
	}
	s += " (" + x.At.Format("15:04:05.000") + ")"
	if !x.Back.IsZero() && len(x.Refused) > 0 {
		s += ", and answered again"
	}
	return s
}

// cutConn is the connection of a request that was in flight when the server's
// side closed it, and not by a close that had been decided before; else nil.
func cutConn(f *failure.Failure) *fact.Conn {
	switch f.Mechanism {
	case fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply:
	default:
		return nil
	}
	c := LastConn(f)
	if c == nil || c.ClosedBy != fact.RoleBackend || c.Foreign != "" || Decided(f) || c.Closed.IsZero() {
		return nil
	}
	if f.Try.Reused.Is(1) && f.Try.Took.Known && f.Try.Took.D < unread {
		return nil
	}
	return c
}

// Endings finds where processes behind addresses ended, as packets show: two
// requests or more cut within a hundredth of a second, or one and then refused
// connections, or refused connections alone. In the order of time.
func Endings(w *failure.World) []*Ending {
	type cut struct {
		f *failure.Failure
		c *fact.Conn
	}
	cuts := map[string][]cut{}
	refused := map[string][]*fact.Conn{}
	for _, f := range slices.Concat(w.Failures, w.Recovered) {
		if c := cutConn(f); c != nil {
			cuts[c.Server] = append(cuts[c.Server], cut{f, c})
		}
	}
	type once struct {
		client, server string
		second         int64
	}
	seen := map[once]bool{} // by another capture
	for _, c := range w.Conns {
		if k := (once{c.Client, c.Server, c.Closed.Unix()}); c.Ended == fact.Refused && c.Foreign == "" && !c.Closed.IsZero() && !seen[k] {
			seen[k] = true
			refused[c.Server] = append(refused[c.Server], c)
		}
	}
	var out []*Ending
	addresses := keysOf(cuts, refused)
	for _, address := range addresses {
		cs, rs := cuts[address], refused[address]
		slices.SortStableFunc(cs, func(a, b cut) int { return a.c.Closed.Compare(b.c.Closed) })
		slices.SortStableFunc(rs, func(a, b *fact.Conn) int {
			return cmp.Or(a.Closed.Compare(b.Closed), cmp.Compare(a.Origin.Line, b.Origin.Line))
		})
		for len(cs) > 0 || len(rs) > 0 {
			x := &Ending{Address: address}
			if len(cs) > 0 && (len(rs) == 0 || !rs[0].Closed.Before(cs[0].c.Closed.Add(-atOnce))) {
				x.At = cs[0].c.Closed
				for len(cs) > 0 && cs[0].c.Closed.Sub(x.At) <= atOnce {
					x.Cut, x.Until = append(x.Cut, cs[0].f), cs[0].c.Closed
					cs = cs[1:]
				}
			} else {
				x.At, x.Until = rs[0].Closed, rs[0].Closed
			}
			for gap := thenRefused; len(rs) > 0 && rs[0].Closed.Sub(x.Until) <= gap && (len(cs) == 0 || rs[0].Closed.Before(cs[0].c.Closed)); gap = sameGap {
				x.Refused, x.Until = append(x.Refused, rs[0]), rs[0].Closed
				rs = rs[1:]
			}
			if len(x.Cut) > 1 || len(x.Refused) > 0 {
				out = append(out, x)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *Ending) int { return a.At.Compare(b.At) })
	if len(out) == 0 {
		return nil
	}
	answers := Answers(w)
	for _, x := range out {
		at := answers[x.Address]
		if i := sort.Search(len(at), func(i int) bool { return at[i].After(x.Until) }); i < len(at) {
			x.Back = at[i]
		}
	}
	return out
}

// Answers are the instants at which addresses are known to have answered, in
// their order.
func Answers(w *failure.World) map[string][]time.Time {
	out := map[string][]time.Time{}
	see := func(r *fact.Request) {
		for _, a := range r.Attempts {
			if a.Status.Known && a.Address != "" && !r.Time.IsZero() {
				out[a.Address] = append(out[a.Address], r.Time)
			}
		}
	}
	for _, r := range w.Controls {
		see(r)
	}
	for _, f := range slices.Concat(w.Failures, w.Recovered) {
		for _, r := range f.Seen {
			see(r)
		}
	}
	for _, c := range w.Conns {
		if c.Connect.Known && !c.Opened.IsZero() {
			out[c.Server] = append(out[c.Server], c.Opened)
		}
	}
	for _, at := range out {
		slices.SortFunc(at, time.Time.Compare)
	}
	return out
}

// keysOf are the keys of both, sorted.
func keysOf[A, B any](a map[string]A, b map[string]B) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// CaptureNext asks for packets at a server's port, or at both legs of the
// gateway's.
func CaptureNext(address, tells string) Next {
	port := PortOf(address)
	return Next{
		Evidence: "a packet capture at the server's port", WouldTell: tells,
		Command: "sudo culprit capture -i any --port " + port + " -o DIR\ntcpdump -i any -s 256 -w shop.pcap port " + port + "   # without culprit on that machine",
	}
}

// SentAgain counts the segments of a connection that were sent again, tells the
// size of the largest, and an ICMP error about packets that are too large.
func SentAgain(c *fact.Conn) (again, size int, icmp string) {
	for _, p := range c.Packets {
		switch {
		case strings.HasPrefix(p.Says, "sent again"):
			again += 1 + p.More
			size = max(size, p.Bytes)
		case strings.Contains(p.Says, "fragmentation needed"), strings.Contains(p.Says, "packet too big"):
			icmp = p.Says
		}
	}
	return again, size, icmp
}
