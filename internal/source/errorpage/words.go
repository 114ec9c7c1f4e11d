package errorpage

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// saying is what some words of a page tell.
type saying struct {
	tech   string // who writes them; empty if several do
	status int64  // with which they come; 0 if the page tells
	ended  fact.Mechanism
	phase  fact.Phase
	limit  fact.Limit
	sure   bool // nobody else writes them, and no prose holds them
	host   bool // the first hole is the member or its name
	aside  bool // they add to a page and are none
}

// sayings are the words, the special before the general.
var sayings = source.NewRules(
	// Apache.
	source.Rule[saying]{Words: "^Reason: DNS lookup failure for: %w", Do: saying{tech: "apache", status: 502, ended: fact.NameNotResolved, phase: fact.PhaseResolving, sure: true, host: true}},
	source.Rule[saying]{Words: "^DNS lookup failure for: %w", Do: saying{tech: "apache", status: 502, ended: fact.NameNotResolved, phase: fact.PhaseResolving, sure: true, host: true}},
	source.Rule[saying]{Words: "Error reading from remote server", Do: saying{tech: "apache", status: 502, phase: fact.PhaseWaiting}},
	source.Rule[saying]{Words: "Error during SSL Handshake with remote server", Do: saying{tech: "apache", status: 502, ended: fact.TLSFailed, phase: fact.PhaseTLS, sure: true}},
	source.Rule[saying]{Words: "Corrupt status line returned by remote server", Do: saying{tech: "apache", status: 502, ended: fact.BadReply, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^The proxy server received an invalid", Do: saying{tech: "apache", status: 502, sure: true}},
	source.Rule[saying]{Words: "^response from an upstream server.", Do: saying{tech: "apache", aside: true}},
	source.Rule[saying]{Words: "^The proxy server could not handle the request", Do: saying{tech: "apache", status: 502, sure: true}},
	source.Rule[saying]{Words: "^The server is temporarily unable to service your", Do: saying{tech: "apache", status: 503, sure: true}},
	source.Rule[saying]{Words: "request due to maintenance downtime or capacity", Do: saying{tech: "apache", status: 503}},
	source.Rule[saying]{Words: "^The gateway did not receive a timely response", Do: saying{tech: "apache", status: 504, ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^The proxy server did not receive a timely response", Do: saying{tech: "apache", status: 504, ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting, sure: true}},

	// HAProxy. Its 503 stands for a refused connection, too, until checks take the member out.
	source.Rule[saying]{Words: "^The server returned an invalid or incomplete response", Do: saying{tech: "haproxy", status: 502, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^No server is available to handle this reques", Do: saying{tech: "haproxy", status: 503, ended: fact.NoBackend, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^The server didn't respond in time", Do: saying{tech: "haproxy", status: 504, ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^The application is currently not serving requests at this endpoint", Do: saying{tech: "haproxy", status: 503, ended: fact.NoBackend, sure: true}}, // OpenShift's router

	// Varnish and Fastly, whose errors name their reason in the title.
	source.Rule[saying]{Words: "^Error 503 Backend fetch failed", Do: saying{tech: "varnish", status: 503, sure: true}},
	source.Rule[saying]{Words: "^Error 503 first byte timeout", Do: saying{tech: "fastly", status: 503, ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 between bytes timeout", Do: saying{tech: "fastly", status: 503, ended: fact.CutMidReply, phase: fact.PhaseReading, sure: true}},
	source.Rule[saying]{Words: "^Error 503 connection timed out", Do: saying{tech: "fastly", status: 503, ended: fact.ConnectTimedOut, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 connection refused", Do: saying{tech: "fastly", status: 503, ended: fact.Refused, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 no route to host", Do: saying{tech: "fastly", status: 503, ended: fact.Unreachable, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 network unreachable", Do: saying{tech: "fastly", status: 503, ended: fact.Unreachable, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 Backend is unhealthy", Do: saying{tech: "fastly", status: 503, ended: fact.NoBackend, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 backend is unhealthy", Do: saying{tech: "fastly", status: 503, ended: fact.NoBackend, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 No healthy backends", Do: saying{tech: "fastly", status: 503, ended: fact.NoBackend, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 All backends failed or unhealthy", Do: saying{tech: "fastly", status: 503, ended: fact.NoBackend, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 %wackend.max_conn reached", Do: saying{tech: "fastly", status: 503, ended: fact.LimitHit, phase: fact.PhaseConnecting, limit: fact.LimitConnections, sure: true}},
	source.Rule[saying]{Words: "^Error 503 backend read error", Do: saying{tech: "fastly", status: 503, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^Error 503 backend write error", Do: saying{tech: "fastly", status: 503, phase: fact.PhaseSending, sure: true}},
	source.Rule[saying]{Words: "^Error 503 SSL handshake error", Do: saying{tech: "fastly", status: 503, ended: fact.TLSFailed, phase: fact.PhaseTLS, sure: true}},
	source.Rule[saying]{Words: "^Error 503 hostname doesn't match against certificate", Do: saying{tech: "fastly", status: 503, ended: fact.TLSFailed, phase: fact.PhaseTLS, sure: true}},
	source.Rule[saying]{Words: "^Error 503 unable to get local issuer certificate", Do: saying{tech: "fastly", status: 503, ended: fact.TLSFailed, phase: fact.PhaseTLS, sure: true}},
	source.Rule[saying]{Words: "^Error 503 certificate has expired", Do: saying{tech: "fastly", status: 503, ended: fact.TLSFailed, phase: fact.PhaseTLS, sure: true}},
	source.Rule[saying]{Words: "^Error 503 Backend unavailable, connection timeout", Do: saying{tech: "fastly", status: 503, ended: fact.ConnectTimedOut, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Guru Meditation:", Do: saying{tech: "varnish", aside: true}},
	source.Rule[saying]{Words: "^Guru Mediation:", Do: saying{tech: "varnish", aside: true}}, // spelled so in old versions
	source.Rule[saying]{Words: "^Varnish cache server", Do: saying{tech: "varnish", aside: true}},
	source.Rule[saying]{Words: "^XID: %d", Do: saying{tech: "varnish", aside: true}},

	// Traefik.
	source.Rule[saying]{Words: "^no available server", Do: saying{tech: "traefik", status: 503, ended: fact.NoBackend, phase: fact.PhaseConnecting, sure: true}},

	// CloudFront.
	source.Rule[saying]{Words: "^CloudFront wasn't able to resolve the origin domain name", Do: saying{tech: "cloudfront", status: 502, ended: fact.NameNotResolved, phase: fact.PhaseResolving, sure: true}},
	source.Rule[saying]{Words: "^CloudFront wasn't able to connect to the origin", Do: saying{tech: "cloudfront", status: 502, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^CloudFront attempted to establish a connection with the origin", Do: saying{tech: "cloudfront", phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "The request could not be satisfied", Do: saying{tech: "cloudfront", aside: true}},
	source.Rule[saying]{Words: "^We can't connect to the server for this app or website at this time", Do: saying{tech: "cloudfront"}},
	source.Rule[saying]{Words: "^Generated by cloudfront (CloudFront)", Do: saying{tech: "cloudfront", aside: true}},

	// Google.
	source.Rule[saying]{Words: "^The server encountered a temporary error and could not complete your request", Do: saying{tech: "gclb", status: 502, sure: true}},
	source.Rule[saying]{Words: "^The service you requested is not available yet", Do: saying{tech: "gclb", status: 503, sure: true}},

	// Heroku, Railway, Azure, Akamai.
	source.Rule[saying]{Words: "^An error occurred in the application and your page could not be served", Do: saying{tech: "heroku", status: 503, sure: true}},
	source.Rule[saying]{Words: "^Application failed to respond", Do: saying{tech: "railway", status: 502, sure: true}},
	source.Rule[saying]{Words: "^Our services aren't available right now", Do: saying{tech: "azure", status: 503, sure: true}},
	source.Rule[saying]{Words: "^If you are the application administrator, you can access the", Do: saying{tech: "azure", status: 503, sure: true}},
	source.Rule[saying]{Words: "^Service Unavailable - DNS failure", Do: saying{tech: "akamai", status: 503, ended: fact.NameNotResolved, phase: fact.PhaseResolving, sure: true}},
	source.Rule[saying]{Words: "^Service Unavailable - Zero size object", Do: saying{tech: "akamai", status: 503, ended: fact.ClosedBeforeReply, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^Service Unavailable - Fail to connect", Do: saying{tech: "akamai", status: 503, ended: fact.ConnectTimedOut, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Gateway Timeout - In read", Do: saying{tech: "akamai", status: 504, ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting, sure: true}},

	// Kong, and the AWS API Gateway.
	source.Rule[saying]{Words: "^An invalid response was received from the upstream server", Do: saying{tech: "nginx", status: 502, sure: true}},
	source.Rule[saying]{Words: "^The upstream server is timing out", Do: saying{tech: "nginx", status: 504, sure: true}},
	source.Rule[saying]{Words: "^The upstream server is currently unavailable", Do: saying{tech: "nginx", status: 503, sure: true}},
	source.Rule[saying]{Words: "^name resolution failed", Do: saying{tech: "nginx", status: 503, ended: fact.NameNotResolved, phase: fact.PhaseResolving, sure: true}},
	source.Rule[saying]{Words: "^failure to get a peer from the ring-balancer", Do: saying{tech: "nginx", status: 503, ended: fact.NoBackend, phase: fact.PhaseConnecting, sure: true}},
	source.Rule[saying]{Words: "^Endpoint request timed out", Do: saying{tech: "apigateway", status: 504, ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting, sure: true}},

	// IIS with ARR and the ASP.NET Core module.
	source.Rule[saying]{Words: "Web server received an invalid response while acting as a gateway or proxy server", Do: saying{tech: "iis", status: 502, sure: true}},
	source.Rule[saying]{Words: "HTTP Error 502.3 - Bad Gateway", Do: saying{tech: "iis", status: 502, sure: true}},
	source.Rule[saying]{Words: "HTTP Error 502.4 - ", Do: saying{tech: "iis", status: 502, sure: true}},
	source.Rule[saying]{Words: "HTTP Error 502.5 - ", Do: saying{tech: "iis", status: 502, sure: true}},
	source.Rule[saying]{Words: "HTTP Error 503. The service is unavailable", Do: saying{tech: "iis", status: 503, sure: true}},
	source.Rule[saying]{Words: "^There was a connection error while trying to route the request", Do: saying{tech: "iis", status: 502, sure: true}},
	source.Rule[saying]{Words: "0x80072ee2", Do: saying{ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting, aside: true}},
	source.Rule[saying]{Words: "0x80072ee7", Do: saying{ended: fact.NameNotResolved, phase: fact.PhaseResolving, aside: true}},
	source.Rule[saying]{Words: "0x80072efd", Do: saying{ended: fact.Refused, phase: fact.PhaseConnecting, aside: true}},
	source.Rule[saying]{Words: "0x80072efe", Do: saying{ended: fact.ResetBeforeReply, phase: fact.PhaseWaiting, aside: true}},
	source.Rule[saying]{Words: "0x80072eff", Do: saying{ended: fact.ResetBeforeReply, phase: fact.PhaseWaiting, aside: true}},
	source.Rule[saying]{Words: "0x80072f78", Do: saying{ended: fact.BadReply, phase: fact.PhaseWaiting, aside: true}},
	source.Rule[saying]{Words: "0x80072f8f", Do: saying{ended: fact.TLSFailed, phase: fact.PhaseTLS, aside: true}},

	// Passenger, Squid.
	source.Rule[saying]{Words: "^This website is under heavy load", Do: saying{tech: "passenger", status: 503, ended: fact.LimitHit, phase: fact.PhaseQueued, limit: fact.LimitQueue, sure: true}},
	source.Rule[saying]{Words: "^The requested URL could not be retrieved", Do: saying{tech: "squid", status: 503, sure: true}},
	source.Rule[saying]{Words: "^Squid did not receive any data for this request", Do: saying{tech: "squid", status: 502, ended: fact.ClosedBeforeReply, phase: fact.PhaseWaiting, sure: true}},
	source.Rule[saying]{Words: "^The system returned: (111) Connection refused", Do: saying{tech: "squid", status: 503, ended: fact.Refused, phase: fact.PhaseConnecting}},
	source.Rule[saying]{Words: "^(111) Connection refused", Do: saying{tech: "squid", ended: fact.Refused, phase: fact.PhaseConnecting, aside: true}},
	source.Rule[saying]{Words: "^(110) Connection timed out", Do: saying{tech: "squid", ended: fact.ConnectTimedOut, phase: fact.PhaseConnecting, aside: true}},
	source.Rule[saying]{Words: "^(113) No route to host", Do: saying{tech: "squid", ended: fact.Unreachable, phase: fact.PhaseConnecting, aside: true}},

	// Clients that tell the status alone.
	source.Rule[saying]{Words: "curl: (22) The requested URL returned error: %d", Do: saying{status: -1, sure: true}},
	source.Rule[saying]{Words: " ERROR %d: Bad Gateway.", Do: saying{status: -1, sure: true}},
	source.Rule[saying]{Words: " ERROR %d: Service Unavailable.", Do: saying{status: -1, sure: true}},
	source.Rule[saying]{Words: " ERROR %d: Gateway Time", Do: saying{status: -1, sure: true}},
)

// maxWords bounds a piece of text that is searched for words, in bytes.
const maxWords = 1 << 10

// words finds what a piece of text tells; nil if nothing is known of it. A
// JSON object is searched for its message, which is then the text.
func words(text []byte) (*saying, *source.Holes, []byte) {
	if len(text) < 10 || len(text) > maxWords {
		return nil, nil, text
	}
	if i := bytes.Index(text, []byte(`essage":`)); i >= 0 && (text[0] == '{' || text[0] == '"') {
		v, _, ok := source.Quoted(bytes.TrimLeft(text[i+len(`essage":`):], " "))
		if !ok {
			return nil, nil, text
		}
		text = v
	}
	var h source.Holes
	s, ok := sayings.Match(text, &h)
	if !ok {
		return nil, nil, text
	}
	return &s, &h, text
}

// phrases are the reasons of statuses, as gateways spell them in titles.
var phrases = map[string]int64{
	"bad gateway": 502, "gateway time-out": 504, "gateway timeout": 504, "service unavailable": 503, "service temporarily unavailable": 503,
	"error": 0, "server error": 0, "internal server error": 500, "proxy error": 502, "web server returned an unknown error": 520,
}

// title reads a title or heading: "502 Bad Gateway", "504 ERROR", "Error 503
// Service Unavailable", "HTTP Error 503. Service Unavailable".
func title(text []byte) (status int64, ok bool) {
	if len(text) < 7 || len(text) > 60 {
		return 0, false
	}
	low := strings.ToLower(string(text))
	for _, pre := range [...]string{"http error ", "http ", "error: ", "error ", "status: ", "status "} {
		low = strings.TrimPrefix(low, pre)
	}
	if len(low) < 7 || low[0] != '5' {
		return 0, false
	}
	n := source.Int([]byte(low[:3]))
	if !n.Known || n.N > 599 {
		return 0, false
	}
	rest := strings.Trim(low[3:], " .:-!\u2013")
	of, known := phrases[rest]
	return n.N, known && (of == 0 || of == n.N) && (of != 0 || n.N > 500)
}

// signed reads the last line of a page, in which the server names itself.
func signed(text []byte) string {
	if len(text) > 120 {
		return ""
	}
	low := strings.ToLower(string(text))
	name, rest, _ := strings.Cut(low, "/")
	if name == "apache" && !strings.Contains(rest, "server at") {
		return ""
	}
	if strings.Contains(name, " ") {
		return ""
	}
	if len(rest) > 0 && (rest[0] < '0' || rest[0] > '9') && rest[0] != 'v' {
		return ""
	}
	return servers[name]
}

// servers are names that gateways sign with, in pages and in the header
// Server.
var servers = map[string]string{
	"nginx": "nginx", "openresty": "nginx", "tengine": "nginx", "kong": "nginx", "nginx-plus": "nginx", "apisix": "nginx", "angie": "nginx",
	"apache": "apache", "awselb": "alb", "cloudfront": "cloudfront", "cloudflare": "cloudflare", "cloudflare-nginx": "cloudflare",
	"microsoft-azure-application-gateway": "azure", "microsoft-iis": "iis", "envoy": "envoy", "istio-envoy": "envoy", "caddy": "caddy",
	"varnish": "varnish", "squid": "squid", "haproxy": "haproxy", "akamaighost": "akamai", "akamainetstorage": "akamai", "vegur": "heroku", "heroku": "heroku",
	"google frontend": "gclb", "gws": "gclb", "gfe": "gclb", "ats": "ats", "h2o": "h2o", "lighttpd": "lighttpd", "litespeed": "litespeed", "bigip": "bigip",
	"traefik": "traefik", "railway-edge": "railway", "fly": "fly", "netlify": "netlify", "vercel": "vercel", "skipper": "skipper",
}

// apps are names of application servers: an answer that bears one was written
// by the member itself.
var apps = map[string]string{
	"gunicorn": "gunicorn", "uvicorn": "uvicorn", "hypercorn": "uvicorn", "daphne": "python", "waitress": "python", "werkzeug": "python", "tornadoserver": "python",
	"puma": "ruby", "thin": "ruby", "webrick": "ruby", "kestrel": "dotnet", "jetty": "jvm", "apache-coyote": "jvm", "undertow": "jvm", "wildfly": "jvm", "akka-http": "jvm",
}
