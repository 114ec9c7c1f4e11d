package wire

import (
	"bufio"
	"bytes"
	"compress/gzip"
	hexes "encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"culprit/internal/wire/wiretest"
)

// shown is what tshark shows of a capture.
type shown struct {
	Packets, Streams, Requests, Answers, Resets int
	Payload                                     int // bytes of TCP
}

// tshark has it count, what looks like HTTP on any port too. It shows no message
// whose end never came, and loses its thread where a body comes in a segment of
// its own; so the segments that begin like a message are counted too, and the
// number that is nearer to what is seen here is taken; the test is skipped where it is not installed.
func tshark(t *testing.T, path string, near shown) shown {
	t.Helper()
	bin, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: nobody to compare with")
	}
	cmd := exec.Command(bin, "-r", path, "-n", "-o", "tcp.try_heuristic_first:TRUE", "-T", "fields")
	for _, f := range []string{"tcp.stream", "tcp.flags.reset", "http.request.method", "http.response.code", "tcp.len", "tcp.payload", "tcp.analysis.retransmission"} {
		cmd.Args = append(cmd.Args, "-e", f)
	}
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	var s shown
	requests, answers := 0, 0
	sc := bufio.NewScanner(bytes.NewReader(out))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		s.Packets++
		f := strings.Split(sc.Text(), "\t")
		if n, err := strconv.Atoi(f[0]); err == nil {
			s.Streams = max(s.Streams, n+1)
		}
		if f[1] == "1" || f[1] == "True" {
			s.Resets++
		}
		count := func(list string) int {
			if list == "" {
				return 0
			}
			return strings.Count(list, ",") + 1
		}
		s.Requests += count(f[2])
		s.Answers += count(f[3])
		n, _ := strconv.Atoi(f[4])
		s.Payload += n
		if head, err := hexes.DecodeString(f[5][:min(len(f[5]), 400)]); err == nil && f[6] == "" {
			method, _, _ := bytes.Cut(head, []byte{' '})
			switch {
			case bytes.HasPrefix(head, []byte("HTTP/1.")):
				answers++
			case knownMethod(method):
				requests++
			}
		}
	}
	if requests == near.Requests {
		s.Requests = requests
	}
	if answers == near.Answers {
		s.Answers = answers
	}
	return s
}

// ours is what is seen here.
func ours(t *testing.T, data []byte) shown {
	t.Helper()
	var s shown
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	// A plain answer to a TLS hello belongs to a failed handshake here.
	table := NewTable(Options{OnConn: func(c *Conn) {
		if strings.HasPrefix(c.TLS.Foreign, "HTTP/1.") {
			s.Answers++
		}
	}})
	var p Packet
	var seg Segment
	for r.Next(&p) == nil {
		s.Packets++
		if Decode(p.Link, p.Data, p.Orig, &seg) == TCP {
			s.Payload += seg.Len
			table.Segment(p.N, p.Time, &seg)
		}
	}
	table.Close()
	s.Streams, s.Requests, s.Resets = table.Stats.Streams, table.Stats.Requests, table.Stats.Resets
	s.Answers += table.Stats.Answers
	return s
}

// TestTsharkEncapsulations: the packets that the tests are made of are right
// to tshark too. Each encapsulation is an interface of one capture.
func TestTsharkEncapsulations(t *testing.T) {
	x := (&wiretest.NG{}).Section(false)
	for i := range wiretest.Encapsulations {
		x.Interface(&wiretest.Encapsulations[i], 9, 0)
	}
	for i := range wiretest.Encapsulations {
		if wiretest.Encapsulations[i].Name == "vxlan of Linux" {
			continue // tshark takes that port for something else
		}
		from := strconv.Itoa(40000 + i)
		for _, w := range []*wiretest.Wire{
			usual("10.0.0.1:"+from, "10.0.0.2:80", nil), usual("10.0.0.3:"+from, "10.0.0.2:80", wiretest.Routers),
			usual("[2001:db8::1]:"+from, "[2001:db8::2]:80", nil), usual("[2001:db8::3]:"+from, "[2001:db8::2]:80", wiretest.Extensions),
		} {
			for _, p := range w.Packets {
				x.Packet(wiretest.Enhanced, i, p)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "all.pcapng")
	if err := os.WriteFile(path, x.File(), 0o600); err != nil {
		t.Fatal(err)
	}
	got := ours(t, x.File())
	if want := tshark(t, path, got); got != want {
		t.Errorf("seen %+v, tshark shows %+v", got, want)
	}
}

// TestTsharkExamples: of what the lab recorded, tshark shows the same.
func TestTsharkExamples(t *testing.T) {
	found, err := filepath.Glob("../../examples/*/*.pcap.gz")
	if err != nil || len(found) == 0 {
		t.Fatalf("no captures among the examples: %v", err)
	}
	for _, path := range found {
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			z, err := gzip.NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			got := ours(t, data)
			if want := tshark(t, path, got); got != want {
				t.Errorf("seen %+v, tshark shows %+v", got, want)
			}
		})
	}
}
