package failure

import (
	"time"

	"culprit/internal/fact"
)

// The bounds of aligning a log whose stamps name no zone.
const (
	// zoneStep is what zones differ by: all are whole quarters of an hour.
	zoneStep = 15 * time.Minute
	// zoneMost is how far two zones lie apart at most: UTC-12 and UTC+14.
	zoneMost = 26 * time.Hour
	// zoneVotes is how many lines must agree before a log is moved.
	zoneVotes = 3
)

// align moves error logs whose stamps name no zone, and were read as UTC, onto
// the clock of the access log of the same server: their lines name requests of
// which it has the instant. It returns by how much each input was moved.
func align(fulls, partials []*fact.Request) map[string]time.Duration {
	type key struct{ tech, method, path, client string }
	of := func(r *fact.Request) key { return key{r.Party.Tech, r.Method, r.Path, hostOf(r.Client)} }
	index := map[key][]*fact.Request{}
	for _, r := range fulls {
		if r.Method != "" && !r.Time.IsZero() {
			index[of(r)] = append(index[of(r)], r)
		}
	}
	votes := map[string]map[int]int{} // by input: quarters of an hour
	lines := map[string]int{}
	for _, p := range partials {
		if p.Method == "" || p.Time.IsZero() {
			continue
		}
		mine := map[int]bool{}
		for _, r := range index[of(p)] {
			gap := r.Time.Sub(p.Time)
			if gap.Abs() > zoneMost {
				continue
			}
			q := int(gap.Round(zoneStep) / zoneStep)
			if off := gap - time.Duration(q)*zoneStep; off >= -partialSlack && off <= partialSlack+r.Duration.Or(0) {
				mine[q] = true
			}
		}
		if len(mine) > 0 {
			lines[p.Origin.Path]++
		}
		for q := range mine {
			if votes[p.Origin.Path] == nil {
				votes[p.Origin.Path] = map[int]int{}
			}
			votes[p.Origin.Path][q]++
		}
	}
	moved := map[string]time.Duration{}
	for path, v := range votes {
		best := 0
		for q, n := range v {
			if n > v[best] || n == v[best] && (abs(q) < abs(best) || abs(q) == abs(best) && q < best) {
				best = q
			}
		}
		if best != 0 && v[best] >= zoneVotes && v[best] > 2*v[0] && 2*v[best] > lines[path] {
			moved[path] = time.Duration(best) * zoneStep
		}
	}
	return moved
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// mover shifts the facts of inputs that are moved, as copies.
type mover map[string]time.Duration

func (m mover) head(h *fact.Header) {
	if by := m[h.Origin.Path]; by != 0 && !h.Time.IsZero() {
		h.Time = h.Time.Add(by)
	}
}

func (m mover) requests(in []*fact.Request) []*fact.Request {
	if len(m) == 0 {
		return in
	}
	out := make([]*fact.Request, len(in))
	for i, r := range in {
		c := *r
		m.head(&c.Header)
		out[i] = &c
	}
	sortRequests(out)
	return out
}

func (m mover) events(in []*fact.Event) []*fact.Event {
	if len(m) == 0 {
		return in
	}
	out := make([]*fact.Event, len(in))
	for i, e := range in {
		c := *e
		m.head(&c.Header)
		out[i] = &c
	}
	return out
}

func (m mover) samples(in []*fact.Sample) []*fact.Sample {
	if len(m) == 0 {
		return in
	}
	out := make([]*fact.Sample, len(in))
	for i, s := range in {
		c := *s
		m.head(&c.Header)
		out[i] = &c
	}
	return out
}
