package wire

import (
	"errors"
	"io"
	"os"
	"testing"
)

// BenchmarkFollow follows the capture named by CULPRIT_PCAP.
func BenchmarkFollow(b *testing.B) {
	path := os.Getenv("CULPRIT_PCAP")
	if path == "" {
		b.Skip("CULPRIT_PCAP names no capture")
	}
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
		exchanges := 0
		t := NewTable(Options{OnExchange: func(Flow, *Exchange) { exchanges++ }, OnConn: func(*Conn) {}})
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
		b.ReportMetric(float64(p.N)*float64(b.N)/b.Elapsed().Seconds(), "packets/s")
		b.ReportMetric(float64(len(t.flows)), "flows")
		b.Logf("%+v, %d exchanges", t.Stats, exchanges)
		f.Close()
	}
}
