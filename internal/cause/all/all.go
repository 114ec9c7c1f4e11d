// Package all lists every cause. A new one is one line.
package all

import (
	"culprit/internal/cause"
	"culprit/internal/cause/appgenerated"
	"culprit/internal/cause/backlogoverflow"
	"culprit/internal/cause/bydesigntimeout"
	"culprit/internal/cause/cdncachederror"
	"culprit/internal/cause/clientabort"
	"culprit/internal/cause/connectionlimit"
	"culprit/internal/cause/connectrefused"
	"culprit/internal/cause/connecttimeout"
	"culprit/internal/cause/conntrackfull"
	"culprit/internal/cause/cpustarvation"
	"culprit/internal/cause/crash"
	"culprit/internal/cause/croncontention"
	"culprit/internal/cause/deadnotrestarted"
	"culprit/internal/cause/diskfull"
	"culprit/internal/cause/dnsfailure"
	"culprit/internal/cause/earlyresponse"
	"culprit/internal/cause/fdexhaustion"
	"culprit/internal/cause/headertoobig"
	"culprit/internal/cause/keepaliverace"
	"culprit/internal/cause/maxrequestsrecycle"
	"culprit/internal/cause/misroutedport"
	"culprit/internal/cause/nodetermination"
	"culprit/internal/cause/nohealthybackend"
	"culprit/internal/cause/oomkill"
	"culprit/internal/cause/pathloss"
	"culprit/internal/cause/portexhaustion"
	"culprit/internal/cause/protocolerror"
	"culprit/internal/cause/readinessprobeoverload"
	"culprit/internal/cause/resetmidresponse"
	"culprit/internal/cause/responsetimeout"
	"culprit/internal/cause/rolloutnodrain"
	"culprit/internal/cause/singlenodeloss"
	"culprit/internal/cause/slowstart"
	"culprit/internal/cause/socketpermission"
	"culprit/internal/cause/staleupstreamip"
	"culprit/internal/cause/tempdirmissing"
	"culprit/internal/cause/tlshandshake"
	"culprit/internal/cause/wafratelimit"
	"culprit/internal/cause/workertimeoutkill"
)

// Causes returns the catalogue.
func Causes() []*cause.Cause {
	return []*cause.Cause{
		&appgenerated.Cause,
		&backlogoverflow.Cause,
		&bydesigntimeout.Cause,
		&cdncachederror.Cause,
		&clientabort.Cause,
		&connectionlimit.Cause,
		&connectrefused.Cause,
		&connecttimeout.Cause,
		&conntrackfull.Cause,
		&cpustarvation.Cause,
		&crash.Cause,
		&croncontention.Cause,
		&deadnotrestarted.Cause,
		&diskfull.Cause,
		&dnsfailure.Cause,
		&earlyresponse.Cause,
		&fdexhaustion.Cause,
		&headertoobig.Cause,
		&keepaliverace.Cause,
		&maxrequestsrecycle.Cause,
		&misroutedport.Cause,
		&nodetermination.Cause,
		&nohealthybackend.Cause,
		&oomkill.Cause,
		&pathloss.Cause,
		&portexhaustion.Cause,
		&protocolerror.Cause,
		&readinessprobeoverload.Cause,
		&resetmidresponse.Cause,
		&responsetimeout.Cause,
		&rolloutnodrain.Cause,
		&singlenodeloss.Cause,
		&slowstart.Cause,
		&socketpermission.Cause,
		&staleupstreamip.Cause,
		&tempdirmissing.Cause,
		&tlshandshake.Cause,
		&wafratelimit.Cause,
		&workertimeoutkill.Cause,
	}
}

// Find returns the cause with an id, nil if there is none.
func Find(id string) *cause.Cause {
	for _, c := range Causes() {
		if c.ID == id {
			return c
		}
	}
	return nil
}
