// Package all lists every cause. A new one is one line.
package all

import (
	"culprit/internal/cause"
	"culprit/internal/cause/appgenerated"
	"culprit/internal/cause/backlogoverflow"
	"culprit/internal/cause/bydesigntimeout"
	"culprit/internal/cause/cdncachederror"
	"culprit/internal/cause/clientabort"
	"culprit/internal/cause/connectrefused"
	"culprit/internal/cause/connecttimeout"
	"culprit/internal/cause/dnsfailure"
	"culprit/internal/cause/earlyresponse"
	"culprit/internal/cause/headertoobig"
	"culprit/internal/cause/keepaliverace"
	"culprit/internal/cause/misroutedport"
	"culprit/internal/cause/pathloss"
	"culprit/internal/cause/protocolerror"
	"culprit/internal/cause/resetmidresponse"
	"culprit/internal/cause/responsetimeout"
	"culprit/internal/cause/staleupstreamip"
	"culprit/internal/cause/tlshandshake"
	"culprit/internal/cause/wafratelimit"
)

// Causes returns the catalogue.
func Causes() []*cause.Cause {
	return []*cause.Cause{
		&appgenerated.Cause,
		&backlogoverflow.Cause,
		&bydesigntimeout.Cause,
		&cdncachederror.Cause,
		&clientabort.Cause,
		&connectrefused.Cause,
		&connecttimeout.Cause,
		&dnsfailure.Cause,
		&earlyresponse.Cause,
		&headertoobig.Cause,
		&keepaliverace.Cause,
		&misroutedport.Cause,
		&pathloss.Cause,
		&protocolerror.Cause,
		&resetmidresponse.Cause,
		&responsetimeout.Cause,
		&staleupstreamip.Cause,
		&tlshandshake.Cause,
		&wafratelimit.Cause,
	}
}
