// Package phpfpm reads what PHP-FPM and PHP write: the manager's log, the slow
// log, the access log, PHP's own errors, the status page, pool configurations
// and php.ini.
//
// Messages are those of sapi/fpm/fpm (fpm_children.c, fpm_process_ctl.c,
// fpm_request.c, fpm_sockets.c) and of main/main.c, PHP 5.6 to 8.4. Defaults
// are those of php.net/manual/en/install.fpm.configuration.php.
package phpfpm

import (
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "phpfpm"

// Formats is what this package reads.
var Formats = []source.Format{managerLog, phpErrors, slowLog, accessLog, poolFile, poolLines}

func pool(name string) fact.Party {
	return fact.Party{Role: fact.RoleBackend, Tech: tech, Name: name}
}

// maxDetail bounds an event's text, in bytes.
const maxDetail = 300

func clip(b []byte) string { return string(b[:min(len(b), maxDetail)]) }

// stamp reads "[09-Mar-2026 14:00:00] " from the front of b, with microseconds
// as debug logs have them, or with the zone that PHP's own error log adds.
func stamp(env *source.Env, b []byte) (t time.Time, res time.Duration, rest []byte, ok bool) {
	if len(b) < 22 || b[0] != '[' || b[3] != '-' || b[7] != '-' || b[12] != ' ' || b[15] != ':' || b[18] != ':' {
		return t, 0, b, false
	}
	in, rest, ok := source.Bracketed(b)
	if !ok || len(in) < 20 {
		return t, 0, b, false
	}
	mon := source.Month(in[3:6])
	day, year := source.Int(in[0:2]), source.Int(in[7:11])
	h, m, s := source.Int(in[12:14]), source.Int(in[15:17]), source.Int(in[18:20])
	if mon == 0 || !day.Known || !year.Known || !h.Known || !m.Known || !s.Known {
		return t, 0, b, false
	}
	res = time.Second
	nsec := 0
	after := in[20:]
	if len(after) == 7 && after[0] == '.' {
		if us := source.Int(after[1:]); us.Known {
			nsec, res = int(us.N)*1000, time.Microsecond
		}
		after = nil
	}
	t = env.Local(int(year.N), mon, int(day.N), int(h.N), int(m.N), int(s.N), nsec)
	if zone := string(after); len(zone) > 1 {
		if zone[1:] == "UTC" || zone[1:] == "GMT" {
			t = time.Date(int(year.N), mon, int(day.N), int(h.N), int(m.N), int(s.N), nsec, time.UTC)
		} else if loc, err := time.LoadLocation(zone[1:]); err == nil && len(zone) < 40 {
			t = time.Date(int(year.N), mon, int(day.N), int(h.N), int(m.N), int(s.N), nsec, loc).UTC()
		}
	}
	return t, res, rest, true
}
