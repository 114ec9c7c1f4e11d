package cloudflare

import (
	"fmt"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Cloudflare shows itself in answers. It puts its name over
// the origin's on everything; its own are the statuses nobody else has, and
// pages that it signs.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway, Wrote: wrote,
	Passed: func(a *source.Answer) source.Confidence {
		if ours(a) && wrote(a) == source.No {
			return source.Sure
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateDefaults(source.SettingsOf(p, out)) },
}}

func ours(a *source.Answer) bool {
	name, _ := a.Product("server")
	return a.Has("cf-ray") || name == tech || name == "cloudflare-nginx"
}

func wrote(a *source.Answer) source.Confidence {
	switch {
	case !ours(a) || a.Status < 400:
		return source.No
	case a.Status >= 520 && a.Status <= 530,
		source.HasPrefix(a.Body, fmt.Sprintf("error code: %d", a.Status)), source.HasPrefix(a.Body, "error code: 1"),
		source.Has(a.Body, "<hr><center>cloudflare"), source.Has(a.Body, "cf-error-details"), source.Has(a.Body, "cf-wrapper"):
		return source.Sure
	}
	return source.No
}
