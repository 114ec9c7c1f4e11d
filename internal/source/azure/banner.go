package azure

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Azure's gateways show themselves in answers: Application
// Gateway names itself on its own and relays without a trace unless sessions
// are sticky; Front Door numbers everything.
var Banners = []source.Banner{
	{
		Tech: tech, Role: fact.RoleGateway,
		Wrote: func(a *source.Answer) source.Confidence {
			if name, _ := a.Product("server"); name == "microsoft-azure-application-gateway" {
				return source.Sure
			}
			return source.No
		},
		Passed: func(a *source.Answer) source.Confidence {
			if a.Says("set-cookie", "ApplicationGatewayAffinity") {
				return source.Sure
			}
			return source.No
		},
		Version: func(a *source.Answer) string {
			_, v := a.Product("server")
			return v
		},
		Defaults: func(p fact.Party, version string, out func(*fact.Setting)) {
			stateDefaults(p, false, version == "v1", source.SettingsOf(p, out))
		},
	},
	{
		Tech: tech, Role: fact.RoleGateway,
		Wrote: func(a *source.Answer) source.Confidence {
			if a.Has("x-azure-externalerror") {
				return source.Sure
			}
			return source.No
		},
		Passed: func(a *source.Answer) source.Confidence {
			if a.Has("x-azure-ref") && !a.Has("x-azure-externalerror") {
				return source.Sure
			}
			return source.No
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
			stateDefaults(p, true, false, source.SettingsOf(p, out))
		},
	},
}
