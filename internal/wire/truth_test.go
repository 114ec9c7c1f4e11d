package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// follow reads a whole capture.
func follow(t testing.TB, data []byte, opt Options) (packets, tcp int, table *Table) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	table = NewTable(opt)
	var p Packet
	var s Segment
	for {
		if err := r.Next(&p); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Log(err)
			}
			break
		}
		packets++
		switch Decode(p.Link, p.Data, p.Orig, &s) {
		case TCP:
			tcp++
			table.Segment(p.N, p.Time, &s)
		case Unreachable:
			table.Unreachable(p.N, p.Time, &s)
		}
	}
	table.Close()
	return packets, tcp, table
}

// truth is what tshark counted of a capture.
type truth struct {
	File  string
	Truth struct {
		Packets     int `json:"packets"`
		TCP         int `json:"tcp_packets"`
		Streams     int `json:"tcp_streams"`
		Requests    int `json:"http_requests"`
		Responses   int `json:"http_responses"`
		Headers     int `json:"http_response_headers_seen"`
		Fives       int `json:"http_5xx"`
		Resets      int `json:"rst_packets"`
		Retransmits int `json:"retransmissions"`
		Refused     int `json:"refused_streams"`
		Unanswered  int `json:"syn_unanswered_streams"`
		ResetServer int `json:"streams_reset_by_server"`
		ResetClient int `json:"streams_reset_by_client"`
		Outstanding int `json:"reset_with_request_outstanding"`
		Hellos      int `json:"tls_client_hellos"`
		Lost        int `json:"lost_segments"`
		ZeroWindow  int `json:"zero_window"`
	}
	Streams []struct {
		Stream         int
		Client, Server string
	}
}

// TestTruth compares with what tshark counts in captures that nobody here
// made.
func TestTruth(t *testing.T) {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for up := ""; ; up, dir = dir, filepath.Dir(dir) {
		if up == dir {
			t.Skip("shared/testdata/pcap is not beside the checkout: captures of others are not compared")
		}
		if _, err := os.Stat(filepath.Join(dir, "shared/testdata/pcap")); err == nil {
			dir = filepath.Join(dir, "shared/testdata/pcap")
			break
		}
	}
	f, err := os.Open(filepath.Join(dir, "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var want truth
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		t.Run(want.File, func(t *testing.T) { compare(t, filepath.Join(dir, "files", want.File), &want) })
	}
}

func compare(t *testing.T, path string, want *truth) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fives, refused, unanswered, hellos := 0, 0, 0, 0
	ends := map[int][2]string{}
	packets, tcp, table := follow(t, data, Options{
		OnExchange: func(f Flow, e *Exchange) {
			if e.Status >= 500 {
				fives++
			}
			if testing.Verbose() {
				t.Logf("stream %d: %s %s -> %d, ended %d, idle %v, index %d, unpaired %v opaque %v", f.Stream(), e.Method, e.Target, e.Status, e.Ended, e.Idle, e.Index, e.Unpaired, e.Opaque)
			}
		},
		OnConn: func(c *Conn) {
			ends[c.Stream] = [2]string{c.Client.String(), c.Server.String()}
			if c.Refused {
				refused++
			}
			if c.Unanswered || c.Begun && c.OneSided {
				unanswered++
			}
			if c.TLS.Hello {
				hellos++
			}
			if testing.Verbose() {
				t.Logf("conn %d: %v -> %v closed by %d %s rest %v idle %v proto %d reset by %d foreign %v", c.Stream, c.Client, c.Server, c.ClosedBy, c.How, c.Rest, c.Idle, c.Protocol, c.Reset, c.Foreign)
			}
		},
	})
	check := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	w := &want.Truth
	check("packets", packets, w.Packets)
	check("TCP packets", tcp, w.TCP)
	check("streams", table.Stats.Streams, w.Streams)
	check("requests", table.Stats.Requests, w.Requests)
	// Where packets are missing, tshark leaves out answers whose heads were
	// captured.
	if n := table.Stats.Answers; n < w.Headers || n > w.Headers+w.Lost {
		t.Errorf("answers: %d, want %d", n, w.Headers)
	}
	check("5xx", fives, w.Fives)
	check("resets", table.Stats.Resets, w.Resets)
	check("refused", refused, w.Refused)
	check("unanswered", unanswered, w.Unanswered)
	if hellos > w.Hellos || hellos < w.Hellos-w.Lost {
		t.Errorf("hellos: %d, want %d", hellos, w.Hellos)
	}
	// tshark's heuristic takes copies of packets, and much behind a gap, for
	// retransmissions.
	if off := table.Stats.Retransmits - w.Retransmits; off > 3 || off < -3 && table.Stats.Copies == 0 && w.Lost == 0 {
		t.Errorf("retransmissions: %d and %d copies, want about %d", table.Stats.Retransmits, table.Stats.Copies, w.Retransmits)
	}
	for _, s := range want.Streams {
		plain := strings.NewReplacer("[", "", "]", "")
		if e := ends[s.Stream]; s.Client != "" && (plain.Replace(e[0]) != s.Client || plain.Replace(e[1]) != s.Server) {
			t.Errorf("stream %d: %s to %s, want %s to %s", s.Stream, e[0], e[1], s.Client, s.Server)
		}
	}
}
