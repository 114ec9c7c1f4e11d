package varnish

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var vcl = source.Format{
	ID:       "varnish-vcl",
	Tech:     tech,
	Title:    "Varnish VCL",
	SniffDoc: sniffVCL,
	ReadDoc:  readVCL,
	Config:   true,
}

func sniffVCL(head []byte, path string) source.Confidence {
	n := 0
	for _, w := range [...]string{"vcl 4.", "sub vcl_", "backend ", "beresp.", "bereq.", "req.http.", ".first_byte_timeout", ".host = \"", ".host=\""} {
		if source.Has(head, w) {
			n++
		}
	}
	switch {
	case strings.HasSuffix(path, ".vcl") && n > 0, n > 2:
		return source.Sure
	case source.Has(head, ".host") && source.Has(head, "backend ") && source.Has(head, "{") && source.Has(head, "\";"):
		return source.Likely
	}
	return source.No
}

// knobs are the attributes of a backend and of its probe.
var knobs = map[string]fact.Knob{
	"connect_timeout": fact.UpstreamConnect, "first_byte_timeout": fact.UpstreamReply, "max_connections": fact.UpstreamMax,
	"interval": fact.HealthPeriod, "timeout": fact.HealthTimeout,
}

var errNoVCL = errors.New("read VCL: no backend and no subroutine")

// readVCL reads the backends of a VCL file, statement by statement.
func readVCL(_ *source.Env, doc *source.Doc, out source.Sink) error {
	set := map[string]bool{}
	backend, host, port, hostLine := "", "", "", 0
	seen, depth, in := source.Has(doc.Data, "sub vcl_"), 0, 0
	end := func() {
		if backend != "" && host != "" {
			s := setting(fact.UpstreamAddress, ".host = \"{text}\";", backend, hostLine)
			s.Text = host
			if port != "" && !strings.HasPrefix(host, "/") {
				s.Text = hostPort([]byte(host), []byte(port))
				if s.Text == host {
					s.Text += ":" + port
				}
			}
			out.State(s)
		}
		backend, host, port = "", "", ""
	}
	line := 0
	for raw := range bytes.Lines(doc.Data) {
		line++
		b := bytes.TrimSpace(raw)
		if i := bytes.Index(b, []byte("//")); i == 0 || len(b) > 0 && b[0] == '#' {
			continue
		}
		for _, part := range bytes.FieldsFunc(b, func(c rune) bool { return c == ';' }) {
			part = bytes.TrimSpace(part)
			if w := bytes.Fields(part); len(w) > 1 && string(w[0]) == "backend" && backend == "" {
				backend, in, seen = strings.Trim(string(w[1]), "{"), depth, true
			}
			attribute(part, backend, line, set, out, func(name, value string) {
				switch name {
				case "host":
					host, hostLine = value, line
				case "port":
					port = value
				case "path":
					host, hostLine = "unix:"+value, line
				}
			})
			depth += bytes.Count(part, []byte("{")) - bytes.Count(part, []byte("}"))
			if backend != "" && depth <= in && bytes.IndexByte(part, '}') >= 0 {
				end()
			}
		}
	}
	end()
	if !seen {
		return errNoVCL
	}
	stateDefaults(out, set)
	return nil
}

// attribute reads ".name = value" of a backend, a probe, or, in a subroutine,
// "set bereq.first_byte_timeout = 300s".
func attribute(part []byte, backend string, line int, set map[string]bool, out source.Sink, text func(name, value string)) {
	if i := bytes.LastIndexByte(part, '{'); i >= 0 {
		if j := bytes.IndexByte(part[i:], '.'); j > 0 {
			part = part[i+j:]
		}
	}
	left, right, ok := bytes.Cut(part, []byte("="))
	if !ok {
		return
	}
	name := string(bytes.TrimSpace(left))
	value := string(bytes.Trim(bytes.TrimSpace(right), "\"} "))
	spelling := "." + strings.TrimPrefix(name, ".") + " = {s}s;"
	switch {
	case strings.HasPrefix(name, "."):
		name = name[1:]
	case strings.HasPrefix(name, "set bereq."):
		spelling = name + " = {s}s;"
		name = strings.TrimPrefix(name, "set bereq.")
	default:
		return
	}
	text(name, value)
	if name == "url" {
		s := setting(fact.ReadinessProbe, ".url = \"{text}\";", backend, line)
		s.Text = "http " + value
		out.State(s)
		return
	}
	k, ok := knobs[name]
	if !ok {
		return
	}
	s := setting(k, spelling, backend, line)
	if k == fact.UpstreamMax {
		s.Spelling, s.Num = ".max_connections = {n};", source.Int([]byte(value))
	} else if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		s.Dur = fact.Lasting(d)
	}
	if s.Dur.Known || s.Num.Known {
		set[string(k)] = true
		out.State(s)
	}
}

func setting(k fact.Knob, spelling, backend string, line int) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Object: backend}
	if backend != "" {
		s.Where = "backend " + backend
	}
	s.Party = gateway()
	s.Origin.Line = line
	return s
}
