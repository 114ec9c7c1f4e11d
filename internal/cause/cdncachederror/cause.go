// Package cdncachederror judges errors that a cache repeats.
package cdncachederror

import (
	"fmt"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Cause is the record.
var Cause = cause.Cause{
	ID:    "cdn-cached-error",
	Title: "A cache repeats an error that it kept",
	What:  "The content network keeps error answers for some seconds. One failure at the origin becomes many for the clients, each answered at once from the cache; the origin was asked once.",
	Shows: []string{
		"x-cache: Error from cloudfront, cache status HIT on a 5xx, an Age header on an error",
		"many errors within a second or two, each far faster than any time-out, after one slow one",
	},
	Fixes: []string{
		"count the origin's errors, not the edge's",
		"lower the time errors are kept: CloudFront error caching minimum TTL, proxy_cache_valid without 5xx",
	},
	Kind:       cause.Innocent,
	Mechanisms: []fact.Mechanism{fact.AppAnswered, fact.MechanismUnknown, fact.ReplyTimedOut, fact.BadReply, fact.Refused, fact.ConnectTimedOut, fact.ClosedBeforeReply},
	Over:       []string{"app-generated"},
	Prior:      -4,
	PriorWhy:   "few errors come from a cache, and those say so",
	Explain:    explain,
}

// fromCache: an answer from the edge's memory takes less (time).
const fromCache = 100 * time.Millisecond

func explain(e *failure.Episode) cause.Opinion {
	var o cause.Opinion
	var claims []*failure.Failure
	for _, f := range e.Failures {
		for _, r := range f.Seen {
			st := strings.ToLower(r.Attrs[fact.AttrCacheStatus])
			if d, ok := f.Took(); hit(st) && (!ok || d < fromCache) {
				claims = append(claims, f)
				break
			}
		}
	}
	if len(claims) == 0 {
		return o
	}
	if len(claims) < len(e.Failures) {
		o.Claims = claims
	}
	o.Signals = []cause.Signal{cause.For(22, "the cache's own record", fmt.Sprintf("%s answered from the cache, without asking the origin", cause.Count(len(claims), "error")), cause.Cite(claims)...).AsProof()}
	o.Blame = e.Gateway
	o.Fix = cause.Fix{Summary: "Look for the one failure at the origin that was kept; lower how long errors are kept."}
	if e.Gateway.Tech == "cloudfront" {
		o.Fix.Steps = []string{"CloudFront: custom error responses, ErrorCachingMinTTL 0 or 1 for 502, 503, 504 (the default is 10 s)"}
	}
	return o
}

func hit(s string) bool {
	switch s {
	case "hit", "refreshhit", "stale", "updating", "error-hit", "hit-error", "tcp_hit", "originshieldhit":
		return true
	}
	return false
}
