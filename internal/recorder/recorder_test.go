package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"culprit/internal/wire"
)

func endpoint(s string) wire.Endpoint {
	ap := netip.MustParseAddrPort(s)
	return wire.Endpoint{IP: ap.Addr().As16(), Port: ap.Port()}
}

func endpointOf(a net.Addr) wire.Endpoint { return endpoint(a.String()) }

// tcpFrame makes an Ethernet frame; IPv6 where the addresses are.
func tcpFrame(src, dst wire.Endpoint, flags byte, seq, ack uint32, payload string) []byte {
	tcp := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(tcp, src.Port)
	binary.BigEndian.PutUint16(tcp[2:], dst.Port)
	binary.BigEndian.PutUint32(tcp[4:], seq)
	binary.BigEndian.PutUint32(tcp[8:], ack)
	tcp[12], tcp[13], tcp[14] = 5<<4, flags, 0xff
	return ipFrame(src, dst, 6, append(tcp, payload...))
}

func ipFrame(src, dst wire.Endpoint, proto byte, body []byte) []byte {
	f := make([]byte, 12)
	if src.Addr().Is4() {
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(body)))
		copy(ip[12:], src.IP[12:])
		copy(ip[16:], dst.IP[12:])
		return slices.Concat(f, []byte{8, 0}, ip, body)
	}
	ip := make([]byte, 40)
	ip[0], ip[6], ip[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(body)))
	copy(ip[8:], src.IP[:])
	copy(ip[24:], dst.IP[:])
	return slices.Concat(f, []byte{0x86, 0xdd}, ip, body)
}

// stage feeds a recorder with made frames at made times.
type stage struct {
	t    *testing.T
	r    *recorder
	now  time.Time
	kept []*Kept
	says []string
}

func newStage(t *testing.T, opt Options) *stage {
	s := &stage{t: t, now: time.Date(2026, 3, 9, 14, 5, 7, 0, time.UTC)}
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	opt.Interface = "test0"
	opt.OnKept = func(k *Kept) { s.kept = append(s.kept, k) }
	opt.OnNotice = func(text string) { s.says = append(s.says, text) }
	r, err := newRecorder(opt, wire.LinkEthernet, &reasons{})
	if err != nil {
		t.Fatal(err)
	}
	s.r = r
	return s
}

// after lets time pass.
func (s *stage) after(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(min(50*time.Millisecond, end.Sub(s.now)))
		s.r.tick(s.now)
	}
}

func (s *stage) send(frame []byte) {
	s.now = s.now.Add(100 * time.Microsecond)
	s.r.frame(captured{s.now, len(frame), frame})
}

// talk is a connection between two ends, with its sequence numbers.
type talk struct {
	s              *stage
	client, server wire.Endpoint
	seq            [2]uint32
}

func (s *stage) talk(client, server string) *talk {
	return &talk{s, endpoint(client), endpoint(server), [2]uint32{1000, 5000}}
}

func (c *talk) open() *talk {
	c.fromClient(wire.SYN, "")
	c.fromServer(wire.SYN|wire.ACK, "")
	c.fromClient(wire.ACK, "")
	return c
}

func (c *talk) fromClient(flags byte, payload string) {
	c.s.send(tcpFrame(c.client, c.server, flags, c.seq[0], c.seq[1], payload))
	c.moved(0, flags, payload)
}

func (c *talk) fromServer(flags byte, payload string) {
	c.s.send(tcpFrame(c.server, c.client, flags, c.seq[1], c.seq[0], payload))
	c.moved(1, flags, payload)
}

func (c *talk) moved(d int, flags byte, payload string) {
	c.seq[d] += uint32(len(payload))
	if flags&(wire.SYN|wire.FIN) != 0 {
		c.seq[d]++
	}
}

func (c *talk) close() {
	c.fromClient(wire.FIN|wire.ACK, "")
	c.fromServer(wire.FIN|wire.ACK, "")
	c.fromClient(wire.ACK, "")
}

const push = wire.ACK | wire.PSH

// get is a good exchange.
func (c *talk) get(path, id string) {
	c.fromClient(push, "GET "+path+" HTTP/1.1\r\nHost: shop\r\nX-Request-Id: "+id+"\r\n\r\n")
	c.fromServer(push, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
}

// finish ends the recording and gives each slice's connections, with how many
// frames of each it has.
func (s *stage) finish() map[string]map[string]int {
	s.t.Helper()
	s.r.finish()
	return readSlices(s.t, s.r.opt.Dir)
}

func readSlices(t *testing.T, dir string) map[string]map[string]int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]int{}
	for _, name := range names {
		if !sliceName.MatchString(filepath.Base(name)) {
			t.Errorf("%s is not deleted by rotation: it has no slice's name", name)
		}
		conns := map[string]int{}
		eachFrame(t, name, func(_ *wire.Packet, seg *wire.Segment) {
			a, b := seg.Src.String(), seg.Dst.String()
			if seg.Src.Port < seg.Dst.Port {
				a, b = b, a
			}
			conns[a+" "+b]++
		})
		all[filepath.Base(name)] = conns
	}
	return all
}

func eachFrame(t *testing.T, name string, do func(*wire.Packet, *wire.Segment)) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := wire.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var p wire.Packet
	for {
		if err := r.Next(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var seg wire.Segment
		if k := wire.Decode(p.Link, p.Data, p.Orig, &seg); k != wire.TCP && k != wire.Unreachable {
			t.Errorf("%s: a frame that is no TCP", name)
		}
		do(&p, &seg)
	}
}

// wantSlices compares what is kept: a line for a slice, its kind and its
// connections in order.
func (s *stage) wantSlices(want ...string) {
	s.t.Helper()
	var got []string
	for name, conns := range s.finish() {
		line := strings.TrimSuffix(name, ".pcapng")
		var cs []string
		for c, n := range conns {
			cs = append(cs, fmt.Sprintf("%s x%d", c, n))
		}
		slices.Sort(cs)
		got = append(got, line+": "+strings.Join(cs, ", "))
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("kept\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if len(s.says) > 0 {
		s.t.Errorf("notices: %q", s.says)
	}
}

func TestKeepsWhatFailsAndNothingElse(t *testing.T) {
	const gw, app = "10.0.0.1:40000", "10.0.0.5:8080"
	for _, c := range []struct {
		name string
		do   func(s *stage)
		want []string
	}{
		{"nothing failed", func(s *stage) {
			c := s.talk(gw, app).open()
			c.get("/a", "1")
			c.get("/b", "2")
			c.close()
		}, nil},
		{"an idle connection closed, by both ways", func(s *stage) {
			c := s.talk(gw, app).open()
			c.get("/a", "1")
			s.after(5 * time.Second)
			c.fromServer(wire.FIN|wire.ACK, "")
			c.fromClient(wire.RST|wire.ACK, "")
		}, nil},
		{"refused", func(s *stage) {
			s.talk("10.0.0.1:40001", app).open().get("/other", "9")
			c := s.talk(gw, app)
			c.fromClient(wire.SYN, "")
			c.fromServer(wire.RST|wire.ACK, "")
		}, []string{"2026-03-09T14-05-07Z-refused-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x2"}},
		{"unanswered", func(s *stage) {
			c := s.talk(gw, app)
			for range 3 {
				c.fromClient(wire.SYN, "")
				c.seq[0]--
				s.after(2 * time.Second)
			}
			s.after(10 * time.Second)
		}, []string{"2026-03-09T14-05-11Z-unanswered-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x3"}},
		{"reset with a request open", func(s *stage) {
			c := s.talk(gw, app).open()
			c.get("/a", "1")
			s.after(5 * time.Second)
			c.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n")
			c.fromServer(wire.RST|wire.ACK, "")
		}, []string{"2026-03-09T14-05-12Z-reset-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x7"}},
		{"closed with a request open", func(s *stage) {
			c := s.talk(gw, app).open()
			c.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n")
			c.fromServer(wire.FIN|wire.ACK, "")
			c.fromClient(wire.FIN|wire.ACK, "")
		}, []string{"2026-03-09T14-05-07Z-closed-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x6"}},
		{"5xx, and what comes after it", func(s *stage) {
			c := s.talk(gw, app).open()
			c.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n")
			c.fromServer(push, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
			s.after(2 * time.Second)
			c.get("/within", "3")
			s.after(10 * time.Second)
			c.get("/too-late", "4")
			s.after(time.Second)
		}, []string{"2026-03-09T14-05-07Z-status-503-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x7"}},
		{"the ports of a failed one are used anew", func(s *stage) {
			c := s.talk(gw, app).open()
			c.get("/a", "1")
			c.close()
			s.after(time.Second)
			c = s.talk(gw, app)
			c.seq = [2]uint32{77000, 99000}
			c.fromClient(wire.SYN, "")
			c.fromServer(wire.RST|wire.ACK, "")
		}, []string{"2026-03-09T14-05-08Z-refused-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x2"}},
		{"what is older than asked", func(s *stage) {
			c := s.talk(gw, app).open()
			c.get("/a", "1")
			s.after(40 * time.Second)
			c.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n")
			c.fromServer(wire.RST|wire.ACK, "")
		}, []string{"2026-03-09T14-05-47Z-reset-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x2"}},
		{"the other leg, by request id", func(s *stage) {
			s.talk("192.0.2.8:1111", "10.0.0.9:80").open().get("/b", "other")
			front := s.talk("192.0.2.7:50000", "10.0.0.9:80").open()
			front.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\nX-Request-Id: abc\r\n\r\n")
			back := s.talk(gw, app).open()
			back.fromClient(push, "GET /inner/b HTTP/1.1\r\nHost: shop\r\nX-Request-Id: abc\r\n\r\n")
			back.fromServer(wire.RST|wire.ACK, "")
			front.fromServer(push, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
			front.close()
		}, []string{"2026-03-09T14-05-07Z-reset-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x5, 192.0.2.7:50000 10.0.0.9:80 x8"}},
		{"the other leg, by request line and address", func(s *stage) {
			front := s.talk("192.0.2.7:50000", "10.0.0.1:80").open()
			front.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n")
			other := s.talk("192.0.2.8:50000", "10.0.0.1:80").open()
			other.fromClient(push, "GET /c HTTP/1.1\r\nHost: shop\r\n\r\n")
			back := s.talk(gw, app).open()
			back.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n")
			back.fromServer(wire.RST|wire.ACK, "")
			front.fromServer(push, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") // another try mended it
			other.fromServer(push, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			front.close()
			other.close()
		}, []string{"2026-03-09T14-05-07Z-reset-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x5, 192.0.2.7:50000 10.0.0.1:80 x8"}},
		{"a few at once", func(s *stage) {
			for port := range 3 {
				c := s.talk(fmt.Sprintf("10.0.0.1:%d", 40000+port), app)
				c.fromClient(wire.SYN, "")
				c.fromServer(wire.RST|wire.ACK, "")
			}
			c := s.talk("10.0.0.1:40009", "10.0.0.6:8080")
			c.fromClient(wire.SYN, "")
			c.fromServer(wire.RST|wire.ACK, "")
		}, []string{
			"2026-03-09T14-05-07Z-refused-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x2, 10.0.0.1:40001 10.0.0.5:8080 x2, 10.0.0.1:40002 10.0.0.5:8080 x2",
			"2026-03-09T14-05-07Z-refused-10.0.0.6-8080: 10.0.0.1:40009 10.0.0.6:8080 x2",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, Options{})
			c.do(s)
			s.after(time.Second)
			s.wantSlices(c.want...)
		})
	}
}

func TestSlowAndHeaderAreKeptWhereAskedFor(t *testing.T) {
	s := newStage(t, Options{Slow: 2 * time.Second, Headers: []HeaderMatch{{"x-debug", "on"}}})
	c := s.talk("10.0.0.1:40000", "10.0.0.5:8080").open()
	c.fromClient(push, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n")
	d := s.talk("10.0.0.1:40001", "10.0.0.5:8081").open()
	d.fromClient(push, "GET /c HTTP/1.1\r\nX-Debug: it is ON\r\n\r\n")
	d.fromServer(push, "HTTP/1.1 200 OK\r\nX-Debug: off\r\nContent-Length: 0\r\n\r\n")
	s.after(3 * time.Second)
	c.fromServer(push, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	s.after(10 * time.Second)
	s.wantSlices(
		"2026-03-09T14-05-07Z-header-10.0.0.5-8081: 10.0.0.1:40001 10.0.0.5:8081 x5",
		"2026-03-09T14-05-09Z-slow-10.0.0.5-8080: 10.0.0.1:40000 10.0.0.5:8080 x5")
}

// TestClockSetBack: recording goes on at once.
func TestClockSetBack(t *testing.T) {
	s := newStage(t, Options{})
	s.talk("10.0.0.1:40000", "10.0.0.5:8080").open().get("/a", "1")
	s.now = s.now.Add(-time.Hour)
	c := s.talk("10.0.0.1:40001", "10.0.0.5:8080")
	c.fromClient(wire.SYN, "")
	c.fromServer(wire.RST|wire.ACK, "")
	s.after(time.Second)
	if len(s.kept) != 1 || len(s.says) != 1 || s.says[0] != "the clock went back by 1h0m0s; connections that were open are followed anew" {
		t.Errorf("kept %v, said %q", s.kept, s.says)
	}
	if n := s.r.count(s.now).Connections; n != 2 {
		t.Errorf("%d connections were counted", n)
	}
	s.says = nil
	s.wantSlices("2026-03-09T13-05-07Z-refused-10.0.0.5-8080: 10.0.0.1:40001 10.0.0.5:8080 x2")
}

// TestSlicesOpenInWireshark: tshark reads every slice without a complaint,
// finds the comments, and no secret.
func TestSlicesOpenInWireshark(t *testing.T) {
	s := newStage(t, Options{})
	at := s.now
	c := s.talk("10.0.0.1:40000", "10.0.0.5:8080").open()
	c.fromClient(push, "GET /b?token=S3CR3T HTTP/1.1\r\nHost: shop\r\nCookie: a=S3C")
	c.fromClient(push, "R3T; b=S3CR3T\r\n\r\n")
	c.fromServer(wire.RST|wire.ACK, "")
	s.r.reasons.add(reason{src: c.server, dst: c.client, time: at.UnixNano(), why: "ABORT_ON_CLOSE"})
	s.after(time.Second)
	s.finish()
	if len(s.kept) != 1 || s.kept[0].Kernel != "ABORT_ON_CLOSE" || strings.Contains(s.kept[0].String(), "S3CR3T") {
		t.Fatalf("kept %v", s.kept)
	}
	name := filepath.Join(s.r.opt.Dir, s.kept[0].File)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"S3CR3T", "S3C", "R3T"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s holds the secret %s", name, secret)
		}
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark (apt install tshark)")
	}
	out, err := exec.Command(tshark, "-r", name, "-T", "fields", "-e", "frame.number", "-e", "frame.comment", "-e", "tcp.flags.str").CombinedOutput()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, out)
	}
	text := string(out)
	for _, want := range []string{"culprit: reset by the server with a request open", "kernel: ABORT_ON_CLOSE"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, text)
		}
	}
	for _, bad := range []string{"appears to have been cut short", "isn't a capture", "Malformed"} {
		if strings.Contains(text, bad) {
			t.Errorf("tshark complains:\n%s", text)
		}
	}
}
