package report

import (
	"fmt"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
)

// exactly says a duration as a capture knows it: "5.003 s", "0.4 ms", "85 us".
func exactly(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + exactly(-d)
	case d == 0:
		return "0 s"
	case d < 100*time.Microsecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d < 100*time.Second:
		return fmt.Sprintf("%.3f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return cause.Span(d)
}

// roughly says a duration as people count it: "3 s", "1.5 s".
func roughly(d time.Duration) string {
	if d < time.Second {
		return exactly(d)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
}

// offset says how long before or after the start of a wire something was, in
// thousandths of what it is near to.
func offset(d time.Duration) string {
	sign, abs := "+", d
	if d < 0 {
		sign, abs = "-", -d
	}
	switch {
	case d == 0:
		return "0"
	case abs < 0: // the least of all durations has no opposite
		return ""
	case abs < 10*time.Millisecond:
		return fmt.Sprintf("%s%.3f ms", sign, abs.Seconds()*1e3)
	case abs < time.Second:
		return fmt.Sprintf("%s%.1f ms", sign, abs.Seconds()*1e3)
	case abs < 100*time.Second:
		return fmt.Sprintf("%s%.3f s", sign, abs.Seconds())
	case abs < time.Hour:
		return fmt.Sprintf("%s%.1f s", sign, abs.Seconds())
	}
	return sign + cause.Span(abs)
}

// offsetOf is the time of a step in a wire; empty if it is not known.
func (w *wire) offsetOf(s *step) string {
	if s.Kind != packet || s.At.IsZero() || w.zero[s.Leg].IsZero() {
		return ""
	}
	return offset(s.At.Sub(w.zero[s.Leg]))
}

// sentence says what happened on a wire; empty where the facts do not allow it.
func (p *passage) sentence(w *wire) string {
	c := w.last()
	a := p.tryOn(c)
	near := w.Parties[len(w.Parties)-2]
	far := w.Parties[len(w.Parties)-1]
	asks := cut(clean(strings.TrimSpace(p.asks)), 48)
	if s := w.start(); asks == "" && s != nil && s.data() && s.what != "" {
		asks = cut(s.what, 48)
	}
	if asks == "" {
		asks = "a request"
	}
	who := func(s string) string {
		switch s {
		case "client", "proxy", "server":
			return "the " + s
		}
		return s
	}
	lead := who(near) + " sent " + asks
	if len(w.Legs) == 2 {
		lead = fmt.Sprintf("the client sent %s, %s forwarded it", asks, who(near))
		if d, ok := w.forwarded(); ok {
			lead += " " + exactly(d) + " later"
		}
	}
	says := ""
	switch {
	case a.ClosedAgo.Known || a.Idle.Known && a.Idle.D >= tellSilence && a.Reused.Or(1) == 1 && (p.ended == fact.ClosedBeforeReply || p.ended == fact.ResetBeforeReply):
		says = lead + p.race(w, a, who(far))
	default:
		says = p.other(w, lead, who(near), who(far))
	}
	if says == "" {
		return ""
	}
	return upperFirst(says) + "."
}

// forwarded is how long after the client's request the other leg's was sent.
func (w *wire) forwarded() (time.Duration, bool) {
	z := w.start()
	if z == nil || !z.data() || z.At.IsZero() || w.Apart || w.Legs[0].Path != w.Legs[1].Path {
		return 0, false
	}
	var sent time.Time
	for i := range w.Steps {
		s := &w.Steps[i]
		if s.Leg == 0 && s.data() && !s.FromServer && !s.At.IsZero() && !s.At.After(z.At) {
			sent = s.At
		}
	}
	return z.At.Sub(sent), !sent.IsZero() && z.At.Sub(sent) >= time.Microsecond
}

// race says that a connection was used again as it was closed.
func (p *passage) race(w *wire, a fact.Attempt, far string) string {
	var says string
	if a.Idle.Known && a.Idle.D > 0 {
		says = " on a connection idle for " + exactly(a.Idle.D)
	} else {
		says = " on a kept connection"
	}
	switch {
	case a.ClosedAgo.Known && a.ClosedAgo.D > 0:
		says += fmt.Sprintf("; %s had closed it %s earlier", far, exactly(a.ClosedAgo.D))
	case a.ClosedAgo.Known:
		says += fmt.Sprintf("; %s closed it %s later", far, exactly(-a.ClosedAgo.D))
	}
	if k, z := w.killer(), w.start(); k != nil && z != nil && k.is("RST") && k.FromServer && k.N > z.N {
		if w.last().Foreign != "" {
			return says + ", and a reset came back"
		}
		says += " and answered with a reset"
	}
	return says
}

// other says the ends that are no race.
func (p *passage) other(w *wire, lead, near, far string) string {
	c, k, z := w.last(), w.killer(), w.start()
	verb := "closed"
	if k != nil && k.is("RST") {
		verb = "reset"
	}
	after := func(s *step) string {
		if s == nil || z == nil || s.At.IsZero() || z.At.IsZero() || s.At.Before(z.At) {
			return ""
		}
		return " " + exactly(s.At.Sub(z.At)) + " later"
	}
	switch p.ended {
	case fact.Refused:
		if k != nil && k.is("RST") {
			return fmt.Sprintf("%s asked for a connection and a reset came back%s", near, after(k))
		}
	case fact.ConnectTimedOut:
		if n := c.SYNs.Or(0); n > 1 && len(c.Packets) > 0 {
			first, last := c.Packets[0].Time, c.Packets[len(c.Packets)-1].Time
			if !first.IsZero() && last.After(first) {
				return fmt.Sprintf("%s asked %d times within %s for a connection and got no answer", near, n, roughly(last.Sub(first)))
			}
			return fmt.Sprintf("%s asked %d times for a connection and got no answer", near, n)
		}
	case fact.ResetBeforeReply, fact.ClosedBeforeReply:
		if k != nil && z != nil && k.FromServer && z.data() && k.N > z.N {
			return fmt.Sprintf("%s; %s %s the connection%s without an answer", lead, far, verb, after(k))
		}
	case fact.CutMidReply:
		if k != nil && c.BytesIn.Known && k.FromServer {
			return fmt.Sprintf("%s; the answer broke off after %s: %s %s the connection", lead, plural(int(c.BytesIn.N), "byte", "bytes"), far, verb)
		}
	case fact.TLSFailed:
		if k != nil && k.what != "" {
			by := near
			if k.FromServer {
				by = far
			}
			return fmt.Sprintf("%s broke off the TLS handshake%s: %s", by, strings.Replace(strings.TrimSuffix(after(k), " later"), " ", " after ", 1), strings.TrimPrefix(k.what, "TLS alert: "))
		}
	case fact.ReplyTimedOut:
		if k != nil && !k.FromServer && z != nil && z.data() {
			return fmt.Sprintf("%s and gave up%s, without an answer", lead, after(k))
		}
	}
	return ""
}
