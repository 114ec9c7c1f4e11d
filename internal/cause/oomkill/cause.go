// Package oomkill judges servers that were killed because memory ran out.
//
// It is about kills from outside: by the kernel for the machine or a cgroup,
// by systemd-oomd or earlyoom. A run time that gives up at a limit of its own
// (V8's heap, the JVM's) ends by itself: that is a crash. PHP's memory_limit
// ends one script with an error of the application's.
package oomkill

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "oom-kill",
	Title: "Out of memory: the kernel killed the server",
	What: "Memory ran out, on the machine or in the container's own limit, and the kernel killed the process that answered the requests. " +
		"It gets no chance to say anything: its log just ends. Requests in flight are reset, and new ones are refused until it runs again.",
	Shows: []string{
		"kernel: Out of memory: Killed process 812 (node); Memory cgroup out of memory: Killed process ...",
		"systemd: Failed with result 'oom-kill'; Kubernetes: OOMKilled, exit code 137; docker events: oom",
		"gunicorn: Worker (pid:55) was sent SIGKILL! Perhaps out of memory?",
		"nothing in the server's own log at that moment; resets and closed connections at once, then connection refused until the restart",
	},
	Fixes: []string{
		"raise the limit (container, unit, machine) above what the server needs at its peak, or run fewer workers",
		"find what grows: a leak, one huge request, a batch job on the same machine",
		"keep jobs and databases off the machine that serves, or give them limits of their own",
		"let the supervisor restart it: Restart=on-failure covers an OOM kill, on-abort does not",
	},
	Links: []string{
		"https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/",
		"https://www.kernel.org/doc/html/latest/admin-guide/cgroup-v2.html#memory",
	},
	Mechanisms: []fact.Mechanism{
		fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.CutMidReply, fact.Refused, fact.NoBackend, fact.Unreachable,
		fact.ConnectTimedOut, fact.ReplyTimedOut, fact.MechanismUnknown,
	},
	Troubles: []fact.EventKind{fact.OOMKilled, fact.WorkerExited},
	Over:     []string{"crash", "dead-not-restarted", "slow-start"},
	Traces:   []cause.Trace{{Role: fact.RoleHost, None: "the machine's log covers the time, and tells of no kill for memory near these failures"}},
	Prior:    -5,
	PriorWhy: "about one in twenty failed requests of these kinds goes back to an OOM kill, one in five is never explained",
	Explain:  explain,
}

// The windows around a kill.
const (
	// after is how much later than the failed request the kill may be stamped:
	// the kernel logs it within milliseconds, journals are stamped in seconds.
	after = 3 * time.Second
	// restart is how long a killed server commonly takes to answer again.
	restart = 90 * time.Second
	// inFlight is how long after the kill a request that was in flight is
	// logged as failed.
	inFlight = 5 * time.Second
)

// window is how far before a failure a kill may lie.
func window(e *failure.Episode) time.Duration {
	switch e.Mechanism {
	case fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.CutMidReply:
		return inFlight
	}
	return restart
}

func explain(e *failure.Episode) cause.Opinion {
	a := cause.Ask(e)
	kills, _ := a.Kindred(e.World.Of(fact.OOMKilled))
	if len(kills) == 0 {
		return unexplained(e, a)
	}
	var o cause.Opinion
	s, claims, ok := cause.NearEvents(e, kills, window(e), after, says)
	if !ok {
		return o
	}
	o.Claims = cause.Outage(e, claims)
	if e.Mechanism == fact.ReplyTimedOut {
		s.Weight = min(s.Weight, 8) // a machine short of memory is slow; a killed server closes its connections
	}
	o.Signals = append(o.Signals, s)
	if kin, told := a.Relation(s.Facts, "what was killed is the server that was asked"); told {
		o.Signals = append(o.Signals, kin)
	}
	if back := backoff(e, a); back != nil {
		o.Signals = append(o.Signals, cause.For(2, "a server that runs out of memory does so again", fmt.Sprintf("it is restarted again and again (%s)", cause.Count(back.N(), "restart")), back))
	}
	victim := s.Facts[0].(*fact.Event)
	o.Blame = blame(e, victim)
	o.Fix = fix(e, victim)
	o.Next = []cause.Next{{
		Evidence: "memory of the server over time, and its limit", Command: "kubectl top pod --containers; docker stats --no-stream; systemctl show UNIT -p MemoryCurrent,MemoryPeak,MemoryMax",
		WouldTell: "whether it grows slowly (a leak) or jumps (one request, a job)",
	}}
	return o
}

func first(fs []fact.Fact) []fact.Fact { return fs[:min(1, len(fs))] }

func says(hit int, x *fact.Event) string {
	what := "the kernel killed"
	switch {
	case x.Reason == "systemd-oomd" || x.Reason == "earlyoom":
		what = x.Reason + " killed"
	case x.Party.Tech == "kube" || x.Party.Tech == "docker":
		what = "the container ran over its memory limit and was killed:"
	}
	s := what + " " + victimName(x) + " for lack of memory"
	if x.Used.Known {
		s += " (it held " + cause.Bytes(x.Used.N) + ")"
	}
	if hit > 0 && !x.Time.IsZero() {
		s += " at " + x.Time.Format("15:04:05")
	}
	return s
}

func victimName(x *fact.Event) string {
	n := x.Party.Name
	switch {
	case n == "" && x.Party.Tech != "linux" && x.Party.Tech != "":
		n = "a process of " + cause.TechTitle(x.Party.Tech)
	case n == "":
		n = "a process"
	}
	if x.Party.PID != 0 {
		n += fmt.Sprintf(" (pid %d)", x.Party.PID)
	}
	return n
}

func backoff(e *failure.Episode, a *cause.Asked) *fact.Event {
	for _, x := range e.World.Of(fact.RestartBackoff) {
		if a.Kin(x) != cause.Stranger {
			return x
		}
	}
	return nil
}

// unexplained judges a SIGKILL of which nobody in the evidence says why: the
// kernel is the one that kills without a word.
func unexplained(e *failure.Episode, a *cause.Asked) cause.Opinion {
	var kills []*fact.Event
	for _, x := range e.World.Of(fact.WorkerExited, fact.ProcessExited) {
		if killed(x) && a.Kin(x) != cause.Stranger && !explained(e, x) {
			kills = append(kills, x)
		}
	}
	var o cause.Opinion
	s, claims, ok := cause.NearEvents(e, kills, window(e), after, func(_ int, x *fact.Event) string {
		return fmt.Sprintf("%s was killed by SIGKILL, and nothing in the evidence says by whom", victimName(x))
	})
	if !ok {
		return o
	}
	s.Proof = false
	o.Signals = append(o.Signals, s, cause.Against(4, "an operator, a supervisor or a memory limit may send SIGKILL: the kernel's own line is missing", "no line tells of memory", first(s.Facts)...))
	o.Claims = cause.Outage(e, claims)
	victim := s.Facts[0].(*fact.Event)
	o.Blame, o.Fix = blame(e, victim), fix(e, victim)
	o.Next = []cause.Next{{
		Evidence: "the kernel's log of that minute", Command: "journalctl -k -o short-iso | grep -iE 'out of memory|oom-kill|killed process'; kubectl describe pod POD | grep -A6 'Last State'",
		WouldTell: "whether the kernel killed it for lack of memory",
	}}
	return o
}

// killed: a SIGKILL that is not Kubernetes' word "Error", with which it says
// that memory was not the reason.
func killed(x *fact.Event) bool {
	return (x.Signal == 9 || x.Exit.Is(137)) && x.Reason != "Error" && x.Reason != "timeout" && x.Reason != "stopped"
}

// killGrace is how long after its notice a SIGKILL may come: Kubernetes' and
// systemd's longest usual grace period is 90 s.
const killGrace = 2 * time.Minute

// explained: somebody said that he would kill it.
func explained(e *failure.Episode, x *fact.Event) bool {
	for _, y := range e.World.Of(fact.WorkerTimedOut, fact.ProcessStopping, fact.NodeTerminating, fact.PodEvicted, fact.Rollout) {
		if y.Party.PID != 0 && y.Party.PID == x.Party.PID {
			return true
		}
		if y.Kind == fact.WorkerTimedOut && y.Party.PID != 0 && x.Party.PID != 0 {
			continue
		}
		if y.Time.IsZero() || x.Time.IsZero() || !y.Time.After(x.Time.Add(time.Second)) && x.Time.Sub(y.Time) < killGrace {
			return true
		}
	}
	return false
}

func blame(e *failure.Episode, x *fact.Event) fact.Party {
	p := x.Party
	if p.Address == "" && len(e.Failures) > 0 && p.Role == fact.RoleBackend {
		p.Address = e.Failures[0].Backend.Address
	}
	if p.Tech == "linux" || p.Tech == "journal" || p.Tech == "kube" || p.Tech == "docker" {
		p.Role = fact.RoleBackend
	}
	return p
}

// fix raises the limit in the words of whoever holds it.
func fix(e *failure.Episode, x *fact.Event) cause.Fix {
	limit := cause.Owned(e.World, x, fact.MemoryLimit)
	f := cause.Fix{Summary: "Give the server more memory than its peak needs, or make it need less: fewer workers, no leak, no job beside it."}
	if x.Attrs[fact.AttrScope] == "host" {
		f.Summary = "The machine itself ran out of memory: give it more, run fewer workers, or move the other eater off it."
		f.Steps = append(f.Steps, "see what else held memory: journalctl -k | grep -B40 'Killed process' (the table lists every process with its rss)")
	}
	most := x.Max
	if limit != nil && limit.Num.Known {
		most = limit.Num
	}
	want := "1Gi"
	if most.Known && most.N > 0 {
		f.Steps = append(f.Steps, fmt.Sprintf("its limit is %s: raise it to %s at least, then watch the peak", cause.Bytes(most.N), cause.Bytes(most.N*3/2)))
		want = fmt.Sprintf("%dMi", most.N*3/2>>20)
	}
	switch {
	case limit != nil && limit.Spelling != "" && most.Known:
		f.Patch = cause.SpellNum(limit.Spelling, most.N*3/2)
		if limit.Where != "" {
			f.Steps = append(f.Steps, "in "+limit.Where+" of "+limit.Object)
		}
	case x.Party.Tech == "kube":
		f.Patch = "resources:\n  requests: {memory: " + want + "}\n  limits: {memory: " + want + "}"
	case x.Party.Tech == "docker":
		f.Patch = "docker update --memory " + want + " --memory-swap " + want + " NAME   # compose: mem_limit: " + want
	case x.Party.Tech == "journal":
		f.Patch = "[Service]\nMemoryMax=" + want + "\nRestart=on-failure\nRestartSec=2"
	}
	if s := cause.Owned(e.World, x, fact.RestartPolicy); s != nil && (s.Text == "no" || s.Text == "on-abort" || s.Text == "never") {
		f.Steps = append(f.Steps, fmt.Sprintf("its restart policy is %q, which leaves it dead after an OOM kill: Restart=on-failure (docker: --restart unless-stopped)", s.Text))
	}
	f.Steps = append(f.Steps, workers(x.Party.Tech)...)
	return f
}

// workers names the knobs that bound memory in common servers.
func workers(tech string) []string {
	switch tech {
	case "gunicorn":
		return []string{"gunicorn: fewer --workers, and --max-requests 1000 --max-requests-jitter 100 against slow leaks"}
	case "phpfpm":
		return []string{"php-fpm: pm.max_children = memory for PHP / peak of one child"}
	case "node":
		return []string{"Node: --max-old-space-size at three quarters of the container's limit, so that it collects before the kernel kills"}
	case "jvm":
		return []string{"Java: -XX:MaxRAMPercentage=70, which leaves room for threads and buffers"}
	}
	return nil
}
