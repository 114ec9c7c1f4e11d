package alb

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// resource reads what `aws elbv2 describe-target-health`,
// `describe-load-balancer-attributes`, `describe-target-group-attributes` and
// `describe-target-groups` print as JSON.
var resource = source.Format{
	ID: "alb-resource", Tech: tech, Title: "AWS load balancer attributes or target health",
	SniffDoc: sniffResource, ReadDoc: readResource, Config: true,
}

func sniffResource(head []byte, _ string) source.Confidence {
	t := bytes.TrimLeft(head, " \t\r\n")
	if len(t) == 0 || t[0] != '{' {
		return source.No
	}
	switch {
	case source.Has(t, `"TargetHealthDescriptions"`), source.Has(t, `"TargetGroups"`) && source.Has(t, `"HealthCheckIntervalSeconds"`),
		source.Has(t, `"idle_timeout.timeout_seconds"`), source.Has(t, `"deregistration_delay.timeout_seconds"`):
		return source.Sure
	}
	return source.No
}

var errNoResource = errors.New("read AWS description: nothing known in it")

func readResource(_ *source.Env, doc *source.Doc, out source.Sink) error {
	v, err := fastjson.ParseBytes(doc.Data)
	if err != nil {
		return fmt.Errorf("read AWS description: %w", err)
	}
	at := func(text string) fact.Origin {
		line := 1
		if i := bytes.Index(doc.Data, []byte(text)); i >= 0 {
			line += bytes.Count(doc.Data[:i], []byte{'\n'})
		}
		return fact.Origin{Line: line, Text: text}
	}
	read := targets(v, at, out)
	for _, a := range v.GetArray("Attributes") {
		read = attribute(str(a, "Key"), str(a, "Value"), at, out) || read
	}
	for _, g := range v.GetArray("TargetGroups") {
		read = group(g, at, out) || read
	}
	if !read {
		return errNoResource
	}
	return nil
}

func str(v *fastjson.Value, path ...string) string { return string(v.GetStringBytes(path...)) }

// targets states the health of a group's members, as it stood when it was
// asked for.
func targets(v *fastjson.Value, at func(string) fact.Origin, out source.Sink) bool {
	list := v.GetArray("TargetHealthDescriptions")
	down := 0
	for _, x := range list {
		id, state := str(x, "Target", "Id"), str(x, "TargetHealth", "State")
		ev := &fact.Event{Reason: "health-check", Detail: strings.TrimSpace(str(x, "TargetHealth", "Reason") + " " + str(x, "TargetHealth", "Description"))}
		switch state {
		case "healthy":
			ev.Kind, ev.Reason = fact.BackendUp, ""
		case "unhealthy", "unavailable":
			ev.Kind = fact.BackendDown
			down++
		case "draining":
			ev.Kind, ev.Reason = fact.EndpointGone, "draining"
		case "initial", "unhealthy.draining":
			ev.Kind, ev.Reason = fact.NotReady, state
			down++
		default:
			continue
		}
		switch why := str(x, "TargetHealth", "Reason"); why {
		case "Target.Timeout":
			ev.Attrs = map[string]string{fact.AttrWhy: "timeout"}
		case "Target.ResponseCodeMismatch":
			ev.Attrs = map[string]string{fact.AttrWhy: "status"}
		}
		ev.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Name: id}
		if port := x.GetInt("Target", "Port"); port > 0 && strings.ContainsAny(id, ".:") {
			ev.Party.Address = fmt.Sprintf("%s:%d", id, port)
		}
		ev.Origin = at(id)
		ev.Origin.Text = id + " " + state + " " + ev.Detail
		out.State(ev)
	}
	if len(list) > 0 && down == len(list) {
		ev := &fact.Event{Kind: fact.NoBackendLeft, Reason: "health-check", Max: fact.Num(len(list))}
		ev.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
		ev.Origin = at("TargetHealthDescriptions")
		ev.Origin.Text = fmt.Sprintf("%d of %d targets not healthy", down, len(list))
		out.State(ev)
	}
	return len(list) > 0
}

// attribute states a knob of a balancer or of a target group.
func attribute(key, value string, at func(string) fact.Origin, out source.Sink) bool {
	n := source.Int([]byte(value))
	if !n.Known || n.N < 0 || n.N > 1<<31 {
		return false
	}
	var knobs []fact.Knob
	what, where := "load-balancer", "load balancer attributes"
	switch key {
	case "idle_timeout.timeout_seconds":
		knobs = []fact.Knob{fact.PoolIdle, fact.UpstreamReply}
	case "client_keep_alive.seconds":
		knobs = []fact.Knob{fact.KeepAliveIdle}
	case "deregistration_delay.timeout_seconds":
		knobs, what, where = []fact.Knob{fact.GracefulTimeout}, "target-group", "target group attributes"
	}
	for _, k := range knobs {
		s := &fact.Setting{Knob: k, Dur: fact.Lasting(time.Duration(n.N) * time.Second), Basis: fact.Configured, Where: where,
			Spelling: "aws elbv2 modify-" + what + "-attributes --" + what + "-arn ARN --attributes Key=" + key + ",Value={s}"}
		s.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
		s.Origin = at(key)
		s.Origin.Text = key + " = " + value
		out.State(s)
	}
	return len(knobs) > 0
}

// group states the health check of a target group.
func group(g *fastjson.Value, at func(string) fact.Origin, out source.Sink) bool {
	name := str(g, "TargetGroupName")
	read := false
	for _, k := range []struct {
		field, flag string
		knob        fact.Knob
	}{
		{"HealthCheckIntervalSeconds", "--health-check-interval-seconds {s}", fact.HealthPeriod},
		{"HealthCheckTimeoutSeconds", "--health-check-timeout-seconds {s}", fact.HealthTimeout},
		{"UnhealthyThresholdCount", "--unhealthy-threshold-count {n}", fact.HealthThreshold},
	} {
		n := g.GetInt64(k.field)
		if n <= 0 || n > 1<<31 {
			continue
		}
		s := &fact.Setting{Knob: k.knob, Basis: fact.Configured, Where: "target group", Object: name, Spelling: "aws elbv2 modify-target-group --target-group-arn ARN " + k.flag}
		if k.knob == fact.HealthThreshold {
			s.Num = fact.Num(n)
		} else {
			s.Dur = fact.Lasting(time.Duration(n) * time.Second)
		}
		s.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
		s.Origin = at(k.field)
		s.Origin.Text = fmt.Sprintf("%s %s = %d", name, k.field, n)
		out.State(s)
		read = true
	}
	return read
}
