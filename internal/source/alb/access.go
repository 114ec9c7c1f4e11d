package alb

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// kind of a line, by its first field.
func isType(b []byte) bool {
	switch string(b) {
	case "http", "https", "h2", "grpcs", "ws", "wss":
		return true
	}
	return false
}

func isStamp(b []byte) bool {
	return len(b) >= 19 && b[4] == '-' && b[7] == '-' && b[10] == 'T' && b[13] == ':' && b[16] == ':'
}

func sniffALB(l *source.Line) source.Confidence {
	f, rest := source.Field(l.Text)
	switch {
	case isType(f):
		stamp, rest := source.Field(rest)
		if !isStamp(stamp) {
			return source.No
		}
		if source.HasPrefix(rest, "app/") {
			return source.Sure
		}
		return source.Likely
	case string(f) == "tls":
		if _, rest = source.Field(rest); len(rest) > 30 && isStamp(rest[:19]) && source.Has(rest, " net/") {
			return source.Sure
		}
	case isStamp(f) && isConnection(l.Text):
		return source.Sure
	}
	return source.No
}

// isConnection knows a connection log's line: stamp, client address, client
// port, listener port, and TLS fields or dashes.
func isConnection(t []byte) bool {
	_, t = source.Field(t)
	ip, t := source.Field(t)
	port, t := source.Field(t)
	listener, t := source.Field(t)
	tls, t := source.Field(t)
	return (bytes.IndexByte(ip, '.') > 0 || bytes.IndexByte(ip, ':') >= 0) && source.Int(port).Known && source.Int(listener).Known &&
		(string(tls) == "-" || source.HasPrefix(tls, "TLS")) && (source.Has(t, "TID_") || source.Has(t, `"CN=`) || bytes.Count(t, []byte{' '}) >= 5)
}

type albReader struct {
	env  *source.Env
	req  fact.Request
	told bool
}

// Line implements [source.LineReader].
func (r *albReader) Line(l *source.Line, out source.Sink) source.Took {
	t := l.Text
	f, rest := source.Field(t)
	switch {
	case isType(f):
		var e entry
		if !split(rest, &e) {
			if c := sniffALB(l); c == source.No {
				return source.NotMine
			}
			return source.Broken
		}
		fill(r.env, &e, &r.req)
		if !r.told {
			r.told = true
			stateDefaults(&r.req, false, out)
		}
		out.State(&r.req)
		return source.Mine
	case string(f) == "tls" && sniffALB(l) == source.Sure:
		return r.network(rest, out)
	case isStamp(f) && isConnection(t):
		at, _, _, _ := source.ISOTime(r.env, f)
		out.Seen(at)
		return source.Mine
	}
	return source.NotMine
}

// Close implements [source.LineReader].
func (r *albReader) Close(source.Sink) {}

// split reads the fields after the type. Older lines end early, newer ones
// have fields that nobody asks for; a line that was cut is read as far as it
// goes, if it has a status.
func split(t []byte, e *entry) bool {
	e.stamp, t = source.Field(t)
	if !isStamp(e.stamp) {
		return false
	}
	e.elb, t = source.Field(t)
	e.elb = bytes.TrimPrefix(e.elb, []byte("app/"))
	if i := bytes.IndexByte(e.elb, '/'); i >= 0 {
		e.elb = e.elb[:i]
	}
	e.client, t = source.Field(t)
	e.target, t = source.Field(t)
	e.dispatch, t = source.Field(t)
	e.answer, t = source.Field(t)
	e.deliver, t = source.Field(t)
	e.status, t = source.Field(t)
	if !source.Int(e.status).Known && string(e.status) != "-" || len(e.deliver) == 0 {
		return false
	}
	e.tstatus, t = source.Field(t)
	if len(t) > 0 && t[0] != '"' {
		e.received, t = source.Field(t)
	}
	if len(t) > 0 && t[0] != '"' {
		e.sent, t = source.Field(t)
	}
	var ok bool
	if e.request, t, ok = source.Quoted(t); !ok {
		return true
	}
	e.agent, t, _ = source.Quoted(t)
	_, t = source.Field(t) // cipher
	_, t = source.Field(t) // TLS version
	e.group, t = source.Field(t)
	e.trace, t, _ = source.Quoted(t)
	_, t, _ = source.Quoted(t) // domain name
	_, t, _ = source.Quoted(t) // certificate
	_, t = source.Field(t)     // rule priority
	e.created, t = source.Field(t)
	e.actions, t, _ = source.Quoted(t)
	_, t, _ = source.Quoted(t) // redirect
	e.reason, t, _ = source.Quoted(t)
	_, t, _ = source.Quoted(t) // targets
	_, t, _ = source.Quoted(t) // their codes
	_, t, _ = source.Quoted(t) // classification
	e.class, t, _ = source.Quoted(t)
	e.conn, _ = source.Field(t)
	return true
}

// network states the connection of a Network Load Balancer's TLS line:
// version time elb listener client target connection-ms handshake-ms received
// sent alert.
func (r *albReader) network(t []byte, out source.Sink) source.Took {
	_, t = source.Field(t)
	stamp, t := source.Field(t)
	elb, t := source.Field(t)
	_, t = source.Field(t)
	client, t := source.Field(t)
	target, t := source.Field(t)
	lasted, t := source.Field(t)
	handshake, t := source.Field(t)
	_, t = source.Field(t)
	_, t = source.Field(t)
	alert, _ := source.Field(t)
	at, res, _, ok := source.ISOTime(r.env, stamp)
	if !ok {
		return source.Broken
	}
	c := &fact.Conn{Client: source.View(known(client)), Server: source.View(known(target))}
	c.Time, c.Res = at, fact.Lasting(res)
	c.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, Name: source.View(bytes.TrimPrefix(elb, []byte("net/")))}
	if d := source.Millis(lasted); d.Known {
		c.Opened = at.Add(-d.D)
	}
	if len(known(alert)) > 0 || !source.Millis(handshake).Known {
		c.Ended = fact.TLSFailed
	}
	out.State(c)
	return source.Mine
}

// sniffClassic: stamp name client:port backend:port and three times.
func sniffClassic(l *source.Line) source.Confidence {
	if len(l.Text) < 50 || !isStamp(l.Text) {
		return source.No
	}
	var e entry
	if !splitClassic(l.Text, &e) {
		return source.No
	}
	return source.Sure
}

func splitClassic(t []byte, e *entry) bool {
	e.classic = true
	e.stamp, t = source.Field(t)
	e.elb, t = source.Field(t)
	e.client, t = source.Field(t)
	e.target, t = source.Field(t)
	e.dispatch, t = source.Field(t)
	e.answer, t = source.Field(t)
	e.deliver, t = source.Field(t)
	e.status, t = source.Field(t)
	e.tstatus, t = source.Field(t)
	e.received, t = source.Field(t)
	e.sent, t = source.Field(t)
	if !isStamp(e.stamp) || !isTime(e.dispatch) || !isTime(e.answer) || !isTime(e.deliver) || bytes.IndexByte(e.client, ':') < 0 ||
		!numberOrDash(e.status) || !numberOrDash(e.tstatus) || !source.Int(e.sent).Known || len(t) == 0 || t[0] != '"' {
		return false
	}
	var ok bool
	if e.request, t, ok = source.Quoted(t); ok {
		e.agent, _, _ = source.Quoted(t)
	}
	return true
}

// isTime: seconds with a fraction, or -1.
func isTime(b []byte) bool { return string(b) == "-1" || source.Secs(b).Known }

func numberOrDash(b []byte) bool { return len(b) == 1 && b[0] == '-' || source.Int(b).Known }

type classicReader struct {
	env  *source.Env
	req  fact.Request
	told bool
}

// Line implements [source.LineReader].
func (r *classicReader) Line(l *source.Line, out source.Sink) source.Took {
	var e entry
	if len(l.Text) < 50 || !isStamp(l.Text) || !splitClassic(l.Text, &e) {
		return source.NotMine
	}
	if len(known(e.status)) == 0 {
		at, _, _, _ := source.ISOTime(r.env, e.stamp) // a TCP listener
		out.Seen(at)
		return source.Mine
	}
	// Its members' status 0 means that they gave none.
	if string(e.tstatus) == "0" {
		e.tstatus = nil
	}
	fill(r.env, &e, &r.req)
	if !r.told {
		r.told = true
		stateDefaults(&r.req, true, out)
	}
	out.State(&r.req)
	return source.Mine
}

// Close implements [source.LineReader].
func (r *classicReader) Close(source.Sink) {}

// Documents that state the time-outs below.
const (
	docALB     = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#connection-idle-timeout"
	docClassic = "https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-idle-timeout.html"
	docTrouble = "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html"
)

// The balancer's time-outs unless set otherwise. The idle one holds for both
// sides, and for an answer.
const (
	idleTimeout     = 60 * time.Second
	clientKeepAlive = 3600 * time.Second
)

func stateDefaults(q *fact.Request, classic bool, out source.Sink) {
	set := func(s fact.Setting, url string) {
		s.Basis = fact.Default
		s.Party = fact.Party{Role: q.Party.Role, Tech: tech, Name: q.Party.Name}
		s.Origin.URL = url
		out.State(&s)
	}
	spelling := "aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN --attributes Key=idle_timeout.timeout_seconds,Value={s}"
	url := docALB
	if classic {
		spelling = "aws elb modify-load-balancer-attributes --load-balancer-name NAME --load-balancer-attributes ConnectionSettings={IdleTimeout={s}}"
		url = docClassic
	}
	set(fact.Setting{Knob: fact.PoolIdle, Dur: fact.Lasting(idleTimeout), Spelling: spelling, Where: "load balancer attributes"}, url)
	set(fact.Setting{Knob: fact.UpstreamReply, Dur: fact.Lasting(idleTimeout), Spelling: spelling, Where: "load balancer attributes"}, url)
	if classic {
		return
	}
	set(fact.Setting{Knob: fact.UpstreamConnect, Dur: fact.Lasting(connectLimit)}, docTrouble)
	set(fact.Setting{Knob: fact.KeepAliveIdle, Dur: fact.Lasting(clientKeepAlive),
		Spelling: "aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN --attributes Key=client_keep_alive.seconds,Value={s}", Where: "load balancer attributes"}, docALB)
}
