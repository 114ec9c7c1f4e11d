package kube

import (
	"strings"

	"culprit/internal/fact"
)

// known is a value and how it is known.
type known[T any] struct {
	value T
	basis fact.Basis
	at    fact.Origin
}

func configured(d fact.Dur) known[fact.Dur] { return known[fact.Dur]{value: d, basis: fact.Configured} }

func configuredInt(n fact.Int) known[fact.Int] {
	return known[fact.Int]{value: n, basis: fact.Configured}
}

// probeSetting is a probe of a container; what is empty if there is none.
type probeSetting struct {
	knob            fact.Knob
	name            string // "liveness"
	what            string
	timeout, period known[fact.Dur]
	failures        known[fact.Int]
}

// The API's defaults for a probe, and where they are documented.
const (
	probeTimeout  = 1  // seconds
	probePeriod   = 10 // seconds
	probeFailures = 3
	probeDoc      = "https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/"
	podDoc        = "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/"
	deployDoc     = "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/"
	spreadDoc     = "https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/"
	budgetDoc     = "https://kubernetes.io/docs/tasks/run-application/configure-pdb/"
)

// probe states a container's probe of one kind.
func (t *teller) probe(o *object, container, where string, p *probeSetting, at fact.Origin) {
	where += "." + p.name + "Probe"
	s := o.setting(p.knob, p.name+"Probe:", where)
	s.Object = within(s.Object, container)
	if s.Text, s.Origin = p.what, at; p.what == "" {
		s.Text, s.Basis, s.Origin.URL = "none", fact.Default, probeDoc
		t.out.State(s)
		return
	}
	t.out.State(s)
	name := strings.TrimSpace(s.Object + " " + p.name)
	dur := func(k fact.Knob, spelling string, v known[fact.Dur]) {
		if !v.value.Known {
			return
		}
		s := o.setting(k, spelling, where)
		s.Object, s.Dur, s.Basis, s.Origin = name, v.value, v.basis, pick(v.at, at)
		if s.Basis == fact.Default {
			s.Origin.URL = probeDoc
		}
		t.out.State(s)
	}
	dur(fact.ProbeTimeout, "timeoutSeconds: {s}", p.timeout)
	dur(fact.ProbePeriod, "periodSeconds: {s}", p.period)
	if p.failures.value.Known {
		s := o.setting(fact.ProbeThreshold, "failureThreshold: {n}", where)
		s.Object, s.Num, s.Basis, s.Origin = name, p.failures.value, p.failures.basis, pick(p.failures.at, at)
		if s.Basis == fact.Default {
			s.Origin.URL = probeDoc
		}
		t.out.State(s)
	}
}

// limits states what memory and processor a container may use.
func (t *teller) limits(o *object, container, where, memory, cpu string, memAt, cpuAt fact.Origin) {
	s := o.setting(fact.MemoryLimit, "memory: {n}", where+".resources.limits")
	s.Object = within(s.Object, container)
	if s.Num, s.Origin = bytesOf(memory), memAt; memory == "" {
		s.Text, s.Basis = "none", fact.Default
	}
	if s.Num.Known || memory == "" {
		t.out.State(s)
	}
	s = o.setting(fact.CPULimit, "cpu: {n}m", where+".resources.limits")
	s.Object = within(s.Object, container)
	if s.Num, s.Origin = millicores(cpu), cpuAt; cpu == "" {
		s.Text, s.Basis = "none", fact.Default
	}
	if s.Num.Known || cpu == "" {
		t.out.State(s)
	}
}

// within names a container of an object.
func within(object, container string) string {
	if container == "" {
		return object
	}
	return strings.TrimSpace(object + " container/" + container)
}

// pick is the first origin that is known.
func pick(a, b fact.Origin) fact.Origin {
	if a.Line > 0 {
		return a
	}
	return b
}
