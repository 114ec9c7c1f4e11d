package applog

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// actix reads the default lines of actix-web's Logger middleware:
// `10.0.0.4:51234 "GET /cart HTTP/1.1" 200 512 "-" "curl/8" 0.001204`. A client
// with its port, no stamp in brackets and seconds with six digits at the end
// tell it from a web server's.
var actix = source.Format{
	ID: "actix-access", Tech: tech, Title: "request lines of actix-web",
	Sniff: func(l *source.Line) source.Confidence {
		probe, q := *l, fact.Request{}
		if readActix(&source.Env{}, &probe, &q) {
			return source.Sure
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &actixReader{env: env} },
}

type actixReader struct {
	env  *source.Env
	line source.Line
	q    fact.Request
}

func (r *actixReader) Line(l *source.Line, out source.Sink) source.Took {
	r.line, r.q = *l, fact.Request{}
	q := &r.q
	if !readActix(r.env, &r.line, q) {
		return source.NotMine
	}
	q.Time, q.Res, q.Party = r.line.Time, r.line.Res, backend()
	answered(q)
	out.State(q)
	return source.Mine
}

func (*actixReader) Close(source.Sink) {}

func readActix(env *source.Env, l *source.Line, q *fact.Request) bool {
	if len(l.Text) < 30 || l.Text[len(l.Text)-1] > '9' {
		return false
	}
	b := stamped(env, l)
	if i := bytes.Index(b, []byte("actix_web::middleware::logger] ")); i >= 0 {
		b = b[i+len("actix_web::middleware::logger] "):] // env_logger: "[stamp INFO module] "
	}
	client, rest := source.Field(b)
	line, rest, ok := source.Quoted(rest)
	if !ok || bytes.LastIndexByte(client, ':') < 2 {
		return false
	}
	method, path, proto, ok := source.RequestLine(line)
	status, rest := source.Field(rest)
	size, rest := source.Field(rest)
	_, rest, ok1 := source.Quoted(rest)
	agent, rest, ok2 := source.Quoted(rest)
	if !ok || !ok1 || !ok2 || proto == nil {
		return false
	}
	if dot := bytes.IndexByte(rest, '.'); dot < 1 || len(rest)-dot != 7 {
		return false
	}
	q.Status, q.Bytes, q.Duration = source.Int(status), source.Int(size), source.Secs(rest)
	q.Client, q.Method, q.Path, q.Proto = source.View(client), source.View(method), source.View(path), source.View(proto)
	if string(agent) != "-" {
		q.UserAgent = source.View(agent)
	}
	return q.Status.Known && q.Duration.Known
}
