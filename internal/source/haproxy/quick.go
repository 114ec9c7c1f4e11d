package haproxy

import (
	"encoding/binary"
	"time"

	"culprit/internal/source"
)

// quick counts the request of a line as HAProxy writes nearly all, without
// making a Request of it, if it is plainly an ordinary one and the sink does
// not want the whole. What it takes, [accessReader.Line] would take too, and
// make of it a request that is counted alike.
func (r *accessReader) quick(b []byte, l *source.Line, out source.Sink) bool {
	to, ok := out.(source.Folder)
	return ok && r.ordinary(b, l, &r.folded) && to.Fold(&r.folded)
}

// clockSize is how long "[09/Mar/2026:04:00:00.123] " is, in bytes.
const clockSize = 27

// ordinary reads of an HTTP line what is counted of it. It reports false where
// anything is unusual: a second that began just now, a state other than "--",
// a captured cookie, a status that speaks of trouble.
func (r *accessReader) ordinary(b []byte, l *source.Line, o *source.Ordinary) bool {
	at := source.IndexNear(b, '[')
	if at < 2 || len(b) < at+clockSize || b[at-1] != ' ' || *(*[20]byte)(b[at+1:]) != r.day || b[at+21] != '.' || b[at+25] != ']' || b[at+26] != ' ' {
		return false
	}
	milli, ok := number(b[at+22 : at+25])
	if !ok {
		return false
	}
	b = b[at+clockSize:]
	i := source.IndexNear(b, ' ')
	if i <= 0 || i+1 >= len(b) || b[i+1] == ' ' {
		return false
	}
	b = b[i+1:]
	if i = source.IndexNear(b, ' '); i <= 0 {
		return false
	}
	pair := b[:i]
	slash := source.IndexNear(pair, '/')
	if slash < 0 {
		return false
	}
	took, b, ok := lastTimer(b[i+1:])
	if !ok || len(b) < 4 || b[3] != ' ' {
		return false
	}
	status, ok := number(b[:3])
	if !ok || !good(int64(status)) {
		return false
	}
	o.Status = status
	b = b[4:]
	if i = source.IndexNear(b, ' '); i <= 0 || i > 8 {
		return false
	}
	if _, ok = number(b[:i]); !ok {
		return false
	}
	const quiet = "- - ---- "
	if b = b[i+1:]; len(b) < len(quiet) || string(b[:len(quiet)]) != quiet {
		return false
	}
	if !r.verb(b[len(quiet):], o) {
		return false
	}
	if server := pair[slash+1:]; len(server) > 0 && server[0] != '<' {
		o.Tried, o.Member = true, r.address(pair, server)
	} else {
		o.Tried, o.Member = false, source.View(pair[:slash])
	}
	o.Time = r.base.Add(time.Duration(milli+took) * time.Millisecond)
	if !l.Time.IsZero() && !r.near(l.Time, milli+took) {
		if shift := zoneShift(o.Time, l.Time); shift != 0 {
			o.Time = o.Time.Add(shift)
		}
	}
	return true
}

// near reports whether a line was logged so near to its end, milli after base,
// that no shift of zones is between them. Neighbours share the instants.
func (r *accessReader) near(logged time.Time, milli int) bool {
	if logged != r.logged || r.base != r.loggedTo {
		r.logged, r.loggedTo = logged, r.base
		r.after = logged.Sub(r.base)
	}
	return (r.after - time.Duration(milli)*time.Millisecond).Abs() <= zoneStep/2
}

// verb reads the method of the request, which stands after the connections and
// queues.
func (r *accessReader) verb(b []byte, o *source.Ordinary) bool {
	for range 2 {
		i := source.IndexNear(b, ' ')
		if i <= 0 {
			return false
		}
		b = b[i+1:]
	}
	if len(b) < 10 || b[0] != '"' {
		return false
	}
	b = b[1:]
	switch word := binary.LittleEndian.Uint64(b); {
	case word<<32 == wordGET:
		o.Method = "GET"
		return true
	case word<<24 == wordPOST:
		o.Method = "POST"
		return true
	}
	i := source.IndexNear(b[:8], ' ')
	if i <= 0 {
		return false
	}
	for _, c := range b[:i] {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	o.Method = source.View(b[:i])
	return true
}

// The words that end with "GET " and "POST ".
const (
	wordGET  = ' '<<56 | 'T'<<48 | 'E'<<40 | 'G'<<32
	wordPOST = ' '<<56 | 'T'<<48 | 'S'<<40 | 'O'<<32 | 'P'<<24
)

// number reads up to eight digits.
func number(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// lastTimer reads "170/0/0/3/173 ", five numbers none of which is unknown, and
// returns the last of them and what follows.
func lastTimer(b []byte) (took int, rest []byte, ok bool) {
	n, digits := 0, 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			took = took*10 + int(c-'0')
			digits++
		case digits == 0 || digits > 8:
			return 0, nil, false
		case c == '/':
			n++
			took, digits = 0, 0
		default:
			return took, b[i+1:], c == ' ' && n == 4
		}
	}
	return 0, nil, false
}
