package source

import (
	"strings"
	"unsafe"

	"culprit/internal/fact"
)

// keeper copies requests that are kept: what stands in the line that is kept
// too costs nothing more, and what all of them say is kept once.
type keeper struct {
	text  string // of the request at hand, as the reader has it
	own   string // the same, ours
	words map[string]string
}

// The bounds of what is kept once.
const (
	maxWords = 1024
	maxWord  = 64 // bytes
)

func (s *sink) ownRequest(r *fact.Request) *fact.Request { return s.own(r).(*fact.Request) }

// request is [fact.Request.Clone]. What it does not know of is cloned.
func (k *keeper) request(r *fact.Request) *fact.Request {
	k.text = r.Origin.Text
	k.own = strings.Clone(k.text)
	c := *r
	for _, s := range [...]*string{
		&c.Party.Tech, &c.Party.Name, &c.Party.Address, &c.Party.Host, &c.Origin.Path, &c.Origin.Text, &c.Origin.URL,
		&c.ConnID, &c.Client, &c.Method, &c.Path, &c.Host, &c.Proto, &c.UserAgent, &c.Upstream, &c.Code, &c.Detail,
	} {
		k.keep(s)
	}
	if c.IDs = nil; len(r.IDs) > 0 {
		c.IDs = append(make([]string, 0, len(r.IDs)), r.IDs...)
		for i := range c.IDs {
			k.keep(&c.IDs[i])
		}
	}
	if c.Attempts = nil; len(r.Attempts) > 0 {
		c.Attempts = append(make([]fact.Attempt, 0, len(r.Attempts)), r.Attempts...)
		for i := range c.Attempts {
			k.keep(&c.Attempts[i].Address)
			k.keep(&c.Attempts[i].ConnID)
		}
	}
	if c.Attrs = nil; len(r.Attrs) > 0 {
		c.Attrs = make(map[string]string, len(r.Attrs))
		for name, v := range r.Attrs {
			k.keep(&name)
			k.keep(&v)
			c.Attrs[name] = v
		}
	}
	return &c
}

// keep replaces a string by one that is ours.
func (k *keeper) keep(s *string) {
	if *s == "" {
		*s = ""
		return
	}
	at := uintptr(unsafe.Pointer(unsafe.StringData(*s))) - uintptr(unsafe.Pointer(unsafe.StringData(k.text)))
	if n := uintptr(len(k.text)); at < n && uintptr(len(*s)) <= n-at {
		*s = k.own[at : at+uintptr(len(*s))]
		return
	}
	if len(*s) > maxWord {
		*s = strings.Clone(*s)
		return
	}
	w, ok := k.words[*s]
	if !ok {
		w = strings.Clone(*s)
		if k.words == nil {
			k.words = map[string]string{}
		}
		if len(k.words) < maxWords {
			k.words[w] = w
		}
	}
	*s = w
}
