package apache

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// dispatch ends a trouble of mod_proxy_fcgi. It names the backend's URL in
// some versions and nothing in others.
func dispatch(c *context) {
	m := c.f.code.mechanism(fact.PhaseWaiting)
	if source.Has(c.f.text, "passing brigade to output filters") || source.Has(c.f.text, "reading input brigade") {
		m = fact.ClientGone
	}
	if m == "" && (c.f.code.errno != 0 || c.f.code.set) {
		m = fact.BadReply // EINVAL: what came is no FastCGI
	}
	q := c.trouble(m, fact.PhaseWaiting)
	address := strings.TrimRight(clean(c.h[0]), ":")
	if i := strings.IndexByte(address, '/'); i > 0 {
		address = address[:i]
	}
	if strings.HasPrefix(address, ":") {
		address = "" // its own port
	}
	tried(q, address)
	c.finish()
}

func waiting(c *context) {
	m := c.f.code.mechanism(fact.PhaseWaiting)
	if m == "" {
		m = fact.ClosedBeforeReply
	}
	tried(c.trouble(m, fact.PhaseWaiting), "")
}

func readFailed(c *context) {
	waiting(c)
	tried(c.trouble("", fact.PhaseWaiting), clean(c.h[0]))
	c.finish()
}

func badAnswer(c *context) { tried(c.trouble(fact.BadReply, fact.PhaseWaiting), "") }

// phpSaid is what an application wrote to FastCGI's standard error.
func phpSaid(c *context) {
	text := bytes.TrimSuffix(c.h[0], []byte("'"))
	if source.Has(text, "Allowed memory size of") {
		heap(c)
		return
	}
	c.event(fact.AppError, func(e *fact.Event) {
		e.Party = fact.Party{Role: fact.RoleBackend}
		e.Detail = string(text)
	})
}

func wsgiTimeout(c *context) {
	tried(c.trouble(fact.ReplyTimedOut, fact.PhaseWaiting), daemonOf(c))
	c.finish()
}

func wsgiClosed(c *context) {
	tried(c.trouble(fact.ClosedBeforeReply, fact.PhaseWaiting), daemonOf(c))
	c.finish()
}

func wsgiConnect(c *context) {
	m := c.f.code.mechanism(fact.PhaseConnecting)
	if m == "" {
		m = fact.Refused
	}
	tried(c.trouble(m, fact.PhaseConnecting), daemonOf(c))
	c.finish()
}

// daemonOf is the name in quotes: "from daemon process 'app': /srv/app.wsgi".
func daemonOf(c *context) string {
	name, _ := source.Between(c.f.text, "daemon process '", "'")
	return string(name)
}

func cgiTimeout(c *context) {
	tried(c.trouble(fact.ReplyTimedOut, fact.PhaseWaiting), "")
	c.finish()
}

func scriptEnded(c *context) {
	tried(c.trouble(fact.ClosedBeforeReply, fact.PhaseWaiting), "")
	c.finish()
}

func workersBusy(c *context) {
	c.event(fact.LimitReached, func(e *fact.Event) { e.Limit = fact.LimitWorkers })
}

func workersReached(c *context) {
	c.event(fact.LimitReached, func(e *fact.Event) { e.Limit = fact.LimitWorkers })
}

func workersNear(c *context) {
	c.event(fact.LimitNear, func(e *fact.Event) { e.Limit = fact.LimitWorkers })
}

// crashNames are the signals of a crash, by their numbers on Linux.
var crashNames = map[int]string{4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 11: "SIGSEGV"}

func childDied(c *context) {
	sig := int(source.Int(c.h[2]).N)
	kind := fact.WorkerExited
	if crashNames[sig] != "" {
		kind = fact.Crashed
	}
	c.event(kind, func(e *fact.Event) {
		e.Party.PID, e.Signal, e.Reason = source.PID(c.h[0]), sig, crashNames[sig]
		e.Detail = "child exit signal " + string(c.h[1])
	})
}

func cannotFork(c *context) {
	c.event(fact.LimitReached, func(e *fact.Event) {
		e.Limit = fact.LimitProcesses
		if c.f.code.errno == source.ENOMEM {
			e.Limit = fact.LimitMemory
		}
	})
}

func stopping(c *context) { c.event(fact.ProcessStopping, nil) }

func reloading(c *context) {
	c.r.reloading = true
	c.event(fact.ConfigReloaded, nil)
}

// started is written after a start and after each restart that a signal asked
// for, which keeps the process.
func started(c *context) {
	if c.r.reloading {
		c.r.reloading = false
		return
	}
	c.event(fact.ProcessStarted, func(e *fact.Event) {
		if i := strings.Index(e.Detail, "Apache/"); i >= 0 {
			v, _, _ := strings.Cut(e.Detail[i+len("Apache/"):], " ")
			e.Attrs = map[string]string{fact.AttrVersion: v}
		}
		e.Detail = "resuming normal operations"
	})
}

func bootFailed(reason string) func(*context) {
	return func(c *context) { c.event(fact.BootFailed, func(e *fact.Event) { e.Reason = reason }) }
}

func denied(c *context) {
	c.event(fact.RequestRejected, func(e *fact.Event) {
		e.Reason = "waf"
		if uri, ok := source.Between(c.f.sourceOfText, "[uri \"", "\""); ok {
			e.Path = string(uri)
		}
	})
}

func heap(c *context) {
	c.event(fact.HeapExhausted, func(e *fact.Event) {
		e.Party = fact.Party{Role: fact.RoleBackend, Tech: "php", PID: c.f.pid}
		if n, ok := source.Between(c.f.text, "Allowed memory size of ", " bytes"); ok {
			e.Max = source.Int(n)
		}
	})
}

func appError(c *context) {
	c.event(fact.AppError, func(e *fact.Event) { e.Party = fact.Party{Role: fact.RoleBackend, PID: c.f.pid} })
}
