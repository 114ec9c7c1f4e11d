package gclb

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func goldenLines(b *testing.B, name string, n int) []string {
	b.Helper()
	data, err := os.ReadFile("testdata/golden/" + name)
	if err != nil {
		b.Fatal(err)
	}
	return strings.SplitN(string(data), "\n", n+1)[:n]
}

func BenchmarkEntry(b *testing.B) {
	sourcetest.Bench(b, Formats[0], goldenLines(b, "requests.in", 3)...)
}

// BenchmarkEncodingJSON is what to compare with: the standard library into a
// struct of the same fields.
func BenchmarkEncodingJSON(b *testing.B) {
	type logEntry struct {
		HTTPRequest struct {
			RequestMethod, RequestURL, Latency, RemoteIP, ServerIP, UserAgent, RequestSize, ResponseSize string
			Status                                                                                       int
		}
		JSONPayload struct{ StatusDetails string }
		Resource    struct {
			Type   string
			Labels map[string]string
		}
		Timestamp, Trace string
	}
	lines := goldenLines(b, "requests.in", 3)
	size := 0
	for _, l := range lines {
		size += len(l) + 1
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, l := range lines {
			var e logEntry
			if err := json.Unmarshal([]byte(l), &e); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkSniff(b *testing.B) {
	lines := goldenLines(b, "requests.in", 3)
	for b.Loop() {
		for _, s := range lines {
			sniffEntry(&source.Line{Text: []byte(s)})
		}
	}
}
