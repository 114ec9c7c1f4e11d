package phpfpm

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzManager(f *testing.F) { sourcetest.Fuzz(f, managerLog) }
func FuzzErrors(f *testing.F)  { sourcetest.Fuzz(f, phpErrors) }
func FuzzSlow(f *testing.F)    { sourcetest.Fuzz(f, slowLog) }
func FuzzAccess(f *testing.F)  { sourcetest.Fuzz(f, accessLog) }
func FuzzPool(f *testing.F)    { sourcetest.Fuzz(f, poolFile) }
func FuzzLines(f *testing.F)   { sourcetest.Fuzz(f, poolLines) }

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, accessLog, `172.18.0.5 -  09/Mar/2026:14:00:00 +0000 "GET /index.php" 200`)
}

func BenchmarkManager(b *testing.B) {
	sourcetest.Bench(b, managerLog, "[09-Mar-2026 14:02:25] NOTICE: [pool www] child 44 started")
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		`10.0.0.4 - - [09/Mar/2026:14:00:20 +0000] "GET / HTTP/1.1" 200 512 "-" "php"`,
		"2026/03/09 14:00:00 [alert] 7#7: worker process 31 exited on signal 11 (core dumped)",
		"worker process 31 exited on signal 9",
		"NOTICE: nothing to see",
		"Warning: Unknown key",
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

func TestSeconds(t *testing.T) {
	for in, want := range map[string]string{"30": "30s", "30s": "30s", "5m": "5m0s", "1h": "1h0m0s", "": "?", "x": "?"} {
		got := "?"
		if d := seconds(in); d.Known {
			got = d.D.String()
		}
		if got != want {
			t.Errorf("seconds(%q) = %s, want %s", in, got, want)
		}
	}
}
