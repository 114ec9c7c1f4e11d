package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"culprit/internal/wire/wiretest"
)

var endings = map[Ending]string{
	Open: "open", Answered: "answered", ServerReset: "server reset", ServerClosed: "server closed", ServerCut: "server cut", ClientReset: "client reset",
	ClientClosed: "client closed", BadAnswer: "bad answer", StreamReset: "stream reset", GoneAway: "gone away",
}

var sides = map[Side]string{Nobody: "nobody", Client: "client", Server: "server"}

// tell writes an exchange as one line: "1 GET /a 200 answered 5/5".
func tell(e *Exchange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s %d %s %d", e.Index, e.Method, e.Target, e.Status, endings[e.Ended], e.Bytes)
	if e.Want >= 0 {
		fmt.Fprintf(&b, "/%d", e.Want)
	}
	if e.ReqBytes > 0 {
		fmt.Fprintf(&b, " sent %d", e.ReqBytes)
	}
	for _, x := range []struct {
		word string
		on   bool
	}{{"unsent", !e.ReqWhole}, {"early", e.Early}, {"opaque", e.Opaque}, {"unpaired", e.Unpaired}, {"unaware", e.Unaware}, {"proxied", e.Proxied}} {
		if x.on {
			b.WriteString(" " + x.word)
		}
	}
	if e.Idle >= time.Second {
		fmt.Fprintf(&b, " idle %v", e.Idle.Round(10*time.Millisecond))
	}
	if e.Bad != nil {
		fmt.Fprintf(&b, " bad %q", e.Bad[:min(len(e.Bad), 12)])
	}
	if e.Code != 0 {
		fmt.Fprintf(&b, " code %d", e.Code)
	}
	for _, id := range e.IDs {
		fmt.Fprintf(&b, " id %s", id)
	}
	return b.String()
}

// tellConn writes a connection as one line.
func tellConn(c *Conn) string {
	var b strings.Builder
	fmt.Fprintf(&b, "stream %d %v>%v", c.Stream, c.Client.Port, c.Server.Port)
	if p := map[Protocol]string{ProtoHTTP: "http", ProtoTLS: "tls", ProtoH2: "h2", ProtoOther: "other"}[c.Protocol]; p != "" {
		b.WriteString(" " + p)
	}
	if c.ClosedBy != Nobody {
		fmt.Fprintf(&b, " %s by %s", c.How, sides[c.ClosedBy])
	}
	for _, x := range []struct {
		word string
		on   bool
	}{{"mid", !c.Begun}, {"idle", c.Idle}, {"refused", c.Refused}, {"unanswered", c.Unanswered}, {"onesided", c.OneSided}, {"foreign", c.Foreign != nil}} {
		if x.on {
			b.WriteString(" " + x.word)
		}
	}
	if c.Rest >= time.Second {
		fmt.Fprintf(&b, " rest %v", c.Rest.Round(10*time.Millisecond))
	}
	if c.Reset != Nobody {
		fmt.Fprintf(&b, " reset by %s", sides[c.Reset])
	}
	if c.SYNs > 1 {
		fmt.Fprintf(&b, " syns %d", c.SYNs)
	}
	if n := c.Retransmits[0] + c.Retransmits[1]; n > 0 {
		fmt.Fprintf(&b, " again %d", n)
	}
	if n := c.ZeroWindows[0] + c.ZeroWindows[1]; n > 0 {
		fmt.Fprintf(&b, " zero %d", n)
	}
	if c.Gaps > 0 {
		fmt.Fprintf(&b, " gaps %d", c.Gaps)
	}
	if c.ICMP != nil {
		fmt.Fprintf(&b, " icmp %d/%d mtu %d", c.ICMP.Type, c.ICMP.Code, c.ICMP.MTU)
	}
	if t := &c.TLS; t.Hello {
		fmt.Fprintf(&b, " sni %q alpn %q", t.ServerName, t.ALPN)
		if t.Answered {
			b.WriteString(" answered")
		}
		if t.Data {
			b.WriteString(" data")
		}
		if t.AlertBy != Nobody {
			fmt.Fprintf(&b, " alert %d by %s", t.Alert, sides[t.AlertBy])
		}
		if t.Foreign != "" {
			fmt.Fprintf(&b, " foreign %q", t.Foreign)
		}
	}
	return b.String()
}

// sight is what a table told.
type sight struct {
	exchanges, conns []string
	stats            Stats
}

func (s *sight) String() string {
	return strings.Join(append(append([]string{}, s.exchanges...), s.conns...), "\n")
}

// watch has a table follow a capture, checks that it holds nothing at the end
// and told of each request once.
func watch(t testing.TB, file []byte) *sight {
	t.Helper()
	var s sight
	open := map[uint64]bool{}
	tags := uint64(0)
	streams := map[int]bool{}
	_, _, table := follow(t, file, Options{
		IDHeaders: []string{"x-request-id", "traceparent"},
		OnRequest: func(_ Flow, e *Exchange) {
			tags++
			e.Tag = tags
			open[tags] = true
		},
		OnExchange: func(_ Flow, e *Exchange) {
			if !e.Unpaired && !open[e.Tag] {
				t.Errorf("told twice, or never begun: %s", tell(e))
			}
			delete(open, e.Tag)
			s.exchanges = append(s.exchanges, tell(e))
		},
		OnConn: func(c *Conn) {
			if streams[c.Stream] {
				t.Errorf("stream %d was told twice", c.Stream)
			}
			streams[c.Stream] = true
			s.conns = append(s.conns, tellConn(c))
		},
	})
	if len(open) > 0 {
		t.Errorf("%d requests were never told to have ended", len(open))
	}
	if len(streams) != table.Stats.Streams {
		t.Errorf("%d connections were told of, %d seen", len(streams), table.Stats.Streams)
	}
	empty(t, table)
	s.stats = table.Stats
	return &s
}

// empty checks that a closed table holds nothing, and that its accounts are
// right.
func empty(t testing.TB, x *Table) {
	t.Helper()
	for what, n := range map[string]int{
		"exchanges": len(x.ex) - 1 - len(x.exFree), "parts": len(x.parts.all) - 1 - len(x.parts.free), "held segments": len(x.held.all) - 1 - len(x.held.free),
		"HTTP/2 connections": len(x.h2), "TLS connections": len(x.tls), "ICMP errors": len(x.icmps), "bytes of HTTP/2": x.h2Bytes,
	} {
		if n != 0 {
			t.Errorf("a closed table holds %d %s", n, what)
		}
	}
	room := 0
	for i := range x.parts.all {
		room += cap(x.parts.all[i].data)
	}
	if room != x.parts.bytes || room > maxParts {
		t.Errorf("parts take %d bytes, accounted are %d", room, x.parts.bytes)
	}
	room = 0
	for i := range x.held.all {
		room += cap(x.held.all[i].data)
	}
	if room != x.held.bytes || room > maxHeld {
		t.Errorf("held segments take %d bytes, accounted are %d", room, x.held.bytes)
	}
}

// tale is a conversation and what is to be seen of it, a line each.
type tale struct {
	name string
	play func(w *wiretest.Wire)
	want string
}

// shop is a connection whose handshake passed.
func shop(w *wiretest.Wire) *wiretest.Conn {
	return w.Conn("10.0.0.1:40000", "10.0.0.2:80").Open()
}

func runTales(t *testing.T, tales []tale) {
	for _, x := range tales {
		t.Run(x.name, func(t *testing.T) {
			w := wiretest.New()
			x.play(w)
			got := watch(t, wiretest.Pcap{}.File(w.Packets)).String()
			want := strings.ReplaceAll(strings.TrimSpace(x.want), "\t", "")
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
