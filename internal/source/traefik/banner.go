package traefik

import (
	"net/http"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Traefik shows itself in answers: it names itself nowhere and
// relays without a trace. Its own errors are the status' reason and nothing
// else, written past http.Error (pkg/proxy/httputil).
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway, Wrote: wrote,
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateDefaults(source.SettingsOf(p, out)) },
}}

// statusClientClosed is what Traefik answers a client that is gone.
const statusClientClosed = 499

func wrote(a *source.Answer) source.Confidence {
	if a.Has("server") || a.Has("connection") || a.Has("keep-alive") || a.Header("content-type") != "text/plain; charset=utf-8" {
		return source.No
	}
	switch text := string(a.Body); {
	case a.Status == http.StatusServiceUnavailable && text == "no available server\n":
		return source.Sure
	case a.Has("x-content-type-options"):
		return source.No
	case a.Status == statusClientClosed && text == "Client Closed Request":
		return source.Sure
	case (a.Status == http.StatusBadGateway || a.Status == http.StatusGatewayTimeout) && text == http.StatusText(a.Status):
		return source.Likely + 10
	}
	return source.No
}
