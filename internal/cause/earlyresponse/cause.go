// Package earlyresponse judges servers that answer before they have read the
// whole request.
package earlyresponse

import (
	"fmt"
	"strings"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "early-response",
	Title: "The server answered and closed before it had read the whole request",
	What:  "The application answers an upload early (too large, not allowed, or just done) and closes while the proxy still sends the body. The close with unread data becomes a reset, and the answer is often lost with it.",
	Shows: []string{
		"nginx: writev() or sendfile() failed (32: Broken pipe) or (104) while sending request to upstream",
		"Google: backend_early_response_with_non_error_status, aborted_request_due_to_backend_early_response",
		"the application did log the request, often with 401, 413 or 200; only uploads fail",
	},
	Fixes: []string{
		"let the application read (or discard) the whole body before it answers and closes",
		"or refuse large uploads at the proxy: client_max_body_size below the application's limit",
	},
	Mechanisms: []fact.Mechanism{fact.EarlyReply, fact.ResetBeforeReply, fact.ClosedBeforeReply},
	Prior:      -6,
	PriorWhy:   "rare beside races and crashes where a connection ends early",
	Explain:    explain,
}

// bigBody: under this a body is in the socket's buffer before the server can
// answer, so it does not matter that it is not read (bytes).
const bigBody = 64 << 10

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	f := e.Failures[0]
	if e.Mechanism == fact.EarlyReply {
		s := cause.Itself(e, 24, "the gateway says so in words of its own", fmt.Sprintf("the server answered %s before the whole request was there", cause.Count(e.N(), "time")))
		if cause.Captured(e.Failures) {
			s.Why, s.Facts = "packets show the answer before the end of the request, and the reset after it", cause.CiteConns(e.Failures)
			if n := f.Try.Status; n.Known {
				s.Says += fmt.Sprintf(" (%d), and reset the connection while the rest was being sent", n.N)
			}
		}
		o.Signals = append(o.Signals, s)
	} else {
		var claims, logged []*failure.Failure
		big := 0
		for _, x := range e.Failures {
			if x.Phase != fact.PhaseSending {
				continue
			}
			claims = append(claims, x)
			if x.BackendSaw == failure.Yes {
				logged = append(logged, x)
			}
			for _, r := range x.Seen {
				if r.ReqBytes.Or(0) > bigBody {
					big++
					break
				}
			}
		}
		if len(claims) == 0 {
			return o
		}
		if len(claims) < len(e.Failures) {
			o.Claims = claims
		}
		f = claims[0]
		o.Signals = append(o.Signals, cause.For(4, "a body was still being sent", fmt.Sprintf("the connection ended while %s being sent", were(len(claims))), cause.Cite(claims)...))
		if len(logged) > 0 {
			b := logged[0].BackendRequest
			o.Signals = append(o.Signals, cause.For(14, "a request on a dead connection never reaches the application", fmt.Sprintf("the server's own log has the request, answered with %d", b.Status.Or(0)), b))
		} else if f.BackendSaw == failure.No {
			o.Signals = append(o.Signals, cause.Against(10, "an application that answers early has seen the request", "the server's own log, which covers the time, has no such request", cause.Cite(claims)...))
		}
		if big > 0 {
			o.Signals = append(o.Signals, cause.For(4, "small bodies are in the buffer before the server can answer", fmt.Sprintf("%s had a body over %s", cause.Count(big, "request"), cause.Bytes(bigBody)), cause.Cite(claims)...))
		}
		if strings.Contains(strings.ToLower(f.Path), "upload") {
			o.Signals = append(o.Signals, cause.For(2, "uploads have large bodies", "the path is an upload", cause.Cite(claims[:1])...))
		}
	}
	o.Blame = f.Backend
	o.Fix = cause.Fix{
		Summary: "Let the application read the whole request body before it answers and closes, also when it refuses it.",
		Steps:   []string{"or refuse at the proxy what the application refuses: client_max_body_size (nginx), and send Expect: 100-continue for large uploads"},
	}
	o.Next = []cause.Next{{
		Evidence: "the application's own log of the same minutes", Command: "grep the path in the application's access log",
		WouldTell: "an early answer is logged there (401, 413, 200); a keep-alive race is not",
	}}
	return o
}

func were(n int) string {
	if n == 1 {
		return "the request was"
	}
	return fmt.Sprintf("%d requests were", n)
}
