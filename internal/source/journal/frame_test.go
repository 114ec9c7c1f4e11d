package journal

import (
	"testing"
	"time"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestUnwrap(t *testing.T) {
	for _, tt := range []struct {
		in, text, host, program string
		pid                     int
		at                      string // RFC 3339; empty: unknown
	}{
		{"Mar  9 14:00:00 web1 nginx[12]: hello: x", "hello: x", "web1", "nginx", 12, "2026-03-09T14:00:00Z"},
		{"<134>Mar  9 14:00:00 10.0.0.1 haproxy[7]: c", "c", "10.0.0.1", "haproxy", 7, "2026-03-09T14:00:00Z"},
		{"<134>Mar  9 14:00:00 haproxy[7]: c", "c", "", "haproxy", 7, "2026-03-09T14:00:00Z"},
		{"Mar 09 14:00:00.123456 web1 kernel: OOM", "OOM", "web1", "kernel", 0, "2026-03-09T14:00:00.123456Z"},
		{"Mar  9 14:00:00 web1 app[1]: message repeated 3 times: [ again]", "again", "web1", "app", 1, "2026-03-09T14:00:00Z"},
		{"2026-03-09T14:00:00+0100 web1 app[1]: x", "x", "web1", "app", 1, "2026-03-09T13:00:00Z"},
		{"2026-03-09T14:00:00.000001+00:00 web1 CRON[3]: x", "x", "web1", "CRON", 3, "2026-03-09T14:00:00.000001Z"},
		{"2026-03-09T14:00:00.000001Z web1 app[3]: x", "x", "web1", "app", 3, "2026-03-09T14:00:00.000001Z"},
		{"Mon 2026-03-09 14:00:00 CET web1 shop.service[44]: x", "x", "web1", "shop", 44, "2026-03-09T13:00:00Z"},
		{"1773064800.000123 web1 app[9]: x", "x", "web1", "app", 9, "2026-03-09T14:00:00.000123Z"},
		{"[   12.345678] web1 app[9]: x", "x", "web1", "app", 9, ""},
		{`<13>1 2026-03-09T14:00:00Z web1 app 77 ID1 [a@1 k="v\]\"]"][b] x`, "x", "web1", "app", 77, "2026-03-09T14:00:00Z"},
		{"<13>1 - - app - - - \xef\xbb\xbfx", "x", "", "app", 0, ""},
	} {
		l := source.Line{Text: []byte(tt.in), N: 1}
		if !unwrap(&l) {
			t.Errorf("no wrapper takes %q", tt.in)
			continue
		}
		var at time.Time
		if tt.at != "" {
			at, _ = time.Parse(time.RFC3339Nano, tt.at)
		}
		if string(l.Text) != tt.text || l.Host != tt.host || l.Program != tt.program || l.PID != tt.pid || !l.Time.Equal(at) {
			t.Errorf("%q: text %q host %q program %q pid %d time %v", tt.in, l.Text, l.Host, l.Program, l.PID, l.Time)
		}
	}
}

func unwrap(l *source.Line) bool {
	env := &source.Env{Reference: sourcetest.Reference}
	for _, w := range Wrappers {
		if w.Unwrap(env, l) {
			return true
		}
	}
	return false
}

// Lines of other programs that begin like a logger's frame.
func TestUnwrapLeavesOthers(t *testing.T) {
	for _, text := range []string{
		"2026-03-09T14:00:00Z INFO server: listening",
		"2026-03-09T14:00:00Z Server started: ok",
		"2026-03-09T14:00:00.123+00:00 ERROR app: broken",
		"2026-03-09T14:00:00Z stdout F GET: /",
		"2026-03-09 14:00:00 web1 app[1]: x",
		"[12345.678901] device eth0: entered promiscuous mode",
		"[12345.678901] Out of memory: Killed process 7 (node)",
		"Tue Jan  9 04:04:46 2026 - *** uWSGI",
		"[2026-03-09T14:00:00.123Z] \"GET / HTTP/1.1\" 200 - 0 5",
		`{"time":"2026-03-09T14:00:00Z","MESSAGE":"x"}`,
		"<13>1 2026-03-09T14:00:00Z web1 app 77 ID1 [a@1 k=\"v\"",
		"", "<", "<1>", "{", "[",
	} {
		l := source.Line{Text: []byte(text), N: 1}
		if unwrap(&l) {
			t.Errorf("a wrapper took %q and left %q", text, l.Text)
		}
		if string(l.Text) != text {
			t.Errorf("refused %q and changed it to %q", text, l.Text)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add([]byte("Mar  9 14:00:00 web1 nginx[12]: x"))
	f.Add([]byte(`<13>1 2026-03-09T14:00:00Z web1 app 77 ID1 [a@1 k="v\]"] x`))
	f.Add([]byte(`{"MESSAGE":[1,2],"__REALTIME_TIMESTAMP":"1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := source.Line{Text: b}
		unwrap(&l)
	})
}

func TestSpan(t *testing.T) {
	for in, want := range map[string]string{"90": "1m30s", "1min 30s": "1m30s", "500ms": "500ms", "2h 3min": "2h3m0s", "infinity": "?", "": "?", "x": "?", "1 fortnight": "?"} {
		got := "?"
		if d := span(in); d.Known {
			got = d.D.String()
		}
		if got != want {
			t.Errorf("span(%q) = %s, want %s", in, got, want)
		}
	}
}

func BenchmarkUnwrapISO(b *testing.B) {
	env := &source.Env{}
	text := []byte("2026-03-09T14:00:00.000001+00:00 web1 app[3]: GET / 200")
	b.ReportAllocs()
	for b.Loop() {
		l := source.Line{Text: text}
		unwrapISO(env, &l)
	}
}

func BenchmarkUnwrapSyslog(b *testing.B) {
	env := &source.Env{Reference: sourcetest.Reference}
	text := []byte("Mar  9 14:00:00 web1 haproxy[3]: 10.0.0.4:51234 [09/Mar/2026:14:00:00.123] front app/s1 0/0/0/1/1 200 5")
	b.ReportAllocs()
	for b.Loop() {
		l := source.Line{Text: text}
		unwrapSyslog(env, &l)
	}
}
