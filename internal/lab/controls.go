package lab

import (
	"context"
	"time"
)

var controls = []Scenario{
	{
		Name: "control-client-aborts", Front: "nginx", Backend: "node",
		Fault: "client-abort", Blame: Client, Control: true,
		Doc:  "Some clients give up on a slow search after a fraction of a second; nginx logs 499. Nothing is wrong with proxy or application.",
		Wire: atBackend,
		Run:  clientAborts,
	},
	{
		Name: "control-app-502", Front: "nginx", Backend: "node",
		Fault: "app-generated", Blame: Backend, Control: true,
		Doc: "The application itself answers 502 or 503 to a few payments, because its provider declines or is in maintenance. nginx " +
			"relays that; neither gateway nor network is at fault.",
		Wire: []Capture{{File: "backend.pcap", Of: []string{"app"}, Any: true}},
		Run:  appAnswers,
	},
	{
		Name: "control-healthy", Front: "nginx", Backend: "node",
		Blame: None, Control: true,
		Doc:  "Nothing fails. The log is in nginx's combined format, without any field about the upstream.",
		Wire: atBackend,
		Run:  healthy,
	},
	{
		Name: "control-retried-gets", Front: "nginx", Backend: "node",
		Blame: None, Control: true,
		Doc: "As nginx-node-keepalive-race, but all requests are GETs. nginx writes an error for each one that crossed a close, sends " +
			"it again, and every client gets its answer: errors in the log, and not one failed request.",
		Played: "the 40 ms between the two hosts (a user-space relay); the idle gaps are aimed at the close.",
		Wire:   atBackend,
		Run:    retriedGets,
	},
	{
		Name: "control-graceful-rollout", Front: "haproxy", Backend: "node",
		Fault: "app-generated", Blame: Backend, Control: true,
		Doc: "Two deployments restart both applications in turn. On SIGTERM these first fail their health check, so that HAProxy takes " +
			"them out, and exit seven seconds later: nothing is lost. The few 502 and 503 are the application's own answers to payments, before, during and after the deployments.",
		Played: "syslog; systemd's lines in the journal; deploy.log is the lab's own deployment.",
		Wire:   atPair,
		Run:    gracefulRollout,
	},
}

func retriedGets(ctx context.Context, st *Stage) error {
	idle, err := startFarNode(ctx, st)
	if err != nil {
		return err
	}
	if err := startPooledNginx(ctx, st); err != nil {
		return err
	}
	return raceWith(ctx, st, idle, 7, shop[:5], shop[:5])
}

const patientExit = `
process.on('SIGTERM', () => {
  log({ level: 'info', msg: 'SIGTERM received, failing the health check' });
  draining = true;
  setTimeout(() => server.close(() => process.exit(0)), 7000);
});
`

const drainRoutes = `
  if (url.pathname === '/healthz') return { status: draining ? 503 : 200, body: { draining } };
  if (url.pathname === '/api/orders') await sleep(300 + Math.random() * 700);
`

func gracefulRollout(ctx context.Context, st *Stage) error {
	journal, err := st.Journal("journal.log", "app1")
	if err != nil {
		return err
	}
	app := nodeApp{Setup: "let draining = false;", Routes: drainRoutes + paymentRoutes, Listen: patientExit}
	units, err := superviseShops(ctx, st, journal, 2, 2*time.Second, app)
	if err != nil {
		return err
	}
	_, err = startHAProxy(ctx, st, "timeout server 30s\n", `balance roundrobin
http-reuse never
option httpchk GET /healthz
default-server check inter 1s fall 2 rise 2
server app1 @app-1@
server app2 @app-2@
`)
	if err != nil {
		return err
	}
	return deployUnderTraffic(ctx, st, units, []int{131, 132}, 8*time.Second, 16*time.Second)
}

func clientAborts(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: searchRoutes}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy, Level: "info"}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 80*time.Second, 8, with(
		Route{Method: "GET", Path: "/api/search?q=#", Weight: 8},
		Route{Method: "GET", Path: "/api/search?q=#", Weight: 4, Patience: 400 * time.Millisecond},
		Route{Method: "POST", Path: "/api/search?q=#", Weight: 1, Body: `{"sort":"price"}`, Patience: 250 * time.Millisecond},
	))
}

const paymentRoutes = `
  if (url.pathname === '/api/payments') {
    const dice = Math.random();
    if (dice < 0.25) return { status: 502, body: { error: 'payment provider answered with an error', provider: 'acme-pay' } };
    if (dice < 0.4) return { status: 503, headers: { 'Retry-After': '30' }, body: { error: 'payment provider in maintenance' } };
  }
`

func appAnswers(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: paymentRoutes}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 80*time.Second, 8, with(Route{Method: "POST", Path: "/api/payments", Weight: 12, Body: `{"order":88,"amount":4200}`}))
}

func healthy(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy, Format: "combined"}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 60*time.Second, 10, shop)
}
