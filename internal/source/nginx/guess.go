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
	return h[0] == '[' && h[len(h)-1] == ']' || bytes.IndexByte(h, ':') < 0 && bytes.IndexAny(h, "/\"=") < 0
}

func cacheWord(b []byte) bool {
	switch string(b) {
	case "HIT", "MISS", "EXPIRED", "BYPASS", "STALE", "UPDATING", "REVALIDATED":
		return true
	}
	return false
}

// guess gives the fields that were told by no name a kind by their shapes.
// Times are told apart by their values: an answer cannot take longer than its
// request, nor a header longer than its answer. cols is how many time fields
// lines of this layout were seen to have at once, at most.
func (v *values) guess(cols *int) {
	var times [4]int
	n, dashes := 0, 0
	candidate := -1
	for i := 0; i < v.nAny; i++ {
		b := v.any[i]
		switch shapeOf(b) {
		case shapeNone:
			dashes++
		case shapeTime:
			if n < len(times) {
				times[n] = i
				n++
			}
		case shapeInt:
			if s := status(firstOf(b)); s >= 100 && s < 600 && (candidate < 0 || !bytes.Equal(v.any[candidate], v.get(kStatus))) {
				candidate = i
			}
		case shapeAddr:
			v.first(kUpAddr, b)
		case shapeIP:
			v.first(kClient, b)
		case shapeID:
			v.set(kID, b)
		case shapeCache:
			v.first(kCache, b)
		case shapeAgent:
			v.first(kAgent, b)
		case shapeHost:
			v.first(kHost, b)
		}
	}
	if candidate >= 0 && v.has&(1<<kStatus) != 0 && (n > 0 || v.has&upFields != 0) {
		v.first(kUpStatus, v.any[candidate])
	}
	if v.has&(1<<kDuration) != 0 {
		v.assign(times[:n], 1, cols)
	} else {
		v.assign(times[:n], 0, cols)
	}
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
	b := v.at[kAgentOrUp]
	if v.has&(1<<kAgent) != 0 || shapeOf(b) == shapeAddr {
		v.first(kUpAddr, b)
	} else {
		v.first(kAgent, b)
	}
}

// assign deals times, largest first, to request, answer, header and connect.
// had is 1 if the request's is known already.
func (v *values) assign(times []int, had int, cols *int) {
	for i := 1; i < len(times); i++ {
		for j := i; j > 0 && v.total(times[j]) > v.total(times[j-1]); j-- {
			times[j], times[j-1] = times[j-1], times[j]
		}
	}
	all := len(times) + had
	*cols = max(*cols, all)
	order := [...]kind{kDuration, kUpTime, kUpHeader, kUpConnect}
	if *cols == 4 && all == 3 {
		order[2], order[3] = kUpConnect, kUpHeader // a connection comes before a header
	}
	for i, x := range times {
		if i+had >= 2 && *cols != 4 {
			break // connect or header: cannot be told
		}
		v.first(order[i+had], v.any[x])
	}
	if *cols == 4 && all >= 2 {
		for _, k := range order[all:] {
			v.first(k, dash)
		}
	}
}

var dash = []byte{'-'}

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
