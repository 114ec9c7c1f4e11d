package caddy

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

func exponent(v []byte) fact.Dur {
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < 0 {
		return fact.Dur{}
	}
	return fact.Seconds(f)
}

// state turns the record into facts.
func (r *recordReader) state(t time.Time, res fact.Dur, out source.Sink) {
	c := &r.rec
	if !r.stated && (source.HasPrefix(c.logger, "http.handlers.reverse_proxy") || source.HasPrefix(c.logger, "http.log.error")) {
		r.stated = true
		stateDefaults(out, nil)
	}
	switch {
	case source.HasPrefix(c.logger, "http.log.error"), c.errID != nil, len(c.request) > 0 && c.status.Known && string(c.msg) != "handled request" && len(c.logger) == 0:
		r.failed(t, res, out)
	case len(c.request) > 0 && (source.HasPrefix(c.logger, "http.log.access") || string(c.msg) == "handled request"):
		r.access(t, res, out)
	case source.Has(c.logger, "reverse_proxy.health_checker"):
		r.health(t, res, out)
	case source.Has(c.logger, "reverse_proxy"):
		r.proxy(t, res, out)
	default:
		r.process(t, res, out)
	}
}

// begin fills the Request with what "request" tells.
func (r *recordReader) begin(t time.Time, res fact.Dur) *fact.Request {
	q := &r.req
	q.Reset()
	q.Party = gateway()
	q.Time, q.Res = t, res
	var ip, port []byte
	source.Members(r.rec.request, func(name, v []byte) {
		switch string(name) {
		case "remote_ip", "client_ip":
			if ip == nil || string(name) == "remote_ip" {
				ip = source.JSONText(v)
			}
		case "remote_port":
			port = source.JSONText(v)
		case "remote_addr":
			ip = source.JSONText(v)
		case "method":
			q.Method = source.View(source.JSONText(v))
		case "host":
			q.Host = source.View(source.JSONText(v))
		case "uri":
			q.Path = source.View(source.JSONText(v))
		case "proto":
			p := bytes.TrimPrefix(source.JSONText(v), []byte("HTTP/"))
			q.Proto = source.View(p)
			if string(p) == "2.0" || string(p) == "3.0" {
				q.Proto = source.View(p[:1])
			}
		case "headers":
			r.headers(v)
		}
	})

	switch {
	case len(port) == 0 || len(ip) == 0:
		q.Client = source.View(ip)
	case bytes.IndexByte(ip, ':') >= 0:
		r.client = append(append(append(append(r.client[:0], '['), ip...), "]:"...), port...)
		q.Client = source.View(r.client)
	default:
		r.client = append(append(append(r.client[:0], ip...), ':'), port...)
		q.Client = source.View(r.client)
	}
	q.Duration = took(r.rec.duration)
	return q
}

// idHeaders are request headers that identify a request, lower case.
var idHeaders = map[string]bool{"x-request-id": true, "traceparent": true, "x-correlation-id": true, "x-amzn-trace-id": true, "cf-ray": true, "x-cloud-trace-context": true, "x-b3-traceid": true, "x-my-uuid": true}

// headers reads request headers, "{"X-Request-Id":["…"]}".
func (r *recordReader) headers(v []byte) {
	q := &r.req
	source.Members(v, func(name, v []byte) {
		if len(v) < 5 || v[0] != '[' || v[1] != '"' {
			return
		}
		n := source.JSONStringEnd(v[1:])
		if n < 0 {
			return
		}
		value := v[1 : 1+n]
		if bytes.EqualFold(name, []byte("User-Agent")) {
			q.UserAgent = source.View(source.JSONText(value))
			return
		}
		if len(r.env.IDHeaders) == 0 && !mayIdentify(name) {
			return
		}
		key := strings.ToLower(string(name))
		ok := idHeaders[key]
		for _, h := range r.env.IDHeaders {
			ok = ok || h == key
		}
		if ok {
			q.IDs = append(q.IDs, string(source.JSONText(value)))
		}
	})

}

// mayIdentify rules out the ordinary headers without allocating.
func mayIdentify(name []byte) bool {
	if len(name) < len("cf-ray") {
		return false
	}
	switch name[0] | 0x20 {
	case 'a', 's', 'u', 'd', 'h', 'r', 'o', 'p', 'v':
		return false
	case 'c':
		return name[1]|0x20 == 'f'
	}
	return true
}

// access states an access record.
func (r *recordReader) access(t time.Time, res fact.Dur, out source.Sink) {
	q := r.begin(t, res)
	c := &r.rec
	q.Status, q.Bytes = c.status, c.size
	own, foreign := true, false
	source.Members(c.respHeader, func(name, v []byte) {
		switch string(name) {
		case "Server":
			foreign = foreign || bytes.Count(v, []byte(`","`)) > 0 || !source.Has(v, "Caddy")
		case "Alt-Svc":
		case "Date":
			foreign = true
		default:
			own = false
		}
	})

	switch {
	case q.Status.Is(0):
		q.Ended = fact.ClientGone // no answer was begun and no error met
	case q.Status.Is(499):
		q.Ended, q.Writer = fact.ClientGone, fact.WriterSelf
	case q.Status.Or(0) >= 500 && foreign:
		q.Ended, q.Writer = fact.AppAnswered, fact.WriterBackend
	case q.Status.Or(0) >= 500 && own && len(c.respHeader) > 0 && q.Bytes.Is(0):
		q.Writer = fact.WriterSelf
	case foreign:
		q.Writer = fact.WriterBackend
	}
	out.State(q)
}

// failed states the error of a handler: one trouble of one request.
func (r *recordReader) failed(t time.Time, res fact.Dur, out source.Sink) {
	q := r.begin(t, res)
	c := &r.rec
	q.Partial, q.Status, q.Writer = true, c.status, fact.WriterSelf
	if len(c.errID) > 0 {
		q.IDs = append(q.IDs, source.View(c.errID))
	}
	explain(q, c.msg)
	if q.Ended == "" && c.status.Or(0) > 0 && c.status.N < 500 {
		out.Seen(t)
		return
	}
	out.State(q)
}

// explain reads the words of an error into q.
func explain(q *fact.Request, msg []byte) {
	q.Detail = source.View(msg)
	switch {
	case source.Has(msg, "no upstreams available"):
		q.Ended = fact.NoBackend
		return
	case source.Has(msg, "too many transfer encodings"), source.Has(msg, "malformed HTTP"), source.Has(msg, "malformed MIME header"), source.Has(msg, "bad Content-Length"), source.Has(msg, "bogus"):
		q.Ended, q.Phase = fact.BadReply, fact.PhaseWaiting
	case source.Has(msg, "server response headers exceeded"):
		q.Ended, q.Phase = fact.ReplyTooBig, fact.PhaseWaiting
	case source.Has(msg, "too many requests"), source.Has(msg, "max requests"):
		q.Ended = fact.LimitHit
	default:
		m, p, errno, ok := netError(msg)
		if !ok {
			return
		}
		q.Ended, q.Phase, q.Errno = m, p, errno
	}
	a := fact.Attempt{Address: dialled(msg), Ended: q.Ended, Errno: q.Errno}
	if q.Ended == fact.ClientGone {
		a.Ended = ""
		if a.Address == "" {
			return
		}
	}
	q.Attempts = append(q.Attempts, a)
}

// netError reads Go's words; a socket's missing file is a refusal.
func netError(msg []byte) (fact.Mechanism, fact.Phase, int, bool) {
	if source.Has(msg, "dial") || source.Has(msg, "connect:") {
		switch {
		case source.Has(msg, "no such file or directory"):
			return fact.Refused, fact.PhaseConnecting, source.ENOENT, true
		case source.Has(msg, "permission denied"):
			return fact.GatewayFault, fact.PhaseConnecting, source.EACCES, true
		case source.Has(msg, "resource temporarily unavailable"):
			return fact.LimitHit, fact.PhaseConnecting, source.EAGAIN, true
		}
	}
	return source.NetError(msg)
}

// dialled finds the member's address in Go's words, "dial tcp 10.0.0.5:80:
// connect: …", "read tcp 10.0.0.1:4000->10.0.0.5:80: read: …".
func dialled(msg []byte) string {
	for _, pre := range [...]string{"dial tcp ", "dial unix ", "read tcp ", "write tcp ", "read unix ", "dial tcp4 ", "dial tcp6 "} {
		rest, ok := source.Between(msg, pre, ": ")
		if !ok || len(rest) == 0 {
			continue
		}
		if i := bytes.Index(rest, []byte("->")); i >= 0 {
			rest = rest[i+2:]
		}
		if source.HasPrefix(rest, "lookup ") || bytes.IndexByte(rest, ' ') >= 0 {
			break
		}
		if source.HasPrefix(rest, "/") {
			return "unix:" + string(rest)
		}
		return string(rest)
	}
	if host, ok := source.Between(msg, "lookup ", " on "); ok {
		return string(host)
	}
	if host, ok := source.Between(msg, "lookup ", ":"); ok {
		return string(host)
	}
	return ""
}

// proxy reads the other records of reverse_proxy.
func (r *recordReader) proxy(t time.Time, res fact.Dur, out source.Sink) {
	c := &r.rec
	why := c.errText
	if why == nil {
		why = c.msg
	}
	switch {
	case source.Has(c.msg, "aborting with incomplete response"):
		q := r.begin(t, res)
		q.Partial = true
		q.Detail = source.View(why)
		q.Ended, q.Phase = fact.CutMidReply, fact.PhaseReading
		if source.Has(why, "context canceled") || source.Has(why, "client disconnected") || source.Has(why, "write tcp") {
			q.Ended = fact.ClientGone
		} else {
			q.Attempts = append(q.Attempts, fact.Attempt{Address: r.member(why), Ended: q.Ended})
		}
		out.State(q)
	case string(c.msg) == "upstream roundtrip":
		q := r.begin(t, res)
		q.Partial = true
		a := fact.Attempt{Address: string(c.upstream), Took: q.Duration, Status: c.status}
		q.Duration = fact.Dur{}
		if len(c.errText) > 0 {
			q.Writer = fact.WriterSelf
			explain(q, c.errText)
			a.Ended, a.Errno = q.Ended, q.Errno
			q.Attempts = append(q.Attempts[:0], a)
			out.State(q)
			return
		}
		if c.status.Or(0) >= 500 {
			a.Ended, q.Ended, q.Writer = fact.AppAnswered, fact.AppAnswered, fact.WriterBackend
			q.Status = c.status
			q.Attempts = append(q.Attempts, a)
			out.State(q)
			return
		}
		out.Seen(t)
	default:
		out.Seen(t)
	}
}

func (r *recordReader) member(why []byte) string {
	if len(r.rec.upstream) > 0 {
		return string(r.rec.upstream)
	}
	return dialled(why)
}
