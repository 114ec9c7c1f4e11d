// Package protocolerror judges answers that are not valid HTTP.
package protocolerror

import (
	"fmt"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "protocol-error",
	Title: "The server's answer is not valid HTTP",
	What:  "The answer breaks the rules of HTTP, so the proxy refuses to pass it on: a header line with blanks or control characters in its name, Content-Length and Transfer-Encoding together or twice, a status line that is none, a broken chunk.",
	Shows: []string{
		"nginx: upstream sent invalid header, duplicate header line, no valid HTTP/1.0 header; HAProxy: PH and `invalid response` in `show errors`; Envoy: UPE, 502 protocol_error",
		"often after an upgrade of the proxy, which reads more strictly than before",
		"often an application that copies the headers of its own upstream (Transfer-Encoding, Connection)",
	},
	Fixes: []string{
		"mend the header that the application sends; do not copy hop-by-hop headers from another answer",
		"as a stopgap, let the proxy drop that header or read less strictly",
	},
	Mechanisms: []fact.Mechanism{fact.BadReply},
	Prior:      4,
	PriorWhy:   "the proxy names the fault itself; what else makes an answer unreadable is a wrong port, which shows itself",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	if len(e.Failures) == 0 {
		return cause.Opinion{}
	}
	f := e.Failures[0]
	o := cause.Opinion{Blame: f.Backend}
	says := fmt.Sprintf("the proxy could not read %s as HTTP", cause.Count(e.N(), "answer"))
	if f.Detail != "" {
		says += ": " + cause.Cut(f.Detail, 160)
	}
	s := cause.Itself(e, 8, "the proxy says so in words of its own", says)
	if told := f.Seen[len(f.Seen)-1]; told.Wire && cause.Captured(e.Failures) && f.Code == "" {
		// No party complains: clients differ in what they take.
		s = cause.For(4, "packets show the bytes; that the one who asked could not use them, they do not", fmt.Sprintf("%s did not begin as HTTP does: %s", cause.Count(e.N(), "answer"), cause.Cut(f.Detail, 100)), cause.CiteConns(e.Failures)...)
	}
	o.Signals = append(o.Signals, s)
	o.Fix = cause.Fix{
		Summary: "Mend what the application sends in its header; the proxy's error names the line.",
		Steps:   []string{"see the raw answer: printf 'GET /PATH HTTP/1.1\\r\\nHost: HOST\\r\\nConnection: close\\r\\n\\r\\n' | nc SERVER PORT | head -30 | cat -A"},
	}
	switch e.Gateway.Tech {
	case "haproxy":
		o.Fix.Steps = append(o.Fix.Steps, "the bytes HAProxy refused: echo 'show errors' | socat stdio /run/haproxy/admin.sock")
	case "nginx":
		o.Fix.Steps = append(o.Fix.Steps, "nginx from 1.21.1 on refuses blanks and control characters in header names")
	}
	return o
}
