package wire

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// TestServerSettingsMayComeFirst: a server of HTTP/2 in clear need not wait for
// the client's preface, and Node's does not.
func TestServerSettingsMayComeFirst(t *testing.T) {
	frame := func(kind, flags byte, stream byte, body []byte) []byte {
		return slices.Concat([]byte{0, 0, byte(len(body)), kind, flags, 0, 0, 0, stream}, body)
	}
	fields := func(pairs ...string) []byte {
		var b bytes.Buffer
		enc := hpack.NewEncoder(&b)
		for i := 0; i < len(pairs); i += 2 {
			enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return b.Bytes()
	}
	request := slices.Concat(h2Preface, frame(frameSettings, 0, 0, nil), frame(frameHeaders, flagEndStream|flagEndHeaders, 1, fields(":method", "GET", ":path", "/shop")))
	answer := frame(frameHeaders, flagEndStream|flagEndHeaders, 1, fields(":status", "503"))
	var got []int
	table := NewTable(Options{OnExchange: func(_ Flow, e *Exchange) {
		if string(e.Target) == "/shop" && e.Ended == Answered {
			got = append(got, e.Status)
		}
	}})
	client, server := Endpoint{IP: [16]byte{0xfd, 15: 1}, Port: 40000}, Endpoint{IP: [16]byte{0xfd, 15: 2}, Port: 8080}
	seq := [2]uint32{10, 20}
	for i, x := range []struct {
		server  bool
		flags   uint8
		payload []byte
	}{
		{false, SYN, nil}, {true, SYN | ACK, nil}, {false, ACK, nil},
		{true, ACK, frame(frameSettings, 0, 0, make([]byte, 6))}, {false, ACK, request}, {true, ACK, answer},
	} {
		s := Segment{Src: client, Dst: server, Flags: x.flags, Seq: seq[0], Ack: seq[1], Len: len(x.payload), Payload: x.payload}
		d := 0
		if x.server {
			s.Src, s.Dst, s.Seq, s.Ack, d = server, client, seq[1], seq[0], 1
		}
		table.Segment(i+1, int64(1e9)+int64(i)*1e6, &s)
		seq[d] += uint32(len(x.payload)) + uint32(x.flags&SYN)/SYN
	}
	table.Close()
	if !slices.Equal(got, []int{503}) {
		t.Errorf("answered %v, want a 503", got)
	}
}
