package recorder

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"culprit/internal/wire"
)

// TestRingGivesBackWhatWasPut: whatever the sizes, a connection's frames come
// back whole and in order, and the ring holds as many as fit.
func TestRingGivesBackWhatWasPut(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := newRing(MinRing, int64(time.Hour))
	type put struct {
		flow uint64
		time int64
		data []byte
	}
	var all []put
	for i := range 20000 {
		p := put{uint64(rnd.IntN(50)), int64(i), bytes.Repeat([]byte{byte(i)}, rnd.IntN(1600))}
		all = append(all, p)
		r.put(frame{flow: p.flow, time: p.time, orig: len(p.data) + 7, data: p.data}, false, 0)
		if r.used() > int64(len(r.buf)) || len(r.flows) > 50 {
			t.Fatalf("the ring holds %d of %d bytes, %d flows", r.used(), len(r.buf), len(r.flows))
		}
	}
	oldest, found := r.oldest(), 0
	for flow := range uint64(50) {
		got, _ := r.of(nil, flow, 0, 0, 1<<20)
		var want []put
		for _, p := range all {
			if p.flow == flow && p.time >= oldest {
				want = append(want, p)
			}
		}
		if len(got) != len(want) {
			t.Fatalf("flow %d: %d frames, want %d", flow, len(got), len(want))
		}
		for i, f := range got {
			if f.time != want[i].time || f.orig != len(want[i].data)+7 || !bytes.Equal(f.data, want[i].data) {
				t.Fatalf("flow %d: frame %d differs", flow, i)
			}
		}
		found += len(got)
	}
	if found < 1000 { // 1 MB, 832 bytes a frame
		t.Errorf("%d frames are held", found)
	}
}

func TestRingForgetsByAge(t *testing.T) {
	r := newRing(MinRing, 100)
	r.put(frame{flow: 1, time: 10, data: []byte("old")}, false, 0)
	r.put(frame{flow: 1, time: 50, data: []byte("new")}, false, 0)
	r.put(frame{flow: 2, time: 120, data: []byte("x")}, false, 0)
	if got, _ := r.of(nil, 1, 0, 0, 1<<20); len(got) != 1 || string(got[0].data) != "new" {
		t.Errorf("held: %v", got)
	}
}

// TestRingIndexIsBounded: a flood of connections of one packet each.
func TestRingIndexIsBounded(t *testing.T) {
	r := newRing(MinRing, int64(time.Hour))
	for i := range 100_000 {
		r.put(frame{flow: uint64(i), time: 1, data: make([]byte, 60)}, true, 1)
		if len(r.flows) > MinRing/bytesPerFlow {
			t.Fatalf("%d connections in the index", len(r.flows))
		}
	}
}

func TestRingCutsAFrameThatIsTooLong(t *testing.T) {
	r := newRing(MinRing, int64(time.Hour))
	r.put(frame{flow: 1, time: 1, orig: 1 << 20, data: make([]byte, 1<<20)}, false, 0)
	if got, _ := r.of(nil, 1, 0, 0, 1<<20); len(got) != 1 || len(got[0].data) != MinRing/4 || got[0].orig != 1<<20 {
		t.Errorf("held %d frames", len(got))
	}
}

func TestFilterChoosesPorts(t *testing.T) {
	tagged := func(frame []byte, tags ...byte) []byte {
		var in []byte
		for i := 0; i < len(tags); i += 2 {
			in = append(in, tags[i], tags[i+1], 0, 42)
		}
		return slices.Concat(frame[:12], in, frame[12:])
	}
	a, b, six, sixB := endpoint("10.0.0.1:40000"), endpoint("10.0.0.2:8080"), endpoint("[2001:db8::1]:40000"), endpoint("[2001:db8::2]:8080")
	other := endpoint("10.0.0.2:9999")
	fragment := tcpFrame(a, b, 0, 0, 0, "")
	fragment[14+7] = 1
	options := tcpFrame(a, b, 0, 0, 0, "")
	options = slices.Concat(options[:34], make([]byte, 4), options[34:])
	options[14] = 0x46
	for _, c := range []struct {
		name  string
		frame []byte
		want  bool // with the port filter
		all   bool // without ports
	}{
		{"to the port", tcpFrame(a, b, wire.SYN, 0, 0, ""), true, true},
		{"from the port", tcpFrame(b, a, wire.SYN, 0, 0, ""), true, true},
		{"another port", tcpFrame(a, other, wire.SYN, 0, 0, ""), false, true},
		{"IPv6", tcpFrame(six, sixB, wire.SYN, 0, 0, ""), true, true},
		{"IPv6 from", tcpFrame(sixB, six, wire.SYN, 0, 0, ""), true, true},
		{"IP options", options, true, true},
		{"VLAN", tagged(tcpFrame(a, b, 0, 0, 0, ""), 0x81, 0), true, true},
		{"VLAN, another port", tagged(tcpFrame(a, other, 0, 0, 0, ""), 0x81, 0), false, true},
		{"QinQ", tagged(tcpFrame(a, b, 0, 0, 0, ""), 0x88, 0xa8, 0x81, 0), true, true},
		{"QinQ IPv6", tagged(tcpFrame(six, sixB, 0, 0, 0, ""), 0x88, 0xa8, 0x81, 0), true, true},
		{"VLAN IPv6", tagged(tcpFrame(six, sixB, 0, 0, 0, ""), 0x81, 0), true, true},
		{"three tags", tagged(tcpFrame(a, b, 0, 0, 0, ""), 0x88, 0xa8, 0x81, 0, 0x81, 0), false, false},
		{"a later fragment", fragment, false, false},
		{"UDP", ipFrame(a, b, 17, make([]byte, 20)), false, false},
		{"ARP", append(make([]byte, 12), 8, 6, 0, 0), false, false},
		{"unreachable", ipFrame(a, b, 1, []byte{3, 1, 0, 0, 0, 0, 0, 0}), true, true},
		{"ping", ipFrame(a, b, 1, []byte{8, 0, 0, 0, 0, 0, 0, 0}), false, false},
		{"unreachable IPv6", ipFrame(six, sixB, 58, []byte{1, 0, 0, 0, 0, 0, 0, 0}), true, true},
		{"neighbours IPv6", ipFrame(six, sixB, 58, []byte{135, 0, 0, 0, 0, 0, 0, 0}), false, false},
		{"cut", tcpFrame(a, b, 0, 0, 0, "")[:30], false, true},
	} {
		for _, ports := range [][]uint16{nil, {80, 8080}} {
			want := c.want
			if ports == nil {
				want = c.all
			}
			if got := passes(t, wire.LinkEthernet, ports, c.frame); got != want {
				t.Errorf("%s, ports %v: taken %v", c.name, ports, got)
			}
			if len(c.frame) > 14 && c.frame[13] != 6 && bytes.Equal(c.frame[12:14], []byte{8, 0}) {
				if got := passes(t, wire.LinkRaw, ports, c.frame[14:]); got != want {
					t.Errorf("%s, ports %v, without a link header: taken %v", c.name, ports, got)
				}
			}
		}
	}
}

// passes runs the filter as the kernel does.
func passes(t *testing.T, link wire.LinkType, ports []uint16, frame []byte) bool {
	t.Helper()
	raw, err := filterFor(link, ports, 0)
	if err != nil {
		t.Fatal(err)
	}
	prog, whole := bpf.Disassemble(raw)
	if !whole {
		t.Fatal("the program does not disassemble")
	}
	vm, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(frame)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func TestFilterFitsTheKernel(t *testing.T) {
	var ports []uint16
	for i := range MaxPorts {
		ports = append(ports, uint16(1000+i))
	}
	prog, err := filterFor(wire.LinkEthernet, ports, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(prog) > 4096 {
		t.Errorf("%d instructions; the kernel takes 4096", len(prog))
	}
}

func TestShelfDeletesOldestAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, n int) {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("mine.pcapng", 5000)
	write("capture.json", 10)
	for i := range 5 {
		write(fmt.Sprintf("2026-03-09T14-05-0%dZ-reset-10.0.0.5-8080.pcapng", i), 1000)
	}
	s, err := openShelf(dir, 3000)
	if err != nil {
		t.Fatal(err)
	}
	f, name, err := s.create(time.Date(2026, 3, 9, 14, 5, 3, 0, time.UTC).UnixNano(), "reset", endpoint("10.0.0.5:8080"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	s.grew(900)
	if err := s.room(0); err != nil {
		t.Fatal(err)
	}
	s.finished(name, 900)
	six, name6, err := s.create(0, "status-503", endpoint("[2001:db8::1]:80"))
	if err != nil {
		t.Fatal(err)
	}
	six.Close()
	if !sliceName.MatchString(name6) {
		t.Errorf("%s has no slice's name", name6)
	}
	var names []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	want := []string{name6, "2026-03-09T14-05-03Z-reset-10.0.0.5-8080.2.pcapng", "2026-03-09T14-05-03Z-reset-10.0.0.5-8080.pcapng", "2026-03-09T14-05-04Z-reset-10.0.0.5-8080.pcapng", "capture.json", "mine.pcapng"}
	if !slices.Equal(names, want) || s.bytes != 2900 || s.deleted != 3 {
		t.Errorf("%d bytes, %d deleted, there are\n  %s", s.bytes, s.deleted, strings.Join(names, "\n  "))
	}
	if err := s.room(4000); err != errFull {
		t.Errorf("more than there may be: %v", err)
	}
}

// TestDiskIsBounded: a storm of failures stays within the folder's bytes, and
// what was deleted is counted.
func TestDiskIsBounded(t *testing.T) {
	s := newStage(t, Options{MaxDisk: MinMaxDisk})
	for i := range 400 {
		c := s.talk(fmt.Sprintf("10.0.0.1:%d", 20000+i), fmt.Sprintf("10.0.0.5:%d", 1000+i%7)).open()
		c.fromClient(push, "POST /b HTTP/1.1\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("b", 20000))
		c.fromServer(wire.RST|wire.ACK, "")
		s.after(100 * time.Millisecond)
		if i%50 == 0 {
			if n := diskUse(t, s.r.opt.Dir); n > MinMaxDisk+maxOpen*sliceBuffer {
				t.Fatalf("%d bytes are on disk", n)
			}
		}
	}
	s.after(time.Second)
	s.r.finish()
	if n := diskUse(t, s.r.opt.Dir); n > MinMaxDisk {
		t.Errorf("%d bytes are on disk at the end", n)
	}
	c := s.r.count(s.now)
	if c.Deleted == 0 || c.Failures["reset"] != 400 || c.NotKept != 0 || c.DiskBytes != diskUse(t, s.r.opt.Dir) {
		t.Errorf("counted %+v, notices %q", c, s.says)
	}
}

func diskUse(t *testing.T, dir string) (n int64) {
	names, err := filepath.Glob(filepath.Join(dir, "*.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// TestMemoryIsBounded: a flood of connections, each with a request of its own
// id, then of SYNs that nobody answers. What the recorder holds stays below
// what the help text tells.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 3 s")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := newStage(t, Options{Ring: 8 << 20})
	s.r.opt.OnKept = nil // the test's own list
	for i := range 300_000 {
		c := s.talk(fmt.Sprintf("10.%d.%d.%d:%d", i>>16&255, i>>8&255, i&255, 20000+i%40000), "10.0.0.5:8080")
		c.fromClient(wire.SYN, "")
		if i < 150_000 {
			c.fromServer(wire.SYN|wire.ACK, "")
			c.fromClient(push, fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: shop\r\nX-Request-Id: id-%d\r\n\r\n", i, i))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapInuse) - int64(before.HeapInuse) - 8<<20
	t.Logf("%d MB beside the ring, %d connections let go", held>>20, s.r.count(s.now).Forgotten)
	if held > maxBeside {
		t.Errorf("%d MB beside the ring, more than %d", held>>20, maxBeside>>20)
	}
	runtime.KeepAlive(s)
}

// maxBeside is what the help text tells, 200 MB, less the kernel's buffer and
// a fifth of garbage on all, a ring of DefaultRing included.
const maxBeside = (200<<20 - tapBlock*tapBlocks - DefaultRing/5) * 5 / 6

// TestNoticesAreFew: a disk that takes nothing does not flood the terminal.
func TestNoticesAreFew(t *testing.T) {
	s := newStage(t, Options{})
	for i := range 100 {
		s.r.notice(fmt.Errorf("write slice %d: no space", i))
	}
	if len(s.says) != maxNotices {
		t.Errorf("%d lines", len(s.says))
	}
	s.after(2 * time.Minute)
	s.r.notice(fmt.Errorf("another"))
	if want := []string{"80 more such lines are left out", "another"}; !slices.Equal(s.says[maxNotices:], want) {
		t.Errorf("after a while: %q", s.says[maxNotices:])
	}
}

// FuzzFrames: whatever comes from the network, the recorder goes on and stays
// within its bounds. One recorder takes all inputs, as it would.
func FuzzFrames(f *testing.F) {
	s := newStage(&testing.T{}, Options{Dir: f.TempDir(), Ring: MinRing, MaxDisk: MinMaxDisk, Snaplen: 300, Headers: []HeaderMatch{{"x", "y"}}, Slow: time.Second})
	a, b := endpoint("10.0.0.1:40000"), endpoint("10.0.0.2:8080")
	f.Add(tcpFrame(a, b, wire.SYN, 1, 0, ""), tcpFrame(b, a, wire.RST|wire.ACK, 0, 2, ""))
	f.Add(tcpFrame(a, b, push, 1, 1, "GET /?token=a HTTP/1.1\r\nX: y\r\n\r\n"), tcpFrame(b, a, push, 1, 40, "HTTP/1.1 500 no\r\nContent-Length: 0\r\n\r\n"))
	f.Add(tcpFrame(a, b, push, 1, 1, string(h2Preface)), ipFrame(a, b, 1, append([]byte{3, 1, 0, 0, 0, 0, 0, 0}, tcpFrame(a, b, wire.SYN, 1, 0, "")[14:]...)))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		s.kept, s.says = nil, nil
		s.send(one)
		s.send(two)
		s.after(300 * time.Millisecond)
		if r := s.r; r.ring.used() > MinRing || r.slicer.shelf.bytes > MinMaxDisk+maxOpen*sliceBuffer || len(r.slicer.open) > maxOpen {
			t.Fatalf("%d bytes in the ring, %d on disk, %d files open", r.ring.used(), r.slicer.shelf.bytes, len(r.slicer.open))
		}
	})
}
