package haproxy

import (
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

const (
	ordinaryLine = `10.20.0.9:51204 [09/Mar/2026:14:00:00.100] fe_main~ shop/web1 2/0/1/35/38 200 4513 - - ---- 41/40/3/1/0 0/0 {shop.example.com} "GET /cart?step=2 HTTP/1.1"`
	syslogLine   = `Mar  9 14:00:01 edge2 haproxy[911]: ` + ordinaryLine
)

func FuzzAccess(f *testing.F)     { sourcetest.Fuzz(f, access, ordinaryLine, syslogLine) }
func FuzzProcessLog(f *testing.F) { sourcetest.Fuzz(f, processLog) }
func FuzzDump(f *testing.F)       { sourcetest.Fuzz(f, errorDump) }
func FuzzStatistics(f *testing.F) { sourcetest.Fuzz(f, statistics) }
func FuzzConfig(f *testing.F)     { sourcetest.Fuzz(f, config) }
func FuzzListing(f *testing.F)    { sourcetest.Fuzz(f, listing) }
func FuzzServers(f *testing.F)    { sourcetest.Fuzz(f, servers) }

func BenchmarkAccess(b *testing.B)       { sourcetest.Bench(b, access, ordinaryLine) }
func BenchmarkAccessSyslog(b *testing.B) { sourcetest.Bench(b, access, syslogLine) }

// TestOrdinaryLinesCostNoMemory: most of a log is ordinary.
func TestOrdinaryLinesCostNoMemory(t *testing.T) {
	r := access.NewReader(&source.Env{})
	l := &source.Line{Text: []byte(ordinaryLine)}
	var out source.Sink = &last{}
	if n := testing.AllocsPerRun(100, func() { r.Line(l, out) }); n > 0 {
		t.Errorf("%v allocations a line, want 0", n)
	}
}

func TestEnded(t *testing.T) {
	for _, tt := range []struct {
		state  string
		server string
		status int64
		want   fact.Mechanism
	}{
		{"----", "web1", 200, ""},
		{"SC--", "web1", 503, fact.Refused},
		{"SC--", "<NOSRV>", 503, fact.NoBackend},
		{"SQ--", "<NOSRV>", 503, fact.NoBackend},
		{"sC--", "web1", 503, fact.ConnectTimedOut},
		{"sQ--", "<NOSRV>", 503, fact.LimitHit},
		{"SH--", "web1", 502, fact.ClosedBeforeReply},
		{"sH--", "web1", 504, fact.ReplyTimedOut},
		{"SD--", "web1", 200, fact.CutMidReply},
		{"sD--", "web1", 200, fact.CutMidReply},
		{"sD--", "web1", 101, ""},
		{"SD--", "web1", 101, ""},
		{"PH--", "web1", 502, fact.BadReply},
		{"PH--", "web1", 500, fact.GatewayFault},
		{"PD--", "web1", 200, fact.BadReply},
		{"PR--", "<NOSRV>", 403, fact.Denied},
		{"PR--", "<NOSRV>", 400, ""},
		{"PT--", "<NOSRV>", 500, fact.Denied},
		{"PC--", "web1", 503, fact.LimitHit},
		{"RC--", "web1", 503, fact.LimitHit},
		{"IH--", "web1", 500, fact.GatewayFault},
		{"CD--", "web1", 200, fact.ClientGone},
		{"CQ--", "<NOSRV>", 503, fact.ClientGone},
		{"cD--", "web1", 200, fact.ClientGone},
		{"cR--", "<NOSRV>", 408, fact.ClientGone},
		{"DH--", "web1", 502, fact.NoBackend},
		{"DD--", "web1", 200, fact.CutMidReply},
		{"LR--", "<NOSRV>", 302, ""},
		{"LR--", "<NOSRV>", 503, fact.Denied},
		{"KD--", "web1", 200, ""},
	} {
		n := &line{timers: 5}
		got := ended(n, tt.state[0], tt.state[1], tt.server[0] != '<', tt.status)
		if got != tt.want {
			t.Errorf("%s %s %d: ended %q, want %q", tt.state, tt.server, tt.status, got, tt.want)
		}
	}
}

func TestAddressIn(t *testing.T) {
	for in, want := range map[string]string{
		"web1": "", "10.0.0.1": "10.0.0.1", "pod:a:b:http:10.1.2.3:8080": "10.1.2.3:8080", "v1.2.3": "", "s:80": "", "": "", "1.2.3.4:": "",
	} {
		if got := string(addressIn([]byte(in))); got != want {
			t.Errorf("addressIn(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]float64{"5s": 5, "500": 0.5, "1m": 60, "2h": 7200, "1d": 86400, "250ms": 0.25, "7us": 7e-6} {
		d, ok := duration(in)
		if !ok || d.D.Seconds() != want {
			t.Errorf("duration(%q) = %v, %v, want %v s", in, d, ok, want)
		}
	}
	for _, in := range []string{"", "s", "5x", "-1", "99999999999999999d"} {
		if _, ok := duration(in); ok {
			t.Errorf("duration(%q) is taken", in)
		}
	}
}

func TestWords(t *testing.T) {
	for in, want := range map[string][]string{
		`server a 1:2 # x`:        {"server", "a", "1:2"},
		`  log-format "a b" c\ d`: {"log-format", "a b", "c d"},
		`x '#y' ""`:               {"x", "#y", ""},
		``:                        nil,
	} {
		got := words([]byte(in))
		if len(got) != len(want) {
			t.Errorf("words(%q) = %q, want %q", in, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("words(%q) = %q, want %q", in, got, want)
			}
		}
	}
}

// TestMembersAddress: the configuration tells the access log where a server is.
func TestMembersAddress(t *testing.T) {
	env := &source.Env{}
	doc := &source.Doc{Path: "haproxy.cfg", Data: []byte("backend shop\n server web1 10.20.1.1:8080 check\n"), Skip: func(int, string) {}}
	if err := readConfig(env, doc, &last{}); err != nil {
		t.Fatal(err)
	}
	out := &last{}
	access.NewReader(env).Line(&source.Line{Text: []byte(ordinaryLine)}, out)
	if q, ok := out.f.(*fact.Request); !ok || len(q.Attempts) != 1 || q.Attempts[0].Address != "10.20.1.1:8080" {
		t.Errorf("got %+v, want the address of the configuration", out.f)
	}
	if err := readConfig(env, &source.Doc{Data: []byte("nothing here")}, &last{}); err == nil {
		t.Error("a text without any directive is read")
	}
}

// TestZone: a logger's stamp shows in which zone HAProxy wrote its own.
func TestZone(t *testing.T) {
	l := source.Line{Text: []byte(ordinaryLine)}
	out := &last{}
	r := access.NewReader(&source.Env{})
	r.Line(&l, out)
	at := out.f.Head().Time
	for _, tt := range []struct{ shift, late, want string }{
		{"-1h", "30ms", "-1h"}, {"5h30m", "1s", "5h30m"}, {"0s", "5m", "0s"}, {"-1h", "4m", "0s"}, {"0s", "0s", "0s"},
	} {
		l.Time = at.Add(dur(t, tt.shift)).Add(dur(t, tt.late))
		r.Line(&l, out)
		if got := out.f.Head().Time.Sub(at); got != dur(t, tt.want) {
			t.Errorf("logged %s away and %s late: moved by %v, want %s", tt.shift, tt.late, got, tt.want)
		}
	}
}

// folder is a sink that counts ordinary requests.
type folder struct {
	last
	o *source.Ordinary
}

func (s *folder) Fold(o *source.Ordinary) bool {
	c := *o
	s.o = &c
	return true
}

// TestFolded: what is counted of a request is what would be stated of it.
func TestFolded(t *testing.T) {
	for _, line := range []string{ordinaryLine, syslogLine,
		`10.20.0.9:1 [09/Mar/2026:14:00:00.100] fe shop/<STATS> 0/0/0/0/1 200 1 - - LR-- 1/1/0/0/0 0/0 "GET /s HTTP/1.1"`,
		`10.20.0.9:1 [09/Mar/2026:14:00:00.100] fe shop/<CACHE> 0/0/0/0/1 200 1 - - ---- 1/1/0/0/0 0/0 "GET /s HTTP/1.1"`,
		`10.20.0.9:1 [09/Mar/2026:14:00:00.100] fe shop/web1 0/0/0/0/1 499 1 - - ---- 1/1/0/0/0 0/0 "GET /s HTTP/1.1"`,
		`10.20.0.9:1 [09/Mar/2026:14:00:00.100] fe shop/web1 0/0/0/0/1 503 1 - - ---- 1/1/0/0/0 0/0 "GET /s HTTP/1.1"`,
		`10.20.0.9:1 [09/Mar/2026:14:00:00.100] fe shop/web1 0/0/0/0/1 200 1 - - SD-- 1/1/0/0/0 0/0 "GET /s HTTP/1.1"`,
		`10.20.0.9:1 [09/Mar/2026:14:00:00.100] fe shop/web1 0/0/0/0/1 200 1 - - ---- 1/1/0/0/0 0/0 "get it"`,
		`10.20.0.9:1 [09/Mar/2026:14:00:00.100] fe shop/web1 0/0/0/0/1 200 1 - - ---- 1/1/0/0/0 0/0`,
	} {
		stated, folded := &last{}, &folder{}
		access.NewReader(&source.Env{}).Line(&source.Line{Text: []byte(line)}, stated)
		access.NewReader(&source.Env{}).Line(&source.Line{Text: []byte(line)}, folded)
		q := stated.f.(*fact.Request)
		troubled := source.Troubled(q)
		if folded.o == nil {
			if !troubled && q.Code != "LR--" {
				t.Errorf("not folded: %s", line)
			}
			continue
		}
		o := folded.o
		member := q.Upstream
		if o.Tried {
			member = q.Attempts[0].Address
		}
		if troubled || !o.Time.Equal(q.Time) || !q.Status.Is(int64(o.Status)) || o.Method != q.Method || o.Tried != (len(q.Attempts) == 1) || o.Member != member {
			t.Errorf("%s\nfolded %+v\nstated %+v", line, o, q)
		}
	}
}
