package alb

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// columns are the names of the fields in AWS's guide and in the tables it
// gives for Athena.
var columns = map[string]func(*entry, []byte){
	"time":                     func(e *entry, v []byte) { e.stamp = v },
	"timestamp":                func(e *entry, v []byte) { e.stamp = v },
	"elb":                      func(e *entry, v []byte) { e.elb = v },
	"client:port":              func(e *entry, v []byte) { e.client = v },
	"client_ip":                func(e *entry, v []byte) { e.client = v },
	"target:port":              func(e *entry, v []byte) { e.target = v },
	"backend:port":             func(e *entry, v []byte) { e.target = v },
	"target_ip":                func(e *entry, v []byte) { e.target = v },
	"target_port_list":         func(e *entry, v []byte) { e.target = v },
	"request_processing_time":  func(e *entry, v []byte) { e.dispatch = v },
	"target_processing_time":   func(e *entry, v []byte) { e.answer = v },
	"backend_processing_time":  func(e *entry, v []byte) { e.answer = v },
	"response_processing_time": func(e *entry, v []byte) { e.deliver = v },
	"elb_status_code":          func(e *entry, v []byte) { e.status = v },
	"target_status_code":       func(e *entry, v []byte) { e.tstatus = v },
	"backend_status_code":      func(e *entry, v []byte) { e.tstatus = v },
	"received_bytes":           func(e *entry, v []byte) { e.received = v },
	"sent_bytes":               func(e *entry, v []byte) { e.sent = v },
	"request":                  func(e *entry, v []byte) { e.request = v },
	"request_verb":             func(e *entry, v []byte) { e.method = v },
	"request_url":              func(e *entry, v []byte) { e.url = v },
	"request_proto":            func(e *entry, v []byte) { e.proto = v },
	"user_agent":               func(e *entry, v []byte) { e.agent = v },
	"target_group_arn":         func(e *entry, v []byte) { e.group = v },
	"trace_id":                 func(e *entry, v []byte) { e.trace = v },
	"request_creation_time":    func(e *entry, v []byte) { e.created = v },
	"actions_executed":         func(e *entry, v []byte) { e.actions = v },
	"error_reason":             func(e *entry, v []byte) { e.reason = v },
	"lambda_error_reason":      func(e *entry, v []byte) { e.reason = v },
	"classification_reason":    func(e *entry, v []byte) { e.class = v },
	"conn_trace_id":            func(e *entry, v []byte) { e.conn = v },
	"target_port":              nil, "client_port": nil, "type": nil, "ssl_cipher": nil, "ssl_protocol": nil, "domain_name": nil,
	"chosen_cert_arn": nil, "matched_rule_priority": nil, "redirect_url": nil, "target_status_code_list": nil, "classification": nil,
}

// minColumns is how many names make a header; one of them is the status.
const minColumns = 3

func sniffTable(l *source.Line) source.Confidence {
	if len(l.Text) > maxRow || !source.Has(l.Text, "elb_status_code") {
		return source.No
	}
	if cols, _ := header(l.Text); cols != nil {
		return source.Likely
	}
	return source.No
}

// maxRow bounds a row that is looked at, in bytes: a request's URL is at most
// 16 KiB.
const maxRow = 64 << 10

// header reads a table's head; nil if t is none.
func header(t []byte) (names []string, sep byte) {
	for _, s := range []byte{',', '\t', '|', ' '} {
		cells := splitRow(t, s, nil)
		n := 0
		names = names[:0]
		for _, c := range cells {
			name := string(bytes.ToLower(bytes.Trim(c, "`'\" ")))
			if _, ok := columns[name]; ok {
				n++
			}
			names = append(names, name)
		}
		if n >= minColumns && n*2 >= len(names) {
			return names, s
		}
	}
	return nil, 0
}

// splitRow cuts a row into cells; quotes keep one together.
func splitRow(t []byte, sep byte, cells [][]byte) [][]byte {
	cells = cells[:0]
	t = bytes.TrimSpace(t)
	if sep == '|' {
		t = bytes.Trim(t, "| ")
	}
	for len(t) > 0 {
		if q, rest, ok := source.Quoted(t); ok {
			cells = append(cells, q)
			if len(rest) > 0 && rest[0] == sep {
				rest = bytes.TrimLeft(rest[1:], " ")
			}
			t = rest
			continue
		}
		i := bytes.IndexByte(t, sep)
		if i < 0 {
			return append(cells, bytes.TrimSpace(t))
		}
		cells = append(cells, bytes.TrimSpace(t[:i]))
		t = bytes.TrimLeft(t[i+1:], " ")
	}
	return cells
}

// tableReader reads a header and the rows under it.
type tableReader struct {
	env   *source.Env
	req   fact.Request
	names []string
	sep   byte
	cells [][]byte
}

// Line implements [source.LineReader].
func (r *tableReader) Line(l *source.Line, out source.Sink) source.Took {
	if len(l.Text) > maxRow {
		return source.NotMine
	}
	if source.Has(l.Text, "elb_status_code") {
		if names, sep := header(l.Text); names != nil {
			r.names, r.sep = names, sep
			return source.Mine
		}
	}
	if r.names == nil {
		return source.NotMine
	}
	if len(bytes.Trim(l.Text, "-+| =:")) == 0 {
		return source.Mine // a rule between head and rows
	}
	r.cells = splitRow(l.Text, r.sep, r.cells)
	if len(r.cells) != len(r.names) {
		return source.NotMine
	}
	var e entry
	var port, clientPort []byte
	e.noTimes = true
	for i, n := range r.names {
		v := r.cells[i]
		switch n {
		case "target_port":
			port = v
		case "client_port":
			clientPort = v
		case "count", "_col0", "requests":
			if c := source.Int(v); c.Known && c.N > 1 && c.N < 1<<31 {
				e.count = int(c.N)
			}
		case "request_processing_time", "target_processing_time", "response_processing_time", "backend_processing_time":
			e.noTimes = false
		}
		if set := columns[n]; set != nil {
			set(&e, minusOne(v))
		}
	}
	if !source.Int(e.status).Known {
		return source.NotMine
	}
	e.target, e.client = withPort(e.target, port), withPort(e.client, clientPort)
	fill(r.env, &e, &r.req)
	out.State(&r.req)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *tableReader) Close(source.Sink) {}

// minusOne turns "-1.0" into "-1", and a null into a dash.
func minusOne(v []byte) []byte {
	switch {
	case source.HasPrefix(v, "-1.0"):
		return v[:2]
	case len(v) == 0, string(v) == "null", string(v) == "NULL":
		return []byte("-")
	}
	return v
}

func withPort(addr, port []byte) []byte {
	if len(known(addr)) == 0 || !source.Int(port).Known {
		return addr
	}
	return append(append(bytes.Clone(addr), ':'), port...)
}
