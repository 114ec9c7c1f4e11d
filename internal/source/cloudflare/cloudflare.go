// Package cloudflare reads Cloudflare's Logpush lines of the http_requests
// dataset, and the words of its error pages.
//
// Fields: https://developers.cloudflare.com/logs/reference/log-fields/zone/http_requests/; status codes 520
// to 530: https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/.
// Stamps come as nanoseconds, seconds, milliseconds or RFC 3339, as the job is
// set up.
package cloudflare

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "cloudflare"

// Formats lists what Cloudflare writes.
var Formats = []source.Format{
	{
		ID: "cloudflare-http", Tech: tech, Title: "Cloudflare Logpush HTTP requests",
		Sniff:       sniff,
		NewReader:   func(env *source.Env) source.LineReader { return &reader{env: env, attrs: map[string]string{}} },
		Independent: true,
	},
	{
		ID: "cloudflare-page", Tech: tech, Title: "Cloudflare error page",
		Sniff:       sniffPage,
		NewReader:   func(env *source.Env) source.LineReader { return &pageReader{} },
		Independent: true,
	},
}

// outcome is what a status of Cloudflare's own says.
type outcome struct {
	ended fact.Mechanism
	phase fact.Phase
}

// statuses are the codes that only Cloudflare makes.
var statuses = map[int64]outcome{
	520: {"", fact.PhaseWaiting}, // an empty, unknown or unexpected answer, a reset among them
	521: {fact.Refused, fact.PhaseConnecting},
	522: {fact.ConnectTimedOut, fact.PhaseConnecting},
	523: {fact.Unreachable, fact.PhaseConnecting},
	524: {fact.ReplyTimedOut, fact.PhaseWaiting},
	525: {fact.TLSFailed, fact.PhaseTLS},
	526: {fact.TLSFailed, fact.PhaseTLS},
	530: {fact.NameNotResolved, fact.PhaseResolving},
}

func sniff(l *source.Line) source.Confidence {
	t := l.Text
	if len(t) < 20 || t[0] != '{' {
		return source.No
	}
	n := 0
	for _, k := range []string{`"EdgeResponseStatus"`, `"RayID"`, `"EdgeStartTimestamp"`, `"OriginResponseStatus"`, `"ClientRequestHost"`, `"CacheCacheStatus"`} {
		if source.Has(t, k) {
			n++
		}
	}
	switch {
	case n >= 2:
		return source.Sure
	case n == 1:
		return source.Possible
	}
	return source.No
}

// coarse is from which length on the difference of two whole seconds tells
// something.
const coarse = 10 * time.Second

type reader struct {
	env    *source.Env
	req    fact.Request
	parser fastjson.Parser
	attrs  map[string]string
	told   bool
}

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) == 0 || l.Text[0] != '{' {
		return source.NotMine
	}
	v, err := r.parser.ParseBytes(l.Text)
	switch {
	case err != nil && sniff(l) == source.No:
		return source.NotMine
	case err != nil:
		return source.Broken
	case !v.Exists("EdgeResponseStatus") && !v.Exists("RayID") && !v.Exists("OriginResponseStatus"):
		return source.NotMine
	}
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	start, res := instant(r.env, v.Get("EdgeStartTimestamp"))
	end, endRes := instant(r.env, v.Get("EdgeEndTimestamp"))
	q.Time, q.Res = end, endRes
	switch {
	case !start.IsZero() && !end.IsZero() && !end.Before(start):
		if d := end.Sub(start); !res.Known || d >= coarse {
			q.Duration = fact.Lasting(d)
		}
	case end.IsZero():
		q.Time, q.Res = start, res
	}
	if ms := number(v, "EdgeTimeToFirstByteMs"); !q.Duration.Known && ms.Known {
		q.Duration = fact.Millis(ms.N)
	}
	q.Client = view(v, "ClientIP")
	if p := number(v, "ClientSrcPort"); p.Known && p.N > 0 && q.Client != "" {
		q.Client += ":" + strconv.FormatInt(p.N, 10)
	}
	q.Method, q.Host = view(v, "ClientRequestMethod"), view(v, "ClientRequestHost")
	q.Path = view(v, "ClientRequestURI")
	if q.Path == "" {
		q.Path = view(v, "ClientRequestPath")
	}
	q.UserAgent = view(v, "ClientRequestUserAgent")
	if p := v.GetStringBytes("ClientRequestProtocol"); source.HasPrefix(p, "HTTP/") {
		q.Proto = source.View(p[5:])
	}
	q.Status = number(v, "EdgeResponseStatus")
	q.Bytes, q.ReqBytes = number(v, "EdgeResponseBytes"), number(v, "ClientRequestBytes")
	if id := view(v, "RayID"); id != "" {
		q.IDs = append(q.IDs, id)
	}
	r.judge(v, q)
	if !r.told && !q.Time.IsZero() {
		r.told = true
		stateDefaults(out)
	}
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *reader) Close(source.Sink) {}

// judge says how a request ended: what the origin answered, if anything, and
// what the edge made of it.
func (r *reader) judge(v *fastjson.Value, q *fact.Request) {
	origin := number(v, "OriginResponseStatus")
	if origin.Is(0) {
		origin = fact.Int{} // none was asked, or it gave none
	}
	cache := view(v, "CacheCacheStatus")
	hit := cache == "hit" || cache == "stale" || cache == "updating" || cache == "revalidated" || cache == "expired" && !origin.Known
	status := q.Status.Or(-1)
	o, own := statuses[status]
	if action := view(v, "SecurityAction"); blocked(action) || blocked(view(v, "WAFAction")) || blocked(view(v, "FirewallMatchesAction")) {
		own, o = false, outcome{}
		q.Ended, q.Writer = fact.Denied, fact.WriterSelf
	}
	switch {
	case q.Ended != "":
	case status == 499:
		q.Ended = fact.ClientGone
	case own && (!origin.Known || origin.N == status || origin.N >= 520):
		q.Ended, q.Phase, q.Writer = o.ended, o.phase, fact.WriterSelf
		q.Code = strconv.FormatInt(status, 10)
		origin = fact.Int{}
	case origin.Known && origin.N == status:
		q.Writer = fact.WriterBackend
		if status >= 500 {
			q.Ended = fact.AppAnswered
		}
	case status >= 500 && !hit && !origin.Known:
		q.Writer = fact.WriterSelf
	}
	if hit {
		clear(r.attrs)
		r.attrs[fact.AttrCacheStatus] = "HIT"
		q.Attrs = r.attrs
	}
	addr := v.GetStringBytes("OriginIP")
	if len(addr) == 0 && !origin.Known && !own {
		return
	}
	a := fact.Attempt{Address: source.View(addr), Status: origin, Header: originTime(v), Ended: q.Ended}
	if ms := number(v, "OriginTCPHandshakeDurationMs"); ms.Known && ms.N > 0 && !(own && q.Phase == fact.PhaseConnecting) {
		a.Connect = fact.Millis(ms.N)
	}
	if !origin.Known {
		a.Took, a.Header = a.Header, fact.Dur{}
	}
	if q.Ended == fact.ClientGone || q.Ended == fact.Denied {
		a.Ended = ""
	}
	q.Attempts = append(q.Attempts, a)
}

func blocked(action string) bool {
	switch action {
	case "block", "drop", "challenge", "jschallenge", "js_challenge", "managed_challenge", "rate_limit", "connection_close", "connectionClose":
		return true
	}
	return false
}

// originTime is OriginResponseDurationMs, or OriginResponseTime in
// nanoseconds; 0 means that no origin was asked.
func originTime(v *fastjson.Value) fact.Dur {
	if ms := number(v, "OriginResponseDurationMs"); ms.Known && ms.N > 0 {
		return fact.Millis(ms.N)
	}
	if ns := number(v, "OriginResponseTime"); ns.Known && ns.N > 0 {
		return fact.Lasting(time.Duration(ns.N))
	}
	return fact.Dur{}
}

func view(v *fastjson.Value, key string) string { return source.View(v.GetStringBytes(key)) }

// number is a whole number, written as one or as a string.
func number(v *fastjson.Value, key string) fact.Int {
	x := v.Get(key)
	if x == nil {
		return fact.Int{}
	}
	switch x.Type() {
	case fastjson.TypeNumber:
		n, err := x.Int64()
		if err != nil {
			return fact.Int{}
		}
		return fact.Num(n)
	case fastjson.TypeString:
		return source.Int(x.GetStringBytes())
	}
	return fact.Int{}
}

// instant reads a stamp in any of its forms; a number's unit is told by its
// size. res is known if it is a whole second.
func instant(env *source.Env, x *fastjson.Value) (t time.Time, res fact.Dur) {
	if x == nil {
		return
	}
	if x.Type() == fastjson.TypeString {
		b := x.GetStringBytes()
		if at, r, _, ok := source.ISOTime(env, b); ok {
			if r == time.Second {
				return at, fact.Lasting(r)
			}
			return at, fact.Dur{}
		}
		return stamp(source.Int(b))
	}
	n, err := x.Int64()
	if err != nil {
		return
	}
	return stamp(fact.Num(n))
}

// Sizes of stamps: seconds until the year 5138, milliseconds until then, and
// so on.
const (
	maxSeconds = 100_000_000_000
	maxMillis  = maxSeconds * 1000
	maxMicros  = maxMillis * 1000
)

func stamp(n fact.Int) (t time.Time, res fact.Dur) {
	switch {
	case !n.Known || n.N <= 0:
		return
	case n.N < maxSeconds:
		return time.Unix(n.N, 0).UTC(), fact.Lasting(time.Second)
	case n.N < maxMillis:
		return time.UnixMilli(n.N).UTC(), fact.Dur{}
	case n.N < maxMicros:
		return time.UnixMicro(n.N).UTC(), fact.Dur{}
	}
	return time.Unix(0, n.N).UTC(), fact.Dur{}
}

// pages are the titles of Cloudflare's error pages.
var pages = []struct {
	words  string
	status int64
}{
	{"Web server is returning an unknown error", 520},
	{"Web server is down", 521},
	{"Origin is unreachable", 523},
	{"A timeout occurred", 524},
	{"SSL handshake failed", 525},
	{"Invalid SSL certificate", 526},
	{"Origin DNS error", 530},
	{"error code: 520", 520}, {"error code: 521", 521}, {"error code: 522", 522}, {"error code: 523", 523},
	{"error code: 524", 524}, {"error code: 525", 525}, {"error code: 526", 526}, {"error code: 1016", 530},
	{"Connection timed out", 522},
}

// maxPage bounds a line that is looked at, in bytes.
const maxPage = 4 << 10

// findPage knows a title if its number, or Cloudflare's name, stands beside it.
func findPage(t []byte) int64 {
	if len(t) < 12 || len(t) > maxPage {
		return 0
	}
	named := source.Has(t, "loudflare") || source.Has(t, "cf-ray") || source.Has(t, "CF-RAY") || source.Has(t, "Ray ID")
	for _, p := range pages {
		if !source.Has(t, p.words) {
			continue
		}
		code := strconv.FormatInt(p.status, 10)
		if source.HasPrefix([]byte(p.words), "error code") && len(bytes.TrimSpace(t)) <= len(p.words)+2 {
			return p.status
		}
		if source.Has(t, "Error "+code) || source.Has(t, "| "+code+":") || named && source.Has(t, code) {
			return p.status
		}
	}
	return 0
}

func sniffPage(l *source.Line) source.Confidence {
	if findPage(l.Text) != 0 {
		return source.Fragment
	}
	return source.No
}

type pageReader struct{ req fact.Request }

// Line implements [source.LineReader].
func (r *pageReader) Line(l *source.Line, out source.Sink) source.Took {
	n := findPage(l.Text)
	if n == 0 {
		return source.NotMine
	}
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	q.Status, q.Writer, q.Code = fact.Num(n), fact.WriterSelf, strconv.FormatInt(n, 10)
	q.Ended, q.Phase = statuses[n].ended, statuses[n].phase
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *pageReader) Close(source.Sink) {}

// Cloudflare's documented limits, not to be set below the Enterprise plan.
const (
	docLimits = "https://developers.cloudflare.com/fundamentals/reference/connection-limits/"

	originIdle    = 900 * time.Second
	originConnect = 19 * time.Second
	originReply   = 120 * time.Second
)

func stateDefaults(out source.Sink) {
	for _, s := range []fact.Setting{
		{Knob: fact.PoolIdle, Dur: fact.Lasting(originIdle)},
		{Knob: fact.UpstreamConnect, Dur: fact.Lasting(originConnect)},
		{Knob: fact.UpstreamReply, Dur: fact.Lasting(originReply), Spelling: "proxy_read_timeout: {s}", Where: "zone setting (Enterprise)"},
	} {
		s.Basis, s.Party, s.Origin.URL = fact.Default, fact.Party{Role: fact.RoleGateway, Tech: tech}, docLimits
		out.State(&s)
	}
}
