package linux

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// audit reads refusals of SELinux and AppArmor, from audit.log or the kernel's
// log: a proxy that may not connect to its backend is told so here alone.
var audit = source.Format{
	ID: "audit", Tech: tech, Role: fact.RoleHost, Title: "refusals of SELinux and AppArmor",
	Sniff: func(l *source.Line) source.Confidence {
		switch {
		case source.HasPrefix(l.Text, "type=") && source.Has(l.Text, " msg=audit("):
			return source.Sure
		case source.Has(l.Text, "avc:  denied  {") || source.Has(l.Text, `apparmor="DENIED"`):
			return source.Sure
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return auditReader{} },
}

type auditReader struct{}

func (auditReader) Line(l *source.Line, out source.Sink) source.Took {
	b := l.Text
	at, res := l.Time, l.Res
	if stamp, ok := source.Between(b, "audit(", ":"); ok {
		if d := source.Secs(stamp); d.Known && d.D > 0 {
			at, res = time.Unix(0, int64(d.D)).UTC(), fact.Lasting(time.Millisecond)
		}
	}
	selinux := source.Has(b, "avc:  denied  {")
	if !selinux && !source.Has(b, `apparmor="DENIED"`) || source.Has(b, "permissive=1") {
		if source.HasPrefix(b, "type=") || selinux {
			out.Seen(at)
			return source.Mine
		}
		return source.NotMine
	}
	e := &fact.Event{Kind: fact.DiskPermission, Reason: "apparmor"}
	if selinux {
		e.Reason = "selinux"
		if what, ok := source.Between(b, "denied  { ", " }"); ok {
			e.Detail = "denied " + string(what)
		}
	} else if what, ok := source.Between(b, `operation="`, `"`); ok {
		e.Detail = "denied " + string(what)
	}
	e.Time, e.Res = at, res
	comm, _ := source.Between(b, ` comm="`, `"`)
	pid, _ := source.Between(b, " pid=", " ")
	e.Party = process(string(comm), source.PID(pid))
	for _, key := range [...]string{` path="`, ` name="`} {
		if path, ok := source.Between(b, key, `"`); ok {
			e.Attrs = map[string]string{fact.AttrPath: string(path)}
			break
		}
	}
	if port, ok := source.Between(b, " dest=", " "); ok && source.Int(port).Known {
		e.Party.Address = ":" + string(bytes.Clone(port))
	}
	out.State(e)
	return source.Mine
}

func (auditReader) Close(source.Sink) {}
