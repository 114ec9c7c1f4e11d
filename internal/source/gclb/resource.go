package gclb

import (
	"bytes"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// resource reads what `gcloud compute backend-services get-health`,
// `backend-services describe` and `health-checks describe` print, as YAML or
// JSON.
var resource = source.Format{
	ID: "gcp-resource", Tech: tech, Title: "Google Cloud backend service, health check or backend health",
	SniffDoc: sniffResource, ReadDoc: readResource, Config: true,
}

var resourceKinds = []string{"compute#backendServiceGroupHealth", "compute#backendService", "compute#healthCheck", "compute#httpHealthCheck", "compute#httpsHealthCheck"}

func sniffResource(head []byte, _ string) source.Confidence {
	t := bytes.TrimLeft(head, " \t\r\n-")
	if len(t) == 0 || countMarks(t) > 1 {
		return source.No
	}
	for _, k := range resourceKinds {
		if source.Has(t, k) {
			return source.Sure
		}
	}
	if source.Has(t, "healthStatus") && source.Has(t, "healthState") {
		return source.Sure
	}
	return source.No
}

func readResource(_ *source.Env, doc *source.Doc, out source.Sink) error {
	read := 0
	for i, line := 0, 1; i < len(doc.Data); {
		end := len(doc.Data)
		if j := bytes.Index(doc.Data[i:], []byte("\n---")); j >= 0 {
			end = i + j + 1
		}
		part := doc.Data[i:end]
		values, err := parseResource(part)
		if err != nil {
			doc.Skip(line, err.Error())
		}
		for _, v := range values {
			if stateResource(v, line, out) {
				read++
			}
		}
		line += bytes.Count(part, []byte{'\n'})
		i = end
	}
	if read == 0 {
		return errNoEntry
	}
	return nil
}

// parseResource reads one YAML or JSON document: an object, or a list of them.
func parseResource(part []byte) (list []*fastjson.Value, err error) {
	part = bytes.TrimPrefix(bytes.TrimSpace(part), []byte("---"))
	if len(bytes.TrimSpace(part)) == 0 {
		return nil, nil
	}
	if len(part) > maxYAML {
		return nil, fmt.Errorf("read YAML: document over %d KiB", maxYAML>>10)
	}
	defer func() {
		// The parser is not ours and the text is hostile.
		if p := recover(); p != nil {
			err = fmt.Errorf("read YAML: %v", p)
		}
	}()
	v, err := fastjson.ParseBytes(part)
	if err != nil {
		j, yerr := yaml.YAMLToJSON(part)
		if yerr != nil {
			return nil, fmt.Errorf("read YAML: %w", yerr)
		}
		if v, err = fastjson.ParseBytes(j); err != nil {
			return nil, fmt.Errorf("read YAML: %w", err)
		}
	}
	if a, err := v.Array(); err == nil {
		return a, nil
	}
	return []*fastjson.Value{v}, nil
}

// lastPart is a resource's name out of its URL.
func lastPart(url string) string {
	for i := len(url) - 1; i >= 0; i-- {
		if url[i] == '/' {
			return url[i+1:]
		}
	}
	return url
}

// stateResource states what an object of the API tells, with its origin.
func stateResource(v *fastjson.Value, line int, out source.Sink) bool {
	switch {
	case v.Exists("status", "healthStatus") || v.Exists("healthStatus"):
		return backendHealth(v, line, out)
	case text(v, "kind") == "compute#backendService" || v.Exists("loadBalancingScheme") && v.Exists("timeoutSec"):
		return configured(v, line, "backend service", out, []knob{
			{"timeoutSec", fact.UpstreamReply, "gcloud compute backend-services update %s --timeout={s}s"},
			{"connectionDraining.drainingTimeoutSec", fact.GracefulTimeout, "gcloud compute backend-services update %s --connection-draining-timeout={s}s"},
		})
	case v.Exists("checkIntervalSec"):
		return configured(v, line, "health check", out, []knob{
			{"checkIntervalSec", fact.HealthPeriod, "gcloud compute health-checks update http %s --check-interval={s}s"},
			{"timeoutSec", fact.HealthTimeout, "gcloud compute health-checks update http %s --timeout={s}s"},
			{"unhealthyThreshold", fact.HealthThreshold, "gcloud compute health-checks update http %s --unhealthy-threshold={n}"},
		})
	}
	return false
}

// knob is a field of a resource and the setting it is.
type knob struct {
	field    string
	knob     fact.Knob
	spelling string // with %s for the resource
}

func configured(v *fastjson.Value, line int, where string, out source.Sink, knobs []knob) bool {
	name := text(v, "name")
	read := false
	for _, k := range knobs {
		path := bytes.Split([]byte(k.field), []byte{'.'})
		keys := make([]string, len(path))
		for i := range path {
			keys[i] = string(path[i])
		}
		n := source.Int([]byte(number(v, keys...)))
		if !n.Known || n.N < 0 || n.N > 1<<31 {
			continue
		}
		s := &fact.Setting{Knob: k.knob, Basis: fact.Configured, Spelling: fmt.Sprintf(k.spelling, name), Where: where, Object: name}
		if k.knob == fact.HealthThreshold {
			s.Num = n
		} else {
			s.Dur = fact.Lasting(time.Duration(n.N) * time.Second)
		}
		s.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
		s.Origin.Line = line
		s.Origin.Text = fmt.Sprintf("%s %s: %s %d", where, name, k.field, n.N)
		out.State(s)
		read = true
	}
	return read
}

// backendHealth states which members of a group are up. Such a listing has no
// time: it tells how things stood when it was taken.
func backendHealth(v *fastjson.Value, line int, out source.Sink) bool {
	group := lastPart(text(v, "backend"))
	list := v.GetArray("status", "healthStatus")
	if list == nil {
		list = v.GetArray("healthStatus")
	}
	down := 0
	for _, m := range list {
		state := text(m, "healthState")
		ev := &fact.Event{Kind: fact.BackendDown, Reason: "health-check", Detail: state}
		switch state {
		case "HEALTHY":
			ev.Kind, ev.Reason = fact.BackendUp, ""
		case "UNHEALTHY", "TIMEOUT":
			down++
		case "DRAINING":
			ev.Kind, ev.Reason = fact.EndpointGone, "draining"
		default:
			continue
		}
		addr := text(m, "ipAddress")
		if p := number(m, "port"); p != "" && addr != "" {
			addr += ":" + p
		}
		ev.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Name: group, Address: addr, Host: lastPart(text(m, "instance"))}
		ev.Origin.Line, ev.Origin.Text = line, "healthState: "+state+" "+addr
		out.State(ev)
	}
	if len(list) > 0 && down == len(list) {
		ev := &fact.Event{Kind: fact.NoBackendLeft, Reason: "health-check", Max: fact.Num(len(list))}
		ev.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, Name: group}
		ev.Origin.Line, ev.Origin.Text = line, fmt.Sprintf("%d of %d members UNHEALTHY", down, len(list))
		out.State(ev)
	}
	return len(list) > 0
}
