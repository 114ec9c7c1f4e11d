package linkerd

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Linkerd's proxy shows itself in answers: only on its own,
// where it says why there was none; Linkerd 1 did in another field.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway,
	Wrote: func(a *source.Answer) source.Confidence {
		if a.Has("l5d-proxy-error") || a.Has("l5d-err") {
			return source.Sure
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateDefaults(source.SettingsOf(p, out)) },
}}
