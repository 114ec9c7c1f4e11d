package gunicorn

import (
	"bytes"
	"path/filepath"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// config reads gunicorn.conf.py and command lines. The file is Python, and
// what is read of it are assignments of plain values.
var config = source.Format{
	ID: "gunicorn-config", Tech: tech, Title: "gunicorn configuration or command line",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 6 || len(b) > maxCommand {
			return source.No
		}
		if isCommand(b) {
			return source.Likely
		}
		if name, _, ok := assignment(b); ok {
			switch {
			case named(l.Path) && known(name):
				return source.Likely
			case special[name]:
				return source.Fragment
			}
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &configReader{set: map[fact.Knob]bool{}} },
}

// maxCommand bounds a command line that is looked at, in bytes.
const maxCommand = 8 << 10

// special are settings whose names only gunicorn has.
var special = map[string]bool{"worker_class": true, "worker_connections": true, "max_requests_jitter": true, "graceful_timeout": true, "keepalive": true, "max_requests": true}

func named(path string) bool { return strings.Contains(filepath.Base(path), "gunicorn") }

func known(name string) bool {
	switch name {
	case "bind", "workers", "threads", "timeout", "backlog", "preload_app", "accesslog", "errorlog", "loglevel", "wsgi_app":
		return true
	}
	return special[name]
}

// assignment reads `name = value`, with a comment after it.
func assignment(b []byte) (name, value string, ok bool) {
	k, v, ok := bytes.Cut(b, []byte("="))
	if !ok || len(k) == 0 || k[0] == '#' || len(v) > 0 && v[0] == '=' {
		return "", "", false
	}
	v, _, _ = bytes.Cut(v, []byte(" #"))
	name = string(bytes.TrimSpace(k))
	if strings.ContainsAny(name, " .(\"'") {
		return "", "", false
	}
	return name, strings.Trim(string(bytes.TrimSpace(v)), `"'`), true
}

// isCommand reports whether b starts gunicorn with options.
func isCommand(b []byte) bool {
	i := bytes.Index(b, []byte("gunicorn"))
	if i < 0 {
		return bytes.HasPrefix(b, []byte("GUNICORN_CMD_ARGS="))
	}
	if i > 0 && !strings.ContainsRune(" /\"'=", rune(b[i-1])) {
		return false
	}
	rest := b[i+len("gunicorn"):]
	if len(rest) == 0 || !strings.ContainsRune(" \"',", rune(rest[0])) {
		return false
	}
	for i := 1; i+2 < len(rest); i++ { // "-w" or "--w" after a separator
		if rest[i] != '-' || !strings.ContainsRune(" \"',", rune(rest[i-1])) {
			continue
		}
		if c := rest[i+1]; c >= 'a' && c <= 'z' || c == '-' && rest[i+2] >= 'a' && rest[i+2] <= 'z' {
			return true
		}
	}
	return false
}

// file reads a whole configuration file under whatever name.
var file = source.Format{
	ID: "gunicorn-file", Tech: tech, Title: "gunicorn.conf.py",
	SniffDoc: func(head []byte, path string) source.Confidence {
		all, certain, other := 0, 0, 0
		for line := range bytes.Lines(head) {
			b := bytes.TrimSpace(line)
			name, _, ok := assignment(b)
			switch {
			case ok && known(name):
				all++
				if special[name] {
					certain++
				}
			case ok, len(b) == 0, b[0] == '#', line[0] == ' ', line[0] == '\t':
			case isCommand(b), source.HasPrefix(b, "[20"), source.HasPrefix(b, "20"):
				return source.No // a log, or several things in one paste
			default:
				other++
			}
		}
		switch {
		case other > all+certain:
			return source.No
		case named(path) && all > 0:
			return source.Sure
		case certain > 0 && all > 2:
			return source.Likely
		}
		return source.No
	},
	ReadDoc: func(_ *source.Env, doc *source.Doc, out source.Sink) error {
		source.ReadLines(&configReader{set: map[fact.Knob]bool{}}, doc, out)
		return nil
	},
	Config: true,
}

type configReader struct {
	set     map[fact.Knob]bool
	class   string
	workers fact.Int
	threads fact.Int
	line    int // of the first setting
	command bool
}

func (r *configReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if isCommand(b) {
		r.end(out)
		r.command = true
		r.words(l.N, strings.FieldsFunc(string(b), func(c rune) bool { return strings.ContainsRune(" \t,\"'[]", c) }), out)
		r.end(out)
		return source.Mine
	}
	if len(b) == 0 || b[0] == '#' || source.HasPrefix(b, "import ") || source.HasPrefix(b, "from ") {
		return source.Mine
	}
	name, value, ok := assignment(b)
	if !ok || !known(name) && !named(l.Path) {
		return source.NotMine
	}
	r.option(l.N, name, value, out)
	return source.Mine
}

func (r *configReader) Close(out source.Sink) { r.end(out) }

// short are the one-letter options.
var short = map[string]string{"-w": "workers", "-k": "worker_class", "-t": "timeout", "-b": "bind", "-n": "name", "-c": "config"}

// words reads a command line's options.
func (r *configReader) words(line int, args []string, out source.Sink) {
	if r.line == 0 {
		r.line = line
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		name, value, has := "", "", false
		switch {
		case strings.HasPrefix(a, "--"):
			name, value, has = strings.Cut(a[2:], "=")
			name = strings.ReplaceAll(name, "-", "_")
		case short[a] != "":
			name = short[a]
		case len(a) > 2 && short[a[:2]] != "":
			name, value, has = short[a[:2]], a[2:], true
		default:
			continue
		}
		if !has && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			value = args[i]
		}
		if name == "keep_alive" {
			name = "keepalive"
		}
		r.option(line, name, strings.Trim(value, `"'`), out)
	}
}

func (r *configReader) option(line int, name, value string, out source.Sink) {
	if r.line == 0 {
		r.line = line
	}
	n := source.Int([]byte(value))
	knob := fact.Knob("")
	switch name {
	case "worker_class":
		r.class = classOf(value)
		return
	case "workers":
		r.workers = n
		return
	case "threads":
		r.threads = n
		return
	case "timeout":
		knob = fact.WorkerTimeout
	case "graceful_timeout":
		knob = fact.GracefulTimeout
	case "keepalive":
		knob = fact.KeepAliveIdle
	case "max_requests":
		knob = fact.WorkerMaxRequests
	case "backlog":
		knob = fact.ListenBacklog
	case "worker_connections":
		knob = fact.MaxConnections
	case "bind":
		if value == "" {
			return
		}
		s := setting(fact.ListenAddress, line)
		s.Text = value
		r.state(s, out)
		return
	default:
		return
	}
	if !n.Known || n.N < 0 || n.N > 1<<40 {
		return
	}
	s := setting(knob, line)
	switch knob {
	case fact.WorkerTimeout, fact.GracefulTimeout, fact.KeepAliveIdle:
		s.Dur = fact.Seconds(float64(n.N))
		if knob == fact.WorkerTimeout && n.N == 0 {
			s.Dur, s.Text = fact.Dur{}, "none" // 0 switches it off
		}
	default:
		s.Num = n
	}
	r.state(s, out)
}

func (r *configReader) state(s *fact.Setting, out source.Sink) {
	r.set[s.Knob] = true
	out.State(s)
}

// end states what follows from all options together.
func (r *configReader) end(out source.Sink) {
	if r.line == 0 {
		return
	}
	if r.class == "" {
		r.class = "sync"
		if r.threads.Or(1) > 1 {
			r.class = "gthread" // documented: threads above one make it so
		}
	}
	if r.workers.Known && r.workers.N > 0 && r.workers.N < 1<<20 && r.threads.Or(1) < 1<<20 {
		s := setting(fact.Workers, r.line)
		s.Num = fact.Num(r.workers.N * max(r.threads.Or(1), 1))
		r.state(s, out)
	}
	if r.class == "sync" {
		delete(r.set, fact.KeepAliveIdle)
	}
	if r.command || len(r.set) > 1 {
		defaults(r.class, r.set, r.line, out)
	}
	*r = configReader{set: map[fact.Knob]bool{}}
}
