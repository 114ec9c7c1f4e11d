package ruby

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// rackAccess reads Rack::CommonLogger's lines, which Puma and others write when
// they log requests: the common format with seconds of four digits at the end,
// `10.0.0.4 - - [09/Mar/2026:14:00:00 +0000] "GET /cart HTTP/1.1" 200 512
// 0.0123`.
var rackAccess = source.AppRequests(source.Format{ID: "rack-access", Tech: tech, Title: "request lines of Rack::CommonLogger"}, source.Likely, backend(), readRack)

func readRack(_ *source.Env, b []byte, q *fact.Request) bool {
	if len(b) < 50 || b[len(b)-1] > '9' || b[len(b)-5] != '.' {
		return false
	}
	client, t, line, rest, ok := source.CommonFront(b)
	if !ok {
		return false
	}
	method, path, proto, ok := source.RequestLine(line)
	status, rest := source.Field(rest)
	size, rest := source.Field(rest)
	q.Status, q.Bytes, q.Duration = source.Int(status), source.Int(size), source.Secs(rest)
	if !ok || !q.Status.Known || !q.Duration.Known || bytes.IndexByte(rest, ' ') >= 0 {
		return false
	}
	q.Time, q.Res = t, fact.Lasting(time.Second)
	if string(client) != "-" {
		q.Client = source.View(client)
	}
	q.Method, q.Path, q.Proto = source.View(method), source.View(path), source.View(proto)
	return true
}
