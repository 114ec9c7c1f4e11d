package nginx

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// pluginEntry is a request as the log plugins of Kong and APISIX write it:
// one JSON object with request, response and latencies in milliseconds.
type pluginEntry struct {
	StartedAt float64 `json:"started_at"` // Kong: Unix milliseconds
	StartTime float64 `json:"start_time"` // APISIX
	ClientIP  string  `json:"client_ip"`
	Request   struct {
		Method  string          `json:"method"`
		URI     string          `json:"uri"`
		URL     string          `json:"url"`
		ID      string          `json:"id"`
		Size    json.RawMessage `json:"size"`
		Headers map[string]any  `json:"headers"`
	} `json:"request"`
	Response struct {
		Status json.RawMessage `json:"status"`
		Size   json.RawMessage `json:"size"`
	} `json:"response"`
	Latencies struct {
		Request *float64 `json:"request"`
		Proxy   *float64 `json:"proxy"`
	} `json:"latencies"`
	Latency         *float64 `json:"latency"`
	UpstreamLatency *float64 `json:"upstream_latency"`
	Tries           []struct {
		IP        string `json:"ip"`
		Port      int    `json:"port"`
		State     string `json:"state"` // "next" or "failed", of tries that failed
		Code      int    `json:"code"`
		Keepalive *bool  `json:"keepalive"`
	} `json:"tries"`
	Upstream       json.RawMessage `json:"upstream"`
	UpstreamStatus json.RawMessage `json:"upstream_status"`
	Service        json.RawMessage `json:"service"`
	Source         string          `json:"source"` // Kong: "upstream", "exit" or "error"
}

// gatewayPlugin reads such an object; nil if b is none.
func gatewayPlugin(b []byte) *pluginEntry {
	if !source.Has(b, `"request"`) || !source.Has(b, `"response"`) || len(b) > 1<<20 {
		return nil
	}
	k := source.Has(b, `"latencies"`) && (source.Has(b, `"tries"`) || source.Has(b, `"upstream_uri"`) || source.Has(b, `"started_at"`))
	if !k && !source.Has(b, `"apisix_latency"`) && !(source.Has(b, `"upstream_latency"`) && source.Has(b, `"start_time"`)) {
		return nil
	}
	e := &pluginEntry{}
	if json.Unmarshal(b, e) != nil || status(unquote(e.Response.Status)) < 0 {
		return nil
	}
	return e
}

// unquote takes the quotes off a number that may be written as a string.
func unquote(b []byte) []byte { return bytes.Trim(b, `"`) }

func optMillis(ms *float64) fact.Dur {
	if ms == nil || *ms < 0 {
		return fact.Dur{}
	}
	return fact.Seconds(*ms / 1000)
}

func (e *pluginEntry) state(out source.Sink) source.Took {
	q := &fact.Request{}
	q.Party = party
	q.Status = fact.Num(status(unquote(e.Response.Status)))
	q.Duration = optMillis(e.Latencies.Request)
	if !q.Duration.Known {
		q.Duration = optMillis(e.Latency)
	}
	if ms := max(e.StartedAt, e.StartTime); ms > 0 && ms < 1<<53 {
		q.Time = time.UnixMilli(int64(ms)).Add(q.Duration.Or(0)).UTC()
		q.Res = fact.Lasting(time.Millisecond)
	}
	q.Client, q.Method, q.Path = e.ClientIP, e.Request.Method, e.Request.URI
	q.Bytes, q.ReqBytes = source.Int(unquote(e.Response.Size)), source.Int(unquote(e.Request.Size))
	if h, path := cutURL([]byte(e.Request.URL)); len(h) > 0 {
		if q.Host = string(h); q.Path == "" {
			q.Path = string(path)
		}
	}
	for k, v := range e.Request.Headers {
		s, _ := v.(string)
		switch k = strings.ToLower(k); {
		case k == "user-agent":
			q.UserAgent = s
		case k == "host" && s != "":
			q.Host = s
		}
	}
	for _, id := range append([]string{e.Request.ID}, headerIDs(e.Request.Headers)...) {
		q.IDs = appendID(q.IDs, []byte(id))
	}
	var svc struct {
		Name string `json:"name"`
		Host string `json:"host"`
	}
	if json.Unmarshal(e.Service, &svc) == nil {
		if q.Upstream = svc.Name; q.Upstream == "" {
			q.Upstream = svc.Host
		}
	}
	e.attempts(q)
	e.judge(q)
	out.State(q)
	return source.Mine
}

// headerIDs returns the values of request headers that identify a request, in
// the order of their names.
func headerIDs(h map[string]any) []string {
	var out []string
	for _, name := range [...]string{"x-request-id", "x-kong-request-id", "x-correlation-id", "traceparent", "x-b3-traceid", "x-amzn-trace-id", "x-cloud-trace-context", "cf-ray"} {
		if s, ok := h[name].(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (e *pluginEntry) attempts(q *fact.Request) {
	for i, t := range e.Tries {
		if i >= maxTries {
			break
		}
		a := try(q, i)
		if a.Address = t.IP; t.Port > 0 {
			a.Address += ":" + strconv.Itoa(t.Port)
		}
		if t.Keepalive != nil {
			a.Reused = fact.Num(0)
			if *t.Keepalive {
				a.Reused = fact.Num(1)
			}
		}
	}
	var up string
	if json.Unmarshal(e.Upstream, &up) == nil && up != "" && len(q.Attempts) == 0 {
		for i, x := range split([]byte(up), new([maxTries][]byte)) {
			try(q, i).Address = string(address(x))
		}
	}
	for i, x := range split(unquote(e.UpstreamStatus), new([maxTries][]byte)) {
		if n := status(x); n > 0 && i < max(len(q.Attempts), 1) {
			try(q, i).Status = fact.Num(n)
		}
	}
	if n := len(q.Attempts); n == 1 {
		if q.Attempts[0].Took = optMillis(e.Latencies.Proxy); !q.Attempts[0].Took.Known {
			q.Attempts[0].Took = optMillis(e.UpstreamLatency)
		}
	}
}

func (e *pluginEntry) judge(q *fact.Request) {
	switch {
	case q.Status.Is(499):
		q.Writer, q.Ended = fact.WriterSelf, fact.ClientGone
	case e.Source == "upstream":
		q.Writer = fact.WriterBackend
		if q.Status.Or(0) >= 500 {
			q.Ended = fact.AppAnswered
		}
	case e.Source == "exit" || e.Source == "error":
		if q.Writer = fact.WriterSelf; q.Status.Is(503) && len(q.Attempts) == 0 {
			q.Ended = fact.NoBackend
		}
	}
	if q.Writer == fact.WriterSelf {
		for i := range q.Attempts {
			q.Attempts[i].Status = fact.Int{}
		}
	}
}
