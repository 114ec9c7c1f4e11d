package python

import (
	"slices"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// servers are the names that Python's servers write into the field Server.
var servers = []string{"werkzeug", "basehttp", "simplehttp", "wsgiserver", "waitress", "tornadoserver", "daphne", "cheroot", "twistedweb"}

// Banners are how Python's servers show themselves in answers: by name.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleBackend,
	Wrote: func(a *source.Answer) source.Confidence {
		name, _ := a.Product("server")
		if slices.Contains(servers, name) || name == "python" && a.Says("server", "aiohttp/") {
			return source.Sure
		}
		return source.No
	},
	Version: func(a *source.Answer) string {
		_, v := a.Product("server")
		return v
	},
}}
