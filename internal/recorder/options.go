package recorder

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options say what is recorded and what is kept.
type Options struct {
	// Interface is its name, or [AnyInterface].
	Interface string
	// Ports are those of the servers watched, on both sides of the gateway;
	// none means all TCP.
	Ports []uint16
	// Dir is where slices go. It is made if it is not there.
	Dir string
	// Ring is how many bytes of frames are in memory; 0 means DefaultRing.
	Ring int64
	// Before and After are how much of a connection is kept around its
	// failure; 0 means DefaultBefore and DefaultAfter.
	Before, After time.Duration
	// Slow keeps connections whose answer takes so long to begin; 0 keeps none
	// for that.
	Slow time.Duration
	// Headers keep connections that carry one of them.
	Headers []HeaderMatch
	// IDHeaders are fields that identify a request, in lower case.
	IDHeaders []string
	// MaxDisk is how many bytes of slices there may be; 0 means DefaultMaxDisk.
	MaxDisk int64
	// Snaplen is how many bytes of a frame are kept; 0 means DefaultSnaplen.
	Snaplen int
	// ShowSecrets leaves credentials in what is written.
	ShowSecrets bool
	// Kernel adds the kernel's reason to each reset it sent.
	Kernel bool
	// Version is the program's, for the slices to tell.
	Version string
	// OnKept is called for each failure that was kept, and OnNotice with lines
	// on the recording itself; both from one goroutine. They may be nil.
	OnKept   func(*Kept)
	OnNotice func(string)
	// OnStart is called once, when frames are being recorded.
	OnStart func()
}

// What holds where options say nothing.
const (
	DefaultRing    = 64 << 20
	DefaultBefore  = 30 * time.Second
	DefaultAfter   = 5 * time.Second
	DefaultMaxDisk = 1 << 30
	// DefaultSnaplen takes frames whole: an interface that leaves segmentation
	// to its card, as loopback does, has frames of 64 KB.
	DefaultSnaplen = 64<<10 + 64
	// MinSnaplen has all headers, and a request line or a status.
	MinSnaplen = 192
	// MinMaxDisk has room for a few slices.
	MinMaxDisk = 1 << 20
)

// HeaderMatch is a header field with a text in its value.
type HeaderMatch struct {
	Name string // in lower case
	Text string // in lower case; empty matches any value
}

// Kept is a failure whose frames are written.
type Kept struct {
	Failure
	File string // within the folder
	// Kernel is the kernel's reason for the reset, if it sent one and was asked.
	Kernel string
	// Twins is how many connections of the gateway's other side are in the file.
	Twins int
}

// String is a line on it: when, what, between whom, and the file.
func (k *Kept) String() string {
	s := k.Time.Local().Format("15:04:05.000") + " " + k.sentence()
	if k.Kernel != "" {
		s += ", kernel: " + k.Kernel
	}
	if k.Twins > 0 {
		s += fmt.Sprintf(", with %d twin", k.Twins)
		if k.Twins > 1 {
			s += "s"
		}
	}
	return s + ", in " + k.File
}

// Stats counts what a recorder did. It is written to capture.json.
type Stats struct {
	Schema    string     `json:"schema"`
	Interface string     `json:"interface"`
	Ports     []uint16   `json:"ports,omitempty"`
	Started   time.Time  `json:"started"`
	Updated   time.Time  `json:"updated"`
	Ended     *time.Time `json:"ended,omitempty"`

	// Frames were seen, and KernelDrops were not: the kernel had no room.
	Frames      int64 `json:"frames"`
	KernelDrops int64 `json:"kernel_drops"`
	// Connections were seen, Failures counts those that failed, by kind.
	Connections int            `json:"connections"`
	Failures    map[string]int `json:"failures"`
	// NotKept are failures whose frames were not written: too many at once, or
	// a disk that took nothing.
	NotKept int64 `json:"not_kept"`
	// Slices were written, with FramesKept frames; Deleted were deleted to stay
	// within the folder's bytes, Cut ended before their end for the same.
	Slices     int64 `json:"slices"`
	FramesKept int64 `json:"frames_kept"`
	Deleted    int64 `json:"deleted"`
	Cut        int64 `json:"cut"`
	// Lost counts how often frames left the ring before they were written.
	Lost int64 `json:"lost"`
	// Forgotten are connections that were let go for want of room.
	Forgotten int `json:"forgotten"`
	// DiskBytes are those of all slices, RingBytes those of the frames in memory,
	// which reach back RingSpan.
	DiskBytes int64  `json:"disk_bytes"`
	RingBytes int64  `json:"ring_bytes"`
	RingSpan  string `json:"ring_span"`
}

// StateFile is where Stats are written, within the folder.
const StateFile = "capture.json"

const statsSchema = "culprit.capture/v1"

// write writes the state so that a reader sees the old or the new one, whole.
func (s *Stats) write(dir string) error {
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", StateFile, err)
	}
	part := filepath.Join(dir, StateFile+".part")
	if err := os.WriteFile(part, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", StateFile, err)
	}
	if err := os.Rename(part, filepath.Join(dir, StateFile)); err != nil {
		return fmt.Errorf("write %s: %w", StateFile, err)
	}
	return nil
}
