package gclb

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
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

// logEntry is what the standard library is given to fill: the fields that this
// package reads.
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

// BenchmarkEncodingJSON is what to compare with: the standard library into a
// struct of the same fields.
func BenchmarkEncodingJSON(b *testing.B) {
	lines := goldenLines(b, "requests.in", 3)
	size := 0
	for _, l := range lines {
		size += len(l) + 1
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		unmarshal(b, lines)
	}
}

func unmarshal(b *testing.B, lines []string) {
	for _, l := range lines {
		var e logEntry
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAgainstEncodingJSON reads the same lines both ways in turns, so that
// what else the machine does hits both, and reports how many times faster this
// package is.
func BenchmarkAgainstEncodingJSON(b *testing.B) {
	lines := goldenLines(b, "requests.in", 3)
	r := Formats[0].NewReader(&source.Env{Reference: sourcetest.Reference})
	var ours, theirs time.Duration
	for b.Loop() {
		start := time.Now()
		for i, s := range lines {
			l := source.Line{Text: []byte(s), N: i + 1}
			if r.Line(&l, nobody{}) != source.Mine {
				b.Fatalf("not read: %s", s)
			}
		}
		between := time.Now()
		unmarshal(b, lines)
		ours, theirs = ours+between.Sub(start), theirs+time.Since(between)
	}
	b.ReportMetric(float64(theirs)/float64(ours), "times-encoding/json")
}

type nobody struct{}

func (nobody) State(fact.Fact)    {}
func (nobody) Inner(*source.Line) {}
func (nobody) Seen(time.Time)     {}

func BenchmarkSniff(b *testing.B) {
	lines := goldenLines(b, "requests.in", 3)
	for b.Loop() {
		for _, s := range lines {
			sniffEntry(&source.Line{Text: []byte(s)})
		}
	}
}
