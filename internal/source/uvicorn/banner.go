package uvicorn

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how uvicorn and Hypercorn show themselves in answers.
var Banners = []source.Banner{
	{
		Tech: tech, Role: fact.RoleBackend,
		Wrote: func(a *source.Answer) source.Confidence {
			switch name, _ := a.Product("server"); {
			case name == tech:
				return source.Sure
			case a.Status == 400 && source.HasPrefix(a.Body, "Invalid HTTP request received."):
				return source.Likely + 20 // written before any application, and before the field Server
			}
			return source.No
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
			(&reader{}).defaults(&source.Line{}, source.SettingsOf(p, out))
		},
	},
	{
		Tech: tech, Role: fact.RoleBackend,
		Wrote: func(a *source.Answer) source.Confidence {
			if name, _ := a.Product("server"); strings.HasPrefix(name, "hypercorn") { // hypercorn-h11, hypercorn-h2
				return source.Sure
			}
			return source.No
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
			hypercornDefaults(0, source.SettingsOf(p, out))
		},
	},
}
