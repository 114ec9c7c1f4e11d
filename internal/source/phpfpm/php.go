package phpfpm

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// phpErrors reads PHP's own messages, in its error log or in what FPM relays:
// "[09-Mar-2026 14:00:00 UTC] PHP Fatal error:  ...".
var phpErrors = source.Format{
	ID: "php-errors", Tech: tech, Title: "PHP error log",
	Sniff: func(l *source.Line) source.Confidence {
		if len(l.Text) < 16 {
			return source.No
		}
		_, _, msg, stamped := phpFrame(&source.Env{}, l.Text)
		kind, _ := phpKind(msg)
		switch {
		case kind != "" && source.HasPrefix(msg, "PHP "):
			return source.Sure
		case kind != "" && stamped:
			return source.Likely
		case source.Has(msg, "Allowed memory size of ") || source.Has(msg, "Maximum execution time of "):
			return source.Fragment
		case stamped && source.HasPrefix(msg, "PHP "):
			return source.Possible
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &phpReader{env: env} },
}

type phpReader struct {
	env   *source.Env
	trace bool
}

func phpFrame(env *source.Env, b []byte) (time.Time, fact.Dur, []byte, bool) {
	msg := bytes.TrimSpace(b)
	t, r, rest, ok := stamp(env, msg)
	if ok {
		msg = rest
	}
	msg = bytes.TrimPrefix(msg, []byte("NOTICE: "))
	msg = bytes.TrimPrefix(msg, []byte("PHP message: "))
	return t, fact.Lasting(r), msg, ok
}

// phpKind cuts "PHP Fatal error:  text".
func phpKind(msg []byte) (kind string, text []byte) {
	msg = bytes.TrimPrefix(msg, []byte("PHP "))
	for _, k := range [...]string{"Fatal error", "Parse error", "Recoverable fatal error", "Catchable fatal error", "Core error", "Compile error", "Warning", "Notice", "Deprecated"} {
		if rest, ok := bytes.CutPrefix(msg, []byte(k)); ok && len(rest) > 1 && rest[0] == ':' {
			return k, bytes.TrimSpace(rest[1:])
		}
	}
	return "", msg
}

func (r *phpReader) Line(l *source.Line, out source.Sink) source.Took {
	at, res, msg, stamped := phpFrame(r.env, l.Text)
	s := said{l: l, at: at, res: res, msg: msg, out: out}
	if !stamped {
		s.at, s.res = l.Time, l.Res
	}
	kind, text := phpKind(msg)
	limits := source.Has(msg, "Allowed memory size of ") || source.Has(msg, "Maximum execution time of ")
	switch {
	case kind == "" && !limits:
		if r.trace && (source.HasPrefix(msg, "Stack trace:") || source.HasPrefix(msg, "PHP ") || source.HasPrefix(msg, "thrown in ") || len(msg) > 1 && msg[0] == '#' && msg[1] >= '0' && msg[1] <= '9') {
			return source.Mine
		}
		if !stamped || !source.HasPrefix(msg, "PHP ") {
			return source.NotMine
		}
	case kind == "" && limits, limits:
		s.exhausted(text)
	case kind == "Notice", kind == "Deprecated":
	default:
		s.phpError(kind, text)
	}
	r.trace = true
	out.Seen(s.at)
	return source.Mine
}

func (*phpReader) Close(source.Sink) {}

// exhausted: memory_limit or max_execution_time.
func (s *said) exhausted(text []byte) {
	script, _ := source.Between(text, " in ", " on line")
	var e *fact.Event
	if most, ok := source.Between(text, "Allowed memory size of ", " bytes"); ok {
		e = s.event(fact.HeapExhausted, "memory_limit")
		e.Max = source.Int(most)
	} else {
		e = s.event(fact.WorkerTimedOut, "max_execution_time")
		if secs, ok := source.Between(text, "Maximum execution time of ", " second"); ok {
			e.Lasted = source.Secs(secs)
		}
	}
	if len(script) > 0 {
		e.Attrs = map[string]string{fact.AttrPath: string(script)}
	}
	s.out.State(e)
}

func (s *said) phpError(kind string, text []byte) {
	m, _, _, net := source.NetError(text)
	switch {
	case source.Has(text, "No space left on device"):
		s.out.State(s.event(fact.DiskFull, ""))
	case source.Has(text, "Too many open files"):
		limit(fact.LimitFiles, "EMFILE")(s)
	case source.HasPrefix(text, "Out of memory"):
		s.out.State(s.event(fact.HeapExhausted, "out of memory"))
	case net && m == fact.NameNotResolved, source.Has(text, "getaddrinfo failed"), source.Has(text, "getaddrinfo for "):
		s.out.State(s.event(fact.DNSFailed, "lookup"))
	case net && m != fact.ClientGone, source.Has(text, "SQLSTATE[HY000] [20"), source.Has(text, "server has gone away"):
		s.out.State(s.event(fact.DependencyDown, string(m)))
	case kind != "Warning":
		s.out.State(s.event(fact.AppError, kind))
	}
}

// slowLog reads records of three lines and more: stamp, pool and pid; the
// script; its stack.
var slowLog = source.Format{
	ID: "php-fpm-slow", Tech: tech, Title: "PHP-FPM slow log",
	Sniff: func(l *source.Line) source.Confidence {
		_, _, rest, ok := stamp(&source.Env{}, bytes.TrimSpace(l.Text))
		if ok && source.HasPrefix(rest, "[pool ") && source.Has(rest, "] pid ") {
			return source.Sure
		}
		if source.HasPrefix(l.Text, "script_filename = ") {
			return source.Likely
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &slowReader{env: env} },
}

type slowReader struct {
	env *source.Env
	cur *fact.Event
}

func (r *slowReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if at, res, rest, ok := stamp(r.env, b); ok && source.HasPrefix(rest, "[pool ") {
		name, after, _ := bytes.Cut(rest[len("[pool "):], []byte("]"))
		pid, isSlow := bytes.CutPrefix(bytes.TrimSpace(after), []byte("pid "))
		if !isSlow {
			return source.NotMine
		}
		r.Close(out)
		r.cur = &fact.Event{Kind: fact.SlowRequest, Reason: "slowlog"}
		r.cur.Time, r.cur.Res, r.cur.Party = at, fact.Lasting(res), pool(string(name))
		r.cur.Party.PID, r.cur.Origin.Line, r.cur.Origin.Text = source.PID(pid), l.N, clip(b)
		return source.Mine
	}
	if script, ok := bytes.CutPrefix(b, []byte("script_filename = ")); ok {
		if r.cur == nil {
			r.cur = &fact.Event{Kind: fact.SlowRequest, Reason: "slowlog"}
			r.cur.Time, r.cur.Res, r.cur.Party, r.cur.Origin.Line = l.Time, l.Res, pool(""), l.N
		}
		r.cur.Attrs = map[string]string{fact.AttrPath: string(script)}
		return source.Mine
	}
	if len(b) == 0 || source.HasPrefix(b, "[0x") {
		if r.cur != nil && r.cur.Detail == "" && len(b) > 0 {
			_, call, _ := source.Bracketed(b)
			r.cur.Detail = clip(call)
		}
		return source.Mine
	}
	return source.NotMine
}

func (r *slowReader) Close(out source.Sink) {
	if r.cur != nil {
		out.State(r.cur)
		r.cur = nil
	}
}

// accessLog reads the default format, `%R - %u %t "%m %r" %s`. FPM's own lines
// tell that a request reached PHP.
var accessLog = source.AppRequests(source.Format{ID: "php-fpm-access", Tech: tech, Title: "PHP-FPM access log"}, source.Sure, pool(""), readAccess)

// readAccess: `10.0.0.1 -  09/Mar/2026:14:00:00 +0000 "GET /index.php" 200`. A
// stamp without brackets and a request without a version are FPM's alone.
func readAccess(_ *source.Env, b []byte, q *fact.Request) bool {
	client, rest := source.Field(b)
	dash, rest := source.Field(rest)
	if string(dash) != "-" {
		return false
	}
	t, after, ok := source.CLFTime(rest)
	if !ok { // a user before the stamp
		_, rest = source.Field(rest)
		if t, after, ok = source.CLFTime(rest); !ok {
			return false
		}
	}
	line, rest, ok := source.Quoted(bytes.TrimLeft(after, " "))
	if !ok {
		return false
	}
	method, path, proto, ok := source.RequestLine(line)
	status, _ := source.Field(rest)
	q.Status = source.Int(status)
	if !ok || proto != nil || !q.Status.Known {
		return false
	}
	q.Time, q.Res = t, fact.Lasting(time.Second)
	if string(client) != "-" {
		q.Client = source.View(client)
	}
	q.Method, q.Path = source.View(method), source.View(path)
	return true
}
