package haproxy

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// message says what is done with a line that holds certain words.
type message struct {
	alone source.Confidence // without a frame
	do    func(h *source.Holes, e *fact.Event, out source.Sink, f frame)
}

func rule(words string, alone source.Confidence, do func(h *source.Holes, e *fact.Event, out source.Sink, f frame)) source.Rule[message] {
	return source.Rule[message]{Words: words, Do: message{alone, do}}
}

// event makes a message one event of the proxy itself.
func event(kind fact.EventKind, detail string) func(*source.Holes, *fact.Event, source.Sink, frame) {
	return func(_ *source.Holes, e *fact.Event, _ source.Sink, _ frame) { e.Kind, e.Detail = kind, detail }
}

// ordinary is a message that states nothing.
func ordinary(*source.Holes, *fact.Event, source.Sink, frame) {}

// messages are those of src/server.c, check.c, proxy.c, proto_tcp.c, listener.c,
// mworker.c and haproxy.c, versions 1.5 to 3.2.
var messages = source.NewRules(
	rule("Health check for server %w/%w failed, reason: %s", source.Likely, checkFailed),
	rule("Health check for backup server %w/%w failed, reason: %s", source.Likely, checkFailed),
	rule("Health check for server %w succeeded", source.Likely, ordinary),
	rule("Health check for backup server %w succeeded", source.Likely, ordinary),
	rule("Health check for server %w conditionally succeeded", source.Likely, ordinary),
	rule("Server %w/%w is DOWN%s", source.Likely, serverDown),
	rule("Server %w/%w is going DOWN%s", source.Likely, serverDown),
	rule("Server %w/%w ('%w') is going DOWN%s", source.Likely, namedDown),
	rule("Server %w/%w is stopping", source.Likely, serverDrains),
	rule("Server %w/%w enters drain state", source.Likely, serverDrains),
	rule("Server %w/%w was DOWN and now enters maintenance", source.Likely, serverDown),
	rule("Server %w/%w is UP", source.Likely, serverUp),
	rule("Server %w/%w ('%w') is UP", source.Likely, serverUp),
	rule("Server %w/%w administratively READY", source.Likely, serverUp),
	rule("Server %w/%w is READY", source.Likely, serverUp),
	rule("%s has no server available!", source.Likely, noServer),
	rule("%w changed its IP from %w to %w by %s", source.Likely, moved),

	rule("Proxy %w reached process FD limit", source.Likely, limit(fact.LimitFiles)),
	rule("Proxy %w reached system FD limit", source.Likely, limit(fact.LimitFiles)),
	rule("Proxy %w reached FD limit", source.Likely, limit(fact.LimitFiles)),
	rule("Proxy %w reached system memory limit", source.Likely, limit(fact.LimitMemory)),
	rule("Proxy %w reached maxconn", source.Likely, limit(fact.LimitConnections)),
	rule("Connect() failed for backend %w: no free ports", source.Sure, limit(fact.LimitPorts)),
	rule("Connect() failed for backend %w: local address already in use", source.Sure, limit(fact.LimitPorts)),
	rule("Cannot bind to source address before connect() for backend %w", source.Sure, limit(fact.LimitPorts)),
	rule("FD limit (%d) too low for maxconn=%d/maxsock=%d", source.Likely, fdLow),
	rule("Cannot raise FD limit to %d, limit is %d", source.Likely, fdRaise),

	rule("Current worker (%d) exited with code %d", source.Likely, workerExited),
	rule("Current worker #%w (%d) exited with code %d", source.Likely, oldWorkerExited),
	rule("Former worker (%d) exited with code %d", source.Likely, formerExited),
	rule("Former worker #%w (%d) exited with code %d", source.Likely, oldFormerExited),
	rule("All workers exited. Exiting... (%d)", source.Likely, allExited),
	rule("exit-on-failure: killing every processes", source.Likely, event(fact.ProcessStopping, "exit-on-failure: killing every process")),
	rule("Exiting Master process...", source.Likely, event(fact.ProcessStopping, "Exiting Master process")),
	rule("New worker (%d) forked", source.Likely, workerForked),
	rule("New worker #%w (%d) forked", source.Likely, oldWorkerForked),
	rule("Reloading HAProxy", source.Likely, event(fact.ConfigReloaded, "Reloading HAProxy")),
	rule("Reexecuting Master process", source.Likely, event(fact.ConfigReloaded, "Reexecuting Master process")),
	rule("haproxy version is %w", source.Likely, ordinary), // at the start, and before the first alert at any time,
	rule("Proxy %w stopped (", source.Likely, event(fact.ProcessStopping, "proxy stopped")),
	rule("Thread %d is about to kill the process", source.Sure, crashed),
	rule("FATAL: bug condition", source.Fragment, crashed),

	rule("could not resolve address '%w'%s", source.Possible, unresolved),
	rule("Starting %w %w: cannot bind socket%s", source.Likely, cannotBind),
	rule("Fatal errors found in configuration", source.Possible, event(fact.ConfigBroken, "Fatal errors found in configuration")),
	rule("Error(s) found in configuration file : %s", source.Possible, event(fact.ConfigBroken, "Errors found in configuration file")),
	rule("config : parsing [%s] : %s", source.Possible, configProblem),
	rule("parsing [%s] : %s", source.No, configProblem),

	rule("LastChk: %s", source.Fragment, lastCheck),
	rule("L4CON in %dms", source.Fragment, shortCheck("Layer4 connection problem", "")),
	rule("L4TOUT in %dms", source.Fragment, shortCheck("Layer4 timeout", "timeout")),
	rule("L6RSP in %dms", source.Fragment, shortCheck("Layer6 invalid response", "")),
	rule("L6TOUT in %dms", source.Fragment, shortCheck("Layer6 timeout", "timeout")),
	rule("L7TOUT in %dms", source.Fragment, shortCheck("Layer7 timeout", "timeout")),
	rule("L7RSP in %dms", source.Fragment, shortCheck("Layer7 invalid response", "")),
	rule("L7STS/%d in %dms", source.Fragment, shortStatus),
	rule("reason: Layer4 %s", source.Fragment, layerCheck("Layer4 ")),
	rule("reason: Layer6 %s", source.Fragment, layerCheck("Layer6 ")),
	rule("reason: Layer7 %s", source.Fragment, layerCheck("Layer7 ")),
	rule("^Layer4 %s", source.Fragment, layerCheck("Layer4 ")),
	rule("^Layer6 %s", source.Fragment, layerCheck("Layer6 ")),
	rule("^Layer7 %s", source.Fragment, layerCheck("Layer7 ")),
)

func about(h *source.Holes, e *fact.Event) {
	e.Party = member(bytes.Join(h[:2], []byte("/")))
	e.Attrs = map[string]string{}
}

// checked reads "Layer4 connection problem, info: "Connection refused", check
// duration: 0ms, status: 0/2 DOWN." into what a failed check is.
func checked(b []byte, e *fact.Event) {
	b = bytes.TrimSpace(b)
	reason := b
	if i := bytes.IndexByte(reason, ','); i >= 0 {
		reason = reason[:i]
	} else if i := bytes.Index(reason, []byte(". ")); i >= 0 {
		reason = reason[:i]
	}
	reason = bytes.TrimRight(reason, ". ")
	e.Detail = string(reason)
	info, ok := source.Between(b, "info: \"", "\"")
	if ok {
		e.Detail += ": " + string(info)
	}
	code, hasCode := source.Between(b, "code: ", ",")
	if hasCode {
		e.Detail += ", code " + string(code)
	}
	if ms, ok := source.Between(b, "check duration: ", "ms"); ok {
		e.Lasted = source.Millis(ms)
	}
	if e.Attrs == nil {
		e.Attrs = map[string]string{}
	}
	if why := whyFailed(b); why != "" {
		e.Attrs[fact.AttrWhy] = why
	}
}

// whyFailed reads the kind of failure out of a check's words.
func whyFailed(b []byte) string {
	low := bytes.ToLower(b)
	switch {
	case source.Has(low, "timeout"):
		return "timeout"
	case source.Has(low, "refused"):
		return "refused"
	case source.Has(low, "wrong status"):
		return "status"
	case source.Has(low, "reset by peer"), source.Has(low, "connection closed"), source.Has(low, "empty response"):
		return "reset"
	}
	return ""
}

// checkFailed: the last of the checks that a server may miss takes it out; its
// own line may be missing.
func checkFailed(h *source.Holes, e *fact.Event, out source.Sink, _ frame) {
	about(h, e)
	e.Kind, e.Reason = fact.ProbeFailed, "health-check"
	checked(h[2], e)
	if state, ok := source.Between(h[2], "status: 0/", ""); ok && source.Has(state, " DOWN") {
		gone := *e
		gone.Kind = fact.BackendDown
		out.State(&gone)
	}
}

func serverDown(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	about(h, e)
	down(h[2], e)
}

func namedDown(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	about(h, e)
	down(h[3], e)
}

func down(rest []byte, e *fact.Event) {
	e.Kind = fact.BackendDown
	if reason, ok := source.Between(rest, "reason: ", ""); ok {
		e.Reason = "health-check"
		checked(reason, e)
		return
	}
	e.Detail = "DOWN"
	switch {
	case source.Has(rest, "DNS"), source.Has(rest, "No IP for server"):
		e.Reason = "dns"
		e.Attrs[fact.AttrWhy] = "dns"
		if why, ok := source.Between(rest, "(", ")"); ok {
			e.Detail += " for maintenance: " + string(why)
		}
	case source.Has(rest, "maintenance"):
		e.Reason = "maintenance"
		e.Detail += " for maintenance"
	}
}

func serverDrains(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	about(h, e)
	e.Kind, e.Reason, e.Detail = fact.BackendDown, "drain", "enters drain state"
}

func serverUp(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	about(h, e)
	e.Kind = fact.BackendUp
}

// noServer reads "backend be" and "backend 'be'", and "proxy be" of old.
func noServer(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	name := h[0]
	if i := bytes.LastIndexByte(bytes.TrimRight(name, " "), ' '); i >= 0 {
		name = name[i+1:]
	}
	e.Kind = fact.NoBackendLeft
	e.Party = fact.Party{Role: fact.RoleBackend, Name: string(bytes.Trim(name, "'"))}
	e.Detail = "has no server available"
}

// moved states that a server's name led to another address.
func moved(h *source.Holes, e *fact.Event, out source.Sink, _ frame) {
	gone := *e
	gone.Kind, gone.Reason = fact.EndpointGone, "address-changed"
	gone.Party = member(h[0])
	gone.Party.Address = string(h[1])
	out.State(&gone)
	e.Kind, e.Reason = fact.EndpointAdded, "address-changed"
	e.Party = member(h[0])
	e.Party.Address = string(h[2])
	e.Detail = "changed its IP by " + string(bytes.TrimRight(h[3], "."))
}

func limit(what fact.Limit) func(*source.Holes, *fact.Event, source.Sink, frame) {
	return func(h *source.Holes, e *fact.Event, _ source.Sink, f frame) {
		e.Kind, e.Limit, e.Party.Name = fact.LimitReached, what, string(bytes.TrimRight(h[0], ":."))
		e.Detail = string(f.text)
		for _, pre := range [...]string{"maxsock=", "limit at "} {
			if n, ok := source.Between(f.text, pre, ""); ok {
				e.Max = leading(n)
			}
		}
	}
}

// leading reads the number that b begins with.
func leading(b []byte) fact.Int {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return source.Int(b[:i])
}

func fdLow(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	e.Kind, e.Limit, e.Detail = fact.LimitNear, fact.LimitFiles, "FD limit too low for maxconn"
	e.Max, e.Used = source.Int(h[0]), source.Int(h[2])
}

func fdRaise(h *source.Holes, e *fact.Event, _ source.Sink, _ frame) {
	e.Kind, e.Limit, e.Detail = fact.LimitNear, fact.LimitFiles, "Cannot raise FD limit"
	e.Max, e.Used = source.Int(h[1]), source.Int(h[0])
}
