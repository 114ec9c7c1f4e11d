package wire

import "testing"

// TestResetIsNoCopyOfTheAcknowledgementBefore: in IPv6, which numbers no
// packets, a reset differs from the acknowledgement of the same millisecond
// only in its flags.
func TestResetIsNoCopyOfTheAcknowledgementBefore(t *testing.T) {
	var ended []Ending
	table := NewTable(Options{OnExchange: func(_ Flow, e *Exchange) { ended = append(ended, e.Ended) }})
	client, server := Endpoint{IP: [16]byte{0xfd, 15: 1}, Port: 40000}, Endpoint{IP: [16]byte{0xfd, 15: 2}, Port: 8080}
	request := []byte("GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
	for i, s := range []Segment{
		{Src: client, Dst: server, Flags: SYN, Seq: 10},
		{Src: server, Dst: client, Flags: SYN | ACK, Seq: 20, Ack: 11},
		{Src: client, Dst: server, Flags: ACK, Seq: 11, Ack: 21},
		{Src: client, Dst: server, Flags: ACK | PSH, Seq: 11, Ack: 21, Len: len(request), Payload: request},
		{Src: server, Dst: client, Flags: ACK, Seq: 21, Ack: 11 + uint32(len(request)), Stamp: 7},
		{Src: server, Dst: client, Flags: ACK | RST, Seq: 21, Ack: 11 + uint32(len(request)), Stamp: 7},
	} {
		table.Segment(i+1, int64(1e9)+int64(i)*50_000, &s)
	}
	table.Close()
	if len(ended) != 1 || ended[0] != ServerReset {
		t.Errorf("ended %v, want one reset by the server", ended)
	}
}
