package envoy

import (
	"bytes"
	"strconv"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// line is the fields of one access line; they point into it.
type line struct {
	stamp        []byte
	request      []byte
	status       []byte
	flags        []byte
	details      []byte
	transport    []byte // upstream transport failure reason
	termination  []byte // connection termination details
	received     []byte
	sent         []byte
	duration     []byte // ms
	service      []byte // x-envoy-upstream-service-time, ms
	forwarded    []byte
	agent        []byte
	id           []byte
	authority    []byte
	upstream     []byte
	cluster      []byte
	remote       []byte // downstream remote address
	istio        bool
	method, path []byte // where the format has no request line
	proto        []byte
	attempts     []byte
}

func sniffAccess(l *source.Line) source.Confidence {
	t := l.Text
	if len(t) < 20 || t[0] != '[' && t[0] != '"' && t[0] != 'A' {
		if source.Has(t, "upstream_reset_before_response_started{") || source.Has(t, "upstream_reset_after_response_started{") {
			return source.Fragment
		}
		return source.No
	}
	var x line
	switch {
	case !split(t, &x):
		if source.Has(t, "upstream_reset_before_response_started{") {
			return source.Fragment
		}
		return source.No
	case len(x.stamp) > 0:
		return source.Sure
	case len(x.details) > 0:
		return source.Sure
	}
	return source.Likely
}

// split cuts an access line into its fields: Envoy's default format, and
// Istio's, which has further fields before the byte counts and behind the
// upstream host. Which of them are there depends on the version.
func split(t []byte, x *line) bool {
	if source.HasPrefix(t, "ACCESS ") { // Emissary
		t = t[len("ACCESS "):]
	}
	var ok bool
	if len(t) > 0 && t[0] == '[' {
		if x.stamp, t, ok = source.Bracketed(t); !ok || len(x.stamp) < 19 || x.stamp[4] != '-' {
			return false
		}
	}
	if x.request, t, ok = source.Quoted(t); !ok {
		return false
	}
	if x.status, t = source.Field(t); !source.Int(x.status).Known {
		return false
	}
	if x.flags, t = source.Field(t); !isFlags(x.flags) {
		return false
	}
	if t, ok = x.beforeCounts(t); !ok {
		return false
	}
	x.received, t = source.Field(t)
	x.sent, t = source.Field(t)
	x.duration, t = source.Field(t)
	x.service, t = source.Field(t)
	if !source.Int(x.sent).Known || !numberOrDash(x.duration) || !numberOrDash(x.service) {
		return false
	}
	return x.afterCounts(t)
}

func numberOrDash(b []byte) bool { return len(b) == 1 && b[0] == '-' || source.Int(b).Known }

// beforeCounts reads what Istio puts between the flags and the byte counts:
// nothing (before 1.3), two quoted fields (1.3 to 1.8), or details, termination
// details and a quoted reason.
func (x *line) beforeCounts(t []byte) (rest []byte, ok bool) {
	for n := 0; len(t) > 0 && n < 4; n++ {
		if t[0] == '"' {
			q, r, ok := source.Quoted(t)
			if !ok {
				return nil, false
			}
			x.transport, x.istio, t = q, true, r
			continue
		}
		if t[0] >= '0' && t[0] <= '9' {
			return t, true
		}
		f, r := token(t)
		switch {
		case n == 0:
			if string(f) != "-" || !countsFollow(r) {
				x.details = f
			}
		case n == 1:
			x.termination = f
		}
		t = r
	}
	return t, len(t) > 0 && (t[0] >= '0' && t[0] <= '9' || t[0] == '-')
}

func countsFollow(t []byte) bool { return len(t) > 0 && t[0] >= '0' && t[0] <= '9' }

// token is a field that may have blanks between braces, as details of older
// versions have.
func token(t []byte) (f, rest []byte) {
	i := bytes.IndexByte(t, ' ')
	if i < 0 {
		return t, nil
	}
	if j := bytes.IndexByte(t[:i], '{'); j >= 0 {
		if k := bytes.IndexByte(t[j:], '}'); k >= 0 && j+k > i {
			i = j + k + 1
			return t[:i], bytes.TrimLeft(t[i:], " ")
		}
	}
	return source.Field(t)
}

// quotedMax is how many quoted fields follow the counts: forwarded-for, agent,
// id, authority, upstream host.
const quotedMax = 5

// afterCounts reads the quoted fields and Istio's last ones.
func (x *line) afterCounts(t []byte) bool {
	var q [quotedMax][]byte
	n := 0
	for n < quotedMax && len(t) > 0 && t[0] == '"' {
		var ok bool
		if q[n], t, ok = source.Quoted(t); !ok {
			if n < 2 {
				return false
			}
			break // the line was cut
		}
		n++
	}
	if n == 0 {
		return len(t) == 0
	}
	at := 2 // of the request id
	if n < quotedMax {
		for i := range n {
			if isUUID(q[i]) {
				at = i
			}
		}
	}
	pick := func(i int) []byte {
		if i >= 0 && i < n {
			return q[i]
		}
		return nil
	}
	x.forwarded, x.agent, x.id, x.authority, x.upstream = pick(at-2), pick(at-1), pick(at), pick(at+1), pick(at+2)
	if len(t) == 0 {
		return true
	}
	x.istio = true
	x.cluster, t = source.Field(t)
	_, t = source.Field(t) // upstream local address
	_, t = source.Field(t) // downstream local address
	x.remote, _ = source.Field(t)
	return true
}

func isUUID(b []byte) bool {
	return len(b) == 36 && b[8] == '-' && b[13] == '-' && b[18] == '-' && b[23] == '-'
}

// accessReader reads access lines.
type accessReader struct {
	env   *source.Env
	req   fact.Request
	attrs map[string]string
	told  bool
}

// Line implements [source.LineReader].
func (r *accessReader) Line(l *source.Line, out source.Sink) source.Took {
	var x line
	if !split(l.Text, &x) {
		return r.fragment(l, out)
	}
	r.state(&x, out)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *accessReader) Close(source.Sink) {}

// known returns b, or nothing for a dash.
func known(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// state states the request of a line.
func (r *accessReader) state(x *line, out source.Sink) {
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	q.Duration = source.Millis(x.duration)
	if t, res, _, ok := source.ISOTime(r.env, x.stamp); ok {
		q.Time = t.Add(q.Duration.Or(0))
		q.Res = fact.Lasting(max(res, time.Millisecond))
	}
	if len(x.request) > 0 {
		m, p, v, _ := source.RequestLine(x.request)
		q.Method, q.Path, q.Proto = source.View(known(m)), source.View(known(p)), protoVersion(v)
	} else {
		q.Method, q.Path = source.View(known(x.method)), source.View(known(x.path))
		q.Proto = protoVersion(bytes.TrimPrefix(x.proto, []byte("HTTP/")))
	}
	q.Status = source.Int(x.status)
	q.ReqBytes, q.Bytes = source.Int(x.received), source.Int(x.sent)
	q.UserAgent = source.View(known(x.agent))
	q.Host = source.View(known(x.authority))
	q.Client = client(x)
	if id := known(x.id); len(id) > 0 {
		q.IDs = append(q.IDs, source.View(id))
	}
	q.Upstream = source.View(known(x.cluster))
	if f := known(x.flags); len(f) > 0 {
		q.Code = source.View(f)
	}
	if d := known(x.details); len(d) > 0 && string(d) != "via_upstream" {
		q.Detail = source.View(d)
	} else if tr := known(x.transport); len(tr) > 0 {
		q.Detail = source.View(tr)
	}
	judge(q, known(x.flags), known(x.details), known(x.transport))
	r.tries(x, q)
	if n := source.Int(x.attempts); n.Known && n.N > 1 && n.N < maxAttempts {
		if r.attrs == nil {
			r.attrs = map[string]string{}
		}
		r.attrs[fact.AttrRetries] = strconv.FormatInt(n.N-1, 10)
		q.Attrs = r.attrs
	}
	if !r.told && len(x.stamp) > 0 {
		r.told = true
		stateDefaults(x.istio, out)
	}
	out.State(q)
}

// maxAttempts is more than any retry policy allows.
const maxAttempts = 1000

// tries states the member asked. Where the line has no details, a member's
// time together with no flag shows that it answered.
func (r *accessReader) tries(x *line, q *fact.Request) {
	service := source.Millis(x.service)
	if q.Writer == "" && q.Ended == "" && len(known(x.flags)) == 0 && service.Known {
		q.Writer = fact.WriterBackend
		if q.Status.Or(0) >= 500 {
			q.Ended = fact.AppAnswered
		}
	}
	addr := address(known(x.upstream))
	if len(addr) == 0 {
		return
	}
	a := fact.Attempt{Address: source.View(addr), Header: service, Errno: q.Errno}
	if q.Writer == fact.WriterBackend {
		a.Status = q.Status
	}
	if q.Ended != fact.ClientGone && q.Ended != fact.Denied && q.Ended != fact.NoBackend {
		a.Ended = q.Ended
	}
	q.Attempts = append(q.Attempts, a)
}

// client is the peer's address with its port, or the first of x-forwarded-for.
func client(x *line) string {
	if c := known(x.remote); len(c) > 0 {
		return source.View(bytes.TrimSuffix(c, []byte(":0"))) // a port of 0 was made up from a header
	}
	first, _, _ := bytes.Cut(known(x.forwarded), []byte{','})
	return source.View(bytes.TrimSpace(first))
}

// address takes "tcp://" and an internal listener's name off.
func address(b []byte) []byte {
	if i := bytes.Index(b, []byte("://")); i >= 0 {
		b = b[i+3:]
		if j := bytes.LastIndexByte(b, '/'); j >= 0 && j+1 < len(b) && b[0] != '/' {
			b = b[j+1:]
		}
	}
	return b
}

func protoVersion(v []byte) string {
	if len(v) == 3 && v[0] > '1' && v[1] == '.' && v[2] == '0' {
		v = v[:1]
	}
	return source.View(known(v))
}

// fragment reads a line of another shape that holds Envoy's details.
func (r *accessReader) fragment(l *source.Line, out source.Sink) source.Took {
	t := l.Text
	i := bytes.Index(t, []byte("upstream_reset_"))
	if i < 0 || !source.Has(t[i:], "_response_started{") {
		return source.NotMine
	}
	end := bytes.IndexByte(t[i:], '}')
	if end < 0 {
		end = len(t) - i - 1
	}
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	d := t[i : i+end+1]
	q.Detail = source.View(d)
	var list []byte
	for f := range bytes.FieldsFuncSeq(t[:i], func(c rune) bool {
		return c == ' ' || c == '\t' || c == '"' || c == ':' || c == '=' || c == '|' || c == ';'
	}) {
		f = bytes.Trim(f, ",.()")
		switch n := source.Int(f); {
		case n.Known && len(f) == 3 && n.N >= 100 && n.N < 600:
			q.Status = n
		case len(f) > 1 && isFlags(f):
			list = f
		}
	}
	q.Code = source.View(list)
	judge(q, list, d, nil)
	out.State(q)
	return source.Mine
}
