//go:build linux

package recorder

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestKernelTellsItsReasons: a connect to a closed port and a close with
// unread data make the kernel send resets, and it says why.
func TestKernelTellsItsReasons(t *testing.T) {
	known := &reasons{}
	w, err := watchResets(nil, known)
	if err != nil {
		if os.Geteuid() == 0 && !errors.Is(err, os.ErrPermission) {
			t.Logf("as root: %v", err)
		}
		t.Skipf("needs CAP_BPF and CAP_PERFMON (run as root, or setcap cap_bpf,cap_perfmon+ep on the test), and Linux 6.10: %v", err)
	}
	defer w.close()

	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			l, err := net.Listen(network, map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network])
			if err != nil {
				t.Skip(err)
			}
			c, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.Write([]byte("unread"))
			if _, err := s.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			at := time.Now()
			s.Close() // with data unread: a reset
			io.ReadAll(c)
			server, client := endpointOf(l.Addr()), endpointOf(c.LocalAddr())
			c.Close()
			l.Close()
			if why := waitReason(func() string { return known.of(server, client, at.UnixNano()) }); why != "ABORT_ON_CLOSE (its program closed it with data unread)" {
				t.Errorf("close with unread data: the kernel says %q", why)
			}

			known.mu.Lock()
			before := known.n
			known.mu.Unlock()
			_, err = net.Dial(network, l.Addr().String())
			if err == nil {
				t.Fatal("a closed port took a connection")
			}
			if why := waitReason(func() string {
				known.mu.Lock()
				defer known.mu.Unlock()
				for _, x := range known.recent[before:known.n] {
					if x.src == server {
						return x.why
					}
				}
				return ""
			}); !strings.HasPrefix(why, "NO_SOCKET (") {
				t.Errorf("connect to a closed port: the kernel says %q", why)
			}
		})
	}
}

// waitReason asks until there is an answer: it comes through another thread.
func waitReason(ask func() string) string {
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if why := ask(); why != "" {
			return why
		}
		time.Sleep(5 * time.Millisecond)
	}
	return ""
}
