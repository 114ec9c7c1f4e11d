package uwsgi

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzLog(f *testing.F)     { sourcetest.Fuzz(f, processLog) }
func FuzzFile(f *testing.F)    { sourcetest.Fuzz(f, file) }
func FuzzOptions(f *testing.F) { sourcetest.Fuzz(f, options) }

func BenchmarkRequest(b *testing.B) {
	sourcetest.Bench(b, processLog, "[pid: 12|app: 0|req: 1/1] 10.0.0.4 () {44 vars in 875 bytes} [Mon Mar  9 14:00:00 2026] GET /cart?x=1 => generated 5120 bytes in 1747 msecs (HTTP/1.1 200) 5 headers in 90 bytes (1 switches on core 0)")
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		"[Mon Mar 09 14:00:00.000 2026] [core:notice] [pid 1] AH00094: Command line",
		"OSError: write error",
		"OSError: [Errno 24] Too many open files",
		"processes = 4",
		"the uwsgi log -- empty",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if x.Sniff == nil {
				continue
			}
			if c := x.Sniff(&l); c != source.No {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}
