package gclb

import (
	"bytes"
	"time"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// balancerResource says whether a monitored resource is a balancer that logs
// HTTP requests.
func balancerResource(typ []byte) bool {
	switch string(typ) {
	case "http_load_balancer", "internal_http_lb_rule", "http_external_regional_lb_rule", "l7_lb_rule", "https_lb_rule",
		"http_internal_regional_lb_rule", "internal_http_lb_cross_region_rule":
		return true
	}
	return bytes.Contains(typ, []byte("http")) && bytes.Contains(typ, []byte("lb_rule"))
}

func sniffEntry(l *source.Line) source.Confidence {
	t := bytes.TrimLeft(l.Text, " \t,[")
	if len(t) < 2 || t[0] != '{' {
		return source.No
	}
	switch {
	case source.Has(t, `"insertId"`) && (source.Has(t, `"logName"`) || source.Has(t, `"resource"`)),
		source.Has(t, `"logName":"projects/`), source.Has(t, `"logName": "projects/`),
		source.Has(t, `"http_load_balancer"`), source.Has(t, "LoadBalancerLogEntry"):
		return source.Sure
	case source.Has(t, `"jsonPayload"`), source.Has(t, `"textPayload"`), source.Has(t, `"protoPayload"`):
		return source.Sure
	case source.Has(t, `"statusDetails"`), source.Has(t, `"proxyStatus"`), source.Has(t, `"jsonpayload_type_loadbalancerlogentry"`):
		return source.Likely
	case source.Has(t, `"httpRequest"`) && source.Has(t, `"requestUrl"`):
		return source.Likely
	}
	return source.No
}

// reader reads entries, one JSON object at a time. It is the same for lines
// and for documents.
type reader struct {
	env     *source.Env
	w       walker
	e       entry
	req     fact.Request
	attrs   map[string]string
	parser  fastjson.Parser
	told    bool // the balancer's fixed time-outs were stated
	inner   source.Line
	scratch []byte
	plain   source.Ordinary
	end     int // where the object read last ended

	second   [19]byte // a stamp up to the second, and its instant
	secondAt time.Time
}

func newReader(env *source.Env) *reader {
	return &reader{env: env, attrs: map[string]string{}}
}

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	t := bytes.TrimLeft(l.Text, " \t,[")
	if len(t) == 0 || t[0] != '{' {
		return source.NotMine
	}
	return r.object(t, l, out)
}

// Close implements [source.LineReader].
func (r *reader) Close(source.Sink) {}

// object reads the LogEntry that begins at t.
func (r *reader) object(t []byte, l *source.Line, out source.Sink) source.Took {
	e := &r.e
	end, whole := r.w.walk(t, e)
	r.end = end
	switch {
	case e.lb && (e.hasHTTP || len(e.details) > 0 || len(e.proxy) > 0):
		if !r.fold(e, out) {
			r.request(e, 0, out)
		}
		return source.Mine
	case !whole:
		if e.hasHTTP || len(e.logName) > 0 {
			return source.Broken
		}
		return source.NotMine
	case e.hasHTTP && (len(e.url) > 0 || len(e.status) > 0):
		r.appRequest(e, out)
		if !e.otherText || e.serverless() {
			return source.Mine
		}
	case len(e.logName) == 0 && len(e.resource) == 0 && len(e.insert) == 0 && !e.otherText:
		return source.NotMine
	}
	v, err := r.parser.ParseBytes(t[:end])
	if err != nil {
		return source.Broken
	}
	r.other(v, e, l, out)
	return source.Mine
}

// request states what a balancer's entry says; it stands for count requests, 0
// for one.
func (r *reader) request(e *entry, count int, out source.Sink) {
	q := &r.req
	q.Reset()
	q.Count = count
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, Name: source.View(e.rule)}
	if q.Party.Name == "" {
		q.Party.Name = source.View(e.urlMap)
	}
	r.http(e, q)
	if len(e.service) > 0 {
		q.Upstream = source.View(e.service)
	}
	details := e.details
	var proxyError []byte
	if len(e.proxy) > 0 {
		var d []byte
		proxyError, d = splitProxyStatus(e.proxy)
		if len(details) == 0 {
			details = d
		}
		q.Detail = source.View(e.proxy)
	}
	q.Code = source.View(details)
	if q.Code == "" {
		q.Code = source.View(proxyError)
	}
	judge(q, details, proxyError)
	if e.policy && q.Ended == "" && q.Writer != fact.WriterBackend && q.Status.Or(0) >= 400 {
		q.Ended, q.Writer = fact.Denied, fact.WriterSelf
	}
	if e.cacheHit || bytes.HasPrefix(e.details, []byte("response_from_cache")) {
		clear(r.attrs)
		r.attrs[fact.AttrCacheStatus] = "HIT"
		q.Attrs = r.attrs
	}
	if len(e.server) > 0 {
		a := fact.Attempt{Address: source.View(e.server), Ended: q.Ended}
		if q.Writer == fact.WriterBackend {
			a.Status = q.Status
		}
		if q.Ended == fact.ClientGone || q.Ended == fact.Denied {
			a.Ended = ""
		}
		q.Attempts = append(q.Attempts, a)
	}
	if !r.told && len(e.resource) > 0 {
		r.told = true
		stateLimits(q.Party, q.Upstream, out)
	}
	out.State(q)
}

// http fills q from the httpRequest of an entry.
func (r *reader) http(e *entry, q *fact.Request) {
	q.Duration = latency(e)
	q.Time, q.Res = r.stamp(e.stamp)
	if !q.Time.IsZero() {
		q.Time = q.Time.Add(q.Duration.Or(0))
	}
	q.Method = source.View(e.method)
	q.Host, q.Path = splitURL(e.url)
	q.UserAgent = source.View(e.agent)
	q.Status = source.Int(e.status)
	q.Client = source.View(e.remote)
	q.Bytes, q.ReqBytes = source.Int(e.respSize), source.Int(e.reqSize)
	q.Proto = protoVersion(e.protocol)
	if id := traceID(e.trace); len(id) > 0 {
		q.IDs = append(q.IDs, source.View(id))
	}
}

// stamp reads an entry's time. Entries carry micro- or nanoseconds without
// trailing zeros, so that only a stamp without a fraction is a coarse one.
func (r *reader) stamp(b []byte) (time.Time, fact.Dur) {
	t, res, _, ok := source.ISOTime(r.env, b)
	if !ok {
		return time.Time{}, fact.Dur{}
	}
	if res == time.Second {
		return t, fact.Lasting(res)
	}
	return t, fact.Dur{}
}

// appRequest states the httpRequest that an application, a serverless front
// or another service put into its own entry.
func (r *reader) appRequest(e *entry, out source.Sink) {
	q := &r.req
	q.Reset()
	r.http(e, q)
	q.Party = fact.Party{Role: fact.RoleBackend, Name: source.View(e.pod)}
	if e.serverless() {
		q.Party.Role, q.Party.Tech = fact.RoleGateway, tech
		for _, s := range serverlessTexts {
			if source.Has(e.text, s.words) {
				q.Ended, q.Phase, q.Writer, q.Detail = s.ended, s.phase, fact.WriterSelf, s.words
				break
			}
		}
	}
	out.State(q)
}

// serverless: the entry is of the front that calls Cloud Run or App Engine.
func (e *entry) serverless() bool {
	return bytes.HasSuffix(e.logName, []byte("run.googleapis.com%2Frequests")) || bytes.HasSuffix(e.logName, []byte("appengine.googleapis.com%2Frequest_log"))
}

// serverlessTexts are what Cloud Run's front writes beside a request that
// failed (https://cloud.google.com/run/docs/troubleshooting).
var serverlessTexts = []struct {
	words string
	ended fact.Mechanism
	phase fact.Phase
}{
	{"no available instance", fact.NoBackend, ""},
	{"maximum request timeout", fact.ReplyTimedOut, fact.PhaseWaiting},
	{"either the HTTP response was malformed or connection to the instance had an error", "", fact.PhaseWaiting},
	{"exceeded the maximum response size", fact.ReplyTooBig, fact.PhaseReading},
}

// splitURL cuts "https://host:443/path?query" into host and path with query.
func splitURL(u []byte) (host, path string) {
	i := bytes.Index(u, []byte("://"))
	if i < 0 || i > 10 {
		return "", source.View(u)
	}
	u = u[i+3:]
	j := bytes.IndexAny(u, "/?")
	if j < 0 {
		return source.View(u), "/"
	}
	return source.View(u[:j]), source.View(u[j:])
}

// protoVersion turns "HTTP/2.0" and "HTTP/2" into "2".
func protoVersion(b []byte) string {
	if !source.HasPrefix(b, "HTTP/") {
		return ""
	}
	b = b[5:]
	if len(b) == 3 && b[0] > '1' && b[1] == '.' && b[2] == '0' {
		b = b[:1]
	}
	return source.View(b)
}

// traceID is the last part of "projects/P/traces/ID", and the front of an
// X-Cloud-Trace-Context value "ID/SPAN;o=1".
func traceID(b []byte) []byte {
	if i := bytes.Index(b, []byte("/traces/")); i >= 0 {
		b = b[i+len("/traces/"):]
	}
	if i := bytes.IndexAny(b, "/;"); i >= 0 {
		b = b[:i]
	}
	return b
}
