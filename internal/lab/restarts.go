package lab

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

var restarts = []Scenario{
	{
		Name: "nginx-rolling-restart", Front: "nginx", Backend: "node",
		Fault: "rollout-no-drain", Blame: Backend,
		Doc: "Each deployment restarts two applications in turn, twelve seconds apart. On SIGTERM the application exits at once: " +
			"requests it was working on are cut. GETs are sent to the other one, POSTs end as 502.",
		Played: "systemd's lines in the journal; deploy.log is the lab's own deployment.",
		Wire:   atPair,
		Run: func(ctx context.Context, st *Stage) error {
			return rollingRestart(ctx, st, hastyShop, []int{118, 119, 120, 121, 122}, 12*time.Second, 8*time.Second)
		},
	},
	{
		Name: "nginx-hasty-rollout", Front: "nginx", Backend: "node",
		Fault: "rollout-no-drain", Also: []string{"no-healthy-backend"}, Blame: Backend,
		Doc: "As nginx-rolling-restart, but with four seconds between the two restarts: nginx still sets the first aside " +
			"(fail_timeout is 10 s) when the second goes, and answers 502 `no live upstreams` although both are up.",
		Played: "systemd's lines in the journal; deploy.log is the lab's own deployment.",
		Wire:   atPair,
		Run: func(ctx context.Context, st *Stage) error {
			return rollingRestart(ctx, st, hastyShop, []int{118, 119}, 4*time.Second, 32*time.Second)
		},
	},
	{
		Name: "nginx-slow-start", Front: "nginx", Backend: "node",
		Fault: "slow-start", Also: []string{"rollout-no-drain"}, Blame: Backend,
		Doc: "systemd calls the application started at once, but it warms its catalogue for five seconds before it listens. A " +
			"deployment restarts the second one two seconds after the first: for three seconds nobody listens, and nginx " +
			"sets both aside for some more.",
		Played: "systemd's lines in the journal; deploy.log is the lab's own deployment.",
		Wire:   atPair,
		Run:    slowStart,
	},
	{
		Name: "haproxy-dead-server", Front: "haproxy", Backend: "node",
		Fault: "dead-not-restarted", Also: []string{"crash"}, Blame: Backend,
		Doc: "One of four applications dies of a segmentation fault and nothing restarts it. HAProxy has no health checks and no " +
			"redispatch: each fourth request is refused four times, three seconds long, and ends as 503.",
		Played: "syslog; systemd's lines in the journal; the segmentation fault (the signal was sent).",
		Run:    deadServer,
	},
}

const hastyExit = `
process.on('SIGTERM', () => {
  log({ level: 'info', msg: 'SIGTERM received, exiting' });
  process.exit(0);
});
`

// orderRoutes make orders take long enough to be in flight at a restart.
const orderRoutes = `
  if (req.method === 'POST') await sleep(1000 + Math.random() * 1600);
`

// hastyShop works on orders for a while and exits at once when told to.
var hastyShop = nodeApp{Routes: orderRoutes, Listen: hastyExit}

// rollingRestart deploys the releases, with a time between the restarts of the
// two applications and a rest after each release.
func rollingRestart(ctx context.Context, st *Stage, app nodeApp, releases []int, between, rest time.Duration) error {
	journal, err := st.Journal("journal.log", "app1")
	if err != nil {
		return err
	}
	units, err := superviseShops(ctx, st, journal, 2, 2*time.Second, app)
	if err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{HTTP: pair, Location: proxyHeaders + "proxy_pass http://shop;\n", Format: "json"}); err != nil {
		return err
	}
	return deployUnderTraffic(ctx, st, units, releases, between, rest)
}

// deployUnderTraffic deploys while orders and payments come in.
func deployUnderTraffic(ctx context.Context, st *Stage, units []*Supervisor, releases []int, between, rest time.Duration) error {
	const begin = 14 * time.Second
	rollout := func() error {
		return deploy(ctx, st, units, releases, between, rest)
	}
	span := begin + time.Duration(len(releases))*(2*between+rest) + rest
	busy := with(
		Route{Method: "POST", Path: "/api/orders", Weight: 40, Body: `{"payment":"card"}`},
		Route{Method: "POST", Path: "/api/payments", Weight: 9, Body: `{"order":88,"amount":4200}`},
	)
	return during(ctx, begin, rollout, func() error { return st.traffic.Run(ctx, span, 680/span.Seconds(), busy) })
}

const warmUp = `
// Warm the catalogue before the first request comes.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5000);
`

func slowStart(ctx context.Context, st *Stage) error {
	journal, err := st.Journal("journal.log", "app1")
	if err != nil {
		return err
	}
	units, err := superviseShops(ctx, st, journal, 2, 2*time.Second, nodeApp{Routes: orderRoutes, Listen: hastyExit + warmUp})
	if err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{HTTP: pair, Location: proxyHeaders + "proxy_pass http://shop;\n"}); err != nil {
		return err
	}
	rollout := func() error { return deploy(ctx, st, units, []int{42, 43}, 2*time.Second, 32*time.Second) }
	return during(ctx, 20*time.Second, rollout, func() error { return st.traffic.Run(ctx, 105*time.Second, 7, shop) })
}

func deadServer(ctx context.Context, st *Stage) error {
	journal, err := st.Journal("journal.log", "app1")
	if err != nil {
		return err
	}
	units, err := superviseShops(ctx, st, journal, 4, 0, nodeApp{Routes: orderRoutes})
	if err != nil {
		return err
	}
	_, err = startHAProxy(ctx, st, "timeout server 30s\n", `balance roundrobin
server app1 @app-1@
server app2 @app-2@
server app3 @app-3@
server app4 @app-4@
`)
	if err != nil {
		return err
	}
	die := func() error { return units[2].Signal(syscall.SIGSEGV) }
	return during(ctx, 60*time.Second, die, func() error { return st.traffic.Run(ctx, 100*time.Second, 8, shop) })
}

// drainTimeout is how long a shop may take to end.
const drainTimeout = 15 * time.Second

// superviseShops starts n of the app as units shop-1, shop-2 and so on.
func superviseShops(ctx context.Context, st *Stage, j *Journal, n int, restart time.Duration, app nodeApp) ([]*Supervisor, error) {
	var units []*Supervisor
	for i := range n {
		app.Name, app.Host = fmt.Sprintf("app-%d", i+1), 11+i
		unit := Unit{Name: fmt.Sprintf("shop-%d", i+1), Restart: restart, StopTimeout: drainTimeout}
		s, err := superviseNode(ctx, st, app, unit, j)
		if err != nil {
			return nil, err
		}
		units = append(units, s)
	}
	return units, nil
}

// deploy restarts the units in turn, once for each release, and writes
// deploy.log.
func deploy(ctx context.Context, st *Stage, units []*Supervisor, releases []int, between, rest time.Duration) error {
	log, err := st.create("deploy.log")
	if err != nil {
		return err
	}
	say := func(format string, args ...any) {
		fmt.Fprintf(log, "%s deploy %s\n", time.Now().UTC().Format(time.RFC3339), fmt.Sprintf(format, args...))
	}
	for _, release := range releases {
		say("release-%d: begin", release)
		for i, u := range units {
			say("release-%d: restart shop-%d", release, i+1)
			if err := u.Restart(); err != nil {
				return err
			}
			if err := pause(ctx, between); err != nil {
				return err
			}
		}
		say("release-%d: done", release)
		if err := pause(ctx, rest); err != nil {
			return err
		}
	}
	return nil
}
