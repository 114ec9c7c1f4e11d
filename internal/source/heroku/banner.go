package heroku

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Heroku's router shows itself in answers: "Via: 1.1 vegur",
// of Router 2.0 "Via: 2.0 heroku-router". Its own answers frame a page of its
// own. The name Cowboy is that of any Erlang server.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway, Wrote: wrote,
	Passed: func(a *source.Answer) source.Confidence {
		if wrote(a) == source.No && (a.Says("via", " vegur") || a.Says("via", " heroku-router")) {
			return source.Sure
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateDefaults(source.SettingsOf(p, out)) },
}}

func wrote(a *source.Answer) source.Confidence {
	if a.Status >= 400 && source.Has(a.Body, "herokucdn.com/error-pages/") {
		return source.Sure
	}
	return source.No
}
