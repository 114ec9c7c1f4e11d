package apache

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// TestExpected compares with answers that other programs gave. Rows without a
// status are of error logs and must be read as such.
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
			Status                         *int64
		}
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil || want.Kind != "apache" && want.Kind != "litespeed" && want.Kind != "combined" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "files", want.File))
		if err != nil {
			t.Fatal(err)
		}
		line := &source.Line{Text: bytes.Split(data, []byte("\n"))[want.Line-1]}
		if want.Status == nil {
			if want.Kind == "apache" && sniffError(line) != source.Sure {
				t.Errorf("%s:%d is not an error line: %s", want.File, want.Line, line.Text)
			}
			continue
		}
		n++
		out := &last{}
		access.NewReader(&source.Env{}).Line(line, out)
		q, ok := out.f.(*fact.Request)
		if !ok || !q.Status.Is(*want.Status) || want.Method != "" && q.Method != want.Method || want.Path != "" && q.Path != want.Path || want.Host != "" && q.Host != want.Host {
			t.Errorf("%s:%d: got %+v\nwant %+v\n%s", want.File, want.Line, q, want, line.Text)
		}
	}
	if n == 0 {
		t.Error("no row of this technology")
	}
}
