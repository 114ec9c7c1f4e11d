// Package resetmidresponse judges answers that began and did not end.
package resetmidresponse

import (
	"fmt"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "reset-mid-response",
	Title: "The answer broke off in the middle",
	What:  "The server sent a status and a part of the body, then the connection ended. The client has a status of 200 and a body that is too short.",
	Shows: []string{
		"nginx: upstream prematurely closed connection while reading upstream; HAProxy: SD; Google: backend_connection_closed_after_partial_response_sent",
		"status 200 with fewer bytes than Content-Length; curl: transfer closed with bytes remaining",
	},
	Fixes: []string{
		"look for what ends the server's process or its work in the middle: a crash, a kill, a time-out while streaming",
		"compare Content-Length with what the application sends",
		"in nginx, see whether a temporary file's limit or a full disk cuts buffered answers (proxy_max_temp_file_size)",
	},
	Kind:       cause.Shallow,
	Mechanisms: []fact.Mechanism{fact.CutMidReply},
	Prior:      5,
	PriorWhy:   "the error is read right in nine of ten; what cut the answer is a deeper matter in a quarter of the cases",
	Explain:    explain,
}

func explain(e *failure.Episode) cause.Opinion {
	if len(e.Failures) == 0 {
		return cause.Opinion{}
	}
	s := cause.Itself(e, 0, "the mechanism itself", fmt.Sprintf("%s broke off after the header had been sent", cause.Count(e.N(), "answer")))
	blame := e.Failures[0].Backend
	if cause.Captured(e.Failures) {
		s.Facts = cause.CiteConns(e.Failures)
		if len(cause.Foreign(e.Failures)) > 0 {
			s.Says += ", by a reset that the server did not send"
			blame = fact.Party{}
		}
	}
	return cause.Opinion{
		Signals: []cause.Signal{s},
		Blame:   blame,
		Fix: cause.Fix{
			Summary: "Find what ends the server's work in the middle of an answer: a crash, a kill, its own time-out while streaming, or a wrong Content-Length.",
			Steps:   []string{"ask the server directly, without the proxy: curl -sv -o /dev/null http://SERVER/PATH   # is the body whole?"},
		},
		Next: []cause.Next{{
			Evidence: "the application's and the kernel's log of the same minutes", Command: "kubectl logs POD --previous --timestamps; journalctl -k -o short-iso",
			WouldTell: "whether a process died at that instant",
		}},
	}
}
