package kube

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source/sourcetest"
)

// truths reads a file of one JSON object a line.
func truths[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var x T
		if err := json.Unmarshal(sc.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		all = append(all, x)
	}
	return all
}

// TestDefects compares what manifests lack, as linters of others found it,
// with what the settings say.
func TestDefects(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/k8s")
	type object struct {
		Kind, Name string
		Defects    []string
	}
	type file struct {
		File    string
		Objects []object
	}
	for _, want := range truths[file](t, filepath.Join(dir, "truth.jsonl")) {
		data, err := os.ReadFile(filepath.Join(dir, "files", want.File))
		if err != nil {
			t.Fatal(err)
		}
		facts, rep, err := sourcetest.Read(Formats, nil, want.File, data)
		if err != nil {
			t.Fatal(err)
		}
		if rep.Format != "kube-objects" || rep.Skipped > 0 || rep.Err != nil {
			t.Errorf("%s: format %q, %d skipped, %v", want.File, rep.Format, rep.Skipped, rep.Err)
		}
		got := defects(facts)
		for _, o := range want.Objects {
			if o.Kind == "Service" || o.Kind == "Ingress" {
				continue
			}
			expected := map[string]bool{}
			for _, d := range o.Defects {
				// What needs ports, requests or two settings at once is a
				// linter's business.
				if !strings.Contains(d, "request") && !strings.Contains(d, "port-not-declared") && !strings.Contains(d, "identical") && !strings.Contains(d, "-exec") {
					expected[d] = true
				}
			}
			if have := got[o.Kind+"/"+o.Name]; !maps.Equal(have, expected) {
				t.Errorf("%s %s/%s:\n got %v\nwant %v", want.File, o.Kind, o.Name, slices.Sorted(maps.Keys(have)), slices.Sorted(maps.Keys(expected)))
			}
		}
	}
}

// defects names, in the words of the comparison, what settings show as
// missing.
func defects(facts []fact.Fact) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	scaled := map[string]bool{}
	replicas, spread := map[string]int64{}, map[string]string{}
	for _, f := range facts {
		s, ok := f.(*fact.Setting)
		if !ok {
			continue
		}
		object, rest, _ := strings.Cut(s.Object, " ")
		c, probe, _ := strings.Cut(strings.TrimPrefix(rest, "container/"), " ")
		if out[object] == nil {
			out[object] = map[string]bool{}
		}
		add := func(d string) { out[object][d] = true }
		none := s.Text == "none"
		switch s.Knob {
		case fact.LivenessProbe:
			if none {
				add("no-liveness-probe:" + c)
			}
		case fact.ReadinessProbe:
			if none {
				add("no-readiness-probe:" + c)
			}
		case fact.ProbeTimeout:
			if s.Basis == fact.Default && probe != "startup" { // the comparison leaves these out
				add(probe + "Probe-timeout-1s-default:" + c)
			}
		case fact.MemoryLimit:
			if none {
				add("no-memory-limit:" + c)
			}
		case fact.PreStop:
			if none {
				add("no-preStop:" + c)
			}
		case fact.DisruptionBudget:
			if none {
				add("no-PDB")
			}
		case fact.GracePeriod:
			if s.Basis == fact.Configured && s.Dur.D.Seconds() < 10 {
				add("terminationGracePeriodSeconds=" + strings.TrimSuffix(s.Dur.D.String(), "s"))
			}
		case fact.Replicas:
			if strings.HasPrefix(s.Where, "HorizontalPodAutoscaler/") {
				scaled[object] = true
			}
			if replicas[object] = s.Num.N; s.Num.N == 1 {
				add("single-replica" + map[fact.Basis]string{fact.Default: "-default"}[s.Basis])
			}
		case fact.Spread:
			spread[object] = s.Text
		}
	}
	for object, text := range spread {
		if text == "none" && replicas[object] > 1 {
			out[object]["replicas>=2-no-antiaffinity-or-spread"] = true
		}
	}
	for object := range scaled { // to the comparison, an autoscaler is enough
		delete(out[object], "single-replica")
	}
	return out
}

// TestDescribed looks for what a count of words in kubectl's output found.
func TestDescribed(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/system")
	type file struct {
		File  string
		Facts map[string]int
	}
	for _, want := range truths[file](t, filepath.Join(dir, "truth.jsonl")) {
		if len(want.Facts) == 0 || strings.HasSuffix(want.File, "test_case.yaml") {
			continue // none, or told in prose
		}
		data, err := os.ReadFile(filepath.Join(dir, "files", want.File))
		if err != nil {
			t.Fatal(err)
		}
		facts, _, err := sourcetest.Read(Formats, nil, want.File, data)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[fact.EventKind]int{}
		for _, f := range facts {
			if e, ok := f.(*fact.Event); ok {
				seen[e.Kind]++
			}
		}
		for word, kinds := range map[string][]fact.EventKind{
			"crashloop":             {fact.RestartBackoff},
			"oom":                   {fact.OOMKilled},
			"failed_scheduling":     {fact.BootFailed},
			"last_state_terminated": {fact.ProcessExited, fact.OOMKilled},
		} {
			n := 0
			for _, k := range kinds {
				n += seen[k]
			}
			if want.Facts[word] > 0 && n == 0 {
				t.Errorf("%s: %s is there %d times, and no fact of it: %v", want.File, word, want.Facts[word], seen)
			}
		}
	}
}
