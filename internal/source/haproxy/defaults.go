package haproxy

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// manual is where chapters of the configuration manual stand.
const manual = "https://docs.haproxy.org/3.0/configuration.html#"

// maxRewrite is what tune.maxrewrite keeps free of a buffer, in bytes; the
// header of an answer has the rest.
const maxRewrite = 1024

// documented are the defaults that matter when an answer fails.
var documented = []struct {
	knob     fact.Knob
	dur      time.Duration
	num      int64
	text     string
	spelling string
	where    string
	chapter  string
}{
	{knob: fact.UpstreamRetry, text: "conn-failure", spelling: "retry-on {text}", where: "backend", chapter: "4-retry-on"},
	// Every pool-purge-delay, half of the idle connections are closed; none
	// has an age of its own.
	{knob: fact.PoolIdle, dur: 5 * time.Second, spelling: "pool-purge-delay {s}s", where: "server", chapter: "5.2-pool-purge-delay"},
	{knob: fact.UpstreamHeaderMax, num: 16384 - maxRewrite, spelling: "tune.bufsize {n}", where: "global", chapter: "3.2-tune.bufsize"},
	{knob: fact.HealthPeriod, dur: 2 * time.Second, spelling: "server … inter {s}s", where: "server", chapter: "5.2-inter"},
	{knob: fact.HealthThreshold, num: 3, spelling: "server … fall {n}", where: "server", chapter: "5.2-fall"},
	{knob: fact.UpstreamReply, text: "none", spelling: "timeout server {s}s", where: "backend", chapter: "4-timeout%20server"},
	{knob: fact.UpstreamConnect, text: "none", spelling: "timeout connect {s}s", where: "backend", chapter: "4-timeout%20connect"},
}

// stateDefaults states the documented defaults of knobs not in set. Without a
// configuration (set nil), those are left out that nearly every configuration
// sets, because HAProxy warns at its start where it does not.
func stateDefaults(out source.Sink, set map[string]bool) {
	for _, d := range documented {
		if set[string(d.knob)] || set == nil && d.text == "none" {
			continue
		}
		s := &fact.Setting{Knob: d.knob, Text: d.text, Basis: fact.Default, Spelling: d.spelling, Where: d.where}
		s.Party = gateway()
		s.Origin.URL = manual + d.chapter
		if d.dur > 0 {
			s.Dur = fact.Lasting(d.dur)
		}
		if d.num > 0 {
			s.Num = fact.Num(d.num)
		}
		out.State(s)
	}
}

// fallbacks states time-outs that take another's value where they are not set.
func (r *configReader) fallbacks() {
	if !r.set[string(fact.KeepAliveIdle)] {
		for _, name := range [...]string{"http-request", "client"} {
			if d, ok := r.slow[name]; ok {
				s := r.setting(fact.KeepAliveIdle, "timeout http-keep-alive {s}s")
				s.Dur, s.Basis = d, fact.Default
				s.Where, s.Object = "defaults", ""
				s.Origin = fact.Origin{Line: r.slowLine[name], URL: manual + "4-timeout%20http-keep-alive"}
				r.out.State(s)
				return
			}
		}
	}
}
