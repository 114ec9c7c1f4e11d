package gunicorn

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzLog(f *testing.F)    { sourcetest.Fuzz(f, processLog) }
func FuzzConfig(f *testing.F) { sourcetest.Fuzz(f, config) }

func FuzzFile(f *testing.F) { sourcetest.Fuzz(f, file) }

func BenchmarkLog(b *testing.B) {
	sourcetest.Bench(b, processLog, "[2026-03-09 14:00:00 +0000] [31] [INFO] Booting worker with pid: 31",
		`10.0.0.4 - - [09/Mar/2026:14:00:20 +0000] "GET /cart HTTP/1.1" 200 512 "-" "curl/8.5" 0.250120`)
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		`10.0.0.4 - - [09/Mar/2026:14:00:20 +0000] "GET /cart HTTP/1.1" 200 512 "-" "gunicorn-probe"`,
		"the gunicorn worker -- slow",
		"timeout = 30",
		"[12-Sep-2026 11:57:19] NOTICE: [pool www] child 26079 started",
		"Main process exited, code=exited, status=1/FAILURE",
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
