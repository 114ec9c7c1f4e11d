package applog

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// lifeRules are words in which programs of many kinds, and the shells that
// started them, tell of a start or an end.
var lifeRules = source.NewRules(
	source.Rule[act]{Words: "Now listening on: %w", Do: life(fact.ProcessStarted, "", 0)},
	source.Rule[act]{Words: "istening on port %d", Do: life(fact.ProcessStarted, "", 0)},
	source.Rule[act]{Words: "istening on http%w", Do: life(fact.ProcessStarted, "", 0)},
	source.Rule[act]{Words: "istening at http%w", Do: life(fact.ProcessStarted, "", 0)},
	source.Rule[act]{Words: "istening on 0.0.0.0:%d", Do: life(fact.ProcessStarted, "", 0)},
	source.Rule[act]{Words: "erver running on port %d", Do: life(fact.ProcessStarted, "", 0)},
	source.Rule[act]{Words: "Application is shutting down...", Do: life(fact.ProcessStopping, "stop", -1)},
	source.Rule[act]{Words: "SIGTERM received", Do: life(fact.ProcessStopping, "SIGTERM", -1)},
	source.Rule[act]{Words: "eceived SIGTERM", Do: life(fact.ProcessStopping, "SIGTERM", -1)},
	source.Rule[act]{Words: "eceived signal SIGTERM", Do: life(fact.ProcessStopping, "SIGTERM", -1)},
	source.Rule[act]{Words: "aught SIGTERM", Do: life(fact.ProcessStopping, "SIGTERM", -1)},
	source.Rule[act]{Words: "Segmentation fault (core dumped)", Do: died("SIGSEGV", 11)},
	source.Rule[act]{Words: "^Segmentation fault", Do: died("SIGSEGV", 11)},
	source.Rule[act]{Words: ": line %d: %d Killed ", Do: died("SIGKILL", 9)},
	source.Rule[act]{Words: ": line %d:     %d Killed ", Do: died("SIGKILL", 9)},
	source.Rule[act]{Words: "exited with code %d", Do: (*said).code},
	source.Rule[act]{Words: "^command terminated with exit code %d", Do: (*said).code},
	source.Rule[act]{Words: "terminate called after throwing an instance of 'std::bad_alloc'", Do: life(fact.HeapExhausted, "bad_alloc", -1)},
	source.Rule[act]{Words: "terminate called after throwing an instance of '%s'", Do: life(fact.Crashed, "abort", -1)},
	source.Rule[act]{Words: "^thread '%s' panicked at %s", Do: life(fact.Crashed, "panic", -1)},
	source.Rule[act]{Words: "^thread '%s' (%d) panicked at %s", Do: life(fact.Crashed, "panic", -1)},
	source.Rule[act]{Words: "^Unhandled exception. %s", Do: life(fact.Crashed, "uncaught", -1)},
	source.Rule[act]{Words: "System.OutOfMemoryException", Do: life(fact.HeapExhausted, "heap", -1)},
	source.Rule[act]{Words: "An unhandled exception was thrown by the application", Do: life(fact.AppError, "exception", -1)},
	source.Rule[act]{Words: "FATAL: sorry, too many clients already", Do: life(fact.DependencyDown, "database connections", -1)},
	source.Rule[act]{Words: "FATAL:  sorry, too many clients already", Do: life(fact.DependencyDown, "database connections", -1)},
	source.Rule[act]{Words: "remaining connection slots are reserved for", Do: life(fact.DependencyDown, "database connections", -1)},
	source.Rule[act]{Words: "has been blocked for %d ms, time limit is %d ms", Do: (*said).blocked},
	source.Rule[act]{Words: "vent loop blocked for %d", Do: (*said).blocked},
	source.Rule[act]{Words: "vent loop was blocked for %d", Do: (*said).blocked},
	source.Rule[act]{Words: "thread pool starvation", Do: life(fact.CPUBusy, "thread pool", -1)},
	source.Rule[act]{Words: "the heartbeat has been running for \"%s\" which is longer than", Do: life(fact.CPUBusy, "thread pool", -1)}, // Kestrel
)

func life(kind fact.EventKind, reason string, addr int) act {
	return func(s *said) {
		e := event(s.l, kind, reason, backend(), s.msg)
		if addr >= 0 && source.Int(s.h[addr]).Known {
			e.Party.Address = ":" + string(s.h[addr])
		}
		s.out.State(e)
	}
}

func died(reason string, signal int) act {
	return func(s *said) {
		e := event(s.l, fact.ProcessExited, reason, backend(), s.msg)
		e.Signal = signal
		if pid := source.PID(s.h[1]); pid > 0 {
			e.Party.PID = pid
		}
		s.out.State(e)
		if signal != 9 {
			c := event(s.l, fact.Crashed, reason, backend(), s.msg)
			c.Signal = signal
			s.out.State(c)
		}
	}
}

func (s *said) code() {
	e := event(s.l, fact.ProcessExited, "", backend(), s.msg)
	e.Exit = source.Int(s.h[0])
	if e.Exit.N > 128 && e.Exit.N < 160 {
		e.Signal = int(e.Exit.N - 128) // as shells tell a signal
	}
	s.out.State(e)
}

func (s *said) blocked() {
	e := event(s.l, fact.CPUBusy, "event loop", backend(), s.msg)
	e.Lasted = source.Millis(s.h[0])
	s.out.State(e)
}
