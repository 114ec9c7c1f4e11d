package wire

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"culprit/internal/wire/wiretest"
)

// Short names for what the tales are full of.
const (
	client = wiretest.Client
	server = wiretest.Server
	syn    = wiretest.SYN
	ack    = wiretest.ACK
	fin    = wiretest.FIN
	rst    = wiretest.RST
)

var (
	get = wiretest.Get
	ok  = wiretest.OK
)

// TestTCP: what befalls a connection.
func TestTCP(t *testing.T) {
	runTales(t, []tale{
		{"orderly", func(w *wiretest.Wire) {
			c := shop(w)
			c.Ask("/a")
			w.Wait(3 * time.Second)
			c.Close(server)
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http fin by server idle rest 3s`},
		{"reset before the reply", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.RST(server)
		}, `1 GET /a 0 server reset 0
		stream 0 40000>80 http rst by server reset by server`},
		{"FIN before the reply", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Close(server)
		}, `1 GET /a 0 server closed 0
		stream 0 40000>80 http fin by server`},
		{"the race for an idle connection", func(w *wiretest.Wire) {
			c := shop(w)
			c.Ask("/a")
			w.Wait(5 * time.Second)
			c.Send(server, fin|ack, "")
			c.SendAt(client, ack, 0, get("/b")) // sent before the FIN came
			c.SendAt(server, rst, 0, "")
		}, `1 GET /a 200 answered 5/5
		2 GET /b 0 server reset 0 unaware idle 5s
		stream 0 40000>80 http fin by server idle rest 5s reset by server`},
		{"the client gives up", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			w.Wait(30 * time.Second)
			c.Close(client)
		}, `1 GET /a 0 client closed 0
		stream 0 40000>80 http fin by client rest 30s`},
		{"the client resets within the answer", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Server(ok(strings.Repeat("x", 3000))[:2000])
			c.RST(client)
		}, `1 GET /a 200 client reset 1957/3000
		stream 0 40000>80 http rst by client reset by client`},
		{"half-closed by the client, answered", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.FIN(client)
			c.Server(ok("hello"))
			c.FIN(server)
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http fin by client`},
		{"refused", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.Send(client, syn, "")
			c.Next[server] = 0
			c.RST(server)
		}, `stream 0 40000>80 rst by server refused reset by server`},
		{"unanswered", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			for i := range 4 {
				c.SendAt(client, syn, 0, "")
				w.Wait(time.Second << i)
			}
		}, `stream 0 40000>80 unanswered syns 4`},
		{"SYN sent again, then answered", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.SendAt(client, syn, 0, "")
			w.Wait(time.Second)
			c.Open()
			c.Ask("/a")
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http syns 2`},
		{"SYN/ACK before the SYN", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.Send(client, syn, "")
			c.Send(server, syn|ack, "")
			w.Swap()
			c.Ask("/a")
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http`},
		{"port reuse", func(w *wiretest.Wire) {
			for range 3 {
				c := shop(w) // each with its own sequence numbers
				c.Ask("/a")
				c.Close(client)
			}
		}, `1 GET /a 200 answered 5/5
		1 GET /a 200 answered 5/5
		1 GET /a 200 answered 5/5
		stream 0 40000>80 http fin by client idle
		stream 1 40000>80 http fin by client idle
		stream 2 40000>80 http fin by client idle`},
		{"sequence numbers go round", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.Next = [2]uint32{1<<32 - 30, 1<<32 - 50}
			c.Open()
			c.Client(get("/a"), 10, 10, 10)
			c.Server(ok(strings.Repeat("x", 100)), 20, 20, 20)
			w.Swap()
			c.Ask("/b")
			c.RST(server)
		}, `1 GET /a 200 answered 100/100
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http rst by server idle reset by server`},
		{"a blind reset", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.SendAt(server, rst, 1<<31-5, "")
			c.Server(ok("hello"))
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http`},
		{"a number half the space behind", func(w *wiretest.Wire) {
			c := shop(w)
			c.SendAt(client, ack, -1<<31, get("/b"))
			c.Ask("/a")
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http again 1`},
		{"an injected reset that nobody heeds", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.TTL[server] = 200
			c.SendAt(server, rst|ack, 0, "")
			c.TTL[server] = 63
			c.Server(ok("hello"))
			w.Wait(time.Second)
			c.Ask("/b")
		}, `1 GET /a 200 answered 5/5
		2 GET /b 200 answered 5/5 idle 1s
		stream 0 40000>80 http`},
		{"an injected reset that the client heeds", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.TTL[server] = 200
			c.SendAt(server, rst|ack, 0, "")
			w.Wait(time.Second)
		}, `1 GET /a 0 server reset 0
		stream 0 40000>80 http rst by server foreign reset by server`},
		{"keep-alive probes", func(w *wiretest.Wire) {
			c := shop(w)
			c.Ask("/a")
			for range 5 {
				w.Wait(15 * time.Second)
				c.SendAt(client, ack, -1, "")
				c.Ack(server)
				c.SendAt(client, ack, -1, "\x00")
				c.Ack(server)
			}
			c.Close(server)
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http fin by server idle rest 1m15s`},
		{"zero windows", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Quiet = true
			for range 2 {
				c.Server(ok(strings.Repeat("x", 1000))[:500])
				c.Window = 0
				c.Ack(client)
				c.Ack(client)
				c.Window = 500
				c.Ack(client)
			}
		}, `1 GET /a 200 open 957/1000
		stream 0 40000>80 http zero 2`},
		{"sent again", func(w *wiretest.Wire) {
			c := shop(w)
			c.Send(client, ack, get("/a"))
			w.Again(1, 250*time.Millisecond)
			w.Again(1, 500*time.Millisecond)
			c.Ack(server)
			c.Server(ok("hello"))
			c.Close(client)
			w.Again(3, 200*time.Millisecond)
		}, `1 GET /a 200 answered 5/5
		stream 0 40000>80 http fin by client idle again 2`},
		{"all seen twice", func(w *wiretest.Wire) {
			c := shop(w)
			c.Ask("/a")
			w.Wait(time.Second)
			c.Client(get("/b"))
			c.RST(server)
			var twice []wiretest.Packet
			for _, p := range w.Packets {
				q := p
				q.Time += 3000
				twice = append(twice, p, q)
			}
			w.Packets = twice
		}, `1 GET /a 200 answered 5/5
		2 GET /b 0 server reset 0 idle 1s
		stream 0 40000>80 http rst by server reset by server`},
		{"lost, and sent again", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Quiet = true
			head := ok(strings.Repeat("x", 3000))
			c.Server(head[:1000])
			w.Lose()
			c.Server(head[1000:2000])
			c.AckLess(client, 2000)
			c.Server(head[2000:])
			c.SendAt(server, ack, -len(head), head[:1000])
		}, `1 GET /a 200 answered 3000/3000
		stream 0 40000>80 http`},
		{"a gap that is acknowledged", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Quiet = true
			answer := ok(strings.Repeat("x", 3000))
			c.Server(answer[:1000])
			c.Server(answer[1000:2000])
			w.Lose()
			c.Server(answer[2000:])
			c.Ack(client)
			c.Quiet = false
			c.Ask("/b")
		}, `1 GET /a 200 answered 3000/3000
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http gaps 1`},
		{"a gap with the next head in it", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(get("/a"))
			c.Send(server, ack, ok("hello"))
			w.Lose()
			c.Ack(client)
			c.Ask("/b")
		}, `1 GET /a 0 open 0
		2 GET /b 200 answered 5/5
		stream 0 40000>80 http`},
		{"a short snap length", func(w *wiretest.Wire) {
			c := shop(w)
			c.Quiet = true
			for range 3 {
				c.Client(wiretest.Post("/a", strings.Repeat("b", 1000)))
				w.Cut(900)
				c.Server(ok(strings.Repeat("x", 1000)))
				w.Cut(990)
			}
			c.Close(server)
		}, `1 POST /a 200 answered 1000/1000 sent 1000
		2 POST /a 200 answered 1000/1000 sent 1000
		3 POST /a 200 answered 1000/1000 sent 1000
		stream 0 40000>80 http fin by server idle gaps 6`},
		{"headers alone", func(w *wiretest.Wire) {
			c := shop(w)
			c.Quiet = true
			c.Client(get("/a"))
			w.Cut(len(get("/a")))
			c.Server(ok("hello"))
			w.Cut(len(ok("hello")))
			c.Close(server)
		}, `stream 0 40000>80 fin by server gaps 2`},
	})
}

// TestMid: captures that begin within a connection, or see one side of it.
func TestMid(t *testing.T) {
	runTales(t, []tale{
		{"the client first", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.Ask("/a")
			c.Client(get("/b"))
			c.RST(server)
		}, `0 GET /a 200 answered 5/5
		0 GET /b 0 server reset 0
		stream 0 40000>80 http rst by server mid reset by server`},
		{"the server first", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.Server(ok("hello"))
			c.Ask("/b")
		}, `0   200 answered 5/5 unpaired
		0 GET /b 200 answered 5/5
		stream 0 40000>80 http mid`},
		{"in the middle of an answer", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.Server("the rest of a body")
			c.Ask("/b")
		}, `0 GET /b 200 answered 5/5
		stream 0 40000>80 http mid`},
		{"the server has the greater port, its acknowledgement first", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:1024", "10.0.0.2:8080")
			c.Ack(server)
			c.Ask("/b")
			c.Client(get("/c"))
			c.Close(server)
		}, `0 GET /b 200 answered 5/5
		0 GET /c 0 server closed 0
		stream 0 1024>8080 http fin by server mid`},
		{"the server has the greater port, its FIN first", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:1024", "10.0.0.2:8080")
			c.Send(server, fin|ack, "")
			c.Send(client, ack, get("/c"))
			c.SendAt(server, rst, 0, "")
		}, `0 GET /c 0 server reset 0 unaware
		stream 0 1024>8080 http fin by server mid reset by server`},
		{"the server has the greater port, a hello", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:1024", "10.0.0.2:8443")
			c.Ack(client)
			c.TLS12("shop.test")
		}, `stream 0 1024>8443 tls mid sni "shop.test" alpn "http/1.1" answered`},
		{"the client's side alone", func(w *wiretest.Wire) {
			c := shop(w)
			c.Ask("/a")
			c.Client(get("/b"))
			c.Close(client)
			w.Packets = slices.DeleteFunc(w.Packets, func(p wiretest.Packet) bool { return p.Data[15] == 2 })
		}, `1 GET /a 0 open 0
		2 GET /b 0 open 0
		stream 0 40000>80 http fin by client onesided`},
		{"the server's side alone", func(w *wiretest.Wire) {
			c := shop(w)
			c.Ask("/a")
			c.Ask("/b")
			c.Close(server)
			w.Packets = slices.DeleteFunc(w.Packets, func(p wiretest.Packet) bool { return p.Data[15] == 1 })
		}, `0   200 answered 5/5 unpaired
		0   200 answered 5/5 unpaired
		stream 0 40000>80 http fin by server mid onesided`},
		{"a reset alone", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:40000", "10.0.0.2:80")
			c.RST(server)
		}, `stream 0 40000>80 rst by server mid onesided reset by server`},
	})
}

// TestShuffle: segments in any order, overlapping, some of them twice, tell the
// same as in theirs.
func TestShuffle(t *testing.T) {
	ask := get("/a") + wiretest.Post("/b", strings.Repeat("b", 900)) + get("/c")
	answers := ok(strings.Repeat("1", 700)) + wiretest.Chunked("one", strings.Repeat("2", 400), "three") + ok("hello")
	const want = "1 GET /a 200 answered 700/700\n2 POST /b 200 answered 408 sent 900\n3 GET /c 200 answered 5/5\nstream 0 40000>80 http fin by server idle"
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := wiretest.New()
		c := shop(w)
		for side, text := range []string{ask, answers} {
			from := len(w.Packets)
			for at := 0; at < len(text); {
				n := min(1+r.IntN(120), len(text)-at)
				back := min(r.IntN(60)*r.IntN(2), at) // overlaps what went before
				c.SendAt(side, ack, at-back, text[at-back:at+n])
				if r.IntN(8) == 0 {
					w.Again(1+r.IntN(2), time.Duration(r.IntN(20))*time.Millisecond)
				}
				at += n
			}
			c.Next[side] += uint32(len(text))
			window := w.Packets[from:]
			const reach = 24
			for i := range window {
				j := min(len(window)-1, i+r.IntN(reach))
				window[i].Data, window[j].Data = window[j].Data, window[i].Data
			}
			c.Ack(1 - side)
		}
		c.Close(server)
		if got := watch(t, wiretest.Pcap{}.File(w.Packets)); !strings.HasPrefix(got.String(), want) || got.stats.Gaps > 0 {
			t.Fatalf("seed %d: got\n%s\n%+v\nwant\n%s", seed, got, got.stats, want)
		}
	}
}
