package all_test

import (
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/all"
	"culprit/internal/source/sourcetest"
)

// kinds reads data with every format and returns the kinds of its events.
func kinds(t *testing.T, data string) map[fact.EventKind]int {
	t.Helper()
	facts, _, err := sourcetest.Read(all.Formats(), all.Wrappers(), "input", []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	out := map[fact.EventKind]int{}
	for _, f := range facts {
		if e, ok := f.(*fact.Event); ok {
			out[e.Kind]++
		}
	}
	return out
}

// A Kubernetes event that Google's logging exported is read by the reader of
// Kubernetes events.
func TestEventInsideLogEntry(t *testing.T) {
	got := kinds(t, `{"insertId":"1","jsonPayload":{"kind":"Event","involvedObject":{"kind":"Pod","name":"shop-7d9f8b6c5d-x2x4z","namespace":"shop"},"reason":"Unhealthy","message":"Readiness probe failed: Get \"http://10.8.0.5:8080/healthz\": context deadline exceeded","type":"Warning","count":3,"lastTimestamp":"2026-03-09T14:05:00Z"},"logName":"projects/p/logs/events","resource":{"type":"k8s_pod"},"timestamp":"2026-03-09T14:05:00Z"}`+"\n")
	if got[fact.ProbeFailed] != 1 {
		t.Errorf("events %v", got)
	}
}

// Frames may stand in frames: a container's log of a syslog line of a kernel
// message.
func TestFramesInFrames(t *testing.T) {
	got := kinds(t, `{"log":"Mar  9 14:05:01 web1 kernel: [81234.551122] Out of memory: Killed process 812 (node) total-vm:1088968kB, anon-rss:865208kB, file-rss:0kB\n","stream":"stdout","time":"2026-03-09T14:05:01.5Z"}`+"\n")
	if got[fact.OOMKilled] != 1 {
		t.Errorf("events %v", got)
	}
}

// Ids of formats are unique over all technologies, since --as names them.
func TestFormatIDs(t *testing.T) {
	seen := map[string]string{}
	for _, f := range all.Formats() {
		if by, ok := seen[f.ID]; ok {
			t.Errorf("format %s is of %s and of %s", f.ID, by, f.Tech)
		}
		seen[f.ID] = f.Tech
	}
}

// No format takes an ordinary text for its own with more than the confidence
// of a fragment.
func TestNobodyClaimsProse(t *testing.T) {
	for _, text := range []string{
		"The quick brown fox jumps over the lazy dog.",
		"# Release notes for 2.4.1",
		"- fixed a bug in the parser, see issue 502",
		"func main() { fmt.Println(\"hello\") }",
		"2026-03-09 all systems nominal",
		"total 48",
	} {
		l := source.Line{Text: []byte(text), N: 1, Path: "notes.txt"}
		for _, f := range all.Formats() {
			if f.Sniff != nil {
				if c := f.Sniff(&l); c > source.Fragment {
					t.Errorf("%s claims %q with %d", f.ID, text, c)
				}
			}
		}
	}
}
