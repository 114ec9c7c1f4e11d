package apache

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// message is what is done with a line that holds certain words.
type message struct {
	alone source.Confidence // in a line without a frame and an AH code
	do    func(c *context)
}

func rule(words string, alone source.Confidence, do func(*context)) source.Rule[message] {
	return source.Rule[message]{Words: words, Do: message{alone, do}}
}

// messages are those of mod_proxy and its schemes, the processing modules and
// the interpreters that log through Apache. Versions before 2.4 begin them
// with "proxy: " and have no AH code.
var messages = source.NewRules(
	rule("attempt to connect to Unix domain socket %w (%w) failed", source.Likely, connectSocket),
	rule("attempt to connect to %w (%w) failed", source.Likely, connectFailed),
	rule("attempt to connect to %w failed", source.Fragment, connectFailed),
	rule("error creating fam %d socket for target %w", source.Likely, socketFailed),
	rule("error creating Unix domain socket %w", source.Likely, socketFailed),
	rule("failed to make connection to backend: %w", source.Likely, noConnection),
	rule("failed to enable ssl support for %w", source.Likely, tlsFailed),
	rule("SSL Proxy connect failed", source.Likely, tlsFailed),
	rule("SSL Proxy requested for %w but not enabled", source.Likely, tlsFailed),
	rule("error reading status line from remote server %w", source.Likely, noStatusLine),
	rule("Error during SSL Handshake with remote server returned by %w", source.Likely, returned(fact.TLSFailed, fact.PhaseTLS)),
	rule("DNS lookup failure for: %w returned by %w", source.Likely, nameFailed),
	rule("Error reading from remote server returned by %w", source.Likely, returned("", fact.PhaseWaiting)),
	rule("Corrupt status line returned by remote server: %s returned by %w", source.Likely, corrupt),
	rule("Timeout on 100-Continue returned by %w", source.Likely, returned(fact.ReplyTimedOut, fact.PhaseWaiting)),
	rule("Network error reading response", source.Possible, reading),
	rule("error reading response", source.Fragment, reading),
	rule("header size is over the limit allowed by ResponseFieldSize", source.Likely, headerTooBig),
	rule("bad HTTP/%w header returned by %w (%w)", source.Likely, badHeader),
	rule("pass request body failed to %w", source.Likely, bodyNotPassed),
	rule("pass request body failed", source.Possible, bodyNotPassed),
	rule("prefetch request body failed to %w (%w) from %w", source.Likely, clientBody),
	rule("Closing connection to client because reading from backend server %w failed", source.Sure, closedSilently),
	rule("disabling worker for (%w) for %ds", source.Likely, ejected),
	rule("disabling worker for (%w)", source.Likely, ejected),
	rule("disabled connection for (%w)", source.Likely, disabled),
	rule("All workers are in error state", source.Likely, noWorkers),
	rule("all workers are busy", source.Likely, allBusy),
	rule("All workers are busy", source.Likely, allBusy),

	rule("Error dispatching request to %w", source.Possible, dispatch),
	rule("Failed to read FastCGI header", source.Likely, waiting),
	rule("Got bogus version %d", source.Fragment, badAnswer),
	rule("Got bogus rid %d", source.Fragment, badAnswer),
	rule("error parsing script headers", source.Fragment, badAnswer),
	rule("Got error '%s", source.Fragment, phpSaid),
	rule("ajp_ilink_receive() can't receive header", source.Likely, waiting),
	rule("ajp_read_header: ajp_ilink_receive failed", source.Likely, waiting),
	rule("read response failed from %w", source.Fragment, readFailed),
	rule("Timeout when reading response headers from daemon process", source.Likely, wsgiTimeout),
	rule("Truncated or oversized response headers received from daemon process", source.Likely, wsgiClosed),
	rule("Unable to connect to WSGI daemon process", source.Likely, wsgiConnect),
	rule("mod_fcgid: read data timeout in %d seconds", source.Likely, cgiTimeout),
	rule("mod_fcgid: error reading data from FastCGI server", source.Likely, waiting),
	rule("mod_fcgid: can't apply process slot", source.Likely, workersBusy),
	rule("End of script output before headers", source.Likely, scriptEnded),
	rule("Premature end of script headers", source.Likely, scriptEnded),
	rule("Script timed out before returning headers", source.Likely, cgiTimeout),

	rule("server reached MaxRequestWorkers setting", source.Sure, workersReached),
	rule("server reached MaxClients setting", source.Sure, workersReached),
	rule("scoreboard is full", source.Possible, workersReached),
	rule("server is within MinSpareThreads of MaxRequestWorkers", source.Sure, workersNear),
	rule("server seems busy, (you may need to increase", source.Possible, workersNear),
	rule("child pid %d exit signal %s (%d)", source.Likely, childDied),
	rule("fork: Unable to fork new process", source.Possible, cannotFork),
	rule("caught SIGTERM, shutting down", source.Possible, stopping),
	rule("caught SIGWINCH, shutting down gracefully", source.Likely, stopping),
	rule("SIGUSR1 received.", source.Possible, reloading),
	rule("SIGHUP received.", source.Possible, reloading),
	rule("Graceful restart requested, doing restart", source.Likely, reloading),
	rule("configured -- resuming normal operations", source.Likely, started),
	rule("could not bind to address %w", source.Possible, bootFailed("bind")),
	rule("no listening sockets available, shutting down", source.Likely, bootFailed("bind")),
	rule("Syntax error on line %d of %w", source.Possible, bootFailed("config")),
	rule("ModSecurity: Access denied with code %d", source.Likely, denied),
	rule("PHP Fatal error:  Allowed memory size of %d bytes exhausted", source.No, heap),
	rule("PHP Fatal error: ", source.No, appError),
	rule("Exception occurred processing WSGI script", source.Likely, appError),
)

func connectFailed(c *context) {
	address := clean(c.h[0])
	if inner := clean(c.h[1]); !strings.Contains(address, ":") && strings.Contains(inner, ":") {
		address = inner
	}
	connecting(c, address)
}

func connectSocket(c *context) { connecting(c, "unix:"+clean(c.h[0])) }

func connecting(c *context, address string) {
	c.finish() // what was before is another member, or another request
	tried(c.trouble(c.f.code.mechanism(fact.PhaseConnecting), fact.PhaseConnecting), address)
}

// socketFailed: there was no socket to connect with, for a limit or a right
// that is missing. The target stands without its port.
func socketFailed(c *context) {
	c.finish()
	target := clean(c.h[1])
	if target == "" {
		target = "unix:" + clean(c.h[0])
	}
	m := c.f.code.mechanism(fact.PhaseConnecting)
	if m == fact.MechanismUnknown {
		m = fact.GatewayFault
	}
	tried(c.trouble(m, fact.PhaseConnecting), target)
}

// noConnection follows a failed connect or a worker in error state. It names
// the backend's host without its port.
func noConnection(c *context) {
	q := c.trouble(c.f.code.mechanism(fact.PhaseConnecting), fact.PhaseConnecting)
	tried(q, clean(c.h[0]))
	c.finish()
}

func tlsFailed(c *context) {
	q := c.trouble(fact.TLSFailed, fact.PhaseTLS)
	tried(q, clean(c.h[0]))
}

func noStatusLine(c *context) {
	c.finish()
	q := c.trouble(c.f.code.mechanism(fact.PhaseWaiting), fact.PhaseWaiting)
	if q.Ended == "" {
		q.Ended = fact.ClosedBeforeReply
	}
	tried(q, clean(c.h[0]))
}

// returned is the line that ends a trouble and names the path.
func returned(m fact.Mechanism, p fact.Phase) func(*context) {
	return func(c *context) {
		q := c.trouble(m, p)
		if m != "" {
			q.Ended, q.Phase = m, p
			for i := range q.Attempts {
				q.Attempts[i].Ended = m
			}
		}
		q.Path = clean(c.h[0])
		c.finish()
	}
}

func nameFailed(c *context) {
	q := c.trouble(fact.NameNotResolved, fact.PhaseResolving)
	tried(q, clean(c.h[0]))
	q.Path = clean(c.h[1])
	c.finish()
}

func corrupt(c *context) {
	q := c.trouble(fact.BadReply, fact.PhaseWaiting)
	q.Path = clean(c.h[1])
	c.finish()
}

func reading(c *context) {
	q := c.trouble(fact.CutMidReply, fact.PhaseReading)
	tried(q, "")
	c.finish()
}

func headerTooBig(c *context) {
	q := c.trouble(fact.ReplyTooBig, fact.PhaseWaiting)
	q.Errno = 0 // ENOSPC here is Apache's own buffer
	if i := strings.Index(q.Detail, ". Bad response header"); i > 0 {
		q.Detail = q.Detail[:i]
	}
	tried(q, "")
}

func badHeader(c *context) {
	q := c.trouble(fact.BadReply, fact.PhaseWaiting)
	q.Path, q.Method = clean(c.h[1]), clean(c.h[2])
	tried(q, "")
	c.finish()
}

// bodyNotPassed: the request could not be sent. With a number it is the
// backend that closed; without one, a line after this one may tell.
func bodyNotPassed(c *context) {
	if k := c.r.open[c.f.thread]; k != nil && k.done && k.req.Client == string(c.f.client) {
		c.said = true // the last of three lines
		return
	}
	m := c.f.code.mechanism(fact.PhaseSending)
	if c.f.code.kind == endClosed {
		m = fact.ClosedBeforeReply
	}
	q := c.trouble(m, fact.PhaseSending)
	address := clean(c.h[0])
	if address == "" || strings.HasPrefix(address, "(") {
		return
	}
	tried(q, address)
}

func clientBody(c *context) {
	q := c.trouble(fact.ClientGone, fact.PhaseSending)
	q.Ended = fact.ClientGone
	c.finish()
}

// closedSilently is logged at debug alone: a backend's connection died, and
// Apache closed the client's instead of answering.
func closedSilently(c *context) {
	m := c.f.code.mechanism(fact.PhaseWaiting)
	if m == "" {
		m = fact.ClosedBeforeReply
	}
	q := c.trouble(m, fact.PhaseWaiting)
	q.Status = fact.Num(0)
	tried(q, clean(c.h[0]))
	c.finish()
}

func ejected(c *context) {
	c.event(fact.BackendEjected, func(e *fact.Event) {
		e.Party = fact.Party{Role: fact.RoleBackend, Name: clean(c.h[0])}
		if strings.Contains(e.Party.Name, ":") {
			e.Party.Address = e.Party.Name
		}
		if n := source.Int(c.h[1]); n.Known {
			e.Lasted = fact.Seconds(float64(n.N))
		}
		e.Detail = "disabling worker"
	})
}

// disabled: the worker is in error state since an earlier failure, so the
// request was not sent anywhere.
func disabled(c *context) {
	c.finish()
	q := c.trouble(fact.NoBackend, "")
	q.Ended = fact.NoBackend
	tried(q, clean(c.h[0]))
	c.finish()
}

// balancerOf finds the name of a balancer in a message.
func balancerOf(b []byte) string {
	i := bytes.Index(b, []byte("balancer://"))
	if i < 0 {
		return ""
	}
	w, _ := source.Field(b[i+len("balancer://"):])
	return clean(bytes.TrimRight(w, ":)."))
}

func noWorkers(c *context) {
	name := balancerOf(c.f.text)
	c.event(fact.NoBackendLeft, func(e *fact.Event) {
		e.Party = fact.Party{Role: fact.RoleBackend, Name: name}
		e.Detail = "All workers are in error state"
	})
	c.finish()
	q := c.trouble(fact.NoBackend, "")
	q.Ended, q.Upstream = fact.NoBackend, name
	tried(q, name)
	c.finish()
}

func allBusy(c *context) {
	name := balancerOf(c.f.text)
	c.finish()
	q := c.trouble(fact.LimitHit, fact.PhaseQueued)
	q.Ended, q.Upstream = fact.LimitHit, name
	c.finish()
}
