package uwsgi

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how uWSGI shows itself in answers: only where no application
// could be asked. Otherwise it adds nothing, not even a date.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleBackend,
	Wrote: func(a *source.Answer) source.Confidence {
		if a.Status == 500 && string(a.Body) == "Internal Server Error" && a.Header("content-type") == "text/plain" &&
			!a.Has("date") && !a.Has("server") && !a.Has("content-length") {
			return source.Likely
		}
		return source.No
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
		stateDefaults(0, nil, source.SettingsOf(p, out))
	},
}}
