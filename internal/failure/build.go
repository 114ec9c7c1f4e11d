package failure

import (
	"slices"
	"time"

	"culprit/internal/fact"
)

// build makes a failure of the records of one request, the outermost first;
// nil if it did not fail.
func (w *World) build(g []*fact.Request, attached map[*fact.Request][]*fact.Request) *Failure {
	outer := g[0]
	f := &Failure{N: 1}
	written := slices.ContainsFunc(g, func(r *fact.Request) bool { return !r.Wire })
	for _, r := range g {
		f.Seen = append(f.Seen, r)
		f.Seen = append(f.Seen, attached[r]...)
		if !r.Wire || !written { // what a log lists one by one, a capture does not count again
			f.N = max(f.N, r.N())
		}
		for _, id := range r.IDs {
			if !slices.Contains(f.IDs, id) {
				f.IDs = append(f.IDs, id)
			}
		}
	}
	f.describe(outer)
	inner := g[len(g)-1]
	reporter := outer
	// The innermost party that saw more than a relayed answer knows best.
	for _, r := range slices.Backward(g) {
		if m := ended(r, attached[r]); m != "" && m != fact.AppAnswered {
			reporter = r
			break
		}
		if r == inner && r.Ended == fact.AppAnswered {
			reporter = r
		}
	}
	f.Gateway = gatewayOf(g, reporter)
	f.mechanism(reporter, attached[reporter])
	if reporter.Wire {
		f.worded(g, attached)
	}
	if !f.failed(outer) {
		if !f.retried(outer, attached[outer]) {
			return nil
		}
		f.Recovered = true
	}
	return f
}

// worded takes the words of parties for what a capture shows without any.
func (f *Failure) worded(g []*fact.Request, attached map[*fact.Request][]*fact.Request) {
	for _, r := range slices.Backward(g) {
		if r.Wire {
			continue
		}
		fill(&f.Code, r.Code)
		for _, p := range attached[r] {
			fill(&f.Detail, p.Detail)
		}
		fill(&f.Detail, r.Detail)
	}
}

// describe takes what the request was from the outermost record, and what that
// does not know from the others.
func (f *Failure) describe(outer *fact.Request) {
	f.Time, f.Res, f.Status, f.Duration = outer.Time, outer.Res.Or(0), outer.Status, outer.Duration
	for _, r := range f.Seen {
		fill(&f.Method, r.Method)
		fill(&f.Path, r.Path)
		fill(&f.Host, r.Host)
		fill(&f.Client, r.Client)
		fill(&f.Upstream, r.Upstream)
		if f.Time.IsZero() {
			f.Time, f.Res = r.Time, r.Res.Or(0)
		}
		if !f.Duration.Known {
			f.Duration = r.Duration
		}
	}
}

func fill(dst *string, s string) {
	if *dst == "" {
		*dst = s
	}
}

// ended is how r ended by its own word or by its error log's, which is more
// exact.
func ended(r *fact.Request, lines []*fact.Request) fact.Mechanism {
	m := r.Ended
	for _, p := range lines {
		if p.Ended != "" {
			if m == "" || m == fact.GatewayFault || m == fact.AppAnswered || m == fact.ClosedBeforeReply || m == fact.ConnectTimedOut || m == fact.Refused {
				m = p.Ended
			}
		}
	}
	if m == "" || m == fact.NoBackend {
		// That nobody was left to ask is what follows from a try that failed in
		// the same request.
		for _, a := range slices.Backward(r.Attempts) {
			if a.Ended != "" {
				return a.Ended
			}
		}
	}
	return m
}

// ejection is how long a gateway leaves out a member that failed, where its
// settings do not tell: Apache's retry= is 60 s, nginx's fail_timeout 10 s.
const ejection = time.Minute

// ejected gives a request that was refused because its one member had been set
// aside the mechanism for which it was: it is the same trouble, told twice.
func (w *World) ejected() {
	last := map[string]*Failure{}
	sole := soles{}
	for _, f := range w.Failures {
		sole.add(f)
	}
	for _, f := range w.Failures {
		if f.Time.IsZero() {
			continue
		}
		if f.Mechanism != fact.NoBackend {
			if f.Errno != 0 || f.Mechanism == fact.Refused || f.Mechanism == fact.ConnectTimedOut {
				last[vantage(f.Seen[0])] = f
			}
			continue
		}
		why := last[vantage(f.Seen[0])]
		if why == nil || f.Try.Address == "" || f.Upstream != "" || f.Time.Sub(why.Time) > ejection {
			continue
		}
		if f.Try.Address != why.Try.Address && sole[f.Gateway.Tech] == "" {
			continue
		}
		f.Mechanism, f.Errno, f.Backend.Address = why.Mechanism, why.Errno, why.Backend.Address
		sole.add(f)
	}
}

// soles are, by technology, the one address that all failed tries of a gateway
// went to; empty where there were several.
type soles map[string]string

func (s soles) add(f *Failure) {
	if f.Mechanism == fact.NoBackend || f.Try.Address == "" {
		return
	}
	if addr, ok := s[f.Gateway.Tech]; !ok {
		s[f.Gateway.Tech] = f.Try.Address
	} else if addr != f.Try.Address {
		s[f.Gateway.Tech] = ""
	}
}

// mechanism settles how the request ended from the record of who knows best.
func (f *Failure) mechanism(r *fact.Request, lines []*fact.Request) {
	f.Mechanism = ended(r, lines)
	f.Phase, f.Errno, f.Code, f.Detail = r.Phase, r.Errno, r.Code, r.Detail
	for _, p := range lines {
		if p.Ended == f.Mechanism || f.Detail == "" {
			if p.Phase != "" {
				f.Phase = p.Phase
			}
			if p.Errno != 0 {
				f.Errno = p.Errno
			}
			if p.Detail != "" {
				f.Detail = p.Detail
			}
		}
	}
	if f.Mechanism == fact.CutMidReply && f.Status.N >= 400 && f.Status.N < 500 && !idempotent(f.Method) {
		// The server refused the body before it had all of it, and reset the
		// connection; the client has its answer.
		f.Mechanism = fact.EarlyReply
	}
	f.Relayed = r.Writer == fact.WriterBackend || f.Mechanism == fact.AppAnswered
	if f.Mechanism == "" && (r.Writer == fact.WriterBackend || r.Writer == fact.WriterUnknown && f.Status.Is(500) && !unanswered(r)) {
		f.Mechanism, f.Relayed = fact.AppAnswered, r.Writer == fact.WriterBackend
	}
	f.Try = lastFailed(r, lines)
	f.Backend = fact.Party{Role: fact.RoleBackend, Address: f.Try.Address}
	if f.Backend.Address == "" {
		f.Backend.Name = r.Upstream
	}
}

// unanswered: the record lists its tries, and the last brought no answer, so
// the gateway itself made the status.
func unanswered(r *fact.Request) bool {
	n := len(r.Attempts)
	return n > 0 && !r.Attempts[n-1].Status.Known
}

// lastFailed returns the try that failed last, completed from the error log.
func lastFailed(r *fact.Request, lines []*fact.Request) fact.Attempt {
	var t fact.Attempt
	for _, a := range slices.Backward(r.Attempts) {
		if a.Ended != "" || a.Status.Known && a.Status.N >= 500 || !a.Status.Known {
			t = a
			break
		}
	}
	if t.Address == "" && len(r.Attempts) > 0 && t.Ended == "" {
		t = r.Attempts[len(r.Attempts)-1]
	}
	for _, p := range lines {
		for _, a := range p.Attempts {
			fill(&t.Address, a.Address)
			if t.Ended == "" {
				t.Ended = a.Ended
			}
			if t.Errno == 0 {
				t.Errno = a.Errno
			}
		}
	}
	return t
}

// failed reports whether the client was failed, as far as the outermost record
// tells.
func (f *Failure) failed(outer *fact.Request) bool {
	switch {
	case f.Mechanism == fact.ClientGone:
		return true
	case outer.Status.Known && outer.Status.N >= 500:
		return true
	case f.Mechanism == fact.CutMidReply, f.Mechanism == fact.EarlyReply && (!outer.Status.Known || outer.Status.N >= 500 || outer.Status.N <= 0):
		return true
	case outer.Status.Known && outer.Status.N > 0:
		return false
	}
	return f.Mechanism != "" || outer.Status.Known
}

// retried reports whether a try failed although the request did not.
func (f *Failure) retried(outer *fact.Request, lines []*fact.Request) bool {
	if len(lines) > 0 && f.Mechanism != "" {
		return true
	}
	for _, r := range f.Seen {
		if len(r.Attempts) > 1 && failedTries(r) > 0 {
			return true
		}
	}
	return false
}

// buildLoose makes a failure of error-log lines that have no access-log line.
func (w *World) buildLoose(lines []*fact.Request, matched map[string]int, fulls []*fact.Request) *Failure {
	first, last := lines[0], lines[len(lines)-1]
	f := &Failure{N: 1, Seen: lines}
	for _, p := range lines {
		f.N = max(f.N, p.N())
		for _, id := range p.IDs {
			if !slices.Contains(f.IDs, id) {
				f.IDs = append(f.IDs, id)
			}
		}
	}
	f.describe(last)
	f.Gateway = first.Party
	f.mechanism(last, lines)
	if f.Mechanism == "" {
		return nil
	}
	// Where the access log covers the instant and lists no failure, the try
	// was made good. One that never matched may be another site's.
	if !f.Time.IsZero() && f.Idempotent() && f.Mechanism != fact.ClientGone && matched[last.Party.Tech] > 0 && w.LoggedBy(last.Party.Tech, f.Time) {
		f.Recovered = true
	}
	return f
}
