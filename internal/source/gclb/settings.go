package gclb

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// docTimeouts states the time-outs below.
const docTimeouts = "https://cloud.google.com/load-balancing/docs/https/timeouts-and-retries"

// The balancer's documented time-outs.
const (
	backendKeepAlive = 600 * time.Second // fixed, cannot be set
	clientKeepAlive  = 610 * time.Second // httpKeepAliveTimeoutSec, 5 to 1200 s
	backendService   = 30 * time.Second  // timeoutSec of a backend service
)

// stateLimits states the balancer's own time-outs: what does not change, and
// what holds unless the backend service says otherwise.
func stateLimits(p fact.Party, service string, out source.Sink) {
	s := fact.Setting{Basis: fact.Default, Object: service}
	s.Party = fact.Party{Role: p.Role, Tech: p.Tech, Name: p.Name}
	s.Origin.URL = docTimeouts
	for _, x := range []fact.Setting{
		{Knob: fact.PoolIdle, Dur: fact.Lasting(backendKeepAlive)},
		{Knob: fact.UpstreamReply, Dur: fact.Lasting(backendService),
			Spelling: "gcloud compute backend-services update SERVICE --global --timeout={s}s", Where: "backend service"},
		{Knob: fact.KeepAliveIdle, Dur: fact.Lasting(clientKeepAlive),
			Spelling: "gcloud compute target-https-proxies update PROXY --http-keep-alive-timeout-sec={s}", Where: "target proxy"},
		{Knob: fact.UpstreamRetry, Text: "once, for requests without a body that got 502, 503 or 504"},
	} {
		c := s
		c.Knob, c.Dur, c.Text, c.Spelling, c.Where = x.Knob, x.Dur, x.Text, x.Spelling, x.Where
		out.State(&c)
	}
}
