// Package failure joins facts into failed requests, each with the mechanism
// that ended it, and groups them into episodes with their background.
//
// A failed request may have been seen by several: the balancer, the proxy's
// access log and error log, the application. The [Joiner] makes one [Failure]
// out of what they said; it knows no cause. Mechanism is not cause: "closed
// before reply" is what a wire would show, why is for others to judge.
//
// The package is pure: it reads no clock, and the same facts in any order give
// the same failures.
package failure

import (
	"time"

	"culprit/internal/fact"
)

// Failure is one request that failed, or one try that failed and was made good
// by another (Recovered).
type Failure struct {
	Time      time.Time // when it ended; zero if not known
	Res       time.Duration
	Mechanism fact.Mechanism
	Phase     fact.Phase
	Errno     int
	Status    fact.Int // what the client got
	Duration  fact.Dur
	Method    string
	Path      string
	Host      string
	Client    string
	IDs       []string
	Upstream  string // name of the group or service
	// Gateway is who reported the mechanism; Backend who is at the other end
	// of the try that failed, as far as known.
	Gateway fact.Party
	Backend fact.Party
	// Try is the attempt that failed last.
	Try fact.Attempt
	// Code and Detail are the gateway's own words.
	Code, Detail string
	// Recovered: the client got a good answer in the end.
	Recovered bool
	// Relayed: the gateway says that the member itself answered.
	Relayed bool
	// N is how many requests it stands for.
	N int
	// Seen is what each party said of it, the outermost first. At least one.
	Seen []*fact.Request
	// Conns are the connections it went over, where a capture shows them: the
	// client's first, then those of each try.
	Conns []*fact.Conn
	// BackendSaw tells whether the backend's own log has the request.
	BackendSaw Tri
	// BackendRequest is the backend's own record, if BackendSaw is Yes.
	BackendRequest *fact.Request
}

// Tri is yes, no, or not known.
type Tri int

// The three answers.
const (
	Unknown Tri = iota
	Yes
	No
)

// Start is when the failed try began, as far as can be told; the end of the
// request if its duration is not known.
func (f *Failure) Start() time.Time {
	if d, ok := f.Took(); ok && !f.Time.IsZero() {
		return f.Time.Add(-d)
	}
	return f.Time
}

// Took is how long the failed try lasted, or the whole request where tries are
// not timed apart.
func (f *Failure) Took() (time.Duration, bool) {
	if f.Try.Took.Known {
		return f.Try.Took.D, true
	}
	return f.Duration.D, f.Duration.Known
}

// Idempotent reports whether a proxy may send the request again: not POST,
// PATCH or LOCK. An unknown method is taken for one that may.
func (f *Failure) Idempotent() bool { return idempotent(f.Method) }

func idempotent(method string) bool {
	switch method {
	case "POST", "PATCH", "LOCK":
		return false
	}
	return true
}

// Facts returns what was said of it, as facts to cite.
func (f *Failure) Facts() []fact.Fact {
	out := make([]fact.Fact, len(f.Seen))
	for i, r := range f.Seen {
		out[i] = r
	}
	return out
}
