package haproxy

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

func workerExited(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) { exited(h[0], h[1], e) }

func oldWorkerExited(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) { exited(h[1], h[2], e) }

func formerExited(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	exited(h[0], h[1], e)
	e.Reason = "reload"
}

func oldFormerExited(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	exited(h[1], h[2], e)
	e.Reason = "reload"
}

// signalBase is what the master adds to the number of the signal that ended a
// worker, as a shell does.
const signalBase = 128

// exited states the end of a worker: a crash where the signal is one.
func exited(pid, code []byte, e *fact.Event) {
	e.Kind, e.Party.PID, e.Detail = fact.WorkerExited, source.PID(pid), "worker exited"
	e.Exit = source.Int(code)
	if e.Exit.N <= signalBase {
		return
	}
	e.Signal = int(e.Exit.N - signalBase)
	if name := crashNames[e.Signal]; name != "" {
		e.Kind, e.Reason = fact.Crashed, name
	}
}

// crashNames are the signals of a crash, by their numbers on Linux.
var crashNames = map[int]string{4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}

func allExited(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	e.Kind, e.Exit, e.Detail = fact.ProcessExited, source.Int(h[0]), "All workers exited"
	if e.Exit.N > signalBase {
		e.Signal = int(e.Exit.N - signalBase)
	}
}

func workerForked(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	e.Kind, e.Party.PID = fact.WorkerStarted, source.PID(h[0])
}

func oldWorkerForked(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	e.Kind, e.Party.PID = fact.WorkerStarted, source.PID(h[1])
}

func crashed(_ *source.Holes, e *fact.Event, _ source.Sink, f frame) {
	e.Kind, e.Reason, e.Detail = fact.Crashed, "SIGABRT", string(f.text)
}

func unresolved(h *source.Holes, e *fact.Event, _ source.Sink, f frame) {
	e.Kind, e.Reason = fact.DNSFailed, "start"
	e.Detail = "could not resolve address '" + string(h[0]) + "'"
	e.Attrs = map[string]string{fact.AttrObject: string(h[0])}
	if f.level == "ALERT" {
		e.Kind, e.Reason = fact.BootFailed, "dns"
	}
}

func cannotBind(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	e.Kind, e.Detail = fact.BootFailed, "cannot bind socket"+string(h[2])
	e.Reason = "bind"
}

func configProblem(h *source.Holes, e *fact.Event, _ source.Sink, f frame) {
	if f.level != "ALERT" {
		return
	}
	e.Kind, e.Detail = fact.ConfigBroken, string(h[1])
	e.Attrs = map[string]string{fact.AttrPath: string(h[0])}
}

// lastCheck reads a piece of the statistics page: "LastChk: Layer4 connection
// problem: Connection refused".
func lastCheck(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	if source.Has(h[0], "passed") || source.Has(h[0], "OK") {
		return
	}
	e.Kind, e.Reason = fact.ProbeFailed, "health-check"
	e.Party = fact.Party{Role: fact.RoleBackend}
	checked(h[0], e)
}

func layerCheck(layer string) func(*source.Holes, *fact.Event, source.Sink, frame) {
	return func(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
		if source.HasPrefix(h[0], "check passed") || source.HasPrefix(h[0], "check conditionally passed") {
			return
		}
		e.Kind, e.Reason = fact.ProbeFailed, "health-check"
		e.Party = fact.Party{Role: fact.RoleBackend}
		checked(append([]byte(layer), h[0]...), e)
	}
}

func shortCheck(detail, why string) func(*source.Holes, *fact.Event, source.Sink, frame) {
	return func(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
		e.Kind, e.Reason, e.Detail, e.Lasted = fact.ProbeFailed, "health-check", detail, source.Millis(h[0])
		e.Party = fact.Party{Role: fact.RoleBackend}
		if why != "" {
			e.Attrs = map[string]string{fact.AttrWhy: why}
		}
	}
}

func shortStatus(h *source.Holes, e *fact.Event, out source.Sink, f frame) {
	shortCheck("Layer7 wrong status, code "+string(h[0]), "status")(&source.Holes{h[1]}, e, out, f)
}
