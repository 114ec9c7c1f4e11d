// Package varnish reads what Varnish writes: varnishncsa's access lines, the
// transactions of varnishlog (grouped, by transaction or raw), the states of
// backends that its probes find, the manager's lines about its child, and the
// backends of a VCL file.
//
// An access line's date is when the request came in. Every failed fetch is a
// 503 "Backend fetch failed" to the client; why, only varnishlog tells, in the
// record FetchError of the transaction towards the backend. A 503 without one
// is the backend's own, or comes out of the cache. A reused connection that
// dies before any byte is tried again once where the body allows it.
//
// Words are those of versions 3 to 7.
package varnish

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "varnish"

// Formats are the formats of Varnish.
var Formats = []source.Format{transactions, access, daemon, vcl}

func gateway() fact.Party { return fact.Party{Role: fact.RoleGateway, Tech: tech} }

// documented are the defaults that matter when a fetch fails, with the name of
// the parameter.
var documented = []struct {
	knob     fact.Knob
	dur      time.Duration
	num      int64
	spelling string
	page     string
}{
	{fact.UpstreamReply, 60 * time.Second, 0, ".first_byte_timeout = {s}s;", "first-byte-timeout"},
	{fact.UpstreamConnect, 3500 * time.Millisecond, 0, ".connect_timeout = {s}s;", "connect-timeout"},
	{fact.PoolIdle, 60 * time.Second, 0, "varnishd -p backend_idle_timeout={s}", "backend-idle-timeout"},
	{fact.KeepAliveIdle, 5 * time.Second, 0, "varnishd -p timeout_idle={s}", "timeout-idle"},
	{fact.UpstreamHeaderMax, 0, 32 << 10, "varnishd -p http_resp_size={n}", "http-resp-size"},
	{fact.HealthPeriod, 5 * time.Second, 0, ".probe = { .interval = {s}s; }", "probes"},
	{fact.HealthTimeout, 2 * time.Second, 0, ".probe = { .timeout = {s}s; }", "probes"},
}

// manual is where the parameters are documented.
const manual = "https://varnish-cache.org/docs/7.5/reference/varnishd.html#"

// stateDefaults states the documented defaults of knobs not in set.
func stateDefaults(out source.Sink, set map[string]bool) {
	for _, d := range documented {
		if set[string(d.knob)] {
			continue
		}
		s := &fact.Setting{Knob: d.knob, Basis: fact.Default, Spelling: d.spelling}
		s.Party = gateway()
		s.Origin.URL = manual + d.page
		if d.page == "probes" {
			s.Origin.URL = "https://varnish-cache.org/docs/7.5/reference/vcl-probe.html"
		}
		if d.dur > 0 {
			s.Dur = fact.Lasting(d.dur)
		}
		if d.num > 0 {
			s.Num = fact.Num(d.num)
		}
		out.State(s)
	}
}
