package kube

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// BenchmarkSniff measures what a line of others costs.
func BenchmarkSniff(b *testing.B) {
	l := source.Line{Text: []byte(`203.0.113.9 - - [09/Mar/2026:14:00:05 +0000] "POST /api/v1/orders?x=1 HTTP/1.1" 502 157 "-" "Mozilla/5.0 (X11; Linux x86_64)" 412 0.003 [prod-shop-80] [] 10.2.0.7:8080 0 0.003 502 0a1b2c3d4e5f`)}
	b.SetBytes(int64(len(l.Text)))
	b.ReportAllocs()
	for b.Loop() {
		for i := range Formats {
			if f := &Formats[i]; f.Sniff != nil {
				f.Sniff(&l)
			}
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	sourcetest.Bench(b, Formats[1],
		"11m         Warning   Unhealthy           pod/shop-7d9f8b6c5d-x2k4q      Readiness probe failed: HTTP probe failed with statuscode: 503",
		"3m20s       Normal    Killing             pod/shop-7d9f8b6c5d-x2k4q      Container web failed liveness probe, will be restarted")
}
