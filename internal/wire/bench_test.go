package wire

import (
	"errors"
	"io"
	"os"
	"testing"
	"unsafe"
)

// BenchmarkFollow follows the capture named by CULPRIT_PCAP.
func BenchmarkFollow(b *testing.B) {
	path := os.Getenv("CULPRIT_PCAP")
	if path == "" {
		b.Skip("CULPRIT_PCAP names no capture")
	}
	packets := 0
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		fi, err := f.Stat()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(fi.Size())
		r, err := NewReader(f)
		if err != nil {
			b.Fatal(err)
		}
		t := NewTable(Options{OnExchange: func(Flow, *Exchange) {}, OnConn: func(*Conn) {}})
		var p Packet
		var s Segment
		for {
			if err := r.Next(&p); err != nil {
				if !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
				break
			}
			if Decode(p.Link, p.Data, p.Orig, &s) == TCP {
				t.Segment(p.N, p.Time, &s)
			}
		}
		t.Close()
		packets += p.N
		b.ReportMetric(float64(len(t.flows)-1), "flows-at-most")
		b.ReportMetric(float64(unsafe.Sizeof(flow{})), "B/flow")
		f.Close()
	}
	b.ReportMetric(float64(packets)/b.Elapsed().Seconds(), "packets/s")
}
