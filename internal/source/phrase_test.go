package source

import "testing"

func TestRules(t *testing.T) {
	rules := NewRules(
		Rule[int]{"child %d exited on signal %d (%s)", 1},
		Rule[int]{"^%s took %fs", 2},
		Rule[int]{"listen queue of socket \"%w\" full !!! (%d/%d)", 3},
		Rule[int]{"100% busy: %s", 4},
	)
	for _, tt := range []struct {
		in    string
		want  int
		holes []string
	}{
		{"[pool www] child 12 exited on signal 11 (SIGSEGV) after", 1, []string{"12", "11", "SIGSEGV"}},
		{"child x, child 7 exited on signal 9 (KILL)", 1, []string{"7", "9", "KILL"}},
		{"child 12 exited on signal 11 (SIGSEGV", 0, nil},
		{"it took 0.25s", 2, []string{"it", "0.25"}},
		{"it took .25s", 0, nil},
		{`listen queue of socket ":8000" full !!! (101/100)`, 3, []string{":8000", "101", "100"}},
		{`listen queue of socket ": 8000" full !!! (101/100)`, 0, nil},
		{"cpu 100% busy: yes", 4, []string{"yes"}},
		{"", 0, nil},
	} {
		var h Holes
		got, ok := rules.Match([]byte(tt.in), &h)
		if got != tt.want || ok != (tt.want != 0) {
			t.Errorf("Match(%q) = %d, %v, want %d", tt.in, got, ok, tt.want)
		}
		for i, want := range tt.holes {
			if string(h[i]) != want {
				t.Errorf("Match(%q) hole %d = %q, want %q", tt.in, i, h[i], want)
			}
		}
	}
}

func BenchmarkRulesMiss(b *testing.B) {
	var rules []Rule[int]
	for i := range 100 {
		rules = append(rules, Rule[int]{"message number " + string(rune('a'+i%26)) + " exited after %d s", i})
	}
	r := NewRules(rules...)
	line := []byte(`10.1.2.3 - - [09/Mar/2026:14:00:00 +0000] "GET /checkout/step?id=1 HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11)" 0.012`)
	var h Holes
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.Match(line, &h)
	}
}
