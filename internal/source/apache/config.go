package apache

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var config = source.Format{
	ID:       "apache-config",
	Tech:     tech,
	Title:    "Apache configuration",
	SniffDoc: sniffConfig,
	ReadDoc:  readConfig,
	Config:   true,
}

// directives that tell Apache's configuration from any other; those worth 2
// are in no other server's.
var telling = map[string]int{
	"proxypass": 2, "proxypassreverse": 2, "proxypassmatch": 2, "proxytimeout": 2, "proxypreservehost": 2, "balancermember": 2, "proxyset": 2,
	"loadmodule": 2, "servername": 1, "documentroot": 2, "customlog": 2, "errorlog": 2, "logformat": 2, "rewriteengine": 2, "rewriterule": 2,
	"requestheader": 2, "sslengine": 2, "sslproxyengine": 2, "allowoverride": 2, "serverroot": 2, "maxrequestworkers": 2, "startservers": 2,
	"keepalivetimeout": 2, "maxkeepaliverequests": 2, "maxconnectionsperchild": 2, "directoryindex": 2, "setenv": 1, "keepalive": 1, "timeout": 1, "listen": 1,
	"threadsperchild": 2, "serverlimit": 2, "minsparethreads": 2, "mutex": 1, "pidfile": 1, "user": 1, "group": 1, "options": 1, "require": 1,
}

// telltale is how much of [telling] a document must have.
const telltale = 3

func sniffConfig(head []byte, _ string) source.Confidence {
	sum, lines, blocks := 0, 0, 0
	for raw := range bytes.Lines(head) {
		b := bytes.TrimSpace(raw)
		if len(b) == 0 || b[0] == '#' {
			continue
		}
		if lines++; b[len(b)-1] == ';' || b[len(b)-1] == '{' {
			return source.No
		}
		if b[0] == '<' {
			name, _ := source.Field(bytes.TrimLeft(b, "</"))
			switch string(bytes.ToLower(bytes.TrimRight(name, ">"))) {
			case "virtualhost", "proxy", "location", "directory", "ifmodule", "locationmatch", "ifdefine", "proxymatch":
				blocks++
			default:
				if blocks == 0 {
					return source.No
				}
			}
			continue
		}
		w, rest := source.Field(b)
		if len(rest) > 0 {
			sum += telling[string(bytes.ToLower(w))]
		}
	}
	switch {
	case sum >= 2*telltale && blocks > 0:
		return source.Sure
	case sum >= telltale+1 && sum*2 >= lines:
		return source.Likely
	case sum >= 2 && (blocks > 0 || sum >= 2*lines):
		return source.Possible
	}
	return source.No
}

// configReader reads one configuration.
type configReader struct {
	env     *source.Env
	out     source.Sink
	n       int
	raw     []byte
	set     map[string]bool
	blocks  []string          // open sections, "VirtualHost *:80"
	formats map[string]string // LogFormat by its nickname
	used    []string          // nicknames or formats that CustomLog names

	timeout     fact.Dur // the server's Timeout
	timeoutLine int
}

var errNoConfig = errors.New("read apache configuration: no directive")

func readConfig(env *source.Env, doc *source.Doc, out source.Sink) error {
	r := &configReader{env: env, out: out, set: map[string]bool{}, formats: map[string]string{}}
	seen := false
	var joined []byte
	first := 0
	n := 0
	for raw := range bytes.Lines(doc.Data) {
		n++
		b := bytes.TrimSpace(raw)
		if len(joined) == 0 {
			first = n
		}
		if len(b) > 0 && b[len(b)-1] == '\\' {
			joined = append(append(joined, b[:len(b)-1]...), ' ')
			continue
		}
		if len(joined) > 0 {
			b = append(joined, b...)
			joined = nil
		}
		if len(b) == 0 || b[0] == '#' {
			continue
		}
		r.n, r.raw = first, b
		w := words(b)
		if len(w) == 0 || w[0] == "" {
			continue
		}
		name := strings.ToLower(w[0])
		if telling[name] > 0 {
			seen = true
		}
		r.line(name, w)
	}
	if !seen && len(r.set) == 0 {
		return errNoConfig
	}
	r.hint()
	r.fallback()
	stateDefaults(out, r.set)
	return nil
}

// words splits a directive at blanks, outside double quotes.
func words(b []byte) []string {
	var out []string
	for b = bytes.TrimLeft(b, " \t"); len(b) > 0; b = bytes.TrimLeft(b, " \t") {
		if q, rest, ok := source.Quoted(b); ok {
			out = append(out, strings.ReplaceAll(string(q), `\"`, `"`))
			b = rest
			continue
		}
		i := bytes.IndexAny(b, " \t")
		if i < 0 {
			i = len(b)
		}
		out = append(out, string(b[:i]))
		b = b[i:]
	}
	return out
}

func (r *configReader) where() string {
	if len(r.blocks) == 0 {
		return "server config"
	}
	return "<" + r.blocks[len(r.blocks)-1] + ">"
}

func (r *configReader) line(name string, w []string) {
	if strings.HasPrefix(name, "</") {
		if len(r.blocks) > 0 {
			r.blocks = r.blocks[:len(r.blocks)-1]
		}
		return
	}
	if name[0] == '<' {
		if len(r.blocks) < 64 {
			r.blocks = append(r.blocks, strings.Trim(strings.Join(w, " "), "<>"))
		}
		return
	}
	arg := ""
	if len(w) > 1 {
		arg = w[1]
	}
	switch name {
	case "timeout":
		r.dur(fact.RequestTimeout, "Timeout {s}", arg, time.Second)
		if len(r.blocks) == 0 {
			r.timeout = duration(arg, time.Second)
			r.timeoutLine = r.n
		}
	case "proxytimeout":
		r.dur(fact.UpstreamReply, "ProxyTimeout {s}", arg, time.Second)
	case "keepalive":
		if strings.EqualFold(arg, "off") {
			s := r.setting(fact.KeepAliveIdle, "KeepAlive On")
			s.Dur = fact.Lasting(0)
			r.out.State(s)
		}
	case "keepalivetimeout":
		r.dur(fact.KeepAliveIdle, "KeepAliveTimeout {s}", arg, time.Second)
	case "maxkeepaliverequests":
		if arg != "0" {
			r.num(fact.MaxConnRequests, "MaxKeepAliveRequests {n}", arg)
		}
	case "maxrequestworkers", "maxclients":
		r.num(fact.Workers, w[0]+" {n}", arg)
	case "maxconnectionsperchild", "maxrequestsperchild":
		if arg != "0" {
			r.num(fact.WorkerMaxRequests, w[0]+" {n}", arg)
		}
	case "gracefulshutdowntimeout":
		r.dur(fact.GracefulTimeout, "GracefulShutdownTimeout {s}", arg, time.Second)
	case "listenbacklog":
		r.num(fact.ListenBacklog, "ListenBacklog {n}", arg)
	case "responsefieldsize", "proxyiobuffersize":
		if name == "responsefieldsize" {
			r.num(fact.UpstreamHeaderMax, "ResponseFieldSize {n}", arg)
		}
	case "proxyerroroverride":
		if strings.EqualFold(arg, "on") {
			s := r.setting(fact.ErrorInterception, "ProxyErrorOverride Off")
			s.Text = strings.Join(w[1:], " ")
			r.out.State(s)
		}
	case "listen":
		s := r.setting(fact.ListenAddress, "Listen {text}")
		s.Text = arg
		r.out.State(s)
	case "setenv":
		if arg == "proxy-initial-not-pooled" || arg == "proxy-nokeepalive" {
			s := r.setting(fact.PoolIdle, "SetEnv "+arg+" 1")
			s.Text = "off"
			r.out.State(s)
		}
	case "logformat":
		if len(w) > 2 {
			r.formats[w[2]] = w[1]
		}
	case "customlog":
		if len(w) > 2 {
			r.used = append(r.used, w[2])
		}
	case "proxypass", "proxypassmatch", "balancermember", "proxyset":
		r.worker(name, w[1:])
	}
}

// fallback states that ProxyTimeout takes the value of Timeout where it is not
// set.
func (r *configReader) fallback() {
	if !r.timeout.Known || r.set[string(fact.UpstreamReply)] {
		return
	}
	s := r.setting(fact.UpstreamReply, "ProxyTimeout {s}")
	s.Dur, s.Basis, s.Where = r.timeout, fact.Default, "server config"
	s.Origin = fact.Origin{Line: r.timeoutLine, URL: manual + "mod_proxy.html#proxytimeout"}
	r.out.State(s)
}

// hint tells the access log's reader the unit of a time at a format's end.
func (r *configReader) hint() {
	for _, u := range r.used {
		format := u
		if f, ok := r.formats[u]; ok {
			format = f
		}
		_, tail, ok := strings.Cut(format, "User-Agent}i")
		if !ok {
			continue
		}
		switch {
		case strings.Contains(tail, "%{ms}T"):
			r.env.Hint(unitHint, "ms")
		case strings.Contains(tail, "%D"), strings.Contains(tail, "%{us}T"):
			r.env.Hint(unitHint, "us")
		case strings.Contains(tail, "%T"), strings.Contains(tail, "%{s}T"):
			r.env.Hint(unitHint, "s")
		}
	}
}
