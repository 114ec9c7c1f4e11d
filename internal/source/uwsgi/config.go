package uwsgi

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const docOptions = "https://uwsgi-docs.readthedocs.io/en/latest/Options.html"

type knob struct {
	knob     fact.Knob
	spelling string
	num      int64
	seconds  bool
}

// defaults holds what matters and is not set.
var defaults = []knob{
	{fact.ListenBacklog, "listen = {n}", 100, false},
	{fact.WorkerTimeout, "harakiri = {s}", 0, true},
}

func newSetting(k fact.Knob, spelling string, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: "uwsgi.ini"}
	s.Party, s.Origin.Line = backend(), line
	return s
}

func (k knob) setting(line int) *fact.Setting {
	s := newSetting(k.knob, k.spelling, line)
	switch {
	case k.num == 0 && (k.knob == fact.WorkerTimeout || k.knob == fact.WorkerMaxRequests):
		s.Text = "none"
	case k.seconds:
		s.Dur = fact.Seconds(float64(k.num))
	default:
		s.Num = fact.Num(k.num)
	}
	return s
}

var keys = map[string]knob{
	"listen":                  {fact.ListenBacklog, "listen = {n}", 0, false},
	"harakiri":                {fact.WorkerTimeout, "harakiri = {s}", 0, true},
	"max-requests":            {fact.WorkerMaxRequests, "max-requests = {n}", 0, false},
	"processes":               {fact.Workers, "processes = {n}", 0, false},
	"workers":                 {fact.Workers, "workers = {n}", 0, false},
	"max-fd":                  {fact.FileLimit, "max-fd = {n}", 0, false},
	"http-timeout":            {fact.RequestTimeout, "http-timeout = {s}", 0, true},
	"http-keepalive":          {fact.KeepAliveIdle, "http-keepalive = {s}", 0, true},
	"so-keepalive":            {},
	"socket-timeout":          {fact.HeaderTimeout, "socket-timeout = {s}", 0, true},
	"worker-reload-mercy":     {fact.GracefulTimeout, "worker-reload-mercy = {s}", 0, true},
	"socket":                  {fact.ListenAddress, "socket =", 0, false},
	"http":                    {fact.ListenAddress, "http =", 0, false},
	"http-socket":             {fact.ListenAddress, "http-socket =", 0, false},
	"uwsgi-socket":            {fact.ListenAddress, "socket =", 0, false},
	"http11-socket":           {fact.ListenAddress, "http11-socket =", 0, false},
	"threads":                 {},
	"master":                  {},
	"vacuum":                  {},
	"die-on-term":             {},
	"chdir":                   {},
	"module":                  {},
	"wsgi-file":               {},
	"enable-threads":          {},
	"buffer-size":             {},
	"cheaper":                 {},
	"reload-on-rss":           {},
	"reload-on-as":            {},
	"chmod-socket":            {},
	"plugins":                 {},
	"plugin":                  {},
	"virtualenv":              {},
	"home":                    {},
	"uid":                     {},
	"gid":                     {},
	"lazy-apps":               {},
	"single-interpreter":      {},
	"need-app":                {},
	"disable-logging":         {},
	"log-date":                {},
	"callable":                {},
	"pidfile":                 {},
	"daemonize":               {},
	"ignore-sigpipe":          {},
	"ignore-write-errors":     {},
	"disable-write-exception": {},
}

// special are options whose names only uWSGI has.
var special = map[string]bool{"harakiri": true, "http-timeout": true, "http-keepalive": true, "die-on-term": true, "wsgi-file": true, "http-socket": true, "uwsgi-socket": true, "chmod-socket": true, "worker-reload-mercy": true, "max-requests": true, "lazy-apps": true, "reload-on-rss": true}

func assignment(b []byte) (key, value string, ok bool) {
	k, v, found := bytes.Cut(b, []byte("="))
	if !found || len(k) == 0 || k[0] == '#' || k[0] == ';' {
		return "", "", false
	}
	key = string(bytes.TrimSpace(k))
	_, ok = keys[key]
	v, _, _ = bytes.Cut(v, []byte(" #"))
	v, _, _ = bytes.Cut(v, []byte(" ;"))
	return key, string(bytes.TrimSpace(v)), ok
}

// isCommand reports whether b starts uWSGI with options.
func isCommand(b []byte) bool {
	i := bytes.Index(b, []byte("uwsgi"))
	if i < 0 || i > 0 && !strings.ContainsRune(" /\"'", rune(b[i-1])) {
		return false
	}
	rest := b[i+len("uwsgi"):]
	return len(rest) > 3 && strings.ContainsRune(" \"',", rune(rest[0])) && option(rest)
}

// option reports whether b holds an option, "--listen".
func option(b []byte) bool {
	i := bytes.Index(b, []byte("--"))
	return i >= 0 && i+2 < len(b) && b[i+2] >= 'a' && b[i+2] <= 'z'
}

var file = source.Format{
	ID: "uwsgi-ini", Tech: tech, Title: "uwsgi.ini",
	SniffDoc: func(head []byte, path string) source.Confidence {
		section, n, size := false, 0, len(head)
		for line := range bytes.Lines(head) {
			size -= len(line)
			b := bytes.TrimSpace(line)
			_, _, ok := assignment(b)
			switch {
			case string(b) == "[uwsgi]":
				section = true
			case ok:
				n++
			case len(b) == 0, b[0] == '#', b[0] == ';', b[0] == '[' && b[len(b)-1] == ']', source.Has(b, "="), size == 0:
			default:
				return source.No // other text stands beside it
			}
		}
		if section && n > 0 {
			return source.Sure
		}
		return source.No
	},
	ReadDoc: func(_ *source.Env, doc *source.Doc, out source.Sink) error {
		source.ReadLines(&optionReader{file: true, set: map[fact.Knob]bool{}}, doc, out)
		return nil
	},
	Config: true,
}

var options = source.Format{
	ID: "uwsgi-options", Tech: tech, Title: "options of uWSGI",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 5 || len(b) > 4096 {
			return source.No
		}
		if string(b) == "[uwsgi]" || isCommand(b) {
			return source.Likely
		}
		if key, _, ok := assignment(b); ok && special[key] {
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &optionReader{set: map[fact.Knob]bool{}} },
}

type optionReader struct {
	file    bool
	section bool
	set     map[fact.Knob]bool
}

func (r *optionReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if isCommand(b) {
		r.command(l, strings.FieldsFunc(string(b), func(c rune) bool { return strings.ContainsRune(" \t,\"'[]", c) }), out)
		return source.Mine
	}
	if string(b) == "[uwsgi]" {
		r.section = true
		return source.Mine
	}
	if len(b) == 0 || b[0] == '#' || b[0] == ';' {
		return source.Mine
	}
	key, value, ok := assignment(b)
	if !ok || !r.section && !special[key] {
		if r.section && source.Has(b, "=") {
			return source.Mine
		}
		return source.NotMine
	}
	r.option(l.N, key, value, out)
	return source.Mine
}

func (r *optionReader) Close(out source.Sink) {
	if !r.file {
		return
	}
	stateDefaults(1, r.set, out)
}

// stateDefaults states the documented defaults of knobs not in set.
func stateDefaults(line int, set map[fact.Knob]bool, out source.Sink) {
	for _, d := range defaults {
		if !set[d.knob] {
			s := d.setting(line)
			s.Basis, s.Origin.URL = fact.Default, docOptions
			out.State(s)
		}
	}
}

func (r *optionReader) command(l *source.Line, args []string, out source.Sink) {
	for i := 0; i < len(args); i++ {
		name, ok := strings.CutPrefix(args[i], "--")
		if !ok {
			continue
		}
		name, value, has := strings.Cut(name, "=")
		if !has && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
			i++
			value = args[i]
		}
		r.option(l.N, name, value, out)
	}
}

func (r *optionReader) option(line int, key, value string, out source.Sink) {
	k := keys[key]
	if k.knob == "" {
		return
	}
	if k.knob == fact.ListenAddress {
		if value == "" {
			return
		}
		s := newSetting(k.knob, k.spelling, line)
		s.Text = value
		r.set[k.knob] = true
		out.State(s)
		return
	}
	n := source.Int([]byte(value))
	if !n.Known || n.N < 0 || n.N > 1<<40 {
		return
	}
	k.num = n.N
	r.set[k.knob] = true
	out.State(k.setting(line))
}
