package applog

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// textLog reads key=value lines and plain ones.
var textLog = source.Format{
	ID: "app-text", Tech: tech, Title: "application log, text",
	Sniff: func(l *source.Line) source.Confidence {
		if len(l.Text) < 6 || len(l.Text) > maxText || l.Text[0] == '{' {
			return source.No
		}
		r := textReader{env: &source.Env{}}
		probe := *l
		if r.Line(&probe, nobody{}) == source.Mine {
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &textReader{env: env} },
}

// maxText bounds a line that is looked at, in bytes.
const maxText = 8 << 10

// nobody drops facts: Sniff asks only whether a line is read.
type nobody struct{ source.Sink }

func (nobody) State(fact.Fact) {}

type textReader struct {
	env    *source.Env
	line   source.Line
	f      fields
	errors int
}

func (r *textReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) > maxText || len(l.Text) < 6 {
		return source.NotMine
	}
	r.line = *l // a line that turns out to be another's must stay as it is
	l = &r.line
	rest := stamped(r.env, l)
	if bytes.Count(l.Text, []byte("=")) > 1 && r.pairs(l, out) {
		return source.Mine
	}
	s := said{l: l, msg: rest, out: out}
	if do, ok := lifeRules.Match(rest, &s.h); ok {
		do(&s)
		return source.Mine
	}
	if string(rest) == "Killed" { // a shell's word about its child
		died("SIGKILL", 9)(&s)
		return source.Mine
	}
	if r.request(l, rest, out) {
		return source.Mine
	}
	level, msg := levelOf(rest)
	if level == "" {
		if certain(rest) {
			if m, _, _, ok := source.NetError(rest); ok && m != fact.ClientGone {
				trouble(l, rest, out)
				return source.Mine
			}
		}
		return source.NotMine
	}
	if (level[0] != 'w' || forwards(msg)) && trouble(l, msg, out) {
		return source.Mine
	}
	if level[0] == 'w' {
		return source.NotMine
	}
	if r.errors < maxErrors {
		r.errors++
		out.State(event(l, fact.AppError, "logged", backend(), msg))
	}
	return source.Mine
}

func (*textReader) Close(source.Sink) {}

// certain reports whether a line without a level is still a program's message
// about a connection, and not prose about one.
func certain(b []byte) bool {
	for _, w := range [...]string{"ECONN", "ETIMEDOUT", "EAI_AGAIN", "ENOTFOUND", "dial tcp", "net/http: ", "read tcp ", "socket hang up", "error=", "Error: ", "x509: ", "Exception: "} {
		if source.Has(b, w) {
			return true
		}
	}
	return false
}

// pairs reads key=value and key="value with blanks".
func (r *textReader) pairs(l *source.Line, out source.Sink) bool {
	r.f.reset()
	b, found := l.Text, 0
	for len(b) > 0 {
		b = bytes.TrimLeft(b, " \t")
		i := 0
		for i < len(b) && (b[i]|0x20 >= 'a' && b[i]|0x20 <= 'z' || b[i] >= '0' && b[i] <= '9' || strings.IndexByte("_.-@", b[i]) >= 0) {
			i++
		}
		if i == 0 || i >= len(b) || b[i] != '=' {
			j := bytes.IndexByte(b, ' ')
			if j < 0 {
				break
			}
			b = b[j+1:]
			continue
		}
		key := b[:i]
		b = b[i+1:]
		var value []byte
		if v, rest, ok := source.Quoted(b); ok {
			value, b = v, rest
		} else if j := bytes.IndexByte(b, ' '); j >= 0 {
			value, b = b[:j], b[j+1:]
		} else {
			value, b = b, nil
		}
		found++
		r.f.set(source.View(key), value)
	}
	if found < 2 || r.f.level == "" && r.f.q.Method == "" {
		return false
	}
	r.f.time(r.env, l)
	if !r.f.state(l, &r.errors, out) {
		return r.f.level != "" && len(r.f.msg) > 0
	}
	return true
}

// request finds a method and a path, and after them a status; a duration and an
// id if they are there: `GET /cart 200 12ms`, `10.0.0.4:51234 "POST /x
// HTTP/1.0" 200 10 "-" "ua" 1.277650`, `[info] GET /cart -> 200 (12 ms) id=a`.
func (r *textReader) request(l *source.Line, b []byte, out source.Sink) bool {
	at := methodAt(b)
	if at < 0 || at > 200 {
		return false
	}
	r.f.reset()
	q := &r.f.q
	name, rest := source.Field(b[at:])
	target, rest := source.Field(rest)
	inQuotes := at > 0 && b[at-1] == '"'
	if inQuotes && len(target) > 0 && target[len(target)-1] == '"' {
		target = target[:len(target)-1]
	}
	if len(target) == 0 || target[0] != '/' && !source.HasPrefix(target, "http") {
		return false
	}
	q.Method = source.View(name)
	q.Path, q.Host = pathOf(bytes.TrimRight(target, ",;"), "")
	if q.Path == "" {
		return false
	}
	if source.HasPrefix(rest, "HTTP/") {
		proto, after := source.Field(rest)
		q.Proto = source.View(bytes.TrimRight(proto[5:], `"`))
		rest = after
	}
	if at > 1 {
		q.Client = source.View(clientOf(b[:at]))
	}
	if !r.rest(rest) {
		return false
	}
	q.Time, q.Res, q.Party = l.Time, l.Res, backend()
	answered(q)
	out.State(q)
	return true
}

// rest reads what follows a request: the first number of three digits is its
// status.
func (r *textReader) rest(b []byte) bool {
	q := &r.f.q
	prev := ""
	for range 24 {
		if len(b) == 0 {
			break
		}
		var f []byte
		if v, after, ok := source.Quoted(b); ok {
			b, prev = after, "quoted"
			_ = v
			continue
		}
		f, b = source.Field(b)
		t := bytes.Trim(f, `()[]{},;"|`)
		if key, value, ok := bytes.Cut(t, []byte("=")); ok {
			r.f.set(source.View(key), value)
			continue
		}
		n := source.Int(t)
		switch {
		case !q.Status.Known && n.Known && len(t) == 3 && n.N >= 100 && n.N <= 599:
			q.Status = n
		case !q.Duration.Known && len(t) > 1 && t[len(t)-1] == 's' && t[0] >= '0' && t[0] <= '9':
			q.Duration = duration(t, false)
		case !q.Duration.Known && (source.HasPrefix(b, "ms") || source.HasPrefix(b, "sec")):
			unit := "ms"
			if b[0] == 's' {
				unit = "s"
			}
			q.Duration = duration(append(bytes.Clone(t), unit...), false)
		case q.Status.Known && !q.Duration.Known && prev == "quoted" && bytes.IndexByte(t, '.') > 0:
			q.Duration = source.Secs(t) // after the user agent, as actix has it: seconds
		case q.Status.Known && n.Known && !q.Bytes.Known && prev == "status":
			q.Bytes = n
		}
		prev = ""
		if q.Status.Known && n.Known && n.N == q.Status.N {
			prev = "status"
		}
	}
	return q.Status.Known
}

// methodAt finds a method that stands as a word of its own.
func methodAt(b []byte) int {
	for _, m := range [...]string{"GET ", "POST ", "PUT ", "PATCH ", "DELETE ", "HEAD ", "OPTIONS "} {
		i := bytes.Index(b, []byte(m))
		if i == 0 || i > 0 && strings.IndexByte(` "[]|:(`, b[i-1]) >= 0 {
			return i
		}
	}
	return -1
}

// clientOf is an address at the front of a line.
func clientOf(b []byte) []byte {
	f, _ := source.Field(bytes.TrimLeft(b, " "))
	f = bytes.TrimRight(f, ":,-")
	dots := 0
	for _, c := range f {
		switch {
		case c == '.' || c == ':':
			dots++
		case c < '0' || c > '9':
			return nil
		}
	}
	if dots < 3 {
		return nil
	}
	return f
}

// levelOf cuts a level of trouble off the front of a message: "ERROR - x",
// "[error] x", "main: ERROR x".
func levelOf(b []byte) (level string, msg []byte) {
	rest := b
	for range 4 {
		rest = bytes.TrimLeft(rest, " [-:|\t")
		i := 0
		for i < len(rest) && (rest[i]|0x20 >= 'a' && rest[i]|0x20 <= 'z') {
			i++
		}
		word := strings.ToLower(string(rest[:min(i, 12)]))
		if i > 0 && bad(word) && i < len(rest) && strings.IndexByte(" ]:|-\t", rest[i]) >= 0 && (rest[0] < 'a' || i < len(rest) && (rest[i] == ']' || rest[i] == ':')) {
			return word, bytes.TrimLeft(rest[i:], " ]:|-\t")
		}
		j := bytes.IndexAny(rest, " ]")
		if j < 0 || j > 60 {
			break
		}
		rest = rest[j+1:]
	}
	return "", b
}
