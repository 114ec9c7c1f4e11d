package node

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// sourceCode reads the lines of a server's code, its package file and its
// start command that set what a gateway depends on. It reads line by line: such
// text comes as a fragment more often than as a file.
var sourceCode = source.Format{
	ID: "node-source", Tech: tech, Title: "settings in Node.js server code",
	Sniff: func(l *source.Line) source.Confidence {
		if len(l.Text) < 10 || len(l.Text) > 1024 {
			return source.No
		}
		r := codeReader{}
		if r.read(l, nobody{}) {
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &codeReader{} },
}

// nobody drops facts: Sniff asks only whether a line is read.
type nobody struct{ source.Sink }

func (nobody) State(fact.Fact) {}

type codeReader struct{}

func (r *codeReader) Line(l *source.Line, out source.Sink) source.Took {
	if r.read(l, out) {
		return source.Mine
	}
	return source.NotMine
}

func (*codeReader) Close(source.Sink) {}

// knobs are properties of http.Server and of Fastify's options, in
// milliseconds unless num is set.
var knobs = []struct {
	name     string
	knob     fact.Knob
	spelling string
	num      bool
}{
	{"keepAliveTimeout", fact.KeepAliveIdle, "server.keepAliveTimeout = {ms};", false},
	{"headersTimeout", fact.HeaderTimeout, "server.headersTimeout = {ms};", false},
	{"requestTimeout", fact.RequestTimeout, "server.requestTimeout = {ms};", false},
	{"maxRequestsPerSocket", fact.MaxConnRequests, "server.maxRequestsPerSocket = {n};", true},
	{"kill_timeout", fact.GracePeriod, "kill_timeout: {ms}", false},
	{"KEEP_ALIVE_TIMEOUT", fact.KeepAliveIdle, "KEEP_ALIVE_TIMEOUT={ms}", false}, // next start
}

func (r *codeReader) read(l *source.Line, out source.Sink) bool {
	b := bytes.TrimSpace(l.Text)
	if source.HasPrefix(b, "//") || source.HasPrefix(b, "*") {
		return false
	}
	for _, k := range knobs {
		value, ok := assigned(b, k.name)
		if !ok {
			continue
		}
		n, ok := product(value)
		if !ok {
			continue
		}
		s := r.setting(l, k.knob, k.spelling)
		if k.num {
			s.Num = fact.Num(n)
		} else {
			s.Dur = fact.Lasting(time.Duration(n) * time.Millisecond)
			if n == 0 && k.knob == fact.KeepAliveIdle {
				s.Dur, s.Text = fact.Dur{}, "none" // 0 means that idle connections are never closed
			}
		}
		out.State(s)
		return true
	}
	if mb, ok := source.Between(b, "--max-old-space-size=", ""); ok {
		return r.heap(l, mb, out)
	}
	if mb, ok := source.Between(b, "--max_old_space_size=", ""); ok {
		return r.heap(l, mb, out)
	}
	if ms, ok := source.Between(b, "--keepAliveTimeout ", ""); ok { // next start
		if n, ok := product(ms); ok {
			s := r.setting(l, fact.KeepAliveIdle, "next start --keepAliveTimeout {ms}")
			s.Dur = fact.Lasting(time.Duration(n) * time.Millisecond)
			out.State(s)
			return true
		}
	}
	return r.listen(l, b, out) || r.version(l, b, out)
}

func (r *codeReader) setting(l *source.Line, k fact.Knob, spelling string) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling}
	s.Party, s.Origin.Line = backend(), l.N
	return s
}

func (r *codeReader) heap(l *source.Line, mb []byte, out source.Sink) bool {
	n, ok := product(mb)
	if !ok || n <= 0 || n > 1<<24 {
		return false
	}
	s := r.setting(l, fact.HeapLimit, "--max-old-space-size={n}") // in MiB
	s.Num = fact.Num(n << 20)
	out.State(s)
	return true
}

// listen: app.listen(3000, '127.0.0.1'). Without a host it is every address.
func (r *codeReader) listen(l *source.Line, b []byte, out source.Sink) bool {
	args, ok := source.Between(b, ".listen(", ")")
	if !ok {
		return false
	}
	port, rest, _ := bytes.Cut(args, []byte(","))
	port = bytes.TrimSpace(port)
	if !source.Int(port).Known {
		return false
	}
	host := "*"
	rest = bytes.TrimSpace(rest)
	if len(rest) > 2 && (rest[0] == '\'' || rest[0] == '"') {
		if i := bytes.IndexByte(rest[1:], rest[0]); i > 0 {
			host = string(rest[1 : 1+i])
		}
	}
	s := r.setting(l, fact.ListenAddress, "server.listen(port, '0.0.0.0')")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	s.Text = host + ":" + string(port)
	out.State(s)
	return true
}

// version: a Dockerfile's base image, or a package file's engines.
func (r *codeReader) version(l *source.Line, b []byte, out source.Sink) bool {
	var v []byte
	if rest, ok := bytes.CutPrefix(b, []byte("FROM ")); ok {
		image, _ := source.Field(rest)
		name, tag, found := bytes.Cut(image, []byte(":"))
		if i := bytes.LastIndexByte(name, '/'); i >= 0 {
			name = name[i+1:]
		}
		if !found || string(name) != "node" {
			return false
		}
		v, _, _ = bytes.Cut(tag, []byte("-"))
	} else if rest, ok := source.Between(b, `"node": "`, `"`); ok {
		v = bytes.TrimLeft(rest, ">=^~ v")
	} else {
		return false
	}
	if len(v) == 0 || v[0] < '0' || v[0] > '9' {
		return false
	}
	e := &fact.Event{Kind: fact.ProcessStarted, Reason: "declared", Detail: string(b[:min(len(b), maxDetail)]), Attrs: map[string]string{fact.AttrVersion: string(v)}}
	e.Party = backend()
	out.State(e)
	return true
}

// assigned finds "name = value" and "name: value" in b.
func assigned(b []byte, name string) ([]byte, bool) {
	i := bytes.Index(b, []byte(name))
	if i < 0 || i > 0 && word(b[i-1]) {
		return nil, false
	}
	rest := bytes.TrimLeft(b[i+len(name):], " \"'`")
	if len(rest) < 2 || rest[0] != '=' && rest[0] != ':' || rest[1] == '=' {
		return nil, false
	}
	return bytes.TrimLeft(rest[1:], " \"'"), true
}

func word(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// product reads "65000", "65_000", "61 * 1000", "65s" and "10 * 60 * 1000" from
// the front of b.
func product(b []byte) (int64, bool) {
	total, seen := int64(1), false
	for {
		b = bytes.TrimLeft(b, " (")
		n, i := int64(0), 0
		for i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] == '_') {
			if b[i] != '_' {
				n = n*10 + int64(b[i]-'0')
			}
			if i++; n > 1<<40 {
				return 0, false
			}
		}
		switch rest := b[i:]; {
		case i == 0:
			return total, false
		case source.HasPrefix(rest, "e3"):
			n, b = n*1000, rest[2:]
		case source.HasPrefix(rest, "s"):
			n, b = n*1000, rest[1:]
		default:
			b = rest
		}
		if total *= n; total > 1<<40 {
			return 0, false
		}
		seen = true
		b = bytes.TrimLeft(b, " )")
		if len(b) == 0 || b[0] != '*' {
			return total, seen
		}
		b = b[1:]
	}
}
