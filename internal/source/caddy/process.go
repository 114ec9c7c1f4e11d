package caddy

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// health reads the records of active and passive health checks.
func (r *recordReader) health(t time.Time, res fact.Dur, out source.Sink) {
	c := &r.rec
	e := &fact.Event{Header: fact.Header{Time: t, Res: res}}
	e.Party = fact.Party{Role: fact.RoleBackend, Name: string(c.upstream)}
	if bytes.LastIndexByte(c.upstream, ':') > 0 {
		e.Party.Address = e.Party.Name
	}
	e.Detail = string(c.msg)
	switch {
	case source.Has(c.msg, "host is up"):
		e.Kind = fact.BackendUp
	case source.Has(c.msg, "host is down"):
		e.Kind, e.Reason = fact.BackendDown, "health-check"
	case source.Has(c.msg, "failed"), source.Has(c.msg, "unexpected status code"), source.Has(c.msg, "status code out of tolerances"), source.Has(c.msg, "response body failed expectations"), source.Has(c.msg, "missing"):
		e.Kind, e.Reason = fact.ProbeFailed, "health-check"
		e.Attrs = map[string]string{}
		if len(c.errText) > 0 {
			e.Detail += ": " + string(c.errText)
		}
		if why := probeWhy(c); why != "" {
			e.Attrs[fact.AttrWhy] = why
		}
		if c.statusCode.Known {
			e.Detail += ": " + string(itoa(c.statusCode.N))
		}
	default:
		out.Seen(t)
		return
	}
	out.State(e)
}

func itoa(n int64) []byte {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 || i == 0 {
			return b[i:]
		}
	}
}

func probeWhy(c *record) string {
	if source.Has(c.msg, "status code") {
		return "status"
	}
	m, _, _, _ := netError(c.errText)
	return source.WhyDown(m)
}

// process reads the records of the process itself.
func (r *recordReader) process(t time.Time, res fact.Dur, out source.Sink) {
	c := &r.rec
	kind := processWord(c.msg, c.logger)
	if kind == "" {
		out.Seen(t)
		return
	}
	e := &fact.Event{Header: fact.Header{Time: t, Res: res, Party: gateway()}, Kind: kind}
	e.Detail, e.Exit = string(c.msg), c.exitCode
	if len(c.errText) > 0 {
		e.Detail += ": " + string(c.errText)
	}
	if kind == fact.Crashed {
		e.Reason = "panic"
	}
	if kind == fact.TLSTrouble {
		e.Party.Name = string(c.upstream)
	}
	out.State(e)
}

// processWord says what a message of the process means.
func processWord(msg, logger []byte) fact.EventKind {
	switch {
	case source.HasPrefix(msg, "serving initial configuration"):
		return fact.ProcessStarted
	case source.Has(msg, "exiting; byeee"), source.HasPrefix(msg, "shutting down due to"), source.HasPrefix(msg, "shutting down; restarting"):
		return fact.ProcessStopping
	case source.HasPrefix(msg, "shutdown complete"):
		return fact.ProcessExited
	case string(msg) == "load complete", source.HasPrefix(msg, "config reloaded"):
		return fact.ConfigReloaded
	case source.HasPrefix(msg, "panic"):
		return fact.Crashed
	case source.Has(msg, "too many open files"):
		return fact.LimitReached
	case source.Has(logger, "tls") && (source.Has(msg, "could not get certificate") || source.Has(msg, "will retry") || source.Has(msg, "job failed")):
		return fact.TLSTrouble
	}
	return ""
}
