package report

import (
	"time"
)

// plot counts failures over time, a row a finding.
type plot struct {
	Start time.Time
	Step  time.Duration
	Rows  []plotRow
	Most  int // the highest count of one step
}

type plotRow struct {
	ID     string
	N      int
	No     int
	Fault  bool
	Counts []int
}

// End is where the last step ends.
func (p *plot) End() time.Time {
	if len(p.Rows) == 0 {
		return p.Start
	}
	return p.Start.Add(p.Step * time.Duration(len(p.Rows[0].Counts)))
}

// plotSteps is the most steps of a plot: what fits a line of 80 columns beside
// its labels.
const plotSteps = 46

// steps are the widths of a step, those a clock's face has.
var steps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// plot covers the failures with some room on both sides, as far as the
// evidence speaks there; it is empty where fewer than two have a time or all
// lie within a few seconds.
func (d *digest) plot() plot {
	first, last := d.failedSpan()
	if first.IsZero() || last.Sub(first) < 5*time.Second {
		return plot{}
	}
	room := last.Sub(first) / 8
	from, to := first.Add(-room), last.Add(room)
	if d.Start.After(from) && d.Start.Before(first) {
		from = d.Start
	}
	if d.End.Before(to) && d.End.After(last) {
		to = d.End
	}
	p := plot{Step: steps[len(steps)-1]}
	for p.Step < to.Sub(from)/(plotSteps-1) {
		p.Step *= 2
	}
	for _, s := range steps {
		if s >= to.Sub(from)/(plotSteps-1) {
			p.Step = s
			break
		}
	}
	p.Start = from.Truncate(p.Step)
	n := int(to.Sub(p.Start)/p.Step) + 1
	for _, f := range d.findings() {
		row := plotRow{ID: f.ID, N: f.N, No: f.No, Fault: !f.Innocent && f.Cause != nil, Counts: make([]int, n)}
		timed := 0
		for _, x := range f.Failures {
			if x.Time.IsZero() {
				continue
			}
			if i := int(x.Time.Sub(p.Start) / p.Step); i >= 0 && i < n {
				row.Counts[i] += x.N
				timed += x.N
				p.Most = max(p.Most, row.Counts[i])
			}
		}
		if timed > 0 {
			p.Rows = append(p.Rows, row)
		}
	}
	if len(p.Rows) == 0 {
		return plot{}
	}
	return p
}

// axis labels an instant of the plot.
func (d *digest) axis(t time.Time) string {
	form := "15:04"
	switch p := d.Plot; {
	case p.End().Sub(p.Start) > 24*time.Hour:
		form = "Jan 2 15:04"
	case p.Step < time.Minute:
		form = "15:04:05"
	}
	return t.In(d.zone).Format(form)
}
