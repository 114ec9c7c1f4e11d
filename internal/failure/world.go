package failure

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"culprit/internal/fact"
)

// World is everything known around the failures.
type World struct {
	Failures  []*Failure // the client was failed, or left
	Recovered []*Failure // a try failed, the request did not
	Controls  []*fact.Request
	Events    []*fact.Event
	Settings  []*fact.Setting
	Samples   []*fact.Sample
	Conns     []*fact.Conn
	Skews     []Skew
	// Moved are inputs whose stamps name no zone, and by how much they were
	// moved onto the clock of a log that names one.
	Moved map[string]time.Duration
	// Total and Failed count requests as the vantage point that saw most of
	// them did; Total is zero if only error logs were given.
	Total, Failed int
	// First and Last are the instants between which the evidence speaks.
	First, Last time.Time

	byKind   map[fact.EventKind][]*fact.Event
	coverage []*fact.Sample
	logs     map[log]bool    // of requests, by samples
	captures map[string]bool // inputs that hold packets
	answered []*fact.Request // backends' own records
	// The longest of these, and the coarsest resolution of their times.
	longest, coarsest time.Duration
}

func newWorld(events []*fact.Event, settings []*fact.Setting, samples []*fact.Sample, conns []*fact.Conn, controls []*fact.Request) *World {
	w := &World{
		Events: slices.Clone(events), Settings: slices.Clone(settings), Samples: slices.Clone(samples), Conns: conns, Controls: controls,
		byKind: map[fact.EventKind][]*fact.Event{}, logs: map[log]bool{},
	}
	slices.SortStableFunc(w.Events, func(a, b *fact.Event) int { return compareHeads(&a.Header, &b.Header) })
	slices.SortStableFunc(w.Settings, func(a, b *fact.Setting) int { return compareHeads(&a.Header, &b.Header) })
	w.spell()
	for _, e := range w.Events {
		w.byKind[e.Kind] = append(w.byKind[e.Kind], e)
		w.span(e.Time)
	}
	for _, s := range w.Samples {
		switch s.Name {
		case fact.SampleRequests:
			w.logs[log{s.Origin.Path, s.Party.Tech}] = true
		case fact.SampleCoverage:
			w.coverage = append(w.coverage, s)
			w.span(s.Time)
			w.span(s.Time.Add(-s.Interval.Or(0)))
		}
	}
	return w
}

func compareHeads(a, b *fact.Header) int {
	return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Origin.Path, b.Origin.Path), cmp.Compare(a.Origin.Line, b.Origin.Line))
}

func (w *World) span(t time.Time) {
	if t.IsZero() {
		return
	}
	if w.First.IsZero() || t.Before(w.First) {
		w.First = t
	}
	if t.After(w.Last) {
		w.Last = t
	}
}

// backendRequests ties backends' own records to failures, keeps the failures
// that only a backend tells of, and counts.
func (w *World) backendRequests(backend []*fact.Request) {
	w.answered = backend
	byID := map[string]*fact.Request{}
	type key struct{ method, path string }
	byPath := map[key][]*fact.Request{}
	logs := map[log]bool{}
	for _, r := range backend {
		w.span(r.Time)
		logs[log{r.Origin.Path, r.Party.Tech}] = true
		w.longest, w.coarsest = max(w.longest, r.Duration.Or(0)), max(w.coarsest, r.Res.Or(0))
		for _, id := range r.IDs {
			byID[id] = r
		}
		k := key{r.Method, pathOf(r.Path)}
		byPath[k] = append(byPath[k], r)
	}
	claimed := map[*fact.Request]bool{}
	for _, f := range slices.Concat(w.Failures, w.Recovered) {
		w.span(f.Time)
		w.tie(f, backend, byID, func(f *Failure) []*fact.Request { return byPath[key{f.Method, pathOf(f.Path)}] }, claimed, logs)
	}
	gateways := len(w.Failures)+len(w.Recovered) > 0 || len(w.Controls) > 0
	for _, r := range backend {
		if gateways || !r.Status.Known || r.Status.N < 500 {
			continue
		}
		f := &Failure{N: r.N(), Seen: []*fact.Request{r}, IDs: r.IDs, Mechanism: fact.AppAnswered, Relayed: true, BackendSaw: Yes, BackendRequest: r, Gateway: r.Party, Backend: r.Party}
		f.describe(r)
		w.Failures = append(w.Failures, f)
	}
	slices.SortStableFunc(w.Failures, compareFailures)
	w.count()
}

// tie looks for the backend's own record of a failed request.
func (w *World) tie(f *Failure, backend []*fact.Request, byID map[string]*fact.Request, alike func(*Failure) []*fact.Request, claimed map[*fact.Request]bool, logs map[log]bool) {
	if len(backend) == 0 {
		return
	}
	for _, id := range f.IDs {
		if r := byID[id]; r != nil {
			f.BackendSaw, f.BackendRequest = Yes, r
			f.adopt(r)
			return
		}
	}
	ids := len(byID) > 0 && len(f.IDs) > 0
	if !ids && f.Method != "" && !f.Time.IsZero() {
		start := f.Time.Add(-f.Duration.Or(0))
		candidates := alike(f)
		// They are in the order of the time at which they ended.
		reach := crossSlack + f.Res + w.coarsest
		first := sort.Search(len(candidates), func(i int) bool { return !candidates[i].Time.Before(start.Add(-reach)) })
		for _, r := range candidates[first:] {
			if r.Time.After(f.Time.Add(reach + w.longest)) {
				break
			}
			slack := crossSlack + f.Res + r.Res.Or(0)
			// The backend may finish long after the gateway gave up.
			begin, ok := r.Start()
			if !ok {
				begin = r.Time
			}
			if !claimed[r] && begin.After(start.Add(-slack)) && begin.Before(f.Time.Add(slack)) {
				if w.common(len(candidates), f.Duration.Or(0)+2*slack) {
					return // on a path this busy, it may be another request's
				}
				claimed[r] = true
				f.BackendSaw, f.BackendRequest = Yes, r
				f.adopt(r)
				return
			}
		}
	}
	if f.Time.IsZero() {
		return
	}
	for _, c := range w.coverage {
		if c.Party.Role == fact.RoleBackend && c.Labels["kept"] != "part" && covers(c, f.Time) && logs[log{c.Origin.Path, c.Party.Tech}] {
			f.BackendSaw = No
			return
		}
	}
}

// strangers is how many other requests for the same path may be expected in a
// request's time before its record is taken for any of them.
const strangers = 0.2

// common reports whether n alike requests over the whole evidence are so many
// that one falls into the window by chance.
func (w *World) common(n int, window time.Duration) bool {
	span := w.Last.Sub(w.First)
	return n > 2 && span > 0 && float64(n)*float64(window)/float64(span) > strangers
}

// adopt takes what the backend's record knows of the backend.
func (f *Failure) adopt(r *fact.Request) {
	addr := f.Backend.Address
	f.Backend = r.Party
	f.Backend.Role = fact.RoleBackend
	if f.Backend.Address == "" {
		f.Backend.Address = addr
	}
}

func covers(c *fact.Sample, t time.Time) bool {
	return !t.Before(c.Time.Add(-c.Interval.Or(0))) && !t.After(c.Time)
}

// LoggedBy reports whether a log of requests by the technology covers t.
func (w *World) LoggedBy(tech string, t time.Time) bool {
	for _, c := range w.coverage {
		if c.Party.Tech == tech && c.Party.Role == fact.RoleGateway && w.hasRequests(c) && covers(c, t) {
			return true
		}
	}
	return false
}

func (w *World) hasRequests(c *fact.Sample) bool {
	return w.logs[log{c.Origin.Path, c.Party.Tech}]
}

// log is one technology's lines in one input.
type log struct{ path, tech string }

// Covered reports whether evidence of the given role speaks of t: whether its
// silence means something.
func (w *World) Covered(role fact.Role, t time.Time) bool {
	for _, c := range w.coverage {
		if c.Party.Role == role && covers(c, t) {
			return true
		}
	}
	return false
}

// Tells reports whether a log of the given role that tells of events, not of
// requests alone, covers t.
func (w *World) Tells(role fact.Role, t time.Time) bool {
	for _, c := range w.coverage {
		if c.Party.Role != role || !covers(c, t) {
			continue
		}
		for _, e := range w.Events {
			if e.Origin.Path == c.Origin.Path {
				return true
			}
		}
	}
	return false
}

// count settles Total and Failed.
func (w *World) count() {
	totals := map[string]int{}
	for _, s := range w.Samples {
		if s.Name == fact.SampleRequests {
			k := string(s.Party.Role) + "/" + s.Party.Tech + "/" + s.Party.Name + "/" + s.Party.Host
			if w.captures[s.Origin.Path] {
				k += "/" + s.Origin.Path // two captures may show the same requests
			}
			totals[k] += s.Count
		}
	}
	// A server may be asked by others too (health checks), so its own count
	// only serves where no gateway counts.
	behind := 0
	for k, n := range totals {
		if strings.HasPrefix(k, string(fact.RoleBackend)+"/") {
			behind = max(behind, n)
		} else {
			w.Total = max(w.Total, n)
		}
	}
	if w.Total == 0 {
		w.Total = behind
	}
	for _, f := range w.Failures {
		if f.Mechanism != fact.ClientGone {
			w.Failed += f.N
		}
	}
	w.Total = max(w.Total, w.Failed)
}

// Of returns the events of the given kinds, in the order of time; those of
// unknown time come first.
func (w *World) Of(kinds ...fact.EventKind) []*fact.Event {
	if len(kinds) == 1 {
		return w.byKind[kinds[0]]
	}
	var out []*fact.Event
	for _, k := range kinds {
		out = append(out, w.byKind[k]...)
	}
	slices.SortStableFunc(out, func(a, b *fact.Event) int { return compareHeads(&a.Header, &b.Header) })
	return out
}

// Setting returns the best-founded setting of a knob for parties of a role;
// between equals the first in the order of files. tech may be empty.
func (w *World) Setting(role fact.Role, tech string, knob fact.Knob) *fact.Setting {
	var best *fact.Setting
	for _, s := range w.Settings {
		if s.Knob != knob || s.Party.Role != role || tech != "" && s.Party.Tech != tech {
			continue
		}
		if best == nil || s.Basis.Outranks(best.Basis) {
			best = s
		}
	}
	return best
}

// AllSettings returns the settings of a knob of a role, the best-founded of
// each object.
func (w *World) AllSettings(role fact.Role, knob fact.Knob) []*fact.Setting {
	type key struct{ tech, name, object string }
	best := map[key]int{}
	var out []*fact.Setting
	for _, s := range w.Settings {
		if s.Knob != knob || s.Party.Role != role {
			continue
		}
		k := key{s.Party.Tech, s.Party.Name, s.Object}
		if i, ok := best[k]; !ok {
			best[k] = len(out)
			out = append(out, s)
		} else if s.Basis.Outranks(out[i].Basis) {
			out[i] = s
		}
	}
	return out
}

// Techs returns the technologies of a role that facts speak of, in order of
// their names.
func (w *World) Techs(role fact.Role) []string {
	set := map[string]bool{}
	for _, e := range w.Events {
		if e.Party.Role == role {
			set[e.Party.Tech] = true
		}
	}
	for _, s := range w.Settings {
		if s.Party.Role == role {
			set[s.Party.Tech] = true
		}
	}
	for _, r := range w.answered {
		if role == fact.RoleBackend {
			set[r.Party.Tech] = true
		}
	}
	for _, c := range w.coverage {
		if c.Party.Role == role {
			set[c.Party.Tech] = true
		}
	}
	delete(set, "")
	out := make([]string, 0, len(set))
	for t := range set {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}
