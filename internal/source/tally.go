package source

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
	"unsafe"

	"culprit/internal/fact"
)

// Ordinary is what is counted of a gateway's ordinary request: one that ended
// well, of which at most one member was asked.
type Ordinary struct {
	Time   time.Time // when it ended; zero for the wrapper's
	Status int       // as sent to the client, 100 to 499
	Method string
	// Tried: a member was asked, and Member is its address, as the address of
	// an attempt would be. Else Member is the group's name, if it is known.
	Tried  bool
	Member string
}

// A Folder is a [Sink] that counts ordinary requests without being told the
// whole of them. A reader of large logs may ask for it, and spares itself the
// fields that are not counted:
//
//	if f, ok := out.(source.Folder); !ok || !f.Fold(&o) {
//		out.State(request)
//	}
type Folder interface {
	// Fold counts one request and reports true; or it wants the whole of it,
	// to be stated as any other, and reports false. Strings may point into the
	// line. What is counted is the same either way.
	Fold(o *Ordinary) bool
}

// Fold implements [Folder].
func (s *sink) Fold(o *Ordinary) bool {
	fo := s.fold
	if fo == nil || s.folded != s.format || s.whole {
		return false
	}
	t := o.Time
	if t.IsZero() {
		t = s.line.Time
	}
	if !fo.ordinary(t, o, s.offset) {
		return false
	}
	if s.timed && t == s.at && s.spanned == s.format {
		s.span.lines++
	} else {
		s.seen(t)
	}
	s.rep.Requests++
	return true
}

// ordinary counts an ordinary request, unless it is one to be kept as a
// control.
func (f *fold) ordinary(t time.Time, o *Ordinary, offset int64) bool {
	sec, timed := int64(0), !t.IsZero()
	if timed {
		sec = t.Unix()
	}
	h := mix(uint64(offset))
	if b := &f.bar; b.known && sec >= b.minute && sec-b.minute < 60 && b.minute >= 0 {
		if b.open || h < b.hash {
			return false
		}
	} else if f.wants(sec-sec%60, h) {
		return false
	}
	f.latest = max(f.latest, sec)
	up := f.name(o.Member)
	f.count(sec, keyOf(up, methodOf(o.Method), o.Status/100), 1)
	if o.Tried && timed {
		if h := &f.list[up].heard; *h != t {
			*h = t
		}
	}
	return true
}

// wants reports whether a request of a minute with this hash would be among
// the minute's controls.
func (f *fold) wants(minute int64, h uint64) bool {
	if f.bar.minute != minute || !f.bar.known {
		c := f.controls[minute]
		f.bar = bar{minute: minute, known: true, open: len(c) < f.perMinute}
		if !f.bar.open {
			f.bar.hash = c[len(c)-1].hash
		}
	}
	return f.bar.open || h < f.bar.hash
}

// bar is what a request must stay under to be a control of its minute.
type bar struct {
	minute int64
	hash   uint64
	known  bool
	open   bool // there is still room
}

// minute counts the requests that ended in one interval.
type minute struct {
	at      int64 // Unix seconds of its beginning
	tallies map[tallyKey]int
}

// tallyKey packs what requests are counted by: number of the upstream, of the
// method, and the class of the status.
type tallyKey uint32

func keyOf(up int32, method, class int) tallyKey {
	return tallyKey(up)<<8 | tallyKey(method)<<4 | tallyKey(class)
}

func (k tallyKey) parts() (up int32, method, class int) {
	return int32(k >> 8), int(k >> 4 & 15), int(k & 15)
}

// cell is a count on its way into a minute's tallies.
type cell struct {
	m *minute
	k tallyKey
	n int
}

// cellBits is the logarithm of how many counts stand in front of the maps:
// enough for the upstreams, methods and classes of a busy minute.
const cellBits = 8

// spread multiplies bits upwards (2^64 divided by the golden ratio).
const spread = 0x9e3779b97f4a7c15

// maxStep bounds the samples' interval, in seconds: longer ones than a
// hundred days join nothing more.
const maxStep = 60 * 100_000

// count adds n requests that ended at sec.
func (f *fold) count(sec int64, k tallyKey, n int) {
	if f.size > maxBuckets && f.step < maxStep {
		f.coarsen()
	}
	m := f.cur
	if m == nil || m.at <= 0 || sec < m.at || sec-m.at >= f.step {
		m = f.minute(sec - sec%f.step)
	}
	c := &f.cells[(uint64(k)^uint64(m.at)<<20)*spread>>(64-cellBits)]
	if c.k != k || c.m != m {
		f.spill(c)
		c.m, c.k = m, k
	}
	c.n += n
}

// spill brings a cell's count to its minute.
func (f *fold) spill(c *cell) {
	if c.n == 0 {
		return
	}
	if _, ok := c.m.tallies[c.k]; !ok {
		f.size++
	}
	c.m.tallies[c.k] += c.n
	c.n = 0
}

// settle brings all counts to their minutes.
func (f *fold) settle() {
	for i := range f.cells {
		f.spill(&f.cells[i])
		f.cells[i] = cell{}
	}
}

func (f *fold) minute(at int64) *minute {
	m := f.minutes[at]
	if m == nil {
		m = &minute{at: at, tallies: map[tallyKey]int{}}
		f.minutes[at] = m
	}
	f.cur = m
	return m
}

// coarsen makes the samples' interval longer and joins what falls together.
func (f *fold) coarsen() {
	f.settle()
	old := f.minutes
	f.step *= 10
	f.minutes, f.size, f.cur = map[int64]*minute{}, 0, nil
	for _, m := range old {
		f.absorb(m, func(k tallyKey) tallyKey { return k })
	}
}

// absorb adds another minute's tallies, their keys translated.
func (f *fold) absorb(m *minute, translate func(tallyKey) tallyKey) {
	into := f.minute(m.at - m.at%f.step)
	for k, n := range m.tallies {
		k = translate(k)
		if _, ok := into.tallies[k]; !ok {
			f.size++
		}
		into.tallies[k] += n
	}
}

// nearBits is the logarithm of how many upstreams are found without the map.
const nearBits = 7

// nameless is the number of "", in [fold.names].
const nameless = 0

// name returns the number of an upstream; those over the bound share one.
func (f *fold) name(s string) int32 {
	if s == "" {
		return nameless
	}
	near := &f.near[nearSlot(s)]
	if i := *near; f.list[i].name == s {
		return i
	}
	i := f.number(s)
	if f.list[i].name == s {
		*near = i
	}
	return i
}

// nearSlot spreads names by their first and last bytes, where addresses of
// members differ.
func nearSlot(s string) uint64 {
	b := unsafe.Slice(unsafe.StringData(s), len(s))
	var x uint64
	if n := len(b); n >= 8 {
		x = binary.LittleEndian.Uint64(b[n-8:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(b)*spread, 29)
	} else {
		for _, c := range b {
			x = x<<8 | uint64(c)
		}
	}
	return (x + uint64(len(b))) * spread >> (64 - nearBits)
}

func (f *fold) number(s string) int32 {
	if i, ok := f.names[s]; ok {
		return i
	}
	if len(f.list) >= maxNames {
		s = "other"
		if i, ok := f.names[s]; ok {
			return i
		}
	}
	c := strings.Clone(s)
	i := int32(len(f.list))
	f.names[c] = i
	f.list = append(f.list, upstream{name: c})
	return i
}

// methods are those counted apart; others share the last.
var methods = [...]string{"", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "other"}

func methodOf(m string) int {
	switch m {
	case "GET":
		return 1
	case "POST":
		return 2
	case "":
		return 0
	}
	for i, x := range methods {
		if m == x {
			return i
		}
	}
	return len(methods) - 1
}

// classOf is the class of a status: 5 for 503, 15 for one that is not known.
func classOf(s fact.Int) int {
	if s.Known && s.N >= 0 && s.N < 1000 {
		return int(s.N / 100)
	}
	return 15
}
