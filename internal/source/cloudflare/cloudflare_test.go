package cloudflare

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzHTTP(f *testing.F) {
	sourcetest.Fuzz(f, Formats[0], `{"EdgeResponseStatus":522,"RayID":"x","EdgeStartTimestamp":1e300}`)
}
func FuzzPage(f *testing.F) { sourcetest.Fuzz(f, Formats[1], "error code: 522") }

func BenchmarkHTTP(b *testing.B) {
	sourcetest.Bench(b, Formats[0], `{"ClientIP":"198.51.100.7","ClientRequestHost":"api.example.org","ClientRequestMethod":"GET","ClientRequestURI":"/v1/items","EdgeEndTimestamp":1773057600023000000,"EdgeResponseBytes":640,"EdgeResponseStatus":200,"EdgeStartTimestamp":1773057600000000000,"OriginResponseStatus":200,"OriginResponseTime":21000000,"RayID":"8a1b2c3d4e5f6071","CacheCacheStatus":"dynamic"}`)
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
	var got map[int]*fact.Request
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var x struct {
			File, Kind, Method, Path, Host string
			Line                           int
			ClientIP                       string `json:"client_ip"`
			Status                         int64
			Duration                       *float64 `json:"duration_s"`
		}
		if err := json.Unmarshal(sc.Bytes(), &x); err != nil || x.Kind != "cloudflare" {
			continue
		}
		if rows++; got == nil {
			data, err := os.ReadFile(filepath.Join(dir, "files", x.File))
			if err != nil {
				t.Fatal(err)
			}
			facts, _, err := sourcetest.Read(Formats, nil, x.File, data)
			if err != nil {
				t.Fatal(err)
			}
			got = map[int]*fact.Request{}
			for _, y := range facts {
				if q, ok := y.(*fact.Request); ok {
					got[q.Origin.Line] = q
				}
			}
		}
		q := got[x.Line]
		if q == nil || q.Method != x.Method || q.Path != x.Path || q.Host != x.Host || q.Client != x.ClientIP || !q.Status.Is(x.Status) ||
			x.Duration != nil && q.Duration != fact.Seconds(*x.Duration) {
			t.Errorf("%s:%d: got %+v\nwant %s", x.File, x.Line, q, sc.Bytes())
		}
	}
	if rows == 0 {
		t.Error("no rows of this kind")
	}
}
