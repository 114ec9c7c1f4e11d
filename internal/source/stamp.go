package source

import "time"

// The stamps below parse the fronts of lines without allocating. Each returns
// the rest of b after the stamp, and ok.

// CLFTime reads "02/Jan/2006:15:04:05 -0700", without brackets.
func CLFTime(b []byte) (t time.Time, rest []byte, ok bool) {
	if len(b) < 26 || b[2] != '/' || b[6] != '/' || b[11] != ':' || b[14] != ':' || b[17] != ':' || b[20] != ' ' {
		return
	}
	mon := Month(b[3:6])
	y, ok1 := digits(b[7:11])
	d, ok2 := digits(b[0:2])
	h, mi, s, ok3 := hms(b[12:20])
	off, ok4 := zone(b[21:26])
	if mon == 0 || !ok1 || !ok2 || !ok3 || !ok4 || d == 0 || d > 31 || !plausible(y) {
		return
	}
	u := unixDate(y, int(mon), d) + int64(h*3600+mi*60+s) - int64(off)
	return time.Unix(u, 0).UTC(), b[26:], true
}

// ISOTime reads "2006-01-02T15:04:05", with a blank for the T, a fraction
// after point or comma, and Z, +0000 or +00:00. zoned is false if no zone
// followed; the instant is then as if in env's zone.
func ISOTime(env *Env, b []byte) (t time.Time, res time.Duration, rest []byte, ok bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || (b[10] != 'T' && b[10] != ' ' && b[10] != '_') || b[13] != ':' || b[16] != ':' {
		return
	}
	return ymdhms(env, b)
}

// SlashTime reads "2006/01/02 15:04:05", as nginx's error log and Go's log
// package write it, with a fraction if there is one.
func SlashTime(env *Env, b []byte) (t time.Time, res time.Duration, rest []byte, ok bool) {
	if len(b) < 19 || b[4] != '/' || b[7] != '/' || b[10] != ' ' || b[13] != ':' || b[16] != ':' {
		return
	}
	return ymdhms(env, b)
}

func ymdhms(env *Env, b []byte) (t time.Time, res time.Duration, rest []byte, ok bool) {
	y, ok1 := digits(b[0:4])
	mo, ok2 := digits(b[5:7])
	d, ok3 := digits(b[8:10])
	h, mi, s, ok4 := hms(b[11:19])
	if !ok1 || !ok2 || !ok3 || !ok4 || mo < 1 || mo > 12 || d < 1 || d > 31 || !plausible(y) {
		return
	}
	nsec, res, rest := fraction(b[19:])
	zr := rest
	if len(zr) > 0 && zr[0] == ' ' && len(zr) > 5 && (zr[1] == '+' || zr[1] == '-') {
		zr = zr[1:]
	}
	if len(zr) > 0 && zr[0] == 'Z' {
		u := unixDate(y, mo, d) + int64(h*3600+mi*60+s)
		return time.Unix(u, int64(nsec)).UTC(), res, zr[1:], true
	}
	if len(zr) >= 5 && (zr[0] == '+' || zr[0] == '-') {
		var off int
		var zok bool
		n := 5
		if len(zr) >= 6 && zr[3] == ':' {
			off, zok = zone([]byte{zr[0], zr[1], zr[2], zr[4], zr[5]})
			n = 6
		} else {
			off, zok = zone(zr[:5])
		}
		if zok {
			u := unixDate(y, mo, d) + int64(h*3600+mi*60+s) - int64(off)
			return time.Unix(u, int64(nsec)).UTC(), res, zr[n:], true
		}
	}
	return env.Local(y, time.Month(mo), d, h, mi, s, nsec), res, rest, true
}

// SyslogTime reads "Jan  2 15:04:05", as RFC 3164 has it, with a fraction if
// there is one. The instant is zero if env has no reference for the year.
func SyslogTime(env *Env, b []byte) (t time.Time, res time.Duration, rest []byte, ok bool) {
	if len(b) < 15 || b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' {
		return
	}
	mon := Month(b[0:3])
	d := int(b[5] - '0')
	if b[4] != ' ' {
		d += 10 * int(b[4]-'0')
	}
	h, mi, s, ok1 := hms(b[7:15])
	if mon == 0 || !ok1 || d < 1 || d > 31 {
		return
	}
	nsec, res, rest := fraction(b[15:])
	return env.Yearless(mon, d, h, mi, s, nsec), res, rest, true
}

// ANSITime reads "Mon Jan _2 15:04:05 2006" and, as Apache's error log has it,
// with a fraction after the seconds.
func ANSITime(env *Env, b []byte) (t time.Time, res time.Duration, rest []byte, ok bool) {
	if len(b) < 24 || b[3] != ' ' || b[7] != ' ' {
		return
	}
	mon := Month(b[4:7])
	i := 8
	for i < len(b) && b[i] == ' ' {
		i++
	}
	d, n := 0, i
	for n < len(b) && b[n] >= '0' && b[n] <= '9' && n-i < 2 {
		d = d*10 + int(b[n]-'0')
		n++
	}
	if mon == 0 || n == i || len(b) < n+14 || b[n] != ' ' {
		return
	}
	h, mi, s, ok1 := hms(b[n+1 : n+9])
	if !ok1 || d < 1 || d > 31 {
		return
	}
	nsec, res, r := fraction(b[n+9:])
	if len(r) < 5 || r[0] != ' ' {
		return
	}
	y, ok2 := digits(r[1:5])
	if !ok2 || !plausible(y) {
		return
	}
	return env.Local(y, mon, d, h, mi, s, nsec), res, r[5:], true
}

// Month reads a month's English abbreviation; 0 if it is none.
func Month(b []byte) time.Month {
	if len(b) < 3 {
		return 0
	}
	switch [3]byte{b[0] | 0x20, b[1] | 0x20, b[2] | 0x20} {
	case [3]byte{'j', 'a', 'n'}:
		return time.January
	case [3]byte{'f', 'e', 'b'}:
		return time.February
	case [3]byte{'m', 'a', 'r'}:
		return time.March
	case [3]byte{'a', 'p', 'r'}:
		return time.April
	case [3]byte{'m', 'a', 'y'}:
		return time.May
	case [3]byte{'j', 'u', 'n'}:
		return time.June
	case [3]byte{'j', 'u', 'l'}:
		return time.July
	case [3]byte{'a', 'u', 'g'}:
		return time.August
	case [3]byte{'s', 'e', 'p'}:
		return time.September
	case [3]byte{'o', 'c', 't'}:
		return time.October
	case [3]byte{'n', 'o', 'v'}:
		return time.November
	case [3]byte{'d', 'e', 'c'}:
		return time.December
	}
	return 0
}

func digits(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(b) > 0
}

func hms(b []byte) (h, m, s int, ok bool) {
	if b[2] != ':' || b[5] != ':' {
		return
	}
	h, ok1 := digits(b[0:2])
	m, ok2 := digits(b[3:5])
	s, ok3 := digits(b[6:8])
	return h, m, s, ok1 && ok2 && ok3 && h < 24 && m < 60 && s <= 60
}

// zone reads "+0100" into seconds east.
func zone(b []byte) (int, bool) {
	if b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	h, ok1 := digits(b[1:3])
	m, ok2 := digits(b[3:5])
	off := h*3600 + m*60
	if b[0] == '-' {
		off = -off
	}
	return off, ok1 && ok2
}

// plausible keeps years of hostile stamps away from what a time can be written
// as, durations added.
func plausible(year int) bool { return year >= 1900 && year <= 2200 }

// fraction reads ".123456" or ",123" and returns nanoseconds and the
// resolution; a second if there is none.
func fraction(b []byte) (nsec int, res time.Duration, rest []byte) {
	res = time.Second
	if len(b) < 2 || (b[0] != '.' && b[0] != ',') || b[1] < '0' || b[1] > '9' {
		return 0, res, b
	}
	i, unit := 1, int(time.Second)
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		if unit > 1 {
			unit /= 10
			nsec += int(b[i]-'0') * unit
		}
	}
	return nsec, time.Duration(unit), b[i:]
}

// unixDate returns the Unix time of midnight UTC, by the civil-from-days
// algorithm (days before March belong to the year before).
func unixDate(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return (int64(era)*146097 + int64(doe) - 719468) * 86400
}

func timeDuration(ns int64) time.Duration { return time.Duration(ns) }
