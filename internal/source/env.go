package source

import (
	"sync"
	"sync/atomic"
	"time"
)

// Env is what readers of one run share: the user's options and what some
// inputs told about others. It is safe for concurrent use.
type Env struct {
	// Zone is assumed for stamps that carry none; nil means UTC.
	Zone *time.Location
	// Reference is an instant near the evidence, to guess the year of stamps
	// that carry none; zero means that such stamps stay without a time.
	Reference time.Time
	// IDHeaders are further headers that identify requests, lower case.
	IDHeaders []string
	// Banners tell technologies by the answers they give.
	Banners []Banner

	zoneless atomic.Bool
	mu       sync.Mutex
	hints    map[string][]string
}

// IDHeaders are the fields that commonly identify a request, in lower case.
var IDHeaders = []string{
	"x-request-id", "x-my-uuid", "x-correlation-id", "traceparent", "x-amzn-trace-id", "x-amzn-requestid", "x-amz-cf-id", "x-cloud-trace-context",
	"x-b3-traceid", "x-kong-request-id", "x-trace-id", "cf-ray", "x-azure-ref", "x-vercel-id", "x-railway-request-id",
}

// Hint leaves a text for other readers of the same technology: the log
// formats found in a configuration, for one. Only documents with
// [Format.Config] may call it, since they are read first.
func (e *Env) Hint(key, value string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hints == nil {
		e.hints = map[string][]string{}
	}
	for _, v := range e.hints[key] {
		if v == value {
			return
		}
	}
	e.hints[key] = append(e.hints[key], value)
}

// Hints returns what was left under key, in order.
func (e *Env) Hints(key string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hints[key]
}

// Local makes an instant of a stamp that names no zone, and remembers that one
// was assumed.
func (e *Env) Local(year int, month time.Month, day, hour, min, sec, nsec int) time.Time {
	if !e.zoneless.Load() {
		e.zoneless.Store(true)
	}
	loc := e.Zone
	if loc == nil || loc == time.UTC {
		return time.Unix(unixDate(year, int(month), day)+int64(hour*3600+min*60+sec), int64(nsec)).UTC()
	}
	return time.Date(year, month, day, hour, min, sec, nsec, loc).UTC()
}

// Yearless makes an instant of a stamp that names neither year nor zone: the
// last one that is not after Reference by more than two months. It is zero if
// there is no reference.
func (e *Env) Yearless(month time.Month, day, hour, min, sec, nsec int) time.Time {
	if e.Reference.IsZero() {
		return time.Time{}
	}
	// Evidence lies before the reference, which is near its end, or little
	// after it: the reference is taken from the fronts of long inputs.
	y := e.Reference.Year()
	switch days := (unixDate(y, int(month), day) - e.Reference.Unix()) / 86400; {
	case days > 60:
		y--
	case days < -305:
		y++
	}
	return e.Local(y, month, day, hour, min, sec, nsec)
}

// AssumedZone reports whether any stamp without a zone was read.
func (e *Env) AssumedZone() bool { return e.zoneless.Load() }
