// Package apache reads what the Apache HTTP server writes: access logs in the
// common, combined and vhost_combined formats with a time appended or not,
// error logs of 2.2 and 2.4 with the messages of mod_proxy and its kin, and
// the directives of its configuration that decide how it proxies.
//
// An access line's date is the start of the request, in whole seconds. An
// error line carries a number of the system or of the APR library in front of
// its message: (111) is ECONNREFUSED, (70007) APR_TIMEUP, (70014) APR_EOF,
// (20014) an end of the connection that has no number of its own. Mod_proxy
// answers 503 where it cannot connect, 502 where no status line comes, a
// time-out there included, and closes the client's connection without a line
// in the log where a reused connection dies.
//
// Messages are those of versions 2.2 to 2.4.71; numbers as on Linux, and as
// BSD and Windows have them where the words say so.
package apache

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "apache"

// Formats are the formats of the Apache HTTP server.
var Formats = []source.Format{access, errorLog, config}

func gateway() fact.Party { return fact.Party{Role: fact.RoleGateway, Tech: tech} }
