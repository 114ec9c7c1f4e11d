package nginx

import (
	"bytes"

	"culprit/internal/source"
)

// token is a value in a line whose format is not known.
type token struct {
	from, to int
	key      string // the name before it, if any
	open     byte   // '"' or '[' if it stands between such
	kind     kind
	sure     bool // kind is settled
}

// maxLine is how long a line may be whose format is told from itself, in
// bytes; nginx cuts none, and a request line has at most 8 KiB by default.
const maxLine = 32 << 10

// infer makes a layout of a line in an unknown format: of one that tells a
// time, a request and a status, as access logs do. stamped: the time stood in
// the line's wrapper.
func infer(env *source.Env, b []byte, stamped bool, more []string) (l layout, ok bool) {
	if len(b) > maxLine {
		return l, false
	}
	tokens := tokenize(env, b, more)
	if tokens = joinRequest(b, tokens); len(tokens) < 3 {
		return l, false
	}
	if !anchor(b, tokens, stamped) {
		return l, false
	}
	prev := 0
	for i := range tokens {
		t := &tokens[i]
		lit := string(b[prev:t.from])
		if i == 0 {
			l.head = lit
		} else {
			l.fields[i-1].lit = lit
		}
		l.fields = append(l.fields, field{kind: t.kind})
		prev = t.to
	}
	l.fields[len(l.fields)-1].lit = string(b[prev:])
	l.finish()
	l.flavour = elsewhere
	var v values
	return l, l.scan(b, &v)
}

// tokenize parts a line into values.
func tokenize(env *source.Env, b []byte, more []string) []token {
	var out []token
	label := ""
	for p := 0; p < len(b) && len(out) < maxFields; {
		if c := b[p]; c == ' ' || c == '\t' || c == '|' || c == ',' || c == ';' || c == ':' {
			p++
			continue
		}
		t, next := nextToken(env, b, p, more)
		if t.key == "" && t.open == 0 {
			// A word that names a field: "request_time 0.003", "to: 10.0.0.1:80".
			word := b[t.from:t.to]
			colon := next < len(b) && b[next] == ':'
			if _, known := nameKind(string(word), more); known && (colon || bytes.IndexByte(word, '_') > 0) && next < len(b) {
				label, p = string(word), next
				continue
			}
			if colon && len(word) > 1 && word[0] > '9' && !bytes.ContainsAny(word, ":/") {
				label, p = "unknown", next
				continue
			}
		}
		if t.key == "" {
			t.key = label
		}
		label = ""
		out = append(out, t)
		p = next
	}
	return out
}

// nextToken reads the value that begins at b[p].
func nextToken(env *source.Env, b []byte, p int, more []string) (t token, next int) {
	if key := keyAt(b[p:], more); key > 0 {
		t.key = string(bytes.TrimRight(b[p:p+key], "=:"))
		p += key
		if p == len(b) || b[p] == ' ' {
			return token{from: p, to: p, key: t.key}, p
		}
	}
	switch c := b[p]; {
	case c == '"':
		if n := quote(b[p+1:]); n >= 0 {
			t.from, t.to, t.open = p+1, p+1+n, '"'
			return t, p + n + 2
		}
	case c == '[':
		n := bytes.IndexByte(b[p:], ']')
		if n > 0 && (p+n+1 == len(b) || b[p+n+1] != ':') {
			t.from, t.to, t.open = p+1, p+n, '['
			if w, rest := source.Field(b[t.from:t.to]); len(rest) > 0 && t.key == "" {
				if _, known := nameKind(string(w), more); known {
					t.key, t.from = string(w), t.to-len(rest)
				}
			}
			return t, p + n + 1
		}
	case c >= '0' && c <= '9':
		if n := stampLen(env, b[p:]); n > 0 {
			t.from, t.to = p, p+n
			return t, p + n
		}
	}
	t.from, t.to = p, bareEnd(b, p)
	if source.HasPrefix(b[p:], "Mozilla/") {
		t.to = len(b)
	}
	return t, t.to
}

// keyAt is how long a "key=" at the front of b is, 0 if there is none. Before
// a colon only known names count.
func keyAt(b []byte, more []string) int {
	i := 0
	for i < len(b) && i < 48 && (b[i] == '_' || b[i] == '-' || b[i] == '.' || b[i] == '@' || b[i] >= '0' && b[i] <= '9' || b[i]|0x20 >= 'a' && b[i]|0x20 <= 'z') {
		i++
	}
	if i == 0 || i >= len(b) || b[0] >= '0' && b[0] <= '9' || b[0] == '-' || b[0] == '.' {
		return 0
	}
	switch b[i] {
	case '=':
		return i + 1
	case ':':
		if i+1 < len(b) && b[i+1] != ' ' {
			if _, known := nameKind(string(b[:i]), more); known {
				return i + 1
			}
		}
	}
	return 0
}

// stampLen is how long a time stamp at the front of b is, 0 if there is none.
func stampLen(env *source.Env, b []byte) int {
	if _, rest, ok := source.CLFTime(b); ok {
		return len(b) - len(rest)
	}
	if _, _, rest, ok := source.ISOTime(env, b); ok {
		return len(b) - len(rest)
	}
	if _, _, rest, ok := source.SlashTime(env, b); ok {
		return len(b) - len(rest)
	}
	return 0
}

// bareEnd is where a value without quotes ends. Lists go on after a comma.
func bareEnd(b []byte, p int) int {
	for i := p; i < len(b); i++ {
		switch b[i] {
		case '\t', '|':
			return i
		case ';':
			if i+1 == len(b) || b[i+1] == ' ' {
				return i
			}
		case ',':
			if i+2 >= len(b) || b[i+1] == ' ' && !listItem(b[i+2]) || b[i+1] != ' ' && !listItem(b[i+1]) {
				if i+1 == len(b) || b[i+1] == ' ' {
					return i
				}
			}
		case ' ':
			if i > p && b[i-1] == ',' {
				continue
			}
			if i+3 < len(b) && b[i+1] == ':' && b[i+2] == ' ' && listItem(b[i+3]) {
				i += 2
				continue
			}
			if b[i-1] == ':' && i-1 > p {
				return i - 1 // "10.0.0.1:80: GET ...", "status: 200"
			}
			return i
		}
	}
	return len(b)
}

func listItem(c byte) bool { return c >= '0' && c <= '9' || c == '-' || c == '[' || c == 'u' }

// joinRequest makes one token of a request line without quotes.
func joinRequest(b []byte, ts []token) []token {
	for i := 0; i+2 < len(ts); i++ {
		m, proto := b[ts[i].from:ts[i].to], b[ts[i+2].from:ts[i+2].to]
		if ts[i].open == 0 && ts[i+1].open == 0 && method(m) && source.HasPrefix(proto, "HTTP/") && ts[i+1].from == ts[i].to+1 && b[ts[i].to] == ' ' {
			ts[i].to, ts[i].kind, ts[i].sure = ts[i+2].to, kRequest, true
			return append(ts[:i+1], ts[i+3:]...)
		}
	}
	return ts
}

func method(b []byte) bool {
	switch string(b) {
	case "GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "REPORT", "MKCOL", "LOCK", "UNLOCK", "COPY", "MOVE", "PROPPATCH", "PURGE":
		return true
	}
	return false
}
