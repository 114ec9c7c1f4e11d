package haproxy

import (
	"bytes"
	"errors"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var statistics = source.Format{
	ID:       "haproxy-stat",
	Tech:     tech,
	Title:    "HAProxy `show stat`",
	SniffDoc: sniffStat,
	ReadDoc:  readStat,
}

// statTitle begins the table of `show stat` and of the statistics page's CSV.
const statTitle = "# pxname,svname,"

func sniffStat(head []byte, _ string) source.Confidence {
	head = bytes.TrimLeft(head, "\ufeff \r\n")
	if first, rest, ok := bytes.Cut(head, []byte("\n")); ok && source.Has(first, "show stat") && len(first) < 200 {
		head = bytes.TrimLeft(rest, " \r\n") // the command that printed it
	}
	if bytes.HasPrefix(head, []byte(statTitle)) {
		return source.Sure
	}
	return source.No
}

var errNoStat = errors.New("read show stat: no title line")

// row is one line of the table by the names of its columns.
type row map[string]string

// readStat states the servers and backends that are down, since when, and why
// the last check failed; and where each server is.
func readStat(env *source.Env, doc *source.Doc, out source.Sink) error {
	var columns []string
	n := 0
	for raw := range bytes.Lines(doc.Data) {
		n++
		line := strings.TrimSpace(string(raw))
		if i := strings.Index(line, statTitle); i >= 0 {
			columns = strings.Split(strings.TrimSuffix(line[i+2:], ","), ",")
			continue
		}
		if columns == nil || line == "" {
			continue
		}
		cells := csv(line)
		if len(cells) < 18 {
			doc.Skip(n, line)
			continue
		}
		r := row{}
		for i, c := range cells {
			if i < len(columns) {
				r[columns[i]] = c
			}
		}
		r.state(n, out)
	}
	if columns == nil {
		return errNoStat
	}
	return nil
}

// csv splits a line at commas outside double quotes.
func csv(line string) []string {
	var out []string
	var b strings.Builder
	quoted := false
	for _, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			out = append(out, b.String())
			b.Reset()
		default:
			b.WriteRune(c)
		}
	}
	return append(out, b.String())
}

// kinds of rows, in the column "type"; older versions have only the names.
const (
	rowBackend = "1"
	rowServer  = "2"
)

func (r row) kind() string {
	if t := r["type"]; t != "" {
		return t
	}
	switch r["svname"] {
	case "FRONTEND":
		return "0"
	case "BACKEND":
		return rowBackend
	}
	return rowServer
}

func (r row) state(n int, out source.Sink) {
	kind := r.kind()
	if kind != rowBackend && kind != rowServer {
		return
	}
	if addr := r["addr"]; kind == rowServer && addr != "" {
		s := &fact.Setting{Knob: fact.UpstreamAddress, Text: addr, Basis: fact.Measured, Spelling: "server " + r["svname"] + " {text}", Where: "backend " + r["pxname"], Object: r["pxname"]}
		s.Party, s.Origin.Line = gateway(), n
		out.State(s)
	}
	status := r["status"]
	e := &fact.Event{Age: seconds(r["lastchg"])}
	e.Origin.Line = n
	switch {
	case kind == rowBackend && strings.HasPrefix(status, "DOWN"):
		e.Kind, e.Detail = fact.NoBackendLeft, "backend is DOWN"
		e.Party = fact.Party{Role: fact.RoleBackend, Name: r["pxname"]}
	case kind == rowServer && (strings.HasPrefix(status, "DOWN") || strings.HasPrefix(status, "NOLB") || strings.HasPrefix(status, "MAINT")):
		e.Kind, e.Detail = fact.BackendDown, status
		e.Party = fact.Party{Role: fact.RoleBackend, Name: strings.Trim(r["pxname"]+"/"+r["svname"], "/"), Address: r["addr"]}
		r.why(e)
	default:
		return
	}
	out.State(e)
}

// why tells what the last check of a server found.
func (r row) why(e *fact.Event) {
	if !strings.HasPrefix(e.Detail, "DOWN") {
		e.Reason = "maintenance"
		if strings.Contains(e.Detail, "resolution") {
			e.Reason = "dns"
		}
		return
	}
	e.Reason = "health-check"
	if d := r["check_desc"]; d != "" {
		e.Detail = d
		if l := r["last_chk"]; l != "" {
			e.Detail += ": " + l
		}
		if c := r["check_code"]; c != "" {
			e.Detail += ", code " + c
		}
	} else if s := r["check_status"]; s != "" {
		e.Detail += ", " + s
	}
	why := whyFailed([]byte(e.Detail))
	switch strings.TrimPrefix(r["check_status"], "* ") {
	case "L4TOUT", "L6TOUT", "L7TOUT":
		why = "timeout"
	case "L7STS":
		why = "status"
	}
	if why != "" {
		e.Attrs = map[string]string{fact.AttrWhy: why}
	}
}

func seconds(v string) fact.Dur {
	n := source.Int([]byte(v))
	if !n.Known || n.N < 0 {
		return fact.Dur{}
	}
	return fact.Seconds(float64(n.N))
}
