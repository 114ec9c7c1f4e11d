package nginx

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// filler makes a Request out of the values of a line. It keeps the last stamp,
// since neighbours share theirs.
type filler struct {
	env   *source.Env
	req   fact.Request
	attrs map[string]string
	conn  []byte // "pid*conn" of the line at hand

	stamp   [32]byte
	stampN  int
	at      time.Time
	res     fact.Dur
	inSplit [maxTries][]byte
	plain   []byte // a path without its escapes
}

// maxTries bounds the tries of one request; nginx itself stops at the number
// of members.
const maxTries = 32

func newFiller(env *source.Env) *filler {
	return &filler{env: env}
}

// fill reads v into f.req. It is false if the line tells neither a status nor
// a request.
func (f *filler) fill(v *values, l *layout) bool {
	q := &f.req
	q.Reset()
	q.Party.Role, q.Party.Tech = fact.RoleGateway, "nginx"
	if v.nAny > 0 {
		v.guess(&l.learnt)
	}
	if v.has&(1<<kAgentOrUp) != 0 {
		v.settle()
	}
	if !f.when(v) {
		return false
	}
	st := v.get(kStatus)
	if n := status(st); n >= 0 {
		q.Status = fact.Num(n)
	} else if l.has&(1<<kStatus) != 0 && len(st) > 0 && (len(st) > 1 || st[0] != '-') {
		return false
	}
	f.request(v)
	if !q.Status.Known && q.Path == "" {
		return false
	}
	client := known(v.get(kClient))
	if bytes.IndexByte(client, ' ') >= 0 {
		return false
	}
	q.Client = source.View(client)
	q.UserAgent = source.View(known(v.get(kAgent)))
	if q.Bytes = source.Int(v.get(kBytes)); !q.Bytes.Known {
		q.Bytes = source.Int(v.get(kBytesAll))
	}
	if v.has&(1<<kReqBytes) != 0 {
		q.ReqBytes = source.Int(v.get(kReqBytes))
	}
	if q.Duration = source.Secs(v.get(kDuration)); !q.Duration.Known && v.has&(1<<kDurationMS) != 0 {
		q.Duration = milliseconds(v.get(kDurationMS))
	}
	f.identify(v)
	f.tries(v)
	f.judge(v, l)
	return true
}

// known is b, or nothing if b is nginx's word for "unknown".
func known(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// when reads the line's instant. It is false if there is a stamp that cannot
// be read.
func (f *filler) when(v *values) bool {
	var b []byte
	k := kTimeLocal
	for _, k = range [...]kind{kMsec, kTimeISO, kTimeLocal, kTimeAny, kMillis} {
		if b = known(v.get(k)); len(b) > 0 {
			break
		}
	}
	if len(b) == 0 {
		return true // the wrapper's time, if there is one
	}
	if len(b) == f.stampN && string(b) == string(f.stamp[:f.stampN]) {
		f.req.Time, f.req.Res = f.at, f.res
		return true
	}
	t, res, ok := f.parseTime(k, b)
	if !ok {
		return k == kTimeAny
	}
	f.at, f.res = t, fact.Lasting(res)
	f.req.Time, f.req.Res = f.at, f.res
	f.stampN = 0
	if len(b) <= len(f.stamp) {
		f.stampN = copy(f.stamp[:], b)
	}
	return true
}

func (f *filler) parseTime(k kind, b []byte) (t time.Time, res time.Duration, ok bool) {
	switch k {
	case kTimeLocal:
		t, rest, ok := source.CLFTime(b)
		return t, time.Second, ok && len(rest) == 0
	case kTimeISO:
		t, res, rest, ok := source.ISOTime(f.env, b)
		return t, res, ok && len(rest) == 0
	case kMsec:
		if d := source.Secs(b); d.Known && d.D > 0 {
			res := time.Second
			if bytes.IndexByte(b, '.') >= 0 {
				res = time.Millisecond
			}
			return time.Unix(0, int64(d.D)).UTC(), res, true
		}
		return t, 0, false
	case kMillis:
		if n := source.Int(b); n.Known && n.N > 0 && n.N < 1<<53 {
			return time.UnixMilli(n.N).UTC(), time.Millisecond, true
		}
		return t, 0, false
	}
	if t, res, ok := f.parseTime(kTimeLocal, b); ok {
		return t, res, ok
	}
	if t, res, ok := f.parseTime(kTimeISO, b); ok {
		return t, res, ok
	}
	if t, res, rest, ok := source.SlashTime(f.env, b); ok && len(rest) == 0 {
		return t, res, true
	}
	if len(b) >= 12 && bytes.IndexByte(b, '.') < 0 {
		return f.parseTime(kMillis, b)
	}
	return f.parseTime(kMsec, b)
}

// request reads what was asked for.
func (f *filler) request(v *values) {
	q := &f.req
	if b := known(v.get(kRequest)); len(b) > 0 {
		q.Method, q.Path, q.Proto = asked(b)
		if len(q.Path) > 0 && q.Path[0] == 'h' {
			q.Path, q.Host = relative(q.Path, "")
		}
	}
	if b := known(v.get(kMethod)); len(b) > 0 {
		q.Method = source.View(b)
	}
	if b := known(v.get(kProto)); len(b) > 0 {
		if i := bytes.IndexByte(b, '/'); i >= 0 {
			b = b[i+1:]
		}
		q.Proto = source.View(b)
	}
	if q.Path == "" {
		if q.Path = source.View(known(v.get(kTarget))); q.Path == "" {
			q.Path = source.View(known(v.get(kURI)))
		}
	}
	host := known(v.get(kHost))
	if b := known(v.get(kURL)); len(b) > 0 {
		h, path := cutURL(b)
		if len(host) == 0 {
			host = h
		}
		if q.Path == "" {
			q.Path = source.View(path)
		}
	}
	if len(host) == 0 {
		if host = known(v.get(kServerName)); len(host) == 1 && host[0] == '_' {
			host = nil
		}
	}
	if len(host) > 0 {
		q.Host = source.View(host)
	}
	if (q.Method != "" || v.has&(1<<kRequest) == 0) && strings.IndexByte(q.Path, '\\') >= 0 {
		f.plain = unescape(f.plain[:0], q.Path)
		q.Path = source.View(f.plain)
	}
}

// unescape undoes what nginx' log does to quotes and backslashes, "\x22" or, in
// JSON, "\"", since its error log shows them as they are. Bytes that cannot be
// printed stay escaped.
func unescape(to []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' || i+1 == len(s) {
			to = append(to, c)
			continue
		}
		switch n := s[i+1]; {
		case n == '"' || n == '\\' || n == '/':
			to = append(to, n)
			i++
		case n == 'x' && i+3 < len(s) && printable(hex(s[i+2])<<4|hex(s[i+3])):
			to = append(to, byte(hex(s[i+2])<<4|hex(s[i+3])))
			i += 3
		default:
			to = append(to, c)
		}
	}
	return to
}

func printable(c int) bool { return c >= 0x20 && c < 0x7f }

// hex is the value of a hexadecimal digit; far beyond a byte's if it is none.
func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return 1 << 16
}

// relative parts a target in absolute form; host stays where it is known.
func relative(target, host string) (string, string) {
	if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
		_, rest, _ := strings.Cut(target, "://")
		h, path := rest, "/"
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			h, path = rest[:i], rest[i:]
		}
		if host == "" {
			host = h
		}
		return path, host
	}
	return target, host
}

// asked parts a request line, also one with a method that is none.
func asked(b []byte) (method, target, proto string) {
	m, t, p, ok := source.RequestLine(b)
	if !ok {
		i, j := bytes.IndexByte(b, ' '), bytes.LastIndexByte(b, ' ')
		if i > 0 && i < 20 && j > i && source.HasPrefix(b[j+1:], "HTTP/") && b[i+1] == '/' {
			m, t, p = b[:i], b[i+1:j], b[j+6:]
		}
	}
	return source.View(m), source.View(t), source.View(p)
}

// cutURL parts "http://host/path" or "host/path".
func cutURL(b []byte) (host, path []byte) {
	if i := bytes.Index(b, []byte("://")); i >= 0 && i < 8 {
		b = b[i+3:]
	}
	if i := bytes.IndexByte(b, '/'); i >= 0 {
		return b[:i], b[i:]
	}
	return b, nil
}

// milliseconds reads whole or broken milliseconds.
func milliseconds(b []byte) fact.Dur {
	d := source.Secs(b)
	if d.Known {
		d.D /= 1000
	}
	return d
}

// identify reads ids, connection and names.
func (f *filler) identify(v *values) {
	q := &f.req
	for _, b := range v.ids[:v.nID] {
		q.IDs = appendID(q.IDs, b)
	}
	if v.has&(1<<kPID|1<<kConn|1<<kUpName|1<<kProxyHost|1<<kHostname|1<<kClientPort) == 0 {
		return
	}
	pid := known(v.get(kPID))
	q.Party.PID = source.PID(pid)
	if conn := known(v.get(kConn)); q.Party.PID > 0 && len(conn) > 0 {
		f.conn = append(append(append(f.conn[:0], pid...), '*'), conn...)
		q.ConnID = source.View(f.conn)
	}
	q.Upstream = group(v)
	if h := known(v.get(kHostname)); len(h) > 0 {
		q.Party.Host = source.View(h)
	}
	if port := known(v.get(kClientPort)); len(port) > 0 && q.Client != "" {
		// "$remote_addr:$remote_port" stand side by side in the line.
		if c := v.get(kClient); cap(c) > len(c)+len(port) {
			if both := c[: len(c)+1+len(port) : cap(c)]; both[len(c)] == ':' && string(both[len(c)+1:]) == string(port) {
				q.Client = source.View(both)
			}
		}
	}
}

// group is the name of the group that was asked, if the line tells it.
func group(v *values) string {
	if name := known(v.get(kUpName)); len(name) > 0 {
		return source.View(name)
	}
	if h := known(v.get(kProxyHost)); len(h) > 0 && groupName(h) {
		return source.View(h)
	}
	return ""
}

// appendID adds the id that a header's value holds.
func appendID(ids []string, b []byte) []string {
	if len(b) < 4 || len(b) > 256 {
		return ids
	}
	switch {
	case len(b) == 55 && b[2] == '-' && b[35] == '-' && b[52] == '-': // traceparent: version, trace, span, flags
		b = b[3:35]
	case source.HasPrefix(b, "Self=") || source.HasPrefix(b, "Root="): // X-Amzn-Trace-Id
		if i := bytes.Index(b, []byte("Root=")); i >= 0 {
			b = b[i:]
			if j := bytes.IndexByte(b, ';'); j >= 0 {
				b = b[:j]
			}
		}
	default:
		if i := bytes.IndexByte(b, '/'); i == 32 { // X-Cloud-Trace-Context: trace/span;o=1
			b = b[:i]
		}
	}
	s := source.View(b)
	for _, have := range ids {
		if have == s {
			return ids
		}
	}
	return append(ids, s)
}
