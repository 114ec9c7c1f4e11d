package golang

import (
	"bytes"
	"net/http"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Banners are how net/http shows itself in answers: it names itself nowhere,
// but its errors are plain texts that browsers are told not to guess about.
// Much is written in Go that has another name; those come first.
var Banners = []source.Banner{{
	Tech: tech, Wrote: wrote,
	Defaults: func(p fact.Party, _ string, out func(*fact.Setting)) {
		to := source.SettingsOf(p, out)
		(&reader{}).defaults(&source.Line{}, to)
		poolDefaults(0, to)
	},
}}

const plain = "text/plain; charset=utf-8"

func wrote(a *source.Answer) source.Confidence {
	switch {
	case a.Has("server") && !a.Says("server", "nginx") && !a.Says("server", "apache"):
		return source.No
	case a.Header("content-type") != plain:
		return empty(a)
	case a.Status == 400 && bytes.Equal(a.Body, []byte("400 Bad Request")) && !a.Has("date"):
		return source.Likely + 20 // it could not read the request
	case a.Header("x-content-type-options") != "nosniff":
		return source.No
	case a.Status == 404 && string(a.Body) == "404 page not found\n":
		return source.Likely + 10
	case a.Status >= 400 && string(a.Body) == http.StatusText(a.Status)+"\n":
		return source.Likely
	case a.Status >= 400 && bytes.HasSuffix(a.Body, []byte("\n")):
		return source.Possible + 10 // http.Error
	}
	return source.No
}

// empty knows what httputil.ReverseProxy answers where it got no answer.
func empty(a *source.Answer) source.Confidence {
	if a.Status == 502 && a.Header("content-length") == "0" && a.Has("date") && !a.Has("content-type") && !a.Has("server") && !a.Has("connection") && !a.Has("keep-alive") {
		return source.Possible
	}
	return source.No
}
