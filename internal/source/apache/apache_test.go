package apache

import (
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

const ordinaryLine = `10.20.0.9 - - [09/Mar/2026:14:00:00 +0100] "GET /cart?step=2 HTTP/1.1" 200 4513 "https://shop.example.com/" "Mozilla/5.0 (X11; Linux x86_64)" 12345`

func FuzzAccess(f *testing.F) { sourcetest.Fuzz(f, access, ordinaryLine) }
func FuzzError(f *testing.F)  { sourcetest.Fuzz(f, errorLog) }
func FuzzConfig(f *testing.F) { sourcetest.Fuzz(f, config) }

func BenchmarkAccess(b *testing.B) { sourcetest.Bench(b, access, ordinaryLine) }
func BenchmarkError(b *testing.B) {
	sourcetest.Bench(b, errorLog, `[Mon Mar 09 15:00:14.000001 2026] [auth_basic:error] [pid 811:tid 9] [client 10.20.0.9:4008] AH01618: user x not found: /`)
}

// last is a sink that keeps the fact stated last.
type last struct{ f fact.Fact }

func (s *last) State(f fact.Fact)  { s.f = f }
func (s *last) Inner(*source.Line) {}
func (s *last) Seen(time.Time)     {}

func TestOrdinaryLinesCostNoMemory(t *testing.T) {
	r := access.NewReader(&source.Env{})
	l := &source.Line{Text: []byte(ordinaryLine)}
	var out source.Sink = &last{}
	if n := testing.AllocsPerRun(100, func() { r.Line(l, out) }); n > 0 {
		t.Errorf("%v allocations a line, want 0", n)
	}
}

func TestNumber(t *testing.T) {
	for _, tt := range []struct {
		in    string
		phase fact.Phase
		want  fact.Mechanism
		errno int
	}{
		{"(111)Connection refused: x", fact.PhaseConnecting, fact.Refused, 111},
		{"(61)Connection refused: x", fact.PhaseConnecting, fact.Refused, 111},
		{"(113)No route to host: x", fact.PhaseConnecting, fact.Unreachable, 113},
		{"(110)Connection timed out: x", fact.PhaseConnecting, fact.ConnectTimedOut, 110},
		{"(70007)The timeout specified has expired: x", fact.PhaseConnecting, fact.ConnectTimedOut, 0},
		{"(70007)The timeout specified has expired: x", fact.PhaseWaiting, fact.ReplyTimedOut, 0},
		{"(70007)The timeout specified has expired: x", fact.PhaseReading, fact.CutMidReply, 0},
		{"(70014)End of file found: x", fact.PhaseWaiting, fact.ClosedBeforeReply, 0},
		{"(20014)Internal error (specific information not available): x", fact.PhaseWaiting, fact.ClosedBeforeReply, 0},
		{"(104)Connection reset by peer: x", fact.PhaseWaiting, fact.ResetBeforeReply, 104},
		{"(13)Permission denied: x", fact.PhaseConnecting, fact.GatewayFault, 13},
		{"(99)Cannot assign requested address: x", fact.PhaseConnecting, fact.LimitHit, 99},
		{"(EAI 2)Name or service not known: x", "", fact.NameNotResolved, 0},
		{"(OS 10060)A connection attempt failed: x", fact.PhaseConnecting, fact.ConnectTimedOut, 110},
	} {
		c, rest, ok := cutCode([]byte(tt.in))
		if !ok || string(rest) != "x" || c.errno != tt.errno || c.mechanism(tt.phase) != tt.want {
			t.Errorf("%q: %+v, rest %q, %v, %q; want %q, errno %d", tt.in, c, rest, ok, c.mechanism(tt.phase), tt.want, tt.errno)
		}
	}
	for _, in := range []string{"", "(", "()x: y", "(x)y: z", "(111)no colon", "plain: text"} {
		if _, _, ok := cutCode([]byte(in)); ok {
			t.Errorf("cutCode(%q) finds a number", in)
		}
	}
}

// TestUnitOfTheFormat: a bare number is what the configuration says.
func TestUnitOfTheFormat(t *testing.T) {
	env := &source.Env{}
	conf := "LogFormat \"%h \\\"%{User-Agent}i\\\" %T\" x\nCustomLog logs/a x\nErrorLog logs/e\n"
	if err := readConfig(env, &source.Doc{Data: []byte(conf)}, &last{}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env  *source.Env
		want fact.Dur
	}{{env, fact.Seconds(30)}, {&source.Env{}, fact.Dur{}}} {
		out := &last{}
		access.NewReader(tt.env).Line(&source.Line{Text: []byte(`10.20.0.9 - - [09/Mar/2026:14:00:00 +0100] "GET / HTTP/1.1" 502 1 "-" "-" 30`)}, out)
		if got := out.f.(*fact.Request).Duration; got != tt.want {
			t.Errorf("got %v, want %v", got, tt.want)
		}
	}
	if err := readConfig(env, &source.Doc{Data: []byte("nothing to see")}, &last{}); err == nil {
		t.Error("a text without any directive is read")
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]fact.Dur{"5": fact.Seconds(5), "500ms": fact.Millis(500), "2mi": fact.Seconds(120), "x": {}, "": {}, "9x": {}} {
		if got := duration(in, time.Second); got != want {
			t.Errorf("duration(%q) = %v, want %v", in, got, want)
		}
	}
}
