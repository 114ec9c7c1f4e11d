// Package gclb reads what Google Cloud writes about its Application Load
// Balancers: LogEntry objects as a sink exports them (one JSON object a line),
// as `gcloud logging read` prints them (a JSON array, or YAML documents), and
// what is left of them in tables, CSV downloads and tickets.
//
// Global and classic balancers tell in jsonPayload.statusDetails how a request
// ended, regional and internal ones (they are Envoy) in jsonPayload.proxyStatus.
// The stamp of an entry is the instant at which the first front end received
// the request, so the latency is added to it.
//
// An export often holds more than balancer entries: health-check transitions,
// container logs, cluster events, audit entries of preempted machines. Those
// are stated as events, and texts inside are handed on as lines of their own.
//
// Meanings of statusDetails, fixed time-outs and fields:
// https://cloud.google.com/load-balancing/docs/https/https-logging-monitoring and
// https://cloud.google.com/load-balancing/docs/https/timeouts-and-retries;
// names of proxyStatus errors: RFC 9209.
package gclb

import "culprit/internal/source"

const tech = "gclb"

// Formats lists what Google's balancers and log exports look like.
var Formats = []source.Format{
	{
		ID: "gcp-log", Tech: tech, Title: "Google Cloud log entries, one JSON object a line",
		Sniff:       sniffEntry,
		NewReader:   func(env *source.Env) source.LineReader { return newReader(env) },
		Independent: true,
	},
	{
		ID: "gcp-log-list", Tech: tech, Title: "Google Cloud log entries as gcloud prints them",
		SniffDoc: sniffDoc, ReadDoc: readDoc,
	},
	resource,
	{
		ID: "gcp-table", Tech: tech, Title: "table or CSV of Google Cloud balancer entries",
		Sniff:     sniffWords,
		NewReader: func(env *source.Env) source.LineReader { return &wordsReader{env: env} },
	},
}
