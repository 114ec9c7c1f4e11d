package linux

import (
	"bytes"
	"strconv"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tools reads what commands print about the state of a host. There is no frame
// around such text, so each line must prove itself, or follow a heading that
// did.
var tools = source.Format{
	ID: "linux-state", Tech: tech, Role: fact.RoleHost, Title: "output of ss, netstat, sysctl, ulimit, df, free, dig",
	Sniff: func(l *source.Line) source.Confidence {
		r := toolReader{}
		b := bytes.TrimSpace(l.Text)
		if len(b) < 4 || len(b) > 2048 {
			return source.No
		}
		if r.read(l, b, nobody{}) {
			return r.sure
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &toolReader{} },
}

// nobody drops facts: Sniff asks only whether a line is read.
type nobody struct{ source.Sink }

func (nobody) State(fact.Fact) {}

// toolReader remembers the heading above a row.
type toolReader struct {
	table   string // "ss", "netstat", "df", "df-i", "free"
	asked   string // a command whose answer is the next line
	periods int64  // nr_periods of cpu.stat
	count   int64  // nf_conntrack_count
	most    int64  // nf_conntrack_max
	sure    source.Confidence
	limits  bool // the rows of `ulimit -a` are being read
}

func (r *toolReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if len(b) == 0 {
		r.table, r.asked = "", ""
		return source.Mine
	}
	if r.read(l, b, out) {
		return source.Mine
	}
	return source.NotMine
}

func (r *toolReader) Close(source.Sink) {}

// read reads one line of whatever tool, and sets r.sure.
func (r *toolReader) read(l *source.Line, b []byte, out source.Sink) bool {
	s := state{r: r, l: l, b: b, out: out}
	if r.asked != "" {
		asked := r.asked
		r.asked = ""
		if s.answer(asked, b) {
			return true
		}
	}
	if s.heading(b) || s.row(b) {
		return true
	}
	var h source.Holes
	do, ok := toolRules.Match(b, &h)
	if !ok {
		return r.table == "counters" && counted(b) || ulimitRow(b) && r.limits
	}
	r.limits = r.limits || source.HasPrefix(b, "open files")
	s.h = h
	r.sure = source.Fragment
	return do(&s)
}

// counted reports whether b may be a row of counters: it holds a number.
func counted(b []byte) bool { return bytes.ContainsAny(b, "0123456789") && len(b) < 120 }

// ulimitRow reports whether b is a row of `ulimit -a`: "core file size (blocks,
// -c) 0".
func ulimitRow(b []byte) bool {
	i := bytes.IndexByte(b, '(')
	return i > 0 && source.Has(b[i:], "-") && source.Has(b[i:], ") ")
}

// state is one line that a tool printed.
type state struct {
	r   *toolReader
	l   *source.Line
	b   []byte
	h   source.Holes
	out source.Sink
}

func (s *state) event(kind fact.EventKind, reason string) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: string(s.b[:min(len(s.b), maxDetail)])}
	e.Time, e.Res, e.Party = s.l.Time, s.l.Res, host()
	return e
}

func (s *state) limit(what fact.Limit, reason string, count int64) bool {
	if count <= 0 {
		return true
	}
	e := s.event(fact.LimitReached, reason)
	e.Limit, e.Count = what, int(min(count, 1<<31-1))
	s.out.State(e)
	return true
}

func (s *state) setting(k fact.Knob, spelling, where string) *fact.Setting {
	x := &fact.Setting{Knob: k, Basis: fact.Measured, Spelling: spelling, Where: where}
	x.Time, x.Party, x.Origin.Line = s.l.Time, host(), s.l.N
	return x
}

// toolRules are lines that need no heading. An act returns false for a line
// that turns out to be something else.
var toolRules = source.NewRules(
	// netstat -s, nstat and the node exporter; counts since boot.
	source.Rule[func(*state) bool]{Words: "^%d times the listen queue of a socket overflowed", Do: func(s *state) bool { return s.limit(fact.LimitQueue, "overflowed", source.Int(s.h[0]).N) }},
	source.Rule[func(*state) bool]{Words: "^%d SYNs to LISTEN sockets dropped", Do: func(s *state) bool { return s.limit(fact.LimitQueue, "syn-dropped", source.Int(s.h[0]).N) }},
	source.Rule[func(*state) bool]{Words: "^%d SYNs to LISTEN sockets ignored", Do: func(s *state) bool { return s.limit(fact.LimitQueue, "syn-dropped", source.Int(s.h[0]).N) }},
	source.Rule[func(*state) bool]{Words: "TcpExtListenOverflows %s", Do: counter("overflowed")},
	source.Rule[func(*state) bool]{Words: "TcpExtListenDrops %s", Do: counter("syn-dropped")},
	source.Rule[func(*state) bool]{Words: "TcpExt_ListenOverflows %s", Do: counter("overflowed")},
	source.Rule[func(*state) bool]{Words: "TcpExt_ListenDrops %s", Do: counter("syn-dropped")},
	source.Rule[func(*state) bool]{Words: "^ListenOverflows: %d", Do: func(s *state) bool { return s.limit(fact.LimitQueue, "overflowed", source.Int(s.h[0]).N) }},
	source.Rule[func(*state) bool]{Words: "^ListenDrops: %d", Do: func(s *state) bool { return s.limit(fact.LimitQueue, "syn-dropped", source.Int(s.h[0]).N) }},
	source.Rule[func(*state) bool]{Words: "^TCPReqQFullDrop: %d", Do: func(s *state) bool { return s.limit(fact.LimitQueue, "syn-dropped", source.Int(s.h[0]).N) }},
	source.Rule[func(*state) bool]{Words: "^TCPTimeWaitOverflow: %d", Do: func(*state) bool { return true }}, // sockets that were let go early: no harm
	source.Rule[func(*state) bool]{Words: "^%d TIME_WAIT", Do: func(s *state) bool { return s.waiting(s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "^%d TIME-WAIT", Do: func(s *state) bool { return s.waiting(s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "^TIME_WAIT%s", Do: func(s *state) bool { return s.waiting(s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "^TIME-WAIT%s", Do: func(s *state) bool { return s.waiting(s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "^%d passive connections rejected because of time stamp", Do: (*state).timeStamps},
	source.Rule[func(*state) bool]{Words: "^cpu=%d %sdrop=%d early_drop=%d", Do: (*state).conntrackStats},
	source.Rule[func(*state) bool]{Words: "^TCP: %s(estab %d, closed %d, orphaned %d, %stimewait %d", Do: (*state).summary},

	// sysctl, and files under /proc and /sys.
	source.Rule[func(*state) bool]{Words: "ip_local_port_range%s", Do: func(s *state) bool { return s.value("port-range", s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "net.inet.ip.portrange.first%s", Do: func(s *state) bool { return s.value("first-port", s.h[0]) }}, // FreeBSD, macOS
	source.Rule[func(*state) bool]{Words: "nf_conntrack_max%s", Do: func(s *state) bool { return s.value("conntrack-max", s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "nf_conntrack_count%s", Do: func(s *state) bool { return s.value("conntrack-count", s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "somaxconn is set to the lower value of %d", Do: func(s *state) bool { return s.value("somaxconn", s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "somaxconn%s", Do: func(s *state) bool { return s.value("somaxconn", s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "fs.file-max%s", Do: func(s *state) bool { return s.value("file-max", s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "^nr_periods %d", Do: (*state).cfsPeriods},
	source.Rule[func(*state) bool]{Words: "^nr_throttled %d", Do: (*state).cfsThrottled},
	source.Rule[func(*state) bool]{Words: "^Max open files %s files", Do: (*state).procLimits},
	source.Rule[func(*state) bool]{Words: "^open files %s(-n) %w", Do: func(s *state) bool { return s.value("ulimit", s.h[1]) }},
	source.Rule[func(*state) bool]{Words: "ulimit -n%s", Do: func(s *state) bool { return s.value("ulimit", s.h[0]) }},
	source.Rule[func(*state) bool]{Words: "ulimit -Sn%s", Do: func(s *state) bool { return s.value("ulimit", s.h[0]) }},

	source.Rule[func(*state) bool]{Words: "Cpu(s): %s", Do: (*state).top},

	// Disks.
	source.Rule[func(*state) bool]{Words: "No space left on device", Do: (*state).noSpace},
	source.Rule[func(*state) bool]{Words: "Disk quota exceeded", Do: (*state).noSpace},
	source.Rule[func(*state) bool]{Words: "Read-only file system", Do: func(s *state) bool { s.out.State(s.event(fact.DiskPermission, "read-only")); return true }},

	// Names.
	source.Rule[func(*state) bool]{Words: "->>HEADER<<- opcode: %w, status: %w, id:", Do: func(s *state) bool { return s.lookup(string(bytes.TrimRight(s.h[1], ",")), "") }},
	source.Rule[func(*state) bool]{Words: "** server can't find %w: %w", Do: func(s *state) bool { return s.lookup(string(s.h[1]), string(s.h[0])) }},
	source.Rule[func(*state) bool]{Words: "^Host %w not found: %d(%w)", Do: func(s *state) bool { return s.lookup(string(s.h[2]), string(s.h[0])) }},
	source.Rule[func(*state) bool]{Words: ";; connection timed out; no servers could be reached", Do: func(s *state) bool { return s.lookup("timeout", "") }},
	source.Rule[func(*state) bool]{Words: ";; no servers could be reached", Do: func(s *state) bool { return s.lookup("timeout", "") }},
	source.Rule[func(*state) bool]{Words: ";; communications error to %w: timed out", Do: func(s *state) bool { return s.lookup("timeout", "") }},
	source.Rule[func(*state) bool]{Words: ";; communications error to %w: connection refused", Do: func(s *state) bool { return s.lookup("refused", "") }},
	source.Rule[func(*state) bool]{Words: ";; Query time: %d msec", Do: (*state).queryTime},
)

func counter(reason string) func(*state) bool {
	return func(s *state) bool {
		n, _ := source.Field(bytes.TrimLeft(s.h[0], " "))
		v, err := strconv.ParseFloat(string(n), 64)
		if err != nil {
			return false
		}
		return s.limit(fact.LimitQueue, reason, int64(v))
	}
}

// timeStamps: what net.ipv4.tcp_tw_recycle does to clients behind one address.
func (s *state) timeStamps() bool {
	if n := source.Int(s.h[0]); n.N > 0 {
		e := s.event(fact.NetworkTrouble, "time stamps")
		e.Count = int(min(n.N, 1<<31-1))
		s.out.State(e)
	}
	return true
}

// conntrackStats: a row of `conntrack -S`.
func (s *state) conntrackStats() bool {
	n, early := source.Int(s.h[2]), source.Int(s.h[3])
	return s.limit(fact.LimitConntrack, "dropped", n.N+early.N)
}

// summary is the TCP line of `ss -s`. Sockets in TIME-WAIT hold a port towards
// one address for 60 s.
func (s *state) summary() bool {
	return s.waiting(s.h[5])
}

// waiting: how many sockets are in TIME-WAIT.
func (s *state) waiting(b []byte) bool {
	wait := number(bytes.Trim(b, " \t=:"))
	if !wait.Known {
		return false
	}
	if wait.N >= nearPorts {
		e := s.event(fact.LimitNear, "time-wait")
		e.Limit, e.Used, e.Max = fact.LimitPorts, wait, fact.Num(defaultPorts)
		s.out.State(e)
	}
	return true
}

// defaultPorts is the size of the kernel's ephemeral range, 32768 to 60999;
// nearPorts is when so many sockets wait that one busy address may have none.
const (
	defaultPorts = 28232
	nearPorts    = defaultPorts * 8 / 10
)

func (s *state) cfsPeriods() bool {
	s.r.periods = source.Int(s.h[0]).Or(0)
	return true
}

// cfsThrottled: cpu.stat of a cgroup, counted since the cgroup was made.
func (s *state) cfsThrottled() bool {
	n := source.Int(s.h[0])
	if n.N > 0 && s.r.periods > 0 {
		x := &fact.Sample{Name: fact.SampleThrottle, Value: float64(n.N) / float64(s.r.periods), Count: int(min(n.N, 1<<31-1))}
		x.Time, x.Party = s.l.Time, host()
		s.out.State(x)
	}
	if n.N > 0 {
		e := s.event(fact.CPUThrottled, "cfs")
		e.Count = int(min(n.N, 1<<31-1))
		s.out.State(e)
	}
	return true
}

// procLimits: "Max open files  1024  524288  files" of /proc/PID/limits.
func (s *state) procLimits() bool {
	soft, _ := source.Field(bytes.TrimLeft(s.h[0], " "))
	return s.value("ulimit", soft)
}

func (s *state) noSpace() bool {
	e := s.event(fact.DiskFull, "")
	s.out.State(e)
	return true
}

// lookup: an answer of a resolver that is a failure.
func (s *state) lookup(status, name string) bool {
	switch status {
	case "NOERROR":
		return true
	case "2", "SERVFAIL":
		status = "SERVFAIL"
	case "3":
		status = "NXDOMAIN"
	}
	e := s.event(fact.DNSFailed, status)
	e.Party = fact.Party{Role: fact.RoleResolver, Tech: tech}
	if name != "" {
		e.Attrs = map[string]string{fact.AttrDependency: name}
	}
	s.out.State(e)
	return true
}

// slowLookup is when a lookup is slow enough to matter: resolvers ask again
// after 5 s, and most answers take a thousandth of that.
const slowLookup = 1000

func (s *state) queryTime() bool {
	if n := source.Int(s.h[0]); n.N >= slowLookup {
		e := s.event(fact.DNSFailed, "slow")
		e.Party = fact.Party{Role: fact.RoleResolver, Tech: tech}
		e.Lasted = fact.Millis(n.N)
		s.out.State(e)
	}
	return true
}

// value reads what follows the name of a kernel parameter or a limit: " = 1",
// ": 1", "\t1", or nothing, in which case the next line holds it.
func (s *state) value(name string, b []byte) bool {
	b = bytes.Trim(b, " \t=:`'\"")
	if i := bytes.IndexByte(b, '#'); i > 0 {
		b = bytes.TrimSpace(b[:i])
	}
	for _, word := range [...]string{"is ", "was ", "is set to ", "set to "} {
		b = bytes.TrimPrefix(b, []byte(word))
	}
	if len(b) == 0 {
		s.r.asked = name
		s.r.sure = source.Fragment
		return true
	}
	return s.answer(name, b)
}

// answer takes the value of a parameter that an earlier word named.
func (s *state) answer(name string, b []byte) bool {
	f := strings.Fields(string(b))
	if len(f) == 0 || len(f) > 3 {
		return false
	}
	n := number([]byte(strings.TrimRight(f[0], ";,.")))
	if !n.Known || n.N < 0 {
		return f[0] == "unlimited"
	}
	switch name {
	case "port-range":
		if len(f) < 2 {
			return false
		}
		to := source.Int([]byte(f[1]))
		if !to.Known || to.N < n.N || to.N > 65535 {
			return false
		}
		x := s.setting(fact.PortRange, "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"", "/etc/sysctl.d/")
		x.Num, x.Text = fact.Num(to.N-n.N+1), f[0]+"-"+f[1]
		s.out.State(x)
	case "first-port": // up to the highest, unless portrange.last says else
		if n.N < 1024 || n.N > 65535 {
			return false
		}
		x := s.setting(fact.PortRange, "sysctl net.inet.ip.portrange.first=16384", "/etc/sysctl.conf")
		x.Num, x.Text = fact.Num(65535-n.N+1), f[0]+"-65535"
		s.out.State(x)
	case "conntrack-max":
		s.r.most = n.N
		x := s.setting(fact.ConntrackMax, "sysctl -w net.netfilter.nf_conntrack_max={n}", "/etc/sysctl.d/")
		x.Num = n
		s.out.State(x)
		s.conntrackUse()
	case "conntrack-count":
		s.r.count = n.N
		s.conntrackUse()
	case "somaxconn":
		x := s.setting(fact.ListenBacklog, "sysctl -w net.core.somaxconn={n}", "/etc/sysctl.d/")
		x.Num, x.Object = n, "net.core.somaxconn"
		s.out.State(x)
	case "file-max":
		x := s.setting(fact.FileLimit, "sysctl -w fs.file-max={n}", "/etc/sysctl.d/")
		x.Num, x.Object = n, "fs.file-max"
		s.out.State(x)
	case "ulimit":
		x := s.setting(fact.FileLimit, "ulimit -n {n}", "")
		x.Num = n
		s.out.State(x)
	}
	return true
}

// Shares of a processor's time, in per cent, from which it is said to be busy:
// all of it, or so much that the machine's owner takes that what is left does
// not do.
const (
	allBusy = 95
	stolen  = 25
)

// top reads the line of processor time of top: "7.4 us, 0.6 sy, ... 92.0 st".
func (s *state) top() bool {
	share := map[string]float64{}
	for part := range strings.SplitSeq(string(s.h[0]), ",") {
		value, name, ok := strings.Cut(strings.TrimSpace(part), " ")
		if !ok {
			value, name, ok = strings.Cut(strings.TrimSpace(part), "%") // of old versions: "7.4%us"
		}
		f, err := strconv.ParseFloat(strings.TrimSuffix(value, "%"), 64)
		if !ok || err != nil {
			return false
		}
		share[strings.TrimSpace(name)] = f
	}
	reason := ""
	switch {
	case share["st"] >= stolen:
		reason = "steal"
	case share["us"]+share["sy"]+share["user"]+share["sys"] >= allBusy:
		reason = "all in use"
	}
	if _, ok := share["id"]; !ok {
		return false
	}
	if reason != "" {
		s.out.State(s.event(fact.CPUBusy, reason))
	}
	return true
}

// number reads a whole number, with or without commas between thousands.
func number(b []byte) fact.Int {
	if i := bytes.IndexByte(b, ','); i > 0 && i < 4 && len(b) > 4 {
		return source.Int(bytes.ReplaceAll(b, []byte(","), nil))
	}
	return source.Int(b)
}

// conntrackUse compares count and maximum once both are known.
func (s *state) conntrackUse() {
	r := s.r
	if r.most == 0 || r.count < r.most*9/10 {
		return
	}
	e := s.event(fact.LimitNear, "conntrack")
	e.Limit, e.Used, e.Max = fact.LimitConntrack, fact.Num(r.count), fact.Num(r.most)
	if r.count >= r.most {
		e.Kind = fact.LimitReached
	}
	s.out.State(e)
}
