package report

import (
	"cmp"
	"fmt"
	"slices"
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
	Wire  *wire // its packets; nil if none are known
}

// chapters tells facts on one request, in their order, each connection with
// the request that went over it.
func (d *digest) chapters(facts []fact.Fact) []chapter {
	var out []chapter
	drawn, claimed := wiresOfStory(facts)
	for _, f := range facts {
		if conn, ok := f.(*fact.Conn); ok && claimed[conn] {
			continue
		}
		h := f.Head()
		c := chapter{At: h.Time, Res: h.Res, Party: cmp.Or(who(fact.Party{Role: h.Party.Role, Tech: h.Party.Tech, Name: h.Party.Name}), "somebody"), Cite: d.citeOf(f), Wire: drawn[f]}
		switch f := f.(type) {
		case *fact.Request:
			c.Says = clean(requestSays(f))
		case *fact.Event:
			c.Says = clean(eventSays(f))
		case *fact.Conn:
			c.Says = clean(connSays(f))
			if f.Origin.Text == "" {
				c.Cite.Text = ""
			}
			if f.Party == (fact.Party{}) {
				c.Party = "the wire"
			}
		}
		out = append(out, c)
	}
	return out
}

// wires are the chapter's, none or one.
func (c *chapter) wires() []*wire {
	if c.Wire == nil {
		return nil
	}
	return []*wire{c.Wire}
}

// wiresOfStory draws the connections among facts, each under the request that
// went over it; claimed are those that have one.
func wiresOfStory(facts []fact.Fact) (drawn map[fact.Fact]*wire, claimed map[*fact.Conn]bool) {
	drawn, claimed = map[fact.Fact]*wire{}, map[*fact.Conn]bool{}
	type key struct{ path, id string } // of a capture, or of a server
	conns := map[key]*fact.Conn{}
	for _, f := range facts {
		if c, ok := f.(*fact.Conn); ok && c.ID != "" {
			conns[key{c.Server, c.ID}] = c
			conns[key{c.Origin.Path, c.ID}] = c
		}
	}
	// A request of which both legs are known tells more than one of them.
	for _, legs := range []int{2, 1} {
		for _, f := range facts {
			r, ok := f.(*fact.Request)
			if !ok || drawn[f] != nil {
				continue
			}
			p := passage{seen: []*fact.Request{r}, gateway: r.Party, ended: r.Ended, asks: r.Method + " " + r.Path}
			mine := func(path, id string) {
				if c := conns[key{path, id}]; c != nil && !claimed[c] && !slices.Contains(p.conns, c) {
					p.conns = append(p.conns, c)
				}
			}
			mine(r.Origin.Path, r.ConnID)
			for _, a := range r.Attempts {
				if a.Address != "" && conns[key{a.Address, a.ConnID}] != nil {
					mine(a.Address, a.ConnID)
				} else {
					mine(r.Origin.Path, a.ConnID)
				}
				p.try, p.ended = a, cmp.Or(a.Ended, p.ended)
			}
			if len(p.conns) < legs {
				continue
			}
			drawn[f] = wireOf(p)
			for _, c := range p.conns {
				claimed[c] = true
			}
		}
	}
	for _, f := range facts {
		if c, ok := f.(*fact.Conn); ok && !claimed[c] {
			drawn[f] = wireOf(passage{conns: []*fact.Conn{c}, ended: c.Ended, gateway: c.Party})
		}
	}
	return drawn, claimed
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
