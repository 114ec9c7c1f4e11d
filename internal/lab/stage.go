package lab

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Home is what collected evidence says instead of the temporary directory that
// the servers ran in.
const Home = "/srv/lab"

// A Stage holds what one scenario started: its directory, its processes, its
// traffic, and the list of files that are evidence. It is made by Record.
type Stage struct {
	dir     string
	logf    func(format string, args ...any)
	subnet  string // "127.a.b.": each scenario has its own loopback addresses
	cred    *syscall.Credential
	traffic *Traffic

	recorders  []*recorder
	road       *Road         // nil without a far host
	serverIdle time.Duration // of the application, measured at its own port; 0 is not measured
	idleSpread time.Duration // between the shortest and the longest measured

	mu      sync.Mutex
	words   map[string]string // values of @name@ in configurations
	kept    []kept
	closers []func() // in order of start; run in reverse
}

// A kept file is evidence. A raw one is no text.
type kept struct {
	from, to string
	raw      bool
}

// unprivileged is the user that servers run as when the lab is run by root:
// as root they would demand or log other things than in real installations.
const unprivileged = "www-data"

func newStage(name string, logf func(string, ...any)) (*Stage, error) {
	dir, err := os.MkdirTemp("", "lab-")
	if err != nil {
		return nil, err
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	sum := h.Sum32()
	st := &Stage{
		dir:    dir,
		logf:   logf,
		subnet: fmt.Sprintf("127.%d.%d.", 16+sum%200, sum>>8%250),
		words:  map[string]string{"dir": dir},
	}
	if os.Geteuid() == 0 {
		if st.cred, err = credential(unprivileged); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	st.traffic = newTraffic(st.subnet)
	return st, errors.Join(st.own(dir), os.Chmod(dir, 0o755))
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// own gives path to the user that the servers run as.
func (st *Stage) own(path string) error {
	if st.cred == nil {
		return nil
	}
	return os.Chown(path, int(st.cred.Uid), int(st.cred.Gid))
}

// Path returns the full name of a file on the stage.
func (st *Stage) Path(name string) string { return filepath.Join(st.dir, name) }

// Addr reserves an address under a name: host is the last number of a loopback
// address, port the wanted port, replaced by a free one where it is taken. In
// configurations @name@ stands for it.
func (st *Stage) Addr(name string, host, port int) (string, error) {
	return st.addrOf(name, st.subnet+strconv.Itoa(host), port)
}

func (st *Stage) addrOf(name, ip string, port int) (string, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		if l, err = net.Listen("tcp", net.JoinHostPort(ip, "0")); err != nil {
			return "", fmt.Errorf("reserve an address: %w", err)
		}
	}
	addr := l.Addr().String()
	st.Set(name, addr)
	return addr, l.Close()
}

// Set gives @name@ a value in the files written from now on.
func (st *Stage) Set(name, value string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.words[name] = value
}

// Word returns what Set or Addr stored under name.
func (st *Stage) Word(name string) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.words[name]
}

// Write writes a file on the stage, with @name@ replaced, and keeps it as
// evidence.
func (st *Stage) Write(name, text string) error {
	if err := st.WriteQuiet(name, text); err != nil {
		return err
	}
	st.Keep(name)
	return nil
}

// WriteQuiet is Write for files that no user would think of handing in.
func (st *Stage) WriteQuiet(name, text string) error {
	st.mu.Lock()
	var pairs []string
	for k, v := range st.words {
		pairs = append(pairs, "@"+k+"@", v)
	}
	st.mu.Unlock()
	text = strings.NewReplacer(pairs...).Replace(text)
	path := st.Path(name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return err
	}
	return st.own(path)
}

// Keep marks files of the stage as evidence. A file need not exist yet; one
// that is empty in the end is not collected.
func (st *Stage) Keep(names ...string) {
	for _, name := range names {
		st.keepAs(name, name)
	}
}

func (st *Stage) keepAs(from, to string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.kept = append(st.kept, kept{from: from, to: to})
}

// keepRaw marks a file as evidence in which no word may be replaced.
func (st *Stage) keepRaw(name string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.kept = append(st.kept, kept{from: name, to: name, raw: true})
}

// create opens a new file of evidence for writing.
func (st *Stage) create(name string) (*os.File, error) {
	st.Keep(name)
	return st.open(name)
}

// open opens a file of the stage for writing.
func (st *Stage) open(name string) (*os.File, error) {
	f, err := os.OpenFile(st.Path(name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	st.onClose(func() { f.Close() })
	return f, st.own(f.Name())
}

func (st *Stage) onClose(f func()) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.closers = append(st.closers, f)
}

// stopAll ends everything the stage started, last first.
func (st *Stage) stopAll() {
	st.traffic.closeIdle()
	st.mu.Lock()
	closers := st.closers
	st.closers = nil
	st.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
}

func (st *Stage) close() {
	st.stopAll()
	os.RemoveAll(st.dir)
}

// collect writes the evidence and the truth to dir, replacing what was there.
func (st *Stage) collect(dir string, truth Expected) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	scrub := st.scrubber()
	seen := map[string]bool{}
	for _, k := range st.kept {
		text, err := os.ReadFile(st.Path(k.from))
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 || seen[k.to] {
			continue
		}
		if err != nil {
			return err
		}
		seen[k.to] = true
		name := k.to
		if k.raw {
			if name, text, err = st.packed(name, text); err != nil {
				return err
			}
			truth.Captures = append(truth.Captures, name)
		} else {
			text = []byte(scrub.Replace(string(text)))
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return writeExpected(dir, truth)
}

// Kernel is what collected evidence says instead of the release of the kernel
// that the lab ran on, which servers tell at their start.
const Kernel = "6.1.0-28-amd64"

// scrubber replaces what belongs to the machine and not to the fault.
func (st *Stage) scrubber() *strings.Replacer {
	pairs := []string{st.dir, Home}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		pairs = append(pairs, strings.TrimSpace(string(release)), Kernel)
	}
	return strings.NewReplacer(pairs...)
}

// lastWords returns the ends of all logs, for the message of a failed run.
func (st *Stage) lastWords() string {
	const tail = 1500
	var b strings.Builder
	files, _ := filepath.Glob(st.Path("*.log"))
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			continue
		}
		fmt.Fprintf(&b, "--- %s\n%s", filepath.Base(path), text[max(0, len(text)-tail):])
	}
	return b.String()
}

// startTimeout is how long a server may take until it accepts connections.
const startTimeout = 15 * time.Second

// waitListening waits until something accepts connections on addr.
func waitListening(ctx context.Context, network, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, network, addr)
		if err == nil {
			return c.Close()
		}
		if pause(ctx, 30*time.Millisecond) != nil {
			return fmt.Errorf("nothing listens on %s after %v: %w", addr, startTimeout, err)
		}
	}
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (st *Stage) mkdir(name string) error {
	if err := os.Mkdir(st.Path(name), 0o755); err != nil {
		return err
	}
	return st.own(st.Path(name))
}
