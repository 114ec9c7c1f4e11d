package node

import (
	"bytes"
	"net/url"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// proxy: Next could not pass a request on.
func (s *said) proxy(target, why []byte) {
	u, err := url.Parse(string(target))
	if err != nil || u.Host == "" {
		return
	}
	q := s.request(u.Host, why)
	q.Path = u.RequestURI()
	s.out.State(q)
}

// proxied: path or "host/path" was not passed on to a server.
func (s *said) proxied(path, server, why []byte) {
	u, err := url.Parse(string(bytes.TrimRight(server, ".")))
	addr := string(server)
	if err == nil && u.Host != "" {
		addr = u.Host
	}
	q := s.request(addr, why)
	if i := bytes.IndexByte(path, '/'); i >= 0 {
		q.Path, q.Host = string(path[i:]), string(path[:i])
	}
	s.out.State(q)
}

func (s *said) request(addr string, why []byte) *fact.Request {
	q := &fact.Request{Partial: true, Detail: string(why[:min(len(why), maxDetail)])}
	q.Time, q.Res = s.at, s.res
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	m, phase, errno, _ := source.NetError(why)
	q.Ended, q.Phase, q.Errno, q.Writer = m, phase, errno, fact.WriterSelf
	q.Attempts = []fact.Attempt{{Address: addr, Ended: m, Errno: errno}}
	return q
}

// viteProxy: the reason stands in the next line.
func (s *said) viteProxy() {
	q := s.request("", nil)
	q.Path = string(s.h[0])
	q.Origin.Line, q.Origin.Text = s.l.N, string(s.l.Text[:min(len(s.l.Text), fact.MaxText)])
	s.r.vite = q
}

func (r *reader) viteReason(msg []byte, out source.Sink) source.Took {
	q := r.vite
	r.vite = nil
	m, phase, errno, _ := source.NetError(msg)
	q.Ended, q.Phase, q.Errno, q.Detail = m, phase, errno, string(msg[:min(len(msg), maxDetail)])
	q.Attempts = []fact.Attempt{{Address: target(msg), Ended: m, Errno: errno}}
	out.State(q)
	r.trace = true
	return source.Mine
}
