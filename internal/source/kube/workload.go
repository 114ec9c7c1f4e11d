package kube

import (
	"regexp"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// readWorkload states what a workload's manifest sets, and how many of its
// replicas are there.
func (r *reader) readWorkload(kind string, x *workload) {
	o := r.named(kind, &x.Metadata)
	if kind == "ReplicaSet" && len(x.Metadata.OwnerReferences) > 0 {
		return // its deployment tells the same
	}
	spec := "spec"
	if kind != "DaemonSet" {
		s := o.setting(fact.Replicas, "replicas: {n}", spec)
		s.Num, s.Origin = x.Spec.Replicas.int(), r.at(x.Spec.Replicas)
		if x.Spec.Replicas.text == "" {
			s.Num, s.Basis, s.Origin = fact.Num(1), fact.Default, r.at(x.Metadata.Name)
			s.Origin.URL = deployDoc
		}
		if s.Num.Known {
			r.out.State(s)
		}
	}
	want := x.Spec.Replicas.int()
	live := x.Status.Replicas.text != "" || len(x.Status.Conditions) > 0
	if live && want.Known && want.N > 0 {
		r.unavailable(&o, x, want)
	}
	if kind == "Deployment" || kind == "Rollout" {
		s := o.setting(fact.MaxUnavailable, "maxUnavailable: {n}", "spec.strategy.rollingUpdate")
		mu := x.Spec.Strategy.RollingUpdate.MaxUnavailable
		switch s.Text, s.Origin = mu.text, r.at(mu); {
		case x.Spec.Strategy.Type.is("Recreate"):
			s.Text, s.Where, s.Origin = "100%", "spec.strategy", r.at(x.Spec.Strategy.Type)
		case mu.text == "":
			s.Text, s.Basis, s.Origin = "25%", fact.Default, r.at(x.Metadata.Name)
			s.Origin.URL = deployDoc
		}
		r.out.State(s)
	}
	t := &x.Spec.Template
	r.rel.add(related{object: o, labels: t.Metadata.Labels, ports: portsOf(&t.Spec), live: live, at: r.at(x.Metadata.Name)})
	r.podSettings(&o, &t.Spec, t.Metadata.Labels, r.at(x.Metadata.Name))
}

// unavailable states that replicas are missing, since when their condition
// changed.
func (r *reader) unavailable(o *object, x *workload, want fact.Int) {
	have := x.Status.AvailableReplicas.int().Or(0) // absent when none is
	if have >= want.N {
		return
	}
	e := o.event(fact.NotReady, noTime)
	for _, c := range x.Status.Conditions {
		if c.Type.is("Available") && c.Status.is("False") {
			e = o.event(fact.NotReady, stamp(c.LastTransitionTime.text))
		}
	}
	if e.Reason = "unavailable-replicas"; have == 0 {
		e.Kind = fact.NoBackendLeft
	}
	e.Used, e.Max, e.Origin = fact.Num(have), want, r.at(x.Status.AvailableReplicas)
	r.out.State(e)
}

// gracePeriod is how long a pod has to stop if its manifest does not say, in
// seconds.
const gracePeriod = 30

// podSettings states what a pod's specification sets, once for each workload.
func (r *reader) podSettings(o *object, p *podSpec, labels map[string]scalar, at fact.Origin) {
	if !r.once("settings " + o.namespace + "/" + o.kind + "/" + o.name) {
		return
	}
	where := "spec.template.spec"
	if o.kind == "Pod" {
		where = "spec"
	}
	grace := o.setting(fact.GracePeriod, "terminationGracePeriodSeconds: {s}", where)
	if grace.Dur, grace.Origin = p.GracePeriod.seconds(), r.at(p.GracePeriod); p.GracePeriod.text == "" {
		grace.Dur, grace.Basis, grace.Origin = fact.Seconds(gracePeriod), fact.Default, at
		grace.Origin.URL = podDoc
	}
	r.out.State(grace)
	policy := o.setting(fact.RestartPolicy, "restartPolicy: Always", where)
	if policy.Text, policy.Origin = p.RestartPolicy.text, r.at(p.RestartPolicy); policy.Text == "" {
		policy.Text, policy.Basis, policy.Origin = "Always", fact.Default, at
		policy.Origin.URL = podDoc
	}
	r.out.State(policy)
	if o.kind != "Pod" && o.kind != "DaemonSet" {
		r.spread(o, p, labels, where, at)
	}
	for i := range p.Containers {
		r.containerSettings(o, &p.Containers[i], where+".containers["+p.Containers[i].Name.text+"]")
	}
}

// spread states what keeps a workload's pods apart.
func (r *reader) spread(o *object, p *podSpec, labels map[string]scalar, where string, at fact.Origin) {
	s := o.setting(fact.Spread, "topologySpreadConstraints:", where)
	best, key := "", scalar{}
	better := func(text string, by scalar) {
		rank := map[string]int{"": 0, "preferred": 1, "zone": 2, "hostname": 3}
		if rank[text] > rank[best] {
			best, key = text, by
		}
	}
	domain := func(by scalar) string {
		if strings.Contains(by.text, "hostname") {
			return "hostname"
		}
		return "zone"
	}
	for _, t := range p.Affinity.PodAntiAffinity.Required {
		if t.LabelSelector.matches(labels) {
			better(domain(t.TopologyKey), t.TopologyKey)
		}
	}
	for _, t := range p.Affinity.PodAntiAffinity.Preferred {
		if t.Term.LabelSelector.matches(labels) {
			better("preferred", t.Term.TopologyKey)
		}
	}
	for _, c := range p.Spread {
		switch {
		case !c.LabelSelector.matches(labels): // counts none of its own pods
		case c.WhenUnsatisfiable.is("ScheduleAnyway"):
			better("preferred", c.TopologyKey)
		default:
			better(domain(c.TopologyKey), c.TopologyKey)
		}
	}
	if s.Text, s.Origin = best, r.at(key); best == "" {
		s.Text, s.Basis, s.Origin = "none", fact.Default, at
		s.Origin.URL = spreadDoc
	}
	r.out.State(s)
}

func (r *reader) containerSettings(o *object, c *container, where string) {
	at := r.at(c.Name)
	for _, x := range [...]struct {
		knob fact.Knob
		name string
		p    *probe
	}{{fact.LivenessProbe, "liveness", c.LivenessProbe}, {fact.ReadinessProbe, "readiness", c.ReadinessProbe}, {fact.StartupProbe, "startup", c.StartupProbe}} {
		ps := probeSetting{knob: x.knob, name: x.name, what: x.p.what()}
		here := at
		if x.p != nil {
			ps.timeout = r.secondsOr(x.p.TimeoutSeconds, probeTimeout)
			ps.period = r.secondsOr(x.p.PeriodSeconds, probePeriod)
			ps.failures = known[fact.Int]{fact.Num(probeFailures), fact.Default, fact.Origin{}}
			if x.p.FailureThreshold.text != "" {
				ps.failures = known[fact.Int]{x.p.FailureThreshold.int(), fact.Configured, r.at(x.p.FailureThreshold)}
			}
			here = r.probeOrigin(x.p, at)
		}
		r.probe(o, c.Name.text, where, &ps, here)
	}
	r.preStop(o, c, where)
	memory, cpu := c.Resources.Limits["memory"], c.Resources.Limits["cpu"]
	memAt, cpuAt := at, at
	if memory.text != "" {
		memAt = r.at(memory)
	}
	if cpu.text != "" {
		cpuAt = r.at(cpu)
	}
	r.limits(o, c.Name.text, where, memory.text, cpu.text, memAt, cpuAt)
	for _, p := range c.Ports {
		if n := p.ContainerPort.int(); n.Known {
			s := o.setting(fact.ListenAddress, "containerPort: {n}", where+".ports")
			s.Object = within(s.Object, c.Name.text)
			s.Text, s.Num, s.Origin = ":"+p.ContainerPort.text, n, r.at(p.ContainerPort)
			r.out.State(s)
		}
	}
}

func (r *reader) secondsOr(s scalar, normal float64) known[fact.Dur] {
	if s.text == "" {
		return known[fact.Dur]{fact.Seconds(normal), fact.Default, fact.Origin{}}
	}
	return known[fact.Dur]{s.seconds(), fact.Configured, r.at(s)}
}

// probeOrigin is the first line of a probe that is known.
func (r *reader) probeOrigin(p *probe, other fact.Origin) fact.Origin {
	for _, s := range [...]scalar{p.TimeoutSeconds, p.PeriodSeconds, p.FailureThreshold} {
		if s.line > 0 {
			other = r.at(s)
		}
	}
	switch {
	case p.HTTPGet != nil && p.HTTPGet.Path.line > 0:
		return r.at(p.HTTPGet.Path)
	case p.HTTPGet != nil && p.HTTPGet.Port.line > 0:
		return r.at(p.HTTPGet.Port)
	case p.TCPSocket != nil && p.TCPSocket.Port.line > 0:
		return r.at(p.TCPSocket.Port)
	case p.GRPC != nil && p.GRPC.Port.line > 0:
		return r.at(p.GRPC.Port)
	case p.Exec != nil && len(p.Exec.Command) > 0 && p.Exec.Command[0].line > 0:
		return r.at(p.Exec.Command[0])
	}
	return other
}

var sleeping = regexp.MustCompile(`\bsleep\s+"?(\d+)`)

// preStop states how long a container waits before it is told to stop.
func (r *reader) preStop(o *object, c *container, where string) {
	s := o.setting(fact.PreStop, "preStop: {exec: {command: [sleep, \"{s}\"]}}", where+".lifecycle")
	s.Object = within(s.Object, c.Name.text)
	h := c.Lifecycle.PreStop
	switch {
	case h == nil:
		s.Text, s.Basis, s.Origin = "none", fact.Default, r.at(c.Name)
		s.Origin.URL = podDoc
	case h.Sleep != nil:
		s.Dur, s.Origin, s.Spelling = h.Sleep.Seconds.seconds(), r.at(h.Sleep.Seconds), "preStop: {sleep: {seconds: {s}}}"
	case h.Exec != nil:
		cmd := command(h.Exec.Command)
		s.Text, s.Origin = "exec "+cmd, r.at(c.Name)
		if len(h.Exec.Command) > 0 {
			s.Origin = r.at(h.Exec.Command[0])
		}
		if m := sleeping.FindStringSubmatch(cmd); m != nil {
			s.Dur = scalar{text: m[1]}.seconds()
		}
	case h.HTTPGet != nil:
		s.Text, s.Origin = "http "+h.HTTPGet.Path.text, r.at(h.HTTPGet.Port)
	default:
		return
	}
	r.out.State(s)
}

// related is a workload that budgets and services may select.
type related struct {
	object
	labels map[string]scalar
	ports  map[string]string // by name and by number: the number
	live   bool              // from a cluster, no manifest
	at     fact.Origin
}

type budget struct {
	namespace, text, spelling string
	selector                  *selector
	at                        fact.Origin
}

type route struct {
	object
	selector map[string]scalar
	port     string
	target   string
	at       fact.Origin
}

// relations are what objects of one input have to do with each other.
type relations struct {
	workloads []related
	budgets   []budget
	routes    []route
	ready     map[string]*readiness
}

// maxRelated bounds each list of relations.
const maxRelated = 5000

func (rel *relations) add(x related) {
	if len(rel.workloads) < maxRelated {
		rel.workloads = append(rel.workloads, x)
	}
}

func portsOf(p *podSpec) map[string]string {
	m := map[string]string{}
	for _, c := range p.Containers {
		for _, x := range c.Ports {
			m[x.ContainerPort.text] = x.ContainerPort.text
			if x.Name.text != "" {
				m[x.Name.text] = x.ContainerPort.text
			}
		}
	}
	return m
}

// relate states what budgets and ports mean for the workloads they select.
func (r *reader) relate() {
	r.empty()
	for i := range r.rel.workloads {
		w := &r.rel.workloads[i]
		if w.kind == "Pod" || w.live && len(r.rel.budgets) == 0 {
			continue // nobody asked the cluster for budgets
		}
		s := w.setting(fact.DisruptionBudget, "minAvailable: {n}", "PodDisruptionBudget")
		s.Text, s.Basis, s.Origin = "none", fact.Default, w.at
		s.Origin.URL = budgetDoc
		for _, b := range r.rel.budgets {
			if b.namespace == w.namespace && b.selector.matches(w.labels) {
				s.Text, s.Basis, s.Spelling, s.Origin = b.text, fact.Configured, b.spelling, b.at
			}
		}
		r.out.State(s)
	}
	for i := range r.rel.routes {
		x := &r.rel.routes[i]
		s := x.setting(fact.PortMapping, "targetPort: {n}", "spec.ports")
		target := x.target
		for k := range r.rel.workloads {
			w := &r.rel.workloads[k]
			if len(x.selector) > 0 && w.namespace == x.namespace && (&selector{MatchLabels: x.selector}).matches(w.labels) {
				s.Where = w.kind + "/" + w.name
				if n := w.ports[target]; n != "" {
					target = n
				}
				break
			}
		}
		s.Text, s.Num, s.Origin = x.port+"->"+target, source.Int([]byte(target)), x.at
		r.out.State(s)
	}
}
