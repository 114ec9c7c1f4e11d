package golang

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// sourceCode reads fields of http.Server, http.Transport and net.Dialer that
// are set to plain values.
var sourceCode = source.Format{
	ID: "go-source", Tech: tech, Title: "settings in Go server code",
	Sniff: func(l *source.Line) source.Confidence {
		if len(l.Text) < 12 || len(l.Text) > 512 {
			return source.No
		}
		if _, _, ok := field(bytes.TrimSpace(l.Text)); ok {
			return source.Likely
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return codeReader{} },
}

type knob struct {
	name     string
	knob     fact.Knob
	spelling string
	pool     bool // of the side that asks
}

var knobs = []knob{
	{"IdleTimeout", fact.KeepAliveIdle, "IdleTimeout: {s} * time.Second", false},
	{"ReadHeaderTimeout", fact.HeaderTimeout, "ReadHeaderTimeout: {s} * time.Second", false},
	{"ReadTimeout", fact.RequestTimeout, "ReadTimeout: {s} * time.Second", false},
	{"WriteTimeout", fact.RequestTimeout, "WriteTimeout: {s} * time.Second", false},
	{"IdleConnTimeout", fact.PoolIdle, "IdleConnTimeout: {s} * time.Second", true},
	{"ResponseHeaderTimeout", fact.UpstreamReply, "ResponseHeaderTimeout: {s} * time.Second", true},
}

// field finds "Name: value" or "x.Name = value" with a duration.
func field(b []byte) (knob, time.Duration, bool) {
	if source.HasPrefix(b, "//") || !source.Has(b, "time.") {
		return knob{}, 0, false
	}
	for _, k := range knobs {
		i := bytes.Index(b, []byte(k.name))
		if i < 0 || i > 0 && (b[i-1]|0x20 >= 'a' && b[i-1]|0x20 <= 'z') {
			continue
		}
		rest := bytes.TrimLeft(b[i+len(k.name):], " \t")
		if len(rest) < 2 || rest[0] != ':' && rest[0] != '=' {
			continue
		}
		if d, ok := product(string(bytes.TrimLeft(rest[1:], " \t="))); ok {
			return k, d, true
		}
	}
	return knob{}, 0, false
}

// product reads "120 * time.Second", "time.Minute" and "time.Second * 5".
func product(v string) (time.Duration, bool) {
	v, _, _ = strings.Cut(v, "//")
	v = strings.TrimRight(v, " \t,;})")
	total, unit := time.Duration(1), false
	for part := range strings.SplitSeq(v, "*") {
		part = strings.TrimSpace(part)
		switch part {
		case "time.Second":
			total, unit = total*time.Second, true
		case "time.Minute":
			total, unit = total*time.Minute, true
		case "time.Hour":
			total, unit = total*time.Hour, true
		case "time.Millisecond":
			total, unit = total*time.Millisecond, true
		default:
			n := source.Int([]byte(part))
			if !n.Known || n.N < 0 || n.N > 1e6 {
				return 0, false
			}
			total *= time.Duration(n.N)
		}
	}
	return total, unit && total >= 0
}

type codeReader struct{}

func (codeReader) Line(l *source.Line, out source.Sink) source.Took {
	k, d, ok := field(bytes.TrimSpace(l.Text))
	if !ok {
		return source.NotMine
	}
	who := backend()
	if k.pool {
		who = gateway()
	}
	s := setting(k.knob, who, k.spelling, l.N)
	s.Dur = fact.Lasting(d)
	if d == 0 {
		s.Dur, s.Text = fact.Dur{}, "none"
	}
	out.State(s)
	return source.Mine
}

func (codeReader) Close(source.Sink) {}
