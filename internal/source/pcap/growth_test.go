package pcap_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"culprit/internal/source"
	"culprit/internal/wire/wiretest"
)

// at is the n-th address of a net, with a port.
func at(net byte, n, port int) string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{net, byte(n >> 16), byte(n >> 8), byte(n)}), uint16(port)).String()
}

// crowds are captures of n connections of which something is asked.
var crowds = map[string]func(w *wiretest.Wire, n int){
	"refused by ever other servers": func(w *wiretest.Wire, n int) {
		for i := range n {
			c := w.Conn("10.0.0.1:40000", at(11, i, 80))
			c.Send(client, syn, "")
			c.Next[server] = 0
			c.RST(server)
		}
	},
	"refused by one, while others are not": func(w *wiretest.Wire, n int) {
		for i := range n {
			c := w.Conn(at(12, i, 40000), "10.0.0.2:80")
			c.Send(client, syn, "")
			c.Next[server] = 0
			c.RST(server)
			w.Conn(at(13, i, 40000), "10.0.0.2:80").Open()
		}
	},
	"unanswered": func(w *wiretest.Wire, n int) {
		for i := range n {
			c := w.Conn(at(12, i, 40000), at(11, i, 80))
			c.SendAt(client, syn, 0, "")
			w.Again(1, time.Second)
			w.Wait(-time.Second)
		}
	},
	"the same asked of all, and nobody answers": func(w *wiretest.Wire, n int) {
		for i := range n {
			w.Conn(at(12, i, 40000), at(11, i%100, 80)).Open().Client(get("/same", fmt.Sprintf("X-Request-ID: r-%d", i)))
		}
	},
	"answered in order": func(w *wiretest.Wire, n int) {
		c := make([]*wiretest.Conn, n)
		for i := range n {
			c[i] = w.Conn(at(12, i, 40000), "10.0.0.2:80").Open()
			c[i].Client(get("/same"))
		}
		for i := range n {
			c[i].Server(ok("hello"))
		}
	},
	"reset by ever other servers": func(w *wiretest.Wire, n int) {
		for i := range n {
			c := w.Conn("10.0.0.1:40000", at(11, i, 80)).Open()
			c.Client(get(fmt.Sprintf("/%d", i), via))
			c.RST(server)
		}
	},
	"a gateway in front of each": func(w *wiretest.Wire, n int) {
		for i := range n {
			front, back := w.Conn(at(12, i, 40000), at(11, i, 80)).Open(), w.Conn(at(11, i, 40000), "10.0.0.2:3000").Open()
			front.Client(get("/a"))
			back.Client(get("/a", via))
			back.RST(server)
			front.Server(wiretest.Answer(502, "bad"))
		}
	},
	"idle closes of many": func(w *wiretest.Wire, n int) {
		for i := range n {
			c := w.Conn(at(12, i, 40000), at(11, i%5000, 80)).Open()
			c.Ask("/a")
			w.Wait(2 * time.Second)
			c.Close(i & 1)
			w.Wait(-2 * time.Second)
		}
	},
}

// TestCrowds: what is remembered of many has its bounds.
func TestCrowds(t *testing.T) {
	const n = 3000
	for name, play := range crowds {
		t.Run(name, func(t *testing.T) {
			w := wiretest.New()
			play(w, n)
			file := capture(w)
			w = nil
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			facts, rep := feed(t, "a.pcap", file, source.Options{})
			if rep.Err != nil {
				t.Fatal(rep.Err)
			}
			t.Logf("%d facts in %v", len(facts), time.Since(start))
			facts = nil
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
				t.Errorf("%d bytes are held at the end", grown)
			}
		})
	}
}

// BenchmarkCrowds tells whether what a connection costs grows with their
// number.
func BenchmarkCrowds(b *testing.B) {
	for name, play := range crowds {
		for _, n := range []int{2000, 8000, 32_000, 128_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				w := wiretest.New()
				play(w, n)
				file := capture(w)
				for b.Loop() {
					feed(b, "a.pcap", file, source.Options{})
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/conn")
			})
		}
	}
}
