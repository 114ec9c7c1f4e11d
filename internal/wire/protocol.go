package wire

import "bytes"

// beginsRequest: a method, a target, and no more than that is known.
func beginsRequest(b []byte) bool {
	i := 0
	for i < len(b) && i < maxMethod && (b[i] >= 'A' && b[i] <= 'Z' || b[i] == '-' || b[i] == '_') {
		i++
	}
	if i < 3 || i >= len(b) || b[i] != ' ' || i+1 < len(b) && (b[i+1] <= ' ' || b[i+1] >= 0x7f) {
		return false
	}
	line := b[i+1:]
	e := bytes.IndexByte(line, '\n')
	if e < 0 {
		return knownMethod(b[:i]) // the line goes on in the next packet
	}
	line = bytes.TrimRight(line[:e], "\r")
	k := bytes.LastIndexByte(line, ' ')
	if k < 0 {
		return string(b[:i]) == "GET" && len(line) > 0 && line[0] == '/' // HTTP/0.9
	}
	return bytes.HasPrefix(line[k+1:], []byte("HTTP/"))
}

func knownMethod(m []byte) bool {
	switch string(m) {
	case "GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "REPORT", "PURGE", "LOCK", "UNLOCK", "MKCOL", "MOVE", "COPY", "SEARCH":
		return true
	}
	return false
}

// asks: only a client says it.
func asks(b []byte) bool {
	return beginsRequest(b) || beginsTLS(b) && b[0] == recHandshake && len(b) > recordHead && b[recordHead] == clientHello
}

func beginsAnswer(b []byte) bool {
	return len(b) >= 9 && string(b[:7]) == "HTTP/1." && b[8] == ' '
}

// couldAsk: b may go on to be a request. Its first line is not whole.
func couldAsk(b []byte) bool {
	i := 0
	for i < len(b) && i < maxMethod && (b[i] >= 'A' && b[i] <= 'Z' || b[i] == '-' || b[i] == '_') {
		i++
	}
	switch {
	case i == len(b):
		return i > 0
	case i < 3 || b[i] != ' ' || len(b) > maxLine:
		return false
	case i+1 == len(b):
		return true
	}
	return b[i+1] > ' ' && b[i+1] < 0x7f && bytes.IndexByte(b, '\n') < 0
}

// couldAnswer: b may go on to be an answer.
func couldAnswer(b []byte) bool {
	return len(b) < leastAnswerLine && bytes.HasPrefix([]byte("HTTP/1."), b[:min(len(b), len("HTTP/1."))])
}

// The bounds of first lines, in bytes.
const (
	// maxMethod is the longest method: WebDAV's have up to 17 letters.
	maxMethod = 24
	// leastLine is from how many bytes on a head is not looked at again before
	// it is whole.
	leastLine = 64
	// leastAnswerLine is how much of an answer tells that it is one.
	leastAnswerLine = len("HTTP/1.1 ")
	// maxLine is the longest first line of a request whose method is not known
	// that is waited for.
	maxLine = 8 << 10
	// maxProxy is the longest header of the PROXY protocol, version 1.
	maxProxy = 108
)

// read hands a side's new payload to the reader of its protocol.
func (t *Table) read(i uint32, d, n int, ts int64, data []byte) {
	for len(data) > 0 {
		f := &t.flows[i]
		switch f.proto {
		case protoNone:
			if data = t.decide(i, d, n, ts, data); f.proto == protoNone {
				return
			}
		case ProtoHTTP:
			data = t.http(i, d, n, ts, data)
		case ProtoTLS:
			t.readTLS(i, d, n, ts, data)
			return
		case ProtoH2:
			t.readH2(i, d, n, ts, data)
			return
		default:
			return
		}
	}
}

var (
	h2Preface = []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	proxyV1   = []byte("PROXY ")
	proxyV2   = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// decide tells the protocol by what a side sends first, and returns what is to
// be read. What is too short to tell by is kept.
func (t *Table) decide(i uint32, d, n int, ts int64, data []byte) []byte {
	f := &t.flows[i]
	h := &f.half[d]
	b, before := data, 0
	if h.part != 0 {
		p := t.parts.all[h.part].data
		before = len(p)
		t.scratch = append(append(t.scratch[:0], p...), data...)
		b = t.scratch
	}
	proto, skip, more := speaks(d, b)
	switch {
	case !f.has(synSeen) && proto == protoNone:
		// It may begin with any packet.
		t.parts.put(&h.part)
		return nil
	case more:
		if !t.parts.add(&h.part, data, ts, uint32(n), h.next) {
			f.proto = ProtoOther
		}
		return nil
	case proto == protoNone && skip == len(b):
		t.parts.put(&h.part)
		return nil
	case proto == protoNone:
		proto = ProtoOther
	}
	f.proto = proto
	switch {
	case before == 0:
		return data[skip:]
	case skip >= before:
		t.parts.put(&h.part)
		return data[skip-before:]
	case proto == ProtoHTTP || proto == ProtoTLS:
		t.parts.drop(h.part, skip)
		return data
	}
	t.parts.put(&h.part)
	return bytes.Clone(b[skip:])
}

// speaks tells a protocol by the first bytes of a side, and how many stand
// before it; more says that there are too few to tell.
func speaks(d int, b []byte) (p Protocol, skip int, more bool) {
	if d == 0 {
		if skip, more = proxyHeader(b); more {
			return protoNone, 0, true
		}
		b = b[skip:]
	}
	blank := len(b) - len(bytes.TrimLeft(b, "\r\n"))
	switch {
	case len(b) == 0:
	case d == 0 && bytes.HasPrefix(b, h2Preface):
		return ProtoH2, skip, false
	case d == 0 && bytes.HasPrefix(h2Preface, b):
		return protoNone, skip, true
	case d == 1 && beginsSettings(b):
		return ProtoH2, skip, false // the server did not wait for the client's preface
	case beginsTLS(b):
		return ProtoTLS, skip, false
	case d == 0 && beginsRequest(b[blank:]), d == 1 && beginsAnswer(b[blank:]):
		return ProtoHTTP, skip + blank, false
	case len(b) < recordHead && b[0] >= recCipher && b[0] <= recData && (len(b) < 2 || b[1] == 3),
		d == 1 && len(b) < frameHead && b[0] == 0,
		d == 0 && couldAsk(b[blank:]), d == 1 && couldAnswer(b[blank:]), b[0] == proxyV2[0] && len(b) == 1:
		return protoNone, skip, true
	case blank == len(b):
		return protoNone, skip + blank, false // empty lines before a request
	}
	return protoNone, skip, false
}

// beginsSettings: a SETTINGS frame, with which an HTTP/2 server begins (RFC
// 9113, 3.4).
func beginsSettings(b []byte) bool {
	if len(b) < frameHead || b[0] != 0 {
		return false
	}
	size := int(b[1])<<8 | int(b[2])
	return size%6 == 0 && size <= maxSettings && b[3] == frameSettings && string(b[4:frameHead]) == "\x00\x00\x00\x00\x00"
}

// proxyHeader is how long a header of the PROXY protocol is at the front of b;
// more says that it goes on behind it.
func proxyHeader(b []byte) (size int, more bool) {
	switch {
	case len(b) == 0:
	case bytes.HasPrefix(b, proxyV1):
		k := bytes.IndexByte(b[:min(len(b), maxProxy)], '\n')
		return k + 1, k < 0 && len(b) < maxProxy
	case bytes.HasPrefix(b, proxyV2):
		if len(b) < 16 {
			return 0, true
		}
		size = 16 + int(b[14])<<8 + int(b[15])
		return min(size, len(b)), size > len(b) && size < maxHead
	case len(b) > 1 && (bytes.HasPrefix(proxyV1, b) || bytes.HasPrefix(proxyV2, b)):
		return 0, true
	}
	return 0, false
}

// flip swaps the sides of a flow whose client was guessed wrongly.
func (t *Table) flip(f *flow) {
	f.second = !f.second
	f.half[0], f.half[1] = f.half[1], f.half[0]
	for k := range f.ring {
		f.ring[k].kind ^= fromServer
	}
	swap := func(s Side) Side {
		if s == Nobody {
			return s
		}
		return Client + Server - s
	}
	f.closer, f.resetBy = swap(f.closer), swap(f.resetBy)
	f.bits &^= guessed
}
