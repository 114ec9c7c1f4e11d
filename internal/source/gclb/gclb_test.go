package gclb

import (
	"testing"

	"culprit/internal/fact"

	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzEntry(f *testing.F) {
	sourcetest.Fuzz(f, Formats[0], `{"jsonPayload":{"statusDetails":"failed_to_pick_backend"`, `{"httpRequest":{"status":"502"},"resource":{"type":"http_load_balancer"}}`)
}

func FuzzDocument(f *testing.F) {
	sourcetest.Fuzz(f, Formats[1], "[{\n\"insertId\":\"a\",\n\"jsonPayload\":{}}]", "---\ninsertId: a\nlogName: b\n")
}

func FuzzWords(f *testing.F) { sourcetest.Fuzz(f, Formats[3], "3 failed_to_pick_backend") }

func FuzzResource(f *testing.F) {
	sourcetest.Fuzz(f, resource, "kind: compute#backendService\nname: a\ntimeoutSec: 30\n")
}

func TestSplitProxyStatus(t *testing.T) {
	f := func(in, wantErr, wantDetails string) {
		t.Helper()
		e, d := splitProxyStatus([]byte(in))
		if string(e) != wantErr || string(d) != wantDetails {
			t.Errorf("splitProxyStatus(%q) = %q, %q", in, e, d)
		}
	}
	f(`error="connection_terminated"; details="backend_connection_closed"`, "connection_terminated", "backend_connection_closed")
	f(`error=dns_error`, "dns_error", "")
	f(`details="response_sent_by_backend"`, "", "response_sent_by_backend")
	f(`google; error="connection_refused"; details="failed_to_connect_to_backend"`, "connection_refused", "failed_to_connect_to_backend")
	f(``, "", "")
}

func TestUnescape(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(unescape(nil, []byte(in))); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
	f(`a\"b\\c\/d`, `a"b\c/d`)
	f(`\u00e9\ud83d\ude00`, "é😀")
	f(`\u00`, "u00")
	f(`x\`, `x\`)
	f(`a\nb`, "a\nb")
}

// A line that was cut still tells what stands before the cut.
func TestCutLine(t *testing.T) {
	facts, _, err := sourcetest.Read(Formats, nil, "cut.log", []byte(`{"jsonPayload":{"statusDetails":"failed_to_pick_backend"},"httpRequest":{"status":502,"requestMethod":"GET","userAg`))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		if r, ok := f.(*fact.Request); ok && r.Status.Is(502) && r.Ended == fact.NoBackend && r.Method == "GET" {
			return
		}
	}
	t.Errorf("facts %v", facts)
}

func TestDocumentWithoutEntries(t *testing.T) {
	_, rep, err := sourcetest.Read(Formats, nil, "x.json", []byte("[\n {\"insertId\": 1, \"jsonPayload\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if rep.Err == nil {
		t.Error("want an error for a document in which nothing could be read")
	}
}
