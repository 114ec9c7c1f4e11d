package recorder

import (
	"bytes"
	"regexp"
	"slices"
)

// masker overwrites secrets in the payload of one direction of a connection
// with as many x, so that no length, sequence number or checksum of a body
// changes. It follows the stream, since a cookie may lie in two segments.
// Where the stream has gaps, rather too much is masked than too little.
type masker struct {
	next  uint32  // sequence number of the stream's next byte
	known bool    // next is
	carry []byte  // the end of the line that is not yet at its end, as it was
	open  byte    // a secret goes on at next: ends of it, see openLine
	spans []span  // what was masked lately, for what is sent again
	from  uint32  // spans tell of everything from here to next
	first bool    // nothing has passed yet
	text  *[]byte // scratch, shared by the maskers of a recorder; may be nil

	h2 *h2mask // HTTP/2 is spoken
}

// span is a stretch of sequence numbers.
type span struct{ from, to uint32 }

// The masker's bounds.
const (
	// maxCarry is how much of an unfinished line is looked at again, in bytes.
	maxCarry = 1024
	// maxSpans is how many masked places a direction remembers.
	maxSpans = 128
)

// schemes stay in front of a credential: they tell how it was given.
var schemes = regexp.MustCompile(`(?i)^(?:basic|bearer|digest|negotiate|ntlm|token|aws4-hmac-sha256)[ \t]+`)

// begin tells where the stream begins.
func (m *masker) begin(seq uint32) {
	*m = masker{next: seq, from: seq, known: true, first: true, h2: m.h2, text: m.text}
	if m.h2 != nil {
		m.h2 = &h2mask{}
	}
}

// mask overwrites the secrets of a segment's payload, which begins at sequence
// number seq and was size bytes long on the wire.
func (m *masker) mask(payload []byte, seq uint32, size int) {
	if len(payload) == 0 {
		return
	}
	if behind := int32(m.next - seq); m.known && behind > 0 {
		if int32(seq-m.from) < 0 { // too long ago to know
			if m.h2 != nil {
				fill(payload)
			} else {
				m.fresh(payload)
			}
			return
		}
		m.again(payload, seq)
		if int(behind) >= len(payload) {
			return
		}
		payload, seq, size = payload[behind:], m.next, size-int(behind)
	}
	if !m.known || seq != m.next {
		m.carry, m.open, m.spans, m.from = m.carry[:0], openNone, m.spans[:0], seq
		if m.h2 != nil {
			m.h2.resync(payload)
		} else if n := unknownFront(payload); n > 0 {
			m.cover(payload, seq, 0, n)
			payload, seq, size = payload[n:], seq+uint32(n), size-n
		}
	}
	if m.h2 == nil && beginsH2(payload, m.first) {
		m.h2 = &h2mask{}
	}
	m.first = false
	if m.h2 != nil {
		m.h2.pass(m, payload, seq)
	} else {
		m.follow(payload, seq)
	}
	m.next, m.known = seq+uint32(len(payload)), true
	if size > len(payload) { // cut when it was captured: what comes next is behind a gap
		m.known = false
	}
}

// fresh masks a segment of which nothing is known around it.
func (m *masker) fresh(payload []byte) {
	once := masker{text: m.text}
	once.mask(payload, 0, len(payload))
}

// again masks in a repeated segment what was masked in the first.
func (m *masker) again(payload []byte, seq uint32) {
	for _, s := range m.spans {
		from, to := max(int32(s.from-seq), 0), min(int32(s.to-seq), int32(len(payload)))
		if from < to {
			fill(payload[from:to])
		}
	}
}

// unknownFront is how much of a segment may be the rest of a line whose
// beginning is not known. A request, an answer and a TLS record begin a line.
func unknownFront(payload []byte) int {
	if wire := startsLine(payload); wire {
		return 0
	}
	if i := bytes.IndexByte(payload, '\n'); i >= 0 {
		return i
	}
	return len(payload)
}

// lineFronts are how what can be read begins.
var lineFronts = regexp.MustCompile(`^(?:HTTP/1\.[01] |[A-Z]{3,16} [^ ]|PRI \* HTTP/2|[\x14-\x18]\x03[\x00-\x04])`)

func startsLine(payload []byte) bool { return lineFronts.Match(payload) }

// follow masks what the stream goes on with.
func (m *masker) follow(payload []byte, seq uint32) {
	if len(payload) == 0 {
		return
	}
	begin := 0
	if m.open != openNone {
		begin = endOf(payload, 0, m.open)
		m.cover(payload, seq, 0, begin)
		if begin == len(payload) {
			return
		}
		m.open = openNone
		m.carry = append(m.carry, 'x') // the secret that ended
	}
	if m.text == nil {
		m.text = new([]byte)
	}
	text := append(append((*m.text)[:0], m.carry...), payload[begin:]...)
	shift := begin - len(m.carry)
	findSecrets(text, func(from, to int, end byte) {
		if to == len(text) && (end == openLine || m.open == openNone) {
			m.open = end
		}
		m.cover(payload, seq, max(from+shift, begin), to+shift)
	})
	// What is looked at again with the next segment: the unfinished line.
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	if len(line) > maxCarry {
		line = line[len(line)-maxCarry:]
	}
	m.carry = append(m.carry[:0], line...)
	*m.text = text
}

// cover overwrites payload[from:to] and remembers that it did.
func (m *masker) cover(payload []byte, seq uint32, from, to int) {
	if from >= to {
		return
	}
	fill(payload[from:to])
	m.note(span{seq + uint32(from), seq + uint32(to)})
}

// note remembers what was overwritten.
func (m *masker) note(s span) {
	if len(m.spans) == maxSpans {
		m.from = m.spans[0].to
		m.spans = slices.Delete(m.spans, 0, 1)
	}
	m.spans = append(m.spans, s)
}

func fill(b []byte) {
	for i := range b {
		b[i] = 'x'
	}
}
