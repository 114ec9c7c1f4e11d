package jvm

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzLog(f *testing.F)      { sourcetest.Fuzz(f, processLog) }
func FuzzSettings(f *testing.F) { sourcetest.Fuzz(f, settings) }
func FuzzYAML(f *testing.F)     { sourcetest.Fuzz(f, yaml) }

func BenchmarkLog(b *testing.B) {
	sourcetest.Bench(b, processLog, "	at com.example.CartController.show(CartController.java:31) ~[classes/:na]")
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]string{"65s": "1m5s", "30000": "30s", "500ms": "500ms", "1m": "1m0s", "PT30S": "30s", "x": "?", "": "?", "-5": "?"} {
		got := "?"
		if d := duration(in); d.Known {
			got = d.D.String()
		}
		if got != want {
			t.Errorf("duration(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		"TypeError: x is not a function",
		"    at Server.handle (/srv/app/server.js:12:11)",
		"requests.exceptions.ConnectionError: refused",
		"OSError: [Errno 24] Too many open files",
		"Started nginx.service",
		"2026-03-09T14:00:00Z INFO all is well",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if x.Sniff == nil {
				continue
			}
			if c := x.Sniff(&l); c >= source.Likely || c != source.No && text[0] != 'r' {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}
