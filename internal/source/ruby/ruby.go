// Package ruby reads what Ruby's application servers and Rails write: Puma,
// Unicorn and Passenger, Rails' request lines (its own and lograge's),
// exceptions, puma.rb and unicorn.rb.
//
// Messages are those of puma/lib/puma (launcher, cluster, server; versions 3 to
// 7), of unicorn's http_server.rb and of ActionController's log subscriber.
// Puma keeps an idle connection for 65 s since 7.0 and 20 s before; a worker
// that does not check in for 60 s is killed. Unicorn has no keep-alive at all.
package ruby

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "ruby"

// Formats is what this package reads.
var Formats = []source.Format{rackAccess, railsLog, serverLog, config}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

const (
	docPuma    = "https://puma.io/puma/Puma/DSL.html"
	docUnicorn = "https://yhbt.net/unicorn/Unicorn/Configurator.html"
)

func setting(k fact.Knob, spelling, where string, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: where}
	s.Party, s.Origin.Line = backend(), line
	return s
}

// pumaDefaults states what a version of Puma does unless told otherwise; of an
// unknown one, what holds for all.
func pumaDefaults(version string, line int, out source.Sink) {
	if version != "" {
		pumaIdle(version, line, out)
	}
	s := setting(fact.WorkerTimeout, "worker_timeout {s}", "puma.rb", line)
	s.Dur, s.Basis, s.Origin.URL = fact.Seconds(60), fact.Default, docPuma
	out.State(s)
}

func pumaIdle(version string, line int, out source.Sink) {
	major, _, _ := strings.Cut(version, ".")
	idle := 20 * time.Second
	if n := source.Int([]byte(major)); n.Or(0) >= 7 {
		idle = 65 * time.Second
		s := setting(fact.MaxConnRequests, "max_keep_alive {n}", "puma.rb", line)
		s.Num, s.Basis, s.Origin.URL = fact.Num(999), fact.Default, docPuma
		out.State(s)
	}
	s := setting(fact.KeepAliveIdle, "persistent_timeout {s}", "puma.rb", line)
	s.Dur, s.Basis, s.Origin.URL = fact.Lasting(idle), fact.Default, docPuma
	out.State(s)
}

func unicornDefaults(line int, out source.Sink) {
	s := setting(fact.MaxConnRequests, "", "unicorn.rb", line)
	s.Num, s.Basis, s.Origin.URL = fact.Num(1), fact.Default, docUnicorn
	out.State(s)
	s = setting(fact.WorkerTimeout, "timeout {s}", "unicorn.rb", line)
	s.Dur, s.Basis, s.Origin.URL = fact.Seconds(60), fact.Default, docUnicorn
	out.State(s)
}

// frame cuts what Ruby's Logger and Puma put before a message:
// "I, [2026-03-09T14:00:00.123456 #12]  INFO -- : " or "[12] ".
func frame(env *source.Env, b []byte) (t time.Time, res fact.Dur, pid int, msg []byte, framed bool) {
	msg = bytes.TrimSpace(b)
	if len(msg) > 30 && msg[1] == ',' && msg[2] == ' ' && msg[3] == '[' {
		in, rest, ok := source.Bracketed(msg[3:])
		if ok {
			if at, r, left, ok := source.ISOTime(env, in); ok {
				if i := bytes.IndexByte(left, '#'); i >= 0 {
					pid = source.PID(left[i+1:])
				}
				if i := bytes.Index(rest, []byte("-- ")); i >= 0 && i < 20 {
					if _, text, ok := bytes.Cut(rest[i+3:], []byte(": ")); ok {
						return at, fact.Lasting(r), pid, text, true
					}
				}
			}
		}
	}
	if at, r, rest, ok := source.ISOTime(env, msg); ok && len(rest) > 1 && rest[0] == ' ' {
		return at, fact.Lasting(r), 0, bytes.TrimSpace(rest), false // Puma's own errors
	}
	if in, rest, ok := source.Bracketed(msg); ok && len(in) < 8 {
		if n := source.PID(in); n > 0 {
			return t, res, n, rest, false
		}
	}
	return t, res, 0, msg, false
}
