package docker

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// column is a column of a table: its title and where it begins.
type column struct {
	title string
	start int
}

// columns reads a header: titles are apart by two blanks or more.
func columns(b []byte) []column {
	var cols []column
	for i := 0; i < len(b) && len(cols) < 20; {
		if b[i] == ' ' {
			i++
			continue
		}
		end := i
		for end < len(b) && (b[end] != ' ' || end+1 < len(b) && b[end+1] != ' ') {
			end++
		}
		cols = append(cols, column{string(bytes.TrimSpace(b[i:end])), i})
		i = end
	}
	return cols
}

// row cuts a line at the places where the header's titles began.
func row(cols []column, b []byte) (map[string]string, bool) {
	cells := map[string]string{}
	for i, c := range cols {
		if c.start >= len(b) {
			break
		}
		if c.start > 0 && b[c.start-1] != ' ' {
			return nil, false
		}
		end := len(b)
		if i+1 < len(cols) {
			end = min(end, cols[i+1].start)
		}
		cells[c.title] = string(bytes.TrimSpace(b[c.start:end]))
	}
	return cells, len(cells) > 1
}

// isHeader: docker ps, docker compose ps, docker stats.
func isHeader(b []byte) bool {
	switch {
	case source.HasPrefix(b, "CONTAINER ID "):
		return source.Has(b, " STATUS") || source.Has(b, "MEM USAGE / LIMIT")
	case source.HasPrefix(b, "NAME "):
		return source.Has(b, " SERVICE ") && source.Has(b, " STATUS") && source.Has(b, " IMAGE ")
	}
	return false
}

func sniffTable(l *source.Line) source.Confidence {
	if isHeader(l.Text) {
		return source.Sure
	}
	return source.No
}

// table reads the rows below a header.
type table struct{ cols []column }

func newTable(*source.Env) source.LineReader { return &table{} }

func (r *table) Close(source.Sink) {}

func (r *table) Line(l *source.Line, out source.Sink) source.Took {
	if isHeader(l.Text) {
		r.cols = columns(l.Text)
		return source.Mine
	}
	if len(r.cols) == 0 {
		return source.NotMine
	}
	if len(bytes.TrimSpace(l.Text)) == 0 {
		r.cols = nil
		return source.Mine
	}
	cells, ok := row(r.cols, l.Text)
	if !ok {
		r.cols = nil
		return source.NotMine
	}
	name := cells["NAMES"]
	if name == "" {
		name = cells["NAME"]
	}
	if mem, ok := cells["MEM USAGE / LIMIT"]; ok {
		return stats(name, cells["CPU %"], mem, out)
	}
	if cells["STATUS"] == "" || name == "" {
		r.cols = nil
		return source.NotMine
	}
	status(name, cells["STATUS"], out)
	for part := range strings.SplitSeq(cells["PORTS"], ", ") {
		// "0.0.0.0:8080->80/tcp"
		outer, inner, ok := strings.Cut(part, "->")
		if !ok || strings.HasPrefix(outer, "[::]") || strings.HasPrefix(outer, ":::") {
			continue
		}
		inner, _, _ = strings.Cut(inner, "/")
		s := &fact.Setting{Knob: fact.PortMapping, Basis: fact.Measured, Object: "container/" + name}
		s.Party, s.Text = container(name), outer[strings.LastIndexByte(outer, ':')+1:]+"->"+inner
		out.State(s)
	}
	return source.Mine
}

// status reads "Exited (137) 3 minutes ago", "Up 5 minutes (unhealthy)".
func status(name, s string, out source.Sink) {
	e := &fact.Event{}
	e.Party = container(name)
	word, rest, _ := strings.Cut(s, " ")
	if code, after, ok := strings.Cut(strings.TrimPrefix(rest, "("), ")"); ok && strings.HasPrefix(rest, "(") {
		if n := source.Int([]byte(code)); n.Known {
			exited(e, n.N)
		}
		rest = after
	}
	e.Age = age(rest)
	switch {
	case word == "Exited":
		e.Kind = fact.ProcessExited
	case word == "Restarting":
		e.Kind = fact.RestartBackoff
	case word == "Dead":
		e.Kind, e.Reason = fact.ProcessExited, "dead"
	case word == "Up" && strings.HasSuffix(s, "(unhealthy)"):
		e.Kind, e.Reason, e.Age = fact.ProbeFailed, "health-check", fact.Dur{}
	case word == "Up" && strings.HasSuffix(s, "(Paused)"):
		e.Kind, e.Reason, e.Age = fact.NotReady, "paused", fact.Dur{}
	case word == "Up" && strings.HasSuffix(s, "(health: starting)"):
		e.Kind, e.Reason, e.Age = fact.NotReady, "starting", fact.Dur{}
	case word == "Up":
		e.Kind = fact.ProcessStarted
	default:
		return
	}
	out.State(e)
}

// age reads docker's rounded words for a duration, "About a minute ago".
func age(s string) fact.Dur {
	s, _, _ = strings.Cut(s, " (")
	f := strings.Fields(strings.TrimSuffix(strings.TrimSpace(s), " ago"))
	switch {
	case len(f) == 3 && f[0] == "About": // "About a minute", "About an hour"
		f = []string{"1", f[2]}
	case len(f) == 4 && f[0] == "Less": // "Less than a second"
		f = []string{"0", f[3]}
	}
	if len(f) != 2 {
		return fact.Dur{}
	}
	n, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return fact.Dur{}
	}
	const day = 24 * time.Hour
	unit := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": day, "week": 7 * day, "month": 30 * day, "year": 365 * day}[strings.TrimSuffix(f[1], "s")]
	if unit == 0 || n > 1000 {
		return fact.Dur{}
	}
	return fact.Lasting(time.Duration(n) * unit)
}

// memoryNear is the share of its limit from which a container is said to be
// near it, in per cent: what is left would not hold one more worker.
const memoryNear = 95

// stats reads one container's use: "12.50%", "480MiB / 512MiB".
func stats(name, cpu, mem string, out source.Sink) source.Took {
	used, limit, ok := strings.Cut(mem, " / ")
	u, m := size(used), size(limit)
	if !ok || !u.Known {
		return source.Broken
	}
	s := &fact.Sample{Name: fact.SampleMemory, Value: float64(u.N)}
	s.Party = container(name)
	out.State(s)
	if share, err := strconv.ParseFloat(strings.TrimSuffix(cpu, "%"), 64); err == nil {
		c := &fact.Sample{Name: fact.SampleCPU, Value: share / 100}
		c.Party = container(name)
		out.State(c)
	}
	if m.Known && m.N > 0 && u.N*100 >= m.N*memoryNear {
		e := &fact.Event{Kind: fact.LimitNear, Limit: fact.LimitMemory, Used: u, Max: m}
		e.Party = container(name)
		out.State(e)
	}
	return source.Mine
}

// size reads "480.3MiB" into bytes.
func size(s string) fact.Int {
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i <= 0 {
		return fact.Int{}
	}
	f, err := strconv.ParseFloat(s[:i], 64)
	unit := map[string]float64{"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[strings.TrimSpace(s[i:])]
	if err != nil || unit == 0 || f*unit > 1<<60 {
		return fact.Int{}
	}
	return fact.Num(int64(f * unit))
}
