package haproxy

import (
	"net/netip"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// timeouts are the names after the word "timeout", and the knob each is.
var timeouts = map[string]fact.Knob{
	"connect": fact.UpstreamConnect, "server": fact.UpstreamReply, "queue": fact.UpstreamQueue, "check": fact.HealthTimeout,
	"http-keep-alive": fact.KeepAliveIdle, "http-request": fact.HeaderTimeout, "client": "", "tunnel": "", "client-fin": "", "server-fin": "", "tarpit": "",
}

// directive reads one line of a section.
func (r *configReader) directive(w []string) {
	arg := ""
	if len(w) > 1 {
		arg = w[1]
	}
	switch w[0] {
	case "timeout":
		if len(w) > 2 {
			r.timeout(arg, w[2])
		}
	case "contimeout": // before version 1.5
		r.timeout("connect", arg)
	case "srvtimeout":
		r.timeout("server", arg)
	case "clitimeout":
		r.timeout("client", arg)
	case "maxconn":
		r.num(fact.MaxConnections, "maxconn {n}", arg)
	case "ulimit-n":
		r.num(fact.FileLimit, "ulimit-n {n}", arg)
	case "backlog":
		r.num(fact.ListenBacklog, "backlog {n}", arg)
	case "hard-stop-after":
		r.dur(fact.GracefulTimeout, "hard-stop-after {s}s", arg)
	case "tune.bufsize":
		if n := source.Int([]byte(arg)); n.Known && n.N > maxRewrite {
			s := r.setting(fact.UpstreamHeaderMax, "tune.bufsize {n}")
			s.Num = fact.Num(n.N - maxRewrite)
			r.out.State(s)
		}
	case "retry-on":
		r.text(fact.UpstreamRetry, "retry-on {text}", strings.Join(w[1:], " "))
	case "retries":
		if arg == "0" {
			r.text(fact.UpstreamRetry, "retries 3", "none")
		}
	case "http-reuse":
		if arg == "never" {
			r.text(fact.PoolIdle, "http-reuse {text}", "off")
		}
	case "bind":
		r.text(fact.ListenAddress, "bind {text}", arg)
	case "option":
		r.option(w[1:])
	case "http-check":
		if arg == "send" {
			for i := 2; i+1 < len(w); i++ {
				if w[i] == "uri" {
					r.probe, r.probeLine = "http "+w[i+1], r.n
				}
			}
		}
	case "default-server":
		r.serverOptions(w[1:], "")
	case "server", "server-template":
		r.server(w)
	}
}

func (r *configReader) timeout(name, value string) {
	k, ok := timeouts[name]
	if !ok {
		return
	}
	if d, ok := duration(value); ok && (name == "client" || name == "http-request") {
		if _, have := r.slow[name]; !have {
			r.slow[name], r.slowLine[name] = d, r.n
		}
	}
	if k != "" {
		r.dur(k, "timeout "+name+" {s}s", value)
	}
}

// option reads options that change how connections and checks are made.
func (r *configReader) option(w []string) {
	if len(w) == 0 {
		return
	}
	switch w[0] {
	case "httpclose", "http-server-close", "forceclose", "http-tunnel":
		r.text(fact.PoolIdle, "option http-keep-alive", "off")
	case "httpchk":
		r.probe, r.probeLine = "http /", r.n
		for _, a := range w[1:] {
			if strings.HasPrefix(a, "/") {
				r.probe = "http " + a
			}
		}
	case "tcp-check", "mysql-check", "pgsql-check", "redis-check", "ssl-hello-chk", "ldap-check", "smtpchk", "external-check":
		r.probe, r.probeLine = w[0], r.n
	}
}

// server reads "server NAME ADDRESS[:PORT] OPTION...".
func (r *configReader) server(w []string) {
	name, addr, opts := "", "", []string(nil)
	switch {
	case w[0] == "server" && len(w) > 2:
		name, addr, opts = w[1], w[2], w[3:]
	case w[0] == "server-template" && len(w) > 3:
		name, addr, opts = w[1], w[3], w[4:]
	default:
		return
	}
	r.servers++
	if i := strings.IndexByte(addr, '@'); i > 0 {
		if strings.HasPrefix(addr, "unix@") || strings.HasPrefix(addr, "abns@") {
			addr = "unix:" + addr[i+1:]
		} else {
			addr = addr[i+1:]
		}
	}
	if strings.HasPrefix(addr, "/") {
		addr = "unix:" + addr
	}
	r.text(fact.UpstreamAddress, "server "+name+" {text}", addr)
	if r.at.name != "" && w[0] == "server" && !strings.ContainsAny(addr, "$ ") {
		r.env.Hint(memberHint, r.at.name+"/"+name+" "+addr)
	}
	resolved := r.serverOptions(opts, r.at.name+"/"+name)
	if host := hostOf(addr); isName(host) {
		s := r.setting(fact.UpstreamResolve, "server "+name+" "+addr+" check resolvers NAME init-addr last,libc,none")
		s.Object, s.Text, s.Basis = r.at.name+"/"+name, "start", fact.Default
		if resolved || r.defaultResolve {
			s.Text, s.Basis = "runtime", fact.Configured
		} else {
			s.Origin.URL = manual + "5.3"
		}
		r.out.State(s)
	}
}

// serverOptions reads the options of a server, or, with object empty, those
// that hold for all that follow. It reports whether the name is resolved again
// at run time.
func (r *configReader) serverOptions(w []string, object string) (resolved bool) {
	state := func(k fact.Knob, spelling, value string, isDur bool) {
		s := r.setting(k, "server … "+spelling)
		if object != "" {
			s.Object = object
		} else {
			s.Spelling = "default-server " + spelling
		}
		if isDur {
			s.Dur, _ = duration(value)
		} else {
			s.Num = source.Int([]byte(value))
		}
		if s.Dur.Known || s.Num.Known {
			r.out.State(s)
		}
	}
	for i := 0; i < len(w); i++ {
		next := ""
		if i+1 < len(w) {
			next = w[i+1]
		}
		switch w[i] {
		case "check":
			r.checked++
		case "inter":
			state(fact.HealthPeriod, "inter {s}s", next, true)
		case "fall":
			state(fact.HealthThreshold, "fall {n}", next, false)
		case "maxconn":
			state(fact.UpstreamMax, "maxconn {n}", next, false)
		case "pool-max-conn":
			state(fact.PoolSize, "pool-max-conn {n}", next, false)
		case "pool-purge-delay":
			state(fact.PoolIdle, "pool-purge-delay {s}s", next, true)
		case "error-limit":
			state(fact.MaxFails, "error-limit {n}", next, false)
		case "resolvers":
			resolved = true
			if object == "" {
				r.defaultResolve = true
			}
		}
	}
	return resolved
}

// leave states what only the end of a section shows.
func (r *configReader) leave() {
	if r.servers > 0 && (r.at.kind == "backend" || r.at.kind == "listen") {
		line, raw := r.n, r.raw
		r.n, r.raw = r.at.line, []byte(r.at.object())
		switch {
		case r.checked == 0:
			r.text(fact.ReadinessProbe, "server … check", "none")
		case r.probe != "":
			r.n, r.raw = r.probeLine, []byte("option httpchk")
			r.text(fact.ReadinessProbe, "option httpchk GET {text}", r.probe)
		default:
			r.text(fact.ReadinessProbe, "option httpchk GET {text}", "tcp")
		}
		r.n, r.raw = line, raw
	}
	if r.at.kind == "defaults" {
		r.baseProbe, r.baseProbeLine = r.probe, r.probeLine
	} else {
		r.checked, r.defaultResolve = 0, false
	}
	r.probe, r.probeLine, r.servers = r.baseProbe, r.baseProbeLine, 0
}

// duration reads a time in HAProxy's units; milliseconds where none stands.
func duration(v string) (fact.Dur, bool) {
	i := 0
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	n := source.Int([]byte(v[:i]))
	unit, ok := units[v[i:]]
	if !n.Known || !ok || n.N > int64(100*365*24*time.Hour/unit) {
		return fact.Dur{}, false
	}
	return fact.Lasting(time.Duration(n.N) * unit), true
}

var units = map[string]time.Duration{
	"us": time.Microsecond, "": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		return addr[:i]
	}
	return addr
}

// isName reports whether host has to be looked up.
func isName(host string) bool {
	if host == "" || host == "*" || strings.HasPrefix(host, "unix") || strings.ContainsAny(host, "$/") {
		return false
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil
}
