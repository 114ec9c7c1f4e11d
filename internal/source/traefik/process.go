package traefik

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var processLog = source.Format{
	ID:          "traefik-log",
	Tech:        tech,
	Title:       "Traefik log",
	Sniff:       sniffLog,
	NewReader:   func(env *source.Env) source.LineReader { return &logReader{env: env} },
	Independent: true,
}

// entryLine is the parts of a line of the process log: logrus' text (versions
// 1 and 2), zerolog's console (version 3) or the JSON of both.
type entryLine struct {
	stamp, level, msg, cause []byte
	server, service          []byte
	framed                   bool
}

// levels are those of both libraries, as their formats write them.
var levels = map[string]bool{
	"debug": true, "info": true, "warning": true, "warn": true, "error": true, "fatal": true, "panic": true,
	"DBG": true, "INF": true, "WRN": true, "ERR": true, "FTL": true, "PNC": true, "TRC": true,
}

func (e *entryLine) cut(b []byte) bool {
	switch {
	case len(b) > 0 && b[0] == '{':
		source.Members(b, e.set)
		e.framed = levels[string(e.level)] && len(e.msg) > 0
		return e.framed
	case source.HasPrefix(b, `time="`):
		return e.logfmt(b)
	case source.HasPrefix(b, "level=") && source.Has(b, " msg="):
		return e.logfmt(b)
	}
	return e.console(b)
}

func (e *entryLine) set(name, v []byte) {
	switch string(name) {
	case "time":
		e.stamp = source.JSONText(v)
	case "level":
		e.level = source.JSONText(v)
	case "msg", "message":
		e.msg = source.JSONText(v)
	case "error":
		e.cause = source.JSONText(v)
	case "serviceName":
		e.service = source.JSONText(v)
	case "targetURL", "target_url", "url", "server":
		e.server = source.JSONText(v)
	}
}

// logfmt reads `time="…" level=debug msg="…" key=value`.
func (e *entryLine) logfmt(b []byte) bool {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '=')
		if i <= 0 || bytes.IndexByte(b[:i], ' ') >= 0 {
			break
		}
		name := b[:i]
		b = b[i+1:]
		var v []byte
		if len(b) > 0 && b[0] == '"' {
			n := source.JSONStringEnd(b)
			if n < 0 {
				v, b = b[1:], nil // the line was cut
			} else {
				v, b = source.JSONText(b[:n]), bytes.TrimLeft(b[n:], " ")
			}
		} else {
			v, b = source.Field(b)
		}
		switch string(name) {
		case "time":
			e.stamp = v
		case "level":
			e.level = v
		case "msg":
			e.msg = v
		case "error":
			e.cause = v
		case "serviceName":
			e.service = v
		case "ForwardURL", "targetURL", "url":
			e.server = v
		}
	}
	e.framed = levels[string(e.level)] && len(e.msg) > 0
	return e.framed
}

// console reads "2026-03-09T14:00:00Z DBG file.go:109 > message key=value".
func (e *entryLine) console(b []byte) bool {
	stamp, rest := source.Field(b)
	level, rest := source.Field(rest)
	if len(level) != 3 || !levels[string(level)] || len(stamp) < 10 || stamp[0] < '0' || stamp[0] > '9' {
		return false
	}
	i := bytes.Index(rest[:min(len(rest), 200)], []byte(" > "))
	if i >= 0 && source.Has(rest[:i], ".go:") {
		rest = rest[i+3:]
	}
	e.stamp, e.level, e.msg, e.framed = stamp, level, rest, true
	if cause, ok := source.Between(rest, "error=", ""); ok {
		if n := source.JSONStringEnd(cause); len(cause) > 0 && cause[0] == '"' && n > 0 {
			cause = source.JSONText(cause[:n])
		}
		e.cause = cause
		i := bytes.Index(e.msg, []byte(" error="))
		if url, ok := source.Between(e.msg[max(i, 0):], "targetURL=", ""); ok {
			e.server, _ = source.Field(url)
		}
		if i > 0 {
			e.msg = e.msg[:i]
		}
	}
	return true
}

// isTraefiks reports whether words are of Traefik's process log.
func isTraefiks(msg []byte) bool {
	for _, w := range [...]string{
		"vulcand/oxy", "' caused by: ", "Error while Peeking first byte", "traefik", "Traefik", "entryPointName", "Configuration received from provider", "Configuration received",
		"Starting provider", "*docker.Provider", "Provider connection", "Provider error", "Creating middleware", "routerName", "Skipping same configuration", "Server configuration reloaded", "I have to go...", "Stopping server gracefully",
		"Health check failed", "Health check up", "Service selected by WRR", "no available server", "Error calling",
	} {
		if source.Has(msg, w) {
			return true
		}
	}
	_, _, ok := ownError(msg)
	return ok
}

// ownError reads the status text that begins a reason: "502 Bad Gateway".
func ownError(msg []byte) (status int64, rest []byte, ok bool) {
	b := bytes.TrimLeft(msg, "'\"")
	for _, s := range [...]struct {
		words  string
		status int64
	}{
		{"502 Bad Gateway", 502}, {"504 Gateway Timeout", 504}, {"500 Internal Server Error", 500}, {"499 Client Closed Request", 499}, {"503 Service Unavailable", 503},
	} {
		if source.HasPrefix(b, s.words) {
			return s.status, b[len(s.words):], true
		}
	}
	return 0, nil, false
}

// reason reads a message that tells why a request failed.
func (e *entryLine) reason() (status int64, cause []byte, ok bool) {
	status, rest, ok := ownError(e.msg)
	if !ok {
		return 0, nil, false
	}
	if c, has := source.Between(rest, "caused by: ", ""); has {
		return status, c, true
	}
	return status, e.cause, len(e.cause) > 0
}

func sniffLog(l *source.Line) source.Confidence {
	var e entryLine
	if !e.cut(l.Text) {
		if _, _, ok := pasted(l.Text); ok {
			return source.Fragment
		}
		return source.No
	}
	if _, _, ok := e.reason(); ok {
		return source.Sure
	}
	if isTraefiks(e.msg) || source.Has(l.Text, " entryPointName=") || source.Has(l.Text, " providerName=") || source.Has(l.Text, `"providerName":`) || source.Has(l.Text, `"entryPointName":`) || source.Has(l.Text, "github.com/traefik/traefik") {
		return source.Likely
	}
	return source.No
}

// pasted reads a reason without its frame: "'504 Gateway Timeout' caused by:
// dial tcp 10.0.0.5:80: i/o timeout".
func pasted(b []byte) (status int64, cause []byte, ok bool) {
	i := bytes.Index(b, []byte("' caused by: "))
	if i < 0 {
		return
	}
	j := bytes.LastIndexByte(b[:i], '\'')
	if j < 0 {
		return
	}
	if status, _, ok = ownError(b[j:]); !ok {
		return
	}
	return status, bytes.TrimRight(b[i+len("' caused by: "):], "\""), true
}

// logReader reads the process log.
type logReader struct {
	env    *source.Env
	stated bool
}

// Line implements [source.LineReader].
func (r *logReader) Line(l *source.Line, out source.Sink) source.Took {
	var e entryLine
	t, res := l.Time, l.Res
	if !e.cut(l.Text) {
		status, cause, ok := pasted(l.Text)
		if !ok {
			return source.NotMine
		}
		trouble(t, res, status, cause, out)
		return source.Mine
	}
	if sniffLog(l) == source.No {
		return source.NotMine
	}
	if at, d, _, ok := source.ISOTime(r.env, e.stamp); ok {
		t, res = at, fact.Lasting(d)
	}
	if !r.stated {
		r.stated = true
		stateDefaults(out)
	}
	if status, cause, ok := e.reason(); ok {
		trouble(t, res, status, cause, out)
		return source.Mine
	}
	if !e.event(t, res, out) {
		out.Seen(t)
	}
	return source.Mine
}

// Close implements [source.LineReader].
func (r *logReader) Close(source.Sink) {}

// trouble states one failed try.
func trouble(t time.Time, res fact.Dur, status int64, cause []byte, out source.Sink) {
	q := &fact.Request{Header: fact.Header{Time: t, Res: res, Party: gateway()}, Partial: true, Status: fact.Num(status), Writer: fact.WriterSelf}
	q.Detail = string(cause)
	q.Ended, q.Phase, q.Errno = mechanism(cause)
	if status == 499 {
		q.Ended, q.Phase, q.Errno = fact.ClientGone, "", 0
	}
	a := fact.Attempt{Address: dialled(cause), Errno: q.Errno}
	if q.Ended != fact.ClientGone {
		a.Ended = q.Ended
	}
	if a.Address != "" || a.Ended != "" {
		q.Attempts = []fact.Attempt{a}
	}
	out.State(q)
}

// mechanism reads Go's words, and Windows' where they differ.
func mechanism(cause []byte) (fact.Mechanism, fact.Phase, int) {
	switch {
	case source.Has(cause, "forcibly closed by the remote host"):
		return fact.ResetBeforeReply, fact.PhaseWaiting, source.ECONNRESET
	case source.Has(cause, "malformed HTTP"), source.Has(cause, "too many transfer encodings"), source.Has(cause, "bad Content-Length"), source.Has(cause, "malformed MIME header"):
		return fact.BadReply, fact.PhaseWaiting, 0
	case source.Has(cause, "server response headers exceeded"):
		return fact.ReplyTooBig, fact.PhaseWaiting, 0
	}
	m, p, errno, _ := source.NetError(cause)
	return m, p, errno
}

// dialled finds the member's address in Go's words.
func dialled(msg []byte) string {
	for _, pre := range [...]string{"dial tcp ", "readfrom tcp ", "read tcp ", "write tcp ", "dial unix "} {
		rest, ok := source.Between(msg, pre, ": ")
		if !ok || len(rest) == 0 {
			continue
		}
		if i := bytes.Index(rest, []byte("->")); i >= 0 {
			rest = rest[i+2:]
		}
		if source.HasPrefix(rest, "lookup ") || bytes.IndexByte(rest, ' ') >= 0 {
			break
		}
		return string(rest)
	}
	if host, ok := source.Between(msg, "lookup ", " on "); ok {
		return string(host)
	}
	return ""
}

// event states what a line tells of servers or the process itself.
func (e *entryLine) event(t time.Time, res fact.Dur, out source.Sink) bool {
	x := &fact.Event{Header: fact.Header{Time: t, Res: res, Party: gateway()}, Detail: string(e.msg)}
	if len(e.cause) > 0 {
		x.Detail += ": " + string(e.cause)
	}
	low := bytes.ToLower(e.msg)
	switch {
	case source.Has(low, "health check failed"), source.Has(low, "health check still failing"):
		x.Kind, x.Reason = fact.ProbeFailed, "health-check"
		x.Party = e.backend()
		if why := probeWhy(low, e.cause); why != "" {
			x.Attrs = map[string]string{fact.AttrWhy: why}
		}
		if source.Has(low, "removing from server list") || source.Has(low, "remove from server list") {
			x.Kind = fact.BackendDown
		}
	case source.Has(low, "health check up"), source.Has(low, "returning to server list"):
		x.Kind, x.Party = fact.BackendUp, e.backend()
	case source.Has(low, "no available server"), source.Has(low, "no servers in the pool"):
		x.Kind = fact.NoBackendLeft
		x.Party = fact.Party{Role: fact.RoleBackend, Name: string(e.service)}
	case source.Has(low, "too many open files"), source.Has(bytes.ToLower(e.cause), "too many open files"):
		x.Kind, x.Limit = fact.LimitReached, fact.LimitFiles
	case source.Has(low, "server configuration reloaded"):
		x.Kind = fact.ConfigReloaded
	case source.HasPrefix(low, "traefik version"):
		x.Kind = fact.ProcessStarted
		v, _ := source.Field(bytes.TrimLeft(e.msg[len("traefik version"):], " "))
		x.Attrs = map[string]string{fact.AttrVersion: string(v)}
	case source.Has(low, "i have to go"), source.Has(low, "stopping server gracefully"), source.HasPrefix(low, "shutting down"):
		x.Kind = fact.ProcessStopping
	case source.Has(low, "panic"):
		x.Kind, x.Reason = fact.Crashed, "panic"
	default:
		return false
	}
	out.State(x)
	return true
}

// probeWhy reads why a health check failed.
func probeWhy(low, cause []byte) string {
	if source.Has(low, "received error status code") || source.Has(cause, "received error status code") {
		return "status"
	}
	m, _, _, ok := source.NetError(cause)
	if !ok {
		reason, has := source.Between(low, "reason: ", "")
		if !has {
			reason = low
		}
		m, _, _, _ = source.NetError(reason)
	}
	return source.WhyDown(m)
}

// backend is the server that a health check's line names, in a field or in
// quotes.
func (e *entryLine) backend() fact.Party {
	url := e.server
	if len(url) == 0 {
		if q, ok := source.Between(e.msg, "\"http", "\""); ok {
			url = append([]byte("http"), q...)
		}
	}
	p := fact.Party{Role: fact.RoleBackend, Name: string(e.service), Address: string(address(url))}
	if p.Name == "" {
		p.Name = p.Address
	}
	return p
}

// documented are the defaults that matter when an answer fails.
var documented = []struct {
	knob     fact.Knob
	dur      time.Duration
	text     string
	spelling string
	where    string
}{
	{fact.UpstreamConnect, 30 * time.Second, "", "serversTransport.forwardingTimeouts.dialTimeout: {s}s", "serversTransport"},
	{fact.UpstreamReply, 0, "none", "serversTransport.forwardingTimeouts.responseHeaderTimeout: {s}s", "serversTransport"},
	{fact.PoolIdle, 90 * time.Second, "", "serversTransport.forwardingTimeouts.idleConnTimeout: {s}s", "serversTransport"},
	{fact.KeepAliveIdle, 180 * time.Second, "", "entryPoints.web.transport.respondingTimeouts.idleTimeout: {s}s", "entryPoints"},
	{fact.GracefulTimeout, 10 * time.Second, "", "entryPoints.web.transport.lifeCycle.graceTimeOut: {s}s", "entryPoints"},
}

// manual is where the defaults are documented.
const manual = "https://doc.traefik.io/traefik/reference/install-configuration/"

// stateDefaults states the documented defaults.
func stateDefaults(out source.Sink) {
	for _, d := range documented {
		s := &fact.Setting{Knob: d.knob, Text: d.text, Basis: fact.Default, Spelling: d.spelling, Where: d.where}
		s.Party = gateway()
		s.Origin.URL = manual
		if d.dur > 0 {
			s.Dur = fact.Lasting(d.dur)
		}
		out.State(s)
	}
}
