package source

import (
	"bytes"

	"culprit/internal/fact"
)

// Errno numbers as on Linux.
const (
	EPERM         = 1
	ENOENT        = 2
	EAGAIN        = 11
	ENOMEM        = 12
	EACCES        = 13
	ENFILE        = 23
	EMFILE        = 24
	ENOSPC        = 28
	EROFS         = 30
	EPIPE         = 32
	EPROTO        = 71
	EADDRINUSE    = 98
	EADDRNOTAVAIL = 99
	ENETUNREACH   = 101
	ECONNABORTED  = 103
	ECONNRESET    = 104
	ENOTCONN      = 107
	ETIMEDOUT     = 110
	ECONNREFUSED  = 111
	EHOSTDOWN     = 112
	EHOSTUNREACH  = 113
)

// ErrnoMechanism says how a try ended whose system call failed with errno in
// the given phase, as seen by the side that asks.
func ErrnoMechanism(errno int, p fact.Phase) fact.Mechanism {
	switch errno {
	case ECONNREFUSED:
		return fact.Refused
	case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN:
		return fact.Unreachable
	case ENOENT:
		if p == fact.PhaseConnecting {
			return fact.Refused // the socket's file is not there: nobody listens
		}
	case EACCES, EPERM:
		return fact.GatewayFault
	case EAGAIN, EADDRNOTAVAIL, EMFILE, ENFILE:
		return fact.LimitHit
	case ENOSPC, EROFS:
		return fact.GatewayFault
	case ETIMEDOUT:
		switch p {
		case fact.PhaseConnecting, "":
			return fact.ConnectTimedOut
		case fact.PhaseTLS:
			return fact.TLSFailed
		case fact.PhaseReading:
			return fact.CutMidReply
		}
		return fact.ReplyTimedOut
	case ECONNRESET, EPIPE, ECONNABORTED, ENOTCONN:
		switch p {
		case fact.PhaseReading:
			return fact.CutMidReply
		case fact.PhaseTLS:
			return fact.TLSFailed
		}
		return fact.ResetBeforeReply
	}
	return fact.MechanismUnknown
}

// netWords are what network libraries of common run times (Go, Node, Java,
// Python, Rust, libuv, OpenSSL) write when a request to a server fails; lower
// case, the more special first.
var netWords = []struct {
	words string
	m     fact.Mechanism
	p     fact.Phase
	errno int
}{
	{"econnrefused", fact.Refused, fact.PhaseConnecting, ECONNREFUSED},
	{"connection refused", fact.Refused, fact.PhaseConnecting, ECONNREFUSED},
	{"actively refused", fact.Refused, fact.PhaseConnecting, ECONNREFUSED},
	{"no such host", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"enotfound", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"eai_again", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"name or service not known", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"temporary failure in name resolution", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"nodename nor servname provided", fact.NameNotResolved, fact.PhaseResolving, 0}, // macOS
	{"name does not resolve", fact.NameNotResolved, fact.PhaseResolving, 0},          // musl
	{"no address associated with hostname", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"remote name could not be resolved", fact.NameNotResolved, fact.PhaseResolving, 0}, // .NET
	{"server misbehaving", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"unknownhostexception", fact.NameNotResolved, fact.PhaseResolving, 0},
	{"ehostunreach", fact.Unreachable, fact.PhaseConnecting, EHOSTUNREACH},
	{"no route to host", fact.Unreachable, fact.PhaseConnecting, EHOSTUNREACH},
	{"host is unreachable", fact.Unreachable, fact.PhaseConnecting, EHOSTUNREACH},
	{"network is unreachable", fact.Unreachable, fact.PhaseConnecting, ENETUNREACH},
	{"host is down", fact.Unreachable, fact.PhaseConnecting, EHOSTDOWN},
	{"too many open files", fact.LimitHit, fact.PhaseConnecting, EMFILE},
	{"no file descriptors available", fact.LimitHit, fact.PhaseConnecting, EMFILE},
	{"cannot assign requested address", fact.LimitHit, fact.PhaseConnecting, EADDRNOTAVAIL},
	{"can't assign requested address", fact.LimitHit, fact.PhaseConnecting, EADDRNOTAVAIL},        // FreeBSD, macOS
	{"only one usage of each socket address", fact.LimitHit, fact.PhaseConnecting, EADDRNOTAVAIL}, // Windows, of a connection out
	{"address not available", fact.LimitHit, fact.PhaseConnecting, EADDRNOTAVAIL},
	{"tls handshake timeout", fact.TLSFailed, fact.PhaseTLS, 0},
	{"tls: ", fact.TLSFailed, fact.PhaseTLS, 0},
	{"x509: ", fact.TLSFailed, fact.PhaseTLS, 0},
	{"certificate verify failed", fact.TLSFailed, fact.PhaseTLS, 0},
	{"certificate has expired", fact.TLSFailed, fact.PhaseTLS, 0},
	{"sslhandshakeexception", fact.TLSFailed, fact.PhaseTLS, 0},
	{"wrong version number", fact.TLSFailed, fact.PhaseTLS, 0},
	{"timeout awaiting response headers", fact.ReplyTimedOut, fact.PhaseWaiting, 0},
	{"client.timeout exceeded while awaiting headers", fact.ReplyTimedOut, fact.PhaseWaiting, 0},
	{"read timed out", fact.ReplyTimedOut, fact.PhaseWaiting, 0},
	{"socket hang up", fact.ClosedBeforeReply, fact.PhaseWaiting, 0},
	{"server closed idle connection", fact.ClosedBeforeReply, fact.PhaseSending, 0},
	{"connection closed before message completed", fact.ClosedBeforeReply, fact.PhaseWaiting, 0},
	{"remote end closed connection without response", fact.ClosedBeforeReply, fact.PhaseWaiting, 0},
	{"nohttpresponseexception", fact.ClosedBeforeReply, fact.PhaseWaiting, 0},
	{"server disconnected", fact.ClosedBeforeReply, fact.PhaseWaiting, 0},
	{"unexpected end of file from server", fact.ClosedBeforeReply, fact.PhaseWaiting, 0},
	{"other side closed", fact.ClosedBeforeReply, fact.PhaseWaiting, 0},
	{"prematurely closed before response", fact.ClosedBeforeReply, fact.PhaseWaiting, 0}, // Reactor Netty
	{"prematurely closed during response", fact.CutMidReply, fact.PhaseReading, 0},
	{"forcibly closed by the remote host", fact.ResetBeforeReply, fact.PhaseWaiting, ECONNRESET}, // Windows
	{"software caused connection abort", fact.ResetBeforeReply, fact.PhaseWaiting, ECONNABORTED},
	{"und_err_headers_timeout", fact.ReplyTimedOut, fact.PhaseWaiting, 0}, // undici
	{"und_err_connect_timeout", fact.ConnectTimedOut, fact.PhaseConnecting, ETIMEDOUT},
	{"econnreset", fact.ResetBeforeReply, fact.PhaseWaiting, ECONNRESET},
	{"connection reset", fact.ResetBeforeReply, fact.PhaseWaiting, ECONNRESET},
	{"epipe", fact.ResetBeforeReply, fact.PhaseSending, EPIPE},
	{"broken pipe", fact.ResetBeforeReply, fact.PhaseSending, EPIPE},
	{"malformed http response", fact.BadReply, fact.PhaseWaiting, 0},
	{"unexpected eof", fact.CutMidReply, fact.PhaseReading, 0},
	{"dial tcp", fact.ConnectTimedOut, fact.PhaseConnecting, 0}, // what is left of dials: "i/o timeout", "operation was canceled"
	{"connect timeout", fact.ConnectTimedOut, fact.PhaseConnecting, ETIMEDOUT},
	{"connect timed out", fact.ConnectTimedOut, fact.PhaseConnecting, ETIMEDOUT},
	{"connect: operation timed out", fact.ConnectTimedOut, fact.PhaseConnecting, ETIMEDOUT},             // FreeBSD, macOS
	{"connected party did not properly respond", fact.ConnectTimedOut, fact.PhaseConnecting, ETIMEDOUT}, // Windows
	{"connection timed out", fact.ConnectTimedOut, fact.PhaseConnecting, ETIMEDOUT},
	{"etimedout", fact.ConnectTimedOut, fact.PhaseConnecting, ETIMEDOUT},
	{"esockettimedout", fact.ReplyTimedOut, fact.PhaseWaiting, 0},
}

// NetError reads a run time's words for a failed request to a server. A dial
// or lookup that its own caller cancelled is [fact.ClientGone]. ok is false if
// the words are not known.
func NetError(text []byte) (m fact.Mechanism, p fact.Phase, errno int, ok bool) {
	low := bytes.ToLower(text)
	for _, w := range [...]string{"operation was canceled", "context canceled", "client disconnected"} {
		if Has(low, w) {
			return fact.ClientGone, "", 0, true
		}
	}
	if Has(low, "lookup ") && (Has(low, "i/o timeout") || Has(low, "on ")) && Has(low, ":53") {
		return fact.NameNotResolved, fact.PhaseResolving, 0, true
	}
	for _, w := range netWords {
		if Has(low, w.words) {
			return w.m, w.p, w.errno, true
		}
	}
	if Has(low, "i/o timeout") || Has(low, "context deadline exceeded") {
		return fact.ReplyTimedOut, fact.PhaseWaiting, 0, true
	}
	if t := bytes.TrimRight(low, " \"'}"); bytes.HasSuffix(t, []byte("eof")) {
		return fact.ClosedBeforeReply, fact.PhaseWaiting, 0, true
	}
	return "", "", 0, false
}

// WhyDown names the network error that failed a health check, in the words of
// [fact.AttrWhy]; it is empty for what is none.
func WhyDown(m fact.Mechanism) string {
	switch m {
	case fact.Refused:
		return "refused"
	case fact.ConnectTimedOut, fact.ReplyTimedOut:
		return "timeout"
	case fact.ResetBeforeReply, fact.ClosedBeforeReply:
		return "reset"
	case fact.NameNotResolved:
		return "dns"
	}
	return ""
}
