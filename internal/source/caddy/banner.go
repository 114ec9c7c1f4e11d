package caddy

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Caddy shows itself in answers. It puts its name before that
// of the server whose answer it relays; newer versions say Via instead
// (reverseproxy.go). Its own errors have no body.
var Banners = []source.Banner{{
	Tech: tech,
	Wrote: func(a *source.Answer) source.Confidence {
		switch {
		case !named(a):
			return source.No
		case empty(a):
			return source.Likely + 20
		case file(a):
			return source.Likely
		}
		return source.Possible
	},
	Passed: func(a *source.Answer) source.Confidence {
		switch {
		case a.Says("via", " caddy"):
			return source.Sure
		case !named(a):
			return source.No
		case empty(a):
			return source.No
		case file(a):
			return source.Possible
		}
		return source.Likely
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
		stateDefaults(source.SettingsOf(p, out), nil)
	},
}}

func named(a *source.Answer) bool {
	name, _ := a.Product("server")
	return name == tech && !a.Says("via", " caddy")
}

func empty(a *source.Answer) bool {
	return a.Status >= 400 && a.Header("content-length") == "0" && !a.Has("content-type")
}

// file knows Caddy's file server by its tags, which have neither the mark of a
// weak one nor the hyphen that nginx and Apache put between date and size.
func file(a *source.Answer) bool {
	tag := a.Header("etag")
	return a.Status == 200 && a.Header("accept-ranges") == "bytes" && a.Has("last-modified") && strings.HasPrefix(tag, `"`) && !strings.Contains(tag, "-")
}
