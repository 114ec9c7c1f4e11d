package ruby

import (
	"bytes"
	"path/filepath"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// config reads puma.rb and unicorn.rb line by line, and Puma's command line:
// of the file, which is Ruby, calls with plain values are read.
var config = source.Format{
	ID: "ruby-config", Tech: tech, Title: "puma.rb, unicorn.rb",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 6 || len(b) > 1024 {
			return source.No
		}
		name, value, ok := call(b)
		if !ok {
			return source.No
		}
		k, known := calls[name]
		switch {
		case known && named(l.Path):
			return source.Likely
		case known && k.special && number(value).Known:
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &configReader{} },
}

type knob struct {
	knob     fact.Knob
	spelling string
	where    string
	seconds  bool
	special  bool // no other program has the word
}

var calls = map[string]knob{
	"persistent_timeout":      {fact.KeepAliveIdle, "persistent_timeout {s}", "puma.rb", true, true},
	"max_keep_alive":          {fact.MaxConnRequests, "max_keep_alive {n}", "puma.rb", false, true},
	"worker_timeout":          {fact.WorkerTimeout, "worker_timeout {s}", "puma.rb", true, true},
	"worker_shutdown_timeout": {fact.GracefulTimeout, "worker_shutdown_timeout {s}", "puma.rb", true, true},
	"force_shutdown_after":    {fact.GracefulTimeout, "force_shutdown_after {s}", "puma.rb", true, true},
	"first_data_timeout":      {fact.HeaderTimeout, "first_data_timeout {s}", "puma.rb", true, true},
	"worker_processes":        {fact.Workers, "worker_processes {n}", "unicorn.rb", false, false},
	"timeout":                 {fact.WorkerTimeout, "timeout {s}", "unicorn.rb", true, false},
	"workers":                 {fact.Workers, "workers {n}", "puma.rb", false, false},
	"threads":                 {},
	"port":                    {},
	"bind":                    {fact.ListenAddress, "bind", "puma.rb", false, false},
	"listen":                  {fact.ListenAddress, "listen", "unicorn.rb", false, false},
	"preload_app":             {},
	"preload_app!":            {},
	"environment":             {},
	"pidfile":                 {},
	"plugin":                  {},
	"stdout_redirect":         {},
	"working_directory":       {},
	"stderr_path":             {},
	"stdout_path":             {},
}

func named(path string) bool {
	base := filepath.Base(path)
	return strings.Contains(base, "puma") || strings.Contains(base, "unicorn")
}

// call reads `name value` and `name(value)`.
func call(b []byte) (name, value string, ok bool) {
	i := bytes.IndexAny(b, " (")
	if i <= 0 || b[0] == '#' {
		return string(b), "", !bytes.ContainsAny(b, " =#:{}") && len(b) > 0
	}
	value = strings.Trim(string(b[i+1:]), " ()")
	if strings.HasPrefix(value, "=") || strings.HasPrefix(value, ":") {
		return "", "", false
	}
	return string(b[:i]), value, true
}

// number is a plain number, or the default of ENV.fetch("X", 5) and
// ENV.fetch("X") { 5 }.
func number(v string) fact.Int {
	v, _, _ = strings.Cut(v, " #")
	if rest, ok := strings.CutPrefix(v, "Integer("); ok {
		v = rest
	}
	if strings.HasPrefix(v, "ENV.fetch") || strings.HasPrefix(v, "ENV[") {
		i := strings.LastIndexAny(v, "{,|")
		if i < 0 {
			return fact.Int{}
		}
		v = strings.Trim(v[i+1:], " {}()'\"|")
	}
	v = strings.TrimSpace(v)
	return source.Int([]byte(strings.Trim(v, "'\"")))
}

type configReader struct {
	workers, threads fact.Int
	line             int
}

func (r *configReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if len(b) == 0 || b[0] == '#' {
		return source.Mine
	}
	name, value, ok := call(b)
	if !ok {
		return source.NotMine
	}
	k, known := calls[name]
	if !known || !named(l.Path) && !k.special && r.line == 0 {
		return source.NotMine
	}
	r.line = l.N
	switch n := number(value); {
	case name == "threads":
		_, most, two := strings.Cut(value, ",")
		if !two {
			most = value
		}
		r.threads = number(strings.TrimSpace(most))
	case k.knob == "":
	case k.knob == fact.Workers:
		r.workers = n
	case k.knob == fact.ListenAddress:
		addr, more, _ := strings.Cut(value, ",")
		s := setting(k.knob, k.spelling, k.where, l.N)
		s.Text = strings.Trim(addr, `"' `)
		out.State(s)
		if _, backlog, ok := strings.Cut(more, "backlog"); ok {
			if n := number(strings.Trim(backlog, " :=>")); n.Known {
				s := setting(fact.ListenBacklog, "listen addr, backlog: {n}", k.where, l.N)
				s.Num = n
				out.State(s)
			}
		}
	case !n.Known || n.N < 0 || n.N > 1<<30:
	default:
		s := setting(k.knob, k.spelling, k.where, l.N)
		if k.seconds {
			s.Dur = fact.Seconds(float64(n.N))
		} else {
			s.Num = n
		}
		out.State(s)
	}
	return source.Mine
}

// Close states how many requests are served at once: workers by threads.
func (r *configReader) Close(out source.Sink) {
	if n := max(r.workers.Or(1), 1) * max(r.threads.Or(1), 1); (r.workers.Known || r.threads.Known) && n < 1<<20 {
		s := setting(fact.Workers, "workers {n}", "puma.rb", r.line)
		s.Num = fact.Num(n)
		out.State(s)
	}
}
