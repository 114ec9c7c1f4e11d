package haproxy

import (
	"bytes"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var processLog = source.Format{
	ID:          "haproxy-log",
	Tech:        tech,
	Title:       "HAProxy states of servers and notices of processes",
	Sniff:       sniffLog,
	NewReader:   func(env *source.Env) source.LineReader { return &logReader{env: env, members: members(env)} },
	Independent: true,
}

func sniffLog(l *source.Line) source.Confidence {
	f, framed := cutFrame(l)
	if !framed && len(f.text) > maxMessage {
		return source.No
	}
	var h source.Holes
	m, ok := messages.Match(f.text, &h)
	switch {
	case ok && framed:
		return source.Sure
	case ok:
		return m.alone
	case framed && f.pid > 0:
		return source.Likely // another notice in HAProxy's own frame
	}
	return source.No
}

// maxMessage bounds a message without a frame, in bytes.
const maxMessage = 1 << 10

// logReader reads messages; each line stands alone.
type logReader struct {
	env     *source.Env
	members map[string]string
	stated  bool // the defaults
}

// Line implements [source.LineReader].
func (r *logReader) Line(l *source.Line, out source.Sink) source.Took {
	f, framed := cutFrame(l)
	if !framed && len(f.text) > maxMessage {
		return source.NotMine
	}
	t, res := l.Time, l.Res
	if t.IsZero() {
		t, res = f.time(r.env)
	}
	var h source.Holes
	m, ok := messages.Match(f.text, &h)
	if !ok {
		if framed && f.pid > 0 {
			out.Seen(t)
			return source.Mine
		}
		return source.NotMine
	}
	e := &fact.Event{Header: fact.Header{Time: t, Res: res, Party: gateway()}}
	e.Party.PID = f.pid
	if framed && !r.stated {
		r.stated = true
		stateDefaults(out, nil)
	}
	m.do(&h, e, out, f)
	if e.Kind == "" {
		out.Seen(t)
		return source.Mine
	}
	if e.Party.Role == fact.RoleBackend && e.Party.Address == "" {
		e.Party.Address = r.members[e.Party.Name]
	}
	out.State(e)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *logReader) Close(source.Sink) {}

// frame is what HAProxy or a logger writes before a message on standard error:
// "[WARNING]  (8) : " or, before version 2.2, "[WARNING] 094/155426 (8) : ".
type frame struct {
	level string
	stamp []byte // whatever stood before the level
	yday  []byte // "094/155426": day of the year and time
	pid   int
	text  []byte
}

// cutFrame takes the frame off; framed is false if nothing shows that
// HAProxy's process wrote the line.
func cutFrame(l *source.Line) (f frame, framed bool) {
	b := l.Text
	f.text, f.pid = b, l.PID
	framed = strings.HasPrefix(l.Program, "haproxy") || strings.HasPrefix(l.Unit, "haproxy")
	if i := bytes.Index(b[:min(len(b), maxPrefix)], []byte("haproxy[")); i >= 0 {
		if j := bytes.Index(b[i:], []byte("]: ")); j > 0 {
			f.stamp, f.pid, framed = b[:i], source.PID(b[i+len("haproxy["):i+j]), true
			b = b[i+j+3:]
			f.text = b
		}
	}
	for _, level := range [...]string{"WARNING", "ALERT", "NOTICE", "EMERG", "INFO", "DIAG"} {
		i := bytes.Index(b[:min(len(b), maxPrefix)], []byte("["+level+"]"))
		if i < 0 {
			continue
		}
		rest := skipBlank(b[i+len(level)+2:])
		var yday []byte
		if len(rest) > 10 && rest[3] == '/' {
			yday, rest = source.Field(rest)
		}
		if len(rest) == 0 || rest[0] != '(' {
			break
		}
		j := bytes.IndexByte(rest, ')')
		if j < 0 || source.PID(rest[1:j]) == 0 {
			break
		}
		f.level, f.pid, f.yday = level, source.PID(rest[1:j]), yday
		f.text = bytes.TrimLeft(rest[j+1:], " :")
		if len(f.stamp) == 0 {
			f.stamp = b[:i]
		}
		return f, true
	}
	return f, framed
}

// time reads the frame's own stamp; zero if it has none.
func (f *frame) time(env *source.Env) (time.Time, fact.Dur) {
	stamp := bytes.TrimLeft(f.stamp, "[ ")
	if t, res, _, ok := source.ISOTime(env, stamp); ok {
		return t, fact.Lasting(res)
	}
	if t, res, _, ok := source.SyslogTime(env, stamp); ok {
		return t, fact.Lasting(res)
	}
	if len(f.yday) != 10 || env.Reference.IsZero() {
		return time.Time{}, fact.Dur{}
	}
	day, clock := source.Int(f.yday[:3]), source.Int(f.yday[4:])
	if !day.Known || !clock.Known || day.N > 365 {
		return time.Time{}, fact.Dur{}
	}
	// The day is C's tm_yday, from 0, of a year that is not written.
	first := time.Date(env.Reference.Year(), time.January, 1, 0, 0, 0, 0, time.UTC)
	at := first.AddDate(0, 0, int(day.N))
	h, mi, s := int(clock.N/10000), int(clock.N/100%100), int(clock.N%100)
	return env.Yearless(at.Month(), at.Day(), h, mi, s, 0), fact.Seconds(1)
}
