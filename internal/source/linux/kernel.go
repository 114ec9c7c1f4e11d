package linux

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// said is one message and where its facts go.
type said struct {
	r   *kernelReader
	l   *source.Line
	at  time.Time
	res fact.Dur
	msg []byte
	h   source.Holes
	out source.Sink
}

func (s *said) event(kind fact.EventKind, who fact.Party, reason string) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: string(s.msg[:min(len(s.msg), maxDetail)])}
	e.Time, e.Res, e.Party = s.at, s.res, who
	return e
}

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

type act = func(*said)

func onHost(kind fact.EventKind, reason string) act {
	return func(s *said) { s.out.State(s.event(kind, host(), reason)) }
}

func limit(what fact.Limit, reason string) act {
	return func(s *said) {
		e := s.event(fact.LimitReached, host(), reason)
		e.Limit = what
		s.out.State(e)
	}
}

func disk(reason string) act {
	return func(s *said) {
		e := s.event(fact.DiskPermission, host(), reason)
		if len(s.h[0]) > 0 {
			e.Attrs = map[string]string{fact.AttrPath: string(bytes.TrimRight(s.h[0], ":,"))}
		}
		s.out.State(e)
	}
}

// rules are the kernel's messages.
var rules = source.NewRules(
	// Out of memory.
	source.Rule[act]{Words: "oom-kill:constraint=%w,%stask=%s,pid=%d", Do: (*said).oomLine},
	source.Rule[act]{Words: "emory cgroup out of memory: Killed process %d (%s)%s", Do: killed("cgroup")},
	source.Rule[act]{Words: "emory cgroup out of memory: Killed process (%s)", Do: func(s *said) { s.oom("cgroup", nil, s.h[0], nil) }}, // its number was cut out
	source.Rule[act]{Words: "emory cgroup out of memory: Kill process %d (%s) score", Do: kill("cgroup")},
	source.Rule[act]{Words: "Out of memory: Killed process %d (%s)%s", Do: killed("host")},
	source.Rule[act]{Words: "Out of memory: Kill process %d (%s) score", Do: kill("host")},
	source.Rule[act]{Words: "Out of memory (oom_kill_allocating_task): Kill%w process %d (%s)", Do: func(s *said) { s.oom("host", s.h[1], s.h[2], nil) }},
	source.Rule[act]{Words: "Killed process %d (%s) total-vm:%s", Do: killed("")},
	source.Rule[act]{Words: "Killed process %d, UID %d, (%s) total-vm:%s", Do: func(s *said) { s.oom("", s.h[0], s.h[2], s.h[3]) }},
	source.Rule[act]{Words: "oom_reaper: reaped process %d (%s)", Do: kill("")},
	source.Rule[act]{Words: "memory: usage %dkB, limit %dkB, failcnt %d", Do: (*said).usage},
	source.Rule[act]{Words: " invoked oom-killer: ", Do: (*said).quiet},
	source.Rule[act]{Words: " killed as a result of limit of ", Do: (*said).quiet},

	// Faults of processes.
	source.Rule[act]{Words: "^%w[%d]: segfault at ", Do: fault("SIGSEGV", 11)},
	source.Rule[act]{Words: "^traps: %w[%d] general protection", Do: fault("SIGSEGV", 11)},
	source.Rule[act]{Words: "^%w[%d] general protection", Do: fault("SIGSEGV", 11)},
	source.Rule[act]{Words: "^traps: %w[%d] trap invalid opcode", Do: fault("SIGILL", 4)},
	source.Rule[act]{Words: "^traps: %w[%d] trap int3", Do: fault("SIGTRAP", 5)},
	source.Rule[act]{Words: "^traps: %w[%d] trap divide error", Do: fault("SIGFPE", 8)},
	source.Rule[act]{Words: "^traps: %w[%d] trap stack segment", Do: fault("SIGBUS", 7)},
	source.Rule[act]{Words: "^%w/%d: potentially unexpected fatal signal %d", Do: (*said).fatalSignal},
	source.Rule[act]{Words: "^%w[%d]: bad frame in ", Do: fault("SIGSEGV", 11)},

	// The network.
	source.Rule[act]{Words: "ossible SYN flooding on port %w. %s", Do: (*said).synFlood},
	source.Rule[act]{Words: "conntrack: table full, dropping packet", Do: limit(fact.LimitConntrack, "table full")},
	source.Rule[act]{Words: "onewconn: %sListen queue overflow: %d already in queue", Do: (*said).listenFull}, // FreeBSD, macOS
	source.Rule[act]{Words: "nf_conntrack: expectation table full", Do: limit(fact.LimitConntrack, "table full")},
	source.Rule[act]{Words: "TCP: out of memory -- consider tuning tcp_mem", Do: limit(fact.LimitMemory, "tcp_mem")},
	source.Rule[act]{Words: "TCP: too many orphaned sockets", Do: limit(fact.LimitConnections, "orphaned sockets")},
	source.Rule[act]{Words: "TCP: too many of orphaned sockets", Do: limit(fact.LimitConnections, "orphaned sockets")},
	source.Rule[act]{Words: "TCP: time wait bucket table overflow", Do: limit(fact.LimitPorts, "time-wait table")},
	source.Rule[act]{Words: "eighbour table overflow", Do: onHost(fact.NetworkTrouble, "neighbour-table")},
	source.Rule[act]{Words: "eighbor table overflow", Do: onHost(fact.NetworkTrouble, "neighbour-table")},
	source.Rule[act]{Words: "NIC Link is Down", Do: onHost(fact.NetworkTrouble, "link-down")},
	source.Rule[act]{Words: ": Link is Down", Do: onHost(fact.NetworkTrouble, "link-down")},
	source.Rule[act]{Words: ": link down", Do: onHost(fact.NetworkTrouble, "link-down")},
	source.Rule[act]{Words: "link status definitely down", Do: onHost(fact.NetworkTrouble, "link-down")},
	source.Rule[act]{Words: "NIC Link is Up", Do: onHost(fact.NetworkTrouble, "link-up")},
	source.Rule[act]{Words: ": Link is Up", Do: onHost(fact.NetworkTrouble, "link-up")},
	source.Rule[act]{Words: "NETDEV WATCHDOG: %w", Do: onHost(fact.NetworkTrouble, "transmit timeout")},

	// Limits and the processor.
	source.Rule[act]{Words: "VFS: file-max limit %d reached", Do: (*said).fileMax},
	source.Rule[act]{Words: "cgroup: fork rejected by pids controller in %w", Do: limit(fact.LimitProcesses, "pids")},
	source.Rule[act]{Words: "soft lockup - CPU#%d stuck for %ds! [%s:%d]", Do: (*said).lockup},
	source.Rule[act]{Words: "hard LOCKUP on cpu", Do: onHost(fact.CPUBusy, "hard lockup")},
	source.Rule[act]{Words: "self-detected stall on CPU", Do: onHost(fact.CPUBusy, "rcu stall")},
	source.Rule[act]{Words: "detected stalls on CPUs", Do: onHost(fact.CPUBusy, "rcu stall")},
	source.Rule[act]{Words: "INFO: task %s:%d blocked for more than %d seconds", Do: (*said).hung},
	source.Rule[act]{Words: "temperature above threshold, cpu clock throttled", Do: onHost(fact.CPUThrottled, "temperature")},
	source.Rule[act]{Words: "temperature is above threshold, cpu clock is throttled", Do: onHost(fact.CPUThrottled, "temperature")},

	// Disks.
	source.Rule[act]{Words: "-fs (%w): Remounting filesystem read-only", Do: disk("read-only")},
	source.Rule[act]{Words: "Remounting filesystem read-only", Do: disk("read-only")},
	source.Rule[act]{Words: "-fs error (device %w)", Do: disk("io-error")},
	source.Rule[act]{Words: "XFS (%w): Filesystem has been shut down", Do: disk("read-only")},
	source.Rule[act]{Words: "XFS (%w): %sShutting down filesystem", Do: disk("read-only")},
	source.Rule[act]{Words: "Buffer I/O error on dev %w", Do: disk("io-error")},
	source.Rule[act]{Words: "I/O error, dev %w", Do: disk("io-error")},

	// The machine.
	source.Rule[act]{Words: "^Linux version %w (", Do: onHost(fact.NodeBack, "boot")},
	source.Rule[act]{Words: "^reboot: Restarting system", Do: onHost(fact.NodeTerminating, "reboot")},
	source.Rule[act]{Words: "^reboot: Power down", Do: onHost(fact.NodeTerminating, "power down")},
	source.Rule[act]{Words: "Kernel panic - not syncing: %s", Do: onHost(fact.NodeLost, "kernel panic")},
	source.Rule[act]{Words: "^ACPI: Preparing to enter system sleep state S5", Do: onHost(fact.NodeTerminating, "power down")},
)

var kernel = source.Format{
	ID: "kernel", Tech: tech, Role: fact.RoleHost, Title: "kernel messages",
	Sniff:     sniffKernel,
	NewReader: func(env *source.Env) source.LineReader { return &kernelReader{env: env} },
}

func sniffKernel(l *source.Line) source.Confidence {
	if len(l.Text) < 12 {
		return source.No
	}
	if l.Program == "kernel" {
		return source.Sure
	}
	_, _, msg, framed := stampOf(&source.Env{}, l)
	var h source.Holes
	_, ok := match(msg, &h)
	switch {
	case ok && framed:
		return source.Sure
	case ok && l.Program == "" && unmistakable(msg):
		return source.Likely
	case ok && l.Program == "":
		return source.Fragment
	case framed && source.HasPrefix(bytes.TrimLeft(l.Text, " "), "kernel: "):
		return source.Likely
	case framed && l.Program == "":
		return source.Fragment
	}
	return source.No
}

// loosely are words that make a message without the kernel's spelling worth
// another look.
var loosely = [...]string{"conntrack", "syn flooding", "out of memory", "killed process", "kill process", "orphaned sockets", "time wait bucket", "neighbour table", "soft lockup", "segfault at"}

// match finds what a message tells. One that somebody typed anew, in other
// letters or with other blanks, counts too.
func match(msg []byte, h *source.Holes) (act, bool) {
	do, ok := rules.Match(msg, h)
	if ok || len(msg) > maxTyped {
		return do, ok
	}
	low := bytes.ToLower(msg)
	for _, w := range loosely {
		if source.Has(low, w) {
			return typed.Match(spaced(low), h)
		}
	}
	return do, false
}

// maxTyped bounds a message that somebody typed anew, in bytes.
const maxTyped = 300

// typed are the messages that people quote most, in small letters.
var typed = source.NewRules(
	source.Rule[act]{Words: "conntrack: table full", Do: limit(fact.LimitConntrack, "table full")},
	source.Rule[act]{Words: "conntrack table full", Do: limit(fact.LimitConntrack, "table full")},
	source.Rule[act]{Words: "possible syn flooding on port %w", Do: (*said).synFlood},
	source.Rule[act]{Words: "memory cgroup out of memory: kill%w process %d (%s)", Do: func(s *said) { s.oom("cgroup", s.h[1], s.h[2], nil) }},
	source.Rule[act]{Words: "out of memory: kill%w process %d (%s)", Do: func(s *said) { s.oom("host", s.h[1], s.h[2], nil) }},
	source.Rule[act]{Words: "out of memory: kill process %d (%s)", Do: kill("host")},
	source.Rule[act]{Words: "killed process %d (%s)", Do: kill("")},
	source.Rule[act]{Words: "too many orphaned sockets", Do: limit(fact.LimitConnections, "orphaned sockets")},
	source.Rule[act]{Words: "time wait bucket table overflow", Do: limit(fact.LimitPorts, "time-wait table")},
	source.Rule[act]{Words: "neighbour table overflow", Do: onHost(fact.NetworkTrouble, "neighbour-table")},
	source.Rule[act]{Words: "soft lockup - cpu#%d stuck for %ds! [%s:%d]", Do: (*said).lockup},
	source.Rule[act]{Words: "^%w[%d]: segfault at ", Do: fault("SIGSEGV", 11)},
	source.Rule[act]{Words: "%w[%d]: segfault at ", Do: fault("SIGSEGV", 11)},
)

// spaced returns b with one blank after each colon and comma that stands
// between words, and one between words.
func spaced(b []byte) []byte {
	out := make([]byte, 0, len(b)+8)
	for i, c := range b {
		if (c == ' ' || c == '\t') && len(out) > 0 && out[len(out)-1] == ' ' {
			continue
		}
		out = append(out, c)
		if (c == ':' || c == ',') && i+1 < len(b) && b[i+1] >= 'a' && b[i+1] <= 'z' {
			out = append(out, ' ')
		}
	}
	return out
}

// unmistakable reports whether a message without any frame is still the
// kernel's for sure.
func unmistakable(msg []byte) bool {
	for _, w := range [...]string{"oom-kill:", "illed process", "Kill process", "oom_reaper:", ": segfault at", "conntrack: table full", "SYN flooding", "soft lockup - CPU#"} {
		if source.Has(msg, w) {
			return true
		}
	}
	return false
}

// maxStated bounds the killed processes remembered, to state each once.
const maxStated = 64

// heldLines is how far apart the two lines about one kill may stand: nothing
// but messages of other processors comes between them.
const heldLines = 8

// kernelReader joins the lines in which the kernel tells of one OOM kill.
type kernelReader struct {
	env    *source.Env
	held   *fact.Event // an OOM kill whose memory may stand in the next line
	stated map[int]bool
	used   fact.Int // of the cgroup that ran over, from the report before
	max    fact.Int
}

func (r *kernelReader) Line(l *source.Line, out source.Sink) source.Took {
	at, res, msg, framed := stampOf(r.env, l)
	s := said{r: r, l: l, at: at, res: fact.Lasting(res), msg: msg, out: out}
	if at.IsZero() {
		s.at, s.res = l.Time, l.Res
	}
	do, ok := match(msg, &s.h)
	if !ok && !framed || l.Program != "" && l.Program != "kernel" {
		return source.NotMine
	}
	if ok {
		do(&s)
	}
	if r.held != nil && l.N > r.held.Origin.Line+heldLines {
		r.flush(out)
	}
	out.Seen(s.at)
	return source.Mine
}

func (r *kernelReader) Close(out source.Sink) { r.flush(out) }

func (s *said) quiet() {}

// oomLine: oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/x,task_memcg=/y,task=node,pid=12
func (s *said) oomLine() {
	scope := "cgroup"
	if c := string(s.h[0]); c != "CONSTRAINT_MEMCG" {
		scope = "host"
	}
	s.oom(scope, s.h[3], s.h[2], nil)
	if s.r.held == nil {
		return
	}
	if group, ok := source.Between(s.msg, "task_memcg=", ","); ok {
		s.r.held.Attrs[fact.AttrObject] = string(group)
	}
}

func killed(scope string) act { return func(s *said) { s.oom(scope, s.h[0], s.h[1], s.h[2]) } }
func kill(scope string) act   { return func(s *said) { s.oom(scope, s.h[0], s.h[1], nil) } }

// oom takes one line about a process that the kernel kills. The event is held
// back until its memory is told, in the line itself or in the next one.
func (s *said) oom(scope string, pidText, name, memory []byte) {
	r, pid := s.r, source.PID(pidText)
	if r.held != nil && r.held.Party.PID != pid {
		r.flush(s.out)
	}
	if r.held == nil {
		if r.stated[pid] {
			return
		}
		e := s.event(fact.OOMKilled, process(string(name), pid), "oom-kill")
		e.Signal = 9
		e.Attrs = map[string]string{}
		e.Origin.Line, e.Origin.Text = s.l.N, string(s.l.Text[:min(len(s.l.Text), fact.MaxText)])
		e.Used, e.Max = r.used, r.max
		e.Party.Host = strings.Clone(s.l.Host)
		r.held = e
	}
	e := r.held
	if scope != "" && e.Attrs[fact.AttrScope] == "" {
		e.Attrs[fact.AttrScope] = scope
	}
	if rss, ok := source.Between(memory, "anon-rss:", "kB"); ok {
		if n := source.Int(rss); n.Known && !e.Used.Known {
			e.Used = fact.Num(n.N << 10)
		}
		r.flush(s.out)
	}
}

func (r *kernelReader) flush(out source.Sink) {
	if r.held == nil {
		return
	}
	if r.stated == nil || len(r.stated) >= maxStated {
		r.stated = map[int]bool{}
	}
	r.stated[r.held.Party.PID] = true
	if len(r.held.Attrs) == 0 {
		r.held.Attrs = nil
	}
	out.State(r.held)
	r.held, r.used, r.max = nil, fact.Int{}, fact.Int{}
}

// usage: the cgroup's memory, in the report before the kill.
func (s *said) usage() {
	s.r.flush(s.out)
	used, most := source.Int(s.h[0]), source.Int(s.h[1])
	if used.Known && most.Known && used.N < 1<<50 && most.N < 1<<50 {
		s.r.used, s.r.max = fact.Num(used.N<<10), fact.Num(most.N<<10)
	}
}

func fault(reason string, signal int) act {
	return func(s *said) {
		e := s.event(fact.Crashed, process(string(s.h[0]), source.PID(s.h[1])), reason)
		e.Signal = signal
		s.out.State(e)
	}
}

func (s *said) fatalSignal() {
	e := s.event(fact.Crashed, process(string(s.h[0]), source.PID(s.h[1])), "signal")
	e.Signal = int(source.Int(s.h[2]).Or(0))
	s.out.State(e)
}

// synFlood: the port alone, or since 5.19 with the address.
func (s *said) synFlood() {
	e := s.event(fact.SynFlood, host(), "")
	port := bytes.TrimRight(s.h[0], ".")
	if source.Int(port).Known {
		e.Party.Address = ":" + string(port)
	} else {
		e.Party.Address = string(port)
	}
	s.out.State(e)
}

func (s *said) listenFull() {
	e := s.event(fact.LimitReached, host(), "accept queue")
	e.Limit, e.Used = fact.LimitQueue, source.Int(s.h[1])
	s.out.State(e)
}

func (s *said) fileMax() {
	e := s.event(fact.LimitReached, host(), "file-max")
	e.Limit, e.Max = fact.LimitFiles, source.Int(s.h[0])
	s.out.State(e)
}

func (s *said) lockup() {
	e := s.event(fact.CPUBusy, process(string(s.h[2]), source.PID(s.h[3])), "soft lockup")
	e.Lasted = source.Secs(s.h[1])
	s.out.State(e)
}

// hung: a task waits for the disk or a lock, not for the processor.
func (s *said) hung() {
	e := s.event(fact.CPUBusy, process(string(s.h[0]), source.PID(s.h[1])), "hung task")
	e.Lasted = source.Secs(s.h[2])
	s.out.State(e)
}
