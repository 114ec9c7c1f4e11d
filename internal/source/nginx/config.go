package nginx

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// prefixes begin the names of directives that only nginx has.
var prefixes = []string{"proxy_", "fastcgi_", "uwsgi_", "scgi_", "grpc_", "client_", "limit_req", "limit_conn", "worker_", "ssl_", "keepalive", "server_name", "gzip", "resolver", "lua_", "set_real_ip", "real_ip", "auth_request", "large_client_header", "types_hash", "server_names_hash", "upstream_"}

// words are names of directives that only nginx has, besides those with a
// prefix.
var words = map[string]bool{
	"upstream": true, "server": true, "location": true, "listen": true, "log_format": true, "access_log": true, "error_log": true,
	"events": true, "http": true, "stream": true, "add_header": true, "try_files": true, "error_page": true, "sendfile": true, "tcp_nopush": true,
	"tcp_nodelay": true, "default_type": true, "send_timeout": true, "reset_timedout_connection": true, "multi_accept": true,
	"least_conn": true, "ip_hash": true, "zone": true, "load_module": true, "internal": true, "sub_filter": true, "merge_slashes": true,
}

// neutral are directives whose names other languages have too.
var neutral = map[string]bool{
	"include": true, "set": true, "if": true, "return": true, "rewrite": true, "root": true, "index": true, "user": true, "pid": true,
	"map": true, "alias": true, "deny": true, "allow": true, "types": true, "use": true, "expires": true, "geo": true, "hash": true, "env": true, "daemon": true, "break": true,
}

// starts reports whether a directive called name may begin here although the
// one before it has no semicolon.
func starts(name string) bool { return own(name) || neutral[name] && name != "index" && name != "hash" }

func own(name string) bool {
	if words[name] {
		return true
	}
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return strings.HasSuffix(name, "_by_lua_block")
}

// sniffConf says whether a document is a configuration of nginx, or a piece of
// one: nearly every line ends as directives do, and some have names that only
// nginx knows.
func sniffConf(head []byte, _ string) source.Confidence {
	if bytes.Contains(head, []byte("# configuration file /")) && bytes.Contains(head, []byte("{\n")) {
		return source.Sure
	}
	lines, good, known := 0, 0, 0
	lua := 0
	for rest := head; len(rest) > 0; {
		line := rest
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
			if len(head) == source.HeadSize {
				break // a line cut by the head's end
			}
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if lua > 0 {
			lua += bytes.Count(line, []byte{'{'}) - bytes.Count(line, []byte{'}'})
			continue
		}
		lines++
		first := bytes.Trim(line[:wordEnd(line)], `"'`)
		if bytes.HasSuffix(first, []byte("_by_lua_block")) {
			lua = bytes.Count(line, []byte{'{'}) - bytes.Count(line, []byte{'}'})
			good, known = good+1, known+1
			continue
		}
		if !endsDirective(line) {
			if line[0] == '\'' || line[0] == '"' {
				good++ // a string that goes on, as of log_format
			}
			continue
		}
		good++
		if own(string(first)) && !bytes.Contains(first, []byte{'='}) && !foreign(line) {
			known++
		}
	}
	switch {
	case known == 0 || good*10 < lines*7:
		return source.No
	case known >= 3:
		return source.Sure
	}
	return source.Likely
}

// foreign reports signs of another language in a line.
func foreign(line []byte) bool {
	i := wordEnd(line)
	rest := bytes.TrimLeft(line[i:], " \t")
	return len(rest) > 0 && (rest[0] == '=' || rest[0] == ':' || rest[0] == '.' || i < len(line) && line[i] == '(')
}

func wordEnd(line []byte) int {
	if i := bytes.IndexAny(line, " \t;{("); i > 0 {
		return i
	}
	return len(line)
}

// endsDirective reports whether a line ends as nginx' do: with a semicolon or
// a brace, perhaps with a comment after it.
func endsDirective(line []byte) bool {
	if i := bytes.Index(line, []byte(" #")); i > 0 {
		line = bytes.TrimSpace(line[:i])
	}
	if len(line) == 0 {
		return true
	}
	switch line[len(line)-1] {
	case ';', '{', '}':
		return true
	}
	return false
}

// conf is a configuration on its way to settings: a file with what it
// includes.
type conf struct {
	set   *confSet
	env   *source.Env
	file  *confFile // where nginx begins to read
	party fact.Party

	root      *directive
	whole     bool // files that it includes are there
	upstreams []*directive
	named     map[string]*directive // upstreams by name
	passes    []*directive
	to        map[string][]*directive // passes by what they name
	maps      map[string]*directive   // by the variable they set
	zones     map[string]*directive   // limit_req_zone by name
	given     map[string]bool         // directives that occur outside upstream blocks

	headers map[*directive]string // the Connection header that each block sets
	formats int                   // log_format directives

	proxies, servers, includes, http bool
}

// read states the settings.
func (c *conf) read() {
	c.maps, c.named, c.zones = map[string]*directive{}, map[string]*directive{}, map[string]*directive{}
	c.to, c.headers, c.given = map[string][]*directive{}, map[*directive]string{}, map[string]bool{}
	if c.root.find("keepalive") != nil { // a piece from within an upstream block
		c.root.name = "upstream"
	}
	c.survey(c.root)
	c.party = party
	if !c.proxies && c.servers && !c.includes {
		c.party.Role = fact.RoleBackend
	}
	c.walk(c.root)
	c.groups()
	c.defaults()
}

// survey looks at all directives before any setting is stated.
func (c *conf) survey(d *directive) {
	for _, x := range d.body {
		switch {
		case x.name == "upstream" && x.arg(0) != "":
			c.upstreams = append(c.upstreams, x)
			c.named[x.arg(0)] = x
			c.proxies = true
		case strings.HasSuffix(x.name, "_pass"):
			if x.name != "proxy_cookie_pass" && x.name != "fastcgi_no_pass" {
				_, host := passTarget(x)
				c.passes = append(c.passes, x)
				c.to[host] = append(c.to[host], x)
				c.proxies = true
			}
		case x.name == "server" && len(x.args) == 0:
			c.servers = true
		case x.name == "include":
			c.includes = c.includes || c.misses(x.arg(0))
		case x.name == "http":
			c.http = true
		case x.name == "map":
			c.maps[x.arg(1)] = x
		case x.name == "limit_req_zone":
			c.zones[zoneName(x)] = x
		case x.name == "log_format":
			c.logFormat(x)
		}
		if !within(x, "upstream") && d.name != "upstream" {
			c.given[x.name] = true
		}
		c.survey(x)
	}
}

func within(d *directive, name string) bool {
	for d = d.up; d != nil; d = d.up {
		if d.name == name {
			return true
		}
	}
	return false
}

// maxFormats bounds the log formats taken from one configuration; each line of
// an access log may be tried against all.
const maxFormats = 64

// logFormat leaves the text of a log_format for the reader of access lines.
func (c *conf) logFormat(d *directive) {
	if c.formats++; len(d.args) < 2 || c.formats > maxFormats {
		return
	}
	args, pre := d.args[1:], ""
	if strings.HasPrefix(args[0], "escape=") {
		pre, args = args[0]+" ", args[1:]
	}
	c.env.Hint(HintLogFormat, pre+strings.Join(args, ""))
}

func (c *conf) walk(d *directive) {
	if d.name != "upstream" {
		c.block(d)
	}
	for _, x := range d.body {
		c.knob(x)
		if len(x.body) > 0 {
			c.walk(x)
		}
	}
}

// misses reports whether an include that was not found may hide what matters.
// A pattern that nothing matches hides nothing where the other files are there.
func (c *conf) misses(pattern string) bool {
	if strings.Contains(pattern, "mime.types") || strings.Contains(pattern, "_params") {
		return false
	}
	return !c.whole || !isGlob(pattern)
}

// setting makes a Setting of directive d.
func (c *conf) setting(knob fact.Knob, d *directive, spelling string) *fact.Setting {
	s := &fact.Setting{Knob: knob, Basis: fact.Configured, Spelling: spelling, Where: d.file.name, Object: blockName(d.up)}
	s.Party = c.party
	s.Origin.Line = d.line
	if lines := d.file.lines; d.line >= 1 && d.line <= len(lines) {
		line := lines[d.line-1]
		s.Origin.Text = string(bytes.TrimSpace(line[:min(len(line), fact.MaxText)]))
	}
	return s
}

// stated is what tells a setting from others that the same line makes.
type stated struct {
	file   *confFile
	line   int
	knob   fact.Knob
	object string
	text   string
	dur    fact.Dur
	num    fact.Int
}

// state states a setting that d makes, once where its file is included in
// blocks of one name.
func (c *conf) state(d *directive, s *fact.Setting) {
	if d.file.times > 1 {
		key := stated{d.file, s.Origin.Line, s.Knob, s.Object, s.Text, s.Dur, s.Num}
		if c.set.stated[key] {
			return
		}
		c.set.stated[key] = true
	}
	d.file.out.State(s)
}

// blockName names a block as its user would: "upstream app", "server
// shop.example.com", "location /api"; "" at the top.
func blockName(d *directive) string {
	switch {
	case d == nil || d.name == "":
		return ""
	case d.name == "server" && len(d.args) == 0:
		if n := d.find("server_name"); n != nil {
			return "server " + n.arg(0)[:min(len(n.arg(0)), maxName)]
		}
		return "server"
	case len(d.args) > 0:
		name := d.name
		for _, a := range d.args {
			if name += " " + a; len(name) > maxName {
				return name[:maxName]
			}
		}
		return name
	}
	return d.name[:min(len(d.name), maxName)]
}

// maxName bounds a block's name, in bytes: it stands in each of its settings.
const maxName = 256
