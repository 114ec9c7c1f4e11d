package all_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/all"
	"culprit/internal/source/sourcetest"
)

// TestFoldsAsWhole: what readers hand to a Folder is counted as it would be if
// they stated it whole.
func TestFoldsAsWhole(t *testing.T) {
	ins, err := filepath.Glob("../*/testdata/golden/*.in")
	if err != nil || len(ins) == 0 {
		t.Fatal(err, "no golden inputs")
	}
	for _, in := range ins {
		data, err := os.ReadFile(in)
		if err != nil {
			t.Fatal(err)
		}
		if whole, folded := facts(t, data, true), facts(t, data, false); whole != folded {
			t.Errorf("%s: facts differ\nwhole:\n%s\nfolded:\n%s", in, whole, folded)
		}
		// The same lines many times, each with a byte or two changed.
		many := blur(data)
		if whole, folded := facts(t, many, true), facts(t, many, false); whole != folded {
			t.Errorf("%s, blurred: facts differ\n%s", in, firstDiff(whole, folded))
		}
	}
}

// blur repeats the lines of data, now and then changing a byte.
func blur(data []byte) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	lines := bytes.SplitAfter(data, []byte("\n"))
	signs := []byte(" \"-,:/.[]{}|'0159azAZ\\")
	var out []byte
	for len(out) < 25_000 && len(data) > 0 {
		from := len(out)
		out = append(out, lines[rnd.IntN(len(lines))]...)
		if n := len(out) - from - 1; n > 0 && rnd.IntN(4) == 0 {
			for range 1 + rnd.IntN(2) {
				out[from+rnd.IntN(n)] = signs[rnd.IntN(len(signs))]
			}
		}
	}
	return out
}

// facts are what is read of data, ordinary requests folded: whole, if each is
// to be stated.
func facts(t *testing.T, data []byte, whole bool) string {
	t.Helper()
	opt := source.Options{}
	if whole {
		opt.Follow = func(fact.Fact, []byte) bool { return false }
	}
	in := source.Input{Path: "x.log", Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
	var b bytes.Buffer
	reps, err := source.Feed(&source.Env{Reference: sourcetest.Reference, Banners: all.Banners()}, all.Formats(), all.Wrappers(), []source.Input{in}, opt, func(f fact.Fact) {
		if err := fact.Encode(&b, f); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "%+v\n", reps)
	return b.String()
}

func firstDiff(a, b string) string {
	as, bs := bytes.Split([]byte(a), []byte("\n")), bytes.Split([]byte(b), []byte("\n"))
	for i := range as {
		if i >= len(bs) || !bytes.Equal(as[i], bs[i]) {
			other := []byte("nothing")
			if i < len(bs) {
				other = bs[i]
			}
			return fmt.Sprintf("fact %d\nwhole  %s\nfolded %s", i, as[i], other)
		}
	}
	return fmt.Sprintf("%d facts and %d", len(as), len(bs))
}
