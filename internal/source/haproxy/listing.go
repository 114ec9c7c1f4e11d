package haproxy

import (
	"bytes"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// listing reads columns of `show stat` as monitors and scripts print them, a
// name and its value a line: "check_status: L7STS".
var listing = source.Format{
	ID: "haproxy-stat-list", Tech: tech, Title: "HAProxy statistics of a server, a value a line",
	Sniff:     sniffListing,
	NewReader: func(*source.Env) source.LineReader { return &listingReader{} },
}

// listed are the columns that are read; those that are true are HAProxy's for
// sure.
var listed = map[string]bool{
	"pxname": true, "svname": true, "check_status": true, "check_code": true, "check_desc": true, "last_chk": true, "chkfail": true, "chkdown": true, "lastchg": true,
	"check_duration": true, "hanafail": true, "last_agt": true, "agent_status": true, "status": false, "addr": false, "downtime": false, "weight": false, "act": false, "bck": false,
}

// cell reads "name: value", "name=value" or "name | value".
func cell(b []byte) (name, value string, ok bool) {
	b = bytes.Trim(b, " \t,|\"-")
	i := bytes.IndexAny(b, ":=|")
	if i <= 0 || len(b) > 300 {
		return "", "", false
	}
	name = string(bytes.Trim(b[:i], " \"'"))
	if _, known := listed[name]; !known {
		return "", "", false
	}
	return name, string(bytes.Trim(b[i+1:], " \"',")), true
}

func sniffListing(l *source.Line) source.Confidence {
	name, value, ok := cell(l.Text)
	switch {
	case !ok:
		return source.No
	case name == "check_status" && shortStatusName(value):
		return source.Likely
	case listed[name]:
		return source.Fragment
	case name == "status" && (value == "DOWN" || value == "UP" || value == "MAINT" || value == "NOLB" || value == "no check" || strings.HasPrefix(value, "DOWN ") || strings.HasPrefix(value, "UP ")):
		return source.Fragment
	}
	return source.No
}

// shortStatusName reports whether v is one of a check's states.
func shortStatusName(v string) bool {
	switch strings.TrimPrefix(v, "* ") {
	case "UNK", "INI", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7OK", "L7OKC", "L7TOUT", "L7RSP", "L7STS", "PROCERR", "PROCTOUT", "PROCOK":
		return true
	}
	return false
}

// listingReader gathers the values of one server.
type listingReader struct {
	r    row
	line int
	sure bool
}

// Line implements [source.LineReader].
func (x *listingReader) Line(l *source.Line, out source.Sink) source.Took {
	name, value, ok := cell(l.Text)
	if !ok {
		if len(bytes.TrimSpace(l.Text)) == 0 && x.r != nil {
			x.Close(out)
			return source.Mine
		}
		return source.NotMine
	}
	if _, again := x.r[name]; again || name == "pxname" {
		x.Close(out)
	}
	if x.r == nil {
		x.r, x.line = row{}, l.N
	}
	x.r[name] = value
	x.sure = x.sure || listed[name]
	return source.Mine
}

// checkWords are what a check's state is called, where check_desc is missing.
var checkWords = map[string]string{
	"L4TOUT": "Layer4 timeout", "L4CON": "Layer4 connection problem", "L6TOUT": "Layer6 timeout", "L6RSP": "Layer6 invalid response",
	"L7TOUT": "Layer7 timeout", "L7RSP": "Layer7 invalid response", "L7STS": "Layer7 wrong status", "SOCKERR": "Socket error",
}

// Close implements [source.LineReader]: it states the server that was gathered.
func (x *listingReader) Close(out source.Sink) {
	r, sure := x.r, x.sure
	x.r, x.sure = nil, false
	if r == nil || !sure {
		return
	}
	if words := checkWords[strings.TrimPrefix(r["check_status"], "* ")]; words != "" && r["check_desc"] == "" {
		r["check_desc"] = words
	}
	if r["status"] != "" {
		r.state(x.line, out)
		return
	}
	if checkWords[strings.TrimPrefix(r["check_status"], "* ")] == "" {
		return
	}
	e := &fact.Event{Kind: fact.ProbeFailed, Detail: "DOWN"}
	e.Party, e.Origin.Line = fact.Party{Role: fact.RoleBackend}, x.line
	if r["svname"] != "" {
		e.Party.Name = r["pxname"] + "/" + r["svname"]
	}
	r.why(e)
	out.State(e)
}

// servers reads `show servers state`, of versions 1.6 to 3.2.
var servers = source.Format{
	ID: "haproxy-servers", Tech: tech, Title: "HAProxy `show servers state`",
	Sniff: func(l *source.Line) source.Confidence {
		if serversTitle(l.Text) {
			return source.Sure
		}
		return source.No
	},
	NewReader: func(*source.Env) source.LineReader { return &serversReader{} },
}

func serversTitle(b []byte) bool { return source.HasPrefix(b, "# be_id be_name srv_id srv_name ") }

type serversReader struct{ columns []string }

// Line implements [source.LineReader].
func (x *serversReader) Line(l *source.Line, out source.Sink) source.Took {
	b := bytes.TrimSpace(l.Text)
	if serversTitle(b) {
		x.columns = strings.Fields(string(b[2:]))
		return source.Mine
	}
	cells := strings.Fields(string(b))
	if x.columns == nil || len(cells) < 10 || len(cells) > len(x.columns)+10 || !source.Int([]byte(cells[0])).Known {
		return source.NotMine
	}
	r := row{}
	for i, c := range cells[:min(len(cells), len(x.columns))] {
		if c != "-" {
			r[x.columns[i]] = c
		}
	}
	r.server(l.N, out)
	return source.Mine
}

// Close implements [source.LineReader].
func (x *serversReader) Close(source.Sink) {}

// Values of srv_op_state and bits of srv_admin_state, from the management
// guide.
const (
	opStopped  = "0"
	opStopping = "3"

	adminMaint = 0x01 | 0x02 | 0x04
	adminDrain = 0x08 | 0x10
	adminDNS   = 0x20
)

// server states a server that is out.
func (r row) server(line int, out source.Sink) {
	op := r["srv_op_state"]
	if op != opStopped && op != opStopping {
		return
	}
	e := &fact.Event{Kind: fact.BackendDown, Detail: "DOWN", Age: seconds(r["srv_time_since_last_change"])}
	e.Party = fact.Party{Role: fact.RoleBackend, Name: r["be_name"] + "/" + r["srv_name"], Address: r["srv_addr"]}
	if port := r["srv_port"]; port != "" && port != "0" && e.Party.Address != "" {
		e.Party.Address += ":" + port
	}
	e.Origin.Line = line
	switch admin := source.Int([]byte(r["srv_admin_state"])).Or(0); {
	case admin&adminDNS != 0:
		e.Reason, e.Attrs = "dns", map[string]string{fact.AttrWhy: "dns"}
	case admin&adminMaint != 0:
		e.Reason = "maintenance"
	case admin&adminDrain != 0 || op == opStopping:
		e.Reason = "drain"
	default:
		e.Reason = "health-check"
	}
	out.State(e)
}
