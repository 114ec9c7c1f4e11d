// Package slowstart judges requests sent to a server that had been started but
// did not listen yet.
package slowstart

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "slow-start",
	Title: "Slow start: traffic came before the server was ready",
	What: "The server's process had been started, and whoever started it called it up, but it was still loading and did not listen. " +
		"Requests are refused until it does. Or a liveness probe lost patience and killed it before it ever listened.",
	Shows: []string{
		"connection refused for some seconds after each start, then all is well",
		"readiness and liveness probes refused from the start; restarts without an error of the application's own",
		"systemd: Started at once (Type=simple), while the application's own log says that it listens seconds later",
		"Apache: disabled connection for (app), 60 s after one refused try",
	},
	Fixes: []string{
		"a readiness probe on the application's own answer, so that no traffic comes before",
		"a startup probe with room for the slowest start; liveness takes over after it",
		"systemd: Type=notify, or ExecStartPost that waits for the port; keep the old one until the new one answers",
		"load less before listening, or listen first and answer 503 with Retry-After",
	},
	Links: []string{
		"https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/#define-startup-probes",
		"https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Type=",
	},
	Mechanisms: []fact.Mechanism{fact.Refused, fact.NoBackend, fact.ConnectTimedOut, fact.ReplyTimedOut, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.ProbeFailed},
	Over:       []string{"dead-not-restarted"},
	Prior:      -7,
	PriorWhy:   "two of about a hundred and fifty collected incidents; most restarts are quick",
	Explain:    explain,
}

// The windows. Common servers listen within two minutes of their start; the
// default liveness probe gives up after thirty seconds.
const (
	warmUp = 2 * time.Minute
	skew   = 2 * time.Second
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	a := cause.Ask(e)
	starts, _ := a.Kindred(e.World.Of(fact.ProcessStarted, fact.EndpointAdded))
	begun, ready := sides(starts)
	s, claims, ok := cause.NearEvents(e, begun, warmUp, skew, says)
	if r, c, late := cause.NearEvents(e, ready, skew, warmUp, readySays); late && (!ok || r.Weight > s.Weight) {
		s, claims, ok = r, c, true
	}
	killed := impatient(e, a)
	kin, told := a.Relation(s.Facts, "the server that was asked is the one that had just been started")
	if e.Mechanism == fact.ReplyTimedOut && kin.Weight <= 0 {
		ok = false // other servers start, too, and slow answers have other reasons
	}
	if ok && refusedMechanism(e) && len(e.Failures) > 0 {
		s.Weight = min(s.Weight, 18) // a start has a reason, which may be the deeper cause
		o.Signals = append(o.Signals, s)
		o.Claims = claims
		o.Blame = s.Facts[0].Head().Party
		if told {
			o.Signals = append(o.Signals, kin)
		}
		if late, refused := cause.LateRefusals(e); late > 0 && late*2 >= refused {
			o.Signals = append(o.Signals, cause.For(8, "a server that loads little listens within two seconds", fmt.Sprintf("%d of %d refusals came over %s after the server was started", late, refused, cause.Span(cause.BootTime)), s.Facts[0]))
		}
		if pair(begun, ready, o.Claims) {
			o.Signals = append(o.Signals, cause.For(6, "it shows both ends of the gap", "it was started before the failures and listened only after them", ready[0]).AsProof())
		}
	}
	if len(killed) > 0 {
		o.Signals = append(o.Signals, cause.For(12, "a server that works does not refuse its probes from its start to its kill", fmt.Sprintf("%s refused its probes and was killed for it before it ever listened", partyName(killed[0])), cause.Events(killed)...).AsProof())
		if o.Blame == (fact.Party{}) {
			o.Blame = killed[0].Party
		}
	}
	if len(o.Signals) == 0 {
		return o
	}
	x, _ := first(o.Signals)
	if r := cause.Owned(e.World, x, fact.ReadinessProbe); r != nil && r.Text == "none" {
		o.Signals = append(o.Signals, cause.For(5, "without one, traffic comes as soon as the process exists", "no readiness probe", r))
	}
	o.Blame.PID = 0
	if o.Blame.Role == "" {
		o.Blame.Role = fact.RoleBackend
	}
	if o.Blame.Address == "" && len(e.Failures) > 0 {
		o.Blame.Address = e.Failures[0].Backend.Address
	}
	o.Fix = fix(e, o.Blame, len(killed) > 0)
	o.Next = []cause.Next{{
		Evidence: "the application's own log of its start", Command: "kubectl logs POD --timestamps | head -50; journalctl -u UNIT -o short-precise -n 100",
		WouldTell: "how long after its start it began to listen",
	}}
	return o
}

// first is the first event cited.
func first(signals []cause.Signal) (*fact.Event, bool) {
	for _, s := range signals {
		for _, f := range s.Facts {
			if x, ok := f.(*fact.Event); ok {
				return x, true
			}
		}
	}
	return nil, false
}

// refusedMechanism: a server that does not listen yet refuses; one that listens
// and loads is slow.
func refusedMechanism(e *failure.Episode) bool {
	switch e.Mechanism {
	case fact.ClosedBeforeReply, fact.ResetBeforeReply:
		return false
	}
	return true
}

// sides parts starts as the supervisor tells them from those that the server's
// own log tells, which mean that it listens.
func sides(starts []*fact.Event) (begun, ready []*fact.Event) {
	for _, x := range starts {
		switch x.Party.Tech {
		case "kube", "docker", "journal", "gclb", "linux":
			begun = append(begun, x)
		default:
			ready = append(ready, x)
		}
	}
	return begun, ready
}

// pair reports whether a failure lies between a start and the word that the
// server listens.
func pair(begun, ready []*fact.Event, claims []*failure.Failure) bool {
	for _, f := range claims {
		for _, b := range begun {
			for _, r := range ready {
				if !b.Time.IsZero() && !f.Time.Before(b.Time.Add(-f.Res)) && !r.Time.Before(f.Time.Add(-f.Res)) && r.Time.Sub(b.Time) <= warmUp {
					return true
				}
			}
		}
	}
	return false
}

// impatient are kills by liveness or startup probes of servers that refused
// every probe: they were not up yet.
func impatient(e *failure.Episode, a *cause.Asked) []*fact.Event {
	refused, other := 0, 0
	var probes []*fact.Event
	for _, x := range e.World.Of(fact.ProbeFailed) {
		if a.Kin(x) == cause.Stranger {
			continue
		}
		if x.Attrs[fact.AttrWhy] == "refused" {
			refused++
			if x.Reason == "liveness" || x.Reason == "startup" {
				probes = append(probes, x)
			}
		} else {
			other++
		}
	}
	if refused == 0 || other > refused || len(probes) == 0 {
		return nil
	}
	for _, x := range e.World.Of(fact.Crashed, fact.HeapExhausted, fact.OOMKilled) {
		if a.Kin(x) != cause.Stranger {
			return nil
		}
	}
	return probes
}

func partyName(x *fact.Event) string {
	if x.Party.Name != "" {
		return x.Party.Name
	}
	return "the server"
}

func says(hit int, x *fact.Event) string {
	s := partyName(x) + " had just been started"
	if !x.Time.IsZero() {
		s += " (" + x.Time.Format("15:04:05") + ")"
	}
	if hit > 1 {
		s += fmt.Sprintf("; %d failures lie within %s after a start", hit, cause.Span(warmUp))
	}
	return s
}

func readySays(hit int, x *fact.Event) string {
	return fmt.Sprintf("%s began to listen only at %s, after %s", partyName(x), x.Time.Format("15:04:05"), cause.Count(hit, "failure"))
}

func fix(e *failure.Episode, p fact.Party, killed bool) cause.Fix {
	f := cause.Fix{Summary: "Send traffic only when the server says itself that it is ready."}
	if killed {
		f.Summary = "Give the server time to start: a startup probe, so that the liveness probe waits until it first answered."
	}
	switch p.Tech {
	case "journal", "linux":
		f.Patch = "[Service]\n# call it started only when it answers\nExecStartPost=/bin/sh -c 'for i in $(seq 60); do curl -fsS -o /dev/null http://127.0.0.1:" + cause.PortOf(p.Address) + "/ && exit 0; sleep 1; done; exit 1'"
		f.Steps = append(f.Steps, "better, where the application can: Type=notify, and sd_notify(READY=1) when it listens", "or keep the listening socket in a systemd .socket unit: connections wait until the application takes them")
	case "docker":
		f.Patch = "healthcheck:\n  test: [\"CMD\", \"curl\", \"-fsS\", \"http://127.0.0.1:" + cause.PortOf(p.Address) + "/healthz\"]\n  interval: 5s\n  start_period: 60s\n# in the proxy's service\ndepends_on:\n  app: {condition: service_healthy}"
	default:
		f.Patch = `# in the container
startupProbe:
  httpGet: {path: /healthz, port: ` + cause.PortOf(p.Address) + `}
  periodSeconds: 5
  failureThreshold: 60      # up to five minutes
readinessProbe:
  httpGet: {path: /healthz, port: ` + cause.PortOf(p.Address) + `}
  periodSeconds: 5
  timeoutSeconds: 5`
	}
	switch e.Gateway.Tech {
	case "apache":
		f.Steps = append(f.Steps, "Apache sets a member aside for 60 s after one refused connection: ProxyPass ... retry=0")
	case "nginx":
		f.Steps = append(f.Steps, "nginx: with two members or more a refused connection goes to the next one")
	case "haproxy":
		f.Steps = append(f.Steps, "HAProxy: check and slowstart 30s on the server line")
	}
	return f
}
