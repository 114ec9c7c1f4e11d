package phpfpm

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Documentation of defaults.
const (
	docFPM = "https://www.php.net/manual/en/install.fpm.configuration.php"
	docINI = "https://www.php.net/manual/en/ini.core.php"
)

func setting(k fact.Knob, name, spelling, where string, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: where, Object: name}
	s.Party, s.Origin.Line = pool(name), line
	return s
}

// inPool is the file that most settings belong into.
const inPool = "www.conf"

// defaults states what holds unless a pool says otherwise.
func defaults(line int, out source.Sink) {
	for _, s := range missing("", line) {
		out.State(s)
	}
}

func missing(name string, line int) []*fact.Setting {
	terminate := setting(fact.WorkerTimeout, name, "request_terminate_timeout = {s}s", inPool, line)
	terminate.Text = "none"
	backlog := setting(fact.ListenBacklog, name, "listen.backlog = {n}", inPool, line)
	backlog.Num = fact.Num(511)
	grace := setting(fact.GracefulTimeout, name, "process_control_timeout = {s}s", "php-fpm.conf", line)
	grace.Dur = fact.Seconds(0) // children are not waited for
	all := []*fact.Setting{terminate, backlog, grace}
	for _, s := range all {
		s.Basis, s.Origin.URL = fact.Default, docFPM
	}
	return all
}

// keys are the lines of pool files, php-fpm.conf and php.ini that become
// settings.
var keys = map[string]struct {
	knob     fact.Knob
	spelling string
	where    string
	kind     byte // n number, b bytes, d duration, t text
}{
	"pm.max_children":           {fact.Workers, "pm.max_children = {n}", inPool, 'n'},
	"pm.max_requests":           {fact.WorkerMaxRequests, "pm.max_requests = {n}", inPool, 'n'},
	"request_terminate_timeout": {fact.WorkerTimeout, "request_terminate_timeout = {s}s", inPool, 'd'},
	"listen.backlog":            {fact.ListenBacklog, "listen.backlog = {n}", inPool, 'n'},
	"listen":                    {fact.ListenAddress, "listen =", inPool, 't'},
	"rlimit_files":              {fact.FileLimit, "rlimit_files = {n}", inPool, 'n'},
	"process_control_timeout":   {fact.GracefulTimeout, "process_control_timeout = {s}s", "php-fpm.conf", 'd'},
	"memory_limit":              {fact.HeapLimit, "memory_limit = {n}", "php.ini", 'b'},
	"max_execution_time":        {fact.RequestTimeout, "max_execution_time = {s}", "php.ini", 'd'},
}

// special reports whether a key is of PHP alone.
func special(key string) bool {
	return strings.HasPrefix(key, "pm.") || strings.HasPrefix(key, "listen.") || strings.HasPrefix(key, "request_") && strings.HasSuffix(key, "_timeout") || strings.HasPrefix(key, "php_admin_value[") || strings.HasPrefix(key, "php_value[") || key == "process_control_timeout" || key == "rlimit_files" || key == "max_execution_time" || key == "memory_limit"
}

func assignment(b []byte) (key, value string, ok bool) {
	if len(b) == 0 || b[0] == ';' || b[0] == '#' {
		return "", "", false
	}
	k, v, ok := bytes.Cut(b, []byte("="))
	if !ok {
		return "", "", false
	}
	v, _, _ = bytes.Cut(v, []byte(";"))
	key = string(bytes.TrimSpace(k))
	if strings.ContainsAny(key, " \t\"'(") {
		return "", "", false
	}
	return key, strings.Trim(string(bytes.TrimSpace(v)), `"'`), true
}

// poolFile reads a whole configuration.
var poolFile = source.Format{
	ID: "php-fpm-pool", Tech: tech, Title: "PHP-FPM pool or php.ini",
	SniffDoc: func(head []byte, path string) source.Confidence {
		n, size := 0, len(head)
		for line := range bytes.Lines(head) {
			size -= len(line)
			b := bytes.TrimSpace(line)
			key, _, ok := assignment(b)
			switch {
			case ok && special(key):
				n++
			case ok, len(b) == 0, b[0] == ';', b[0] == '#', b[0] == '[' && b[len(b)-1] == ']', size == 0:
			default:
				return source.No // other text stands beside it
			}
		}
		switch {
		case n > 1 && (source.Has(head, "pm.") || strings.HasSuffix(path, ".ini")):
			return source.Likely
		case n > 0 && strings.HasSuffix(path, "php.ini"):
			return source.Likely
		}
		return source.No
	},
	ReadDoc: func(env *source.Env, doc *source.Doc, out source.Sink) error {
		source.ReadLines(&poolReader{}, doc, out)
		return nil
	},
	Config: true,
}

// poolLines reads fragments of a configuration, and the status page.
var poolLines = source.Format{
	ID: "php-fpm-settings", Tech: tech, Title: "lines of a PHP-FPM pool or status page",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 8 || len(b) > 512 {
			return source.No
		}
		if key, _, ok := assignment(b); ok && special(key) {
			return source.Likely
		}
		if key, _, ok := statusRow(b); ok && (key == "max listen queue" || key == "listen queue len" || key == "max children reached" || key == "listen queue") {
			return source.Likely
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &poolReader{lines: true} },
}

type poolReader struct {
	lines bool // single lines: what is missing is not a default
	name  string
	at    int
	set   map[fact.Knob]bool
	queue fact.Int
}

func (r *poolReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if len(b) == 0 || b[0] == ';' || b[0] == '#' {
		return source.Mine
	}
	if name, rest, ok := source.Bracketed(b); ok && len(rest) == 0 {
		r.end(out)
		r.name, r.at, r.set = string(name), l.N, map[fact.Knob]bool{}
		return source.Mine
	}
	if key, value, ok := statusRow(b); ok {
		return r.status(l, key, value, out)
	}
	key, value, ok := assignment(b)
	if !ok || r.lines && !special(key) && r.set == nil {
		return source.NotMine
	}
	if in, rest, ok := strings.Cut(key, "["); ok && (in == "php_admin_value" || in == "php_value") {
		key = strings.TrimSuffix(rest, "]")
	}
	k, ok := keys[key]
	if !ok {
		return source.Mine
	}
	s := setting(k.knob, r.name, k.spelling, k.where, l.N)
	switch k.kind {
	case 'n':
		s.Num = source.Int([]byte(value))
		if s.Num.Or(-1) < 0 || k.knob == fact.WorkerMaxRequests && s.Num.Is(0) {
			s.Num, s.Text = fact.Int{}, "none"
		}
	case 'b':
		if s.Num = size(value); !s.Num.Known {
			s.Text = "none" // -1
		}
	case 'd':
		if s.Dur = seconds(value); s.Dur.Known && s.Dur.D == 0 && k.knob != fact.GracefulTimeout {
			s.Dur, s.Text = fact.Dur{}, "none"
		}
	case 't':
		s.Text = value
	}
	if r.set == nil {
		r.set = map[fact.Knob]bool{}
	}
	r.set[k.knob] = true
	out.State(s)
	return source.Mine
}

func (r *poolReader) Close(out source.Sink) { r.end(out) }

func (r *poolReader) end(out source.Sink) {
	if r.lines || !r.set[fact.Workers] {
		return
	}
	for _, s := range missing(r.name, r.at) {
		if !r.set[s.Knob] {
			out.State(s)
		}
	}
}

// statusRow cuts "max children reached: 3", a row of the status page.
func statusRow(b []byte) (key, value string, ok bool) {
	k, v, ok := bytes.Cut(b, []byte(":"))
	if !ok || len(v) < 2 || v[0] != ' ' && v[0] != '\t' {
		return "", "", false
	}
	key = string(bytes.TrimSpace(k))
	switch key {
	case "pool", "process manager", "start time", "start since", "accepted conn", "listen queue", "max listen queue", "listen queue len", "idle processes", "active processes", "total processes", "max active processes", "max children reached", "slow requests":
		return key, string(bytes.TrimSpace(v)), true
	}
	return "", "", false
}

func (r *poolReader) status(l *source.Line, key, value string, out source.Sink) source.Took {
	n := source.Int([]byte(value))
	e := &fact.Event{Kind: fact.LimitReached, Detail: clip(bytes.TrimSpace(l.Text))}
	e.Time, e.Party = l.Time, pool(r.name)
	switch {
	case key == "pool":
		r.name = value
	case key == "max listen queue" && n.Or(0) > 0:
		r.queue = n
	case key == "listen queue len" && n.Or(0) > 0 && r.queue.Known:
		e.Limit, e.Reason, e.Used, e.Max = fact.LimitQueue, "max listen queue", r.queue, n
		if r.queue.N < n.N {
			e.Kind = fact.LimitNear
		}
		out.State(e)
	case key == "max children reached" && n.Or(0) > 0 && n.N < 1<<30:
		e.Limit, e.Reason, e.Count = fact.LimitWorkers, "pm.max_children", int(n.N)
		out.State(e)
	}
	return source.Mine
}

// size reads "128M"; -1 is no limit and unknown.
func size(v string) fact.Int {
	shift := 0
	if v != "" {
		if i := strings.IndexByte("KMG", v[len(v)-1]&^0x20); i >= 0 && v[len(v)-1] > '9' {
			shift, v = 10*(i+1), v[:len(v)-1]
		}
	}
	n := source.Int([]byte(v))
	if !n.Known || n.N < 0 || n.N > 1<<62>>shift {
		return fact.Int{}
	}
	return fact.Num(n.N << shift)
}

// seconds reads "30", "30s", "5m", "1h", "1d".
func seconds(v string) fact.Dur {
	unit := int64(1)
	if v != "" {
		switch v[len(v)-1] {
		case 's':
			v = v[:len(v)-1]
		case 'm':
			unit, v = 60, v[:len(v)-1]
		case 'h':
			unit, v = 3600, v[:len(v)-1]
		case 'd':
			unit, v = 86400, v[:len(v)-1]
		}
	}
	n := source.Int([]byte(v))
	if !n.Known || n.N < 0 || n.N > 1e9 {
		return fact.Dur{}
	}
	return fact.Seconds(float64(n.N * unit))
}
