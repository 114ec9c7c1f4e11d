package node

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzProcess(f *testing.F) { sourcetest.Fuzz(f, processLog) }
func FuzzAccess(f *testing.F)  { sourcetest.Fuzz(f, accessLog) }
func FuzzJSON(f *testing.F)    { sourcetest.Fuzz(f, jsonLog) }
func FuzzServer(f *testing.F)  { sourcetest.Fuzz(f, serverFile) }
func FuzzSource(f *testing.F)  { sourcetest.Fuzz(f, sourceCode) }

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, accessLog, "GET /api/items?page=2 200 12.345 ms - 512")
}

func BenchmarkJSON(b *testing.B) {
	sourcetest.Bench(b, jsonLog, `{"level":30,"time":1773050400000,"pid":18,"hostname":"h","req":{"id":1,"method":"GET","url":"/cart","headers":{"host":"a"},"remoteAddress":"::1"},"res":{"statusCode":200},"responseTime":12,"msg":"request completed"}`)
}

func TestProduct(t *testing.T) {
	for in, want := range map[string]int64{"65000;": 65000, "61 * 1000": 61000, "10 * 60 * 1000,": 600000, "65_000": 65000, "10e3": 10000, "(5 + x)": 5} {
		if n, ok := product([]byte(in)); !ok || n != want {
			t.Errorf("product(%q) = %d, %v, want %d", in, n, ok, want)
		}
	}
	for _, in := range []string{"", "x", "process.env.T", "9999999999999999", "5 * x"} {
		if n, ok := product([]byte(in)); ok {
			t.Errorf("product(%q) = %d, want none", in, n)
		}
	}
}

func TestSniffLeavesOthers(t *testing.T) {
	for _, text := range []string{
		`10.0.0.1 - - [09/Mar/2026:14:00:00 +0000] "GET / HTTP/1.1" 200 5`,
		"2026/03/09 14:00:00 [error] 1#1: *1 connect() failed (111: Connection refused) while connecting to upstream",
		"at last the queue was empty",
		`{"level":"error","msg":"x"}`,
		"GET / HTTP/1.1",
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
