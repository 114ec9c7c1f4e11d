package kube

import (
	"strings"
	"time"

	"culprit/internal/fact"
)

// readEvent states an Event object.
func (r *reader) readEvent(x *eventObject) {
	h := x.happening()
	if h.reason == "" {
		return
	}
	r.name = "Event " + h.reason
	h.origin = r.at(x.Reason)
	if r.cur == nil && h.message != "" {
		h.origin.Text = h.kind + "/" + h.name + " " + h.reason + ": " + detail(h.message)
	}
	r.happened(&h)
}

// happening turns an Event object into what it tells.
func (x *eventObject) happening() happening {
	h := happening{reason: x.Reason.text, message: x.Message.text, source: x.Source.Component.text, res: second}
	if h.message == "" {
		h.message = x.Note.text
	}
	ref := x.InvolvedObject
	if ref == nil {
		ref = x.Regarding
	}
	if ref != nil {
		h.kind, h.namespace, h.name = ref.Kind.text, ref.Namespace.text, ref.Name.text
		h.container = containerIn(ref.FieldPath.text)
	}
	if h.kind != "Node" {
		if h.node = x.Source.Host.text; h.node == "" && isDNSName(x.ReportingInstance.text) && strings.HasPrefix(h.reason, "Unh") {
			h.node = x.ReportingInstance.text
		}
	}
	firstOf := func(all ...scalar) (t time.Time) {
		for _, s := range all {
			if t = stamp(s.text); !t.IsZero() {
				return t
			}
		}
		return t
	}
	h.last = firstOf(x.LastTimestamp, x.DeprecatedLastTimestamp)
	h.first = firstOf(x.FirstTimestamp, x.DeprecatedFirstTimestamp)
	h.count = int(min(max(x.Count.int().Or(0), x.DeprecatedCount.int().Or(0)), 1<<31))
	exact := firstOf(x.EventTime)
	if x.Series != nil {
		h.count = int(min(x.Series.Count.int().Or(0), 1<<31))
		if t := stamp(x.Series.LastObservedTime.text); !t.IsZero() {
			h.last, h.res = t, fact.Lasting(time.Microsecond)
		}
	}
	if h.last.IsZero() && !exact.IsZero() {
		h.last, h.res = exact, fact.Lasting(time.Microsecond)
	}
	if h.first.IsZero() {
		h.first = exact
	}
	if h.last.IsZero() {
		if h.last = h.first; h.last.IsZero() {
			h.last = stamp(x.Metadata.CreationTimestamp.text)
		}
	}
	return h
}

// readPod states a live pod, and what a pod's manifest sets.
func (r *reader) readPod(x *pod) {
	o := r.named("Pod", &x.Metadata)
	for _, ref := range x.Metadata.OwnerReferences {
		o.owner = ownerOf(ref.Kind.text, ref.Name.text)
		if hash := x.Metadata.Labels["pod-template-hash"].text; ref.Kind.is("ReplicaSet") && hash != "" {
			if name, ok := strings.CutSuffix(ref.Name.text, "-"+hash); ok {
				o.owner = "Deployment/" + name
			}
		}
	}
	o.address, o.node = x.Status.PodIP.text, x.Spec.NodeName.text
	if o.owner == "" {
		r.rel.add(related{object: o, labels: x.Metadata.Labels, ports: portsOf(&x.Spec), at: r.at(x.Metadata.Name)})
	}
	w := o.workload()
	w.namespace = o.namespace
	r.podSettings(&w, &x.Spec, x.Metadata.Labels, r.at(x.Metadata.Name))
	if x.Status.Phase.text == "" && len(x.Status.Containers) == 0 {
		return // a manifest
	}
	p := life{object: o, phase: x.Status.Phase.text, reason: x.Status.Reason.text, message: x.Status.Message.text,
		started: stamp(x.Status.StartTime.text), at: r.at(x.Metadata.Name), conditions: r.conditions(x.Status.Conditions)}
	if at := stamp(x.Metadata.DeletionTimestamp.text); !at.IsZero() {
		// The stamp is when its grace ends, not when it was told to stop.
		p.deleted, p.deletedAt = true, at.Add(-x.Metadata.DeletionGracePeriodSeconds.seconds().Or(0))
	}
	for _, c := range x.Status.InitContainers {
		b := r.box(&c)
		b.init = true
		p.boxes = append(p.boxes, b)
	}
	for _, c := range x.Status.Containers {
		p.boxes = append(p.boxes, r.box(&c))
	}
	r.pod(&p)
}

func (r *reader) conditions(in []objectCondition) []condition {
	var out []condition
	for _, c := range in {
		out = append(out, condition{kind: c.Type.text, status: c.Status.text, reason: c.Reason.text, message: c.Message.text,
			since: stamp(c.LastTransitionTime.text), at: r.at(c.Type)})
	}
	return out
}

func (r *reader) box(c *containerStatus) *box {
	return &box{name: c.Name.text, ready: c.Ready.text, restarts: c.RestartCount.int().Or(0), at: r.at(c.Name),
		state: r.boxState(&c.State), last: r.boxState(&c.LastState)}
}

func (r *reader) boxState(s *containerState) boxState {
	switch {
	case s.Terminated != nil:
		t := s.Terminated
		return boxState{what: "Terminated", reason: t.Reason.text, message: detail(t.Message.text), exit: t.ExitCode.int(),
			started: stamp(t.StartedAt.text), finished: stamp(t.FinishedAt.text), at: r.at(t.Reason)}
	case s.Waiting != nil:
		return boxState{what: "Waiting", reason: s.Waiting.Reason.text, message: detail(s.Waiting.Message.text), at: r.at(s.Waiting.Reason)}
	case s.Running != nil:
		return boxState{what: "Running", started: stamp(s.Running.StartedAt.text), at: r.at(s.Running.StartedAt)}
	}
	return boxState{}
}

// readNode states a node.
func (r *reader) readNode(x *node) {
	n := nodeLife{object: r.named("Node", &x.Metadata), unschedulable: x.Spec.Unschedulable.is("true")}
	n.at = r.at(x.Metadata.Name)
	n.conditions = r.conditions(x.Status.Conditions)
	for _, t := range x.Spec.Taints {
		n.taints = append(n.taints, taint{t.Key.text, stamp(t.TimeAdded.text)})
	}
	for k, v := range x.Metadata.Labels {
		n.spot = n.spot || isSpot(k+"="+v.text)
	}
	r.machine(&n)
}
