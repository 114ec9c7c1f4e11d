package source

import "culprit/internal/fact"

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
