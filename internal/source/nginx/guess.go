package nginx

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// shape is what a value looks like.
type shape uint8

const (
	shapeOther shape = iota
	shapeNone        // "-" or empty
	shapeTime        // seconds with three decimals
	shapeInt
	shapeAddr // host:port, unix:path
	shapeIP
	shapeID // sixteen or more hexadecimal digits, a UUID
	shapeCache
	shapeAgent
	shapeHost
)

// shapeOf tells the shape of a value or of the first known one of a list.
func shapeOf(b []byte) shape {
	for {
		b = bytes.TrimLeft(b, " ,:")
		if len(b) == 0 {
			return shapeNone
		}
		if b[0] != '-' || len(b) > 1 && b[1] != ',' && b[1] != ' ' {
			break
		}
		b = b[1:]
	}
	first := b
	if i := bytes.IndexAny(b, ", "); i >= 0 {
		first = b[:i]
	}
	digits, points, hex, colons, letters, others := 0, 0, 0, 0, 0, 0
	for _, c := range first {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			points++
		case c == ':':
			colons++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
		case c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z':
			letters++
		default:
			others++
		}
	}
	n := len(first)
	switch {
	case digits == n:
		return shapeInt
	case digits+1 == n && points == 1 && n > 4 && first[n-4] == '.':
		return shapeTime
	case source.HasPrefix(first, "unix:"):
		return shapeAddr
	case points == 3 && digits+3 == n, colons >= 2 && digits+hex+colons == n:
		return shapeIP
	case colons >= 1 && port(first):
		return shapeAddr
	case letters == 0 && points == 0 && colons == 0 && digits+hex == n && n >= 16, n == 36 && first[8] == '-' && first[13] == '-' && letters == 0:
		return shapeID
	case cacheWord(first):
		return shapeCache
	case bytes.IndexByte(first, '/') > 0 && hex+letters > 1 && !source.Has(first, "://"):
		return shapeAgent
	case points >= 1 && others == bytes.Count(first, []byte{'-'}) && hex+letters > 0 && colons == 0:
		return shapeHost
	}
	return shapeOther
}

// port reports whether b ends with a colon and a port number after a host.
func port(b []byte) bool {
	i := bytes.LastIndexByte(b, ':')
	p := source.Int(b[i+1:])
	if i <= 0 || !p.Known || p.N < 1 || p.N > 65535 {
		return false
	}
	h := b[:i]
	return h[0] == '[' && h[len(h)-1] == ']' || bytes.IndexByte(h, ':') < 0 && !bytes.ContainsAny(h, "/\"=")
}

func cacheWord(b []byte) bool {
	switch string(b) {
	case "HIT", "MISS", "EXPIRED", "BYPASS", "STALE", "UPDATING", "REVALIDATED":
		return true
	}
	return false
}

// learnt is what lines of one layout taught about its fields without names, by
// their places among those fields.
type learnt struct {
	addr   int // place of the upstream address, from 1
	status int // place of the upstream status, from 1
	time   [maxAny]bool
	sum    [maxAny]int64 // over lines with all times, in nanoseconds
	full   int           // how many such lines there were
}

// guess gives the fields that were told by no name a kind by their shapes and
// by what earlier lines of the layout taught. Times are told apart by their
// values: an answer cannot take longer than its request, nor a header longer
// than its answer.
func (v *values) guess(k *learnt) {
	times := 0
	candidate := -1
	for i := 0; i < v.nAny; i++ {
		b := v.any[i]
		switch shapeOf(b) {
		case shapeTime:
			times++
			k.time[i] = true
		case shapeInt:
			if s := status(firstOf(b)); s >= 100 && s < 600 && (candidate < 0 || !bytes.Equal(v.any[candidate], v.get(kStatus))) {
				candidate = i
			}
		case shapeAddr:
			if v.has&(1<<kUpAddr) == 0 {
				v.set(kUpAddr, b)
				k.addr = i + 1
			}
		case shapeIP:
			v.first(kClient, b)
		case shapeID:
			v.set(kID, b)
		case shapeCache:
			v.first(kCache, b)
		case shapeAgent:
			v.first(kAgent, b)
		case shapeHost:
			if i+1 != k.addr {
				v.first(kHost, b)
			}
		}
	}
	if k.addr > 0 && k.addr <= v.nAny {
		v.first(kUpAddr, v.any[k.addr-1])
	}
	if k.status > 0 && k.status <= v.nAny {
		candidate = k.status - 1
	}
	if candidate >= 0 && v.has&(1<<kStatus) != 0 && (times > 0 || v.has&upFields != 0) && v.has&(1<<kUpStatus) == 0 {
		v.set(kUpStatus, v.any[candidate])
		if v.has&(1<<kUpAddr) != 0 && bytes.Equal(v.any[candidate], v.get(kStatus)) {
			k.status = candidate + 1
		}
	}
	v.times(k)
}

// first sets a kind that no field has yet.
func (v *values) first(k kind, b []byte) {
	if v.has&(1<<k) == 0 {
		v.set(k, b)
	}
}

// settle tells what "ua" is: the upstream's address where the agent stands
// elsewhere or the value has an address's shape, else the agent.
func (v *values) settle() {
	b := v.get(kAgentOrUp)
	const up = 1<<kUpStatus | 1<<kUpTime | 1<<kUpHeader | 1<<kUpConnect
	if v.has&(1<<kAgent) != 0 || shapeOf(b) == shapeAddr || v.has&up != 0 && bytes.IndexByte(b, '/') < 0 {
		v.first(kUpAddr, b)
	} else {
		v.first(kAgent, b)
	}
}

// times deals the time fields, largest first, to request, answer, header and
// connect.
func (v *values) times(k *learnt) {
	var col [4]int
	n, known := 0, 0
	for i := 0; i < v.nAny && n < len(col); i++ {
		if k.time[i] {
			col[n] = i
			n++
			if shapeOf(v.any[i]) == shapeTime {
				known++
			}
		}
	}
	if n == 0 {
		return
	}
	if known == n {
		k.full++
		for _, i := range col[:n] {
			k.sum[i] += v.total(i)
		}
	}
	weigh := func(i int) int64 {
		if k.full > 0 {
			return k.sum[i]
		}
		return v.total(i)
	}
	for i := 1; i < n; i++ {
		for j := i; j > 0 && weigh(col[j]) > weigh(col[j-1]); j-- {
			col[j], col[j-1] = col[j-1], col[j]
		}
	}
	had := 0
	if v.has&(1<<kDuration) != 0 {
		had = 1
	}
	order := [...]kind{kDuration, kUpTime, kUpHeader, kUpConnect}
	for i, x := range col[:min(n, len(order)-had)] {
		if i+had >= 2 && n+had < 4 {
			break // connect or header: cannot be told
		}
		v.first(order[i+had], v.any[x])
	}
}

// total is the sum of a list of times.
func (v *values) total(i int) int64 {
	b := v.any[i]
	if bytes.IndexByte(b, ' ') < 0 && bytes.IndexByte(b, ',') < 0 {
		return int64(source.Secs(b).D)
	}
	var sum fact.Dur
	var parts [maxTries][]byte
	for _, x := range split(b, &parts) {
		sum.D += source.Secs(x).D
	}
	return int64(sum.D)
}

// firstOf is the first item of a list that is not unknown.
func firstOf(b []byte) []byte {
	for len(b) > 0 {
		i := bytes.IndexAny(b, ", ")
		if i < 0 {
			return b
		}
		if i > 0 && string(b[:i]) != "-" {
			return b[:i]
		}
		b = b[i+1:]
	}
	return b
}
