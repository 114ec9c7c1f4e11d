package ruby

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzServer(f *testing.F) { sourcetest.Fuzz(f, serverLog) }
func FuzzRails(f *testing.F)  { sourcetest.Fuzz(f, railsLog) }
func FuzzRack(f *testing.F)   { sourcetest.Fuzz(f, rackAccess) }
func FuzzConfig(f *testing.F) { sourcetest.Fuzz(f, config) }

func BenchmarkRails(b *testing.B) {
	sourcetest.Bench(b, railsLog, "method=GET path=/items format=html controller=Items action=index status=200 duration=31.20 view=1.1 db=2.0 request_id=ab-12")
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		"[12] message of somebody",
		"Completed the job in 5 steps",
		"Started nginx.service - A high performance web server.",
		"timeout 30",
		"at com.example.Main.main(Main.java:3)",
		"connection failed (timeout)",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, x := range Formats {
			if c := x.Sniff(&l); c != source.No {
				t.Errorf("%s claims %q with %d", x.ID, text, c)
			}
		}
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[string]int64{"5": 5, `ENV.fetch("X") { 2 }`: 2, `ENV.fetch("X", 3)`: 3, "Integer(ENV['W'] || 4)": 4, "5 # five": 5} {
		if n := number(in); !n.Is(want) {
			t.Errorf("number(%q) = %v, want %d", in, n, want)
		}
	}
	if n := number("x"); n.Known {
		t.Errorf("number(x) = %v", n)
	}
}
