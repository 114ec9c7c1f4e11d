package caddy

import (
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

const ordinaryLine = `{"level":"info","ts":1773064800.1599,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"10.20.0.9","remote_port":"58848","proto":"HTTP/1.1","method":"GET","host":"shop.example.com","uri":"/cart","headers":{"User-Agent":["curl/8.5.0"],"Accept":["*/*"]}},"user_id":"","duration":0.001348314,"size":2,"status":200,"resp_headers":{"Server":["Caddy"],"Content-Length":["2"]}}`

func FuzzRecords(f *testing.F)   { sourcetest.Fuzz(f, records, ordinaryLine) }
func FuzzConsole(f *testing.F)   { sourcetest.Fuzz(f, console) }
func FuzzOld(f *testing.F)       { sourcetest.Fuzz(f, old) }
func FuzzCaddyfile(f *testing.F) { sourcetest.Fuzz(f, caddyfile) }

func BenchmarkRecords(b *testing.B) { sourcetest.Bench(b, records, ordinaryLine) }

func TestOrdinaryLinesCostNoMemory(t *testing.T) {
	r := records.NewReader(&source.Env{})
	l := &source.Line{Text: []byte(ordinaryLine)}
	var out source.Sink = &last{}
	if n := testing.AllocsPerRun(100, func() { r.Line(l, out) }); n > 0 {
		t.Errorf("%v allocations a line, want 0", n)
	}
}

func TestExplain(t *testing.T) {
	for msg, want := range map[string]fact.Attempt{
		"EOF": {Ended: fact.ClosedBeforeReply},
		"dial tcp 10.0.1.7:8080: connect: connection refused":                             {Address: "10.0.1.7:8080", Ended: fact.Refused, Errno: 111},
		"dial tcp 10.0.1.7:8080: i/o timeout":                                             {Address: "10.0.1.7:8080", Ended: fact.ConnectTimedOut},
		"dial tcp [::1]:8080: connect: no route to host":                                  {Address: "[::1]:8080", Ended: fact.Unreachable, Errno: 113},
		"dialing backend: dial unix /run/a.sock: connect: no such file or directory":      {Address: "unix:/run/a.sock", Ended: fact.Refused, Errno: 2},
		"dial tcp: lookup app on 127.0.0.11:53: no such host":                             {Address: "app", Ended: fact.NameNotResolved},
		"read tcp 10.0.0.1:4->10.0.1.7:8080: read: connection reset by peer":              {Address: "10.0.1.7:8080", Ended: fact.ResetBeforeReply, Errno: 104},
		"net/http: timeout awaiting response headers":                                     {Ended: fact.ReplyTimedOut},
		"tls: first record does not look like a TLS handshake":                            {Ended: fact.TLSFailed},
		"net/http: HTTP/1.x transport connection broken: malformed HTTP response \"SSH\"": {Ended: fact.BadReply},
		"http: server closed idle connection":                                             {Ended: fact.ClosedBeforeReply},
	} {
		q := &fact.Request{}
		explain(q, []byte(msg))
		if len(q.Attempts) != 1 || q.Attempts[0] != want {
			t.Errorf("%s: %+v, want %+v", msg, q.Attempts, want)
		}
	}
	q := &fact.Request{}
	if explain(q, []byte("context canceled")); q.Ended != fact.ClientGone || len(q.Attempts) != 0 {
		t.Errorf("a client that left: %+v", q)
	}
}

func TestWhen(t *testing.T) {
	env := &source.Env{}
	for _, in := range []string{`1773064800.5`, `1773064800500`, `1773064800500000000`, `"2026-03-09T14:00:00.500Z"`, `"2026/03/09 14:00:00.500"`} {
		if at, _ := when(env, []byte(in)); at.UnixMilli() != 1773064800500 {
			t.Errorf("when(%s) = %v", in, at)
		}
	}
	for _, in := range []string{"", "x", "12", "-5", `""`, `"x"`} {
		if at, _ := when(env, []byte(in)); !at.IsZero() {
			t.Errorf("when(%s) = %v, want none", in, at)
		}
	}
}

func TestTook(t *testing.T) {
	for in, want := range map[string]fact.Dur{"0.25": fact.Millis(250), "5.1e-05": fact.Seconds(5.1e-05), `"1.5ms"`: fact.Seconds(0.0015), "x": {}, `"x"`: {}, "-1": {}} {
		if got := took([]byte(in)); got != want {
			t.Errorf("took(%s) = %v, want %v", in, got, want)
		}
	}
}
