// Package haproxy reads what HAProxy writes: its HTTP, TCP and CLF access logs
// (`option httplog`, `httpslog`, `tcplog`, `httplog clf`), the states of
// servers and health checks, the notices of its processes, what `show errors`
// dumps, and its configuration.
//
// An access line tells the whole of a request in one termination state: who
// ended it, and in which phase (see ends.go). Its times are in milliseconds
// and -1 is "did not happen"; its date is the start of the request, in the
// local time of its machine. Meanings and defaults are those of chapter 8 of
// HAProxy's configuration manual.
//
// On a reused server connection that dies before any byte of an answer,
// HAProxy closes the client's connection and writes no line at all: silence is
// no proof that a request never came by.
package haproxy

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "haproxy"

// Formats are the formats of HAProxy.
var Formats = []source.Format{access, processLog, errorDump, statistics, listing, servers, config}

func gateway() fact.Party { return fact.Party{Role: fact.RoleGateway, Tech: tech} }

// member is the party of one server of a backend: both names as HAProxy joins
// them, and the address where the name holds one.
func member(backendServer []byte) fact.Party {
	return fact.Party{Role: fact.RoleBackend, Name: string(backendServer), Address: string(addressIn(backendServer))}
}

// addressIn finds the address in a server's name, as platforms that write the
// configuration put it there: "pod:shop-1:shop:http:10.128.2.5:8080". It is
// nil if there is none.
func addressIn(name []byte) []byte {
	if len(name) < len("1.2.3.4") {
		return nil
	}
	start, dots, digits, colons := len(name), 0, 0, 0
scan:
	for ; start > 0; start-- {
		switch c := name[start-1]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		case c == ':' && colons+dots == 0 && digits > 0:
			colons, digits = 1, 0
		default:
			break scan
		}
	}
	if dots != 3 || digits < 4 || name[start] == '.' {
		return nil
	}
	if start > 0 && bytes.IndexByte([]byte(":-_@"), name[start-1]) < 0 {
		return nil
	}
	return name[start:]
}
