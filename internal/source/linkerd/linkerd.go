// Package linkerd reads what the proxy of Linkerd 2 writes into its own log,
// as text and as JSON: requests that failed, endpoints it cannot reach, and
// services without any.
//
// A line's stamp is the seconds since the proxy started; the time is that of
// the container's log around it. Spans tell direction, client and endpoint.
// "connection closed before message completed" is hyper's word for a server
// that closed instead of answering, "service in fail-fast" Linkerd's for a
// service none of whose endpoints was ready for as long as a request may wait.
package linkerd

import (
	"bytes"
	"encoding/json"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "linkerd"

// Formats are the formats of Linkerd.
var Formats = []source.Format{proxyLog}

func gateway() fact.Party { return fact.Party{Role: fact.RoleGateway, Tech: tech} }

var proxyLog = source.Format{
	ID:          "linkerd-proxy",
	Tech:        tech,
	Title:       "Linkerd proxy log",
	Sniff:       sniff,
	NewReader:   func(env *source.Env) source.LineReader { return &reader{env: env} },
	Independent: true,
}

// entry is the parts of a line.
type entry struct {
	stamp   []byte // an absolute time, if there is one
	level   []byte
	spans   []byte // "inbound:server{port=80}:rescue{client.addr=10.0.2.9:533}"
	target  []byte // "linkerd_app_core::errors::respond"
	message []byte // "Request failed"
	cause   []byte // what follows error=
	framed  bool
}

// maxFront bounds what may stand before the thread's name, in bytes.
const maxFront = 80

// cut splits "[   299.09s]  INFO ThreadId(01) spans: target: message error=…".
func (e *entry) cut(b []byte) bool {
	i := bytes.Index(b[:min(len(b), maxFront)], []byte(" ThreadId("))
	if i < 0 {
		return false
	}
	front := bytes.TrimRight(b[:i], " ")
	if j := bytes.LastIndexByte(front, ' '); j >= 0 {
		e.stamp, e.level = bytes.TrimSpace(front[:j]), front[j+1:]
	} else {
		e.level = front
	}
	_, rest, ok := bytes.Cut(b[i+1:], []byte(") "))
	if !ok {
		return false
	}
	// The target is the last "word: " without braces before the message.
	for {
		j := bytes.Index(rest, []byte(": "))
		if j < 0 {
			break
		}
		word := rest[:j]
		if bytes.Contains(word, []byte("::")) || source.HasPrefix(word, "linkerd") {
			if k := bytes.LastIndexByte(word, ' '); k >= 0 {
				word = word[k+1:]
			}
			e.target, rest = word, rest[j+2:]
			break
		}
		if bytes.IndexByte(word, '=') >= 0 && bytes.IndexByte(word, '{') < 0 {
			break
		}
		e.spans = b[len(b)-len(rest) : len(b)-len(rest)+j]
		rest = rest[j+2:]
	}
	e.framed = len(e.target) > 0
	e.body(rest)
	return e.framed
}

// body splits a message from its fields.
func (e *entry) body(b []byte) {
	e.message = b
	if m, c, ok := bytes.Cut(b, []byte(" error=")); ok {
		e.message, e.cause = m, c
		if i := bytes.Index(c, []byte(" error.sources=")); i >= 0 {
			e.cause = c[:i]
		}
	}
}

// object reads the JSON form.
func (e *entry) object(b []byte) bool {
	var o struct {
		Timestamp, Level, Target string
		Fields                   struct{ Message, Error string }
		Spans                    []map[string]any
	}
	if json.Unmarshal(b, &o) != nil || o.Target == "" || o.Fields.Message == "" {
		return false
	}
	var spans []byte
	for _, s := range o.Spans {
		for _, k := range [...]string{"name", "client.addr", "peer.addr", "target.addr", "addr", "port"} {
			if v, ok := s[k].(string); ok {
				spans = append(append(append(append(spans, k...), '='), v...), ' ')
			}
		}
	}
	e.stamp, e.level, e.target, e.spans = []byte(o.Timestamp), []byte(o.Level), []byte(o.Target), spans
	e.message, e.cause = []byte(o.Fields.Message), []byte(o.Fields.Error)
	e.framed = source.HasPrefix(e.target, "linkerd")
	return e.framed
}

func sniff(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 20 {
		return source.No
	}
	var e entry
	switch {
	case b[0] == '{':
		if source.Has(b, `"target":"linkerd`) || source.Has(b, `"target": "linkerd`) {
			return source.Sure
		}
	case e.cut(b):
		if source.Has(e.target, "linkerd") {
			return source.Sure
		}
		return source.Possible // another crate of the same frame
	case failed(b):
		return source.Fragment
	}
	return source.No
}

// failed reports whether a message without a frame tells of a failed request.
func failed(b []byte) bool {
	switch {
	case source.HasPrefix(b, "Request failed error="), source.HasPrefix(b, "HTTP/1.1 request failed error="), source.HasPrefix(b, "HTTP/2 request failed error="):
		return true
	case source.Has(b, errorHeader), source.Has(b, "service in fail-fast"), source.Has(b, "Service entering failfast"):
		return true
	}
	return source.Has(b, "linkerd") && source.Has(b, "equest failed error=")
}

// errorHeader is the header of an answer that the proxy made, with its reason.
const errorHeader = "l5d-proxy-error: "

// loose reads a piece of a message, or the header of an answer.
func (e *entry) loose(b []byte) {
	if i := bytes.Index(b, []byte(errorHeader)); i >= 0 {
		e.message, e.cause = []byte("Request failed"), b[i+len(errorHeader):]
		return
	}
	if i := bytes.Index(b, []byte("equest failed error=")); i > 0 {
		b = b[i-1:]
	}
	e.body(b)
	if len(e.cause) == 0 && source.Has(b, "service in fail-fast") {
		e.message, e.cause = []byte("Request failed"), b
	}
}

// reader reads the proxy's log.
type reader struct {
	env    *source.Env
	stated bool
}

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	if sniff(l) == source.No {
		return source.NotMine
	}
	var e entry
	if l.Text[0] == '{' {
		if !e.object(l.Text) {
			return source.Broken
		}
	} else if !e.cut(l.Text) {
		e = entry{}
		e.loose(l.Text)
	}
	t, res := l.Time, l.Res
	if at, d, _, ok := source.ISOTime(r.env, bytes.Trim(e.stamp, "[] ")); ok {
		t, res = at, fact.Lasting(d)
	}
	if e.framed && !r.stated {
		r.stated = true
		stateDefaults(out)
	}
	if !e.state(t, res, out) {
		out.Seen(t)
	}
	return source.Mine
}

// Close implements [source.LineReader].
func (r *reader) Close(source.Sink) {}

// span finds the last value of a field in the spans.
func (e *entry) span(name string) []byte {
	i := bytes.LastIndex(e.spans, []byte(name+"="))
	if i < 0 || i > 0 && e.spans[i-1] != '{' && e.spans[i-1] != ' ' {
		return nil
	}
	v := e.spans[i+len(name)+1:]
	if j := bytes.IndexAny(v, " }"); j >= 0 {
		v = v[:j]
	}
	return bytes.Trim(v, `"`)
}

// member is the endpoint a line is about: named in the error, in the span of
// an endpoint, or, inbound, the application's own port.
func (e *entry) member() string {
	if rest, ok := source.Between(e.cause, "endpoint ", ": "); ok && bytes.IndexByte(rest, ' ') < 0 {
		return string(rest)
	}
	if i := bytes.LastIndex(e.spans, []byte("endpoint{")); i >= 0 {
		if v, ok := source.Between(e.spans[i:], "addr=", "}"); ok {
			v, _ = source.Field(v)
			return string(v)
		}
	}
	if v := e.span("target.addr"); len(v) > 0 {
		return string(v)
	}
	if port := e.span("port"); len(port) > 0 && source.HasPrefix(e.spans, "inbound") {
		return "127.0.0.1:" + string(port)
	}
	return ""
}

// service is the name of the service a request was for.
func (e *entry) service() string {
	if i := bytes.Index(e.spans, []byte("service{")); i >= 0 {
		part := entry{spans: e.spans[i+len("service"):]}
		if j := bytes.IndexByte(part.spans, '}'); j >= 0 {
			part.spans = part.spans[:j+1]
		}
		if name := part.span("name"); len(name) > 0 {
			return string(part.span("ns")) + "/" + string(name)
		}
	}
	if rest, ok := source.Between(e.cause, "backend Service.", ":"); ok {
		ns, name, _ := bytes.Cut(rest, []byte("."))
		return string(ns) + "/" + string(name)
	}
	if rest, ok := source.Between(e.cause, "logical service ", ": "); ok {
		return string(rest)
	}
	if i := bytes.Index(e.spans, []byte("proxy{")); i >= 0 {
		if v, ok := source.Between(e.spans[i:], "addr=", "}"); ok {
			return string(v)
		}
	}
	return ""
}

// mechanism reads an error's words.
func mechanism(cause []byte) (fact.Mechanism, fact.Phase, int) {
	switch {
	case source.Has(cause, "fail-fast"), source.Has(cause, "failfast"), source.Has(cause, "no available endpoints"):
		return fact.NoBackend, fact.PhaseQueued, 0
	case source.Has(cause, "operation was canceled: connection closed"):
		// hyper's: the kept connection was gone before the request went out.
		return fact.ClosedBeforeReply, fact.PhaseSending, 0
	case source.Has(cause, "connect timed out"):
		return fact.ConnectTimedOut, fact.PhaseConnecting, 0
	case source.Has(cause, "response timeout"), source.Has(cause, "request timed out"), source.Has(cause, "dispatch timed out"):
		return fact.ReplyTimedOut, fact.PhaseWaiting, 0
	case source.Has(cause, "queue full"), source.Has(cause, "load shed"):
		return fact.LimitHit, fact.PhaseQueued, 0
	case source.Has(cause, "Transport endpoint is not connected"):
		return fact.ClientGone, "", 0
	}
	m, p, errno, _ := source.NetError(cause)
	return m, p, errno
}

// state states what the line tells; false if that is nothing.
func (e *entry) state(t time.Time, res fact.Dur, out source.Sink) bool {
	head := fact.Header{Time: t, Res: res, Party: gateway()}
	switch {
	case source.Has(e.message, "equest failed"):
		e.request(head, out)
	case source.Has(e.message, "Connection closed") && len(e.cause) > 0:
		if m, _, _ := mechanism(e.cause); m == "" || m == fact.ClientGone || source.Has(e.cause, "TLS detection") {
			return false
		}
		e.request(head, out)
	case source.Has(e.message, "Failed to connect"):
		if source.Has(e.spans, "controller{") {
			return false // the control plane, not the path of a request
		}
		x := &fact.Event{Header: head, Kind: fact.ProbeFailed, Reason: "connect", Detail: string(e.message)}
		x.Detail += ": " + string(e.cause)
		x.Party = fact.Party{Role: fact.RoleBackend, Name: e.member(), Address: e.member()}
		if why := probeWhy(e.cause); why != "" {
			x.Attrs = map[string]string{fact.AttrWhy: why}
		}
		out.State(x)
	case source.Has(e.message, "entering failfast"):
		x := &fact.Event{Header: head, Kind: fact.NoBackendLeft, Detail: string(e.message)}
		x.Party = fact.Party{Role: fact.RoleBackend, Name: e.service()}
		out.State(x)
	case source.HasPrefix(e.message, "release ") && source.Has(e.target, "linkerd2_proxy"):
		v, _ := source.Field(e.message[len("release "):])
		out.State(&fact.Event{Header: head, Kind: fact.ProcessStarted, Detail: "release " + string(v), Attrs: map[string]string{fact.AttrVersion: string(v)}})
	case source.Has(e.message, "shutdown") && (source.Has(e.message, "eceived") || source.Has(e.message, "starting")):
		out.State(&fact.Event{Header: head, Kind: fact.ProcessStopping, Detail: string(e.message)})
	default:
		return false
	}
	return true
}

func (e *entry) request(head fact.Header, out source.Sink) {
	q := &fact.Request{Header: head, Partial: true, Writer: fact.WriterSelf, Detail: string(e.cause)}
	q.Client = string(e.span("client.addr"))
	if q.Client == "" {
		q.Client = string(e.span("peer.addr"))
	}
	q.Upstream = e.service()
	q.Ended, q.Phase, q.Errno = mechanism(e.cause)
	a := fact.Attempt{Address: e.member(), Errno: q.Errno}
	if a.Address == "" && q.Ended == fact.NoBackend {
		a.Address = q.Upstream
	}
	if q.Ended != fact.ClientGone {
		a.Ended = q.Ended
	}
	q.Attempts = []fact.Attempt{a}
	out.State(q)
}

func probeWhy(cause []byte) string {
	switch m, _, _ := mechanism(cause); m {
	case fact.Refused:
		return "refused"
	case fact.ConnectTimedOut:
		return "timeout"
	case fact.ResetBeforeReply, fact.ClosedBeforeReply:
		return "reset"
	case fact.NameNotResolved:
		return "dns"
	}
	return ""
}

// stateDefaults states the documented default that matters for a 502.
func stateDefaults(out source.Sink) {
	s := &fact.Setting{Knob: fact.UpstreamConnect, Dur: fact.Seconds(1), Basis: fact.Default}
	s.Spelling, s.Where = "config.linkerd.io/proxy-outbound-connect-timeout: {ms}ms", "annotation of the pod"
	s.Party = gateway()
	s.Origin.URL = "https://linkerd.io/2/reference/proxy-configuration/"
	out.State(s)
}
