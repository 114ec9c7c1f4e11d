package uvicorn

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzLog(f *testing.F)     { sourcetest.Fuzz(f, processLog) }
func FuzzOptions(f *testing.F) { sourcetest.Fuzz(f, options) }

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, processLog, `INFO:     10.0.0.4:51234 - "GET /cart?x=1 HTTP/1.1" 200 OK`)
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		`10.0.0.4 - - [09/Mar/2026:14:00:20 +0000] "GET / HTTP/1.1" 200 512`,
		"INFO: nothing special",
		"the uvicorn worker died",
		"[2026-03-09 14:00:00 +0000] [31] [INFO] Booting worker with pid: 31",
		"workers = 4",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if c := x.Sniff(&l); c != source.No {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}
