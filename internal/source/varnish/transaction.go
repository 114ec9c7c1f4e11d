package varnish

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// record takes one record of the transaction.
func (t *transaction) record(tag, v []byte) {
	q := &t.req
	switch string(tag) {
	case "Begin":
		kind, rest := source.Field(v)
		parent, _ := source.Field(rest)
		t.parent = source.Int(parent).N
		t.fetch = t.fetch || string(kind) == "bereq"
	case "Timestamp":
		t.stamp(v)
	case "ReqStart":
		ip, rest := source.Field(v)
		port, _ := source.Field(rest)
		q.Client = hostPort(ip, port)
	case "ReqMethod", "BereqMethod":
		q.Method = string(v)
	case "ReqURL", "BereqURL":
		q.Path = string(v)
	case "ReqProtocol":
		q.Proto = strings.TrimSuffix(strings.TrimPrefix(string(v), "HTTP/"), ".0")
	case "ReqHeader", "BereqHeader":
		t.header(v)
	case "RespStatus":
		q.Status = source.Int(v)
	case "BerespStatus":
		if t.answered && !t.failed { // before the time stamp, it is Varnish's own
			t.try.Status = source.Int(v)
		}
	case "BogoHeader", "LostHeader":
		t.tooBig = t.tooBig || source.Has(v, "too long") || source.Has(v, "Too many headers") || string(tag) == "LostHeader"
	case "Link":
		kind, rest := source.Field(v)
		if id, _ := source.Field(rest); string(kind) == "bereq" && len(t.links) < maxLinks {
			t.links = append(t.links, source.Int(id).N)
		}
	case "RespReason":
		if string(v) == "Backend fetch failed" || string(v) == "VCL failed" {
			q.Writer = fact.WriterSelf
		}
	case "ReqAcct":
		f := bytes.Fields(v)
		if len(f) > 4 {
			q.ReqBytes, q.Bytes = source.Int(f[1]), source.Int(f[4])
		}
	case "FetchError":
		t.fetchFailed(v)
	case "BackendOpen":
		t.opened(v)
	case "VCL_call":
		switch s := string(v); s {
		case "HIT", "MISS", "PASS", "PIPE":
			t.handling = s
		case "SYNTH":
			if t.handling == "" {
				t.handling = s
			}
		}
	case "VCL_return":
		if string(v) == "restart" || string(v) == "retry" {
			t.ending = true
		}
	}
}

// hostPort joins an address and a port.
func hostPort(ip, port []byte) string {
	if len(port) == 0 || source.HasPrefix(ip, "/") || source.Int(port).N == 0 {
		return string(ip)
	}
	if bytes.IndexByte(ip, ':') >= 0 {
		return "[" + string(ip) + "]:" + string(port)
	}
	return string(ip) + ":" + string(port)
}

// stamp reads "Resp: 1773064800.227882 0.000566 0.000017": the event, the
// instant, the time since the start and since the event before.
func (t *transaction) stamp(v []byte) {
	event, rest := source.Field(v)
	at, rest := source.Field(rest)
	since, rest := source.Field(rest)
	step, _ := source.Field(rest)
	when, total := unix(at), source.Secs(since)
	if when.IsZero() {
		return
	}
	q := &t.req
	switch string(bytes.TrimSuffix(event, []byte(":"))) {
	case "Start":
		t.start = when
	case "Connected":
		t.try.Connect = source.Secs(step)
	case "Bereq":
		t.sent = total.Or(0)
	case "Beresp":
		if t.failed {
			break
		}
		t.answered = true
		if total.Known {
			t.try.Header = fact.Lasting(total.D - t.sent + t.try.Connect.Or(0))
		}
	case "Error":
		t.failed = true
	case "Resp":
		q.Duration = total
	}
	if total.Known {
		t.last = total.D
	}
	q.Time, q.Res = when, fact.Lasting(time.Microsecond)
}

// unix reads "1773064800.227882".
func unix(b []byte) time.Time {
	whole, frac, _ := bytes.Cut(b, []byte("."))
	n := source.Int(whole)
	if !n.Known || n.N <= 0 || len(whole) > 11 {
		return time.Time{}
	}
	ns, unit := int64(0), int64(time.Second)
	for _, c := range frac {
		if c < '0' || c > '9' || unit < 10 {
			break
		}
		unit /= 10
		ns += int64(c-'0') * unit
	}
	return time.Unix(n.N, ns).UTC()
}

// idHeaders identify a request, lower case.
var idHeaders = map[string]bool{
	"x-request-id": true, "traceparent": true, "x-correlation-id": true, "x-amzn-trace-id": true, "cf-ray": true, "x-cloud-trace-context": true,
	"x-b3-traceid": true, "x-my-uuid": true, "request-id": true,
}

func (t *transaction) header(v []byte) {
	name, value, ok := bytes.Cut(v, []byte(": "))
	if !ok {
		return
	}
	switch key := strings.ToLower(string(name)); {
	case key == "host":
		t.req.Host = string(value)
	case key == "user-agent":
		t.req.UserAgent = string(value)
	case idHeaders[key] && len(t.req.IDs) < 8:
		t.req.IDs = append(t.req.IDs, string(value))
	}
}

// opened reads "22 shop 10.0.1.7 8080 10.0.0.1 38510 reuse 12.5 3": descriptor,
// backend, its address, own address, and, since version 7, whether the
// connection was kept, how long, and how often it had been used.
func (t *transaction) opened(v []byte) {
	f := bytes.Fields(v)
	if len(f) < 4 {
		return
	}
	t.backend = bytes.Clone(f[1])
	t.try.Address = hostPort(f[2], f[3])
	if len(f) > 6 {
		switch string(f[6]) {
		case "connect":
			t.try.Reused = fact.Num(0)
		case "reuse":
			t.try.Reused = fact.Num(1)
			if len(f) > 8 {
				t.try.Idle = source.Secs(f[7])
				if n := source.Int(f[8]); n.Known {
					t.try.Index = fact.Num(n.N + 1)
				}
			}
		}
	}
}

// fetchFailed takes a FetchError; the first one tells why.
func (t *transaction) fetchFailed(v []byte) {
	reading := t.answered && !t.failed
	e, ok := readFetchError(v, reading)
	if t.try.Ended != "" || t.req.Ended == fact.ClientGone {
		return
	}
	t.failed = true
	t.req.Detail = string(v)
	if len(t.backend) == 0 {
		t.backend = bytes.Clone(e.backend)
	}
	if !ok {
		return
	}
	if t.tooBig && e.ended == fact.BadReply {
		e.ended = fact.ReplyTooBig
	}
	t.req.Ended, t.req.Phase, t.req.Errno = e.ended, e.phase, e.errno
	if e.ended != fact.ClientGone {
		t.try.Ended, t.try.Errno = e.ended, e.errno
	}
}

// attempt is the transaction as a try at a backend.
func (t *transaction) attempt() fact.Attempt {
	a := t.try
	if a.Address == "" {
		a.Address = string(t.backend)
	}
	a.Took = fact.Lasting(t.last)
	if a.Status.Or(0) >= 500 && a.Ended == "" {
		a.Ended = fact.AppAnswered
	}
	return a
}

// state states the transaction with those it caused.
func (t *transaction) state(out source.Sink) {
	q := &t.req
	q.Party = gateway()
	q.Origin.Line, q.Origin.Text = t.line, t.text
	if t.fetch {
		t.alone(out)
		return
	}
	if !q.Status.Known && !t.ending { // the log was cut
		for _, c := range t.children {
			c.state(out)
		}
		return
	}
	for _, c := range t.children {
		t.add(c, out)
	}
	if t.handling != "" {
		q.Attrs = map[string]string{fact.AttrCacheStatus: t.handling}
	}
	if t.ending && !q.Status.Known {
		return // the request goes on in another transaction
	}
	last := fact.Attempt{}
	if n := len(q.Attempts); n > 0 {
		last = q.Attempts[n-1]
	}
	switch {
	case q.Status.Or(0) >= 500 && last.Ended == fact.AppAnswered && q.Writer == "":
		q.Writer, q.Ended = fact.WriterBackend, fact.AppAnswered
	case last.Status.Known && last.Ended == "" && t.handling != "HIT":
		q.Writer, q.Ended = fact.WriterBackend, ""
	case last.Ended == fact.CutMidReply:
		q.Ended = last.Ended
	case q.Status.Or(0) < 500 && q.Ended != fact.ClientGone:
		q.Ended = "" // a fetch in the background, or another that went well
	}
	out.State(q)
}

// add takes a transaction that the request caused: a fetch, or, after a
// restart, the request again. Included parts of a page are stated apart.
func (t *transaction) add(c *transaction, out source.Sink) {
	q := &t.req
	if !c.fetch {
		if !t.ending {
			c.state(out)
			return
		}
		// The request after a restart has the answer.
		own := q.Client
		if c.req.Status.Known {
			q.Status, q.Time, q.Res, q.Duration, q.Bytes, q.Writer = c.req.Status, c.req.Time, c.req.Res, c.req.Duration, c.req.Bytes, c.req.Writer
			t.handling, t.ending = c.handling, c.ending
		}
		q.Client = own
		return
	}
	q.Attempts = append(q.Attempts, c.attempt())
	if len(c.backend) > 0 {
		q.Upstream = string(c.backend)
	}
	q.Ended, q.Phase, q.Errno = c.req.Ended, c.req.Phase, c.req.Errno
	if c.req.Detail != "" {
		q.Detail = c.req.Detail
	}
}

// alone states a fetch whose request is not in the log, where it failed.
func (t *transaction) alone(out source.Sink) {
	q := &t.req
	a := t.attempt()
	if a.Ended == "" && q.Ended == "" {
		out.Seen(q.Time)
		return
	}
	q.Partial = true
	q.Upstream = string(t.backend)
	q.Attempts = []fact.Attempt{a}
	if q.Ended == "" {
		q.Ended = a.Ended
	}
	q.Writer = fact.WriterSelf
	if a.Ended == fact.AppAnswered {
		q.Writer = fact.WriterBackend
	}
	out.State(q)
}
