package varnish

import (
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

const ordinaryLine = `10.20.0.9 - - [09/Mar/2026:14:00:00 +0000] "GET http://shop.example.com/cart HTTP/1.1" 200 2 "-" "curl/8.5.0"`

func FuzzAccess(f *testing.F)       { sourcetest.Fuzz(f, access, ordinaryLine) }
func FuzzTransactions(f *testing.F) { sourcetest.Fuzz(f, transactions) }
func FuzzDaemon(f *testing.F)       { sourcetest.Fuzz(f, daemon) }
func FuzzVCL(f *testing.F)          { sourcetest.Fuzz(f, vcl) }

func BenchmarkAccess(b *testing.B) { sourcetest.Bench(b, access, ordinaryLine) }
func BenchmarkTransactions(b *testing.B) {
	group := "*   << Request  >> 5\n-   Begin          req 4 rxreq\n-   Timestamp      Start: 1773064800.227315 0.000000 0.000000\n-   ReqStart       10.20.0.9 54738 a0\n" +
		"-   ReqMethod      GET\n-   ReqURL         /cart\n-   ReqHeader      Host: shop.example.com\n-   VCL_call       HIT\n-   RespStatus     200\n-   Timestamp      Resp: 1773064800.227882 0.000566 0.000017\n-   End"
	sourcetest.Bench(b, transactions, strings.Split(group, "\n")...)
}

// last is a sink that keeps the fact stated last.
type last struct{ f fact.Fact }

func (s *last) State(f fact.Fact)  { s.f = f }
func (s *last) Inner(*source.Line) {}
func (s *last) Seen(time.Time)     {}

func TestOrdinaryLinesCostNoMemory(t *testing.T) {
	r := access.NewReader(&source.Env{})
	l := &source.Line{Text: []byte(ordinaryLine)}
	var out source.Sink = &last{}
	if n := testing.AllocsPerRun(100, func() { r.Line(l, out) }); n > 0 {
		t.Errorf("%v allocations a line, want 0", n)
	}
}

func TestFetchError(t *testing.T) {
	for _, tt := range []struct {
		in      string
		reading bool
		want    fact.Mechanism
		phase   fact.Phase
		errno   int
		backend string
	}{
		{"backend shop: unhealthy", false, fact.NoBackend, "", 0, "shop"},
		{"backend shop: busy", false, fact.LimitHit, fact.PhaseQueued, 0, "shop"},
		{"backend shop: fail errno 111 (Connection refused)", false, fact.Refused, fact.PhaseConnecting, 111, "shop"},
		{"backend shop: fail errno 110 (Connection timed out)", false, fact.ConnectTimedOut, fact.PhaseConnecting, 110, "shop"},
		{"backend shop: fail errno 113 (No route to host)", false, fact.Unreachable, fact.PhaseConnecting, 113, "shop"},
		{"backend shop: fail", false, "", fact.PhaseConnecting, 0, "shop"},
		{"no backend connection", false, fact.NoBackend, "", 0, ""},
		{"Director lb returned no backend", false, fact.NoBackend, "", 0, ""},
		{"HTC eof (-1)", false, fact.ClosedBeforeReply, fact.PhaseWaiting, 0, ""},
		{"http first read error: EOF", false, fact.ClosedBeforeReply, fact.PhaseWaiting, 0, ""},
		{"http first read error: -1 104 (Connection reset by peer)", false, fact.ResetBeforeReply, fact.PhaseWaiting, 104, ""},
		{"http first read error: -1 11 (Resource temporarily unavailable)", false, fact.ReplyTimedOut, fact.PhaseWaiting, 0, ""},
		{"first byte timeout", false, fact.ReplyTimedOut, fact.PhaseWaiting, 0, ""},
		{"first byte timeout (reused connection)", false, fact.ReplyTimedOut, fact.PhaseWaiting, 0, ""},
		{"timeout", true, fact.CutMidReply, fact.PhaseReading, 0, ""},
		{"overflow", false, fact.ReplyTooBig, fact.PhaseWaiting, 0, ""},
		{"http read error: overflow", false, fact.ReplyTooBig, fact.PhaseWaiting, 0, ""},
		{"Received junk", false, fact.BadReply, fact.PhaseWaiting, 0, ""},
		{"http format error", false, fact.BadReply, fact.PhaseWaiting, 0, ""},
		{"backend write error: 104 (Connection reset by peer)", false, fact.ResetBeforeReply, fact.PhaseSending, 104, ""},
		{"req.body read error: 0 (Success)", false, fact.ClientGone, fact.PhaseSending, 0, ""},
		{"straight insufficient bytes", true, fact.CutMidReply, fact.PhaseReading, 0, ""},
		{"Resource temporarily unavailable", true, fact.CutMidReply, fact.PhaseReading, 0, ""},
		{"No thread available for bgfetch", false, fact.LimitHit, "", 0, ""},
	} {
		e, ok := readFetchError([]byte(tt.in), tt.reading)
		if !ok || e.ended != tt.want || e.phase != tt.phase || e.errno != tt.errno || string(e.backend) != tt.backend {
			t.Errorf("%s: %+v, %v, want %+v", tt.in, e, ok, tt)
		}
	}
	if _, ok := readFetchError([]byte("something new"), false); ok {
		t.Error("unknown words are taken")
	}
}

func TestNoVCL(t *testing.T) {
	if err := readVCL(nil, &source.Doc{Data: []byte("nothing here")}, &last{}); err == nil {
		t.Error("a text without any backend is read")
	}
}
