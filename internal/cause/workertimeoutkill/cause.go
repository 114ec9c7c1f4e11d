// Package workertimeoutkill judges workers that their master killed because
// one request took too long.
package workertimeoutkill

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "worker-timeout-kill",
	Title: "Worker killed by its own master: the request took longer than the worker time-out",
	What: "The application server gives each request a time, and kills the worker that exceeds it. " +
		"The connection closes without an answer, so the proxy reports 502, not 504, although the cause is slowness.",
	Shows: []string{
		"gunicorn: WORKER TIMEOUT (pid:812); uWSGI: HARAKIRI ON WORKER 3; Unicorn: timeout (61s > 60s), killing; Puma: Terminating timed out worker",
		"php-fpm: execution timed out (30.1 sec), terminating (request_terminate_timeout)",
		"nginx: upstream prematurely closed connection, always after the same time: 30 s with gunicorn, 60 s with Unicorn and Puma",
		"the same few slow addresses fail, the others are quick",
	},
	Fixes: []string{
		"make the slow request fast, or move its work to a queue and answer at once",
		"if it may take that long, raise the worker time-out, and the proxy's above it",
		"with gunicorn use threads (gthread): the sync worker counts a slow client as a dead worker",
	},
	Links: []string{
		"https://docs.gunicorn.org/en/stable/settings.html#timeout",
		"https://www.php.net/manual/en/install.fpm.configuration.php#request-terminate-timeout",
		"https://uwsgi-docs.readthedocs.io/en/latest/FAQ.html",
	},
	Mechanisms: []fact.Mechanism{fact.ClosedBeforeReply, fact.ResetBeforeReply, fact.CutMidReply, fact.ReplyTimedOut, fact.MechanismUnknown},
	Troubles:   []fact.EventKind{fact.WorkerTimedOut},
	Over:       []string{"crash"},
	Traces:     []cause.Trace{{Role: fact.RoleBackend, None: "the server's log covers the time, and tells of no worker that was killed near these failures"}},
	Prior:      -4,
	PriorWhy:   "as common as crashes where a server has such a time-out, and only some have",
	Explain:    explain,
}

// The bounds.
const (
	// skew: masters look at their workers once a second, and logs are in whole
	// seconds.
	skew = 3 * time.Second
	// slack is how much longer than its time-out a killed request lasts:
	// gunicorn's master looks every second and kills a second later.
	slack = 2500 * time.Millisecond
	// early is how much earlier than the time-out a request may seem to end:
	// the worker's last sign of life lies before the request's first byte.
	early = 1200 * time.Millisecond
	// shortest time-out that a duration can tell from ordinary work.
	shortest = 4 * time.Second
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	a := cause.Ask(e)
	kills, own := a.Kindred(e.World.Of(fact.WorkerTimedOut))
	s, claims, ok := cause.NearEvents(e, kills, skew, skew, says)
	if ok && e.Mechanism == fact.ReplyTimedOut && len(e.Failures) > 0 {
		// The proxy gave up first; the worker was killed for the same request
		// later: the slow answer is the cause, not the kill.
		s.Weight = min(s.Weight, 4)
	}
	if ok {
		o.Signals = append(o.Signals, s)
		o.Claims = claims
		if own {
			o.Signals = append(o.Signals, cause.For(2, "the evidence holds the log of the server that was asked", "it is the server that was asked", s.Facts[0]))
		}
		o.Blame = s.Facts[0].Head().Party
	}
	d, limited := duration(e, ok)
	if d.Says != "" {
		o.Signals = append(o.Signals, d)
		if !ok {
			o.Claims = limited
		}
	}
	if len(o.Signals) == 0 || !ok && d.Weight < 0 {
		return cause.Opinion{}
	}
	limit := e.World.Setting(fact.RoleBackend, "", fact.WorkerTimeout)
	if o.Blame == (fact.Party{}) && len(e.Failures) > 0 {
		o.Blame = e.Failures[0].Backend
		if limit != nil {
			o.Blame = limit.Party
		}
	}
	if o.Blame.Address == "" && len(e.Failures) > 0 {
		o.Blame.Address = e.Failures[0].Backend.Address
	}
	o.Blame.PID = 0
	o.Fix = fix(o.Blame.Tech, limit, longest(e, kills))
	if !ok {
		o.Next = []cause.Next{{
			Evidence: "the application server's own log of the same minutes", Command: "journalctl -u UNIT -o short-iso | grep -E 'WORKER TIMEOUT|HARAKIRI|timed out|killing'; kubectl logs POD --timestamps",
			WouldTell: "whether a master killed the worker at that second",
		}}
	}
	return o
}

func says(hit int, x *fact.Event) string {
	s := cause.TechTitle(x.Party.Tech) + " killed a worker whose request took too long"
	if x.Party.PID != 0 {
		s += fmt.Sprintf(" (pid %d)", x.Party.PID)
	}
	if x.Lasted.Known {
		s += ", after " + cause.Span(x.Lasted.D)
	}
	if x.Path != "" {
		s += ": " + x.Method + " " + x.Path
	}
	if hit > 1 {
		s += fmt.Sprintf("; %d failures lie at such an instant", hit)
	}
	return s
}

// duration compares how long the failed requests took with the worker
// time-out, known or usual.
func duration(e *failure.Episode, killed bool) (cause.Signal, []*failure.Failure) {
	var times []time.Duration
	var of []*failure.Failure
	for _, f := range e.Failures {
		if d, ok := f.Took(); ok {
			times = append(times, d)
			of = append(of, f)
		}
	}
	if len(times) == 0 || e.Mechanism == fact.ReplyTimedOut || e.Mechanism == fact.MechanismUnknown {
		return cause.Signal{}, nil
	}
	if limit := e.World.Setting(fact.RoleBackend, "", fact.WorkerTimeout); limit != nil && limit.Dur.Known && limit.Dur.D >= shortest {
		in := near(of, times, limit.Dur.D)
		if len(in) > 0 && len(in)*10 >= len(of)*3 {
			w := 9.0 // a request of any length ends in a window of 3.7 s out of 60 with 6 %
			if len(in) > 1 {
				w += 4
			}
			if limit.Basis == fact.Default {
				w -= 2
			}
			s := cause.For(w, "a request that ends without an answer at just that length has met that limit", fmt.Sprintf("%d of %d failed after %s, the time that %s gives a worker (%s)", len(in), len(of), cause.Span(longestOf(in)), cause.TechTitle(limit.Party.Tech), cause.Lasts(limit)), append(cause.Cite(in), limit)...)
			return s, in
		}
	}
	if quick(times) {
		return cause.Against(14, "a worker is killed after its time-out of whole seconds, never at once", fmt.Sprintf("the failed requests took no more than %s", cause.Span(longestOf(of)))), nil
	}
	if killed {
		return cause.Signal{}, nil
	}
	return usual(of, times)
}

// usual: failures of one constant, round length without any word of a limit.
func usual(of []*failure.Failure, times []time.Duration) (cause.Signal, []*failure.Failure) {
	for _, limit := range [...]time.Duration{30 * time.Second, 60 * time.Second, 120 * time.Second, 10 * time.Second, 20 * time.Second, 90 * time.Second, 300 * time.Second} {
		in := near(of, times, limit)
		if len(in) < 3 || len(in)*10 < len(of)*7 {
			continue
		}
		return cause.For(9, "what works on requests of different kinds does not end them all at one round length; a worker's time-out does", fmt.Sprintf("%d of %d were closed without an answer after about %s, a usual worker time-out (gunicorn 30 s, Unicorn and Puma 60 s)", len(in), len(of), cause.Span(limit)), cause.Cite(in)...), in
	}
	return cause.Signal{}, nil
}

func near(of []*failure.Failure, times []time.Duration, limit time.Duration) []*failure.Failure {
	var in []*failure.Failure
	for i, d := range times {
		if d >= limit-early-of[i].Res && d <= limit+slack {
			in = append(in, of[i])
		}
	}
	return in
}

func quick(times []time.Duration) bool {
	for _, d := range times {
		if d >= time.Second {
			return false
		}
	}
	return true
}

func longestOf(fs []*failure.Failure) time.Duration {
	most := time.Duration(0)
	for _, f := range fs {
		if d, ok := f.Took(); ok {
			most = max(most, d)
		}
	}
	return most
}

// longest is the time-out as the events tell it.
func longest(e *failure.Episode, kills []*fact.Event) time.Duration {
	for _, x := range kills {
		if x.Lasted.Known {
			return x.Lasted.D
		}
	}
	return longestOf(e.Failures)
}

// fix names the knob of each server.
func fix(tech string, limit *fact.Setting, took time.Duration) cause.Fix {
	want := 2 * took
	if limit != nil && limit.Dur.Known {
		want = 2 * limit.Dur.D
	}
	if want < 10*time.Second {
		want = 60 * time.Second
	}
	want = want.Round(5 * time.Second)
	f := cause.Fix{Summary: fmt.Sprintf("Make the request faster, or answer it from a queue; if it may take that long, raise %s's worker time-out, and the proxy's above it.", cause.TechTitle(tech))}
	switch {
	case limit != nil && limit.Spelling != "" && limit.Party.Tech == tech:
		f.Patch = cause.Spell(limit.Spelling, want)
		if limit.Where != "" {
			f.Steps = append(f.Steps, "in "+limit.Where+": "+f.Patch)
		}
	case tech == "gunicorn":
		f.Patch = fmt.Sprintf("gunicorn --worker-class gthread --threads 4 --timeout %d ...", int(want.Seconds()))
	case tech == "uwsgi":
		f.Patch = fmt.Sprintf("[uwsgi]\nharakiri = %d\nharakiri-verbose = true", int(want.Seconds()))
	case tech == "phpfpm":
		f.Patch = fmt.Sprintf("; pool file\nrequest_terminate_timeout = %ds\nrequest_slowlog_timeout = 5s\nslowlog = /var/log/php-fpm.slow.log", int(want.Seconds()))
	case tech == "puma":
		f.Patch = fmt.Sprintf("# config/puma.rb\nworker_timeout %d", int(want.Seconds()))
	case tech == "unicorn":
		f.Patch = fmt.Sprintf("# unicorn.rb\ntimeout %d", int(want.Seconds()))
	}
	f.Steps = append(f.Steps, fmt.Sprintf("the proxy must wait longer than the worker may take: nginx proxy_read_timeout %ds (fastcgi_read_timeout, uwsgi_read_timeout); HAProxy timeout server %ds", int(want.Seconds())+10, int(want.Seconds())+10))
	switch tech {
	case "gunicorn":
		f.Steps = append(f.Steps, "see where it hangs: the log has the worker's stack at the time-out (faulthandler); look for calls without a time-out of their own")
	case "phpfpm":
		f.Steps = append(f.Steps, "see where it hangs: request_slowlog_timeout writes the script's stack")
	case "uwsgi":
		f.Steps = append(f.Steps, "see where it hangs: py-tracebacker or harakiri-verbose")
	}
	return f
}
