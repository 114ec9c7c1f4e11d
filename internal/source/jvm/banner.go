package jvm

import (
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how servers of the Java virtual machine show themselves in
// answers. Tomcat names itself nowhere, but writes no reason behind the status,
// in HTTP/1.1 as nobody else without a name.
var Banners = []source.Banner{
	{Tech: tech, Role: fact.RoleBackend, Wrote: jetty, Version: jettyVersion, Defaults: of("Jetty")},
	{Tech: tech, Role: fact.RoleBackend, Wrote: undertow, Defaults: of("Undertow")},
	{
		Tech: tech, Role: fact.RoleBackend, Defaults: of("Tomcat"),
		Wrote: func(a *source.Answer) source.Confidence {
			if ownIdle(a) {
				return source.No
			}
			return tomcat(a)
		},
	},
	{
		Tech: tech, Role: fact.RoleBackend, Wrote: tomcat, // its idle time is set, and advertised
		Defaults: func(p fact.Party, version string, out func(*fact.Setting)) {
			of("Tomcat")(p, version, func(s *fact.Setting) {
				if s.Knob != fact.KeepAliveIdle {
					out(s)
				}
			})
		},
	},
	{Tech: tech, Role: fact.RoleBackend, Wrote: spring},
}

func of(server string) func(fact.Party, string, func(*fact.Setting)) {
	return func(p fact.Party, _ string, out func(*fact.Setting)) { defaults(server, 0, source.SettingsOf(p, out)) }
}

// ownIdle reports whether an answer advertises another idle time than Tomcat's
// default.
func ownIdle(a *source.Answer) bool {
	d, _ := a.KeepAlive()
	return d.Known && d.D != time.Minute
}

func tomcat(a *source.Answer) source.Confidence {
	switch name, _ := a.Product("server"); {
	case name == "apache-coyote":
		return source.Sure
	case a.Status >= 400 && source.HasPrefix(a.Body, `<!doctype html><html lang="`) && source.Has(a.Body, "<title>HTTP Status "):
		return source.Sure
	case a.Reason != "" || a.Proto != "HTTP/1.1" || name != "" && name != "nginx" && name != "apache":
		return source.No
	case bootError(a):
		return source.Sure
	}
	return source.Likely
}

func jetty(a *source.Answer) source.Confidence {
	name, _ := a.Product("server")
	if name == "jetty" || source.HasPrefix(a.Body, "<h1>Bad Message ") || a.Status >= 400 && source.Has(a.Body, "<body><h2>HTTP ERROR ") {
		return source.Sure
	}
	return source.No
}

func jettyVersion(a *source.Answer) string {
	if name, v := a.Product("server"); name == "jetty" {
		return v
	}
	return ""
}

func undertow(a *source.Answer) source.Confidence {
	name, _ := a.Product("server")
	if name == "wildfly" || name == "jboss-eap" || name == "undertow" || strings.HasPrefix(a.Header("x-powered-by"), "Undertow") {
		return source.Sure
	}
	return source.No
}

// spring knows Spring Boot's error page and object, whatever server is below.
func spring(a *source.Answer) source.Confidence {
	name, _ := a.Product("server")
	switch {
	case name == "akka-http", a.Status >= 400 && source.Has(a.Body, "<h1>Whitelabel Error Page</h1>"):
		return source.Sure
	case bootError(a):
		return source.Likely
	}
	return source.No
}

// bootError knows {"timestamp":"...","status":404,"error":"Not Found","path":"/x"}.
func bootError(a *source.Answer) bool {
	return a.Status >= 400 && source.HasPrefix(a.Body, `{"timestamp":`) && source.Has(a.Body, `"status":`) && source.Has(a.Body, `"path":"`)
}
