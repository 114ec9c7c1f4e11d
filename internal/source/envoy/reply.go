package envoy

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Texts that Envoy sends to a client.
const (
	connectText = "upstream connect error or disconnect/reset before headers"
	noneText    = "no healthy upstream"
	timeoutText = "upstream request timeout"
)

func sniffReply(l *source.Line) source.Confidence {
	switch t := l.Text; {
	case len(t) < len(noneText) || len(t) > maxReply:
		return source.No
	case source.Has(t, connectText), alone(t, noneText), alone(t, timeoutText):
		return source.Fragment
	}
	return source.No
}

// maxReply bounds a line that quotes an answer, in bytes.
const maxReply = 8 << 10

// alone: the line is these words, quoted or marked as a body at most.
func alone(t []byte, words string) bool {
	i := bytes.Index(t, []byte(words))
	if i < 0 {
		return false
	}
	before, after := bytes.TrimSpace(t[:i]), bytes.Trim(t[i+len(words):], " .\"'`%}")
	return len(after) == 0 && len(before) < 40 && bytes.Count(before, []byte{' '}) < 4
}

// replyReader reads Envoy's answers out of whatever quotes them.
type replyReader struct {
	env *source.Env
	req fact.Request
}

// Line implements [source.LineReader].
func (r *replyReader) Line(l *source.Line, out source.Sink) source.Took {
	if sniffReply(l) == source.No {
		return source.NotMine
	}
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	q.Writer = fact.WriterSelf
	t := l.Text
	if at, _, _, ok := source.ISOTime(r.env, bytes.TrimLeft(t, "[")); ok {
		q.Time, q.Res = at, fact.Seconds(1)
	}
	switch {
	case source.Has(t, connectText):
		r.connect(t)
	case source.Has(t, noneText):
		q.Ended, q.Detail, q.Status = fact.NoBackend, noneText, fact.Num(503)
	default:
		q.Ended, q.Phase, q.Detail, q.Status = fact.ReplyTimedOut, fact.PhaseWaiting, timeoutText, fact.Num(504)
	}
	out.State(q)
	return source.Mine
}

// connect reads "...before headers. reset reason: X, transport failure reason:
// Y". Envoy answers 503, and 502 for a protocol error.
func (r *replyReader) connect(t []byte) {
	q := &r.req
	i := bytes.Index(t, []byte(connectText))
	q.Detail = source.View(bytes.TrimRight(t[i:], " \"'`}"))
	q.Status = fact.Num(503)
	rest, ok := source.Between(t[i:], "reset reason: ", "")
	if !ok {
		return
	}
	reason, transport := rest, []byte(nil)
	if j := bytes.Index(rest, []byte(", transport failure reason: ")); j >= 0 {
		reason, transport = rest[:j], rest[j+len(", transport failure reason: "):]
	}
	if j := bytes.IndexAny(reason, "\"'`}.,<"); j >= 0 {
		reason = reason[:j]
	}
	reason = bytes.ReplaceAll(bytes.TrimSpace(reason), []byte{' '}, []byte{'_'})
	reason = bytes.ReplaceAll(reason, []byte{'-'}, []byte{'_'})
	o, known := resets[string(reason)]
	if !known {
		return
	}
	if o.phase == fact.PhaseConnecting {
		connectFailed(q, &o, transport, false)
	}
	if o.ended == fact.BadReply {
		q.Status = fact.Num(502)
	}
	q.Ended, q.Phase = o.ended, o.phase
	q.Code = string(reason)
}

// Close implements [source.LineReader].
func (r *replyReader) Close(source.Sink) {}
