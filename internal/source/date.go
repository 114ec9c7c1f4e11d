package source

import (
	"bytes"
	"time"
)

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// lastDate finds the latest plausible date in a text.
func lastDate(b []byte) time.Time {
	var latest time.Time
	for i := 0; i+10 <= len(b); i++ {
		if b[i] != '2' || b[i+1] != '0' || i > 0 && b[i-1] >= '0' && b[i-1] <= '9' {
			continue
		}
		y, ok := digits(b[i : i+4])
		if !ok {
			continue
		}
		var t time.Time
		switch {
		case (b[i+4] == '-' || b[i+4] == '/') && b[i+7] == b[i+4]:
			mo, ok1 := digits(b[i+5 : i+7])
			d, ok2 := digits(b[i+8 : i+10])
			if ok1 && ok2 && mo >= 1 && mo <= 12 && d >= 1 && d <= 31 {
				t = time.Date(y, time.Month(mo), d, 12, 0, 0, 0, time.UTC)
			}
		case i >= 7 && (b[i-1] == '/' || b[i-1] == '-') && b[i-5] == b[i-1]: // 02/Jan/2006
			d, ok1 := digits(b[i-7 : i-5])
			if mon := Month(b[i-4 : i-1]); ok1 && mon != 0 {
				t = time.Date(y, mon, d, 12, 0, 0, 0, time.UTC)
			}
		case i >= 16 && b[i-1] == ' ': // Jan 02 15:04:05 2006
			if mon := Month(b[i-16 : i-13]); mon != 0 {
				d, _ := digits(bytes.TrimLeft(b[i-12:i-10], " "))
				t = time.Date(y, mon, max(d, 1), 12, 0, 0, 0, time.UTC)
			}
		}
		if y >= 2000 && y < 2100 && t.After(latest) {
			latest = t
		}
	}
	return latest
}
