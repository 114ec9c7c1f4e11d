// Package fdexhaustion judges requests that failed because a process, or the
// machine, had no file descriptor left.
package fdexhaustion

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "fd-exhaustion",
	Title: "Out of file descriptors: no further connection can be opened",
	What: "Each connection and each open file takes a descriptor. The process reached its limit (or the machine did), so it can open no connection to the server, or take none from clients. " +
		"Connections that are open already go on working.",
	Shows: []string{
		"nginx: socket() failed (24: Too many open files), answered with 500; accept4() failed (24: ...), where the client just waits",
		"musl says \"No file descriptors available\"; Node: EMFILE; Go: accept tcp: too many open files; Java: SocketException: Too many open files",
		"only under load; a proxied request takes two descriptors, one to each side",
	},
	Fixes: []string{
		"raise the limit of that process: worker_rlimit_nofile, LimitNOFILE=, ulimits in compose, maxconn in HAProxy",
		"let it keep fewer connections: shorter keep-alive, bounded pools; look for descriptors that leak",
		"errno 23 (file table overflow) is the machine's: fs.file-max",
	},
	Links: []string{
		"https://nginx.org/en/docs/ngx_core_module.html#worker_rlimit_nofile",
		"https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Process%20Properties",
	},
	Mechanisms: []fact.Mechanism{
		fact.LimitHit, fact.GatewayFault, fact.ConnectTimedOut, fact.ReplyTimedOut, fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.Refused,
		fact.AppAnswered, fact.MechanismUnknown,
	},
	Troubles: []fact.EventKind{fact.LimitReached},
	Over:     []string{"connection-limit"},
	Prior:    -3,
	PriorWhy: "rare, but nothing else writes these words",
	Explain:  explain,
}

// The window: a process at its limit stays there for as long as its
// connections live, and says so again and again.
const before, after = 10 * time.Second, 10 * time.Second

// The errnos of a process's and of the machine's table, as on Linux.
const emfile, enfile = 24, 23

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var told []*failure.Failure
	for _, f := range e.Failures {
		if f.Errno == emfile || f.Errno == enfile || f.Try.Errno == emfile || f.Try.Errno == enfile {
			told = append(told, f)
		}
	}
	events := full(e)
	if len(told) > 0 {
		o.Signals = append(o.Signals, cause.For(22, "the system call's own error", fmt.Sprintf("%s could not be opened a connection: too many open files (errno %d)", cause.Count(n(told), "request"), errno(told[0])), cause.Cite(told)...).AsProof().In("limit"))
		o.Claims = told
		o.Blame = told[0].Gateway
	}
	s, claims, ok := cause.NearEvents(e, events, before, after, says)
	if ok {
		if e.Mechanism == fact.AppAnswered {
			s.Weight = min(s.Weight, 10) // an application has other reasons to answer with an error
		}
		o.Signals = append(o.Signals, s.In("limit"))
		o.Claims = union(e, told, claims)
		if len(told) == 0 {
			o.Blame = s.Facts[0].Head().Party
		}
	}
	if len(o.Signals) == 0 {
		return o
	}
	o.Blame.PID = 0
	limit := e.World.Setting(o.Blame.Role, o.Blame.Tech, fact.FileLimit)
	if limit == nil && o.Blame.Role != fact.RoleGateway {
		limit = cause.Owned(e.World, nil, fact.FileLimit)
	}
	if limit != nil && limit.Num.Known && limit.Num.N <= 4096 {
		o.Signals = append(o.Signals, cause.For(2, "the usual default is small for a server", fmt.Sprintf("it may open %d files", limit.Num.N), limit))
	}
	host := len(told) > 0 && errno(told[0]) == enfile || ok && s.Facts[0].(*fact.Event).Reason == "host"
	o.Fix = fix(o.Blame, limit, host)
	o.Next = []cause.Next{{
		Evidence: "the limit and what is open", Command: "grep 'open files' /proc/PID/limits; ls /proc/PID/fd | wc -l; ls -l /proc/PID/fd | awk '{print $NF}' | cut -d: -f1 | sort | uniq -c",
		WouldTell: "whether the limit is small, or descriptors leak",
	}}
	return o
}

func n(fs []*failure.Failure) int {
	sum := 0
	for _, f := range fs {
		sum += f.N
	}
	return sum
}

func errno(f *failure.Failure) int {
	if f.Errno == emfile || f.Errno == enfile {
		return f.Errno
	}
	return f.Try.Errno
}

// full are events of descriptors that ran out, of the parties in the path.
func full(e *failure.Episode) []*fact.Event {
	a := cause.Ask(e)
	var out []*fact.Event
	for _, x := range e.World.Of(fact.LimitReached) {
		if x.Limit == fact.LimitFiles && a.Kin(x) != cause.Stranger {
			out = append(out, x)
		}
	}
	return out
}

func union(e *failure.Episode, a, b []*failure.Failure) []*failure.Failure {
	if b == nil {
		return nil
	}
	in := map[*failure.Failure]bool{}
	for _, f := range append(append([]*failure.Failure(nil), a...), b...) {
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
	if x.Reason == "host" || x.Reason == "file-max" {
		return "the machine's table of open files was full"
	}
	return cause.TechTitle(x.Party.Tech) + " had no file descriptor left"
}

func fix(p fact.Party, limit *fact.Setting, host bool) cause.Fix {
	if host {
		return cause.Fix{
			Summary: "The machine's own table is full: raise fs.file-max, and find the process that holds most descriptors.",
			Steps:   []string{"for p in /proc/[0-9]*; do echo $(ls $p/fd 2>/dev/null | wc -l) $p; done | sort -rn | head"},
			Patch:   "# /etc/sysctl.d/60-files.conf\nfs.file-max = 2097152",
		}
	}
	want := int64(65536)
	f := cause.Fix{Summary: fmt.Sprintf("Let %s open more files: %d or more.", cause.TechTitle(p.Tech), want)}
	if limit != nil && limit.Num.Known {
		f.Summary = fmt.Sprintf("%s may open only %d files: let it open %d.", cause.TechTitle(p.Tech), limit.Num.N, want)
	}
	switch {
	case p.Tech == "nginx":
		f.Patch = fmt.Sprintf("worker_rlimit_nofile %d;      # main block\nevents { worker_connections 16384; }   # two descriptors a proxied request", want)
	case p.Tech == "haproxy":
		f.Patch = "global\n  maxconn 20000      # HAProxy raises its own limit to fit, where LimitNOFILE lets it\n# haproxy.service: LimitNOFILE=65536"
	case limit != nil && limit.Spelling != "":
		f.Patch = cause.SpellNum(limit.Spelling, want)
		if limit.Where != "" {
			f.Steps = append(f.Steps, "in "+limit.Where+" of "+limit.Object)
		}
	default:
		f.Patch = fmt.Sprintf("[Service]\nLimitNOFILE=%d\n# container: ulimits: {nofile: {soft: %d, hard: %d}}", want, want, want)
	}
	f.Steps = append(f.Steps, "see what it holds: ls -l /proc/PID/fd | wc -l now and an hour later; a number that only grows is a leak")
	return f
}
