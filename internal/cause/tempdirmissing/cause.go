// Package tempdirmissing judges requests that failed because the directory for
// temporary files is not there.
package tempdirmissing

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
	ID:    "tempdir-missing",
	Title: "Temporary directory missing: large bodies cannot be stored",
	What: "The proxy or the application writes bodies that do not fit its memory into a temporary directory. Somebody removed it: a cleaner of /tmp, an upgrade, a new container. " +
		"Small requests never need it, so only large ones fail.",
	Shows: []string{
		"nginx: open() \"/var/lib/nginx/body/0000000012\" failed (2: No such file or directory), answered with 500",
		"only uploads over client_body_buffer_size (16 KiB) or large answers fail, always",
		"Tomcat: The temporary upload location ... is not valid; Python: No usable temporary directory found",
	},
	Fixes: []string{
		"make the directory again, with the right owner, and restart the server: nginx makes its own at start",
		"take it out of the cleaner's reach: systemd-tmpfiles (x /path), not under /tmp",
		"in a container with a read-only root: a tmpfs or volume for it",
	},
	Links: []string{
		"https://nginx.org/en/docs/http/ngx_http_core_module.html#client_body_temp_path",
		"https://www.freedesktop.org/software/systemd/man/latest/tmpfiles.d.html",
	},
	Mechanisms: []fact.Mechanism{fact.GatewayFault, fact.CutMidReply, fact.AppAnswered, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.DirMissing},
	Over:       []string{"app-generated"},
	Prior:      -3,
	PriorWhy:   "rare, but nothing else has this error",
	Explain:    explain,
}

// The window: it is missing until somebody makes it, and each request that
// needs it says so.
const before, after = 5 * time.Second, 5 * time.Second

// enoent and enotdir as on Linux.
const enoent, enotdir = 2, 20

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var told []*failure.Failure
	for _, f := range e.Failures {
		// A socket that is missing ends as refused; what is left of this errno
		// are files of the gateway's own.
		if (f.Errno == enoent || f.Errno == enotdir) && e.Mechanism == fact.GatewayFault {
			told = append(told, f)
		}
	}
	var events []*fact.Event
	for _, x := range e.World.Of(fact.DirMissing) {
		if x.Reason != "socket" {
			events = append(events, x)
		}
	}
	s, claims, ok := cause.NearEvents(e, events, before, after, says)
	switch {
	case len(told) > 0:
		o.Signals = append(o.Signals, cause.For(20, "the system call's own error", fmt.Sprintf("%s needed a temporary file, whose directory is not there (errno %d)", cause.Count(len(told), "request"), told[0].Errno), cause.Cite(told)...).AsProof().In("dir"))
		if ok {
			o.Signals = append(o.Signals, s.In("dir"))
		}
		o.Claims, o.Blame = told, told[0].Gateway
	case ok:
		if e.Mechanism == fact.AppAnswered || e.Mechanism == fact.MechanismUnknown {
			s.Weight = min(s.Weight, 16)
		}
		o.Signals = append(o.Signals, s.In("dir"))
		o.Claims, o.Blame = claims, s.Facts[0].Head().Party
	default:
		return o
	}
	for _, c := range e.Contrasts() {
		if c.Property == "request size" {
			o.Signals = append(o.Signals, cause.For(3, "only what does not fit in memory needs the directory", fmt.Sprintf("%d of %d failed requests are of size %s, of good ones %d of %d", c.Failed, c.FailedOf, c.Value, c.Ordinary, c.OrdinaryOf), cause.Cite(e.Failures)...))
			break
		}
	}
	o.Blame.PID = 0
	o.Fix = fix(o.Blame.Tech, dir(e, events))
	o.Next = []cause.Next{{
		Evidence: "the directory itself", Command: "ls -ld " + dir(e, events) + "; nginx -V 2>&1 | tr ' ' '\\n' | grep temp-path; grep -rn temp_path /etc/nginx",
		WouldTell: "whether it is gone, and who should own it",
	}}
	return o
}

func says(_ int, x *fact.Event) string {
	if p := x.Attrs[fact.AttrPath]; p != "" {
		return "the directory for temporary files is missing: " + path.Dir(p)
	}
	return "the directory for temporary files is missing"
}

// dir is the missing directory.
func dir(e *failure.Episode, events []*fact.Event) string {
	for _, x := range events {
		if p := x.Attrs[fact.AttrPath]; p != "" {
			return path.Dir(p)
		}
	}
	if s := e.World.Setting(fact.RoleGateway, "", fact.TempDir); s != nil && s.Text != "" {
		return s.Text
	}
	for _, f := range e.Failures {
		if _, rest, ok := strings.Cut(f.Detail, "\""); ok && strings.HasPrefix(rest, "/") {
			p, _, _ := strings.Cut(rest, "\"")
			return path.Dir(p)
		}
	}
	return "DIRECTORY"
}

func fix(tech, dir string) cause.Fix {
	f := cause.Fix{
		Summary: "Make the directory " + dir + " again for the user the server runs as, and keep cleaners out of it.",
		Patch:   "install -d -o www-data -g www-data -m 700 " + dir + "\necho 'x " + dir + "' > /etc/tmpfiles.d/keep-temp.conf",
	}
	if tech == "nginx" {
		f.Steps = append(f.Steps, "or let nginx make its own ones: nginx -t && systemctl restart nginx (a reload makes them, too, if the parent directory exists)", "a place no cleaner looks at: client_body_temp_path /var/lib/nginx/body; proxy_temp_path /var/lib/nginx/proxy;")
	} else {
		f.Steps = append(f.Steps, "or point the application's temporary directory (TMPDIR, java.io.tmpdir) to one that stays")
	}
	return f
}
