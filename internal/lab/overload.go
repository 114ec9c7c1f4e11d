package lab

import (
	"context"
	"fmt"
	"time"
)

var overload = []Scenario{
	{
		Name: "nginx-gunicorn-backlog", Front: "nginx", Backend: "gunicorn",
		Fault: "backlog-overflow", Blame: Backend,
		Doc: "Two sync workers and a backlog of 8. When forty ask for invoices at once the listen queue is full, the kernel drops " +
			"further SYNs, and nginx gives up connecting after 2 s with 504. ss.txt was taken in the middle of it.",
		Played: "the billing service that takes 0.7 s.",
		Wire:   atBackend,
		Run:    gunicornBacklog,
	},
	{
		Name: "haproxy-readiness-overload", Front: "haproxy", Backend: "node",
		Fault: "readiness-probe-overload", Blame: Backend,
		Doc: "The health check asks the database through the same pool of three connections as everybody. When searches fill the pool " +
			"the checks time out after 1 s, HAProxy takes both working servers DOWN and answers 503, until the queue is empty.",
		Played: "syslog; the database (a pool of three in the application).",
		Run:    readinessOverload,
	},
	{
		Name: "nginx-rate-limit", Front: "nginx", Backend: "node",
		Fault: "waf-or-rate-limit", Blame: Proxy,
		Doc: "A crawler asks faster than limit_req allows one address; nginx answers 503 by itself and says so in its error log. " +
			"Everyone else is served.",
		Run: rateLimit,
	},
}

func gunicornBacklog(ctx context.Context, st *Stage) error {
	const config = `bind = "@app@"
workers = 2
backlog = 8
accesslog = "@dir@/gunicorn-access.log"
errorlog = "@dir@/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
`
	billing, err := startBilling(st, func(int64) time.Duration { return 700 * time.Millisecond })
	if err != nil {
		return err
	}
	if _, err := startGunicorn(ctx, st, config, "BILLING_URL=http://"+billing+"/invoices"); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy + "proxy_connect_timeout 2s;\n"}); err != nil {
		return err
	}
	sockets, err := st.create("ss.txt")
	if err != nil {
		return err
	}
	look := func() {
		if pause(ctx, 800*time.Millisecond) != nil {
			return
		}
		out, err := st.run("ss", "-Hlnt", "src", st.Word("app"))
		if err != nil {
			return // a host without ss has one file less
		}
		fmt.Fprintf(sockets, "%s $ ss -lnt\nState Recv-Q Send-Q Local-Address:Port Peer-Address:Port\n%s", time.Now().UTC().Format(time.RFC3339), out)
	}
	invoices := []Route{{Method: "GET", Path: "/invoices/#", Weight: 1}}
	for _, d := range []time.Duration{18, 26, 23} {
		if err := st.traffic.Run(ctx, d*time.Second, 6, shop); err != nil {
			return err
		}
		go st.traffic.Burst(ctx, 32, invoices)
		go look()
	}
	return st.traffic.Run(ctx, 24*time.Second, 6, shop)
}

const poolSetup = `
const pool = { free: 3, waiting: [] };
const acquire = () => new Promise((resolve) => (pool.free > 0 ? resolve(pool.free--) : pool.waiting.push(resolve)));
const release = () => (pool.waiting.length > 0 ? pool.waiting.shift()() : pool.free++);

async function query(ms) {
  await acquire();
  await sleep(ms);
  release();
}
`

const poolRoutes = `
  if (url.pathname === '/healthz') {
    await query(20);
    return { status: 200, body: { database: 'ok' } };
  }
  if (url.pathname === '/api/search') await query(600 + Math.random() * 500);
`

func readinessOverload(ctx context.Context, st *Stage) error {
	for i := range 2 {
		app := nodeApp{Name: fmt.Sprintf("app-%d", i+1), Host: 11 + i, Setup: poolSetup, Routes: poolRoutes}
		if _, err := startNode(ctx, st, app); err != nil {
			return err
		}
	}
	_, err := startHAProxy(ctx, st, "timeout server 30s\n", `balance roundrobin
option httpchk GET /healthz
timeout check 1s
default-server check inter 2s fall 2 rise 1
server app1 @app-1@
server app2 @app-2@
`)
	if err != nil {
		return err
	}
	for _, d := range []time.Duration{25, 30} {
		if err := st.traffic.Run(ctx, d*time.Second, 7, shop); err != nil {
			return err
		}
		go st.traffic.Burst(ctx, 56, search)
	}
	return st.traffic.Run(ctx, 40*time.Second, 7, shop)
}

func rateLimit(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{
		HTTP:     "limit_req_zone $binary_remote_addr zone=perip:10m rate=5r/s;\n",
		Location: "limit_req zone=perip burst=10 nodelay;\n" + plainProxy}); err != nil {
		return err
	}
	crawl := []Route{{
		Method: "GET", Path: "/products/#", Weight: 1, Client: clientCount,
		Header: map[string]string{"User-Agent": "Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/)"},
	}}
	for _, d := range []time.Duration{16, 13, 18, 12} {
		if err := st.traffic.Run(ctx, d*time.Second, 8, shop); err != nil {
			return err
		}
		go st.traffic.Burst(ctx, 26, crawl)
	}
	return st.traffic.Run(ctx, 14*time.Second, 8, shop)
}
