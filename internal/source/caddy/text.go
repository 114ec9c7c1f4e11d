package caddy

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var console = source.Format{
	ID:    "caddy-console",
	Tech:  tech,
	Title: "Caddy log, console format",
	Sniff: sniffConsole,
	NewReader: func(env *source.Env) source.LineReader {
		return &consoleReader{recordReader{env: env, attrs: map[string]string{}}}
	},
	Independent: true,
}

// consoleLevels are the levels of the console format, which is zap's.
var consoleLevels = map[string]bool{"DEBUG": true, "INFO": true, "WARN": true, "ERROR": true, "PANIC": true, "FATAL": true}

// consoleLine is the parts of "time TAB level TAB logger TAB message TAB {…}".
type consoleLine struct {
	stamp, level, logger, msg, object []byte
}

func (c *consoleLine) cut(b []byte) bool {
	if c.blanks(b) {
		return true
	}
	parts := [5][]byte{}
	n := 0
	for n < 4 && len(b) > 0 && b[0] != '{' {
		i := bytes.IndexByte(b, '\t')
		if i < 0 {
			parts[n] = b
			b = nil
		} else {
			parts[n], b = b[:i], b[i+1:]
		}
		n++
	}
	if n < 3 {
		return false
	}
	c.stamp, c.level, c.object = parts[0], plain(parts[1]), b
	if c.msg = parts[2]; n == 4 {
		c.logger, c.msg = parts[2], parts[3]
	}
	return consoleLevels[string(c.level)] && len(c.stamp) > 9 && c.stamp[0] >= '0' && c.stamp[0] <= '9'
}

// blanks cuts a line in which blanks stand for the tabs, as a browser copies
// them, or of which the time is missing. The logger must be one of Caddy's.
func (c *consoleLine) blanks(b []byte) bool {
	rest := b
	if len(b) > 0 && b[0] >= '0' && b[0] <= '9' {
		if len(b) < 24 || b[4] != '/' && b[4] != '-' {
			return false
		}
		end := bytes.IndexAny(b[11:], " \t")
		if end < 0 {
			return false
		}
		c.stamp, rest = b[:11+end], b[11+end:]
	}
	word := func() (w []byte) {
		rest = bytes.TrimLeft(rest, " \t")
		i := bytes.IndexAny(rest, " \t")
		if i < 0 {
			i = len(rest)
		}
		w, rest = rest[:i], rest[i:]
		return w
	}
	c.level = plain(word())
	c.logger = word()
	if !consoleLevels[string(c.level)] || !source.HasPrefix(c.logger, "http.log.") && !source.HasPrefix(c.logger, "http.handlers.") {
		return false
	}
	c.msg, c.object = bytes.TrimSpace(rest), nil
	if i := bytes.Index(c.msg, []byte("{\"")); i >= 0 {
		c.msg, c.object = bytes.TrimSpace(c.msg[:i]), c.msg[i:]
	}
	return true
}

// plain takes a terminal's colours off a word.
func plain(b []byte) []byte {
	if i := bytes.IndexByte(b, 'm'); len(b) > 0 && b[0] == 0x1b && i > 0 {
		b = b[i+1:]
	}
	if i := bytes.IndexByte(b, 0x1b); i >= 0 {
		b = b[:i]
	}
	return b
}

func sniffConsole(l *source.Line) source.Confidence {
	var c consoleLine
	if len(l.Text) < 20 || l.Text[0] != 'E' && l.Text[0] != 'W' && (l.Text[0] < '0' || l.Text[0] > '9') || !c.cut(l.Text) {
		return source.No
	}
	switch {
	case source.HasPrefix(c.logger, "http.log."), source.HasPrefix(c.logger, "http.handlers."), source.HasPrefix(c.logger, "tls.cache"), source.HasPrefix(c.logger, "admin.api"):
		return source.Sure
	case string(c.logger) == "http", string(c.logger) == "tls", string(c.logger) == "admin", source.HasPrefix(c.logger, "tls."), source.HasPrefix(c.logger, "http."):
		return source.Likely
	case source.Has(c.msg, "serving initial configuration"), source.Has(c.msg, "autosaved config"), source.Has(c.msg, "using provided configuration"), source.Has(c.msg, "using adjacent Caddyfile"), source.Has(c.msg, "exiting; byeee"):
		return source.Likely
	}
	return source.No
}

// consoleReader reads the console format into the same records.
type consoleReader struct{ recordReader }

// Line implements [source.LineReader].
func (r *consoleReader) Line(l *source.Line, out source.Sink) source.Took {
	var c consoleLine
	if sniffConsole(l) == source.No || !c.cut(l.Text) {
		return source.NotMine
	}
	r.rec = record{level: c.level, logger: c.logger, msg: c.msg}
	source.Members(c.object, r.rec.set)
	r.rec.level, r.rec.logger, r.rec.msg = c.level, c.logger, c.msg
	t, res := l.Time, l.Res
	if at, d, _, ok := source.SlashTime(r.env, c.stamp); ok {
		t, res = at, fact.Lasting(d)
	} else if at, d, _, ok := source.ISOTime(r.env, c.stamp); ok {
		t, res = at, fact.Lasting(d)
	} else if at, d := when(r.env, c.stamp); !at.IsZero() {
		t, res = at, d
	}
	r.state(t, res, out)
	return source.Mine
}

var old = source.Format{
	ID:          "caddy-v1-error",
	Tech:        tech,
	Title:       "Caddy 1 error log",
	Sniff:       sniffOld,
	NewReader:   func(env *source.Env) source.LineReader { return &oldReader{} },
	Independent: true,
}

// oldLine reads "29/Jan/2024:15:17:26 +0100 [ERROR 502 /path] dial tcp …"; the
// date may be missing.
func oldLine(b []byte) (status, path, msg []byte, ok bool) {
	const word = "[ERROR "
	i := bytes.Index(b[:min(len(b), 60)], []byte(word))
	if i < 0 {
		return
	}
	status, rest := source.Field(b[i+len(word):])
	if len(status) != 3 || !source.Int(status).Known {
		return
	}
	j := bytes.Index(rest, []byte("] "))
	if j <= 0 || rest[0] != '/' && rest[0] != '*' {
		return
	}
	return status, rest[:j], rest[j+2:], true
}

func sniffOld(l *source.Line) source.Confidence {
	if _, _, _, ok := oldLine(l.Text); !ok {
		return source.No
	}
	if _, _, ok := source.CLFTime(l.Text); ok {
		return source.Sure
	}
	return source.Likely
}

// oldReader reads the errors of version 1. It wrote 502 also where the client
// had gone.
type oldReader struct{ req fact.Request }

// Line implements [source.LineReader].
func (r *oldReader) Line(l *source.Line, out source.Sink) source.Took {
	status, path, msg, ok := oldLine(l.Text)
	if !ok {
		return source.NotMine
	}
	q := &r.req
	q.Reset()
	q.Party = gateway()
	q.Time, q.Res = l.Time, l.Res
	if t, _, ok := source.CLFTime(l.Text); ok {
		q.Time, q.Res = t, fact.Seconds(1)
	}
	q.Partial, q.Writer = true, fact.WriterSelf
	q.Status, q.Path = source.Int(status), source.View(path)
	explain(q, msg)
	out.State(q)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *oldReader) Close(source.Sink) {}
