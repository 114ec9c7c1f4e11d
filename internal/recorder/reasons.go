package recorder

import (
	"sync"

	"culprit/internal/wire"
)

// reasons are the kernel's own words on the resets it sent lately. They come
// from another goroutine than the frames.
type reasons struct {
	mu     sync.Mutex
	recent [maxReasons]reason
	n      int
}

// reason is why one reset was sent.
type reason struct {
	src, dst wire.Endpoint
	time     int64 // nanoseconds since 1970
	why      string
}

const (
	// maxReasons is how many resets are remembered.
	maxReasons = 4096
	// reasonNear is how far a reset's frame and the kernel's word on it may lie
	// apart: the two clocks are compared once, and resets of one connection
	// follow each other more slowly.
	reasonNear = int64(100e6)
)

// reasonWords say what the kernel's names mean, after net/rstreason.h and where
// net/ipv4/tcp.c uses them.
var reasonWords = map[string]string{
	"NO_SOCKET":            "nothing listens there, or the connection is long gone",
	"ABORT_ON_CLOSE":       "its program closed it with data unread",
	"ABORT_ON_DATA":        "data came after its program had closed it",
	"ABORT_ON_LINGER":      "its program asked not to wait after the close",
	"ABORT_ON_MEMORY":      "too many connections without a program, or no memory",
	"STATE":                "its program dropped it at once",
	"DISCONNECT_WITH_DATA": "its program dropped it with data unsent",
	"KEEPALIVE_TIMEOUT":    "TCP keep-alive probes were not answered",
	"TIMEWAIT_SOCKET":      "it answers a packet of a connection that was closed a moment ago",
	"INVALID_ACK_SEQUENCE": "it answers an acknowledgement of what was never sent",
	"ACK_UNSENT_DATA":      "it answers an acknowledgement of what was never sent",
	"TOO_OLD_ACK":          "it answers an acknowledgement that is too old",
	"OLD_ACK":              "it answers an acknowledgement that is too old",
	"RFC7323_PAWS":         "it answers a time stamp that is too old",
	"FLAGS":                "it answers flags that make no sense",
	"INVALID_SYN":          "it answers a SYN in the middle of a connection",
	"NOT_SPECIFIED":        "the kernel does not say more",
}

// reasonText is a reason with its words.
func reasonText(name string) string {
	if words := reasonWords[name]; words != "" {
		return name + " (" + words + ")"
	}
	return name
}

func (r *reasons) add(x reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recent[r.n%maxReasons] = x
	r.n++
}

// of is why a reset was sent, or empty. A nil receiver knows nothing.
func (r *reasons) of(src, dst wire.Endpoint, time int64) string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	best, why := reasonNear, ""
	for i := range min(r.n, maxReasons) {
		x := &r.recent[i]
		if x.src != src || x.dst != dst {
			continue
		}
		if d := max(x.time-time, time-x.time); d <= best {
			best, why = d, x.why
		}
	}
	return why
}
