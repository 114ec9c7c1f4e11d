package apache

import (
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// worker reads "ProxyPass /path http://host:port/ key=value ..." and its like.
func (r *configReader) worker(name string, w []string) {
	url := ""
	for _, a := range w {
		if strings.Contains(a, "://") || a == "!" {
			url = a
			break
		}
	}
	if url == "!" {
		return
	}
	object := url
	if n := len(r.blocks); n > 0 && strings.HasPrefix(r.blocks[n-1], "Proxy ") {
		object = strings.TrimPrefix(r.blocks[n-1], "Proxy ")
	}
	if url != "" && !strings.HasPrefix(url, "balancer://") {
		s := r.setting(fact.UpstreamAddress, directive[name]+" {text}")
		s.Object, s.Text = object, address(url)
		r.out.State(s)
	}
	for _, a := range w {
		key, value, ok := strings.Cut(a, "=")
		if !ok || strings.ContainsAny(key, "/:") {
			continue
		}
		r.option(strings.ToLower(key), strings.Trim(value, `"`), object)
	}
}

// directive is how each directive with a worker's address is written.
var directive = map[string]string{"proxypass": "ProxyPass", "proxypassmatch": "ProxyPassMatch", "balancermember": "BalancerMember", "proxyset": "ProxySet"}

// address is the host and port, or socket, of a worker's URL.
func address(url string) string {
	if path, ok := strings.CutPrefix(url, "unix:"); ok {
		path, _, _ = strings.Cut(path, "|")
		return "unix:" + path
	}
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	if !strings.Contains(strings.TrimLeft(host, "[0123456789abcdef:"), ":") && !strings.Contains(host, "$") {
		switch scheme {
		case "http", "ws":
			host += ":80"
		case "https", "wss":
			host += ":443"
		case "fcgi":
			host += ":8000"
		case "ajp":
			host += ":8009"
		}
	}
	return host
}

// option reads a worker's parameter.
func (r *configReader) option(key, value, object string) {
	state := func(k fact.Knob, spelling string, unit time.Duration) {
		s := r.setting(k, spelling)
		s.Object = object
		if unit > 0 {
			s.Dur = duration(value, unit)
		} else {
			s.Num = source.Int([]byte(value))
		}
		if s.Dur.Known || s.Num.Known {
			r.out.State(s)
		}
	}
	switch key {
	case "ttl":
		state(fact.PoolIdle, "ttl={s}", time.Second)
	case "timeout":
		state(fact.UpstreamReply, "timeout={s}", time.Second)
	case "connectiontimeout":
		state(fact.UpstreamConnect, "connectiontimeout={s}", time.Second)
	case "acquire":
		state(fact.UpstreamQueue, "acquire={ms}", time.Millisecond)
	case "retry":
		state(fact.FailTimeout, "retry={s}", time.Second)
	case "max":
		state(fact.UpstreamMax, "max={n}", 0)
	case "smax":
		state(fact.PoolSize, "smax={n}", 0)
	case "hcinterval":
		state(fact.HealthPeriod, "hcinterval={s}", time.Second)
	case "hcfails":
		state(fact.HealthThreshold, "hcfails={n}", 0)
	case "responsefieldsize":
		state(fact.UpstreamHeaderMax, "responsefieldsize={n}", 0)
	case "disablereuse", "enablereuse":
		if strings.EqualFold(value, "on") == (key == "disablereuse") {
			s := r.setting(fact.PoolIdle, "disablereuse=On")
			s.Object, s.Text = object, "off"
			r.out.State(s)
		}
	}
}

// setting begins a Setting of the line being read.
func (r *configReader) setting(k fact.Knob, spelling string) *fact.Setting {
	r.set[string(k)] = true
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: r.where()}
	s.Party = gateway()
	s.Origin.Line = r.n
	s.Origin.Text = string(r.raw[:min(len(r.raw), fact.MaxText)])
	return s
}

func (r *configReader) dur(k fact.Knob, spelling, value string, unit time.Duration) {
	if d := duration(value, unit); d.Known {
		s := r.setting(k, spelling)
		s.Dur = d
		r.out.State(s)
	}
}

func (r *configReader) num(k fact.Knob, spelling, value string) {
	if n := source.Int([]byte(value)); n.Known {
		s := r.setting(k, spelling)
		s.Num = n
		r.out.State(s)
	}
}

// duration reads a number with a unit of Apache's, ms, s, mi or min, h; unit
// where none stands.
func duration(v string, unit time.Duration) fact.Dur {
	i := 0
	for i < len(v) && v[i] >= '0' && v[i] <= '9' {
		i++
	}
	n := source.Int([]byte(v[:i]))
	switch strings.ToLower(v[i:]) {
	case "":
	case "ms":
		unit = time.Millisecond
	case "s":
		unit = time.Second
	case "mi", "min":
		unit = time.Minute
	case "h":
		unit = time.Hour
	default:
		return fact.Dur{}
	}
	if !n.Known || n.N < 0 || n.N > int64(10*365*24*time.Hour/unit) {
		return fact.Dur{}
	}
	return fact.Lasting(time.Duration(n.N) * unit)
}

// documented are the defaults that matter when an answer fails, with the page
// of the manual of version 2.4 that states each.
var documented = []struct {
	knob     fact.Knob
	dur      time.Duration
	num      int64
	text     string
	spelling string
	page     string
}{
	{knob: fact.KeepAliveIdle, dur: 5 * time.Second, spelling: "KeepAliveTimeout {s}", page: "core.html#keepalivetimeout"},
	{knob: fact.MaxConnRequests, num: 100, spelling: "MaxKeepAliveRequests {n}", page: "core.html#maxkeepaliverequests"},
	{knob: fact.UpstreamReply, dur: 60 * time.Second, spelling: "ProxyTimeout {s}", page: "mod_proxy.html#proxytimeout"},
	{knob: fact.UpstreamConnect, dur: 60 * time.Second, spelling: "ProxyPass … connectiontimeout={s}", page: "mod_proxy.html#proxypass"},
	{knob: fact.PoolIdle, text: "none", spelling: "ProxyPass … ttl={s}", page: "mod_proxy.html#proxypass"},
	{knob: fact.FailTimeout, dur: 60 * time.Second, spelling: "ProxyPass … retry={s}", page: "mod_proxy.html#proxypass"},
	{knob: fact.MaxFails, num: 1, spelling: "BalancerMember … failonstatus= forcerecovery=On", page: "mod_proxy.html#proxypass"},
	{knob: fact.UpstreamHeaderMax, num: 8192, spelling: "ProxyPass … responsefieldsize={n}", page: "mod_proxy.html#proxypass"},
	{knob: fact.ListenBacklog, num: 511, spelling: "ListenBacklog {n}", page: "mpm_common.html#listenbacklog"},
}

// manual is where the pages stand.
const manual = "https://httpd.apache.org/docs/2.4/mod/"

// stateDefaults states the documented defaults of knobs not in set.
func stateDefaults(out source.Sink, set map[string]bool) {
	for _, d := range documented {
		if set[string(d.knob)] {
			continue
		}
		s := &fact.Setting{Knob: d.knob, Text: d.text, Basis: fact.Default, Spelling: d.spelling}
		s.Party = gateway()
		s.Origin.URL = manual + d.page
		if d.dur > 0 {
			s.Dur = fact.Lasting(d.dur)
		}
		if d.num > 0 {
			s.Num = fact.Num(d.num)
		}
		out.State(s)
	}
}
