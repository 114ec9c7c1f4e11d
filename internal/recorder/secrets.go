package recorder

import (
	"bytes"
)

// The words that source.Redact goes by are here again, in a form that takes
// bytes once, from left to right: a body of 60 MB that a failed connection
// carried is looked through while the kernel's buffer fills.

// secretFound tells of a secret text[from:to]. If it reaches the text's end it
// may go on behind it, and end says how it ends: see openLine.
type secretFound func(from, to int, end byte)

// How a secret ends.
const (
	openNone  = 0
	openLine  = 'l' // with the line: a header's value
	openToken = 't' // at what cannot stand in a token
	openURL   = '@' // a password in a URL
	// else: a quote, or a closing bracket
)

// endOf is where a secret of that end ends in a text, at or behind from.
func endOf(text []byte, from int, end byte) int {
	ends := ""
	switch end {
	case openLine:
		ends = "\r\n"
	case openToken:
		for i := from; i < len(text); i++ {
			if tokenEnd[text[i]] {
				return i
			}
		}
		return len(text)
	case openURL:
		ends = "@/ \t\r\n\"'"
	case '"', '\'', ']':
		if i := bytes.IndexByte(text[from:], end); i >= 0 {
			return from + i
		}
		return len(text)
	}
	if i := bytes.IndexAny(text[from:], ends); i >= 0 {
		return from + i
	}
	return len(text)
}

var tokenEnd = bytesOf(" \t\r\n&\"',;}<>")

// nameByte may stand in the name of a field or parameter, wordByte in a token.
var (
	nameByte = bytesOf("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
	wordByte = bytesOf("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~+/=")
	// notable begins or parts what may be a secret.
	notable = bytesOf("=:%bBegxAsr")
)

func bytesOf(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

// findSecrets looks through a text.
func findSecrets(text []byte, found secretFound) {
	headerSecrets(text, found)
	for i := 0; i < len(text); i++ {
		if !notable[text[i]] {
			continue
		}
		switch c := text[i]; c {
		case '=', ':':
			if c == ':' && bytes.HasPrefix(text[i:], []byte("://")) {
				urlSecret(text, i+3, found)
			} else {
				assigned(text, i, i+1, found)
			}
		case '%':
			if i+2 < len(text) && text[i+1] == '3' && text[i+2]|0x20 == 'd' {
				assigned(text, i, i+3, found)
			}
		default:
			if i == 0 || !nameByte[text[i-1]] {
				tokenShape(text, i, found)
			}
		}
	}
}

// maxNameSeen is how long a parameter's name may be to be known, in bytes.
const maxNameSeen = 64

// assigned looks at what is left and right of a sign that gives a value.
func assigned(text []byte, sign, value int, found secretFound) {
	end := sign
	for end > 0 && (text[end-1] == ' ' || text[end-1] == '\t') {
		end--
	}
	quoted := end > 0 && (text[end-1] == '"' || text[end-1] == '\'')
	for end > 0 && (text[end-1] == '"' || text[end-1] == '\'' || text[end-1] == '\\') {
		end--
	}
	from := end
	for from > 0 && end-from < maxNameSeen && nameByte[text[from-1]] {
		from--
	}
	before := byte(0)
	if from > 0 {
		before = text[from-1]
	}
	if from == end || !secretName(text[from:end], before, quoted, text[sign] != ':') {
		return
	}
	for value < len(text) && (text[value] == ' ' || text[value] == '\t' || text[value] == '>' && text[sign] == '=' || text[value] == '\\') {
		value++
	}
	kind := byte(openToken)
	if value < len(text) {
		switch text[value] {
		case '"', '\'':
			kind = text[value]
			value++
		case '[':
			kind = ']'
			value++
		}
	}
	if to := endOf(text, value, kind); to > value {
		found(value, to, kind)
	}
}

// secretName reports whether the value of a parameter of that name is secret.
// before is what stands before the name.
func secretName(name []byte, before byte, quoted, equals bool) bool {
	switch name[len(name)-1] | 0x20 { // the words' last letters
	case 'n', 't', 'd', 'e', 'y', 'g', 's', 'h', 'p', 'l':
	default:
		return false
	}
	var low [maxNameSeen]byte
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	s := low[:len(name)]
	for _, w := range secretEnds {
		if bytes.HasSuffix(s, []byte(w)) {
			return true
		}
	}
	switch string(s) {
	case "sid", "sig", "connect.sid":
		return true
	case "pass", "auth", "session", "credential", "credentials":
		return equals || quoted
	case "code", "key", "otp", "ticket", "assertion", "samlresponse":
		return equals && (before == '?' || before == '&')
	}
	return equals && (bytes.HasSuffix(s, []byte("_session")) || bytes.HasSuffix(s, []byte("-session")) || bytes.HasSuffix(s, []byte(".session")) || bytes.HasSuffix(s, []byte("-credentials")))
}

// secretEnds are how names of secrets end, in lower case.
var secretEnds = []string{
	"token", "secret", "password", "passwd", "passphrase", "pwd", "apikey", "api_key", "api-key", "accesskey", "access_key", "access-key",
	"access_key_id", "accesskeyid", "access-key-id", "secretkey", "secret_key", "secret-key", "privatekey", "private_key", "private-key",
	"authkey", "auth_key", "auth-key", "signingkey", "signing_key", "signing-key", "signature", "jwt", "sessid", "sess_id", "sessionid", "session_id", "session-id",
}

// urlSecret looks for a password before a host.
func urlSecret(text []byte, from int, found secretFound) {
	end, at, colon := from, -1, -1
	for ; end < len(text) && !urlEnd[text[end]]; end++ {
		switch {
		case text[end] == '@':
			at = end
		case text[end] == ':' && colon < 0:
			colon = end
		}
	}
	switch {
	case colon < 0:
	case at > colon+1:
		found(colon+1, at, openURL)
	case end == len(text) && at < 0 && end > colon+1 && !digits(text[colon+1:]): // its end is to come
		found(colon+1, end, openURL)
	}
}

var urlEnd = bytesOf("/ \t\r\n\"'<>?")

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// tokenFronts begin credentials that are known by their shape, with the least
// length of what follows.
var tokenFronts = []struct {
	front string
	least int
}{
	{"github_pat_", 8}, {"ghp_", 16}, {"gho_", 16}, {"ghu_", 16}, {"ghs_", 16}, {"ghr_", 16}, {"glpat-", 16},
	{"xoxa-", 8}, {"xoxb-", 8}, {"xoxp-", 8}, {"xoxr-", 8}, {"xoxs-", 8}, {"AKIA", 12}, {"ASIA", 12}, {"AIza", 30},
	{"sk_live_", 8}, {"sk_test_", 8}, {"rk_live_", 8}, {"rk_test_", 8},
}

// tokenShape looks whether a credential begins at an offset.
func tokenShape(text []byte, at int, found secretFound) {
	rest := text[at:]
	from, least := 0, 0
	switch c := rest[0]; {
	case c|0x20 == 'b':
		if len(rest) > 7 && bytes.EqualFold(rest[:6], []byte("bearer")) && (rest[6] == ' ' || rest[6] == '\t') {
			from, least = 7, 8
		}
	case c == 'e':
		if bytes.HasPrefix(rest, []byte("eyJ")) {
			least = 12
		}
	default:
		for _, t := range tokenFronts {
			if bytes.HasPrefix(rest, []byte(t.front)) {
				from, least = len(t.front), t.least
			}
		}
	}
	if least == 0 {
		return
	}
	to := from
	for to < len(rest) && wordByte[rest[to]] {
		to++
	}
	if to-from >= least || to == len(rest) && to > from {
		if rest[0] == 'e' && to < len(rest) && !bytes.Contains(rest[:to], []byte(".eyJ")) {
			return // not a JSON web token
		}
		found(at+from, at+to, openToken)
	}
}

// headerSecrets finds the values of header fields whose whole value is secret.
func headerSecrets(text []byte, found secretFound) {
	for at := 0; at < len(text); {
		line := text[at:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end+1]
		}
		colon := 0
		for colon < len(line) && colon <= maxNameSeen && nameByte[line[colon]] {
			colon++
		}
		if colon > 0 && colon < len(line) && line[colon] == ':' && secretHeader(line[:colon]) {
			from := colon + 1
			for from < len(line) && (line[from] == ' ' || line[from] == '\t') {
				from++
			}
			from += len(schemes.Find(line[from:]))
			if to := endOf(line, from, openLine); to > from {
				found(at+from, at+to, openLine)
			}
		}
		at += len(line)
	}
}

// secretHeader reports whether the whole value of a header field is secret.
func secretHeader(name []byte) bool {
	if len(name) < 4 || len(name) > maxNameSeen {
		return false
	}
	var low [maxNameSeen]byte
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	s := low[:len(name)]
	switch string(s) {
	case "authorization", "proxy-authorization", "cookie", "cookie2", "set-cookie", "set-cookie2":
		return true
	}
	for _, w := range secretHeaderWords {
		if bytes.Contains(s, []byte(w)) {
			return true
		}
	}
	return bytes.HasPrefix(s, []byte("x-auth"))
}

var secretHeaderWords = []string{
	"token", "secret", "passw", "api-key", "apikey", "api_key", "access-key", "accesskey", "credential", "signature", "session-id", "sessionid", "session_id", "client-cert", "x-amz-security",
}
