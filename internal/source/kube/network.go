package kube

import (
	"maps"
	"slices"
	"strings"

	"culprit/internal/fact"
)

type endpointAddress struct {
	IP        scalar    `json:"ip"`
	NodeName  scalar    `json:"nodeName"`
	TargetRef objectRef `json:"targetRef"`
}

type port struct {
	Port       scalar `json:"port"`
	TargetPort scalar `json:"targetPort"`
}

// readNetwork reads what stands between a balancer and the pods.
func (r *reader) readNetwork(kind string, fill func(any)) {
	switch kind {
	case "Endpoints":
		r.endpoints(fill)
	case "EndpointSlice":
		r.slice(fill)
	case "Service":
		r.service(fill)
	case "PodDisruptionBudget":
		r.disruption(fill)
	case "HorizontalPodAutoscaler":
		r.autoscaler(fill)
	case "Ingress", "ConfigMap":
		r.ingress(kind, fill)
	case "BackendConfig", "GCPBackendPolicy", "HealthCheckPolicy":
		r.balancer(kind, fill)
	}
}

func (r *reader) endpoints(fill func(any)) {
	var x struct {
		Metadata meta `json:"metadata"`
		Subsets  []struct {
			Addresses         []endpointAddress `json:"addresses"`
			NotReadyAddresses []endpointAddress `json:"notReadyAddresses"`
			Ports             []port            `json:"ports"`
		} `json:"subsets"`
	}
	fill(&x)
	o := r.named("Service", &x.Metadata)
	for _, s := range x.Subsets {
		p := ""
		if len(s.Ports) > 0 {
			p = s.Ports[0].Port.text
		}
		for _, a := range s.Addresses {
			r.member(&o, &a, p, "")
		}
		for _, a := range s.NotReadyAddresses {
			r.member(&o, &a, p, "not-ready")
		}
	}
	r.members(&o, r.at(x.Metadata.Name), 0)
}

func (r *reader) slice(fill func(any)) {
	var x struct {
		Metadata  meta `json:"metadata"`
		Endpoints []struct {
			Addresses  []scalar `json:"addresses"`
			Conditions struct {
				Ready       scalar `json:"ready"`
				Terminating scalar `json:"terminating"`
			} `json:"conditions"`
			NodeName  scalar    `json:"nodeName"`
			TargetRef objectRef `json:"targetRef"`
		} `json:"endpoints"`
		Ports []port `json:"ports"`
	}
	fill(&x)
	o := r.named("Service", &x.Metadata)
	if s := x.Metadata.Labels["kubernetes.io/service-name"].text; s != "" {
		o.name = s
	}
	p := ""
	if len(x.Ports) > 0 {
		p = x.Ports[0].Port.text
	}
	for _, e := range x.Endpoints {
		state := ""
		switch {
		case e.Conditions.Terminating.is("true"):
			state = "terminating"
		case e.Conditions.Ready.is("false"): // absent means ready
			state = "not-ready"
		}
		for _, a := range e.Addresses {
			r.member(&o, &endpointAddress{IP: a, NodeName: e.NodeName, TargetRef: e.TargetRef}, p, state)
		}
	}
	r.members(&o, r.at(x.Metadata.Name), 0)
}

// member states one member of a service: its address if traffic goes there,
// else what keeps traffic away.
func (r *reader) member(service *object, a *endpointAddress, port, state string) {
	addr := a.IP.text
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	if port != "" {
		addr += ":" + port
	}
	if state == "" {
		s := service.setting(fact.UpstreamAddress, "", "")
		s.Text, s.Basis, s.Origin = addr, fact.Measured, r.at(a.IP)
		s.Party.Address = addr
		r.out.State(s)
		r.members(service, fact.Origin{}, 1)
		return
	}
	o := object{namespace: service.namespace, kind: "Pod", name: a.TargetRef.Name.text, address: addr, node: a.NodeName.text}
	e := o.event(fact.NotReady, noTime)
	if e.Reason, e.Origin = "endpoint-"+state, r.at(a.IP); state == "terminating" {
		e.Kind = fact.EndpointGone
	}
	r.out.State(e)
}

// members counts what a service has ready, over all its slices.
func (r *reader) members(service *object, at fact.Origin, n int) {
	if r.rel.ready == nil {
		r.rel.ready = map[string]*readiness{}
	}
	key := service.namespace + "/" + service.name
	m := r.rel.ready[key]
	if m == nil {
		if len(r.rel.ready) >= maxRelated {
			return
		}
		m = &readiness{object: *service}
		r.rel.ready[key] = m
	}
	if m.n += n; m.at.Line == 0 {
		m.at = at
	}
}

// readiness is how many ready members a service has.
type readiness struct {
	object
	n  int
	at fact.Origin
}

// empty states the services that have no ready member.
func (r *reader) empty() {
	for _, key := range slices.Sorted(maps.Keys(r.rel.ready)) {
		m := r.rel.ready[key]
		if m.n > 0 || m.name == "kubernetes" {
			continue
		}
		e := m.event(fact.NoBackendLeft, noTime)
		e.Reason, e.Origin = "no-endpoints", m.at
		r.out.State(e)
	}
}

func (r *reader) service(fill func(any)) {
	var x struct {
		Metadata meta `json:"metadata"`
		Spec     struct {
			Selector map[string]scalar `json:"selector"`
			Ports    []port            `json:"ports"`
		} `json:"spec"`
	}
	fill(&x)
	o := r.named("Service", &x.Metadata)
	for _, p := range x.Spec.Ports {
		at, target := r.at(p.TargetPort), p.TargetPort.text
		if target == "" {
			at, target = r.at(p.Port), p.Port.text
		}
		if len(r.rel.routes) < maxRelated && p.Port.text != "" {
			r.rel.routes = append(r.rel.routes, route{object: o, selector: x.Spec.Selector, port: p.Port.text, target: target, at: at})
		}
	}
}

func (r *reader) disruption(fill func(any)) {
	var x struct {
		Metadata meta `json:"metadata"`
		Spec     struct {
			MinAvailable   scalar    `json:"minAvailable"`
			MaxUnavailable scalar    `json:"maxUnavailable"`
			Selector       *selector `json:"selector"`
		} `json:"spec"`
	}
	fill(&x)
	o := r.named("PodDisruptionBudget", &x.Metadata)
	s := o.setting(fact.DisruptionBudget, "minAvailable: {n}", "")
	switch {
	case x.Spec.MinAvailable.text != "":
		s.Text, s.Origin = "minAvailable "+x.Spec.MinAvailable.text, r.at(x.Spec.MinAvailable)
	case x.Spec.MaxUnavailable.text != "":
		s.Text, s.Origin, s.Spelling = "maxUnavailable "+x.Spec.MaxUnavailable.text, r.at(x.Spec.MaxUnavailable), "maxUnavailable: {n}"
	default:
		return
	}
	if x.Spec.Selector != nil {
		var labels []string
		for _, k := range slices.Sorted(maps.Keys(x.Spec.Selector.MatchLabels)) {
			labels = append(labels, k+"="+x.Spec.Selector.MatchLabels[k].text)
		}
		s.Where = "selector " + strings.Join(labels, ",")
	}
	if len(r.rel.budgets) < maxRelated {
		r.rel.budgets = append(r.rel.budgets, budget{o.namespace, s.Text, s.Spelling, x.Spec.Selector, s.Origin})
	}
	r.out.State(s)
}

func (r *reader) autoscaler(fill func(any)) {
	var x struct {
		Metadata meta `json:"metadata"`
		Spec     struct {
			MinReplicas    scalar    `json:"minReplicas"`
			ScaleTargetRef objectRef `json:"scaleTargetRef"`
		} `json:"spec"`
	}
	fill(&x)
	r.named("HorizontalPodAutoscaler", &x.Metadata)
	o := object{namespace: x.Metadata.Namespace.text, kind: x.Spec.ScaleTargetRef.Kind.text, name: x.Spec.ScaleTargetRef.Name.text}
	if n := x.Spec.MinReplicas.int(); n.Known && o.name != "" {
		s := o.setting(fact.Replicas, "minReplicas: {n}", "HorizontalPodAutoscaler/"+x.Metadata.Name.text)
		s.Num, s.Origin = n, r.at(x.Spec.MinReplicas)
		r.out.State(s)
	}
}

// option is a key of an annotation or a configuration map, and its knob. The
// units are those of the option: 's' seconds, 'n' a number, 'k' bytes with a
// suffix, 't' text.
type option struct {
	key  string
	knob fact.Knob
	unit byte
}

// nginxOptions are those of the ingress controller that is made of nginx; as
// annotations they begin with nginx.ingress.kubernetes.io/.
var nginxOptions = []option{
	{"proxy-read-timeout", fact.UpstreamReply, 's'}, {"proxy-connect-timeout", fact.UpstreamConnect, 's'},
	{"upstream-keepalive-timeout", fact.PoolIdle, 's'}, {"upstream-keepalive-connections", fact.PoolSize, 'n'},
	{"proxy-next-upstream", fact.UpstreamRetry, 't'}, {"proxy-buffer-size", fact.UpstreamHeaderMax, 'k'},
	{"keep-alive", fact.KeepAliveIdle, 's'}, {"keep-alive-requests", fact.MaxConnRequests, 'n'},
	{"max-worker-connections", fact.MaxConnections, 'n'}, {"worker-shutdown-timeout", fact.GracefulTimeout, 's'},
	{"limit-rps", fact.RateLimit, 't'}, {"limit-connections", fact.RateLimit, 't'}, {"custom-http-errors", fact.ErrorInterception, 't'},
}

// albOptions are those of the controller of Amazon's balancers.
var albOptions = []option{
	{"healthcheck-interval-seconds", fact.HealthPeriod, 's'}, {"healthcheck-timeout-seconds", fact.HealthTimeout, 's'},
	{"unhealthy-threshold-count", fact.HealthThreshold, 'n'},
}

func (r *reader) ingress(kind string, fill func(any)) {
	var x struct {
		Metadata meta              `json:"metadata"`
		Data     map[string]scalar `json:"data"`
	}
	fill(&x)
	o := r.named(kind, &x.Metadata)
	if kind == "ConfigMap" {
		if strings.Contains(o.name, "nginx") {
			r.options(&o, "nginx", nginxOptions, x.Data, "")
		}
		return
	}
	a := x.Metadata.Annotations
	r.options(&o, "nginx", nginxOptions, a, "nginx.ingress.kubernetes.io/")
	r.options(&o, "alb", albOptions, a, "alb.ingress.kubernetes.io/")
	for _, key := range [...]string{"ingress.kubernetes.io/backends", "networking.gke.io/backends"} {
		if b := []byte(a[key].text); isBackends(b) {
			r.backends(b, r.at(a[key]))
		}
	}
}

func (r *reader) options(o *object, tech string, opts []option, values map[string]scalar, front string) {
	for _, x := range opts {
		v, ok := values[front+x.key]
		if !ok {
			continue
		}
		s := o.setting(x.knob, front+x.key+": \"{"+string(x.unit)+"}\"", "")
		s.Party.Role, s.Party.Tech = fact.RoleGateway, tech
		s.Origin = r.at(v)
		switch x.unit {
		case 's':
			s.Dur = scalar{text: strings.TrimSuffix(v.text, "s")}.seconds()
		case 'n':
			s.Num = v.int()
		case 'k':
			s.Num, s.Spelling = nginxSize(v.text), front+x.key+": \"{n}\""
		default:
			s.Text, s.Spelling = v.text, front+x.key+":"
		}
		if s.Dur.Known || s.Num.Known || s.Text != "" {
			r.out.State(s)
		}
	}
}

// health is how Google's balancer checks and drains; the three kinds that say
// so nest it differently.
type health struct {
	TimeoutSec         scalar `json:"timeoutSec"`
	CheckIntervalSec   scalar `json:"checkIntervalSec"`
	UnhealthyThreshold scalar `json:"unhealthyThreshold"`
	RequestPath        scalar `json:"requestPath"`
	ConnectionDraining struct {
		DrainingTimeoutSec scalar `json:"drainingTimeoutSec"`
	} `json:"connectionDraining"`
}

func (r *reader) balancer(kind string, fill func(any)) {
	var x struct {
		Metadata meta `json:"metadata"`
		Spec     struct {
			TimeoutSec         scalar `json:"timeoutSec"`
			ConnectionDraining struct {
				DrainingTimeoutSec scalar `json:"drainingTimeoutSec"`
			} `json:"connectionDraining"`
			HealthCheck health `json:"healthCheck"`
			Default     health `json:"default"`
		} `json:"spec"`
	}
	fill(&x)
	o := r.named(kind, &x.Metadata)
	say := func(k fact.Knob, key string, v scalar, seconds bool) {
		if !v.int().Known {
			return
		}
		s := o.setting(k, key+": {s}", "spec")
		if s.Party.Role, s.Party.Tech, s.Origin = fact.RoleGateway, "gclb", r.at(v); seconds {
			s.Dur = v.seconds()
		} else {
			s.Num, s.Spelling = v.int(), key+": {n}"
		}
		r.out.State(s)
	}
	say(fact.UpstreamReply, "timeoutSec", x.Spec.TimeoutSec, true)
	say(fact.GracefulTimeout, "connectionDraining.drainingTimeoutSec", x.Spec.ConnectionDraining.DrainingTimeoutSec, true)
	say(fact.GracefulTimeout, "connectionDraining.drainingTimeoutSec", x.Spec.Default.ConnectionDraining.DrainingTimeoutSec, true)
	h := x.Spec.HealthCheck
	if kind == "HealthCheckPolicy" {
		h = x.Spec.Default
	} else if kind == "GCPBackendPolicy" {
		say(fact.UpstreamReply, "timeoutSec", x.Spec.Default.TimeoutSec, true)
		return
	}
	say(fact.HealthPeriod, "checkIntervalSec", h.CheckIntervalSec, true)
	say(fact.HealthTimeout, "timeoutSec", h.TimeoutSec, true)
	say(fact.HealthThreshold, "unhealthyThreshold", h.UnhealthyThreshold, false)
}

// nginxSize reads "8k", "1m" or "4096" into bytes.
func nginxSize(s string) fact.Int {
	unit := int64(1)
	switch n := len(s); {
	case n > 0 && s[n-1]|0x20 == 'k':
		s, unit = s[:n-1], 1<<10
	case n > 0 && s[n-1]|0x20 == 'm':
		s, unit = s[:n-1], 1<<20
	}
	n := scalar{text: s}.int()
	if !n.Known || n.N < 0 || n.N > 1<<40 {
		return fact.Int{}
	}
	return fact.Num(n.N * unit)
}
