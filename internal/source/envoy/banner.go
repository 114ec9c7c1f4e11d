package envoy

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Envoy shows itself in answers: it puts its name over that of
// whom it relays, and says how long that one took. The proxies of Istio have a
// name and time-outs of their own.
var Banners = []source.Banner{
	{
		Tech: tech, Role: fact.RoleGateway,
		Wrote:    func(a *source.Answer) source.Confidence { return wrote(a, true) },
		Passed:   func(a *source.Answer) source.Confidence { return passed(a, true) },
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateDefaults(true, source.SettingsOf(p, out)) },
	},
	{
		Tech: tech, Role: fact.RoleGateway,
		Wrote:    func(a *source.Answer) source.Confidence { return wrote(a, false) },
		Passed:   func(a *source.Answer) source.Confidence { return passed(a, false) },
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { stateDefaults(false, source.SettingsOf(p, out)) },
	},
}

// member is the field Envoy adds to what a member answered.
const member = "x-envoy-upstream-service-time"

func meshed(a *source.Answer) bool {
	name, _ := a.Product("server")
	return name == "istio-envoy" || a.Has("x-envoy-decorator-operation")
}

func wrote(a *source.Answer, istio bool) source.Confidence {
	if meshed(a) != istio {
		return source.No
	}
	name, _ := a.Product("server")
	switch {
	case source.HasPrefix(a.Body, connectText), source.HasPrefix(a.Body, noneText), source.HasPrefix(a.Body, timeoutText):
		if a.Says("via", "google") {
			return source.Possible // Google's balancer is made of it
		}
		return source.Sure
	case (name == "envoy" || name == "istio-envoy") && !a.Has(member):
		return source.Likely
	}
	return source.No
}

func passed(a *source.Answer, istio bool) source.Confidence {
	if meshed(a) == istio && a.Has(member) {
		return source.Sure
	}
	return source.No
}
