// Package journal reads what syslog daemons, systemd and supervisord write: it
// takes the frames off the lines of other programs, and reads the messages of
// the supervisors themselves, of cron and of the tools that print units.
//
// Frames: RFC 3164 and RFC 5424 lines, rsyslog's ISO format, and journalctl's
// short, short-precise, short-iso, short-iso-precise, short-full, short-unix,
// short-monotonic, with-unit and json outputs. journalctl's export format is a
// format of its own since its records span lines.
//
// Messages are those of systemd's source (src/core/service.c, unit.c, job.c and
// src/oom), back to version 219, which old enterprise systems run. Defaults of
// unit files are those of the manual pages systemd.service(5) and
// systemd.exec(5).
package journal

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// tech names this folder in facts.
const tech = "journal"

// Formats is what this package reads.
var Formats = []source.Format{export, systemd, supervisor, cron, unitFile}

// Wrappers takes syslog's and the journal's frames off lines.
var Wrappers = []source.Wrapper{
	{ID: "journal-json", Unwrap: unwrapJSON},
	{ID: "syslog-5424", Unwrap: unwrap5424},
	{ID: "syslog", Unwrap: unwrapSyslog, Front: whole},
	{ID: "journal-iso", Unwrap: unwrapISO},
	{ID: "journal-full", Unwrap: unwrapFull},
	{ID: "journal-unix", Unwrap: unwrapUnix},
	{ID: "journal-monotonic", Unwrap: unwrapMonotonic},
}

// party is the unit that a message is about.
func party(unit string) fact.Party {
	name := unitName(unit)
	return fact.Party{Role: roleOf(name), Tech: tech, Name: name}
}

// unitName is a unit without the suffix of its kind: what people call it.
func unitName(unit string) string {
	unit = strings.TrimSpace(unit)
	unit = strings.TrimPrefix(unit, "●")
	if i := strings.LastIndexByte(unit, '/'); i >= 0 {
		unit = unit[i+1:]
	}
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimSuffix(unit, ".service"), ".scope"))
}

// roleOf is the place of a program in the path of a request, where its name
// tells. Others stay without: it may be a database.
func roleOf(name string) fact.Role {
	for _, gw := range [...]string{"nginx", "openresty", "haproxy", "envoy", "traefik", "caddy", "varnish", "squid", "kong"} {
		if strings.HasPrefix(name, gw) {
			return fact.RoleGateway
		}
	}
	for _, app := range [...]string{"node", "gunicorn", "uvicorn", "uwsgi", "php", "puma", "unicorn", "tomcat", "pm2"} {
		if strings.HasPrefix(name, app) {
			return fact.RoleBackend
		}
	}
	return ""
}

func trimSpace(b []byte) []byte { return bytes.TrimSpace(b) }
