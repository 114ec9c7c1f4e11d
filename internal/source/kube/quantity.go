package kube

import (
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
)

// age reads kubectl's short durations, "2m40s", "5h43m", "12d", "3y45d". ok is
// false if s is none.
func age(s string) (fact.Dur, bool) {
	const day = 24 * time.Hour
	total, n, digits := time.Duration(0), int64(0), false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= '0' && c <= '9' {
			if n, digits = n*10+int64(c-'0'), true; n > 1e6 {
				return fact.Dur{}, false
			}
			continue
		}
		unit := time.Duration(0)
		switch c {
		case 's':
			unit = time.Second
		case 'm':
			if unit = time.Minute; i+1 < len(s) && s[i+1] == 's' {
				unit = time.Millisecond
				i++
			}
		case 'h':
			unit = time.Hour
		case 'd':
			unit = day
		case 'y':
			unit = 365 * day
		}
		if unit == 0 || !digits || n > int64(100*365*day/unit) {
			return fact.Dur{}, false
		}
		total, n, digits = total+time.Duration(n)*unit, 0, false
	}
	if digits || s == "" {
		return fact.Dur{}, false
	}
	return fact.Lasting(total), true
}

// quantity reads a Kubernetes quantity ("512Mi", "1.5Gi", "0.5", "500m") into
// thousandths. ok is false if s is none.
func quantity(s string) (milli int64, ok bool) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i < 0 {
		i = len(s)
	}
	f, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0, false
	}
	scale := map[string]float64{"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}[s[i:]]
	if f *= scale * 1000; scale == 0 || f > 1<<62 {
		return 0, false
	}
	return int64(f + 0.5), true
}

// bytesOf is a quantity of memory in bytes.
func bytesOf(s string) fact.Int {
	m, ok := quantity(s)
	if !ok {
		return fact.Int{}
	}
	return fact.Num(m / 1000)
}

// millicores is a quantity of processor in thousandths of a core.
func millicores(s string) fact.Int {
	m, ok := quantity(s)
	if !ok {
		return fact.Int{}
	}
	return fact.Num(m)
}

// stamp reads a time as objects have it, RFC 3339; zero if it is none.
func stamp(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 2000 {
		return time.Time{}
	}
	return t.UTC()
}

// longStamp reads a time as describe prints it, "Fri, 29 Nov 2024 09:24:29
// +0100"; zero if it is none.
func longStamp(s string) time.Time {
	t, err := time.Parse(time.RFC1123Z, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// noTime is said of what only an age, or nothing, is known.
var noTime time.Time
