package pcap_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/wire/wiretest"
)

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

// ends are a client, a gateway (as it is asked, and as it asks) and two
// servers.
type ends struct{ client, front, back, app, app2 string }

var (
	apart   = ends{"203.0.113.9", "10.0.0.1:80", "10.0.0.1", "10.0.0.2:3000", "10.0.0.3:3000"}
	onOne   = ends{"127.0.0.1", "127.0.0.1:8080", "127.0.0.1", "127.0.0.1:3000", "127.0.0.1:3001"}
	onOneV6 = ends{"[::1]", "[::1]:8080", "127.0.0.1", "127.0.0.1:3000", "127.0.0.1:3001"}
)

// legs are the connections of one request through a gateway.
func (x *ends) legs(w *wiretest.Wire, port int) (front, back, back2 *wiretest.Conn) {
	at := func(host string, more int) string { return fmt.Sprintf("%s:%d", host, port+more) }
	return w.Conn(at(x.client, 0), x.front), w.Conn(at(x.back, 10_000), x.app), w.Conn(at(x.back, 20_000), x.app2)
}

const via = "X-Forwarded-For: 203.0.113.9"

// TestTwoLegs: a request whose both legs were captured is told once, as the
// gateway saw it.
func TestTwoLegs(t *testing.T) {
	for name, x := range map[string]ends{"apart": apart, "on one machine": onOne, "on one machine, asked over IPv6": onOneV6} {
		for what, s := range map[string]struct {
			play func(w *wiretest.Wire, front, back, back2 *wiretest.Conn)
			want string
		}{
			"fine": {func(w *wiretest.Wire, front, back, _ *wiretest.Conn) {
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				back.Server(ok("hello"))
				front.Server(ok("hello"))
			}, "gateway: GET /a 200; APP 200"},
			"reset, 502": {func(w *wiretest.Wire, front, back, _ *wiretest.Conn) {
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				back.RST(server)
				front.Server(wiretest.Answer(502, "bad"))
			}, "gateway: GET /a 502 reset-before-reply by self; APP - reset-before-reply"},
			"the race for an idle connection": {func(w *wiretest.Wire, front, back, _ *wiretest.Conn) {
				front.Client(get("/first"))
				back.Open().Client(get("/first", via))
				back.Server(ok("hello"))
				front.Server(ok("hello"))
				w.Wait(5 * time.Second)
				front.Client(get("/a"))
				back.Send(server, fin|ack, "")
				back.SendAt(client, ack, 0, get("/a", via))
				back.SendAt(server, rst, 0, "")
				front.Server(wiretest.Answer(502, "bad"))
			}, "gateway: GET /first 200; APP 200\ngateway: GET /a 502 reset-before-reply by self; APP - reset-before-reply closed 200µs before"},
			"tried again, fine": {func(w *wiretest.Wire, front, back, back2 *wiretest.Conn) {
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				back.RST(server)
				back2.Open().Client(get("/a", via))
				back2.Server(ok("hello"))
				front.Server(ok("hello"))
			}, "gateway: GET /a 200; APP - reset-before-reply; APP2 200"},
			"tried again, in vain": {func(w *wiretest.Wire, front, back, back2 *wiretest.Conn) {
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				back.RST(server)
				back2.Open().Client(get("/a", via))
				back2.Close(server)
				front.Server(wiretest.Answer(502, "bad"))
			}, "gateway: GET /a 502 closed-before-reply by self; APP - reset-before-reply; APP2 - closed-before-reply"},
			"refused, 502": {func(w *wiretest.Wire, front, back, _ *wiretest.Conn) {
				front.Client(get("/a"))
				back.Send(client, syn, "")
				back.Next[server] = 0
				back.RST(server)
				front.Server(wiretest.Answer(502, "bad"))
			}, "gateway: GET /a 502 refused by self; APP - refused"},
			"the application's own 503": {func(w *wiretest.Wire, front, back, _ *wiretest.Conn) {
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				back.Server(wiretest.Answer(503, "busy"))
				front.Server(wiretest.Answer(503, "busy"))
			}, "gateway: GET /a 503 app-answered by backend; APP 503 app-answered"},
			"the gateway gives up": {func(w *wiretest.Wire, front, back, _ *wiretest.Conn) {
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				w.Wait(60 * time.Second)
				back.Close(client)
				front.Server(wiretest.Answer(504, "late"))
			}, "gateway: GET /a 504 reply-timed-out by self; APP - reply-timed-out"},
			"the client goes": {func(w *wiretest.Wire, front, back, _ *wiretest.Conn) {
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				w.Wait(2700 * time.Millisecond)
				front.Close(client)
				back.Close(client)
			}, "gateway: GET /a - client-gone; APP - client-gone"},
			"an error page that is none": {func(w *wiretest.Wire, front, back, back2 *wiretest.Conn) {
				// Three hops: the one in the middle says 503, the first hides it.
				front.Client(get("/a"))
				back.Open().Client(get("/a", via))
				back2.At[client] = netip.AddrPortFrom(back.At[server].Addr(), 61000)
				back2.Open().Client(get("/a", via))
				back2.Server(wiretest.Answer(503, "busy"))
				back.Server(wiretest.Answer(503, "busy"))
				front.Server(ok("we are sorry"))
			}, ""},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				w := wiretest.New()
				front, back, back2 := x.legs(w, 30_000)
				front.Open()
				s.play(w, front, back, back2)
				w.Wait(10 * time.Second)
				front.Close(client)
				facts, rep := feed(t, "a.pcap", capture(w), source.Options{All: true})
				if rep.Err != nil {
					t.Fatal(rep.Err)
				}
				if s.want == "" {
					return
				}
				check(t, requests(facts), strings.NewReplacer("APP2", x.app2, "APP", x.app).Replace(s.want))
			})
		}
	}
}

// TestOneLeg: of a gateway's leg alone, its client is the party.
func TestOneLeg(t *testing.T) {
	w := wiretest.New()
	_, back, back2 := apart.legs(w, 30_000)
	back.Open().Client(get("/a", via))
	back.RST(server)
	back2.Open().Client(get("/a", via))
	back2.Server(ok("hello"))
	w.Wait(10 * time.Second)
	back2.Client(get("/b", via))
	back2.Server(wiretest.Answer(500, "no"))
	facts, _ := feed(t, "a.pcap", capture(w), source.Options{All: true})
	check(t, requests(facts), `gateway: GET /a 200; 10.0.0.2:3000 - reset-before-reply; 10.0.0.3:3000 200
	gateway: GET /b 500 app-answered by backend; 10.0.0.3:3000 500 app-answered`)
}

// TestNobodyFailed: what clients get over by themselves is no failed request.
func TestNobodyFailed(t *testing.T) {
	for name, play := range map[string]func(w *wiretest.Wire){
		"localhost is ::1 first": func(w *wiretest.Wire) {
			for i := range 5 {
				c := w.Conn(fmt.Sprintf("[::1]:%d", 40000+i), "[::1]:8080")
				c.Send(client, syn, "")
				c.Next[server] = 0
				c.RST(server)
				c = w.Conn(fmt.Sprintf("127.0.0.1:%d", 50000+i), "127.0.0.1:8080").Open()
				c.Ask("/a")
				c.Close(client)
				w.Wait(time.Second)
			}
		},
		"happy eyeballs": func(w *wiretest.Wire) {
			six := w.Conn("[2001:db8::9]:40000", "[2001:db8::1]:443")
			six.SendAt(client, syn, 0, "")
			w.Wait(250 * time.Millisecond)
			four := w.Conn("203.0.113.9:40001", "198.51.100.1:443").Open()
			four.Ask("/a")
			w.Wait(800 * time.Millisecond)
			six.SendAt(client, syn, 0, "")
			w.Wait(2 * time.Second)
			six.SendAt(client, syn, 0, "")
			w.Wait(20 * time.Second)
			four.Ask("/b")
		},
		"the clients' side alone": func(w *wiretest.Wire) {
			for i := range 5 {
				c := w.Conn(fmt.Sprintf("10.0.0.9:%d", 40000+i), "10.0.0.1:80").Open()
				c.Ask("/a")
				w.Wait(20 * time.Second)
				c.Close(client)
			}
			w.Packets = slices.DeleteFunc(w.Packets, func(p wiretest.Packet) bool { return p.Data[15] == 1 })
		},
		"browsers close as they like": func(w *wiretest.Wire) {
			for i := range 3 {
				c := w.Conn(fmt.Sprintf("10.0.0.9:%d", 40000+i), "10.0.0.1:80").Open()
				c.Ask("/a")
				w.Wait(time.Duration(i) * 700 * time.Millisecond)
				c.RST(client)
			}
			w.Conn("10.0.0.9:40010", "10.0.0.1:80").Open().Close(client) // opened ahead, never used
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := wiretest.New()
			play(w)
			facts, _ := feed(t, "a.pcap", capture(w), source.Options{All: true})
			for _, f := range facts {
				if r, ok := f.(*fact.Request); ok && (r.Ended != "" || !r.Status.Known || r.Status.N >= 500) {
					t.Errorf("stated as failed: %s", tell(r))
				}
			}
		})
	}
}

// TestMeasured: time-outs that show are stated, noise is not.
func TestMeasured(t *testing.T) {
	idle := func(w *wiretest.Wire, side int, rests ...time.Duration) {
		for i, d := range rests {
			c := w.Conn(fmt.Sprintf("10.0.0.1:%d", 40000+i), "10.0.0.2:3000").Open()
			c.Ask("/a")
			w.Wait(d)
			c.Close(side)
		}
	}
	const ms = time.Millisecond
	for _, x := range []struct {
		name string
		play func(w *wiretest.Wire)
		want string
	}{
		{"keep-alive of five seconds", func(w *wiretest.Wire) { idle(w, server, 5003*ms, 5001*ms, 5004*ms, 1200*ms) }, "backend 10.0.0.2:3000 keepalive-idle 5s"},
		{"one close, on the second", func(w *wiretest.Wire) { idle(w, server, 15002*ms) }, "backend 10.0.0.2:3000 keepalive-idle 15s"},
		{"one close, any time", func(w *wiretest.Wire) { idle(w, server, 15502*ms) }, ""},
		{"closes at random", func(w *wiretest.Wire) {
			idle(w, server, 1300*ms, 44*time.Second, 9700*ms, 3100*ms, 71*time.Second, 20*time.Second)
		}, ""},
		{"a restart", func(w *wiretest.Wire) {
			var cs []*wiretest.Conn
			for i := range 6 {
				c := w.Conn(fmt.Sprintf("10.0.0.1:%d", 40000+i), "10.0.0.2:3000").Open()
				c.Ask("/a")
				w.Wait(time.Duration(i*i) * 900 * ms)
				cs = append(cs, c)
			}
			for _, c := range cs {
				c.Close(server)
			}
		}, ""},
		{"three requests each", func(w *wiretest.Wire) {
			for i := range 4 {
				c := w.Conn(fmt.Sprintf("10.0.0.1:%d", 40000+i), "10.0.0.2:3000").Open()
				for range 3 {
					c.Ask("/a")
					w.Wait(200 * ms)
				}
				w.Wait(-199 * ms)
				c.Close(server)
			}
		}, "backend 10.0.0.2:3000 max-conn-requests 3"},
		{"as many as came", func(w *wiretest.Wire) {
			for i := range 5 {
				c := w.Conn(fmt.Sprintf("10.0.0.1:%d", 40000+i), "10.0.0.2:3000").Open()
				for range 2 + i*i%7 {
					c.Ask("/a")
				}
				c.Close(server)
			}
		}, ""},
		{"no keep-alive", func(w *wiretest.Wire) { idle(w, server, ms, ms, ms, ms) }, "backend 10.0.0.2:3000 keepalive-idle off"},
		{"closed at once, before the capture began", func(w *wiretest.Wire) {
			c := w.Conn("10.0.0.1:39999", "10.0.0.2:3000").Open()
			c.Ask("/a")
			for i := range 12 {
				c := w.Conn(fmt.Sprintf("10.0.0.1:%d", 40000+i), "10.0.0.2:3000")
				c.Ask("/a")
				c.Close(server)
			}
		}, "backend 10.0.0.2:3000 keepalive-idle off"},
		{"a pool's idle time", func(w *wiretest.Wire) { idle(w, client, 60*time.Second, 60010*ms, 60005*ms) }, "gateway 10.0.0.1 pool-idle 1m0.01s"},
		{"a middlebox's resets", func(w *wiretest.Wire) {
			for i := range 4 {
				c := w.Conn(fmt.Sprintf("10.0.0.1:%d", 40000+i), "10.0.0.2:3000").Open()
				c.Ask("/a")
				w.Wait(30 * time.Second)
				c.TTL[server] = 255
				c.RST(server)
			}
		}, ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := wiretest.New()
			x.play(w)
			facts, _ := feed(t, "a.pcap", capture(w), source.Options{All: true})
			check(t, settings(facts), x.want)
		})
	}
}

// secretive is a failed request that carries a token.
func secretive() *wiretest.Wire {
	w := wiretest.New()
	c := w.Conn("10.0.0.1:40000", "10.0.0.2:3000").Open()
	c.Client(get("/login?user=ada&token=S3CR3T&x=1", "Authorization: Bearer S3CR3T-in-a-field"))
	c.RST(server)
	return w
}

// TestSecrets: tokens are taken out of everything that is told, unless asked
// for.
func TestSecrets(t *testing.T) {
	for _, show := range []bool{false, true} {
		facts, _ := feed(t, "a.pcap", capture(secretive()), source.Options{All: true, ShowSecrets: show})
		var b bytes.Buffer
		texts, says := 0, 0
		for _, f := range facts {
			if err := fact.Encode(&b, f); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(f.Head().Origin.Text, "user=ada") {
				texts++
			}
			if c, ok := f.(*fact.Conn); ok {
				for _, p := range c.Packets {
					if strings.Contains(p.Says, "user=ada") {
						says++
					}
				}
			}
		}
		if got := strings.Contains(b.String(), "S3CR3T"); got != show {
			t.Errorf("secrets asked for: %v, told: %v\n%s", show, got, b.String())
		}
		if texts == 0 || says == 0 {
			t.Errorf("%d origins and %d packets tell of the request, want some", texts, says)
		}
	}
}

// healthy are requests that went well, and one that did not.
func healthy(n int) *wiretest.Wire {
	w := wiretest.New()
	c := w.Conn("10.0.0.1:40000", "10.0.0.2:3000").Open()
	for i := range n {
		c.Ask(fmt.Sprintf("/%d", i))
	}
	c.Client(get("/last"))
	c.RST(server)
	return w
}

// TestFold: ordinary requests are counted, or told each.
func TestFold(t *testing.T) {
	count := func(all bool) (told int, sampled float64) {
		facts, rep := feed(t, "a.pcap", capture(healthy(500)), source.Options{All: all})
		for _, f := range facts {
			switch f := f.(type) {
			case *fact.Request:
				told += f.N()
			case *fact.Sample:
				if f.Name == fact.SampleRequests {
					sampled += f.Value
				}
			}
		}
		if rep.Requests != 501 {
			t.Errorf("all: %v: %d requests reported, want 501", all, rep.Requests)
		}
		for what, want := range map[string]int{"tcp_packets": 3 + 500*4 + 3, "streams": 1, "requests": 501, "responses": 500, "resets": 1, "refused": 0, "unanswered": 0, "gaps": 0} {
			if got, ok := rep.Counts[what]; got != want || !ok {
				t.Errorf("all: %v: %d %s, want %d", all, got, what, want)
			}
		}
		return told, sampled
	}
	if told, sampled := count(true); told != 501 {
		t.Errorf("%d told and %v sampled, want all 501 told", told, sampled)
	}
	if told, sampled := count(false); told > 40 || sampled < 500 {
		t.Errorf("%d told and %v sampled, want a few told and the rest sampled", told, sampled)
	}
}

// TestCut: a capture that breaks off gives what it has, and says where.
func TestCut(t *testing.T) {
	whole := capture(healthy(3))
	packed := func(b []byte) []byte {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		return z.Bytes()
	}
	all, _ := feed(t, "a.pcap", whole, source.Options{All: true})
	gz, rep := feed(t, "a.pcap.gz", packed(whole), source.Options{All: true})
	check(t, requests(gz), requests(all))
	if rep.Err != nil || rep.Format != "pcap" {
		t.Errorf("packed: format %q, error %v", rep.Format, rep.Err)
	}
	for name, file := range map[string][]byte{"cut": whole[:len(whole)-10], "cut, packed": packed(whole[:len(whole)-10])} {
		facts, rep := feed(t, "a.pcap", file, source.Options{All: true})
		if got := requests(facts); strings.Count(got, " 200") < 3 {
			t.Errorf("%s: got\n%s", name, got)
		}
		if rep.Err == nil || !strings.Contains(rep.Err.Error(), "packet 18") {
			t.Errorf("%s: error %v, want one that names packet 18", name, rep.Err)
		}
	}
	z := packed(capture(healthy(6000)))
	facts, rep := feed(t, "a.pcap.gz", z[:len(z)/3], source.Options{All: true})
	if got := requests(facts); !strings.Contains(got, " 200") || rep.Err == nil || !strings.Contains(rep.Err.Error(), "packet ") {
		t.Errorf("the packed file cut: error %v, got\n%s", rep.Err, got)
	}
	bad := bytes.Clone(whole)
	copy(bad[24+8:], "\xff\xff\xff\xff") // what the first record claims to hold
	if _, rep = feed(t, "a.pcap", bad, source.Options{}); rep.Err == nil || !strings.Contains(rep.Err.Error(), "packet 1: it claims") {
		t.Errorf("a record of 4 GiB: error %v", rep.Err)
	}
}
