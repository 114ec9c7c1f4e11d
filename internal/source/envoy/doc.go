// Package envoy reads what Envoy and the meshes and gateways built on it
// (Istio, Contour, Emissary, Envoy Gateway) write: access logs in Envoy's and
// Istio's default text formats of all ages, access logs as JSON with the keys
// they use, the process log, health-check and outlier event logs, and the text
// that Envoy sends to a client in place of an answer.
//
// Formats, response flags and response code details:
// https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter,
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details,
// https://istio.io/latest/docs/tasks/observability/logs/access-log/. An access
// line's stamp is the start of the request.
package envoy

import "culprit/internal/source"

const tech = "envoy"

// Formats lists what Envoy writes.
var Formats = []source.Format{
	{
		ID: "envoy-access", Tech: tech, Title: "Envoy or Istio access log",
		Sniff:       sniffAccess,
		NewReader:   func(env *source.Env) source.LineReader { return &accessReader{env: env} },
		Independent: true,
	},
	{
		ID: "envoy-json", Tech: tech, Title: "Envoy or Istio log as JSON",
		Sniff:       sniffJSON,
		NewReader:   func(env *source.Env) source.LineReader { return &jsonReader{access: accessReader{env: env}} },
		Independent: true,
	},
	pairs,
	{
		ID: "envoy-log", Tech: tech, Title: "Envoy process log",
		Sniff:       sniffLog,
		NewReader:   func(env *source.Env) source.LineReader { return &logReader{env: env} },
		Independent: true,
	},
	{
		ID: "envoy-reply", Tech: tech, Title: "Envoy's own answer to a client",
		Sniff:       sniffReply,
		NewReader:   func(env *source.Env) source.LineReader { return &replyReader{env: env} },
		Independent: true,
	},
}
