// Package traefik reads what Traefik writes: access logs in its common format
// and in JSON, and the process log of versions 1 to 3, in which the reason of
// a 502 stands at level debug.
//
// An access record's StartUTC, and the date of a common line, are the start of
// the request. DownstreamStatus is what the client got. OriginStatus does not
// say who made it: Traefik's own error handler is recorded there as well. Its
// answers have the length of their text, 11 for "Bad Gateway", 15 for "Gateway
// Timeout", 21 for "Internal Server Error" and "Client Closed Request", and no
// header of the origin; a request that no service was asked for has none.
package traefik

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "traefik"

// Formats are the formats of Traefik.
var Formats = []source.Format{common, records, processLog, settings}

func gateway() fact.Party { return fact.Party{Role: fact.RoleGateway, Tech: tech} }

// ownLengths are the lengths of the bodies that Traefik's error handler
// writes, by status.
var ownLengths = map[int64]int64{502: 11, 504: 15, 500: 21, 499: 21}

// judge says who made the status, as far as a record shows it. origin is the
// status and size at the service, asked whether there was one.
func judge(q *fact.Request, originSize fact.Int, asked bool) {
	status := q.Status.Or(0)
	switch {
	case !q.Status.Known:
		return
	case status == 0:
		q.Ended = fact.ClientGone
	case status == 499:
		q.Ended, q.Writer = fact.ClientGone, fact.WriterSelf
	case status < 500:
		if q.Writer = fact.WriterBackend; !asked {
			q.Writer = fact.WriterSelf
			if status == 403 || status == 429 {
				q.Ended = fact.Denied // by a middleware
			}
		}
	case !asked && status == 503:
		q.Ended, q.Writer = fact.NoBackend, fact.WriterSelf // "no available server"
	case !asked:
		q.Writer = fact.WriterSelf
	case originSize.Known && ownLengths[status] == originSize.N:
		// A 504 may be of the dial as well as of the answer: the process log
		// tells.
		q.Writer = fact.WriterSelf
	case originSize.Known && ownLengths[status] != 0, status == 501, status > 504:
		q.Ended, q.Writer = fact.AppAnswered, fact.WriterBackend
	case status == 503:
		q.Ended, q.Writer = fact.AppAnswered, fact.WriterBackend // Traefik's own is made before a server is chosen
	}
	for i := range q.Attempts {
		a := &q.Attempts[i]
		if i == len(q.Attempts)-1 {
			if q.Writer == fact.WriterBackend {
				a.Status = q.Status
			}
			if q.Ended != fact.ClientGone {
				a.Ended = q.Ended
			}
		}
	}
}

// address is the host and port of a server's URL, "http://10.0.0.5:80".
func address(url []byte) []byte {
	if i := bytes.Index(url, []byte("://")); i >= 0 {
		url = url[i+3:]
	}
	if i := bytes.IndexByte(url, '/'); i >= 0 {
		url = url[:i]
	}
	return url
}
