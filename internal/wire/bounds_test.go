package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"culprit/internal/wire/wiretest"
)

// TestClaims: a capture that claims gigabytes is not believed.
func TestClaims(t *testing.T) {
	le := binary.LittleEndian
	head := wiretest.Pcap{}.File(nil)
	record := func(capt, orig uint32) string {
		b := le.AppendUint32(make([]byte, 8), capt)
		return string(head) + string(le.AppendUint32(b, orig)) + "a few bytes"
	}
	section := string((&wiretest.NG{}).Section(false).Interface(nil, wiretest.Micro, 0).File())
	block := func(kind, size uint32, body ...uint32) string {
		b := le.AppendUint32(le.AppendUint32(nil, kind), size)
		for _, v := range body {
			b = le.AppendUint32(b, v)
		}
		return section + string(b)
	}
	for name, x := range map[string]struct {
		file string
		want string
	}{
		"pcap":                         {record(1<<32-1, 1<<32-1), "packet 1: it claims 4294967295 bytes"},
		"pcap, a little":               {record(maxPacket+1, 60), "packet 1: it claims 524289 bytes"},
		"pcap, cut":                    {record(100, 100), ErrCut.Error()},
		"pcap, cut in a record's head": {string(head) + "xx", ErrCut.Error()},
		"unknown block":                {block(99, 1<<32-4), ErrCut.Error()},
		"packet block":                 {block(6, 1<<32-4), "packet 1: a packet's block of 4294967292 bytes"},
		"interface block":              {block(1, 1<<31), "packet 1: a packet's block of 2147483648 bytes"},
		"block of no length":           {block(6, 0), "packet 1: a block of 0 bytes"},
		"odd block":                    {block(6, 33), "packet 1: a block of 33 bytes"},
		"packet in a block":            {block(6, 36, 0, 0, 0, 1<<32-1, 1<<32-1, 0, 0), "packet 1: it claims 4294967295 bytes of 4"},
		"interface":                    {block(6, 36, 7, 0, 0, 4, 4, 0, 0), "packet 1: interface 7 is not described"},
		"section head":                 {block(blockSection, 1<<32-4, orderMagic), ErrCut.Error()},
		"section without order":        {block(blockSection, 28, 7), "packet 1: a section without a byte order"},
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			r, err := NewReader(strings.NewReader(x.file))
			if err != nil {
				t.Fatal(err)
			}
			var p Packet
			for err == nil {
				err = r.Next(&p)
			}
			if err.Error() != x.want {
				t.Errorf("error %q, want %q", err, x.want)
			}
			if got := allocated() - before; got > 2*readBlock {
				t.Errorf("%d bytes were allocated, want at most %d", got, 2*readBlock)
			}
		})
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func live() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// flood is a capture that never was a file: SYNs from ever new addresses.
type flood struct {
	left, n int
	still   bool // time does not pass
	buf     []byte
	record  []byte
}

func (x *flood) Read(p []byte) (int, error) {
	if len(x.buf) == 0 {
		if x.left == 0 {
			return 0, io.EOF
		}
		const many = 4096
		if x.record == nil {
			w := wiretest.New()
			w.Conn("10.0.0.1:40000", "10.0.0.2:80").Send(wiretest.Client, wiretest.SYN, "")
			x.buf = wiretest.Pcap{}.File(nil)
			x.record = wiretest.Pcap{}.File(w.Packets)[24:]
		}
		for range min(many, x.left) {
			at := len(x.buf)
			x.buf = append(x.buf, x.record...)
			if !x.still {
				binary.LittleEndian.PutUint32(x.buf[at+4:], uint32(x.n%1e6))
				binary.LittleEndian.PutUint32(x.buf[at:], 1_773_057_600+uint32(x.n/1e6))
			}
			binary.BigEndian.PutUint32(x.buf[at+16+14+12:], 10<<24+uint32(x.n)) // the source
			x.n++
			x.left--
		}
	}
	n := copy(p, x.buf)
	x.buf = append(x.buf[:0], x.buf[n:]...)
	return n, nil
}

// TestHalfOpen: a million connections that nobody answers fit into what
// MaxFlows of them need, whether time passes or not.
func TestHalfOpen(t *testing.T) {
	const most = 32 << 10
	const bound = most*(2*int(unsafe.Sizeof(flow{}))+4*int(unsafe.Sizeof(uint32(0)))) + // flows, which double as they grow, and the hash
		8*most*int(unsafe.Sizeof(due{})) + // queues, which are cleared at twice what stands for something
		2*readBlock + 1<<20
	for _, still := range []bool{false, true} {
		total, told := 1_000_000, 0
		if still {
			total /= 4
		}
		before := live()
		r, err := NewReader(&flood{left: total, still: still})
		if err != nil {
			t.Fatal(err)
		}
		table := NewTable(Options{MaxFlows: most, OnConn: func(*Conn) { told++ }})
		var p Packet
		var s Segment
		peak := 0
		for err == nil {
			if err = r.Next(&p); err == nil && Decode(p.Link, p.Data, p.Orig, &s) == TCP {
				table.Segment(p.N, p.Time, &s)
			}
			if p.N%200_000 == 199_999 {
				peak = max(peak, live()-before)
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if peak > bound {
			t.Errorf("time stands still: %v: %d KB are held, want at most %d", still, peak>>10, bound>>10)
		}
		if len(table.flows) > most+1 {
			t.Errorf("%d flows, want at most %d", len(table.flows), most+1)
		}
		table.Close()
		if told != total || table.Stats.Streams != total {
			t.Errorf("%d told of, %d seen, want %d", told, table.Stats.Streams, total)
		}
		empty(t, table)
	}
}

// sender makes segments of one direction of many connections.
type sender struct {
	table *Table
	n     int
	ts    int64
	next  [conns]uint32 // sequence numbers
}

// begin sends the SYN of a connection, once.
func (x *sender) begin(c uint32) {
	if x.next[c] == 0 {
		x.send(c, SYN, 0, nil, 0)
		x.next[c] = 1
	}
}

// in sends data in its turn.
func (x *sender) in(c uint32, data []byte) {
	x.send(c, ACK, x.next[c], data, len(data))
	x.next[c] += uint32(len(data))
}

func (x *sender) send(conn uint32, flags uint8, seq uint32, data []byte, size int) {
	x.sendFrom(false, conn, flags, seq, data, size)
}

func (x *sender) sendFrom(server bool, conn uint32, flags uint8, seq uint32, data []byte, size int) {
	s := Segment{Src: Endpoint{Port: 40000}, Dst: Endpoint{Port: 80}, Seq: seq, Flags: flags, Window: 500, TTL: 64, ID: uint16(x.n), Payload: data, Len: size}
	binary.BigEndian.PutUint32(s.Src.IP[12:], conn+1)
	if server {
		s.Src, s.Dst = s.Dst, s.Src
	}
	x.n++
	x.table.Segment(x.n, x.ts, &s)
}

// conns are the connections of a flood.
const conns = 2048

// floods send the i-th of many segments, of connection c.
func floods(many uint32) map[string]func(x *sender, i, c uint32) {
	long := []byte(strings.Repeat("x", 1000))
	ask := []byte(strings.Repeat(get("/a"), 8))
	post := []byte("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000000000000000\r\n")
	ids := []byte("GET /a HTTP/1.1\r\n" + strings.Repeat("X-Request-ID: "+strings.Repeat("i", 100)+"\r\n", 500) + "\r\n")
	part := []byte("GET /" + strings.Repeat("a", 400))
	hello := []byte(wiretest.Hello("shop.test", "h2", 4000))
	var coder wiretest.Coder
	block := coder.Block("x-long", strings.Repeat("long ", 100))
	h2ask := []byte(wiretest.Preface + wiretest.Frame(wiretest.FrameHeaders, 0, 1, block))
	h2more := []byte(wiretest.Frame(wiretest.FrameContinuation, 0, 1, block))
	h2streams := func(n uint32) []byte {
		var c wiretest.Coder
		return []byte(wiretest.Frame(wiretest.FrameHeaders, wiretest.EndHeaders, 2*n+1, c.Block(":method", "GET", ":path", "/")))
	}
	in := (*sender).in
	return map[string]func(x *sender, i, c uint32){
		"out of order, a byte each":  func(x *sender, i, c uint32) { x.send(c, ACK, 2+2*(i/conns), long[:1], 1) },
		"out of order, large":        func(x *sender, i, c uint32) { x.send(c, ACK, 2+1001*(i/conns), long, len(long)) },
		"out of order, not captured": func(x *sender, i, c uint32) { x.send(c, ACK, 2+1001*(i/conns), nil, len(long)) },
		"out of order, on one":       func(x *sender, i, c uint32) { x.send(0, ACK, 2+2*i, long[:1], 1) },
		"backwards, on one":          func(x *sender, i, c uint32) { x.send(0, ACK, 4*many-2*i, long[:1], 1) },
		"overlapping, on one":        func(x *sender, i, c uint32) { x.send(0, ACK, 2+i*7919%100_000, long, len(long)) },
		"large, then small": func(x *sender, i, c uint32) {
			n := 1000
			if i > many/2 {
				n = 1
			}
			x.send(c, ACK, 2+1001*(i/conns), long[:n], n)
		},
		"endless heads":               func(x *sender, i, c uint32) { in(x, c, part) },
		"endless first bytes":         func(x *sender, i, c uint32) { in(x, c, []byte("A")) },
		"requests without answers":    func(x *sender, i, c uint32) { in(x, c, ask) },
		"requests without answers, 1": func(x *sender, i, c uint32) { in(x, 0, ask) },
		"a chunk of 2^60":             func(x *sender, i, c uint32) { in(x, c, post); in(x, c, long) },
		"half a million ids": func(x *sender, i, c uint32) {
			if i < 1000 {
				in(x, c, ids)
			}
		},
		"hellos that do not end": func(x *sender, i, c uint32) {
			k := min(int(x.next[c]-1), len(hello)-2)
			in(x, c, hello[k:k+1+k%400%(len(hello)-k)])
		},
		"HTTP/2 heads that do not end": func(x *sender, i, c uint32) {
			d := h2more
			if x.next[c] == 1 {
				d = h2ask
			}
			in(x, c, d)
		},
		"HTTP/2 streams": func(x *sender, i, c uint32) {
			if x.next[c] == 1 {
				in(x, c, []byte(wiretest.Preface))
			}
			in(x, c, h2streams(i/conns))
		},
		"resets taken back": func(x *sender, i, c uint32) {
			x.send(c, RST|ACK, x.next[c], nil, 0)
			in(x, c, long[:1])
		},
		"one address again and again": func(x *sender, i, c uint32) {
			x.send(0, SYN, i*3, nil, 0)
			x.sendFrom(true, 0, RST|ACK, 0, nil, 0)
		},
		"resets, ever new": func(x *sender, i, c uint32) {
			x.send(i, SYN, 0, nil, 0)
			x.sendFrom(true, i, RST|ACK, 0, nil, 0)
		},
		"slow ones": func(x *sender, i, c uint32) {
			in(x, c, ask[:len(ask)/8])
			s := []byte(ok(""))
			x.sendFrom(true, c, ACK, uint32(len(s))*(i/conns), s, len(s))
		},
	}
}

// TestFloods: what is kept of many connections has its bound over all of them,
// though time stands still and nothing is ever due.
func TestFloods(t *testing.T) {
	const many = 60_000
	for name, do := range floods(many) {
		t.Run(name, func(t *testing.T) {
			open, told := 0, 0
			x := &sender{ts: wiretest.Epoch.UnixNano(), table: NewTable(Options{MaxFlows: conns, IDHeaders: []string{"x-request-id"}, OnSlow: func(Flow, *Exchange) {}, Slow: 1e9,
				OnRequest: func(Flow, *Exchange) { open++ }, OnExchange: func(Flow, *Exchange) { told++ }})}
			before := live()
			over := map[string]int{}
			for i := range uint32(many) {
				c := i % conns
				x.begin(c)
				do(x, i, c)
				if i%1024 != 0 {
					continue
				}
				tb := x.table
				for what, n := range map[string][2]int{
					"bytes of parts": {tb.parts.bytes, maxParts + maxHead}, "parts": {len(tb.parts.all), 2*conns + 1},
					"bytes held": {tb.held.bytes, maxHeld + 64<<10}, "held": {len(tb.held.all), maxHeld/perHeld + 2},
					"exchanges": {len(tb.ex), maxOpen + maxQueue}, "flows": {len(tb.flows), conns + 1},
					"HTTP/2": {len(tb.h2), maxH2}, "bytes of HTTP/2": {tb.h2Bytes, maxH2Bytes + 2*maxFrame},
					"closing": {tb.closing.len(), 2*conns + leastQueue}, "opening": {tb.opening.len(), 2*conns + leastQueue},
					"over": {tb.over.len(), 2*conns + leastQueue}, "slow": {tb.slow.len(), 2*maxOpen + leastQueue},
				} {
					if n[0] > n[1] {
						over[fmt.Sprintf("%s, %d at most", what, n[1])] = n[0]
					}
				}
			}
			for what, n := range over {
				t.Errorf("%d %s", n, what)
			}
			bound := conns*2*int(unsafe.Sizeof(flow{})) + maxParts + 2*maxHeld + 16<<20
			if strings.HasPrefix(name, "requests") || strings.HasPrefix(name, "HTTP/2 str") {
				bound += maxOpen * (int(unsafe.Sizeof(Exchange{})) + 1024)
			}
			if got := live() - before; got > bound {
				t.Errorf("%d KB are held, want at most %d", got>>10, bound>>10)
			}
			x.table.Close()
			if open > told {
				t.Errorf("%d requests began, %d ended", open, told)
			}
			empty(t, x.table)
		})
	}
}

// BenchmarkFloods tells whether what a segment costs grows with their number.
func BenchmarkFloods(b *testing.B) {
	for name := range floods(1) {
		for _, many := range []uint32{10_000, 40_000, 160_000, 640_000} {
			b.Run(fmt.Sprintf("%s/%d", name, many), func(b *testing.B) {
				do := floods(many)[name]
				for b.Loop() {
					x := &sender{ts: wiretest.Epoch.UnixNano(), table: NewTable(Options{MaxFlows: conns})}
					for i := range many {
						x.begin(i % conns)
						do(x, i, i%conns)
					}
					x.table.Close()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(many), "ns/segment")
			})
		}
	}
}
