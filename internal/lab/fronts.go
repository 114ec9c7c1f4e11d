package lab

import (
	"context"
	"strings"
	"syscall"
)

// frontPort is the port that proxies are wanted on.
const frontPort = 8080

// An nginx is what differs between the nginx configurations of the scenarios;
// the rest is in nginxText.
type nginx struct {
	Main     string // main context
	HTTP     string // http context: upstreams, resolver
	Location string // location /
	Level    string // of the error log; "warn" if empty
	Format   string // of the access log: "timed" if empty, or "json", "combined"
	Cred     *syscall.Credential
	IP       string // of its address; its own if empty
}

const nginxText = `@main@worker_processes 1;
pid @dir@/nginx.pid;
error_log @dir@/error.log @level@;

events {
    worker_connections 512;
}

http {
@format@    access_log @dir@/access.log @name@;

    client_body_temp_path @dir@/tmp/body;
    proxy_temp_path       @dir@/tmp/proxy;
    fastcgi_temp_path     @dir@/tmp/fastcgi;
    uwsgi_temp_path       @dir@/tmp/uwsgi;
    scgi_temp_path        @dir@/tmp/scgi;

@http@
    server {
        listen @front@;
        server_name shop.example;

        location / {
@location@
        }
    }
}
`

var nginxFormats = map[string]string{
	"combined": "",
	"timed": `    log_format timed '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                     '"$http_referer" "$http_user_agent" rt=$request_time ua="$upstream_addr" us="$upstream_status" '
                     'uct="$upstream_connect_time" uht="$upstream_header_time" urt="$upstream_response_time" id=$request_id';
`,
	"json": `    log_format json escape=json '{"time":"$time_iso8601","remote_addr":"$remote_addr","method":"$request_method",'
                    '"uri":"$request_uri","status":$status,"bytes":$body_bytes_sent,"request_time":$request_time,'
                    '"upstream_addr":"$upstream_addr","upstream_status":"$upstream_status",'
                    '"upstream_connect_time":"$upstream_connect_time","upstream_header_time":"$upstream_header_time",'
                    '"upstream_response_time":"$upstream_response_time","request_id":"$request_id"}';
`,
}

// proxyHeaders go into every location that speaks HTTP to its backend.
const proxyHeaders = `proxy_set_header Host $host;
proxy_set_header X-Request-ID $request_id;
`

func startNginx(ctx context.Context, st *Stage, n nginx) (*Process, error) {
	ip := n.IP
	if ip == "" {
		ip = st.subnet + "1"
	}
	addr, err := st.addrOf("front", ip, frontPort)
	if err != nil {
		return nil, err
	}
	level, format := n.Level, n.Format
	if level == "" {
		level = "warn"
	}
	if format == "" {
		format = "timed"
	}
	text := strings.NewReplacer(
		"@main@", n.Main, "@level@", level, "@format@", nginxFormats[format], "@name@", format,
		"@http@\n", spaced(indent(n.HTTP, 4)), "@location@\n", indent(n.Location, 12),
	).Replace(nginxText)
	if err := st.Write("nginx.conf", text); err != nil {
		return nil, err
	}
	if err := st.mkdir("tmp"); err != nil {
		return nil, err
	}
	st.Keep("access.log", "error.log")
	p, err := st.Start(Command{Program: "nginx", Args: []string{"-e", "@dir@/error.log", "-p", "@dir@", "-c", "@dir@/nginx.conf", "-g", "daemon off;"}, Cred: n.Cred})
	if err != nil {
		return nil, err
	}
	st.traffic.URL = "http://" + addr
	return p, waitListening(ctx, "tcp", addr)
}

// spaced puts an empty line after text that is not empty.
func spaced(text string) string {
	if text == "" {
		return ""
	}
	return text + "\n"
}

// indent puts n spaces before each line that is not empty.
func indent(text string, n int) string {
	var b strings.Builder
	if text == "" {
		return ""
	}
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		if line != "\n" {
			b.WriteString(strings.Repeat(" ", n))
		}
		b.WriteString(line)
	}
	return b.String()
}

const haproxyText = `global
    log @dir@/log local0
    maxconn 2000
    nbthread 1

defaults
    mode http
    log global
    option httplog
    option dontlognull
    timeout connect 3s
    timeout client 30s
@defaults@
frontend www
    bind @front@
    http-request set-header X-Request-ID %[uuid()] unless { req.hdr(X-Request-ID) -m found }
    http-request capture req.hdr(X-Request-ID) len 36
    default_backend shop

backend shop
@backend@`

// startHAProxy starts HAProxy, its log going to a syslog that writes
// haproxy.log.
func startHAProxy(ctx context.Context, st *Stage, defaults, backend string) (*Process, error) {
	addr, err := st.Addr("front", 1, frontPort)
	if err != nil {
		return nil, err
	}
	if err := startSyslog(st, "log", "haproxy.log", "lb1"); err != nil {
		return nil, err
	}
	text := strings.NewReplacer("@defaults@\n", spaced(indent(defaults, 4)), "@backend@", indent(backend, 4)).Replace(haproxyText)
	if err := st.Write("haproxy.cfg", text); err != nil {
		return nil, err
	}
	p, err := st.Start(Command{Program: "haproxy", Args: []string{"-db", "-f", "@dir@/haproxy.cfg"}})
	if err != nil {
		return nil, err
	}
	st.traffic.URL = "http://" + addr
	return p, waitListening(ctx, "tcp", addr)
}

const apacheConfig = `ServerRoot @dir@
DefaultRuntimeDir @dir@
PidFile @dir@/apache2.pid
Mutex file:@dir@ default
ServerName shop.example
Listen @front@

LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so

LogLevel warn
ErrorLog @dir@/error.log
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D" timed
CustomLog @dir@/access.log timed

ProxyPreserveHost On
@proxy@`

// apacheBalancer declares a balancer of one member.
const apacheBalancer = `LoadModule proxy_balancer_module /usr/lib/apache2/modules/mod_proxy_balancer.so
LoadModule slotmem_shm_module /usr/lib/apache2/modules/mod_slotmem_shm.so
LoadModule lbmethod_byrequests_module /usr/lib/apache2/modules/mod_lbmethod_byrequests.so

<Proxy balancer://shop>
    BalancerMember http://@app@ retry=60
    ProxySet forcerecovery=Off
</Proxy>
`

// startApache starts Apache in front of target, an URL without a final slash;
// declare goes before the lines that use it.
func startApache(ctx context.Context, st *Stage, target, declare string) error {
	addr, err := st.Addr("front", 1, frontPort)
	if err != nil {
		return err
	}
	text := strings.Replace(apacheConfig, "@proxy@", spaced(declare)+"ProxyPass / "+target+"/\nProxyPassReverse / "+target+"/\n", 1)
	if err := st.Write("apache2.conf", text); err != nil {
		return err
	}
	st.Keep("access.log", "error.log")
	if _, err := st.Start(Command{Program: "apache2", Args: []string{"-DFOREGROUND", "-f", "@dir@/apache2.conf"}}); err != nil {
		return err
	}
	st.traffic.URL = "http://" + addr
	return waitListening(ctx, "tcp", addr)
}
