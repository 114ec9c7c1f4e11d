package wire

import (
	"strings"
	"testing"
	"time"

	"culprit/internal/wire/wiretest"
)

// TestHTTP: requests and answers find each other.
func TestHTTP(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	runTales(t, []tale{
		{"cut within Content-Length, FIN", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(ok(strings.Repeat("x", 1000))[:500])
			c.Close(server)
		}, `1 GET /a 200 server cut 457/1000
		stream 0 40000>80 http fin by server`},
		{"cut within Content-Length, RST", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(ok(strings.Repeat("x", 1000))[:500])
			c.RST(server)
		}, `1 GET /a 200 server cut 457/1000
		stream 0 40000>80 http rst by server reset by server`},
		{"cut within a chunk", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "Transfer-Encoding: chunked\r\n\r\n10\r\nabc")
			c.Close(server)
		}, `1 GET /a 200 server cut 3
		stream 0 40000>80 http fin by server`},
		{"cut before the last chunk", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			c.Close(server)
		}, `1 GET /a 200 server cut 3
		stream 0 40000>80 http fin by server`},
		{"an error page within a chunked answer", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
			c.Server("HTTP/1.1 500 Internal Server Error\r\n\r\n")
			c.Close(server)
		}, `1 GET /a 200 server cut 3
		stream 0 40000>80 http fin by server`},
		{"the same, and the client closes", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nHTTP/1.1 500 Internal Server Error\r\n\r\n")
			c.Close(client)
		}, `1 GET /a 200 server cut 3
		stream 0 40000>80 http fin by client`},
		{"chunks that do not end where they say", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n")
			c.RST(server)
		}, `1 GET /a 200 server cut 3
		stream 0 40000>80 http rst by server reset by server`},
		{"a chunk of more bytes than there are numbers", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "Transfer-Encoding: chunked\r\n\r\n100000000000000000\r\nabc")
			c.Close(server)
		}, `1 GET /a 200 server cut 0
		stream 0 40000>80 http fin by server`},
		{"up to the close", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "\r\nhello")
			c.Server(" world")
			c.Close(server)
		}, `1 GET /a 200 answered 11
		stream 0 40000>80 http fin by server`},
		{"up to the close, which is seen first", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Quiet = true
			c.Server(head + "\r\nhello")
			c.Send(server, fin|ack, " world")
			w.Swap()
			c.Ack(client)
		}, `1 GET /a 200 answered 11
		stream 0 40000>80 http fin by server`},
		{"up to a reset", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "\r\nhello")
			c.RST(server)
		}, `1 GET /a 200 server cut 5
		stream 0 40000>80 http rst by server reset by server`},
		{"cut within the head", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(head + "Content-Le")
			c.Close(server)
		}, `1 GET /a 0 server closed 0
		stream 0 40000>80 http fin by server`},
		{"an early answer, and a reset", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Post("/up", strings.Repeat("b", 5000))[:2000])
			c.Server(wiretest.Answer(413, "too large"))
			c.Send(client, ack, strings.Repeat("b", 1000))
			c.RST(server)
		}, `1 POST /up 413 answered 9/9 sent 2940 unsent early
		stream 0 40000>80 http rst by server reset by server`},
		{"an early answer, and the body goes on", func(w *wiretest.Wire) {
			c := shop(w)
			post := wiretest.Post("/up", strings.Repeat("b", 5000))
			c.Client(post[:2000])
			c.Server(wiretest.Answer(413, "too large"))
			c.Client(post[2000:])
			c.Ask("/b")
		}, `1 POST /up 413 answered 9/9 sent 5000 early
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"100-continue", func(w *wiretest.Wire) {
			c := shop(w)
			post := wiretest.Post("/up", "body", "Expect: 100-continue")
			c.Client(post[:len(post)-4])
			c.Server("HTTP/1.1 100 Continue\r\n\r\n")
			c.Client("body")
			c.Server(ok("hello"))
			c.Ask("/b")
		}, `1 POST /up 200 answered 5/5 sent 4
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"100-continue refused, and the body is not sent", func(w *wiretest.Wire) {
			c := shop(w)
			post := wiretest.Post("/up", "body", "Expect: 100-continue")
			c.Client(post[:len(post)-4])
			c.Server(wiretest.Answer(417, "no"))
			c.Ask("/b")
		}, `1 POST /up 417 answered 2/2 unsent early
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"early hints", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server("HTTP/1.1 103 Early Hints\r\nLink: </s.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok("hello"))
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http`},
		{"HEAD, 204, 304", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client("HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n")
			c.Server(head + "Content-Length: 500\r\n\r\n")
			c.Client(get("/b"))
			c.Server("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n")
			c.Client(get("/c"))
			c.Server("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n")
			c.Ask("/d")
		}, `1 HEAD /a 200 answered 0/500
		2 GET /b 204 answered 0
		3 GET /c 304 answered 0/99
		4 GET /d 200 answered 5/5
		stream 0 40000>80 http`},
		{"upgrade", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/ws", "Upgrade: websocket", "Connection: Upgrade"))
			c.Server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")
			w.Wait(time.Minute)
			c.Client("\x81\x85GET / HTTP/1.1\r\n\r\n")
			c.RST(server)
		}, `1 GET /ws 101 answered 0
		stream 0 40000>80 http rst by server idle reset by server`},
		{"CONNECT, then TLS", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client("CONNECT shop.test:443 HTTP/1.1\r\n\r\n")
			c.Server("HTTP/1.1 200 Connection established\r\n\r\n")
			c.TLS12("shop.test")
			c.Client(wiretest.Sealed(300))
			c.Server(wiretest.Sealed(900))
			c.Close(server)
		}, `1 CONNECT shop.test:443 200 answered 0
		stream 0 40000>80 http fin by server idle`},
		{"CONNECT refused, then again", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client("CONNECT shop.test:443 HTTP/1.1\r\n\r\n")
			c.Server(wiretest.Answer(407, "who?"))
			c.Ask("/b")
		}, `1 CONNECT shop.test:443 407 answered 4/4
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"pipelined in one segment", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a") + wiretest.Post("/b", "body") + get("/c"))
			c.Server(ok("one") + wiretest.Chunked("two", "2"))
			c.Server(ok("three"))
		}, `1 GET /a 200 answered 3/3
		2 POST /b 200 answered 4 sent 4
		3 GET /c 200 answered 5/5
		stream 0 40000>80 http`},
		{"pipelined, two answered", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a") + get("/b") + get("/c") + get("/d"))
			c.Server(ok("one") + ok("two"))
			c.RST(server)
		}, `1 GET /a 200 answered 3/3
		2 GET /b 200 answered 3/3
		3 GET /c 0 server reset 0
		4 GET /d 0 server reset 0
		stream 0 40000>80 http rst by server reset by server`},
		{"a chunked request", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client("POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n" + wiretest.Chunks("abc", "defgh"))
			c.Server(ok(""))
			c.Ask("/b")
		}, `1 POST /a 200 answered 0/0 sent 8
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"an answer without a request", func(w *wiretest.Wire) {
			c := shop(w)
			w.Wait(10 * time.Second)
			c.Server(wiretest.Answer(408, "slow"))
			c.Close(server)
		}, `0   408 answered 4/4 unpaired
		stream 0 40000>80 http fin by server`},
		{"no HTTP", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server("\x00\x01\x02 what is this")
			c.Close(server)
		}, `1 GET /a 0 bad answer 0 bad "\x00\x01\x02 what is "
		stream 0 40000>80 http fin by server idle`},
		{"ids, and who passes it on", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a", "X-Request-ID: r-1", "Via: 1.1 edge", "traceparent: 00-ab-cd-01", "X-Empty:"))
			c.Server(ok(""))
		}, `1 GET /a 200 answered 0/0 proxied id r-1 id 00-ab-cd-01
		stream 0 40000>80 http`},
		{"bare line feeds, and empty lines between", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client("\r\n\nGET /a HTTP/1.0\nHost: a\n\n")
			c.Server("HTTP/1.0 200 OK\nContent-Length: 2\n\nhi")
			c.Client("\r\n" + get("/b"))
			c.Server(ok("hello"))
		}, `1 GET /a 200 answered 2/2
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"a head over the bound", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client("GET /a HTTP/1.1\r\n")
			for range 60 {
				c.Client("X-Long: " + strings.Repeat("x", 1000) + "\r\n")
			}
			c.Client("\r\n")
			c.Server(wiretest.Answer(431, "long"))
			c.Ask("/b")
		}, `0   431 answered 4/4 unpaired
		1 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"a head that ends in a segment as large as offloading makes them", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Post("/a", strings.Repeat("b", 60_000)), 30)
			c.Server(ok(strings.Repeat("x", 60_000)), 20)
			c.Ask("/b")
		}, `1 POST /a 200 answered 60000/60000 sent 60000
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"lost within an answer that came in parts", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Quiet = true
			c.Server(head + "Content-Le")
			c.Server("ngth: 5\r\n\r\nhello")
			w.Lose()
			c.Ack(client)
			c.Quiet = false
			c.Ask("/b")
		}, `1 GET /a 0 open 0
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
	})
}

// split sends text from side with a border at every one of cuts.
func split(c *wiretest.Conn, side int, text string, cuts ...int) {
	from := 0
	for _, k := range cuts {
		if k > from && k < len(text) {
			c.Send(side, ack, text[from:k])
			from = k
		}
	}
	c.Send(side, ack, text[from:])
	c.Ack(1 - side)
}

// TestSplit: wherever packets end, the same is told.
func TestSplit(t *testing.T) {
	ask := "PURGE /p HTTP/1.1\r\nHost: a\r\n\r\n" + wiretest.Post("/b", "12345") + "\r\nPOST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + wiretest.Chunks("abc", "defgh") + "FROBNICATE /d HTTP/1.1\r\n\r\n"
	answers := "HTTP/1.1 100 Continue\r\n\r\n" + ok("one") + wiretest.Chunked("first", "second", strings.Repeat("3", 30)) + "HTTP/1.1 304 Not Modified\r\n\r\n" + ok("last")
	const want = `1 PURGE /p 200 answered 3/3
2 POST /b 200 answered 41 sent 5
3 POST /c 304 answered 0 sent 8
4 FROBNICATE /d 200 answered 4/4
stream 0 40000>80 http`
	try := func(name string, cuts func(text string) []int) {
		t.Helper()
		w := wiretest.New()
		c := shop(w)
		split(c, client, ask, cuts(ask)...)
		split(c, server, answers, cuts(answers)...)
		if got := watch(t, wiretest.Pcap{}.File(w.Packets)).String(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	every := func(step int) func(string) []int {
		return func(text string) (cuts []int) {
			for k := step; k < len(text); k += step {
				cuts = append(cuts, k)
			}
			return cuts
		}
	}
	for step := 1; step < 60; step++ {
		try("every so many bytes", every(step))
	}
	for at := 1; at < max(len(ask), len(answers)); at++ {
		try("in two", func(string) []int { return []int{at} })
		try("in three", func(string) []int { return []int{at, at + 1} })
	}
}

// TestProxyProtocol: what a balancer says first is taken off.
func TestProxyProtocol(t *testing.T) {
	const v1 = "PROXY TCP4 203.0.113.7 10.0.0.2 51000 443\r\n"
	const v2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\x0a\x00\x00\x02\xc7\x38\x01\xbb"
	var tales []tale
	for name, front := range map[string]string{"v1": v1, "v2": v2} {
		for at, how := range []string{"in one segment", "in a segment of its own", "in two segments"} {
			cuts := [][]int{nil, {len(front)}, {9, len(front)}}[at]
			tales = append(tales, tale{name + " before HTTP " + how, func(w *wiretest.Wire) {
				c := shop(w)
				split(c, client, front+get("/a"), cuts...)
				c.Server(ok("hello"))
			}, "1 GET /a 200 answered 5/5\nstream 0 40000>80 http"}, tale{name + " before TLS " + how, func(w *wiretest.Wire) {
				c := shop(w)
				split(c, client, front+wiretest.Hello("shop.test", "h2", 32), cuts...)
				c.Server(wiretest.ServerHello())
			}, `stream 0 40000>80 tls sni "shop.test" alpn "h2" answered`})
		}
	}
	runTales(t, tales)
}
