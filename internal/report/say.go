package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"culprit/internal/cause"
	"culprit/internal/fact"
)

// headline says how many failed, of how many, and when.
func (d *digest) headline() string {
	first, last := d.failedSpan()
	when := d.between(first, last)
	switch {
	case d.Failed > 0 && d.Total > d.Failed:
		return fmt.Sprintf("%s of %s requests failed%s.", number(d.Failed), number(d.Total), when)
	case d.Failed > 0:
		return fmt.Sprintf("%s failed%s.", requests(d.Failed), when)
	case len(d.findings()) > 0 && d.Left > 0:
		return fmt.Sprintf("No request failed by itself; %s left before the answer%s.", plural(d.Left, "client", "clients"), when)
	case len(d.findings()) > 0:
		return fmt.Sprintf("No failed request is in the evidence, but trouble that fails requests is%s.", when)
	case d.Total > 0:
		return fmt.Sprintf("None of %s failed%s.", requests(d.Total), d.between(d.Start, d.End))
	case d.Asked != "":
		return d.nothingThen()
	}
	return "No failed request was found."
}

// asked says the bounds of what was looked at: "after 2026-03-09 14:00:00";
// empty if there are none.
func (d *digest) asked(since, until time.Time) string {
	const form = "2006-01-02 15:04:05"
	from, to := since.In(d.zone).Format(form), until.In(d.zone).Format(form)
	switch {
	case since.IsZero() && until.IsZero():
		return ""
	case until.IsZero():
		return "after " + from
	case since.IsZero():
		return "before " + to
	}
	return "between " + from + " and " + to
}

// nothingThen says that the bounds leave no request, and what the evidence
// covers.
func (d *digest) nothingThen() string {
	var first, last time.Time
	for _, in := range d.Inputs {
		if !in.First.IsZero() && (first.IsZero() || in.First.Before(first)) {
			first = in.First
		}
		if in.Last.After(last) {
			last = in.Last
		}
	}
	says := "No request of the evidence lies " + d.Asked
	if first.IsZero() {
		return says + "."
	}
	const form = "2006-01-02 15:04:05"
	return fmt.Sprintf("%s; it covers %s to %s (%s).", says, first.In(d.zone).Format(form), last.In(d.zone).Format(form), d.zoneName(first))
}

// failedSpan is when the first and the last failure was.
func (d *digest) failedSpan() (first, last time.Time) {
	for _, f := range d.findings() {
		if !f.First.IsZero() && (first.IsZero() || f.First.Before(first)) {
			first = f.First
		}
		if f.Last.After(last) {
			last = f.Last
		}
	}
	return first, last
}

// between says two instants: " between 14:00:05 and 14:09:12 on 2026-03-09
// (UTC)".
func (d *digest) between(a, b time.Time) string {
	if a.IsZero() || b.IsZero() {
		return ""
	}
	a, b = a.In(d.zone), b.In(d.zone)
	const day, clock = "2006-01-02", "15:04:05"
	zone := d.zoneName(a)
	switch {
	case a.Truncate(time.Second).Equal(b.Truncate(time.Second)):
		return fmt.Sprintf(" at %s on %s (%s)", a.Format(clock), a.Format(day), zone)
	case a.Format(day) == b.Format(day):
		return fmt.Sprintf(" between %s and %s on %s (%s)", a.Format(clock), b.Format(clock), a.Format(day), zone)
	}
	return fmt.Sprintf(" between %s and %s (%s)", a.Format(day+" 15:04"), b.Format(day+" 15:04"), zone)
}

// spans says when a finding's failures were, shortly.
func (d *digest) spans(f *finding) string {
	if f.First.IsZero() {
		return ""
	}
	a, b := f.First.In(d.zone), f.Last.In(d.zone)
	form := "15:04:05"
	if s, e := d.Start.In(d.zone), d.End.In(d.zone); s.Format("2006-01-02") != e.Format("2006-01-02") {
		form = "Jan 2 15:04:05"
	}
	if b.Sub(a) < time.Second {
		return a.Format(form)
	}
	return a.Format(form) + " to " + b.Format(form)
}

func (d *digest) zoneName(t time.Time) string {
	if d.zone == time.UTC {
		return "UTC"
	}
	return t.In(d.zone).Format("-07:00")
}

// sentence says of a verdict who, what, how sure and how many.
func (d *digest) sentence(f *finding) string {
	sure := fmt.Sprintf("%s (%s)", f.Grade, f.Percent)
	what := lowerFirst(strings.TrimSuffix(f.Title, "."))
	many := d.many(f.N)
	switch {
	case f.Cause == nil && f.N == 0:
		return "Something went wrong and the evidence cannot tell what."
	case f.Cause == nil && f.Mechanism == "":
		return fmt.Sprintf("The evidence cannot tell why %s, nor how.", strings.Replace(many, " failed request", " request", 1)+" failed")
	case f.Cause == nil:
		return fmt.Sprintf("The evidence cannot tell why %s: %s.", strings.Replace(many, " failed request", " request", 1)+" failed", mechanismWords(f.Mechanism))
	case f.Innocent && f.Mechanism == fact.ClientGone:
		return fmt.Sprintf("Nobody here is to blame for %s that ended early, %s: %s.", requests(f.N), sure, what)
	case f.Innocent:
		return fmt.Sprintf("No proxy, server or network is to blame for %s, %s: %s.", many, sure, what)
	case f.N == 0 && f.Who != "":
		return fmt.Sprintf("%s is in trouble, %s: %s.", upperFirst(f.Who), sure, what)
	case f.N == 0:
		return fmt.Sprintf("%s, %s.", strings.TrimSuffix(f.Title, "."), sure)
	case f.Who != "":
		return fmt.Sprintf("%s is behind %s, %s: %s.", upperFirst(f.Who), many, sure, what)
	}
	return fmt.Sprintf("Behind %s, %s: %s.", many, sure, what)
}

// many says a number of failed requests with its share of all.
func (d *digest) many(n int) string {
	switch {
	case n == d.Failed && n == 1:
		return "the failed request"
	case n == d.Failed && n == 2:
		return "both failed requests"
	case n == d.Failed:
		return fmt.Sprintf("all %s failed requests", number(n))
	case n > d.Failed:
		return requests(n)
	}
	return fmt.Sprintf("%s of %s failed requests", number(n), number(d.Failed))
}

func requests(n int) string { return plural(n, "request", "requests") }

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + more
}

// number writes n with a comma between thousands.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// lowerFirst makes the first letter small unless the word is a name or an
// abbreviation.
func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	r, n := utf8.DecodeRuneInString(s)
	word, _, _ := strings.Cut(s, " ")
	if strings.IndexFunc(word[min(n, len(word)):], unicode.IsUpper) >= 0 || names[strings.Trim(word, ":,")] || len(strings.Trim(word, ":,")) == 1 && word != "A" {
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// names at the front of a title stay as they are.
var names = map[string]bool{"Node": true, "Kubernetes": true, "Docker": true, "Linux": true, "Apache": true, "Envoy": true, "Varnish": true, "Caddy": true, "Traefik": true}

// upperFirst begins a sentence; a name stays as its owner writes it.
func upperFirst(s string) string {
	if rest, ok := strings.CutPrefix(s, "the "); ok {
		return "The " + rest
	}
	return s
}

// mechanisms say how a request ended, for people.
var mechanisms = map[fact.Mechanism]string{
	fact.Refused:           "the server refused the connection",
	fact.Unreachable:       "the server could not be reached",
	fact.ConnectTimedOut:   "nobody answered when the proxy tried to connect",
	fact.TLSFailed:         "the TLS handshake with the server failed",
	fact.NameNotResolved:   "the server's name could not be looked up",
	fact.NoBackend:         "the proxy had no server left to ask",
	fact.LimitHit:          "a limit of the proxy or its host was reached",
	fact.ResetBeforeReply:  "the server reset the connection instead of answering",
	fact.ClosedBeforeReply: "the server closed the connection instead of answering",
	fact.ReplyTimedOut:     "the server did not answer in time",
	fact.BadReply:          "the server's answer was not valid",
	fact.ReplyTooBig:       "the header of the server's answer was too big",
	fact.CutMidReply:       "the answer began and broke off",
	fact.EarlyReply:        "the server answered before it had taken the request",
	fact.ClientGone:        "the client left first",
	fact.AppAnswered:       "the application itself answered with the error",
	fact.GatewayFault:      "the proxy could not do its own part",
	fact.Denied:            "a rule refused the request",
}

func mechanismWords(m fact.Mechanism) string {
	if s := mechanisms[m]; s != "" {
		return s
	}
	return "how the requests ended is not told"
}

// span says a duration shortly.
func span(d time.Duration) string { return cause.Span(d) }

// Ask heads the list of missing evidence.
func (f *finding) Ask() string {
	if f.Cause == nil {
		return "To find out, look at"
	}
	return "To be sure, look at"
}
