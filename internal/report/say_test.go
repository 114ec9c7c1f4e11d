package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

func TestNumber(t *testing.T) {
	f := func(n int, want string) {
		t.Helper()
		if got := number(n); got != want {
			t.Errorf("number(%d) = %s, want %s", n, got, want)
		}
	}
	f(0, "0")
	f(999, "999")
	f(1000, "1,000")
	f(12345678, "12,345,678")
}

func TestLowerFirst(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := lowerFirst(s); got != want {
			t.Errorf("lowerFirst(%q) = %q, want %q", s, got, want)
		}
	}
	f("The kernel killed it", "the kernel killed it")
	f("Keep-alive race: x", "keep-alive race: x")
	f("OOM kill", "OOM kill")
	f("DNS: no answer", "DNS: no answer")
	f("Node crashed", "Node crashed")
	f("A server", "a server")
	f("HAProxy stopped", "HAProxy stopped")
	f("TLS handshake", "TLS handshake")
	f("", "")
}

func TestClean(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got := clean(s); got != want {
			t.Errorf("clean(%q) = %q, want %q", s, got, want)
		}
	}
	f("plain", "plain")
	f("\x1b[1;31mred\x1b[0m", "red")
	f("a\x1b[2Jb", "a[2Jb")
	f("tab\there\nline", "tab here line")
	f("caf\xe9", "café")
	f("世界", "世界")
	f("x\u202ey", "xy")
}

func TestFold(t *testing.T) {
	f := func(s string, n int, want ...string) {
		t.Helper()
		if got := fold(s, n); !slices.Equal(got, want) {
			t.Errorf("fold(%q, %d) = %q, want %q", s, n, got, want)
		}
	}
	f("one two three", 8, "one two", "three")
	f("", 8, "")
	f("abcdefghijkl", 8, "abcdefgh", "ijkl")
	f("世界世界世界", 8, "世界世界", "世界")
}

func TestPlotFitsItsLine(t *testing.T) {
	for _, apart := range []int{1, 7, 60, 3600, 86400, 40 * 86400} {
		r := sample()
		r.Verdicts = r.Verdicts[:1]
		v := r.Verdicts[0]
		v.Failures = failed("closed-before-reply", 16, 0, apart)
		v.First, v.Last = v.Failures[0].Time, v.Failures[15].Time
		r.World.Last = v.Last.Add(time.Hour)
		p := r.digest().Plot
		if len(p.Rows) != 1 {
			t.Fatalf("%d s apart: no plot", apart)
		}
		n, sum := len(p.Rows[0].Counts), 0
		for _, c := range p.Rows[0].Counts {
			sum += c
		}
		if n > plotSteps+1 || sum != 16 {
			t.Errorf("%d s apart: %d steps of %s hold %d of 16", apart, n, p.Step, sum)
		}
	}
}

func TestBlockCanBePasted(t *testing.T) {
	f := func(mark, s string, want ...string) {
		t.Helper()
		var p page
		p.block(s, noPaint, 8, mark)
		if got := strings.Split(strings.TrimSuffix(p.b.String(), "\n"), "\n"); !slices.Equal(got, want) {
			t.Errorf("%q is written as\n%s", s, p.b.String())
		}
	}
	f("", "a {\n\n  b;\n}", "        a {", "", "          b;", "        }")
	f(` \`, "grep -i "+strings.Repeat("-e word ", 9)+"file", "        grep -i -e word -e word -e word -e word -e word -e word -e word -e \\", "          word -e word file")
	f(` \`, "sh -c '"+strings.Repeat("a b ", 13)+"' x"+strings.Repeat("y", 20), "        sh -c '"+strings.Repeat("a b ", 13)+"' \\", "          x"+strings.Repeat("y", 20))
	f("", "# "+strings.Repeat("word ", 15)+"end", "        # word word word word word word word word word word word word word word", "        # word end")
	f("", "  // "+strings.Repeat("don't ", 12)+"end", "          // "+strings.TrimSpace(strings.Repeat("don't ", 11)), "          // don't end")
	f("", "timeout 30; # "+strings.Repeat("word ", 13)+"end", "        timeout 30; # word word word word word word word word word word word", "        # word word end")
	f(` \`, "first\nsecond", "        first", "        second")
	f(` \`, "x "+strings.Repeat("y", 76), "x "+strings.Repeat("y", 76))
	f(` \`, strings.Repeat("y", 90), strings.Repeat("y", 78)+`\`, strings.Repeat("y", 12))
}

func TestLadderOfAnswersHasNoLimitOfReceiving(t *testing.T) {
	r := sample()
	reply := setting(fact.RoleGateway, "nginx", fact.UpstreamReply, time.Minute, fact.Configured, "proxy_read_timeout {s}s;")
	r.World = join(reply, setting(fact.RoleBackend, "node", fact.RequestTimeout, 5*time.Minute, fact.Default, "server.requestTimeout = {ms};"))
	if got := ladders(r.World); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	r.World = join(reply, setting(fact.RoleBackend, "gunicorn", fact.WorkerTimeout, 30*time.Second, fact.Configured, "timeout = {s}"))
	if got := ladders(r.World); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestTimesOfSentencesNameTheirZone(t *testing.T) {
	const says = "times within the sentences of the evidence are in UTC, all others in +02:00"
	r := sample()
	r.Verdicts[0].Signals[0].Says = "the server stopped at 14:05:00"
	if d := r.digest(); slices.Contains(d.Assumptions, says) {
		t.Errorf("said of UTC: %q", d.Assumptions)
	}
	r.Zone = time.FixedZone("+02:00", 7200)
	if d := r.digest(); !slices.Contains(d.Assumptions, says) {
		t.Errorf("not said: %q", d.Assumptions)
	}
}

func join(facts ...fact.Fact) *failure.World {
	var j failure.Joiner
	for _, f := range facts {
		j.Add(f)
	}
	return j.Take(time.Time{})
}
