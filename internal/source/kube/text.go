package kube

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// sniffText grades a line as kubectl's.
func sniffText(l *source.Line) source.Confidence {
	b := bytes.TrimRight(l.Text, " \t")
	if len(b) < 8 || b[0] == '[' {
		return source.No
	}
	if b[0] == '{' {
		if source.Has(b, "preemptible-killer") {
			return source.Likely
		}
		return source.No
	}
	text := source.View(b)
	if kind, _ := header(text); kind != "" {
		return source.Likely
	}
	if c := sniffRow(text); c != source.No {
		return c
	}
	if _, ok := loosePod(text); ok {
		return source.Likely
	}
	if c := sniffDescribe(text); c != source.No {
		return c
	}
	if isBackends(b) {
		return source.Sure
	}
	if _, ok := message(bytes.TrimLeft(b, " \t")); ok {
		return source.Fragment
	}
	return source.No
}

// text reads what kubectl prints: tables, descriptions, and pieces of them in
// any order.
type text struct {
	teller
	table *table
	desc  *description
}

func newText(*source.Env) source.LineReader { return &text{} }

// Close implements [source.LineReader].
func (r *text) Close(out source.Sink) {
	r.out = out
	r.endDescription()
	r.close()
}

// Line implements [source.LineReader].
func (r *text) Line(l *source.Line, out source.Sink) source.Took {
	r.out = out
	b := bytes.TrimRight(l.Text, " \t")
	line := string(b)
	if line == "" {
		if r.table != nil {
			r.table = nil
			return source.Mine
		}
		return mine(r.desc != nil)
	}
	if len(line) > maxTextLine {
		return source.NotMine
	}
	if kind, titles := header(line); kind != "" && (r.desc == nil || line[0] != ' ') {
		if kind != "events" {
			r.endDescription()
		}
		r.table = &table{kind, titles}
		return source.Mine
	}
	if r.table != nil && strings.Trim(line, "- ") == "" {
		return source.Mine
	}
	if r.table != nil && r.table.kind != "events" {
		if r.table.row(line, &r.teller) {
			return source.Mine
		}
		r.table = nil
	}
	if h, ok := row(line); ok && (r.desc == nil || r.desc.events || !r.desc.has) {
		r.tellRow(&h, l)
		return source.Mine
	}
	if isBackends(b) {
		r.backends(b, fact.Origin{})
		return source.Mine
	}
	if isStart(line) {
		r.endDescription()
		r.desc = &description{}
	}
	if r.desc != nil || sniffDescribe(line) != source.No {
		if r.desc == nil {
			r.desc = &description{}
		}
		if r.desc.line(line, l, &r.teller) {
			return source.Mine
		}
		if line[0] != ' ' {
			r.endDescription()
		}
	}
	if p, ok := loosePod(line); ok {
		p.tell(&r.teller)
		return source.Mine
	}
	if h, ok := message(bytes.TrimLeft(b, " \t")); ok {
		if h.last.IsZero() {
			h.last, h.res = l.Time, l.Res
		}
		r.tellRow(&h, l)
		return source.Mine
	}
	return source.NotMine
}

// maxTextLine bounds a line of kubectl's text: more is no table.
const maxTextLine = 32 << 10

func mine(yes bool) source.Took {
	if yes {
		return source.Mine
	}
	return source.NotMine
}

// tellRow states an event. One in a description is about what is described.
func (r *text) tellRow(h *happening, l *source.Line) {
	if h.name == "" && r.desc != nil && r.desc.name != "" {
		r.desc.flush(&r.teller)
		o := r.desc.object
		h.kind, h.name, h.namespace, h.owner, h.address = o.kind, o.name, o.namespace, o.owner, o.address
		if h.node == "" {
			h.node = o.node
		}
	}
	if h.reason == "ScalingReplicaSet" {
		h.origin = originOf(l)
	}
	r.happened(h)
}

func (r *text) endDescription() {
	if r.desc != nil {
		r.desc.flush(&r.teller)
		r.desc = nil
	}
}

// isBackends recognises the annotation in which Google's controller tells what
// its balancer thinks: {"k8s-be-30167--01177f64":"UNHEALTHY"}.
func isBackends(b []byte) bool {
	return (source.Has(b, `{"k8s-be-`) || source.Has(b, `{"k8s1-`) || source.Has(b, `{"k8s2-`)) &&
		(source.Has(b, `HEALTHY"`) || source.Has(b, `"Unknown"`))
}

// backends states each backend service none of whose groups was found healthy:
// the controller writes HEALTHY as soon as one is.
func (t *teller) backends(b []byte, at fact.Origin) {
	i, j := bytes.IndexByte(b, '{'), bytes.LastIndexByte(b, '}')
	if i < 0 || j < i {
		return
	}
	states := map[string]string{}
	if json.Unmarshal(b[i:j+1], &states) != nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state := states[name]
		if state == "HEALTHY" || state == "Healthy" {
			continue
		}
		e := &fact.Event{Kind: fact.NoBackendLeft, Reason: strings.ToLower(state)}
		e.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Name: name}
		e.Origin = at
		t.out.State(e)
	}
}
