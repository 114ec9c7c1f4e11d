package alb

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzALB(f *testing.F) {
	sourcetest.Fuzz(f, Formats[0], "http 2026-03-09T12:00:00.123456Z app/a/b 1.2.3.4:5 - -1 -1 -1 502 -")
}
func FuzzClassic(f *testing.F) { sourcetest.Fuzz(f, Formats[1]) }
func FuzzTable(f *testing.F) {
	sourcetest.Fuzz(f, Formats[3], "elb_status_code,target_status_code,request_verb\n502,-,\"GET\"")
}

func FuzzResource(f *testing.F) {
	sourcetest.Fuzz(f, resource, `{"Attributes":[{"Key":"idle_timeout.timeout_seconds","Value":"60"}]}`)
}

func BenchmarkALB(b *testing.B) {
	data, err := os.ReadFile("testdata/golden/alb.in")
	if err != nil {
		b.Fatal(err)
	}
	sourcetest.Bench(b, Formats[0], strings.SplitN(string(data), "\n", 2)[0])
}

// TestExpected compares with answers that others derived from public logs.
func TestExpected(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/logs")
	f, err := os.Open(filepath.Join(dir, "expected.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	read := map[string]map[int]*fact.Request{}
	rows := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var x struct {
			File, Kind, Method, Path, Host string
			Line                           int
			ClientIP                       string `json:"client_ip"`
			Status                         int64
			UpstreamStatus                 *int64  `json:"upstream_status"`
			UpstreamAddr                   *string `json:"upstream_addr"`
		}
		if err := json.Unmarshal(sc.Bytes(), &x); err != nil || x.Kind != "alb" {
			continue
		}
		rows++
		if read[x.File] == nil {
			read[x.File] = map[int]*fact.Request{}
			data, err := os.ReadFile(filepath.Join(dir, "files", x.File))
			if err != nil {
				t.Fatal(err)
			}
			facts, _, err := sourcetest.Read(Formats, nil, x.File, data)
			if err != nil {
				t.Fatal(err)
			}
			for _, y := range facts {
				if q, ok := y.(*fact.Request); ok {
					read[x.File][q.Origin.Line] = q
				}
			}
		}
		q := read[x.File][x.Line]
		if q == nil {
			t.Errorf("%s:%d: no request", x.File, x.Line)
			continue
		}
		var last fact.Attempt
		if n := len(q.Attempts); n > 0 {
			last = q.Attempts[n-1]
		}
		client, _, _ := strings.Cut(q.Client, ":")
		if q.Method != x.Method || q.Path != x.Path || q.Host != x.Host || !q.Status.Is(x.Status) || client != x.ClientIP ||
			x.UpstreamStatus != nil && !last.Status.Is(*x.UpstreamStatus) || x.UpstreamStatus == nil && last.Status.Known ||
			x.UpstreamAddr != nil && last.Address != *x.UpstreamAddr || x.UpstreamAddr == nil && last.Address != "" {
			t.Errorf("%s:%d: got %+v\nwant %s", x.File, x.Line, q, sc.Bytes())
		}
	}
	if rows == 0 {
		t.Error("no rows of this kind")
	}
}
