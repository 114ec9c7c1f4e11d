package traefik

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// settings reads Traefik's own configuration line by line, in any of the forms
// in which people paste it: flags of the command, variables of the
// environment, and the keys of its YAML and TOML files that nobody else has.
var settings = source.Format{
	ID: "traefik-flags", Tech: tech, Title: "Traefik flags and settings",
	Sniff: func(l *source.Line) source.Confidence {
		key, _, ok := option(l.Text)
		switch {
		case !ok:
			return source.No
		case strings.Contains(key, "."):
			return source.Likely
		}
		return source.Fragment
	},
	NewReader: func(*source.Env) source.LineReader { return optionReader{} },
}

// options are the last words of keys, without case, and what they set.
var options = map[string]struct {
	of       string // the key must name it, where it is written in full
	knob     fact.Knob
	spelling string
}{
	"dialtimeout":           {"serverstransport", fact.UpstreamConnect, "serversTransport.forwardingTimeouts.dialTimeout: {s}s"},
	"responseheadertimeout": {"serverstransport", fact.UpstreamReply, "serversTransport.forwardingTimeouts.responseHeaderTimeout: {s}s"},
	"idleconntimeout":       {"serverstransport", fact.PoolIdle, "serversTransport.forwardingTimeouts.idleConnTimeout: {s}s"},
	"maxidleconnsperhost":   {"serverstransport", fact.PoolSize, "serversTransport.maxIdleConnsPerHost: {n}"},
	"idletimeout":           {"respondingtimeouts", fact.KeepAliveIdle, "entryPoints.web.transport.respondingTimeouts.idleTimeout: {s}s"},
	"readtimeout":           {"respondingtimeouts", fact.RequestTimeout, "entryPoints.web.transport.respondingTimeouts.readTimeout: {s}s"},
	"keepalivemaxrequests":  {"transport", fact.MaxConnRequests, "entryPoints.web.transport.keepAliveMaxRequests: {n}"},
	"gracetimeout":          {"lifecycle", fact.GracefulTimeout, "entryPoints.web.transport.lifeCycle.graceTimeOut: {s}s"},
}

// bare are keys as Traefik's files spell them, which tell without what they
// stand in.
var bare = map[string]bool{"dialTimeout": true, "responseHeaderTimeout": true, "idleConnTimeout": true, "maxIdleConnsPerHost": true}

// option reads one setting; its key is in small letters with points.
func option(b []byte) (key, value string, ok bool) {
	b = bytes.Trim(b, " \t-\"',")
	i := bytes.IndexAny(b, "=:")
	if i <= 0 || i > 100 || len(b) > 200 {
		return "", "", false
	}
	name := string(bytes.Trim(b[:i], " \""))
	value = string(bytes.Trim(b[i+1:], " \"'"))
	if j := strings.Index(value, " #"); j > 0 {
		value = strings.TrimSpace(value[:j])
	}
	if bare[name] {
		return strings.ToLower(name), value, true
	}
	key = strings.ToLower(name)
	if env, isEnv := strings.CutPrefix(key, "traefik_"); isEnv {
		key = strings.ReplaceAll(env, "_", ".")
	}
	last := key[strings.LastIndexByte(key, '.')+1:]
	o, known := options[last]
	return key, value, known && last != key && strings.Contains(key, o.of)
}

type optionReader struct{}

// Line implements [source.LineReader].
func (optionReader) Line(l *source.Line, out source.Sink) source.Took {
	key, value, ok := option(l.Text)
	if !ok {
		return source.NotMine
	}
	o := options[key[strings.LastIndexByte(key, '.')+1:]]
	s := &fact.Setting{Knob: o.knob, Basis: fact.Configured, Spelling: o.spelling, Where: "static configuration"}
	s.Party, s.Origin.Line = gateway(), l.N
	switch n := source.Int([]byte(value)); {
	case o.knob == fact.PoolSize && n.Known && n.N < 0:
		s.Knob, s.Text = fact.PoolIdle, "off"
	case o.knob == fact.PoolSize || o.knob == fact.MaxConnRequests:
		if !n.Known || n.N <= 0 {
			return source.Mine // 0 is the default
		}
		s.Num = n
	case n.Known && n.N == 0:
		s.Text = "none"
	case n.Known && n.N > 0 && n.N < 1<<31:
		s.Dur = fact.Lasting(time.Duration(n.N) * time.Second)
	default:
		d, err := time.ParseDuration(value)
		switch {
		case err != nil || d < 0:
			return source.NotMine
		case d == 0:
			s.Text = "none"
		default:
			s.Dur = fact.Lasting(d)
		}
	}
	out.State(s)
	return source.Mine
}

// Close implements [source.LineReader].
func (optionReader) Close(source.Sink) {}
