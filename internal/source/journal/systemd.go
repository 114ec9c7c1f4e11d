package journal

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// said is one message and where its facts go.
type said struct {
	r    *systemdReader
	l    *source.Line
	unit string // that the message is about, "" if it names none
	msg  []byte
	h    source.Holes
	out  source.Sink
	env  *source.Env // for stamps inside a message
}

// event makes an event about the message's unit.
func (s *said) event(kind fact.EventKind) *fact.Event {
	e := &fact.Event{Kind: kind, Detail: string(s.msg)}
	e.Time, e.Res, e.Party = s.l.Time, s.l.Res, party(s.unit)
	return e
}

// state makes an event with a reason and states it.
func (s *said) state(kind fact.EventKind, reason string) {
	switch kind {
	case fact.RestartPlanned, fact.ProcessStarted:
		if s.r != nil {
			s.r.again(s.unit)
		}
	case fact.ProcessExited, fact.OOMKilled, fact.Crashed:
		if !s.r.once(s.unit, kind) {
			s.out.Seen(s.l.Time)
			return
		}
	}
	e := s.event(kind)
	e.Reason = reason
	s.out.State(e)
}

type act = func(*said)

func is(kind fact.EventKind, reason string) act {
	return func(s *said) { s.state(kind, reason) }
}

// aboutUnit are messages that follow "unit: ". Those with a small first letter
// and without the colon are of version 219 and before.
var aboutUnit = source.NewRules(
	source.Rule[act]{Words: "^Main process exited, code=%w status=%d/%s", Do: (*said).exited},
	source.Rule[act]{Words: "^main process exited, code=%w status=%d/%s", Do: (*said).exited},
	source.Rule[act]{Words: "^Control process exited, code=%w status=%s", Do: is(fact.BootFailed, "control process")},
	source.Rule[act]{Words: "^control process exited, code=%w status=%s", Do: is(fact.BootFailed, "control process")},
	source.Rule[act]{Words: "^Failed with result '%w'", Do: (*said).result},
	source.Rule[act]{Words: "^Unit entered failed state", Do: is(fact.ProcessExited, "failed")},
	source.Rule[act]{Words: "^Scheduled restart job, restart counter is at %d", Do: (*said).restart},
	source.Rule[act]{Words: "^Service hold-off time over, scheduling restart", Do: is(fact.RestartPlanned, "")},
	source.Rule[act]{Words: "^Service RestartSec=%w expired, scheduling restart", Do: is(fact.RestartPlanned, "")},
	source.Rule[act]{Words: "^Start request repeated too quickly", Do: is(fact.RestartBackoff, "start-limit")},
	source.Rule[act]{Words: "^A process of this unit has been killed by the OOM killer", Do: is(fact.OOMKilled, "oom-kill")},
	source.Rule[act]{Words: "^A process of this unit has been killed by systemd-oomd", Do: is(fact.OOMKilled, "systemd-oomd")},
	source.Rule[act]{Words: "^systemd-oomd killed %w process(es) in this unit", Do: is(fact.OOMKilled, "systemd-oomd")},
	source.Rule[act]{Words: "^State 'stop-%w' timed out. %s", Do: is(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "^State 'final-%w' timed out. %s", Do: is(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "^State '%w' timed out. %s", Do: is(fact.ProcessStopping, "timeout")},
	source.Rule[act]{Words: "^Stopping timed out. Killing", Do: is(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "^start operation timed out", Do: is(fact.BootFailed, "timeout")},
	source.Rule[act]{Words: "^Start operation timed out", Do: is(fact.BootFailed, "timeout")},
	source.Rule[act]{Words: "^start-%w operation timed out", Do: is(fact.BootFailed, "timeout")},
	source.Rule[act]{Words: "^Watchdog timeout (limit %w)!", Do: (*said).watchdog},
	source.Rule[act]{Words: "^watchdog timeout (limit %w)!", Do: (*said).watchdog},
	source.Rule[act]{Words: "^Killing process %d (%s) with signal %w", Do: (*said).killing},
	source.Rule[act]{Words: "^Deactivated successfully", Do: (*said).clean},
	source.Rule[act]{Words: "^Succeeded.", Do: (*said).clean},
	source.Rule[act]{Words: "^Failed at step %w spawning %w: %s", Do: is(fact.BootFailed, "exec")},
	source.Rule[act]{Words: "^Failed to listen on sockets: Address already in use", Do: is(fact.BootFailed, "address in use")},
	source.Rule[act]{Words: "^Failed to %s", Do: is(fact.BootFailed, "")},
)

// quiet are messages that follow "unit: " and tell nothing of a failure.
var quiet = source.NewRules(
	source.Rule[bool]{Words: "^Consumed %s CPU time"},
	source.Rule[bool]{Words: "^Triggering OnFailure="},
	source.Rule[bool]{Words: "^Changed %w -> %w"},
	source.Rule[bool]{Words: "^Found left-over process"},
	source.Rule[bool]{Words: "^Supervising process %d"},
	source.Rule[bool]{Words: "^Sent signal SIG%w to "},
	source.Rule[bool]{Words: "^Child %d belongs to "},
)

// alone are messages that name their unit inside, or none.
var alone = source.NewRules(
	source.Rule[act]{Words: "^Unit %w entered failed state", Do: named(fact.ProcessExited, "failed")},
	source.Rule[act]{Words: "^start request repeated too quickly for %w", Do: named(fact.RestartBackoff, "start-limit")},
	source.Rule[act]{Words: "^%w holdoff time over, scheduling restart", Do: named(fact.RestartPlanned, "")},
	source.Rule[act]{Words: "^%w stop-sigterm timed out. Killing", Do: named(fact.ProcessStopping, "stop-timeout")},
	source.Rule[act]{Words: "^%w start operation timed out. Terminating", Do: named(fact.BootFailed, "timeout")},
	source.Rule[act]{Words: "^Killed %w due to memory pressure for %w being %s", Do: (*said).oomd},
	source.Rule[act]{Words: "^Killed %w due to memory used %s", Do: (*said).oomd},
	source.Rule[act]{Words: "^Process %d (%s) of user %d%sdumped core", Do: (*said).dumped},
	source.Rule[act]{Words: "sending SIG%w to process %d %s\"%s\"", Do: (*said).earlyOOM},
	source.Rule[act]{Words: "^Under memory pressure, flushing caches", Do: (*said).pressure},
	source.Rule[act]{Words: "^System is powering down", Do: (*said).shutdown},
	source.Rule[act]{Words: "^System is rebooting", Do: (*said).shutdown},
	source.Rule[act]{Words: "^The system will power off", Do: (*said).shutdown},
	source.Rule[act]{Words: "^The system will reboot", Do: (*said).shutdown},
	source.Rule[act]{Words: "^Startup finished in %s(kernel)", Do: (*said).booted},
)

// jobs are messages about a job of systemd's queue. They are ordinary words:
// only systemd's tag makes them its own.
var jobs = source.NewRules(
	source.Rule[act]{Words: "^Started %s", Do: (*said).started},
	source.Rule[act]{Words: "^Starting %s", Do: (*said).starting},
	source.Rule[act]{Words: "^Finished %s", Do: (*said).finished},
	source.Rule[act]{Words: "^Stopping %s", Do: (*said).stopping},
	source.Rule[act]{Words: "^Stopped target %s", Do: func(*said) {}},
	source.Rule[act]{Words: "^Stopped %s", Do: (*said).stopped},
	source.Rule[act]{Words: "^Failed to start %s", Do: (*said).failedStart},
	source.Rule[act]{Words: "^Reloaded %s", Do: (*said).reloaded},
	source.Rule[act]{Words: "^Reached target %w Shutdown", Do: (*said).shutdown},
	source.Rule[act]{Words: "^Reached target Shutdown", Do: (*said).shutdown},
	source.Rule[act]{Words: "^Reached target %w - Power-Off", Do: (*said).shutdown},
	source.Rule[act]{Words: "^Reached target %w - System Reboot", Do: (*said).shutdown},
)

var systemd = source.Format{
	ID: "systemd", Tech: tech, Role: fact.RoleHost, Title: "messages of systemd",
	Sniff:     sniffSystemd,
	NewReader: func(*source.Env) source.LineReader { return &systemdReader{} },
}

// ours reports whether a program is systemd or one of its helpers.
func ours(program string) bool {
	return program == "systemd" || program == "init.scope" || strings.HasPrefix(program, "systemd-") || program == "earlyoom"
}

// split takes a tag without a stamp off ("systemd[1]: "), and the unit that a
// message begins with.
func split(l *source.Line) (unit string, msg []byte, tagged bool) {
	msg, tagged = trimSpace(l.Text), ours(l.Program)
	if source.HasPrefix(msg, "systemd") || source.HasPrefix(msg, "earlyoom") {
		if t, rest, ok := readTag(msg); ok && ours(t.program) {
			msg, tagged = rest, true
		}
	}
	if i := bytes.Index(msg, []byte(": ")); i > 0 && i < maxTag && unitLike(msg[:i]) {
		return string(msg[:i]), msg[i+2:], tagged
	}
	if i := bytes.IndexByte(msg, ' '); i > 0 && i < maxTag && msg[i-1] != ':' && unitLike(msg[:i]) &&
		(source.HasPrefix(msg[i+1:], "start operation") || source.HasPrefix(msg[i+1:], "watchdog timeout")) {
		return string(msg[:i]), msg[i+1:], tagged
	}
	if tagged && l.Unit != "init.scope" {
		unit = strings.Clone(l.Unit) // it outlives the line
	}
	return unit, msg, tagged
}

// unitLike reports whether b is the name of a unit.
func unitLike(b []byte) bool {
	if bytes.ContainsAny(b, " =\"'") {
		return false
	}
	for _, kind := range [...]string{".service", ".scope", ".slice", ".socket", ".timer", ".mount"} {
		if bytes.HasSuffix(b, []byte(kind)) && len(b) > len(kind) {
			return true
		}
	}
	return false
}

func sniffSystemd(l *source.Line) source.Confidence {
	if len(l.Text) < 9 {
		return source.No
	}
	unit, msg, tagged := split(l)
	if tagged {
		return source.Sure
	}
	var h source.Holes
	if unit != "" {
		if _, ok := aboutUnit.Match(msg, &h); ok {
			return source.Likely
		}
		if _, ok := quiet.Match(msg, &h); ok {
			return source.Likely
		}
		return source.No
	}
	if _, ok := alone.Match(msg, &h); ok {
		return source.Fragment
	}
	if _, ok := aboutUnit.Match(msg, &h); ok && !source.HasPrefix(msg, "Failed to ") && !source.HasPrefix(msg, "Succeeded") {
		return source.Fragment
	}
	return source.No
}

// maxPending bounds the units that are starting at once.
const maxPending = 64

// systemdReader remembers what is starting, since only the message at its end
// tells a job ("Finished") from a service ("Started").
type systemdReader struct {
	pending map[string]begun
	told    map[told]bool
}

// told is an end of a unit that was stated: systemd tells one end in several
// messages.
type told struct {
	unit string
	kind fact.EventKind
}

// once reports whether the unit's end is new.
func (r *systemdReader) once(unit string, kind fact.EventKind) bool {
	t := told{unitName(unit), kind}
	if r == nil || unit == "" {
		return true
	}
	if r.told[t] {
		return false
	}
	if r.told == nil || len(r.told) >= maxPending {
		r.told = map[told]bool{}
	}
	r.told[t] = true
	return true
}

// again: the unit runs, or will, and can end once more.
func (r *systemdReader) again(unit string) {
	for _, kind := range [...]fact.EventKind{fact.ProcessExited, fact.OOMKilled, fact.Crashed} {
		delete(r.told, told{unitName(unit), kind})
	}
}

type begun struct {
	at   time.Time
	line int
}

func (r *systemdReader) Line(l *source.Line, out source.Sink) source.Took {
	unit, msg, tagged := split(l)
	s := said{r: r, l: l, unit: unit, msg: msg, out: out}
	if do, ok := alone.Match(msg, &s.h); ok {
		do(&s)
		return source.Mine
	}
	if do, ok := aboutUnit.Match(msg, &s.h); ok && (tagged || unit != "" || !source.HasPrefix(msg, "Failed to ")) {
		if source.HasPrefix(msg, "Failed to start ") {
			s.failedStartOf(msg[len("Failed to start "):])
			return source.Mine
		}
		do(&s)
		return source.Mine
	}
	if tagged {
		if do, ok := jobs.Match(msg, &s.h); ok {
			do(&s)
		}
		out.Seen(l.Time)
		return source.Mine
	}
	if _, ok := quiet.Match(msg, &s.h); ok && unit != "" {
		out.Seen(l.Time)
		return source.Mine
	}
	return source.NotMine
}

func (r *systemdReader) Close(source.Sink) {}

// named makes an act for a message whose first hole is the unit.
func named(kind fact.EventKind, reason string) act {
	return func(s *said) {
		s.unit = string(s.h[0])
		s.state(kind, reason)
	}
}

// exited: code=killed, status=9/KILL; code=dumped, status=11/SEGV;
// code=exited, status=1/FAILURE.
func (s *said) exited() {
	e := s.event(fact.ProcessExited)
	s.r.once(s.unit, e.Kind)
	n := source.Int(s.h[1])
	switch code := strings.TrimRight(string(s.h[0]), ","); code {
	case "killed", "dumped":
		e.Signal = int(n.Or(0))
		e.Reason = "SIG" + strings.TrimRight(string(s.h[2]), ". ")
		s.out.State(e)
		if code == "dumped" || crashSignal(e.Signal) {
			c := s.event(fact.Crashed)
			c.Signal, c.Reason = e.Signal, e.Reason
			s.r.once(s.unit, c.Kind)
			s.out.State(c)
		}
	default:
		e.Exit = n
		if n.Known && n.N > 128 && n.N < 160 {
			e.Signal = int(n.N - 128) // a shell or run time passes its child's signal on
		}
		s.out.State(e)
		if n.Known && n.N >= 200 && n.N < 244 { // systemd.exec(5): the manager could not set the process up
			s.state(fact.BootFailed, "exec")
		}
	}
}

// crashSignal reports whether a process gets the signal for a fault of its
// own: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS.
func crashSignal(n int) bool {
	switch n {
	case 4, 5, 6, 7, 8, 11, 31:
		return true
	}
	return false
}

// result: why a unit is in state failed.
func (s *said) result() {
	switch why := string(s.h[0]); why {
	case "oom-kill":
		s.state(fact.OOMKilled, why)
		s.state(fact.ProcessExited, why)
	case "core-dump":
		s.state(fact.Crashed, why)
		s.state(fact.ProcessExited, why)
	case "watchdog":
		s.state(fact.WorkerTimedOut, why)
		s.state(fact.ProcessExited, why)
	case "start-limit-hit", "start-limit":
		s.state(fact.RestartBackoff, why)
	case "resources", "protocol", "exec-condition":
		s.state(fact.BootFailed, why)
	default: // signal, exit-code, timeout
		s.state(fact.ProcessExited, why)
	}
}

func (s *said) restart() {
	s.r.again(s.unit)
	e := s.event(fact.RestartPlanned)
	e.Count = int(source.Int(s.h[0]).Or(0))
	s.out.State(e)
}

func (s *said) watchdog() {
	e := s.event(fact.WorkerTimedOut)
	e.Reason, e.Lasted = "watchdog", span(string(s.h[0]))
	s.out.State(e)
}

func (s *said) killing() {
	e := s.event(fact.ProcessStopping)
	e.Reason = string(bytes.TrimRight(s.h[2], "."))
	e.Party.PID = source.PID(s.h[0])
	if e.Reason == "SIGKILL" {
		e.Signal = 9
	}
	s.out.State(e)
}

func (s *said) clean() {
	if source.Has([]byte(s.unit), ".service") && s.r.pending[s.unit].line == 0 {
		e := s.event(fact.ProcessExited)
		e.Exit, e.Reason = fact.Num(0), "success"
		s.r.once(s.unit, e.Kind)
		s.out.State(e)
		return
	}
	s.out.Seen(s.l.Time)
}

func (s *said) oomd() {
	s.unit = string(s.h[0])
	e := s.event(fact.OOMKilled)
	e.Reason, e.Attrs = "systemd-oomd", map[string]string{fact.AttrScope: "cgroup"}
	s.out.State(e)
}

func (s *said) dumped() {
	e := s.event(fact.Crashed)
	e.Party = party(string(s.h[1]))
	e.Party.PID, e.Reason = source.PID(s.h[0]), "core-dump"
	s.out.State(e)
}

func (s *said) earlyOOM() {
	e := s.event(fact.OOMKilled)
	e.Party = party(string(s.h[3]))
	e.Party.PID, e.Reason = source.PID(s.h[1]), "earlyoom"
	e.Attrs = map[string]string{fact.AttrScope: "host"}
	s.out.State(e)
}

// machine makes an event about the host.
func (s *said) machine(kind fact.EventKind, reason string) {
	e := s.event(kind)
	e.Party = fact.Party{Role: fact.RoleHost, Tech: tech, Host: s.l.Host, Name: s.l.Host}
	e.Reason = reason
	s.out.State(e)
}

func (s *said) pressure() { s.machine(fact.NodePressure, "memory") }
func (s *said) shutdown() { s.machine(fact.NodeTerminating, "shutdown") }
func (s *said) booted()   { s.machine(fact.NodeBack, "boot") }
