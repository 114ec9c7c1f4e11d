// Package readinessprobeoverload judges servers that were alive and busy, and
// were taken out because their health probe was not answered in time.
package readinessprobeoverload

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "readiness-probe-overload",
	Title: "Busy, not dead: the health probe timed out under load and took the server out",
	What: "The probe must answer within a second or two and waits in the same queue as all requests. Under load it is late, the server is taken out of service, " +
		"its load goes to the others, which fail their probes next. At the end nobody is left to ask, although every process is alive.",
	Shows: []string{
		"Unhealthy: Readiness probe failed: context deadline exceeded (Client.Timeout exceeded while awaiting headers), many times, in busy hours",
		"HAProxy: Server app/app-1 is DOWN, reason: Layer7 timeout; Google: failed_to_pick_backend that comes and goes",
		"no restarts, no exits; pods flap between 1/1 and 0/1 Ready",
		"timeoutSeconds not set, which means 1 s",
	},
	Fixes: []string{
		"a probe that costs nothing: an own light path, no database, no shared dependency, answered beside the workers if all may be busy",
		"timeoutSeconds 5, failureThreshold 3: one slow answer is no death",
		"more workers or replicas, so that a peak does not fill all of them",
		"liveness more patient than readiness: killing busy servers makes it worse",
	},
	Links: []string{
		"https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
		"https://docs.haproxy.org/2.8/configuration.html#5.2-check",
	},
	Mechanisms: []fact.Mechanism{fact.NoBackend, fact.Refused, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply, fact.ConnectTimedOut, fact.ReplyTimedOut, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.ProbeFailed},
	Over:       []string{"crash"},
	Prior:      -6,
	PriorWhy:   "four of about a hundred and fifty collected incidents",
	Explain:    explain,
}

// The windows: three failed probes in a row at ten seconds each take a server
// out, and one good one puts it back.
const (
	before = 60 * time.Second
	after  = 15 * time.Second
	// short is a probe time-out that load alone exceeds.
	short = 2 * time.Second
	// flaky is from how many late probes on it is worth a word where no failed
	// request is told of.
	flaky = 3
)

func times(xs []*fact.Event) int {
	n := 0
	for _, x := range xs {
		n += x.N()
	}
	return n
}

// handful is up to how many events evidence is a paste of what somebody took
// for the matter, rather than a listing that has everything in it.
const handful = 5

// pasted: the late probes are nearly all that was given, without age or count.
func pasted(e *failure.Episode, late []*fact.Event) bool {
	for _, x := range late {
		if !x.Time.IsZero() || x.Age.Known || x.Count > 0 {
			return false
		}
	}
	return len(e.World.Events) <= handful
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	a := cause.Ask(e)
	late, other := probes(e, a)
	if len(late) == 0 || len(e.Failures) == 0 && times(late) < flaky && !pasted(e, late) {
		return o
	}
	near := after
	switch e.Mechanism {
	case fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply, fact.Refused, fact.ReplyTimedOut, fact.ConnectTimedOut:
		// These come of it only where a busy server is also killed or shut
		// off by its gateway.
		if !killed(e, a) {
			return o
		}
	}
	s, claims, ok := cause.NearEvents(e, late, before, near, says)
	circumstance := cause.For(8, "a gateway without members had them taken out by their probes, and these failed by time", says(0, late[0]), cause.Events(late)...).In("probe")
	if ok {
		if len(e.Failures) == 0 {
			s.Weight, s.Proof = min(s.Weight, 12), false // a late probe is not yet a failed request
		}
		o.Signals = append(o.Signals, s.In("probe"))
		o.Claims = claims
	}
	if e.Mechanism == fact.NoBackend {
		o.Signals = append(o.Signals, circumstance)
		if !ok || s.Weight < circumstance.Weight {
			o.Claims = nil
		}
	}
	if len(o.Signals) == 0 {
		return o
	}
	if len(other) > 0 && len(other)*3 > len(late) {
		o.Signals = append(o.Signals, cause.Against(12, "a busy server still takes connections", fmt.Sprintf("%s found nobody listening or a wrong answer, not a late one", cause.Count(len(other), "probe")), cause.Events(other)...))
	}
	settings(&o, e)
	if dead := deaths(e, a); len(dead) > 0 {
		o.Signals = append(o.Signals, cause.Against(6, "a busy server lives", "a server died or was stopped at that time", cause.Events(dead)...))
	} else if ok {
		o.Signals = append(o.Signals, cause.For(2, "a dead server would have been started again", "nothing tells that a process died"))
	}
	if busy := load(e, a); len(busy) > 0 {
		o.Signals = append(o.Signals, cause.For(4, "load is what makes a probe late", "the servers were busy: "+busySays(busy[0]), cause.Events(busy)...))
	}
	o.Blame = blame(late[0])
	o.Fix = fix(e, late[0])
	o.Next = []cause.Next{{
		Evidence: "the probe's settings, and how long it takes under load", Command: "kubectl get deploy NAME -o yaml | grep -A8 Probe; kubectl exec POD -- sh -c 'time wget -qO- http://127.0.0.1:PORT/healthz'",
		WouldTell: "whether its time-out is shorter than the server needs when it is busy",
	}}
	return o
}

// probes parts failed probes into late ones and others. A gateway's health
// check counts as a probe.
func probes(e *failure.Episode, a *cause.Asked) (late, other []*fact.Event) {
	for _, x := range e.World.Of(fact.ProbeFailed, fact.BackendDown) {
		if a.Kin(x) == cause.Stranger {
			continue
		}
		switch why := whyOf(x); {
		case why == "timeout":
			late = append(late, x)
		case x.Reason == "liveness" && why == "", why == "" && x.Kind == fact.BackendDown:
		case why != "":
			other = append(other, x)
		}
	}
	return late, other
}

// whyOf is why a probe failed.
func whyOf(x *fact.Event) string {
	if why := x.Attrs[fact.AttrWhy]; why != "" {
		return why
	}
	low := strings.ToLower(x.Reason + " " + x.Detail)
	switch {
	case strings.Contains(low, "timeout"), strings.Contains(low, "timed out"), strings.Contains(low, "tout"):
		return "timeout"
	case strings.Contains(low, "refused"):
		return "refused"
	}
	return ""
}

// killed: liveness probes that were late, too, had the server killed.
func killed(e *failure.Episode, a *cause.Asked) bool {
	return slices.ContainsFunc(e.World.Of(fact.ProcessStopping, fact.BackendDown), func(x *fact.Event) bool {
		return (x.Reason == "liveness" || x.Kind == fact.BackendDown) && a.Kin(x) != cause.Stranger
	})
}

func settings(o *cause.Opinion, e *failure.Episode) {
	var shortest *fact.Setting
	for _, s := range append(e.World.AllSettings(fact.RoleBackend, fact.ProbeTimeout), e.World.AllSettings(fact.RoleGateway, fact.HealthTimeout)...) {
		if s.Dur.Known && (shortest == nil || s.Dur.D < shortest.Dur.D) {
			shortest = s
		}
	}
	switch {
	case shortest == nil:
	case shortest.Dur.D <= short:
		o.Signals = append(o.Signals, cause.For(4, "a busy server easily needs longer", fmt.Sprintf("the probe must be answered within %s", cause.Lasts(shortest)), shortest))
	case shortest.Dur.D >= 10*time.Second:
		o.Signals = append(o.Signals, cause.Against(4, "a server that needs longer than that is stuck rather than busy", "the probe has "+cause.Span(shortest.Dur.D), shortest))
	}
}

// deaths are ends of the servers that would explain that their probes failed.
// Kills by liveness probes are part of the same trouble.
func deaths(e *failure.Episode, a *cause.Asked) []*fact.Event {
	var out []*fact.Event
	first, last := e.Span()
	for _, x := range e.World.Of(fact.Crashed, fact.OOMKilled, fact.HeapExhausted, fact.NodeLost, fact.NodeTerminating) {
		if a.Kin(x) != cause.Stranger && (x.Time.IsZero() || first.IsZero() || x.Time.After(first.Add(-5*time.Minute)) && x.Time.Before(last.Add(time.Minute))) {
			out = append(out, x)
		}
	}
	return out
}

// load are signs that the servers were busy.
func load(e *failure.Episode, a *cause.Asked) []*fact.Event {
	var out []*fact.Event
	for _, x := range e.World.Of(fact.LimitReached, fact.CPUBusy, fact.CPUThrottled, fact.SlowRequest) {
		if x.Kind == fact.LimitReached && x.Limit != fact.LimitWorkers && x.Limit != fact.LimitQueue || a.Kin(x) == cause.Stranger {
			continue
		}
		out = append(out, x)
	}
	return out
}

func busySays(x *fact.Event) string {
	if x.Detail != "" {
		return cause.Cut(x.Detail, 100)
	}
	return string(x.Kind)
}

func says(hit int, x *fact.Event) string {
	kind := x.Reason
	if x.Kind == fact.BackendDown || kind == "" {
		kind = "health"
	}
	n := x.Party.Name
	if n == "" {
		n = "a server"
	}
	s := fmt.Sprintf("%s failed its %s probe by time-out", n, kind)
	if x.N() > 1 {
		s += fmt.Sprintf(" (%d times)", x.N())
	}
	if hit > 1 {
		s += fmt.Sprintf("; %d failures lie around such a probe", hit)
	}
	return s
}

func blame(x *fact.Event) fact.Party {
	p := x.Party
	p.PID = 0
	if _, owner, ok := strings.Cut(x.Attrs[fact.AttrOwner], "/"); ok {
		p.Name, p.Address = owner, ""
	}
	p.Role = fact.RoleBackend
	return p
}

func fix(e *failure.Episode, x *fact.Event) cause.Fix {
	f := cause.Fix{Summary: "Let the probe ask for something light, and give it time: a busy server must not be taken for a dead one."}
	if e.Gateway.Tech == "haproxy" && x.Party.Tech != "kube" {
		f.Patch = "backend app\n  option httpchk GET /healthz\n  timeout check 5s\n  default-server inter 3s fall 3 rise 1"
		f.Steps = append(f.Steps, "let /healthz answer without the database and without a place in the pool that requests use")
		return f
	}
	path := "/healthz"
	if x.Path != "" && x.Path != "/" {
		path = x.Path
	}
	port := cause.PortOf(x.Party.Address)
	f.Patch = fmt.Sprintf(`readinessProbe:
  httpGet: {path: %s, port: %s}   # a path that touches no database
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 3
livenessProbe:
  httpGet: {path: %s, port: %s}
  periodSeconds: 10
  timeoutSeconds: 10
  failureThreshold: 6          # slower to kill than readiness is to spare`, path, port, path, port)
	if w := e.World.Setting(fact.RoleBackend, "", fact.Workers); w != nil && w.Num.Known {
		f.Steps = append(f.Steps, fmt.Sprintf("%s serves %d requests at once; the probe waits behind them: more workers, threads (gunicorn --worker-class gthread --threads 4), or a listener of its own for the probe", cause.TechTitle(w.Party.Tech), w.Num.N))
	} else {
		f.Steps = append(f.Steps, "if all workers can be busy at once (gunicorn sync, php-fpm, Puma), add threads or workers, or answer the probe beside them")
	}
	f.Steps = append(f.Steps, "more replicas, or a HorizontalPodAutoscaler that reacts before they are full")
	return f
}
