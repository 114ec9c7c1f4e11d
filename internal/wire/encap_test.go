package wire

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"culprit/internal/wire/wiretest"
)

// usual is a conversation that has something of everything.
func usual(client, server string, extra []byte) *wiretest.Wire {
	w := wiretest.New()
	c := w.Conn(client, server)
	c.Extra = extra
	c.Open()
	c.Ask("/a")
	w.Wait(5 * time.Second)
	c.Client(wiretest.Post("/b", strings.Repeat("b", 3000)), 1000, 1000)
	c.Server(wiretest.Chunked("one", "two", "three"), 7, 80)
	w.Wait(2 * time.Second)
	c.Client(wiretest.Get("/c"))
	c.RST(wiretest.Server)
	return w
}

const usualSeen = `1 GET /a 200 answered 5/5
2 POST /b 200 answered 11 sent 3000 idle 5s
3 GET /c 0 server reset 0 idle 2s
stream 0 40000>80 http rst by server reset by server`

// TestEncapsulations: whatever carries a conversation, and whatever file it
// was written to, the same is seen.
func TestEncapsulations(t *testing.T) {
	ends := []struct {
		name           string
		client, server string
		extra          []byte
	}{
		{"v4", "10.0.0.1:40000", "10.0.0.2:80", nil},
		{"v4 with options", "10.0.0.1:40000", "10.0.0.2:80", wiretest.Routers},
		{"v6", "[2001:db8::1]:40000", "[2001:db8::2]:80", nil},
		{"v6 with extensions", "[2001:db8::1]:40000", "[2001:db8::2]:80", wiretest.Extensions},
	}
	for _, e := range ends {
		w := usual(e.client, e.server, e.extra)
		for i := range wiretest.Encapsulations {
			in := &wiretest.Encapsulations[i]
			t.Run(e.name+" in "+in.Name, func(t *testing.T) {
				got := watch(t, wiretest.Pcap{In: in, Big: i%2 == 1, Nano: i%3 == 1}.File(w.Packets))
				if got.String() != usualSeen {
					t.Errorf("got\n%s\nwant\n%s", got, usualSeen)
				}
				if n := len(w.Packets); got.stats.Segments != n {
					t.Errorf("%d segments, want %d", got.stats.Segments, n)
				}
			})
		}
	}
}

// TestNG: blocks of every kind, in both byte orders, from several interfaces
// whose clocks tick differently.
func TestNG(t *testing.T) {
	w := usual("10.0.0.1:40000", "10.0.0.2:80", nil)
	sll := &wiretest.Encapsulations[13]
	if sll.Name != "sll" {
		t.Fatal("the list was reordered")
	}
	for _, big := range []bool{false, true} {
		x := (&wiretest.NG{}).Section(big)
		x.Block(0x0bad, make([]byte, 40)) // nobody knows it
		x.Interface(nil, wiretest.Micro, 0).Interface(sll, 9, 1_000_000_000).Interface(nil, 0x80+20, 0).Interface(nil, 3, 0)
		half := len(w.Packets) / 2
		for i, p := range w.Packets[:half] {
			kind := uint32(wiretest.Enhanced)
			if i%3 == 1 {
				kind = wiretest.Old
			}
			x.Packet(kind, i%3, p)
			x.Block(5, make([]byte, 12)) // statistics
		}
		x.Section(!big).Interface(nil, 0x80+30, 0).Interface(sll, 12, 1_770_000_000) // the offset keeps 10^-12 s in 64 bits
		for i, p := range w.Packets[half:] {
			x.Packet(wiretest.Enhanced, i%2, p)
		}
		if got := watch(t, x.File()); got.String() != usualSeen {
			t.Errorf("big-endian first: %v, got\n%s\nwant\n%s", big, got, usualSeen)
		}
		r, err := NewReader(strings.NewReader(string(x.File())))
		if err != nil {
			t.Fatal(err)
		}
		var p Packet
		for i, want := range w.Packets {
			if err := r.Next(&p); err != nil {
				t.Fatal(err)
			}
			if off := time.Duration(p.Time - want.Time).Abs(); off > 2*time.Microsecond || p.N != i+1 {
				t.Errorf("packet %d: number %d, %v off", i+1, p.N, off)
			}
		}
	}
}

// TestSimplePackets have no time, and are as long as their interface's snap
// length at most.
func TestSimplePackets(t *testing.T) {
	w := usual("10.0.0.1:40000", "10.0.0.2:80", nil)
	x := (&wiretest.NG{}).Section(false).Interface(nil, wiretest.Micro, 0)
	for _, p := range w.Packets {
		x.Packet(wiretest.Simple, 0, p)
	}
	if got := watch(t, x.File()); !strings.Contains(got.String(), "1 GET /a 200 answered 5/5\n2 POST /b 200 answered 11 sent 3000\n") {
		t.Errorf("got\n%s", got)
	}
}

// TestICMP: errors are told of the connection they quote.
func TestICMP(t *testing.T) {
	router := netip.MustParseAddr("10.0.0.254")
	router6 := netip.MustParseAddr("2001:db8::fe")
	runTales(t, []tale{
		{"port unreachable", func(w *wiretest.Wire) {
			s := w.Conn("10.0.0.1:40000", "10.0.0.2:80").Send(wiretest.Client, wiretest.SYN, "")
			w.Put(wiretest.Unreachable(router, 3, 3, 0, s.Packet()))
		}, "stream 0 40000>80 unanswered icmp 3/3 mtu 0"},
		{"no route, v6", func(w *wiretest.Wire) {
			s := w.Conn("[2001:db8::1]:40000", "[2001:db8::2]:80").Send(wiretest.Client, wiretest.SYN, "")
			w.Put(wiretest.Unreachable(router6, 1, 0, 0, s.Packet()))
		}, "stream 0 40000>80 unanswered icmp 1/0 mtu 0"},
		{"fragmentation needed", func(w *wiretest.Wire) {
			c := shop(w)
			c.Client(wiretest.Get("/a"))
			s := c.Send(wiretest.Server, wiretest.ACK, wiretest.OK(string(make([]byte, 1400))))
			w.Put(wiretest.Unreachable(router, 3, 4, 1280, s.Packet()))
		}, `1 GET /a 200 answered 1400/1400
		stream 0 40000>80 http icmp 3/4 mtu 1280`},
		{"packet too big, v6", func(w *wiretest.Wire) {
			c := w.Conn("[2001:db8::1]:40000", "[2001:db8::2]:80").Open()
			s := c.Send(wiretest.Client, wiretest.ACK, wiretest.Get("/a"))
			w.Put(wiretest.Unreachable(router6, 2, 0, 1280, s.Packet()))
		}, `1 GET /a 0 open 0
		stream 0 40000>80 http icmp 2/0 mtu 1280`},
		{"about nobody", func(w *wiretest.Wire) {
			s := w.Conn("10.0.0.1:40000", "10.0.0.2:80").Send(wiretest.Client, wiretest.SYN, "")
			w.Lose()
			w.Put(wiretest.Unreachable(router, 3, 3, 0, s.Packet()))
		}, ""},
	})
}
