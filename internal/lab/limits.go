package lab

import (
	"context"
	"time"
)

var limits = []Scenario{
	{
		Name: "nginx-fd-exhaustion", Front: "nginx", Backend: "node",
		Fault: "fd-exhaustion", Blame: Proxy,
		Doc: "nginx may open 60 files (worker_rlimit_nofile). Ordinary traffic fits; when thirty searches run at once it can open no " +
			"more sockets towards the application and answers 500.",
		Run: fdExhaustion,
	},
	{
		Name: "nginx-phpfpm-max-children", Front: "nginx", Backend: "php-fpm8.2",
		Fault: "backlog-overflow", Blame: Backend,
		Doc: "php-fpm may run five children; when many ask for reports all are busy, the socket's backlog of 16 fills, and nginx " +
			"gets EAGAIN (11) at connect and answers 502 at once.",
		Run: phpMaxChildren,
	},
	{
		Name: "nginx-phpfpm-terminate-timeout", Front: "nginx", Backend: "php-fpm8.2",
		Fault: "worker-timeout-kill", Blame: Backend,
		Doc: "A few reports need 8 s; php-fpm ends the child after request_terminate_timeout, 5 s. nginx sees the connection close " +
			"and answers 502, not 504.",
		Run: phpTerminate,
	},
	{
		Name: "haproxy-connection-limit", Front: "haproxy", Backend: "node",
		Fault: "connection-limit", Blame: Proxy,
		Doc: "HAProxy lets four requests at a time through to the server (maxconn 4). When searches pile up, others wait in its queue " +
			"and get 503 after timeout queue, 1 s; the server never sees them.",
		Played: "syslog.",
		Run:    haproxyLimit,
	},
}

const searchRoutes = `
  if (url.pathname === '/api/search') {
    await sleep(600 + Math.random() * 500);
    return { status: 200, body: { hits: 17 } };
  }
`

var search = []Route{{Method: "GET", Path: "/api/search?q=#", Weight: 1}}

func fdExhaustion(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: searchRoutes}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Main: "worker_rlimit_nofile 60;\n", Location: plainProxy}); err != nil {
		return err
	}
	for _, d := range []time.Duration{18, 14, 20, 11} {
		if err := st.traffic.Run(ctx, d*time.Second, 8, shop); err != nil {
			return err
		}
		go st.traffic.Burst(ctx, 32, search)
	}
	return st.traffic.Run(ctx, 12*time.Second, 8, shop)
}

const phpLocation = `include /etc/nginx/fastcgi_params;
fastcgi_param SCRIPT_FILENAME @dir@/index.php;
fastcgi_param HTTP_X_REQUEST_ID $request_id;
fastcgi_pass unix:@dir@/php-fpm.sock;
`

const phpPool = `[www]
listen = @dir@/php-fpm.sock
listen.backlog = 16
pm = dynamic
pm.max_children = 5
pm.start_servers = 2
pm.min_spare_servers = 1
pm.max_spare_servers = 3
access.log = @dir@/php-access.log
access.format = "%R - %u %t \"%m %r%Q%q\" %s %f %{mili}d %{kilo}M %C%%"
catch_workers_output = yes
`

func phpMaxChildren(ctx context.Context, st *Stage) error {
	if err := startPHP(ctx, st, phpPool, "random_int(900000, 1600000)"); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: phpLocation}); err != nil {
		return err
	}
	report := []Route{{Method: "GET", Path: "/reports/#", Weight: 1}}
	mix := with(Route{Method: "GET", Path: "/reports/#", Weight: 2})
	for _, d := range []time.Duration{19, 22, 16, 20} {
		if err := st.traffic.Run(ctx, d*time.Second, 8, mix); err != nil {
			return err
		}
		go st.traffic.Burst(ctx, 26, report)
	}
	return st.traffic.Run(ctx, 20*time.Second, 8, mix)
}

const phpTerminatePool = `[www]
listen = @dir@/php-fpm.sock
pm = static
pm.max_children = 10
request_terminate_timeout = 5s
access.log = @dir@/php-access.log
access.format = "%R - %u %t \"%m %r%Q%q\" %s %f %{mili}d %{kilo}M %C%%"
catch_workers_output = yes
`

func phpTerminate(ctx context.Context, st *Stage) error {
	if err := startPHP(ctx, st, phpTerminatePool, "random_int(0, 3) ? random_int(300000, 900000) : 8000000"); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: phpLocation}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 100*time.Second, 8, with(Route{Method: "GET", Path: "/reports/#", Weight: 7}))
}

func haproxyLimit(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: searchRoutes}); err != nil {
		return err
	}
	if _, err := startHAProxy(ctx, st, "timeout server 30s\ntimeout queue 1s\n", "server app1 @app@ maxconn 4\n"); err != nil {
		return err
	}
	for _, d := range []time.Duration{18, 14, 20, 11} {
		if err := st.traffic.Run(ctx, d*time.Second, 10, shop); err != nil {
			return err
		}
		go st.traffic.Burst(ctx, 14, search)
	}
	return st.traffic.Run(ctx, 15*time.Second, 10, shop)
}
