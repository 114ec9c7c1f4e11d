package golang

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzLog(f *testing.F)    { sourcetest.Fuzz(f, processLog) }
func FuzzAccess(f *testing.F) { sourcetest.Fuzz(f, accessLog) }
func FuzzSource(f *testing.F) { sourcetest.Fuzz(f, sourceCode) }

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, accessLog, `[GIN] 2026/03/09 - 14:00:00 | 200 |    1.234567ms |        10.0.0.4 | GET      "/cart?x=1"`)
}

func TestPeer(t *testing.T) {
	for in, want := range map[string]string{
		"dial tcp 10.0.0.5:8080: connect: connection refused": "10.0.0.5:8080",
		"read tcp 1.1.1.1:1->[::1]:80: read: reset":           "[::1]:80",
		"dial tcp: lookup app on 1.1.1.1:53: no such host":    "app",
		"dial tcp lookup app: x":                              "app",
		"EOF":                                                 "",
	} {
		if got := peer([]byte(in)); got != want {
			t.Errorf("peer(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		"2026/03/09 14:00:00 [error] 1#1: *1 connect() failed (111: Connection refused) while connecting to upstream",
		"fatal error: stdio.h: No such file or directory",
		"do not panic: it works",
		"2026/03/09 14:00:00 hello",
		"read timeout: 5 seconds",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if c := x.Sniff(&l); c != source.No {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}
