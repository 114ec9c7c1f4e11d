package kube

import (
	"strings"
	"time"

	"culprit/internal/fact"
)

// life is a pod as its status or its description tells it.
type life struct {
	object
	started    time.Time
	phase      string
	reason     string
	message    string
	deleted    bool
	deletedAt  time.Time // when it was told to stop
	conditions []condition
	boxes      []*box
	grace      fact.Dur
	at         fact.Origin
}

// box is a container of a pod.
type box struct {
	name                         string
	init                         bool
	whole                        bool // its beginning was seen
	state, last                  boxState
	ready                        string // "true", "false", empty if not told
	restarts                     int64
	memory, cpu                  string
	liveness, readiness, startup probeLine
	at                           fact.Origin
}

// boxState is a container's state or last state: "Running", "Waiting" or
// "Terminated".
type boxState struct {
	what, reason, message string
	exit                  fact.Int
	started, finished     time.Time
	at                    fact.Origin
}

// condition is one of a pod's, node's or workload's.
type condition struct {
	kind, status, reason, message string
	since                         time.Time
	at                            fact.Origin
}

// ownerOf is the workload that a user edits, of a pod's controller.
func ownerOf(kind, name string) string {
	if name == "" {
		return ""
	}
	if kind == "ReplicaSet" {
		if d, ok := deploymentOf(name); ok {
			return "Deployment/" + d
		}
	}
	return kind + "/" + name
}

// pod states what is known of a pod.
func (t *teller) pod(p *life) {
	if p.node != "" && p.name != "" && t.once("placed "+p.namespace+"/"+p.name+" "+p.node) {
		e := p.event(fact.PodPlaced, p.started)
		e.Origin = p.at
		t.out.State(e)
	}
	t.phase(p)
	if p.deleted {
		e := p.event(fact.ProcessStopping, p.deletedAt)
		e.Reason, e.Origin = "deleted", p.at
		t.out.State(e)
	}
	unready := condition{}
	for _, c := range p.conditions {
		if c.kind == "Ready" && c.status == "False" {
			unready = c
		}
	}
	said := false
	for _, b := range p.boxes {
		said = t.box(p, b, unready.since) || said
	}
	for _, c := range p.conditions {
		t.podCondition(p, &c, said)
	}
}

// phase states what ended or holds the whole pod.
func (t *teller) phase(p *life) {
	kind, reason := fact.EventKind(""), strings.ToLower(p.reason)
	about := p.object
	switch p.reason {
	case "Evicted":
		kind = fact.PodEvicted
	case "Preempting":
		kind = fact.PodEvicted
	case "NodeShutdown", "Terminated", "Shutdown":
		// "Pod was terminated in response to imminent node shutdown."
		kind, reason = fact.NodeTerminating, "shutdown"
	case "NodeLost":
		kind = fact.NodeLost
	}
	if p.phase == "Unknown" && kind == "" {
		kind, reason = fact.NodeLost, "unknown"
	}
	if kind == "" {
		return
	}
	if (kind == fact.NodeTerminating || kind == fact.NodeLost) && p.node != "" {
		about = object{kind: "Node", name: p.node}
	}
	at := time.Time{}
	for _, c := range p.conditions {
		if c.kind == "Ready" && c.status == "False" || c.kind == "DisruptionTarget" && at.IsZero() {
			at = c.since
		}
	}
	e := about.event(kind, at)
	e.Reason, e.Detail, e.Origin = reason, detail(p.message), p.at
	if kind == fact.PodEvicted {
		lowOn(e, p.message)
	}
	t.out.State(e)
}

// disruptions are the reasons of the condition DisruptionTarget.
var disruptions = map[string]rule{
	"TerminationByKubelet":      {kind: fact.NodeTerminating, reason: "shutdown"},
	"PreemptionByScheduler":     {kind: fact.PodEvicted, reason: "preempted"},
	"PreemptionByKubeScheduler": {kind: fact.PodEvicted, reason: "preempted"},
	"DeletionByTaintManager":    {kind: fact.PodEvicted, reason: "taint"},
	"EvictionByEvictionAPI":     {kind: fact.PodEvicted, reason: "eviction-api"},
	"DeletionByPodGC":           {kind: fact.PodEvicted, reason: "node-gone"},
}

// negReady is the readiness gate that Google's controller keeps.
const negReady = "cloud.google.com/load-balancer-neg-ready"

func (t *teller) podCondition(p *life, c *condition, said bool) {
	e := p.event("", c.since)
	e.Detail, e.Origin = detail(c.message), c.at
	switch {
	case c.kind == "DisruptionTarget" && c.status == "True":
		r, ok := disruptions[c.reason]
		if !ok {
			r = rule{kind: fact.PodEvicted, reason: "disruption"}
		}
		if r.kind == fact.NodeTerminating && p.node != "" {
			o := object{kind: "Node", name: p.node}
			e.Party, e.Attrs = o.party(), o.attrs()
		}
		e.Kind, e.Reason = r.kind, r.reason
	case c.kind == negReady && c.status == "False":
		e.Kind, e.Reason = fact.NotReady, "neg"
	case c.kind == "PodScheduled" && c.status == "False":
		e.Kind, e.Reason = fact.BootFailed, "unschedulable"
	case c.kind == "Ready" && c.status == "False" && !said && p.phase == "Running":
		e.Kind, e.Reason = fact.NotReady, "readiness"
	default:
		return
	}
	t.out.State(e)
}

// box states what became of a container. It reports whether it told that the
// pod is not ready.
func (t *teller) box(p *life, b *box, unready time.Time) bool {
	p.container = b.name
	defer func() { p.container = "" }()
	t.ended(p, b, &b.last, b.restarts)
	switch b.state.what {
	case "Terminated":
		if !b.init || !b.state.exit.Is(0) {
			t.ended(p, b, &b.state, 0)
		}
		return true
	case "Waiting":
		e := p.event("", noTime)
		e.Origin, e.Reason, e.Detail, e.Count = b.state.at, b.state.reason, b.state.message, int(min(b.restarts, 1<<31))
		switch e.Kind = podStates[b.state.reason]; {
		case b.state.reason == "CrashLoopBackOff":
			e.Kind = fact.RestartBackoff
		case e.Kind == "":
			return false
		}
		t.out.State(e)
		return true
	case "Running":
		if b.init {
			return false
		}
		e := p.event(fact.ProcessStarted, b.state.started)
		e.Origin = b.state.at
		t.out.State(e)
		if b.ready == "false" {
			e := p.event(fact.NotReady, unready)
			e.Reason, e.Origin = "readiness", b.state.at
			t.out.State(e)
			return true
		}
	}
	return false
}

// ended states that a container's process ended.
func (t *teller) ended(p *life, b *box, s *boxState, restarts int64) {
	if s.what != "Terminated" {
		if s.what == "" && restarts > 0 {
			e := p.event(fact.ProcessExited, noTime)
			e.Reason, e.Count, e.Origin = "restarted", int(min(restarts, 1<<31)), b.at
			t.out.State(e)
		}
		return
	}
	e := p.event(fact.ProcessExited, s.finished)
	e.Origin, e.Detail, e.Count = s.at, s.message, int(min(restarts, 1<<31))
	if s.exit.Known {
		exited(e, s.exit.N)
	}
	if d := s.finished.Sub(s.started); d > 0 && !s.started.IsZero() && !s.finished.IsZero() {
		e.Lasted = fact.Lasting(d)
	}
	switch s.reason {
	case "OOMKilled":
		e.Kind, e.Reason = fact.OOMKilled, s.reason
		cgroupOOM(e, nil)
	case "ContainerCannotRun", "StartError":
		e.Kind, e.Reason = fact.BootFailed, s.reason
	case "Completed", "Error", "":
	default:
		e.Reason = s.reason
	}
	t.out.State(e)
}

// nodeLife is a node as its status or its description tells it.
type nodeLife struct {
	object
	conditions    []condition
	taints        []taint
	unschedulable bool
	spot          bool
	at            fact.Origin
}

type taint struct {
	key   string
	added time.Time
}

// goingTaints are parts of the taints that a node gets which is about to go,
// and why.
var goingTaints = []struct{ part, reason string }{
	{"ToBeDeletedByClusterAutoscaler", "scale-down"}, {"impending-node-termination", "preemption"},
	{"aws-node-termination-handler", "preemption"}, {"karpenter.sh/disrupt", "consolidation"},
	{"cloudprovider.kubernetes.io/shutdown", "shutdown"}, {"node.kubernetes.io/out-of-service", "out-of-service"},
	{"node.kubernetes.io/unschedulable", "cordon"},
}

// machine states what is known of a node.
func (t *teller) machine(n *nodeLife) {
	n.kind = "Node"
	for _, c := range n.conditions {
		e := n.event("", c.since)
		e.Reason, e.Detail, e.Origin = c.reason, detail(c.message), c.at
		bad := c.status == "True"
		switch c.kind {
		case "Ready":
			if e.Kind = fact.NodeLost; bad {
				e.Kind, e.Detail = fact.NodeBack, ""
			}
			bad = true
		case "MemoryPressure":
			e.Kind, e.Limit = fact.NodePressure, fact.LimitMemory
		case "DiskPressure":
			e.Kind, e.Limit = fact.NodePressure, fact.LimitDisk
		case "PIDPressure":
			e.Kind, e.Limit = fact.NodePressure, fact.LimitProcesses
		case "NetworkUnavailable":
			e.Kind = fact.NetworkTrouble
		}
		if bad && e.Kind != "" {
			t.out.State(e)
		}
	}
	going := ""
	at := time.Time{}
	if n.unschedulable {
		going = "cordon"
	}
	for _, x := range n.taints {
		for _, g := range goingTaints {
			if strings.Contains(x.key, g.part) && (going == "" || going == "cordon") {
				going, at = g.reason, x.added
			}
		}
	}
	if going != "" {
		e := n.event(fact.NodeTerminating, at)
		e.Reason, e.Origin = going, n.at
		t.out.State(e)
	}
	if n.spot {
		s := n.setting(fact.NodeClass, "", "")
		s.Text, s.Origin = "spot", n.at
		t.out.State(s)
	}
}
