package applog

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzJSON(f *testing.F)   { sourcetest.Fuzz(f, jsonLog) }
func FuzzText(f *testing.F)   { sourcetest.Fuzz(f, textLog) }
func FuzzProxy(f *testing.F)  { sourcetest.Fuzz(f, proxyLog) }
func FuzzDNS(f *testing.F)    { sourcetest.Fuzz(f, dnsLog) }
func FuzzActix(f *testing.F)  { sourcetest.Fuzz(f, actix) }
func FuzzCurl(f *testing.F)   { sourcetest.Fuzz(f, client) }
func FuzzECS(f *testing.F)    { sourcetest.Fuzz(f, service) }
func FuzzRecord(f *testing.F) { sourcetest.Fuzz(f, record) }

func BenchmarkJSON(b *testing.B) {
	sourcetest.Bench(b, jsonLog, `{"time":"2026-03-09T14:00:00.120Z","level":"info","method":"GET","path":"/cart","status":200,"duration_ms":12.5,"request_id":"rid-0001","remote_ip":"10.0.0.4"}`)
}

func BenchmarkText(b *testing.B) {
	sourcetest.Bench(b, textLog, `time="2026-03-09T14:59:45Z" level=info client=svc duration=5.521511ms method=GET path="/items" status=200`)
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		"the connection was refused by all of them",
		"an error is not the end",
		"GET ready",
		"a=1 b=2",
		"Killed the lights",
		"2026-03-09 14:00:00 INFO all is well",
		"To GET /things done is hard",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if c := x.Sniff(&l); c != source.No {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]string{"12ms": "12ms", "1.5s": "1.5s", "85.3µs": "85.3µs", "12 ms": "12ms", "0.25": "250ms", "1200": "1.2s", "30001.5": "30.0015s", "x": "?"} {
		got := "?"
		if d := duration([]byte(in), false); d.Known {
			got = d.D.String()
		}
		if got != want {
			t.Errorf("duration(%q) = %s, want %s", in, got, want)
		}
	}
}
