package traefik

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var records = source.Format{
	ID:          "traefik-json",
	Tech:        tech,
	Title:       "Traefik access log, JSON",
	Sniff:       sniffRecord,
	NewReader:   func(env *source.Env) source.LineReader { return &recordReader{env: env, attrs: map[string]string{}} },
	Independent: true,
}

func sniffRecord(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 30 || b[0] != '{' {
		return source.No
	}
	n := 0
	for _, k := range [...]string{`"DownstreamStatus":`, `"RequestMethod":`, `"OriginStatus":`, `"RouterName":`, `"StartUTC":`, `"ServiceURL":`, `"entryPointName":`, `"RequestPath":`, `"DownstreamContentSize":`} {
		if source.Has(b, k) {
			n++
		}
	}
	switch {
	case n > 2:
		return source.Sure
	case n > 1:
		return source.Likely
	}
	return source.No
}

// record is what a JSON record holds; numbers may be in quotes, as some
// shippers write them.
type record struct {
	client, host, port                 []byte
	method, path, proto                []byte
	addr, reqHost                      []byte
	router, service, server            []byte
	start, logged                      []byte
	agent                              []byte
	downstream, origin                 fact.Int
	size, originSize, reqSize, retries fact.Int
	took, originTook                   fact.Int
}

// recordReader reads JSON records.
type recordReader struct {
	env   *source.Env
	req   fact.Request
	attrs map[string]string
	rec   record
	buf   []byte
}

// idHeaders are kept request headers that identify a request, lower case.
var idHeaders = map[string]bool{
	"x-request-id": true, "traceparent": true, "x-correlation-id": true, "x-amzn-trace-id": true, "cf-ray": true, "x-cloud-trace-context": true,
	"x-b3-traceid": true, "x-my-uuid": true, "request-id": true,
}

func (r *recordReader) set(name, v []byte) {
	c := &r.rec
	switch string(name) {
	case "ClientAddr":
		c.client = source.JSONText(v)
	case "ClientHost":
		c.host = source.JSONText(v)
	case "ClientPort":
		c.port = source.JSONText(v)
	case "RequestMethod":
		c.method = source.JSONText(v)
	case "RequestPath":
		c.path = source.JSONText(v)
	case "RequestProtocol":
		c.proto = source.JSONText(v)
	case "RequestAddr":
		c.addr = source.JSONText(v)
	case "RequestHost":
		c.reqHost = source.JSONText(v)
	case "RouterName", "FrontendName":
		c.router = source.JSONText(v)
	case "ServiceName", "BackendName":
		c.service = source.JSONText(v)
	case "ServiceAddr", "BackendAddr":
		c.server = source.JSONText(v)
	case "ServiceURL", "BackendURL":
		if c.server == nil {
			c.server = urlText(v)
		}
	case "StartUTC":
		c.start = source.JSONText(v)
	case "StartLocal":
		if c.start == nil {
			c.start = source.JSONText(v)
		}
	case "time":
		c.logged = source.JSONText(v)
	case "DownstreamStatus":
		c.downstream = source.JSONInt(v)
	case "OriginStatus":
		c.origin = source.JSONInt(v)
	case "DownstreamContentSize":
		c.size = source.JSONInt(v)
	case "OriginContentSize":
		c.originSize = source.JSONInt(v)
	case "RequestContentSize":
		c.reqSize = source.JSONInt(v)
	case "RetryAttempts":
		c.retries = source.JSONInt(v)
	case "Duration":
		c.took = source.JSONInt(v)
	case "OriginDuration":
		c.originTook = source.JSONInt(v)
	case "request_User-Agent":
		c.agent = source.JSONText(v)
	default:
		r.header(name, v)
	}
}

// urlText is a URL written as text, or, by version 1, as an object with Host.
func urlText(v []byte) []byte {
	if len(v) > 0 && v[0] == '{' {
		var host []byte
		source.Members(v, func(name, v []byte) {
			if string(name) == "Host" {
				host = source.JSONText(v)
			}
		})

		return host
	}
	return source.JSONText(v)
}

// header reads a kept request header, "request_X-Request-Id".
func (r *recordReader) header(name, v []byte) {
	const pre = "request_"
	if !source.HasPrefix(name, pre) {
		return
	}
	key := strings.ToLower(string(name[len(pre):]))
	ok := idHeaders[key]
	for _, h := range r.env.IDHeaders {
		ok = ok || h == key
	}
	if id := source.JSONText(v); ok && len(id) > 0 {
		r.req.IDs = append(r.req.IDs, source.View(id))
	}
}

// Line implements [source.LineReader].
func (r *recordReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) == 0 || l.Text[0] != '{' {
		return source.NotMine
	}
	q := &r.req
	q.Reset()
	q.Party = gateway()
	r.rec = record{}
	_, whole := source.Members(l.Text, r.set)
	c := &r.rec
	if !c.downstream.Known && !c.origin.Known {
		if sniffRecord(l) == source.No {
			return source.NotMine
		}
		return source.Broken
	}
	if len(c.method) == 0 && len(c.router) == 0 && !c.took.Known {
		return source.NotMine
	}
	q.Duration = nanos(c.took)
	r.when(l)
	r.who()
	q.Method, q.Path = source.View(c.method), source.View(c.path)
	q.Proto = source.View(version(bytes.TrimPrefix(c.proto, []byte("HTTP/"))))
	q.Host = source.View(c.reqHost)
	if len(c.addr) > 0 && len(q.Host) == 0 {
		q.Host = source.View(c.addr)
	}
	q.UserAgent = source.View(c.agent)
	q.Status, q.Bytes, q.ReqBytes = c.downstream, c.size, c.reqSize
	if !q.Status.Known {
		q.Status = c.origin
	}
	if q.Upstream = source.View(c.service); q.Upstream == "" {
		q.Upstream = source.View(c.router)
	}
	// An origin status without a server is a record whose fields were
	// dropped; a status of 0 means that no service was called.
	asked := len(c.server) > 0 || c.origin.Or(0) > 0
	if asked {
		q.Attempts = append(q.Attempts, fact.Attempt{Address: source.View(address(c.server)), Took: nanos(c.originTook)})
	}
	if asked || c.origin.Known || whole && len(c.router) > 0 {
		judge(q, c.originSize, asked)
	}
	if c.retries.Or(0) > 0 {
		clear(r.attrs)
		r.attrs[fact.AttrRetries] = string(appendInt(nil, c.retries.N))
		q.Attrs = r.attrs
	}
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *recordReader) Close(source.Sink) {}

// when sets the end of the request: its start and its duration, or else when
// the record was written.
func (r *recordReader) when(l *source.Line) {
	q := &r.req
	if t, res, _, ok := source.ISOTime(r.env, r.rec.start); ok {
		q.Time, q.Res = t.Add(q.Duration.Or(0)), fact.Lasting(res)
		return
	}
	if t, res, _, ok := source.ISOTime(r.env, r.rec.logged); ok {
		q.Time, q.Res = t, fact.Lasting(res)
		return
	}
	q.Time, q.Res = l.Time, l.Res
}

func (r *recordReader) who() {
	q, c := &r.req, &r.rec
	switch {
	case len(c.client) > 0:
		q.Client = source.View(c.client)
	case len(c.host) > 0 && len(c.port) > 0:
		r.buf = append(append(append(r.buf[:0], c.host...), ':'), c.port...)
		if bytes.IndexByte(c.host, ':') >= 0 {
			r.buf = append(append(append(append(r.buf[:0], '['), c.host...), "]:"...), c.port...)
		}
		q.Client = source.View(r.buf)
	default:
		q.Client = source.View(c.host)
	}
}

func nanos(n fact.Int) fact.Dur {
	if !n.Known || n.N < 0 {
		return fact.Dur{}
	}
	return fact.Lasting(time.Duration(n.N))
}

func appendInt(b []byte, n int64) []byte {
	if n >= 10 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}
