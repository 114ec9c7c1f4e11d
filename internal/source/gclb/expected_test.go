package gclb

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source/sourcetest"
)

// TestExpected compares with answers that others derived from public logs.
func TestExpected(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/logs")
	f, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var x struct {
			File, Kind, Method, Path, Host string
			Line                           int
			Status                         *int64
			UpstreamAddr                   *string  `json:"upstream_addr"`
			Duration                       *float64 `json:"duration_s"`
			StatusDetails                  string   `json:"status_details"`
		}
		if err := json.Unmarshal(sc.Bytes(), &x); err != nil || x.Kind != "gcp-lb" {
			continue
		}
		rows++
		data, err := os.ReadFile(filepath.Join(dir, "files", x.File))
		if err != nil {
			t.Fatal(err)
		}
		facts, _, err := sourcetest.Read(Formats, nil, x.File, data)
		if err != nil {
			t.Fatal(err)
		}
		var q *fact.Request
		for _, y := range facts {
			if r, ok := y.(*fact.Request); ok && r.Origin.Line == x.Line {
				q = r
			}
		}
		switch {
		case q == nil:
			t.Errorf("%s:%d: no request", x.File, x.Line)
		case q.Method != x.Method, q.Path != x.Path, q.Host != x.Host, q.Code != x.StatusDetails,
			x.Status != nil && !q.Status.Is(*x.Status),
			x.Duration != nil && q.Duration != fact.Seconds(*x.Duration),
			x.UpstreamAddr != nil && (len(q.Attempts) == 0 || q.Attempts[len(q.Attempts)-1].Address != *x.UpstreamAddr):
			t.Errorf("%s:%d: %+v", x.File, x.Line, q)
		}
	}
	if rows == 0 {
		t.Error("no rows of this kind")
	}
}
