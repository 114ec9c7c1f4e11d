package apache

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// apr is the number in front of a message, "(111)Connection refused: ".
type apr struct {
	set   bool
	errno int    // as on Linux; 0 if the number is APR's own
	kind  ending // what APR's own numbers say
	words []byte
}

// ending is what a number without an errno says.
type ending int

const (
	endUnknown ending = iota
	endTimeout        // APR_TIMEUP
	endClosed         // APR_EOF, or no number of its own
	endPartial        // APR_INCOMPLETE
	endName           // the resolver's
)

// aprNumbers are those of apr_errno.h that mod_proxy meets.
var aprNumbers = map[int64]ending{
	70007: endTimeout, 70014: endClosed, 20014: endClosed, 70008: endPartial, 120001: endClosed, 120006: endClosed,
}

// winsock are numbers of Windows, written "(OS 10061)".
var winsock = map[int64]int{
	10048: source.EADDRINUSE, 10049: source.EADDRNOTAVAIL, 10051: source.ENETUNREACH, 10053: source.ECONNABORTED, 10054: source.ECONNRESET,
	10060: source.ETIMEDOUT, 10061: source.ECONNREFUSED, 10065: source.EHOSTUNREACH, 10055: source.ENOMEM, 10024: source.EMFILE,
}

// bsd are numbers of BSD and macOS, which Linux uses for other things; the
// words tell which it is.
var bsd = []struct {
	number int64
	words  string
	errno  int
}{
	{61, "Connection refused", source.ECONNREFUSED}, {54, "Connection reset by peer", source.ECONNRESET}, {60, "Operation timed out", source.ETIMEDOUT},
	{65, "No route to host", source.EHOSTUNREACH}, {51, "Network is unreachable", source.ENETUNREACH}, {49, "Can't assign requested address", source.EADDRNOTAVAIL},
	{35, "Resource temporarily unavailable", source.EAGAIN}, {53, "Software caused connection abort", source.ECONNABORTED},
}

// bareWords are the words of numbers, for lines whose number was lost.
var bareWords = []struct {
	words string
	code  apr
}{
	{"The timeout specified has expired: ", apr{set: true, kind: endTimeout}},
	{"End of file found: ", apr{set: true, kind: endClosed}},
	{"Internal error: ", apr{set: true, kind: endClosed}},
	{"Connection refused: ", apr{set: true, errno: source.ECONNREFUSED}},
	{"Connection reset by peer: ", apr{set: true, errno: source.ECONNRESET}},
	{"Connection timed out: ", apr{set: true, errno: source.ETIMEDOUT}},
	{"No route to host: ", apr{set: true, errno: source.EHOSTUNREACH}},
	{"Broken pipe: ", apr{set: true, errno: source.EPIPE}},
	{"Permission denied: ", apr{set: true, errno: source.EACCES}},
}

// cutCode reads the number off the front of b.
func cutCode(b []byte) (c apr, rest []byte, ok bool) {
	if len(b) < 4 || b[0] != '(' {
		for _, w := range bareWords {
			if source.HasPrefix(b, w.words) {
				return w.code, b[len(w.words):], true
			}
		}
		return c, b, false
	}
	i := bytes.IndexByte(b, ')')
	if i < 2 || i > 12 {
		return c, b, false
	}
	number := b[1:i]
	end := bytes.Index(b[i:], []byte(": "))
	if end < 0 {
		return c, b, false
	}
	c.set, c.words, rest = true, b[i+1:i+end], b[i+end+2:]
	switch {
	case source.HasPrefix(number, "EAI "):
		c.kind = endName
		return c, rest, true
	case source.HasPrefix(number, "OS "):
		n := source.Int(bytes.TrimSpace(number[3:]))
		c.errno = winsock[n.N]
		return c, rest, n.Known
	}
	n := source.Int(number)
	if !n.Known || n.N < 0 {
		return c, b, false
	}
	for _, x := range bsd {
		if n.N == x.number && source.HasPrefix(c.words, x.words) {
			c.errno = x.errno
			return c, rest, true
		}
	}
	if k, ok := aprNumbers[n.N]; ok {
		c.kind = k
		return c, rest, true
	}
	if n.N < 200 {
		c.errno = int(n.N)
	}
	return c, rest, true
}

// mechanism says how a try ended that met c in phase p.
func (c apr) mechanism(p fact.Phase) fact.Mechanism {
	switch c.kind {
	case endTimeout:
		switch p {
		case fact.PhaseConnecting:
			return fact.ConnectTimedOut
		case fact.PhaseReading:
			return fact.CutMidReply
		case fact.PhaseTLS:
			return fact.TLSFailed
		}
		return fact.ReplyTimedOut
	case endName:
		return fact.NameNotResolved
	case endClosed, endPartial:
		if p == fact.PhaseReading {
			return fact.CutMidReply
		}
		if p == fact.PhaseConnecting {
			return fact.MechanismUnknown
		}
		return fact.ClosedBeforeReply
	}
	if c.errno == 0 {
		return fact.MechanismUnknown
	}
	return source.ErrnoMechanism(c.errno, p)
}
