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
		Passed: relayed,
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

// ownAnswer knows what nginx itself answers: its pages, which it signs, and
// files, whose tag it makes of their date and size. Kong's are objects instead.
func ownAnswer(a *source.Answer) source.Confidence {
	if _, _, ok := signature(a); ok || a.Has("x-kong-response-latency") && !a.Has("x-kong-upstream-latency") {
		return source.Sure
	}
	if at := a.Modified(); !at.IsZero() && a.Has("content-length") {
		size := source.Int([]byte(a.Header("content-length")))
		if size.Known && a.Header("etag") == fmt.Sprintf(`"%x-%x"`, at.Unix(), size.N) {
			return source.Likely
		}
	}
	return source.No
}

// signature reads the last line of a page: "<hr><center>nginx/1.22.1</center>".
func signature(a *source.Answer) (name, version string, ok bool) {
	_, sign, found := strings.Cut(source.View(a.Body), "<hr><center>")
	if !found || a.Status < 300 {
		return "", "", false
	}
	sign, _, _ = strings.Cut(sign, "<")
	name, version, _ = strings.Cut(strings.ToLower(sign), "/")
	return name, version, slices.Contains(kin, name)
}

// relayed says how sure it is that an answer under nginx's name is another's:
// another nginx's, where that signed with another version.
func relayed(a *source.Answer) source.Confidence {
	if a.Has("x-kong-upstream-latency") {
		return source.Sure
	}
	if !signs(a) {
		return source.No
	}
	if name, version, ok := signature(a); ok {
		if front, v := a.Product("server"); front != name || v != version {
			return source.Likely
		}
		return source.No
	}
	switch ownAnswer(a) {
	case source.Sure:
		return source.No
	case source.No:
		return source.Likely
	}
	return source.Possible
}
