package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// memoryRoot is where the kernel's memory controller (cgroup v1) is mounted.
const memoryRoot = "/sys/fs/cgroup/memory"

// A memoryLimit is a control group that the kernel keeps below a size by
// killing who is in it.
type memoryLimit struct {
	dir   string
	bytes int64
	kills atomic.Int64 // counted at the last look
}

// newMemoryLimit makes a control group named after a service.
func newMemoryLimit(st *Stage, name string, bytes int64) (*memoryLimit, error) {
	m := &memoryLimit{dir: filepath.Join(memoryRoot, name), bytes: bytes}
	if err := os.Mkdir(m.dir, 0o755); err != nil {
		if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EROFS) {
			return nil, &PrivilegeError{Why: "limit memory through " + memoryRoot}
		}
		return nil, err
	}
	st.onClose(func() { os.Remove(m.dir) })
	return m, os.WriteFile(filepath.Join(m.dir, "memory.limit_in_bytes"), []byte(strconv.FormatInt(bytes, 10)), 0o644)
}

func (m *memoryLimit) add(pid int) error {
	return os.WriteFile(filepath.Join(m.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
}

// killed tells whether the kernel has killed in the group since it was last
// asked.
func (m *memoryLimit) killed() bool {
	text, err := os.ReadFile(filepath.Join(m.dir, "memory.oom_control"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return err == nil && m.kills.Swap(n) < n
		}
	}
	return false
}

// kernelWords are in the kernel's lines that tell of an out-of-memory kill. The
// table of tasks and memory between them is left out, as `journalctl -k --grep`
// would.
var kernelWords = regexp.MustCompile(`invoked oom-killer|oom-kill:|Killed process|oom_reaper`)

// watchKernel copies the kernel's own lines of out-of-memory kills to
// the journal as they arrive.
func watchKernel(ctx context.Context, st *Stage, j *Journal) error {
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return &PrivilegeError{Why: "read /dev/kmsg"}
	}
	const end = 2 // SEEK_END: only what is new
	if _, err := f.Seek(0, end); err != nil {
		return errors.Join(err, f.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.Close()
		buf := make([]byte, maxDatagram)
		for pause(ctx, 2*time.Millisecond) == nil {
			for {
				n, err := syscall.Read(int(f.Fd()), buf)
				if err != nil || n <= 0 {
					break
				}
				if line := kernelLine(string(buf[:n])); kernelWords.MatchString(line) {
					j.kernel(line)
				}
			}
		}
	}()
	st.onClose(func() { cancel(); <-done })
	return nil
}

// kernelLine returns the message of a record of /dev/kmsg.
func kernelLine(record string) string {
	_, text, _ := strings.Cut(record, ";")
	text, _, _ = strings.Cut(text, "\n")
	return text
}

func (j *Journal) kernel(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.w, "%s %s kernel: %s\n", time.Now().UTC().Format(journalStamp), j.host, line)
}

const thumbRoutes = `
  if (url.pathname.startsWith('/api/thumbs/')) {
    if (!thumbs.has(req.url)) thumbs.set(req.url, render(3 << 20));
    return { status: 200, body: { bytes: thumbs.get(req.url).length } };
  }
`

const serviceMemory = 128 << 20 // bytes

func nodeOOMKill(ctx context.Context, st *Stage) error {
	limit, err := newMemoryLimit(st, "shop.service", serviceMemory)
	if err != nil {
		return err
	}
	journal, err := st.Journal("journal.log", "app1")
	if err != nil {
		return err
	}
	if err := watchKernel(ctx, st, journal); err != nil {
		return err
	}
	app := nodeApp{
		Host: 11, Routes: thumbRoutes,
		Setup: "const thumbs = new Map();\nconst render = (bytes) => Buffer.alloc(bytes, 'thumb');\n",
	}
	if _, err := superviseNode(ctx, st, app, Unit{Name: "shop", Restart: time.Second, Memory: limit}, journal); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 105*time.Second, 7, with(Route{Method: "GET", Path: "/api/thumbs/#", Weight: 14}))
}
