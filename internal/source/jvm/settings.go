package jvm

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

type knob struct {
	knob     fact.Knob
	spelling string
	where    string
	kind     byte // d duration (milliseconds if bare), n number, t text
}

// keys are Spring Boot's properties.
var keys = map[string]knob{
	"server.tomcat.keep-alive-timeout":            {fact.KeepAliveIdle, "server.tomcat.keep-alive-timeout={s}s", properties, 'd'},
	"server.tomcat.connection-timeout":            {fact.HeaderTimeout, "server.tomcat.connection-timeout={s}s", properties, 'd'},
	"server.connection-timeout":                   {fact.HeaderTimeout, "server.tomcat.connection-timeout={s}s", properties, 'd'},
	"server.tomcat.max-keep-alive-requests":       {fact.MaxConnRequests, "server.tomcat.max-keep-alive-requests={n}", properties, 'n'},
	"server.tomcat.threads.max":                   {fact.Workers, "server.tomcat.threads.max={n}", properties, 'n'},
	"server.tomcat.max-threads":                   {fact.Workers, "server.tomcat.threads.max={n}", properties, 'n'},
	"server.tomcat.accept-count":                  {fact.ListenBacklog, "server.tomcat.accept-count={n}", properties, 'n'},
	"server.tomcat.max-connections":               {fact.MaxConnections, "server.tomcat.max-connections={n}", properties, 'n'},
	"server.jetty.connection-idle-timeout":        {fact.KeepAliveIdle, "server.jetty.connection-idle-timeout={s}s", properties, 'd'},
	"server.jetty.threads.max":                    {fact.Workers, "server.jetty.threads.max={n}", properties, 'n'},
	"server.undertow.no-request-timeout":          {fact.KeepAliveIdle, "server.undertow.no-request-timeout={s}s", properties, 'd'},
	"server.undertow.threads.worker":              {fact.Workers, "server.undertow.threads.worker={n}", properties, 'n'},
	"server.netty.idle-timeout":                   {fact.KeepAliveIdle, "server.netty.idle-timeout={s}s", properties, 'd'},
	"server.address":                              {fact.ListenAddress, "server.address=", properties, 't'},
	"server.shutdown":                             {fact.GracefulTimeout, "server.shutdown=graceful", properties, 't'},
	"spring.lifecycle.timeout-per-shutdown-phase": {fact.GracefulTimeout, "spring.lifecycle.timeout-per-shutdown-phase={s}s", properties, 'd'},
}

// attributes are those of Tomcat's <Connector>.
var attributes = []struct {
	name string
	knob
}{
	{"keepAliveTimeout", knob{fact.KeepAliveIdle, `keepAliveTimeout="{ms}"`, "server.xml", 'd'}},
	{"connectionTimeout", knob{fact.HeaderTimeout, `connectionTimeout="{ms}"`, "server.xml", 'd'}},
	{"maxKeepAliveRequests", knob{fact.MaxConnRequests, `maxKeepAliveRequests="{n}"`, "server.xml", 'n'}},
	{"maxThreads", knob{fact.Workers, `maxThreads="{n}"`, "server.xml", 'n'}},
	{"acceptCount", knob{fact.ListenBacklog, `acceptCount="{n}"`, "server.xml", 'n'}},
	{"maxConnections", knob{fact.MaxConnections, `maxConnections="{n}"`, "server.xml", 'n'}},
}

// settings reads properties, attributes of a <Connector> and memory flags, line
// by line.
var settings = source.Format{
	ID: "java-settings", Tech: tech, Title: "properties of Spring Boot, server.xml, JVM flags",
	Sniff: func(l *source.Line) source.Confidence {
		b := bytes.TrimSpace(l.Text)
		if len(b) < 6 || len(b) > 2048 {
			return source.No
		}
		if source.HasPrefix(b, "<Connector ") {
			return source.Sure
		}
		if key, _, ok := property(b); ok && keys[key].knob != "" {
			return source.Sure
		}
		for _, a := range attributes {
			if _, ok := source.Between(b, a.name+`="`, `"`); ok {
				return source.Likely
			}
		}
		if heap(b).Known {
			return source.Fragment
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &settingReader{} },
}

type settingReader struct {
	connector int // line of the <Connector> being read
	set       map[fact.Knob]bool
	timeout   fact.Dur
}

func (r *settingReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	took := false
	if source.HasPrefix(b, "<Connector") {
		r.end(out)
		r.connector, r.set = l.N, map[fact.Knob]bool{}
		took = true
	}
	for _, a := range attributes {
		v, ok := source.Between(b, a.name+`="`, `"`)
		if !ok || len(bytes.TrimSpace(v)) == 0 {
			continue
		}
		took = true
		if s := a.setting(string(v), l.N); s != nil {
			if r.set != nil {
				r.set[s.Knob] = true
				if s.Knob == fact.HeaderTimeout {
					r.timeout = s.Dur
				}
			}
			out.State(s)
		}
	}
	if r.connector > 0 && (source.Has(b, "/>") || source.Has(b, "</Connector>")) {
		r.end(out)
		return source.Mine
	}
	if key, v, ok := property(b); ok && keys[key].knob != "" {
		if s := keys[key].setting(v, l.N); s != nil {
			out.State(s)
		}
		return source.Mine
	}
	if n := heap(b); n.Known {
		s := setting(fact.HeapLimit, "-Xmx{n}", "JAVA_OPTS", l.N)
		s.Num = n
		out.State(s)
		return source.Mine
	}
	if took || r.connector > 0 {
		return source.Mine
	}
	return source.NotMine
}

func (r *settingReader) Close(out source.Sink) { r.end(out) }

// end states what a <Connector> leaves to Tomcat: idle connections are kept for
// connectionTimeout unless keepAliveTimeout says otherwise.
func (r *settingReader) end(out source.Sink) {
	if r.connector > 0 && !r.set[fact.KeepAliveIdle] {
		s := setting(fact.KeepAliveIdle, `keepAliveTimeout="{ms}"`, "server.xml", r.connector)
		s.Dur, s.Basis, s.Origin.URL = fact.Lasting(r.timeout.Or(time.Minute)), fact.Default, docTomcat
		out.State(s)
	}
	if r.connector > 0 && !r.set[fact.MaxConnRequests] {
		s := setting(fact.MaxConnRequests, `maxKeepAliveRequests="{n}"`, "server.xml", r.connector)
		s.Num, s.Basis, s.Origin.URL = fact.Num(100), fact.Default, docTomcat
		out.State(s)
	}
	*r = settingReader{}
}

// setting makes a setting of a value; nil if the value is none.
func (k knob) setting(v string, line int) *fact.Setting {
	s := setting(k.knob, k.spelling, k.where, line)
	switch k.kind {
	case 'd':
		if v == "-1" || v == "0" && k.knob == fact.KeepAliveIdle {
			s.Text = "none"
			return s
		}
		if s.Dur = duration(v); !s.Dur.Known {
			return nil
		}
	case 'n':
		if s.Num = source.Int([]byte(v)); !s.Num.Known {
			return nil
		}
		if s.Num.N < 0 { // -1: no limit
			s.Num, s.Text = fact.Int{}, "none"
		}
	case 't':
		if s.Text = v; v == "immediate" {
			s.Dur = fact.Seconds(0)
		}
	}
	return s
}

// duration reads Spring's "65s", "500ms", "1m", and a bare number of
// milliseconds.
func duration(v string) fact.Dur {
	v = strings.Trim(v, `"' `)
	if n := source.Int([]byte(v)); n.Known {
		if n.N < 0 {
			return fact.Dur{}
		}
		return fact.Millis(n.N)
	}
	if strings.HasPrefix(v, "PT") {
		v = strings.ToLower(v[2:])
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return fact.Dur{}
	}
	return fact.Lasting(d)
}

// property reads "a.b.c=value" and "a.b.c: value".
func property(b []byte) (key, value string, ok bool) {
	i := bytes.IndexAny(b, "=: ")
	if i < 8 || !source.HasPrefix(b, "server.") && !source.HasPrefix(b, "spring.") {
		return "", "", false
	}
	return relaxed(string(b[:i])), strings.Trim(string(b[i+1:]), `=: "'`), true
}

// relaxed turns camel case into hyphens, as Spring does when it binds.
func relaxed(key string) string {
	var b strings.Builder
	for i := 0; i < len(key); i++ {
		c := key[i]
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('-')
			c |= 0x20
		}
		b.WriteByte(c)
	}
	return b.String()
}

// heap reads "-Xmx512m".
func heap(b []byte) fact.Int {
	rest, ok := source.Between(b, "-Xmx", "")
	if !ok {
		return fact.Int{}
	}
	i := 0
	for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
		i++
	}
	n := source.Int(rest[:i])
	if !n.Known || n.N > 1<<40 {
		return fact.Int{}
	}
	if i < len(rest) {
		switch rest[i] | 0x20 {
		case 'k':
			n.N <<= 10
		case 'm':
			n.N <<= 20
		case 'g':
			if n.N > 1<<20 {
				return fact.Int{}
			}
			n.N <<= 30
		}
	}
	return n
}

// yaml reads application.yml: nested keys of two or more blanks.
var yaml = source.Format{
	ID: "spring-yaml", Tech: tech, Title: "application.yml of Spring Boot",
	SniffDoc: func(head []byte, _ string) source.Confidence {
		n := 0
		walk(head, func(key, value string, line int) {
			if keys[key].knob != "" {
				n++
			}
		})
		if n > 0 && !source.Has(head, "apiVersion:") {
			return source.Sure
		}
		return source.No
	},
	ReadDoc: func(_ *source.Env, doc *source.Doc, out source.Sink) error {
		walk(doc.Data, func(key, value string, line int) {
			if k := keys[key]; k.knob != "" {
				if s := k.setting(value, line); s != nil {
					s.Where = "application.yml"
					out.State(s)
				}
			}
		})
		return nil
	},
	Config: true,
}

// maxDepth bounds the nesting that is followed.
const maxDepth = 12

// walk calls leaf for each plain value of a YAML text with its joined keys.
func walk(text []byte, leaf func(key, value string, line int)) {
	type level struct {
		indent int
		key    string
	}
	var path []level
	n := 0
	for line := range bytes.Lines(text) {
		n++
		b := bytes.TrimRight(line, " \t\r\n")
		body := bytes.TrimLeft(b, " ")
		if len(body) == 0 || body[0] == '#' || body[0] == '-' {
			continue
		}
		indent := len(b) - len(body)
		for len(path) > 0 && path[len(path)-1].indent >= indent {
			path = path[:len(path)-1]
		}
		key, value, ok := bytes.Cut(body, []byte(":"))
		if !ok || len(key) > 80 || bytes.ContainsAny(key, " \"'{") || len(path) >= maxDepth {
			continue
		}
		value, _, _ = bytes.Cut(bytes.TrimSpace(value), []byte(" #"))
		if len(value) == 0 {
			path = append(path, level{indent, string(key)})
			continue
		}
		var b2 strings.Builder
		for _, l := range path {
			b2.WriteString(l.key + ".")
		}
		leaf(relaxed(b2.String()+string(key)), strings.Trim(string(value), `"'`), n)
	}
}
