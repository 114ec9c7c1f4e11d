package causetest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"culprit/internal/cause"
	causes "culprit/internal/cause/all"
	"culprit/internal/cause/causetest"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// outcome is one judged case.
type outcome struct {
	id, want, got string
	confidence    float64
	accused       bool // a fault was named
	evidence      bool
	sure          bool // the label is confirmed
	failed        int
	told          string // whether the evidence could have told
	verdicts      []*cause.Verdict
	files         []causetest.File
}

func (o *outcome) right() bool { return o.got == o.want }

// judge runs the engine on evidence.
func judge(t *testing.T, id, want string, files []causetest.File) outcome {
	t.Helper()
	o := outcome{id: id, want: want, got: "none", files: files, evidence: len(files) > 0}
	w, verdicts, _, err := causetest.Judge(files)
	if err != nil {
		t.Fatal(err)
	}
	o.verdicts, o.told, o.failed = verdicts, told(w, want), w.Failed
	if len(verdicts) > 0 {
		o.got, o.confidence = verdicts[0].ID(), verdicts[0].Confidence
		for _, v := range verdicts {
			if v.Cause != nil && v.Cause.Kind != cause.Innocent {
				o.accused = true
			}
		}
	}
	return o
}

// told says what the evidence shows of a cause: whether a miss is the Judge's or
// the evidence's.
func told(w *failure.World, want string) string {
	c := causes.Find(want)
	if c == nil {
		return "no such cause"
	}
	episodes := w.Episodes(func(e *fact.Event) bool { return true })
	best, seen := 0.0, false
	for _, e := range episodes {
		if !c.Asks(e) {
			continue
		}
		if o := c.Explain(e); len(o.Signals) > 0 {
			score := c.Prior
			for _, s := range o.Signals {
				score += s.Weight
			}
			if !seen || score > best {
				best, seen = score, true
			}
		}
	}
	switch {
	case len(episodes) == 0:
		return "the evidence has no failed request and no event"
	case !seen:
		return "the evidence shows nothing of it"
	}
	return fmt.Sprintf("it was weighed at %+.0f dB against unknown", best)
}

// shared finds the test data beside the checkout.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for up := ""; up != dir; up, dir = dir, filepath.Dir(dir) {
		p := filepath.Join(dir, "shared", name)
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Skipf("shared/%s is not beside the checkout: accuracy on published incidents is not measured", name)
	return ""
}

// TestCasebook judges incidents from public issue trackers and prints a
// confusion table and the calibration. CULPRIT_CASEBOOK names another file of
// the same shape.
func TestCasebook(t *testing.T) {
	path := os.Getenv("CULPRIT_CASEBOOK")
	if path == "" {
		path = shared(t, "casebook/casebook.jsonl")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []outcome
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var c struct {
			ID, Cause, Confidence string
			Evidence              []struct{ Kind, Text string }
		}
		if err := json.Unmarshal(sc.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		var files []causetest.File
		for i, e := range c.Evidence {
			files = append(files, causetest.File{Name: fmt.Sprintf("%d-%s.txt", i, e.Kind), Data: []byte(e.Text + "\n")})
		}
		if len(files) == 0 {
			continue
		}
		o := judge(t, c.ID, c.Cause, files)
		o.sure = c.Confidence == "confirmed"
		all = append(all, o)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	controls, accused := 0, 0
	sure, right, named, namedRight := 0, 0, 0, 0
	for _, o := range all {
		if strings.HasPrefix(o.want, "neg-") {
			controls++
			if o.accused {
				accused++
				t.Errorf("control %s: accused of %s", o.id, o.got)
			}
			continue
		}
		if o.sure {
			sure++
			if o.right() {
				right++
			}
		}
		if o.got != "none" && o.got != cause.UndeterminedID {
			named++
			if o.right() {
				namedRight++
			}
		}
	}
	t.Logf("confirmed cases with evidence: %d of %d right at first place; of %d named causes %d right; %d of %d controls accused", right, sure, named, namedRight, accused, controls)
	report(t, all)
}

// report prints misses, the confusion table and the calibration.
func report(t *testing.T, all []outcome) {
	t.Helper()
	confusion := map[string]int{}
	bins := map[int][2]int{}
	for _, o := range all {
		if o.right() || strings.HasPrefix(o.want, "neg-") && !o.accused {
			confusion[o.want+" -> right"]++
		} else {
			confusion[o.want+" -> "+o.got]++
			t.Logf("MISS %s: want %s (confirmed %v), got %s %.2f; %s", o.id, o.want, o.sure, o.got, o.confidence, o.told)
			if testing.Verbose() && os.Getenv("CULPRIT_MISSES") != "" {
				for _, f := range o.files {
					t.Logf("   [%s] %.600s", f.Name, f.Data)
				}
				t.Log(causetest.Dump(o.verdicts))
			}
		}
		if o.got != "none" && o.got != cause.UndeterminedID {
			b := bins[int(o.confidence*10)]
			b[1]++
			if o.right() || strings.TrimPrefix(o.want, "neg-") == o.got {
				b[0]++
			}
			bins[int(o.confidence*10)] = b
		}
	}
	keys := make([]string, 0, len(confusion))
	for k := range confusion {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		t.Logf("%3d %s", confusion[k], k)
	}
	for b := range 11 {
		if x := bins[b]; x[1] > 0 {
			t.Logf("confidence %.1f: %d of %d right", float64(b)/10, x[0], x[1])
		}
	}
}

// TestExamples judges what the lab recorded from real servers.
func TestExamples(t *testing.T) {
	truths, err := filepath.Glob("../../../examples/expected/*.json")
	if err != nil || len(truths) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var all []outcome
	for _, p := range truths {
		dir := filepath.Join("../../../examples", strings.TrimSuffix(filepath.Base(p), ".json"))
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var want struct {
				Cause   string
				Also    []string
				Control bool
				Failed  int
			}
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &want); err != nil {
				t.Fatal(err)
			}
			var files []causetest.File
			err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				b, err := os.ReadFile(path)
				rel, _ := filepath.Rel(dir, path)
				files = append(files, causetest.File{Name: rel, Data: b})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			o := judge(t, filepath.Base(dir), want.Cause, files)
			all = append(all, o)
			// HAProxy hides some failures of its race; else the logs hold what
			if off := max(o.failed-want.Failed, want.Failed-o.failed); off > max(2, want.Failed/10) {
				t.Errorf("%d requests failed by the evidence, %d by the clients' count", o.failed, want.Failed)
			}
			switch {
			case want.Control && o.accused:
				t.Errorf("accused the innocent\n%s", causetest.Dump(o.verdicts))
			case want.Control:
			case !o.right() && !slices.Contains(want.Also, o.got):
				t.Errorf("want %s\n%s", want.Cause, causetest.Dump(o.verdicts))
			}
		})
	}
}
