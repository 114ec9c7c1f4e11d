package caddy

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
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
			File, Kind, Method, Path, Host string
			Line                           int
			Status                         int64
			Duration                       float64 `json:"duration_s"`
		}
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil || want.Kind != "caddy" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "files", want.File))
		if err != nil {
			t.Fatal(err)
		}
		line := &source.Line{Text: bytes.Split(data, []byte("\n"))[want.Line-1]}
		n++
		out := &last{}
		records.NewReader(&source.Env{}).Line(line, out)
		q, ok := out.f.(*fact.Request)
		if !ok || !q.Status.Is(want.Status) || q.Method != want.Method || q.Path != want.Path || q.Host != want.Host || math.Abs(q.Duration.D.Seconds()-want.Duration) > 1e-9 {
			t.Errorf("%s:%d: got %+v\nwant %+v", want.File, want.Line, q, want)
		}
	}
	if n == 0 {
		t.Error("no row of this technology")
	}
}
