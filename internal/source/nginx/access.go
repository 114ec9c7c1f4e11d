package nginx

import (
	"bytes"
	"slices"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// HintLogFormat is the key under which the texts of log_format directives are
// left for the reader of access logs, as written in a configuration: "$remote_addr
// ...", perhaps with "escape=json " before it.
const HintLogFormat = "nginx.log_format"

// known formats, the special first: a line fits the first one that it fills to
// its end.
var builtins = []struct {
	text    string
	flavour flavour
	sure    source.Confidence
}{
	// ingress-nginx, log-format-upstream: of today, before alternative
	// backends (0.23), and before $req_id.
	{`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id`, ingress, source.Sure},
	{`$the_real_ip - [$x] - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id`, ingress, source.Sure},
	{`$the_real_ip - [$x] - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id`, ingress, source.Sure},
	{`$the_real_ip - [$x] - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status`, ingress, source.Sure},
	{`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id`, ingress, source.Sure},
	// Nginx Proxy Manager, proxied and other hosts; NPMplus.
	{`[$time_local] $upstream_cache_status $upstream_status $status - $request_method $scheme $host "$request_uri" [Client $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio] [Sent-to $server] "$http_user_agent" "$http_referer"`, proxyManager, source.Sure},
	{`[$time_local] $status - $request_method $scheme $host "$request_uri" [Client $remote_addr] [Length $body_bytes_sent] [Gzip $gzip_ratio] "$http_user_agent" "$http_referer"`, proxyManager, source.Sure},
	{`[$time_local] $host $remote_addr $request_time "$request" $status $body_bytes_sent $request_length $http_referer $http_user_agent`, proxyManager, source.Likely},
	// Kong, APISIX.
	{`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" kong_request_id: "$kong_request_id"`, kong, source.Sure},
	{`$remote_addr - $remote_user [$time_local] $http_host "$request" $status $body_bytes_sent $request_time "$http_referer" "$http_user_agent" $upstream_addr $upstream_status $upstream_response_time "$x"`, apisix, source.Sure},
	// What nginx writes without being told, and its packages' "main".
	{`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`, elsewhere, source.Possible},
	{`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"`, elsewhere, source.Possible},
	{`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent`, elsewhere, source.Possible},
}

var layouts = compileBuiltins()

func compileBuiltins() []layout {
	out := make([]layout, len(builtins))
	for i, b := range builtins {
		out[i], _ = compile(b.text, nil)
		out[i].flavour = b.flavour
	}
	return out
}

// strange is how sure a line in an unknown format of nginx's kind is: a little
// less than one that another server writes by default.
const strange = source.Possible - 5

// sniffAccess says whether a line is an access line.
func sniffAccess(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 30 || len(b) > maxLine {
		return source.No
	}
	if b[0] == '{' {
		return sniffJSON(l)
	}
	if bytes.IndexByte(b, '"') < 0 && !source.Has(b, "HTTP/") || notAccess(b) {
		return source.No
	}
	var v values
	f := newFiller(&source.Env{})
	best := source.No
	for i := range layouts {
		if x := &layouts[i]; x.scan(b, &v) && status(v.get(kStatus)) >= 0 && f.fill(&v, x) {
			if best = builtins[i].sure; x.flavour == elsewhere {
				best = lean(l, &v)
			}
			break
		}
	}
	if best == source.No {
		x, ok := infer(f.env, b, !l.Time.IsZero(), nil)
		if !ok || !x.scan(b, &v) || !f.fill(&v, &x) {
			return source.No
		}
		best = strange
		if v.has&(1<<kUpStatus|1<<kUpConnect|1<<kUpHeader|1<<kUpTime|1<<kUpReceived) != 0 && x.named(&v) {
			best = source.Likely
		}
		if source.Has(b, "upstream_") {
			best = source.Likely + 10
		}
	}
	if best < source.Likely && ours(l) {
		best = source.Likely
	}
	return best
}

// lean says how sure a line is that Apache and others write as well, by what
// only one of them does: nginx has statuses of its own and writes escapes as
// \x22; others write \" and "-" for no bytes. Between equals the name of the
// file decides.
func lean(l *source.Line, v *values) source.Confidence {
	switch s := status(v.get(kStatus)); {
	case s == 499, s == 444, s >= 494 && s <= 497, s == 9, s == 0:
		return source.Likely - 15
	}
	if string(v.get(kBytes)) == "-" || source.Has(l.Text, `\"`) || strings.Contains(l.Path, "apache") || strings.Contains(l.Path, "httpd") {
		return source.Possible - 10
	}
	if source.Has(l.Text, `\x22`) || source.Has(l.Text, `\x5C`) || strings.Contains(l.Path, "nginx") {
		return source.Likely - 15
	}
	return source.Possible + 1
}

// named reports whether what makes a line nginx's own is more than the shape
// of one value.
func (l *layout) named(v *values) bool {
	const telling = 1<<kUpConnect | 1<<kUpHeader | 1<<kUpStatus | 1<<kUpTime | 1<<kUpReceived
	return l.has&telling != 0 || v.has&(1<<kUpAddr) != 0 && v.has&(1<<kUpTime|1<<kDuration) != 0
}

// ours reports whether the wrapper names nginx as the writer.
func ours(l *source.Line) bool {
	for _, s := range [...]string{l.Program, l.Container, l.Unit} {
		if strings.Contains(s, "nginx") || strings.Contains(s, "openresty") {
			return true
		}
	}
	return false
}

// notAccess rules out error-log lines, which hold a request line too.
func notAccess(b []byte) bool {
	return len(b) > 21 && b[4] == '/' && b[7] == '/' && b[19] == ' ' && b[20] == '['
}

// maxLayouts bounds the layouts inferred for one input.
const maxLayouts = 24

// accessReader reads access lines.
type accessReader struct {
	env      *source.Env
	f        *filler
	v        values
	plain    source.Ordinary
	told     []layout  // from hints
	inferred []*layout // newest last
	last     *layout
	js       jsonKeys
	ingress  bool // defaults were stated
}

func newAccessReader(env *source.Env) source.LineReader {
	r := &accessReader{env: env, f: newFiller(env)}
	for _, h := range env.Hints(HintLogFormat) {
		if l, ok := compile(h, env.IDHeaders); ok {
			r.told = append(r.told, l)
		}
	}
	return r
}

// Line implements [source.LineReader].
func (r *accessReader) Line(l *source.Line, out source.Sink) source.Took {
	b := l.Text
	if r.last != nil && r.last.scan(b, &r.v) {
		if r.fold(out) {
			return source.Mine
		}
		if r.f.fill(&r.v, r.last) {
			out.State(&r.f.req)
			return source.Mine
		}
	}
	if len(b) == 0 || notAccess(b) {
		return source.NotMine
	}
	if x := r.find(l); x != nil {
		r.last = x
		if x.flavour == ingress && !r.ingress {
			r.ingress = true
			ingressDefaults(out)
		}
		out.State(&r.f.req)
		return source.Mine
	}
	if b[0] == '{' {
		return r.json(l, out)
	}
	return source.NotMine
}

// find reads a line that the last layout does not fit, by the layouts that
// were told, the known ones, and one made of the line itself.
func (r *accessReader) find(l *source.Line) *layout {
	b := l.Text
	for i := range r.told {
		if x := &r.told[i]; x.scan(b, &r.v) && r.f.fill(&r.v, x) {
			return x
		}
	}
	if b[0] == '{' {
		return nil
	}
	for i := range layouts {
		if x := &layouts[i]; x.scan(b, &r.v) && status(r.v.get(kStatus)) >= 0 && r.f.fill(&r.v, x) {
			return x
		}
	}
	for i, x := range slices.Backward(r.inferred) {
		if x.scan(b, &r.v) && r.f.fill(&r.v, x) {
			r.inferred = append(append(r.inferred[:i:i], r.inferred[i+1:]...), x)
			return x
		}
	}
	x, ok := infer(r.env, b, !l.Time.IsZero(), r.env.IDHeaders)
	if !ok || !x.scan(b, &r.v) || !r.f.fill(&r.v, &x) {
		return nil
	}
	if len(r.inferred) >= maxLayouts {
		r.inferred = r.inferred[1:]
	}
	r.inferred = append(r.inferred, &x)
	return &x
}

// Close implements [source.LineReader].
func (r *accessReader) Close(source.Sink) {}

// party is nginx where it says nothing more of itself.
var party = fact.Party{Role: fact.RoleGateway, Tech: "nginx"}
