// Package linux reads what the Linux kernel logs, and what the tools print with
// which people look at a host: ss, netstat, nstat, sysctl, ulimit, df, free,
// dig, nslookup, cat of files under /proc and /sys.
//
// Kernel messages are those of the kernel's sources, with the words of older
// versions beside the new: mm/oom_kill.c, arch/x86/mm/fault.c (segfaults),
// kernel/watchdog.c and hung_task.c, net/ipv4/tcp_input.c (SYN flooding) and
// tcp.c, net/netfilter/nf_conntrack_core.c, net/core/neighbour.c, fs/ext4. They
// come with or without the logger's "kernel:" and with any stamp of dmesg.
package linux

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "linux"

// Formats is what this package reads.
var Formats = []source.Format{kernel, audit, tools}

// host is the machine as a party.
func host() fact.Party { return fact.Party{Role: fact.RoleHost, Tech: tech} }

// process is a program the kernel names. A name is cut to 15 bytes there.
func process(name string, pid int) fact.Party {
	p := fact.Party{Tech: tech, Name: name, PID: pid}
	for _, gw := range [...]string{"nginx", "openresty", "haproxy", "envoy", "traefik", "caddy", "varnishd", "cache-main", "squid"} {
		if strings.HasPrefix(name, gw) {
			p.Role = fact.RoleGateway
		}
	}
	for _, app := range [...]string{"node", "gunicorn", "uvicorn", "uwsgi", "python", "php", "puma", "ruby", "unicorn", "java", "beam", "dotnet", "bun", "deno"} {
		if strings.HasPrefix(name, app) {
			p.Role = fact.RoleBackend
		}
	}
	return p
}

// stampOf takes the kernel's frame off: a logger's tag that stayed, a
// priority, dmesg's stamp in any of its formats, and the number of the calling
// thread. uptime is what "[12345.678]" tells.
func stampOf(env *source.Env, l *source.Line) (t time.Time, res time.Duration, msg []byte, framed bool) {
	msg = bytes.TrimLeft(l.Text, " \t")
	framed = l.Program == "kernel"
	if rest, ok := bytes.CutPrefix(msg, []byte("kernel:")); ok {
		msg, framed = bytes.TrimLeft(rest, " "), true
	}
	if len(msg) > 4 && msg[0] == '<' && bytes.IndexByte(msg[:5], '>') > 1 && source.Int(msg[1:bytes.IndexByte(msg, '>')]).Known {
		msg = msg[bytes.IndexByte(msg, '>')+1:]
	}
	if len(msg) > 26 && msg[10] == 'T' && msg[19] == ',' { // dmesg --time-format iso
		if at, r, rest, ok := source.ISOTime(env, msg); ok && len(rest) > 0 && rest[0] == ' ' {
			return at, r, bytes.TrimLeft(rest, " "), true
		}
	}
	if len(msg) == 0 || msg[0] != '[' {
		return t, res, msg, framed
	}
	in, rest, ok := source.Bracketed(msg)
	if !ok || len(in) > 40 {
		return t, res, msg, framed
	}
	in = bytes.TrimSpace(in)
	if at, r, left, ok := source.ANSITime(env, in); ok && len(left) == 0 { // dmesg -T
		t, res = at, r
	} else if i := bytes.IndexByte(in, '.'); i < 0 || len(in)-i != 7 && len(in)-i != 4 || !source.Secs(in).Known {
		return t, res, msg, framed
	}
	framed = true
	if caller, after, ok := source.Bracketed(rest); ok && len(caller) > 1 && len(caller) < 12 {
		if id := bytes.TrimSpace(caller); len(id) > 1 && (id[0] == 'T' || id[0] == 'C') && source.Int(id[1:]).Known {
			rest = after
		}
	}
	return t, res, bytes.TrimLeft(rest, " "), framed
}
