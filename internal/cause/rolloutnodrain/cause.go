// Package rolloutnodrain judges requests lost when a server is replaced or
// stopped while the proxy still sends to it.
package rolloutnodrain

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
	ID:    "rollout-no-drain",
	Title: "Deployment without draining: the server stopped while requests were still sent to it",
	What: "In a deployment, restart or scale-down the old server was told to stop and did so at once. " +
		"The proxy learns of it seconds later: until then it sends requests to a server that is gone, and those in flight are cut.",
	Shows: []string{
		"Kubernetes: Killing and ScalingReplicaSet events, and failures on just those pods' addresses for the seconds after",
		"systemd: Stopping ..., Stopped ..., Started ... of the unit within the same seconds",
		"connection refused, reset or closed at once; nothing before the deployment and nothing after",
	},
	Fixes: []string{
		"let a stopping pod wait before it stops: a preStop sleep longer than the balancer needs to let go (10 s inside a cluster, 60 s and more with Google's NEGs)",
		"let the server finish what is in flight on SIGTERM (graceful shutdown), within the grace period",
		"without an orchestrator: start the new one first, move the traffic, then stop the old one; or hand the listening socket over (systemd socket activation, SO_REUSEPORT, reload instead of restart)",
		"let the proxy try another member when a connection is refused",
	},
	Links: []string{
		"https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination",
		"https://cloud.google.com/kubernetes-engine/docs/how-to/container-native-load-balancing#rollout",
		"https://learnk8s.io/graceful-shutdown",
	},
	Mechanisms: []fact.Mechanism{
		fact.Refused, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply, fact.Unreachable, fact.ConnectTimedOut, fact.NoBackend,
		fact.MechanismUnknown,
	},
	Traces:   []cause.Trace{{Role: fact.RoleOrchestrator, None: "the events cover the time, and tell of nothing deployed or stopped near these failures"}, {Role: fact.RoleHost, None: "the machine's log covers the time, and tells of nothing stopped near these failures"}},
	Prior:    -4,
	PriorWhy: "as common as crashes among collected incidents, and deployments are the time at which most servers stop",
	Explain:  explain,
}

// The windows: endpoints are removed one to three seconds after the signal in
// a cluster, five to fifteen and more with Google's NEGs, which finish within
// two minutes.
const (
	before = 2 * time.Minute
	after  = 3 * time.Second
	// setAside is for how long a proxy leaves a member out that is back: ten
	// seconds with nginx's fail_timeout, and some more until all tried again.
	setAside = 15 * time.Second
	// gone is how long a stopped server without an orchestrator may stay away
	// before it was not replaced but switched off.
	gone = 3 * time.Minute
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	a := cause.Ask(e)
	stops, _ := a.Kindred(stopping(e.World))
	s, claims, ok := cause.NearEvents(e, stops, before, after, says)
	if ok && len(e.World.Of(fact.ProcessStarted, fact.Rollout, fact.EndpointAdded, fact.PodPlaced)) == 0 && s.Weight > 12 {
		s.Weight, s.Why = 12, "nothing tells that another one took its place"
	}
	if !ok || s.Weight < 3 {
		if rolls, _ := a.Kindred(e.World.Of(fact.Rollout)); len(rolls) > 0 {
			if r, c, near := cause.NearEvents(e, rolls, before, after, says); near && (!ok || r.Weight-4 > s.Weight) {
				r.Weight, r.Proof = r.Weight-4, false
				r.Why += "; a rollout is not yet the stop of the server that was asked"
				s, claims, ok = r, c, true
			}
		}
	}
	if !ok {
		return onWire(e)
	}
	if claims = gap(e, claims, stops); len(e.Failures) > 0 && claims != nil && len(claims) == 0 {
		return o
	}
	o.Signals = append(o.Signals, s)
	o.Claims = claims
	x := s.Facts[0].(*fact.Event)
	if kin, told := a.Relation(s.Facts, "the server that was asked is the one that stopped"); told {
		o.Signals = append(o.Signals, kin)
	}
	add(&o, e, x)
	o.Blame = blame(e, x)
	o.Fix = fix(e, x)
	o.Next = []cause.Next{{
		Evidence: "the order of events", Command: "kubectl get events --sort-by=.lastTimestamp -o custom-columns=T:.lastTimestamp,R:.reason,O:.involvedObject.name,M:.message",
		WouldTell: "whether the failing addresses are those of the pods that were stopped",
	}}
	return o
}

// add weighs what surrounds the stop.
func add(o *cause.Opinion, e *failure.Episode, x *fact.Event) {
	w := e.World
	if p := cause.Owned(w, x, fact.PreStop); p != nil {
		switch {
		case p.Text == "none":
			o.Signals = append(o.Signals, cause.For(2, "without it the server stops before the balancer knows", "no preStop hook lets the pod wait before it stops", p))
		case p.Dur.Known && p.Dur.D >= 5*time.Second:
			o.Signals = append(o.Signals, cause.Against(5, "the pod waits while the balancer lets go of it", "a preStop hook waits for "+cause.Span(p.Dur.D), p))
		}
	}
	if rolls := w.Of(fact.Rollout); len(rolls) > 0 && x.Kind != fact.Rollout {
		o.Signals = append(o.Signals, cause.For(2, "a deployment was under way", "a rollout: "+orKind(rolls[0]), rolls[0]))
	}
	last := e.Failures[len(e.Failures)-1]
	if (x.Party.Tech == "journal" || x.Party.Tech == "docker") && len(w.Of(fact.ProcessStarted)) == 0 && !x.Time.IsZero() && last.Time.Sub(x.Time) > gone {
		o.Signals = append(o.Signals, cause.Against(8, "a replaced server is back within seconds", "it was not started again for "+cause.Span(last.Time.Sub(x.Time)), x))
	}
	if late, refused := cause.LateRefusals(e); late > 0 && late*2 >= refused {
		o.Signals = append(o.Signals, cause.Against(10, "it had been replaced already; the new one did not listen", fmt.Sprintf("%d of %d refusals came over %s after the new one was started", late, refused, cause.Span(cause.BootTime)), x))
	}
	if waited(e) {
		o.Signals = append(o.Signals, cause.Against(5, "a server that has stopped answers at once, with a refusal or a reset", "the failed requests had waited for over ten seconds", cause.Cite(e.Failures)...))
	}
}

func orKind(x *fact.Event) string {
	if x.Detail != "" {
		return cause.Cut(x.Detail, 120)
	}
	return x.Reason
}

func waited(e *failure.Episode) bool {
	if e.Mechanism == fact.ConnectTimedOut || e.Mechanism == fact.Unreachable {
		return false
	}
	long, timed := 0, 0
	for _, f := range e.Failures {
		if d, ok := f.Took(); ok {
			timed++
			if d > 10*time.Second {
				long++
			}
		}
	}
	return timed > 0 && long*2 > timed
}

// stopping are stops that were ordered for another reason than a failed probe,
// and exits on SIGTERM.
func stopping(w *failure.World) []*fact.Event {
	var out []*fact.Event
	for _, x := range w.Of(fact.ProcessStopping, fact.EndpointGone, fact.ProcessExited) {
		switch {
		case x.Reason == "liveness" || x.Reason == "startup" || x.Reason == "timeout":
			continue
		case x.Kind == fact.ProcessExited && x.Signal != 15 && !x.Exit.Is(143) && x.Reason != "stopped":
			continue
		case x.Kind == fact.ProcessExited && diedBefore(w, x):
			continue
		}
		out = append(out, x)
	}
	return out
}

// gap leaves out failures from after the same server was back for so long that
// the restart is no longer the reason.
func gap(e *failure.Episode, claims []*failure.Failure, stops []*fact.Event) []*failure.Failure {
	starts := e.World.Of(fact.ProcessStarted)
	var out []*failure.Failure
	for _, f := range claims {
		var stop *fact.Event // the last before it
		for _, x := range stops {
			if !x.Time.IsZero() && !x.Time.After(f.Time.Add(after)) {
				stop = x
			}
		}
		back := stop != nil && slices.ContainsFunc(starts, func(y *fact.Event) bool {
			return y.Party.Name == stop.Party.Name && y.Party.Tech == stop.Party.Tech && !y.Time.Before(stop.Time) && f.Start().Sub(y.Time) > setAside
		})
		if !back || f.Time.IsZero() {
			out = append(out, f)
		}
	}
	if len(out) == len(claims) {
		return claims
	}
	if out == nil {
		out = []*failure.Failure{}
	}
	return out
}

// settle is within what time a supervisor follows up the death of a process:
// systemd says "Stopped" when it restarts a unit that had died by itself.
const settle = 60 * time.Second

// diedBefore reports whether a stop only follows up a death.
func diedBefore(w *failure.World, x *fact.Event) bool {
	for _, y := range w.Of(fact.RestartPlanned, fact.Crashed, fact.OOMKilled, fact.HeapExhausted, fact.ProcessExited) {
		if y == x || strings.TrimSuffix(y.Party.Name, ".service") != strings.TrimSuffix(x.Party.Name, ".service") {
			continue
		}
		if y.Kind == fact.ProcessExited && (y.Exit.Is(0) || y.Signal == 15 || y.Reason == "success" || y.Reason == "stopped" || y.Exit.Is(143)) {
			continue
		}
		if !y.Time.After(x.Time) && x.Time.Sub(y.Time) <= settle {
			return true
		}
	}
	return false
}

func says(hit int, x *fact.Event) string {
	n := x.Party.Name
	if n == "" {
		n = cause.TechTitle(x.Party.Tech)
	}
	s := n + " was told to stop"
	switch x.Kind {
	case fact.Rollout:
		s = "a rollout of " + n + " was under way"
		if x.Detail != "" {
			s += " (" + cause.Cut(x.Detail, 100) + ")"
		}
	case fact.EndpointGone:
		s = n + " was taken out of the endpoints"
	case fact.ProcessExited:
		s = n + " was stopped"
	}
	if !x.Time.IsZero() {
		s += " at " + x.Time.Format("15:04:05")
	}
	if hit > 1 {
		s += fmt.Sprintf("; %d failures lie around such a stop", hit)
	}
	return s
}

func blame(e *failure.Episode, x *fact.Event) fact.Party {
	p := x.Party
	p.PID = 0
	if p.Address == "" && len(e.Failures) > 0 {
		p.Address = e.Failures[0].Backend.Address
	}
	if p.Role != fact.RoleOrchestrator {
		p.Role = fact.RoleBackend
	}
	if _, owner, ok := strings.Cut(x.Attrs[fact.AttrOwner], "/"); ok {
		p.Name, p.Address = owner, ""
	}
	return p
}

func fix(e *failure.Episode, x *fact.Event) cause.Fix {
	f := cause.Fix{Summary: "Let the old server go on serving until nobody sends to it any more, then stop it."}
	switch x.Party.Tech {
	case "kube", "gclb":
		sleep, grace := 10, 45
		if e.Gateway.Tech == "gclb" {
			sleep, grace = 60, 120
			f.Steps = append(f.Steps, "Google's balancer lets go of a pod 5 to 15 s and more after its end is announced: BackendConfig connectionDraining.drainingTimeoutSec: 60")
		}
		f.Patch = fmt.Sprintf(`# in the pod template
spec:
  terminationGracePeriodSeconds: %d
  containers:
  - name: app
    lifecycle:
      preStop: {exec: {command: ["sleep", "%d"]}}
# in the deployment
  strategy:
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}`, grace, sleep)
		f.Steps = append(f.Steps, "kubectl rollout restart deployment/NAME under load, and see that nothing fails")
	case "docker":
		f.Summary = "Start the new container before the old one stops, and let the proxy leave the old one first."
		f.Patch = "# compose, in swarm mode\ndeploy:\n  update_config: {order: start-first, delay: 10s}\nstop_grace_period: 30s"
		f.Steps = append(f.Steps, "without swarm: run two instances and restart one after the other, each once the other answers its health check")
	default:
		f.Summary = "Restart without a gap: keep the listening socket open, or run two instances and restart them one after the other."
		f.Patch = "# app.socket, beside app.service: the socket stays while the service restarts\n[Socket]\nListenStream=8080\n\n[Install]\nWantedBy=sockets.target"
		f.Steps = append(f.Steps, "gunicorn, php-fpm, nginx, uWSGI: reload (kill -HUP, systemctl reload) instead of restart; Puma: phased-restart", "Node: on SIGTERM call server.close() and exit when it is done, not at once")
	}
	switch e.Gateway.Tech {
	case "nginx":
		f.Steps = append(f.Steps, "nginx: list two members or more in the upstream, so that a refused connection goes to another one (proxy_next_upstream error timeout)")
	case "haproxy":
		f.Steps = append(f.Steps, "HAProxy: option redispatch 1 and retry-on conn-failure empty-response, and set the server to drain before the stop: set server be/app-1 state drain")
	}
	return f
}
