package apache

import (
	"fmt"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how Apache shows itself in answers. It leaves the field Server of
// what it relays as it is, and adds its own name where there is none, so its
// name alone tells neither that it wrote an answer nor that it relayed it.
var Banners = []source.Banner{{
	Tech: tech,
	Wrote: func(a *source.Answer) source.Confidence {
		c := own(a)
		if c == source.No && named(a) {
			return source.Possible
		}
		return c
	},
	Passed: func(a *source.Answer) source.Confidence {
		if named(a) && own(a) == source.No {
			return source.Possible
		}
		return source.No
	},
	Version: func(a *source.Answer) string {
		if !named(a) {
			return ""
		}
		_, v := a.Product("server")
		return v
	},
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
		stateDefaults(source.SettingsOf(p, out), nil)
	},
}}

func named(a *source.Answer) bool {
	name, _ := a.Product("server")
	return name == tech
}

// own knows what Apache itself answers: its pages, and files, whose tag it
// makes of their size and their date in microseconds.
func own(a *source.Answer) source.Confidence {
	if source.HasPrefix(a.Body, "<!DOCTYPE HTML PUBLIC \"-//") && source.Has(a.Body, fmt.Sprintf("<html><head>\n<title>%d ", a.Status)) {
		if named(a) || source.Has(a.Body, "<address>Apache") {
			return source.Sure
		}
		return source.Likely
	}
	at, size := a.Modified(), source.Int([]byte(a.Header("content-length")))
	if named(a) && !at.IsZero() && size.Known {
		const second = 1_000_000
		micros, ok := strings.CutPrefix(a.Header("etag"), fmt.Sprintf(`"%x-`, size.N))
		var n int64
		if _, err := fmt.Sscanf(micros, "%x", &n); ok && err == nil && n/second == at.Unix() {
			return source.Sure
		}
	}
	return source.No
}
