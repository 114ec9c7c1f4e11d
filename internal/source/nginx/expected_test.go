package nginx

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// answer is what an independent reader says of one line.
type answer struct {
	File           string   `json:"file"`
	Line           int      `json:"line"`
	Kind           string   `json:"kind"`
	Method         *string  `json:"method"`
	Path           *string  `json:"path"`
	Host           *string  `json:"host"`
	Status         *int64   `json:"status"`
	UpstreamStatus *int64   `json:"upstream_status"`
	UpstreamAddr   *string  `json:"upstream_addr"`
	Duration       *float64 `json:"duration_s"`
}

// wrong lists the answers that are not right, with the reason.
var wrong = map[string]string{
	// The target is in absolute form, "https://example.com/"; the pattern cut
	// at the scheme's colon. The path is what follows the host.
	"crowdsec__nginx_req_limit_exceeded.log:7": "path",
	"crowdsec__nginx_req_limit_exceeded.log:8": "path",
	"crowdsec__nginx_req_limit_exceeded.log:9": "path",
}

// TestExpected compares with what other readers make of real lines.
func TestExpected(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/logs")
	f, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := map[string]map[int]*fact.Request{}
	n := 0
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var a answer
		if err := json.Unmarshal(sc.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(a.Kind, "nginx") {
			continue
		}
		if read[a.File] == nil {
			read[a.File] = requests(t, filepath.Join(dir, "files", a.File))
		}
		q := read[a.File][a.Line]
		if q == nil {
			t.Errorf("%s:%d: no request", a.File, a.Line)
			continue
		}
		n++
		compare(t, &a, q)
	}
	if n == 0 {
		t.Error("no answers for formats of this folder")
	}
}

func requests(t *testing.T, path string) map[int]*fact.Request {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	facts, rep, err := sourcetest.Read(Formats, nil, path, data)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Unknown+rep.Skipped > 0 {
		t.Errorf("%s: %d unknown, %d skipped: %v", path, rep.Unknown, rep.Skipped, rep.FirstUnknown)
	}
	out := map[int]*fact.Request{}
	for _, x := range facts {
		if q, ok := x.(*fact.Request); ok {
			out[q.Origin.Line] = q
		}
	}
	return out
}

func compare(t *testing.T, a *answer, q *fact.Request) {
	t.Helper()
	check := func(field string, want *string, got string) {
		if wrong[fmt.Sprintf("%s:%d", a.File, a.Line)] == field {
			return
		}
		if want != nil && *want != "" && *want != got {
			t.Errorf("%s:%d: %s %q, want %q", a.File, a.Line, field, got, *want)
		}
	}
	check("method", a.Method, q.Method)
	check("path", a.Path, q.Path)
	check("host", a.Host, q.Host)
	if a.Status != nil && !q.Status.Is(*a.Status) {
		t.Errorf("%s:%d: status %v, want %d", a.File, a.Line, q.Status, *a.Status)
	}
	if a.Duration != nil && (!q.Duration.Known || q.Duration.D.Seconds() != *a.Duration) {
		t.Errorf("%s:%d: duration %v, want %v", a.File, a.Line, q.Duration, *a.Duration)
	}
	if len(q.Attempts) > 0 {
		last := q.Attempts[len(q.Attempts)-1]
		check("upstream address", a.UpstreamAddr, last.Address)
		if a.UpstreamStatus != nil && last.Status.Known && !last.Status.Is(*a.UpstreamStatus) {
			t.Errorf("%s:%d: upstream status %v, want %d", a.File, a.Line, last.Status, *a.UpstreamStatus)
		}
	}
}

// TestSharedLines looks at lines without answers: they must be read.
func TestSharedLines(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/logs/files")
	for _, name := range []string{"matomo__nginx_json.log", "lnav__logfile_shop_access_log.0.head400"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		_, rep, err := sourcetest.ReadEnv(&source.Env{}, Formats, nil, source.Options{All: true}, name, data)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(data, []byte{'\n'}); rep.Requests < lines-1 {
			t.Errorf("%s: %d requests of %d lines, first unknown %v", name, rep.Requests, lines, rep.FirstUnknown)
		}
	}
}
