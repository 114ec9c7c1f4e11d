package nginx

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
)

// duration reads nginx's times: "60", "60s", "1m30s", "500ms", "1h 30m".
func duration(s string) (fact.Dur, bool) {
	var total time.Duration
	rest := strings.ReplaceAll(s, " ", "")
	if rest == "" {
		return fact.Dur{}, false
	}
	units := []struct {
		name string
		d    time.Duration
	}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"w", 7 * 24 * time.Hour}, {"M", 30 * 24 * time.Hour}, {"y", 365 * 24 * time.Hour}, {"", time.Second}}
	for rest != "" {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		n, err := strconv.ParseInt(rest[:i], 10, 32)
		if err != nil {
			return fact.Dur{}, false
		}
		rest = rest[i:]
		for _, u := range units {
			if strings.HasPrefix(rest, u.name) {
				if u.name == "" && rest != "" {
					return fact.Dur{}, false
				}
				total += time.Duration(n) * u.d
				rest = rest[len(u.name):]
				break
			}
		}
		if total < 0 {
			return fact.Dur{}, false
		}
	}
	return fact.Lasting(total), true
}

// size reads nginx's sizes in bytes: "4k", "1m", "16384".
func size(s string) fact.Int {
	if s == "" {
		return fact.Int{}
	}
	unit := int64(1)
	switch s[len(s)-1] | 0x20 {
	case 'k':
		unit = 1 << 10
	case 'm':
		unit = 1 << 20
	case 'g':
		unit = 1 << 30
	}
	if unit > 1 {
		s = s[:len(s)-1]
	}
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 {
		return fact.Int{}
	}
	return fact.Num(n * unit)
}

// knob states what one directive sets.
func (c *conf) knob(d *directive) {
	if c.module(d) {
		return
	}
	up := d.up.name == "upstream"
	switch d.name {
	case "keepalive_timeout":
		if !up {
			c.dur(fact.KeepAliveIdle, d, "keepalive_timeout {s}s;")
		} else if c.named[d.up.arg(0)] == nil { // a piece; of a whole block, pool tells
			c.dur(fact.PoolIdle, d, "keepalive_timeout {s}s;")
		}
	case "keepalive_requests":
		if !up {
			c.num(fact.MaxConnRequests, d, "keepalive_requests {n};")
		}
	case "keepalive":
		if up {
			c.num(fact.PoolSize, d, "keepalive {n};")
		}
	case "server":
		if up {
			c.member(d)
		}
	case "queue":
		if up {
			for _, a := range d.args {
				if v, ok := strings.CutPrefix(a, "timeout="); ok {
					c.durOf(fact.UpstreamQueue, d, v, "queue "+d.arg(0)+" timeout={s}s;")
				}
			}
		}
	case "client_header_timeout":
		c.dur(fact.HeaderTimeout, d, "client_header_timeout {s}s;")
	case "worker_connections":
		c.num(fact.MaxConnections, d, "worker_connections {n};")
	case "worker_rlimit_nofile":
		c.num(fact.FileLimit, d, "worker_rlimit_nofile {n};")
	case "worker_shutdown_timeout":
		c.dur(fact.GracefulTimeout, d, "worker_shutdown_timeout {s}s;")
	case "limit_req", "limit_conn":
		c.limit(d)
	case "listen":
		c.listen(d)
	case "client_body_temp_path":
		c.text(fact.TempDir, d, d.arg(0), "client_body_temp_path DIRECTORY;")
	}
}

// module states what directives of the modules that talk to members set.
func (c *conf) module(d *directive) bool {
	pre, rest, ok := strings.Cut(d.name, "_")
	if !ok {
		return false
	}
	switch pre {
	case "proxy", "fastcgi", "uwsgi", "scgi", "grpc":
	default:
		return false
	}
	switch rest {
	case "read_timeout":
		c.dur(fact.UpstreamReply, d, d.name+" {s}s;")
	case "connect_timeout":
		c.dur(fact.UpstreamConnect, d, d.name+" {s}s;")
	case "timeout": // stream: between two reads or writes
		c.dur(fact.UpstreamReply, d, d.name+" {s}s;")
	case "buffer_size":
		if n := size(d.arg(0)); n.Known {
			s := c.setting(fact.UpstreamHeaderMax, d, d.name+" {n};")
			s.Num = n
			c.state(d, s)
		}
	case "next_upstream", "next_upstream_tries":
		c.retry(d, pre)
	case "intercept_errors":
		c.text(fact.ErrorInterception, d, d.arg(0), d.name+" on|off;")
	case "temp_path":
		c.text(fact.TempDir, d, d.arg(0), d.name+" DIRECTORY;")
	case "pass":
		c.pass(d)
	default:
		return false
	}
	return true
}

// retry states on what a request is tried again, once a block.
func (c *conf) retry(d *directive, pre string) {
	on, tries := d.up.find(pre+"_next_upstream"), d.up.find(pre+"_next_upstream_tries")
	if d != on && (on != nil || d != tries) {
		return
	}
	text := "error timeout"
	if on != nil {
		text = strings.Join(on.args, " ")
	}
	if tries != nil && tries.arg(0) != "0" {
		text += " tries=" + tries.arg(0)
	}
	c.text(fact.UpstreamRetry, d, text, pre+"_next_upstream CONDITIONS;")
}

func (c *conf) dur(knob fact.Knob, d *directive, spelling string) {
	c.durOf(knob, d, d.arg(0), spelling)
}

func (c *conf) durOf(knob fact.Knob, d *directive, value, spelling string) {
	v, ok := duration(value)
	if !ok {
		return
	}
	s := c.setting(knob, d, spelling)
	s.Dur = v
	c.state(d, s)
}

func (c *conf) num(knob fact.Knob, d *directive, spelling string) {
	c.numOf(knob, d, d.arg(0), spelling)
}

func (c *conf) numOf(knob fact.Knob, d *directive, value, spelling string) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return
	}
	s := c.setting(knob, d, spelling)
	s.Num = fact.Num(n)
	c.state(d, s)
}

func (c *conf) text(knob fact.Knob, d *directive, value, spelling string) {
	if value == "" {
		return
	}
	s := c.setting(knob, d, spelling)
	s.Text = value
	c.state(d, s)
}

// member reads a server line of an upstream block.
func (c *conf) member(d *directive) {
	addr := d.arg(0)
	c.text(fact.UpstreamAddress, d, withPort(addr, "80"), "server ADDRESS;")
	resolve := false
	for _, a := range d.args[min(1, len(d.args)):] {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "max_fails":
			c.numOf(fact.MaxFails, d, v, "server "+addr+" max_fails={n};")
		case "fail_timeout":
			c.durOf(fact.FailTimeout, d, v, "server "+addr+" fail_timeout={s}s;")
		case "max_conns":
			if v != "0" {
				c.numOf(fact.UpstreamMax, d, v, "server "+addr+" max_conns={n};")
			}
		case "resolve":
			resolve = true
		}
	}
	if named(addr) {
		when := "start"
		if resolve {
			when = "runtime"
		}
		c.text(fact.UpstreamResolve, d, when, "server "+addr+" resolve;")
	}
}

// withPort is the address with the port that nginx takes where none is given.
func withPort(addr, port string) string {
	if addr == "" || strings.HasPrefix(addr, "unix:") {
		return strings.Replace(addr, "unix:///", "unix:/", 1)
	}
	if i := strings.LastIndexByte(addr, ':'); i > 0 && !strings.HasSuffix(addr, "]") {
		return addr
	}
	return addr + ":" + port
}

// named reports whether an address names a host that a resolver must find:
// neither a number nor the machine itself.
func named(addr string) bool {
	if addr == "" || strings.HasPrefix(addr, "unix:") || strings.ContainsAny(addr, "$[") {
		return false
	}
	host, _, _ := strings.Cut(addr, ":")
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return false
	}
	return host != ""
}

func zoneName(d *directive) string {
	for _, a := range d.args {
		if v, ok := strings.CutPrefix(a, "zone="); ok {
			name, _, _ := strings.Cut(v, ":")
			return name
		}
	}
	return ""
}

// limit states a limit_req with its zone's rate, or a limit_conn.
func (c *conf) limit(d *directive) {
	text := strings.Join(d.args, " ")
	if d.name == "limit_conn" {
		c.text(fact.RateLimit, d, "connections "+text, "limit_conn ZONE NUMBER;")
		return
	}
	if z := c.zones[zoneName(d)]; z != nil {
		for _, a := range z.args {
			if strings.HasPrefix(a, "rate=") {
				text += " " + a
			}
		}
	}
	c.text(fact.RateLimit, d, text, "limit_req zone=ZONE burst=NUMBER;")
}

func (c *conf) listen(d *directive) {
	c.text(fact.ListenAddress, d, d.arg(0), "listen ADDRESS;")
	for _, a := range d.args {
		if v, ok := strings.CutPrefix(a, "backlog="); ok {
			c.numOf(fact.ListenBacklog, d, v, "listen "+d.arg(0)+" backlog={n};")
		}
	}
}
