package main

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// program is the program itself: this test's file under its name.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "culprit" // what testscript.Main goes by
	cmd.Dir = t.TempDir()
	return cmd
}

// TestCaptureSaysHowToGrantIt: without CAP_NET_RAW there is one plain line, and
// the commands that grant it, with this program's path.
func TestCaptureSaysHowToGrantIt(t *testing.T) {
	cmd := program(t, "capture", "-i", "lo", "-o", "d")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	done := make(chan error)
	go func() {
		// The capability is taken from this thread, which ends with the
		// goroutine; the program inherits what it has not.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_RAW, 0, 0, 0); err != nil {
				t.Error(err)
			}
		}
		done <- cmd.Run()
	}()
	<-done
	if code := cmd.ProcessState.ExitCode(); code != exitUnread {
		t.Errorf("exit status %d\n%s", code, errs.String())
	}
	path, err := filepath.EvalSymlinks(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"culprit: may not record lo: the system grants that to programs with CAP_NET_RAW\n",
		"try: sudo setcap cap_net_raw+ep " + path + "\n",
		"try: or sudo " + path + " capture -i lo -o d\n",
	} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("%q is not in\n%s", want, errs.String())
		}
	}
	if _, err := os.Stat(filepath.Join(cmd.Dir, "d")); err == nil {
		t.Error("the folder was made")
	}
}

// TestCaptureEndsOnSignal: SIGTERM writes what is held, and ends well.
func TestCaptureEndsOnSignal(t *testing.T) {
	needNetRaw(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})}
	go srv.Serve(l)
	defer srv.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())

	cmd := program(t, "capture", "-i", "lo", "-p", port, "-o", "d")
	var out bytes.Buffer
	cmd.Stdout = &out
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "recording port "+port) {
		t.Fatalf("said %q", lines.Text())
	}
	if r, err := http.Get("http://" + l.Addr().String() + "/shop?token=S3CR3T"); err != nil {
		t.Fatal(err)
	} else {
		r.Body.Close()
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("ended with %v", err)
	}
	if !strings.Contains(out.String(), "answered 503 127.0.0.1:") || strings.Contains(out.String(), "S3CR3T") {
		t.Errorf("printed %q", out.String())
	}
	names, _ := filepath.Glob(filepath.Join(cmd.Dir, "d", "*-status-503-127.0.0.1-"+port+".pcapng"))
	if len(names) != 1 {
		t.Fatalf("slices: %v", names)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte("GET /shop?token=xxxxxx ")) || bytes.Contains(b, []byte("S3CR3T")) {
		t.Error("the secret is not overwritten")
	}
}

// needNetRaw skips a test where packets may not be recorded.
func needNetRaw(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		t.Skipf("needs CAP_NET_RAW: run as root, or sudo setcap cap_net_raw+ep on the test's binary (%v)", err)
	}
	unix.Close(fd)
}
