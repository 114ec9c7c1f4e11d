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
