package gclb

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// entry is what one walk over a LogEntry found. Its fields point into the
// text, or, where that had escapes, into the walker's buffer.
type entry struct {
	hasHTTP   bool
	lb        bool // the resource or the payload is a balancer's
	method    []byte
	url       []byte
	agent     []byte
	status    []byte
	latency   []byte
	remote    []byte
	server    []byte
	protocol  []byte
	reqSize   []byte
	respSize  []byte
	cacheHit  bool
	details   []byte // jsonPayload.statusDetails
	proxy     []byte // jsonPayload.proxyStatus
	stamp     []byte
	trace     []byte
	insert    []byte
	logName   []byte
	resource  []byte // resource.type
	service   []byte // backend service
	rule      []byte // forwarding rule
	urlMap    []byte
	pod       []byte // a container's pod, or a service
	text      []byte // textPayload
	policy    bool   // a security policy's outcome was DENY
	otherText bool   // textPayload, protoPayload or a payload that is no balancer's
}

// walker goes once over a JSON object and picks the fields of an entry; all
// else is skipped without being looked at.
type walker struct {
	b   []byte
	i   int
	buf []byte // unescaped strings of this entry

	escaped bool // the string stepped over last has escapes

	// The keys of the entry before, in order, as they stood there with quotes
	// and colon, and how many keys this one had so far. Nearly all entries of
	// a log have the same keys in the same order.
	before [maxKeys][]byte
	n      int
	of     lastResource
}

// walk reads the object that begins at b. It returns where the object ended;
// ok is false if it is cut or no JSON, and e then holds what stood before.
func (w *walker) walk(b []byte, e *entry) (end int, ok bool) {
	w.b, w.i, w.buf, w.n = b, 0, w.buf[:0], 0
	*e = entry{}
	if !w.open('{') {
		return w.i, false
	}
	for {
		key, more, ok := w.key()
		if !ok {
			return w.i, false
		}
		if !more {
			return w.i, true
		}
		if !w.top(key, e) {
			return w.i, false
		}
	}
}

func (w *walker) top(key []byte, e *entry) bool {
	switch string(key) {
	case "httpRequest":
		e.hasHTTP = true
		return w.object(e, (*walker).http)
	case "jsonPayload", "jsonpayload_type_loadbalancerlogentry": // the latter in BigQuery's rows
		return w.object(e, (*walker).payload)
	case "resource":
		return w.sameResource(e)
	case "timestamp":
		return w.text(&e.stamp)
	case "trace":
		return w.text(&e.trace)
	case "insertId":
		return w.text(&e.insert)
	case "logName":
		return w.text(&e.logName)
	case "textPayload":
		e.otherText = true
		return w.text(&e.text)
	case "protoPayload":
		e.otherText = true
	case "statusDetails", "proxyStatus":
		return w.payload(key, e)
	}
	return w.skip()
}

func (w *walker) http(key []byte, e *entry) bool {
	switch string(key) {
	case "requestMethod":
		return w.text(&e.method)
	case "requestUrl":
		return w.text(&e.url)
	case "userAgent":
		return w.text(&e.agent)
	case "status":
		return w.value(&e.status)
	case "latency":
		return w.value(&e.latency)
	case "remoteIp":
		return w.text(&e.remote)
	case "serverIp":
		return w.text(&e.server)
	case "protocol":
		return w.text(&e.protocol)
	case "requestSize":
		return w.value(&e.reqSize)
	case "responseSize":
		return w.value(&e.respSize)
	case "cacheHit":
		var v []byte
		ok := w.value(&v)
		e.cacheHit = string(v) == "true"
		return ok
	}
	return w.skip()
}

func (w *walker) payload(key []byte, e *entry) bool {
	switch string(key) {
	case "statusDetails", "statusdetails":
		e.lb = true
		return w.text(&e.details)
	case "proxyStatus", "proxystatus":
		e.lb = true
		return w.text(&e.proxy)
	case "@type":
		var v []byte
		ok := w.text(&v)
		e.lb = e.lb || string(v) == entryType || bytes.Contains(v, []byte("LoadBalancerLogEntry"))
		return ok
	case "enforcedSecurityPolicy":
		return w.object(e, (*walker).securityPolicy)
	case "message", "MESSAGE", "healthCheckProbeResult", "involvedObject":
		e.otherText = true
	}
	return w.skip()
}

func (w *walker) securityPolicy(key []byte, e *entry) bool {
	if string(key) != "outcome" {
		return w.skip()
	}
	var v []byte
	ok := w.text(&v)
	e.policy = string(v) == "DENY"
	return ok
}

func (w *walker) resource(key []byte, e *entry) bool {
	switch string(key) {
	case "type":
		ok := w.text(&e.resource)
		e.lb = e.lb || balancerResource(e.resource)
		return ok
	case "labels":
		return w.object(e, (*walker).labels)
	}
	return w.skip()
}

func (w *walker) labels(key []byte, e *entry) bool {
	switch string(key) {
	case "backend_service_name", "backend_target_name":
		return w.text(&e.service)
	case "forwarding_rule_name":
		return w.text(&e.rule)
	case "url_map_name":
		return w.text(&e.urlMap)
	case "pod_name", "service_name":
		return w.text(&e.pod)
	}
	return w.skip()
}

// object reads an object's fields with f; a value of another type is skipped.
func (w *walker) object(e *entry, f func(*walker, []byte, *entry) bool) bool {
	if !w.open('{') {
		return w.skip()
	}
	for {
		key, more, ok := w.key()
		if !ok || !more {
			return ok
		}
		if !f(w, key, e) {
			return false
		}
	}
}

func (w *walker) blank() {
	for w.i < len(w.b) && w.b[w.i] <= ' ' {
		w.i++
	}
}

// open steps over c if it is what follows.
func (w *walker) open(c byte) bool {
	w.blank()
	if w.i < len(w.b) && w.b[w.i] == c {
		w.i++
		return true
	}
	return false
}

// key reads the next key of an object and the colon; more is false at the
// object's end.
func (w *walker) key() (key []byte, more, ok bool) {
	if w.i < len(w.b) && w.b[w.i] == ',' {
		w.i++
	} else if w.open('}') {
		return nil, false, true
	} else if w.i < len(w.b) && w.b[w.i] == ',' {
		w.i++
	}
	if w.i >= len(w.b) || w.b[w.i] != '"' {
		if w.blank(); w.i >= len(w.b) || w.b[w.i] != '"' {
			return nil, false, false
		}
	}
	start := w.i + 1
	before := &w.before[w.n&(maxKeys-1)]
	w.n++
	if rest, n := w.b[w.i:], len(*before); n > 2 && n <= len(rest) && string(rest[:n]) == string(*before) {
		w.i += n
		return rest[1 : n-2], true, true
	}
	if !w.skipString() {
		return nil, false, false
	}
	key = w.b[start : w.i-1]
	if w.i < len(w.b) && w.b[w.i] == ':' {
		w.i++
		if !w.escaped && len(key) < maxKey {
			*before = append((*before)[:0], w.b[start-1:w.i]...)
		}
		return key, true, true
	}
	return key, true, w.open(':')
}

// Words of eight bytes in which skipString looks for a quote or an escape.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
	quotes   = '"' * lowBits
	escapes  = '\\' * lowBits
)

// skipString steps over a string, and notes whether it has escapes; w.i is at
// its quote. Most are short, so that the first bytes are searched eight at a
// time before a call is worth it.
func (w *walker) skipString() bool {
	b, i := w.b, w.i+1
	for n := 0; n < 4 && i+8 <= len(b); n++ {
		word := binary.LittleEndian.Uint64(b[i:])
		q, e := word^quotes, word^escapes
		if z := ((q - lowBits) &^ q & highBits) | ((e - lowBits) &^ e & highBits); z != 0 {
			j := i + bits.TrailingZeros64(z)>>3
			if b[j] == '"' {
				w.i, w.escaped = j+1, false
				return true
			}
			return w.skipLong(i, true)
		}
		i += 8
	}
	return w.skipLong(i, false)
}

// skipLong steps over a string's rest that begins at i, with its escapes.
func (w *walker) skipLong(i int, escaped bool) bool {
	from := i
	for {
		j := bytes.IndexByte(w.b[i:], '"')
		if j < 0 {
			w.i = len(w.b)
			return false
		}
		i += j + 1
		k := i - 2
		for k > w.i && w.b[k] == '\\' {
			k--
		}
		if (i-2-k)%2 == 0 {
			w.escaped = escaped || bytes.IndexByte(w.b[from:i], '\\') >= 0
			w.i = i
			return true
		}
		escaped = true
	}
}

// text reads a string into *v; null and other values leave it as it is.
func (w *walker) text(v *[]byte) bool {
	w.blank()
	if w.i >= len(w.b) || w.b[w.i] != '"' {
		return w.skip()
	}
	start := w.i + 1
	if !w.skipString() {
		*v = w.b[start:] // cut: what stands there still tells something
		return false
	}
	raw := w.b[start : w.i-1]
	if w.escaped {
		from := len(w.buf)
		w.buf = unescape(w.buf, raw)
		raw = w.buf[from:len(w.buf):len(w.buf)]
	}
	*v = raw
	return true
}

// value reads a string or a bare word into *v.
func (w *walker) value(v *[]byte) bool {
	w.blank()
	if w.i < len(w.b) && w.b[w.i] == '"' {
		return w.text(v)
	}
	start := w.i
	ok := w.skip()
	*v = bytes.TrimSpace(w.b[start:w.i])
	return ok
}

// maxDepth bounds nested values; Google's own entries have under ten levels.
const maxDepth = 200

// skip steps over any value.
func (w *walker) skip() bool {
	w.blank()
	depth := 0
	for w.i < len(w.b) {
		switch c := w.b[w.i]; c {
		case '"':
			if !w.skipString() {
				return false
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return false
			}
			w.i++
			continue
		case '}', ']':
			if depth == 0 {
				return true // an empty value: the caller sees the end
			}
			depth--
			w.i++
		case ',':
			if depth == 0 {
				return true
			}
			w.i++
			continue
		case ':', ' ', '\t', '\n', '\r':
			w.i++
			continue
		default:
			w.i++
			for w.i < len(w.b) && w.b[w.i] != ',' && w.b[w.i] != '}' && w.b[w.i] != ']' && w.b[w.i] > ' ' {
				w.i++
			}
		}
		if depth == 0 {
			return true
		}
	}
	return false
}

// unescape appends s, a JSON string's inside, to dst with its escapes undone.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'n':
			dst = append(dst, '\n')
		case 't':
			dst = append(dst, '\t')
		case 'r':
			dst = append(dst, '\r')
		case 'b', 'f':
			dst = append(dst, ' ')
		case 'u':
			r, n := codeUnit(s[i:])
			if utf16.IsSurrogate(r) && i+n < len(s) && s[i+n] == '\\' {
				if r2, n2 := codeUnit(s[i+n+1:]); n2 > 0 {
					r, n = utf16.DecodeRune(r, r2), n+1+n2
				}
			}
			if n == 0 {
				dst = append(dst, 'u')
				continue
			}
			dst = utf8.AppendRune(dst, r)
			i += n - 1
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}

// codeUnit reads "u00e9"; n is 0 if it is none.
func codeUnit(s []byte) (r rune, n int) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, 0
	}
	v, err := strconv.ParseUint(string(s[1:5]), 16, 16)
	if err != nil {
		return 0, 0
	}
	return rune(v), 5
}
