// Package cpustarvation judges servers that were alive and got no processor
// time: a blocked event loop, a throttled container, a locked-up machine.
package cpustarvation

import (
	"fmt"
	"slices"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "cpu-starvation",
	Title: "No processor time: the server was blocked or throttled while requests waited",
	What: "The process lived but did not run: one long piece of work blocked its only event loop, the container had used up its share of the processor, or the machine was overcommitted. " +
		"All requests wait together and then fail or are answered together.",
	Shows: []string{
		"many failures in one second, silence, the next burst; a keep-alive race would trickle",
		"event loop blocked, soft lockup - CPU#1 stuck for 22s, container_cpu_cfs_throttled_periods rising",
		"probes time out at the same instants, and no restarts or exits explain it",
		"average CPU looks low: throttling counts in tenths of a second",
	},
	Fixes: []string{
		"move long work off the event loop: worker threads, a queue, asynchronous calls; look for synchronous file, database and crypto calls",
		"raise the CPU limit or drop it and keep the request; a limit under one core throttles every burst of one thread",
		"more instances, so that one blocked one fails fewer requests",
	},
	Links: []string{
		"https://nodejs.org/en/learn/asynchronous-work/dont-block-the-event-loop",
		"https://kubernetes.io/docs/tasks/configure-pod-container/assign-cpu-resource/",
	},
	Mechanisms: []fact.Mechanism{fact.ReplyTimedOut, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.ConnectTimedOut, fact.NoBackend, fact.MechanismUnknown},
	Over:       []string{"readiness-probe-overload"},
	Prior:      -8,
	PriorWhy:   "two of about a hundred and fifty collected incidents; slow answers mostly wait for something else",
	Explain:    explain,
}

// The bounds.
const (
	// around: a throttled or blocked server recovers within the half minute in
	// which its probes and metrics are taken.
	around = 30 * time.Second
	// throttled is the share of periods from which requests are late: a third
	// of all tenths of a second stands still.
	throttled = 0.25
	// silence parts two bursts.
	silence = 5 * time.Second
	// smallLimit is a CPU limit that a single busy thread exceeds, in
	// thousandths of a core.
	smallLimit = 1000
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	a := cause.Ask(e)
	events, _ := a.Kindred(busy(e.World))
	s, claims, ok := cause.NearEvents(e, events, around, around, says)
	if ok {
		s.Weight = min(s.Weight, 18) // what is busy may be so for another reason
		o.Signals = append(o.Signals, s.In("stood still"))
		o.Claims = claims
		o.Blame = s.Facts[0].Head().Party
		if kin, told := a.Relation(s.Facts, "it is the server that was asked"); told {
			o.Signals = append(o.Signals, kin)
		}
	}
	t, held := throttle(e)
	if held != nil {
		o.Signals = append(o.Signals, t.In("stood still"))
		if o.Blame == (fact.Party{}) {
			o.Blame = held.Party
		}
	}
	b, bursts := bursty(e)
	switch {
	case bursts:
		o.Signals = append(o.Signals, b)
	case !ok && held == nil:
		return cause.Opinion{}
	}
	if e.Mechanism == fact.MechanismUnknown && !ok && held == nil {
		return cause.Opinion{} // a server that died or refuses fails in bursts too
	}
	deaths, _ := a.Kindred(e.World.Of(fact.Crashed, fact.OOMKilled, fact.HeapExhausted, fact.WorkerTimedOut, fact.ProcessExited, fact.WorkerExited, fact.ProcessStopping))
	if d, _, dead := cause.NearEvents(e, deaths, around, around, func(int, *fact.Event) string { return "a process ended at that time" }); dead {
		o.Signals = append(o.Signals, cause.Signal{Says: d.Says, Weight: -12, Why: "requests end together when their process dies", Facts: d.Facts})
	} else if !ok && held == nil {
		// The shape alone: only where something shows that the process lived on.
		alive := lived(e)
		if len(alive) == 0 {
			return cause.Opinion{}
		}
		o.Signals = append(o.Signals, alive...)
	}
	var x *fact.Event
	if ok {
		x = s.Facts[0].(*fact.Event)
	}
	settings(&o, e, x)
	if o.Blame == (fact.Party{}) || held != nil && o.Blame.Tech == "linux" {
		o.Blame = e.Failures[0].Backend // its cgroup's file is read by the kernel's reader
	}
	o.Blame.PID = 0
	if o.Blame.Role == "" {
		o.Blame.Role = fact.RoleBackend
	}
	o.Fix = fix(e, o.Blame, held != nil)
	o.Next = []cause.Next{{
		Evidence: "throttling and the event loop's delay", Command: "cat /sys/fs/cgroup/cpu.stat   # nr_throttled against nr_periods; Node: --trace-sync-io, perf_hooks.monitorEventLoopDelay(); py-spy dump --pid PID",
		WouldTell: "whether the process stood still, and on what",
	}}
	return o
}

// lived are signs that the process went on after a burst of failures.
func lived(e *failure.Episode) []cause.Signal {
	var out []cause.Signal
	if e.World.Covered(fact.RoleBackend, e.Failures[0].Time) {
		out = append(out, cause.For(4, "a process that died would have told", "the server's own log covers the time and tells of no end"))
	}
	refused := slices.ContainsFunc(e.World.Failures, func(f *failure.Failure) bool {
		return f.Mechanism == fact.Refused || f.Mechanism == fact.NoBackend
	})
	if !refused && e.World.Total > 2*e.N() {
		out = append(out, cause.For(3, "a process that died is away for a while, and connections are refused", "no connection was refused around the bursts"))
	}
	var least, most time.Duration
	timed, long := 0, 0
	for _, f := range e.Failures {
		d, ok := f.Took()
		if !ok {
			continue
		}
		if timed == 0 || d < least {
			least = d
		}
		most = max(most, d)
		timed++
		if d >= time.Second {
			long++
		}
	}
	if len(out) > 0 && timed > 0 && long*10 >= timed*7 && most-least >= time.Second {
		out = append(out, cause.For(4, "what is worked on one after the other ends one by one", fmt.Sprintf("they had waited for different times, up to %s, and ended together", cause.Span(most)), cause.Cite(e.Failures)...))
	}
	return out
}

// busy leaves out tasks that wait for a disk.
func busy(w *failure.World) []*fact.Event {
	var out []*fact.Event
	for _, x := range w.Of(fact.CPUBusy, fact.CPUThrottled) {
		if x.Reason != "hung task" && x.Reason != "hung-task" && x.Reason != "temperature" {
			out = append(out, x)
		}
	}
	return out
}

// throttle: samples of the share of periods in which the container stood still.
func throttle(e *failure.Episode) (cause.Signal, *fact.Sample) {
	first, last := e.Span()
	var most *fact.Sample
	for _, s := range e.World.Samples {
		if s.Name != fact.SampleThrottle || s.Value < throttled {
			continue
		}
		if !s.Time.IsZero() && !first.IsZero() && (s.Time.Before(first.Add(-10*time.Minute)) || s.Time.After(last.Add(10*time.Minute))) {
			continue
		}
		if most == nil || s.Value > most.Value {
			most = s
		}
	}
	if most == nil {
		return cause.Signal{}, nil
	}
	return cause.For(10, "a server that stands still in a quarter of all periods answers late", fmt.Sprintf("it was throttled in %.0f %% of its periods", most.Value*100), most), most
}

// bursty: most failures lie in a few seconds with silence between.
func bursty(e *failure.Episode) (cause.Signal, bool) {
	type burst struct {
		at time.Time
		n  int
	}
	var bursts []burst
	total := 0
	for _, f := range e.Failures {
		if f.Time.IsZero() {
			continue
		}
		total += f.N
		if k := len(bursts); k > 0 && f.Time.Sub(bursts[k-1].at) <= time.Second+f.Res {
			bursts[k-1].n += f.N
			continue
		}
		bursts = append(bursts, burst{f.Time, f.N})
	}
	big, in := 0, 0
	for i, b := range bursts {
		if b.n >= 3 && (i == 0 || b.at.Sub(bursts[i-1].at) >= silence) {
			big++
			in += b.n
		}
	}
	if big < 2 || in*10 < total*7 {
		return cause.Signal{}, false
	}
	switch e.Mechanism {
	case fact.NoBackend, fact.ConnectTimedOut:
		return cause.Signal{}, false
	}
	return cause.For(5, "what waits for a blocked process fails together; idle connections run out one by one", fmt.Sprintf("%d of %d failures lie in %d bursts of about a second, with silence between", in, total, big), cause.Cite(e.Failures)...), true
}

func settings(o *cause.Opinion, e *failure.Episode, x *fact.Event) {
	if s := cause.Owned(e.World, x, fact.CPULimit); s != nil && s.Num.Known && s.Num.N < smallLimit {
		o.Signals = append(o.Signals, cause.For(3, "a busy thread uses a whole core", fmt.Sprintf("its CPU limit is %.2f of a core", float64(s.Num.N)/1000), s))
	}
	front, back := cause.PoolIdle(e), cause.ServerIdle(e)
	if front != nil && back != nil && front.Dur.Known && back.Dur.Known && front.Dur.D+2*time.Second < back.Dur.D && (e.Mechanism == fact.ClosedBeforeReply || e.Mechanism == fact.ResetBeforeReply) {
		o.Signals = append(o.Signals, cause.For(3, "it rules out the usual reason of closed connections", fmt.Sprintf("the proxy drops idle connections after %s, before the server does (%s)", cause.Lasts(front), cause.Lasts(back)), front, back))
	}
}

func says(hit int, x *fact.Event) string {
	who := x.Party.Name
	if who == "" {
		who = cause.TechTitle(x.Party.Tech)
	}
	s := who + " had no processor time"
	switch {
	case x.Kind == fact.CPUThrottled:
		s = who + " was throttled"
	case x.Reason != "":
		s += " (" + x.Reason + ")"
	}
	if x.Lasted.Known {
		s += " for " + cause.Span(x.Lasted.D)
	}
	if hit > 1 {
		s += fmt.Sprintf("; %d failures lie around such a time", hit)
	}
	return s
}

func fix(e *failure.Episode, p fact.Party, held bool) cause.Fix {
	f := cause.Fix{Summary: "Take the long work off the thread that answers requests."}
	limit := cause.Owned(e.World, nil, fact.CPULimit)
	if held || limit != nil && limit.Num.Known && limit.Num.N < smallLimit {
		f.Summary = "Give it more processor: raise or drop the CPU limit, and keep a request that fits its load."
		f.Patch = "resources:\n  requests: {cpu: 500m}\n  limits: {memory: 512Mi}   # no cpu limit, or 2000m at least"
		if p.Tech == "docker" {
			f.Patch = "docker update --cpus 2 NAME"
		}
		if p.Tech == "journal" {
			f.Patch = "[Service]\nCPUQuota=200%"
		}
		f.Steps = append(f.Steps, "a limit that nobody wrote comes from the namespace: kubectl get limitrange")
	}
	switch p.Tech {
	case "node":
		f.Steps = append(f.Steps, "Node: look for fs.*Sync, crypto.*Sync, large JSON, synchronous SQLite; move them to worker_threads or their asynchronous form")
	case "gunicorn", "uvicorn", "python":
		f.Steps = append(f.Steps, "Python: blocking calls in async def block everybody: run_in_executor, or def instead of async def")
	}
	f.Steps = append(f.Steps, "measure: a profile of a minute in which it happens (node --cpu-prof, py-spy record, perf record)")
	return f
}
