package ruby

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Ruby's servers show themselves in answers. Puma does so only
// where the application raised and nothing caught it; what Rails adds tells
// nothing of the server below it.
var Banners = []source.Banner{
	{
		Tech: tech, Role: fact.RoleBackend,
		Wrote: func(a *source.Answer) source.Confidence {
			if a.Status >= 400 && (source.HasPrefix(a.Body, "An unhandled lowlevel error occurred.") || source.HasPrefix(a.Body, "Puma caught this error")) {
				return source.Sure
			}
			return source.No
		},
		Defaults: func(p fact.Party, version string, out func(*fact.Setting)) {
			pumaDefaults(version, 0, source.SettingsOf(p, out))
		},
	},
	{
		Tech: tech, Role: fact.RoleBackend,
		Wrote: func(a *source.Answer) source.Confidence {
			name, _ := a.Product("server")
			switch {
			case name == "webrick", name == "thin", a.Says("server", "phusion passenger"), a.Says("x-powered-by", "phusion passenger"):
				return source.Sure
			case a.Has("x-runtime") && strings.Contains(a.Header("x-runtime"), ".") && a.Has("x-request-id"):
				return source.Likely // Rack::Runtime and ActionDispatch
			}
			return source.No
		},
	},
}
