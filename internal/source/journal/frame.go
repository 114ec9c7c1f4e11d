package journal

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tag is who wrote a message: "php-fpm[123]: ".
type tag struct {
	program string
	pid     int
	unit    string
}

// maxTag bounds host name and tag, in bytes: RFC 1034 allows 253 for a name,
// RFC 5424 48 for a program; instances of template units are longer.
const maxTag = 256

// readTag reads "program[pid]: " from the front of b.
func readTag(b []byte) (t tag, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && i < maxTag; i++ {
		c := b[i]
		if c == ':' && (i+1 == len(b) || b[i+1] == ' ') {
			break
		}
		if c <= ' ' || c == '"' || c == '=' || c == '{' {
			return t, b, false
		}
	}
	if i == 0 || i == len(b) || b[i] != ':' {
		return t, b, false
	}
	name := b[:i]
	rest = b[i+1:]
	if len(rest) > 0 {
		rest = rest[1:]
	}
	if j := bytes.LastIndexByte(name, '['); j > 0 && name[len(name)-1] == ']' {
		if t.pid = source.PID(name[j+1 : len(name)-1]); t.pid == 0 && string(name[j+1:len(name)-1]) != "0" {
			return tag{}, b, false
		}
		name = name[:j]
	}
	if bytes.HasSuffix(name, []byte(".service")) || bytes.HasSuffix(name, []byte(".scope")) {
		t.unit = source.View(name)
	}
	t.program = source.View(name)
	return t, rest, true
}

// levels are words that stand where a host's name would.
var levels = [...]string{"trace", "debug", "info", "notice", "warn", "warning", "error", "err", "fatal", "critical", "crit", "panic", "severe", "fine", "stdout", "stderr"}

// hostName reports whether b may be the name or address of a machine. A level
// stands in the same place in the logs of many programs, and is none.
func hostName(b []byte) bool {
	if len(b) == 0 || len(b) > maxTag {
		return false
	}
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' && c != ':' {
			return false
		}
	}
	if b[len(b)-1] == ':' {
		return false
	}
	for _, level := range levels {
		if len(b) == len(level) && bytes.EqualFold(b, []byte(level)) {
			return false
		}
	}
	return true
}

// hostAndTag reads "host program[pid]: " and narrows l to the message. strict
// demands a process number or the kernel, for stamps that others write too.
func hostAndTag(l *source.Line, b []byte, strict bool) bool {
	host, rest := source.Field(b)
	if !hostName(host) {
		return false
	}
	t, msg, ok := readTag(rest)
	if !ok || strict && t.pid == 0 && t.program != "kernel" {
		return false
	}
	l.Host = source.View(host)
	t.apply(l, msg)
	return true
}

func (t tag) apply(l *source.Line, msg []byte) {
	l.Program, l.PID = t.program, t.pid
	if ours(t.program) {
		l.PID = 0 // its messages are about others
	}
	if t.unit != "" {
		l.Unit = t.unit
		l.Program = unitName(t.unit)
	}
	l.Text = repeated(msg)
	l.Wrapped = true
}

// repeated takes off what rsyslog writes around a message that came again.
func repeated(msg []byte) []byte {
	const pre = "message repeated "
	if !source.HasPrefix(msg, pre) {
		return msg
	}
	if inner, ok := source.Between(msg[len(pre):], " times: [", ""); ok {
		return bytes.TrimSuffix(bytes.TrimLeft(inner, " "), []byte("]"))
	}
	return msg
}

// whole reports whether [repeated] leaves a message as it is.
func whole(msg []byte) bool { return len(msg) > 0 && msg[0] != 'm' && msg[0] != ' ' }

// stamp sets the line's time, unless the frame does not know it.
func stamp(l *source.Line, t time.Time, res time.Duration) {
	if !t.IsZero() {
		l.Time, l.Res = t, fact.Lasting(res)
	}
}

// priority takes "<134>" off.
func priority(b []byte) (rest []byte, ok bool) {
	if len(b) < 4 || b[0] != '<' {
		return b, false
	}
	for i := 1; i < len(b) && i < 5; i++ {
		if b[i] == '>' {
			return b[i+1:], i > 1
		}
		if b[i] < '0' || b[i] > '9' {
			break
		}
	}
	return b, false
}

// unwrapSyslog reads RFC 3164 and journalctl's short and short-precise.
func unwrapSyslog(env *source.Env, l *source.Line) bool {
	b, pri := priority(l.Text)
	if len(b) < 17 || b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' {
		return false
	}
	t, res, rest, ok := source.SyslogTime(env, b)
	if !ok || len(rest) == 0 || rest[0] != ' ' {
		return false
	}
	rest = bytes.TrimLeft(rest, " ")
	if hostAndTag(l, rest, false) {
		stamp(l, t, res)
		return true
	}
	// Some senders leave the host out.
	if tg, msg, ok := readTag(rest); ok && (pri || tg.pid > 0) {
		stamp(l, t, res)
		tg.apply(l, msg)
		return true
	}
	return false
}

// unwrapISO reads rsyslog's ISO format and journalctl's short-iso and
// short-iso-precise. Where the zone is Z the tag must have a process number:
// container run times write such stamps before free text.
func unwrapISO(env *source.Env, l *source.Line) bool {
	b, _ := priority(l.Text)
	if len(b) < 30 || b[4] != '-' || b[10] != 'T' {
		return false
	}
	t, res, rest, ok := source.ISOTime(env, b)
	if !ok || len(rest) < 4 || rest[0] != ' ' {
		return false
	}
	zone := b[len(b)-len(rest)-1]
	if zone != 'Z' && !zoned(b[:len(b)-len(rest)]) {
		return false
	}
	if !hostAndTag(l, rest[1:], zone == 'Z') {
		return false
	}
	stamp(l, t, res)
	return true
}

// zoned reports whether a stamp ends in an offset.
func zoned(b []byte) bool {
	i := bytes.LastIndexAny(b, "+-")
	return i >= 19
}

// unwrapFull reads journalctl's short-full and with-unit: "Fri 2026-03-06
// 10:00:00 UTC host tag[1]: message".
func unwrapFull(env *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) < 30 || b[3] != ' ' || b[8] != '-' || b[14] != ' ' || !weekday(b[:3]) {
		return false
	}
	t, res, rest, ok := fullTime(env, b[4:])
	if !ok || !hostAndTag(l, rest, false) {
		return false
	}
	stamp(l, t, res)
	return true
}

// fullTime reads "2026-03-06 10:00:00 UTC " as systemd prints times.
func fullTime(env *source.Env, b []byte) (t time.Time, res time.Duration, rest []byte, ok bool) {
	t, res, rest, ok = source.ISOTime(env, b)
	if !ok || len(rest) < 2 || rest[0] != ' ' {
		return
	}
	name, after := source.Field(rest[1:])
	name = bytes.TrimRight(name, ";")
	if off, known := zoneOffset(string(name)); known {
		// ISOTime assumed env's zone.
		if env.Zone != nil {
			_, sec := t.In(env.Zone).Zone()
			t = t.Add(time.Duration(sec) * time.Second)
		}
		t = t.Add(-off)
	}
	return t, res, after, true
}

// zoneOffset is the offset east of common abbreviations. CST and IST have more
// than one meaning; these are the most frequent ones.
func zoneOffset(name string) (time.Duration, bool) {
	const half = 30 * time.Minute
	switch name {
	case "UTC", "GMT", "WET", "Z":
		return 0, true
	case "CET", "BST", "WEST", "+01":
		return 2 * half, true
	case "CEST", "EET", "SAST", "+02":
		return 4 * half, true
	case "EEST", "MSK", "+03":
		return 6 * half, true
	case "+04":
		return 8 * half, true
	case "IST", "+0530":
		return 11 * half, true
	case "+07", "WIB":
		return 14 * half, true
	case "+08", "HKT", "AWST":
		return 16 * half, true
	case "JST", "KST", "+09":
		return 18 * half, true
	case "AEST":
		return 20 * half, true
	case "AEDT":
		return 22 * half, true
	case "-03":
		return -6 * half, true
	case "EDT":
		return -8 * half, true
	case "EST", "CDT":
		return -10 * half, true
	case "CST", "MDT":
		return -12 * half, true
	case "MST", "PDT":
		return -14 * half, true
	case "PST":
		return -16 * half, true
	}
	return 0, false
}

func weekday(b []byte) bool {
	switch string(b) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// unwrapUnix reads journalctl's short-unix: "1772791200.136582 host tag[1]:".
func unwrapUnix(_ *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) < 24 || b[10] != '.' || b[17] != ' ' {
		return false
	}
	sec, usec := source.Int(b[:10]), source.Int(b[11:17])
	if !sec.Known || !usec.Known || sec.N < 0 || usec.N < 0 || !hostAndTag(l, b[18:], true) {
		return false
	}
	stamp(l, time.Unix(sec.N, usec.N*1000).UTC(), time.Microsecond)
	return true
}

// unwrapMonotonic reads journalctl's short-monotonic: "[ 12.345678] host
// tag[1]: message". The kernel's own lines begin alike and have no host.
func unwrapMonotonic(_ *source.Env, l *source.Line) bool {
	if len(l.Text) < 16 || l.Text[0] != '[' {
		return false
	}
	in, rest, ok := source.Bracketed(l.Text)
	if !ok || len(in) > 24 || !source.Secs(trimSpace(in)).Known {
		return false
	}
	return hostAndTag(l, rest, true)
}

// unwrap5424 reads "<134>1 2026-03-09T14:00:00.1Z host app pid msgid [sd] msg".
func unwrap5424(env *source.Env, l *source.Line) bool {
	b, ok := priority(l.Text)
	if !ok || len(b) < 10 || b[0] != '1' || b[1] != ' ' {
		return false
	}
	when, b := source.Field(b[2:])
	host, b := source.Field(b)
	app, b := source.Field(b)
	pid, b := source.Field(b)
	_, b = source.Field(b) // message id
	t, res, _, ok := source.ISOTime(env, when)
	if !ok && string(when) != "-" || b == nil {
		return false
	}
	msg, ok := skipStructured(b)
	if !ok {
		return false
	}
	if ok && string(when) != "-" {
		stamp(l, t, res)
	}
	if string(host) != "-" {
		l.Host = source.View(host)
	}
	if string(app) != "-" {
		l.Program = source.View(app)
	}
	if l.PID = source.PID(pid); ours(l.Program) {
		l.PID = 0
	}
	l.Text = bytes.TrimPrefix(msg, []byte("\xef\xbb\xbf")) // the byte order mark marks UTF-8
	l.Wrapped = true
	return true
}

// skipStructured skips RFC 5424's structured data: "-" or bracketed elements,
// in whose quoted values a backslash protects the next byte.
func skipStructured(b []byte) ([]byte, bool) {
	if len(b) > 0 && b[0] == '-' {
		return bytes.TrimPrefix(b[1:], []byte(" ")), true
	}
	for len(b) > 0 && b[0] == '[' {
		quoted, end := false, -1
		for i := 1; i < len(b) && end < 0; i++ {
			switch {
			case quoted && b[i] == '\\':
				i++
			case b[i] == '"':
				quoted = !quoted
			case b[i] == ']' && !quoted:
				end = i
			}
		}
		if end < 0 {
			return nil, false
		}
		b = b[end+1:]
		if len(b) == 0 || b[0] != '[' {
			return bytes.TrimPrefix(b, []byte(" ")), true
		}
	}
	return nil, false
}
