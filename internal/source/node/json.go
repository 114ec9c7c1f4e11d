package node

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"

	"github.com/valyala/fastjson"
)

// jsonLog reads what pino (and Fastify), bunyan and express-winston write of
// requests: objects with req and res.
var jsonLog = source.Format{
	ID: "node-json", Tech: tech, Title: "request log of pino, bunyan or winston",
	Sniff: func(l *source.Line) source.Confidence {
		b := l.Text
		if len(b) < 20 || b[0] != '{' {
			return source.No
		}
		request := source.Has(b, `"req":{`) || source.Has(b, `"res":{`) || source.Has(b, `"statusCode":`) && source.Has(b, `"responseTime"`)
		numbered := source.Has(b, `"level":`) && source.Has(b, `"hostname":`) && source.Has(b, `"pid":`)
		switch {
		case request && numbered:
			return source.Sure
		case request && source.Has(b, `"res":{"statusCode"`), numbered && source.Has(b, `"time":`):
			return source.Likely
		case request:
			return source.Possible
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &jsonReader{env: env} },
}

// maxOpen bounds the requests whose first line was read and whose last is
// awaited.
const maxOpen = 1024

type jsonReader struct {
	env    *source.Env
	parser fastjson.Parser
	q      fact.Request
	open   map[string]asked
	known  bool
}

// asked is what Fastify tells when a request comes in and not when it ends.
type asked struct{ method, path, host, client string }

func (r *jsonReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) == 0 || l.Text[0] != '{' {
		return source.NotMine
	}
	v, err := r.parser.ParseBytes(l.Text)
	if err != nil {
		return source.Broken
	}
	if meta := v.Get("meta"); meta.Get("req") != nil { // express-winston
		return r.request(l, v, meta, out)
	}
	if v.Get("req") != nil || v.Get("res") != nil || v.Get("responseTime") != nil {
		return r.request(l, v, v, out)
	}
	if v.Get("hostname") == nil || v.Get("pid") == nil {
		return source.NotMine
	}
	at, res := r.time(l, v)
	out.Seen(at)
	if why, ok := errorText(v); ok && number(v.Get("level")) >= 50 {
		// What the error is about, the other readers know.
		inner := *l
		inner.Text, inner.Time, inner.Res = []byte(why), at, res
		inner.PID, inner.Host = int(number(v.Get("pid"))), string([]byte(text(v.Get("hostname"))))
		out.Inner(&inner)
	}
	return source.Mine
}

func (*jsonReader) Close(source.Sink) {}

// time is an instant in milliseconds since 1970 or in ISO 8601.
func (r *jsonReader) time(l *source.Line, v *fastjson.Value) (time.Time, fact.Dur) {
	for _, key := range [...]string{"time", "timestamp", "@timestamp"} {
		x := v.Get(key)
		switch {
		case x == nil:
		case x.Type() == fastjson.TypeNumber:
			if ms := number(x); ms > 1e11 && ms < 1e14 {
				return time.UnixMilli(int64(ms)).UTC(), fact.Lasting(time.Millisecond)
			}
		case x.Type() == fastjson.TypeString:
			if t, res, _, ok := source.ISOTime(r.env, x.GetStringBytes()); ok {
				return t, fact.Lasting(res)
			}
		}
	}
	return l.Time, l.Res
}

func (r *jsonReader) request(l *source.Line, v, in *fastjson.Value, out source.Sink) source.Took {
	at, res := r.time(l, v)
	q := &r.q
	*q = fact.Request{IDs: q.IDs[:0]}
	q.Time, q.Res, q.Party = at, res, backend()
	q.Party.PID = int(number(v.Get("pid")))
	q.Party.Host = text(v.Get("hostname"))
	req, rep := in.Get("req"), in.Get("res")
	q.Method, q.Path = text(req.Get("method")), text(req.Get("url"))
	q.Client = text(req.Get("remoteAddress"))
	headers := req.Get("headers")
	q.Host = text(headers.Get("host"))
	q.UserAgent = text(headers.Get("user-agent"))
	id := first(text(v.Get("reqId")), text(v.Get("req_id")), text(req.Get("id")))
	for _, x := range [...]string{id, text(headers.Get("x-request-id")), text(headers.Get("x-correlation-id")), text(headers.Get("traceparent")), text(headers.Get("x-amzn-trace-id")), text(headers.Get("x-cloud-trace-context")), text(v.Get("trace_id")), text(v.Get("traceId")), text(v.Get("requestId"))} {
		if x != "" {
			q.IDs = append(q.IDs, x)
		}
	}
	q.Status = whole(rep.Get("statusCode"))
	if !q.Status.Known {
		q.Status = whole(in.Get("statusCode"))
	}
	if ms := in.Get("responseTime"); ms != nil && ms.Type() == fastjson.TypeNumber {
		q.Duration = fact.Seconds(number(ms) / 1000)
	}
	if !q.Status.Known && !q.Duration.Known {
		r.remember(id, q)
		out.Seen(at)
		return source.Mine
	}
	if a, ok := r.open[id]; ok && q.Method == "" {
		q.Method, q.Path, q.Host, q.Client = a.method, a.path, a.host, a.client
	}
	delete(r.open, id)
	if !r.known {
		r.known = true
		defaults(l, out)
	}
	switch msg := text(v.Get("msg")); msg {
	case "request aborted", "premature close":
		q.Ended, q.Detail = fact.ClientGone, msg
		q.Status = fact.Int{}
	default:
		answered(q)
		if why, ok := errorText(v); ok {
			q.Detail = why[:min(len(why), maxDetail)]
		}
	}
	out.State(q)
	return source.Mine
}

// remember keeps the beginning of a request.
func (r *jsonReader) remember(id string, q *fact.Request) {
	if id == "" || q.Method == "" {
		return
	}
	if r.open == nil || len(r.open) >= maxOpen {
		r.open = map[string]asked{}
	}
	c := q.Clone().(*fact.Request)
	r.open[string([]byte(id))] = asked{c.Method, c.Path, c.Host, c.Client}
}

// errorText is the error that a line carries.
func errorText(v *fastjson.Value) (string, bool) {
	for _, key := range [...]string{"err", "error"} {
		e := v.Get(key)
		if e == nil {
			continue
		}
		if e.Type() == fastjson.TypeString {
			return text(e), true
		}
		if msg := text(e.Get("message")); msg != "" {
			kind := first(text(e.Get("type")), text(e.Get("name")), "Error")
			return kind + ": " + msg, true
		}
	}
	return "", false
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// text is a string or a number as text; "" for anything else.
func text(v *fastjson.Value) string {
	if v == nil {
		return ""
	}
	switch v.Type() {
	case fastjson.TypeString:
		return source.View(v.GetStringBytes())
	case fastjson.TypeNumber:
		return string(v.MarshalTo(nil))
	}
	return ""
}

func number(v *fastjson.Value) float64 {
	if v == nil {
		return 0
	}
	f, _ := v.Float64()
	return f
}

func whole(v *fastjson.Value) fact.Int {
	if v == nil {
		return fact.Int{}
	}
	if n, err := v.Int64(); err == nil {
		return fact.Num(n)
	}
	if v.Type() == fastjson.TypeString {
		return source.Int(v.GetStringBytes())
	}
	return fact.Int{}
}
