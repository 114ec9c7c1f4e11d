package source

import (
	"regexp"
	"strings"

	"culprit/internal/fact"
)

// secretShapes are the places where logs and configurations hold secrets; the
// first group stays, the rest becomes [mask].
var secretShapes = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:proxy-)?authorization"?\s*[:=]\s*"?(?:basic|bearer|token|digest|negotiate)?\s*)[^\s",;]+`),
	regexp.MustCompile(`(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}`),
	regexp.MustCompile(`(?i)((?:set-)?cookie"?\s*[:=]\s*"?)[^"\r\n]+`),
	regexp.MustCompile(`(?i)([?&;\s"',{](?:access_token|id_token|refresh_token|auth_token|api_?key|apikey|client_secret|secret|passw(?:or)?d|pwd|token|session_?id|sid|signature|sig|x-amz-signature|x-amz-credential|x-api-key)"?\s*[=:]\s*"?)[^&\s"',;}]+`),
	regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`),
}

const mask = "[redacted]"

// Redact takes secrets out of a text: credentials in headers, cookies, tokens
// in queries, passwords in URLs.
func Redact(s string) string {
	may := secretsIn(s)
	for i, re := range secretShapes {
		if may&(1<<i) == 0 {
			continue
		}
		repl := "${1}" + mask
		if i == shapeURL {
			repl += "@"
		}
		s = re.ReplaceAllString(s, repl)
	}
	return s
}

// The places of secretShapes.
const (
	shapeAuthorization = iota
	shapeBearer
	shapeCookie
	shapeNamed
	shapeURL
)

// secretWords begin what stands before a secret, lower case, with the shape it
// has.
var secretWords = [...]struct {
	word  string
	shape int
}{
	{"authoriz", shapeAuthorization}, {"bearer", shapeBearer}, {"cookie", shapeCookie},
	{"token", shapeNamed}, {"key", shapeNamed}, {"secret", shapeNamed}, {"passw", shapeNamed}, {"pwd", shapeNamed},
	{"session", shapeNamed}, {"sid", shapeNamed}, {"sig", shapeNamed}, {"credential", shapeNamed},
}

// secretFronts are the first two letters of secretWords, five bits each.
var secretFronts = func() (t [1 << 10]bool) {
	for _, w := range secretWords {
		t[uint(w.word[0]&31)<<5|uint(w.word[1]&31)] = true
	}
	return t
}()

// secretsIn tells which of secretShapes s may have, a bit for each, to spare
// ordinary texts the slower search. Letters are compared without their case,
// by their lower five bits first.
func secretsIn(s string) (may uint) {
	pair := uint(0)
	for i := 0; i < len(s); i++ {
		pair = pair<<5&(1<<10-1) | uint(s[i]&31)
		if s[i] == '@' {
			may |= 1 << shapeURL
		} else if secretFronts[pair] && i > 0 {
			may |= secretAt(s[i-1:])
		}
	}
	return may
}

// secretAt tells which shape a secret may have whose name begins at s.
func secretAt(s string) uint {
	for _, w := range secretWords {
		if len(s) >= len(w.word) && strings.EqualFold(s[:len(w.word)], w.word) && (w.shape == shapeBearer || assigned(s[len(w.word):])) {
			return 1 << w.shape
		}
	}
	return 0
}

// assigned reports whether a name that ends in the letters at the front of s is
// followed by a value: `="`, `": `.
func assigned(s string) bool {
	i := 0
	for i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || s[i] == '_' || s[i] == '-') {
		i++
	}
	if i < len(s) && s[i] == '"' {
		i++
	}
	for i < len(s) && (s[i] == ' ' || s[i] >= '\t' && s[i] <= '\r') {
		i++
	}
	return i < len(s) && (s[i] == '=' || s[i] == ':')
}

// redactFact takes secrets out of what a fact tells.
func redactFact(f fact.Fact) {
	h := f.Head()
	h.Origin.Text = Redact(h.Origin.Text)
	switch f := f.(type) {
	case *fact.Request:
		f.Path, f.Detail = Redact(f.Path), Redact(f.Detail)
	case *fact.Event:
		f.Path, f.Detail = Redact(f.Path), Redact(f.Detail)
	case *fact.Setting:
		f.Text = Redact(f.Text)
	}
}
