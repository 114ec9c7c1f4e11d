package kube

import (
	"bytes"
	"net/url"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// probeKinds are the fronts of what the kubelet says of a probe, and the word
// each stands for.
var probeKinds = []struct{ front, reason string }{
	{"Readiness probe ", "readiness"}, {"Liveness probe ", "liveness"}, {"Startup probe ", "startup"},
}

// probeOf splits "Readiness probe failed: text". ok is false if s is no such
// message.
func probeOf(s string) (reason, text string, ok bool) {
	for _, k := range probeKinds {
		rest, found := strings.CutPrefix(s, k.front)
		if !found {
			continue
		}
		for _, word := range [...]string{"failed", "errored", "warning"} {
			if after, found := strings.CutPrefix(rest, word); found {
				return k.reason, strings.TrimLeft(after, ": "), true
			}
		}
	}
	return "", "", false
}

// probeFailed fills in what the probe's own words tell: why, on which URL, of
// which address, after how long.
func probeFailed(e *fact.Event, text string) {
	e.Detail = detail(text)
	if e.Attrs == nil {
		e.Attrs = map[string]string{}
	}
	if why := probeWhy(text); why != "" {
		e.Attrs[fact.AttrWhy] = why
	}
	if _, code, ok := strings.Cut(text, "statuscode: "); ok {
		e.Attrs["status"] = digitsAt(code)
	}
	if u := urlIn(text); u != nil {
		e.Path = u.RequestURI()
		if e.Party.Address == "" {
			e.Party.Address = u.Host
		}
	} else if addr, ok := source.Between([]byte(text), "dial tcp ", ": "); ok && e.Party.Address == "" {
		e.Party.Address = string(addr)
	}
	for _, front := range [...]string{" timed out after ", `" within `} {
		if _, after, ok := strings.Cut(text, front); ok {
			f, _, _ := strings.Cut(after, " ")
			if d, ok := age(strings.TrimRight(f, `.:,"`)); ok {
				e.Lasted = d
			}
		}
	}
}

// probeWhy is the Attr "why" for a failed probe's text. A connection that the
// container closes without an answer counts with those it resets.
func probeWhy(text string) string {
	low := strings.ToLower(text)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(low, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("statuscode: ", "status code", "redirect terminated"):
		return "status"
	case has("connection refused"):
		return "refused"
	case has("no route to host", "network is unreachable", "host is down"):
		return "unreachable"
	case has("no such host", "server misbehaving"):
		return "dns"
	case has("x509", "tls:", "http response to https client", "malformed http"):
		return "tls"
	case has("connection reset", "broken pipe", "server closed"), strings.HasSuffix(strings.TrimRight(low, "\" "), "eof"):
		return "reset"
	case has("deadline exceeded", "client.timeout", "i/o timeout", "timed out", "timeout"):
		return "timeout"
	case has("net/http: request canceled"):
		return "timeout" // older kubelets name no more than that
	case has("not_serving", "service unhealthy"):
		return "status"
	case low == "":
		return ""
	}
	return "exec"
}

// urlIn finds the URL of an HTTP probe: Get "http://10.0.0.5:8080/healthz": or
// the same without quotes.
func urlIn(text string) *url.URL {
	i := strings.Index(text, "http://")
	if j := strings.Index(text, "https://"); i < 0 || j >= 0 && j < i {
		i = j
	}
	if i < 0 || i > 64 {
		return nil
	}
	raw := text[i:]
	end := strings.IndexAny(raw, "\" \t")
	if end < 0 {
		end = len(raw)
	}
	u, err := url.Parse(strings.TrimRight(raw[:end], ":\\"))
	if err != nil || u.Host == "" {
		return nil
	}
	return u
}

func digitsAt(s string) string {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n]
}

// probeLine is what describe prints of a probe: "http-get http://:8080/healthz
// delay=0s timeout=1s period=10s #success=1 #failure=3".
type probeLine struct {
	what                   string // as the Knob's Text: "http /healthz"
	timeout, period, delay fact.Dur
	failures               fact.Int
}

func readProbeLine(s string) (p probeLine, ok bool) {
	how, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	switch how {
	case "http-get":
		target, after, _ := strings.Cut(rest, " ")
		rest, p.what = after, "http "+pathOf(target)
	case "tcp-socket":
		target, after, _ := strings.Cut(rest, " ")
		rest, p.what = after, "tcp "+target
	case "grpc":
		target, after, _ := strings.Cut(rest, " ")
		rest, p.what = after, "grpc "+target
	case "exec":
		cmd, after, found := strings.Cut(rest, "] ")
		if !found {
			return p, false
		}
		rest, p.what = after, "exec "+strings.TrimPrefix(cmd, "[")
	default:
		return p, false
	}
	for f := range strings.FieldsSeq(rest) {
		k, v, _ := strings.Cut(f, "=")
		switch k {
		case "timeout":
			p.timeout, _ = age(v)
		case "period":
			p.period, _ = age(v)
		case "delay":
			p.delay, _ = age(v)
		case "#failure":
			p.failures = source.Int([]byte(v))
		}
	}
	return p, p.period.Known || p.timeout.Known
}

// pathOf is the path of "http://:8080/healthz".
func pathOf(target string) string {
	b := []byte(target)
	if i := bytes.Index(b, []byte("://")); i >= 0 {
		b = b[i+3:]
	}
	if i := bytes.IndexByte(b, '/'); i >= 0 {
		return string(b[i:])
	}
	return "/"
}
