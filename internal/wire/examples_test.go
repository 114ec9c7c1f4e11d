package wire

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// exact is how well idle time-outs must be measured where the server keeps its
// own to that.
const exact = 20 * time.Millisecond

// TestExamples reads what the lab recorded and compares with what it knows: how
// long the application keeps an idle connection, and, where a capture holds the
// clients' own leg, how many requests they sent.
func TestExamples(t *testing.T) {
	const examples = "../../examples"
	found, err := filepath.Glob(filepath.Join(examples, "expected", "*.json"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var truth struct {
			Requests int
			Captures []string
			Idle     float64 `json:"server_idle_s"`
			Spread   float64 `json:"server_idle_spread_s"`
		}
		if err := json.Unmarshal(text, &truth); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		for _, capture := range truth.Captures {
			t.Run(name+"/"+capture, func(t *testing.T) {
				rests, asked, table := atEnds(t, filepath.Join(examples, name, capture))
				if table.Stats.Streams == 0 {
					t.Error("no connection was found")
				}
				if n := asked[frontPort]; n > 0 && n != truth.Requests {
					t.Errorf("the clients' leg has %d requests, they sent %d", n, truth.Requests)
				}
				if rest := rests[appPort]; truth.Idle > 0 && len(rest) > 2 && truth.Spread < exact.Seconds() {
					slices.Sort(rest)
					want := time.Duration(truth.Idle * float64(time.Second))
					if got := rest[len(rest)/2]; (got - want).Abs() > exact {
						t.Errorf("the server closed %d idle connections after %v, it keeps them %v", len(rest), got, want)
					}
				}
			})
		}
	}
}

// Ports of the examples' proxies and applications.
const (
	frontPort = 8080
	appPort   = 3000
)

// atEnds returns, by the server's port, after what silence it closed idle
// connections, and how many requests it was sent.
func atEnds(t *testing.T, path string) (rests map[uint16][]time.Duration, asked map[uint16]int, table *Table) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	rests, asked = map[uint16][]time.Duration{}, map[uint16]int{}
	packets, tcp, table := follow(t, data, Options{OnConn: func(c *Conn) {
		asked[c.Server.Port] += c.Requests
		if c.ClosedBy == Server && c.Idle {
			rests[c.Server.Port] = append(rests[c.Server.Port], c.Rest)
		}
	}})
	if packets == 0 || tcp == 0 {
		t.Errorf("%d packets, %d of TCP", packets, tcp)
	}
	t.Logf("%d packets, %+v", packets, table.Stats)
	return rests, asked, table
}
