package source

import (
	"regexp"
	"strings"

	"culprit/internal/fact"
)

// Pieces of secretShapes. A name of secretNames counts behind any prefix
// ("aws_secret_access_key", "X-Amz-Security-Token"), one of secretShort only
// where a name can begin, and one of secretEqual there and not before a bare
// colon, which ordinary sentences have too.
const (
	secretNames  = `[\w.-]*(?:token|secret|passw(?:or)?d|passphrase|pwd|api[_-]?key|access[_-]?key(?:[_-]?id)?|secret[_-]?key|private[_-]?key|auth[_-]?key|signing[_-]?key|signature|jwt|sess(?:ion)?[_-]?id)`
	secretShort  = nameFront + `(?:sid|sig|connect\.sid)`
	secretEqual  = nameFront + `(?:pass|auth|session|[\w.-]+[_.-]session|(?:[\w-]*-)?credentials?)`
	secretHeader = `(?:proxy-)?authorization|(?:set-)?cookie`

	nameFront  = `(?:^|[?&;\s"',{|(]|\\u0026)`
	nameEnd    = `\\*["']?[ \t]*(?:=>|[:=]|%3D)[ \t]*`
	nameEquals = `(?:\\*["'][ \t]*(?:=>|[:=])|=>?|%3D)[ \t]*`

	secretNamed  = `(?:(?:` + secretNames + `|` + secretShort + `)` + nameEnd + `|` + secretEqual + nameEquals + `)`
	secretQuoted = `(?:(?:` + secretHeader + `|` + secretNames + `|` + secretShort + `)` + nameEnd + `|` + secretEqual + nameEquals + `)`
	inQuotes     = `(?:[^"\\]|\\.)`
)

// secretShapes are the places where logs and configurations hold secrets; the
// first group stays, the rest becomes [mask].
var secretShapes = [...]*regexp.Regexp{
	shapeArray:         regexp.MustCompile(`(?i)(` + secretQuoted + `\[\s*\\*")` + inQuotes + `+(?:"\s*,\s*"` + inQuotes + `*)*`),
	shapeDouble:        regexp.MustCompile(`(?i)(` + secretQuoted + `\\*")` + inQuotes + `+`),
	shapeSingle:        regexp.MustCompile(`(?i)(` + secretQuoted + `')(?:[^'\\]|\\.)+`),
	shapeAuthorization: regexp.MustCompile(`(?i)((?:proxy-)?authorization` + nameEnd + `["']?\[?(?:(?:basic|bearer|token|digest|negotiate)\b)?\s*)(?:\[redacted\]|[^\s"',;\[\]][^\s",;\]]*)`),
	shapeBearer:        regexp.MustCompile(`(?i)(\bbearer\s+|[{|]basic\s+)[A-Za-z0-9._~+/=-]{8,}`),
	shapeCookie:        regexp.MustCompile(`(?i)((?:set-)?cookie` + nameEnd + `["']?)\[?[^"\[\r\n][^"\r\n]*`),
	shapeNamed:         regexp.MustCompile(`(?i)(` + secretNamed + `["']?)\[?[^&\s"',;}\[][^&\s"',;}]*`),
	shapeQuery:         regexp.MustCompile(`(?i)((?:[?&]|&amp;|\\u0026)(?:code|key|otp|ticket|assertion|samlresponse)=)[^&\s"',;}]+`),
	shapeToken:         regexp.MustCompile(`()(?:eyJ[\w-]{6,}\.eyJ[\w-]*(?:\.[\w-]*)*|gh[pousr]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,}|[sr]k_(?:live|test)_\w{8,}|AIza[\w-]{30,})`),
	shapeCommand:       regexp.MustCompile(`(?i)(--[\w-]*(?:passw(?:or)?d|passphrase|token|secret|api-?key)[ \t]+["']?|(?:mysql|mariadb)[\w-]*[ \t](?:[^\r\n]*?[ \t])?(?-i:-p)["']?|sshpass (?:[^\r\n]*?[ \t])?(?-i:-p)[ \t]*["']?|redis-cli (?:[^\r\n]*?[ \t])?-a[ \t]+["']?|(?:curl|wget) (?:[^\r\n]*?[ \t])?(?:-u|--user|--proxy-user)[ \t=]*["']?[^\s:"']*:)[^\s"']+`),
	shapeURL:           regexp.MustCompile(`(://[^/\s:@"']*:)[^/\s"']+@`),
}

const mask = "[redacted]"

// Redact takes secrets out of a text: credentials in headers, cookies, tokens
// in queries, passwords in URLs and on command lines.
func Redact(s string) string {
	may := secretsIn(s)
	if may == 0 {
		return s
	}
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

// The places of secretShapes, in the order in which they are taken out: what
// is in quotes is known to its end.
const (
	shapeArray = iota
	shapeDouble
	shapeSingle
	shapeAuthorization
	shapeBearer
	shapeCookie
	shapeNamed
	shapeQuery
	shapeToken
	shapeCommand
	shapeURL
)

// secretWords begin what stands before a secret, or the secret itself, lower
// case, with the shape it has.
var secretWords = [...]struct {
	word  string
	shape int
}{
	{"authoriz", shapeAuthorization}, {"bearer", shapeBearer}, {"basic", shapeBearer}, {"cookie", shapeCookie},
	{"token", shapeNamed}, {"key", shapeNamed}, {"secret", shapeNamed}, {"pass", shapeNamed}, {"pwd", shapeNamed},
	{"sess", shapeNamed}, {"sid", shapeNamed}, {"sig", shapeNamed}, {"credential", shapeNamed}, {"jwt", shapeNamed}, {"auth", shapeNamed},
	{"code=", shapeQuery}, {"key=", shapeQuery}, {"otp=", shapeQuery}, {"ticket=", shapeQuery}, {"assertion=", shapeQuery}, {"samlresponse=", shapeQuery},
	{"eyj", shapeToken}, {"ghp_", shapeToken}, {"gho_", shapeToken}, {"ghu_", shapeToken}, {"ghs_", shapeToken}, {"ghr_", shapeToken},
	{"github_pat_", shapeToken}, {"glpat-", shapeToken}, {"xox", shapeToken}, {"akia", shapeToken}, {"asia", shapeToken},
	{"sk_live_", shapeToken}, {"sk_test_", shapeToken}, {"rk_live_", shapeToken}, {"rk_test_", shapeToken}, {"aiza", shapeToken},
	{"--", shapeCommand}, {"mysql", shapeCommand}, {"mariadb", shapeCommand}, {"sshpass ", shapeCommand}, {"redis-cli ", shapeCommand}, {"curl ", shapeCommand}, {"wget ", shapeCommand},
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

// quoted tells which of the shapes in quotes a value has that stands in s
// behind what parts it from its name.
func quoted(s string) uint {
	s = strings.TrimLeft(s, "=:>%3Dd")
	switch s = strings.TrimLeft(s, " \t\\"); {
	case s == "":
	case s[0] == '[':
		return 1 << shapeArray
	case s[0] == '"':
		return 1 << shapeDouble
	case s[0] == '\'':
		return 1 << shapeSingle
	}
	return 0
}

// secretAt tells which shapes a secret may have whose name begins at s.
func secretAt(s string) (may uint) {
	for _, w := range secretWords {
		if len(s) < len(w.word) || s[0]|0x20 != w.word[0]|0x20 || !strings.EqualFold(s[:len(w.word)], w.word) {
			continue
		}
		switch w.shape {
		case shapeAuthorization, shapeCookie, shapeNamed:
			value, ok := assigned(s[len(w.word):])
			if !ok {
				continue
			}
			may |= quoted(value)
		case shapeCommand:
			if w.word == "--" && !option(s[2:]) {
				continue
			}
		}
		may |= 1 << w.shape
	}
	return may
}

// option reports whether the name of an option, after its dashes, stands
// before a blank, as those do that a secret follows. A line of dashes has none.
func option(s string) bool {
	i := 0
	for i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || s[i] >= '0' && s[i] <= '9' || s[i] == '_' || s[i] == '-') {
		i++
	}
	return i < len(s) && (s[i] == ' ' || s[i] == '\t') && i > 0 && s[i-1] != '-'
}

// assigned reports whether a name that ends in the letters at the front of s is
// followed by a value: `="`, `": `, `%3D`. It returns those and the value.
func assigned(s string) (value string, ok bool) {
	i := 0
	for i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || s[i] == '_' || s[i] == '-') {
		i++
	}
	for i < len(s) && s[i] == '\\' {
		i++
	}
	if i < len(s) && (s[i] == '"' || s[i] == '\'') {
		i++
	}
	for i < len(s) && (s[i] == ' ' || s[i] >= '\t' && s[i] <= '\r') {
		i++
	}
	return s[i:], i < len(s) && (s[i] == '=' || s[i] == ':' || s[i] == '%')
}

// redactFact takes secrets out of what a fact tells.
func redactFact(f fact.Fact) {
	h := f.Head()
	redactAll(&h.Origin.Text, &h.Origin.URL, &h.Party.Name, &h.Party.Host)
	redactAddress(&h.Party.Address)
	switch f := f.(type) {
	case *fact.Request:
		redactAll(&f.Path, &f.Detail, &f.UserAgent)
		redactAddress(&f.Host, &f.Client, &f.Upstream)
		for i := range f.Attempts {
			redactAddress(&f.Attempts[i].Address)
		}
		redactMap(f.Attrs)
	case *fact.Conn:
		redactAddress(&f.Client, &f.Server)
		for i := range f.Packets {
			redactAll(&f.Packets[i].Says)
		}
	case *fact.Event:
		redactAll(&f.Path, &f.Detail, &f.Reason)
		redactAddress(&f.Client)
		redactMap(f.Attrs)
	case *fact.Sample:
		redactMap(f.Labels)
	case *fact.Setting:
		redactAll(&f.Text, &f.Object, &f.Where)
	}
}

func redactAll(texts ...*string) {
	for _, s := range texts {
		*s = Redact(*s)
	}
}

func redactMap(m map[string]string) {
	for k, v := range m {
		if r := Redact(v); r != v {
			m[k] = r
		}
	}
}

// redactAddress takes the password out of addresses: where one is expected,
// "user:password@host" needs no scheme to be known.
func redactAddress(addresses ...*string) {
	for _, s := range addresses {
		*s = Redact(*s)
		at := strings.LastIndexByte(*s, '@')
		if at < 0 || strings.Contains(*s, "://") {
			continue
		}
		if user, _, ok := strings.Cut((*s)[:at], ":"); ok && user != "unix" && !strings.Contains((*s)[:at], "/") {
			*s = user + ":" + mask + (*s)[at:]
		}
	}
}
