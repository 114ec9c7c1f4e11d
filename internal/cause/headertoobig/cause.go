// Package headertoobig judges answers whose header is over the proxy's limit.
package headertoobig

import (
	"fmt"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "header-too-big",
	Title: "The server's response header is larger than the proxy takes",
	What:  "The answer's header (cookies, tokens, long redirects) does not fit the proxy's buffer, so the proxy throws the answer away and sends 502. It hits only users whose cookies or sessions are large.",
	Shows: []string{
		"nginx: upstream sent too big header while reading response header from upstream",
		"Google: backend_response_headers_too_long; CloudFront: OriginHeaderTooBigError",
		"always the same users or the same path (login, authorize), at once",
	},
	Fixes: []string{
		"make the header smaller: fewer and shorter Set-Cookie lines, sessions kept on the server",
		"or raise the proxy's buffer for the response header",
	},
	Links:      []string{"https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffer_size"},
	Mechanisms: []fact.Mechanism{fact.ReplyTooBig},
	Prior:      0,
	Explain:    explain,
}

// wantBuffer is what nginx's buffer is raised to: four pages, twice the 8 KiB
// that most servers and browsers take for all cookies together.
const wantBuffer = "16k"

func explain(e *failure.Episode) cause.Opinion {
	if len(e.Failures) == 0 {
		return cause.Opinion{}
	}
	f := e.Failures[0]
	o := cause.Opinion{Blame: f.Backend}
	o.Signals = append(o.Signals, cause.Itself(e, 20, "the proxy says so in words of its own", fmt.Sprintf("the proxy threw away %s: the header is over its limit", cause.Count(e.N(), "answer"))))
	limit := e.World.Setting(fact.RoleGateway, e.Gateway.Tech, fact.UpstreamHeaderMax)
	o.Fix.Summary = "Make the response header smaller (Set-Cookie, tokens), or raise the proxy's buffer for it."
	if limit != nil && limit.Num.Known {
		o.Fix.Summary = fmt.Sprintf("Make the response header smaller than %s, or raise that limit.", cause.Bytes(limit.Num.N))
		o.Signals = append(o.Signals, cause.For(0, "the limit itself", "the limit is "+cause.Bytes(limit.Num.N), limit))
	}
	switch e.Gateway.Tech {
	case "nginx":
		name := "proxy"
		for _, r := range f.Seen {
			switch r.Attrs[fact.AttrProtocol] {
			case "fastcgi", "uwsgi", "scgi", "grpc":
				name = r.Attrs[fact.AttrProtocol]
			}
		}
		o.Fix.Patch = fmt.Sprintf("%s_buffer_size %s;\n%s_buffers 8 %s;\n%s_busy_buffers_size 32k;", name, wantBuffer, name, wantBuffer, name)
		o.Fix.Steps = []string{"nginx.conf, location or server block, as below; in ingress-nginx: annotation nginx.ingress.kubernetes.io/proxy-buffer-size: \"" + wantBuffer + "\""}
	case "haproxy":
		o.Fix.Patch = "global\n  tune.bufsize 32768"
	case "gclb":
		o.Fix.Steps = []string{"the balancer's limit of about 128 KB cannot be raised: the header has to become smaller"}
	}
	if cs := e.Contrasts(); len(cs) > 0 {
		o.Fix.Steps = append(o.Fix.Steps, fmt.Sprintf("it gathers at %s %s: look at what is set there", cs[0].Property, cs[0].Value))
	}
	return o
}
