// Package singlenodeloss judges outages in which every replica of a service
// was on the one node that went.
package singlenodeloss

import (
	"cmp"
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
	ID:    "single-node-loss",
	Title: "All eggs in one basket: every replica was on the node that went",
	What: "The service had several replicas, but the scheduler had put them all on one node. When that node was lost or taken away, nobody was left to ask until new pods had started elsewhere. " +
		"A PodDisruptionBudget does not help against a lost node; spreading does.",
	Shows: []string{
		"kubectl get pods -o wide: one name in the NODE column for all pods of the service",
		"NodeNotReady, preemption or shutdown of that node, then failed_to_pick_backend or refused connections for all of them at once",
		"it ends when pods are Ready on another node: about a minute after a drain, over five after a lost node",
	},
	Fixes: []string{
		"spread the replicas over nodes and zones: topologySpreadConstraints or podAntiAffinity",
		"two replicas at least; one is always on a single node",
		"after adding the rule, restart the rollout: pods that run are not moved",
	},
	Links: []string{
		"https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
		"https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity",
	},
	Mechanisms: []fact.Mechanism{
		fact.NoBackend, fact.Refused, fact.Unreachable, fact.ConnectTimedOut, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply,
		fact.ReplyTimedOut, fact.MechanismUnknown,
	},
	Over:     []string{"node-termination", "rollout-no-drain", "slow-start", "dead-not-restarted", "readiness-probe-overload"},
	Prior:    -8,
	PriorWhy: "two of about a hundred and fifty collected incidents",
	Explain:  explain,
}

// The windows: the outage lasts until pods run elsewhere, five minutes of
// toleration and a start after a node is lost; a node is called NotReady 40 to
// 50 s after its last word.
const (
	before = 8 * time.Minute
	after  = 60 * time.Second
)

// younger is by what factor a pod's age must lie below that of the oldest of its
// workload to be taken for a replacement, where only ages are told.
const younger = 4

// basket is a workload whose pods were all on one node.
type basket struct {
	owner, node string
	pods        []*fact.Event
	elsewhere   []*fact.Event
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	w := e.World
	a := cause.Ask(e)
	gone := w.Of(fact.NodeLost, fact.NodeTerminating)
	if len(gone) == 0 {
		return o
	}
	b := fullest(e, a, gone)
	if b == nil || len(b.pods) == 1 && !alone(w, b, gone) {
		return o
	}
	var mine []*fact.Event
	for _, x := range gone {
		if nodeOf(x) == b.node {
			mine = append(mine, x)
		}
	}
	s, claims, ok := cause.NearEvents(e, mine, before, after, func(_ int, x *fact.Event) string {
		s := fmt.Sprintf("node %s went (%s)", b.node, x.Reason)
		if !x.Time.IsZero() {
			s += " at " + x.Time.Format("15:04:05")
		}
		return s
	})
	if !ok {
		return o
	}
	o.Claims = cause.Outage(e, claims)
	o.Signals = append(o.Signals, s)
	if len(b.pods) > 1 {
		o.Signals = append(o.Signals, cause.For(10, "pods of one workload rarely share a node unless nothing spreads them", fmt.Sprintf("all %d pods of %s were on it", len(b.pods), b.owner), cause.Events(b.pods)...).AsProof())
	} else {
		o.Signals = append(o.Signals, cause.For(2, "a single replica is always on a single node", fmt.Sprintf("the only pod of %s was on it", b.owner), b.pods[0]))
	}
	spread := spreadOf(w, b.owner)
	if spread != nil && spread.Text == "none" {
		o.Signals = append(o.Signals, cause.For(3, "nothing keeps the scheduler from putting all on one node", "nothing spreads its pods over nodes", spread))
	} else if spread != nil && (spread.Text == "hostname" || spread.Text == "zone") {
		o.Signals = append(o.Signals, cause.Against(6, "a required spread keeps them apart", "its pods are spread by "+spread.Text, spread))
	}
	o.Blame = fact.Party{Role: fact.RoleOrchestrator, Tech: "kube", Name: b.owner, Host: b.node}
	o.Fix = fix(e, b)
	o.Next = []cause.Next{{
		Evidence: "the nodes of the service's pods before and after", Command: "kubectl get pods -o wide -l app=NAME; kubectl get events -A --sort-by=.lastTimestamp | grep -iE 'Scheduled|NodeNotReady'",
		WouldTell: "whether any replica was elsewhere",
	}}
	return o
}

// alone: the workload is known to have a single replica, and nobody announced
// that its node would go. Else one pod on the node is one of several, and the
// node's end is the matter rather than where the pods were.
func alone(w *failure.World, b *basket, gone []*fact.Event) bool {
	for _, x := range gone {
		if x.Kind == fact.NodeTerminating && nodeOf(x) == b.node {
			return false
		}
	}
	r := cause.Owned(w, b.pods[0], fact.Replicas)
	return r != nil && r.Num.Is(1)
}

func nodeOf(x *fact.Event) string {
	if x.Party.Host != "" {
		return x.Party.Host
	}
	return x.Party.Name
}

// fullest finds the workload that fits best: one that bears the name asked
// for, else the one with most pods on a node that went and none elsewhere.
func fullest(e *failure.Episode, a *cause.Asked, gone []*fact.Event) *basket {
	first, _ := e.Span()
	nodes := map[string]bool{}
	for _, x := range gone {
		nodes[nodeOf(x)] = true
	}
	pods := map[string]*fact.Event{} // by name: where each was
	for _, x := range e.World.Events {
		if x.Party.Role != fact.RoleBackend || x.Party.Host == "" || x.Party.Name == "" || x.Kind != fact.PodPlaced && x.Attrs[fact.AttrOwner] == "" {
			continue
		}
		if !first.IsZero() && !x.Time.IsZero() && x.Kind == fact.PodPlaced && x.Time.After(first) {
			continue // a replacement
		}
		if pods[x.Party.Name] == nil {
			pods[x.Party.Name] = x
		}
	}
	oldest := map[string]time.Duration{} // by workload
	for _, x := range pods {
		if x.Age.Known {
			oldest[ownerOf(x)] = max(oldest[ownerOf(x)], x.Age.D)
		}
	}
	baskets := map[string]*basket{}
	for _, name := range sorted(pods) {
		x := pods[name]
		owner := ownerOf(x)
		if x.Time.IsZero() && x.Age.Known && x.Age.D*younger < oldest[owner] {
			continue // started long after the others: a replacement
		}
		b := baskets[owner]
		if b == nil {
			b = &basket{owner: owner}
			baskets[owner] = b
		}
		switch {
		case nodes[x.Party.Host] && (b.node == "" || b.node == x.Party.Host):
			b.node = x.Party.Host
			b.pods = append(b.pods, x)
		default:
			b.elsewhere = append(b.elsewhere, x)
		}
	}
	var best *basket
	for _, owner := range sorted(baskets) {
		b := baskets[owner]
		if len(b.pods) == 0 || len(b.elsewhere) > 0 || a.Kin(b.pods[0]) == cause.Stranger {
			continue
		}
		if best == nil || cmp.Compare(len(b.pods), len(best.pods)) > 0 || a.Kin(b.pods[0]) > a.Kin(best.pods[0]) {
			best = b
		}
	}
	return best
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// ownerOf is the workload of a pod; its own name without the generated end
// where nothing better is told.
func ownerOf(x *fact.Event) string {
	if o := x.Attrs[fact.AttrOwner]; o != "" {
		return o
	}
	parts := strings.Split(x.Party.Name, "-")
	if len(parts) > 2 {
		return strings.Join(parts[:len(parts)-2], "-")
	}
	return parts[0]
}

func spreadOf(w *failure.World, owner string) *fact.Setting {
	var any *fact.Setting
	for _, s := range w.AllSettings(fact.RoleBackend, fact.Spread) {
		if strings.HasPrefix(s.Object, owner) || s.Party.Name != "" && strings.HasSuffix(owner, "/"+s.Party.Name) {
			return s
		}
		any = s
	}
	return any
}

func fix(e *failure.Episode, b *basket) cause.Fix {
	_, name, ok := strings.Cut(b.owner, "/")
	if !ok {
		name = b.owner
	}
	f := cause.Fix{
		Summary: fmt.Sprintf("Spread the replicas of %s over nodes, so that one node's end leaves others.", b.owner),
		Steps: []string{
			"kubectl rollout restart deployment/" + name + "   # pods that run are not moved by a new rule",
			"kubectl get pods -o wide   # the NODE column must show several names",
		},
		Patch: fmt.Sprintf(`# in the pod template of %s
spec:
  topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: DoNotSchedule
    labelSelector: {matchLabels: {app: %s}}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {app: %s}}
# or, the older way:
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector: {matchLabels: {app: %s}}`, b.owner, name, name, name),
	}
	if len(b.pods) == 1 {
		f.Summary = fmt.Sprintf("Run two replicas of %s at least, spread over nodes.", b.owner)
		f.Steps = append([]string{"kubectl scale --replicas=2 deployment/" + name}, f.Steps...)
	}
	return f
}
