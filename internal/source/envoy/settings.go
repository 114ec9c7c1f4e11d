package envoy

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Documents that state the time-outs below.
const (
	docEnvoy = "https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts"
	docIstio = "https://istio.io/latest/docs/concepts/traffic-management/"
)

// What Envoy does unless it is told otherwise.
const (
	upstreamIdle   = time.Hour        // common_http_protocol_options.idle_timeout of a cluster
	routeTimeout   = 15 * time.Second // a route's timeout
	connect        = 5 * time.Second  // a cluster's connect_timeout, TLS included
	istioConnect   = 10 * time.Second // what Istio sets for connect_timeout
	downstreamIdle = time.Hour
)

// stateDefaults states the documented time-outs. Istio switches the route's
// off and retries twice, though not on a connection that was closed.
func stateDefaults(istio bool, out source.Sink) {
	set := func(s fact.Setting, url string) {
		s.Basis = fact.Default
		s.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
		s.Origin.URL = url
		out.State(&s)
	}
	if istio {
		const rule = "DestinationRule trafficPolicy.connectionPool"
		set(fact.Setting{Knob: fact.PoolIdle, Dur: fact.Lasting(upstreamIdle), Spelling: "http: {idleTimeout: {s}s}", Where: rule}, docEnvoy)
		set(fact.Setting{Knob: fact.UpstreamReply, Text: "none", Spelling: "timeout: {s}s", Where: "VirtualService http route"}, docIstio)
		set(fact.Setting{Knob: fact.UpstreamConnect, Dur: fact.Lasting(istioConnect), Spelling: "tcp: {connectTimeout: {s}s}", Where: rule}, docIstio)
		set(fact.Setting{Knob: fact.UpstreamRetry, Text: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes", Spelling: "retries: {attempts: 2, retryOn: \"...\"}", Where: "VirtualService http route"}, docIstio)
		return
	}
	set(fact.Setting{Knob: fact.PoolIdle, Dur: fact.Lasting(upstreamIdle), Spelling: "common_http_protocol_options: {idle_timeout: {s}s}", Where: "cluster typed_extension_protocol_options"}, docEnvoy)
	set(fact.Setting{Knob: fact.UpstreamReply, Dur: fact.Lasting(routeTimeout), Spelling: "timeout: {s}s", Where: "route"}, docEnvoy)
	set(fact.Setting{Knob: fact.UpstreamConnect, Dur: fact.Lasting(connect), Spelling: "connect_timeout: {s}s", Where: "cluster"}, docEnvoy)
	set(fact.Setting{Knob: fact.KeepAliveIdle, Dur: fact.Lasting(downstreamIdle), Spelling: "common_http_protocol_options: {idle_timeout: {s}s}", Where: "http_connection_manager"}, docEnvoy)
}
