package errorpage

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// header reads "Name: value".
func header(b []byte) (name, value []byte, ok bool) {
	i := bytes.IndexByte(b, ':')
	if i <= 0 || i > 50 {
		return nil, nil, false
	}
	for _, c := range b[:i] {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return nil, nil, false
		}
	}
	return b[:i], bytes.TrimSpace(b[i+1:]), true
}

// header takes one header of the answer; its name is in lower case.
func (r *reader) header(name, value string) {
	q := &r.q
	switch name {
	case "server":
		r.srv = value
	case "date":
		if t, ok := httpDate([]byte(value)); ok {
			q.Time, q.Res = t, fact.Lasting(time.Second)
		}
	case "content-length":
		r.empty = value == "0"
	case "cf-cache-status", "x-cache":
		// "Hit from cloudfront"; "MISS, HIT" of several caches, the client's
		// nearest last.
		value = strings.TrimSpace(value[strings.LastIndexByte(value, ',')+1:])
		if word, _, _ := strings.Cut(value, " "); word != "" && len(word) < 30 {
			q.Attrs = map[string]string{fact.AttrCacheStatus: word}
		}
	case "via":
		if r.srv == "" {
			r.srv = via(value)
		}
	case "x-envoy-upstream-service-time", "x-kong-upstream-latency", "x-upstream-service-time":
		q.Writer = fact.WriterBackend // told only where a member answered
	case "x-kong-response-latency":
		r.srv, q.Writer = "kong", fact.WriterSelf // told only of answers of its own
	case "x-squid-error":
		r.squid(value)
	case "x-azure-externalerror":
		r.azure(value)
	default:
		if slices.Contains(source.IDHeaders, name) || slices.Contains(r.env.IDHeaders, name) {
			if value != "" && len(value) < 200 && len(q.IDs) < 8 {
				q.IDs = append(q.IDs, value)
			}
		}
	}
}

// via names the gateway in "1.1 varnish", "1.1 vegur", "1.1 google".
func via(value string) string {
	low := strings.ToLower(value)
	for _, v := range [...][2]string{{"cloudfront", "cloudfront"}, {"varnish", "varnish"}, {"vegur", "heroku"}, {"heroku", "heroku"}, {"google", "gws"}, {"caddy", "caddy"}, {"squid", "squid"}, {"kong", "kong"}} {
		if strings.Contains(low, v[0]) {
			return v[1]
		}
	}
	return ""
}

// classic reads reasons that only AWS' classic balancer writes.
func (r *reader) classic(reason []byte) {
	if source.Has(reason, "Back-end server is at capacity") {
		r.tech, r.q.Writer, r.q.Code = "alb", fact.WriterSelf, string(reason)
	}
}

// squidCodes are names of Squid's error pages, from its err_type.h.
var squidCodes = map[string]saying{
	"ERR_DNS_FAIL":            {ended: fact.NameNotResolved, phase: fact.PhaseResolving},
	"ERR_ZERO_SIZE_OBJECT":    {ended: fact.ClosedBeforeReply, phase: fact.PhaseWaiting},
	"ERR_READ_TIMEOUT":        {ended: fact.ReplyTimedOut, phase: fact.PhaseWaiting},
	"ERR_INVALID_RESP":        {ended: fact.BadReply, phase: fact.PhaseWaiting},
	"ERR_TOO_BIG":             {ended: fact.ReplyTooBig, phase: fact.PhaseWaiting},
	"ERR_SECURE_CONNECT_FAIL": {ended: fact.TLSFailed, phase: fact.PhaseTLS},
}

// squid reads "ERR_CONNECT_FAIL 111".
func (r *reader) squid(value string) {
	r.tech, r.q.Writer, r.q.Code = "squid", fact.WriterSelf, value
	code, num, _ := strings.Cut(value, " ")
	errno := int(source.Int([]byte(num)).Or(0))
	switch s, known := squidCodes[code]; {
	case known:
		r.q.Ended, r.q.Phase = s.ended, s.phase
	case code == "ERR_CONNECT_FAIL":
		r.q.Errno, r.q.Phase = errno, fact.PhaseConnecting
		r.q.Ended = source.ErrnoMechanism(errno, fact.PhaseConnecting)
	case code == "ERR_READ_ERROR", code == "ERR_WRITE_ERROR":
		r.q.Errno, r.q.Phase = errno, fact.PhaseWaiting
		r.q.Ended = source.ErrnoMechanism(errno, fact.PhaseWaiting)
	}
}

// azure reads Front Door's "0x80072ee2,OriginTimeout".
func (r *reader) azure(value string) {
	r.tech, r.q.Writer, r.q.Code = "azure", fact.WriterSelf, value
	low := strings.ToLower(value)
	if s, _, _ := words([]byte(low)); s != nil {
		r.q.Ended, r.q.Phase = s.ended, s.phase
	}
	switch {
	case strings.Contains(low, "timeout"):
		r.q.Ended, r.q.Phase = fact.ReplyTimedOut, fact.PhaseWaiting
	case strings.Contains(low, "dnsname"), strings.Contains(low, "nameresolution"):
		r.q.Ended, r.q.Phase = fact.NameNotResolved, fact.PhaseResolving
	case strings.Contains(low, "certificate"), strings.Contains(low, "ssl"):
		r.q.Ended, r.q.Phase = fact.TLSFailed, fact.PhaseTLS
	case strings.Contains(low, "connectionrefused"):
		r.q.Ended, r.q.Phase = fact.Refused, fact.PhaseConnecting
	}
}

// httpDate reads "Mon, 02 Jan 2006 15:04:05 GMT".
func httpDate(b []byte) (time.Time, bool) {
	t, err := time.Parse(time.RFC1123, source.View(b))
	if err != nil || t.Year() < 1970 || t.Year() > 2200 || !bytes.HasSuffix(b, []byte("GMT")) {
		return time.Time{}, false
	}
	return t.UTC(), true
}
