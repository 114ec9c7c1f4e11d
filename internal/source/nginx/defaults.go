package nginx

import (
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Where the defaults are documented.
const (
	docProxy    = "https://nginx.org/en/docs/http/ngx_http_proxy_module.html"
	docFastCGI  = "https://nginx.org/en/docs/http/ngx_http_fastcgi_module.html"
	docUWSGI    = "https://nginx.org/en/docs/http/ngx_http_uwsgi_module.html"
	docSCGI     = "https://nginx.org/en/docs/http/ngx_http_scgi_module.html"
	docGRPC     = "https://nginx.org/en/docs/http/ngx_http_grpc_module.html"
	docUpstream = "https://nginx.org/en/docs/http/ngx_http_upstream_module.html"
	docHTTP     = "https://nginx.org/en/docs/http/ngx_http_core_module.html"
	docCore     = "https://nginx.org/en/docs/ngx_core_module.html"
	docIngress  = "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/"
)

// The documented defaults, in seconds or as counted.
const (
	defaultTimeout     = 60 * time.Second // proxy_, fastcgi_, uwsgi_, scgi_, grpc_ connect, send and read
	defaultKeepAlive   = 75 * time.Second // keepalive_timeout towards clients
	defaultPoolIdle    = 60 * time.Second // keepalive_timeout within upstream
	defaultRequests    = 1000             // keepalive_requests, since 1.19.10
	oldRequests        = 100              // before
	defaultMaxFails    = 1
	defaultFailTimeout = 10 * time.Second
	defaultHeaderMax   = 4096 // proxy_buffer_size: one page, 4k or 8k by platform
	defaultConnections = 512  // worker_connections
)

// def makes a Setting that documentation states.
func def(knob fact.Knob, url, spelling string) *fact.Setting {
	s := &fact.Setting{Knob: knob, Basis: fact.Default, Spelling: spelling}
	s.Party = party
	s.Origin.URL = url
	return s
}

func defDur(out source.Sink, knob fact.Knob, d time.Duration, url, spelling, where string) {
	s := def(knob, url, spelling)
	s.Dur, s.Where = fact.Lasting(d), where
	out.State(s)
}

func defNum(out source.Sink, knob fact.Knob, n int, url, spelling, where string) {
	s := def(knob, url, spelling)
	s.Num, s.Where = fact.Num(n), where
	out.State(s)
}

// serverDefaults states how long nginx keeps clients' connections where the
// directives are not given, for a version that may be unknown.
func serverDefaults(out source.Sink, where string, given map[string]bool, version string) {
	if !given["keepalive_timeout"] {
		defDur(out, fact.KeepAliveIdle, defaultKeepAlive, docHTTP+"#keepalive_timeout", "keepalive_timeout {s}s;", where)
	}
	if !given["keepalive_requests"] {
		n := defaultRequests
		if older(version, 1, 19, 10) {
			n = oldRequests
		}
		defNum(out, fact.MaxConnRequests, n, docHTTP+"#keepalive_requests", "keepalive_requests {n};", where)
	}
}

// proxyDefaults states how long nginx waits for members where no configuration
// tells.
func proxyDefaults(out source.Sink) {
	defDur(out, fact.UpstreamReply, defaultTimeout, docProxy, "proxy_read_timeout {s}s;", "location")
	defDur(out, fact.UpstreamConnect, defaultTimeout, docProxy, "proxy_connect_timeout {s}s;", "location")
}

// older reports whether a known version is before another.
func older(version string, than ...int64) bool {
	if version == "" {
		return false
	}
	for _, want := range than {
		var part string
		part, version, _ = strings.Cut(version, ".")
		if n := source.Int([]byte(part)); !n.Known || n.N != want {
			return n.Known && n.N < want
		}
	}
	return false
}

// ingressDefaults states what ingress-nginx sets where its ConfigMap is silent.
// A line of its access log proves that it is the gateway.
func ingressDefaults(out source.Sink) {
	const where = "ConfigMap ingress-nginx-controller"
	defDur(out, fact.UpstreamConnect, ingressConnect, docIngress, `proxy-connect-timeout: "{s}"`, where)
	defDur(out, fact.UpstreamReply, defaultTimeout, docIngress, `proxy-read-timeout: "{s}"`, where)
	defDur(out, fact.PoolIdle, defaultPoolIdle, docIngress, `upstream-keepalive-timeout: "{s}"`, where)
	defNum(out, fact.PoolSize, 320, docIngress, `upstream-keepalive-connections: "{n}"`, where)
	defDur(out, fact.KeepAliveIdle, defaultKeepAlive, docIngress, `keep-alive: "{s}"`, where)
	s := def(fact.UpstreamRetry, docIngress, `proxy-next-upstream: "error timeout"`)
	s.Text, s.Where = "error timeout", where
	out.State(s)
}

// scheme is what differs between the modules that talk to members.
type scheme struct{ name, prefix, doc string }

var schemes = []scheme{
	{"http", "proxy", docProxy}, {"https", "proxy", docProxy}, {"fastcgi", "fastcgi", docFastCGI}, {"uwsgi", "uwsgi", docUWSGI},
	{"suwsgi", "uwsgi", docUWSGI}, {"scgi", "scgi", docSCGI}, {"grpc", "grpc", docGRPC}, {"grpcs", "grpc", docGRPC},
}

// schemeOf returns the module of an upstream address's scheme.
func schemeOf(name string) (scheme, bool) {
	for _, s := range schemes {
		if s.name == name {
			return s, true
		}
	}
	return scheme{}, false
}

// hintConfigured is the key under which the configuration reader says that it
// read one, so that logs need not speak of defaults.
const hintConfigured = "nginx.configured"

// module returns the module whose directives begin with prefix.
func module(prefix string) (scheme, bool) {
	for _, s := range schemes {
		if s.prefix == prefix {
			return s, true
		}
	}
	return scheme{}, false
}
