package all_test

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source/all"
	"culprit/internal/source/sourcetest"
)

// disputed are rows where the answer was checked by hand and is not what the
// line says; by file and line.
var disputed = map[string]string{
	"crowdsec__nginx-http-malformed.log":     "absolute targets: the answers cut scheme and host, or leave them, by their own rule",
	"crowdsec__nginx_req_limit_exceeded.log": "absolute targets: the answers leave the slashes before the host",
	"elastic__traefik-common.log":            "line 4 of them is not Traefik's, and line 3 was answered without any service",
}

// TestExpected reads published logs with all formats at once, as `culprit`
// does, and compares every answered field.
func TestExpected(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/logs")
	f, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type row struct {
		File, Kind, Oracle, Method, Path, Host, Termination string
		Line                                                int
		Status                                              *int64
		UpstreamStatus                                      *int64   `json:"upstream_status"`
		UpstreamAddr                                        string   `json:"upstream_addr"`
		Duration                                            *float64 `json:"duration_s"`
		Flags                                               string   `json:"response_flags"`
	}
	read := map[string]map[int]*fact.Request{}
	rows, bad := 0, 0
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var r row
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if read[r.File] == nil {
			read[r.File] = requests(t, filepath.Join(dir, "files", r.File))
		}
		q := read[r.File][r.Line]
		if q == nil && r.Method == "" && r.Status == nil || r.Kind == "zoraxy" {
			continue // no request is told of there; or a proxy that is not read
		}
		rows++
		if q == nil {
			bad++
			t.Errorf("%s:%d (%s): not read as a request", r.File, r.Line, r.Kind)
			continue
		}
		var wrong []string
		diff := func(what string, ok bool) {
			if !ok {
				wrong = append(wrong, what)
			}
		}
		diff("method", r.Method == "" || r.Method == "-" || q.Method == r.Method)
		diff("path", r.Path == "" || r.Path == "-" || q.Path == r.Path || disputed[r.File] != "" || strings.HasSuffix(q.Path, r.Path) || strings.HasPrefix(q.Path, r.Path+"?"))
		diff("host", r.Host == "" || strings.EqualFold(q.Host, r.Host) || strings.Contains(q.Path, "//"+r.Host) || strings.HasPrefix(q.Host, r.Host+":"))
		diff("status", r.Status == nil || q.Status.Is(*r.Status) || q.Partial)
		diff("termination", r.Termination == "" || q.Code == r.Termination)
		diff("flags", r.Flags == "" || q.Code == r.Flags)
		diff("duration", r.Duration == nil || q.Duration.Known && math.Abs(q.Duration.D.Seconds()-*r.Duration) < 1e-3)
		if n := len(q.Attempts); r.UpstreamAddr != "" && disputed[r.File] == "" {
			diff("upstream", n > 0 && (q.Attempts[n-1].Address == r.UpstreamAddr || strings.Contains(r.UpstreamAddr, q.Attempts[n-1].Address)))
		}
		if n := len(q.Attempts); r.UpstreamStatus != nil && n > 0 && q.Attempts[n-1].Status.Known {
			diff("upstream status", q.Attempts[n-1].Status.Is(*r.UpstreamStatus))
		}
		if len(wrong) > 0 {
			bad++
			got, _ := json.Marshal(q)
			t.Errorf("%s:%d (%s, %s): %s differ\n got %s\nwant %s", r.File, r.Line, r.Kind, q.Party.Tech, strings.Join(wrong, ", "), got, sc.Bytes())
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d rows agree", rows-bad, rows)
}

func requests(t *testing.T, path string) map[int]*fact.Request {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	facts, _, err := sourcetest.Read(all.Formats(), all.Wrappers(), filepath.Base(path), data)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]*fact.Request{}
	for _, f := range facts {
		if r, ok := f.(*fact.Request); ok {
			out[r.Origin.Line] = r
		}
	}
	return out
}
