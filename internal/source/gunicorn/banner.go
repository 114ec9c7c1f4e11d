package gunicorn

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how gunicorn shows itself in answers. An answer that leaves the
// connection open comes of a worker with keep-alive; one that closes it may
// come of any, since the client may have asked for it. Its own error pages
// name nobody.
var Banners = []source.Banner{
	{
		Tech: tech, Role: fact.RoleBackend, Version: version,
		Wrote: func(a *source.Answer) source.Confidence {
			if name, _ := a.Product("server"); name == tech && a.Says("connection", "keep-alive") && !a.Has("via") {
				return source.Sure
			}
			return source.No
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
			defaults("gthread", nil, 0, source.SettingsOf(p, out))
		},
	},
	{
		Tech: tech, Role: fact.RoleBackend, Version: version,
		Wrote: func(a *source.Answer) source.Confidence {
			name, _ := a.Product("server")
			if name == tech || a.Status >= 400 && source.HasPrefix(a.Body, "<html>\n  <head>\n    <title>") && source.Has(a.Body, "<h1><p>") {
				return source.Sure
			}
			return source.No
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
			defaults("", nil, 0, source.SettingsOf(p, out))
		},
	},
}

// version is told by gunicorn before 20.1.
func version(a *source.Answer) string {
	_, v := a.Product("server")
	return v
}
