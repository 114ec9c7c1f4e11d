// Package node reads what Node.js servers and the tools around them write:
// uncaught errors with their traces, V8's last words when its heap is full,
// pm2, nodemon and npm, the development proxies of Next, Vite and
// http-proxy-middleware, request logs of morgan, pino, bunyan and winston, and
// the lines of server code that set timeouts.
//
// Numbers are those of nodejs.org/api/http.html: an idle connection is closed
// after 5 s; versions from 20.20, 22.23 and 24.21 on advertise that and close
// one second later (measured; keepAliveTimeoutBuffer).
package node

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "node"

// Formats is what this package reads.
var Formats = []source.Format{serverFile, jsonLog, accessLog, processLog, sourceCode}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

// docHTTP documents the defaults.
const docHTTP = "https://nodejs.org/api/http.html"

// defaults states what Node does unless told otherwise.
func defaults(l *source.Line, out source.Sink) {
	for _, d := range [...]struct {
		knob     fact.Knob
		dur      time.Duration
		text     string
		spelling string
		anchor   string
	}{
		{fact.KeepAliveIdle, 5 * time.Second, "advertised; 20.20, 22.23, 24.21 and later close after 6 s", "server.keepAliveTimeout = {ms};", "#serverkeepalivetimeout"},
		{fact.HeaderTimeout, time.Minute, "", "server.headersTimeout = {ms};", "#serverheaderstimeout"},
		{fact.RequestTimeout, 5 * time.Minute, "", "server.requestTimeout = {ms};", "#serverrequesttimeout"},
	} {
		s := &fact.Setting{Knob: d.knob, Dur: fact.Lasting(d.dur), Text: d.text, Basis: fact.Default, Spelling: d.spelling, Where: "the file that calls listen()"}
		s.Party, s.Origin.URL, s.Origin.Line = backend(), docHTTP+d.anchor, l.N
		out.State(s)
	}
}
