package lab

import (
	"context"
	"fmt"
	"net"
	"time"
)

var absence = []Scenario{
	{
		Name: "nginx-no-live-upstreams", Front: "nginx", Backend: "node",
		Fault: "no-healthy-backend", Blame: Backend,
		Doc: "Both applications are gone for six seconds. nginx finds both refusing, sets them aside for fail_timeout (10 s) and " +
			"answers 502 `no live upstreams` without asking either, also for a while after they are back.",
		Run: noLiveUpstreams,
	},
	{
		Name: "haproxy-no-server", Front: "haproxy", Backend: "node",
		Fault: "no-healthy-backend", Blame: Backend,
		Doc: "Both servers are gone for 14 s. First connections are refused, then the health checks take both DOWN and HAProxy " +
			"answers 503 with <NOSRV> until they are back UP.",
		Played: "syslog.",
		Run:    haproxyNoServer,
	},
	{
		Name: "nginx-dns-failure", Front: "nginx", Backend: "node",
		Fault: "dns-failure", Blame: DNS,
		Doc: "nginx resolves the application's name at run time and keeps the answer for 5 s. The name server is silent for a while, " +
			"later fails, later denies the name; requests end as 502 before any connection is made.",
		Played: "the name server.",
		Run:    dnsFailure,
	},
	{
		Name: "nginx-stale-ip", Front: "nginx", Backend: "node",
		Fault: "stale-upstream-ip", Blame: Proxy,
		Doc: "The application moves to another address; its name follows within a second (TTL 5 s), but nginx keeps what it " +
			"resolved for 30 s (valid=30s) and connects to the old address, which refuses.",
		Played: "the name server.",
		Run:    staleAddress,
	},
	{
		Name: "apache-gunicorn-refused", Front: "apache2", Backend: "gunicorn",
		Fault: "connect-refused", Also: []string{"rollout-no-drain"}, Blame: Backend,
		Doc: "gunicorn is stopped and started again three seconds later; meanwhile Apache answers 503. (A worker that ProxyPass names " +
			"directly is tried again at once by Apache 2.4.71; older ones disable it for 60 s.)",
		Wire: atBackend,
		Run:  func(ctx context.Context, st *Stage) error { return apacheRefused(ctx, st, "http://@app@", "") },
	},
	{
		Name: "apache-worker-disabled", Front: "apache2", Backend: "gunicorn",
		Fault: "no-healthy-backend", Also: []string{"connect-refused"}, Blame: Proxy,
		Doc: "gunicorn is stopped and started again three seconds later. Apache finds the only member of its balancer refusing, " +
			"disables it for 60 s (retry=60, forcerecovery=Off), and answers 503 for a minute although the application is long back.",
		Run: func(ctx context.Context, st *Stage) error {
			return apacheRefused(ctx, st, "balancer://shop", apacheBalancer)
		},
	},
	{
		Name: "caddy-node-refused", Front: "caddy", Backend: "node",
		Fault: "connect-refused", Blame: Backend,
		Doc: "Four times the application is away for two seconds and nothing in its log says why; Caddy answers 502 `connect: " +
			"connection refused`.",
		Wire: atBackend,
		Run:  caddyRefused,
	},
}

// pair is the upstream of two applications.
const pair = `
upstream shop {
    server @app-1@;
    server @app-2@;
}
`

// startPair starts two applications.
func startPair(ctx context.Context, st *Stage, routes string) ([]*Process, error) {
	var both []*Process
	for i := range 2 {
		p, err := startNode(ctx, st, nodeApp{Name: fmt.Sprintf("app-%d", i+1), Host: 11 + i, Routes: routes})
		if err != nil {
			return nil, err
		}
		both = append(both, p)
	}
	return both, nil
}

// healthRoutes make the application answer health checks quickly.
const healthRoutes = `
  if (url.pathname === '/healthz') return { status: 200, body: { ok: true } };
`

// away kills what runs, waits, and starts both applications again.
func away(ctx context.Context, st *Stage, both []*Process, routes string, d time.Duration) error {
	for _, p := range both {
		p.Kill()
	}
	if err := pause(ctx, d); err != nil {
		return err
	}
	_, err := startPair(ctx, st, routes)
	return err
}

// during runs f after a delay while traffic goes on, and waits for both.
func during(ctx context.Context, after time.Duration, f func() error, traffic func() error) error {
	done := make(chan error, 1)
	go func() {
		if err := pause(ctx, after); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	if err := traffic(); err != nil {
		return err
	}
	return <-done
}

func noLiveUpstreams(ctx context.Context, st *Stage) error {
	both, err := startPair(ctx, st, "")
	if err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{HTTP: pair, Location: proxyHeaders + "proxy_pass http://shop;\n"}); err != nil {
		return err
	}
	return during(ctx, 41*time.Second,
		func() error { return away(ctx, st, both, "", 6*time.Second) },
		func() error { return st.traffic.Run(ctx, 105*time.Second, 7, shop) })
}

func haproxyNoServer(ctx context.Context, st *Stage) error {
	both, err := startPair(ctx, st, healthRoutes)
	if err != nil {
		return err
	}
	_, err = startHAProxy(ctx, st, "timeout server 30s\n", `balance roundrobin
option httpchk GET /healthz
default-server check inter 2s fall 2 rise 2
server app1 @app-1@
server app2 @app-2@
`)
	if err != nil {
		return err
	}
	return during(ctx, 45*time.Second,
		func() error { return away(ctx, st, both, healthRoutes, 14*time.Second) },
		func() error { return st.traffic.Run(ctx, 110*time.Second, 8, shop) })
}

func dnsFailure(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11}); err != nil {
		return err
	}
	names, err := startResolvingNginx(ctx, st, "5s")
	if err != nil {
		return err
	}
	sick := func() error {
		for _, phase := range []struct {
			answer Answer
			d      time.Duration
		}{{Silence, 12 * time.Second}, {Address, 20 * time.Second}, {ServerFailure, 8 * time.Second}, {Address, 20 * time.Second}, {NoSuchName, 8 * time.Second}} {
			names.Set(phase.answer)
			if err := pause(ctx, phase.d); err != nil {
				return err
			}
		}
		names.Set(Address)
		return nil
	}
	return during(ctx, 25*time.Second, sick, func() error { return st.traffic.Run(ctx, 110*time.Second, 7, shop) })
}

// startResolvingNginx starts a name server that knows shop.internal, and an
// nginx that asks it and keeps what it is told for some time.
func startResolvingNginx(ctx context.Context, st *Stage, valid string) (*NameServer, error) {
	names, err := NewNameServer(st.subnet+"53:0", map[string]string{"shop.internal.": st.subnet + "11"})
	if err != nil {
		return nil, err
	}
	st.onClose(func() { names.Close() })
	st.Set("dns", names.Addr())
	_, err = startNginx(ctx, st, nginx{
		HTTP: "resolver @dns@ valid=" + valid + " ipv6=off;\nresolver_timeout 3s;\n",
		Location: proxyHeaders + `set $backend shop.internal;
proxy_pass http://$backend:3000;
`})
	return names, err
}

func staleAddress(ctx context.Context, st *Stage) error {
	old, err := startNode(ctx, st, nodeApp{Name: "app-1", Host: 11})
	if err != nil {
		return err
	}
	names, err := startResolvingNginx(ctx, st, "30s")
	if err != nil {
		return err
	}
	move := func() error {
		if _, err := startNode(ctx, st, nodeApp{Name: "app-2", Host: 12}); err != nil {
			return err
		}
		if err := names.Move("shop.internal.", st.subnet+"12"); err != nil {
			return err
		}
		old.Kill()
		return nil
	}
	return during(ctx, 70*time.Second, move, func() error { return st.traffic.Run(ctx, 125*time.Second, 5.5, shop) })
}

func apacheRefused(ctx context.Context, st *Stage, target, declare string) error {
	const config = `bind = "@app@"
workers = 3
accesslog = "@dir@/gunicorn-access.log"
errorlog = "@dir@/gunicorn.log"
`
	app, err := startGunicorn(ctx, st, config)
	if err != nil {
		return err
	}
	if err := startApache(ctx, st, target, declare); err != nil {
		return err
	}
	restart := func() error {
		app.Stop()
		if err := pause(ctx, 3*time.Second); err != nil {
			return err
		}
		_, err := restartGunicorn(ctx, st, st.Word("app"))
		return err
	}
	return during(ctx, 80*time.Second, restart, func() error { return st.traffic.Run(ctx, 210*time.Second, 3.5, shop) })
}

const caddyFile = `{
	admin off
	auto_https off
	log {
		output file @dir@/caddy.log
		format json
	}
}

http://:@port@ {
	bind @host@
	log {
		output file @dir@/access.log
		format filter {
			wrap json
			fields {
				request>headers delete
				resp_headers delete
			}
		}
	}
	reverse_proxy @app@
}
`

func caddyRefused(ctx context.Context, st *Stage) error {
	app, err := startNode(ctx, st, nodeApp{Host: 11})
	if err != nil {
		return err
	}
	addr, err := st.Addr("front", 1, frontPort)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	st.Set("host", host)
	st.Set("port", port)
	if err := st.Write("Caddyfile", caddyFile); err != nil {
		return err
	}
	st.Keep("access.log", "caddy.log")
	if _, err := st.Start(Command{Program: "caddy", Args: []string{"run", "--adapter", "caddyfile", "--config", "@dir@/Caddyfile"}}); err != nil {
		return err
	}
	st.traffic.URL = "http://" + addr
	if err := waitListening(ctx, "tcp", addr); err != nil {
		return err
	}
	gone := func() error {
		for _, d := range []time.Duration{17, 23, 14, 19} {
			app.Kill()
			if err := pause(ctx, 2*time.Second); err != nil {
				return err
			}
			if app, err = startNode(ctx, st, nodeApp{Host: 11}); err != nil {
				return err
			}
			if err := pause(ctx, d*time.Second); err != nil {
				return err
			}
		}
		return nil
	}
	return during(ctx, 16*time.Second, gone, func() error { return st.traffic.Run(ctx, 105*time.Second, 5, shop) })
}
