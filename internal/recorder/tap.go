package recorder

import (
	"errors"
	"fmt"
	"time"
)

// AnyInterface names all interfaces at once, as tcpdump does.
const AnyInterface = "any"

// A MissingError says what the system does not grant or have, and is about
// something that the person who started the recorder can change.
type MissingError struct {
	// Need is a capability ("CAP_NET_RAW"), or empty.
	Need string
	Says string
	Err  error
}

func (e *MissingError) Error() string { return e.Says }

// Unwrap is what the system said.
func (e *MissingError) Unwrap() error { return e.Err }

// ErrNoInterface says that there is no network interface of that name.
var ErrNoInterface = errors.New("no such interface")

// ErrNoLinux says that frames are recorded on Linux only.
var ErrNoLinux = errors.New("recording needs Linux: frames come from its AF_PACKET sockets")

// errQuiet says that no frame came for a while, and errDown that the interface
// is down.
var (
	errQuiet = errors.New("no frame came")
	errDown  = errors.New("the interface is down")
)

// captured is a frame as the kernel handed it over; data is valid until the
// next one.
type captured struct {
	time time.Time
	orig int
	data []byte
}

// The kernel's own buffer, from which the recorder reads. While the recorder
// writes to a slow disk, or a busy machine gives it no time, frames wait there:
// two seconds of 15,000 requests a second. It is beside the ring's bytes.
const (
	tapBlock  = 1 << 20 // bytes
	tapBlocks = 32
	// tapRetire is how long the kernel may keep a frame before it hands over a
	// block that is not full, and tapPoll how long the recorder waits for one.
	tapRetire = 20 * time.Millisecond
	tapPoll   = 50 * time.Millisecond
)

func capNetRaw(iface string, err error) error {
	return &MissingError{Need: "CAP_NET_RAW", Says: fmt.Sprintf("may not record %s: the system grants that to programs with CAP_NET_RAW", iface), Err: err}
}
