// Package misroutedport judges requests that reach a port which speaks
// something else.
package misroutedport

import (
	"fmt"
	"strings"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "misrouted-port",
	Title: "The proxy asks a port that speaks something else",
	What:  "The address is right and the port or the protocol is not: TLS to a plain port, plain HTTP to a TLS port, HTTP to SSH, gRPC, FastCGI or a database, or a Service whose targetPort nobody listens on.",
	Shows: []string{
		"TLS errors `wrong version number`, `http request`, `packet length too long`: the other side speaks plain HTTP",
		"nginx: upstream sent no valid HTTP/1.0 header (status 009), or an invalid header that begins with \\x15\\x03 (a TLS alert) or a banner",
		"every request to that member fails, from the first",
	},
	Fixes:      []string{"make scheme and port agree: http:// to the plain port, https:// to the TLS port; check targetPort and containerPort"},
	Mechanisms: []fact.Mechanism{fact.BadReply, fact.TLSFailed, fact.Refused, fact.ClosedBeforeReply},
	Over:       []string{"protocol-error", "tls-handshake"},
	Prior:      -6,
	PriorWhy:   "wrong ports are found on the first day; they are rare among intermittent failures",
	Explain:    explain,
}

// plainWords are OpenSSL's and Go's words for an answer that is not TLS.
var plainWords = []string{"wrong version number", "http request", "https proxy request", "packet length too long", "unknown protocol", "record overflow", "does not look like a tls handshake"}

// banners begin answers of other protocols.
var banners = []struct{ begins, what string }{
	{"SSH-", "SSH"}, {`\x15\x03`, "TLS"}, {`\x16\x03`, "TLS"}, {"220 ", "SMTP or FTP"}, {"-ERR", "Redis or POP3"}, {"*1", "Redis"}, {`\x00\x00`, "HTTP/2 or a binary protocol"}, {"+OK", "POP3 or Redis"}, {"AMQP", "AMQP"},
}

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	var claims []*failure.Failure
	what := ""
	for _, f := range e.Failures {
		if w := otherProtocol(f); w != "" {
			what = w
			claims = append(claims, f)
		}
	}
	if m, ok := mapping(e); ok {
		o.Signals = append(o.Signals, m)
	}
	if len(claims) > 0 {
		if len(claims) < len(e.Failures) {
			o.Claims = claims
		}
		o.Signals = append(o.Signals, cause.For(22, "the bytes show another protocol", fmt.Sprintf("the port answers in another protocol: %s", what), append(cause.Cite(claims), wireOnly(claims)...)...).AsProof())
	}
	if len(o.Signals) == 0 {
		return cause.Opinion{}
	}
	f := e.Failures[0]
	o.Blame = e.Gateway
	o.Fix = cause.Fix{Summary: "Make scheme and port agree: " + orServer(f.Backend.Address) + " does not speak what the proxy asks it in.", Steps: []string{
		"see what speaks there: curl -v http://" + orServer(f.Backend.Address) + "/ ; openssl s_client -connect " + orServer(f.Backend.Address),
	}}
	if what == plainHTTP {
		o.Fix.Patch = "proxy_pass http://" + orServer(f.Backend.Address) + ";   # not https://"
	}
	return o
}

// notTLS and noHTTP begin what a capture shows instead of what was due.
const (
	notTLS = "not TLS: "
	noHTTP = "no HTTP: "
)

const plainHTTP = "plain text where TLS was expected"

func otherProtocol(f *failure.Failure) string {
	text := f.Detail
	for _, r := range f.Seen {
		text += " " + r.Detail + " " + r.Origin.Text + " " + r.Attrs[fact.AttrTLS]
	}
	low := strings.ToLower(text)
	if f.Mechanism == fact.TLSFailed {
		if strings.Contains(text, notTLS) {
			return plainHTTP
		}
		for _, w := range plainWords {
			if strings.Contains(low, w) {
				return plainHTTP
			}
		}
		return ""
	}
	if f.Mechanism == fact.BadReply {
		for _, b := range banners {
			if strings.Contains(text, `header: "`+b.begins) || strings.Contains(text, `response "`+b.begins) || strings.Contains(text, noHTTP+`"`+b.begins) {
				return b.what + " where HTTP was expected"
			}
		}
		if strings.Contains(low, "no valid http/1.0 header") {
			return "no HTTP status line at all"
		}
		if strings.Contains(low, "malformed http response") {
			return "no HTTP status line at all"
		}
	}
	return ""
}

// wireOnly are the connections that show it, where a capture does.
func wireOnly(fs []*failure.Failure) []fact.Fact {
	if cause.Captured(fs) {
		return cause.CiteConns(fs)
	}
	return nil
}

// mapping: the Service sends to a port that no container opens.
func mapping(e *failure.Episode) (cause.Signal, bool) {
	if e.Mechanism != fact.Refused {
		return cause.Signal{}, false
	}
	for _, s := range e.World.Settings {
		if s.Knob == fact.PortMapping && strings.HasSuffix(s.Text, "->unmatched") {
			return cause.For(14, "a Service that sends to a port nobody opens is refused every time", "the Service's targetPort matches no containerPort: "+s.Text, s), true
		}
	}
	return cause.Signal{}, false
}

func orServer(a string) string {
	if a == "" {
		return "SERVER:PORT"
	}
	return a
}
