package gclb

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Google's balancers show themselves in answers: they say Via,
// but not on the pages of their own. The regional ones are made of Envoy and
// say both Via and Envoy's words.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway, Wrote: wrote,
	Passed: func(a *source.Answer) source.Confidence {
		if wrote(a) == source.No && (a.Says("via", " google") || a.Says("server", "google frontend")) {
			return source.Sure
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateLimits(p, "", source.SettingsOf(p, out)) },
}}

// page is how the front ends begin theirs.
const page = "<html><head>\n<meta http-equiv=\"content-type\" content=\"text/html;charset=utf-8\">\n<title>"

func wrote(a *source.Answer) source.Confidence {
	switch {
	case a.Status >= 400 && source.HasPrefix(a.Body, page) && source.Has(a.Body, "<body text=#000000 bgcolor=#ffffff>"):
		return source.Sure
	case a.Status >= 500 && a.Says("via", " google") && a.Header("content-type") == "text/plain" &&
		(source.HasPrefix(a.Body, "upstream ") || source.HasPrefix(a.Body, "no healthy ")):
		return source.Sure
	}
	return source.No
}
