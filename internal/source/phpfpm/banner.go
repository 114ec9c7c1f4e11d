package phpfpm

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how PHP shows itself in answers. It speaks no HTTP of its own, so
// whoever is on the connection relayed it, and PHP-FPM's defaults are not those
// of that party. Within Apache it may as well be a module; PHP's development
// server echoes the field Host.
var Banners = []source.Banner{{
	Tech: tech, Role: fact.RoleBackend,
	Wrote: func(a *source.Answer) source.Confidence {
		if !strings.HasPrefix(a.Header("x-powered-by"), "PHP/") || a.Has("host") {
			return source.No
		}
		if name, _ := a.Product("server"); name == "apache" || name == "litespeed" {
			return source.Fragment
		}
		return source.Likely
	},
	Version: func(a *source.Answer) string {
		_, v := a.Product("x-powered-by")
		return v
	},
}}
