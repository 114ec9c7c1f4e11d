package recorder

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"culprit/internal/source"
	"culprit/internal/wire"
)

// What says how a connection failed, in words that can stand in a file name.
type What string

// What is kept.
const (
	Refused      What = "refused"       // a reset answered the SYN
	Unreachable  What = "unreachable"   // an ICMP error did
	Unanswered   What = "unanswered"    // nothing did
	Reset        What = "reset"         // the server's side reset it with a request open
	Closed       What = "closed"        // the server's side closed it with a request open
	Cut          What = "cut"           // the server's side ended it in mid-answer
	ClientReset  What = "client-reset"  // the client's side reset it before the answer's end
	ClientClosed What = "client-closed" // the client's side closed it before the answer's end
	BadAnswer    What = "bad-answer"    // what came is no HTTP
	ServerError  What = "status"        // a status from 500 on, in clear
	Slow         What = "slow"          // no answer for as long as was asked for
	Header       What = "header"        // a header that was asked for
)

// Failure is a connection that failed, as the tracker saw it.
type Failure struct {
	Time           time.Time // of the packet that showed it
	What           What
	Status         int // of the answer; 0 if there was none
	Client, Server wire.Endpoint
	// Request is the request that failed; empty if there was none to be read.
	Request Request
	// Says is what cannot be told from the rest, or empty.
	Says string

	over bool // the connection has ended
}

// Request is what a request is known again by on the gateway's other side.
type Request struct {
	Method, Target string
	IDs            []string
	Begin          int64 // nanoseconds since 1970

	h2 bool // asked by HTTP/2
}

// kind is the failure's word, with its status: "status-503".
func (f *Failure) kind() string {
	if f.What == ServerError {
		return fmt.Sprintf("%s-%03d", f.What, min(max(f.Status, 0), 999))
	}
	return string(f.What)
}

// sentence says what failed: a line for people and for Wireshark.
func (f *Failure) sentence() string {
	var b strings.Builder
	switch f.What {
	case Refused:
		b.WriteString("refused")
	case Unreachable:
		b.WriteString("unreachable")
	case Unanswered:
		b.WriteString("nothing answered")
	case Reset:
		b.WriteString("reset by the server with a request open")
	case Closed:
		b.WriteString("closed by the server with a request open")
	case Cut:
		b.WriteString("ended by the server in mid-answer")
	case ClientReset:
		b.WriteString("reset by the client before the answer's end")
	case ClientClosed:
		b.WriteString("closed by the client before the answer's end")
	case BadAnswer:
		b.WriteString("what was answered is no HTTP")
	case ServerError:
		fmt.Fprintf(&b, "answered %d", f.Status)
	case Slow:
		b.WriteString("no answer yet")
	case Header:
		b.WriteString("a header that was asked for")
	}
	if f.Says != "" {
		b.WriteString(" (" + plain(f.Says, maxTold) + ")")
	}
	fmt.Fprintf(&b, " %s -> %s", f.Client, f.Server)
	if f.Request.Method != "" {
		b.WriteString(" " + plain(f.Request.Method+" "+source.Redact(f.Request.Target), maxTold))
	}
	return b.String()
}

// maxTold bounds a text of the wire in a line, in bytes.
const maxTold = 120

// plain makes a text of the wire fit for a line.
func plain(s string, most int) string {
	if len(s) > most {
		s = s[:most-3] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f {
			return '?'
		}
		return r
	}, s)
}

// flowID is a connection's identity while it lasts: a hash of its two ends,
// the same for both directions. Two of a hundred thousand connections share
// one with a probability of 1 in 4 billion.
type flowID = uint64

func flowOf(a, b wire.Endpoint) flowID {
	x, y := endHash(a), endHash(b)
	if x > y {
		x, y = y, x
	}
	h := mix(x) ^ y
	if h = mix(h); h == ringPad {
		return 0
	}
	return h
}

func endHash(e wire.Endpoint) uint64 {
	return mix(mix(binary.LittleEndian.Uint64(e.IP[:8])^uint64(e.Port)) ^ binary.LittleEndian.Uint64(e.IP[8:]))
}

// mix is the finalizer of splitmix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
