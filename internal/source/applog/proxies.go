package applog

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// said is one message and where its facts go.
type said struct {
	l   *source.Line
	msg []byte
	h   source.Holes
	out source.Sink
}

type act = func(*said)

// try makes an act about a request that a proxy could not pass on. Path and
// address are holes, -1 where they are not told.
func try(proxy string, m fact.Mechanism, p fact.Phase, path, addr int) act {
	return func(s *said) {
		q := &fact.Request{Partial: true, Detail: clip(s.msg), Ended: m, Phase: p, Writer: fact.WriterSelf}
		q.Time, q.Res, q.Party = s.l.Time, s.l.Res, fact.Party{Role: fact.RoleGateway, Tech: proxy}
		a := fact.Attempt{Ended: m}
		if addr >= 0 {
			a.Address = strings.TrimPrefix(strings.TrimRight(string(s.h[addr]), ".:,"), "tcp:")
			if strings.HasPrefix(a.Address, "/") {
				a.Address = "unix:" + a.Address
			}
		}
		if m == fact.Refused {
			q.Errno, a.Errno = source.ECONNREFUSED, source.ECONNREFUSED
		}
		if path >= 0 {
			q.Path = strings.TrimRight(string(s.h[path]), ",")
		}
		q.Attempts = []fact.Attempt{a}
		s.out.State(q)
	}
}

func proxyEvent(proxy string, kind fact.EventKind, reason string, addr int) act {
	return func(s *said) {
		who := fact.Party{Role: fact.RoleGateway, Tech: proxy}
		if addr >= 0 {
			who.Address = strings.TrimPrefix(string(s.h[addr]), "tcp:")
		}
		s.out.State(event(s.l, kind, reason, who, s.msg))
	}
}

// proxyRules are messages of h2o (lib/common/httpclient), lighttpd
// (gw_backend.c), YARP and PHP's FastCGI clients.
var proxyRules = source.NewRules(
	source.Rule[act]{Words: "in request:%w:I/O error (head)", Do: try("h2o", fact.ClosedBeforeReply, fact.PhaseWaiting, 0, -1)},
	source.Rule[act]{Words: "in request:%w:I/O error (body%s", Do: try("h2o", fact.CutMidReply, fact.PhaseReading, 0, -1)},
	source.Rule[act]{Words: "in request:%w:connection failure", Do: try("h2o", fact.Refused, fact.PhaseConnecting, 0, -1)},
	source.Rule[act]{Words: "in request:%w:connection timeout", Do: try("h2o", fact.ConnectTimedOut, fact.PhaseConnecting, 0, -1)},
	source.Rule[act]{Words: "in request:%w:first byte timeout", Do: try("h2o", fact.ReplyTimedOut, fact.PhaseWaiting, 0, -1)},
	source.Rule[act]{Words: "in request:%w:I/O timeout", Do: try("h2o", fact.ReplyTimedOut, fact.PhaseWaiting, 0, -1)},
	source.Rule[act]{Words: "I/O error (head)", Do: try("h2o", fact.ClosedBeforeReply, fact.PhaseWaiting, -1, -1)},
	source.Rule[act]{Words: "I/O error (body; ", Do: try("h2o", fact.CutMidReply, fact.PhaseReading, -1, -1)},

	source.Rule[act]{Words: "FastCGI error: Stream got blocked, or terminated%s(%w)", Do: try("fastcgi", fact.ClosedBeforeReply, fact.PhaseWaiting, -1, 1)},
	source.Rule[act]{Words: "FastCGI error: Stream got blocked, or terminated", Do: try("fastcgi", fact.ClosedBeforeReply, fact.PhaseWaiting, -1, -1)},
	source.Rule[act]{Words: "FastCGI error: Unable to connect to FastCGI application", Do: try("fastcgi", fact.Refused, fact.PhaseConnecting, -1, -1)},
	source.Rule[act]{Words: "FastCGI error: Read timed out", Do: try("fastcgi", fact.ReplyTimedOut, fact.PhaseWaiting, -1, -1)},

	source.Rule[act]{Words: "establishing connection failed: Connection refused socket: %w", Do: try("lighttpd", fact.Refused, fact.PhaseConnecting, -1, 0)},
	source.Rule[act]{Words: "unexpected end-of-file (perhaps the %w process died): pid: %d socket: %w", Do: try("lighttpd", fact.ClosedBeforeReply, fact.PhaseWaiting, -1, 2)},
	source.Rule[act]{Words: "response not received, request sent: %d on socket: %w for %w", Do: try("lighttpd", fact.ClosedBeforeReply, fact.PhaseWaiting, 2, 1)},
	source.Rule[act]{Words: "all handlers for %w on %w are down", Do: proxyEvent("lighttpd", fact.NoBackendLeft, "all handlers down", -1)},
	source.Rule[act]{Words: "backend is overloaded; we'll disable it for %d seconds", Do: proxyEvent("lighttpd", fact.BackendEjected, "overloaded", -1)},
	source.Rule[act]{Words: "backend died; we'll disable it for %d seconds", Do: proxyEvent("lighttpd", fact.BackendEjected, "died", -1)},
	source.Rule[act]{Words: "gw-server re-enabled: %w", Do: proxyEvent("lighttpd", fact.BackendUp, "", 0)},

	source.Rule[act]{Words: "No available destinations after load balancing for cluster '%w'", Do: proxyEvent("yarp", fact.NoBackendLeft, "no destination", -1)},
	source.Rule[act]{Words: "RequestTimedOut: The request timed out before receiving a response", Do: try("yarp", fact.ReplyTimedOut, fact.PhaseWaiting, -1, -1)},
	source.Rule[act]{Words: "Request: An error was encountered before receiving a response", Do: try("yarp", fact.ClosedBeforeReply, fact.PhaseWaiting, -1, -1)},
	source.Rule[act]{Words: "ResponseBodySource: Copying the response body was interrupted", Do: try("yarp", fact.CutMidReply, fact.PhaseReading, -1, -1)},
	source.Rule[act]{Words: "RequestCanceled: The request was canceled before receiving a response", Do: try("yarp", fact.ClientGone, "", -1, -1)},
)

var proxyLog = source.Format{
	ID: "proxy-log", Tech: tech, Title: "messages of h2o, lighttpd, YARP and FastCGI clients",
	Sniff: func(l *source.Line) source.Confidence {
		var h source.Holes
		if _, ok := proxyRules.Match(l.Text, &h); ok {
			return source.Likely
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return ruleReader{env, proxyRules} },
}

type ruleReader struct {
	env   *source.Env
	rules *source.Rules[act]
}

func (r ruleReader) Line(l *source.Line, out source.Sink) source.Took {
	s := said{l: l, msg: bytes.TrimSpace(l.Text), out: out}
	do, ok := r.rules.Match(s.msg, &s.h)
	if !ok {
		return source.NotMine
	}
	stamped(r.env, l)
	do(&s)
	return source.Mine
}

func (ruleReader) Close(source.Sink) {}

// stamped reads the time at the front of a line, if there is one, into l.
func stamped(env *source.Env, l *source.Line) (rest []byte) {
	b := bytes.TrimSpace(l.Text)
	b = bytes.TrimPrefix(b, []byte("["))
	t, res, rest, ok := source.ISOTime(env, b)
	if !ok {
		if t, res, rest, ok = source.SlashTime(env, b); !ok {
			return bytes.TrimSpace(l.Text)
		}
	}
	l.Time, l.Res = t, fact.Lasting(res)
	return bytes.TrimLeft(rest, " ]:,-\t|")
}

// dnsRules are messages of CoreDNS.
var dnsRules = source.NewRules(
	source.Rule[act]{Words: "plugin/errors: %d %w %w: %s", Do: (*said).lookup},
	source.Rule[act]{Words: "\"%w IN %w udp %s\" SERVFAIL %s", Do: func(s *said) { s.dns("SERVFAIL", s.h[1]) }},
	source.Rule[act]{Words: "\"%w IN %w tcp %s\" SERVFAIL %s", Do: func(s *said) { s.dns("SERVFAIL", s.h[1]) }},
	source.Rule[act]{Words: "\"%w IN %w %w %d %s\" NOERROR %s", Do: (*said).slowLookup},
	source.Rule[act]{Words: "plugin/health: Local health request to %w took more than 1s", Do: func(s *said) { s.out.State(event(s.l, fact.CPUBusy, "health", resolver(), s.msg)) }},
	source.Rule[act]{Words: "plugin/loop: Loop (%s) detected", Do: func(s *said) { s.dns("loop", nil) }},
)

func resolver() fact.Party { return fact.Party{Role: fact.RoleResolver, Tech: "coredns"} }

var dnsLog = source.Format{
	ID: "coredns-log", Tech: tech, Title: "CoreDNS log",
	Sniff: func(l *source.Line) source.Confidence {
		var h source.Holes
		if _, ok := dnsRules.Match(l.Text, &h); ok {
			return source.Sure
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return ruleReader{env, dnsRules} },
}

func (s *said) dns(reason string, name []byte) *fact.Event {
	e := event(s.l, fact.DNSFailed, reason, resolver(), s.msg)
	if len(name) > 0 {
		e.Attrs = map[string]string{fact.AttrDependency: strings.TrimSuffix(string(name), ".")}
	}
	s.out.State(e)
	return e
}

// lookup: plugin/errors: 2 name. A: read udp a->b: i/o timeout.
func (s *said) lookup() {
	reason := "SERVFAIL"
	switch why := s.h[3]; {
	case source.Has(why, "i/o timeout"):
		reason = "timeout"
	case source.Has(why, "connection refused"):
		reason = "refused"
	case source.Has(why, "no route to host"), source.Has(why, "network is unreachable"):
		reason = "unreachable"
	}
	s.dns(reason, s.h[1])
}

// slowAnswer is when a lookup is slow enough to matter: clients ask again after
// 5 s and give up soon after.
const slowAnswer = time.Second

// slowLookup: a query line ends in its duration, "0.000127s".
func (s *said) slowLookup() {
	f := bytes.TrimSpace(s.msg)
	f = f[bytes.LastIndexByte(f, ' ')+1:]
	d := source.Secs(bytes.TrimSuffix(f, []byte("s")))
	if !d.Known || d.D < slowAnswer {
		s.out.Seen(s.l.Time)
		return
	}
	e := event(s.l, fact.DNSFailed, "slow", resolver(), s.msg)
	e.Lasted, e.Attrs = d, map[string]string{fact.AttrDependency: strings.TrimSuffix(string(s.h[1]), ".")}
	s.out.State(e)
}

// clientRules are last words of curl, by its exit code, and of wget.
var clientRules = source.NewRules(
	source.Rule[act]{Words: "curl: (6) Could not resolve host: %w", Do: asked(fact.NameNotResolved, fact.PhaseResolving, 0)},
	source.Rule[act]{Words: "curl: (7) %s Connection refused", Do: asked(fact.Refused, fact.PhaseConnecting, source.ECONNREFUSED)},
	source.Rule[act]{Words: "curl: (7) %s No route to host", Do: asked(fact.Unreachable, fact.PhaseConnecting, source.EHOSTUNREACH)},
	source.Rule[act]{Words: "curl: (7) Failed to connect to %w port %d", Do: asked(fact.Refused, fact.PhaseConnecting, 0)},
	source.Rule[act]{Words: "curl: (18) %s", Do: asked(fact.CutMidReply, fact.PhaseReading, 0)},
	source.Rule[act]{Words: "curl: (28) Connection timed out %s", Do: asked(fact.ConnectTimedOut, fact.PhaseConnecting, source.ETIMEDOUT)},
	source.Rule[act]{Words: "curl: (28) Failed to connect to %s", Do: asked(fact.ConnectTimedOut, fact.PhaseConnecting, source.ETIMEDOUT)},
	source.Rule[act]{Words: "curl: (28) Operation timed out after %d milliseconds with 0 %s", Do: asked(fact.ReplyTimedOut, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "curl: (28) Operation timed out after %d milliseconds with %s", Do: asked(fact.CutMidReply, fact.PhaseReading, 0)},
	source.Rule[act]{Words: "curl: (28) Resolving timed out after %d milliseconds", Do: asked(fact.NameNotResolved, fact.PhaseResolving, 0)},
	source.Rule[act]{Words: "curl: (28) SSL connection timeout", Do: asked(fact.TLSFailed, fact.PhaseTLS, 0)},
	source.Rule[act]{Words: "curl: (28) Operation too slow", Do: asked(fact.CutMidReply, fact.PhaseReading, 0)},
	source.Rule[act]{Words: "curl: (1) Received HTTP/0.9 when not allowed", Do: asked(fact.BadReply, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "curl: (8) Weird server reply", Do: asked(fact.BadReply, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "curl: (35) Recv failure: Connection reset by peer", Do: asked(fact.TLSFailed, fact.PhaseTLS, source.ECONNRESET)},
	source.Rule[act]{Words: "curl: (56) OpenSSL SSL_read: Connection reset by peer", Do: asked(fact.ResetBeforeReply, fact.PhaseWaiting, source.ECONNRESET)},
	source.Rule[act]{Words: "curl: (56) Failure when receiving data from the peer", Do: asked(fact.CutMidReply, fact.PhaseReading, 0)},
	source.Rule[act]{Words: "curl: (35) %s", Do: asked(fact.TLSFailed, fact.PhaseTLS, 0)},
	source.Rule[act]{Words: "curl: (52) Empty reply from server", Do: asked(fact.ClosedBeforeReply, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "curl: (55) %s", Do: asked(fact.ResetBeforeReply, fact.PhaseSending, source.EPIPE)},
	source.Rule[act]{Words: "curl: (56) Recv failure: Connection reset by peer", Do: asked(fact.ResetBeforeReply, fact.PhaseWaiting, source.ECONNRESET)},
	source.Rule[act]{Words: "^Recv failure: Connection reset by peer", Do: asked(fact.ResetBeforeReply, fact.PhaseWaiting, source.ECONNRESET)},
	source.Rule[act]{Words: "^Empty reply from server", Do: asked(fact.ClosedBeforeReply, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "curl: (60) %s", Do: asked(fact.TLSFailed, fact.PhaseTLS, 0)},
	source.Rule[act]{Words: "curl: (51) %s", Do: asked(fact.TLSFailed, fact.PhaseTLS, 0)},
	source.Rule[act]{Words: "wget: unable to resolve host address %w", Do: asked(fact.NameNotResolved, fact.PhaseResolving, 0)},
	source.Rule[act]{Words: "wget: server returned error: HTTP/1.1 %d", Do: answeredWith}, // busybox
	source.Rule[act]{Words: "wget: can't connect to remote host %s: Connection refused", Do: asked(fact.Refused, fact.PhaseConnecting, source.ECONNREFUSED)},
	source.Rule[act]{Words: "wget: download timed out", Do: asked(fact.ReplyTimedOut, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "Read error (Connection reset by peer) in headers.", Do: asked(fact.ResetBeforeReply, fact.PhaseWaiting, source.ECONNRESET)},
	source.Rule[act]{Words: "Read error (Connection timed out) in headers.", Do: asked(fact.ReplyTimedOut, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "awaiting response... No data received.", Do: asked(fact.ClosedBeforeReply, fact.PhaseWaiting, 0)},
	source.Rule[act]{Words: "curl: (92) HTTP/2 stream %d was not closed cleanly%s", Do: asked(fact.CutMidReply, fact.PhaseReading, 0)},
)

var client = source.Format{
	ID: "curl", Tech: tech, Title: "errors of curl and wget",
	Sniff: func(l *source.Line) source.Confidence {
		var h source.Holes
		if _, ok := clientRules.Match(l.Text, &h); ok {
			return source.Sure
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return ruleReader{env, clientRules} },
}

// answeredWith: the client tells the status it got, and nothing else.
func answeredWith(s *said) {
	q := &fact.Request{Detail: clip(s.msg), Status: source.Int(s.h[0])}
	q.Time, q.Res, q.Party = s.l.Time, s.l.Res, fact.Party{Role: fact.RoleClient, Tech: "wget"}
	s.out.State(q)
}

func asked(m fact.Mechanism, p fact.Phase, errno int) act {
	return func(s *said) {
		q := &fact.Request{Partial: true, Detail: clip(s.msg), Ended: m, Phase: p, Errno: errno}
		q.Time, q.Res, q.Party = s.l.Time, s.l.Res, fact.Party{Role: fact.RoleClient, Tech: asker(s.msg)}
		if host, ok := source.Between(s.msg, "connect to ", " "); ok {
			q.Host = string(host)
		}
		if ms, ok := source.Between(s.msg, "after ", " m"); ok {
			q.Duration = source.Millis(ms)
		}
		q.Attempts = []fact.Attempt{{Ended: m, Errno: errno}}
		s.out.State(q)
	}
}

// asker is the program that speaks: wget does not always name itself.
func asker(b []byte) string {
	if source.Has(b, "wget: ") || source.Has(b, "awaiting response") || source.Has(b, "in headers.") {
		return "wget"
	}
	return "curl"
}
