package nginx

import (
	"bytes"

	"culprit/internal/source"
)

// jsonKeys keeps the kinds of the keys of the last object, since the next one
// most often has the same in the same order.
type jsonKeys struct {
	key  [maxFields][]byte
	kind [maxFields]kind
	n    int
	more []string
}

// lookup returns the kind of the key at place i, prefix.key if it stands in an
// object within the object.
func (k *jsonKeys) lookup(i int, prefix, key []byte) kind {
	if i < k.n && len(prefix) == 0 && bytes.Equal(k.key[i], key) {
		return k.kind[i]
	}
	full := key
	if len(prefix) > 0 {
		full = append(append(append([]byte(nil), prefix...), '.'), key...)
	}
	kd, known := nameKind(string(full), k.more)
	if !known && len(prefix) > 0 {
		kd, _ = nameKind(string(key), k.more)
	}
	if len(prefix) == 0 && i < maxFields && i <= k.n {
		k.key[i] = append(k.key[i][:0], key...)
		k.kind[i] = kd
		k.n = i + 1
	}
	return kd
}

// object reads a JSON object into v: known keys at the top and one level
// below. It minds no escapes but those of quotes, since nginx writes values
// raw. It is false if b is no whole object.
func (k *jsonKeys) object(b []byte, v *values) bool {
	v.reset()
	var prefix []byte
	depth, i, p := 1, 0, 1
	for p < len(b) {
		p = blanks(b, p)
		if p >= len(b) {
			return false
		}
		if b[p] == '}' {
			if depth--; depth == 0 {
				return len(bytes.TrimSpace(b[p+1:])) == 0
			}
			prefix = nil
			p++
			continue
		}
		if b[p] != '"' {
			return false
		}
		n := quote(b[p+1:])
		if n < 0 {
			return false
		}
		key := b[p+1 : p+1+n]
		if p = blanks(b, p+n+2); p >= len(b) || b[p] != ':' {
			return false
		}
		if p = blanks(b, p+1); p >= len(b) {
			return false
		}
		if b[p] == '{' && depth == 1 {
			depth, prefix = 2, key
			p++
			continue
		}
		val, next := jsonValue(b, p)
		if next < 0 {
			return false
		}
		v.set(k.lookup(i, prefix, key), val)
		i++
		p = next
	}
	return false
}

// blanks skips white space and commas.
func blanks(b []byte, p int) int {
	for p < len(b) && (b[p] == ' ' || b[p] == ',' || b[p] == '\t' || b[p] == '\n' || b[p] == '\r') {
		p++
	}
	return p
}

// jsonValue reads the value at b[p]: a string without its quotes, a bare word,
// or nothing of an array or object. next is -1 if it does not end.
func jsonValue(b []byte, p int) (val []byte, next int) {
	switch b[p] {
	case '"':
		n := quote(b[p+1:])
		if n < 0 {
			return nil, -1
		}
		return b[p+1 : p+1+n], p + n + 2
	case '[', '{':
		depth := 0
		for i := p; i < len(b); i++ {
			switch b[i] {
			case '"':
				n := quote(b[i+1:])
				if n < 0 {
					return nil, -1
				}
				i += n + 1
			case '[', '{':
				depth++
			case ']', '}':
				if depth--; depth == 0 {
					return nil, i + 1
				}
			}
		}
		return nil, -1
	}
	i := p
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ' ' {
		i++
	}
	if i == p || i == len(b) {
		return nil, -1
	}
	if val = b[p:i]; string(val) == "null" {
		val = nil
	}
	return val, i
}

// jsonLayout stands for objects whose keys tell their fields.
func jsonLayout(v *values) layout { return layout{has: v.has, flavour: elsewhere} }

func (r *accessReader) json(l *source.Line, out source.Sink) source.Took {
	if e := gatewayPlugin(l.Text); e != nil {
		return e.state(out)
	}
	r.js.more = r.env.IDHeaders
	if !r.js.object(l.Text, &r.v) {
		return source.NotMine
	}
	lay := jsonLayout(&r.v)
	if application(l.Text, r.v.has) || !httpish(&r.v, l) || !r.f.fill(&r.v, &lay) {
		return source.NotMine
	}
	out.State(&r.f.req)
	return source.Mine
}

// httpish reports whether an object is an access record at all: a time, a
// status of HTTP and what was asked for.
func httpish(v *values, l *source.Line) bool {
	const asked = 1<<kRequest | 1<<kTarget | 1<<kURI | 1<<kURL | 1<<kMethod
	const when = 1<<kTimeLocal | 1<<kTimeISO | 1<<kTimeAny | 1<<kMsec | 1<<kMillis
	s := status(v.get(kStatus))
	return s >= 0 && (s == 0 || s >= 100 && s < 600 || s == 9) && v.has&asked != 0 && (v.has&when != 0 || !l.Time.IsZero())
}

// application reports whether an object is what an application's logger writes
// of the requests it served: it has a level, and nothing of an upstream.
func application(b []byte, has uint64) bool {
	return has&(1<<kUpAddr|1<<kUpTime|1<<kUpStatus) == 0 && !source.Has(b, `"request_time"`) && !source.Has(b, `"remote_addr"`) &&
		(source.Has(b, `"level"`) || source.Has(b, `"severity"`) || source.Has(b, `"levelname"`) || source.Has(b, `"lvl"`))
}

// nginxNames are keys that name nginx's variables and nothing of another
// gateway.
var nginxNames = [...]string{
	`"upstream_response_time"`, `"upstream_addr"`, `"upstream_status"`, `"upstream_connect_time"`, `"upstream_header_time"`,
	`"request_time"`, `"body_bytes_sent"`, `"time_local"`, `"time_iso8601"`, `"remote_addr"`, `"http_user_agent"`,
	`"http_referer"`, `"request_length"`, `"http_x_forwarded_for"`, `"upstream_cache_status"`, `"proxy_upstream_name"`,
	`"server_protocol"`, `"http_host"`, `"request_uri"`, `"remote_user"`, `"upstream_response_length"`, `"ssl_protocol"`,
}

// sniffJSON says whether an object is a record of nginx's.
func sniffJSON(l *source.Line) source.Confidence {
	b := l.Text
	if gatewayPlugin(b) != nil {
		return source.Sure
	}
	names := 0
	for _, n := range nginxNames {
		if source.Has(b, n) {
			names++
		}
	}
	if names == 0 && !ours(l) && !source.Has(b, `"status`) {
		return source.No
	}
	var v values
	var k jsonKeys
	if !k.object(b, &v) || names == 0 && application(b, v.has) || !httpish(&v, l) {
		return source.No
	}
	lay := jsonLayout(&v)
	if !newFiller(&source.Env{}).fill(&v, &lay) {
		return source.No
	}
	switch {
	case names >= 3:
		return source.Likely + 10
	case names >= 1 || ours(l):
		return source.Likely - 10
	case v.has&(1<<kUpAddr|1<<kUpTime|1<<kUpStatus) != 0:
		return source.Possible
	}
	return strange - 5
}
