// Package keepaliverace judges the race for an idle connection: the server
// closes it in the moment in which the proxy sends the next request on it.
package keepaliverace

import (
	"fmt"
	"slices"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "keepalive-race",
	Title: "Keep-alive race: the server closed an idle connection just as the proxy used it again",
	What: "The proxy keeps connections to the server open for later requests, longer than the server keeps them. " +
		"When the server's idle time-out ends, it closes; a request that the proxy sends in that very moment, or before it has seen the close, is answered with a reset. " +
		"The server's application never sees the request and logs nothing.",
	Shows: []string{
		"failures at once (time near zero), never after a time-out",
		"a trickle, not a burst; rarer as traffic rises",
		"only POST and PATCH fail where the proxy sends GET again by itself",
		"connections that failed had been idle for about the server's keep-alive time-out",
		"nothing in the server's own log for the failed request",
	},
	Fixes: []string{
		"let the server keep idle connections longer than the hop in front of it does: its idle time-out above the other's, by at least 5 s",
		"or let the proxy drop idle connections sooner than the server",
		"or let the proxy repeat requests that were never answered, where they may be repeated",
	},
	Links: []string{
		"https://cloud.google.com/load-balancing/docs/https#timeouts_and_retries",
		"https://nodejs.org/api/http.html#serverkeepalivetimeout",
		"https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
	},
	Mechanisms: []fact.Mechanism{fact.ResetBeforeReply, fact.ClosedBeforeReply, fact.MechanismUnknown},
	Over:       []string{},
	Prior:      -1,
	PriorWhy:   "of closed connections without any other witness, about four in nine were this race (24 of 153 collected incidents, over-sampled; the others are crashes, kills and recycles)",
	Explain:    explain,
}

// The bounds and weights, each with its reason beside its use.
const (
	// atOnce: a reset that answers a request on a dead connection takes one
	// round trip; 60 ms is a long one inside one provider's region, and what a
	// log in whole milliseconds adds.
	atOnce = 60 * time.Millisecond
	// slow: no race takes this long; something worked on the request first.
	slow = time.Second
	// jitter is how far off its time-out a server was measured to close: Node
	// 20.20 advertises 5 s and closes at 6, gunicorn's 2 s end at 2.8.
	jitter = 1300 * time.Millisecond
	// margin is by how much the server's idle time-out should exceed the
	// other's.
	margin = 5 * time.Second
)

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	add := func(s cause.Signal, ok bool) {
		if ok {
			o.Signals = append(o.Signals, s)
		}
	}
	if len(e.Failures) == 0 || e.Mechanism == fact.MechanismUnknown && e.Gateway.Tech != "alb" && e.Gateway.Tech != "nginx" {
		return o
	}
	claims := claim(e)
	if len(claims) == 0 {
		return ruledOut(e)
	}
	if len(claims) < len(e.Failures) {
		o.Claims = claims
		e = e.With(claims)
	}
	if e.Mechanism == fact.MechanismUnknown {
		if !mute(claims) {
			return cause.Opinion{}
		}
	}
	base := cause.For(2, "a connection that ends without any answer fits", closedSays(e), e.Failures[0].Facts()...)
	if e.Mechanism == fact.MechanismUnknown && e.Gateway.Tech == "nginx" {
		base.Weight, base.Why = -5, "so end crashes, unreadable answers and too large headers: the access log alone shows no difference"
	}
	o.Signals = append(o.Signals, base)
	if cause.Captured(e.Failures) {
		add(raced(e)) // what the following only hint at
	} else {
		add(reuse(e))
		add(duration(e))
		add(methods(e))
		add(retried(e))
		add(idleAge(e))
		add(shape(e))
	}
	add(ladder(e))
	add(unseen(e))
	add(onePath(e))
	add(protocol(e))
	add(died(e))
	o.Blame = blame(e)
	o.Fix = fix(e)
	o.Next = next(e)
	return o
}

// mute: a 502 of the gateway's own, without a word on why. The AWS balancer
// writes -1 for all its times both where a target closed the connection that it
// used again and where none was made; nginx's access log shows that it had
// connected and got no header.
func mute(fs []*failure.Failure) bool {
	for _, f := range fs {
		if !f.Status.Is(502) || f.Relayed {
			return false
		}
		if nginx := f.Gateway.Tech == "nginx"; nginx != (f.Phase == fact.PhaseWaiting) {
			return false
		}
	}
	return true
}

func closedSays(e *failure.Episode) string {
	if e.Mechanism == fact.MechanismUnknown && e.Gateway.Tech == "nginx" {
		return fmt.Sprintf("nginx had a connection and got no answer on it (%s)", cause.Count(e.N(), "request"))
	}
	if e.Mechanism == fact.MechanismUnknown {
		return fmt.Sprintf("the balancer answered %s itself: the connection to the target ended, or was not made", cause.Count(e.N(), "request"))
	}
	how := "closed"
	if e.Mechanism == fact.ResetBeforeReply {
		how = "reset"
	}
	return fmt.Sprintf("the server %s the connection instead of answering (%s)", how, cause.Count(e.N(), "request"))
}

// claim leaves out failures that were worked on for long.
func claim(e *failure.Episode) []*failure.Failure {
	var out []*failure.Failure
	for _, f := range e.Failures {
		if d, ok := f.Took(); ok && d >= slow {
			continue
		}
		if f.BackendSaw == failure.Yes {
			continue
		}
		if _, no := otherwise(e, f); no {
			continue
		}
		out = append(out, f)
	}
	return out
}

// reuse: the record says whether the connection had been used before.
func reuse(e *failure.Episode) (cause.Signal, bool) {
	var yes, no []*failure.Failure
	for _, f := range e.Failures {
		switch {
		case f.Try.Reused.Is(1):
			yes = append(yes, f)
		case f.Try.Reused.Is(0):
			no = append(no, f)
		}
	}
	switch {
	case len(yes) > 0 && len(yes) >= len(no):
		return cause.For(8, "a fresh connection cannot lose this race", "the request went out on a kept connection", cause.Cite(yes)...), true
	case len(no) > 0:
		return cause.Against(20, "a fresh connection cannot lose this race", "the request went out on a fresh connection", cause.Cite(no)...), true
	}
	return cause.Signal{}, false
}

// duration: the answer to a request on a dead connection is immediate.
func duration(e *failure.Episode) (cause.Signal, bool) {
	quick, timed := 0, 0
	var longest time.Duration
	for _, f := range e.Failures {
		if d, ok := f.Took(); ok {
			timed++
			longest = max(longest, d)
			if d <= atOnce {
				quick++
			}
		}
	}
	switch {
	case timed == 0:
		return cause.Signal{}, false
	case quick*10 >= timed*8:
		return cause.For(5, "a reset answers at once; crashes and kills come at any time of a request", fmt.Sprintf("%d of %d failed within %d ms", quick, timed, atOnce.Milliseconds()), cause.Cite(e.Failures)...), true
	case quick*10 < timed*5:
		return cause.Against(10, "a race is lost within a round trip", fmt.Sprintf("only %d of %d failed within %d ms; the longest took %s", quick, timed, atOnce.Milliseconds(), cause.Span(longest)), cause.Cite(e.Failures)...), true
	}
	return cause.Signal{}, false
}

// methods: a proxy that repeats what may be repeated leaves only the others to
// fail.
func methods(e *failure.Episode) (cause.Signal, bool) {
	known, post, lost := 0, 0, 0
	for _, f := range e.Failures {
		if f.Method == "" {
			continue
		}
		known++
		switch {
		case !f.Idempotent():
			post++
		case f.Status.Or(0) >= 500:
			lost++ // a GET that the client was failed, by its own record
		}
	}
	if known == 0 {
		return cause.Signal{}, false
	}
	if post < known {
		if lost > post && repeats(e.Gateway.Tech) {
			return cause.Against(min(8, 3+float64(lost-post)), "this proxy sends a GET again when a kept connection was dead", fmt.Sprintf("%d of %d failed requests could have been repeated, and were not", lost, known), cause.Cite(e.Failures)...).In("methods"), true
		}
		return cause.Signal{}, false
	}
	good, goodPost := 0, 0
	for _, c := range e.World.Controls {
		if c.Method != "" {
			good++
			if c.Method == "POST" || c.Method == "PATCH" {
				goodPost++
			}
		}
	}
	says := fmt.Sprintf("all %s failed were of a kind a proxy may not repeat (%s)", cause.Count(known, "request"), e.Failures[0].Method)
	if known == 1 {
		says = fmt.Sprintf("the failed request is of a kind a proxy may not repeat (%s)", e.Failures[0].Method)
	}
	if good >= 10 {
		p := failure.Fisher(post, known-post, goodPost, good-goodPost)
		w := min(12, max(2, cause.FromP(p)/2))
		return cause.For(w, fmt.Sprintf("by chance, with %d of %d good requests of that kind: p = %.2g", goodPost, good, p), says, cause.Cite(e.Failures)...).In("methods"), true
	}
	return cause.For(min(8, 2+float64(known)), "GETs are repeated in silence; other faults do not spare them", says, cause.Cite(e.Failures)...).In("methods"), true
}

// repeats: these send an idempotent request again on another connection when a
// kept one turned out dead.
func repeats(tech string) bool {
	return slices.Contains([]string{"nginx", "gclb", "traefik", "caddy", "golang", "varnish"}, tech)
}

// onePath: a race does not choose what is asked for.
func onePath(e *failure.Episode) (cause.Signal, bool) {
	path := failure.Shape(e.Failures[0].Path)
	for _, f := range e.Failures {
		if f.Path == "" || failure.Shape(f.Path) != path {
			return cause.Signal{}, false
		}
	}
	// Compared with requests of the same kind: repeated ones do not show.
	here, elsewhere := 0, 0
	for _, c := range e.World.Controls {
		if c.Party.Tech == e.Gateway.Tech && idempotent(c.Method) == e.Failures[0].Idempotent() {
			if failure.Shape(c.Path) == path {
				here++
			} else {
				elsewhere++
			}
		}
	}
	n := len(e.Failures)
	if n < 3 || elsewhere < 3 {
		return cause.Signal{}, false
	}
	p := failure.Fisher(n, 0, here, elsewhere)
	if p > 0.01 {
		return cause.Signal{}, false
	}
	return cause.Against(min(20, 8+cause.FromP(p)/4), fmt.Sprintf("a race does not choose what is asked for: by chance p = %.2g", p), fmt.Sprintf("all %d failed requests are for %s, and %d of %d good ones of their kind are not", n, cause.Cut(path, 60), elsewhere, here+elsewhere), cause.Cite(e.Failures)...), true
}

func idempotent(method string) bool { return method != "POST" && method != "PATCH" && method != "LOCK" }

// retried: the same fault hit requests that could be repeated.
func retried(e *failure.Episode) (cause.Signal, bool) {
	var quick []*failure.Failure
	for _, f := range e.Recovered {
		if d, ok := f.Took(); !ok || d <= atOnce || f.Try.Took.Known && f.Try.Took.D <= atOnce {
			quick = append(quick, f)
		}
	}
	if len(quick) == 0 {
		return cause.Signal{}, false
	}
	return cause.For(min(9, 3+2*float64(len(quick))), "the second try went to the same healthy server: it was the connection that was dead", fmt.Sprintf("%s met the same and got a good answer at the second try", cause.Count(len(quick), "request")), cause.Cite(quick)...), true
}

// idleAge: the failing connections had rested for about one time.
func idleAge(e *failure.Episode) (cause.Signal, bool) {
	t := cause.ServerIdle(e)
	var ages []time.Duration
	var at []*failure.Failure
	for _, f := range slices.Concat(e.Failures, e.Recovered) {
		if f.Try.Idle.Known && f.Try.Idle.D >= 500*time.Millisecond {
			ages = append(ages, f.Try.Idle.D)
			at = append(at, f)
		}
	}
	if len(ages) == 0 {
		return cause.Signal{}, false
	}
	if t != nil && t.Dur.Known {
		in := 0
		for i, a := range ages {
			if slack := jitter + at[i].Res; a >= t.Dur.D-slack && a <= t.Dur.D+slack {
				in++
			}
		}
		// The window is 2·jitter of the idle times that occur; a tenth of all
		// is a cautious chance level.
		if in*2 >= len(ages) {
			s := cause.For(failure.Decibans(in, len(ages), 0.1, 16), "one idle time in ten falls there by chance", fmt.Sprintf("before %d of %d failures nothing had been sent to the server for about its keep-alive time of %s", in, len(ages), cause.Span(t.Dur.D)), append(cause.Cite(at), t)...)
			s.Proof = in >= 3 // three times at that very age is no coincidence
			return s, true
		}
		return cause.Signal{}, false
	}
	slices.Sort(ages)
	mid := ages[len(ages)/2]
	near := 0
	for _, a := range ages {
		if (a - mid).Abs() <= jitter {
			near++
		}
	}
	if len(ages) >= 4 && near*10 >= len(ages)*7 && mid >= 1500*time.Millisecond {
		return cause.For(7, "idle times before unrelated faults are spread out", fmt.Sprintf("before %d of %d failures the server had been left alone for about %s", near, len(ages), cause.Span(mid)), cause.Cite(at)...), true
	}
	return cause.Signal{}, false
}

// ladder: both idle time-outs are known.
func ladder(e *failure.Episode) (cause.Signal, bool) {
	front, back := cause.PoolIdle(e), cause.ServerIdle(e)
	switch {
	case front != nil && front.Text == "off":
		return cause.Against(22, "without kept connections there is no race for them", "the proxy does not keep connections to the server", front).In("ladder"), true
	case back != nil && back.Text == "off":
		return cause.Against(15, "this server closes after every answer", "the server does not keep connections", back).In("ladder"), true
	case back == nil || front == nil && back.Basis == fact.Default:
		if front != nil && front.Basis == fact.Configured && front.Dur.Known {
			return cause.For(3, "a pool of kept connections is set up", fmt.Sprintf("the proxy keeps idle connections for %s", cause.Span(front.Dur.D)), front).In("ladder"), true
		}
		return cause.Signal{}, false
	case back.Text == "none":
		return cause.Against(12, "a server that never closes cannot close first", "the server keeps idle connections without end", back).In("ladder"), true
	case front == nil || !back.Dur.Known:
		return cause.Signal{}, false
	case front.Text == "none" || front.Dur.Known && front.Dur.D > back.Dur.D-margin/2:
		says := fmt.Sprintf("the proxy keeps idle connections for %s, the server only for %s", cause.Lasts(front), cause.Lasts(back))
		w := 7.0
		if front.Dur.Known && front.Dur.D <= back.Dur.D+jitter {
			says = fmt.Sprintf("proxy and server keep idle connections for nearly the same time (%s and %s)", cause.Lasts(front), cause.Lasts(back))
			w = 4
		}
		if back.Basis == fact.Default {
			w -= 2
		}
		return cause.For(w, "only this order of time-outs makes the race possible", says, front, back).In("ladder"), true
	case front.Dur.Known:
		w := 20.0
		if back.Basis == fact.Default || front.Basis == fact.Default {
			w = 8 // the version or the build may have another default
		}
		return cause.Against(w, "the proxy lets go first", fmt.Sprintf("the proxy drops idle connections after %s, before the server does (%s)", cause.Lasts(front), cause.Lasts(back)), front, back).In("ladder"), true
	}
	return cause.Signal{}, false
}

// unseen: the application never got the request.
func unseen(e *failure.Episode) (cause.Signal, bool) {
	no := 0
	for _, f := range e.Failures {
		if f.BackendSaw == failure.No {
			no++
		}
	}
	if no == 0 {
		return cause.Signal{}, false
	}
	return cause.For(6, "a crash or kill in the middle of the work leaves a trace more often than not", fmt.Sprintf("the server's own log, which covers the time, has none of %s", cause.Count(no, "failed request")), cause.Cite(e.Failures)...), true
}

// shape: a race is a trickle.
func shape(e *failure.Episode) (cause.Signal, bool) {
	n, most := cause.Burst(e.Failures)
	if n < 5 {
		return cause.Signal{}, false
	}
	if most*2 >= n {
		return cause.Against(7, "connections run out of idle time one by one; what hits many at once is a process or a machine", fmt.Sprintf("%d of %d failures lie within one second", most, n), cause.Cite(e.Failures)...), true
	}
	if most*5 <= n {
		return cause.For(3, "connections run out of idle time one by one", "the failures trickle: no second has a fifth of them", cause.Cite(e.Failures)...), true
	}
	return cause.Signal{}, false
}

// protocol: FastCGI, SCGI and uwsgi open a connection for each request.
func protocol(e *failure.Episode) (cause.Signal, bool) {
	for _, f := range e.Failures {
		for _, r := range f.Seen {
			if r.Attrs[fact.AttrProtocol] == "fastcgi" || r.Attrs[fact.AttrProtocol] == "uwsgi" || r.Attrs[fact.AttrProtocol] == "scgi" {
				return cause.Against(14, "this protocol opens a connection for each request unless told otherwise", "the server is asked by "+r.Attrs[fact.AttrProtocol]+", a connection a request", r), true
			}
		}
	}
	return cause.Signal{}, false
}

// around is how near in time the death of a server explains a connection it
// closed: supervisors look once a second, and logs stamp whole seconds.
const around = 3 * time.Second

// died: the server went away at that time, so its connections did too.
func died(e *failure.Episode) (cause.Signal, bool) {
	kin, _ := cause.Ask(e).Kindred(e.World.Of(fact.ProcessExited, fact.ProcessStopping, fact.ProcessStarted, fact.WorkerExited, fact.WorkerTimedOut, fact.WorkerRecycled, fact.Crashed, fact.HeapExhausted, fact.OOMKilled, fact.BackendDown))
	events := kin[:0:0]
	for _, x := range kin {
		if x.Party.Role != fact.RoleGateway || x.Kind == fact.BackendDown {
			events = append(events, x)
		}
	}
	n := e.World.Near(e.Failures, events, around, around)
	hit := len(n.Hit)
	cited := cause.Events(n.By)
	if len(n.Undated) > 0 && n.Timed == 0 {
		hit, cited = len(e.Failures), cause.Events(n.Undated)
	}
	if hit*2 >= len(e.Failures) && hit > 0 && n.Chance < 0.5 {
		return cause.Against(12, "a process that ends closes all its connections, idle or not", fmt.Sprintf("a process of the server ended or started within %s of %d of %d failures", cause.Span(around), hit, len(e.Failures)), cited...).In("died"), true
	}
	if s, ok := wentDown(e); ok {
		return s, true
	}
	refused := 0
	var by []*failure.Failure
	var lists [2][]*failure.Failure
	for i, all := range [...][]*failure.Failure{e.World.Failures, e.World.Recovered} {
		for _, x := range all {
			if (x.Mechanism == fact.Refused || x.Mechanism == fact.NoBackend) && !x.Time.IsZero() {
				lists[i] = append(lists[i], x)
			}
		}
	}
	for _, f := range e.Failures {
		if f.Time.IsZero() {
			continue
		}
		for _, x := range slices.Concat(failure.Around(lists[0], f.Time, around+f.Res), failure.Around(lists[1], f.Time, around+f.Res)) {
			if x.Mechanism == fact.NoBackend || x.Try.Address == f.Try.Address || f.Try.Address == "" {
				refused++
				by = append(by, x)
				break
			}
		}
	}
	if refused*2 >= len(e.Failures) && refused > 0 {
		return cause.Against(12, "a server that refuses connections, or is set aside, in the same seconds is going down or coming up", fmt.Sprintf("the same server refused connections, or none was left, within %s of %d of %d failures", cause.Span(around), refused, len(e.Failures)), cause.Cite(by)...).In("died"), true
	}
	return cause.Signal{}, false
}

func blame(e *failure.Episode) fact.Party {
	if s := cause.ServerIdle(e); s != nil {
		p := s.Party
		if p.Address == "" {
			p.Address = e.Failures[0].Backend.Address
		}
		return p
	}
	p := e.Failures[0].Backend
	p.Role = fact.RoleBackend
	return p
}
