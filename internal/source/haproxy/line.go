package haproxy

import (
	"bytes"
	"strconv"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// line is the fields of an access line after its date.
type line struct {
	frontend, pair  []byte // pair: "backend/server"
	backend, server []byte
	timer           [5]int // HTTP: TR Tw Tc Tr Ta; TCP: Tw Tc Tt
	timers          int    // 5 or 3
	status, bytes   fact.Int
	state           []byte // "SH--"
	retries, queued int
	rest            []byte    // what follows the queues: captures and request, read by tail
	captures        [2][]byte // {request headers} {response headers}
	extra           []byte    // a field that a format of the user's has before the request
	request         []byte
}

func (n *line) http() bool { return n.timers == 5 }

func (n *line) connect() int {
	if n.http() {
		return n.timer[2]
	}
	return n.timer[1]
}

func (n *line) header() int {
	if n.http() {
		return n.timer[3]
	}
	return -1
}

// read reads the documented order of fields. It reports false if the line has
// another.
func (n *line) read(b []byte) bool {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 {
		return false
	}
	n.frontend = b[:i]
	b = skipBlank(b[i+1:])
	i = bytes.IndexByte(b, ' ')
	if i <= 0 {
		return false
	}
	n.pair = b[:i]
	slash := bytes.IndexByte(n.pair, '/')
	if slash < 0 {
		return false
	}
	n.backend, n.server = n.pair[:slash], n.pair[slash+1:]
	rest, ok := n.times(skipBlank(b[i+1:]))
	if !ok {
		return false
	}
	return n.counts(rest)
}

// search looks for the timers in a line whose fields stand in another order:
// what stands right before them is backend/server.
func (n *line) search(b []byte) bool {
	var prev, prev2 []byte
	for rest := b; len(rest) > 0; {
		word, after := source.Field(rest)
		if len(prev) > 0 {
			if tail, ok := n.times(rest); ok {
				slash := bytes.IndexByte(prev, '/')
				if slash > 0 && n.counts(tail) {
					n.frontend, n.pair = prev2, prev
					n.backend, n.server = prev[:slash], prev[slash+1:]
					return true
				}
			}
		}
		if len(word) > 0 && word[0] == '"' {
			return false
		}
		prev2, prev, rest = prev, word, after
	}
	return false
}

// times reads "170/0/0/3/+173 " or, of TCP, "0/0/5007 ".
func (n *line) times(b []byte) (rest []byte, ok bool) {
	i := 0
	for n.timers = 0; n.timers < 5; {
		if i < len(b) && b[i] == '+' {
			i++
		}
		neg := false
		if i < len(b) && b[i] == '-' {
			neg = true
			i++
		}
		v, from := 0, i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' && i-from < 12 {
			v = v*10 + int(b[i]-'0')
			i++
		}
		if i == from || i >= len(b) {
			return nil, false
		}
		if neg {
			v = -1
		}
		n.timer[n.timers] = v
		n.timers++
		if b[i] == ' ' {
			break
		}
		if b[i] != '/' {
			return nil, false
		}
		i++
	}
	if n.timers != 5 && n.timers != 3 || i >= len(b) || b[i] != ' ' {
		return nil, false
	}
	return skipBlank(b[i+1:]), true
}

// counts reads what follows the timers: status, bytes, cookies, state,
// connections, queues, captures, request.
func (n *line) counts(b []byte) bool {
	var w []byte
	if n.http() {
		w, b = word(b)
		n.status = source.Int(w)
		if !n.status.Known {
			return false
		}
	}
	w, b = word(b)
	if len(w) > 0 && w[0] == '+' {
		w = w[1:]
	}
	n.bytes = source.Int(w)
	if !n.bytes.Known {
		return false
	}
	if n.http() {
		_, b = word(b) // captured cookies of request and response
		_, b = word(b)
	}
	n.state, b = word(b)
	if len(n.state) < 2 || len(n.state) > 4 || !stateLetters(n.state) {
		return false
	}
	if len(b) == 0 {
		return true // a line that was cut here is still worth reading
	}
	w, b = word(b)
	if k := len(w) - 2; k > 0 && w[k] == '/' && w[k+1] == '0' {
		// no retries, as nearly always
	} else if k := bytes.LastIndexByte(w, '/'); k >= 0 {
		n.retries = small(w[k+1:])
	}
	w, b = word(b)
	if len(w) != 3 || w[0] != '0' || w[2] != '0' {
		if k := bytes.IndexByte(w, '/'); k >= 0 {
			n.queued = small(w[:k]) + small(w[k+1:])
		}
	}
	n.rest = b
	return true
}

// asked reports whether a server was chosen: "<NOSRV>", "<STATS>" and their
// like are none.
func (n *line) asked() bool { return len(n.server) > 0 && n.server[0] != '<' }

// ordinary reports whether the request ended well and says nothing that would
// help to explain a failure.
func (n *line) ordinary() bool {
	if !n.http() || n.state[0] != '-' || n.state[1] != '-' {
		return false
	}
	return good(n.status.N)
}

// good reports whether a status speaks of no trouble with a server.
func good(status int64) bool {
	switch status {
	case 408, 413, 444, 460, 499:
		return false
	}
	return status >= 100 && status < 500
}

// end is when the request ended, moved into the zone that a logger's stamp
// shows.
func (n *line) end(start time.Time, l *source.Line) time.Time {
	if took := n.timer[n.timers-1]; took > 0 {
		start = start.Add(time.Duration(took) * time.Millisecond)
	}
	if !l.Time.IsZero() {
		start = start.Add(zoneShift(start, l.Time))
	}
	return start
}

// word cuts b at the first blank, as [source.Field] does, but for words of a
// few bytes.
func word(b []byte) (w, rest []byte) {
	for i, c := range b {
		if c == ' ' {
			return b[:i], skipBlank(b[i+1:])
		}
	}
	return b, nil
}

// tail reads captured headers and the request, once.
func (n *line) tail() {
	b := n.rest
	n.rest = nil
	for k := 0; len(b) > 0; {
		switch b[0] {
		case '{':
			i := bytes.IndexByte(b, '}')
			if i < 0 {
				n.keep(&k, b[1:])
				return
			}
			n.keep(&k, b[1:i])
			b = skipBlank(b[i+1:])
		case '"':
			q := b[1:]
			i := bytes.IndexByte(q, '"')
			if i < 0 {
				n.request = q // the line was cut
				return
			}
			q, b = q[:i], skipBlank(q[i+1:])
			if bytes.IndexByte(q, ' ') > 0 || len(q) > 0 && q[0] == '<' || bytes.IndexByte(b, '"') < 0 {
				n.request = q
				return
			}
			n.extra = q
		default:
			w, rest := source.Field(b)
			if n.extra == nil || len(w) > len(n.extra) {
				n.extra = w
			}
			b = rest
		}
	}
}

func (n *line) keep(k *int, b []byte) {
	if *k < len(n.captures) {
		n.captures[*k] = b
		*k++
	}
}

// stateLetters reports whether w holds only letters of termination states.
func stateLetters(w []byte) bool {
	for _, c := range w {
		if c != '-' && (c < 'A' || c > 'Z') && c != 'c' && c != 's' {
			return false
		}
	}
	return true
}

func skipBlank(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// small reads a count, which has a + before it where the request was sent to
// another server.
func small(b []byte) int {
	n := 0
	for i, c := range b {
		if c == '+' && i == 0 {
			continue
		}
		if c < '0' || c > '9' || i > 9 {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

func itoa(n int) string { return strconv.Itoa(n) }
