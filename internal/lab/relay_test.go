package lab

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

const testDelay = 20 * time.Millisecond

// dialRelay returns both ends of a connection through a relay.
func dialRelay(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	r, err := NewRelay("127.0.0.1:0", l.Addr().String(), testDelay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return c.(*net.TCPConn), a.(*net.TCPConn)
}

func TestRelayDelaysBothWays(t *testing.T) {
	near, far := dialRelay(t)
	buf := make([]byte, 4)
	for _, way := range []struct{ from, to net.Conn }{{near, far}, {far, near}} {
		start := time.Now()
		if _, err := way.from.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way.to, buf); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < testDelay {
			t.Errorf("took %v, want at least %v", took, testDelay)
		}
		if string(buf) != "ping" {
			t.Errorf("got %q", buf)
		}
	}
}

func TestRelayHandsOnTheEnd(t *testing.T) {
	near, far := dialRelay(t)
	start := time.Now()
	if err := far.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	if took := time.Since(start); took < testDelay {
		t.Errorf("the end arrived after %v, want at least %v", took, testDelay)
	}
	if _, err := near.Write([]byte("late")); err != nil {
		t.Errorf("the other direction is closed too: %v", err)
	}
	buf := make([]byte, 4)
	if _, err := io.ReadFull(far, buf); err != nil || string(buf) != "late" {
		t.Errorf("got %q, %v", buf, err)
	}
}

func TestRelayHandsOnAReset(t *testing.T) {
	near, far := dialRelay(t)
	reset(far)
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

// A request that crosses a close gets no answer: that is the race the relay
// is for.
func TestRelayLetsARequestCrossAClose(t *testing.T) {
	near, far := dialRelay(t)
	far.Close()
	if _, err := near.Write([]byte("POST / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatalf("the close was seen before it arrived: %v", err)
	}
	n, err := near.Read(make([]byte, 1))
	if n != 0 || err == nil {
		t.Errorf("got %d bytes, %v, want an end", n, err)
	}
}
