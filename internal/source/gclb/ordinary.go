package gclb

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// fold counts a request that a backend answered, without making a Request of
// its entry, if the answer is no error and the sink does not want the whole.
// What it takes, [reader.request] would make a request of that is counted
// alike.
func (r *reader) fold(e *entry, out source.Sink) bool {
	to, ok := out.(source.Folder)
	if !ok || string(e.details) != "response_sent_by_backend" || len(e.proxy) > 0 || !r.told && len(e.resource) > 0 {
		return false
	}
	status := source.Int(e.status)
	switch status.N {
	case 408, 413, 444, 460, 499:
		return false
	}
	if status.N < 100 || status.N >= 500 {
		return false
	}
	o := &r.plain
	*o = source.Ordinary{Time: r.instant(e.stamp), Status: int(status.N), Method: source.View(e.method), Tried: len(e.server) > 0, Member: source.View(e.service)}
	if o.Tried {
		o.Member = source.View(e.server)
	}
	if !o.Time.IsZero() {
		o.Time = o.Time.Add(latency(e).Or(0))
	}
	return to.Fold(o)
}

// instant is the time of [reader.stamp]; neighbours share all of it but the
// fraction.
func (r *reader) instant(b []byte) time.Time {
	const size = len("2006-01-02T15:04:05")
	if len(b) > size+2 && b[size] == '.' && b[len(b)-1] == 'Z' && string(b[:size]) == string(r.second[:]) {
		ns, unit := 0, int(time.Second)
		for _, c := range b[size+1 : len(b)-1] {
			if c < '0' || c > '9' || unit == 1 {
				unit = 0
				break
			}
			unit /= 10
			ns += int(c-'0') * unit
		}
		if unit > 0 {
			return r.secondAt.Add(time.Duration(ns))
		}
	}
	t, _ := r.stamp(b)
	if len(b) > size && !t.IsZero() && b[len(b)-1] == 'Z' {
		copy(r.second[:], b)
		r.secondAt = t.Truncate(time.Second)
	}
	return t
}

// latency is how long the request lasted: "0.023564s".
func latency(e *entry) fact.Dur {
	b := e.latency
	if n := len(b); n > 0 && b[n-1] == 's' {
		b = b[:n-1]
	}
	return source.Secs(b)
}
