package wire

import (
	"bytes"
	"encoding/binary"
)

// tlsConn is what is known of a connection that speaks TLS.
type tlsConn struct {
	TLS
	// turned: the server has sent data since the client last did.
	turned bool
	// keyed: the client sent a handshake record of its own after its hello, so
	// its first data is data (TLS 1.2). Else it ends the handshake (TLS 1.3).
	keyed    bool
	finished bool
}

// The record types of TLS.
const (
	recCipher    = 20
	recAlert     = 21
	recHandshake = 22
	recData      = 23
	// clientHello and serverHello begin a handshake record.
	clientHello = 1
	serverHello = 2
)

// The bounds of TLS records, in bytes.
const (
	recordHead = 5
	maxRecord  = 1<<14 + 2048
	// leastRequest is the shortest record of a client that is taken for a
	// request: closing alerts and HTTP/2's small frames are shorter.
	leastRequest = 64
	// leastAnswer is the shortest of a server: an encrypted alert has at most
	// 2 bytes more than 16 of a nonce and 16 of a tag.
	leastAnswer = 40
	// sealedAlert is an alert of TLS 1.3: 2 bytes, its type, and the tag.
	sealedAlert = 2 + 1 + 16
)

// Sealed stands for an alert that cannot be read.
const Sealed = 255

func beginsTLS(b []byte) bool {
	return len(b) >= recordHead && b[0] >= recCipher && b[0] <= recData && b[1] == 3 && b[2] <= 4 && recordSize(b) <= maxRecord && recordSize(b) > 0
}

func recordSize(b []byte) int { return int(binary.BigEndian.Uint16(b[3:])) }

// readTLS walks the records of one side.
func (t *Table) readTLS(i uint32, d, n int, ts int64, data []byte) {
	f := &t.flows[i]
	x := t.tls[f.num]
	if x == nil {
		x = &tlsConn{}
		t.tls[f.num] = x
	}
	h := &f.half[d]
	if h.state == isLost {
		if !beginsTLS(data) {
			return
		}
		h.state, h.left = atStart, 0
	}
	t.quiet = h.left == 0
	for len(data) > 0 && h.state != isLost {
		if h.left > 0 && h.part == 0 {
			k := int(min(h.left, uint64(len(data))))
			h.left -= uint64(k)
			data = data[k:]
			continue
		}
		// A record's head, or a hello, may be cut by the packet's end.
		rec, had := data, 0
		if h.part != 0 {
			rec = t.parts.all[h.part].data
			had = len(rec)
		}
		need := t.recordNeed(d, x, rec)
		if need == 0 {
			t.notTLS(f, d, n, ts, x, rec)
			t.parts.put(&h.part)
			h.state = isLost
			return
		}
		if had > 0 || len(data) < need {
			k := min(len(data), need-had)
			if !t.parts.add(&h.part, data[:k], ts, uint32(n), 0) {
				h.state = isLost
				return
			}
			data = data[k:]
			rec = t.parts.all[h.part].data
			if len(rec) < need || t.recordNeed(d, x, rec) != need {
				continue
			}
		} else {
			data = data[need:]
		}
		size := recordHead + recordSize(rec)
		t.record(i, d, n, ts, x, rec[:need])
		t.parts.put(&h.part)
		h.left = uint64(size - need)
	}
}

// recordNeed is how many bytes of a record are read, of which rec is the
// beginning; 0 if it is none.
func (t *Table) recordNeed(d int, x *tlsConn, rec []byte) int {
	switch {
	case len(rec) < recordHead:
		return recordHead
	case !beginsTLS(rec):
		return 0
	case d == 0 && !x.Hello && rec[0] == recHandshake:
		return recordHead + recordSize(rec)
	case rec[0] != recData:
		return recordHead + min(recordSize(rec), 2)
	}
	return recordHead
}

// notTLS notes what a server says where a handshake was due.
func (t *Table) notTLS(f *flow, d, n int, ts int64, x *tlsConn, b []byte) {
	if h := &f.half[d]; d == 1 && x.Hello && !x.Answered && f.gaps == 0 && h.bytes == 0 {
		line, _, _ := bytes.Cut(b[:min(len(b), maxValue)], []byte{'\n'})
		x.Foreign = string(bytes.TrimSpace(line))
		f.mark(MarkData, d, uint32(n), ts, 0, 0)
	}
}

// record takes one record's beginning.
func (t *Table) record(i uint32, d, n int, ts int64, x *tlsConn, b []byte) {
	f := &t.flows[i]
	size := recordSize(b)
	t.quiet = t.quiet && (b[0] == recAlert || b[0] == recData && size == sealedAlert)
	switch b[0] {
	case recHandshake:
		switch {
		case d == 0 && !x.Hello && len(b) > recordHead && b[recordHead] == clientHello:
			x.Hello = true
			x.ServerName, x.ALPN = hello(b[recordHead:])
			f.mark(MarkHello, d, uint32(n), ts, 0, 0)
		case d == 0:
			x.keyed = true
		case !x.Answered && len(b) > recordHead && b[recordHead] == serverHello:
			x.Answered = true
			f.mark(MarkHello, d, uint32(n), ts, 0, 0)
		}
	case recAlert:
		if size == 2 && len(b) >= recordHead+2 && b[recordHead+1] != 0 && x.AlertBy == Nobody {
			x.Alert, x.AlertBy, x.AlertN = b[recordHead+1], Side(d+1), uint32(n)
			f.mark(MarkAlert, d, uint32(n), ts, 0, uint16(b[recordHead+1]))
		}
	case recData:
		t.turn(i, d, n, ts, x, size)
	}
}

// turn follows application data: what a client sends after the server did, or
// first, is taken for a request.
func (t *Table) turn(i uint32, d, n int, ts int64, x *tlsConn, size int) {
	f := &t.flows[i]
	if d == 1 {
		if size < leastAnswer || f.first == 0 {
			return
		}
		e := t.ex[f.first]
		if e.First == 0 {
			e.First, e.FirstN = ts, uint32(n)
		}
		e.End, e.EndN = ts, uint32(n)
		e.Bytes += uint64(size)
		x.turned = true
		return
	}
	if !x.keyed && !x.finished && x.Hello {
		x.finished = true // this record ends the handshake
		if size == sealedAlert && x.AlertBy == Nobody {
			x.Alert, x.AlertBy, x.AlertN = Sealed, Client, uint32(n)
			f.mark(MarkAlert, d, uint32(n), ts, 0, Sealed)
		}
		return
	}
	x.Data = true
	if size < leastRequest {
		return
	}
	if f.first != 0 {
		e := t.ex[f.first]
		if e.First == 0 {
			e.Sent, e.SentN = ts, uint32(n)
			e.ReqBytes += uint64(size)
			return // the request goes on
		}
		e.ended = true
		t.emit(f, e, Answered)
	}
	e := t.asks(i, part{t: ts, n: uint32(n), seq: f.half[0].next}, n, ts)
	e.Opaque, e.ReqWhole, e.ReqBytes = true, true, uint64(size)
	t.asked(i, e)
}

// hello reads server name and first protocol of a ClientHello.
func hello(b []byte) (name, alpn string) {
	if len(b) < 38 {
		return "", ""
	}
	b = b[38:] // type, length, version, random
	take := func(width int) []byte {
		if len(b) < width {
			b = nil
			return nil
		}
		n := 0
		for _, c := range b[:width] {
			n = n<<8 | int(c)
		}
		b = b[width:]
		n = min(n, len(b))
		v := b[:n]
		b = b[n:]
		return v
	}
	take(1) // session
	take(2) // ciphers
	take(1) // compressions
	exts := take(2)
	for len(exts) >= 4 {
		kind, n := binary.BigEndian.Uint16(exts), int(binary.BigEndian.Uint16(exts[2:]))
		v := exts[4:]
		v = v[:min(n, len(v))]
		exts = exts[4+len(v):]
		switch {
		case kind == 0 && len(v) >= 5:
			name = string(v[5:min(len(v), 5+int(binary.BigEndian.Uint16(v[3:])), maxValue)])
		case kind == 16 && len(v) >= 3:
			alpn = string(v[3:min(len(v), 3+int(v[2]))])
		}
	}
	return name, alpn
}

// tlsGap passes over bytes that were not captured.
func (t *Table) tlsGap(i uint32, d, size int) {
	f := &t.flows[i]
	h := &f.half[d]
	if h.part != 0 {
		// A record of which the beginning is there: its end is known.
		rec := append(t.scratch[:0], t.parts.all[h.part].data...)
		t.parts.put(&h.part)
		if len(rec) < recordHead {
			h.state, h.left = isLost, 0
			return
		}
		h.left = uint64(max(0, recordHead+recordSize(rec)-len(rec)))
		if x := t.tls[f.num]; x != nil {
			t.record(i, d, int(f.lastN), f.lastT, x, rec)
		}
	}
	if uint64(size) <= h.left {
		h.left -= uint64(size)
		return
	}
	h.state, h.left = isLost, 0
}
