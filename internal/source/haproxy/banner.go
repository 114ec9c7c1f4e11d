package haproxy

import (
	"fmt"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how HAProxy shows itself in answers: its error pages name nobody,
// but have no date and a shape of their own. What it relays it leaves as it
// is, except that it takes the field Connection away and leaves Keep-Alive,
// which then stands alone.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway, Wrote: wrote,
	Passed: func(a *source.Answer) source.Confidence {
		if a.Proto == "HTTP/1.1" && a.Has("keep-alive") && !a.Has("connection") {
			return source.Likely
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
		stateDefaults(source.SettingsOf(p, out), nil)
	},
}}

func wrote(a *source.Answer) source.Confidence {
	if a.Has("date") || a.Has("server") || a.Header("content-type") != "text/html" || a.Header("cache-control") != "no-cache" {
		return source.No
	}
	if source.HasPrefix(a.Body, fmt.Sprintf("<html><body><h1>%d ", a.Status)) && source.Has(a.Body, "</h1>\n") {
		return source.Sure
	}
	if len(a.Body) == 0 && a.Status >= 400 {
		return source.Likely
	}
	return source.No
}
