package envoy

import (
	"bytes"
	"strconv"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

func sniffJSON(l *source.Line) source.Confidence {
	t := l.Text
	if len(t) < 20 || t[0] != '{' {
		return source.No
	}
	switch {
	case source.Has(t, `"response_flags"`), source.Has(t, `"response_code_details"`), source.Has(t, `"upstream_transport_failure_reason"`):
		return source.Sure
	case source.Has(t, `"responseFlags"`), source.Has(t, `"RESPONSE_FLAGS"`), source.Has(t, `"upstream_cluster"`) && source.Has(t, `"response_code"`):
		return source.Sure
	case source.Has(t, `"health_checker_type"`) && source.Has(t, `"cluster_name"`):
		return source.Sure
	case source.Has(t, `"cluster_name"`) && source.Has(t, `"upstream_url"`) && source.Has(t, `"action"`):
		return source.Sure
	}
	return source.No
}

// keys are the names under which JSON access logs hold a field, Istio's first,
// then those of Contour, Envoy Gateway and common custom formats.
var keys = struct {
	stamp, method, path, proto, status, flags, details, termination, transport, received, sent, duration, service,
	forwarded, agent, id, authority, upstream, cluster, remote, attempts []string
}{
	stamp:       []string{"start_time", "@timestamp", "timestamp", "time", "startTime", "START_TIME"},
	method:      []string{"method", ":method", "request_method", "requestMethod", "http_method"},
	path:        []string{"path", "x-envoy-original-path", "x-envoy-origin-path", ":path", "request_path", "requestPath", "original_path", "uri"},
	proto:       []string{"protocol", "PROTOCOL"},
	status:      []string{"response_code", "responseCode", "status", "status_code", "statusCode", "response_status", "RESPONSE_CODE"},
	flags:       []string{"response_flags", "responseFlags", "flags", "response_flags_long", "RESPONSE_FLAGS"},
	details:     []string{"response_code_details", "responseCodeDetails", "response_details", "RESPONSE_CODE_DETAILS"},
	termination: []string{"connection_termination_details", "connectionTerminationDetails"},
	transport:   []string{"upstream_transport_failure_reason", "upstreamTransportFailureReason", "UPSTREAM_TRANSPORT_FAILURE_REASON"},
	received:    []string{"bytes_received", "bytesReceived"},
	sent:        []string{"bytes_sent", "bytesSent"},
	duration:    []string{"duration", "DURATION", "duration_ms", "total_duration"},
	service:     []string{"upstream_service_time", "x-envoy-upstream-service-time", "upstreamServiceTime", "response_duration"},
	forwarded:   []string{"x_forwarded_for", "x-forwarded-for", "xForwardedFor"},
	agent:       []string{"user_agent", "user-agent", "userAgent"},
	id:          []string{"request_id", "x-request-id", "x_request_id", "requestId"},
	authority:   []string{"authority", ":authority", "host"},
	upstream:    []string{"upstream_host", "upstreamHost", "upstream_remote_address", "UPSTREAM_HOST"},
	cluster:     []string{"upstream_cluster", "upstreamCluster", "UPSTREAM_CLUSTER"},
	remote:      []string{"downstream_remote_address", "downstream_direct_remote_address", "downstreamRemoteAddress"},
	attempts:    []string{"upstream_request_attempt_count", "attempts", "upstreamRequestAttemptCount"},
}

// jsonReader reads access lines and event lines that are JSON objects.
type jsonReader struct {
	access accessReader
	parser fastjson.Parser
}

// Line implements [source.LineReader].
func (r *jsonReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) == 0 || l.Text[0] != '{' {
		return source.NotMine
	}
	v, err := r.parser.ParseBytes(l.Text)
	if err != nil {
		if sniffJSON(l) == source.No {
			return source.NotMine
		}
		return source.Broken
	}
	if v.Exists("cluster_name") && (v.Exists("health_checker_type") || v.Exists("upstream_url")) {
		r.health(v, out)
		return source.Mine
	}
	x := line{
		stamp: field(v, keys.stamp), method: field(v, keys.method), path: field(v, keys.path), proto: field(v, keys.proto),
		status: field(v, keys.status), flags: field(v, keys.flags), details: field(v, keys.details), termination: field(v, keys.termination),
		transport: field(v, keys.transport), received: field(v, keys.received), sent: field(v, keys.sent), duration: field(v, keys.duration),
		service: field(v, keys.service), forwarded: field(v, keys.forwarded), agent: field(v, keys.agent), id: field(v, keys.id),
		authority: field(v, keys.authority), upstream: field(v, keys.upstream), cluster: field(v, keys.cluster), remote: field(v, keys.remote),
		attempts: field(v, keys.attempts),
	}
	if len(x.status) == 0 && len(x.flags) == 0 {
		return source.NotMine
	}
	x.istio = v.Exists("authority") && v.Exists("route_name") && v.Exists("requested_server_name") || source.Has(x.cluster, "bound|")
	for _, k := range [...]string{"traceparent", "trace_id", "uber_trace_id", "x-b3-traceid"} {
		if id := v.GetStringBytes(k); len(id) > 1 && len(x.id) < 2 {
			x.id = id
		}
	}
	r.access.state(&x, out)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *jsonReader) Close(source.Sink) {}

// field is the first of some keys that holds a string or a number, as bytes.
func field(v *fastjson.Value, names []string) []byte {
	for _, k := range names {
		x := v.Get(k)
		if x == nil {
			continue
		}
		switch x.Type() {
		case fastjson.TypeString:
			if b := x.GetStringBytes(); len(b) > 0 && string(b) != "-" {
				return bytes.TrimSuffix(b, []byte("ms"))
			}
		case fastjson.TypeNumber:
			return strconv.AppendInt(nil, x.GetInt64(), 10)
		}
	}
	return nil
}

// health states an entry of Envoy's health-check or outlier-detection event
// log.
func (r *jsonReader) health(v *fastjson.Value, out source.Sink) {
	ev := &fact.Event{}
	if t, res, _, ok := source.ISOTime(r.access.env, v.GetStringBytes("timestamp")); ok {
		ev.Time, ev.Res = t, fact.Lasting(max(res, 1))
		if res < 1e6 {
			ev.Res = fact.Dur{}
		}
	}
	ev.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Name: string(v.GetStringBytes("cluster_name"))}
	if sa := v.Get("host", "socket_address"); sa != nil {
		ev.Party.Address = string(sa.GetStringBytes("address"))
		if p := sa.GetInt("port_value"); p > 0 {
			ev.Party.Address += ":" + strconv.Itoa(p)
		}
	}
	switch {
	case v.Exists("eject_unhealthy_event"):
		ev.Kind, ev.Reason = fact.BackendDown, "health-check"
		ev.Detail = string(v.GetStringBytes("eject_unhealthy_event", "failure_type"))
	case v.Exists("health_check_failure_event"):
		ev.Kind, ev.Reason = fact.ProbeFailed, "health-check"
		ev.Detail = string(v.GetStringBytes("health_check_failure_event", "failure_type"))
		if ev.Detail == "NETWORK_TIMEOUT" {
			ev.Attrs = map[string]string{fact.AttrWhy: "timeout"}
		}
	case v.Exists("add_healthy_event"):
		ev.Kind = fact.BackendUp
	case v.Exists("upstream_url"):
		ev.Party.Address = string(address(v.GetStringBytes("upstream_url")))
		ev.Reason = string(v.GetStringBytes("type"))
		ev.Count = v.GetInt("num_ejections")
		ev.Kind = fact.BackendEjected
		if string(v.GetStringBytes("action")) == "UNEJECT" {
			ev.Kind, ev.Count = fact.BackendUp, 0
		} else if x := v.Get("enforced"); x != nil && !x.GetBool() {
			out.Seen(ev.Time)
			return
		}
		ev.Count = 0
	default:
		out.Seen(ev.Time)
		return
	}
	out.State(ev)
}
