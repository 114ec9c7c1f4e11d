package applog

import (
	"culprit/internal/source"

	"github.com/valyala/fastjson"
)

// jsonLog reads one JSON object a line with the usual names of keys.
var jsonLog = source.Format{
	ID: "app-json", Tech: tech, Title: "application log, JSON",
	Sniff: func(l *source.Line) source.Confidence {
		b := l.Text
		if len(b) < 20 || b[0] != '{' || b[len(b)-1] != '}' {
			return source.No
		}
		for _, key := range [...]string{`"level"`, `"severity"`, `"lvl"`, `"msg"`, `"message"`, `"method"`, `"status"`, `"@l"`, `"log.level"`, `"levelname"`} {
			if source.Has(b, key) {
				return source.Fragment
			}
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return &jsonReader{env: env} },
}

type jsonReader struct {
	env    *source.Env
	parser fastjson.Parser
	f      fields
	num    []byte // numbers as text
	errors int
}

func (r *jsonReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) == 0 || l.Text[0] != '{' {
		return source.NotMine
	}
	v, err := r.parser.ParseBytes(l.Text)
	if err != nil {
		return source.Broken
	}
	o, err := v.Object()
	if err != nil {
		return source.NotMine
	}
	r.f.reset()
	r.num = r.num[:0]
	r.f.nanos = o.Get("latency_human") != nil
	r.object(o, 0)
	r.f.time(r.env, l)
	r.f.state(l, &r.errors, out)
	out.Seen(l.Time)
	return source.Mine
}

func (*jsonReader) Close(source.Sink) {}

// nested are objects whose keys count as those of the line.
func nested(key string) bool {
	switch key {
	case "http", "request", "req", "response", "res", "fields", "context", "data", "error", "err", "extra", "labels", "httpRequest":
		return true
	}
	return false
}

// object takes the keys of an object, and of those inside it, two deep.
func (r *jsonReader) object(o *fastjson.Object, depth int) {
	o.Visit(func(k []byte, v *fastjson.Value) {
		key := source.View(k)
		switch v.Type() {
		case fastjson.TypeString:
			if depth > 0 && (key == "message" || key == "msg" || key == "name") {
				if key == "message" || key == "msg" {
					r.f.err = v.GetStringBytes()
				}
				return
			}
			if depth > 0 && key == "id" {
				key = "request_id"
			}
			r.f.set(key, v.GetStringBytes())
		case fastjson.TypeNumber:
			from := len(r.num)
			r.num = v.MarshalTo(r.num)
			r.f.set(key, r.num[from:len(r.num):len(r.num)])
		case fastjson.TypeObject:
			if in, err := v.Object(); err == nil && depth < 2 && nested(key) {
				r.object(in, depth+1)
			}
		}
	})
}
