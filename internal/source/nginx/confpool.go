package nginx

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// block states what holds for a block as a whole and stands in several of its
// directives: which statuses are rewritten by error_page.
func (c *conf) block(d *directive) {
	for _, x := range d.body {
		if x.name != "error_page" {
			continue
		}
		if on := x.up.inherited("proxy_intercept_errors"); on == nil || on.arg(0) != "on" {
			continue
		}
		for _, code := range x.args[:max(len(x.args)-1, 0)] {
			if len(code) == 3 && code[0] == '5' {
				c.text(fact.ErrorInterception, x, strings.Join(x.args, " "), "error_page CODES URI;")
				break
			}
		}
	}
}

// passTarget parts what a *_pass directive names: "http://host:port/path".
func passTarget(d *directive) (scheme, host string) {
	v := d.arg(0)
	if s, rest, ok := strings.Cut(v, "://"); ok {
		scheme, v = s, rest
	}
	if strings.HasPrefix(v, "unix:") {
		if i := strings.IndexByte(v[5:], ':'); i >= 0 {
			v = v[:5+i]
		}
		return scheme, v
	}
	if i := strings.IndexByte(v, '/'); i >= 0 {
		v = v[:i]
	}
	return scheme, v
}

// pass states where a location's requests go, if not to a group, and when
// names are looked up.
func (c *conf) pass(d *directive) {
	scheme, host := passTarget(d)
	if host == "" || c.named[host] != nil {
		return
	}
	if strings.Contains(host, "$") {
		if on := d.up.inherited("resolver"); on != nil || strings.HasPrefix(d.arg(0), "http") {
			c.text(fact.UpstreamResolve, d, "runtime", "set $name HOST; proxy_pass http://$name;")
		}
		return
	}
	portless := !strings.Contains(host, ":")
	if portless && !c.http && !strings.Contains(host, ".") {
		return // a group that another file defines, or a host: cannot be told
	}
	port := "80"
	switch scheme {
	case "https", "grpcs":
		port = "443"
	}
	addr := host
	if d.name == "proxy_pass" || d.name == "grpc_pass" {
		addr = withPort(host, port)
	}
	c.text(fact.UpstreamAddress, d, withPort(addr, port), d.name+" URL;")
	if named(host) {
		c.text(fact.UpstreamResolve, d, "start", "resolver ADDRESS; set $name HOST; "+d.name+" http://$name;")
	}
	c.unpooled(d)
}

// unpooled states that a location without a group opens a connection for each
// request. Since 1.29.7 nginx keeps connections unless told otherwise: hence
// only a default.
func (c *conf) unpooled(d *directive) {
	s := c.setting(fact.PoolIdle, d, "upstream NAME { keepalive 32; keepalive_timeout {s}s; }")
	s.Text, s.Basis = "off", fact.Default
	s.Origin.URL = docUpstream + "#keepalive"
	c.state(d, s)
}

// groups states of each upstream group what its block and the locations that
// pass to it tell together.
func (c *conf) groups() {
	for _, u := range c.upstreams {
		c.pool(u)
		members, fails, after := 0, false, false
		for _, m := range u.body {
			if m.name != "server" {
				continue
			}
			members++
			text := strings.Join(m.args, " ")
			fails = fails || strings.Contains(text, "max_fails=")
			after = after || strings.Contains(text, "fail_timeout=")
		}
		if members < 2 {
			continue // a group of one is never ejected
		}
		if !fails {
			c.groupDefault(u, fact.MaxFails, func(s *fact.Setting) { s.Num = fact.Num(defaultMaxFails) }, "server ADDRESS max_fails={n};")
		}
		if !after {
			c.groupDefault(u, fact.FailTimeout, func(s *fact.Setting) { s.Dur = fact.Lasting(defaultFailTimeout) }, "server ADDRESS fail_timeout={s}s;")
		}
	}
}

func (c *conf) groupDefault(u *directive, knob fact.Knob, fill func(*fact.Setting), spelling string) {
	s := c.setting(knob, u, spelling)
	s.Basis, s.Object, s.Origin.URL = fact.Default, blockName(u), docUpstream
	fill(s)
	c.state(u, s)
}

// pool states whether and how long a group's connections are kept.
func (c *conf) pool(u *directive) {
	keep := u.find("keepalive")
	if keep == nil {
		c.groupDefault(u, fact.PoolIdle, func(s *fact.Setting) {
			s.Text = "off"
			s.Origin.URL = docUpstream + "#keepalive"
		}, "keepalive 32; keepalive_timeout {s}s;")
		return
	}
	if keep.arg(0) == "0" {
		c.text(fact.PoolIdle, keep, "off", "keepalive 32; keepalive_timeout {s}s;")
		return
	}
	asked, reused := 0, 0
	for _, p := range c.to[u.arg(0)] {
		asked++
		if c.reuses(p) {
			reused++
		}
	}
	if asked > 0 && reused == 0 {
		c.groupDefault(u, fact.PoolIdle, func(s *fact.Setting) {
			s.Text = "off"
			s.Origin.URL = docProxy + "#proxy_http_version"
		}, `proxy_http_version 1.1; proxy_set_header Connection "";`)
		return
	}
	if d := u.find("keepalive_timeout"); d != nil {
		c.dur(fact.PoolIdle, d, "keepalive_timeout {s}s;")
	} else {
		c.groupDefault(u, fact.PoolIdle, func(s *fact.Setting) {
			s.Dur = fact.Lasting(defaultPoolIdle)
			s.Origin.URL = docUpstream + "#keepalive_timeout"
		}, "keepalive_timeout {s}s;")
	}
}

// reuses reports whether requests of a *_pass leave their connection open:
// HTTP/1.1 without "Connection: close", or the module's own word for it.
func (c *conf) reuses(p *directive) bool {
	switch p.name {
	case "grpc_pass", "memcached_pass":
		return true
	case "fastcgi_pass":
		on := p.up.inherited("fastcgi_keep_conn")
		return on != nil && on.arg(0) == "on"
	case "proxy_pass":
	default:
		return false
	}
	if v := p.up.inherited("proxy_http_version"); v == nil || v.arg(0) == "1.0" {
		return false
	}
	return c.connection(p.up) != "close"
}

// connection is the Connection header of requests from block d. Headers are
// inherited only where a block sets none itself.
func (c *conf) connection(d *directive) string {
	for ; d != nil; d = d.up {
		if d.find("proxy_set_header") == nil {
			continue
		}
		v, ok := c.headers[d]
		if !ok {
			v = "close"
			for _, x := range d.body {
				if x.name == "proxy_set_header" && strings.EqualFold(x.arg(0), "Connection") {
					v = c.value(x.arg(1))
				}
			}
			c.headers[d] = v
		}
		return v
	}
	return "close"
}

// value resolves a variable that a map sets, for an ordinary request: one
// whose source, the Upgrade header, is empty.
func (c *conf) value(v string) string {
	m := c.maps[v]
	if m == nil {
		return strings.ToLower(v)
	}
	x := m.find(`""`)
	if x == nil {
		if x = m.find("default"); x == nil {
			return ""
		}
	}
	return strings.ToLower(x.arg(0))
}

// defaults states what holds where the configuration is silent. Only a whole
// configuration, or a server's, is silent; a piece of one is not.
func (c *conf) defaults() {
	if !c.http && !c.servers {
		return
	}
	out := partySink{c.file.out, c.party}
	pre := map[string]bool{}
	for _, p := range c.passes {
		name := strings.TrimSuffix(p.name, "_pass")
		s, ok := module(name)
		if !ok || pre[name] {
			continue
		}
		pre[name] = true
		if !c.given[name+"_read_timeout"] {
			defDur(out, fact.UpstreamReply, defaultTimeout, s.doc+"#"+name+"_read_timeout", name+"_read_timeout {s}s;", c.file.name)
		}
		if !c.given[name+"_connect_timeout"] {
			defDur(out, fact.UpstreamConnect, defaultTimeout, s.doc+"#"+name+"_connect_timeout", name+"_connect_timeout {s}s;", c.file.name)
		}
		if !c.given[name+"_next_upstream"] && !c.given[name+"_next_upstream_tries"] {
			d := def(fact.UpstreamRetry, s.doc+"#"+name+"_next_upstream", name+"_next_upstream CONDITIONS;")
			d.Text, d.Where = "error timeout", c.file.name
			out.State(d)
		}
		if !c.given[name+"_buffer_size"] {
			defNum(out, fact.UpstreamHeaderMax, defaultHeaderMax, s.doc+"#"+name+"_buffer_size", name+"_buffer_size {n};", c.file.name)
		}
	}
	serverDefaults(out, c.file.name, c.given, "")
	if c.http && !c.given["worker_connections"] {
		defNum(out, fact.MaxConnections, defaultConnections, docCore+"#worker_connections", "worker_connections {n};", c.file.name)
	}
}

// partySink gives settings the configuration's party.
type partySink struct {
	source.Sink
	party fact.Party
}

// State implements [source.Sink].
func (s partySink) State(f fact.Fact) {
	f.Head().Party = s.party
	s.Sink.State(f)
}
