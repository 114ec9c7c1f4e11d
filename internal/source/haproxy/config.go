package haproxy

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var config = source.Format{
	ID:       "haproxy-config",
	Tech:     tech,
	Title:    "HAProxy configuration",
	SniffDoc: sniffConfig,
	ReadDoc:  readConfig,
	Config:   true,
}

// memberHint is the key under which the configuration tells the access log's
// reader the address of a server, "backend/server address".
const memberHint = "haproxy-member"

// sections are the words that open a section.
var sections = map[string]bool{
	"global": true, "defaults": true, "frontend": true, "backend": true, "listen": true, "userlist": true,
	"resolvers": true, "peers": true, "mailers": true, "cache": true, "program": true, "http-errors": true,
	"ring": true, "log-forward": true, "crt-store": true, "traces": true, "fcgi-app": true, "acme": true, "log-profile": true,
}

// usual are first words of lines inside sections; those that nearly nobody
// else writes are true.
var usual = map[string]bool{
	"bind": false, "mode": false, "server": false, "timeout": false, "option": false, "log": false, "balance": true,
	"maxconn": false, "default_backend": true, "use_backend": true, "acl": false, "http-request": true,
	"http-response": true, "tcp-request": true, "stats": false, "retries": false, "cookie": false, "errorfile": true,
	"daemon": false, "chroot": false, "user": false, "group": false, "nbthread": false, "nbproc": false, "ssl-default-bind-ciphers": true,
	"ssl-default-bind-options": true, "ssl-default-server-options": true, "tune.bufsize": true, "tune.maxrewrite": true, "tune.ssl.default-dh-param": true,
	"http-check": true, "tcp-check": true, "http-reuse": true, "retry-on": true, "default-server": true, "server-template": true,
	"nameserver": false, "hold": false, "resolve_retries": true, "stick-table": true, "stick": false, "capture": false, "pidfile": false,
	"ca-base": true, "crt-base": true, "log-format": false, "fullconn": true, "hard-stop-after": true, "compression": false, "monitor-uri": true,
	"redirect": false, "description": false, "hash-type": true, "peer": false, "reqadd": true, "rspadd": true, "reqrep": true, "monitor-net": true,
}

// usualShare is the share of lines that must be of known words, in a text that
// has no section.
const usualShare = 0.8

// sniffConfig recognises a configuration, or a piece of one, by its words.
func sniffConfig(head []byte, path string) source.Confidence {
	lines, known, special, opened := 0, 0, 0, 0
	for raw := range bytes.Lines(head) {
		w := words(raw)
		if len(w) == 0 || strings.HasPrefix(w[0], ".") {
			continue
		}
		lines++
		if sections[w[0]] && raw[0] != ' ' && raw[0] != '\t' && len(w) <= 4 && !strings.HasSuffix(w[0], ";") {
			opened++
			continue
		}
		if only, ok := usual[w[0]]; ok && len(w) > 1 && !strings.HasSuffix(w[len(w)-1], ";") && !strings.HasSuffix(w[len(w)-1], "{") {
			known++
			if only || characteristic(w) {
				special++
			}
		} else if lines == 1 {
			return source.No
		}
	}
	switch {
	case lines == 0 || float64(known+opened) < usualShare*0.5*float64(lines):
		return source.No
	case opened > 1 && special > 0, opened > 0 && special > 2:
		return source.Sure
	case opened > 0 && (special > 0 || filepath.Ext(path) == ".cfg" && known > 0):
		return source.Likely
	case special > 0 && float64(known) >= usualShare*float64(lines):
		return source.Possible
	}
	return source.No
}

// characteristic reports whether a line of a common word is HAProxy's.
func characteristic(w []string) bool {
	switch w[0] {
	case "timeout":
		_, ok := timeouts[w[1]]
		return ok && len(w) == 3
	case "option":
		return strings.HasPrefix(w[1], "http") || w[1] == "tcplog" || w[1] == "redispatch" || w[1] == "forwardfor"
	case "server":
		return len(w) > 3 && strings.Contains(w[2], ":") && (w[3] == "check" || w[3] == "maxconn" || w[3] == "inter" || w[3] == "ssl" || w[3] == "weight" || w[3] == "cookie")
	}
	return false
}

// words splits a line as HAProxy does: blanks, quotes, backslashes, comments.
func words(line []byte) []string {
	var out []string
	var w []byte
	in := false
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			w = append(w, c)
		case c == '\\' && i+1 < len(line) && line[i+1] != '\n':
			i++
			w, in = append(w, line[i]), true
		case quote != 0:
			w = append(w, c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == '#', c == '\n', c == '\r':
			i = len(line)
		case c == ' ' || c == '\t':
			if in {
				out = append(out, string(w))
				w, in = w[:0], false
			}
		default:
			w, in = append(w, c), true
		}
	}
	if in {
		out = append(out, string(w))
	}
	return out
}

// section is where a line stands.
type section struct {
	kind, name string
	line       int
}

func (s section) object() string {
	if s.name == "" {
		return s.kind
	}
	return s.kind + " " + s.name
}

// configReader reads one configuration.
type configReader struct {
	env *source.Env
	out source.Sink
	at  section
	n   int             // line
	raw []byte          // its text
	set map[string]bool // knobs that the configuration sets
	// of the section being read:
	servers, checked int
	probe            string
	probeLine        int
	baseProbe        string // of the defaults before
	baseProbeLine    int
	slow             map[string]fact.Dur // client-side time-outs that stand in for each other
	slowLine         map[string]int
	defaultResolve   bool
}

// errNoConfig says that nothing of a document was a known word.
var errNoConfig = errors.New("read haproxy configuration: no section or directive")

func readConfig(env *source.Env, doc *source.Doc, out source.Sink) error {
	r := &configReader{env: env, out: out, set: map[string]bool{}, slow: map[string]fact.Dur{}, slowLine: map[string]int{}}
	seen := false
	for raw := range bytes.Lines(doc.Data) {
		r.n++
		r.raw = bytes.TrimRight(raw, "\r\n")
		w := words(raw)
		if len(w) == 0 || strings.HasPrefix(w[0], ".") {
			continue
		}
		if sections[w[0]] {
			r.leave()
			r.at = section{kind: w[0], line: r.n}
			if len(w) > 1 {
				r.at.name = w[1]
			}
			seen = true
			continue
		}
		if _, ok := usual[w[0]]; ok {
			seen = true
		}
		r.directive(w)
	}
	r.leave()
	if !seen {
		return errNoConfig
	}
	if r.at.kind != "" {
		r.fallbacks()
		stateDefaults(out, r.set)
	}
	return nil
}

// setting begins a Setting of the line being read.
func (r *configReader) setting(k fact.Knob, spelling string) *fact.Setting {
	r.set[string(k)] = true
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: r.at.object(), Object: r.at.name}
	if r.at.kind == "global" || r.at.kind == "defaults" {
		s.Object = r.at.kind
	}
	s.Party = gateway()
	s.Origin.Line = r.n
	s.Origin.Text = string(r.raw[:min(len(r.raw), fact.MaxText)])
	return s
}

func (r *configReader) dur(k fact.Knob, spelling, value string) {
	d, ok := duration(value)
	if !ok {
		return
	}
	s := r.setting(k, spelling)
	s.Dur = d
	r.out.State(s)
}

func (r *configReader) num(k fact.Knob, spelling, value string) {
	n := source.Int([]byte(value))
	if !n.Known {
		return
	}
	s := r.setting(k, spelling)
	s.Num = n
	r.out.State(s)
}

func (r *configReader) text(k fact.Knob, spelling, value string) {
	s := r.setting(k, spelling)
	s.Text = value
	r.out.State(s)
}
