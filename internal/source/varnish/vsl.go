package varnish

import (
	"bytes"
	"slices"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var transactions = source.Format{
	ID:        "varnish-log",
	Tech:      tech,
	Title:     "varnishlog",
	Sniff:     sniffRecord,
	NewReader: func(*source.Env) source.LineReader { return newLogReader() },
}

// record is one record of a log: "--  BerespStatus   200", or raw
// "         6 BerespStatus   b 200".
type record struct {
	depth int   // of the group; 0 raw
	vxid  int64 // raw
	tag   []byte
	value []byte
}

// head is the first line of a transaction: "**  << BeReq    >> 6".
type head struct {
	depth int
	kind  []byte
	vxid  int64
}

// tags are the records that are read or are surely Varnish's.
var tags = map[string]bool{
	"Begin": true, "End": true, "Timestamp": true, "ReqStart": true, "ReqMethod": true, "ReqURL": true, "ReqProtocol": true, "ReqHeader": true,
	"ReqUnset": true, "RespStatus": true, "RespReason": true, "RespProtocol": true, "RespHeader": true, "RespUnset": true, "ReqAcct": true,
	"BereqMethod": true, "BereqURL": true, "BereqProtocol": true, "BereqHeader": true, "BereqUnset": true, "BerespStatus": true, "BerespReason": true,
	"BerespProtocol": true, "BerespHeader": true, "BerespUnset": true, "BereqAcct": true, "FetchError": true, "BackendOpen": true, "BackendClose": true,
	"BackendReuse": true, "BackendStart": true, "Backend": true, "VCL_call": true, "VCL_return": true, "VCL_use": true, "VCL_Error": true, "VCL_Log": true,
	"Link": true, "TTL": true, "Storage": true, "Fetch_Body": true, "Length": true, "Hit": true, "HitMiss": true, "HitPass": true, "Hash": true,
	"SessOpen": true, "SessClose": true, "SessError": true, "Debug": true, "Filters": true, "Gzip": true, "ObjHeader": true, "ObjStatus": true, "ObjProtocol": true,
	"ObjReason": true, "ObjUnset": true, "Backend_health": true, "CLI": true, "Error": true, "ESI_xmlerror": true, "ExpKill": true, "ExpBan": true, "PipeAcct": true,
	"LostHeader": true, "BogoHeader": true, "HttpGarbage": true, "Proxy": true, "ProxyGarbage": true, "H2TxHdr": true, "H2RxHdr": true, "H2TxBody": true, "H2RxBody": true,
	"WorkThread": true, "VfpAcct": true, "VdpAcct": true, "Notice": true, "VSL": true, "Witness": true,
}

// cutHead reads the first line of a transaction.
func cutHead(b []byte) (h head, ok bool) {
	for h.depth < len(b) && b[h.depth] == '*' {
		h.depth++
	}
	if h.depth == 0 || h.depth > 16 {
		return h, false
	}
	rest := bytes.TrimLeft(b[h.depth:], " ")
	if !source.HasPrefix(rest, "<< ") {
		return h, false
	}
	kind, rest := source.Field(rest[3:])
	if !source.HasPrefix(rest, ">> ") {
		return h, false
	}
	id, _ := source.Field(bytes.TrimSpace(rest[3:]))
	n := source.Int(id)
	h.kind, h.vxid = kind, n.N
	return h, n.Known
}

// cutRecord reads a record of a group or a raw one.
func cutRecord(b []byte) (r record, ok bool) {
	for r.depth < len(b) && b[r.depth] == '-' {
		r.depth++
	}
	rest := bytes.TrimLeft(b[r.depth:], " ")
	if r.depth == 0 {
		id, after := source.Field(rest)
		n := source.Int(id)
		if !n.Known || n.N < 0 {
			return r, false
		}
		r.vxid, rest = n.N, after
	} else if r.depth > 16 || len(rest) == len(b)-r.depth {
		return r, false
	}
	r.tag, r.value = source.Field(rest)
	if !tags[string(r.tag)] {
		return r, false
	}
	if r.depth == 0 {
		kind, value := source.Field(r.value)
		if len(kind) != 1 || kind[0] != 'c' && kind[0] != 'b' && kind[0] != '-' {
			return r, false
		}
		r.value = value
	}
	r.value = bytes.TrimSpace(r.value)
	return r, true
}

func sniffRecord(l *source.Line) source.Confidence {
	b := l.Text
	if len(b) < 5 {
		return source.No
	}
	if b[0] == '*' {
		if _, ok := cutHead(b); ok {
			return source.Sure
		}
		return source.No
	}
	if b[0] == '-' || b[0] == ' ' || b[0] >= '0' && b[0] <= '9' {
		if r, ok := cutRecord(b); ok {
			if r.depth > 0 && (string(r.tag) == "Length" || string(r.tag) == "Error" || string(r.tag) == "Link" || string(r.tag) == "Hit") {
				return source.Possible
			}
			return source.Sure
		}
	}
	if _, ok := loose(b); ok {
		return source.Fragment
	}
	return source.No
}

// loose finds a FetchError in a line without a transaction's frame.
func loose(b []byte) (fetchError, bool) {
	const word = "FetchError"
	i := bytes.Index(b[:min(len(b), 200)], []byte(word))
	if i < 0 {
		return fetchError{}, false
	}
	return readFetchError(b[i+len(word):], false)
}

// transaction is what is known of one request of a client, or of one fetch.
type transaction struct {
	vxid, parent int64
	fetch        bool // towards a backend
	answered     bool // the header of the answer came
	tooBig       bool // and was over a limit
	req          fact.Request
	try          fact.Attempt
	backend      []byte
	start        time.Time // of a fetch
	last         time.Duration
	sent         time.Duration // until the request was sent
	failed       bool          // a FetchError or an Error time stamp was seen
	handling     string
	ending       bool // a restart or retry follows
	line         int
	text         string
	children     []*transaction
	links        []int64 // fetches it began
}

// maxLinks bounds the fetches of one request that are joined to it.
const maxLinks = 64

// maxOpen bounds the transactions that are held: raw logs interleave as many
// as there are threads.
const maxOpen = 10_000

// logReader reads transactions.
type logReader struct {
	open   map[int64]*transaction   // raw: whose end was not read
	done   map[int64][]*transaction // raw: fetches that ended, by the request that waits for them
	wait   map[int64]*transaction   // raw: requests that ended before their fetches, by the last of these
	held   []int64                  // keys of done, in order
	cur    *transaction             // of a grouped log
	top    *transaction             // the client's request of the group
	stated bool
}

// Line implements [source.LineReader].
func (r *logReader) Line(l *source.Line, out source.Sink) source.Took {
	b := l.Text
	if h, ok := cutHead(b); ok {
		if !r.stated {
			r.stated = true
			stateDefaults(out, nil)
		}
		r.begin(h, l, out)
		return source.Mine
	}
	if len(bytes.TrimSpace(b)) == 0 {
		if r.cur == nil && r.top == nil {
			return source.NotMine
		}
		r.flush(out)
		return source.Mine
	}
	rec, ok := cutRecord(b)
	if !ok {
		e, ok := loose(b)
		if !ok {
			return source.NotMine
		}
		stray(&e, l, b, out)
		return source.Mine
	}
	if string(rec.tag) == "Backend_health" {
		health(rec.value, l, out)
		return source.Mine
	}
	t := r.cur
	if rec.depth == 0 {
		t = r.raw(rec, l, out)
	}
	switch {
	case t == nil && string(rec.tag) == "FetchError":
		if e, ok := readFetchError(rec.value, false); ok {
			stray(&e, l, b, out)
		}
	case t == nil:
		out.Seen(l.Time)
	default:
		t.record(rec.tag, rec.value)
		if rec.depth == 0 && string(rec.tag) == "End" {
			r.end(t, out)
		}
	}
	return source.Mine
}

// Close implements [source.LineReader].
func (r *logReader) Close(out source.Sink) {
	r.flush(out)
	r.release(out, len(r.held))
	for _, rest := range []map[int64]*transaction{r.wait, r.open} {
		ids := make([]int64, 0, len(rest))
		for id := range rest {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			rest[id].state(out)
		}
	}
}

// begin opens a transaction of a grouped log.
func (r *logReader) begin(h head, l *source.Line, out source.Sink) {
	if h.depth == 1 {
		r.flush(out)
	}
	t := r.open1(h.vxid, l)
	switch string(h.kind) {
	case "BeReq":
		t.fetch = true
	case "Request":
	default:
		r.cur = nil // a session
		return
	}
	r.cur = t
	switch {
	case r.top == nil:
		r.top = t
	default:
		r.top.children = append(r.top.children, t)
	}
}

func (r *logReader) open1(vxid int64, l *source.Line) *transaction {
	return &transaction{vxid: vxid, line: l.N, text: string(l.Text[:min(len(l.Text), fact.MaxText)])}
}

// raw finds the transaction of a raw record.
func (r *logReader) raw(rec record, l *source.Line, out source.Sink) *transaction {
	t := r.open[rec.vxid]
	if string(rec.tag) == "Begin" && rec.vxid > 0 && len(r.open) < maxOpen {
		kind, _ := source.Field(rec.value)
		if string(kind) == "sess" {
			return nil
		}
		t = r.open1(rec.vxid, l)
		t.fetch = string(kind) == "bereq"
		r.open[rec.vxid] = t
	}
	return t
}

func newLogReader() *logReader {
	return &logReader{open: map[int64]*transaction{}, done: map[int64][]*transaction{}, wait: map[int64]*transaction{}}
}

// end takes a raw transaction that ended. A fetch and the request that waits
// for it end in either order.
func (r *logReader) end(t *transaction, out source.Sink) {
	delete(r.open, t.vxid)
	if t.fetch {
		if p := r.wait[t.vxid]; p != nil {
			delete(r.wait, t.vxid)
			p.children = append(p.children, t)
			p.state(out)
			return
		}
		if len(r.held) >= maxOpen {
			r.release(out, maxOpen/2)
		}
		r.done[t.parent] = append(r.done[t.parent], t)
		r.held = append(r.held, t.parent)
		return
	}
	t.children = append(t.children, r.done[t.vxid]...)
	delete(r.done, t.vxid)
	if n := len(t.links); n > len(t.children) && len(r.wait) < maxOpen {
		r.wait[t.links[n-1]] = t
		return
	}
	t.state(out)
}

// release states the oldest n fetches that no request asked for.
func (r *logReader) release(out source.Sink, n int) {
	for _, k := range r.held[:n] {
		for _, t := range r.done[k] {
			t.state(out)
		}
		delete(r.done, k)
	}
	r.held = append(r.held[:0], r.held[n:]...)
}

// flush states the group that was read.
func (r *logReader) flush(out source.Sink) {
	if r.top != nil {
		r.top.state(out)
	}
	r.top, r.cur = nil, nil
}

// stray states a FetchError that stands alone.
func stray(e *fetchError, l *source.Line, b []byte, out source.Sink) {
	q := &fact.Request{Header: fact.Header{Time: l.Time, Res: l.Res, Party: gateway()}, Partial: true, Writer: fact.WriterSelf}
	q.Ended, q.Phase, q.Errno = e.ended, e.phase, e.errno
	if i := bytes.Index(b, []byte("FetchError")); i >= 0 {
		text := bytes.TrimSpace(b[i+len("FetchError"):])
		if len(text) > 2 && text[1] == ' ' {
			text = text[2:] // whose transaction it was
		}
		q.Detail = string(text)
	}
	a := fact.Attempt{Address: string(e.backend), Errno: e.errno}
	if e.ended != fact.ClientGone {
		a.Ended = e.ended
	}
	q.Upstream = a.Address
	q.Attempts = []fact.Attempt{a}
	out.State(q)
}
