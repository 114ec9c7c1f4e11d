package nginx

import (
	"testing"

	"culprit/internal/source"
)

// BenchmarkSniffOthers measures what a line of somebody else's costs.
func BenchmarkSniffOthers(b *testing.B) {
	l := source.Line{Text: []byte(`2026-03-09T12:00:00.123Z INFO com.example.shop.OrderController - order 48213 placed by user 77 in 34 ms (trace 4bf92f3577b34da6a3ce929d0e0e4736)`)}
	b.ReportAllocs()
	for b.Loop() {
		if sniffError(&l) != source.No || sniffAccess(&l) != source.No {
			b.Fatal("claimed")
		}
	}
}
