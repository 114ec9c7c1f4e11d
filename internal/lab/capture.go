package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Capture is what tcpdump records of the wire while the traffic of a scenario
// runs, from before its first request until after its last answer.
type Capture struct {
	File string   // name of the evidence, ending in .pcap; a long one is packed and gets .gz
	Of   []string // names of the addresses (Stage.Addr) whose port is recorded
	Snap int      // bytes kept of each packet; 0 means defaultSnap
	Any  bool     // record on all interfaces, which gives another kind of frame
	Near bool     // record on this host's end of the Road
	Far  bool     // record on the far host
	Nano bool     // stamps in nanoseconds
	// From and To bound the recording, counted from the first request: a user
	// often begins one in the middle. 0 means all.
	From, To time.Duration
}

// atBackend records what the application's own host would.
var atBackend = []Capture{{File: "backend.pcap", Of: []string{"app"}}}

// atPair records both applications of a pair.
var atPair = []Capture{{File: "backend.pcap", Of: []string{"app-1", "app-2"}}}

const (
	// defaultSnap keeps all headers of frame, TCP and HTTP, and cuts bodies.
	defaultSnap = 400 // bytes
	// wholePackets is the snap length that tcpdump has by default.
	wholePackets = 262144 // bytes
	// packAbove is the size from which a capture is packed.
	packAbove = 150 << 10 // bytes
	// captureLag is longer than the second that the kernel may hold packets back
	// before tcpdump is given them: those held at its end are lost.
	captureLag = 1300 * time.Millisecond
)

// expression is the filter of c.
func (c Capture) expression(st *Stage) (string, error) {
	var terms []string
	for _, name := range c.Of {
		host, port, err := net.SplitHostPort(st.Word(name))
		if err != nil {
			return "", fmt.Errorf("capture at %s: %w", name, err)
		}
		terms = append(terms, fmt.Sprintf("(host %s and tcp port %s)", host, port))
	}
	if st.road != nil {
		terms = append(terms, "icmp")
	} else {
		terms = append(terms, "(icmp and net "+st.subnet+"0/24)")
	}
	return strings.Join(terms, " or "), nil
}

func (c Capture) args(st *Stage) ([]string, error) {
	filter, err := c.expression(st)
	if err != nil {
		return nil, err
	}
	device, snap := "lo", c.Snap
	switch {
	case c.Any:
		device = "any"
	case c.Far:
		device = farDevice
	case c.Near:
		device = st.road.device
	}
	if snap == 0 {
		snap = defaultSnap
	}
	// The file is tcpdump's standard output: it gives up being root before it
	// would open one.
	args := []string{"-n", "-i", device, "-s", strconv.Itoa(snap), "-U", "-w", "-"}
	if c.Nano {
		args = append(args, "--time-stamp-precision=nano")
	}
	return append(args, filter), nil
}

// told says in words what c records.
func (c Capture) told() string {
	var words []string
	words = append(words, "taken at "+strings.Join(c.Of, " and "))
	switch {
	case c.Any:
		words = append(words, "on all interfaces")
	case c.Near:
		words = append(words, "on the proxy's host")
	case c.Far:
		words = append(words, "on the application's host")
	}
	if c.Nano {
		words = append(words, "in nanoseconds")
	}
	if c.Snap == wholePackets {
		words = append(words, "whole packets")
	}
	if c.From > 0 || c.To > 0 {
		words = append(words, fmt.Sprintf("from %v to %v of the traffic", c.From, c.To))
	}
	return strings.Join(words, ", ")
}

// A recorder is a tcpdump that runs or will.
type recorder struct {
	Capture
	ready chan struct{} // closed when tcpdump listens
	stop  chan struct{} // closed to end it
	done  chan error    // how it ended, once
}

// startCaptures starts all recorders and returns when those listen that record
// from the first request on.
func (st *Stage) startCaptures(ctx context.Context, all []Capture) error {
	if len(all) == 0 {
		return nil
	}
	if _, err := program("tcpdump"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	for _, c := range all {
		r := &recorder{Capture: c, ready: make(chan struct{}), stop: make(chan struct{}), done: make(chan error, 1)}
		go func() { r.done <- r.run(ctx, st) }()
		if c.From == 0 {
			select {
			case <-r.ready:
			case err := <-r.done:
				cancel()
				return err
			}
		}
		st.recorders = append(st.recorders, r)
	}
	st.onClose(cancel)
	return nil
}

// stopCaptures ends all recorders once they have everything.
func (st *Stage) stopCaptures() error {
	var errs []error
	for _, r := range st.recorders {
		close(r.stop)
	}
	for _, r := range st.recorders {
		errs = append(errs, <-r.done)
	}
	st.recorders = nil
	return errors.Join(errs...)
}

// run records from its begin to its end; it kills tcpdump when ctx ends.
func (r *recorder) run(ctx context.Context, st *Stage) error {
	began := time.Now()
	if err := pause(ctx, r.From); err != nil {
		return err
	}
	args, err := r.args(st)
	if err != nil {
		return err
	}
	f, err := st.open(r.File)
	if err != nil {
		return err
	}
	st.keepRaw(r.File)
	words := &tcpdumpWords{ready: r.ready}
	command := Command{Program: "tcpdump", Args: args, Stdout: f, Stderr: words, Far: r.Far}
	if st.cred != nil {
		command.Cred = &syscall.Credential{} // the lab is root and so is tcpdump
	}
	p, err := st.launch(command)
	if err != nil {
		return err
	}
	defer p.Kill()
	var enough <-chan time.Time
	if r.To > 0 {
		enough = time.After(r.To - time.Since(began))
	}
	select {
	case <-enough:
	case <-r.stop:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.done:
		return words.failure()
	}
	if err := pause(ctx, captureLag); err != nil {
		return err
	}
	if err := p.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(stopGrace):
	}
	return words.complete()
}

// tcpdumpWords is what tcpdump says of itself.
type tcpdumpWords struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ready chan struct{}
	said  bool
}

func (w *tcpdumpWords) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b)
	if !w.said && bytes.Contains(w.text.Bytes(), []byte("listening on")) {
		w.said = true
		close(w.ready)
	}
	return len(b), nil
}

func (w *tcpdumpWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(w.text.String())
}

// failure says why tcpdump ended by itself.
func (w *tcpdumpWords) failure() error {
	said := w.String()
	if strings.Contains(said, "permission") || strings.Contains(said, "not permitted") {
		return &PrivilegeError{Why: "capture packets (CAP_NET_RAW)"}
	}
	return fmt.Errorf("run tcpdump: it ended: %s", said)
}

var (
	capturedPackets = regexp.MustCompile(`(\d+) packets? captured`)
	lostPackets     = regexp.MustCompile(`([1-9]\d*) packets? dropped by`)
)

// complete tells whether all packets were recorded.
func (w *tcpdumpWords) complete() error {
	said := w.String()
	if m := lostPackets.FindString(said); m != "" {
		return fmt.Errorf("capture: %s", m)
	}
	if m := capturedPackets.FindStringSubmatch(said); m == nil || m[1] == "0" {
		return fmt.Errorf("capture: nothing was recorded: %s", said)
	}
	return nil
}

// packed returns what is collected of a capture and under which name. A capture
// cannot be scrubbed, since its lengths and checksums are part of it: one that
// holds anything of the machine is refused.
func (st *Stage) packed(name string, data []byte) (string, []byte, error) {
	for _, secret := range st.machine() {
		if bytes.Contains(data, []byte(secret)) {
			return "", nil, fmt.Errorf("%s holds %q, which is the machine's", name, secret)
		}
	}
	if len(data) <= packAbove {
		return name, data, nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", nil, err
	}
	if _, err := z.Write(data); err != nil {
		return "", nil, err
	}
	if err := z.Close(); err != nil {
		return "", nil, err
	}
	return name + ".gz", b.Bytes(), nil
}

// machine returns the words that belong to the machine and not to the fault.
func (st *Stage) machine() []string {
	words := []string{st.dir}
	for _, path := range []string{"/proc/sys/kernel/osrelease", "/proc/sys/kernel/hostname"} {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// A host called "app" or "localhost" gives nothing away.
		if word := strings.TrimSpace(string(text)); len(word) > 4 && word != "localhost" {
			words = append(words, word)
		}
	}
	return words
}
