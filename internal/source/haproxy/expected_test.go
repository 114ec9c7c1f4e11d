package haproxy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// last is a sink that keeps the fact stated last.
type last struct{ f fact.Fact }

func (s *last) State(f fact.Fact)  { s.f = f }
func (s *last) Inner(*source.Line) {}
func (s *last) Seen(time.Time)     {}

func dur(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestExpected compares with answers that other programs gave.
func TestExpected(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/logs")
	f, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	n := 0
	for sc.Scan() {
		var want struct {
			File, Kind, Method, Path, Termination string
			Line                                  int
			Status                                *int64
			Duration                              *float64 `json:"duration_s"`
			Backend, Server                       string
		}
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil || !strings.HasPrefix(want.Kind, "haproxy") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "files", want.File))
		if err != nil {
			t.Fatal(err)
		}
		line := bytes.Split(data, []byte("\n"))[want.Line-1]
		out := &last{}
		access.NewReader(&source.Env{}).Line(&source.Line{Text: line}, out)
		q, _ := out.f.(*fact.Request)
		if q == nil {
			q = &fact.Request{}
		}
		n++
		if want.Status != nil && !q.Status.Is(*want.Status) || want.Method != "" && q.Method != want.Method || want.Path != "" && q.Path != want.Path ||
			want.Termination != "" && q.Code != want.Termination || want.Duration != nil && q.Duration != fact.Seconds(*want.Duration) ||
			want.Termination != "" && q.Upstream != want.Backend {
			t.Errorf("%s:%d: got %+v\nwant %+v\n%s", want.File, want.Line, q, want, line)
		}
	}
	if n == 0 {
		t.Error("no row of this technology")
	}
}
