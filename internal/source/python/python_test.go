package python

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzErrors(f *testing.F) { sourcetest.Fuzz(f, errorLog) }
func FuzzAccess(f *testing.F) { sourcetest.Fuzz(f, accessLog) }

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, accessLog, `10.0.0.4 - - [09/Mar/2026 14:00:00] "GET /cart?x=1 HTTP/1.1" 200 -`)
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		`10.0.0.4 - - [09/Mar/2026:14:00:20 +0000] "GET / HTTP/1.1" 200 512 "-" "curl"`,
		`10.0.0.4 user [09/Mar/2026:14:00:20 +0000] "GET / HTTP/1.1" 200 512`,
		"TypeError: x is not a function",
		"Error: connect ECONNREFUSED 10.0.0.9:5432",
		"2026-03-09 14:00:00,123 - INFO - all is well",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if c := x.Sniff(&l); c != source.No {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}
