package caddy

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var caddyfile = source.Format{
	ID:       "caddyfile",
	Tech:     tech,
	Title:    "Caddyfile",
	SniffDoc: sniffCaddyfile,
	ReadDoc:  readCaddyfile,
	Config:   true,
}

// telling are directives of a Caddyfile that few others have.
var telling = map[string]bool{
	"reverse_proxy": true, "php_fastcgi": true, "file_server": true, "handle_path": true, "handle": true, "handle_errors": true, "auto_https": true,
	"respond": true, "encode": true, "basicauth": true, "try_files": true, "tls": true, "redir": true, "import": true, "admin": true,
}

func sniffCaddyfile(head []byte, path string) source.Confidence {
	proxy, known, braces, piece, lines := false, 0, 0, 0, 0
	for raw := range bytes.Lines(head) {
		w := words(raw)
		if len(w) == 0 {
			continue
		}
		last := w[len(w)-1]
		if strings.HasSuffix(last, ";") || strings.HasPrefix(w[0], "<") || w[0] == "apiVersion:" || strings.HasSuffix(w[0], ":") && !strings.HasPrefix(w[0], ":") && last != "{" {
			return source.No
		}
		if last == "{" {
			braces++
		}
		lines++
		if ofTransport(w) || w[0] == "}" && piece > 0 {
			piece++
		}
		if telling[w[0]] {
			known++
			proxy = proxy || w[0] == "reverse_proxy" || w[0] == "php_fastcgi"
		}
	}
	named := strings.HasPrefix(filepath.Base(path), "Caddyfile") || strings.HasSuffix(path, ".caddyfile")
	switch {
	case named && known > 0:
		return source.Sure
	case proxy && (braces > 0 || known > 1):
		return source.Likely
	case proxy:
		return source.Possible
	case piece > 0 && piece == lines:
		return source.Possible // a piece of a reverse_proxy block
	}
	return source.No
}

// ofTransport reports whether a line belongs to the transport of a
// reverse_proxy: a block's head, or a knob with a value.
func ofTransport(w []string) bool {
	if w[0] == "transport" {
		return len(w) == 3 && w[1] == "http" && w[2] == "{"
	}
	switch w[0] {
	case "dial_timeout", "response_header_timeout", "keepalive", "keepalive_idle_conns_per_host", "max_conns_per_host", "health_interval", "fail_duration":
	default:
		return false
	}
	if len(w) != 2 {
		return false
	}
	_, err := time.ParseDuration(w[1])
	return err == nil && w[1] != "0" || w[1] == "off" || w[0] != "keepalive" && source.Int([]byte(w[1])).Known
}

// words splits a line at blanks; quotes keep words together, # begins a
// comment.
func words(line []byte) []string {
	var out []string
	b := bytes.TrimSpace(line)
	for len(b) > 0 && b[0] != '#' {
		var w []byte
		switch b[0] {
		case '"', '`':
			end := bytes.IndexByte(b[1:], b[0])
			if end < 0 {
				end = len(b) - 1
			}
			w, b = b[1:1+end], b[min(len(b), end+2):]
		default:
			end := bytes.IndexAny(b, " \t")
			if end < 0 {
				end = len(b)
			}
			w, b = b[:end], b[end:]
		}
		out = append(out, string(w))
		b = bytes.TrimLeft(b, " \t")
	}
	return out
}

// knobs are the subdirectives of reverse_proxy and its transport.
var knobs = map[string]fact.Knob{
	"dial_timeout": fact.UpstreamConnect, "response_header_timeout": fact.UpstreamReply, "read_timeout": fact.UpstreamReply,
	"keepalive": fact.PoolIdle, "keepalive_idle_conns_per_host": fact.PoolSize, "max_conns_per_host": fact.UpstreamMax,
	"max_response_header": fact.UpstreamHeaderMax, "health_interval": fact.HealthPeriod, "health_timeout": fact.HealthTimeout,
	"health_fails": fact.HealthThreshold, "max_fails": fact.MaxFails, "fail_duration": fact.FailTimeout,
	"grace_period": fact.GracefulTimeout, "idle": fact.KeepAliveIdle, "read_header": fact.HeaderTimeout,
}

var errNoCaddyfile = errors.New("read Caddyfile: no directive of a proxy")

// fileReader reads one Caddyfile.
type fileReader struct {
	out    source.Sink
	n      int
	raw    []byte
	set    map[string]bool
	blocks []string // what each open brace belongs to
	site   string
	proxy  string // the members of the reverse_proxy being read
}

func readCaddyfile(env *source.Env, doc *source.Doc, out source.Sink) error {
	r := &fileReader{out: out, set: map[string]bool{}}
	seen, piece := false, false
	for raw := range bytes.Lines(doc.Data) {
		r.n++
		r.raw = bytes.TrimSpace(raw)
		w := words(raw)
		if len(w) == 0 {
			continue
		}
		seen = seen || telling[w[0]]
		piece = piece || ofTransport(w)
		r.line(w)
	}
	switch {
	case !seen && !piece:
		return errNoCaddyfile
	case !seen:
		return nil // what stands around it may set the others
	}
	stateDefaults(out, r.set)
	return nil
}

func (r *fileReader) line(w []string) {
	if w[0] == "}" {
		if n := len(r.blocks); n > 0 {
			r.blocks = r.blocks[:n-1]
		}
		return
	}
	open := w[len(w)-1] == "{"
	if open {
		w = w[:len(w)-1]
	}
	name := ""
	if len(w) > 0 {
		name = w[0]
		r.directive(w)
	}
	if open && len(r.blocks) < 64 {
		if len(r.blocks) == 0 {
			r.site = strings.Join(w, " ")
		}
		r.blocks = append(r.blocks, name)
	}
}

func (r *fileReader) directive(w []string) {
	switch w[0] {
	case "reverse_proxy", "php_fastcgi", "to":
		if w[0] == "to" && (len(r.blocks) == 0 || r.blocks[len(r.blocks)-1] != "reverse_proxy") {
			return
		}
		r.members(w)
	case "lb_try_duration":
		if len(w) > 1 {
			s := r.setting(fact.UpstreamRetry, "lb_try_duration {text}")
			s.Text = "for " + w[1]
			r.out.State(s)
		}
	case "health_uri", "health_path":
		if len(w) > 1 {
			s := r.setting(fact.ReadinessProbe, w[0]+" {text}")
			s.Text = "http " + w[1]
			r.out.State(s)
		}
	default:
		k, ok := knobs[w[0]]
		if !ok || len(w) < 2 {
			return
		}
		r.knob(k, w[0], w[1])
	}
}

// members states the addresses after reverse_proxy.
func (r *fileReader) members(w []string) {
	r.proxy = ""
	for _, a := range w[1:] {
		if strings.HasPrefix(a, "/") || strings.HasPrefix(a, "@") || a == "*" {
			continue // what is matched
		}
		s := r.setting(fact.UpstreamAddress, w[0]+" {text}")
		_, rest, ok := strings.Cut(a, "://")
		if !ok {
			rest = a
		}
		if path, ok := strings.CutPrefix(rest, "unix/"); ok {
			rest = "unix:" + path
		}
		s.Text = rest
		if r.proxy == "" {
			r.proxy = rest
		}
		s.Object = r.proxy
		r.out.State(s)
	}
}

func (r *fileReader) knob(k fact.Knob, name, value string) {
	s := r.setting(k, name+" {s}s")
	if n := source.Int([]byte(value)); n.Known {
		s.Spelling, s.Num = name+" {n}", n
		r.out.State(s)
		return
	}
	if value == "off" && k == fact.PoolIdle {
		s.Text = "off"
		r.out.State(s)
		return
	}
	if d, err := time.ParseDuration(strings.Replace(value, "d", "h", 1)); err == nil && d >= 0 {
		if strings.HasSuffix(value, "d") {
			d *= 24
		}
		s.Dur = fact.Lasting(d)
		r.out.State(s)
		return
	}
	delete(r.set, string(k))
}

func (r *fileReader) setting(k fact.Knob, spelling string) *fact.Setting {
	r.set[string(k)] = true
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: r.site, Object: r.proxy}
	if n := len(r.blocks); n > 1 && r.blocks[n-1] != "" {
		s.Where = strings.TrimSpace(r.site + " " + r.blocks[n-1])
	}
	s.Party = gateway()
	s.Origin.Line = r.n
	s.Origin.Text = string(r.raw[:min(len(r.raw), fact.MaxText)])
	return s
}

// manual is where the defaults are documented.
const manual = "https://caddyserver.com/docs/"

// documented are the defaults that matter when an answer fails.
var documented = []struct {
	knob     fact.Knob
	dur      time.Duration
	num      int64
	text     string
	spelling string
	page     string
}{
	{knob: fact.UpstreamConnect, dur: 3 * time.Second, spelling: "dial_timeout {s}s", page: "caddyfile/directives/reverse_proxy#transports"},
	{knob: fact.UpstreamReply, text: "none", spelling: "response_header_timeout {s}s", page: "caddyfile/directives/reverse_proxy#transports"},
	{knob: fact.PoolIdle, dur: 2 * time.Minute, spelling: "keepalive {s}s", page: "caddyfile/directives/reverse_proxy#transports"},
	{knob: fact.PoolSize, num: 32, spelling: "keepalive_idle_conns_per_host {n}", page: "caddyfile/directives/reverse_proxy#transports"},
	{knob: fact.UpstreamRetry, text: "none", spelling: "lb_try_duration {text}", page: "caddyfile/directives/reverse_proxy#load-balancing"},
	{knob: fact.HealthPeriod, dur: 30 * time.Second, spelling: "health_interval {s}s", page: "caddyfile/directives/reverse_proxy#active-health-checks"},
	{knob: fact.HealthTimeout, dur: 5 * time.Second, spelling: "health_timeout {s}s", page: "caddyfile/directives/reverse_proxy#active-health-checks"},
	{knob: fact.KeepAliveIdle, dur: 5 * time.Minute, spelling: "servers { timeouts { idle {s}s } }", page: "caddyfile/options#timeouts"},
}

// stateDefaults states the documented defaults of knobs not in set.
func stateDefaults(out source.Sink, set map[string]bool) {
	for _, d := range documented {
		if set[string(d.knob)] {
			continue
		}
		s := &fact.Setting{Knob: d.knob, Text: d.text, Basis: fact.Default, Spelling: d.spelling, Where: "reverse_proxy"}
		if d.knob == fact.KeepAliveIdle {
			s.Where = "global options"
		}
		s.Party = gateway()
		s.Origin.URL = manual + d.page
		if d.dur > 0 {
			s.Dur = fact.Lasting(d.dur)
		}
		if d.num > 0 {
			s.Num = fact.Num(d.num)
		}
		out.State(s)
	}
}
