package alb

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// entry is the fields of one line; they point into it.
type entry struct {
	classic  bool
	stamp    []byte
	elb      []byte
	client   []byte
	target   []byte
	dispatch []byte // request_processing_time, s
	answer   []byte // target_processing_time
	deliver  []byte // response_processing_time
	status   []byte
	tstatus  []byte
	received []byte
	sent     []byte
	request  []byte
	method   []byte
	url      []byte
	proto    []byte
	agent    []byte
	group    []byte // target group ARN
	trace    []byte
	created  []byte
	actions  []byte
	reason   []byte // error_reason
	class    []byte // classification reason
	conn     []byte // conn_trace_id
	noTimes  bool   // a table without the time columns
	count    int
}

// known returns b, or nothing for a dash.
func known(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// fill makes a Request of an entry.
func fill(env *source.Env, e *entry, q *fact.Request) {
	q.Reset()
	q.Count = e.count
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, Name: source.View(e.elb)}
	q.Client = source.View(known(e.client))
	q.Status = source.Int(e.status)
	q.Bytes, q.ReqBytes = source.Int(e.sent), source.Int(e.received)
	requestLine(e, q)
	q.UserAgent = source.View(known(e.agent))
	q.Upstream = source.View(groupName(e.group))
	q.ConnID = source.View(known(e.conn))
	if t := known(e.trace); len(t) > 0 {
		q.IDs = append(q.IDs, source.View(t))
		if id, ok := source.Between(t, "Root=", ""); ok {
			if i := bytes.IndexByte(id, ';'); i >= 0 {
				id = id[:i]
			}
			q.IDs = append(q.IDs, source.View(id))
		}
	}
	times(env, e, q)
	judge(e, q)
	if e.status != nil && q.Code == "" && len(known(e.reason)) > 0 {
		q.Code = source.View(e.reason)
	}
	if c := known(e.class); len(c) > 0 {
		q.Detail = source.View(c)
	}
}

// times fills the instant and the duration. Where a time is -1 the request's
// creation tells how long it took, if the line has it.
func times(env *source.Env, e *entry, q *fact.Request) {
	a, b, c := source.Secs(e.dispatch), source.Secs(e.answer), source.Secs(e.deliver)
	if a.Known && b.Known && (c.Known || string(e.deliver) == "-1") {
		q.Duration = fact.Lasting(a.D + b.D + c.Or(0)) // nothing was delivered: it ended with the target's close
	}
	t, res, _, ok := source.ISOTime(env, e.stamp)
	if !ok {
		return
	}
	q.Time = t
	if res >= time.Millisecond {
		q.Res = fact.Lasting(res)
	}
	if created, _, _, ok := source.ISOTime(env, e.created); ok && !q.Duration.Known {
		if d := t.Sub(created); d >= 0 && d < maxRequest {
			q.Duration = fact.Lasting(d)
		}
	}
	if e.classic {
		q.Time = t.Add(q.Duration.Or(0))
	}
}

// maxRequest is longer than any request: the idle time-out's limit is 4000 s,
// and a longer difference is of a made-up line.
const maxRequest = 4 * time.Hour

// requestLine reads "GET https://host:443/path?query HTTP/1.1". A request that
// could not be parsed has dashes in it.
func requestLine(e *entry, q *fact.Request) {
	if len(e.request) > 0 {
		m, rest := source.Field(e.request)
		e.method = m
		if i := bytes.LastIndexByte(rest, ' '); i >= 0 {
			e.url, e.proto = rest[:i], rest[i+1:]
		} else {
			e.url = rest
		}
	}
	q.Method = source.View(known(e.method))
	if v := e.proto; source.HasPrefix(v, "HTTP/") {
		v = v[5:]
		if len(v) == 3 && v[0] > '1' && v[2] == '0' {
			v = v[:1]
		}
		q.Proto = source.View(v)
	}
	u := known(bytes.TrimRight(e.url, " "))
	i := bytes.Index(u, []byte("://"))
	if i < 0 {
		q.Path = source.View(known(u))
		return
	}
	u = u[i+3:]
	host, path := u, []byte("/")
	if j := bytes.IndexAny(u, "/?"); j >= 0 {
		host, path = u[:j], u[j:]
	}
	host = bytes.TrimSuffix(host, []byte("-")) // "http://host:80- -"
	if j := bytes.LastIndexByte(host, ':'); j >= 0 && (j == 0 || host[j-1] != ':') {
		host = host[:j]
	}
	q.Host, q.Path = source.View(host), source.View(path)
}

// groupName is the name in a target group's ARN.
func groupName(arn []byte) []byte {
	if n, ok := source.Between(known(arn), "targetgroup/", "/"); ok {
		return n
	}
	return known(arn)
}

// Limits by which a gateway-made status is told apart, with some slack.
const (
	connectLimit = 10 * time.Second // to connect, and for a TLS handshake
	connectSlack = 1500 * time.Millisecond
)

// lambdaReasons are error_reason codes for functions.
var lambdaReasons = map[string]fact.Mechanism{
	"LambdaConnectionTimeout": fact.ConnectTimedOut,
	"LambdaTimeout":           fact.ReplyTimedOut,
	"LambdaInvalidResponse":   fact.BadReply,
	"LambdaResponseTooLarge":  fact.ReplyTooBig,
	"LambdaThrottling":        fact.LimitHit,
	"LambdaUnhandled":         fact.AppAnswered,
	"LambdaAccessDenied":      fact.GatewayFault,
	"LambdaDecryptionError":   fact.GatewayFault,
	"LambdaBadRequest":        fact.BadReply,
}

// judge says how a request ended and who answered.
func judge(e *entry, q *fact.Request) {
	status, member := q.Status.Or(-1), source.Int(e.tstatus)
	target := known(e.target)
	a := fact.Attempt{Address: source.View(target), Status: member}
	if took := source.Secs(e.answer); took.Known {
		if member.Known {
			a.Header = took
		} else {
			a.Took = took // until the target closed, or the balancer gave up
		}
	}
	switch {
	case member.Known && member.N == status:
		q.Writer = fact.WriterBackend
		if status >= 500 {
			q.Ended = fact.AppAnswered
		}
	case status == 460, status == 0:
		q.Ended = fact.ClientGone
	case len(e.tstatus) == 0 && e.noTimes:
		// A table without these columns tells nothing more.
	default:
		made(e, q, status, member)
	}
	if len(target) > 0 || a.Took.Known || a.Header.Known {
		if q.Ended != fact.ClientGone && q.Ended != fact.Denied {
			a.Ended = q.Ended
		}
		q.Attempts = append(q.Attempts, a)
	}
}

// made judges an answer that the balancer made itself.
func made(e *entry, q *fact.Request, status int64, member fact.Int) {
	q.Writer = fact.WriterSelf
	sent := source.Secs(e.dispatch).Known
	actions := known(e.actions)
	total := q.Duration
	switch {
	case status < 0, len(e.tstatus) == 0 && (status < 400 || source.Secs(e.deliver).Known):
		q.Writer = "" // a table without that column
	case status < 400:
	case len(known(e.reason)) > 0 && source.HasPrefix(e.reason, "Lambda"):
		q.Ended = lambdaReasons[string(e.reason)]
		if q.Ended == fact.AppAnswered {
			q.Writer = fact.WriterBackend
		}
	case source.Has(actions, "waf-failed"):
		q.Ended = fact.GatewayFault
	case source.Has(actions, "fixed-response"), bytes.HasSuffix(actions, []byte("waf")), status == 463:
		q.Ended = fact.Denied
	case status == 561:
		q.Ended = fact.GatewayFault
	case status == 503:
		if string(e.target) == "-" {
			q.Ended = fact.NoBackend
		}
	case status == 504:
		q.Ended, q.Phase = fact.ReplyTimedOut, fact.PhaseWaiting
		if !sent && !e.noTimes && total.Or(connectLimit) <= connectLimit+connectSlack {
			q.Ended, q.Phase = fact.ConnectTimedOut, fact.PhaseConnecting
		}
	case status == 502 && member.Known:
		q.Ended, q.Phase = fact.BadReply, fact.PhaseWaiting
	case status == 502 && sent:
		// It was dispatched, and no answer came back: the target closed.
		q.Ended, q.Phase = fact.ClosedBeforeReply, fact.PhaseWaiting
	case status == 502 && total.Known && (total.D-connectLimit).Abs() < connectSlack:
		q.Ended, q.Phase = fact.TLSFailed, fact.PhaseTLS
	}
}
