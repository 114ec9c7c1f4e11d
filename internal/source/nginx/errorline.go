package nginx

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// entry is one message of an error log, taken apart.
type entry struct {
	time   time.Time
	res    fact.Dur
	level  string
	pid    int
	conn   string // "pid*conn"
	framed bool   // at least a level in brackets stood before it
	klog   bool   // framed as Kubernetes components do

	text   []byte // message and action, without what follows
	msg    []byte // message without action
	action []byte // what nginx was doing: "connecting to upstream"
	errno  int    // as on Linux; 0 if none

	client, server, request, sub, upstream, host []byte
}

// parse takes an error-log line apart. It always succeeds; framed says whether
// the line has a frame of nginx's.
func parse(env *source.Env, b []byte) (e entry) {
	b = straight(bytes.TrimRight(b, " \t\r"))
	if in, ok := inside(b); ok && !frontal(b) {
		b = in
	}
	rest := b
	if source.HasPrefix(rest, "nginx: [") {
		rest = rest[len("nginx: "):]
	}
	if t, res, r, ok := source.SlashTime(env, rest); ok && len(r) > 1 && r[0] == ' ' && r[1] == '[' {
		e.time, e.res, rest = t, fact.Lasting(res), r[1:]
	} else if klog(&e, env, rest) {
		i := bytes.IndexByte(rest, ']')
		rest = bytes.TrimLeft(rest[i+1:], " ")
		e.split(rest)
		return e
	}
	if level, r, ok := source.Bracketed(rest); ok && isLevel(level) {
		e.level, e.framed = source.View(level), true
		rest = e.process(r)
	} else {
		rest = e.number(b)
		e.time = time.Time{}
	}
	e.split(rest)
	return e
}

func isLevel(b []byte) bool {
	switch string(b) {
	case "debug", "info", "notice", "warn", "error", "crit", "alert", "emerg":
		return true
	}
	return false
}

// klog reads the front of a line of Go's Kubernetes logger,
// "W0426 21:51:57.908771       9 controller.go:775] ".
func klog(e *entry, env *source.Env, b []byte) bool {
	if len(b) < 30 || b[0] != 'I' && b[0] != 'W' && b[0] != 'E' && b[0] != 'F' || b[5] != ' ' || b[8] != ':' || b[11] != ':' || b[14] != '.' {
		return false
	}
	i := bytes.IndexByte(b, ']')
	if i < 0 || i > 90 || !source.Has(b[:i], ".go:") {
		return false
	}
	month, day := source.Int(b[1:3]), source.Int(b[3:5])
	h, m, s, us := source.Int(b[6:8]), source.Int(b[9:11]), source.Int(b[12:14]), source.Int(b[15:21])
	if !month.Known || !day.Known || !h.Known || !m.Known || !s.Known || month.N < 1 || month.N > 12 || day.N < 1 || day.N > 31 || h.N > 23 || m.N > 59 || s.N > 60 {
		return false
	}
	e.time = env.Yearless(time.Month(month.N), int(day.N), int(h.N), int(m.N), int(s.N), int(us.Or(0))*1000)
	e.res = fact.Lasting(time.Microsecond)
	e.klog = true
	e.level = map[byte]string{'I': "notice", 'W': "warn", 'E': "error", 'F': "emerg"}[b[0]]
	return true
}

// process reads "pid#tid: *conn " where it is there.
func (e *entry) process(b []byte) []byte {
	i := bytes.IndexByte(b, '#')
	j := bytes.IndexByte(b, ':')
	if i <= 0 || j < i || i > 10 || j > 22 {
		return e.number(b)
	}
	pid := source.Int(b[:i])
	if !pid.Known || pid.N > 1<<31-1 {
		return b
	}
	e.pid = int(pid.N)
	rest := bytes.TrimLeft(b[j+1:], " ")
	if len(rest) > 1 && rest[0] == '*' {
		if n, r := source.Field(rest); source.Int(n[1:]).Known {
			e.conn = string(b[:i]) + string(n)
			return r
		}
	}
	return rest
}

// contexts are what nginx adds to a message of a connection, in its order.
var contexts = [...]string{", client: ", ", server: ", ", request: \"", ", subrequest: \"", ", upstream: \"", ", host: \"", ", referrer: \""}

// split parts a message, what nginx was doing, and what it adds of the
// request.
func (e *entry) split(b []byte) {
	b = retyped(b)
	end := len(b)
	for _, c := range contexts {
		if i := bytes.Index(b, []byte(c)); i >= 0 && i < end {
			end = i
		}
	}
	// A line cut off: "..., client..."
	if i := bytes.Index(b[:end], []byte(", client.")); i >= 0 {
		end = i
	}
	e.text = bytes.TrimRight(bytes.TrimSuffix(b[:end], []byte("...")), " ,")
	e.msg, e.action = parts(e.text)
	e.errno = errnoIn(e.msg)
	ctx := b[end:]
	e.client = plainContext(ctx, ", client: ")
	e.server = plainContext(ctx, ", server: ")
	e.request = quotedContext(ctx, ", request: \"")
	e.sub = quotedContext(ctx, ", subrequest: \"")
	e.upstream = quotedContext(ctx, ", upstream: \"")
	e.host = quotedContext(ctx, ", host: \"")
}

// parts cuts what nginx was doing off a message.
func parts(text []byte) (msg, action []byte) {
	if i := bytes.LastIndex(text, []byte(" while ")); i >= 0 {
		return text[:i], text[i+len(" while "):]
	}
	return text, nil
}

func plainContext(b []byte, key string) []byte {
	i := bytes.Index(b, []byte(key))
	if i < 0 {
		return nil
	}
	b = b[i+len(key):]
	if j := bytes.IndexByte(b, ','); j >= 0 {
		b = b[:j]
	}
	return b
}

// quotedContext reads a value that nginx writes without escapes: it ends
// before the next key, or at the last quote.
func quotedContext(b []byte, key string) []byte {
	i := bytes.Index(b, []byte(key))
	if i < 0 {
		return nil
	}
	b = b[i+len(key):]
	end := -1
	for _, c := range contexts {
		if j := bytes.Index(b, []byte("\""+c)); j >= 0 && (end < 0 || j < end) {
			end = j
		}
	}
	if j := bytes.Index(b, []byte(`", bytes from`)); j >= 0 && (end < 0 || j < end) {
		end = j
	}
	if end < 0 {
		if end = bytes.LastIndexByte(b, '"'); end < 0 {
			end = len(b)
		}
	}
	return b[:end]
}

// errnoIn finds the number in "(111: Connection refused)".
func errnoIn(b []byte) int {
	if source.Has(b, "could not be resolved (") || source.Has(b, "certificate verify error") {
		return 0
	}
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], '(')
		if i < 0 {
			return 0
		}
		i += from + 1
		j := i
		for j < len(b) && b[j] >= '0' && b[j] <= '9' {
			j++
		}
		if j > i && j-i < 7 && j+1 < len(b) && b[j] == ':' && b[j+1] == ' ' {
			return linuxErrno(int(source.Int(b[i:j]).N))
		}
		from = i
	}
}

// elsewhereErrno translates numbers of FreeBSD, macOS and Windows that no
// system call of nginx's returns on Linux.
var elsewhereErrno = map[int]int{
	35: source.EAGAIN, 48: source.EADDRINUSE, 49: source.EADDRNOTAVAIL, 51: source.ENETUNREACH, 53: source.ECONNABORTED,
	54: source.ECONNRESET, 57: source.ENOTCONN, 60: source.ETIMEDOUT, 61: source.ECONNREFUSED, 64: source.EHOSTDOWN,
	65: source.EHOSTUNREACH, 10035: source.EAGAIN, 10048: source.EADDRINUSE, 10049: source.EADDRNOTAVAIL,
	10051: source.ENETUNREACH, 10053: source.ECONNABORTED, 10054: source.ECONNRESET, 10057: source.ENOTCONN,
	10060: source.ETIMEDOUT, 10061: source.ECONNREFUSED, 10065: source.EHOSTUNREACH, 10024: source.EMFILE,
}

func linuxErrno(n int) int {
	if x, ok := elsewhereErrno[n]; ok {
		return x
	}
	return n
}

// phase is what nginx was doing towards the member; empty if it was at
// something else.
func (e *entry) phase() fact.Phase {
	a := e.action
	switch {
	case source.HasPrefix(a, "connecting to upstream"):
		return fact.PhaseConnecting
	case source.HasPrefix(a, "SSL handshaking to upstream"):
		return fact.PhaseTLS
	case source.HasPrefix(a, "sending request to upstream"), source.HasPrefix(a, "sending to upstream"):
		return fact.PhaseSending
	case source.HasPrefix(a, "reading response header from upstream"), source.HasPrefix(a, "reading response from upstream"):
		return fact.PhaseWaiting
	case source.HasPrefix(a, "reading upstream"), source.HasPrefix(a, "reading from upstream"), source.HasPrefix(a, "proxying"),
		source.HasPrefix(a, "sending to client") && len(e.upstream) > 0:
		return fact.PhaseReading
	case source.HasPrefix(a, "resolving"):
		return fact.PhaseResolving
	}
	return ""
}

// towardsMember reports whether the trouble was on the member's side.
func (e *entry) towardsMember() bool {
	if e.level == "info" && source.HasPrefix(e.action, "sending to client") {
		return false // nginx logs a client's resets at info, a member's at error
	}
	if p := e.phase(); p != "" && p != fact.PhaseResolving {
		return true
	}
	return len(e.action) == 0 && len(e.client) == 0 && !e.framed // a pasted piece
}
