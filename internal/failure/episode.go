package failure

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"culprit/internal/fact"
)

// Episode is what is judged: failures that share a mechanism and parties,
// with the world around them. Or, where no failed request is in the evidence,
// trouble that fails requests (Troubles).
type Episode struct {
	World     *World
	Mechanism fact.Mechanism
	Gateway   fact.Party
	Upstream  string
	Failures  []*Failure
	Recovered []*Failure // tries of the same mechanism and gateway that were made good
	Troubles  []*fact.Event

	contrasts *[]Contrast // worked out once
}

// N is how many requests failed in it.
func (e *Episode) N() int {
	n := 0
	for _, f := range e.Failures {
		n += f.N
	}
	return n
}

// Span returns when its first and last failure, or trouble, was; zero if no
// time is known.
func (e *Episode) Span() (first, last time.Time) {
	see := func(t time.Time) {
		if t.IsZero() {
			return
		}
		if first.IsZero() || t.Before(first) {
			first = t
		}
		if t.After(last) {
			last = t
		}
	}
	for _, f := range e.Failures {
		see(f.Time)
	}
	if len(e.Failures) == 0 {
		for _, t := range e.Troubles {
			see(t.Time)
		}
	}
	return first, last
}

// With returns an episode like e of other failures.
func (e *Episode) With(fs []*Failure) *Episode {
	c := *e
	c.Failures, c.contrasts = fs, nil
	return &c
}

// Episodes groups the world's failures. Where there are none, it groups
// troubles: events of the kinds that fail requests by themselves.
func (w *World) Episodes(trouble func(*fact.Event) bool) []*Episode {
	type key struct {
		m                 fact.Mechanism
		tech, name, group string
	}
	of := func(f *Failure) key {
		return key{f.Mechanism, f.Gateway.Tech, f.Gateway.Name, f.Upstream}
	}
	index := map[key]*Episode{}
	var out []*Episode
	for _, f := range w.Failures {
		k := of(f)
		e := index[k]
		if e == nil {
			e = &Episode{World: w, Mechanism: f.Mechanism, Gateway: f.Gateway, Upstream: f.Upstream}
			e.Gateway.PID = 0
			index[k] = e
			out = append(out, e)
		}
		e.Failures = append(e.Failures, f)
	}
	for _, f := range w.Recovered {
		if e := index[of(f)]; e != nil {
			e.Recovered = append(e.Recovered, f)
		}
	}
	if len(out) == 0 {
		out = w.troubles(trouble)
	}
	slices.SortStableFunc(out, func(a, b *Episode) int {
		return cmp.Or(cmp.Compare(b.N(), a.N()), strings.Compare(string(a.Mechanism), string(b.Mechanism)), strings.Compare(a.Gateway.Tech, b.Gateway.Tech), strings.Compare(a.Upstream, b.Upstream))
	})
	return out
}

// troubleGap parts two troubles that are not of one incident.
const troubleGap = 15 * time.Minute

// troubles groups events that fail requests, where no failed request is told
// of. Where requests are told of and none failed while they happened, they
// harmed nobody.
func (w *World) troubles(trouble func(*fact.Event) bool) []*Episode {
	var out []*Episode
	var cur *Episode
	var last time.Time
	for _, e := range w.Events {
		if !trouble(e) || w.harmless() {
			continue
		}
		if cur == nil || !last.IsZero() && !e.Time.IsZero() && e.Time.Sub(last) > troubleGap {
			cur = &Episode{World: w, Gateway: fact.Party{}}
			out = append(out, cur)
		}
		cur.Troubles = append(cur.Troubles, e)
		if !e.Time.IsZero() {
			last = e.Time
		}
	}
	return out
}

// harmless: a gateway's log of requests is there, and no request failed: what
// happened at other times has nothing to do with it.
func (w *World) harmless() bool {
	if w.Total == 0 {
		return false
	}
	for _, c := range w.coverage {
		if c.Party.Role == fact.RoleGateway && w.hasRequests(c) {
			return true
		}
	}
	return false
}

// Contrast is a value of some property that failed requests have more often
// than good ones of the same minutes.
type Contrast struct {
	Property    string // "backend", "method", "path", "client network", "size"
	Value       string
	Failed      int // failures that have it
	FailedOf    int
	Ordinary    int // good requests that have it
	OrdinaryOf  int
	Probability float64 // of at least this by chance, corrected for all values tried (Bonferroni)
}

// significant is the corrected probability under which a contrast is told.
const significant = 0.01

// properties are what failures are compared by.
var properties = []struct {
	name string
	of   func(*fact.Request) string
}{
	{"backend", func(r *fact.Request) string {
		if len(r.Attempts) == 0 {
			return ""
		}
		return r.Attempts[0].Address
	}},
	{"method", func(r *fact.Request) string { return r.Method }},
	{"path", func(r *fact.Request) string { return Shape(r.Path) }},
	{"host", func(r *fact.Request) string { return r.Host }},
	{"client network", func(r *fact.Request) string { return network(r.Client) }},
	{"request size", func(r *fact.Request) string {
		if !r.ReqBytes.Known {
			return ""
		}
		for _, k := range []int64{1 << 10, 16 << 10, 128 << 10, 1 << 20, 16 << 20} {
			if r.ReqBytes.N < k {
				return fmt.Sprintf("under %d KiB", k>>10)
			}
		}
		return "16 MiB and more"
	}},
}

// Contrasts compares the failures with good requests and returns what sets
// them apart, the most striking first.
func (e *Episode) Contrasts() []Contrast {
	if e.contrasts == nil {
		cs := e.contrast()
		e.contrasts = &cs
	}
	return slices.Clone(*e.contrasts)
}

func (e *Episode) contrast() []Contrast {
	var bad, good []*fact.Request
	for _, f := range e.Failures {
		for _, r := range f.Seen {
			if !r.Partial || len(f.Seen) == 1 {
				bad = append(bad, r)
				break
			}
		}
	}
	near := e.minutes()
	for _, c := range e.World.Controls {
		if c.Party.Tech == e.Gateway.Tech && near(c.Time) {
			good = append(good, c)
		}
	}
	if len(bad) < 3 || len(good) < 10 {
		return nil
	}
	var out []Contrast
	tried := 0
	for _, p := range properties {
		b, g := map[string]int{}, map[string]int{}
		nb, ng := tallyOf(bad, p.of, b), tallyOf(good, p.of, g)
		if nb < 3 || ng < 10 {
			continue
		}
		tried += len(b)
		for v, k := range b {
			pv := Fisher(k, nb-k, g[v], ng-g[v])
			out = append(out, Contrast{p.name, v, k, nb, g[v], ng, pv})
		}
	}
	kept := out[:0]
	for _, c := range out {
		if c.Probability = min(1, c.Probability*float64(tried)); c.Probability < significant {
			kept = append(kept, c)
		}
	}
	slices.SortFunc(kept, func(a, b Contrast) int {
		return cmp.Or(cmp.Compare(a.Probability, b.Probability), strings.Compare(a.Property, b.Property), strings.Compare(a.Value, b.Value))
	})
	return kept
}

func tallyOf(rs []*fact.Request, of func(*fact.Request) string, into map[string]int) (n int) {
	for _, r := range rs {
		if v := of(r); v != "" {
			into[v]++
			n++
		}
	}
	return n
}

// minutes returns what reports whether an instant lies in the minutes of the
// failures.
func (e *Episode) minutes() func(time.Time) bool {
	first, last := e.Span()
	from, to := first.Add(-10*time.Minute), last.Add(10*time.Minute)
	return func(t time.Time) bool {
		return t.IsZero() || first.IsZero() || t.After(from) && t.Before(to)
	}
}

// Shape is a path without query, its numbers and ids replaced by *, cut to
// three parts.
func Shape(p string) string {
	p = pathOf(p)
	parts := strings.SplitN(p, "/", 5)
	for i, s := range parts {
		if strings.ContainsAny(s, "0123456789") && (len(s) > 8 || strings.Trim(s, "0123456789") == "") {
			parts[i] = "*"
		}
	}
	if len(parts) > 4 {
		parts[4] = "..."
	}
	return strings.Join(parts, "/")
}

// network is the /24 or /48 an address is in.
func network(client string) string {
	a, err := netip.ParseAddr(hostOf(client))
	if err != nil {
		return ""
	}
	bits := 24
	if a.Is6() && !a.Is4In6() {
		bits = 48
	}
	p, err := a.Unmap().Prefix(bits)
	if err != nil {
		return ""
	}
	return p.String()
}

// ClockMinute is a minute of the hour, or of a shorter cycle, in which
// failures gather.
type ClockMinute struct {
	Every       time.Duration // the cycle
	At          time.Duration // into the cycle
	In          int           // failures within a minute of it
	Of          int
	Bursts      int // distinct cycles that had failures there
	Probability float64
}

// Clock looks for failures that gather at one minute of a cycle (5, 10, 15, 30
// or 60 minutes, or a day), in at least two cycles. ok is false if they do
// not.
func (e *Episode) Clock() (ClockMinute, bool) {
	var times []time.Time
	for _, f := range e.Failures {
		if !f.Time.IsZero() {
			times = append(times, f.Time)
		}
	}
	best := ClockMinute{Probability: 1}
	for _, every := range []time.Duration{5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 24 * time.Hour} {
		slots := int(every / time.Minute)
		bursts := map[int]map[int64]int{} // slot -> cycle -> failures
		for _, t := range times {
			sec := t.Unix()
			slot, cycle := int(sec/60)%slots, sec/int64(every/time.Second)
			if bursts[slot] == nil {
				bursts[slot] = map[int64]int{}
			}
			bursts[slot][cycle]++
		}
		cycles := map[int64]bool{}
		for _, b := range bursts {
			for c := range b {
				cycles[c] = true
			}
		}
		if len(cycles) < 2 {
			continue
		}
		// Failures in one burst are not independent: bursts are counted, each
		// slot of a cycle once.
		total := 0
		for _, b := range bursts {
			total += len(b)
		}
		for slot := range slots {
			b := bursts[slot]
			n := 0
			for _, k := range b {
				n += k
			}
			if len(b) < 2 {
				continue
			}
			p := Binomial(len(b), total, 1/float64(slots)) * float64(slots) * 6
			if p < best.Probability {
				best = ClockMinute{Every: every, At: time.Duration(slot) * time.Minute, In: n, Of: len(times), Bursts: len(b), Probability: p}
			}
		}
	}
	return best, best.Probability < significant
}
