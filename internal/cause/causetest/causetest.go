// Package causetest is the suite that every cause passes:
//
//	func TestCause(t *testing.T) { causetest.Run(t, &oomkill.Cause) }
//
// A cause ships cases as txtar files of evidence, as a user would have it in
// hand: testdata/fire/*.txtar, where the first verdict must be this cause, and
// testdata/silent/*.txtar, where no verdict may be. All causes are judged, so
// a case also tells this cause from its neighbours.
//
// The text before the first file of a case says what happened. A line
// "grade: likely" in it demands at least that grade, "blame: node" the
// technology or name of the blamed party, "want: crash" in a silent case which
// cause the first verdict must name instead ("none" for no verdict at all).
package causetest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"culprit/internal/cause"
	causes "culprit/internal/cause/all"
	"culprit/internal/fact"
	"culprit/internal/failure"
	"culprit/internal/source"
	sources "culprit/internal/source/all"
)

// Reference is the instant near which stamps without a year are taken to lie,
// if the evidence names no year.
var Reference = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

// File is one piece of evidence.
type File struct {
	Name string
	Data []byte
}

// Judge reads evidence with every source and judges it with every cause.
func Judge(files []File) (*failure.World, []*cause.Verdict, []source.Report, error) {
	var in []source.Input
	for _, f := range files {
		in = append(in, source.Input{Path: f.Name, Size: int64(len(f.Data)), Time: Reference, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(f.Data)), nil
		}})
	}
	var j failure.Joiner
	reports, err := source.Feed(&source.Env{Banners: sources.Banners()}, sources.Formats(), sources.Wrappers(), in, source.Options{}, func(f fact.Fact) { j.Add(f) })
	if err != nil {
		return nil, nil, nil, err
	}
	w := j.Take(time.Time{})
	judge := cause.Judge{Causes: causes.Causes()}
	return w, judge.Try(w), reports, nil
}

// Run is the suite.
func Run(t *testing.T, c *cause.Cause) {
	t.Helper()
	record(t, c)
	fire := run(t, "fire", func(t *testing.T, want map[string]string, verdicts []*cause.Verdict) {
		if len(verdicts) == 0 {
			t.Fatal("no verdict")
		}
		v := verdicts[0]
		if v.ID() != c.ID {
			t.Fatalf("first verdict is %s (%.2f), want %s\n%s", v.ID(), v.Confidence, c.ID, Dump(verdicts))
		}
		if g := want["grade"]; g != "" && rank(v.Grade) < rank(cause.Grade(g)) {
			t.Errorf("grade %s (%.2f), want at least %s\n%s", v.Grade, v.Confidence, g, Dump(verdicts))
		}
		if b := want["blame"]; b != "" && v.Blame.Tech != b && v.Blame.Name != b && string(v.Blame.Role) != b {
			t.Errorf("blame %+v, want %s", v.Blame, b)
		}
		if len(v.Signals) == 0 || v.Fix.Summary == "" {
			t.Errorf("a verdict needs evidence and a fix: %+v", v.Fix)
		}
	})
	silent := run(t, "silent", func(t *testing.T, want map[string]string, verdicts []*cause.Verdict) {
		for _, v := range verdicts {
			if v.ID() == c.ID {
				t.Errorf("accused wrongly\n%s", Dump(verdicts))
			}
		}
		switch w := want["want"]; {
		case w == "none" && len(verdicts) > 0:
			t.Errorf("want no verdict\n%s", Dump(verdicts))
		case w != "" && w != "none" && (len(verdicts) == 0 || verdicts[0].ID() != w):
			t.Errorf("want %s first\n%s", w, Dump(verdicts))
		}
	})
	if fire == 0 || silent == 0 {
		t.Errorf("%d cases in testdata/fire and %d in testdata/silent: want at least one of each", fire, silent)
	}
}

func record(t *testing.T, c *cause.Cause) {
	if c.ID == "" || c.Title == "" || c.What == "" || len(c.Shows) == 0 || c.Explain == nil {
		t.Errorf("record of %q is not complete: ID, Title, What, Shows, Fixes and Explain are needed", c.ID)
	}
	if c.Kind != cause.Innocent && len(c.Fixes) == 0 {
		t.Errorf("%s: a fault needs Fixes", c.ID)
	}
	if c.Prior != 0 && c.PriorWhy == "" {
		t.Errorf("%s: a prior needs its reason", c.ID)
	}
	for _, x := range causes.Causes() {
		if x == c {
			return
		}
	}
	t.Errorf("%s is not listed in cause/all", c.ID)
}

func run(t *testing.T, dir string, check func(*testing.T, map[string]string, []*cause.Verdict)) int {
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		t.Run(dir+"/"+strings.TrimSuffix(filepath.Base(p), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			a := txtar.Parse(data)
			var files []File
			for _, f := range a.Files {
				files = append(files, File{f.Name, f.Data})
			}
			want := map[string]string{}
			for line := range strings.Lines(string(a.Comment)) {
				if k, v, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
					want[k] = v
				}
			}
			_, verdicts, reports, err := Judge(files)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range reports {
				if r.Unknown > 0 {
					t.Logf("%s:%d: nobody recognised %q", r.Path, r.FirstUnknown.N, r.FirstUnknown.Text)
				}
			}
			check(t, want, verdicts)
			for _, v := range verdicts {
				for _, s := range v.Signals {
					if s.Says == "" || s.Why == "" {
						t.Errorf("%s: a signal needs words and the reason of its weight: %+v", v.ID(), s)
					}
				}
			}
		})
	}
	return len(paths)
}

func rank(g cause.Grade) int {
	switch g {
	case cause.Proven:
		return 3
	case cause.Likely:
		return 2
	case cause.Possible:
		return 1
	}
	return 0
}

// Dump writes verdicts for a person who debugs a case.
func Dump(verdicts []*cause.Verdict) string {
	var b bytes.Buffer
	for _, v := range verdicts {
		b.WriteString(Describe(v))
	}
	return b.String()
}

// Describe writes one verdict with its weights.
func Describe(v *cause.Verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %.2f: %d failures, %s, blame %s/%s\n", v.ID(), v.Grade, v.Confidence, v.N, v.Mechanism, v.Blame.Tech, v.Blame.Name)
	for _, s := range append(slices.Clone(v.Signals), v.Doubts...) {
		fmt.Fprintf(&b, "   %+.1f dB %s (%s)\n", s.Weight, s.Says, s.Why)
	}
	for _, r := range v.RuledOut {
		fmt.Fprintf(&b, "   not %s (%.2f): %s\n", r.Cause.ID, r.Confidence, r.Says)
	}
	return b.String()
}
