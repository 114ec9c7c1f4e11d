package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// magics are the first four bytes of a capture with stamps in microseconds
// and in nanoseconds, on a little-endian machine.
const (
	magicMicro = 0xa1b2c3d4
	magicNano  = 0xa1b23c4d
)

func TestCaptureHoldsBothLegs(t *testing.T) {
	evidence := record(t, Scenario{
		Name: "quick-capture", Blame: None, Control: true,
		Wire: []Capture{
			{File: "legs.pcap", Of: []string{"front", "app"}},
			{File: "late.pcap", Of: []string{"app"}, Snap: 100, Nano: true, From: time.Second},
		},
		Run: func(ctx context.Context, st *Stage) error {
			if _, err := startNode(ctx, st, nodeApp{Host: 11}); err != nil {
				return err
			}
			if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
				return err
			}
			return st.traffic.Run(ctx, 3*time.Second, 8, shop)
		},
	})
	legs := evidence["legs.pcap"]
	wantIn(t, evidence, "legs.pcap", "GET /products", "POST /api/cart", "X-Request-ID: ", "HTTP/1.1 200 OK", "Server: nginx/")
	wantIn(t, evidence, ExpectedDir, `"captures":["legs.pcap","late.pcap"]`)
	requests := strings.Count(evidence["access.log"], "\n")
	for _, leg := range []string{"Host: shop.example\r\nUser-Agent", "Host: shop.example\r\nX-Request-ID"} {
		if n := strings.Count(legs, leg); n != requests {
			t.Errorf("%d requests begin with %q, the log has %d", n, leg, requests)
		}
	}
	f := func(name string, magic uint32) {
		t.Helper()
		data := []byte(evidence[name])
		if len(data) < 24 || binary.LittleEndian.Uint32(data) != magic {
			t.Errorf("%s does not begin with %x", name, magic)
		}
	}
	f("legs.pcap", magicMicro)
	f("late.pcap", magicNano)
	if len(evidence["late.pcap"]) >= len(legs)/2 {
		t.Errorf("the late capture has %d bytes, the whole one %d", len(evidence["late.pcap"]), len(legs))
	}
}

func TestCaptureOfTheMachineIsRefused(t *testing.T) {
	st := &Stage{dir: "/tmp/lab-1", words: map[string]string{}}
	if _, _, err := st.packed("a.pcap", []byte("\x00/tmp/lab-1/app.py\x00")); err == nil {
		t.Error("a capture with the stage's directory was accepted")
	}
	name, data, err := st.packed("a.pcap", []byte("GET / HTTP/1.1"))
	if err != nil || name != "a.pcap" || string(data) != "GET / HTTP/1.1" {
		t.Errorf("got %s %q %v", name, data, err)
	}
	long := bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), packAbove/16+1)
	name, data, err = st.packed("a.pcap", long)
	if err != nil || name != "a.pcap.gz" || len(data) >= len(long)/10 {
		t.Fatalf("got %s with %d bytes, %v", name, len(data), err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := io.ReadAll(z); err != nil || !bytes.Equal(back, long) {
		t.Errorf("unpacked to %d bytes of %d, %v", len(back), len(long), err)
	}
}

func TestTcpdumpWords(t *testing.T) {
	f := func(said string, complete bool) {
		t.Helper()
		w := &tcpdumpWords{ready: make(chan struct{})}
		w.Write([]byte(said))
		if err := w.complete(); (err == nil) != complete {
			t.Errorf("%q: %v", said, err)
		}
	}
	f("listening on lo\n12 packets captured\n24 packets received by filter\n0 packets dropped by kernel\n", true)
	f("listening on lo\n1 packet captured\n1 packet received by filter\n0 packets dropped by kernel\n", true)
	f("listening on lo\n12 packets captured\n24 packets received by filter\n3 packets dropped by kernel\n", false)
	f("listening on lo\n0 packets captured\n", false)
	f("listening on lo\n", false)
	w := &tcpdumpWords{ready: make(chan struct{})}
	w.Write([]byte("tcpdump: lo: You don't have permission to perform this capture on that device\n"))
	var privilege *PrivilegeError
	if err := w.failure(); !errors.As(err, &privilege) {
		t.Errorf("got %v, want a *PrivilegeError", err)
	}
}

// unpackedFile reads a file of evidence as it was before it was packed.
func unpackedFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(path, ".gz") {
		return data, err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
