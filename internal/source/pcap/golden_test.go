package pcap_test

import (
	"testing"

	"culprit/internal/source/pcap"
	"culprit/internal/source/sourcetest"
	"culprit/internal/wire/wiretest"
)

// TestFormats: the captures are tcpdump's, of a gateway and a server on one
// machine.
func TestFormats(t *testing.T) { sourcetest.Run(t, pcap.Formats) }

// FuzzCapture: whatever a capture holds, what is stated of it can be encoded.
func FuzzCapture(f *testing.F) {
	x := apart
	for i := range 3 {
		w := wiretest.New()
		front, back, back2 := x.legs(w, 30_000)
		front.Open().Client(wiretest.Get("/a"))
		back.Open().Client(wiretest.Get("/a", via))
		back.RST(i & 1)
		back2.Open().TLS13("shop.test")
		back2.Client(wiretest.Sealed(200))
		back2.Close(i & 1)
		front.Server(wiretest.Answer(502, "bad"))
		f.Add(capture(w))
	}
	sourcetest.Fuzz(f, pcap.Formats[0])
}
