package node

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Node shows itself in answers. It names itself nowhere, but
// nobody else advertises how long it keeps a connection without naming itself
// or counting requests. Who set another time is a banner of its own, since the
// default does not hold there (Fastify sets 72 s).
var Banners = []source.Banner{
	{
		Tech: tech, Role: fact.RoleBackend,
		Wrote: func(a *source.Answer) source.Confidence {
			if d, _ := a.KeepAlive(); d.Known && d != idle {
				return source.No
			}
			return wrote(a)
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
			defaults(&source.Line{}, source.SettingsOf(p, out))
		},
	},
	{
		Tech: tech, Role: fact.RoleBackend,
		Wrote: func(a *source.Answer) source.Confidence {
			if d, _ := a.KeepAlive(); !d.Known || d == idle {
				return source.No
			}
			return wrote(a)
		},
		Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
			defaults(&source.Line{}, source.SettingsOf(p, func(s *fact.Setting) {
				if s.Knob != fact.KeepAliveIdle {
					out(s)
				}
			}))
		},
	},
}

// idle is what Node advertises where keepAliveTimeout is not set.
var idle = fact.Seconds(5)

func wrote(a *source.Answer) source.Confidence {
	switch by := a.Header("x-powered-by"); {
	case strings.HasPrefix(by, "Express"), strings.HasPrefix(by, "Next.js"), strings.HasPrefix(by, "Nuxt"):
		return source.Sure
	case a.Has("server"):
		return tagged(a)
	}
	if c := refused(a); c > source.No {
		return c
	}
	d, left := a.KeepAlive()
	switch {
	case !d.Known || left.Known || a.Reason == "" || !a.Has("date"): // an empty reason is Tomcat's
		return tagged(a)
	case d == idle:
		return source.Sure // without Connection, too: HAProxy takes that off
	}
	return source.Likely
}

// refused knows the answers that Node writes by hand to requests it could not
// read: a status line and one field.
func refused(a *source.Answer) source.Confidence {
	if a.Header("connection") != "close" || len(a.Body) > 0 || a.Has("date") || a.Has("content-type") || a.Has("content-length") {
		return source.No
	}
	switch {
	case a.Status == 400 && a.Reason == "Bad Request":
		return source.Likely
	case a.Status == 408 && a.Reason == "Request Timeout", a.Status == 431 && a.Reason == "Request Header Fields Too Large":
		return source.Likely + 20
	}
	return source.No
}

// tagged knows the entity tags of npm's etag, which Express and Koa set and
// gateways relay: the size in hexadecimal and 27 letters of a SHA-1.
func tagged(a *source.Answer) source.Confidence {
	const sum = 27
	tag, weak := strings.CutPrefix(a.Header("etag"), `W/"`)
	size, hash, ok := strings.Cut(strings.TrimSuffix(tag, `"`), "-")
	if !weak || !ok || len(hash) != sum || strings.Trim(size, "0123456789abcdef") != "" {
		return source.No
	}
	return source.Likely
}
