package nginx

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// noPeer: a Lua balancer found no member to hand the request to.
func (x *report) noPeer() {
	q := x.ask(fact.NoBackend, fact.PhaseConnecting)
	q.Attempts = q.Attempts[:0]
	x.state(q)
}

func (x *report) targetDown() { x.target(fact.BackendDown) }
func (x *report) targetUp()   { x.target(fact.BackendUp) }

// target: a health checker changed its mind on a member.
func (x *report) target(kind fact.EventKind) {
	ev := x.event(kind)
	ev.Party = fact.Party{Role: fact.RoleBackend, Address: string(x.holes[0])}
	if len(x.holes[1]) > 0 {
		ev.Party.Name, ev.Party.Address = string(x.holes[0]), string(x.holes[1])
	}
	ev.Detail = "target status changed"
	x.state(ev)
}

// probed: a check, or a request that counts as one, failed.
func (x *report) probed() {
	ev := x.event(fact.ProbeFailed)
	ev.Party = fact.Party{Role: fact.RoleBackend, Name: string(x.holes[3]), Address: string(x.holes[4])}
	ev.Reason = "health-check"
	ev.Used, ev.Max = source.Int(x.holes[1]), source.Int(x.holes[2])
	why := map[string]string{"TCP": "refused", "HTTP": "status", "TIMEOUT": "timeout"}[string(x.holes[0])]
	if why != "" {
		ev.Attrs = map[string]string{fact.AttrWhy: why}
	}
	ev.Detail = "unhealthy " + string(x.holes[0])
	x.state(ev)
}

func (x *report) kongDNS() {
	x.holes[1] = firstLine(x.holes[1])
	x.unresolved()
}

// lua: a script of the gateway's died; the client gets 500.
func (x *report) lua() { x.fail(fact.GatewayFault, "") }

// cosocket: a script could not talk to something of its own: a cache, a
// database.
func (x *report) cosocket() {
	ev := x.event(fact.DependencyDown)
	ev.Reason = "timeout"
	if to := x.holes[0]; bytes.IndexByte(to, ':') > 0 {
		ev.Attrs = map[string]string{fact.AttrDependency: strings.TrimSuffix(string(to), ",")}
	}
	x.state(ev)
}

// controllerRules are the messages of ingress-nginx' controller that matter.
var controllerRules = source.NewRules(
	source.Rule[func(*report)]{Words: `Service "%w" does not have any active Endpoint`, Do: (*report).noEndpoints},
	source.Rule[func(*report)]{Words: `service %w does not have any active endpoints`, Do: (*report).noEndpoints},
	source.Rule[func(*report)]{Words: `Error obtaining Endpoints for Service "%w"`, Do: (*report).noEndpoints},
	source.Rule[func(*report)]{Words: "ackend successfully reloaded", Do: (*report).reloaded},
	source.Rule[func(*report)]{Words: "backend reload required", Do: (*report).nothing},
	source.Rule[func(*report)]{Words: "Unexpected failure reloading the backend", Do: (*report).broken},
	source.Rule[func(*report)]{Words: "Error reloading NGINX", Do: (*report).broken},
	source.Rule[func(*report)]{Words: "Received SIGTERM, shutting down", Do: (*report).stopping},
	source.Rule[func(*report)]{Words: "Shutting down controller queues", Do: (*report).nothing},
	source.Rule[func(*report)]{Words: "Starting NGINX process", Do: (*report).booted},
	source.Rule[func(*report)]{Words: "Starting NGINX Ingress controller", Do: (*report).nothing},
	source.Rule[func(*report)]{Words: "NGINX process has stopped", Do: (*report).nothing},
)

func (x *report) nothing() {}

func (x *report) noEndpoints() {
	svc := string(x.holes[0])
	ev := x.event(fact.NoBackendLeft)
	ev.Party = fact.Party{Role: fact.RoleBackend, Name: svc}
	ev.Attrs = map[string]string{fact.AttrObject: "Service/" + svc}
	if ns, name, ok := strings.Cut(svc, "/"); ok {
		ev.Party.Name = name
		ev.Attrs[fact.AttrNamespace], ev.Attrs[fact.AttrObject] = ns, "Service/"+name
	}
	ev.Detail = "Service does not have any active Endpoint"
	x.state(ev)
}

func (x *report) reloaded() { x.state(x.event(fact.ConfigReloaded)) }

func (x *report) stopping() {
	ev := x.event(fact.ProcessStopping)
	ev.Signal, ev.Reason = 15, "SIGTERM"
	x.state(ev)
}

func (x *report) booted() { x.state(x.event(fact.ProcessStarted)) }

// kongTried: a name that Kong's or APISIX' DNS client could not look up; what
// it asked for stands in the list of its tries.
func (x *report) kongTried() {
	why, name := x.holes[0], x.holes[1]
	x.holes[0], x.holes[1] = name, firstLine(why)
	x.unresolved()
}

// dnsAnswer: the name server answered with an error, "3 name error".
func (x *report) dnsAnswer() {
	x.holes[0], x.holes[1] = nil, firstLine(x.holes[1])
	x.unresolved()
}

// nameless: Kong's answer to a client, quoted.
func (x *report) nameless() {
	x.holes[0], x.holes[1] = nil, []byte("name resolution failed")
	x.unresolved()
}

// unresolvedLate: nginx's words for a name, behind another's.
func (x *report) unresolvedLate() {
	i := bytes.Index(x.msg, []byte(" could not be resolved ("))
	if i < 0 {
		i = 0
	}
	x.holes[0] = x.msg[bytes.LastIndexByte(x.msg[:i], ' ')+1 : i]
	x.unresolved()
}

func (x *report) plusDown() { x.checked(fact.BackendDown, x.holes[2], x.holes[3]) }
func (x *report) plusUp()   { x.checked(fact.BackendUp, x.holes[2], x.holes[3]) }
func (x *report) peerDown() { x.checked(fact.BackendDown, x.holes[0], nil) }
func (x *report) peerUp()   { x.checked(fact.BackendUp, x.holes[0], nil) }

// checked: a health checker took a member out or put it back.
func (x *report) checked(kind fact.EventKind, addr, group []byte) {
	ev := x.event(kind)
	ev.Party = fact.Party{Role: fact.RoleBackend, Name: string(group), Address: string(bytes.Trim(addr, `",.`))}
	x.state(ev)
}

// peerSlow: a member did not answer its health check in time.
func (x *report) peerSlow() {
	ev := x.event(fact.ProbeFailed)
	ev.Party = fact.Party{Role: fact.RoleBackend, Address: string(bytes.Trim(x.holes[0], `",. `))}
	ev.Reason = "health-check"
	ev.Attrs = map[string]string{fact.AttrWhy: "timeout"}
	x.state(ev)
}
