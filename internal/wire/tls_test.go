package wire

import (
	"strings"
	"testing"
	"time"

	"culprit/internal/wire/wiretest"
)

// TestTLS: what a handshake and the lengths of what is sealed show.
func TestTLS(t *testing.T) {
	sealed := wiretest.Sealed
	runTales(t, []tale{
		{"1.3, a hello over two packets, two turns", func(w *wiretest.Wire) {
			c := shop(w)
			c.TLS13("shop.test")
			c.Client(sealed(300))
			c.Server(sealed(900)+sealed(400), 700)
			w.Wait(5 * time.Second)
			c.Client(sealed(200)+sealed(100), 150)
			c.Server(sealed(24)) // a control frame, or an alert
			c.RST(server)
		}, `1   0 answered 1300 sent 300 opaque
		2   0 server reset 0 sent 300 opaque idle 5s
		stream 0 40000>80 tls rst by server reset by server sni "shop.test" alpn "http/1.1" answered data`},
		{"1.2", func(w *wiretest.Wire) {
			c := shop(w)
			c.TLS12("shop.test")
			c.Client(sealed(300))
			c.Server(sealed(900))
			w.Wait(75 * time.Second)
			c.Server(wiretest.Record(21, strings.Repeat("a", 26))) // closes, sealed
			c.Close(server)
		}, `1   0 answered 900 sent 300 opaque
		stream 0 40000>80 tls fin by server idle rest 1m15s sni "shop.test" alpn "http/1.1" answered data`},
		{"the server's alert", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Hello("shop.test", "h2", 32))
			c.Server(wiretest.Alert(40))
			c.Close(server)
		}, `stream 0 40000>80 tls fin by server sni "shop.test" alpn "h2" alert 40 by server`},
		{"the client's alert", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Hello("shop.test", "", 32))
			c.Server(wiretest.ServerHello() + wiretest.Record(22, "\x0b\x00\x00\x01x"))
			c.Client(wiretest.Alert(48))
			c.Close(client)
		}, `stream 0 40000>80 tls fin by client sni "shop.test" alpn "" answered alert 48 by client`},
		{"the client's sealed alert", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Hello("shop.test", "", 32))
			c.Server(wiretest.ServerHello() + wiretest.Record(20, "\x01") + sealed(900))
			c.Client(wiretest.Record(20, "\x01") + sealed(19))
			c.Close(client)
		}, `stream 0 40000>80 tls fin by client sni "shop.test" alpn "" answered alert 255 by client`},
		{"plain HTTP answered to a hello", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Hello("shop.test", "", 32))
			c.Server(wiretest.Answer(400, "The plain HTTP request was sent to HTTPS port"))
			c.Close(server)
		}, `stream 0 40000>80 tls fin by server sni "shop.test" alpn "" foreign "HTTP/1.1 400 Text"`},
		{"a hello sent to plain HTTP, in a server that knows", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(wiretest.Alert(70))
			c.Close(server)
		}, `1 GET /a 0 bad answer 0 bad "\x15\x03\x03\x00\x02\x02F"
		stream 0 40000>80 http fin by server idle`},
		{"no name", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Hello("", "", 32))
			c.RST(server)
		}, `stream 0 40000>80 tls rst by server reset by server sni "" alpn ""`},
		{"a gap within a record, then one over a record's head", func(w *wiretest.Wire) {
			c := shop(w)
			c.TLS13("shop.test")
			c.Client(sealed(300))
			c.Quiet = true
			text := sealed(4000) + sealed(500)
			c.Server(text[:1000])
			c.Server(text[1000:2000])
			w.Lose()
			c.Server(text[2000:3000])
			c.Server(text[3000:4200])
			w.Lose()
			c.Server(text[4200:])
			c.Ack(client)
			c.Client(sealed(200))
			c.Server(sealed(700))
			c.Ack(client)
		}, `1   0 answered 4000 sent 300 opaque
		2   0 open 700 sent 200 opaque
		stream 0 40000>80 tls gaps 2 sni "shop.test" alpn "http/1.1" answered data`},
	})
}

// TestTLSSplit: wherever packets end, the same is told.
func TestTLSSplit(t *testing.T) {
	fromClient := []string{wiretest.Hello("shop.test", "h2", 1216), wiretest.Record(20, "\x01") + wiretest.Sealed(69), wiretest.Sealed(300)}
	fromServer := []string{wiretest.ServerHello() + wiretest.Record(20, "\x01") + wiretest.Sealed(900), wiretest.Sealed(80), wiretest.Sealed(5000) + wiretest.Sealed(30)}
	const want = `1   0 open 5000 sent 300 opaque
stream 0 40000>80 tls sni "shop.test" alpn "h2" answered data`
	for step := 1; step < 400; step = step*5/4 + 1 {
		w := wiretest.New()
		c := shop(w)
		for i := range fromClient {
			for side, text := range []string{fromClient[i], fromServer[i]} {
				var cuts []int
				for k := step; k < len(text); k += step {
					cuts = append(cuts, k)
				}
				split(c, side, text, cuts...)
			}
		}
		if got := watch(t, wiretest.Pcap{}.File(w.Packets)).String(); got != want {
			t.Errorf("every %d bytes: got\n%s\nwant\n%s", step, got, want)
		}
	}
}

// h2 is a conversation in HTTP/2.
type h2 struct {
	*wiretest.Conn
	coders [2]wiretest.Coder
}

func (x *h2) ask(stream uint32, path string, fields ...string) string {
	return wiretest.Frame(wiretest.FrameHeaders, wiretest.EndStream|wiretest.EndHeaders, stream, x.coders[0].Block(append([]string{":method", "GET", ":path", path, ":authority", "shop.test"}, fields...)...))
}

func (x *h2) answer(stream uint32, status, body string) string {
	s := wiretest.Frame(wiretest.FrameHeaders, wiretest.EndHeaders, stream, x.coders[1].Block(":status", status, "server", "test"))
	return s + wiretest.Frame(wiretest.FrameData, wiretest.EndStream, stream, body)
}

const settings = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"

// TestH2: HTTP/2 in clear.
func TestH2(t *testing.T) {
	begin := func(w *wiretest.Wire) *h2 {
		x := &h2{Conn: shop(w)}
		x.Client(wiretest.Preface + settings)
		x.Server(settings + wiretest.Frame(wiretest.FrameWindow, 0, 0, wiretest.Number(1<<20)))
		return x
	}
	runTales(t, []tale{
		{"streams that end out of order", func(w *wiretest.Wire) {
			x := begin(w)
			x.Client(x.ask(1, "/a", "x-request-id", "r-1") + x.ask(3, "/b", "x-request-id", "r-2"))
			x.Server(x.answer(3, "200", "bb") + x.answer(1, "503", "a"))
		}, `2 GET /b 200 answered 2 id r-2
		1 GET /a 503 answered 1 id r-1
		stream 0 40000>80 h2`},
		{"GOAWAY", func(w *wiretest.Wire) {
			x := begin(w)
			x.Client(x.ask(1, "/a") + x.ask(3, "/b") + x.ask(5, "/c"))
			x.Server(wiretest.Frame(wiretest.FrameGoAway, 0, 0, wiretest.Number(1)+wiretest.Number(0)) + x.answer(1, "200", "a"))
			x.Close(server)
		}, `2 GET /b 0 gone away 0
		3 GET /c 0 gone away 0
		1 GET /a 200 answered 1
		stream 0 40000>80 h2 fin by server idle`},
		{"RST_STREAM by the server", func(w *wiretest.Wire) {
			x := begin(w)
			x.Client(x.ask(1, "/a") + x.ask(3, "/b"))
			x.Server(wiretest.Frame(wiretest.FrameReset, 0, 3, wiretest.Number(7)))
			x.Server(x.answer(1, "200", "aa"))
		}, `2 GET /b 0 stream reset 0 code 7
		1 GET /a 200 answered 2
		stream 0 40000>80 h2`},
		{"RST_STREAM within an answer, and by the client", func(w *wiretest.Wire) {
			x := begin(w)
			x.Client(x.ask(1, "/a") + x.ask(3, "/b"))
			answer := x.answer(1, "200", "aaa")
			x.Server(answer[:len(answer)-12])
			x.Server(wiretest.Frame(wiretest.FrameReset, 0, 1, wiretest.Number(2)))
			x.Client(wiretest.Frame(wiretest.FrameReset, 0, 3, wiretest.Number(8)))
		}, `1 GET /a 200 server cut 0 code 2
		2 GET /b 0 client reset 0 code 8
		stream 0 40000>80 h2`},
		{"a connection reset with streams open", func(w *wiretest.Wire) {
			x := begin(w)
			x.Client(x.ask(1, "/a") + x.ask(3, "/b"))
			x.RST(server)
		}, `1 GET /a 0 server reset 0
		2 GET /b 0 server reset 0
		stream 0 40000>80 h2 rst by server reset by server`},
		{"a head in three frames", func(w *wiretest.Wire) {
			x := begin(w)
			block := x.coders[0].Block(":method", "POST", ":path", "/a", ":authority", "shop.test", "x-request-id", "r-1", "x-long", strings.Repeat("long ", 200))
			x.Client(wiretest.Frame(wiretest.FrameHeaders, 0, 1, block[:20]) + wiretest.Frame(wiretest.FrameContinuation, 0, 1, block[20:60]) + wiretest.Frame(wiretest.FrameContinuation, wiretest.EndHeaders, 1, block[60:]))
			x.Client(wiretest.Frame(wiretest.FrameData, wiretest.EndStream, 1, "body"))
			x.Server(x.answer(1, "200", "a"))
			x.Client(x.ask(3, "/a", "x-long", strings.Repeat("long ", 200)))
			x.Server(x.answer(3, "200", ""))
		}, `1 POST /a 200 answered 1 sent 4 id r-1
		2 GET /a 200 answered 0
		stream 0 40000>80 h2`},
		{"trailers, as gRPC has them", func(w *wiretest.Wire) {
			x := begin(w)
			x.Client(x.ask(1, "/a"))
			x.Server(wiretest.Frame(wiretest.FrameHeaders, wiretest.EndHeaders, 1, x.coders[1].Block(":status", "200")) + wiretest.Frame(wiretest.FrameData, 0, 1, "data") +
				wiretest.Frame(wiretest.FrameHeaders, wiretest.EndStream|wiretest.EndHeaders, 1, x.coders[1].Block("grpc-status", "14")))
		}, `1 GET /a 200 answered 4
		stream 0 40000>80 h2`},
		{"upgraded from HTTP/1", func(w *wiretest.Wire) {
			x := &h2{Conn: shop(w)}
			x.Client(get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
			x.Server("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + settings + x.answer(1, "200", "a"))
			x.Client(wiretest.Preface + settings)
			x.Client(x.ask(3, "/b"))
			x.Server(x.answer(3, "200", "bb"))
		}, `1 GET /a 101 answered 0
		2 GET /b 200 answered 2
		stream 0 40000>80 h2`},
		{"PROXY before it", func(w *wiretest.Wire) {
			x := &h2{Conn: shop(w)}
			x.Client("PROXY UNKNOWN\r\n" + wiretest.Preface + settings + x.ask(1, "/a"))
			x.Server(settings + x.answer(1, "200", "a"))
		}, `1 GET /a 200 answered 1
		stream 0 40000>80 h2`},
	})
}

// TestH2Split: wherever packets end, the same is told.
func TestH2Split(t *testing.T) {
	var x h2
	ask := wiretest.Preface + settings + x.ask(1, "/a") + x.ask(3, "/b") + wiretest.Frame(wiretest.FrameHeaders, wiretest.EndHeaders, 5, x.coders[0].Block(":method", "PUT", ":path", "/c")) + wiretest.Frame(wiretest.FrameData, wiretest.EndStream, 5, strings.Repeat("c", 300))
	answers := settings + x.answer(3, "200", strings.Repeat("b", 300)) + x.answer(1, "404", "a") + x.answer(5, "200", "")
	const want = `2 GET /b 200 answered 300
1 GET /a 404 answered 1
3 PUT /c 200 answered 0 sent 300
stream 0 40000>80 h2`
	for step := 1; step < 100; step++ {
		for _, first := range []int{0, 40} {
			w := wiretest.New()
			c := shop(w)
			if first > 0 {
				c.Server(settings)
			}
			for side, text := range []string{ask, answers} {
				if side == 1 && first > 0 {
					text = text[len(settings):]
				}
				var cuts []int
				for k := step; k < len(text); k += step {
					cuts = append(cuts, k)
				}
				split(c, side, text, cuts...)
			}
			if got := watch(t, wiretest.Pcap{}.File(w.Packets)).String(); got != want {
				t.Fatalf("every %d bytes: got\n%s\nwant\n%s", step, got, want)
			}
		}
	}
}
