package haproxy

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var access = source.Format{
	ID:          "haproxy-access",
	Tech:        tech,
	Title:       "HAProxy access log",
	Sniff:       sniffAccess,
	NewReader:   func(env *source.Env) source.LineReader { return newAccessReader(env) },
	Independent: true,
}

// maxPrefix bounds what may stand before the client's address, in bytes: a
// syslog frame with a long host name.
const maxPrefix = 300

// accessReader reads one access log. It fills one Request again and again.
type accessReader struct {
	env     *source.Env
	req     fact.Request
	attrs   map[string]string
	members map[string]string // backend/server to address, from the configuration
	day     [20]byte          // "09/Mar/2026:04:00:00", whose instant is base
	base    time.Time
	folded  source.Ordinary
	// A line's own instant, and how long after loggedTo, a base, it is.
	logged, loggedTo time.Time
	after            time.Duration
	client           []byte // a client's address that had to be written anew
}

func newAccessReader(env *source.Env) *accessReader {
	return &accessReader{env: env, attrs: map[string]string{}, members: members(env)}
}

// members are the servers' addresses that the configuration told, nil if none.
func members(env *source.Env) map[string]string {
	var m map[string]string
	for _, h := range env.Hints(memberHint) {
		if m == nil {
			m = map[string]string{}
		}
		name, addr, _ := strings.Cut(h, " ")
		m[name] = addr
	}
	return m
}

// Line implements [source.LineReader].
func (r *accessReader) Line(l *source.Line, out source.Sink) source.Took {
	b := l.Text
	if r.quick(b, l, out) {
		return source.Mine
	}
	at := stampAt(b)
	if at < 0 {
		return r.connect(l, out)
	}
	if b[at+21] == ' ' {
		if c, ok := cutCLF(b); ok {
			return r.clf(l, c, out)
		}
	}
	start, rest, ok := r.date(b[at+1:])
	if !ok {
		return source.NotMine
	}
	var n line
	if n.read(rest) {
		if f, ok := out.(source.Folder); ok && n.ordinary() && r.fold(&n, start, l, f) {
			return source.Mine
		}
	} else {
		if handshake(rest) {
			out.Seen(start)
			return source.Mine
		}
		if !n.search(rest) {
			return source.NotMine
		}
	}
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	r.state(&n, b[:at], start, l)
	out.State(q)
	return source.Mine
}

// fold has an ordinary request counted without being stated.
func (r *accessReader) fold(n *line, start time.Time, l *source.Line, f source.Folder) bool {
	n.tail()
	o := &r.folded
	*o = source.Ordinary{Time: n.end(start, l), Status: int(n.status.N)}
	if len(n.request) > 0 && n.request[0] != '<' {
		if method, _, _, ok := cutRequest(n.request); ok {
			o.Method = source.View(method)
		}
	}
	if o.Tried = n.asked(); o.Tried {
		o.Member = r.address(n.pair, n.server)
	} else {
		o.Member = source.View(n.backend)
	}
	return f.Fold(o)
}

// Close implements [source.LineReader].
func (r *accessReader) Close(source.Sink) {}

// stampAt finds the bracket that opens the date of a line, which follows the
// client's address: "1.2.3.4:5 [09/Mar/2026:". It is -1 if there is none.
func stampAt(b []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:min(len(b), from+maxPrefix)], '[')
		if i < 0 {
			return -1
		}
		i += from
		if i+22 > len(b) || i > maxPrefix {
			return -1
		}
		if b[i+3] == '/' && b[i+7] == '/' && b[i+12] == ':' && b[i+15] == ':' && b[i+18] == ':' && i > 1 && b[i-1] == ' ' {
			return i
		}
		from = i + 1
	}
}

// date reads "09/Mar/2026:04:00:00.123] " and, as %trg and %trl write it,
// "09/Mar/2026:04:00:00 +0000] ".
func (r *accessReader) date(b []byte) (t time.Time, rest []byte, ok bool) {
	if len(b) < 22 {
		return
	}
	if b[20] == ' ' {
		t, rest, ok = source.CLFTime(b)
		if !ok || len(rest) < 2 || rest[0] != ']' {
			return t, nil, false
		}
		return t, bytes.TrimLeft(rest[1:], " "), true
	}
	if *(*[20]byte)(b) != r.day {
		if !r.newSecond(b) {
			return
		}
	}
	if b[20] != '.' && b[20] != ']' {
		return
	}
	i, ns, unit := 21, 0, int(time.Second)
	if b[20] == ']' {
		i = 20
	}
	for ; i < len(b) && b[i] != ']'; i++ {
		if b[i] < '0' || b[i] > '9' {
			return
		}
		unit /= 10
		ns += int(b[i]-'0') * unit
	}
	if i+2 > len(b) || b[i+1] != ' ' {
		return
	}
	return r.base.Add(time.Duration(ns)), b[i+2:], true
}

// newSecond reads the date to the second; lines of one second share the work.
func (r *accessReader) newSecond(b []byte) bool {
	var zoned [26]byte
	copy(zoned[:], b[:20])
	copy(zoned[20:], " +0000")
	t, _, ok := source.CLFTime(zoned[:])
	if !ok {
		return false
	}
	r.base = r.env.Local(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0)
	copy(r.day[:], b)
	return true
}

// zoneStep is the step of the world's time zones.
const zoneStep = 15 * time.Minute

// maxLate is how long after its end a line may reach the logger, to tell zones
// apart from delays.
const maxLate = 20 * time.Second

// zoneShift is what a date without a zone must be moved by, where a logger's
// stamp shows that it was written in another zone than assumed.
func zoneShift(end, logged time.Time) time.Duration {
	d := logged.Sub(end)
	if d.Abs() <= zoneStep/2 {
		return 0
	}
	shift := d.Round(zoneStep)
	if late := d - shift; late < -2*time.Second || late > maxLate || shift.Abs() > 14*time.Hour {
		return 0
	}
	return shift
}

// state fills the Request from what the line held.
func (r *accessReader) state(n *line, before []byte, start time.Time, l *source.Line) {
	q := &r.req
	r.who(before)
	n.tail()
	q.Time, q.Res = n.end(start, l), fact.Millis(1)
	if took := n.timer[n.timers-1]; took >= 0 {
		q.Duration = fact.Millis(int64(took))
	}
	q.Status, q.Bytes = n.status, n.bytes
	if q.Status.Known && q.Status.N < 0 {
		q.Status.N = 0
	}
	q.Code = source.View(n.state)
	q.Upstream = source.View(n.backend)
	r.attempt(n)
	r.judge(n)
	r.request(n)
	if n.retries > 0 || n.queued > 0 {
		r.count(n)
	}
}

// attempt states the server that was asked last; HAProxy writes one line for
// all its tries.
func (r *accessReader) attempt(n *line) {
	q := &r.req
	if !n.asked() {
		return
	}
	a := fact.Attempt{Address: r.address(n.pair, n.server)}
	connect, header, all := n.connect(), n.header(), n.timer[n.timers-1]
	if connect >= 0 {
		a.Connect = fact.Millis(int64(connect))
		if header >= 0 {
			a.Header = fact.Millis(int64(connect + header))
		}
	}
	if all >= 0 {
		waited := max(n.timer[0], 0)
		if n.http() {
			waited += max(n.timer[1], 0)
		}
		if waited <= all {
			a.Took = fact.Millis(int64(all - waited))
		}
	}
	q.Attempts = append(q.Attempts, a)
}

// address is that of the server: in its name, in the configuration, or else
// its name with the backend's.
func (r *accessReader) address(whole, server []byte) string {
	if addr := addressIn(server); addr != nil {
		return source.View(addr)
	}
	pair := source.View(whole)
	if r.members != nil {
		if addr, ok := r.members[pair]; ok {
			return addr
		}
	}
	return pair
}

// count states retries and the queue, which ordinary lines do not have.
func (r *accessReader) count(n *line) {
	clear(r.attrs)
	if n.retries > 0 {
		r.attrs[fact.AttrRetries] = itoa(n.retries)
	}
	if n.queued > 0 {
		r.attrs[fact.AttrQueue] = itoa(n.queued)
	}
	r.req.Attrs = r.attrs
}

// who reads the client's address, the last word before the date.
func (r *accessReader) who(b []byte) {
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	port, colons, from := -1, 0, len(b)
	for ; from > 0 && b[from-1] != ' '; from-- {
		if b[from-1] == ':' {
			if colons++; colons == 1 {
				port = from - 1
			}
		}
	}
	if from > 0 {
		r.req.Party.PID = tagPID(b[:from-1])
		b, port = b[from:], port-from
	}
	if port <= 0 || b[0] == '-' || source.HasPrefix(b, "unix:") {
		return // unknown, or a local socket
	}
	const mapped = "::ffff:"
	if colons > 1 && b[0] != '[' {
		if source.HasPrefix(b, mapped) && bytes.IndexByte(b, '.') > 0 {
			b = b[len(mapped):]
		} else {
			r.client = append(append(append(append(r.client[:0], '['), b[:port]...), ']'), b[port:]...)
			b = r.client
		}
	}
	r.req.Client = source.View(b)
}

// tagPID reads the process number of a syslog tag, "haproxy[123]:".
func tagPID(b []byte) int {
	i := bytes.LastIndexByte(b, '[')
	if i < 0 || len(b) < i+4 || b[len(b)-1] != ':' || b[len(b)-2] != ']' {
		return 0
	}
	return source.PID(b[i+1 : len(b)-2])
}

// request reads method, target and version, and what was captured before them.
func (r *accessReader) request(n *line) {
	q := &r.req
	for _, c := range n.captures {
		r.captured(c)
	}
	if len(n.extra) > 0 {
		r.captured(n.extra)
	}
	if len(n.request) == 0 || n.request[0] == '<' {
		return // <BADREQ>
	}
	method, target, proto, ok := cutRequest(n.request)
	if !ok {
		return
	}
	q.Method, q.Proto = source.View(method), source.View(proto)
	if q.Proto == "2.0" {
		q.Proto = "2"
	} else if q.Proto == "3.0" {
		q.Proto = "3"
	}
	if len(target) > 8 && target[0] != '/' {
		if i := bytes.Index(target[:min(len(target), 12)], []byte("://")); i > 0 {
			target = target[i+3:]
			slash := bytes.IndexByte(target, '/')
			if slash < 0 {
				slash = len(target)
			}
			q.Host = source.View(target[:slash])
			target = target[slash:]
			if len(target) == 0 {
				target = []byte("/")
			}
		}
	}
	q.Path = source.View(target)
}

// cutRequest is [source.RequestLine], faster where the line ends with a version
// of three characters, as nearly every one does.
func cutRequest(b []byte) (method, target, proto []byte, ok bool) {
	n := len(b) - len(" HTTP/1.1")
	i := bytes.IndexByte(b, ' ')
	if i <= 0 || i >= n || b[n] != ' ' || b[n+1] != 'H' || b[n+5] != '/' || i > len("UNSUBSCRIBE") {
		return source.RequestLine(b)
	}
	for _, c := range b[:i] {
		if c < 'A' || c > 'Z' {
			return source.RequestLine(b)
		}
	}
	return b[:i], b[i+1 : n], b[n+6:], true
}
