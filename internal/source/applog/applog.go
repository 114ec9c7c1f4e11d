// Package applog reads what has no folder of its own: request lines and errors
// of applications in JSON, in key=value pairs or in plain words; proxies and
// name servers of which a few messages matter; what curl and wget say, and
// events of Amazon ECS.
//
// It comes last and claims little: a line must name a request, or hold words
// that network libraries write when a server fails (see [source.NetError]).
package applog

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts about programs that are not known.
const tech = "applog"

// Formats is what this package reads.
var Formats = []source.Format{dnsLog, proxyLog, client, service, actix, jsonLog, record, textLog}

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

func clip(b []byte) string { return string(b[:min(len(b), maxDetail)]) }

// maxErrors bounds the errors of an application that are stated of one input:
// they are context, and an application may log nothing else.
const maxErrors = 2000

func event(l *source.Line, kind fact.EventKind, reason string, who fact.Party, msg []byte) *fact.Event {
	e := &fact.Event{Kind: kind, Reason: reason, Detail: clip(msg)}
	e.Time, e.Res, e.Party = l.Time, l.Res, who
	return e
}

func backend() fact.Party { return fact.Party{Role: fact.RoleBackend, Tech: tech} }

// answered says who made the status: this is the log of the one who did.
func answered(q *fact.Request) {
	if q.Status.Known {
		source.Answered(q)
	}
}

// trouble states what a message of failure means, if its words are those of a
// network library: a failed try of a gateway where it speaks of one, else
// trouble of the application with another server.
func trouble(l *source.Line, msg []byte, out source.Sink) bool {
	m, phase, errno, ok := source.NetError(msg)
	if !ok {
		return false
	}
	if m == fact.LimitHit && source.Has(bytes.ToLower(msg), "too many open files") {
		e := event(l, fact.LimitReached, "EMFILE", backend(), msg)
		e.Limit = fact.LimitFiles
		out.State(e)
		return true
	}
	if low := bytes.ToLower(msg); errno == source.EADDRNOTAVAIL && !source.Has(low, "listen") && !source.Has(low, "bind") {
		e := event(l, fact.LimitReached, "EADDRNOTAVAIL", backend(), msg)
		e.Limit = fact.LimitPorts
		out.State(e)
	}
	addr := server(msg)
	if forwards(msg) {
		q := &fact.Request{Partial: true, Detail: clip(msg), Ended: m, Phase: phase, Errno: errno, Writer: fact.WriterSelf}
		q.Time, q.Res, q.Party = l.Time, l.Res, fact.Party{Role: fact.RoleGateway, Tech: tech}
		q.Attempts = []fact.Attempt{{Address: addr, Ended: m, Errno: errno}}
		out.State(q)
		return true
	}
	kind := fact.DependencyDown
	switch m {
	case fact.NameNotResolved:
		kind = fact.DNSFailed
	case fact.ClientGone:
		kind = fact.ClientLeft
	}
	e := event(l, kind, string(m), backend(), msg)
	if addr != "" {
		e.Attrs = map[string]string{fact.AttrDependency: addr}
	}
	out.State(e)
	return true
}

// forwards reports whether a message is of somebody who passes requests on.
func forwards(b []byte) bool {
	low := bytes.ToLower(b)
	for _, w := range [...]string{"upstream", "proxy", "backend", "bad gateway", "forwarding", "origin server", "roundtrip"} {
		if source.Has(low, w) {
			return true
		}
	}
	return false
}

// server is the address that a message names.
func server(b []byte) string {
	for _, pre := range [...]string{"->", "dial tcp ", "connect to ", "connecting to ", "ECONNREFUSED ", "ETIMEDOUT ", "http://", "https://"} {
		rest, ok := source.Between(b, pre, "")
		if !ok {
			continue
		}
		i := 0
		for i < len(rest) && (rest[i]|0x20 >= 'a' && rest[i]|0x20 <= 'z' || rest[i] >= '0' && rest[i] <= '9' || strings.IndexByte(".-:[]_", rest[i]) >= 0) {
			i++
		}
		if addr := strings.TrimRight(string(rest[:i]), ":.-["); strings.ContainsAny(addr, ".:") {
			return addr
		}
	}
	return ""
}
