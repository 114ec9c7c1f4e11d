// Package nodetermination judges requests lost with a machine that was taken
// away: preempted, drained, scaled down or shut down while it served.
package nodetermination

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
	ID:    "node-termination",
	Title: "Node taken away: the machine under the server was preempted, drained or shut down",
	What: "A spot or preemptible machine was reclaimed, or a node was drained by an upgrade or the autoscaler. Its pods end with little or no notice, " +
		"and the balancer goes on sending to them until it has learnt that they are gone.",
	Shows: []string{
		"node events: NodeShutdown, PreemptScheduled, SpotInterruption, NodeNotSchedulable, ScaleDown, NodeNotReady",
		"failures only to the addresses of pods on that node, for some seconds to two minutes",
		"pods with status Terminated, reason NodeShutdown",
	},
	Fixes: []string{
		"let pods stop taking traffic within the notice: preStop sleep plus shutdown under 15 s on Google's spot nodes",
		"a PodDisruptionBudget and two replicas or more on different nodes, so that a drain takes one at a time",
		"keep a part of the replicas on nodes that are not spot",
	},
	Links: []string{
		"https://cloud.google.com/kubernetes-engine/docs/concepts/spot-vms",
		"https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/",
		"https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
	},
	Mechanisms: []fact.Mechanism{
		fact.NoBackend, fact.Refused, fact.Unreachable, fact.ConnectTimedOut, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply,
		fact.ReplyTimedOut, fact.MechanismUnknown,
	},
	Troubles: []fact.EventKind{fact.NodeTerminating, fact.NodeLost, fact.PodEvicted},
	Over:     []string{"rollout-no-drain", "slow-start"},
	Prior:    -6,
	PriorWhy: "two of about a hundred and fifty collected incidents, and as many again told without evidence",
	Explain:  explain,
}

// The windows, from the documented notices: Google gives 30 s, Amazon two
// minutes; a node is called NotReady 40 to 50 s after its last word.
const (
	before   = 3 * time.Minute
	after    = 10 * time.Second
	lostLate = 60 * time.Second
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	a := cause.Ask(e)
	ends, own := a.Kindred(terminating(e.World))
	s, claims, ok := cause.NearEvents(e, ends, before, after, says)
	lost := false
	if !ok {
		if ends, own = a.Kindred(e.World.Of(fact.NodeLost)); len(ends) == 0 {
			return o
		}
		s, claims, ok = cause.NearEvents(e, ends, before, lostLate, says)
		lost = true
	}
	if !ok {
		return o
	}
	o.Signals = append(o.Signals, s)
	o.Claims = cause.Outage(e, claims)
	x := s.Facts[0].(*fact.Event)
	if own {
		o.Signals = append(o.Signals, cause.For(5, "a cluster loses nodes that serve others more often", "the server that was asked ran on that node", x))
	}
	if spot := e.World.Setting(fact.RoleHost, "", fact.NodeClass); spot != nil && spot.Text == "spot" {
		o.Signals = append(o.Signals, cause.For(3, "spot nodes are taken away daily", "the node is of a class that its provider may take away", spot))
	}
	if lost {
		o.Signals = append(o.Signals, cause.Against(2, "a node may be lost for its own troubles, too", "nothing announced that the node would go", x))
	}
	o.Blame = fact.Party{Role: fact.RoleHost, Tech: x.Party.Tech, Name: node(x), Host: x.Party.Host}
	o.Fix = fix(e, x)
	o.Next = []cause.Next{{
		Evidence: "where the pods were", Command: "kubectl get pods -o wide; kubectl get events -A --sort-by=.lastTimestamp | grep -iE 'node|evict|preempt'",
		WouldTell: "whether the failing pods were on the node that went, and whether any were elsewhere",
	}}
	return o
}

// terminating are notices for nodes and evictions for their sake. A pod that
// is evicted for memory or by an autoscaler of pods lost no node.
func terminating(w *failure.World) []*fact.Event {
	var out []*fact.Event
	for _, x := range w.Of(fact.NodeTerminating, fact.PodEvicted) {
		if x.Kind == fact.PodEvicted {
			switch x.Reason {
			case "memory", "disk", "pid", "vpa":
				continue
			}
		}
		out = append(out, x)
	}
	return out
}

func node(x *fact.Event) string {
	if x.Party.Host != "" {
		return x.Party.Host
	}
	return x.Party.Name
}

func says(_ int, x *fact.Event) string {
	what := "was being taken away"
	switch {
	case x.Kind == fact.NodeLost:
		what = "was lost"
	case x.Kind == fact.PodEvicted:
		return fmt.Sprintf("pod %s was evicted from its node (%s)", x.Party.Name, orWord(x.Reason))
	}
	s := fmt.Sprintf("node %s %s (%s)", node(x), what, orWord(x.Reason))
	if !x.Time.IsZero() {
		s += " at " + x.Time.Format("15:04:05")
	}
	return s
}

func orWord(s string) string {
	if s == "" {
		return "no reason told"
	}
	return s
}

func fix(e *failure.Episode, x *fact.Event) cause.Fix {
	f := cause.Fix{Summary: "Let pods leave in order when their node goes: stop taking traffic first, end within the notice, and never have all replicas on nodes that go together."}
	seconds := 10
	if strings.Contains(x.Reason, "drain") || strings.Contains(x.Reason, "cordon") || strings.Contains(x.Reason, "scale-down") || strings.Contains(x.Reason, "evict") {
		f.Summary = "The node was emptied in order, but the pods stopped before the balancer let go of them: a preStop sleep, and a PodDisruptionBudget so that one goes at a time."
		seconds = 20
	}
	owner := x.Attrs[fact.AttrOwner]
	if _, n, ok := strings.Cut(owner, "/"); ok {
		owner = n
	} else if owner = e.Upstream; owner == "" {
		owner = "NAME"
	}
	f.Patch = fmt.Sprintf(`# in the pod template
spec:
  terminationGracePeriodSeconds: %d
  containers:
  - name: app
    lifecycle:
      preStop: {exec: {command: ["sleep", "%d"]}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: %s}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: %s}}`, seconds+15, seconds, owner, owner)
	if s := e.World.Setting(fact.RoleHost, "", fact.NodeClass); s != nil && s.Text == "spot" || strings.Contains(x.Reason, "preempt") {
		f.Steps = append(f.Steps, "a preempted Google node gives ordinary pods 15 s: sleep and shutdown together must end within them", "keep at least one replica off the spot nodes: a node affinity on cloud.google.com/gke-spot DoesNotExist for a part of them")
	}
	if s := cause.Owned(e.World, x, fact.Replicas); s != nil && s.Num.Is(1) {
		f.Steps = append(f.Steps, "it runs a single replica: any node that goes takes it down; replicas: 2 at least")
	}
	return f
}
