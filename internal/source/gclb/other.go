package gclb

import (
	"bytes"
	"strings"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// other reads an entry that is no balancer's: health checks, cluster events,
// audit entries; whatever holds a text hands it on as a line of its own.
func (r *reader) other(v *fastjson.Value, e *entry, l *source.Line, out source.Sink) {
	h := fact.Header{}
	h.Time, h.Res = r.stamp(e.stamp)
	payload := v.Get("jsonPayload")
	switch {
	case payload != nil && payload.Exists("healthCheckProbeResult"):
		r.health(h, v, payload.Get("healthCheckProbeResult"), out)
	case payload != nil && payload.Exists("involvedObject"):
		// A Kubernetes event, exported whole: its own reader knows the reasons.
		c := *l
		c.Text, c.Time, c.Res = payload.MarshalTo(nil), h.Time, h.Res
		out.Inner(&c)
	case v.Exists("protoPayload", "methodName"):
		r.audit(h, v, out)
	default:
		r.inside(h, v, l, out)
	}
	out.Seen(h.Time)
}

// text is the string at a path, "" if there is none. It is a copy.
func text(v *fastjson.Value, path ...string) string {
	if v == nil {
		return ""
	}
	return string(v.GetStringBytes(path...))
}

// first is the first of some values that is there.
func first(values ...string) string {
	for _, s := range values {
		if s != "" {
			return s
		}
	}
	return ""
}

// health states a transition of a balancer's health check.
func (r *reader) health(h fact.Header, v, p *fastjson.Value, out source.Sink) {
	state := first(text(p, "detailedHealthState"), text(p, "healthState"))
	was := first(text(p, "previousDetailedHealthState"), text(p, "previousHealthState"))
	addr := first(text(p, "ipAddress"), text(p, "targetIp"))
	if port := first(number(p, "port"), number(p, "targetPort")); port != "" && addr != "" {
		addr += ":" + port
	}
	ev := &fact.Event{Header: h, Detail: text(p, "probeResultText")}
	ev.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Address: addr,
		Name: first(text(v, "resource", "labels", "instance_group_name"), text(v, "resource", "labels", "network_endpoint_group_id"))}
	ev.Lasted = source.Secs([]byte(strings.TrimSuffix(text(p, "responseLatency"), "s")))
	ev.Attrs = map[string]string{}
	if proto := text(p, "healthCheckProtocol"); proto != "" {
		ev.Attrs["protocol"] = proto
	}
	switch {
	case state == "TIMEOUT":
		ev.Attrs[fact.AttrWhy] = "timeout"
	case strings.Contains(strings.ToLower(ev.Detail), "refused"):
		ev.Attrs[fact.AttrWhy] = "refused"
	case strings.Contains(ev.Detail, "HTTP response") || strings.Contains(ev.Detail, "status"):
		ev.Attrs[fact.AttrWhy] = "status"
	}
	if ev.Detail == "" {
		ev.Detail = state
	}
	switch state {
	case "HEALTHY":
		ev.Kind, ev.Attrs = fact.BackendUp, nil
	case "DRAINING":
		ev.Kind, ev.Reason = fact.EndpointGone, "draining"
	case "UNHEALTHY", "TIMEOUT":
		ev.Kind, ev.Reason = fact.BackendDown, "health-check"
		if was == "UNHEALTHY" || was == "TIMEOUT" {
			ev.Kind = fact.ProbeFailed
		}
	default:
		return
	}
	out.State(ev)
}

// number is the number or string at a path in digits.
func number(v *fastjson.Value, path ...string) string {
	x := v.Get(path...)
	if x == nil {
		return ""
	}
	return strings.Trim(x.String(), `"`)
}

// auditKinds are the audited operations that take capacity away or bring it
// back, by the end of their method name.
var auditKinds = []struct {
	method string
	kind   fact.EventKind
	reason string
}{
	{"compute.instances.preempted", fact.NodeTerminating, "preempted"},
	{"compute.instances.hostError", fact.NodeLost, "host-error"},
	{"compute.instances.terminateOnHostMaintenance", fact.NodeTerminating, "maintenance"},
	{"compute.instances.migrateOnHostMaintenance", fact.NodePressure, "live-migration"},
	{"compute.instances.guestTerminate", fact.NodeTerminating, "guest-shutdown"},
	{"compute.instances.automaticRestart", fact.NodeBack, "automatic-restart"},
	{"compute.instances.repair.recreateInstance", fact.NodeTerminating, "autohealing"},
	{"compute.instances.simulateMaintenanceEvent", fact.NodeTerminating, "maintenance"},
	{"compute.instances.delete", fact.NodeTerminating, "deleted"},
	{"compute.instances.stop", fact.NodeTerminating, "stopped"},
	{"compute.instances.suspend", fact.NodeTerminating, "suspended"},
	{"compute.instances.reset", fact.NodeTerminating, "reset"},
	{"compute.instances.insert", fact.NodeBack, "created"},
	{"compute.instances.start", fact.NodeBack, "started"},
	{"compute.networkEndpointGroups.detachNetworkEndpoints", fact.EndpointGone, "detached"},
	{"compute.networkEndpointGroups.attachNetworkEndpoints", fact.EndpointAdded, "attached"},
	{"compute.backendServices.patch", fact.ConfigReloaded, "backend-service"},
	{"compute.backendServices.update", fact.ConfigReloaded, "backend-service"},
	{"compute.backendServices.delete", fact.ConfigReloaded, "backend-service"},
	{"compute.urlMaps.patch", fact.ConfigReloaded, "url-map"},
	{"compute.urlMaps.update", fact.ConfigReloaded, "url-map"},
	{"compute.healthChecks.patch", fact.ConfigReloaded, "health-check"},
	{"compute.healthChecks.update", fact.ConfigReloaded, "health-check"},
	{"compute.firewalls.patch", fact.ConfigReloaded, "firewall"},
	{"compute.firewalls.update", fact.ConfigReloaded, "firewall"},
	{"compute.firewalls.delete", fact.ConfigReloaded, "firewall"},
	{"compute.firewalls.insert", fact.ConfigReloaded, "firewall"},
	{"ClusterManager.UpdateNodePool", fact.NodeTerminating, "node-pool-update"},
	{"ClusterManager.DeleteNodePool", fact.NodeTerminating, "node-pool-deleted"},
	{"ClusterManager.SetNodePoolSize", fact.NodeTerminating, "node-pool-resized"},
	{"ClusterManagerInternal.UpdateClusterInternal", fact.NodeTerminating, "upgrade"},
	{"ClusterManagerInternal.RepairNodePool", fact.NodeTerminating, "auto-repair"},
	{"io.k8s.core.v1.nodes.delete", fact.NodeTerminating, "deleted"},
	{"io.k8s.core.v1.pods.eviction.create", fact.PodEvicted, "evicted"},
	{"io.k8s.apps.v1.deployments.patch", fact.Rollout, "deploy"},
	{"io.k8s.apps.v1.deployments.update", fact.Rollout, "deploy"},
	{"io.k8s.apps.v1.statefulsets.patch", fact.Rollout, "deploy"},
	{"io.k8s.apps.v1.statefulsets.update", fact.Rollout, "deploy"},
}

// audit states an audited operation that matters. Of a long one's two entries
// the first counts; what the cluster's own controllers write is no rollout.
func (r *reader) audit(h fact.Header, v *fastjson.Value, out source.Sink) {
	method := text(v, "protoPayload", "methodName")
	if v.GetBool("operation", "last") && !v.GetBool("operation", "first") {
		return
	}
	if code := v.GetInt("protoPayload", "status", "code"); code != 0 {
		return // it was refused
	}
	for _, k := range auditKinds {
		if !strings.HasSuffix(method, k.method) {
			continue
		}
		who := text(v, "protoPayload", "authenticationInfo", "principalEmail")
		if k.kind == fact.Rollout && strings.HasPrefix(who, "system:") {
			return
		}
		name := text(v, "protoPayload", "resourceName")
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			name = name[i+1:]
		}
		if name == "eviction" {
			if parts := strings.Split(text(v, "protoPayload", "resourceName"), "/"); len(parts) > 1 {
				name = parts[len(parts)-2]
			}
		}
		ev := &fact.Event{Header: h, Kind: k.kind, Reason: k.reason, Detail: method}
		ev.Party = fact.Party{Role: fact.RoleOrchestrator, Tech: tech, Name: name}
		switch k.kind {
		case fact.NodeTerminating, fact.NodeLost, fact.NodeBack, fact.NodePressure:
			ev.Party = fact.Party{Role: fact.RoleHost, Tech: tech, Name: name, Host: name}
		case fact.ConfigReloaded:
			ev.Party.Role = fact.RoleGateway
		case fact.EndpointAdded, fact.EndpointGone:
			ev.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Name: name}
		}
		if m := text(v, "protoPayload", "status", "message"); m != "" {
			ev.Detail = m
		}
		out.State(ev)
		return
	}
}

// bookkeeping are the fields that a logger adds beside a message: an object
// with no others is that message.
var bookkeeping = map[string]bool{
	"message": true, "MESSAGE": true, "pid": true, "tid": true, "thread": true, "logger": true, "severity": true, "level": true,
	"time": true, "timestamp": true, "stream": true, "logtag": true, "@type": true, "sourceLocation": true, "source": true,
	"PRIORITY": true, "SYSLOG_IDENTIFIER": true, "SYSLOG_FACILITY": true, "SYSLOG_TIMESTAMP": true, "_TRANSPORT": true, "_HOSTNAME": true,
	"_PID": true, "_UID": true, "_GID": true, "_COMM": true, "_EXE": true, "_CMDLINE": true, "_SYSTEMD_UNIT": true, "_SYSTEMD_CGROUP": true,
	"_SYSTEMD_SLICE": true, "_BOOT_ID": true, "_MACHINE_ID": true, "_CAP_EFFECTIVE": true, "_SYSTEMD_INVOCATION_ID": true,
	"_STREAM_ID": true, "_SOURCE_REALTIME_TIMESTAMP": true, "_SOURCE_MONOTONIC_TIMESTAMP": true, "SYSLOG_PID": true, "SYSLOG_RAW": true,
	"_SELINUX_CONTEXT": true, "_KERNEL_DEVICE": true, "_KERNEL_SUBSYSTEM": true, "ident": true, "host": true, "localTimestamp": true,
	"_p": true, "bootid": true,
}

// inside hands on the text an entry holds, line by line, with what the entry
// says of where it came from.
func (r *reader) inside(h fact.Header, v *fastjson.Value, l *source.Line, out source.Sink) {
	in := &r.inner
	*in = source.Line{Path: l.Path, N: l.N, Time: h.Time, Res: h.Res, Wrapped: true}
	labels := v.Get("resource", "labels")
	node := text(v, "labels", "compute.googleapis.com/resource_name")
	switch typ := text(v, "resource", "type"); typ {
	case "k8s_container", "k8s_pod", "container", "gke_container":
		in.Container = first(text(labels, "pod_name"), text(labels, "pod_id"))
		in.Host = node
	case "k8s_node":
		in.Host = text(labels, "node_name")
	case "cloud_run_revision", "cloud_run_job":
		in.Container = first(text(labels, "service_name"), text(labels, "job_name"))
	default:
		in.Host = first(node, text(v, "jsonPayload", "_HOSTNAME"), text(labels, "instance_id"))
	}
	body := v.GetStringBytes("textPayload")
	if p := v.Get("jsonPayload"); body == nil && p != nil && p.Type() == fastjson.TypeObject {
		in.Program, in.Unit = text(p, "SYSLOG_IDENTIFIER"), text(p, "_SYSTEMD_UNIT")
		in.PID = source.PID([]byte(first(number(p, "_PID"), number(p, "SYSLOG_PID"))))
		if p.Exists("SYSLOG_IDENTIFIER") && in.Host == "" {
			in.Host = text(p, "_HOSTNAME")
		}
		body = message(p)
		if body == nil {
			r.scratch = p.MarshalTo(r.scratch[:0])
			body = r.scratch
		}
	}
	for line := range bytes.Lines(body) {
		in.Text = bytes.TrimRight(line, "\r\n")
		if len(in.Text) > 0 {
			c := *in
			out.Inner(&c)
		}
	}
}

// message is the text of an object that holds nothing else, nil if it does.
func message(p *fastjson.Value) []byte {
	var body []byte
	only := true
	p.GetObject().Visit(func(k []byte, x *fastjson.Value) {
		switch {
		case string(k) == "message" || string(k) == "MESSAGE":
			body = x.GetStringBytes()
		case !bookkeeping[string(k)] && !strings.HasPrefix(string(k), "logging.googleapis.com/"):
			only = false
		}
	})
	if !only {
		return nil
	}
	return body
}
