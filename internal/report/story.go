package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
)

// chapter is what one party said of a request that is followed.
type chapter struct {
	At    time.Time
	Res   fact.Dur
	Party string
	Says  string
	Cite  cite
}

// chapters tells facts on one request, in their order.
func chapters(facts []fact.Fact) []chapter {
	var out []chapter
	for _, f := range facts {
		h := f.Head()
		c := chapter{At: h.Time, Res: h.Res, Party: cmp.Or(who(fact.Party{Role: h.Party.Role, Tech: h.Party.Tech, Name: h.Party.Name}), "somebody"), Cite: citeOf(f)}
		switch f := f.(type) {
		case *fact.Request:
			c.Says = clean(requestSays(f))
		case *fact.Event:
			c.Says = clean(eventSays(f))
		}
		out = append(out, c)
	}
	return out
}

// requestSays tells one exchange: what was asked, what came, and how each try
// went.
func requestSays(r *fact.Request) string {
	var parts []string
	ask := strings.TrimSpace(r.Method + " " + r.Path)
	if r.Client != "" {
		ask = strings.TrimSpace(ask + " from " + r.Client)
	}
	if ask != "" {
		parts = append(parts, ask)
	}
	if r.Partial {
		if r.Detail != "" {
			parts = append(parts, r.Detail)
		}
	} else if r.Status.Known {
		s := fmt.Sprintf("answered %d", r.Status.N)
		if r.Status.N <= 0 {
			s = "no answer"
		}
		if r.Duration.Known {
			s += " after " + cause.Span(r.Duration.D)
		}
		parts = append(parts, s)
	}
	for i, a := range r.Attempts {
		if a.Address == "" {
			continue
		}
		s := "asked " + a.Address
		if len(r.Attempts) > 1 {
			s = fmt.Sprintf("try %d: %s", i+1, a.Address)
		}
		if a.Status.Known && a.Status.N > 0 {
			s += fmt.Sprintf(" (%d)", a.Status.N)
		}
		if a.Took.Known {
			s += " for " + cause.Span(a.Took.D)
		}
		if m := mechanisms[a.Ended]; m != "" && m != mechanisms[r.Ended] {
			s += ": " + m
		}
		parts = append(parts, s)
	}
	if m := mechanisms[r.Ended]; m != "" {
		parts = append(parts, m)
	}
	if r.Code != "" {
		parts = append(parts, "code "+r.Code)
	}
	return strings.Join(parts, "; ")
}

func eventSays(e *fact.Event) string {
	parts := []string{strings.ReplaceAll(string(e.Kind), "-", " ")}
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	return strings.Join(parts, "; ")
}

// stamp writes an instant as exactly as it is known.
func (d *digest) stamp(c chapter) string {
	if c.At.IsZero() {
		return "no time"
	}
	form := "15:04:05.000"
	if c.Res.Known && c.Res.D >= time.Second || !c.Res.Known && c.At.Nanosecond() == 0 {
		form = "15:04:05"
	}
	return c.At.In(d.zone).Format(form)
}

// outcome says what became of the request that is followed.
func (d *digest) outcome() string {
	fs := d.findings()
	switch {
	case len(fs) == 0:
		return "This request did not fail."
	case len(fs) == 1 && fs[0].N > 1:
		return fmt.Sprintf("This request failed as %s did:", plural(fs[0].N-1, "other", "others"))
	}
	return "This request failed:"
}
