package nginx

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// placeholder is the address that Lua balancers hand to nginx where they have
// no member: nothing listens there.
const placeholder = "0.0.0.1"

func (x *report) noLive() {
	x.fail(fact.NoBackend, fact.PhaseConnecting)
	ev := x.event(fact.NoBackendLeft)
	ev.Party = fact.Party{Role: fact.RoleBackend, Name: string(address(x.upstream))}
	x.state(ev)
	x.ejection()
}

func (x *report) ejected() {
	ev := x.event(fact.BackendEjected)
	ev.Party = fact.Party{Role: fact.RoleBackend, Address: string(address(x.upstream))}
	x.state(ev)
	x.ejection()
}

// ejection states the defaults of passive ejection, once, where no
// configuration was read.
func (x *report) ejection() {
	if !x.defaults("ejection") {
		return
	}
	defNum(x.r.out, fact.MaxFails, defaultMaxFails, docUpstream, "server ADDRESS max_fails={n};", "upstream")
	defDur(x.r.out, fact.FailTimeout, defaultFailTimeout, docUpstream, "server ADDRESS fail_timeout={s}s;", "upstream")
}

// defaults reports whether a default may be stated: the process is nginx for
// sure, no configuration tells the values, and it was not stated before.
func (x *report) defaults(key string) bool {
	return x.framed && x.pid > 0 && len(x.r.env.Hints(hintConfigured)) == 0 && x.once(key)
}

func (x *report) timedOut() {
	p := x.phase()
	if x.errno == 0 {
		x.errno = source.ETIMEDOUT
	}
	m := source.ErrnoMechanism(source.ETIMEDOUT, p)
	if p == "" {
		m = fact.ReplyTimedOut // the text of a fragment: most often cut after "upstream timed out"
		if source.Has(x.action, "connect") {
			m = fact.ConnectTimedOut
		}
	}
	x.fail(m, p)
	s, ok := schemeOf(schemeName(x.upstream))
	switch {
	case !ok:
	case p == fact.PhaseConnecting && x.defaults("connect "+s.prefix):
		defDur(x.r.out, fact.UpstreamConnect, defaultTimeout, s.doc, s.prefix+"_connect_timeout {s}s;", "location")
	case p == fact.PhaseWaiting && x.defaults("reply "+s.prefix):
		defDur(x.r.out, fact.UpstreamReply, defaultTimeout, s.doc, s.prefix+"_read_timeout {s}s;", "location")
	}
}

func schemeName(upstream []byte) string {
	i := bytes.Index(upstream, []byte("://"))
	if i < 0 {
		return ""
	}
	return string(upstream[:i])
}

// closed: the member ended the connection in order.
func (x *report) closed() {
	m := fact.ClosedBeforeReply
	p := x.phase()
	switch p {
	case fact.PhaseReading:
		m = fact.CutMidReply
	case fact.PhaseTLS:
		m = fact.TLSFailed
	}
	x.fail(m, p)
}

// reset: an HTTP/2 member ended the stream with an error.
func (x *report) reset() {
	m := fact.ResetBeforeReply
	if x.phase() == fact.PhaseReading {
		m = fact.CutMidReply
	}
	x.fail(m, x.phase())
}

func (x *report) tooBig() {
	x.fail(fact.ReplyTooBig, x.phase())
	if s, ok := schemeOf(schemeName(x.upstream)); ok && x.defaults("header "+s.prefix) {
		defNum(x.r.out, fact.UpstreamHeaderMax, defaultHeaderMax, s.doc, s.prefix+"_buffer_size {n};", "location")
	}
}

func (x *report) certificate() {
	q := x.ask(fact.TLSFailed, fact.PhaseTLS)
	q.Attrs = map[string]string{fact.AttrTLS: tlsWords(x.holes[0])}
	x.state(q)
}

// tlsWords is what the TLS library said, without nginx's words after it.
func tlsWords(b []byte) string {
	if i := bytes.LastIndex(b, []byte(" while ")); i >= 0 {
		b = b[:i]
	}
	return string(bytes.Trim(b, `") `))
}

// handshake: towards a member it is a failed try; clients that fail theirs are
// no trouble of a server's.
func (x *report) handshake() {
	if !x.towardsMember() {
		return
	}
	q := x.ask(fact.TLSFailed, fact.PhaseTLS)
	if t := tlsWords(x.holes[0]); t != "" {
		q.Attrs = map[string]string{fact.AttrTLS: t}
	}
	x.state(q)
}

// tlsBroken: reading or writing through TLS failed within TLS.
func (x *report) tlsBroken() {
	if x.towardsMember() && x.grave() {
		m := fact.TLSFailed
		if x.phase() == fact.PhaseReading {
			m = fact.CutMidReply
		}
		q := x.ask(m, x.phase())
		q.Attrs = map[string]string{fact.AttrTLS: tlsWords(x.holes[1])}
		x.state(q)
	}
}

// unresolved: the number in the text is the resolver's, not an errno.
func (x *report) unresolved() {
	x.errno = 0
	if len(x.client) > 0 || !x.framed || x.conn != "" {
		q := x.ask(fact.NameNotResolved, fact.PhaseResolving)
		q.Upstream = string(x.holes[0])
		x.state(q)
	}
	ev := x.event(fact.DNSFailed)
	ev.Reason = string(x.holes[1])
	ev.Attrs = map[string]string{fact.AttrDependency: string(x.holes[0])}
	x.state(ev)
}

func (x *report) unknownHost() {
	host := string(x.holes[0])
	ev := x.event(fact.DNSFailed)
	ev.Reason = "host not found"
	ev.Attrs = map[string]string{fact.AttrDependency: host}
	x.state(ev)
	if x.level == "emerg" || x.level == "" {
		ev = x.event(fact.BootFailed)
		ev.Reason = "dns"
		ev.Attrs = map[string]string{fact.AttrDependency: host}
		if len(x.holes[1]) > 0 {
			ev.Attrs[fact.AttrPath] = string(x.holes[1])
		}
		x.state(ev)
	}
}

func (x *report) authFailed() {
	q := x.ask(fact.GatewayFault, "")
	q.Attempts = q.Attempts[:0]
	x.state(q)
}

func (x *report) left() {
	q := x.ask(fact.ClientGone, x.phase())
	for i := range q.Attempts {
		q.Attempts[i].Ended, q.Attempts[i].Errno = "", 0
	}
	x.state(q)
}

// syscall reads "verb() [what] failed (errno: words)".
func (x *report) syscall() {
	verb, what := x.call()
	switch verb {
	case "connect":
		x.connect(what)
	case "socket":
		x.exhausted()
		if x.conn != "" || x.towardsMember() || len(x.upstream) > 0 {
			x.fail(socketMechanism(x.errno), fact.PhaseConnecting)
		}
	case "accept", "accept4":
		x.exhausted()
	case "recv", "recvmsg", "readv", "recvmmsg", "send", "sendmsg", "writev", "sendfile", "sendfilev", "sendfile64", "SSL_read", "SSL_write", "WSARecv", "WSASend", "read", "SSL_sendfile":
		x.transfer()
	case "open", "openat", "pwrite", "pwritev", "write", "mkdir", "pread", "rename", "stat", "lstat", "fstat", "chmod", "unlink", "posix_fallocate", "ftruncate":
		x.file(verb, what)
	case "bind":
		x.bind()
	case "malloc", "calloc", "mmap", "posix_memalign", "memalign":
		x.memory()
	case "fork":
		ev := x.event(fact.LimitReached)
		ev.Limit = fact.LimitProcesses
		x.state(ev)
	case "SSL_do_handshake":
		x.handshake()
	default:
		if x.level == "emerg" {
			x.broken()
		}
	}
}

// call returns the name of the system call and what it was called on.
func (x *report) call() (verb string, what []byte) {
	b := x.msg
	i := bytes.IndexByte(b, '(')
	if i < 0 {
		return "", nil
	}
	j := i
	for j > 0 && (b[j-1] == '_' || b[j-1] >= '0' && b[j-1] <= '9' || b[j-1]|0x20 >= 'a' && b[j-1]|0x20 <= 'z') {
		j--
	}
	verb = string(b[j:i])
	if !strings.HasPrefix(verb, "SSL") && !strings.HasPrefix(verb, "WSA") {
		verb = strings.ToLower(verb)
	}
	rest := b[i:]
	if k := bytes.Index(rest, []byte(" failed (")); k > 2 && source.HasPrefix(rest, "() ") {
		what = bytes.Trim(rest[3:k], `"`)
	}
	return verb, bytes.TrimPrefix(what, []byte("to "))
}

func socketMechanism(errno int) fact.Mechanism {
	if m := source.ErrnoMechanism(errno, fact.PhaseConnecting); m != "" {
		return m
	}
	return fact.GatewayFault
}

// connect: to a member, or, without an action, from a Lua script to something
// of the application's own.
func (x *report) connect(to []byte) {
	p := x.phase()
	if p == "" && (len(x.action) > 0 || len(x.client) > 0 && len(x.upstream) == 0) {
		if len(x.action) == 0 {
			ev := x.event(fact.DependencyDown)
			if len(to) > 0 {
				ev.Attrs = map[string]string{fact.AttrDependency: string(address(to))}
			}
			x.state(ev)
		}
		return
	}
	if p == fact.PhaseResolving {
		x.resolver()
		return
	}
	if len(x.upstream) == 0 {
		x.upstream = to
	}
	m := source.ErrnoMechanism(x.errno, fact.PhaseConnecting)
	if source.HasPrefix(address(x.upstream), placeholder) {
		m = fact.NoBackend
	} else if m == "" {
		m = fact.GatewayFault
	}
	switch x.errno {
	case source.EADDRNOTAVAIL:
		ev := x.event(fact.LimitReached)
		ev.Limit = fact.LimitPorts
		x.state(ev)
	case source.EMFILE, source.ENFILE:
		x.exhausted()
	}
	x.fail(m, fact.PhaseConnecting)
}

// resolver: the resolver itself could not be asked.
func (x *report) resolver() {
	ev := x.event(fact.DNSFailed)
	ev.Reason = "resolver"
	x.state(ev)
}

// transfer: bytes to or from a member or a client.
func (x *report) transfer() {
	p := x.phase()
	switch {
	case p == fact.PhaseResolving:
		x.resolver()
	case x.towardsMember():
		if p == "" {
			p = fact.PhaseWaiting
			if verb, _ := x.call(); verb == "writev" || verb == "sendfile" || verb == "send" {
				p = fact.PhaseSending
			}
		}
		x.fail(source.ErrnoMechanism(x.errno, p), p)
	case x.grave() && x.errno != source.ECONNRESET && x.errno != source.EPIPE && len(x.client) > 0:
		x.fail(fact.MechanismUnknown, "")
	}
}
