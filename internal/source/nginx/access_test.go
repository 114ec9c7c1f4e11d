package nginx

import (
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, format("nginx-access"),
		`203.0.113.77 - - [09/Mar/2026:04:00:00 +0000] "GET /api/v1/users/48213/orders?page=3&limit=50 HTTP/1.1" 200 5120 "https://shop.example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" rt=0.034 uct=0.001 uht=0.033 urt=0.034 ua=10.4.1.12:8080 us=200`,
		`198.51.100.9 - - [09/Mar/2026:04:00:00 +0000] "POST /checkout/step/2 HTTP/1.1" 302 0 "-" "okhttp/4.12.0" rt=0.101 uct=0.000 uht=0.101 urt=0.101 ua=10.4.2.31:8080 us=302`)
}

// BenchmarkAccessAlone measures the reader without what its caller allocates.
func BenchmarkAccessAlone(b *testing.B) {
	line := []byte(`203.0.113.77 - - [09/Mar/2026:04:00:00 +0000] "GET /api/v1/users/48213/orders?page=3&limit=50 HTTP/1.1" 200 5120 "https://shop.example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0" rt=0.034 uct=0.001 uht=0.033 urt=0.034 ua=10.4.1.12:8080 us=200`)
	n := len(line)
	line = append(line, "\n203.0.113.77 - - [09/Mar/2026:04:00:00 +0000]"...)[:n] // as in a file
	r := newAccessReader(&source.Env{})
	l := source.Line{Text: line}
	var s folder
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if r.Line(&l, s) != source.Mine {
			b.Fatal("not read")
		}
	}
}

type nobody struct{}

func (nobody) State(fact.Fact)    {}
func (nobody) Inner(*source.Line) {}
func (nobody) Seen(time.Time)     {}

// folder counts ordinary requests as the core's sink does.
type folder struct{ nobody }

func (folder) Fold(*source.Ordinary) bool { return true }
