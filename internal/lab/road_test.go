package lab

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

func testRoad(t *testing.T, rule Rule) *Road {
	t.Helper()
	st := &Stage{subnet: "127.249.249.", words: map[string]string{}}
	r, err := startRoad(st, testDelay, rule)
	var missing *MissingError
	var privilege *PrivilegeError
	switch {
	case errors.As(err, &missing):
		t.Skip(missing)
	case errors.As(err, &privilege):
		t.Skip(privilege)
	case errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EPERM):
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// listenFar accepts connections on the far host and sends back what it reads.
func listenFar(t *testing.T, r *Road) string {
	t.Helper()
	var l net.Listener
	err := r.inside(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(r.Far, "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return l.Addr().String()
}

func TestRoadTakesTime(t *testing.T) {
	r := testRoad(t, nil)
	addr := listenFar(t, r)
	start := time.Now()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if took := time.Since(start); took < 2*testDelay {
		t.Errorf("connecting took %v, want at least %v", took, 2*testDelay)
	}
	long := make([]byte, 100<<10)
	go c.Write(long)
	if _, err := io.ReadFull(c, make([]byte, len(long))); err != nil {
		t.Error(err)
	}
}

func TestBoxOnTheRoadResets(t *testing.T) {
	r := testRoad(t, func(p []byte, toFar bool) (bool, []byte) {
		if seg := segmentOf(p); seg != nil && toFar && len(seg) > int(seg[12]>>4)*4 {
			return false, resetFor(p)
		}
		return true, nil
	})
	c, err := net.Dial("tcp", listenFar(t, r))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestHopKeepsTheChecksumRight(t *testing.T) {
	p := make([]byte, ipHeader)
	p[0], p[ipTTL], p[ipProto] = 0x45, 64, syscall.IPPROTO_TCP
	copy(p[ipSrc:], net.IPv4(10, 0, 0, 1).To4())
	copy(p[ipDst:], net.IPv4(10, 0, 0, 2).To4())
	hop(p, 2)
	if p[ipTTL] != 62 {
		t.Errorf("the time to live is %d, want 62", p[ipTTL])
	}
	if sum := sum16(p, 0); sum != 0xffff {
		t.Errorf("the header sums to %x with its checksum %x", sum, binary.BigEndian.Uint16(p[ipSum:]))
	}
}
