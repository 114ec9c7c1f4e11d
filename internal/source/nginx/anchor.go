package nginx

import (
	"bytes"

	"culprit/internal/source"
)

// anchor gives tokens their kinds: first those that can be told for sure, the
// time, the request and the status, then the others by their place beside
// those. It is false if one of the three is missing.
func anchor(b []byte, ts []token, stamped bool) bool {
	req, when := -1, -1
	for i := range ts {
		t := &ts[i]
		x := b[t.from:t.to]
		if t.key != "" && !t.sure {
			t.kind, _ = nameKind(t.key, nil)
			t.sure = true
		}
		switch {
		case t.kind == kRequest, t.kind == kTarget, t.kind == kURI:
			if req < 0 {
				req = i
			}
		case t.sure && (t.kind == kTimeAny || t.kind == kTimeLocal || t.kind == kTimeISO || t.kind == kMsec):
			if when < 0 {
				when = i
			}
		case t.sure:
		case when < 0 && isStamp(x):
			when = i
			t.kind, t.sure = stampKind(x), true
		case req < 0 && t.open == '"' && requestLine(x):
			req = i
			t.kind, t.sure = kRequest, true
		case req < 0 && t.open == 0 && method(x) && i+1 < len(ts) && target(b[ts[i+1].from:ts[i+1].to]):
			t.kind, t.sure = kMethod, true
			ts[i+1].kind, ts[i+1].sure = kTarget, true
		case t.open == 0 && source.HasPrefix(x, "HTTP/"):
			t.kind, t.sure = kProto, true
		}
	}
	if req < 0 || when < 0 && !stamped {
		return false
	}
	st := statusToken(b, ts, req)
	if st < 0 {
		return false
	}
	ts[st].kind, ts[st].sure = kStatus, true
	if st+1 < len(ts) && st > req && !ts[st+1].sure && ts[st+1].open == 0 {
		if x := b[ts[st+1].from:ts[st+1].to]; source.Int(x).Known || string(x) == "-" {
			ts[st+1].kind, ts[st+1].sure = kBytes, true
		}
	}
	before(b, ts, req, when)
	after(b, ts, max(req, st))
	agent := false
	for i := range ts {
		agent = agent || ts[i].kind == kAgent
	}
	for i := range ts {
		if ts[i].kind == kAgentOrUp && (agent || shapeOf(b[ts[i].from:ts[i].to]) == shapeAddr) {
			ts[i].kind = kUpAddr
		}
	}
	return true
}

// statusToken finds the status: by its name, after the request, or before it.
func statusToken(b []byte, ts []token, req int) int {
	for i := range ts {
		if ts[i].kind == kStatus && ts[i].sure {
			return i
		}
	}
	is := func(i int) bool {
		s := status(b[ts[i].from:ts[i].to])
		return !ts[i].sure && ts[i].open != '[' && (s == 0 || s >= 100 && s < 600 || s == 9)
	}
	for i := req + 1; i < len(ts) && i <= req+3; i++ {
		if is(i) {
			return i
		}
	}
	for i := req - 1; i >= 0; i-- {
		if is(i) {
			return i
		}
	}
	return -1
}

// before tells the fields left of the request or the time: host, client, user.
func before(b []byte, ts []token, req, when int) {
	client := false
	for i := range ts[:max(req, when)] {
		t := &ts[i]
		if t.sure {
			client = client || t.kind == kClient
			continue
		}
		x := b[t.from:t.to]
		s := shapeOf(x)
		switch {
		case !client && (s == shapeIP || s == shapeAddr && i == 0):
			t.kind, client = kClient, true
		case s == shapeHost:
			t.kind = kHost
		case t.open == '[':
			t.kind = kSkip
		case i < when && s != shapeAddr:
			t.kind = kSkip // identity and user
		default:
			t.kind = kAny
		}
		t.sure = true
	}
}

// after tells the fields right of the status: referer and agent in quotes, a
// group's name in brackets.
func after(b []byte, ts []token, from int) {
	referer := false
	for i := from + 1; i < len(ts); i++ {
		t := &ts[i]
		if t.sure {
			continue
		}
		x := b[t.from:t.to]
		t.kind, t.sure = kAny, true
		switch t.open {
		case '"':
			if !referer && (string(x) == "-" || source.Has(x, "://")) && i+1 < len(ts) && ts[i+1].open == '"' && ts[i+1].key == "" && textLike(b[ts[i+1].from:ts[i+1].to]) {
				referer = true
				t.kind = kSkip
				ts[i+1].kind, ts[i+1].sure = kAgent, true
			}
		case '[':
			t.kind = kSkip
			if bytes.Count(x, []byte{'-'}) >= 2 {
				t.kind = kUpName
			}
		}
	}
}

// textLike reports whether a value in quotes may be a user agent.
func textLike(b []byte) bool {
	s := shapeOf(b)
	return s == shapeAgent || s == shapeOther || s == shapeHost || s == shapeNone
}

func isStamp(b []byte) bool { return stampKind(b) != kSkip }

func stampKind(b []byte) kind {
	if _, rest, ok := source.CLFTime(b); ok && len(rest) == 0 {
		return kTimeLocal
	}
	if len(b) >= 19 && b[4] == '-' && b[7] == '-' && b[13] == ':' && b[16] == ':' {
		return kTimeISO
	}
	if len(b) >= 19 && b[4] == '/' && b[7] == '/' && b[13] == ':' && b[16] == ':' {
		return kTimeAny
	}
	return kSkip
}

// requestLine reports whether b is "METHOD target HTTP/x".
func requestLine(b []byte) bool {
	m, rest := source.Field(b)
	if len(m) == 0 || len(m) > 20 || len(rest) == 0 {
		return false
	}
	for _, c := range m {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	if i := bytes.LastIndexByte(rest, ' '); i > 0 && source.HasPrefix(rest[i+1:], "HTTP/") {
		return true
	}
	return method(m) && target(rest)
}

func target(b []byte) bool {
	return len(b) > 0 && (b[0] == '/' || b[0] == '*' || source.HasPrefix(b, "http"))
}
