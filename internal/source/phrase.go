package source

import (
	"bytes"
	"strings"
)

// A Rule ties a message that a program writes to what is to be done with it.
// Words is the message with holes:
//
//	%d  a whole number
//	%f  a number, perhaps with a fraction
//	%w  a run of bytes without a blank, up to the text that follows the hole
//	%s  any text up to the text that follows the hole; at the end, all the rest
//
// The message may stand anywhere in a line; a leading ^ binds it to the
// beginning.
type Rule[T any] struct {
	Words string
	Do    T
}

// Holes is what the holes of a rule held, in order.
type Holes [maxHoles][]byte

// maxHoles bounds the holes of a rule; no message that is read needs more.
const maxHoles = 10

// maxPhrase is how much of a line is searched for messages, in bytes: over the
// longest message with its prefix, under what would make a search slow.
const maxPhrase = 8 << 10

// Rules finds the first rule that a line fits. It may be used concurrently.
type Rules[T any] struct {
	phrases []phrase
	do      []T
}

// NewRules compiles rules. It panics on a rule without text or with more holes
// than [Holes] has, since rules are written down in the program.
func NewRules[T any](rules ...Rule[T]) *Rules[T] {
	r := &Rules[T]{}
	for _, rule := range rules {
		r.phrases = append(r.phrases, compilePhrase(rule.Words))
		r.do = append(r.do, rule.Do)
	}
	return r
}

// Match returns what the first rule that fits b is tied to, and fills h.
func (r *Rules[T]) Match(b []byte, h *Holes) (do T, ok bool) {
	b = b[:min(len(b), maxPhrase)]
	var g grams
	g.add(b)
	for i := range r.phrases {
		p := &r.phrases[i]
		if g.hasAll(&p.gate) && p.match(b, h) {
			return r.do[i], true
		}
	}
	return do, false
}

// phrase is a compiled message: text, hole, text, hole...
type phrase struct {
	anchored bool
	texts    []string // one more than holes; the last may be empty
	holes    []byte
	gate     [gateBits]uint16
}

// grams is the set of hashed three-byte sequences of a line. Most rules are
// ruled out by it without a search.
type grams [1024 / 64]uint64

// gateBits is how many sequences of its longest text a rule asks for.
const gateBits = 4

func gram(a, b, c byte) uint16 {
	return uint16((uint32(a) | uint32(b)<<8 | uint32(c)<<16) * 0x9E3779B1 >> 22)
}

func (g *grams) add(b []byte) {
	for i := 2; i < len(b); i++ {
		k := gram(b[i-2], b[i-1], b[i])
		g[k>>6] |= 1 << (k & 63)
	}
}

func (g *grams) hasAll(gate *[gateBits]uint16) bool {
	for _, k := range gate {
		if g[k>>6]&(1<<(k&63)) == 0 {
			return false
		}
	}
	return true
}

func compilePhrase(words string) phrase {
	var p phrase
	rest := words
	if strings.HasPrefix(rest, "^") {
		p.anchored, rest = true, rest[1:]
	}
	for from := 0; ; {
		i := strings.IndexByte(rest[from:], '%')
		if i < 0 || from+i+1 >= len(rest) {
			p.texts = append(p.texts, rest)
			break
		}
		i += from
		if strings.IndexByte("dfws", rest[i+1]) < 0 {
			from = i + 1 // a per cent sign of the message
			continue
		}
		p.texts = append(p.texts, rest[:i])
		p.holes = append(p.holes, rest[i+1])
		rest, from = rest[i+2:], 0
	}
	longest := ""
	for _, t := range p.texts {
		if len(t) > len(longest) {
			longest = t
		}
	}
	if len(longest) < 3 || len(p.holes) > maxHoles {
		panic("source: rule without words or with too many holes: " + words)
	}
	for i := range p.gate {
		at := i * (len(longest) - 3) / (gateBits - 1)
		p.gate[i] = gram(longest[at], longest[at+1], longest[at+2])
	}
	return p
}

// match looks for the phrase at each place where its first text stands.
func (p *phrase) match(b []byte, h *Holes) bool {
	if p.anchored {
		return HasPrefix(b, p.texts[0]) && p.matchAt(b, len(p.texts[0]), h)
	}
	for from := 0; from <= len(b); {
		i := bytes.Index(b[from:], []byte(p.texts[0]))
		if i < 0 {
			return false
		}
		if p.matchAt(b, from+i+len(p.texts[0]), h) {
			return true
		}
		from += i + 1
		if p.texts[0] == "" {
			return false // the first hole already tried the longest text
		}
	}
	return false
}

func (p *phrase) matchAt(b []byte, pos int, h *Holes) bool {
	for i, kind := range p.holes {
		next := p.texts[i+1]
		end := holeEnd(b, pos, kind, next)
		if end < 0 || !HasPrefix(b[end:], next) {
			return false
		}
		h[i] = b[pos:end]
		pos = end + len(next)
	}
	for i := len(p.holes); i < maxHoles; i++ {
		h[i] = nil
	}
	return true
}

// holeEnd is where a hole that begins at pos ends, or -1.
func holeEnd(b []byte, pos int, kind byte, next string) int {
	end := pos
	switch kind {
	case 's':
		if next == "" {
			return len(b)
		}
		i := bytes.Index(b[pos:], []byte(next))
		if i < 0 {
			return -1
		}
		return pos + i
	case 'w':
		for end < len(b) && b[end] != ' ' && b[end] != '\t' && (next == "" || b[end] != next[0] || !HasPrefix(b[end:], next)) {
			end++
		}
	default:
		for end < len(b) && (b[end] >= '0' && b[end] <= '9' || kind == 'f' && b[end] == '.' && end > pos) {
			end++
		}
	}
	if end == pos {
		return -1
	}
	return end
}
