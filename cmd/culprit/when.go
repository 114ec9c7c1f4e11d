package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// parseZone reads a zone's name, an offset, "local" or "UTC"; nil for none.
func parseZone(s string) (*time.Location, error) {
	switch strings.ToLower(s) {
	case "":
		return nil, nil
	case "local":
		return time.Local, nil
	case "utc", "z":
		return time.UTC, nil
	}
	for _, form := range []string{"-07:00", "-0700", "-07"} {
		if t, err := time.Parse(form, s); err == nil {
			_, off := t.Zone()
			return time.FixedZone(t.Format("-07:00"), off), nil
		}
	}
	if loc, err := time.LoadLocation(s); err == nil {
		return loc, nil
	}
	return nil, usage("--tz Europe/Berlin, --tz +02:00, --tz local", "no time zone %q", s)
}

// moment is what --since and --until take.
type moment struct {
	flag string
	text string
}

const day = 24 * time.Hour

// ago reads "2h", "90m", "1h30m", "3d" before the end of the evidence.
var ago = regexp.MustCompile(`^-?(?:(\d+)d)?((?:\d+(?:h|m|s|min))*)$`)

// check reports a moment that cannot be read, before anything else is.
func (m moment) check() error {
	_, err := m.at(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), nil)
	return err
}

// at resolves the moment against the end of the evidence; zero if none was
// given.
func (m moment) at(end time.Time, zone *time.Location) (time.Time, error) {
	s := strings.TrimSpace(m.text)
	if s == "" {
		return time.Time{}, nil
	}
	if zone == nil {
		zone = time.UTC
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t.UTC(), nil
		}
	}
	if t, err := time.ParseInLocation("2006-01-02", s, zone); err == nil {
		if m.flag == "until" {
			t = t.AddDate(0, 0, 1).Add(-time.Nanosecond) // the whole day
		}
		return t.UTC(), nil
	}
	for _, form := range []string{"15:04", "15:04:05"} {
		if c, err := time.Parse(form, s); err == nil {
			e := end.In(zone)
			t := time.Date(e.Year(), e.Month(), e.Day(), c.Hour(), c.Minute(), c.Second(), 0, zone)
			if t.After(end) && m.flag == "since" {
				t = t.AddDate(0, 0, -1) // the evidence ends before that time of its last day
			}
			return t.UTC(), nil
		}
	}
	if d, ok := before(s); ok {
		return end.Add(-d).UTC(), nil
	}
	return time.Time{}, usage(
		fmt.Sprintf("--%s 2026-03-09T14:00:00Z, --%[1]s 2026-03-09, --%[1]s 14:00, --%[1]s 2h (before the end of the evidence)", m.flag),
		"--%s: no time in %q", m.flag, s)
}

func before(s string) (time.Duration, bool) {
	g := ago.FindStringSubmatch(s)
	if g == nil || g[1] == "" && g[2] == "" {
		return 0, false
	}
	var d time.Duration
	if g[1] != "" {
		n, err := strconv.Atoi(g[1])
		if err != nil || n > 100_000 {
			return 0, false
		}
		d = time.Duration(n) * day
	}
	if g[2] != "" {
		x, err := time.ParseDuration(strings.ReplaceAll(g[2], "min", "m"))
		if err != nil {
			return 0, false
		}
		d += x
	}
	return d, true
}
