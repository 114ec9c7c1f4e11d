package recorder

import (
	"math/rand/v2"
	"strings"
	"testing"

	"culprit/internal/wire"
)

// BenchmarkMask: bodies of a connection that failed late are masked on their
// way to disk, while the kernel's buffer fills.
func BenchmarkMask(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 60000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for _, c := range []struct{ name, text string }{
		{"head", strings.Repeat("GET /shop?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5\r\nAccept: */*\r\nCookie: sid=1234567\r\n\r\n", 500)},
		{"json", strings.Repeat(`{"id":123,"name":"a thing","price":12.5,"key":"k","note":"nothing much"},`, 800)},
		{"noise", string(noise)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var m masker
			m.begin(0)
			seq := uint32(0)
			buf := make([]byte, len(c.text))
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				copy(buf, c.text)
				m.mask(buf, seq, len(buf))
				seq += uint32(len(buf))
			}
		})
	}
}

// BenchmarkFrame is what an ordinary frame costs: a request and its answer on
// a kept connection, as four frames.
func BenchmarkFrame(b *testing.B) {
	s := newStage(&testing.T{}, Options{Dir: b.TempDir()})
	c := s.talk("10.0.0.1:40000", "10.0.0.5:8080").open()
	b.ReportAllocs()
	for b.Loop() {
		c.get("/shop", "4f")
		c.fromClient(wire.ACK, "")
		c.fromServer(wire.ACK, "")
	}
}
