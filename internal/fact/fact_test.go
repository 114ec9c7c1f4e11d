package fact

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

var samples = []Fact{
	&Request{
		Header: Header{Time: time.Date(2026, 3, 9, 12, 0, 0, 5e6, time.UTC), Res: Lasting(time.Millisecond), Party: Party{Role: RoleGateway, Tech: "nginx", PID: 7}, Origin: Origin{Path: "access.log", Line: 3, Text: "GET <\"&> /"}},
		IDs:    []string{"a", "b"}, ConnID: "7*1", Client: "203.0.113.7:9", Method: "POST", Path: "/x?y=<z>", Status: Num(502), Duration: Millis(0),
		Attempts: []Attempt{{Address: "10.0.0.5:80", Ended: Refused, Errno: 111, Idle: Seconds(5.003)}, {Address: "10.0.0.6:80", Status: Num(200)}},
		Writer:   WriterSelf, Ended: Refused, Phase: PhaseConnecting, Attrs: map[string]string{AttrCacheStatus: "MISS"},
	},
	&Conn{Client: "a", Server: "b", Idle: Seconds(6), ClosedBy: RoleBackend, How: "fin"},
	&Event{Kind: OOMKilled, Signal: 9, Exit: Num(137), Count: 2, Limit: LimitMemory, Attrs: map[string]string{AttrScope: "cgroup"}},
	&Sample{Name: SampleRequests, Interval: Seconds(60), Value: 12, Count: 12, Labels: map[string]string{"class": "2xx"}},
	&Setting{Knob: KeepAliveIdle, Dur: Seconds(5), Basis: Default, Spelling: "server.keepAliveTimeout = {ms};"},
}

func TestEncodeDecode(t *testing.T) {
	for _, f := range samples {
		var b bytes.Buffer
		if err := Encode(&b, f); err != nil {
			t.Fatal(err)
		}
		if strings.Count(b.String(), "\n") != 1 {
			t.Errorf("not one line: %q", b.String())
		}
		got, err := DecodeLine(b.Bytes())
		if err != nil {
			t.Fatalf("%v: %s", err, b.String())
		}
		if !reflect.DeepEqual(got, f) {
			t.Errorf("%s\n got %#v\nwant %#v", b.String(), got, f)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	for _, f := range samples {
		c := f.Clone()
		if !reflect.DeepEqual(c, f) {
			t.Errorf("clone of %T differs: %#v", f, c)
		}
		if c == f {
			t.Errorf("clone of %T is the same", f)
		}
	}
	r := samples[0].(*Request)
	c := r.Clone().(*Request)
	c.IDs[0], c.Attempts[0].Address = "changed", "changed"
	c.Attrs[AttrCacheStatus] = "changed"
	if r.IDs[0] == "changed" || r.Attempts[0].Address == "changed" || r.Attrs[AttrCacheStatus] == "changed" {
		t.Error("the clone shares memory")
	}
}

func TestUnknownIsNotZero(t *testing.T) {
	var b bytes.Buffer
	if err := Encode(&b, &Request{Status: Num(0)}); err != nil {
		t.Fatal(err)
	}
	if got, want := b.String(), `{"request":{"http.response.status_code":0}}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var d Dur
	if d.Or(time.Second) != time.Second || Lasting(0).Or(time.Second) != 0 {
		t.Error("an unknown duration must not be a known zero")
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, line := range []string{`{}`, `{"request":null}`, `[]`, `{"x":1}`, ``} {
		if f, err := DecodeLine([]byte(line)); err == nil {
			t.Errorf("DecodeLine(%q) = %#v, want an error", line, f)
		}
	}
	n := 0
	err := Decode(strings.NewReader("{\"event\":{\"event.name\":\"crashed\"}}\n\nnonsense\n"), func(Fact) { n++ })
	if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") || n != 1 {
		t.Errorf("%v after %d facts", err, n)
	}
}

func TestSecondsOutOfRange(t *testing.T) {
	for _, s := range []float64{1e300, -1e300} {
		if Seconds(s).Known {
			t.Errorf("Seconds(%g) is known", s)
		}
	}
	if Millis(1 << 62).Known {
		t.Error("Millis(1<<62) is known")
	}
}

func TestBasis(t *testing.T) {
	if !Measured.Outranks(Configured) || !Configured.Outranks(Default) || Default.Outranks(Default) {
		t.Error("measured beats configured beats default")
	}
}

func FuzzDecodeLine(f *testing.F) {
	for _, s := range samples {
		var b bytes.Buffer
		if err := Encode(&b, s); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		x, err := DecodeLine(line)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := Encode(&b, x); err != nil {
			t.Skip("a time outside of what JSON can say")
		}
		if _, err := DecodeLine(bytes.TrimSpace(b.Bytes())); err != nil {
			t.Fatalf("decoded, encoded, and not decoded again: %v", err)
		}
	})
}
