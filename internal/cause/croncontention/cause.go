// Package croncontention judges failures that come when scheduled work runs
// beside the server.
package croncontention

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "cron-contention",
	Title: "Scheduled work: failures come when a job runs",
	What: "At fixed times a job starts on the same machine, database or set of workers: a backup, a report, an import. " +
		"It takes what the requests need, and they fail until it ends.",
	Shows: []string{
		"failures gather at one minute of the hour or one time of the day, in cycle after cycle",
		"cron, systemd timers, Kubernetes CronJobs or the application's own scheduler start something at that minute",
		"slow answers, full queues and time-outs rather than closed connections",
	},
	Fixes: []string{
		"move the job: to another machine, or to a quiet time; several jobs must not share minute 0",
		"let it take less: nice, ionice, limits of its own, smaller batches, a replica of the database",
		"give jobs of the application workers of their own",
	},
	Links: []string{
		"https://www.freedesktop.org/software/systemd/man/latest/systemd.timer.html#RandomizedDelaySec=",
	},
	Mechanisms: []fact.Mechanism{
		fact.ReplyTimedOut, fact.ConnectTimedOut, fact.LimitHit, fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply, fact.NoBackend,
		fact.Refused, fact.AppAnswered, fact.MechanismUnknown,
	},
	Prior:    -8,
	PriorWhy: "two of about a hundred and fifty collected incidents; clients that are aligned to the clock look alike",
	Explain:  explain,
}

const (
	// runs is for how long a job is taken to run where its end is not told.
	runs = 5 * time.Minute
	// atOnce: what fails so quickly did not wait for anything.
	atOnce = 100 * time.Millisecond
	// most that the clock alone may weigh: clients are aligned to it, too.
	clockLimit = 7
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	job, s, claims := best(e)
	clock, gathered := e.Clock()
	switch {
	case job == "" && !gathered:
		return o
	case job != "":
		o.Signals = append(o.Signals, s)
		o.Claims = claims
		o.Blame = s.Facts[0].Head().Party
	}
	if gathered {
		w := min(clockLimit, cause.FromP(clock.Probability)/4)
		o.Signals = append(o.Signals, cause.For(w, "chance does not keep to the clock; jobs and clients do", clockSays(clock), cause.Cite(e.Failures)...))
		if job == "" && clock.Bursts < 3 {
			return cause.Opinion{}
		}
	} else if cycles(claims) < 2 {
		o.Signals = append(o.Signals, cause.Against(6, "one coincidence is no schedule", "it happened in a single run of the job", s.Facts...))
	}
	if q := quick(e); q > 0 && (e.Mechanism == fact.ResetBeforeReply || e.Mechanism == fact.ClosedBeforeReply) {
		o.Signals = append(o.Signals, cause.Against(8, "contention makes requests wait; clients that wake by the clock meet connections that died of idleness", fmt.Sprintf("%d of %d failed at once", q, len(e.Failures)), cause.Cite(e.Failures)...))
	}
	switch e.Mechanism {
	case fact.Refused, fact.AppAnswered:
		o.Signals = append(o.Signals, cause.Against(4, "contention makes requests wait", "they were answered at once: "+string(e.Mechanism), cause.Cite(e.Failures)...))
	case fact.ReplyTimedOut, fact.ConnectTimedOut, fact.LimitHit:
		o.Signals = append(o.Signals, cause.For(2, "contention makes requests wait", "requests waited in vain", cause.Cite(e.Failures)...))
	}
	if o.Blame == (fact.Party{}) {
		o.Blame = fact.Party{Role: fact.RoleHost, Name: "a scheduled job"}
	}
	if job != "" {
		o.Blame.Name = job
	}
	o.Blame.PID = 0
	o.Fix = fix(job, o.Blame.Tech)
	if job == "" {
		at := time.Unix(0, 0).UTC().Add(clock.At)
		o.Next = []cause.Next{{
			Evidence: "what is scheduled at that minute", Command: "journalctl -u cron -o short-iso; systemctl list-timers --all; crontab -l; kubectl get cronjobs -A   # what starts at minute " + at.Format("04"),
			WouldTell: "whether a job starts there, or only clients do",
		}}
	}
	return o
}

// best finds the job whose runs lie best to the failures. As many jobs as are
// tried, as much likelier one of them fits by chance.
func best(e *failure.Episode) (job string, s cause.Signal, claims []*failure.Failure) {
	starts := map[string][]*fact.Event{}
	for _, x := range e.World.Of(fact.JobStarted) {
		starts[name(x)] = append(starts[name(x)], x)
	}
	names := make([]string, 0, len(starts))
	for n := range starts {
		names = append(names, n)
	}
	slices.Sort(names)
	price := 10 * math.Log10(float64(max(1, len(names))))
	for _, n := range names {
		x, c, ok := cause.NearEvents(e, starts[n], lasts(e, n), time.Second, func(hit int, first *fact.Event) string {
			return fmt.Sprintf("%q started at %s; %d of %d failures lie within a run of it", cause.Cut(n, 80), first.Time.Format("15:04:05"), hit, len(e.Failures))
		})
		if !ok || len(c) == 0 && len(e.Failures) > 0 {
			continue
		}
		x.Weight -= price
		x.Proof = x.Proof && cycles(c) >= 2
		if job == "" || x.Weight > s.Weight {
			job, s, claims = n, x, c
		}
	}
	if job != "" && s.Weight <= 0 {
		return "", cause.Signal{}, nil
	}
	return job, s, claims
}

func name(x *fact.Event) string {
	if j := x.Attrs[fact.AttrJob]; j != "" {
		return j
	}
	if x.Party.Name != "" {
		return x.Party.Name
	}
	return x.Detail
}

// lasts is how long the job's longest run took, where told.
func lasts(e *failure.Episode, job string) time.Duration {
	most := time.Duration(0)
	for _, x := range e.World.Of(fact.JobEnded) {
		if name(x) == job && x.Lasted.Known {
			most = max(most, x.Lasted.D)
		}
	}
	if most == 0 {
		return runs
	}
	return min(most+30*time.Second, time.Hour)
}

// cycles counts stretches of failures more than half an hour apart, or minutes
// of different five-minute cycles.
func cycles(fs []*failure.Failure) int {
	n := 0
	var last time.Time
	for _, f := range fs {
		if f.Time.IsZero() {
			continue
		}
		if last.IsZero() || f.Time.Sub(last) > 4*time.Minute {
			n++
		}
		last = f.Time
	}
	return n
}

func quick(e *failure.Episode) int {
	n, timed := 0, 0
	for _, f := range e.Failures {
		if d, ok := f.Took(); ok {
			timed++
			if d <= atOnce {
				n++
			}
		}
	}
	if n*2 < timed {
		return 0
	}
	return n
}

func clockSays(c failure.ClockMinute) string {
	at := time.Unix(0, 0).UTC().Add(c.At)
	when := fmt.Sprintf("minute %s of the hour", at.Format("04"))
	switch {
	case c.Every == 24*time.Hour:
		when = at.Format("15:04") + " (UTC) of the day"
	case c.Every < time.Hour:
		when = fmt.Sprintf("minute %d of every %s", int(c.At.Minutes()), cause.Span(c.Every))
	}
	return fmt.Sprintf("%d of %d failures lie at %s, in %d cycles", c.In, c.Of, when, c.Bursts)
}

func fix(job, tech string) cause.Fix {
	f := cause.Fix{Summary: "Find the job that starts at that minute, and let it run elsewhere, at another time, or with less."}
	if job == "" {
		f.Steps = []string{"systemctl list-timers --all; ls /etc/cron.*; crontab -l; kubectl get cronjobs -A"}
		return f
	}
	f.Summary = fmt.Sprintf("Move %q away from the requests: another machine, another time, or less of the machine.", cause.Cut(job, 80))
	switch {
	case tech == "kube":
		f.Patch = "# in the CronJob's pod template\nresources:\n  requests: {cpu: 100m, memory: 256Mi}\n  limits: {cpu: 500m, memory: 512Mi}\nnodeSelector: {pool: jobs}   # not where the servers are"
	case strings.HasSuffix(job, ".service") || tech == "journal" && !strings.Contains(job, "/"):
		f.Patch = "[Service]\nNice=19\nIOSchedulingClass=idle\nCPUWeight=20\nMemoryMax=512M\n# in its timer\n[Timer]\nRandomizedDelaySec=30min"
	default:
		f.Patch = "# crontab\n17 3 * * * nice -n 19 ionice -c 3 systemd-run --scope -p MemoryMax=512M -p CPUQuota=50% " + job
	}
	f.Steps = append(f.Steps, "see what it takes: pidstat -urd 1, or the database's slow log, while it runs")
	return f
}
