package main

import (
	"testing"
	"time"
)

func TestMoment(t *testing.T) {
	end := time.Date(2026, 3, 9, 14, 30, 0, 0, time.UTC)
	berlin := time.FixedZone("+01:00", 3600)
	f := func(flag, text string, zone *time.Location, want string) {
		t.Helper()
		got, err := moment{flag, text}.at(end, zone)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is taken for %s", text, got)
		case want != "" && err != nil:
			t.Errorf("%q: %v", text, err)
		case want != "" && got.Format(time.RFC3339) != want:
			t.Errorf("%q = %s, want %s", text, got.Format(time.RFC3339), want)
		}
	}
	f("since", "2026-03-09T14:00:00Z", nil, "2026-03-09T14:00:00Z")
	f("since", "2026-03-09T14:00:00+01:00", nil, "2026-03-09T13:00:00Z")
	f("since", "2026-03-09 14:00", berlin, "2026-03-09T13:00:00Z")
	f("since", "2026-03-09", nil, "2026-03-09T00:00:00Z")
	f("until", "2026-03-09", nil, "2026-03-09T23:59:59Z")
	f("since", "14:00", nil, "2026-03-09T14:00:00Z")
	f("since", "14:00:05", berlin, "2026-03-09T13:00:05Z")
	f("since", "23:00", nil, "2026-03-08T23:00:00Z") // the evening before
	f("since", "2h", nil, "2026-03-09T12:30:00Z")
	f("since", "-90m", nil, "2026-03-09T13:00:00Z")
	f("since", "90min", nil, "2026-03-09T13:00:00Z")
	f("since", "1d12h", nil, "2026-03-08T02:30:00Z")
	f("since", "1h30m", nil, "2026-03-09T13:00:00Z")
	f("since", "yesterday", nil, "")
	f("since", "-", nil, "")
	f("since", "25:00", nil, "")
	f("since", "99999999999999d", nil, "")
}

func TestParseZone(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		loc, err := parseZone(text)
		got := ""
		if err == nil {
			got = time.Date(2026, 7, 1, 0, 0, 0, 0, loc).Format("-07:00")
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	f("UTC", "+00:00")
	f("+02:00", "+02:00")
	f("-0330", "-03:30")
	f("+05", "+05:00")
	f("Nowhere/Town", "")
}

func TestProgressLine(t *testing.T) {
	f := func(read, total int64, took time.Duration, want string) {
		t.Helper()
		if got := progressLine(read, total, took); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(50e6, 200e6, 2*time.Second, "reading 50 MB of 200 MB (25 %), 25 MB/s, 7s left")
	f(1500, 0, time.Second, "reading 1.5 KB, 1.5 KB/s")
	f(3e9, 3e9, time.Minute, "reading 3 GB of 3 GB (100 %), 50 MB/s")
}
