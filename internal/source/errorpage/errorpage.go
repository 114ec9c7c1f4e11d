// Package errorpage reads what a client got instead of an answer, as people
// paste it into tickets: the pages, texts and JSON messages in which gateways
// tell of a failure, and the header lines around them as `curl -i`, `curl -v`
// and `wget -S` show them.
//
// One pasted answer is one request: its status, who wrote it, and how it ended
// only where the words tell. A 502 page of nginx does not: it stands for a
// refused connection as for a cut one.
//
// Words are those of nginx (ngx_http_special_response.c), Apache (mod_proxy's
// ap_proxyerror and http_protocol.c), HAProxy (http.c), Varnish's built-in VCL
// and Fastly's documented synthetic errors, Traefik, Squid's error pages and
// X-Squid-Error codes, IIS' and Azure's pages with WinHTTP's numbers, and the
// documented pages of CloudFront, Google, AWS, Heroku, Kong and OpenShift.
package errorpage

import (
	"bytes"
	"strings"

	"culprit/internal/source"
)

const tech = "errorpage"

// Formats is what this package reads.
var Formats = []source.Format{{
	ID: "error-page", Tech: tech, Title: "error pages and HTTP answers people paste",
	Sniff:     sniff,
	NewReader: func(env *source.Env) source.LineReader { return &reader{env: env} },
}}

// maxLine bounds a line that is looked at, in bytes: a page with its style
// sheet in one line.
const maxLine = 16 << 10

// template reports whether a file is one of HAProxy's error files, from which it
// takes its pages: errors/503.http. Nobody was answered with it.
func template(path string) bool { return strings.HasSuffix(path, ".http") }

func sniff(l *source.Line) source.Confidence {
	b := bytes.TrimSpace(l.Text)
	if len(b) < 6 || len(b) > maxLine || template(l.Path) {
		return source.No
	}
	if status, _, ok := statusLine(b); ok {
		if status >= 500 {
			return source.Likely
		}
		return source.Fragment
	}
	if _, ok := requestLine(b); ok {
		return source.Fragment
	}
	best := source.No
	if source.Has(b, herokuPage) {
		best = source.Likely
	}
	for in := b; len(in) > 0; {
		var text []byte
		text, in = segment(in)
		if len(text) == 0 {
			continue
		}
		if _, ok := title(text); ok {
			best = max(best, source.Fragment+5)
		} else if s, _, _ := words(text); s != nil && s.sure {
			best = max(best, source.Likely+5)
		} else if s != nil && !s.aside {
			best = max(best, source.Fragment)
		}
	}
	return best
}

// statusLine reads "HTTP/1.1 502 Bad Gateway" behind curl's mark, wget's
// indent or the words of wget's log.
func statusLine(b []byte) (status int64, reason []byte, ok bool) {
	b = bytes.TrimPrefix(b, []byte("< "))
	if i := bytes.Index(b, []byte("awaiting response... ")); i >= 0 {
		b = b[i+len("awaiting response... "):]
	} else if source.HasPrefix(b, "HTTP/") && len(b) > 8 {
		version, rest := source.Field(b[5:])
		if len(version) == 0 || len(version) > 3 || version[0] < '0' || version[0] > '3' {
			return 0, nil, false
		}
		b = rest
	} else {
		return 0, nil, false
	}
	code, reason := source.Field(b)
	n := source.Int(code)
	if len(code) != 3 || !n.Known || n.N < 100 || len(reason) > 60 && !source.Has(reason, " bytes ==> ") || bytes.IndexByte(reason, '"') >= 0 {
		return 0, nil, false
	}
	return n.N, reason, true
}

// requestLine reads "> GET /path HTTP/1.1", as curl -v shows what it sends.
func requestLine(b []byte) ([]byte, bool) {
	if !source.HasPrefix(b, "> ") || len(b) > 4<<10 {
		return nil, false
	}
	_, _, proto, ok := source.RequestLine(b[2:])
	return b[2:], ok && len(proto) > 0
}

// segment cuts the first piece of text between tags off b; it may be empty.
// Text without tags is one piece.
func segment(b []byte) (text, rest []byte) {
	i := bytes.IndexByte(b, '<')
	if i < 0 {
		return plain(b), nil
	}
	j := bytes.IndexByte(b[i:], '>')
	if j < 0 || !tag(b[i+1:]) {
		if i == 0 {
			return plain(b), nil
		}
		return plain(b[:i]), nil
	}
	return plain(b[:i]), b[i+j+1:]
}

// tag reports whether what follows a "<" is a tag's name.
func tag(b []byte) bool {
	return len(b) > 0 && (b[0] == '/' || b[0] == '!' || b[0]|0x20 >= 'a' && b[0]|0x20 <= 'z')
}

// plain is text without blanks around it and without what stands for quotes.
func plain(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if bytes.IndexByte(b, '&') >= 0 {
		for _, e := range [...][2]string{{"&#39;", "'"}, {"&#x27;", "'"}, {"&quot;", `"`}, {"&amp;", "&"}, {"&nbsp;", " "}, {"&rsquo;", "'"}} {
			b = bytes.ReplaceAll(b, []byte(e[0]), []byte(e[1]))
		}
	}
	if bytes.IndexByte(b, 0xe2) >= 0 {
		b = bytes.ReplaceAll(b, []byte("\u2019"), []byte{'\''})
	}
	return b
}
