package report

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// sent is the instant at which the failed request of a fixture was sent on.
var sent = time.Date(2026, 3, 9, 14, 3, 22, 104_412_000, time.UTC)

// pkt makes a packet, seconds after sent; from is ">" for the client's side
// and "<" for the server's.
func pkt(n int, after float64, from, flags string, bytes int, says string) fact.Packet {
	return fact.Packet{N: n, Time: sent.Add(time.Duration(after * 1e9)), FromServer: from == "<", Flags: flags, Bytes: bytes, Says: says}
}

func conn(id, client, server string, how string, by fact.Role, ended fact.Mechanism, ps ...fact.Packet) *fact.Conn {
	c := &fact.Conn{ID: id, Client: client, Server: server, How: how, ClosedBy: by, Ended: ended, Protocol: "http", Packets: ps}
	c.Origin = fact.Origin{Path: "case/shop.pcapng"}
	if len(ps) > 0 {
		c.Time, c.Origin.Line = ps[len(ps)-1].Time, ps[len(ps)-1].N
	}
	return c
}

// raced is the connection of a keep-alive race at the backend's port.
func raced(id, proxy, server string) *fact.Conn {
	c := conn(id, proxy, server, "fin", fact.RoleBackend, fact.ResetBeforeReply,
		pkt(4701, -31.2, ">", "SYN", 0, ""), pkt(4702, -31.1998, "<", "SYN ACK", 0, ""), pkt(4703, -31.1997, ">", "ACK", 0, ""),
		pkt(9812, -5.0069, ">", "", 412, "GET /stock"), pkt(9813, -5.0034, "<", "", 230, "200 OK"),
		pkt(10440, -0.0004, "<", "FIN", 0, ""), pkt(10441, -0.00036, ">", "ACK", 0, ""),
		pkt(10443, 0, ">", "", 733, "POST /orders"), pkt(10444, 0.000094, "<", "RST", 0, ""))
	c.Idle, c.Opened, c.Requests = fact.Lasting(5003*time.Millisecond), sent.Add(-31200*time.Millisecond), fact.Num(13)
	return c
}

// asked is the client's connection of the same request.
func asked(id, client, proxy string) *fact.Conn {
	return conn(id, client, proxy, "fin", fact.RoleClient, "",
		pkt(10430, -0.0021, ">", "SYN", 0, ""), pkt(10431, -0.0020, "<", "SYN ACK", 0, ""), pkt(10432, -0.0012, ">", "ACK", 0, ""),
		pkt(10442, -0.0003, ">", "", 690, "POST /orders"), pkt(10445, 0.0003, "<", "", 342, "502 Bad Gateway"),
		pkt(10446, 0.0009, ">", "FIN", 0, ""))
}

func failureOn(m fact.Mechanism, method, path string, try fact.Attempt, conns ...*fact.Conn) *failure.Failure {
	r := &fact.Request{Wire: true, Method: method, Path: path, Attempts: []fact.Attempt{try}, Ended: m}
	r.Time, r.Party = sent, fact.Party{Role: fact.RoleGateway, Tech: "nginx"}
	r.Origin = fact.Origin{Path: "case/shop.pcapng", Line: 10445, Text: method + " " + path + ": 502 Bad Gateway"}
	if len(conns) > 0 {
		r.ConnID = conns[0].ID
		r.Origin.Path = conns[0].Origin.Path
	}
	return &failure.Failure{
		N: 1, Time: sent, Mechanism: m, Method: method, Path: path, Seen: []*fact.Request{r}, Conns: conns, Try: try,
		Gateway: r.Party, Backend: fact.Party{Role: fact.RoleBackend, Tech: "node", Address: try.Address},
	}
}

func raceTry(id string) fact.Attempt {
	return fact.Attempt{Address: "10.8.0.5:8080", ConnID: id, Reused: fact.Num(1), Idle: fact.Lasting(5003 * time.Millisecond), ClosedAgo: fact.Lasting(400 * time.Microsecond), Ended: fact.ResetBeforeReply}
}

const (
	clientAddr = "192.0.2.77:51034"
	frontAddr  = "10.8.0.9:443"
	proxyAddr  = "10.8.0.9:41830"
	serverAddr = "10.8.0.5:8080"
)

// passages are failures on the wire, by name.
func passages() map[string]*failure.Failure {
	refused := conn("4", proxyAddr, serverAddr, "rst", fact.RoleBackend, fact.Refused, pkt(88, 0, ">", "SYN", 0, ""), pkt(89, 0.00008, "<", "RST", 0, ""))
	silent := conn("5", proxyAddr, serverAddr, "timeout", "", fact.ConnectTimedOut,
		pkt(120, 0, ">", "SYN", 0, ""), pkt(131, 1.013, ">", "SYN", 0, "SYN again"), pkt(152, 3.029, ">", "SYN", 0, "SYN again"), pkt(190, 7.061, ">", "SYN", 0, "SYN again"))
	silent.SYNs = fact.Num(4)
	cutOff := conn("6", proxyAddr, serverAddr, "rst", fact.RoleBackend, fact.CutMidReply,
		pkt(201, -0.0004, ">", "SYN", 0, ""), pkt(202, -0.0002, "<", "SYN ACK", 0, ""), pkt(203, -0.0001, ">", "ACK", 0, ""),
		pkt(204, 0, ">", "", 180, "GET /export.csv"), pkt(206, 0.131, "<", "", 1448, "200 OK"),
		pkt(207, 0.132, "<", "", 50960, ""), pkt(255, 2.4, "<", "RST", 0, ""))
	cutOff.Packets[5].More, cutOff.BytesIn = 35, fact.Num(52408)
	tls := conn("7", proxyAddr, "10.8.0.5:8443", "fin", fact.RoleBackend, fact.TLSFailed,
		pkt(301, -0.0004, ">", "SYN", 0, ""), pkt(302, -0.0002, "<", "SYN ACK", 0, ""), pkt(303, -0.0001, ">", "ACK", 0, ""),
		pkt(304, 0, ">", "", 517, "TLS client hello, shop.example"), pkt(306, 0.0019, "<", "", 7, "TLS alert: handshake failure"), pkt(307, 0.002, "<", "FIN", 0, ""))
	foreign := raced("8", proxyAddr, serverAddr)
	foreign.Foreign = "ttl 57, its other packets have 64"
	late := conn("9", proxyAddr, serverAddr, "fin", fact.RoleClient, fact.ReplyTimedOut,
		pkt(401, -0.0004, ">", "SYN", 0, ""), pkt(402, -0.0002, "<", "SYN ACK", 0, ""), pkt(403, -0.0001, ">", "ACK", 0, ""),
		pkt(404, 0, ">", "", 180, "GET /report?year=2025"), pkt(405, 0.0002, "<", "ACK", 0, ""), pkt(910, 60.001, ">", "FIN", 0, ""))
	three := raced("17", proxyAddr, serverAddr)
	return map[string]*failure.Failure{
		"race":     failureOn(fact.ResetBeforeReply, "POST", "/orders", raceTry("17"), raced("17", proxyAddr, serverAddr)),
		"two legs": failureOn(fact.ResetBeforeReply, "POST", "/orders", raceTry("17"), asked("21", clientAddr, frontAddr), three),
		"refused":  failureOn(fact.Refused, "GET", "/", fact.Attempt{Address: serverAddr, ConnID: "4"}, refused),
		"silent":   failureOn(fact.ConnectTimedOut, "GET", "/", fact.Attempt{Address: serverAddr, ConnID: "5"}, silent),
		"cut off":  failureOn(fact.CutMidReply, "GET", "/export.csv", fact.Attempt{Address: serverAddr, ConnID: "6"}, cutOff),
		"tls":      failureOn(fact.TLSFailed, "GET", "/", fact.Attempt{Address: "10.8.0.5:8443", ConnID: "7"}, tls),
		"foreign":  failureOn(fact.ResetBeforeReply, "POST", "/orders", raceTry("8"), foreign),
		"late":     failureOn(fact.ReplyTimedOut, "GET", "/report?year=2025", fact.Attempt{Address: serverAddr, ConnID: "9"}, late),
		"two tries": failureOn(fact.ResetBeforeReply, "POST", "/orders", raceTry("17"),
			asked("21", "[2001:db8:85a3:1234:5678:8a2e:370:7334]:51034", "[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe]:443"), refused, three),
		"long": failureOn(fact.ClosedBeforeReply, "POST", "/orders", raceTry("30"), chatty("30", 40)),
	}
}

// chatty is a connection of many requests.
func chatty(id string, requests int) *fact.Conn {
	var ps []fact.Packet
	for i := range requests {
		at := float64(i-requests) * 0.4
		ps = append(ps, pkt(100+4*i, at, ">", "", 300, fmt.Sprintf("GET /items/%d?fields=name,price,stock,image,description,weight&locale=de-DE", i)), pkt(101+4*i, at+0.1, "<", "", 4000, "200 OK"), pkt(102+4*i, at+0.1001, ">", "ACK", 0, ""))
	}
	ps = append(ps, pkt(9000, 0, ">", "", 700, "POST /orders"), pkt(9001, 0.012, "<", "FIN", 0, ""))
	return conn(id, proxyAddr, serverAddr, "fin", fact.RoleBackend, fact.ClosedBeforeReply, ps...)
}

// onWire is a report on failures that a capture shows.
func onWire(fs ...*failure.Failure) *Report {
	r := sample()
	r.Verdicts = r.Verdicts[:1]
	v := r.Verdicts[0]
	v.Failures, v.N, v.First, v.Last, v.Recovered = fs, len(fs), sent, sent, 0
	v.Mechanism, v.Contrasts, v.Clock, v.Doubts = fs[0].Mechanism, nil, nil, nil
	v.Signals = []cause.Signal{{Says: "the server closed the connection 0.4 ms before the request was sent", Weight: 30, Why: "the packets show it", Facts: cause.Cite(fs)}}
	for _, f := range fs {
		for _, c := range f.Conns {
			v.Signals[0].Facts = append(v.Signals[0].Facts, c)
		}
	}
	r.World.Failures, r.World.Failed, r.World.Total, r.World.Recovered = fs, len(fs), 0, nil
	r.World.First, r.World.Last = sent, sent
	r.Inputs = []Input{{Path: "case/shop.pcapng", Format: "pcapng", Title: "packet capture", Lines: 12044, Requests: 520}, {Path: "case/nginx.conf", Format: "nginx-conf", Title: "nginx configuration", Lines: 40}}
	return r
}

func drawn(f *failure.Failure, verbose bool) string {
	t := &text{d: onWire(f).digest(), verbose: verbose, told: map[string]bool{}}
	if w := wireOf(passageOf(f)); w != nil {
		t.wire(w, 3)
	}
	return strings.TrimRight(t.b.String(), "\n")
}

// wireStory is a story of two wire requests with their connections.
func wireStory() *Report {
	f := passages()["two legs"]
	r := onWire(f)
	plain := &fact.Request{Wire: true, Method: "GET", Path: "/stock", ConnID: "33", Status: fact.Num(200)}
	plain.Time, plain.Party = sent.Add(-time.Second), fact.Party{Role: fact.RoleClient}
	plain.Origin = fact.Origin{Path: "case/shop.pcapng", Line: 9001, Text: "GET /stock: 200 OK"}
	lone := conn("40", clientAddr, frontAddr, "rst", fact.RoleClient, "", pkt(9100, -0.5, ">", "SYN", 0, ""), pkt(9101, -0.4, "<", "RST", 0, ""))
	r.Story = []fact.Fact{plain, conn("33", clientAddr, frontAddr, "", "", "", pkt(9000, -1.01, ">", "", 70, "GET /stock"), pkt(9001, -1, "<", "", 900, "200 OK")), lone, f.Seen[0], f.Conns[0], f.Conns[1]}
	return r
}

func TestPassages(t *testing.T) {
	ps := passages()
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(ps)) {
		fmt.Fprintf(&b, "## %s\n%s\n\n", k, drawn(ps[k], false))
	}
	golden(t, "passages.txt", []byte(b.String()))
}

func TestWireGolden(t *testing.T) {
	ps := passages()
	verbose := onWire(ps["race"], ps["two legs"], ps["late"])
	verbose.Verbose = true
	for name, r := range map[string]*Report{"wire": onWire(ps["race"], ps["two legs"]), "wire-verbose": verbose, "wire-story": wireStory()} {
		for _, w := range writers {
			var got bytes.Buffer
			if err := w.write(&got, r); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+w.ending, got.Bytes())
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s: -want +got\n%s", name, d)
	}
}

func TestWireSentence(t *testing.T) {
	f := func(name, want string) {
		t.Helper()
		w := wireOf(passageOf(passages()[name]))
		if w.Says != want {
			t.Errorf("%s: %q, want %q", name, w.Says, want)
		}
	}
	f("two legs", "The client sent POST /orders, nginx forwarded it 0.3 ms later on a connection idle for 5.003 s; Node had closed it 0.4 ms earlier and answered with a reset.")
	f("race", "nginx sent POST /orders on a connection idle for 5.003 s; Node had closed it 0.4 ms earlier and answered with a reset.")
	f("refused", "nginx asked for a connection and a reset came back 80 us later.")
	f("silent", "nginx asked 4 times within 7.1 s for a connection and got no answer.")
	f("cut off", "nginx sent GET /export.csv; the answer broke off after 52,408 bytes: Node reset the connection.")
	f("tls", "Node broke off the TLS handshake after 1.9 ms: handshake failure.")
	f("late", "nginx sent GET /report?year=2025 and gave up 60.001 s later, without an answer.")
}

// TestTwoCaptures: legs of two captures stand side by side in the order of
// time, and apart where their clocks contradict each other.
func TestTwoCaptures(t *testing.T) {
	two := passages()["two legs"]
	two.Conns[1].Origin.Path = "case/backend.pcap"
	if w := wireOf(passageOf(two)); w.Apart || w.Steps[len(w.Steps)-1].Leg != 0 || w.Steps[0].Leg != 1 {
		t.Errorf("not in the order of time: %+v", w)
	}
	for i := range two.Conns[1].Packets {
		p := &two.Conns[1].Packets[i]
		p.Time = p.Time.Add(-3 * time.Second)
	}
	w := wireOf(passageOf(two))
	if !w.Apart {
		t.Error("clocks that disagree are told as one")
	}
	if got := drawn(two, false); strings.Count(got, "time 0 is") != 2 || !strings.Contains(got, "clocks do not agree") {
		t.Error(got)
	}
	if got := filtersOf(onWire(two).Verdicts[0], nil); len(got) != 2 || got[1].Command() != "wireshark case/backend.pcap -Y 'tcp.stream == 17'" {
		t.Errorf("%+v", got)
	}
}

func TestFilter(t *testing.T) {
	var fs []*failure.Failure
	for i := range 12 {
		id := fmt.Sprint(90 - i)
		fs = append(fs, failureOn(fact.ResetBeforeReply, "POST", "/orders", raceTry(id), raced(id, proxyAddr, serverAddr)))
	}
	fs[3].Conns[0].ID = "3 or frame" // hostile
	fs[3].Seen[0].ConnID, fs[3].Seen[0].Attempts = "", nil
	got := filtersOf(onWire(fs...).Verdicts[0], nil)
	if len(got) != 1 || got[0].Expr() != "tcp.stream in {82, 83, 84, 85, 86, 88, 89, 90}" || got[0].Rest() != "and 3 more streams" {
		t.Errorf("%+v", got)
	}
	f := func(path, want string) {
		t.Helper()
		if got := (filter{Path: path, Streams: []uint64{3}}).Command(); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	f("shop.pcapng", "wireshark shop.pcapng -Y 'tcp.stream == 3'")
	f("my shop's.pcap", `wireshark 'my shop'\''s.pcap' -Y 'tcp.stream == 3'`)
	f("-x.pcap", "wireshark ./-x.pcap -Y 'tcp.stream == 3'")
	f("-", "wireshark -Y 'tcp.stream == 3'")
}

func TestPacketsArePlaces(t *testing.T) {
	f := func(in []string, want string) {
		t.Helper()
		if got := strings.Join(joinLines(in), ", "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f([]string{"a.log:3", "a.log:7", "b.pcap packet 3", "b.pcap packet 9", "a.log:1"}, "a.log:3, 7, b.pcap packet 3, 9, a.log:1")
	in := Input{Format: "pcap", Lines: 1, Skipped: 1, FirstSkipped: Excerpt{4, "length 4294967295"}}
	if got := in.troubles(); in.Amount() != "1 packet" || got[0].says != "1 packet is damaged, the first" {
		t.Errorf("%s, %+v", in.Amount(), got)
	}
}

func TestOffset(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := offset(d); got != want {
			t.Errorf("offset(%s) = %q, want %q", d, got, want)
		}
	}
	f(0, "0")
	f(94*time.Microsecond, "+0.094 ms")
	f(-360*time.Microsecond, "-0.360 ms")
	f(-12345*time.Microsecond, "-12.3 ms")
	f(-5003*time.Millisecond, "-5.003 s")
	f(120*time.Second, "+120.0 s")
	f(3*time.Hour, "+3.0 h")
	f(math.MinInt64, "")
}

// odd are connections that no source should state and no report may die of.
func odd() []*fact.Conn {
	backwards := raced("1", proxyAddr, serverAddr)
	slices.Reverse(backwards.Packets)
	timeless := raced("2", "", "")
	for i := range timeless.Packets {
		timeless.Packets[i].Time = time.Time{}
	}
	ancient := raced("3", proxyAddr, serverAddr)
	ancient.Packets[0].Time = time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC)
	ancient.Packets[8].Time = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
	negative := conn("4", "", "", "", "", "", fact.Packet{N: -5, More: -9, Bytes: -1}, fact.Packet{N: -5, Flags: "RST FIN SYN"}, fact.Packet{Flags: "SYN", Says: "SYN again"})
	return []*fact.Conn{nil, {}, conn("5", "", "", "", "", ""), backwards, timeless, ancient, negative, chatty("6", 350), conn("7", "a", "b", "timeout", "", fact.ConnectTimedOut, fact.Packet{})}
}

func TestOddConnections(t *testing.T) {
	mechanisms := []fact.Mechanism{"", fact.ResetBeforeReply, fact.Refused, fact.ConnectTimedOut, fact.CutMidReply, fact.TLSFailed, fact.ReplyTimedOut}
	for i, a := range odd() {
		for k, b := range odd() {
			f := failureOn(mechanisms[(i+k)%len(mechanisms)], "POST", "/orders", fact.Attempt{}, &fact.Conn{}, a, b)
			if k%2 == 0 {
				f.Conns[0] = asked("9", clientAddr, frontAddr)
				f.Gateway = fact.Party{}
			}
			r := onWire(f)
			r.Verdicts[0].Signals = nil
			for _, x := range f.Conns {
				if x != nil {
					r.Story = append(r.Story, x)
				}
			}
			r.Story = append(r.Story, f.Seen[0])
			for _, w := range writers {
				var out bytes.Buffer
				if err := w.write(&out, r); err != nil {
					t.Fatalf("%d %d %s: %s", i, k, w.ending, err)
				}
			}
		}
	}
}

// TestLadderNeverWider: no row is over 80 columns, whatever the packets say,
// and no control character passes.
func TestLadderNeverWider(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	alphabet := []rune("abc xyz0123/:.-_ \t\n\"'äß世界한👍\u0301\u200b\x1b[\u202e")
	word := func(n int) string {
		s := make([]rune, rnd.IntN(n))
		for i := range s {
			s[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		return string(s)
	}
	for n := range 100 {
		f := passages()["two tries"]
		for _, c := range f.Conns {
			c.Client, c.Server, c.Foreign, c.Origin.Path = word(60), word(60), word(100), word(100)
			for i := range c.Packets {
				p := &c.Packets[i]
				p.Says, p.Flags, p.N = word(120), []string{"", "SYN", "RST", word(20)}[rnd.IntN(4)], p.N*[]int{1, 1000000}[n%2]
			}
			if n%3 == 0 {
				c.ID = word(30)
			}
		}
		f.Gateway.Tech, f.Backend.Tech, f.Path = word(50), word(50), word(100)
		if n%4 == 0 {
			f.Conns = f.Conns[1:]
		}
		r := onWire(f, f)
		r.Verbose, r.Story = n%2 == 0, wireStory().Story
		for _, w := range writers {
			var b bytes.Buffer
			if err := w.write(&b, r); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(b.String()) {
				line = strings.TrimSuffix(line, "\n")
				if w.ending == "txt" && cells(line) > columns {
					t.Fatalf("%d columns: %q", cells(line), line)
				}
				if strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == 0x202e }) {
					t.Fatalf("%s: control characters: %q", w.ending, line)
				}
			}
		}
	}
}

func TestLadderColour(t *testing.T) {
	r := onWire(passages()["two legs"], passages()["late"])
	r.Story = wireStory().Story
	var plain, coloured bytes.Buffer
	if Text(&plain, r) != nil {
		t.Fatal()
	}
	r.Color = true
	if Text(&coloured, r) != nil {
		t.Fatal()
	}
	if !strings.Contains(coloured.String(), "\x1b[1;31m←═") {
		t.Error("the killing packet has no colour")
	}
	if d := cmp.Diff(plain.String(), scrub(coloured.String(), true)+"\n"); d != "" && strings.TrimSpace(scrub(coloured.String(), true)) != strings.TrimSpace(plain.String()) {
		t.Error(d)
	}
}

// TestLongLadderIsCut: what matters stays.
func TestLongLadderIsCut(t *testing.T) {
	w := wireOf(passageOf(passages()["long"]))
	for _, n := range []int{ladderRows, svgRows} {
		rows, packets, seen := w.shown(n), 0, 0
		for i, s := range rows {
			if s.Kind != silence {
				packets += s.Packets
			}
			if s.Zero || s.Killing {
				seen++
			}
			if i > 0 && s.Kind == leftOut && rows[i-1].Kind == leftOut {
				t.Error("two stretches left out in a row")
			}
		}
		if len(rows) > n+n/2 || packets != 122 || seen != 2 {
			t.Errorf("%d rows for %d packets, %d that matter", len(rows), packets, seen)
		}
	}
}

func TestDrawingHoldsNoMarkup(t *testing.T) {
	f := passages()["two legs"]
	for _, c := range f.Conns {
		c.Client, c.Foreign = attack, attack
		for i := range c.Packets {
			c.Packets[i].Says = attack
		}
	}
	f.Gateway.Tech = attack
	r := onWire(f, passages()["race"])
	r.Story = wireStory().Story
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "<link", "@import", "url("} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	if !strings.Contains(b.String(), "<svg viewBox=\"0 0 880 ") {
		t.Error("no drawing")
	}
}
