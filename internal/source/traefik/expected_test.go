package traefik

import (
	"bufio"
	"bytes"
	"encoding/json"
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

// notTraefiks are rows of lines without Traefik's tail: common log lines of
// no known writer.
var notTraefiks = map[string]bool{"elastic__traefik-common.log:4": true}

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
			File, Kind, Method, Path string
			Line                     int
			Status                   *int64
			Duration                 *float64 `json:"duration_s"`
			Upstream                 string   `json:"upstream_addr"`
		}
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil || want.Kind != "traefik" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "files", want.File))
		if err != nil {
			t.Fatal(err)
		}
		line := &source.Line{Text: bytes.Split(data, []byte("\n"))[want.Line-1]}
		if notTraefiks[want.File+":"+string(rune('0'+want.Line))] {
			if sniffCommon(line) != source.No {
				t.Errorf("%s:%d is claimed", want.File, want.Line)
			}
			continue
		}
		n++
		out := &last{}
		common.NewReader(&source.Env{}).Line(line, out)
		q, ok := out.f.(*fact.Request)
		if !ok || want.Status != nil && !q.Status.Is(*want.Status) || want.Status == nil && q.Status.Known || q.Method != want.Method || q.Path != want.Path ||
			want.Duration != nil && q.Duration != fact.Seconds(*want.Duration) {
			t.Errorf("%s:%d: got %+v\nwant %+v", want.File, want.Line, q, want)
			continue
		}
		if addr := string(address([]byte(want.Upstream))); addr != "" && (len(q.Attempts) != 1 || q.Attempts[0].Address != addr) {
			t.Errorf("%s:%d: attempts %+v, want %s", want.File, want.Line, q.Attempts, addr)
		}
	}
	if n == 0 {
		t.Error("no row of this technology")
	}
}
