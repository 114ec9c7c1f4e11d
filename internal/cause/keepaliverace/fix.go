package keepaliverace

import (
	"fmt"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// fix writes the order of time-outs in the words of the user's own stack.
func fix(e *failure.Episode) cause.Fix {
	front, back := cause.PoolIdle(e), cause.ServerIdle(e)
	want := 65 * time.Second // above the 60 s of nginx, Kong, ALB and Varnish
	gateway := cause.TechTitle(e.Gateway.Tech)
	if front != nil && front.Dur.Known {
		want = front.Dur.D + margin
		if front.Dur.D >= 10*time.Minute {
			want = 620 * time.Second // what Google's documentation asks for above its 600 s
		}
	}
	server := "the server"
	if back != nil && back.Party.Tech != "" {
		server = cause.TechTitle(back.Party.Tech)
	}
	f := cause.Fix{Summary: fmt.Sprintf("Let %s keep idle connections longer than %s does: %s or more.", server, gateway, cause.Span(want))}
	if front != nil && front.Text == "none" || front == nil && e.Gateway.Tech == "haproxy" {
		f.Summary = fmt.Sprintf("%s keeps idle connections without a limit of its own: let it drop them before %s does, or repeat what was never answered.", gateway, server)
	}
	if back != nil && back.Spelling != "" {
		f.Patch = cause.Spell(back.Spelling, want)
		if back.Where != "" {
			f.Steps = append(f.Steps, fmt.Sprintf("in %s: %s", back.Where, f.Patch))
		}
	}
	switch e.Gateway.Tech {
	case "haproxy":
		f.Steps = append(f.Steps, "or in haproxy.cfg, for requests that may be repeated: retry-on conn-failure empty-response; or for all: http-reuse never")
	case "nginx":
		if back == nil {
			f.Steps = append(f.Steps, "or in nginx.conf, upstream block: keepalive_timeout below the server's own idle time-out")
		}
	case "apache":
		f.Steps = append(f.Steps, "or on the ProxyPass line: ttl= below the server's own idle time-out, or disablereuse=On")
	case "envoy":
		f.Steps = append(f.Steps, "or in the route: retry_on: reset-before-request (Istio: retries.retryOn), and a DestinationRule with connectionPool.http.idleTimeout below the server's")
	}
	if front != nil && front.Spelling != "" && back != nil && back.Dur.Known && back.Dur.D > 2*time.Second {
		where := ""
		if front.Where != "" {
			where = ", in " + front.Where
		}
		if front.Object != "" {
			where += ", " + front.Object
		}
		f.Steps = append(f.Steps, "or the other way round"+where+": "+cause.Spell(front.Spelling, back.Dur.D-2*time.Second))
	}
	if back == nil || back.Spelling == "" {
		f.Steps = append(f.Steps,
			"Node: server.keepAliveTimeout = "+fmt.Sprint(want.Milliseconds())+"; server.headersTimeout = "+fmt.Sprint((want+time.Second).Milliseconds())+";",
			fmt.Sprintf("gunicorn (not the sync worker): --keep-alive %d; uvicorn: --timeout-keep-alive %d; Apache: KeepAliveTimeout %d", int(want.Seconds()), int(want.Seconds()), int(want.Seconds())))
	} else if back.Party.Tech == "node" {
		f.Patch += fmt.Sprintf("\nserver.headersTimeout = %d;", (want + time.Second).Milliseconds())
	}
	return f
}

// next asks for what would prove it.
func next(e *failure.Episode) []cause.Next {
	var out []cause.Next
	if cause.ServerIdle(e) == nil {
		out = append(out, cause.Next{
			Evidence: "how long the server really keeps an idle connection", Command: idleProbe(e.Failures[0].Backend.Address),
			WouldTell: "whether it closes before " + cause.TechTitle(e.Gateway.Tech) + " does",
		})
	}
	if !e.World.Covered(fact.RoleBackend, e.Failures[0].Time) {
		out = append(out, cause.Next{
			Evidence: "the server's own log of the same minutes", Command: "kubectl logs POD --timestamps; docker logs -t NAME; journalctl -u UNIT -o short-iso",
			WouldTell: "a race leaves no line there; a crash, a kill or a recycled worker does",
		})
	}
	if !cause.Captured(e.Failures) {
		out = append(out, cause.CaptureNext(e.Failures[0].Backend.Address, "the idle age of the failing connection and who closed it: one failed request in it proves the race"))
	}
	return out
}

// idleProbe is a command that sends one request and says how long the server
// keeps the connection then; bash alone can do it.
func idleProbe(addr string) string {
	host, port := "SERVER", cause.PortOf(addr)
	if i := strings.LastIndexByte(addr, ':'); i > 0 && port != "PORT" {
		host = strings.Trim(addr[:i], "[]")
	}
	return fmt.Sprintf("exec 3<>/dev/tcp/%s/%s\n", host, port) +
		`printf 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' >&3` + "\n" +
		"time cat <&3 >/dev/null   # until the server closes"
}
