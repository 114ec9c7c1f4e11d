package source

import (
	"slices"
	"strings"
	"time"

	"culprit/internal/fact"
)

// Answer is the head of an HTTP response, for [Banner].
type Answer struct {
	Proto  string // "HTTP/1.1"
	Status int
	Reason string
	// Header returns the first field of a name, given in lower case; Has
	// whether there is one.
	Header func(name string) string
	Has    func(name string) bool
	// Body is the beginning of the body, as far as it is known.
	Body []byte
}

// Banner is how a technology shows itself in the HTTP answers it gives.
type Banner struct {
	Tech string
	// Role is gateway for what only ever stands in front of others, backend
	// for what only ever answers itself, and empty for what may be either.
	Role fact.Role
	// Wrote says how sure it is that this technology made the answer, error
	// pages and the fields it always sets included; a proxy that relays the
	// answer of another did not write it.
	Wrote func(a *Answer) Confidence
	// Passed, if set, says how sure it is that this technology relayed the
	// answer (Via, X-Cache, CF-Ray).
	Passed func(a *Answer) Confidence
	// Version is what the answer tells of its version; may be nil.
	Version func(a *Answer) string
	// Defaults, if set, states what it does where nothing is set, as Settings
	// of Basis Default with their Spelling and the documentation's URL, for
	// party p, which is the server that answered.
	Defaults func(p fact.Party, version string, out func(*fact.Setting))
}

// Recognise finds who wrote an answer; nil if no banner is at least Possible.
func Recognise(banners []Banner, a *Answer) *Banner {
	return surest(banners, func(b *Banner) Confidence {
		if b.Wrote == nil {
			return No
		}
		return b.Wrote(a)
	})
}

// Relayer finds who passed an answer on; nil if no banner is at least
// Possible.
func Relayer(banners []Banner, a *Answer) *Banner {
	return surest(banners, func(b *Banner) Confidence {
		if b.Passed == nil {
			return No
		}
		return b.Passed(a)
	})
}

func surest(banners []Banner, of func(*Banner) Confidence) *Banner {
	var best *Banner
	top := Possible - 1
	for i := range banners {
		if c := of(&banners[i]); c > top {
			best, top = &banners[i], c
		}
	}
	return best
}

// Product reads the first product of a field such as Server: its name in lower
// case and its version, "nginx" and "1.22.1" of "nginx/1.22.1 (Ubuntu)".
func (a *Answer) Product(field string) (name, version string) {
	v := strings.TrimSpace(a.Header(field))
	end := strings.IndexAny(v, " /(")
	if end < 0 {
		return strings.ToLower(v), ""
	}
	name = strings.ToLower(v[:end])
	if v[end] == ' ' {
		return name, ""
	}
	version, _, _ = strings.Cut(v[end+1:], " ")
	return name, strings.TrimSuffix(version, ")")
}

// Says reports whether a field holds a text, whatever its case.
func (a *Answer) Says(field, text string) bool {
	return strings.Contains(strings.ToLower(a.Header(field)), strings.ToLower(text))
}

// KeepAlive reads what the answer advertises of its connection: for how long
// the server keeps it idle, and how many more requests it takes.
func (a *Answer) KeepAlive() (timeout fact.Dur, left fact.Int) {
	for part := range strings.SplitSeq(a.Header("keep-alive"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n := Int([]byte(value))
		switch {
		case !n.Known || n.N < 0 || n.N > 1<<30:
		case strings.EqualFold(name, "timeout"):
			timeout = fact.Seconds(float64(n.N))
		case strings.EqualFold(name, "max"):
			left = n
		}
	}
	return timeout, left
}

// Modified is when the answer says its content was changed, to the second;
// zero if it does not.
func (a *Answer) Modified() time.Time {
	t, err := time.Parse(time.RFC1123, a.Header("last-modified"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// SettingsOf makes a sink that hands the settings stated to it to out as those
// of party p, for [Banner.Defaults]. What only a gateway has is left out for a
// backend: a server that relays nothing here has no pool.
func SettingsOf(p fact.Party, out func(*fact.Setting)) Sink { return &settingsOf{p, out} }

type settingsOf struct {
	party fact.Party
	out   func(*fact.Setting)
}

// State implements [Sink].
func (s *settingsOf) State(f fact.Fact) {
	x, ok := f.(*fact.Setting)
	if !ok || s.party.Role == fact.RoleBackend && slices.Contains(gatewayKnobs, x.Knob) {
		return
	}
	p := s.party
	if p.Tech == "" {
		p.Tech = x.Party.Tech
	}
	x.Party, x.Origin.Line = p, 0
	s.out(x)
}

// Inner implements [Sink].
func (*settingsOf) Inner(*Line) {}

// Seen implements [Sink].
func (*settingsOf) Seen(time.Time) {}

// gatewayKnobs are about members, so only who relays has them.
var gatewayKnobs = []fact.Knob{
	fact.PoolIdle, fact.PoolSize, fact.UpstreamReply, fact.UpstreamConnect, fact.UpstreamQueue, fact.UpstreamRetry,
	fact.UpstreamHeaderMax, fact.UpstreamMax, fact.UpstreamAddress, fact.UpstreamResolve, fact.MaxFails, fact.FailTimeout,
	fact.HealthPeriod, fact.HealthTimeout, fact.HealthThreshold, fact.ErrorInterception,
}
