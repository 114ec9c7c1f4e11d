package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"culprit/internal/wire/wiretest"
)

// captures are seeds of every kind.
func captures() [][]byte {
	w := usual("10.0.0.1:40000", "10.0.0.2:80", wiretest.Routers)
	w6 := usual("[2001:db8::1]:40000", "[2001:db8::2]:80", wiretest.Extensions)
	var out [][]byte
	for i := range wiretest.Encapsulations {
		out = append(out, wiretest.Pcap{In: &wiretest.Encapsulations[i], Big: i%2 == 0, Nano: i%3 == 0}.File([][]wiretest.Packet{w.Packets, w6.Packets}[i%2]))
	}
	for _, big := range []bool{false, true} {
		x := (&wiretest.NG{}).Section(big).Interface(nil, 9, 1000).Interface(nil, 0x80+20, 0)
		for i, p := range w.Packets {
			x.Packet([]uint32{wiretest.Enhanced, wiretest.Old, wiretest.Simple}[i%3], i%2, p)
		}
		out = append(out, x.Block(10, []byte("secrets")).Section(!big).Interface(nil, 6, 0).Packet(wiretest.Enhanced, 0, w.Packets[0]).File())
	}
	return out
}

// FuzzReader: packets are numbered in turn and lie within what was read; how
// the file is read makes no difference.
func FuzzReader(f *testing.F) {
	for _, c := range captures() {
		f.Add(c)
	}
	found, _ := filepath.Glob("testdata/*.pcap*")
	for _, path := range found {
		if b, err := os.ReadFile(path); err == nil {
			f.Add(b)
		}
	}
	read := func(t *testing.T, src io.Reader, size int) string {
		r, err := NewReader(src)
		if err != nil {
			return err.Error()
		}
		var b strings.Builder
		var p Packet
		for n := 1; ; n++ {
			if err = r.Next(&p); err != nil {
				break
			}
			if p.N != n {
				t.Fatalf("packet %d has number %d", n, p.N)
			}
			if len(p.Data) > size || len(p.Data) > maxPacket || p.Orig < 0 {
				t.Fatalf("packet %d has %d of %d bytes, in a file of %d", n, len(p.Data), p.Orig, size)
			}
			fmt.Fprintf(&b, "%d %d %d %d %x\n", p.N, p.Time, p.Link, p.Orig, p.Data)
		}
		var bad *CorruptError
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrCut) && !errors.As(err, &bad) {
			t.Fatalf("an error of no kind: %v", err)
		}
		return b.String() + err.Error()
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole := read(t, bytes.NewReader(data), len(data))
		if half := read(t, iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(data))), len(data)); half != whole {
			t.Fatalf("read in halves:\n%s\nat once:\n%s", half, whole)
		}
	})
}

// FuzzDecode: whatever a packet holds, its payload is a part of it and no
// longer than its headers say.
func FuzzDecode(f *testing.F) {
	w := usual("10.0.0.1:40000", "10.0.0.2:80", nil)
	w6 := usual("[2001:db8::1]:40000", "[2001:db8::2]:80", wiretest.Extensions)
	for i := range wiretest.Encapsulations {
		x := &wiretest.Encapsulations[i]
		f.Add(uint16(x.Link), x.Wrap(w.Packets[3].Data), uint16(0))
		f.Add(uint16(x.Link), x.Wrap(w6.Packets[3].Data), uint16(7))
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte, more uint16) {
		var s, again Segment
		kind := Decode(LinkType(link), data, len(data)+int(more), &s)
		if kind > Broken {
			t.Fatalf("kind %d", kind)
		}
		if kind != TCP {
			return
		}
		if len(s.Payload) > s.Len || s.Len < 0 || s.Len > 1<<17 || len(s.Payload) > len(data) {
			t.Fatalf("%d bytes of payload captured, %d sent, in a packet of %d", len(s.Payload), s.Len, len(data))
		}
		// Whatever was cut off at the end, the headers mean the same.
		cut := data[:len(data)-min(len(s.Payload), 5)]
		if k := Decode(LinkType(link), cut, len(data)+int(more), &again); k != TCP || again.Seq != s.Seq || again.Src != s.Src || again.Len != s.Len && len(s.Payload) > 0 {
			t.Fatalf("cut by %d: kind %d, %+v, was %+v", len(data)-len(cut), k, again, s)
		}
	})
}

// FuzzTable: whatever segments come, every request is told of once, and nothing
// is held at the end.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x00\x01\x12\x00\x00\x00\x00\x00\x10\x00\x00\x30\x05GET / HTTP/1.1\r\n\r\n\x01\x10\x00\x00\x30\x05HTTP/1.1 200 OK\r\n\r\n"), uint8(8))
	f.Add([]byte(wiretest.Preface+settings), uint8(1))
	f.Add([]byte(wiretest.Hello("a", "b", 40)), uint8(3))
	texts := [][]byte{nil, []byte(get("/a")), []byte(ok("hello")), []byte(wiretest.Chunked("a", "bc")), []byte(wiretest.Post("/b", "12345678")), []byte(wiretest.Hello("shop.test", "h2", 40)),
		[]byte(wiretest.Preface + settings), []byte(settings), []byte(wiretest.Sealed(100)), []byte(wiretest.ServerHello()), []byte("HTTP/1.1 101 x\r\nUpgrade: h2c\r\n\r\n"), []byte("CONNECT a:1 HTTP/1.1\r\n\r\n"),
		[]byte("PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\n"), []byte("HTTP/1.1 100 Continue\r\n\r\n"), []byte("HTTP/1.1 200 OK\r\n\r\n"), []byte(wiretest.Alert(40))}
	f.Fuzz(func(t *testing.T, data []byte, flows uint8) {
		open := map[uint64]bool{}
		tags := uint64(0)
		streams := map[int]bool{}
		x := NewTable(Options{
			MaxFlows: int(flows), Slow: time.Second, OnSlow: func(f Flow, e *Exchange) { tellConn(f.Conn()) }, OnOpen: func(f Flow, _ int64) { tellConn(f.Conn()) },
			OnAnswer: func(f Flow, e *Exchange, _, _ []byte) { tellConn(f.Conn()) },
			OnRequest: func(f Flow, e *Exchange) {
				tags++
				e.Tag = tags
				open[tags] = true
				tellConn(f.Conn())
			},
			OnExchange: func(f Flow, e *Exchange) {
				if !e.Unpaired && !open[e.Tag] {
					t.Fatalf("told twice, or never begun: %s", tell(e))
				}
				delete(open, e.Tag)
				if e.Idle < -1 || e.First != 0 && e.FirstN == 0 {
					t.Fatalf("%s: idle %v, first %d in packet %d", tell(e), e.Idle, e.First, e.FirstN)
				}
				tellConn(f.Conn())
			},
			OnConn: func(c *Conn) {
				if streams[c.Stream] {
					t.Fatalf("stream %d was told of twice", c.Stream)
				}
				streams[c.Stream] = true
				if len(c.Marks) > ringSize {
					t.Fatalf("%d marks", len(c.Marks))
				}
			},
		})
		seq := map[[2]byte]uint32{}
		ts := wiretest.Epoch.UnixNano()
		n := 0
		for len(data) >= 6 {
			h := data[:6]
			data = data[6:]
			side, who := h[0]&1, h[0]>>1&7
			k := [2]byte{who, side}
			text := texts[h[2]>>4]
			if h[2]&8 != 0 {
				text = data[:min(len(data), int(h[4]))]
				data = data[len(text):]
			}
			from := min(len(text), int(h[3]>>4)*3)
			text = text[from:max(from, len(text)-int(h[3]&15)*3)]
			s := Segment{Src: Endpoint{Port: 40000 + uint16(who)}, Dst: Endpoint{Port: 80}, Flags: h[1], Window: uint16(h[4]), TTL: 60 + h[5]>>6, ID: uint16(n), Payload: text, Len: len(text)}
			if h[2]&4 != 0 {
				s.Len += int(h[4]) * 4 // not all captured
			}
			if h[2]&3 == 1 {
				s.Seq = seq[k] + uint32(int32(int8(h[5]))*10)<<(h[4]&24)
			} else {
				s.Seq = seq[k]
				seq[k] += uint32(s.Len)
				if h[1]&(SYN|FIN) != 0 {
					seq[k]++
				}
			}
			s.Ack = seq[[2]byte{who, 1 - side}]
			if side == 1 {
				s.Src, s.Dst = s.Dst, s.Src
			}
			ts += int64(h[5]&63) * int64(h[5]&63) * int64(h[5]&63) * 5e4
			n++
			if h[2]&3 == 3 && h[5]&7 == 0 {
				x.Unreachable(n, ts, &s)
				continue
			}
			x.Segment(n, ts, &s)
			if x.used > max(int(flows), 1) && flows > 0 {
				t.Fatalf("%d flows, at most %d wanted", x.used, flows)
			}
		}
		x.Close()
		if len(open) > 0 {
			t.Fatalf("%d requests were never told to have ended", len(open))
		}
		if len(streams) != x.Stats.Streams {
			t.Fatalf("%d connections told of, %d seen", len(streams), x.Stats.Streams)
		}
		empty(t, x)
	})
}

var idled = regexp.MustCompile(` (?:idle|rest) [0-9.]+s`)

// same plays two streams whole, and cut at borders, and compares what is told.
func same(t *testing.T, streams [2]string, cuts []byte) {
	t.Helper()
	for i := range streams {
		streams[i] = streams[i][:min(len(streams[i]), 32<<10)]
	}
	play := func(cut bool) string {
		w := wiretest.New()
		c := shop(w)
		for side, text := range streams {
			for len(text) > 0 {
				n := min(len(text), 60_000)
				if cut && len(cuts) > 0 {
					n = min(n, 1+int(cuts[0])*int(cuts[0])/16)
					cuts = append(cuts[1:], cuts[0])
				}
				c.Send(side, ack, text[:n])
				text = text[n:]
			}
			c.Ack(1 - side)
		}
		c.Close(server)
		return idled.ReplaceAllString(watch(t, wiretest.Pcap{}.File(w.Packets)).String(), "") // more packets take longer
	}
	if whole, parts := play(false), play(true); whole != parts {
		t.Fatalf("cut:\n%s\nwhole:\n%s", parts, whole)
	}
}

// FuzzHTTP: messages made of what a script says tell the same, wherever packets
// end.
func FuzzHTTP(f *testing.F) {
	f.Add([]byte("\x00\x10\x21\x35\x40\x58\x61\x7f\x00\x10\x21\x35"), []byte("\x04\x01\x20"))
	f.Add([]byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), []byte("\x04"))
	f.Fuzz(func(t *testing.T, script, cuts []byte) {
		var streams [2]string
		for _, c := range script[:min(len(script), 60)] {
			size := int(c>>4) * int(c>>4) * 5
			body := strings.Repeat(string(rune('0'+c%64)), size)
			chunks := []string{body + "!", strings.Repeat("GET / HTTP/1.1\r\n\r\n", int(c>>5)+1), "z"}
			switch c & 7 {
			case 0, 1:
				streams[0] += get("/"+body, "X-Request-ID: "+string(rune('a'+c%26)))
			case 2:
				streams[0] += wiretest.Post("/p", body)
			case 3:
				streams[0] += "HEAD /h HTTP/1.1\r\n\r\n"
			case 4:
				streams[0] += "POST /c HTTP/1.1\nTransfer-Encoding: chunked\n\n" + wiretest.Chunks(chunks...)
			case 5:
				streams[0] += "\r\n"
				continue
			case 6:
				streams[0] += "X-MAGIC /m HTTP/1.0\r\n\r\n"
			case 7:
				streams[1] += "HTTP/1.1 100 Continue\r\n\r\n"
				continue
			}
			switch {
			case c&7 == 3:
				streams[1] += "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"
			case c&8 == 0:
				streams[1] += wiretest.Answer(200+int(c), body)
			case c&16 == 0:
				streams[1] += wiretest.Chunked(chunks...)
			default:
				streams[1] += "HTTP/1.1 304 x\r\n\r\n"
			}
		}
		if len(script) > 0 && script[0]&64 != 0 {
			streams[1] += "HTTP/1.0 200 OK\r\n\r\nup to the end"
			streams[0] += get("/last")
		}
		same(t, streams, cuts)
	})
}

// FuzzTLS: records of any kind tell the same, wherever packets end.
func FuzzTLS(f *testing.F) {
	f.Add([]byte("\x17\x40\x16\x20\x15\x02\x14\x01\x97\x40\x96\x20"), []byte("\x05\x09"))
	f.Fuzz(func(t *testing.T, script, cuts []byte) {
		streams := [2]string{wiretest.Hello("shop.test", "h2", 700), wiretest.ServerHello()}
		for len(script) >= 2 {
			kind, n := 20+script[0]&3, 1+int(script[1])*int(script[1])/8
			body := strings.Repeat(string(script[1:2]), n)
			if kind == recAlert {
				body = body[:min(n, 2)]
			}
			streams[script[0]>>7] += wiretest.Record(kind, body)
			script = script[2:]
		}
		same(t, streams, cuts)
	})
}

// FuzzH2: frames, whatever they hold, tell the same, wherever packets end.
func FuzzH2(f *testing.F) {
	var x h2
	f.Add([]byte(x.ask(1, "/a")+x.ask(3, "/b")), []byte(x.answer(3, "200", "b")+x.answer(1, "200", "a")), []byte("\x01\x05"))
	f.Add([]byte(x.ask(5, "/a")), []byte(wiretest.Frame(wiretest.FrameGoAway, 0, 0, wiretest.Number(1)+wiretest.Number(2))), []byte("\x03"))
	f.Add([]byte(wiretest.Frame(wiretest.FrameHeaders, 0, 1, "\x82")+wiretest.Frame(wiretest.FrameContinuation, 4, 1, "\x84")), []byte(wiretest.Frame(wiretest.FrameReset, 0, 1, wiretest.Number(2))), []byte("\x03"))
	f.Fuzz(func(t *testing.T, asks, answers, cuts []byte) {
		same(t, [2]string{wiretest.Preface + settings + string(asks), settings + string(answers)}, cuts)
	})
}
