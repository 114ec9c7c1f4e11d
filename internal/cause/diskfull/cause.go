// Package diskfull judges requests that failed because a disk, a memory file
// system or a quota had no room.
package diskfull

import (
	"fmt"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "disk-full",
	Title: "Disk full: the proxy or the server cannot write",
	What: "The proxy writes bodies that do not fit its memory to temporary files; when their disk is full, it fails the upload (500) or cuts the download. " +
		"Small requests go on working, so it looks like a fault of some pages.",
	Shows: []string{
		"nginx: pwritev() \"...proxy_temp/...\" failed (28: No space left on device); has written only 4096 of 16384",
		"only large uploads or downloads fail; downloads end short of their length",
		"df -h shows 100 %, or df -i (no inodes left), or a small tmpfs",
	},
	Fixes: []string{
		"make room: old logs, caches, core files; then find what grows",
		"a disk of its own for temporary files and caches, with a limit: max_size of proxy_cache_path below the disk's size",
		"stream instead of store: proxy_buffering off or proxy_max_temp_file_size 0 for large downloads, proxy_request_buffering off for uploads",
	},
	Links: []string{
		"https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_max_temp_file_size",
	},
	Mechanisms: []fact.Mechanism{fact.GatewayFault, fact.CutMidReply, fact.AppAnswered, fact.LimitHit, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.Refused, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.DiskFull},
	Over:       []string{"app-generated"},
	Prior:      -3,
	PriorWhy:   "rare, but nothing else has this error",
	Explain:    explain,
}

// The window: a full disk stays full for minutes.
const before, after = 60 * time.Second, 30 * time.Second

// enospc and edquot as on Linux.
const enospc, edquot = 28, 122

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var told []*failure.Failure
	for _, f := range e.Failures {
		if f.Errno == enospc || f.Errno == edquot {
			told = append(told, f)
		}
	}
	events := e.World.Of(fact.DiskFull)
	s, claims, ok := cause.NearEvents(e, events, before, after, says)
	switch {
	case len(told) > 0:
		o.Signals = append(o.Signals, cause.For(22, "the system call's own error", fmt.Sprintf("there was no space to write for %s (errno %d)", cause.Count(len(told), "request"), told[0].Errno), cause.Cite(told)...).AsProof().In("disk"))
		o.Claims, o.Blame = told, told[0].Gateway
		if ok {
			o.Signals = append(o.Signals, s.In("disk"))
			o.Claims = merged(e, told, claims)
		}
	case ok:
		if e.Mechanism == fact.AppAnswered || e.Mechanism == fact.MechanismUnknown {
			s.Weight = min(s.Weight, 14) // other reasons lie near
		}
		o.Signals = append(o.Signals, s.In("disk"))
		o.Claims, o.Blame = claims, s.Facts[0].Head().Party
	default:
		return o
	}
	o.Blame.PID = 0
	o.Fix = fix(e, pathOf(events, told))
	o.Next = []cause.Next{{
		Evidence: "what is full", Command: "df -h; df -i; du -xh --max-depth=2 / 2>/dev/null | sort -h | tail -20; lsof +L1 | head",
		WouldTell: "which file system, and what fills it (lsof +L1: deleted files that are still open)",
	}}
	return o
}

func merged(e *failure.Episode, a, b []*failure.Failure) []*failure.Failure {
	if b == nil {
		return nil
	}
	in := map[*failure.Failure]bool{}
	for _, f := range a {
		in[f] = true
	}
	for _, f := range b {
		in[f] = true
	}
	var out []*failure.Failure
	for _, f := range e.Failures {
		if in[f] {
			out = append(out, f)
		}
	}
	return out
}

func says(_ int, x *fact.Event) string {
	s := "the disk was full"
	if p := x.Attrs[fact.AttrPath]; p != "" {
		s += ": no room for " + p
	}
	return s
}

func pathOf(events []*fact.Event, told []*failure.Failure) string {
	for _, x := range events {
		if p := x.Attrs[fact.AttrPath]; p != "" {
			return p
		}
	}
	for _, f := range told {
		if _, after, ok := strings.Cut(f.Detail, "\""); ok {
			if p, _, ok := strings.Cut(after, "\""); ok && strings.HasPrefix(p, "/") {
				return p
			}
		}
	}
	return ""
}

func fix(e *failure.Episode, path string) cause.Fix {
	f := cause.Fix{Summary: "Make room on the disk, and bound what fills it."}
	where := "/"
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		where = path[:i]
		f.Summary = "Make room on the disk of " + where + ", and bound what fills it."
	}
	f.Steps = []string{"df -h " + where + "; df -i " + where + "   # full of bytes, or of files?"}
	if e.Gateway.Tech == "nginx" {
		f.Patch = "proxy_max_temp_file_size 0;      # large answers are passed on, not stored\nproxy_request_buffering off;     # uploads, too\n# a cache: proxy_cache_path ... max_size=SIZE min_free=1g; on a disk that proxy_temp_path does not share"
	} else {
		f.Patch = "journalctl --vacuum-size=500M; docker system prune -f; logrotate -f /etc/logrotate.conf"
	}
	return f
}
