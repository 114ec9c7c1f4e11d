package kube

import (
	"bytes"
	"encoding/json"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// sniffEventJSON recognises one event on a line: of kubectl get events -w -o
// json squeezed, of an exporter, or as the payload of an entry of Google's
// Cloud Logging.
func sniffEventJSON(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 40 || b[0] != '{' || !source.Has(b, `"reason"`) {
		return source.No
	}
	if source.Has(b, `"involvedObject"`) || source.Has(b, `"regarding"`) && source.Has(b, `"note"`) {
		return source.Sure
	}
	return source.No
}

type eventJSON struct{ teller }

func newEventJSON(*source.Env) source.LineReader { return &eventJSON{} }

// Close implements [source.LineReader].
func (r *eventJSON) Close(out source.Sink) {
	r.out = out
	r.close()
}

// Line implements [source.LineReader].
func (r *eventJSON) Line(l *source.Line, out source.Sink) source.Took {
	if sniffEventJSON(l) == source.No {
		return source.NotMine
	}
	r.out = out
	var x struct {
		eventObject
		Payload *eventObject `json:"jsonPayload"`
		Object  *eventObject `json:"object"` // of a watch
		Event   *eventObject `json:"event"`  // of an exporter
	}
	if json.Unmarshal(l.Text, &x) != nil {
		return source.Broken
	}
	ev := &x.eventObject
	for _, inner := range [...]*eventObject{x.Payload, x.Object, x.Event} {
		if inner != nil && inner.Reason.text != "" {
			ev = inner
		}
	}
	h := ev.happening()
	if h.reason == "" {
		return source.Broken
	}
	h.origin = originOf(l)
	r.happened(&h)
	return source.Mine
}

// klog is the frame of the logs of Kubernetes' own programs and of many
// controllers: "E0309 14:00:05.123456    1234 prober.go:107] text".
func klog(env *source.Env, l *source.Line) (text []byte, ok bool) {
	b := l.Text
	if len(b) < 30 || strings.IndexByte("IWEF", b[0]) < 0 || b[5] != ' ' || b[8] != ':' || b[11] != ':' {
		return nil, false
	}
	for _, c := range b[1:5] {
		if c < '0' || c > '9' {
			return nil, false
		}
	}
	i := bytes.Index(b[:min(len(b), 120)], []byte("] "))
	if i < 0 || !source.Has(b[:i], ".go:") {
		return nil, false
	}
	if env != nil {
		// As syslog's stamp, with the month in letters.
		months := "JanFebMarAprMayJunJulAugSepOctNovDec"
		m := int(b[1]-'0')*10 + int(b[2]-'0')
		if m >= 1 && m <= 12 {
			stamp := append([]byte(months[3*m-3:3*m]+" "), b[3:5]...)
			end := bytes.IndexByte(b[6:], ' ')
			stamp = append(append(stamp, ' '), b[6:6+max(end, 0)]...)
			if t, res, _, ok := source.SyslogTime(env, stamp); ok && !t.IsZero() {
				l.Time, l.Res = t, fact.Lasting(res)
			}
		}
	}
	return b[i+2:], true
}

func sniffLog(l *source.Line) source.Confidence {
	text, ok := klog(nil, l)
	if !ok {
		return source.No
	}
	if _, ok := logged(text); ok {
		return source.Sure
	}
	return source.Possible
}

type logReader struct {
	teller
	env *source.Env
}

func newLog(env *source.Env) source.LineReader { return &logReader{env: env} }

// Close implements [source.LineReader].
func (r *logReader) Close(out source.Sink) {
	r.out = out
	r.close()
}

// Line implements [source.LineReader].
func (r *logReader) Line(l *source.Line, out source.Sink) source.Took {
	r.out = out
	text, ok := klog(r.env, l)
	if !ok {
		return source.NotMine
	}
	h, ok := logged(text)
	if !ok {
		out.Seen(l.Time)
		return source.Mine
	}
	h.last, h.res = l.Time, l.Res
	if h.reason == "ScalingReplicaSet" {
		h.origin = originOf(l)
	}
	r.happened(&h)
	return source.Mine
}

// messages are what the kubelet logs in structured form, and the reason of the
// event that means the same.
var messages = map[string]string{
	"Killing container with a grace period":                               "Killing",
	"Killing container with a grace period override":                      "Killing",
	"Message for Container of pod":                                        "Killing",
	"Eviction manager: pod is evicted successfully":                       "Evicted",
	"Eviction manager: attempting to reclaim":                             "EvictionThresholdMet",
	"Node became not ready":                                               "NodeNotReady",
	"Shutdown manager detected new shutdown event, isNodeShuttingDownNow": "NodeShutdown",
	"Shutdown manager detected new shutdown event":                        "NodeShutdown",
}

// noEndpoint stands for a log line that no reason of an event says.
const noEndpoint = "NoActiveEndpoint"

// logged turns the text of a log line into the event it means.
func logged(text []byte) (h happening, ok bool) {
	switch {
	case source.HasPrefix(text, `"Probe failed" `):
		return loggedProbe(text)
	case source.HasPrefix(text, `"Event occurred" `):
		h.reason, h.message, h.kind = value(text, "reason"), value(text, "message"), kindOf(value(text, "kind"))
		h.namespace, h.name = splitName(value(text, "object"))
		return h, h.reason != ""
	case source.HasPrefix(text, "Event(v1.ObjectReference{"):
		return loggedReference(text)
	case source.HasPrefix(text, `"Error syncing pod, skipping"`) && source.Has(text, "CrashLoopBackOff"):
		h.reason, h.kind = "BackOff", "Pod"
		h.namespace, h.name = splitName(value(text, "pod"))
		return h, true
	case source.HasPrefix(text, `Service "`) && source.Has(text, "does not have any active Endpoint"):
		// The ingress controller.
		h.reason, h.kind, h.message = noEndpoint, "Service", string(text)
		name, _ := source.Between(text, `"`, `"`)
		h.namespace, h.name = splitName(string(name))
		return h, true
	}
	if len(text) > 2 && text[0] == '"' {
		msg, _, closed := source.Quoted(text)
		if reason := messages[string(msg)]; closed && reason != "" {
			h.reason, h.message, h.kind = reason, string(msg), "Pod"
			h.container = value(text, "containerName")
			h.namespace, h.name = splitName(value(text, "pod"))
			if m := value(text, "containerMessage"); m != "" {
				h.message = m
			}
			if n := value(text, "node"); n != "" {
				h.kind, h.namespace, h.name = "Node", "", n
			}
			if m := value(text, "resourceName"); m != "" {
				h.kind, h.message = "Node", m
			}
			if reason == "NodeShutdown" {
				h.kind = "Node"
			}
			return h, true
		}
	}
	return h, false
}

func loggedProbe(text []byte) (h happening, ok bool) {
	h.reason, h.kind = "Unhealthy", "Pod"
	h.namespace, h.name = splitName(value(text, "pod"))
	h.container = value(text, "containerName")
	h.message = value(text, "probeType") + " probe failed: " + value(text, "output")
	_, _, ok = probeOf(h.message)
	return h, ok
}

// loggedReference reads "Event(v1.ObjectReference{Kind:"Pod", Namespace:"shop",
// Name:"web-1", ...}): type: 'Warning' reason: 'Unhealthy' text".
func loggedReference(text []byte) (h happening, ok bool) {
	part := func(pre, post string) string {
		v, _ := source.Between(text, pre, post)
		return string(v)
	}
	h.kind, h.namespace, h.name = part(`Kind:"`, `"`), part(`Namespace:"`, `"`), part(`Name:"`, `"`)
	h.container = containerIn(part(`FieldPath:"`, `"`))
	h.reason = part("reason: '", "'")
	h.message = strings.TrimSpace(part("reason: '"+h.reason+"'", ""))
	return h, h.reason != ""
}

// value is the value of key="..." or key=... in a structured line, which
// begins with a message in quotes.
func value(text []byte, key string) string {
	_, rest, ok := source.Quoted(text)
	for ok && len(rest) > 0 {
		i := bytes.IndexByte(rest, '=')
		if i < 0 {
			return ""
		}
		k := string(bytes.TrimLeft(rest[:i], " "))
		v, after, quoted := source.Quoted(rest[i+1:])
		if !quoted {
			v, after = source.Field(rest[i+1:])
		}
		if k == key {
			return strings.ReplaceAll(string(v), `\"`, `"`)
		}
		rest = after
	}
	return ""
}

// splitName splits "shop/web-1".
func splitName(s string) (namespace, name string) {
	if ns, n, ok := strings.Cut(s, "/"); ok {
		return ns, n
	}
	return "", s
}
