package nginx

import (
	"fmt"
	"slices"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// kin are the names that nginx and what is made of it write into the field
// Server and below its pages.
var kin = []string{"nginx", "openresty", "tengine", "angie", "kong", "apisix", "nginx-plus"}

// Banners are how nginx shows itself in answers. It puts its own name into the
// field Server of what it relays, too; only its pages and its files are its
// own for sure. ingress-nginx takes the field away.
var Banners = []source.Banner{
	{
		Tech: "nginx", Role: fact.RoleGateway,
		Wrote: func(a *source.Answer) source.Confidence {
			if a.Has("server") {
				return source.No
			}
			return ownAnswer(a)
		},
		Passed: func(a *source.Answer) source.Confidence {
			// Its strict-transport-security, which Azure's services write as well.
			if !a.Has("server") && ownAnswer(a) == source.No && a.Header("strict-transport-security") == ingressHSTS &&
				!a.Has("x-ms-request-id") && !a.Has("request-id") && !a.Has("x-envoy-upstream-service-time") {
				return source.Likely
			}
			return source.No
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) { ingressDefaults(source.SettingsOf(p, out)) },
	},
	{
		Tech: "nginx",
		Wrote: func(a *source.Answer) source.Confidence {
			c := ownAnswer(a)
			if c == source.No && signs(a) {
				return source.Possible
			}
			return c
		},
		Passed: func(a *source.Answer) source.Confidence {
			switch {
			case !signs(a):
				return source.No
			case ownAnswer(a) > source.No:
				return source.Possible // of another nginx, perhaps
			}
			return source.Likely
		},
		Version: func(a *source.Answer) string {
			if !signs(a) {
				return ""
			}
			_, v := a.Product("server")
			return v
		},
		Defaults: func(p fact.Party, version string, out func(*fact.Setting)) {
			to := source.SettingsOf(p, out)
			serverDefaults(to, "nginx.conf", nil, version)
			proxyDefaults(to)
		},
	},
}

// ingressHSTS is what ingress-nginx writes unless told otherwise.
const ingressHSTS = "max-age=15724800; includeSubDomains"

func signs(a *source.Answer) bool {
	name, _ := a.Product("server")
	return slices.Contains(kin, name)
}

// ownAnswer knows what nginx itself answers: its pages, which it signs, and files,
// whose tag it makes of their date and size.
func ownAnswer(a *source.Answer) source.Confidence {
	if _, signature, ok := strings.Cut(source.View(a.Body), "<hr><center>"); ok && a.Status >= 300 {
		name, _, _ := strings.Cut(signature, "<")
		name, _, _ = strings.Cut(name, "/")
		if slices.Contains(kin, strings.ToLower(name)) {
			return source.Sure
		}
	}
	if at := a.Modified(); !at.IsZero() && a.Has("content-length") {
		size := source.Int([]byte(a.Header("content-length")))
		if size.Known && a.Header("etag") == fmt.Sprintf(`"%x-%x"`, at.Unix(), size.N) {
			return source.Likely
		}
	}
	return source.No
}
