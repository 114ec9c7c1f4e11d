package pcap_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/all"
	"culprit/internal/source/pcap"
	"culprit/internal/source/sourcetest"
	"culprit/internal/wire/wiretest"
)

// feed reads a file as a user's evidence is read.
func feed(t testing.TB, name string, file []byte, opt source.Options) ([]fact.Fact, source.Report) {
	t.Helper()
	facts, rep, err := sourcetest.ReadEnv(&source.Env{Reference: sourcetest.Reference, Banners: all.Banners()}, pcap.Formats, nil, opt, name, file)
	if err != nil {
		t.Fatal(err)
	}
	return facts, rep
}

// capture is what was recorded of a wire.
func capture(w *wiretest.Wire) []byte { return wiretest.Pcap{Nano: true}.File(w.Packets) }

// requests tells the requests of facts, a line each.
func requests(facts []fact.Fact) string {
	var lines []string
	for _, f := range facts {
		if r, ok := f.(*fact.Request); ok {
			lines = append(lines, tell(r))
		}
	}
	return strings.Join(lines, "\n")
}

// tell writes a request as one line: who asked, what, what came of it, and of
// each of its tries.
func tell(r *fact.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s %s", r.Party.Role, r.Method, r.Path, number(r.Status))
	if r.Ended != "" {
		fmt.Fprintf(&b, " %s", r.Ended)
	}
	if r.Writer != "" {
		fmt.Fprintf(&b, " by %s", r.Writer)
	}
	for _, a := range r.Attempts {
		fmt.Fprintf(&b, "; %s %s", a.Address, number(a.Status))
		if a.Ended != "" {
			fmt.Fprintf(&b, " %s", a.Ended)
		}
		if a.ClosedAgo.Known {
			fmt.Fprintf(&b, " closed %v before", a.ClosedAgo.D)
		}
	}
	return b.String()
}

func number(n fact.Int) string {
	if !n.Known {
		return "-"
	}
	return fmt.Sprint(n.N)
}

// settings tells the measured settings of facts, a line each.
func settings(facts []fact.Fact) string {
	var lines []string
	for _, f := range facts {
		s, ok := f.(*fact.Setting)
		if !ok || s.Basis != fact.Measured || s.Knob == fact.AcceptDelay {
			continue
		}
		v := s.Text
		if s.Dur.Known {
			v = s.Dur.D.Round(10 * time.Millisecond).String()
		}
		if s.Num.Known {
			v = fmt.Sprint(s.Num.N)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s", s.Party.Role, s.Party.Address, s.Knob, v))
	}
	return strings.Join(lines, "\n")
}

func check(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.ReplaceAll(strings.TrimSpace(want), "\t", ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
