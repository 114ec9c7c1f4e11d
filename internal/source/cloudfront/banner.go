package cloudfront

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how CloudFront shows itself in answers. An error "from
// cloudfront" may be the origin's, whose name it takes where that has none, so
// only its page and what its functions made are its own.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway, Wrote: wrote,
	Passed: func(a *source.Answer) source.Confidence {
		if wrote(a) < source.Likely && (a.Has("x-amz-cf-id") || a.Says("via", "(cloudfront)")) {
			return source.Sure
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateDefaults(p, source.SettingsOf(p, out)) },
}}

func wrote(a *source.Answer) source.Confidence {
	switch {
	case !a.Says("via", "(cloudfront)") && !a.Has("x-amz-cf-id"):
		return source.No
	case a.Says("x-cache", "generatedresponse from cloudfront"), a.Says("x-cache", "redirect from cloudfront"):
		return source.Sure
	case a.Says("x-cache", "error from cloudfront") && source.Has(a.Body, "<TITLE>ERROR: "):
		return source.Sure
	}
	return source.No
}
