package all_test

import (
	"os"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/all"
)

// BenchmarkFeed reads the file that CULPRIT_BENCH names through everything
// that `culprit diagnose` does before it judges; bench/run compares it with
// other tools.
func BenchmarkFeed(b *testing.B) {
	path := os.Getenv("CULPRIT_BENCH")
	if path == "" {
		b.Skip("set CULPRIT_BENCH to a log; bench/run makes some")
	}
	fi, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(fi.Size())
	for b.Loop() {
		n := 0
		reps, err := source.Feed(&source.Env{Banners: all.Banners()}, all.Formats(), all.Wrappers(), source.Inputs([]string{path}, nil), source.Options{}, func(fact.Fact) { n++ })
		if err != nil {
			b.Fatal(err)
		}
		if reps[0].Requests == 0 {
			b.Fatalf("%+v", reps[0])
		}
		b.ReportMetric(float64(reps[0].Requests), "requests/op")
		b.ReportMetric(float64(n), "facts/op")
	}
}
