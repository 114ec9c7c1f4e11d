package varnish

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Varnish shows itself in answers: it numbers each and says
// Via. Fastly, which is made of it, says Via without a number, and is none.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway,
	Wrote: func(a *source.Answer) source.Confidence {
		if name, _ := a.Product("server"); name == tech && a.Has("x-varnish") {
			return source.Sure
		}
		return source.No
	},
	Passed: func(a *source.Answer) source.Confidence {
		if name, _ := a.Product("server"); name != tech && (a.Has("x-varnish") || a.Says("via", "(varnish/")) {
			return source.Sure
		}
		return source.No
	},
	Version: func(a *source.Answer) string {
		_, v, _ := strings.Cut(a.Header("via"), "(Varnish/")
		v, _, _ = strings.Cut(v, ")")
		return v
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
		stateDefaults(source.SettingsOf(p, out), nil)
	},
}}
