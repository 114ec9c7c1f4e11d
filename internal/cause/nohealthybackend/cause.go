// Package nohealthybackend judges requests for which the gateway had no member
// it would ask.
package nohealthybackend

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "no-healthy-backend",
	Title: "No healthy backend: the gateway had nobody to ask",
	What:  "Every member of the group was marked down, removed or never there, so the gateway answered with 502 or 503 itself. Why they were is a question to the health checks and to the members.",
	Shows: []string{
		"Google: failed_to_pick_backend; nginx: no live upstreams; HAProxy: <NOSRV>; Envoy: UH no_healthy_upstream; ingress-nginx: does not have any active Endpoint",
		"failures at once, for every request, as long as it lasts",
	},
	Fixes: []string{
		"look at what the health check gets, not only at its verdict: path, port, status, time",
		"compare the Service's selector with the pods' labels, and its targetPort with the port they listen on",
		"run two members or more, on different machines",
		"nginx takes a member out for 10 s after one failure: max_fails=3, or max_fails=0 for a single one",
	},
	Links: []string{
		"https://cloud.google.com/load-balancing/docs/health-check-concepts",
		"https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/",
	},
	Kind:       cause.Shallow,
	Mechanisms: []fact.Mechanism{fact.NoBackend, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.NoBackendLeft, fact.BackendDown},
	Prior:      6,
	PriorWhy:   "the gateway is read right in nine of ten; of published incidents in which it is all there is, four in five came out as no more than that",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	if len(e.Failures) == 0 {
		return trouble(e)
	}
	var claims []*failure.Failure
	if e.Mechanism != fact.NoBackend {
		if claims = beside(e); len(claims) == 0 {
			return cause.Opinion{}
		}
	}
	f := e.Failures[0]
	group := f.Upstream
	if group == "" {
		group = f.Backend.Name
	}
	says := fmt.Sprintf("%s had no member to ask for %s", cause.TechTitle(e.Gateway.Tech), cause.Count(e.N(), "request"))
	if group != "" {
		says += " to " + group
	}
	o := cause.Opinion{Claims: claims, Blame: fact.Party{Role: fact.RoleBackend, Name: group}}
	if claims != nil {
		says = fmt.Sprintf("%s said of other requests of the same seconds that it had no member to ask", cause.TechTitle(e.Gateway.Tech))
		o.Signals = append(o.Signals, cause.For(0, "a gateway without members has none for any request", says, cause.Cite(claims)...))
	} else {
		o.Signals = append(o.Signals, cause.Itself(e, 0, "the mechanism itself", says))
	}
	downs := e.World.Of(fact.BackendDown, fact.NoBackendLeft, fact.BackendEjected, fact.ProbeFailed, fact.NotReady)
	o.Fix = cause.Fix{Summary: "Find out why every member was out: what its health check got, and whether it ran at all."}
	if len(downs) > 0 {
		x := downs[len(downs)-1]
		o.Signals = append(o.Signals, cause.For(1, "it tells when and for what they were taken out", downSays(x), cause.Events(downs)...))
		if x.Attrs[fact.AttrWhy] == "status" {
			o.Fix.Summary = "The health check got an answer it does not take: let its path answer 200 without a login, or point it to one that does."
		}
	}
	o.Fix.Steps = steps(e.Gateway.Tech)
	if e.Gateway.Tech == "apache" {
		// Apache asks no member again for a minute after one failure: it is
		// its own rule that makes a minute of a second.
		o.Blame = e.Gateway
		o.Blame.PID = 0
		o.Fix.Summary = "Apache sets a member aside for 60 s after one failed connection: let it try again at once, and find out why the connection failed."
		o.Fix.Patch = "ProxyPass / http://app:8080/ retry=0\n# a balancer: BalancerMember http://app:8080 retry=1"
	}
	o.Next = next(e.Gateway.Tech)
	return o
}

// trouble judges a gateway's own word where no failed request is told of.
func trouble(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var none, down []*fact.Event
	for _, x := range e.Troubles {
		switch x.Kind {
		case fact.NoBackendLeft:
			none = append(none, x)
		case fact.BackendDown:
			down = append(down, x)
		}
	}
	switch {
	case len(none) > 0:
		o.Signals = append(o.Signals, cause.For(0, "the gateway's own word", nameOf(none[0])+" had no member left", cause.Events(none)...))
		o.Blame = none[0].Party
	case len(down) > 0:
		// Others may still have served.
		o.Signals = append(o.Signals, cause.Against(6, "one member less fails no request while others serve", downSays(down[0]), cause.Events(down)...))
		o.Blame = down[0].Party
	default:
		return o
	}
	tech := ""
	if techs := e.World.Techs(fact.RoleGateway); len(techs) == 1 {
		tech = techs[0]
	}
	o.Fix = cause.Fix{Summary: "Find out why its members were out: what the health check got, and whether they ran at all.", Steps: steps(tech)}
	o.Next = next(tech)
	return o
}

func nameOf(x *fact.Event) string {
	if x.Party.Name != "" {
		return x.Party.Name
	}
	return "the group"
}

// near is how close in time another request must lie whose record tells more.
const near = 3 * time.Second

// beside are failures of which nothing but the status is told, at the same
// time as others for which the same gateway had no member.
func beside(e *failure.Episode) []*failure.Failure {
	var told []*failure.Failure
	for _, f := range e.World.Failures {
		if f.Mechanism == fact.NoBackend && f.Gateway.Tech == e.Gateway.Tech && !f.Time.IsZero() {
			told = append(told, f)
		}
	}
	var out []*failure.Failure
	for _, f := range e.Failures {
		if d, ok := f.Took(); f.Status.Or(503) != 503 && f.Status.Or(502) != 502 || ok && d > time.Second {
			continue
		}
		for _, g := range told {
			if !f.Time.IsZero() && f.Time.Sub(g.Time).Abs() <= near+f.Res+g.Res {
				out = append(out, f)
				break
			}
		}
	}
	return out
}

func downSays(x *fact.Event) string {
	s := "it was taken out"
	if x.Party.Name != "" {
		s = x.Party.Name + " was taken out"
	}
	if x.Reason != "" {
		s += ": " + x.Reason
	}
	if x.Detail != "" {
		s += " (" + cause.Cut(x.Detail, 120) + ")"
	}
	return s
}

func steps(tech string) []string {
	switch tech {
	case "nginx":
		return []string{"the error log's lines just before the first \"no live upstreams\" name the failures that took the members out", "server app:8080 max_fails=3 fail_timeout=5s;   # or max_fails=0 where there is only one"}
	case "haproxy":
		return []string{"echo 'show servers state; show stat' | socat stdio /run/haproxy/admin.sock   # check_status says what the check got"}
	case "gclb":
		return []string{"gcloud compute backend-services get-health NAME --global", "the firewall must let 35.191.0.0/16 and 130.211.0.0/22 in, and the path must answer 200, not a redirect"}
	case "alb":
		return []string{"aws elbv2 describe-target-health --target-group-arn ARN   # Reason and Description say what the check got"}
	case "envoy":
		return []string{"istioctl proxy-config endpoints POD | grep SERVICE; curl localhost:15000/clusters | grep health_flags"}
	}
	return []string{"kubectl get endpointslices -l kubernetes.io/service-name=SERVICE; kubectl describe pod POD"}
}

func next(tech string) []cause.Next {
	n := cause.Next{
		Evidence: "the servers' own state and events of that time", Command: "journalctl -u UNIT -o short-iso; docker ps -a; kubectl get pods -o wide; kubectl describe pod POD; kubectl get events --sort-by=.lastTimestamp; kubectl get deploy NAME -o yaml",
		WouldTell: "whether the members were dead, on one lost node, being replaced, or only too busy for their probe",
	}
	switch tech {
	case "nginx":
		n = cause.Next{Evidence: "nginx's error log of the ten seconds before", Command: "culprit diagnose /var/log/nginx/error.log", WouldTell: "which failures took the members out"}
	case "haproxy":
		n = cause.Next{Evidence: "HAProxy's own messages of that time", Command: "journalctl -u haproxy -o short-iso | grep -E 'is DOWN|is UP|no server'", WouldTell: "what the health checks got before"}
	}
	return []cause.Next{n}
}
