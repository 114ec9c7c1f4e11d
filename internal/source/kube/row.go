package kube

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// maxRow bounds the part of a line in which a row's type and reason stand, in
// bytes: after two ages, a name and a kind.
const maxRow = 400

// cursor cuts a line at blanks.
type cursor struct{ rest string }

func (c *cursor) next() string {
	c.rest = strings.TrimLeft(c.rest, " \t")
	i := strings.IndexAny(c.rest, " \t")
	if i < 0 {
		i = len(c.rest)
	}
	w := c.rest[:i]
	c.rest = c.rest[i:]
	return w
}

func (c *cursor) peek() string {
	d := *c
	return d.next()
}

// times reads "11m (x6 over 12m)", "11m", or a date.
func (c *cursor) times(h *happening) bool {
	d := *c
	w := d.next()
	if a, ok := age(w); ok {
		h.age = a
	} else if t := stamp(w); !t.IsZero() {
		h.last, h.res = t, second
	} else if w != "<unknown>" && w != "<invalid>" {
		return false
	}
	if p := d; strings.HasPrefix(p.peek(), "(x") {
		n := p.next()[2:]
		if p.next() == "over" {
			if a, ok := age(strings.TrimSuffix(p.next(), ")")); ok {
				h.firstAge, h.count = a, int(source.Int([]byte(n)).Or(0))
				d = p
			}
		}
	}
	*c = d
	return true
}

// row reads a line of a table of events, by its own words: all layouts of
// kubectl get events and describe, with or without columns' blanks.
func row(text string) (h happening, ok bool) {
	if !strings.Contains(text[:min(len(text), maxRow)], "Warning") && !strings.Contains(text[:min(len(text), maxRow)], "Normal") {
		return h, false
	}
	c := cursor{text}
	seen, words := 0, 0
	for {
		prev := h.age
		if c.times(&h) {
			if seen++; seen == 2 && prev.Known && h.age.Known {
				// The old layouts: of two ages the longer is that of the first.
				h.age, h.firstAge = fact.Lasting(min(prev.D, h.age.D)), fact.Lasting(max(prev.D, h.age.D))
			}
			continue
		}
		w := c.next()
		if w == "Normal" || w == "Warning" {
			break
		}
		words++
		if w == "" || words > 8 || !before(&h, w, &c) {
			return h, false
		}
	}
	h.reason = c.next()
	if !isReason(h.reason) {
		return h, false
	}
	_, known := rules[h.reason]
	if seen == 0 && c.times(&h) { // describe
		seen++
		from(&h, &c)
	} else {
		subject(&h, &c)
	}
	h.message = strings.TrimSpace(c.rest)
	trailing(&h)
	return h, known && (seen > 0 || h.message != "") || seen > 0 && words <= 6 && h.message != ""
}

// before reads a word that stands before the type: what old layouts and -A put
// there. It reports false for a word of ordinary text.
func before(h *happening, w string, c *cursor) bool {
	switch {
	case isObject(w):
		setObject(h, w)
	case strings.HasPrefix(w, "spec."):
		h.container = containerIn(w)
	case source.Int([]byte(w)).Known:
		h.count = int(source.Int([]byte(w)).N)
	case kinds[strings.ToLower(w)] != "" && h.name != "":
		h.kind = kindOf(w)
	case strings.HasSuffix(w, ","):
		h.source, h.node = strings.TrimSuffix(w, ","), c.next()
	case isComponent(w):
		h.source = w
	case isDNSName(w):
		// A namespace comes before the time, a name after it.
		if !h.age.Known && h.last.IsZero() && h.namespace == "" {
			h.namespace = w
			return true
		}
		if i := strings.LastIndexByte(w, '.'); i > 0 && len(w)-i > 10 {
			w = w[:i] // an event's own name: the object's and a number
		}
		h.name = w
	default:
		return false
	}
	return true
}

// from reads the component that speaks, "kubelet, node-a".
func from(h *happening, c *cursor) {
	if strings.HasPrefix(c.peek(), "{") { // before 1.4: {kubelet node-a}
		h.source = strings.TrimPrefix(c.next(), "{")
		if !strings.HasSuffix(h.source, "}") {
			h.node = strings.TrimSuffix(c.next(), "}")
		}
		h.source = strings.TrimSuffix(h.source, "}")
	} else {
		h.source = c.next()
		if strings.HasSuffix(h.source, ",") {
			h.source, h.node = strings.TrimSuffix(h.source, ","), c.next()
		}
	}
	if strings.HasPrefix(c.peek(), "spec.") {
		h.container = containerIn(c.next())
	}
}

// subject reads what stands between reason and message: the object, and in
// wide layouts its part and the component that speaks.
func subject(h *happening, c *cursor) {
	w := c.peek()
	switch {
	case isObject(w):
		if h.kind == "" && h.namespace == "" {
			h.namespace = h.name // the name before the type was a namespace
		}
		setObject(h, c.next())
	case h.kind == "" && kinds[strings.ToLower(w)] != "" && c.apart(w):
		h.kind = kindOf(c.next()) // kubectl 1.13 has no name
	}
	if strings.HasPrefix(c.peek(), "spec.") {
		h.container = containerIn(c.next())
	}
	if front, host, ok := strings.Cut(c.peek(), ","); ok && host != "" && isComponent(front) {
		c.next()
		h.source, h.node = front, host
	}
	if w = c.peek(); isComponent(w) && (strings.HasSuffix(w, ",") || c.apart(w)) {
		from(h, c)
	}
}

// apart reports whether two blanks follow the next word w: it is a column.
func (c *cursor) apart(w string) bool {
	return strings.HasPrefix(strings.TrimLeft(c.rest, " \t")[len(w):], "  ")
}

// isComponent reports whether w may be what speaks: "kubelet,".
func isComponent(w string) bool {
	w = strings.TrimSuffix(w, ",")
	for _, end := range [...]string{"kubelet", "-controller", "-scheduler", "-manager", "-autoscaler", "scheduler", "controllermanager", "-monitor", "karpenter"} {
		if strings.HasSuffix(w, end) {
			return true
		}
	}
	return false
}

// trailing takes off what the wide layout puts after the message: the first
// time, the count and the event's name.
func trailing(h *happening) {
	parts := strings.Split(h.message, "   ")
	var tail []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			tail = append(tail, p)
		}
	}
	n := len(tail)
	if n < 4 || !source.Int([]byte(tail[n-2])).Known {
		return
	}
	if a, ok := age(tail[n-3]); ok {
		h.firstAge, h.count = a, int(source.Int([]byte(tail[n-2])).N)
		h.message = strings.Join(tail[:n-3], "   ")
	}
}

// isReason reports whether s has the shape of a reason: a word in CamelCase,
// or in capitals.
func isReason(s string) bool {
	if len(s) < 3 || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := range len(s) {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// isObject reports whether s is "pod/shop-7d9".
func isObject(s string) bool {
	kind, name, ok := strings.Cut(s, "/")
	if !ok || len(kind) < 3 || !isDNSName(name) {
		return false
	}
	for i := range len(kind) {
		if c := kind[i] | 0x20; (c < 'a' || c > 'z') && kind[i] != '.' {
			return false
		}
	}
	return true
}

func setObject(h *happening, s string) {
	kind, name, _ := strings.Cut(s, "/")
	h.kind, h.name = kindOf(kind), name
}

// containerIn is the container of "spec.containers{web}".
func containerIn(fieldPath string) string {
	_, rest, ok := strings.Cut(fieldPath, "{")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(rest, "}")
}

// sniffRow grades a line as a row of events.
func sniffRow(text string) source.Confidence {
	h, ok := row(text)
	if !ok {
		return source.No
	}
	if _, known := rules[h.reason]; known && (h.age.Known || !h.last.IsZero()) {
		return source.Sure
	} else if known || h.age.Known && h.name != "" {
		return source.Likely
	}
	return source.Possible
}
