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
	if !mayHoldSecret(s) {
		return s
	}
	for i, re := range secretShapes {
		repl := "${1}" + mask
		if i == len(secretShapes)-1 {
			repl += "@"
		}
		s = re.ReplaceAllString(s, repl)
	}
	return s
}

// secretWords stand in every text that one of secretShapes fits, lower case.
var secretWords = [...]string{"auth", "bearer", "cookie", "token", "key", "secret", "passw", "pwd", "session", "sid", "sig", "credential"}

// secretFronts are the first two letters of secretWords, five bits each.
var secretFronts = func() (t [1 << 10]bool) {
	for _, w := range secretWords {
		t[uint(w[0]&31)<<5|uint(w[1]&31)] = true
	}
	return t
}()

// mayHoldSecret spares ordinary texts the slower search. Letters are compared
// without their case, by their lower five bits first.
func mayHoldSecret(s string) bool {
	pair := uint(0)
	for i := 0; i < len(s); i++ {
		pair = pair<<5&(1<<10-1) | uint(s[i]&31)
		if s[i] == '@' || secretFronts[pair] && i > 0 && secretWord(s[i-1:]) {
			return true
		}
	}
	return false
}

// secretWord reports whether s begins with one of secretWords.
func secretWord(s string) bool {
	for _, w := range secretWords {
		if len(s) >= len(w) && strings.EqualFold(s[:len(w)], w) {
			return true
		}
	}
	return false
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
