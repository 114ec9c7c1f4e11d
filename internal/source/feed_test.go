package source

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
)

// kv is a format for tests: "req STATUS" lines.
var kv = Format{
	ID: "kv", Tech: "kv", Title: "test lines",
	Sniff: func(l *Line) Confidence {
		if HasPrefix(l.Text, "req ") {
			return Sure
		}
		return No
	},
	NewReader: func(*Env) LineReader { return &kvReader{} },
}

type kvReader struct{ r fact.Request }

func (k *kvReader) Line(l *Line, out Sink) Took {
	if !HasPrefix(l.Text, "req ") {
		return NotMine
	}
	n := Int(l.Text[4:])
	if !n.Known {
		return Broken
	}
	k.r.Reset()
	k.r.Status, k.r.Method = n, "GET"
	k.r.Time = time.Unix(int64(l.N), 0).UTC()
	k.r.Party = fact.Party{Role: fact.RoleGateway, Tech: "kv"}
	out.State(&k.r)
	return Mine
}

func (k *kvReader) Close(Sink) {}

func feed(t *testing.T, opt Options, files map[string]string) ([]fact.Fact, []Report) {
	t.Helper()
	var in []Input
	for name, data := range files {
		in = append(in, Input{Path: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(data)), nil }})
	}
	var facts []fact.Fact
	reps, err := Feed(&Env{}, []Format{kv}, nil, in, opt, func(f fact.Fact) { facts = append(facts, f) })
	if err != nil {
		t.Fatal(err)
	}
	return facts, reps
}

func TestFeedFoldsOrdinaryRequests(t *testing.T) {
	var b strings.Builder
	for range 5000 {
		b.WriteString("req 200\n")
	}
	b.WriteString("req 502\nreq oops\nnobody's line\n")
	facts, reps := feed(t, Options{}, map[string]string{"a": b.String()})
	rep := reps[0]
	if rep.Format != "kv" || rep.Requests != 5001 || rep.Skipped != 1 || rep.Unknown != 1 || rep.FirstUnknown.N != 5003 {
		t.Errorf("report %+v", rep)
	}
	failed, controls, counted := 0, 0, 0
	for _, f := range facts {
		switch f := f.(type) {
		case *fact.Request:
			if f.Control {
				controls++
			} else {
				failed++
			}
		case *fact.Sample:
			if f.Name == fact.SampleRequests {
				counted += f.Count
			}
		}
	}
	if failed != 1 || counted != 5001 || controls == 0 || controls > 100*controlsAMinute {
		t.Errorf("failed %d, counted %d, controls %d", failed, counted, controls)
	}
}

func TestFeedCountsLikeFailures(t *testing.T) {
	facts, _ := feed(t, Options{}, map[string]string{"a": strings.Repeat("req 502\n", 59)})
	whole, n := 0, 0
	for _, f := range facts {
		if r, ok := f.(*fact.Request); ok {
			whole++
			n += r.N()
		}
	}
	if whole != alikeAMinute || n != 59 {
		t.Errorf("kept %d whole, for %d; want %d for 59", whole, n, alikeAMinute)
	}
}

func TestFeedLongLineIsCut(t *testing.T) {
	_, reps := feed(t, Options{}, map[string]string{"a": "req 200\nreq " + strings.Repeat("x", 3*MaxLine) + "\nreq 200\n"})
	if r := reps[0]; r.Cut != 1 || r.Lines != 3 || r.Requests != 2 || r.Skipped != 1 {
		t.Errorf("report %+v", r)
	}
}

func TestFeedBinary(t *testing.T) {
	_, reps := feed(t, Options{}, map[string]string{"a": "\x7fELF\x00\x00\x00"})
	if reps[0].Err != ErrBinary {
		t.Errorf("err = %v", reps[0].Err)
	}
}

func TestUTF16(t *testing.T) {
	got, _, err := unpack(bytes.NewReader([]byte{0xff, 0xfe, 'r', 0, 'e', 0, 'q', 0, 0x3d, 0xd8, 0x00, 0xde}), nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(got)
	if err != nil || string(b) != "req😀" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestStamps(t *testing.T) {
	env := &Env{Reference: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	want := func(in string, parse func([]byte) (time.Time, bool), text string) {
		t.Helper()
		got, ok := parse([]byte(in))
		if w, err := time.Parse(time.RFC3339Nano, text); err != nil || !ok || !got.Equal(w) {
			t.Errorf("%q: got %v, %v; want %v (%v)", in, got, ok, text, err)
		}
	}
	clf := func(b []byte) (time.Time, bool) { x, _, ok := CLFTime(b); return x, ok }
	iso := func(b []byte) (time.Time, bool) { x, _, _, ok := ISOTime(env, b); return x, ok }
	sys := func(b []byte) (time.Time, bool) { x, _, _, ok := SyslogTime(env, b); return x, ok }
	ansi := func(b []byte) (time.Time, bool) { x, _, _, ok := ANSITime(env, b); return x, ok }
	want("29/Feb/2024:23:59:59 +0130", clf, "2024-02-29T22:29:59Z")
	want("2024-03-01T00:00:00.123456789Z x", iso, "2024-03-01T00:00:00.123456789Z")
	want("2024-03-01 00:00:00,5 -0500", iso, "2024-03-01T05:00:00.5Z")
	want("2024-03-01T00:00:00+05:30", iso, "2024-02-29T18:30:00Z")
	want("Dec 31 23:00:00 host", sys, "2025-12-31T23:00:00Z")
	want("Feb  3 04:05:06.789 host", sys, "2026-02-03T04:05:06.789Z")
	want("Tue Sep 08 16:38:35.5 2024] x", ansi, "2024-09-08T16:38:35.5Z")
	want("Tue Jan  9 04:04:46 2024 - x", ansi, "2024-01-09T04:04:46Z")
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"GET /a?token=abc123&x=1":               "GET /a?token=[redacted]&x=1",
		"Authorization: Bearer abc.def.ghi end": "Authorization: Bearer [redacted] end",
		"http://user:pw@host/":                  "http://user:[redacted]@host/",
		`"password": "hunter2", "a": 1`:         `"password": "[redacted]", "a": 1`,
		"GET /status502 200":                    "GET /status502 200",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestSecretsAreMetBySearch: what spares ordinary texts the search for secrets
// spares none that holds one.
func TestSecretsAreMetBySearch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	parts := strings.Split("Authorization|authorization|proxy-|Bearer |bearer|basic |Cookie|set-cookie|access_token|id_token|api_key|apiKey|apikey|x-api-key|client_secret|secret|password|PASSWD|pwd|token|session_id|sessionid|sid|signature|sig|x-amz-credential|://|@|user:pw|host/|?|&|;| |\"|'|,|{|}|=|:|==| = |\": \"|abcdefgh|0123456789|/a/b|[redacted]", "|")
	for range 20_000 {
		var b strings.Builder
		for range 1 + rnd.IntN(8) {
			b.WriteString(parts[rnd.IntN(len(parts))])
		}
		in, want := b.String(), b.String()
		for i, re := range secretShapes {
			repl := "${1}" + mask
			if i == shapeURL {
				repl += "@"
			}
			want = re.ReplaceAllString(want, repl)
		}
		if got := Redact(in); got != want {
			t.Fatalf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
	if secretsIn("GET /status502 200 REQUEST_HAS_AUTHORIZATION") != 0 {
		t.Error("an ordinary line is searched for secrets")
	}
}

// --as means that format and no other.
func TestAsIsForced(t *testing.T) {
	other := kv
	other.ID, other.Sniff = "other", func(*Line) Confidence { return No }
	other.NewReader = func(*Env) LineReader { return refuses{} }
	in := []Input{{Path: "a", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("req 200\nreq 502\n")), nil }}}
	reps, err := Feed(&Env{}, []Format{kv, other}, nil, in, Options{As: "other"}, func(fact.Fact) {})
	if err != nil {
		t.Fatal(err)
	}
	if reps[0].Requests != 0 || reps[0].Unknown != 2 {
		t.Errorf("%+v", reps[0])
	}
}

type refuses struct{}

func (refuses) Line(*Line, Sink) Took { return NotMine }
func (refuses) Close(Sink)            {}
