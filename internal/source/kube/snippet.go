package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// snippetKeys are keys that stand in no other YAML than Kubernetes'.
var snippetKeys = []string{"livenessProbe", "readinessProbe", "startupProbe", "preStop", "terminationGracePeriodSeconds",
	"topologySpreadConstraints", "podAntiAffinity", "containerStatuses", "lastState"}

func hasSnippetKey(b []byte, quote string) bool {
	for _, k := range snippetKeys {
		if source.Has(b, quote+k+quote+":") {
			return true
		}
	}
	return false
}

// sniffSnippet recognises a piece of an object that stands alone: a probe, a
// container, a status. Every line must look like YAML.
func sniffSnippet(t []byte) source.Confidence {
	if isJSON(t) {
		front := t[:min(len(t), 4096)]
		if hasSnippetKey(front, `"`) && !source.Has(front, `"logName"`) && !source.Has(front, `"toolset`) {
			return source.Likely
		}
		return source.No
	}
	if !hasSnippetKey(t, "") {
		return source.No
	}
	if len(t) > source.HeadSize/2 {
		return source.No // no piece of an object, but a file of something else
	}
	for l := range bytes.Lines(t) {
		l = bytes.TrimSpace(l)
		if len(l) > 0 && l[0] != '#' && !isYAMLLine(l) {
			return source.No
		}
	}
	return source.Likely
}

// isYAMLLine reports whether a trimmed line is an item, a key with or without
// a value, or the end of a bracket.
func isYAMLLine(l []byte) bool {
	if l[0] == '-' || l[0] == ']' || l[0] == '}' {
		return len(l) == 1 || l[1] == ' ' || l[1] == ',' || l[1] == '-'
	}
	i := bytes.IndexByte(l, ':')
	if i < 1 || i > 80 || i+1 < len(l) && l[i+1] != ' ' {
		return false
	}
	return !bytes.ContainsAny(l[:i], " \t[]=(")
}

// readSnippet reads a piece of an object.
func (r *reader) snippet() error {
	r.teller.out = given{r.teller.out}
	data := bytes.TrimLeft(r.doc.Data, " \t\r\n")
	if isJSON(data) {
		if !json.Valid(data) {
			return errors.New("read JSON: not whole")
		}
		r.line = 1
		r.pieces(func(v any) { json.Unmarshal(data, v) })
		return nil
	}
	c := chunk{0, r.doc.Data}
	squares := 0
	body, line, err := c.parse(&squares)
	if err != nil {
		return fmt.Errorf("read YAML: line %d: %w", line, err)
	}
	r.cur = &c
	r.pieces(func(v any) { decode(body, v) })
	return nil
}

// pieces tries what the piece may be of: a container, a pod's or a workload's
// specification, a status.
func (r *reader) pieces(fill func(any)) {
	var o object
	var one container
	fill(&one)
	r.containerSettings(&o, &one, "containers[]")
	var many []container
	fill(&many)
	for i := range many {
		r.containerSettings(&o, &many[i], "containers["+many[i].Name.text+"]")
	}
	var of struct {
		Spec     podSpec `json:"spec"`
		Template struct {
			Spec podSpec `json:"spec"`
		} `json:"template"`
	}
	fill(&of)
	var direct podSpec
	fill(&direct)
	var w workload
	fill(&w)
	for _, p := range [...]*podSpec{&direct, &of.Spec, &of.Template.Spec, &w.Spec.Template.Spec} {
		r.said = nil
		r.podSettings(&o, p, nil, fact.Origin{})
	}
	if n := w.Spec.Replicas.int(); n.Known {
		s := o.setting(fact.Replicas, "replicas: {n}", "spec")
		s.Num, s.Origin = n, r.at(w.Spec.Replicas)
		r.out.State(s)
	}
	r.statuses(fill)
}

// statuses reads what is a pod's status, or the statuses of containers.
func (r *reader) statuses(fill func(any)) {
	var status struct {
		Containers []containerStatus `json:"containerStatuses"`
		Status     struct {
			Containers []containerStatus `json:"containerStatuses"`
		} `json:"status"`
	}
	fill(&status)
	var one containerStatus
	fill(&one)
	var many []containerStatus
	fill(&many)
	p := life{}
	for _, list := range [...][]containerStatus{status.Containers, status.Status.Containers, many, {one}} {
		for i := range list {
			if c := &list[i]; c.State != (containerState{}) || c.LastState != (containerState{}) {
				p.boxes = append(p.boxes, r.box(c))
			}
		}
	}
	r.pod(&p)
}

// given passes on what a piece says, and not what is missing from it: the rest
// of the object may have it. Within a probe that is there, defaults hold.
type given struct{ out source.Sink }

// State implements [source.Sink].
func (g given) State(f fact.Fact) {
	if s, ok := f.(*fact.Setting); ok && s.Basis == fact.Default && s.Knob != fact.ProbeTimeout && s.Knob != fact.ProbePeriod && s.Knob != fact.ProbeThreshold {
		return
	}
	g.out.State(f)
}

// Inner implements [source.Sink].
func (g given) Inner(l *source.Line) { g.out.Inner(l) }

// Seen implements [source.Sink].
func (g given) Seen(t time.Time) { g.out.Seen(t) }
