// Package gunicorn reads gunicorn's log, with the access lines in it, its
// configuration file and its command line.
//
// Messages are those of gunicorn/arbiter.py and workers/, versions 19 to 23.
// The sync worker closes the connection after each response; the others keep
// it for keepalive seconds (2), gthread up to a second longer, for it looks
// once a second (measured 2.8 s). Defaults: docs.gunicorn.org, settings.
package gunicorn

import (
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "gunicorn"

// Formats is what this package reads.
var Formats = []source.Format{processLog, file, config}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

const (
	docSettings = "https://docs.gunicorn.org/en/stable/settings.html"
	inConfig    = "gunicorn.conf.py"
)

// spellings are the knobs that matter and how they are written.
var spellings = map[fact.Knob]string{
	fact.KeepAliveIdle:     "keepalive = {s}",
	fact.WorkerTimeout:     "timeout = {s}",
	fact.GracefulTimeout:   "graceful_timeout = {s}",
	fact.WorkerMaxRequests: "max_requests = {n}",
	fact.Workers:           "workers = {n}",
	fact.ListenBacklog:     "backlog = {n}",
	fact.ListenAddress:     "bind = \"0.0.0.0:8000\"",
	fact.MaxConnRequests:   "worker_class = \"gthread\"",
	fact.MaxConnections:    "worker_connections = {n}",
}

func setting(k fact.Knob, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spellings[k], Where: inConfig}
	s.Party, s.Origin.Line = backend(), line
	return s
}

func fallback(k fact.Knob, line int, anchor string) *fact.Setting {
	s := setting(k, line)
	s.Basis, s.Origin.URL = fact.Default, docSettings+anchor
	return s
}

// defaults states what holds for a worker class where it is not set.
func defaults(class string, set map[fact.Knob]bool, line int, out source.Sink) {
	state := func(s *fact.Setting) {
		if !set[s.Knob] {
			out.State(s)
		}
	}
	switch {
	case class == "sync":
		s := fallback(fact.MaxConnRequests, line, "#keepalive")
		s.Num = fact.Num(1) // keepalive has no effect on it
		state(s)
	case class != "":
		s := fallback(fact.KeepAliveIdle, line, "#keepalive")
		s.Dur = fact.Lasting(2 * time.Second)
		state(s)
	}
	s := fallback(fact.WorkerTimeout, line, "#timeout")
	s.Dur = fact.Lasting(30 * time.Second)
	state(s)
	s = fallback(fact.GracefulTimeout, line, "#graceful-timeout")
	s.Dur = fact.Lasting(30 * time.Second)
	state(s)
}

// classOf is the short name of a worker class.
func classOf(v string) string {
	v = strings.Trim(v, `"' `)
	if i := strings.LastIndexAny(v, ".:"); i >= 0 {
		v = v[i+1:]
	}
	switch low := strings.ToLower(strings.TrimSuffix(v, "Worker")); low {
	case "threadworker", "thread":
		return "gthread"
	default:
		return low
	}
}
