package journal

import (
	"bytes"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Documentation of what a unit file leaves out.
const (
	docService = "https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html"
	docExec    = "https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html"
)

// unitFile reads unit files, drop-ins, `systemctl cat`, `systemctl show` and
// `systemctl status`: they share keys, and people paste them together.
var unitFile = source.Format{
	ID: "systemd-unit", Tech: tech, Role: fact.RoleHost, Title: "systemd unit, or what systemctl prints of it",
	Sniff:     sniffUnit,
	NewReader: func(env *source.Env) source.LineReader { return &unitReader{env: env} },
}

func sniffUnit(l *source.Line) source.Confidence {
	b := trimSpace(l.Text)
	if len(b) < 6 || len(b) > 4096 {
		return source.No
	}
	switch {
	case section(b):
		return source.Sure
	case source.HasPrefix(b, "# /") && unitLike(b[2:]):
		return source.Likely
	case source.HasPrefix(b, "# /") && source.Has(b, "/systemd/") && bytes.HasSuffix(b, []byte(".conf")):
		return source.Likely
	case isStatus(b):
		return source.Likely
	case source.Has(b, ".service - "):
		if name, _ := source.Field(b); unitLike(name) {
			return source.Likely
		}
	}
	if _, _, ok := service(b); ok {
		return source.Fragment
	}
	if key, _, ok := bytes.Cut(b, []byte("=")); ok {
		if knob, known := unitKeys[string(key)]; known && knob != nil {
			return source.Fragment
		}
	}
	return source.No
}

// section reports whether b heads a section that only unit files have.
func section(b []byte) bool {
	switch string(b) {
	case "[Unit]", "[Service]", "[Install]", "[Timer]", "[Socket]":
		return true
	}
	return false
}

// isStatus reports whether b is one of the lines of `systemctl status` that
// tell of a failure.
func isStatus(b []byte) bool {
	switch {
	case source.HasPrefix(b, "● "), source.HasPrefix(b, "× "), source.HasPrefix(b, "○ "):
		name, _ := source.Field(b[bytes.IndexByte(b, ' ')+1:])
		return unitLike(name)
	case source.HasPrefix(b, "Active: "):
		return source.Has(b, " since ") || source.Has(b, "(dead)") || source.Has(b, "(Result: ")
	case source.HasPrefix(b, "Main PID: "), source.HasPrefix(b, "Process: "):
		return source.Has(b, "code=")
	}
	return false
}

// unitKeys are the keys that become settings. Keys with nil are read and tell
// nothing.
var unitKeys = map[string]func(*unitReader, *source.Line, string, source.Sink){
	"Restart":              (*unitReader).restartPolicy,
	"LimitNOFILE":          number(fact.FileLimit, "LimitNOFILE={n}"),
	"LimitNOFILESoft":      number(fact.FileLimit, "LimitNOFILE={n}"),
	"TimeoutStopSec":       duration(fact.GracePeriod, "TimeoutStopSec={s}"),
	"TimeoutSec":           duration(fact.GracePeriod, "TimeoutStopSec={s}"),
	"TimeoutStopUSec":      duration(fact.GracePeriod, "TimeoutStopSec={s}"),
	"MemoryMax":            number(fact.MemoryLimit, "MemoryMax={n}"),
	"MemoryLimit":          number(fact.MemoryLimit, "MemoryMax={n}"),
	"CPUQuota":             (*unitReader).quota,
	"CPUQuotaPerSecUSec":   (*unitReader).quota,
	"Backlog":              number(fact.ListenBacklog, "Backlog={n}"),
	"ListenStream":         text(fact.ListenAddress, "ListenStream="),
	"ExecStart":            (*unitReader).command,
	"Environment":          (*unitReader).environment,
	"OnCalendar":           (*unitReader).calendar,
	"Id":                   func(r *unitReader, _ *source.Line, v string, _ source.Sink) { r.next(v) },
	"NRestarts":            (*unitReader).restarts,
	"Result":               (*unitReader).lastResult,
	"Type":                 nil,
	"RestartSec":           nil,
	"WantedBy":             nil,
	"After":                nil,
	"Description":          nil,
	"User":                 nil,
	"Group":                nil,
	"WorkingDirectory":     nil,
	"KillMode":             nil,
	"KillSignal":           nil,
	"PIDFile":              nil,
	"ExecReload":           nil,
	"ExecStop":             nil,
	"ExecStartPre":         nil,
	"EnvironmentFile":      nil,
	"StartLimitBurst":      nil,
	"StartLimitInterval":   nil,
	"OOMPolicy":            nil,
	"OOMScoreAdjust":       nil,
	"TasksMax":             nil,
	"Documentation":        nil,
	"StandardOutput":       nil,
	"StandardError":        nil,
	"SyslogIdentifier":     nil,
	"TimeoutStartSec":      nil,
	"WatchdogSec":          nil,
	"PrivateTmp":           nil,
	"RuntimeDirectory":     nil,
	"RuntimeDirectoryMode": nil,
}

// unitReader reads units, one after the other.
type unitReader struct {
	env     *source.Env
	unit    string
	service bool // a [Service] section was read
	since   int  // its line
	set     map[fact.Knob]bool
	path    string
	held    []byte // a line that ends in a backslash
	heldAt  int
}

// maxHeld bounds a logical line of a unit file, in bytes; systemd's own limit
// is 1 MiB.
const maxHeld = 64 << 10

func (r *unitReader) Line(l *source.Line, out source.Sink) source.Took {
	b := trimSpace(l.Text)
	if len(b) > 0 && b[len(b)-1] == '\\' && len(r.held)+len(b) < maxHeld && (len(r.held) > 0 || source.Has(b, "=")) {
		if len(r.held) == 0 {
			r.heldAt = l.N
		}
		r.held = append(append(r.held, trimSpace(b[:len(b)-1])...), ' ')
		return source.Mine
	}
	if len(r.held) > 0 {
		joined := *l
		joined.Text = append(r.held, b...)
		joined.N = r.heldAt
		r.held = nil
		return r.logical(&joined, out)
	}
	return r.logical(l, out)
}

func (r *unitReader) logical(l *source.Line, out source.Sink) source.Took {
	b := trimSpace(l.Text)
	r.path = l.Path
	switch {
	case len(b) == 0:
		return source.Mine
	case section(b):
		if string(b) == "[Unit]" && r.service {
			r.defaults(out)
		}
		if r.unit == "" {
			if base := filepath.Base(l.Path); unitLike([]byte(base)) {
				r.unit = base
			}
		}
		if string(b) == "[Service]" {
			r.service, r.since = true, l.N
		}
		return source.Mine
	case b[0] == '#' || b[0] == ';':
		if name := trimSpace(bytes.TrimLeft(b, "#; ")); unitLike(name) && name[0] == '/' {
			r.defaults(out)
			r.unit = filepath.Base(string(name))
		}
		return source.Mine
	case isStatus(b):
		return r.status(l, b, out)
	case r.serviceStatus(l, b, out):
		return source.Mine
	}
	if name, _ := source.Field(b); unitLike(name) && source.Has(b, ".service - ") { // older systemctl shows no dot
		r.defaults(out)
		r.unit = string(name)
		return source.Mine
	}
	key, value, ok := bytes.Cut(b, []byte("="))
	if !ok || !keyName(key) {
		return statusRow(r, b)
	}
	do, known := unitKeys[string(trimSpace(key))]
	if !known && !r.service && r.unit == "" {
		return source.NotMine
	}
	if do != nil {
		do(r, l, string(trimSpace(value)), out)
	}
	return source.Mine
}

func (r *unitReader) Close(out source.Sink) { r.defaults(out) }

func keyName(b []byte) bool {
	b = trimSpace(b)
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(b) > 0
}

// next turns to another unit.
func (r *unitReader) next(unit string) { r.unit, r.set = unit, nil }

// defaults states what the unit did not set and what matters, and forgets it.
func (r *unitReader) defaults(out source.Sink) {
	if r.service {
		r.missing(out, fact.RestartPolicy, docService, func(s *fact.Setting) { s.Text, s.Spelling = "no", "Restart=on-failure" })
		r.missing(out, fact.GracePeriod, docService, func(s *fact.Setting) {
			s.Dur, s.Spelling = fact.Seconds(90), "TimeoutStopSec={s}" // DefaultTimeoutStopSec
		})
		r.missing(out, fact.FileLimit, docExec, func(s *fact.Setting) {
			s.Num, s.Spelling = fact.Num(1024), "LimitNOFILE={n}" // soft limit since version 240; before, the kernel's, the same
		})
	}
	*r = unitReader{env: r.env, path: r.path}
}

func (r *unitReader) missing(out source.Sink, k fact.Knob, url string, fill func(*fact.Setting)) {
	if r.set[k] {
		return
	}
	s := &fact.Setting{Knob: k, Basis: fact.Default, Where: "[Service]", Object: r.unit}
	s.Party = party(r.unit)
	s.Origin = fact.Origin{Path: r.path, Line: r.since, URL: url}
	fill(s)
	out.State(s)
}

// setting begins a configured setting.
func (r *unitReader) setting(l *source.Line, k fact.Knob, spelling string) *fact.Setting {
	if r.set == nil {
		r.set = map[fact.Knob]bool{}
	}
	r.set[k] = true
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: "[Service]", Object: r.unit}
	s.Party = party(r.unit)
	s.Origin.Line = l.N
	return s
}

func number(k fact.Knob, spelling string) func(*unitReader, *source.Line, string, source.Sink) {
	return func(r *unitReader, l *source.Line, v string, out source.Sink) {
		soft, _, _ := strings.Cut(v, ":") // "soft:hard"
		n := size(soft)
		if !n.Known {
			return
		}
		s := r.setting(l, k, spelling)
		s.Num = n
		out.State(s)
	}
}

func duration(k fact.Knob, spelling string) func(*unitReader, *source.Line, string, source.Sink) {
	return func(r *unitReader, l *source.Line, v string, out source.Sink) {
		d := span(v)
		if !d.Known {
			return
		}
		s := r.setting(l, k, spelling)
		s.Dur = d
		out.State(s)
	}
}

func text(k fact.Knob, spelling string) func(*unitReader, *source.Line, string, source.Sink) {
	return func(r *unitReader, l *source.Line, v string, out source.Sink) {
		if v == "" {
			return
		}
		s := r.setting(l, k, spelling)
		s.Text = v
		out.State(s)
	}
}

func (r *unitReader) restartPolicy(l *source.Line, v string, out source.Sink) {
	switch v {
	case "no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog":
		s := r.setting(l, fact.RestartPolicy, "Restart=on-failure")
		s.Text = v
		out.State(s)
	}
}

// quota: "50%" of one core, or microseconds of a second as systemctl shows it.
func (r *unitReader) quota(l *source.Line, v string, out source.Sink) {
	var milli float64
	if pc, ok := strings.CutSuffix(v, "%"); ok {
		f, err := strconv.ParseFloat(pc, 64)
		if err != nil || f <= 0 || f > 1e6 {
			return
		}
		milli = f * 10
	} else if d := span(v); d.Known && d.D > 0 {
		milli = d.D.Seconds() * 1000
	} else {
		return
	}
	s := r.setting(l, fact.CPULimit, "CPUQuota=")
	s.Num = fact.Num(int64(milli))
	out.State(s)
}

// command hands the server's command line over, for it may hold settings.
func (r *unitReader) command(l *source.Line, v string, out source.Sink) {
	if argv, ok := source.Between([]byte(v), "argv[]=", " ;"); ok { // systemctl show
		v = string(argv)
	}
	v = strings.TrimLeft(v, "-@:+!")
	if v == "" {
		return
	}
	inner := source.Line{Text: []byte(v), Path: l.Path, N: l.N, Unit: r.unit}
	out.Inner(&inner)
}

func (r *unitReader) environment(l *source.Line, v string, out source.Sink) {
	inner := source.Line{Text: []byte(strings.Trim(v, `"'`)), Path: l.Path, N: l.N, Unit: r.unit}
	out.Inner(&inner)
}

// calendar: a timer's schedule is a job that will come; it has no time here.
func (r *unitReader) calendar(l *source.Line, v string, out source.Sink) {
	out.Seen(l.Time)
}

func (r *unitReader) restarts(l *source.Line, v string, out source.Sink) {
	n := source.Int([]byte(v))
	if n.Or(0) <= 0 || n.N > 1<<30 {
		return
	}
	e := &fact.Event{Kind: fact.RestartPlanned, Count: int(n.N), Detail: "NRestarts=" + v}
	e.Party = party(r.unit)
	out.State(e)
}

func (r *unitReader) lastResult(l *source.Line, v string, out source.Sink) {
	if v != "success" && v != "" && len(v) < 32 {
		s := said{l: l, unit: r.unit, msg: []byte("Result=" + v), out: out, h: source.Holes{[]byte(v)}}
		s.result()
	}
}

// size reads a number with systemd's suffixes to the base of 1024; infinity
// and percentages are unknown.
func size(v string) fact.Int {
	v = strings.TrimSpace(v)
	shift := 0
	if v != "" {
		if i := strings.IndexByte("KMGT", v[len(v)-1]); i >= 0 {
			shift, v = 10*(i+1), v[:len(v)-1]
		}
	}
	n := source.Int([]byte(v))
	if !n.Known || n.N < 0 || n.N > 1<<62>>shift {
		return fact.Int{}
	}
	return fact.Num(n.N << shift)
}

// span reads a duration as systemd writes it: "90", "1min 30s", "500ms".
func span(v string) fact.Dur {
	v = strings.TrimSpace(v)
	if v == "" || v == "infinity" {
		return fact.Dur{}
	}
	var total float64
	for v != "" {
		i := 0
		for i < len(v) && (v[i] >= '0' && v[i] <= '9' || v[i] == '.') {
			i++
		}
		n, err := strconv.ParseFloat(v[:i], 64)
		if err != nil {
			return fact.Dur{}
		}
		v = strings.TrimLeft(v[i:], " ")
		j := 0
		for j < len(v) && v[j] >= 'a' && v[j] <= 'z' {
			j++
		}
		switch v[:j] {
		case "", "s", "sec", "second", "seconds":
			total += n
		case "us", "usec":
			total += n / 1e6
		case "ms", "msec":
			total += n / 1e3
		case "m", "min", "minute", "minutes":
			total += n * 60
		case "h", "hr", "hour", "hours":
			total += n * 3600
		case "d", "day", "days":
			total += n * 86400
		default:
			return fact.Dur{}
		}
		v = strings.TrimLeft(v[j:], " ")
	}
	if total > (100 * 365 * 24 * time.Hour).Seconds() {
		return fact.Dur{}
	}
	return fact.Seconds(total)
}
