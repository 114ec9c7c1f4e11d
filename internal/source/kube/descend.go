package kube

import (
	"strings"

	"culprit/internal/fact"
)

// flush states what a description told before its events.
func (d *description) flush(t *teller) {
	if d.told {
		return
	}
	d.told = true
	d.guess()
	switch d.kind {
	case "Node":
		d.machine.object, d.machine.conditions, d.machine.at = d.object, d.conditions, d.at
		t.machine(&d.machine)
		for _, p := range d.pods {
			ns, name, _ := strings.Cut(p, "/")
			o := object{namespace: ns, kind: "Pod", name: name, node: d.name}
			if t.once("placed " + p + " " + d.name) {
				e := o.event(fact.PodPlaced, noTime)
				e.Origin = d.at
				t.out.State(e)
			}
		}
		return
	case "Deployment", "StatefulSet":
		t.replicas(&d.object, d.replicas.want, d.replicas.have, d.replicas.at)
		if d.unavailable != "" {
			s := d.setting(fact.MaxUnavailable, "maxUnavailable: {n}", "spec.strategy.rollingUpdate")
			s.Text, s.Origin = d.unavailable, d.at
			t.out.State(s)
		}
	case "Pod", "":
		t.pod(&d.life)
	}
	d.settings(t)
}

// guess completes what kind of object is described.
func (d *description) guess() {
	switch {
	case d.kind != "":
	case d.replicas.want.Known:
		d.kind = "Deployment"
	case len(d.pods) > 0:
		d.kind = "Node"
	case len(d.boxes) > 0 && d.has:
		d.kind = "Pod"
	}
	for _, c := range d.conditions {
		if c.kind == "MemoryPressure" {
			d.kind = "Node"
		}
	}
}

// settings states what is configured of the containers.
func (d *description) settings(t *teller) {
	o := d.workload()
	for _, b := range d.boxes {
		if b.init || o.name == "" && !b.anyProbe() || !t.once("settings "+o.namespace+"/"+o.kind+"/"+o.name+"/"+b.name) {
			continue
		}
		where := "containers[" + b.name + "]"
		for _, x := range [...]struct {
			name string
			knob fact.Knob
			line *probeLine
		}{{"liveness", fact.LivenessProbe, &b.liveness}, {"readiness", fact.ReadinessProbe, &b.readiness}, {"startup", fact.StartupProbe, &b.startup}} {
			if x.line.what == "" && !b.whole {
				continue
			}
			p := probeSetting{knob: x.knob, name: x.name, what: x.line.what}
			p.timeout, p.period, p.failures = configured(x.line.timeout), configured(x.line.period), configuredInt(x.line.failures)
			t.probe(&o, b.name, where, &p, b.at)
		}
		if b.whole {
			t.limits(&o, b.name, where, b.memory, b.cpu, b.at, b.at)
		}
	}
	if d.grace.Known {
		s := o.setting(fact.GracePeriod, "terminationGracePeriodSeconds: {s}", "spec.template.spec")
		s.Dur, s.Origin = d.grace, d.at
		t.out.State(s)
	}
}

func (b *box) anyProbe() bool {
	return b.liveness.what != "" || b.readiness.what != "" || b.startup.what != ""
}

// workload is the object under whose name settings stand: the owner of a pod,
// else the object itself.
func (o *object) workload() object {
	owner := o.owner
	if owner == "" && o.kind == "Pod" {
		owner = ownerByName(o.name)
	}
	kind, name, ok := strings.Cut(owner, "/")
	if !ok {
		return object{namespace: o.namespace, kind: o.kind, name: o.name}
	}
	return object{namespace: o.namespace, kind: kind, name: name}
}
