package lab

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

var workerDeath = []Scenario{
	{
		Name: "nginx-gunicorn-worker-timeout", Front: "nginx", Backend: "gunicorn",
		Fault: "worker-timeout-kill", Blame: Backend,
		Doc: "The application calls a billing service without a time-out. When that hangs, gunicorn's arbiter kills the silent sync " +
			"worker after its timeout of 10 s, and nginx reports 502, not 504.",
		Played: "the billing service that hangs for one call in four.",
		Wire:   atBackend,
		Run:    gunicornTimeout,
	},
	{
		Name: "nginx-gunicorn-recycle", Front: "nginx", Backend: "gunicorn",
		Fault: "max-requests-recycle", Also: []string{"keepalive-race"}, Blame: Backend,
		Doc: "gunicorn ends its worker after 40 requests (max_requests) and closes the connections that nginx keeps to it. POSTs that " +
			"cross the close end as 502, GETs are sent again; no connection has been idle for long.",
		Played: "the 40 ms between the two hosts (a user-space relay).",
		Wire:   atBackend,
		Run:    gunicornRecycle,
	},
	{
		Name: "nginx-uwsgi-harakiri", Front: "nginx", Backend: "uwsgi",
		Fault: "worker-timeout-kill", Blame: Backend,
		Doc: "The application calls a billing service without a time-out. When that hangs, uWSGI kills the worker after its harakiri " +
			"of 6 s, and nginx reports 502.",
		Played: "the billing service that hangs for one call in four.",
		Run:    uwsgiHarakiri,
	},
	{
		Name: "nginx-node-crash", Front: "nginx", Backend: "node",
		Fault: "crash", Blame: Backend,
		Doc: "An order with a coupon that is not known throws; nothing catches it and Node exits with status 1. Requests in flight are " +
			"cut, those of the second until the restart are refused.",
		Played: "systemd (restarts and its own lines in the journal).",
		Wire:   atBackend,
		Run:    nodeCrash,
	},
	{
		Name: "nginx-node-heap-oom", Front: "nginx", Backend: "node",
		Fault: "oom-kill", Also: []string{"crash"}, Blame: Backend,
		Doc: "Reports are cached for ever; the heap (limited to 64 MB) fills, V8 gives up with `JavaScript heap out of memory` and " +
			"aborts. Restarted after a second, it begins anew. The kernel's out-of-memory killer has no part in it.",
		Played: "systemd (restarts and its own lines in the journal).",
		Run:    nodeHeap,
	},
	{
		Name: "nginx-node-oom-kill", Front: "nginx", Backend: "node",
		Fault: "oom-kill", Blame: Backend,
		Doc: "Thumbnails are cached for ever outside the JavaScript heap. When the service's memory limit of 128 MB is reached the " +
			"kernel kills Node with SIGKILL; it is restarted after a second and begins anew.",
		Played: "systemd (restarts and its own lines in the journal); the kernel's lines and the limit are real.",
		Wire:   atBackend,
		Run:    nodeOOMKill,
	},
}

const gunicornConfig = `bind = "@app@"
workers = 3
timeout = 10
accesslog = "@dir@/gunicorn-access.log"
errorlog = "@dir@/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
`

// plainProxy is the location of an nginx without a pool of connections.
const plainProxy = proxyHeaders + "proxy_pass http://@app@;\n"

func gunicornTimeout(ctx context.Context, st *Stage) error {
	billing, err := startBilling(st, stallEvery(4))
	if err != nil {
		return err
	}
	if _, err := startGunicorn(ctx, st, gunicornConfig, "BILLING_URL=http://"+billing+"/invoices"); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 110*time.Second, 6, with(Route{Method: "GET", Path: "/invoices/#", Weight: 6}))
}

// startBilling plays a service that answers the n-th call after the given time.
func startBilling(st *Stage, takes func(n int64) time.Duration) (string, error) {
	addr, err := st.Addr("billing", 30, 9000)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	var calls atomic.Int64
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if pause(r.Context(), takes(calls.Add(1))) == nil {
			json.NewEncoder(w).Encode([]int{2041, 2042}) // the caller may be dead by now
		}
	})}
	go server.Serve(l) // ends with Close
	st.onClose(func() { server.Close() })
	return addr, nil
}

// stallEvery answers at once, except every n-th call, which it leaves hanging.
func stallEvery(n int64) func(int64) time.Duration {
	return func(call int64) time.Duration {
		if call%n == 0 {
			return time.Hour
		}
		return 0
	}
}

func gunicornRecycle(ctx context.Context, st *Stage) error {
	const config = `bind = "@app@"
workers = 2
threads = 8
max_requests = 40
keepalive = 75
accesslog = "@dir@/gunicorn-access.log"
errorlog = "@dir@/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
`
	if _, err := startGunicorn(ctx, st, config); err != nil {
		return err
	}
	if err := startRelay(st); err != nil {
		return err
	}
	if err := startPooledNginx(ctx, st); err != nil {
		return err
	}
	busy := with(Route{Method: "POST", Path: "/api/orders", Weight: 50, Body: `{"payment":"card"}`})
	return st.traffic.Run(ctx, 45*time.Second, 17, busy)
}

func uwsgiHarakiri(ctx context.Context, st *Stage) error {
	billing, err := startBilling(st, stallEvery(4))
	if err != nil {
		return err
	}
	if err := st.Write("app.py", appFile("app.py")); err != nil {
		return err
	}
	if err := startUWSGI(ctx, st, uwsgiConfig+"harakiri = 6\nharakiri-verbose = true\n", "BILLING_URL=http://"+billing+"/invoices"); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 100*time.Second, 5, with(Route{Method: "GET", Path: "/invoices/#", Weight: 6}))
}

const couponRoutes = `
  if (req.method === 'POST' && url.pathname === '/api/orders') {
    const order = JSON.parse(body);
    await sleep(40 + Math.random() * 60);
    const discount = order.coupon ? coupons.get(order.coupon).percent : 0;
    return { status: 201, body: { id: Math.ceil(Math.random() * 1e6), discount } };
  }
`

func nodeCrash(ctx context.Context, st *Stage) error {
	return crashOnCoupon(ctx, st, []time.Duration{21 * time.Second, 17 * time.Second, 26 * time.Second, 13 * time.Second, 15 * time.Second})
}

// crashOnCoupon sends traffic for each of the spans, and between two of them an
// order that makes the application crash.
func crashOnCoupon(ctx context.Context, st *Stage, spans []time.Duration) error {
	journal, err := st.Journal("journal.log", "app1")
	if err != nil {
		return err
	}
	app := nodeApp{Host: 11, Setup: "const coupons = new Map([['SPRING5', { percent: 5 }], ['WELCOME', { percent: 10 }]]);", Routes: couponRoutes}
	if _, err := superviseNode(ctx, st, app, Unit{Name: "shop", Restart: time.Second}, journal); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
		return err
	}
	known := with(
		Route{Method: "POST", Path: "/api/orders", Weight: 6, Body: `{"payment":"card","coupon":"SPRING5"}`},
		Route{Method: "POST", Path: "/api/orders", Weight: 3, Body: `{"payment":"invoice"}`},
	)
	unknown := []Route{{Method: "POST", Path: "/api/orders", Weight: 1, Body: `{"payment":"card","coupon":"SUMMER7"}`}}
	for i, d := range spans {
		if i > 0 {
			go st.traffic.Burst(ctx, 1, unknown)
		}
		if err := st.traffic.Run(ctx, d, 8, known); err != nil {
			return err
		}
	}
	return nil
}

const reportRoutes = `
  if (url.pathname.startsWith('/api/reports/')) {
    if (!reports.has(req.url)) {
      reports.set(req.url, Array.from({ length: 20000 }, (_, n) => ({ day: n, sold: Math.random(), sku: 'A-' + n })));
    }
    return { status: 200, body: reports.get(req.url).slice(0, 10) };
  }
`

func nodeHeap(ctx context.Context, st *Stage) error {
	journal, err := st.Journal("journal.log", "app1")
	if err != nil {
		return err
	}
	app := nodeApp{Host: 11, Flags: []string{"--max-old-space-size=64"}, Setup: "const reports = new Map();", Routes: reportRoutes}
	if _, err := superviseNode(ctx, st, app, Unit{Name: "shop", Restart: time.Second}, journal); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
		return err
	}
	mix := with(Route{Method: "GET", Path: "/api/reports/#", Weight: 12})
	return st.traffic.Run(ctx, 110*time.Second, 8, mix)
}
