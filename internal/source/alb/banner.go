package alb

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Amazon's balancers show themselves in answers: they name
// themselves only on their own, and relay without a trace unless sessions are
// sticky.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleGateway,
	Wrote: func(a *source.Answer) source.Confidence {
		name, _ := a.Product("server")
		if name == "awselb" || strings.Contains(a.Reason, "Back-end server is at capacity") { // that is the classic one's
			return source.Sure
		}
		return source.No
	},
	Passed: func(a *source.Answer) source.Confidence {
		// AWSALB, AWSALBCORS, AWSALBTG; AWSELB is the classic balancer's.
		if c := a.Header("set-cookie"); strings.HasPrefix(c, "AWSALB") || strings.HasPrefix(c, "AWSELB") {
			return source.Sure
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
		stateDefaults(&fact.Request{Header: fact.Header{Party: p}}, false, source.SettingsOf(p, out))
	},
}}
