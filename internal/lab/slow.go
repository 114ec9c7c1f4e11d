package lab

import (
	"context"
	"time"
)

var slowness = []Scenario{
	{
		Name: "nginx-response-timeout", Front: "nginx", Backend: "node",
		Fault: "response-timeout", Blame: Backend,
		Doc: "Some reports take 8 s, nginx waits 5 (proxy_read_timeout) and answers 504. The application finishes later and logs " +
			"a 200 that nobody receives.",
		Wire: atBackend,
		Run:  nginxTimeout,
	},
	{
		Name: "haproxy-response-timeout", Front: "haproxy", Backend: "node",
		Fault: "response-timeout", Blame: Backend,
		Doc:    "Some reports take 8 s, HAProxy waits 5 (timeout server) and answers 504 with sH. The application finishes later and logs a 200.",
		Played: "syslog.",
		Wire:   []Capture{{File: "backend.pcap", Of: []string{"app"}, Nano: true}},
		Run:    haproxyTimeout,
	},
	{
		Name: "varnish-node-timeout", Front: "varnishd", Backend: "node",
		Fault: "response-timeout", Blame: Backend,
		Doc: "Some reports take 8 s, Varnish waits 4 for the first byte and answers 503 Backend fetch failed; only varnishlog says " +
			"`first byte timeout`.",
		Run: varnishTimeout,
	},
}

// slowRoutes make one report in four slow: it has rows that are not indexed.
const slowRoutes = `
  if (url.pathname.startsWith('/api/reports/')) {
    const year = Number(url.pathname.split('/').pop());
    await sleep(year % 4 === 0 ? 7800 + Math.random() * 400 : 300 + Math.random() * 500);
    return { status: 200, body: { rows: 1200 } };
  }
`

var withReports = with(Route{Method: "GET", Path: "/api/reports/#", Weight: 8})

func nginxTimeout(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: slowRoutes}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy + "proxy_read_timeout 5s;\n"}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 90*time.Second, 8, withReports)
}

func haproxyTimeout(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: slowRoutes}); err != nil {
		return err
	}
	if _, err := startHAProxy(ctx, st, "timeout server 5s\n", "server app1 @app@ maxconn 200\n"); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 90*time.Second, 8, withReports)
}

const vcl = `vcl 4.1;

backend shop {
    .host = "@host@";
    .port = "@port@";
    .connect_timeout = 1s;
    .first_byte_timeout = 4s;
    .between_bytes_timeout = 2s;
}

sub vcl_recv {
    if (req.url !~ "^/static/") {
        return (pass);
    }
}
`

func varnishTimeout(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: slowRoutes}); err != nil {
		return err
	}
	addr, err := startVarnish(ctx, st, vcl)
	if err != nil {
		return err
	}
	st.traffic.URL = "http://" + addr
	return st.traffic.Run(ctx, 90*time.Second, 7, withReports)
}
