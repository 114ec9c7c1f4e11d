// Package cloudfront reads CloudFront's access logs: the tab-separated files
// with a "#Fields:" line, fragments of them in the standard order of fields,
// and the JSON lines of the second version.
//
// Fields and result types:
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html. A line's
// stamp is the instant at which the answer was finished, in whole seconds.
package cloudfront

import (
	"bytes"
	"time"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "cloudfront"

// Formats lists what CloudFront writes.
var Formats = []source.Format{
	{
		ID: "cloudfront-access", Tech: tech, Title: "CloudFront access log",
		Sniff:     sniff,
		NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
	},
	{
		ID: "cloudfront-json", Tech: tech, Title: "CloudFront access log as JSON",
		Sniff:       sniffJSON,
		NewReader:   func(env *source.Env) source.LineReader { return &reader{env: env} },
		Independent: true,
	},
}

// standard is the order of fields of the standard log.
var standard = []string{
	"date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)", "cs-uri-stem", "sc-status", "cs(Referer)",
	"cs(User-Agent)", "cs-uri-query", "cs(Cookie)", "x-edge-result-type", "x-edge-request-id", "x-host-header", "cs-protocol",
	"cs-bytes", "time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher", "x-edge-response-result-type", "cs-protocol-version",
	"fle-status", "fle-encrypted-fields", "c-port", "time-to-first-byte", "x-edge-detailed-result-type", "sc-content-type",
	"sc-content-len", "sc-range-start", "sc-range-end",
}

// entry is the fields of one line; they point into it.
type entry struct {
	date, time, bytes, received, client, port, method, host, edge, path, query, status, agent, id, proto []byte
	taken, firstByte, originFirst, result, response, detailed                                            []byte
}

// set puts a named field into its place.
func (e *entry) set(name string, v []byte) {
	if len(v) == 1 && v[0] == '-' {
		return
	}
	switch name {
	case "date":
		e.date = v
	case "time":
		e.time = v
	case "sc-bytes":
		e.bytes = v
	case "cs-bytes":
		e.received = v
	case "c-ip":
		e.client = v
	case "c-port":
		e.port = v
	case "cs-method":
		e.method = v
	case "cs(Host)":
		e.edge = v
	case "x-host-header":
		e.host = v
	case "cs-uri-stem":
		e.path = v
	case "cs-uri-query":
		e.query = v
	case "sc-status":
		e.status = v
	case "cs(User-Agent)":
		e.agent = v
	case "x-edge-request-id":
		e.id = v
	case "cs-protocol-version":
		e.proto = v
	case "time-taken":
		e.taken = v
	case "time-to-first-byte":
		e.firstByte = v
	case "origin-fbl":
		e.originFirst = v
	case "x-edge-result-type":
		e.result = v
	case "x-edge-response-result-type":
		e.response = v
	case "x-edge-detailed-result-type":
		e.detailed = v
	}
}

// results are the result types that tell how a request ended.
var results = map[string]fact.Mechanism{
	"OriginDnsError":                fact.NameNotResolved,
	"OriginHeaderTooBigError":       fact.ReplyTooBig,
	"OriginInvalidResponseError":    fact.BadReply,
	"OriginZeroSizeObjectError":     fact.BadReply,
	"OriginContentRangeLengthError": fact.BadReply,
	"OriginError":                   fact.BadReply,
	"OriginWriteError":              fact.ResetBeforeReply,
	"OriginReadError":               fact.ResetBeforeReply,
	"AbortedOrigin":                 fact.CutMidReply,
	"SlowReaderOriginError":         fact.ClientGone,
	"ClientCommError":               fact.ClientGone,
	"ClientHungUpRequest":           fact.ClientGone,
	"ClientGeoBlocked":              fact.Denied,
	"LimitExceeded":                 fact.LimitHit,
	"CapacityExceeded":              fact.LimitHit,
	"LambdaLimitExceeded":           fact.LimitHit,
	"FunctionThrottledError":        fact.LimitHit,
	"LambdaExecutionError":          fact.GatewayFault,
	"LambdaValidationError":         fact.GatewayFault,
	"FunctionExecutionError":        fact.GatewayFault,
	"FunctionValidationError":       fact.GatewayFault,
}

func sniff(l *source.Line) source.Confidence {
	t := l.Text
	switch {
	case source.HasPrefix(t, "#Fields:") && (source.Has(t, "x-edge-") || source.Has(t, "sc-status") && source.Has(t, "time-taken") && source.Has(t, "cs(Host)")):
		return source.Sure
	case len(t) > 40 && t[4] == '-' && t[7] == '-' && t[10] == '\t' && bytes.Count(t, []byte{'\t'}) >= 18:
		return source.Likely
	case resultWord(t) != nil && len(t) < 400:
		return source.Fragment
	}
	return source.No
}

// resultWord finds an origin's error in a text of another shape.
func resultWord(t []byte) []byte {
	i := bytes.Index(t, []byte("Origin"))
	if i < 0 {
		return nil
	}
	j := i
	for j < len(t) && (t[j] >= 'A' && t[j] <= 'Z' || t[j] >= 'a' && t[j] <= 'z') {
		j++
	}
	switch w := t[i:j]; string(w) {
	case "OriginCommError", "OriginConnectError", "OriginDnsError", "OriginReadError", "OriginWriteError", "OriginHeaderTooBigError",
		"OriginInvalidResponseError", "OriginZeroSizeObjectError", "OriginContentRangeLengthError":
		return w
	}
	return nil
}

func sniffJSON(l *source.Line) source.Confidence {
	if len(l.Text) > 20 && l.Text[0] == '{' && source.Has(l.Text, `"x-edge-`) {
		return source.Sure
	}
	return source.No
}

type reader struct {
	env    *source.Env
	fields []string
	req    fact.Request
	path   []byte
	attrs  map[string]string
	told   bool
	parser fastjson.Parser
}

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	t := l.Text
	var e entry
	switch {
	case source.HasPrefix(t, "#Version:"):
		return source.Mine
	case source.HasPrefix(t, "#Fields:"):
		if sniff(l) == source.No {
			return source.NotMine
		}
		r.fields = r.fields[:0]
		for _, f := range bytes.Fields(t[len("#Fields:"):]) {
			r.fields = append(r.fields, string(f))
		}
		return source.Mine
	case len(t) > 0 && t[0] == '{':
		v, err := r.parser.ParseBytes(t)
		if err != nil || !v.Exists("x-edge-location") && !v.Exists("x-edge-result-type") {
			return source.NotMine
		}
		v.GetObject().Visit(func(k []byte, x *fastjson.Value) {
			if x.Type() == fastjson.TypeString {
				e.set(string(k), x.GetStringBytes())
			}
		})
	case bytes.Count(t, []byte{'\t'}) >= 18 || r.fields != nil && bytes.IndexByte(t, '\t') > 0:
		names := r.fields
		if names == nil {
			names = standard
		}
		for i := 0; i < len(names) && t != nil; i++ {
			var v []byte
			v, t, _ = bytes.Cut(t, []byte{'\t'})
			if len(t) == 0 && i+1 < len(names) {
				t = nil
			}
			e.set(names[i], v)
		}
	default:
		return r.fragment(l, out)
	}
	if !source.Int(e.status).Known && len(e.result) == 0 {
		return source.Broken
	}
	r.state(&e, out)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *reader) Close(source.Sink) {}

func (r *reader) state(e *entry, out source.Sink) {
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, Name: source.View(e.edge)}
	if len(e.date) == 10 && len(e.time) >= 8 {
		stamp := [20]byte{}
		copy(stamp[:], e.date)
		stamp[10] = 'T'
		copy(stamp[11:], e.time[:8])
		stamp[19] = 'Z'
		if t, _, _, ok := source.ISOTime(r.env, stamp[:]); ok {
			q.Time, q.Res = t, fact.Lasting(time.Second)
		}
	}
	q.Duration = source.Secs(e.taken)
	q.Method, q.Host = source.View(e.method), source.View(e.host)
	q.Path = source.View(e.path)
	if len(e.query) > 0 {
		r.path = append(append(append(r.path[:0], e.path...), '?'), e.query...)
		q.Path = source.View(r.path)
	}
	q.Client = source.View(e.client)
	q.UserAgent = source.View(e.agent)
	if v := bytes.TrimPrefix(e.proto, []byte("HTTP/")); len(v) > 0 {
		q.Proto = source.View(bytes.TrimSuffix(v, []byte(".0")))
	}
	if string(e.proto) == "HTTP/1.0" {
		q.Proto = "1.0"
	}
	q.Status = source.Int(e.status)
	q.Bytes, q.ReqBytes = source.Int(e.bytes), source.Int(e.received)
	if len(e.id) > 0 {
		q.IDs = append(q.IDs, source.View(e.id))
	}
	r.judge(e, q)
	if !r.told {
		r.told = true
		stateDefaults(q.Party, out)
	}
	out.State(q)
}

// slowConnect separates a refused connection from one that nobody answered.
const slowConnect = time.Second

// judge says how a request ended.
func (r *reader) judge(e *entry, q *fact.Request) {
	word := e.detailed
	if len(word) == 0 {
		word = e.result
	}
	first := source.Secs(e.originFirst)
	switch string(word) {
	case "OriginConnectError":
		q.Phase = fact.PhaseConnecting
		switch {
		case q.Duration.Known && q.Duration.D >= slowConnect:
			q.Ended = fact.ConnectTimedOut
		case q.Duration.Known:
			q.Ended = fact.Refused
		}
	case "OriginCommError":
		q.Ended, q.Phase = fact.ReplyTimedOut, fact.PhaseWaiting
		if q.Status.Is(502) && q.Duration.Known && q.Duration.D < slowConnect {
			q.Ended = fact.ClosedBeforeReply
		}
	default:
		q.Ended = results[string(word)]
	}
	if len(word) > 0 && (q.Ended != "" || q.Phase != "" || q.Status.Or(0) >= 400) {
		q.Code = source.View(word)
	}
	status := q.Status.Or(-1)
	switch {
	case status == 0:
		q.Ended = fact.ClientGone
	case q.Ended == "" && status >= 500 && first.Known:
		q.Writer, q.Ended = fact.WriterBackend, fact.AppAnswered
	case q.Ended != "" && q.Ended != fact.ClientGone || q.Phase != "":
		q.Writer = fact.WriterSelf
	}
	if status >= 500 && string(word) == "Error" && !first.Known {
		// A distribution keeps errors for a while: "Error" without a reason of
		// its own may be one of those.
		if r.attrs == nil {
			r.attrs = map[string]string{}
		}
		r.attrs[fact.AttrCacheStatus] = "Error"
		q.Attrs = r.attrs
	}
	asked := q.Writer == fact.WriterSelf && q.Ended != fact.Denied && q.Ended != fact.LimitHit && q.Ended != fact.GatewayFault
	if first.Known || asked {
		a := fact.Attempt{Header: first, Ended: q.Ended}
		if q.Writer == fact.WriterBackend {
			a.Status = q.Status
		}
		q.Attempts = append(q.Attempts, a)
	}
}

// fragment reads a result type out of a line of another shape.
func (r *reader) fragment(l *source.Line, out source.Sink) source.Took {
	word := resultWord(l.Text)
	if word == nil || len(l.Text) >= 400 {
		return source.NotMine
	}
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	for f := range bytes.FieldsFuncSeq(l.Text, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' || c == '|' || c == ':' || c == '"' }) {
		if n := source.Int(f); n.Known && len(f) == 3 && n.N >= 500 && n.N < 600 {
			q.Status = n
		}
	}
	r.judge(&entry{detailed: word}, q)
	out.State(q)
	return source.Mine
}

// Documents and numbers of the origin's settings.
const (
	docOrigin = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html"

	originKeepAlive = 5 * time.Second
	originReply     = 30 * time.Second
	originConnect   = 10 * time.Second // three attempts
)

func stateDefaults(p fact.Party, out source.Sink) {
	for _, s := range []fact.Setting{
		{Knob: fact.PoolIdle, Dur: fact.Lasting(originKeepAlive), Spelling: "OriginKeepaliveTimeout: {s}"},
		{Knob: fact.UpstreamReply, Dur: fact.Lasting(originReply), Spelling: "OriginReadTimeout: {s}"},
		{Knob: fact.UpstreamConnect, Dur: fact.Lasting(originConnect), Spelling: "ConnectionTimeout: {s}"},
	} {
		s.Basis, s.Where, s.Party, s.Origin.URL = fact.Default, "distribution's origin", p, docOrigin
		out.State(&s)
	}
}
