package nginx

import (
	"bytes"
	"encoding/binary"
	"time"

	"culprit/internal/source"
)

// fold counts the request of a line that the last layout fits, without making
// a Request of it, if it is plainly an ordinary one and the sink does not want
// the whole. What it takes, [filler.fill] would take too, and make of it a
// request that is counted alike.
func (r *accessReader) fold(out source.Sink) bool {
	to, ok := out.(source.Folder)
	return ok && r.f.ordinary(&r.v, &r.plain) && to.Fold(&r.plain)
}

// ordinary tells what is counted of a request that was answered without an
// error at the first try. It reports false where that needs a closer look.
func (f *filler) ordinary(v *values, o *source.Ordinary) bool {
	if v.nAny > 0 || v.has&(1<<kAgentOrUp) != 0 || v.has&(1<<kStatus) == 0 {
		return false
	}
	o.Status = status(v.get(kStatus))
	if o.Status < 100 || o.Status >= 400 && !v.refused(o.Status) {
		return false
	}
	if (v.has&^v.dense|v.far)&(1<<kClient) != 0 && source.IndexNear(v.get(kClient), ' ') >= 0 {
		return false
	}
	return f.verb(v, o) && f.member(v, o) && f.instant(v, o)
}

// refused reports whether a status from 400 on is the client's own doing, of
// which [filler.judge] says nothing.
func (v *values) refused(status int) bool {
	return status < 429 && status != 408 && status != 413 && v.has&(1<<kLimit) == 0
}

// instant reads when it ended.
func (f *filler) instant(v *values, o *source.Ordinary) bool {
	const stamps = 1<<kMsec | 1<<kTimeISO | 1<<kTimeLocal | 1<<kTimeAny | 1<<kMillis
	if b := v.get(kTimeLocal); v.has&stamps == 1<<kTimeLocal && len(b) == f.stampN && string(b) == string(f.stamp[:f.stampN]) {
		o.Time = f.at
		return true
	}
	f.req.Time = time.Time{}
	ok := f.when(v)
	o.Time = f.req.Time
	return ok
}

// verb reads the method.
func (f *filler) verb(v *values, o *source.Ordinary) bool {
	o.Method = ""
	if v.has&(1<<kMethod) != 0 {
		if m := known(v.get(kMethod)); len(m) > 0 {
			o.Method = source.View(m)
			return true
		}
	}
	if v.has&(1<<kRequest) == 0 {
		return true
	}
	b := v.get(kRequest)
	if len(b) >= 8 {
		switch word := binary.LittleEndian.Uint64(b); {
		case word<<32 == wordGET:
			o.Method = "GET"
			return true
		case word<<24 == wordPOST:
			o.Method = "POST"
			return true
		}
	}
	if i := source.IndexNear(b[:min(len(b), 8)], ' '); i > 0 && upper(b[:i]) {
		o.Method = source.View(b[:i])
		return true
	}
	o.Method, _, _ = asked(known(b))
	return true
}

// The words that end with "GET " and "POST ".
const (
	wordGET  = ' '<<56 | 'T'<<48 | 'E'<<40 | 'G'<<32
	wordPOST = ' '<<56 | 'T'<<48 | 'S'<<40 | 'O'<<32 | 'P'<<24
)

func upper(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// member reads who was asked, if nobody was asked after it.
func (f *filler) member(v *values, o *source.Ordinary) bool {
	o.Tried, o.Member = false, ""
	if v.has&upFields != 0 {
		if !v.onePass() {
			return false
		}
		for _, k := range [...]kind{kUpAddr, kUpStatus, kUpConnect, kUpHeader, kUpTime, kUpTimeMS} {
			if v.has&(1<<k) != 0 && len(known(v.get(k))) > 0 {
				o.Tried = true
				break
			}
		}
		if b := v.get(kUpAddr); len(known(b)) > 0 {
			o.Member = source.View(address(b))
		}
		if status(v.get(kUpStatus)) >= 500 {
			return false
		}
	}
	if !o.Tried && v.has&(1<<kUpName|1<<kProxyHost) != 0 {
		o.Member = group(v)
	}
	return true
}

// onePass reports whether no list of upstream fields has more than one value.
func (v *values) onePass() bool {
	if v.far&upFields == 0 && v.tail >= 0 {
		// The fields found without a closer look end at their first blank.
		return bytes.IndexByte(v.line[v.tail:], ',') < 0
	}
	for _, k := range [...]kind{kUpAddr, kUpStatus, kUpConnect, kUpHeader, kUpTime, kUpTimeMS} {
		if v.has&(1<<k) != 0 && !single(v.get(k)) {
			return false
		}
	}
	return true
}

// The bytes that part the values of several tries, eight at a time.
const (
	eightCommas = lowBits * ','
	eightBlanks = lowBits * ' '
)

// single reports whether a list has one value. Most have, and are short.
func single(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if x := binary.LittleEndian.Uint64(b); zeros(x^eightCommas)|zeros(x^eightBlanks) != 0 {
			return false
		}
	}
	if cap(b) >= 8 {
		// What stands after the value is made to be neither.
		x := binary.LittleEndian.Uint64(b[:8]) | ^uint64(0)<<(8*len(b))
		return zeros(x^eightCommas)|zeros(x^eightBlanks) == 0
	}
	for _, c := range b {
		if c == ',' || c == ' ' {
			return false
		}
	}
	return true
}

// zeros is not zero if a byte of x is.
func zeros(x uint64) uint64 { return (x - lowBits) &^ x & highBits }
