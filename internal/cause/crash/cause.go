// Package crash judges servers that died of a fault of their own: a
// segmentation fault, a panic, an uncaught error, a run time's own heap limit,
// an exit with an error, or a liveness probe that found them dead and had them
// killed.
package crash

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
	ID:    "crash",
	Title: "Crash: the server's process died while it was needed",
	What: "The process that answered the requests ended by a fault of its own: a segmentation fault, a panic, an uncaught error, a heap at its limit, or an exit with an error code. " +
		"All requests in flight end in the same instant; new ones are refused until something starts it again.",
	Shows: []string{
		"kernel: segfault at ...; php-fpm: child 812 exited on signal 11 (SIGSEGV); nginx: worker process 9 exited on signal 11",
		"Node: uncaughtException, JavaScript heap out of memory; Go: panic:; Java: OutOfMemoryError: Java heap space",
		"systemd: Main process exited, code=exited, status=1/FAILURE; Kubernetes: CrashLoopBackOff, exit codes 1, 2, 134, 139",
		"several requests fail in one instant, then connection refused for as long as the restart takes",
	},
	Fixes: []string{
		"fix what the last lines before the exit name; for a segmentation fault, update or switch off the extension it happened in",
		"let a supervisor restart it at once, and run more than one instance, so that one death fails few requests",
		"catch errors at the edge of each request: one bad request must not end the process for all",
	},
	Links: []string{
		"https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/",
		"https://nodejs.org/api/process.html#event-uncaughtexception",
	},
	Mechanisms: []fact.Mechanism{
		fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.CutMidReply, fact.Refused, fact.NoBackend, fact.ConnectTimedOut,
		fact.MechanismUnknown,
	},
	Troubles: []fact.EventKind{fact.Crashed, fact.HeapExhausted, fact.RestartBackoff, fact.WorkerExited, fact.ProcessExited, fact.BootFailed, fact.ProcessStopping},
	Over:     []string{"slow-start"},
	Traces:   []cause.Trace{{Role: fact.RoleHost, None: "the machine's log covers the time, and tells of no crash near these failures"}, {Role: fact.RoleBackend, None: "the server's log covers the time, and tells of no crash near these failures"}},
	Prior:    -4,
	PriorWhy: "crashes are the second most common explanation of closed connections, after the keep-alive race; a fifth of all is never explained",
	Explain:  explain,
}

// The windows around a death.
const (
	// skew is how far stamps of one instant may lie apart: logs in whole
	// seconds, and supervisors that look once a second.
	skew = 3 * time.Second
	// restart is how long a crashed server commonly takes to answer again,
	// a back-off of some steps included.
	restart = 90 * time.Second
)

func window(e *failure.Episode) time.Duration {
	switch e.Mechanism {
	case fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.CutMidReply:
		return skew
	}
	return restart
}

// gone judges requests that were cut while others, in the same seconds, were
// refused by the same address: the process went away between them. Without any
// word of it, it may have crashed, been killed or been restarted.
func gone(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	cutShort := func(m fact.Mechanism) bool {
		return m == fact.ClosedBeforeReply || m == fact.ResetBeforeReply || m == fact.CutMidReply
	}
	if !cutShort(e.Mechanism) && e.Mechanism != fact.Refused {
		return o
	}
	other := func(m fact.Mechanism) bool { return m == fact.Refused }
	if e.Mechanism == fact.Refused {
		other = cutShort
	}
	var others []*failure.Failure // of unknown time first, then in the order of time
	undated, coarsest := 0, time.Duration(0)
	for _, g := range e.World.Failures {
		if other(g.Mechanism) {
			others = append(others, g)
			coarsest = max(coarsest, g.Res)
			if g.Time.IsZero() {
				undated++
			}
		}
	}
	var cut, refused []*failure.Failure
	for _, f := range e.Failures {
		near := others
		if !f.Time.IsZero() {
			near = slices.Concat(others[:undated], failure.Around(others[undated:], f.Time, skew+f.Res+coarsest))
		}
		for _, g := range near {
			if g.Gateway.Tech == f.Gateway.Tech && (g.Backend.Address == f.Backend.Address || f.Backend.Address == "" || g.Backend.Address == "") &&
				(g.Time.IsZero() || f.Time.IsZero() || g.Time.Sub(f.Time).Abs() <= skew+f.Res+g.Res) {
				cut, refused = append(cut, f), append(refused, g)
				break
			}
		}
	}
	if len(cut) == 0 {
		return o
	}
	o.Claims = cause.Outage(e, cut)
	o.Blame = cut[0].Backend
	if e.Mechanism == fact.Refused {
		cut, refused = refused, cut
	}
	o.Signals = append(o.Signals, cause.For(6, "a listening server that goes away in the middle of a request has died or been stopped", fmt.Sprintf("%s cut, and in the same seconds connections were refused", cause.Count(len(cut), "request")), append(cause.Cite(cut[:1]), cause.Cite(refused[:1])...)...))
	x := &fact.Event{Kind: fact.Crashed, Header: fact.Header{Party: cut[0].Backend}}
	o.Fix = fix(x)
	o.Fix.Summary = "Find out why the server went away at that moment: its own last lines, and its supervisor's."
	o.Next = []cause.Next{{
		Evidence: "the server's own log and its supervisor's", Command: "kubectl describe pod POD; kubectl logs POD --previous; journalctl -u UNIT -o short-iso; docker events --since 1h",
		WouldTell: "whether it crashed, was killed, or was restarted by a deployment",
	}}
	return o
}

// class is one kind of witness of a crash, the plainest first.
type class struct {
	events []*fact.Event
	extra  float64
	why    string
	proof  bool
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	a := cause.Ask(e)
	for _, c := range witnesses(e) {
		events, _ := a.Kindred(c.events)
		s, claims, ok := cause.NearEvents(e, events, window(e), skew, says)
		if !ok {
			continue
		}
		s.Proof = s.Proof && c.proof
		o.Signals = append(o.Signals, s)
		if c.extra != 0 {
			o.Signals = append(o.Signals, cause.Signal{Weight: c.extra, Why: c.why, Says: kindSays(s.Facts[0].(*fact.Event)), Facts: s.Facts[:1]})
		}
		if kin, told := a.Relation(s.Facts, "what died is the server that was asked"); told {
			o.Signals = append(o.Signals, kin)
		}
		o.Claims = cause.Outage(e, claims)
		x := s.Facts[0].(*fact.Event)
		o.Blame, o.Fix, o.Next = blame(e, x), fix(x), next(x)
		break
	}
	if len(o.Signals) == 0 {
		if o, ok := ended(e); ok || cause.Captured(e.Failures) {
			return o
		}
		return gone(e)
	}
	if hit, by := endings(e); len(hit)*2 >= len(e.Failures) && len(hit) > 0 {
		o.Signals = append(o.Signals, cause.For(endedToo, "packets show that the process ended then, whatever for", saysEndings(by), factsOf(by)...))
	}
	if n, most := cause.Burst(e.Failures); n >= 3 && most*2 >= n && e.Mechanism != fact.Refused && e.Mechanism != fact.NoBackend {
		o.Signals = append(o.Signals, cause.For(3, "a process that dies takes all its requests with it at once", fmt.Sprintf("%d of %d failures lie within one second", most, n), cause.Cite(e.Failures)...))
	}
	return o
}

// witnesses sorts the events that tell of deaths.
func witnesses(e *failure.Episode) []class {
	w := e.World
	plain := class{extra: 3, why: "the words are a crash's, of nothing else", proof: true}
	exits := class{proof: true}
	loops := class{extra: -2, why: "a loop of restarts tells that it dies, not why"}
	for _, x := range w.Of(fact.Crashed, fact.HeapExhausted) {
		if x.Kind == fact.HeapExhausted && scriptOnly(x) || timedOut(e, x) {
			continue
		}
		plain.events = append(plain.events, x)
	}
	for _, x := range w.Of(fact.ProcessExited, fact.WorkerExited) {
		if abnormal(x) && !timedOut(e, x) {
			exits.events = append(exits.events, x)
		}
	}
	for _, x := range w.Of(fact.RestartBackoff, fact.BootFailed) {
		if x.Kind == fact.RestartBackoff || !beforeStart(x.Reason) {
			loops.events = append(loops.events, x)
		}
	}
	return []class{plain, exits, loops, liveness(w)}
}

// liveness: the orchestrator found it dead and killed it. Probes that only ran
// out of time tell rather of a busy server than of a dead one.
func liveness(w *failure.World) class {
	c := class{extra: -1, why: "a failed liveness probe shows that it was dead, not of what"}
	for _, x := range w.Of(fact.ProcessStopping) {
		if x.Reason == "liveness" {
			c.events = append(c.events, x)
		}
	}
	late, dead := 0, 0
	for _, x := range w.Of(fact.ProbeFailed) {
		switch {
		case x.Attrs[fact.AttrWhy] == "timeout":
			late++
		case x.Reason == "liveness":
			dead++
		}
	}
	if late > dead {
		c.extra, c.why = -8, "probes that run out of time tell of a busy server, not of a dead one"
	} else if len(w.Of(fact.ProbeFailed)) > 0 && onlyRefused(w) {
		// A server that refuses all its probes is not up yet, rather than dead.
		return class{}
	}
	return c
}

func onlyRefused(w *failure.World) bool {
	for _, x := range w.Of(fact.ProbeFailed) {
		if x.Attrs[fact.AttrWhy] != "refused" {
			return false
		}
	}
	return true
}

// beforeStart: it never began to run.
func beforeStart(reason string) bool {
	switch reason {
	case "image", "volume", "sandbox", "unschedulable", "create", "exec":
		return true
	}
	return false
}

// scriptOnly: PHP's memory_limit ends one script, not the process.
func scriptOnly(x *fact.Event) bool {
	return x.Party.Tech == "phpfpm" || x.Party.Tech == "php" || x.Reason == "memory_limit" || x.Party.Tech == "nginx" || x.Party.Tech == "apache"
}

// abnormal: an exit with an error, or by a signal that a process gets for a
// fault of its own. SIGTERM, SIGKILL and SIGINT come from others.
func abnormal(x *fact.Event) bool {
	switch x.Signal {
	case 4, 5, 6, 7, 8, 11, 31: // ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS
		return true
	case 0:
		return x.Exit.Known && x.Exit.N != 0 && x.Reason != "stopped" && x.Reason != "success"
	}
	return false
}

// timedOut: a master killed it for its time-out, which is another cause.
func timedOut(e *failure.Episode, x *fact.Event) bool {
	if x.Signal != 6 && x.Signal != 9 && x.Signal != 15 && x.Kind != fact.WorkerExited {
		return false
	}
	if x.Signal == 11 {
		return false
	}
	for _, y := range e.World.Of(fact.WorkerTimedOut) {
		if y.Party.PID != 0 && y.Party.PID == x.Party.PID {
			return true
		}
		if (y.Party.PID == 0 || x.Party.PID == 0) && (y.Time.IsZero() || x.Time.IsZero() || y.Time.Sub(x.Time).Abs() <= skew) {
			return true
		}
	}
	return false
}

func says(hit int, x *fact.Event) string {
	s := who(x) + " " + verb(x)
	if hit > 0 && !x.Time.IsZero() {
		s += " at " + x.Time.Format("15:04:05")
	}
	return s
}

func who(x *fact.Event) string {
	s := x.Party.Name
	if s == "" {
		s = cause.TechTitle(x.Party.Tech)
	}
	if x.Party.PID != 0 {
		s += fmt.Sprintf(" (pid %d)", x.Party.PID)
	}
	return s
}

func verb(x *fact.Event) string {
	switch x.Kind {
	case fact.HeapExhausted:
		return "ran into its own heap limit and died"
	case fact.RestartBackoff:
		return "dies again and again and is restarted with growing pauses"
	case fact.BootFailed:
		return "could not start"
	case fact.ProcessStopping:
		return "failed its liveness probe and was killed"
	}
	switch {
	case x.Reason != "" && x.Kind == fact.Crashed:
		return "crashed (" + x.Reason + ")"
	case x.Signal != 0:
		return fmt.Sprintf("died by signal %d", x.Signal)
	case x.Exit.Known:
		return fmt.Sprintf("exited with code %d", x.Exit.N)
	}
	return "crashed"
}

func kindSays(x *fact.Event) string {
	if x.Detail != "" {
		return "it says: " + cause.Cut(x.Detail, 160)
	}
	return "the event's kind: " + string(x.Kind)
}

func blame(e *failure.Episode, x *fact.Event) fact.Party {
	p := x.Party
	if p.Role != fact.RoleGateway {
		p.Role = fact.RoleBackend
	}
	if p.Address == "" && len(e.Failures) > 0 && p.Role == fact.RoleBackend {
		p.Address = e.Failures[0].Backend.Address
	}
	return p
}
