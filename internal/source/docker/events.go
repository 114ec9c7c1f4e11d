package docker

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// event is one event of docker or podman, from JSON or text.
type event struct {
	at     time.Time
	res    time.Duration
	object string // "container", "network", "service", "node"
	action string // "die", "health_status: unhealthy"
	id     string
	attrs  map[string]string
}

// jsonEvent has the fields of docker's events and those of podman's, which
// differ in more than case.
type jsonEvent struct {
	Type, Action string
	Actor        struct {
		ID         string
		Attributes map[string]string
	}
	TimeNano int64           `json:"timeNano"`
	Time     json.RawMessage `json:"time"` // seconds, or podman's RFC 3339

	// podman
	Status            string
	ID, Name          string
	ContainerExitCode *int
	Attributes        map[string]string
	HealthStatus      string `json:"health_status"`
}

// sniffEvent recognises one event.
func sniffEvent(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 20 {
		return source.No
	}
	if b[0] == '{' {
		switch {
		case source.Has(b, `"Action":"`) && source.Has(b, `"Actor":{`):
			return source.Sure
		case source.Has(b, `"Type":"container"`) && source.Has(b, `"Status":"`):
			return source.Likely
		}
		return source.No
	}
	if b[len(b)-1] != ')' {
		return source.No
	}
	if _, ok := textEvent(&source.Env{}, b); ok {
		return source.Sure
	}
	return source.No
}

type events struct {
	env   *source.Env
	names map[string]string // by id, as far as told
}

// maxNames bounds the containers whose names are remembered.
const maxNames = 4096

func newEvents(env *source.Env) source.LineReader {
	return &events{env: env, names: map[string]string{}}
}

func (r *events) Close(source.Sink) {}

func (r *events) Line(l *source.Line, out source.Sink) source.Took {
	if sniffEvent(l) == source.No {
		return source.NotMine
	}
	var ev event
	if l.Text[0] == '{' {
		var ok bool
		if ev, ok = r.fromJSON(l.Text); !ok {
			return source.Broken
		}
	} else {
		ev, _ = textEvent(r.env, l.Text)
	}
	if ev.at.IsZero() {
		ev.at, ev.res = l.Time, l.Res.D
	}
	r.state(&ev, out)
	return source.Mine
}

func (r *events) fromJSON(b []byte) (event, bool) {
	var j jsonEvent
	if json.Unmarshal(b, &j) != nil {
		return event{}, false
	}
	ev := event{object: j.Type, action: j.Action, id: j.Actor.ID, attrs: j.Actor.Attributes}
	stamp := strings.Trim(string(j.Time), `"`)
	switch {
	case j.TimeNano > 0:
		ev.at = time.Unix(0, j.TimeNano).UTC()
	case source.Int([]byte(stamp)).Known:
		ev.at, ev.res = time.Unix(source.Int([]byte(stamp)).N, 0).UTC(), time.Second
	default:
		ev.at, _, _, _ = source.ISOTime(r.env, []byte(stamp))
	}
	if ev.action == "" { // podman
		ev.action, ev.id, ev.attrs = j.Status, j.ID, j.Attributes
		if ev.attrs == nil {
			ev.attrs = map[string]string{}
		}
		ev.attrs["name"] = j.Name
		if j.ContainerExitCode != nil {
			ev.attrs["exitCode"] = strconv.Itoa(*j.ContainerExitCode)
		}
		if ev.action == "health_status" {
			ev.action += ": " + j.HealthStatus
		}
	}
	return ev, true
}

// textEvent reads "STAMP container die ID (exitCode=137, image=app, name=web)".
// The stamp may have been taken off as a frame.
func textEvent(env *source.Env, b []byte) (ev event, ok bool) {
	if at, _, rest, stamped := source.ISOTime(env, b); stamped {
		ev.at = at
		b = bytes.TrimLeft(rest, " ")
		if zone, rest := source.Field(b); isZone(zone) { // podman writes +0100 CET
			b = rest
		}
	}
	object, rest := source.Field(b)
	switch source.View(object) {
	case "container", "network", "service", "node", "image", "volume", "daemon", "builder", "plugin", "config", "secret", "pod":
	default:
		return ev, false
	}
	if len(rest) == 0 || rest[len(rest)-1] != ')' {
		return ev, false
	}
	// The id is the first field of hexadecimal digits before a parenthesis; an
	// exec's command may hold others.
	i, j := 0, -1
	for {
		n := bytes.Index(rest[i:], []byte(" ("))
		if n < 0 {
			return ev, false
		}
		i += n
		if j = bytes.LastIndexByte(rest[:i], ' '); j >= 0 {
			if id := rest[j+1 : i]; string(object) != "container" || len(id) >= shortID && isHex(id) {
				break
			}
		}
		i++
	}
	id := rest[j+1 : i]
	ev.object, ev.action, ev.id = string(object), string(rest[:j]), string(id)
	ev.attrs = attributes(string(rest[i+2 : len(rest)-1]))
	return ev, true
}

// attributes splits "exitCode=137, image=app, name=web". A comma within a
// value makes pieces without a key, which are dropped.
func attributes(s string) map[string]string {
	m := map[string]string{}
	for part := range strings.SplitSeq(s, ", ") {
		if k, v, ok := strings.Cut(part, "="); ok && len(m) < 64 {
			m[k] = v
		}
	}
	return m
}

func isZone(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(b) > 0
}

func isHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(b) > 0
}

// state states what an event means.
func (r *events) state(ev *event, out source.Sink) {
	e := &fact.Event{Header: fact.Header{Time: ev.at}}
	if ev.res > 0 {
		e.Res = fact.Lasting(ev.res)
	}
	e.Party = container(r.nameOf(ev))
	if owner := ev.attrs["com.docker.compose.service"]; owner != "" {
		e.Attrs = map[string]string{fact.AttrOwner: "service/" + owner}
	}
	var ok bool
	switch ev.object {
	case "container":
		ok = containerEvent(e, ev)
	case "network":
		e.Kind, ok = fact.EndpointGone, ev.action == "disconnect"
		if ev.action == "connect" {
			e.Kind, ok = fact.EndpointAdded, true
		}
		e.Reason, e.Detail = "network-"+ev.action, ev.attrs["name"]
	case "service":
		e.Kind, e.Reason, ok = fact.Rollout, "deploy", ev.action == "update"
	case "node":
		e.Party.Role, e.Party.Host = fact.RoleHost, e.Party.Name
		ok = nodeEvent(e, ev)
	}
	if !ok {
		out.Seen(ev.at)
		return
	}
	out.State(e)
}

// nameOf is the name of what the event is about. Events of a network name the
// container by its id alone.
func (r *events) nameOf(ev *event) string {
	id, name := ev.id, ev.attrs["name"]
	if pod := ev.attrs["io.kubernetes.pod.name"]; pod != "" {
		return pod
	}
	if ev.object == "network" {
		id, name = ev.attrs["container"], ""
	}
	if name == "" {
		name = r.names[id]
	} else if len(r.names) < maxNames && id != "" {
		r.names[id] = name
	}
	if name == "" {
		name = id[:min(len(id), shortID)]
	}
	return name
}

func containerEvent(e *fact.Event, ev *event) bool {
	action, status, _ := strings.Cut(ev.action, ": ")
	switch action {
	case "die", "died":
		e.Kind = fact.ProcessExited
		if n := source.Int([]byte(ev.attrs["exitCode"])); n.Known {
			exited(e, n.N)
		}
		if n := source.Secs([]byte(ev.attrs["execDuration"])); n.Known {
			e.Lasted = n
		}
	case "oom":
		e.Kind, e.Reason = fact.OOMKilled, "OOMKilled"
		if e.Attrs == nil {
			e.Attrs = map[string]string{}
		}
		e.Attrs[fact.AttrScope] = "cgroup"
	case "kill":
		e.Kind, e.Reason = fact.ProcessStopping, "kill"
		e.Signal = int(source.Int([]byte(ev.attrs["signal"])).Or(0))
	case "start":
		e.Kind = fact.ProcessStarted
	case "pause":
		e.Kind, e.Reason = fact.NotReady, "paused"
	case "health_status":
		if !strings.HasPrefix(status, "unhealthy") {
			return false
		}
		e.Kind, e.Reason = fact.ProbeFailed, "health-check"
	default:
		return false
	}
	return true
}

func nodeEvent(e *fact.Event, ev *event) bool {
	switch {
	case ev.attrs["state.new"] == "down":
		e.Kind, e.Reason = fact.NodeLost, "down"
	case ev.attrs["availability.new"] == "drain":
		e.Kind, e.Reason = fact.NodeTerminating, "drain"
	case ev.attrs["state.new"] == "ready":
		e.Kind = fact.NodeBack
	default:
		return false
	}
	return true
}
