package cause

import (
	"fmt"
	"math"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// MaxCited bounds the facts a signal cites of many alike.
const MaxCited = 5

// Cite returns what was said of the first failures.
func Cite(fs []*failure.Failure) []fact.Fact {
	var out []fact.Fact
	for _, f := range fs {
		for _, x := range f.Facts() {
			if len(out) == MaxCited {
				return out
			}
			out = append(out, x)
		}
	}
	return out
}

// Events returns events as facts to cite.
func Events(es []*fact.Event) []fact.Fact {
	var out []fact.Fact
	for _, e := range es {
		if len(out) == MaxCited {
			break
		}
		out = append(out, e)
	}
	return out
}

// Count says "1 request", "2 requests".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "s") || strings.HasSuffix(what, "ch") {
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Span says a duration as people do: "6 s", "350 ms", "10 min".
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + Span(-d)
	case d < time.Millisecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second && d%time.Second != 0:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute || d%time.Minute != 0 && d < 10*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// Lasts says a setting's duration, and on what basis it is known if it is only
// a default.
func Lasts(s *fact.Setting) string {
	out := s.Text
	if s.Dur.Known {
		out = Span(s.Dur.D)
	} else if s.Num.Known {
		out = fmt.Sprint(s.Num.N)
	} else if out == "none" {
		out = "ever"
	}
	if s.Basis == fact.Default {
		out += " by default"
	}
	return out
}

// Spell writes a knob with a value in its owner's words.
func Spell(spelling string, d time.Duration) string {
	s := strings.ReplaceAll(spelling, "{s}", fmt.Sprintf("%d", int64(d.Seconds())))
	s = strings.ReplaceAll(s, "{ms}", fmt.Sprintf("%d", d.Milliseconds()))
	return strings.ReplaceAll(s, "{m}", fmt.Sprintf("%d", int64(d.Minutes())))
}

// SpellNum writes a knob with a number in its owner's words.
func SpellNum(spelling string, n int64) string {
	return strings.ReplaceAll(spelling, "{n}", fmt.Sprint(n))
}

// FromP turns a p-value into decibans: -10·log10 p, at most 40.
func FromP(p float64) float64 {
	if p <= 1e-4 {
		return 40
	}
	return -10 * math.Log10(p)
}

// titles are technologies' names as their makers write them.
var titles = map[string]string{
	"nginx": "nginx", "haproxy": "HAProxy", "apache": "Apache", "caddy": "Caddy", "traefik": "Traefik", "varnish": "Varnish", "envoy": "Envoy",
	"gclb": "the Google Cloud load balancer", "alb": "the AWS load balancer", "cloudfront": "CloudFront", "cloudflare": "Cloudflare", "azure": "Azure Application Gateway", "heroku": "the Heroku router",
	"node": "Node", "gunicorn": "gunicorn", "uvicorn": "uvicorn", "uwsgi": "uWSGI", "phpfpm": "php-fpm", "puma": "Puma", "unicorn": "Unicorn", "ruby": "the Ruby server", "golang": "the Go server", "jvm": "the Java server",
	"python": "the Python application", "linux": "the kernel", "journal": "systemd", "kube": "Kubernetes", "docker": "Docker", "linkerd": "Linkerd", "applog": "the application",
}

// TechTitle is how a technology is called in a sentence; "the proxy" if it is
// not known.
func TechTitle(tech string) string {
	if t := titles[tech]; t != "" {
		return t
	}
	if tech == "" {
		return "the proxy"
	}
	return tech
}

// PortOf is the port of an address, "PORT" if it names none.
func PortOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 && i+1 < len(addr) && !strings.Contains(addr, "/") {
		return addr[i+1:]
	}
	return "PORT"
}

// Burst returns how many failures have a time, and how many lie in the second
// that has the most. Failures stamped in one second count by their number.
func Burst(fs []*failure.Failure) (timed, most int) {
	per := map[int64]int{}
	for _, f := range fs {
		if !f.Time.IsZero() {
			timed += f.N
			s := f.Time.Unix()
			per[s] += f.N
			most = max(most, per[s])
		}
	}
	return timed, most
}

// ServerIdle is how long the asked server keeps an idle connection, as far as
// its own settings tell; nil if they do not. With several backends known, only
// one of a technology that the evidence shows to run is taken; what a capture
// measured of the very server is taken first.
func ServerIdle(e *failure.Episode) *fact.Setting {
	if len(e.Failures) > 0 {
		if s := MeasuredAt(e.World, e.Failures[0].Try.Address, fact.KeepAliveIdle); s != nil {
			return s
		}
	}
	return e.World.Setting(fact.RoleBackend, backendTech(e), fact.KeepAliveIdle)
}

// PoolIdle is how long the gateway keeps an idle connection to its servers;
// nil if not known.
func PoolIdle(e *failure.Episode) *fact.Setting {
	return e.World.Setting(fact.RoleGateway, e.Gateway.Tech, fact.PoolIdle)
}

// backendTech is the technology of the failing backend where it is told, or
// the only one known.
func backendTech(e *failure.Episode) string {
	for _, f := range e.Failures {
		if t := f.Backend.Tech; t != "" {
			return t
		}
	}
	return ""
}

// Cut shortens a text to n bytes, at a blank where there is one near.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = strings.ToValidUTF8(s[:n], "")
	if i := strings.LastIndexByte(s, ' '); i > n*2/3 {
		s = s[:i]
	}
	return s + " ..."
}

// Bytes says a size: "4 KiB", "700 bytes".
func Bytes(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.3g GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.3g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.3g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
