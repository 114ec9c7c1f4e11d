package envoy

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

func FuzzAccess(f *testing.F) {
	sourcetest.Fuzz(f, Formats[0], `"GET / HTTP/1.1" 503 UC upstream_reset_before_response_started{connection termination,x} - "-" 0 1 2 -`)
}
func FuzzJSON(f *testing.F) {
	sourcetest.Fuzz(f, Formats[1], `{"response_flags":"UF","response_code":503}`)
}
func FuzzPairs(f *testing.F) { sourcetest.Fuzz(f, pairs) }
func FuzzLog(f *testing.F)   { sourcetest.Fuzz(f, Formats[3], "[2026-03-09 12:00:00.1][1][info] x") }
func FuzzReply(f *testing.F) { sourcetest.Fuzz(f, Formats[4], connectText+". reset reason: overflow") }

func BenchmarkAccess(b *testing.B) {
	sourcetest.Bench(b, Formats[0],
		`[2026-03-09T12:00:00.123Z] "GET /v1/items?page=2 HTTP/1.1" 200 - 0 1432 12 11 "198.51.100.7" "okhttp/4.12.0" "1f0c2d3e-0000-4000-8000-1234567890ab" "api.example.org" "10.8.1.14:8080"`,
		`[2026-03-09T12:00:00.123Z] "POST /v1/orders HTTP/2" 201 - via_upstream - "-" 120 32 12 11 "198.51.100.7" "okhttp/4.12.0" "1f0c2d3e-0000-4000-8000-1234567890ab" "api.example.org" "10.8.1.14:8080" outbound|80||api.web.svc.cluster.local 10.8.0.2:40112 10.8.0.9:80 10.8.0.3:51000 - default`)
}

func BenchmarkJSON(b *testing.B) {
	sourcetest.Bench(b, Formats[1], `{"start_time":"2026-03-09T12:00:00.123Z","method":"GET","path":"/v1/items","protocol":"HTTP/1.1","response_code":200,"response_flags":"-","response_code_details":"via_upstream","bytes_received":0,"bytes_sent":1432,"duration":12,"upstream_service_time":"11","authority":"api.example.org","upstream_host":"10.8.1.14:8080","request_id":"1f0c2d3e-0000-4000-8000-1234567890ab"}`)
}

func TestErrnoIn(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		if got := errnoIn([]byte(in)); got != want {
			t.Errorf("errnoIn(%q) = %d, want %d", in, got, want)
		}
	}
	f("delayed_connect_error:_111", 111)
	f("delayed connect error: 113", 113)
	f("remote_address:10.0.0.1:80|delayed_connect_error:_110", 110)
	f("immediate connect error: 99", 99)
	f("delayed connect error: Connection refused", 0)
	f("error: 111", 0)
	f("connect error: 999999999999", 0)
	f("", 0)
}

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
			File, Kind, Method, Path string
			Host                     *string
			ClientIP                 string `json:"client_ip"`
			Line                     int
			Status                   int64
			UpstreamAddr             *string `json:"upstream_addr"`
			Duration                 float64 `json:"duration_s"`
			Flags                    *string `json:"response_flags"`
			Cluster                  *string `json:"upstream_cluster"`
			ID                       *string `json:"request_id"`
		}
		if err := json.Unmarshal(sc.Bytes(), &x); err != nil || x.Kind != "istio" {
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
		str := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		for _, y := range facts {
			q, ok := y.(*fact.Request)
			if !ok || q.Origin.Line != x.Line {
				continue
			}
			addr, id := "", ""
			if n := len(q.Attempts); n > 0 {
				addr = q.Attempts[n-1].Address
			}
			if len(q.IDs) > 0 {
				id = q.IDs[0]
			}
			client, _, _ := strings.Cut(q.Client, ":")
			if q.Method != strings.Trim(x.Method, "-") || q.Path != strings.Trim(x.Path, "-") || q.Host != str(x.Host) || !q.Status.Is(x.Status) ||
				q.Duration != fact.Seconds(x.Duration) || q.Code != str(x.Flags) || addr != str(x.UpstreamAddr) || q.Upstream != str(x.Cluster) || id != str(x.ID) ||
				client != x.ClientIP && x.ClientIP != "10.124.2.1" {
				t.Errorf("%s:%d: %+v", x.File, x.Line, q)
			}
			rows--
		}
	}
	if rows != 0 {
		t.Errorf("%d rows without a request", rows)
	}
}
