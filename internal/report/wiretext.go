package report

import (
	"fmt"
	"strings"
)

// What a ladder in text takes.
const (
	ladderRows = 14
	// leastSpan is the least room between two lifelines in which words are
	// still read.
	leastSpan = 20
)

// wires draws the examples of a finding, and prints how to see all of its
// packets.
func (t *text) wires(f *finding, in int, small bool) {
	list := t.d.examples(f)
	switch {
	case small || !t.verbose && f.No > showWires:
		list = nil
	case !t.verbose:
		list = list[:min(len(list), 1)]
	}
	if len(list) == 0 && len(f.Filters) == 0 {
		return
	}
	t.wrap(bold, in, "", "On the wire")
	for i, w := range list {
		if i > 0 {
			t.blank()
		}
		t.wire(w, in+2)
	}
	t.filters(f.Filters, in+2)
}

// showWires is how many findings are drawn; --verbose draws all.
const showWires = 3

// wire draws one ladder with its heading.
func (t *text) wire(w *wire, in int) {
	if w.Says != "" {
		t.wrap(noPaint, in, "", w.Says)
	}
	if len(w.Legs) == 2 && !w.Apart && t.span(w, in) >= leastSpan {
		for i := range w.Legs {
			t.legHead(w, i, in)
		}
		t.origin(w, len(w.Legs)-1, in)
		t.ladder(w, w.shown(ladderRows), 0, len(w.Legs), in)
	} else {
		for i := range w.Legs {
			t.legHead(w, i, in)
			if i == len(w.Legs)-1 || w.Apart {
				t.origin(w, i, in)
			}
			var steps []step
			for _, s := range w.Steps {
				if s.Leg == i {
					steps = append(steps, s)
				}
			}
			t.ladder(w, shorten(steps, ladderRows), i, i+1, in)
		}
	}
	for _, s := range w.Notes {
		t.wrap(noPaint, in, "", s)
	}
}

// legHead says whose packets a ladder shows.
func (t *text) legHead(w *wire, i, in int) {
	t.wrap(cyan, in, "", t.d.legWords(&w.Legs[i]))
}

// legWords are the addresses of a connection and where it is seen:
// "shop.pcapng stream 17: 10.8.0.9:41830 → 10.8.0.5:8080".
func (d *digest) legWords(l *leg) string {
	out := d.pathWords(l.Path)
	if l.Stream != "" {
		out = strings.TrimSpace(out + " stream " + l.Stream)
	}
	if l.Client != "" || l.Server != "" {
		if out != "" {
			out += ": "
		}
		out += orUnknown(l.Client) + " → " + orUnknown(l.Server)
	}
	return out
}

func orUnknown(s string) string {
	if s == "" {
		return "?"
	}
	return s
}

// origin says at which clock time the ladder's zero is.
func (t *text) origin(w *wire, leg, in int) {
	if s := t.d.zeroWords(w, leg); s != "" {
		t.wrap(dim, in, "", s)
	}
}

func (d *digest) zeroWords(w *wire, leg int) string {
	if w.zero[leg].IsZero() {
		return ""
	}
	at := w.zero[leg].In(d.zone)
	return fmt.Sprintf("time 0 is %s (%s)", at.Format("15:04:05.000000"), d.zoneName(at))
}

// gutter is the width of the columns for time and number.
func (w *wire) gutter() (timed, numbered int) {
	timed, numbered = 4, 6
	for i := range w.Steps {
		s := &w.Steps[i]
		timed = max(timed, cells(w.offsetOf(s)))
		if s.Kind == packet {
			numbered = max(numbered, len(fmt.Sprint(s.N)))
		}
	}
	return timed, numbered
}

// span is the room between two lifelines.
func (t *text) span(w *wire, in int) int {
	timed, numbered := w.gutter()
	return (columns - in - timed - numbered - 4 - len(w.Legs) - 1) / len(w.Legs)
}

// ladder draws steps between the lifelines of the legs from first to below
// end.
func (t *text) ladder(w *wire, steps []step, first, end, in int) {
	timed, numbered := w.gutter()
	room := columns - in - timed - numbered - 4
	spans := make([]int, end-first)
	for i := range spans {
		spans[i] = max((room-len(spans)-1)/len(spans), 8)
	}
	lead := strings.Repeat(" ", in) + padLeft("time", timed) + "  " + padLeft("packet", numbered) + "  "
	t.b.WriteString(t.painted(dim, strings.TrimRight(lead+parties(w.Parties[first:end+1], spans), " ")) + "\n")
	for i := range steps {
		s := &steps[i]
		no := ""
		if s.Kind == packet && s.N > 0 {
			no = fmt.Sprint(s.N)
		}
		c := noPaint
		switch {
		case s.Killing:
			c = red
		case s.Bad:
			c = yellow
		case s.Kind != packet:
			c = dim
		}
		t.b.WriteString(strings.Repeat(" ", in) + padLeft(w.offsetOf(s), timed) + "  " + t.painted(cyan, padLeft(no, numbered)) + "  ")
		if s.Kind == leftOut && s.Leg < 0 {
			t.b.WriteString("┆" + t.painted(c, s.across(total(spans)+len(spans)-1)) + "┆\n")
			continue
		}
		for k, span := range spans {
			line := "│"
			if s.Kind != packet && (s.Leg == first+k || s.Leg == first+k-1) {
				line = "┆"
			}
			t.b.WriteString(line)
			if s.Leg == first+k {
				t.b.WriteString(t.painted(c, s.across(span)))
			} else {
				t.b.WriteString(strings.Repeat(" ", span))
			}
		}
		if s.Kind != packet && s.Leg == end-1 {
			t.b.WriteString("┆\n")
		} else {
			t.b.WriteString("│\n")
		}
	}
}

func total(spans []int) int {
	n := 0
	for _, s := range spans {
		n += s
	}
	return n
}

// parties sets the names over their lifelines: the first from its own on, the
// last up to its own, one between around its own.
func parties(names []string, spans []int) string {
	wide := total(spans) + len(spans) + 1
	most := wide/len(names) - 1
	out := cut(names[0], most)
	at := 0
	for i, n := range names[1:] {
		n = cut(n, most)
		at += spans[i] + 1
		from := at - cells(n)/2
		if i == len(names)-2 {
			from = wide - cells(n)
		}
		out = pad(out, from) + n
	}
	return out
}

// across draws a step between two lifelines, n columns apart.
func (s *step) across(n int) string {
	line := "─"
	switch {
	case s.Kind != packet:
		line = "╌"
	case s.Killing:
		line = "═"
	}
	least := 7 // what is left for the arrow
	if s.Kind != packet {
		least = 4
	}
	label := " " + cut(s.Says, max(n-least, 1)) + " "
	free := max(n-cells(label), 0)
	switch {
	case s.Kind == leftOut:
		line = " "
	case s.Kind == packet:
		free = max(free-1, 0)
	}
	left, right := strings.Repeat(line, free/2), strings.Repeat(line, free-free/2)
	switch {
	case s.Kind != packet:
		return left + label + right
	case s.opening:
		return "←" + left[:max(len(left)-len(line), 0)] + label + right + "→"
	case s.FromServer:
		return "←" + left + label + right
	}
	return left + label + right + "→"
}
