package python

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source/sourcetest"
)

// Logs of Flask applications that nobody here wrote: each quoted request with a
// status is read as one, and the client library's errors as trouble with the
// server they name.
func TestSharedLogs(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/system/files")
	for name, want := range map[string]struct {
		request, trouble string
	}{
		"*05_crashpod_kubectl_logs.txt":         {request: " - - ["},
		"*kubectl_logs_client_investigate*.txt": {trouble: "Max retries exceeded"},
	} {
		names, err := filepath.Glob(filepath.Join(dir, name))
		if err != nil || len(names) == 0 {
			t.Logf("no %s", name)
			continue
		}
		data, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		plain := bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\x1b[37m"), nil), []byte("\x1b[0m"), nil)
		facts, _, err := sourcetest.Read(Formats, nil, "log", plain)
		if err != nil {
			t.Fatal(err)
		}
		requests, troubles := 0, 0
		for _, f := range facts {
			switch f := f.(type) {
			case *fact.Request:
				requests++
				if f.Method != "GET" || !f.Status.Known || f.Client == "" {
					t.Errorf("request %+v", f)
				}
			case *fact.Event:
				if f.Kind == fact.DNSFailed || f.Kind == fact.DependencyDown {
					troubles++
				}
			}
		}
		if n := bytes.Count(data, []byte(want.request)); want.request != "" && requests != n {
			t.Errorf("%s: %d requests, want %d", name, requests, n)
		}
		if n := bytes.Count(data, []byte(want.trouble)); want.trouble != "" && troubles != n {
			t.Errorf("%s: %d troubles, want %d", name, troubles, n)
		}
	}
}
