// Package heroku reads what Heroku writes: the router's lines, with their H
// codes, and the platform's lines about dynos and releases, as `heroku logs`
// prints them, as a drain receives them, or without a frame.
//
// Codes: https://devcenter.heroku.com/articles/error-codes; router fields and time-outs:
// https://devcenter.heroku.com/articles/http-routing. A router's line is written when the request ended.
package heroku

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

const tech = "heroku"

// Formats lists what Heroku writes.
var Formats = []source.Format{
	{
		ID: "heroku-log", Tech: tech, Title: "Heroku log",
		Sniff:       sniff,
		NewReader:   func(env *source.Env) source.LineReader { return &reader{env: env} },
		Independent: true,
	},
}

// frame is what stands before a line's text.
type frame struct {
	time   time.Time
	res    fact.Dur
	source string // "heroku" or "app"
	dyno   []byte // "router", "web.1", "api"
	text   []byte
}

// cut takes the frame off: "STAMP heroku[router]: " of the command line tool,
// "<158>1 STAMP host heroku router - " of a drain, perhaps after its length.
func cut(env *source.Env, t []byte) (f frame, ok bool) {
	if i := bytes.Index(t[:min(len(t), 16)], []byte("<")); i >= 0 {
		j := bytes.Index(t[:min(len(t), 24)], []byte(">1 "))
		if j < 0 {
			return f, false
		}
		at, res, rest, tok := source.ISOTime(env, t[j+3:])
		if !tok || len(rest) == 0 {
			return f, false
		}
		rest = rest[1:]
		_, rest = source.Field(rest) // host
		program, rest := source.Field(rest)
		dyno, rest := source.Field(rest)
		dash, text := source.Field(rest)
		if string(dash) != "-" {
			return f, false
		}
		f = frame{time: at, dyno: dyno, text: bytes.TrimPrefix(text, []byte("- "))}
		return f.of(program, res)
	}
	at, res, rest, tok := source.ISOTime(env, t)
	if !tok || len(rest) < 2 || rest[0] != ' ' {
		return f, false
	}
	rest = rest[1:]
	i := bytes.IndexByte(rest, '[')
	j := bytes.Index(rest, []byte("]: "))
	if i < 0 || j < i || i > 8 || j > 60 {
		return f, false
	}
	f = frame{time: at, dyno: rest[i+1 : j], text: rest[j+3:]}
	return f.of(rest[:i], res)
}

func (f frame) of(program []byte, res time.Duration) (frame, bool) {
	if res >= time.Millisecond {
		f.res = fact.Lasting(res)
	}
	switch string(program) {
	case "heroku":
		f.source = "heroku"
	case "app":
		f.source = "app"
	default:
		return f, false
	}
	return f, true
}

// isRouter knows a router's line by its fields.
func isRouter(t []byte) bool {
	return (source.Has(t, "at=info") || source.Has(t, "at=error") || source.Has(t, "at=warning")) &&
		(source.Has(t, "dyno=") || source.Has(t, "code=H")) && (source.Has(t, "status=") || source.Has(t, "code=H"))
}

func sniff(l *source.Line) source.Confidence {
	t := l.Text
	if len(t) < 12 {
		return source.No
	}
	if isRouter(t) {
		return source.Sure
	}
	if l.Program == "heroku" {
		return source.Likely
	}
	if (source.Has(t[:min(len(t), 120)], "heroku") || source.Has(t[:min(len(t), 120)], "app")) && t[0] >= '0' && t[0] <= '9' || t[0] == '<' {
		if f, ok := cut(&source.Env{}, t); ok && (f.source == "heroku" || isDyno(f.dyno)) {
			return source.Sure
		}
	}
	var h source.Holes
	if len(t) < maxWords {
		if n, ok := notes.Match(t, &h); ok && n.own {
			return source.Fragment
		}
	}
	return source.No
}

// maxWords bounds a line without a frame that is searched, in bytes.
const maxWords = 500

// isDyno: "web.1", "worker.12", "run.4821", "api".
func isDyno(d []byte) bool {
	if string(d) == "api" {
		return true
	}
	i := bytes.IndexByte(d, '.')
	return i > 0 && i+1 < len(d) && source.Int(d[i+1:]).Known
}

type reader struct {
	env  *source.Env
	req  fact.Request
	told bool
}

// Line implements [source.LineReader].
func (r *reader) Line(l *source.Line, out source.Sink) source.Took {
	f, framed := cut(r.env, l.Text)
	if !framed {
		f = frame{time: l.Time, res: l.Res, text: l.Text}
		if l.Program == "heroku" {
			f.source = "heroku"
		}
	}
	switch {
	case isRouter(f.text):
		return r.router(&f, out)
	case f.source == "app" && string(f.dyno) != "api":
		in := *l
		in.Text, in.Time, in.Res, in.Container, in.Wrapped = f.text, f.time, f.res, string(f.dyno), true
		out.Inner(&in)
		out.Seen(f.time)
		return source.Mine
	}
	if !r.platform(&f, out) && !framed && l.Program != "heroku" {
		return source.NotMine
	}
	out.Seen(f.time)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *reader) Close(source.Sink) {}

// outcome is what an H code says.
type outcome struct {
	ended fact.Mechanism
	phase fact.Phase
}

var codes = map[string]outcome{
	"H10": {fact.NoBackend, ""},                         // app crashed: no dyno runs
	"H11": {fact.LimitHit, fact.PhaseQueued},            // backlog too deep
	"H12": {fact.ReplyTimedOut, fact.PhaseWaiting},      // 30 s
	"H13": {fact.ClosedBeforeReply, fact.PhaseWaiting},  // connection closed without response
	"H14": {fact.NoBackend, ""},                         // no web dynos running
	"H15": {fact.CutMidReply, fact.PhaseReading},        // idle for 55 s
	"H16": {fact.GatewayFault, ""},                      // redirect to herokuapp.com
	"H17": {fact.BadReply, fact.PhaseWaiting},           // poorly formatted response
	"H18": {fact.ResetBeforeReply, fact.PhaseWaiting},   // server request interrupted
	"H19": {fact.ConnectTimedOut, fact.PhaseConnecting}, // 5 s
	"H20": {fact.NoBackend, fact.PhaseQueued},           // boot took over 75 s
	"H21": {fact.Refused, fact.PhaseConnecting},         // backend connection refused
	"H22": {fact.LimitHit, fact.PhaseConnecting},        // connection limit reached
	"H23": {fact.GatewayFault, ""},                      // endpoint misconfigured
	"H24": {fact.CutMidReply, fact.PhaseReading},        // forced close
	"H25": {fact.BadReply, fact.PhaseWaiting},           // HTTP restriction
	"H26": {"", ""},                                     // request error
	"H27": {fact.ClientGone, ""},                        // client request interrupted
	"H28": {fact.ClientGone, ""},                        // client connection idle
	"H31": {"", ""},                                     // misdirected request
	"H33": {"", ""},                                     // HTTP/2 connection error of a client
	"H80": {fact.Denied, ""},                            // maintenance mode
	"H81": {fact.NoBackend, ""},                         // blank app
	"H82": {fact.NoBackend, ""},                         // hours exhausted
	"H99": {fact.GatewayFault, ""},                      // platform error
}

// router states the request of a router's line.
func (r *reader) router(f *frame, out source.Sink) source.Took {
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	q.Time, q.Res = f.time, f.res
	a := fact.Attempt{}
	var connect, service fact.Dur
	var code, sock []byte
	for rest := f.text; len(rest) > 0; {
		var key, v []byte
		key, v, rest = pair(rest)
		switch string(key) {
		case "method":
			q.Method = source.View(v)
		case "path":
			q.Path = source.View(v)
		case "host":
			q.Host = source.View(v)
		case "request_id":
			if len(v) > 0 {
				q.IDs = append(q.IDs, source.View(v))
			}
		case "fwd":
			first, _, _ := bytes.Cut(v, []byte{','})
			q.Client = source.View(bytes.TrimSpace(first))
		case "dyno":
			a.Address = source.View(v)
		case "connect":
			connect = ms(v)
		case "service":
			service = ms(v)
		case "status":
			q.Status = source.Int(v)
		case "bytes":
			q.Bytes = source.Int(v)
		case "protocol":
			if source.HasPrefix(v, "http") && len(v) == 7 { // "http1.1"
				q.Proto = source.View(v[4:])
			}
		case "code":
			code = v
		case "desc":
			q.Detail = source.View(v)
		case "sock":
			sock = v
		}
	}
	q.Code = source.View(code)
	a.Connect, a.Took = connect, service
	if connect.Known && service.Known {
		q.Duration = fact.Lasting(connect.D + service.D)
	} else if service.Known {
		q.Duration = service
	}
	if i := bytes.IndexByte([]byte(a.Address), '.'); i > 0 {
		q.Upstream = a.Address[:i]
	}
	judge(q, &a, code, sock)
	if a.Address != "" {
		q.Attempts = append(q.Attempts, a)
	}
	if !r.told && !f.time.IsZero() {
		r.told = true
		stateDefaults(out)
	}
	out.State(q)
	return source.Mine
}

// judge says how a request ended; without a code the dyno answered.
func judge(q *fact.Request, a *fact.Attempt, code, sock []byte) {
	if len(code) == 0 {
		if a.Address != "" && q.Status.Known {
			q.Writer, a.Status = fact.WriterBackend, q.Status
			if q.Status.N >= 500 {
				q.Ended, a.Ended = fact.AppAnswered, fact.AppAnswered
			}
		}
		return
	}
	o := codes[string(code)]
	q.Ended, q.Phase, q.Writer = o.ended, o.phase, fact.WriterSelf
	switch string(code) {
	case "H18":
		if string(sock) == "client" {
			q.Ended, q.Phase = fact.ClientGone, ""
		} else if q.Status.Known && q.Status.N < 500 {
			q.Ended, q.Phase, q.Writer = fact.CutMidReply, fact.PhaseReading, fact.WriterBackend
		}
	case "H19", "H21":
		a.Connect = fact.Dur{}
	}
	if q.Ended != fact.ClientGone && q.Ended != fact.NoBackend && q.Ended != fact.Denied {
		a.Ended = q.Ended
	}
}

// pair reads "key=value" or `key="a value"` from the front of t.
func pair(t []byte) (key, value, rest []byte) {
	t = bytes.TrimLeft(t, " \t")
	i := bytes.IndexByte(t, '=')
	s := bytes.IndexByte(t, ' ')
	if i < 0 {
		return nil, nil, nil
	}
	if s >= 0 && s < i {
		return nil, nil, t[s+1:] // a word that is no pair
	}
	key, t = t[:i], t[i+1:]
	if q, rest, ok := source.Quoted(t); ok {
		return key, q, rest
	}
	value, rest = source.Field(t)
	return key, value, rest
}

// ms reads "12ms".
func ms(v []byte) fact.Dur { return source.Millis(bytes.TrimSuffix(v, []byte("ms"))) }

// Documents and numbers of the router's time-outs.
const (
	docRouting = "https://devcenter.heroku.com/articles/http-routing"

	firstByte   = 30 * time.Second
	connectTime = 5 * time.Second
	idleToDyno  = 90 * time.Second // Router 2.0; the older one makes a connection for each request
)

func stateDefaults(out source.Sink) {
	for _, s := range []fact.Setting{
		{Knob: fact.PoolIdle, Dur: fact.Lasting(idleToDyno), Spelling: "heroku labs:enable http-disable-keepalive-to-dyno"},
		{Knob: fact.UpstreamReply, Dur: fact.Lasting(firstByte)},
		{Knob: fact.UpstreamConnect, Dur: fact.Lasting(connectTime)},
	} {
		s.Basis, s.Party, s.Origin.URL = fact.Default, fact.Party{Role: fact.RoleGateway, Tech: tech}, docRouting
		out.State(&s)
	}
}
