// Package deadnotrestarted judges servers that were dead and stayed so, since
// nothing noticed and nothing started them again.
package deadnotrestarted

import (
	"fmt"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "dead-not-restarted",
	Title: "Dead and left dead: nothing restarts the server",
	What: "The process that serves died or hung, but whoever should start it again does not know, or was never told to: a pod that is Running without a liveness probe, " +
		"a unit without Restart=, a container without a restart policy. It stays out until somebody looks.",
	Shows: []string{
		"a pod Running, 0/1 Ready, no restarts, readiness refused for minutes or hours, no livenessProbe in its manifest",
		"systemd: the unit failed and no \"Scheduled restart job\" follows; docker: Exited (1) 2 hours ago",
		"failures from one instant on, without end; with several members, a constant share of all requests",
	},
	Fixes: []string{
		"a livenessProbe, light and patient, so that a dead server is restarted",
		"systemd: Restart=on-failure; docker: restart: unless-stopped; supervisord: autorestart=true",
		"let the proxy check its members, so that a dead one is left out at once",
		"one process a container: with several, the container lives on when the one that serves dies",
	},
	Links: []string{
		"https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/",
		"https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Restart=",
		"https://docs.docker.com/engine/containers/start-containers-automatically/",
	},
	Mechanisms: []fact.Mechanism{fact.NoBackend, fact.Refused, fact.ConnectTimedOut, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.NotReady, fact.ProbeFailed},
	Over:       []string{"crash"},
	Prior:      -7,
	PriorWhy:   "told in several write-ups of outages, rarely with evidence; most things that die are restarted",
	Explain:    explain,
}

const (
	// long is from when an outage is no longer the time of a restart: several
	// steps of any supervisor's back-off.
	long = 60 * time.Second
	// soon suffices where the restart policy says that nothing will come.
	soon = 10 * time.Second
	// first failures come as soon as the next request does.
	before, after = 10 * time.Minute, 5 * time.Second
)

func explain(e *failure.Episode) cause.Opinion {
	a := cause.Ask(e)
	if len(e.Failures) == 0 {
		o := unnoticed(e, a)
		for _, s := range o.Signals {
			if s.Proof {
				return o
			}
		}
		return cause.Opinion{} // unready pods are common: without more it is none
	}
	if o := stayedDead(e, a); len(o.Signals) > 0 {
		return o
	}
	return unnoticed(e, a)
}

// stayedDead: a process ended, is not started again, and requests fail from
// then on.
func stayedDead(e *failure.Episode, a *cause.Asked) cause.Opinion {
	var o cause.Opinion
	ends, _ := a.Kindred(e.World.Of(fact.ProcessExited, fact.Crashed, fact.OOMKilled))
	var final []*fact.Event
	_, last := e.Span()
	for _, x := range ends {
		least := long
		if never(e.World, x) != nil {
			least = soon
		}
		if !restarted(e, a, x) && (x.Time.IsZero() || last.Sub(x.Time) > least) {
			final = append(final, x)
		}
	}
	if len(final) == 0 {
		return o
	}
	policy := never(e.World, final[len(final)-1])
	if policy == nil && !exitsTold(final) {
		return o
	}
	s, claims, ok := cause.NearEvents(e, final, before, after, func(_ int, x *fact.Event) string {
		s := name(x) + " ended"
		if !x.Time.IsZero() {
			s += " at " + x.Time.Format("15:04:05")
		}
		return s + " and was not started again"
	})
	if !ok {
		return o
	}
	o.Signals = append(o.Signals, s)
	o.Claims = cause.Outage(e, claims)
	x := s.Facts[0].(*fact.Event)
	if kin, told := a.Relation(s.Facts, "what ended is the server that was asked"); told {
		o.Signals = append(o.Signals, kin)
	}
	if policy != nil {
		o.Signals = append(o.Signals, cause.For(5, "most services have a restart policy", fmt.Sprintf("its restart policy is %q", policy.Text), policy))
	}
	if !x.Time.IsZero() && last.Sub(x.Time) > long {
		o.Signals = append(o.Signals, cause.For(3, "a restart takes seconds", fmt.Sprintf("requests still failed %s later", cause.Span(last.Sub(x.Time))), cause.Cite(e.Failures[len(e.Failures)-1:])...))
	}
	o.Blame = x.Party
	o.Blame.PID, o.Blame.Role = 0, fact.RoleBackend
	o.Fix = fix(x.Party, policy)
	return o
}

// exitsTold: a container or unit whose state is told as ended is one that
// nothing restarts, even where its policy is not shown.
func exitsTold(xs []*fact.Event) bool {
	for _, x := range xs {
		if x.Party.Tech == "docker" && x.Age.Known && x.Age.D > long {
			return true
		}
	}
	return false
}

// restarted: it was started again, or will be.
func restarted(e *failure.Episode, a *cause.Asked, x *fact.Event) bool {
	for _, y := range e.World.Of(fact.ProcessStarted, fact.RestartPlanned, fact.RestartBackoff, fact.BackendUp) {
		if y.Party.Name != x.Party.Name && a.Kin(y) == cause.Stranger || !alike(y.Party.Name, x.Party.Name) && y.Party.Tech == x.Party.Tech {
			continue
		}
		if y.Time.IsZero() || x.Time.IsZero() || y.Time.After(x.Time) {
			return true
		}
	}
	return false
}

func alike(a, b string) bool {
	return strings.TrimSuffix(a, ".service") == strings.TrimSuffix(b, ".service")
}

// never is a restart policy that leaves the dead dead.
func never(w *failure.World, x *fact.Event) *fact.Setting {
	s := cause.Owned(w, x, fact.RestartPolicy)
	if s == nil {
		return nil
	}
	switch strings.ToLower(s.Text) {
	case "no", "never", "on-success", "on-watchdog", "false":
		return s
	case "on-abort", "on-abnormal":
		if x.Exit.Known && x.Signal == 0 || x.Kind == fact.OOMKilled || s.Text == "on-abort" && x.Signal != 6 && x.Signal != 11 {
			return s
		}
	}
	return nil
}

// unnoticed: it runs as far as its orchestrator knows, and does not answer.
func unnoticed(e *failure.Episode, a *cause.Asked) cause.Opinion {
	var o cause.Opinion
	w := e.World
	silent, own := a.Kindred(silence(w))
	if len(silent) == 0 {
		return o
	}
	liveness := cause.Owned(w, silent[0], fact.LivenessProbe)
	s, claims, ok := cause.NearEvents(e, silent, before, time.Minute, says)
	const circumstance = 5
	switch {
	case ok:
		s.Proof = false
		s.Weight = max(min(s.Weight, 10), circumstance) // unready pods are common; that they stay so is what counts
		o.Signals = append(o.Signals, s)
		o.Claims = cause.Outage(e, claims)
	case e.Mechanism == fact.NoBackend:
		o.Signals = append(o.Signals, cause.For(circumstance, "a gateway without members had them taken out by their probes", says(0, silent[0]), cause.Events(silent)...))
	default:
		return o
	}
	x := silent[0]
	if liveness != nil {
		says := "it has no liveness probe, so nobody restarts it"
		if liveness.Text != "none" {
			o.Signals = append(o.Signals, cause.Against(8, "a liveness probe would have it restarted", "it has a liveness probe: "+liveness.Text, liveness))
		} else {
			o.Signals = append(o.Signals, cause.For(6, "with one, the dead process would have been restarted", says, liveness).AsProof())
		}
	} else if x.Party.Tech == "docker" {
		o.Signals = append(o.Signals, cause.For(4, "Docker by itself only marks it", "Docker does not restart a container that is unhealthy", x))
	}
	if back := again(e, a); back != nil {
		o.Signals = append(o.Signals, cause.Against(9, "it is about servers that nobody starts again", "it was restarted", back))
	} else {
		o.Signals = append(o.Signals, cause.For(2, "what is noticed is restarted", "nothing restarted it"))
	}
	if own {
		o.Signals = append(o.Signals, cause.For(2, "other pods are unready, too", "it is the server that was asked", x))
	}
	if late(silent) {
		o.Signals = append(o.Signals, cause.Against(5, "a probe that runs out of time is as often one of a busy server", "its probes ran out of time rather than being refused", x))
	}
	o.Blame = x.Party
	o.Blame.PID, o.Blame.Role = 0, fact.RoleBackend
	if _, owner, ok := strings.Cut(x.Attrs[fact.AttrOwner], "/"); ok {
		o.Blame.Name, o.Blame.Address = owner, ""
	}
	o.Fix = fix(x.Party, nil)
	o.Next = []cause.Next{{
		Evidence: "what runs inside the pod", Command: "kubectl exec POD -- ps aux; kubectl logs POD --timestamps --tail 50; kubectl get pod POD -o yaml | grep -A6 -iE 'livenessProbe|restartCount'",
		WouldTell: "whether the process that serves is gone or hangs, while the container counts as running",
	}}
	return o
}

// silence are signs that a server which counts as running does not answer.
func silence(w *failure.World) []*fact.Event {
	var out []*fact.Event
	for _, x := range w.Of(fact.ProbeFailed, fact.NotReady) {
		switch {
		case x.Party.Tech != "kube" && x.Party.Tech != "docker" && x.Party.Tech != "gclb":
			continue // a gateway's own check does not tell whether it counts as running
		case x.Kind == fact.NotReady && (x.Reason == "node-not-ready" || x.Reason == "paused" || strings.HasPrefix(x.Reason, "neg") || x.Reason == "starting"):
			continue
		case x.Attrs[fact.AttrWhy] == "status" || x.Reason == "startup":
			continue
		}
		out = append(out, x)
	}
	return out
}

func late(xs []*fact.Event) bool {
	n, timed := 0, 0
	for _, x := range xs {
		if x.Kind == fact.ProbeFailed {
			n++
			if x.Attrs[fact.AttrWhy] == "timeout" {
				timed++
			}
		}
	}
	return n > 0 && timed*2 > n
}

// again are signs that it was, or is being, restarted.
func again(e *failure.Episode, a *cause.Asked) *fact.Event {
	first, last := e.Span()
	for _, x := range e.World.Of(fact.ProcessStopping, fact.RestartBackoff, fact.RestartPlanned, fact.ProcessStarted, fact.Crashed, fact.OOMKilled, fact.ProcessExited, fact.NodeLost, fact.NodeTerminating) {
		if a.Kin(x) == cause.Stranger {
			continue
		}
		if x.Kind == fact.ProcessStarted && (x.Time.IsZero() || first.IsZero() || x.Time.Before(first.Add(-5*time.Minute)) || x.Time.After(last.Add(-time.Second))) {
			continue // it began long before, or when all was over
		}
		if x.Time.IsZero() || first.IsZero() || x.Time.After(first.Add(-5*time.Minute)) && x.Time.Before(last) {
			return x
		}
	}
	return nil
}

func name(x *fact.Event) string {
	if x.Party.Name != "" {
		return x.Party.Name
	}
	return "the server"
}

func says(_ int, x *fact.Event) string {
	s := name(x) + " counts as running and does not answer"
	switch {
	case x.Kind == fact.ProbeFailed && x.Attrs[fact.AttrWhy] == "refused":
		s = name(x) + " counts as running, and nobody listens in it: its probe is refused"
	case x.Kind == fact.ProbeFailed:
		s = name(x) + " counts as running, and its " + x.Reason + " probe fails"
	}
	if x.N() > 1 {
		s += fmt.Sprintf(" (%d times)", x.N())
	}
	return s
}

func fix(p fact.Party, policy *fact.Setting) cause.Fix {
	f := cause.Fix{Summary: "Let something notice that it is dead and start it again."}
	switch {
	case policy != nil && policy.Spelling != "":
		f.Patch = policy.Spelling
		if policy.Where != "" {
			f.Steps = append(f.Steps, "in "+policy.Where+" of "+policy.Object)
		}
		if p.Tech == "docker" {
			f.Patch = "restart: unless-stopped"
		}
	case p.Tech == "journal" || p.Tech == "linux":
		f.Patch = "[Service]\nRestart=on-failure\nRestartSec=2"
	case p.Tech == "docker":
		f.Patch = "restart: unless-stopped"
		f.Steps = append(f.Steps, "Docker does not restart a container that is only unhealthy: let the health check end the process, or use an orchestrator")
	default:
		f.Patch = `livenessProbe:
  httpGet: {path: /healthz, port: ` + cause.PortOf(p.Address) + `}
  initialDelaySeconds: 10
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6`
		f.Steps = append(f.Steps, "until then: kubectl delete pod NAME starts a new one")
	}
	f.Steps = append(f.Steps, "find out what it died of or hangs on: the last lines of its log, ps and a stack dump inside")
	return f
}
