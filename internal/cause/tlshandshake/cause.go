// Package tlshandshake judges handshakes towards the server that failed.
package tlshandshake

import (
	"fmt"
	"strings"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "tls-handshake",
	Title: "The TLS handshake with the server failed",
	What:  "The proxy speaks TLS to the server and the two do not agree: the certificate is expired, for another name or from an unknown authority, the server name is not sent, or versions and ciphers have nothing in common.",
	Shows: []string{
		"nginx: SSL_do_handshake() failed, upstream SSL certificate verify error, certificate does not match",
		"alert 112 (unrecognized name) or 40 (handshake failure): no or a wrong server name was sent",
		"Google: ssl_certificate_*, failed_to_negotiate_alpn; Cloudflare: 525, 526; HAProxy: L6RSP, SSL handshake failure",
	},
	Fixes: []string{
		"renew the certificate, or let the proxy trust its authority and ask for the name that is in it",
		"send the server name: nginx proxy_ssl_server_name on; proxy_ssl_name HOST;",
	},
	Links:      []string{"https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_ssl_server_name"},
	Mechanisms: []fact.Mechanism{fact.TLSFailed},
	Troubles:   []fact.EventKind{fact.TLSTrouble},
	Prior:      4,
	PriorWhy:   "the proxy names the fault itself",
	Explain:    explain,
}

// advice ties words of the error to what helps.
var advice = []struct{ words, summary, nginx string }{
	{"expired", "Renew the server's certificate: it has expired.", ""},
	{"not yet valid", "The server's certificate is not valid yet: compare the two machines' clocks.", ""},
	{"unrecognized name", "Send the server's name in the handshake.", "proxy_ssl_server_name on;\nproxy_ssl_name SERVER.NAME;"},
	{"alert number 112", "Send the server's name in the handshake.", "proxy_ssl_server_name on;\nproxy_ssl_name SERVER.NAME;"},
	{"does not match", "The certificate is for another name: ask for the name that is in it.", "proxy_ssl_name NAME.IN.CERTIFICATE;"},
	{"self-signed", "Let the proxy trust the server's own certificate, or give the server one from an authority it trusts.", "proxy_ssl_trusted_certificate /path/ca.pem;"},
	{"self signed", "Let the proxy trust the server's own certificate, or give the server one from an authority it trusts.", "proxy_ssl_trusted_certificate /path/ca.pem;"},
	{"unable to get", "Give the proxy the authority's whole chain.", "proxy_ssl_trusted_certificate /path/ca.pem;\nproxy_ssl_verify_depth 3;"},
	{"unknown authority", "Let the proxy trust the authority of the server's certificate.", "proxy_ssl_trusted_certificate /path/ca.pem;"},
	{"handshake failure", "The two have no cipher or version in common, or the server wants its name in the handshake.", "proxy_ssl_server_name on;\nproxy_ssl_protocols TLSv1.2 TLSv1.3;"},
	{"protocol version", "The two have no TLS version in common.", "proxy_ssl_protocols TLSv1.2 TLSv1.3;"},
	{"alpn", "The server does not offer the protocol that the balancer asks for (h2): offer it, or set the backend to HTTP/1.1.", ""},
}

func explain(e *failure.Episode) cause.Opinion {
	if len(e.Failures) == 0 {
		s, claims, ok := cause.NearEvents(e, e.World.Of(fact.TLSTrouble), 0, 0, func(n int, x *fact.Event) string { return "a TLS handshake failed: " + cause.Cut(x.Detail, 120) })
		if !ok {
			return cause.Opinion{}
		}
		return cause.Opinion{Signals: []cause.Signal{s}, Claims: claims, Fix: cause.Fix{Summary: "See why the handshake fails."}}
	}
	f := e.Failures[0]
	text := strings.ToLower(f.Detail + " " + f.Code)
	for _, r := range f.Seen {
		text += " " + strings.ToLower(r.Origin.Text) + " " + strings.ToLower(r.Attrs[fact.AttrTLS])
	}
	says := fmt.Sprintf("%s failed in the TLS handshake with %s", cause.Count(e.N(), "request"), orServer(f.Backend.Address))
	if f.Detail != "" {
		says += ": " + cause.Cut(f.Detail, 160)
	}
	o := cause.Opinion{Blame: f.Backend, Signals: []cause.Signal{cause.Itself(e, 10, "the proxy says so in words of its own", says)}}
	if s, ok := onWire(e); ok {
		o.Signals = []cause.Signal{s}
	}
	o.Fix.Summary = "See on what the two do not agree: names, dates, authority, versions."
	for _, a := range advice {
		if strings.Contains(text, a.words) {
			o.Fix.Summary = a.summary
			if e.Gateway.Tech == "nginx" {
				o.Fix.Patch = a.nginx
			}
			break
		}
	}
	o.Fix.Steps = []string{"see what the server shows: openssl s_client -connect " + orServer(f.Backend.Address) + " -servername NAME </dev/null | openssl x509 -noout -subject -ext subjectAltName -dates"}
	return o
}

// onWire judges handshakes of which packets alone tell.
func onWire(e *failure.Episode) (cause.Signal, bool) {
	f := e.Failures[0]
	if !cause.Captured(e.Failures) || f.Detail != "" || f.Code != "" {
		return cause.Signal{}, false // a party says why
	}
	alerts, sealed := map[string]int{}, 0
	best := ""
	for _, x := range e.Failures {
		for _, p := range cause.LastConn(x).Packets {
			if p.FromServer && (p.Flags == "FIN" || p.Flags == "RST") {
				break // what comes after only answers that
			}
			words, ok := strings.CutPrefix(p.Says, "TLS alert: ")
			if !ok {
				continue
			}
			by := "the one who asked"
			if p.FromServer {
				by = "the server"
			}
			if strings.HasPrefix(words, "encrypted") {
				sealed++
				break
			}
			says := fmt.Sprintf("%s, by %s", words, by)
			if alerts[says]++; alerts[says] > alerts[best] {
				best = says
			}
			break
		}
	}
	facts := cause.CiteConns(e.Failures)
	to := orServer(f.Backend.Address)
	switch {
	case best != "":
		return cause.For(10, "the alert names what the two do not agree on", fmt.Sprintf("%s with %s ended with a TLS alert: %s", cause.Count(e.N(), "handshake"), to, best), facts...).AsProof(), true
	case sealed > 0:
		return cause.For(1, "an alert after the server's certificate is most often about it; but its words are encrypted", fmt.Sprintf("%s with %s ended with an encrypted alert by the one who asked, right after the server's certificate", cause.Count(sealed, "handshake"), to), facts...), true
	}
	s := cause.Against(7, "a server that hangs up on a hello may not agree with it, or be going down, or not meant for it", fmt.Sprintf("%s hung up in %s without an alert", to, cause.Count(e.N(), "handshake")), facts...)
	s.Plain = true
	return s, true
}

func orServer(a string) string {
	if a == "" {
		return "SERVER:443"
	}
	return a
}
