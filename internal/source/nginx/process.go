package nginx

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// errnos that only this file asks for, as on Linux.
const (
	ebusyQuota   = 122 // EDQUOT
	enotDir      = 20
	eNameTooLong = 36
)

// exhausted: descriptors ran out, of the process or the machine.
func (x *report) exhausted() {
	if x.errno != source.EMFILE && x.errno != source.ENFILE {
		return
	}
	ev := x.event(fact.LimitReached)
	ev.Limit = fact.LimitFiles
	ev.Reason = "process"
	if x.errno == source.ENFILE {
		ev.Reason = "host"
	}
	x.state(ev)
}

func (x *report) memory() {
	ev := x.event(fact.LimitReached)
	ev.Limit = fact.LimitMemory
	x.state(ev)
	if x.conn != "" {
		x.fail(fact.LimitHit, x.phase())
	}
}

// connections: worker_connections ran out; at level warn nginx could still
// close idle ones.
func (x *report) connections() {
	kind := fact.LimitReached
	if x.level == "warn" || source.Has(x.text, "reusing connections") {
		kind = fact.LimitNear
	}
	ev := x.event(kind)
	ev.Limit, ev.Max = fact.LimitConnections, source.Int(x.holes[0])
	x.state(ev)
	if kind == fact.LimitReached && x.conn != "" {
		x.fail(fact.LimitHit, x.phase())
	}
	if x.framed && x.once("worker_connections") {
		s := &fact.Setting{Knob: fact.MaxConnections, Num: ev.Max, Basis: fact.Measured, Spelling: "worker_connections {n};", Where: "events"}
		x.head(&s.Header)
		x.state(s)
	}
}

func (x *report) fileLimit() {
	ev := x.event(fact.LimitNear)
	ev.Limit, ev.Max = fact.LimitFiles, source.Int(x.holes[1])
	ev.Used = source.Int(x.holes[0])
	x.state(ev)
	x.files(x.holes[1])
}

func (x *report) rlimit() { x.files(x.holes[0]) }

func (x *report) files(n []byte) {
	if x.once("nofile") {
		s := &fact.Setting{Knob: fact.FileLimit, Num: source.Int(n), Basis: fact.Measured, Spelling: "worker_rlimit_nofile {n};", Where: "main"}
		x.head(&s.Header)
		x.state(s)
	}
}

// rate: limit_req or limit_conn refused the request.
func (x *report) rate() {
	ev := x.event(fact.RequestRejected)
	zone := x.holes[1]
	ev.Reason, ev.Limit = "rate-limit", fact.LimitRate
	ev.Detail = "limiting requests by zone \"" + string(zone) + "\""
	if len(zone) == 0 {
		zone = x.holes[0]
		ev.Limit = fact.LimitConnections
		ev.Detail = "limiting connections by zone \"" + string(zone) + "\""
	}
	ev.Attrs = map[string]string{"zone": string(zone)}
	q := x.ask(fact.Denied, "")
	q.Detail = ev.Detail
	x.state(q)
	x.state(ev)
}

func (x *report) firewall() {
	q := x.ask(fact.Denied, "")
	if n := source.Int(x.holes[0]); n.Known && n.N >= 400 && n.N < 600 {
		q.Status = n
	}
	x.state(q)
	ev := x.event(fact.RequestRejected)
	ev.Reason = "waf"
	x.state(ev)
}

func (x *report) forbidden() {
	q := x.ask(fact.Denied, "")
	q.Status = fact.Num(403)
	x.state(q)
}

func (x *report) tooLarge() {
	q := x.ask(fact.Denied, "")
	q.Status = fact.Num(413)
	q.Detail = "client intended to send too large body"
	x.state(q)
}

func (x *report) pidOf(b []byte) int { return source.PID(b) }

func (x *report) crashed() {
	sig := int(source.Int(x.holes[1]).Or(0))
	ev := x.event(fact.Crashed)
	switch sig {
	case 9, 15, 2, 3:
		ev.Kind = fact.WorkerExited
	}
	ev.Signal, ev.Reason = sig, signalName(sig)
	ev.Party.PID = x.pidOf(x.holes[0])
	ev.Detail = "worker process exited on signal"
	x.state(ev)
}

func signalName(n int) string {
	switch n {
	case 4:
		return "SIGILL"
	case 6:
		return "SIGABRT"
	case 7:
		return "SIGBUS"
	case 8:
		return "SIGFPE"
	case 9:
		return "SIGKILL"
	case 11:
		return "SIGSEGV"
	case 15:
		return "SIGTERM"
	case 31:
		return "SIGSYS"
	}
	return ""
}

func (x *report) exited() {
	if source.Has(x.text, "cache ") {
		return // the cache loader's and manager's ends are ordinary
	}
	ev := x.event(fact.WorkerExited)
	ev.Exit = source.Int(x.holes[1])
	ev.Party.PID = x.pidOf(x.holes[0])
	ev.Detail = "worker process exited"
	x.state(ev)
}

func (x *report) started() {
	ev := x.event(fact.WorkerStarted)
	ev.Party.PID = x.pidOf(x.holes[0])
	ev.Detail = "start worker process"
	x.state(ev)
}

func (x *report) version() {
	if x.level != "notice" {
		return
	}
	ev := x.event(fact.ProcessStarted)
	ev.Attrs = map[string]string{fact.AttrVersion: string(x.text)}
	x.state(ev)
}

// signal: what a signal makes nginx do. Signal 17 tells of a child that ended,
// of which another line says more; worker processes repeat the master's.
func (x *report) signal() {
	n := source.Int(x.holes[0])
	var ev *fact.Event
	switch n.Or(0) {
	case 1:
		ev = x.event(fact.ConfigReloaded)
		ev.Reason = "SIGHUP"
	case 2, 3, 15:
		ev = x.event(fact.ProcessStopping)
		ev.Reason = "SIG" + string(x.holes[1])
	case 12:
		ev = x.event(fact.Rollout)
		ev.Reason = "deploy" // the binary is changed under running connections
	default:
		return
	}
	ev.Signal = int(n.N)
	ev.Detail = "signal received"
	x.state(ev)
}

// bind: an address that nginx wants to listen on.
func (x *report) bind() {
	if p := x.phase(); p == fact.PhaseConnecting {
		x.fail(source.ErrnoMechanism(x.errno, p), p) // proxy_bind
		return
	}
	ev := x.event(fact.BootFailed)
	switch x.errno {
	case source.EADDRINUSE:
		ev.Reason = "address-in-use"
	case source.EACCES:
		ev.Reason = "permission"
	}
	x.state(ev)
}

// broken: nginx refused its configuration.
func (x *report) broken() {
	ev := x.event(fact.ConfigBroken)
	if i := bytes.LastIndex(x.text, []byte(" in /")); i >= 0 {
		ev.Attrs = map[string]string{fact.AttrPath: string(x.text[i+4:])}
	}
	x.state(ev)
}

// file: a file operation failed. Temporary files are nginx's own work; others
// are documents that a client asked for.
func (x *report) file(verb string, path []byte) {
	switch x.errno {
	case source.ENOSPC, ebusyQuota:
		x.disk(fact.DiskFull, path)
		return
	case source.ENOENT, enotDir, eNameTooLong:
		switch {
		case temporary(path):
			x.disk(fact.DirMissing, path)
		case (verb == "open" || verb == "openat" || verb == "stat") && len(x.request) > 0:
			x.document(404)
		case x.level == "emerg":
			x.broken()
		}
		return
	case source.EACCES, source.EPERM, source.EROFS:
		switch {
		case temporary(path) || verb == "mkdir" || verb == "pwritev" || verb == "pwrite":
			x.disk(fact.DiskPermission, path)
		case len(x.request) > 0:
			x.document(403)
		case x.level == "emerg" || x.level == "alert":
			x.disk(fact.DiskPermission, path)
		}
		return
	case source.EMFILE, source.ENFILE:
		x.exhausted()
		if x.conn != "" {
			x.fail(fact.LimitHit, x.phase())
		}
		return
	}
	if x.conn != "" && x.grave() {
		x.fail(fact.GatewayFault, x.phase())
	}
}

// document: a file that a client asked for is not there or not for it.
func (x *report) document(status int) {
	q := x.ask("", "")
	q.Status, q.Writer = fact.Num(status), fact.WriterSelf
	x.state(q)
}

func (x *report) disk(kind fact.EventKind, path []byte) {
	ev := x.event(kind)
	ev.Limit = ""
	if kind == fact.DiskFull {
		ev.Limit = fact.LimitDisk
	}
	if len(path) > 0 {
		ev.Attrs = map[string]string{fact.AttrPath: string(path)}
	}
	x.state(ev)
	if x.conn != "" || len(x.client) > 0 {
		x.fail(fact.GatewayFault, x.phase())
	}
}

// shortWrite: the disk took only a part.
func (x *report) shortWrite() {
	_, path := x.quoted()
	x.disk(fact.DiskFull, path)
}

// quoted returns the first text in quotes.
func (x *report) quoted() (before, in []byte) {
	i := bytes.IndexByte(x.msg, '"')
	if i < 0 {
		return nil, nil
	}
	j := bytes.IndexByte(x.msg[i+1:], '"')
	if j < 0 {
		return nil, nil
	}
	return x.msg[:i], x.msg[i+1 : i+1+j]
}

// temporary reports whether a path is one of nginx's temporary files or
// directories: those end in ten digits, or their directory is named so.
func temporary(path []byte) bool {
	base := path[bytes.LastIndexByte(path, '/')+1:]
	if len(base) == 10 && source.Int(base).Known {
		return true
	}
	for _, s := range [...]string{"client_body", "proxy_temp", "fastcgi_temp", "uwsgi_temp", "scgi_temp", "client-body", "nginx/body", "nginx/proxy", "nginx/fastcgi", "proxy-temp"} {
		if source.Has(path, s) {
			return true
		}
	}
	return false
}

// stderr: what a FastCGI member wrote into its error stream.
func (x *report) stderr() {
	text := x.holes[0]
	member := fact.Party{Role: fact.RoleBackend, Tech: "phpfpm", Address: string(address(x.upstream))}
	event := func(kind fact.EventKind) *fact.Event {
		ev := x.event(kind)
		ev.Party = member
		ev.Detail = string(firstLine(text))
		return ev
	}
	switch {
	case source.Has(text, "Allowed memory size of "):
		ev := event(fact.HeapExhausted)
		ev.Limit, ev.Reason = fact.LimitMemory, "memory_limit"
		if n, ok := source.Between(text, "Allowed memory size of ", " bytes"); ok {
			ev.Max = source.Int(n)
		}
		x.state(ev)
	case source.Has(text, "Maximum execution time of "):
		ev := event(fact.AppError)
		ev.Reason = "timeout"
		if n, ok := source.Between(text, "Maximum execution time of ", " second"); ok {
			if s := source.Int(n); s.Known && s.N < 1<<31 {
				ev.Lasted = fact.Lasting(time.Duration(s.N) * time.Second)
			}
		}
		x.state(ev)
	case source.Has(text, "Primary script unknown"):
		q := x.ask("", "")
		q.Status = fact.Num(404)
		x.state(q)
	case source.Has(text, "PHP Fatal error"), source.Has(text, "PHP Parse error"), source.Has(text, "Uncaught "):
		ev := event(fact.AppError)
		ev.Reason = "fatal"
		x.state(ev)
	}
}

func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	if i := bytes.Index(b, []byte(`" while `)); i >= 0 {
		b = b[:i]
	}
	return bytes.TrimRight(b, `" `)
}
