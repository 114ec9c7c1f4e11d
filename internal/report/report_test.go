package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

var update = flag.Bool("update", false, "write the golden files anew")

var start = time.Date(2026, 3, 9, 14, 0, 0, 0, time.UTC)

func at(sec int) time.Time { return start.Add(time.Duration(sec) * time.Second) }

// failed makes n failures from a second on, some seconds apart.
func failed(m fact.Mechanism, n, from, apart int) []*failure.Failure {
	var out []*failure.Failure
	for i := range n {
		r := &fact.Request{Method: "POST", Path: "/orders", IDs: []string{fmt.Sprintf("id-%d-%d", from, i)}}
		r.Time, r.Party = at(from+i*apart), fact.Party{Role: fact.RoleGateway, Tech: "nginx"}
		r.Origin = fact.Origin{Path: "case/access.log", Line: from + i, Text: fmt.Sprintf(`10.1.0.%d - - [09/Mar/2026:14:%02d:%02d +0000] "POST /orders HTTP/1.1" 502 157 "-" "shop-android/4.2" rt=0.012 ua="10.8.0.5:8080"`, i%200, (from+i*apart)/60, (from+i*apart)%60)}
		out = append(out, &failure.Failure{N: 1, Time: r.Time, Mechanism: m, Method: "POST", Path: "/orders", Seen: []*fact.Request{r}, IDs: r.IDs})
	}
	return out
}

func setting(role fact.Role, tech string, knob fact.Knob, d time.Duration, basis fact.Basis, spelling string) *fact.Setting {
	s := &fact.Setting{Knob: knob, Dur: fact.Lasting(d), Basis: basis, Spelling: spelling}
	s.Party = fact.Party{Role: role, Tech: tech}
	s.Origin = fact.Origin{Path: "case/" + tech + ".conf", Line: 12, Text: "    " + cause.Spell(spelling, d)}
	if basis == fact.Default {
		s.Origin.URL = "https://nodejs.org/api/http.html#serverkeepalivetimeout"
	}
	return s
}

var raceCause = cause.Cause{
	ID: "keepalive-race", Title: "Keep-alive race: the server closed an idle connection just as the proxy used it again",
	What: "The proxy keeps connections open for longer than the server does.", Shows: []string{"POST alone fails"}, Fixes: []string{"raise the server's idle time-out"},
	Links: []string{"https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive"}, Mechanisms: []fact.Mechanism{fact.ClosedBeforeReply},
}

var oomCause = cause.Cause{ID: "oom-kill", Title: "The kernel killed the server because its memory ran out"}

var clientCause = cause.Cause{ID: "client-abort", Title: "The client left before the answer", Kind: cause.Innocent}

// sample is a fixed report with everything in it: faults, a finding that
// accuses nobody, one that nobody can tell, time-outs the wrong way round,
// clocks apart, damaged and unknown input.
func sample() *Report {
	idle := setting(fact.RoleGateway, "nginx", fact.PoolIdle, time.Minute, fact.Configured, "keepalive_timeout {s}s;")
	keep := setting(fact.RoleBackend, "node", fact.KeepAliveIdle, 5*time.Second, fact.Default, "server.keepAliveTimeout = {ms};")
	var j failure.Joiner
	j.Add(idle)
	j.Add(keep)
	w := j.Take(time.Time{})
	race, oom, left, open := failed(fact.ClosedBeforeReply, 16, 5, 33), failed(fact.ResetBeforeReply, 5, 300, 1), failed(fact.ClientGone, 2, 90, 200), failed("", 3, 480, 9)
	for _, l := range [][]*failure.Failure{race, oom, left, open} {
		w.Failures = append(w.Failures, l...)
	}
	w.Total, w.Failed, w.First, w.Last = 12345, 24, start, at(600)
	w.Recovered = failed(fact.ClosedBeforeReply, 7, 40, 60)
	w.Skews = []failure.Skew{{A: "gclb//", B: "nginx//web-1", Ahead: -3 * time.Second, Matched: 12}}
	kill := &fact.Event{Kind: fact.OOMKilled}
	kill.Time, kill.Origin = at(299), fact.Origin{Path: "case/journal.log", Line: 4410, Text: "Mar 09 14:04:59 web-1 kernel: Memory cgroup out of memory: Killed process 3127 (node) total-vm:1180452kB, anon-rss:262144kB"}
	return &Report{World: w, Verdicts: []*cause.Verdict{
		{
			Cause: &raceCause, Confidence: 0.981, Grade: cause.Proven, Mechanism: fact.ClosedBeforeReply, Failures: race, Recovered: 7, N: 16, First: at(5), Last: at(500),
			Blame: fact.Party{Role: fact.RoleBackend, Tech: "node", Address: "10.8.0.5:8080"},
			Signals: []cause.Signal{
				{Says: "all 16 requests failed were of a kind a proxy may not repeat (POST)", Weight: 12, Why: "by chance: p = 8.6e-16", Facts: cause.Cite(race)},
				{Says: "nginx keeps idle connections for 60 s, Node only for 5.0 s by default", Weight: 7, Why: "only this order of time-outs makes the race possible", Facts: []fact.Fact{idle, keep}},
				{Says: "the failures trickle: no second has a fifth of them", Weight: 3, Why: "connections run out of idle time one by one", Facts: cause.Cite(race[4:])},
			},
			Doubts:    []cause.Signal{{Says: "one of them took 1.2 s", Weight: -3, Why: "a race is lost within a round trip", Facts: cause.Cite(race[:1])}},
			RuledOut:  []cause.Rival{{Cause: &oomCause, Confidence: 0.004, Says: "no process exited within 60 s of these failures"}},
			Fix:       cause.Fix{Summary: "Let Node keep idle connections longer than nginx does: 65 s or more.", Patch: "server.keepAliveTimeout = 65000;\nserver.headersTimeout = 66000;", Steps: []string{"or in nginx.conf, upstream block: keepalive_timeout 3s;"}},
			Next:      []cause.Next{{Evidence: "a packet capture at the server's port", Command: "tcpdump -i any -w culprit.pcap 'tcp port 8080'", WouldTell: "who closed the connection, and how long it had been idle before"}},
			Contrasts: []failure.Contrast{{Property: "method", Value: "POST", Failed: 16, FailedOf: 16, Ordinary: 13, OrdinaryOf: 97, Probability: 1e-9}},
		},
		{
			Cause: &oomCause, Confidence: 0.88, Grade: cause.Likely, Mechanism: fact.ResetBeforeReply, Failures: oom, N: 5, First: at(300), Last: at(304),
			Blame:   fact.Party{Role: fact.RoleBackend, Name: "shop.service", Host: "web-1"},
			Signals: []cause.Signal{{Says: "5 requests failed within 5 s of an out-of-memory kill", Weight: 20, Why: "such an event lies near a random instant with probability 0.4 %", Facts: []fact.Fact{kill}}},
			Fix:     cause.Fix{Summary: "Give the service more memory, or find what fills it.", Patch: "[Service]\nMemoryMax=512M"},
			Next:    []cause.Next{{Evidence: "the kernel's log of the same minutes", Command: "journalctl -k -o short-iso --since '2026-03-09 13:50' --until '2026-03-09 14:10' | grep -i -e oom -e killed -e memory"}},
			Clock:   &failure.ClockMinute{Every: time.Hour, At: 5 * time.Minute, In: 5, Of: 5, Bursts: 3},
		},
		{Confidence: 0.21, Grade: cause.Undetermined, Failures: open, N: 3, First: at(480), Last: at(498), Next: []cause.Next{{Evidence: "nginx's error log of the same minutes", Command: "culprit diagnose access.log error.log", WouldTell: "which system call failed"}}},
		{Cause: &clientCause, Confidence: 0.99, Grade: cause.Likely, Mechanism: fact.ClientGone, Failures: left, N: 2, First: at(90), Last: at(290), Signals: []cause.Signal{{Says: "nginx wrote 499, which it does when the client has gone", Weight: 20, Why: "nothing else makes it", Facts: cause.Cite(left)}}},
	}, Inputs: []Input{
		{Path: "case/access.log", Format: "nginx-access", Title: "nginx access log", Lines: 12345, Requests: 12345, Backwards: 2},
		{Path: "case/journal.log", Format: "journal-short", Title: "journalctl, short", Lines: 9000, Skipped: 2, FirstSkipped: Excerpt{17, "Mar 09 14:0"}},
		{Path: "case/notes.txt", Lines: 3, Unrecognised: 3, FirstUnrecognised: Excerpt{1, "called Anna at five"}},
		{Path: "case/old.log.gz", Format: "nginx-access", Title: "nginx access log", Lines: 12, Err: "the packed file ends early: what came before the end was read"},
		{Path: "case/empty.log"},
	}, Options: Options{ZoneAssumed: true}}
}

// healthy is a report on evidence without failures.
func healthy() *Report {
	var j failure.Joiner
	w := j.Take(time.Time{})
	w.Total, w.First, w.Last = 596, start, at(600)
	return &Report{World: w, Inputs: []Input{{Path: "access.log", Format: "nginx-access", Title: "nginx access log", Lines: 596}}}
}

var writers = []struct {
	ending string
	write  func(io.Writer, *Report) error
}{{"txt", Text}, {"json", JSON}, {"md", Markdown}, {"html", HTML}}

func TestGolden(t *testing.T) {
	verbose := sample()
	verbose.Verbose, verbose.Zone = true, time.FixedZone("+02:00", 2*3600)
	story := sample()
	story.Story = story.World.Failures[3].Facts()
	story.Verdicts = story.Verdicts[:1]
	for name, r := range map[string]*Report{"sample": sample(), "healthy": healthy(), "verbose": verbose, "story": story} {
		for _, w := range writers {
			t.Run(name+"."+w.ending, func(t *testing.T) {
				var got bytes.Buffer
				if err := w.write(&got, r); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join("testdata", name+"."+w.ending)
				if *update {
					if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), got.String()); d != "" {
					t.Errorf("-want +got\n%s", d)
				}
			})
		}
	}
}

func TestSameBytesTwice(t *testing.T) {
	for _, w := range writers {
		var a, b bytes.Buffer
		if w.write(&a, sample()) != nil || w.write(&b, sample()) != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: two runs differ", w.ending)
		}
	}
}

// poison puts s wherever a report takes text from evidence.
func poison(s string) *Report {
	r := sample()
	for _, v := range r.Verdicts {
		v.Blame.Name, v.Blame.Address = s, s
		v.Fix.Summary, v.Fix.Patch, v.Fix.Steps = s, s, []string{s, s}
		v.Next = []cause.Next{{Evidence: s, Command: s, WouldTell: s}}
		v.Contrasts = []failure.Contrast{{Property: "path", Value: s, Failed: 3, FailedOf: 3, OrdinaryOf: 10}}
		v.RuledOut = []cause.Rival{{Cause: &oomCause, Says: s}}
		v.Grade = cause.Likely
		for i := range v.Signals {
			v.Signals[i].Says, v.Signals[i].Why = s, s
			for _, f := range v.Signals[i].Facts {
				h := f.Head()
				h.Origin.Text, h.Origin.Path, h.Origin.URL = s, s, s
				if set, ok := f.(*fact.Setting); ok {
					set.Spelling = s
				}
			}
		}
		for _, f := range v.Failures {
			f.IDs = []string{s}
		}
	}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		in.Path, in.Title, in.Err, in.FirstSkipped.Text, in.FirstUnrecognised.Text = s, s, s, s, s
	}
	r.World.Skews = []failure.Skew{{A: s, B: s, Ahead: time.Second, Matched: 1}}
	req := &fact.Request{Method: s, Path: s, Client: s, Code: s}
	req.Party.Name, req.Origin.Text = s, s
	ev := &fact.Event{Kind: fact.AppError, Detail: s, Reason: s}
	r.Story = []fact.Fact{req, ev}
	return r
}

const attack = "\x1b]0;pwned\x07\x1b[31mred\x1b[2J\r\n\x00\x9b31m\u202edoc.exe\u2028<script>alert(1)</script><img src=x onerror=alert(1)>\"'`]()**`` ${x} | # \xff"

func TestControlCharactersNeverPass(t *testing.T) {
	r := poison(attack)
	for _, w := range writers {
		var b bytes.Buffer
		if err := w.write(&b, r); err != nil {
			t.Fatal(err)
		}
		for _, c := range b.String() {
			if c != '\n' && (unicode.IsControl(c) || c == 0x202e || c == 0x2028 || c == unicode.ReplacementChar) {
				t.Errorf("%s holds %U", w.ending, c)
				break
			}
		}
	}
}

func TestMarkupNeverPasses(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, poison(attack)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "javascript:"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("HTML holds %s", bad)
		}
	}
	b.Reset()
	if err := HTML(&b, poison("javascript:alert(1)")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), `href="javascript`) {
		t.Error("HTML links to a script")
	}
	b.Reset()
	if err := Markdown(&b, poison(attack)); err != nil {
		t.Fatal(err)
	}
	fenced := ""
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSpace(line)
		switch {
		case fenced == "" && strings.HasPrefix(line, "```") && strings.Trim(line, "`") == "":
			fenced = line
		case fenced != "" && line == fenced:
			fenced = ""
		case fenced == "" && strings.Contains(outsideCode(line), "<script"):
			t.Fatalf("Markdown holds markup: %s", line)
		}
	}
	if fenced != "" {
		t.Error("Markdown has a fence that is not closed")
	}
}

// outsideCode takes code spans, of any length of mark, and escaped marks out
// of a line.
func outsideCode(s string) string {
	s = strings.ReplaceAll(s, "\\`", "")
	for {
		i := strings.IndexByte(s, '`')
		if i < 0 {
			return s
		}
		n := 0
		for i+n < len(s) && s[i+n] == '`' {
			n++
		}
		mark := s[i : i+n]
		k := strings.Index(s[i+n:], mark)
		if k < 0 {
			return s
		}
		s = s[:i] + s[i+n+k+n:]
	}
}

func TestPageAsksNothingOfOthers(t *testing.T) {
	var b bytes.Buffer
	if err := HTML(&b, sample()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"src=", "<link", "@import", "url(", "<script", "<iframe"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
}

// TestNeverWider: no line of text is over 80 columns, whatever the evidence.
func TestNeverWider(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	alphabet := []rune("abc xyz0123/:.-_ \t\n\"'äß世界한👍\u0301\u200b\x1b[")
	for n := range 300 {
		text := make([]rune, rnd.IntN(400))
		for i := range text {
			text[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		r := poison(string(text))
		r.Verbose, r.Color = n%2 == 0, false
		if n%3 == 0 {
			r.Verdicts = r.Verdicts[:1]
		}
		var b bytes.Buffer
		if err := Text(&b, r); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if w := cells(strings.TrimSuffix(line, "\n")); w > columns {
				t.Fatalf("%d columns: %q\nfrom %q", w, line, string(text))
			}
		}
	}
}

// TestColourAddsOnlyColour: without its sequences, coloured text is plain text.
func TestColourAddsOnlyColour(t *testing.T) {
	r := sample()
	var plain, coloured bytes.Buffer
	if err := Text(&plain, r); err != nil {
		t.Fatal(err)
	}
	r.Color = true
	if err := Text(&coloured, r); err != nil {
		t.Fatal(err)
	}
	if plain.String() == coloured.String() {
		t.Error("no colour")
	}
	if got := scrub(coloured.String(), true); got != plain.String() {
		t.Error(cmp.Diff(plain.String(), got))
	}
}

func TestJSONSchema(t *testing.T) {
	var b bytes.Buffer
	if err := JSON(&b, sample()); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	keys := func(x any, want ...string) {
		t.Helper()
		m, ok := x.(map[string]any)
		if !ok {
			t.Fatalf("%v is no object", x)
		}
		for _, k := range want {
			if _, ok := m[k]; !ok {
				t.Errorf("no %q in %v", k, m)
			}
		}
	}
	keys(got, "schema", "window", "inputs", "requests", "verdicts")
	keys(got["window"], "start", "end")
	keys(got["requests"], "total", "failed")
	keys(got["inputs"].([]any)[0], "path", "format", "lines", "skipped")
	v := got["verdicts"].([]any)[0]
	keys(v, "cause", "title", "grade", "confidence", "mechanism", "failures", "first", "last", "blame", "evidence", "against", "fix", "next")
	m := v.(map[string]any)
	keys(m["blame"], "party", "name", "address")
	keys(m["evidence"].([]any)[0], "path", "line", "text", "says", "weight")
	keys(m["against"].([]any)[0], "cause", "says")
	keys(m["fix"], "summary", "steps", "patch")
	keys(m["next"], "evidence", "command", "would_tell")
	if id := got["verdicts"].([]any)[2].(map[string]any)["cause"]; id != "undetermined" {
		t.Errorf("cause %v, want undetermined", id)
	}
	b.Reset()
	if err := JSON(&b, healthy()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"verdicts": []`) {
		t.Error("verdicts is not [] where nothing failed")
	}
}
