package errorpage

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// reader gathers the lines of one pasted answer at a time.
type reader struct {
	env   *source.Env
	open  bool // an answer or a page has begun
	head  bool // its header lines are being read
	sign  bool // it was signed or closed: what comes next is another page
	last  int  // line that belonged to it
	q     fact.Request
	text  []byte // first words of the page
	tech  string
	srv   string // what the header Server says
	said  bool   // text is what tells how it ended
	empty bool   // the answer has no body
	lim   fact.Limit

	method, path, host string // of the request that curl showed before
}

// reach is how many lines of something else may stand within a page: a
// paragraph of help between its title and its signature.
const reach = 15

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if len(b) > maxLine {
		return source.NotMine
	}
	if r.open && l.N > r.last+reach {
		r.flush(out)
	}
	if line, ok := requestLine(b); ok {
		r.flush(out)
		m, target, _, _ := source.RequestLine(line)
		r.method, r.path, r.host = string(m), string(target), ""
		return source.Mine
	}
	if status, reason, ok := statusLine(b); ok {
		r.flush(out)
		r.begin(l)
		r.q.Status = fact.Num(status)
		if r.load(reason, out) {
			return source.Mine
		}
		r.head = true
		r.classic(reason)
		return source.Mine
	}
	if mark := bytes.TrimPrefix(b, []byte("> ")); len(mark) < len(b) && !r.open {
		if name, value, ok := header(mark); ok && r.method != "" {
			if strings.EqualFold(string(name), "host") {
				r.host = string(value)
			}
			return source.Mine
		}
	}
	if r.open && r.head {
		if took, done := r.headline(l, b); done {
			return took
		}
	}
	return r.page(l, b, out)
}

// load reads the rest of a line of siege's, which stands for one request:
// "0.39 secs:     138 bytes ==> GET  /cart".
func (r *reader) load(b []byte, out source.Sink) bool {
	what, asked, ok := bytes.Cut(b, []byte(" bytes ==> "))
	secs, size, ok2 := bytes.Cut(what, []byte(" secs:"))
	if !ok || !ok2 {
		return false
	}
	method, target := source.Field(asked)
	q := &r.q
	q.Duration, q.Bytes = source.Secs(secs), source.Int(bytes.TrimSpace(size))
	q.Method, q.Path = string(method), string(bytes.TrimSpace(target))
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	q.Origin.Text = ""
	out.State(q)
	r.drop()
	return true
}

func (r *reader) begin(l *source.Line) {
	r.open, r.last = true, l.N
	r.q = fact.Request{Method: r.method, Path: r.path, Host: r.host}
	r.method, r.path, r.host = "", "", ""
	r.q.Time, r.q.Res = l.Time, l.Res
	r.q.Origin.Line, r.q.Origin.Text = l.N, string(bytes.TrimSpace(l.Text[:min(len(l.Text), fact.MaxText)]))
}

// headline reads one line while header lines are expected; done is false where
// it belongs to the body.
func (r *reader) headline(l *source.Line, b []byte) (took source.Took, done bool) {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("<")))
	if len(b) == 0 {
		r.head = false
		r.last = l.N
		return source.Mine, true
	}
	if source.HasPrefix(b, "* ") {
		r.last = l.N
		return source.Mine, true
	}
	name, value, ok := header(b)
	if !ok {
		r.head = false
		return 0, false
	}
	r.last = l.N
	if strings.EqualFold(string(name), "x-envoy-response-code-details") || strings.EqualFold(string(name), "l5d-proxy-error") {
		r.drop()
		return source.NotMine, true // told with more by their own readers
	}
	r.header(strings.ToLower(string(name)), string(value))
	return source.Mine, true
}

// page reads a line of a body.
func (r *reader) page(l *source.Line, b []byte, out source.Sink) source.Took {
	took := source.NotMine
	if r.open && (len(b) == 0 || b[0] == '<' || b[0] == '{' || b[0] == '}' || source.HasPrefix(b, "* ")) {
		took = source.Mine
	}
	if r.open && foreign(b) {
		r.drop()
		return source.NotMine
	}
	if source.Has(b, herokuPage) {
		if r.open && r.tech != "" && r.tech != "heroku" || r.sign {
			r.flush(out)
		}
		if !r.open {
			r.begin(l)
		}
		r.tech, r.q.Writer, took = "heroku", fact.WriterSelf, source.Mine
		if !r.q.Status.Known {
			r.q.Status = fact.Num(503)
		}
	}
	for in := b; len(in) > 0; {
		var text []byte
		text, in = segment(in)
		if len(text) > 2 && r.piece(l, text, out) {
			took = source.Mine
		}
	}
	if took == source.Mine && r.open {
		r.last = l.N
		r.sign = r.sign || source.Has(b, "</html>")
	}
	return took
}

// herokuPage is what Heroku's answers hold in a frame.
const herokuPage = "herokucdn.com/error-pages/application-error"

// foreign reports whether a body is one that another folder's reader states.
func foreign(b []byte) bool {
	return source.Has(b, "upstream connect error or disconnect/reset before headers") || source.Has(b, "no healthy upstream") || source.Has(b, "upstream request timeout")
}

// piece takes one piece of text of a page.
func (r *reader) piece(l *source.Line, text []byte, out source.Sink) bool {
	if status, ok := title(text); ok {
		if r.open && (r.q.Status.Known && !r.q.Status.Is(status) || r.sign) {
			r.flush(out)
		}
		if !r.open {
			r.begin(l)
		}
		r.q.Status = fact.Num(status)
		r.says(text)
		return true
	}
	if s, h, text := words(text); s != nil {
		if r.open && r.other(s, h) {
			r.flush(out)
		}
		if !r.open && (s.aside || !s.sure) {
			return false
		}
		if !r.open {
			r.begin(l)
		}
		r.take(s, h, text)
		return true
	}
	if !r.open {
		return false
	}
	if t := signed(text); t != "" {
		r.tech, r.sign = t, true
		r.q.Writer = fact.WriterSelf
		return true
	}
	if r.srv == "" && r.tech == "" && (string(text) == "Bad Gateway" || string(text) == "Gateway Timeout" || string(text) == "Service Unavailable") && !r.head && r.q.Status.Known {
		r.tech, r.q.Writer = "traefik", fact.WriterSelf // writes no header Server, and the bare reason
		r.says(text)
		return true
	}
	if d, ok := bytes.CutPrefix(text, []byte("real\t")); ok {
		r.took(d)
		return true
	}
	return false
}

// other reports whether some words begin another page than the open one.
func (r *reader) other(s *saying, h *source.Holes) bool {
	if s.aside || !s.sure {
		return false
	}
	status := fact.Num(s.status)
	if s.status < 0 {
		status = source.Int(h[0])
	}
	return r.sign || s.tech != "" && r.tech != "" && s.tech != r.tech || status.N > 0 && r.q.Status.Known && !r.q.Status.Is(status.N) && !r.headed() ||
		s.ended != "" && r.q.Ended != "" && s.ended != r.q.Ended
}

// headed reports whether the status of the open answer is that of a status
// line, which a page cannot gainsay.
func (r *reader) headed() bool { return !r.q.Time.IsZero() || r.srv != "" }

// take adds what some words tell.
func (r *reader) take(s *saying, h *source.Holes, text []byte) {
	if s.tech != "" && (r.tech == "" || !s.aside) && !(r.tech == "fastly" && s.tech == "varnish") {
		r.tech = s.tech
	}
	switch {
	case s.status < 0:
		r.q.Status, r.sign = source.Int(h[0]), true
	case s.status > 0 && !r.q.Status.Known:
		r.q.Status = fact.Num(s.status)
	}
	if s.ended != "" && r.q.Ended == "" {
		r.q.Ended = s.ended
	}
	if s.phase != "" && r.q.Phase == "" || s.ended != "" {
		r.q.Phase = s.phase
	}
	if s.host && r.q.Upstream == "" {
		r.q.Upstream = strings.TrimRight(string(h[0]), ".,")
	}
	if s.limit != "" {
		r.lim = s.limit
	}
	if s.status >= 0 && !s.aside {
		r.q.Writer = fact.WriterSelf
	}
	if s.ended != "" && !r.said {
		r.said, r.text = true, r.text[:0]
	}
	r.says(text)
}

// says keeps the words of a page that tell most: those of how it ended, else
// the first ones after its title.
func (r *reader) says(text []byte) {
	const most = 200
	if _, old := title(r.text); old || len(r.text) == 0 {
		if _, isTitle := title(text); !isTitle || len(r.text) == 0 {
			r.text = append(r.text[:0], text[:min(len(text), most)]...)
		}
	}
}

// took reads what the shell's time prints: "0m15.655s".
func (r *reader) took(b []byte) {
	m, s, ok := bytes.Cut(bytes.TrimSpace(b), []byte("m"))
	min, sec := source.Int(m), source.Secs(bytes.ReplaceAll(bytes.TrimSuffix(s, []byte("s")), []byte(","), []byte(".")))
	if ok && min.Known && sec.Known && min.N >= 0 && min.N < 1<<20 {
		r.q.Duration = fact.Lasting(time.Duration(min.N)*time.Minute + sec.D)
	}
}

// drop forgets the open answer: somebody else states it.
func (r *reader) drop() {
	r.open, r.head, r.sign, r.said, r.empty = false, false, false, false, false
	r.tech, r.srv, r.lim, r.text = "", "", "", r.text[:0]
}

// flush states the open answer if it is one of a failure.
func (r *reader) flush(out source.Sink) {
	if !r.open {
		return
	}
	q := &r.q
	r.judge()
	if q.Status.Or(0) >= 500 || q.Ended != "" {
		if q.Detail = string(r.text); q.Ended != "" && q.Upstream != "" {
			q.Attempts = []fact.Attempt{{Address: q.Upstream, Ended: q.Ended}}
		}
		if r.lim != "" {
			out.State(&fact.Event{Header: q.Header, Kind: fact.LimitReached, Limit: r.lim, Detail: q.Detail})
		}
		out.State(q)
	}
	r.drop()
}

// judge says who wrote the answer.
func (r *reader) judge() {
	q := &r.q
	name := r.tech
	if name == "" {
		name, _, _ = strings.Cut(strings.ToLower(r.srv), "/")
		name, _, _ = strings.Cut(name, "(")
		name = strings.TrimSpace(name)
		if app := apps[name]; app != "" {
			q.Party = fact.Party{Role: fact.RoleBackend, Tech: app}
			q.Writer, q.Ended = fact.WriterSelf, fact.AppAnswered
			return
		}
		name = servers[name]
		if name == "alb" || name == "caddy" && r.empty && q.Status.Or(0) > 500 {
			q.Writer = fact.WriterSelf // never passed on from a member; Caddy's own errors are empty
		}
	}
	if name == "" {
		name = tech
	}
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: name}
	if q.Writer == fact.WriterBackend && q.Status.Or(0) >= 500 {
		q.Ended, q.Phase = fact.AppAnswered, ""
	}
}

// Close implements [source.LineReader].
func (r *reader) Close(out source.Sink) { r.flush(out) }
