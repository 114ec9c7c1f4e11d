package varnish

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// fetchError is what the words of a FetchError say.
type fetchError struct {
	ended   fact.Mechanism
	phase   fact.Phase
	errno   int
	backend []byte // the backend it names
}

// fetchWords are FetchErrors, the more special first. Those of the body are
// known by where they stand, see [readFetchError].
var fetchWords = []struct {
	words string
	ended fact.Mechanism
	phase fact.Phase
}{
	{"unhealthy", fact.NoBackend, ""},
	{"returned no backend", fact.NoBackend, ""},
	{"No backend", fact.NoBackend, ""},
	{"no backend connection", fact.NoBackend, ""}, // versions 3 and 4: of any reason
	{"no backend", fact.NoBackend, ""},
	{"busy", fact.LimitHit, fact.PhaseQueued},
	{"No thread available", fact.LimitHit, ""},
	{"Could not get storage", fact.LimitHit, ""},
	{"first byte timeout", fact.ReplyTimedOut, fact.PhaseWaiting},
	{"between bytes timeout", fact.CutMidReply, fact.PhaseReading},
	{"idle timeout", fact.ReplyTimedOut, fact.PhaseWaiting},
	{"req.body read error", fact.ClientGone, fact.PhaseSending},
	{"req.body", fact.ClientGone, fact.PhaseSending},
	{"HTC eof", fact.ClosedBeforeReply, fact.PhaseWaiting},
	{"backend closed", fact.ClosedBeforeReply, fact.PhaseWaiting},
	{"read error: EOF", fact.ClosedBeforeReply, fact.PhaseWaiting},
	{"HTC timeout", fact.ReplyTimedOut, fact.PhaseWaiting},
	{"overflow", fact.ReplyTooBig, fact.PhaseWaiting},
	{"http format error", fact.BadReply, fact.PhaseWaiting},
	{"Received junk", fact.BadReply, fact.PhaseWaiting},
	{"junk", fact.BadReply, fact.PhaseWaiting},
	{"insufficient bytes", fact.CutMidReply, fact.PhaseReading},
	{"eof socket fail", fact.CutMidReply, fact.PhaseReading},
	{"chunked", fact.CutMidReply, fact.PhaseReading},
	{"Resource temporarily unavailable", fact.CutMidReply, fact.PhaseReading}, // between_bytes_timeout
	{"zip", fact.BadReply, fact.PhaseReading},                                 // of gunzip
	{"timeout", fact.ReplyTimedOut, fact.PhaseWaiting},
}

// readFetchError reads a FetchError. reading says that the header of the answer
// had been taken before.
func readFetchError(b []byte, reading bool) (e fetchError, ok bool) {
	if rest, has := source.Between(b, "backend ", ": "); has && bytes.IndexByte(rest, ' ') < 0 {
		e.backend = rest
	}
	switch {
	case source.Has(b, "fail errno "):
		n, _ := source.Between(b, "fail errno ", "")
		e.errno = number(n)
		e.phase = fact.PhaseConnecting
		e.ended = source.ErrnoMechanism(e.errno, e.phase)
		return e, true
	case source.Has(b, "write error: "):
		n, _ := source.Between(b, "write error: ", "")
		e.errno = number(n)
		e.phase = fact.PhaseSending
		if e.ended = source.ErrnoMechanism(e.errno, e.phase); e.ended == "" {
			e.ended = fact.ResetBeforeReply
		}
		return e, true
	case numbered(b):
		// "http first read error: -1 11 (Resource temporarily unavailable)"
		n, _ := source.Between(b, "read error: ", "")
		_, rest := source.Field(n)
		e.phase = fact.PhaseWaiting
		switch e.errno = number(rest); e.errno {
		case source.EAGAIN:
			e.ended, e.errno = fact.ReplyTimedOut, 0
		case 0:
			e.ended = fact.ClosedBeforeReply
		default:
			e.ended = source.ErrnoMechanism(e.errno, e.phase)
		}
		return e, true
	}
	for _, w := range fetchWords {
		if source.Has(b, w.words) {
			e.ended, e.phase = w.ended, w.phase
			if reading && e.ended != fact.ClientGone {
				e.phase = fact.PhaseReading
				if e.ended != fact.BadReply {
					e.ended = fact.CutMidReply
				}
			}
			return e, true
		}
	}
	if source.HasPrefix(bytes.TrimSpace(b), "backend ") && bytes.HasSuffix(bytes.TrimSpace(b), []byte(": fail")) {
		e.phase = fact.PhaseConnecting
		return e, true
	}
	return e, false
}

// numbered reports whether b tells of a read by numbers: "http read error: -1
// 104", not "http read error: overflow".
func numbered(b []byte) bool {
	for _, pre := range [...]string{"first read error: ", "http read error: "} {
		if n, ok := source.Between(b, pre, ""); ok {
			return len(n) == 0 || n[0] == '-' || n[0] >= '0' && n[0] <= '9'
		}
	}
	return false
}

// number reads the digits that b begins with.
func number(b []byte) int {
	n := 0
	for i, c := range b {
		if c < '0' || c > '9' || i > 6 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}
