// Package socketpermission judges requests that failed because the proxy may
// not open the server's socket, or a directory of its own.
package socketpermission

import (
	"fmt"
	"path"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "socket-permission",
	Title: "Permission denied: the proxy may not open the socket or directory it needs",
	What: "The server listens on a unix socket that belongs to another user, or its directory may not be entered, or SELinux or AppArmor forbids the connection. " +
		"The server is up and never sees a request. The same happens with the proxy's own temporary directory: then only large uploads fail.",
	Shows: []string{
		"nginx: connect() to unix:/run/php/php8.2-fpm.sock failed (13: Permission denied), every request, since a restart or an upgrade",
		"nginx: open() \".../client_body_temp/...\" failed (13: Permission denied) for large uploads",
		"audit: avc: denied { name_connect } for comm=\"nginx\": then even TCP connections are forbidden (errno 13)",
	},
	Fixes: []string{
		"give the socket to the proxy's user or group, with mode 0660, in the server's own configuration",
		"every directory on the way must be enterable (x) for the proxy's user: namei -l",
		"SELinux: setsebool -P httpd_can_network_connect 1",
		"temporary directories belong to the user the proxy's workers run as",
	},
	Links: []string{
		"https://www.php.net/manual/en/install.fpm.configuration.php#listen-owner",
		"https://nginx.org/en/docs/ngx_core_module.html#user",
	},
	Mechanisms: []fact.Mechanism{fact.GatewayFault, fact.Refused, fact.CutMidReply, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.DiskPermission},
	Prior:      -3,
	PriorWhy:   "three of about a hundred and fifty collected incidents; nothing else has this error",
	Explain:    explain,
}

// The window: it is forbidden until somebody changes it.
const before, after = 10 * time.Second, 10 * time.Second

// The errnos, as on Linux.
const eperm, eacces, erofs = 1, 13, 30

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var told []*failure.Failure
	for _, f := range e.Failures {
		for _, n := range [...]int{f.Errno, f.Try.Errno} {
			if n == eperm || n == eacces || n == erofs {
				told = append(told, f)
				break
			}
		}
	}
	var events []*fact.Event
	for _, x := range e.World.Of(fact.DiskPermission) {
		if x.Reason != "io-error" {
			events = append(events, x)
		}
	}
	s, claims, ok := cause.NearEvents(e, events, before, after, says)
	switch {
	case len(told) > 0:
		o.Signals = append(o.Signals, cause.For(22, "the system call's own error", toldSays(told), cause.Cite(told)...).AsProof().In("permission"))
		if ok {
			o.Signals = append(o.Signals, s.In("permission"))
		}
		o.Claims = told
	case ok:
		if e.Mechanism == fact.MechanismUnknown {
			s.Weight = min(s.Weight, 16)
		}
		o.Signals = append(o.Signals, s.In("permission"))
		o.Claims = claims
	default:
		return o
	}
	f := subject(e, told, events)
	o.Blame = f.blame
	o.Fix = fix(f)
	o.Next = []cause.Next{{
		Evidence: "who may open it", Command: "namei -l " + f.path + "; ps -o user,group,cmd -C nginx,haproxy,apache2,httpd; ausearch -m avc -ts recent",
		WouldTell: "which directory or socket on the way forbids the proxy's user",
	}}
	return o
}

// thing is what may not be opened.
type thing struct {
	path    string // "/run/php/php8.2-fpm.sock"
	socket  bool
	selinux bool
	tcp     bool
	tech    string // of the server behind the socket
	blame   fact.Party
}

func subject(e *failure.Episode, told []*failure.Failure, events []*fact.Event) thing {
	var t thing
	for _, f := range told {
		addr := f.Backend.Address
		if addr == "" {
			addr = f.Try.Address
		}
		switch {
		case strings.HasPrefix(addr, "unix:") || strings.HasPrefix(addr, "/"):
			t.socket, t.path = true, strings.TrimSuffix(strings.TrimPrefix(addr, "unix:"), ":")
			t.blame = f.Backend
		case addr != "" && f.Phase == fact.PhaseConnecting:
			t.tcp, t.path = true, addr
			t.blame = f.Gateway
		}
		for _, r := range f.Seen {
			if r.Attrs[fact.AttrProtocol] == "fastcgi" {
				t.tech = "phpfpm"
			} else if r.Attrs[fact.AttrProtocol] == "uwsgi" {
				t.tech = "uwsgi"
			}
		}
	}
	for _, x := range events {
		t.selinux = t.selinux || x.Reason == "selinux"
		if p := x.Attrs[fact.AttrPath]; p != "" && t.path == "" {
			t.path = p
			t.blame = x.Party
			t.socket = strings.HasSuffix(p, ".sock")
		}
	}
	if t.tech == "" {
		t.tech = t.blame.Tech
	}
	if t.path == "" {
		t.path = "PATH"
		for _, f := range told {
			if _, rest, ok := strings.Cut(f.Detail, "\""); ok && strings.HasPrefix(rest, "/") {
				t.path, _, _ = strings.Cut(rest, "\"")
			}
		}
	}
	if t.blame == (fact.Party{}) {
		t.blame = e.Gateway
	}
	if t.blame.Role == fact.RoleBackend && t.tech == "phpfpm" {
		t.blame.Tech = t.tech
	}
	t.blame.PID = 0
	return t
}

func toldSays(told []*failure.Failure) string {
	f := told[0]
	s := fmt.Sprintf("%s was forbidden to open what it needed for %s (errno %d)", cause.TechTitle(f.Gateway.Tech), cause.Count(len(told), "request"), max(f.Errno, f.Try.Errno))
	if f.Backend.Address != "" {
		s += ": " + f.Backend.Address
	}
	return s
}

func says(_ int, x *fact.Event) string {
	s := "permission was denied"
	if x.Reason == "selinux" || x.Reason == "apparmor" {
		s = x.Reason + " forbade it"
	}
	if x.Reason == "read-only" {
		s = "the file system is read-only"
	}
	if p := x.Attrs[fact.AttrPath]; p != "" {
		s += " to open " + p
	}
	return s
}

func fix(t thing) cause.Fix {
	switch {
	case t.selinux || t.tcp:
		return cause.Fix{
			Summary: "SELinux forbids the proxy to connect: allow web servers to open connections.",
			Steps:   []string{"ausearch -m avc -ts recent | audit2why   # says which rule", "if SELinux is not in use (getenforce), look for a firewall rule that rejects with EPERM"},
			Patch:   "setsebool -P httpd_can_network_connect 1",
		}
	case t.socket && t.tech == "phpfpm":
		return cause.Fix{
			Summary: "Let php-fpm give the socket " + t.path + " to the web server's group.",
			Steps:   []string{"restart php-fpm; the owner is set when it opens the socket"},
			Patch:   "; pool file\nlisten.owner = www-data\nlisten.group = www-data     ; the group nginx runs as\nlisten.mode = 0660",
		}
	case t.socket && t.tech == "uwsgi":
		return cause.Fix{
			Summary: "Let uWSGI open the socket " + t.path + " for the web server's group.",
			Patch:   "[uwsgi]\nchmod-socket = 660\nchown-socket = www-data:www-data",
		}
	case t.socket:
		return cause.Fix{
			Summary: "Let the server open the socket " + t.path + " for the web server's user.",
			Steps: []string{
				"gunicorn: --umask 007 and a common group; Puma: bind 'unix:///run/app.sock?umask=0117'",
				"each directory on the way needs x for that user: namei -l " + t.path,
				"not under /tmp: services with PrivateTmp do not see each other's",
			},
			Patch: "[Service]\nUser=app\nGroup=www-data\nUMask=0007\nRuntimeDirectory=app\nRuntimeDirectoryMode=0750",
		}
	}
	return cause.Fix{
		Summary: "Give the directory " + path.Dir(t.path) + " to the user the proxy's workers run as.",
		Steps:   []string{"ps -o user,cmd -C nginx   # the workers' user", "in a container: the volume's owner must be that user (fsGroup, user:)"},
		Patch:   "chown -R www-data: " + path.Dir(t.path) + " && chmod 700 " + path.Dir(t.path),
	}
}
