package causetest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"culprit/internal/cause"
	"culprit/internal/cause/causetest"
)

// truth is what the lab knows of an example.
type truth struct {
	Cause    string
	Also     []string
	Control  bool
	Captures []string
}

// TestCapturesAlone judges the examples' captures without their logs: packets
// may leave a cause unknown, and never name a wrong one. A race for an idle
// connection they prove.
func TestCapturesAlone(t *testing.T) {
	truths, err := filepath.Glob("../../../examples/expected/*.json")
	if err != nil || len(truths) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	seen := 0
	for _, p := range truths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		var want truth
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(p), ".json")
		var files []causetest.File
		for _, c := range want.Captures {
			b, err := os.ReadFile(filepath.Join("../../../examples", name, c))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, causetest.File{Name: c, Data: b})
		}
		if len(files) == 0 {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			_, verdicts, _, err := causetest.Judge(files)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range verdicts {
				innocent := v.Cause != nil && v.Cause.Kind == cause.Innocent
				switch {
				case v.Cause == nil || innocent || v.ID() == want.Cause || slices.Contains(want.Also, v.ID()):
				case want.Control:
					t.Errorf("accused the innocent\n%s", causetest.Dump(verdicts))
				case v.Cause.Kind == cause.Deep:
					t.Errorf("named %s, it is %s\n%s", v.ID(), want.Cause, causetest.Dump(verdicts))
				}
				if v.Cause == nil && len(v.Failures) > 0 && v.Mechanism != "" && len(v.Next) == 0 {
					t.Errorf("undetermined, and nothing is asked for\n%s", causetest.Dump(verdicts))
				}
			}
			if want.Cause == "keepalive-race" && (len(verdicts) == 0 || verdicts[0].ID() != want.Cause || verdicts[0].Grade != cause.Proven) {
				t.Errorf("the race is not proven\n%s", causetest.Dump(verdicts))
			}
		})
	}
	if seen == 0 {
		t.Error("no example has a capture")
	}
}

// others are captures that other projects test with: mostly healthy streams,
// and what is told of the few that are not.
var others = map[string]string{
	"zeek__http__http-to-ssh.pcap":  "misrouted-port", // HTTP to a server of SSH
	"zeek__http__curl_http_09.pcap": "protocol-error", // an answer without a head
	"packets__nowebaccess2.pcapng":  "connect-refused",
	"packets__nowebaccess3.pcapng":  "connect-timeout",
	"zeek__web.pcap":                "connect-refused", // a lone SYN, refused
}

// TestOthersCaptures demands that no cause is named in a healthy stream.
func TestOthersCaptures(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(shared(t, "testdata/pcap/files"), "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, p := range paths {
		t.Run(filepath.Base(p), func(t *testing.T) {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			_, verdicts, _, err := causetest.Judge([]causetest.File{{Name: filepath.Base(p), Data: b}})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range verdicts {
				if v.Cause != nil && v.Cause.Kind != cause.Innocent && v.ID() != others[filepath.Base(p)] {
					t.Errorf("a cause is named\n%s", causetest.Dump(verdicts))
				}
			}
		})
	}
}
