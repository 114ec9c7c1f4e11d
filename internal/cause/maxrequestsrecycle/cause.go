// Package maxrequestsrecycle judges requests lost when a worker is replaced,
// or a connection closed, after a set number of requests.
package maxrequestsrecycle

import (
	"fmt"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "max-requests-recycle",
	Title: "Recycling: a worker or connection was closed after its number of requests",
	What: "The server replaces a worker, or closes a connection, after a set number of requests (against leaks). " +
		"A request that is on its way at that moment, on a connection that the old worker holds, is lost.",
	Shows: []string{
		"gunicorn: Autorestarting worker after current request; uvicorn: Maximum request limit of 1000 exceeded. Terminating process",
		"failures at once, one or two each time a worker is replaced; none in between",
		"on one connection, always the same request number fails: 100 (Tomcat, Apache), 999 (Puma), 1000 (nginx)",
		"php-fpm with pm.max_requests and fastcgi_keep_conn on: recv() failed (104)",
	},
	Fixes: []string{
		"spread the replacements (a jitter), or raise the number, or find the leak and drop the limit",
		"let the proxy repeat what was never answered, or open a connection for each request",
		"raise the server's requests per connection above the proxy's own limit",
	},
	Links: []string{
		"https://docs.gunicorn.org/en/stable/settings.html#max-requests",
		"https://www.php.net/manual/en/install.fpm.configuration.php#pm.max-requests",
	},
	Mechanisms: []fact.Mechanism{fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.CutMidReply, fact.Refused, fact.MechanismUnknown},
	Over:       []string{"crash"},
	Traces:     []cause.Trace{{Role: fact.RoleBackend, None: "the server's log covers the time, and tells of no worker that was replaced near these failures"}},
	Prior:      -6,
	PriorWhy:   "three of about a hundred collected incidents of closed connections",
	Explain:    explain,
}

const (
	// skew: logs in whole seconds, and a worker that ends within a second of
	// saying so.
	skew = 2 * time.Second
	// quick: who asks a worker that is leaving is told so at once.
	quick = time.Second
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	if len(e.Failures) == 0 {
		return o
	}
	a := cause.Ask(e)
	recycled, own := a.Kindred(e.World.Of(fact.WorkerRecycled))
	s, claims, ok := cause.NearEvents(e, recycled, skew, skew, says)
	if ok {
		o.Signals = append(o.Signals, s)
		o.Claims = claims
		o.Blame = s.Facts[0].Head().Party
		if own {
			o.Signals = append(o.Signals, cause.For(2, "the evidence holds the log of the server that was asked", "it is the server that was asked", s.Facts[0]))
		}
	}
	if x, in := index(e); x.Says != "" {
		o.Signals = append(o.Signals, x)
		if !ok {
			o.Claims = in
		}
	}
	if len(o.Signals) == 0 {
		return o
	}
	limit := e.World.Setting(fact.RoleBackend, "", fact.WorkerMaxRequests)
	if limit != nil && limit.Num.Known && limit.Num.N > 0 {
		o.Signals = append(o.Signals, cause.For(2, "recycling is switched on", fmt.Sprintf("workers are replaced after %d requests", limit.Num.N), limit))
	}
	if slow(e, o.Claims) {
		o.Signals = append(o.Signals, cause.Against(6, "a worker that leaves finishes the request it works on", "the failed requests had been worked on for long", cause.Cite(e.Failures)...))
	}
	if o.Blame == (fact.Party{}) {
		o.Blame = e.Failures[0].Backend
	}
	o.Blame.PID = 0
	o.Fix = fix(o.Blame.Tech, limit, e)
	return o
}

func says(hit int, x *fact.Event) string {
	s := cause.TechTitle(x.Party.Tech) + " was replacing a worker that had served its number of requests"
	if x.Party.PID != 0 {
		s += fmt.Sprintf(" (pid %d)", x.Party.PID)
	}
	if hit > 1 {
		s += fmt.Sprintf("; %d failures lie at such an instant", hit)
	}
	return s
}

// index: the failing request has the last place on its connection.
func index(e *failure.Episode) (cause.Signal, []*failure.Failure) {
	if s, in := onWire(e); s.Says != "" {
		return s, in
	}
	limit := e.World.Setting(fact.RoleBackend, "", fact.MaxConnRequests)
	var in []*failure.Failure
	same := map[int64]int{}
	known, most := 0, int64(0)
	for _, f := range e.Failures {
		i := f.Try.Index
		if !i.Known || i.N < 10 {
			continue
		}
		known++
		same[i.N]++
		if same[i.N] > same[most] {
			most = i.N
		}
		if limit != nil && limit.Num.Known && (i.N == limit.Num.N || i.N == limit.Num.N+1) {
			in = append(in, f)
		}
	}
	if len(in) > 0 && len(in)*2 >= known {
		return cause.For(12, "one request in a hundred or more has that place by chance", fmt.Sprintf("%d of %d failed requests were number %d on their connection, and the server takes %d", len(in), known, in[0].Try.Index.N, limit.Num.N), append(cause.Cite(in), limit)...).AsProof(), in
	}
	if same[most] >= 3 && same[most]*2 >= known {
		for _, f := range e.Failures {
			if f.Try.Index.Is(most) {
				in = append(in, f)
			}
		}
		return cause.For(12, "one request in a hundred or more has that place by chance", fmt.Sprintf("%d of %d failed requests were number %d on their connection", same[most], known, most), cause.Cite(in)...).AsProof(), in
	}
	return cause.Signal{}, nil
}

// leastIndex is the lowest number of requests that is taken for a limit rather
// than for what a connection happens to carry.
const leastIndex = 2

// onWire: packets show that the server had closed the connection right after
// the request before, as it does with others after as many.
func onWire(e *failure.Episode) (cause.Signal, []*failure.Failure) {
	var in []*failure.Failure
	var limit *fact.Setting
	for _, f := range e.Failures {
		m := cause.MeasuredAt(e.World, f.Try.Address, fact.MaxConnRequests)
		if rest, ok := cause.Rested(f); m != nil && m.Num.N >= leastIndex && ok && rest < quick && cause.Decided(f) && f.Try.Index.Is(m.Num.N+1) {
			in, limit = append(in, f), m
		}
	}
	if len(in) == 0 {
		return cause.Signal{}, nil
	}
	return cause.For(22, "a server that closes at a number does so whatever is on its way; a time-out, a crash or a restart keeps no count", fmt.Sprintf("%s the next on a connection that the server had closed after request %d, as it does (%s)", wereOne(len(in)), limit.Num.N, limit.Note), append(cause.CiteConns(in), limit)...).AsProof(), in
}

func wereOne(n int) string {
	if n == 1 {
		return "the failed request was"
	}
	return fmt.Sprintf("%d failed requests were each", n)
}

func slow(e *failure.Episode, claims []*failure.Failure) bool {
	if claims == nil {
		claims = e.Failures
	}
	long, timed := 0, 0
	for _, f := range claims {
		if d, ok := f.Took(); ok {
			timed++
			if d >= 5*quick {
				long++
			}
		}
	}
	return timed > 0 && long*2 > timed
}

func fix(tech string, limit *fact.Setting, e *failure.Episode) cause.Fix {
	n := int64(10000)
	if limit != nil && limit.Num.Known && limit.Num.N*10 > n {
		n = limit.Num.N * 10
	}
	f := cause.Fix{Summary: "Replace workers rarely and not all at once, and let the proxy repeat a request that was never answered."}
	switch {
	case tech == "gunicorn":
		f.Patch = fmt.Sprintf("gunicorn --max-requests %d --max-requests-jitter %d ...", n, n/5)
	case limit != nil && limit.Spelling != "" && limit.Party.Tech == tech:
		f.Patch = cause.SpellNum(limit.Spelling, n)
	case tech == "uvicorn":
		f.Patch = fmt.Sprintf("gunicorn -k uvicorn.workers.UvicornWorker --max-requests %d --max-requests-jitter %d ...   # a master keeps the socket open while workers change", n, n/5)
	case tech == "phpfpm":
		f.Patch = fmt.Sprintf("pm.max_requests = %d", n)
		f.Steps = append(f.Steps, "or in nginx: fastcgi_keep_conn off;")
	case tech == "uwsgi":
		f.Patch = fmt.Sprintf("[uwsgi]\nmax-requests = %d\nmax-requests-delta = %d", n, n/10)
	}
	switch e.Gateway.Tech {
	case "nginx":
		f.Steps = append(f.Steps, "nginx: proxy_next_upstream error timeout non_idempotent; only where a repeated POST does no harm")
	case "haproxy":
		f.Steps = append(f.Steps, "HAProxy: retry-on conn-failure empty-response")
	}
	return f
}
