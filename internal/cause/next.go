package cause

import (
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// upstreamFields is the addition to nginx's log format that tells most.
const upstreamFields = `log_format culprit '$remote_addr - [$time_iso8601] "$request" $status $body_bytes_sent $request_time '
  '$upstream_addr $upstream_status $upstream_connect_time $upstream_header_time $upstream_response_time $request_id "$http_user_agent"';
access_log /var/log/nginx/access.log culprit;`

// captureTells is what packets would show of failures of a mechanism.
var captureTells = map[fact.Mechanism]string{
	fact.ResetBeforeReply:  "who closed the connection, how long it had been idle before, and whether others closed with it",
	fact.ClosedBeforeReply: "who closed the connection, how long it had been idle before, and whether others closed with it",
	fact.CutMidReply:       "who ended the answer, after how much of it, and whether others ended with it",
	fact.ConnectTimedOut:   "whether the server answers others in the same seconds: then its queue is full, or else it is gone or barred",
	fact.TLSFailed:         "which side hung up, and by what alert",
	fact.BadReply:          "the bytes that came instead of an answer",
}

// nextFor is what would most likely settle an episode that no cause claims:
// the nearest witness that has not been heard.
func nextFor(e *failure.Episode) []Next {
	w := e.World
	var out []Next
	gateway := e.Gateway.Tech
	first, _ := e.Span()
	switch {
	case e.Mechanism == fact.AppAnswered:
	case e.Mechanism == "" && gateway == "nginx":
		out = append(out,
			Next{"nginx's error log of the same minutes", "culprit diagnose /var/log/nginx/access.log /var/log/nginx/error.log", "it names the system call that failed: refused, reset, closed or timed out"},
			Next{"upstream fields in nginx's access log", upstreamFields, "which member was asked, how long each step took, and whether it answered itself"})
	case e.Mechanism == "" && gateway == "haproxy":
		out = append(out, Next{"HAProxy's log with `option httplog`", "defaults\n  log global\n  option httplog", "its termination state names who ended the request, and when"})
	case e.Mechanism == "":
		out = append(out, Next{"the gateway's error log of the same minutes", "", "how the request ended: refused, reset, closed or timed out"})
	}
	if len(w.Techs(fact.RoleBackend)) == 0 && e.Mechanism != fact.LimitHit && e.Mechanism != fact.GatewayFault {
		out = append(out, Next{"the application's own log of the same minutes", "kubectl logs POD --previous --timestamps; docker logs -t NAME; journalctl -u UNIT -o short-iso --since ...", "whether the request arrived, and whether a worker died, was killed or restarted at that instant"})
	}
	if !w.Covered(fact.RoleHost, first) && (e.Mechanism == fact.ResetBeforeReply || e.Mechanism == fact.ClosedBeforeReply || e.Mechanism == fact.Refused || e.Mechanism == fact.CutMidReply) {
		out = append(out, Next{"the kernel's and the init system's log", "journalctl -k -o short-iso --since ...; journalctl -o short-iso --since ...", "OOM kills, segmentation faults, unit restarts"})
	}
	if tells := captureTells[e.Mechanism]; tells != "" && !Captured(e.Failures) && len(e.Failures) > 0 {
		out = append(out, CaptureNext(e.Failures[0].Backend.Address, tells))
	}
	if len(out) > 3 {
		out = out[:3]
	}
	return out
}
