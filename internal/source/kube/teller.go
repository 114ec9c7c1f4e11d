package kube

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// teller states what one input tells, and holds back what only the whole of it
// can name.
type teller struct {
	out source.Sink
	// scales are the steps of replica sets: of a rollout, if one deployment
	// has steps of two sets, else of a scaling.
	scales []*fact.Event
	said   map[string]bool // what is to be stated once
}

// The bounds of what is held.
const (
	maxScales = 10_000
	maxSaid   = 50_000
)

// happened states an event. Time and place of the line come from the sink,
// unless the event has its own.
func (t *teller) happened(h *happening) {
	e := h.fact()
	switch {
	case e == nil:
		t.out.Seen(h.last)
	case h.reason == "ScalingReplicaSet" && e.Origin.Line > 0 && len(t.scales) < maxScales:
		t.scales = append(t.scales, e)
	default:
		t.out.State(e)
	}
}

// once reports whether key is new.
func (t *teller) once(key string) bool {
	if t.said[key] || len(t.said) >= maxSaid {
		return false
	}
	if t.said == nil {
		t.said = map[string]bool{}
	}
	t.said[key] = true
	return true
}

// close states what was held back.
func (t *teller) close() {
	sets := map[string]map[string]bool{}
	key := func(e *fact.Event) string { return e.Attrs[fact.AttrNamespace] + "/" + e.Party.Name }
	for _, e := range t.scales {
		k := key(e)
		if sets[k] == nil {
			sets[k] = map[string]bool{}
		}
		sets[k][e.Attrs[attrSet]] = true
	}
	for _, e := range t.scales {
		if len(sets[key(e)]) > 1 {
			e.Reason = "deploy"
		}
		t.out.State(e)
	}
	t.scales = nil
}

// attrSet is the Attr that names the replica set of a step.
const attrSet = "replicaset"

// scaling reads "Scaled down replica set shop-7d9f8b6c5d from 3 to 2", "... to
// 2 from 3" and "... to 2".
func scaling(e *fact.Event, h *happening) bool {
	rest, up := strings.CutPrefix(h.message, "Scaled up replica set ")
	if !up {
		var ok bool
		if rest, ok = strings.CutPrefix(h.message, "Scaled down replica set "); !ok {
			return false
		}
	}
	set, counts, _ := strings.Cut(rest, " ")
	if h.name == "" {
		h.kind = "Deployment"
		if h.name, _ = deploymentOf(set); h.name == "" {
			h.name = set
		}
		e.Party, e.Attrs = h.party(), h.attrs()
	}
	if e.Attrs == nil {
		e.Attrs = map[string]string{}
	}
	e.Attrs[attrSet] = set
	if _, n, ok := strings.Cut(" "+counts, " to "); ok {
		e.Used = source.Int([]byte(digitsAt(n)))
	}
	if _, n, ok := strings.Cut(" "+counts, " from "); ok {
		e.Max = source.Int([]byte(digitsAt(n)))
	}
	e.Reason = "scale-down"
	if up {
		e.Reason = "scale-up"
	}
	return true
}

// originOf is where a line stands, for facts that are stated later.
func originOf(l *source.Line) fact.Origin {
	return fact.Origin{Path: l.Path, Line: l.N, Text: string(l.Text[:min(len(l.Text), fact.MaxText)])}
}
