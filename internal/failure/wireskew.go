package failure

import (
	"maps"
	"slices"
	"strings"
	"time"

	"culprit/internal/fact"
)

// The clocks of two captures are told apart by the requests that both legs of
// a gateway show, where no id does so.
const (
	// skewFrom is how many requests must agree, skewShare which share of those
	// of the lesser capture.
	skewFrom  = 3
	skewShare = 0.6
	// skewAgree is how far apart what they say may lie: the time a gateway
	// takes to pass a request on.
	skewAgree = 50 * time.Millisecond
	// skewMost bounds a skew that is looked for: clocks that nobody set are
	// minutes off, not hours.
	skewMost = 10 * time.Minute
	// skewPairs bounds the requests for one target that are compared.
	skewPairs = 64
)

// wireSkews estimates how far the clocks of captures stand apart, by the
// failed requests in front of and behind a gateway.
func (w *World) wireSkews(fulls []*fact.Request, wires []int) {
	type target struct{ method, path string }
	front, behind := map[string]map[target][]*fact.Request{}, map[string]map[target][]*fact.Request{}
	count := map[string]int{}
	for _, i := range wires {
		r := fulls[i]
		if r.Method == "" || !r.Duration.Known {
			continue
		}
		side := front
		if innerLeg(r) {
			side = behind
		}
		name := vantage(r)
		if side[name] == nil {
			side[name] = map[target][]*fact.Request{}
		}
		t := target{r.Method, pathOf(r.Path)}
		side[name][t] = append(side[name][t], r)
		count[name]++
	}
	for _, a := range slices.Sorted(maps.Keys(front)) {
		for _, b := range slices.Sorted(maps.Keys(behind)) {
			var off []time.Duration
			for t, rs := range behind[b] {
				for _, r := range rs[:min(len(rs), skewPairs)] {
					for _, x := range front[a][t][:min(len(front[a][t]), skewPairs)] {
						if x.Origin.Path == r.Origin.Path {
							continue
						}
						if d := started(x).Sub(started(r)); d.Abs() < skewMost {
							off = append(off, d)
						}
					}
				}
			}
			ahead, n := gathered(off)
			if n >= skewFrom && float64(n) >= skewShare*float64(min(count[a], count[b])) && ahead.Abs() > wireSlack && w.skew(a, b) == 0 {
				w.Skews = append(w.Skews, Skew{A: a, B: b, Ahead: ahead, Matched: n})
			}
		}
	}
}

func started(r *fact.Request) time.Time { return r.Time.Add(-r.Duration.Or(0)) }

// gathered finds where most of the values lie close together: the middle one
// there, and how many there are.
func gathered(in []time.Duration) (mid time.Duration, n int) {
	slices.Sort(in)
	from := 0
	for i := range in {
		for in[i]-in[from] > skewAgree {
			from++
		}
		if i-from+1 > n {
			n, mid = i-from+1, in[(from+i)/2]
		}
	}
	return mid, n
}

// captureSkew is how far the clock of one capture is ahead of another's.
func (w *World) captureSkew(a, b string) time.Duration {
	if a == b {
		return 0
	}
	of := func(name, path string) bool { return strings.HasPrefix(name, "capture/"+path+"/") }
	for _, s := range w.Skews {
		switch {
		case of(s.A, a) && of(s.B, b):
			return s.Ahead
		case of(s.A, b) && of(s.B, a):
			return -s.Ahead
		}
	}
	return 0
}

// shifted is a connection as another clock would have it.
func shifted(c *fact.Conn, by time.Duration) *fact.Conn {
	d := c.Clone().(*fact.Conn)
	for _, t := range [...]*time.Time{&d.Time, &d.Opened, &d.Closed} {
		if !t.IsZero() {
			*t = t.Add(by)
		}
	}
	for i := range d.Packets {
		d.Packets[i].Time = d.Packets[i].Time.Add(by)
	}
	return d
}
