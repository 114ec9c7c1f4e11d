package azure

import (
	"bytes"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// entry is the fields of one record; they point into the parsed line, or are
// numbers written anew.
type entry struct {
	category, stamp, instance, client, port, method, uri, query, original, agent, status, version, received, sent,
	taken, id, routed, serverStatus, latency, connect, header, host, originalHost, errorInfo, pool, gateway,
	cache, action, message, result []byte
	v1 bool
}

// set puts a field into its place by its name, lower case, without underscores
// and type suffix.
func (e *entry) set(name string, v []byte) {
	switch name {
	case "category":
		e.category = v
	case "time", "timestamp", "timegenerated":
		if e.stamp == nil || name != "timegenerated" {
			e.stamp = v
		}
	case "instanceid":
		e.instance = v
	case "clientip":
		e.client = v
	case "clientport":
		e.port = v
	case "httpmethod", "httpverb":
		e.method = v
	case "requesturi", "probeurl":
		e.uri = v
	case "requestquery":
		e.query = v
	case "originalrequesturiwithargs":
		e.original = v
	case "useragent":
		e.agent = v
	case "httpstatus", "httpstatuscode":
		e.status = v
	case "httpversion":
		e.version = v
	case "receivedbytes", "requestbytes":
		e.received = v
	case "sentbytes", "responsebytes":
		e.sent = v
	case "timetaken":
		e.taken = v
	case "transactionid", "trackingreference":
		e.id = v
	case "serverrouted", "originip":
		e.routed = v
	case "serverstatus":
		e.serverStatus = v
	case "serverresponselatency":
		e.latency = v
	case "serverconnecttime":
		e.connect = v
	case "serverheadertime":
		e.header = v
	case "host", "hostname":
		e.host = v
	case "originalhost":
		e.originalHost = v
	case "errorinfo":
		e.errorInfo = v
	case "backendpoolname", "originname", "backendhostname":
		e.pool = v
	case "resourceid":
		e.gateway = v
	case "cachestatus":
		e.cache = v
	case "action":
		e.action = v
	case "message", "rulename":
		e.message = v
	case "result":
		e.result = v
	}
}

// outcome is what an error word says of a request.
type outcome struct {
	ended  fact.Mechanism
	writer fact.Writer
	phase  fact.Phase
}

func errorWords(w []byte) (outcome, bool) {
	o, ok := errorInfos[string(w)]
	return o, ok
}

// errorInfos are the words of error_info (Application Gateway) and errorInfo
// (Front Door).
var errorInfos = map[string]outcome{
	"ERRORINFO_UPSTREAM_NO_LIVE":           {fact.NoBackend, fact.WriterSelf, ""},
	"ERRORINFO_UPSTREAM_CLOSED_CONNECTION": {fact.ClosedBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"ERRORINFO_UPSTREAM_TIMED_OUT":         {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"ERRORINFO_CLIENT_CLOSED_REQUEST":      {fact.ClientGone, "", ""},
	"ERRORINFO_CLIENT_TIMED_OUT":           {fact.ClientGone, "", ""},

	"OriginConnectionRefused":    {fact.Refused, fact.WriterSelf, fact.PhaseConnecting},
	"OriginConnectionAborted":    {fact.ClosedBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"OriginConnectionError":      {"", fact.WriterSelf, fact.PhaseConnecting},
	"OriginTimeout":              {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"OriginInvalidResponse":      {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},
	"OriginInvalidRequest":       {"", fact.WriterSelf, ""},
	"OriginError":                {"", "", ""},
	"ResponseHeaderTooBig":       {fact.ReplyTooBig, fact.WriterSelf, fact.PhaseWaiting},
	"DNSFailure":                 {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"DNSTimeout":                 {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"DNSNameNotResolved":         {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"CertificateError":           {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"CertificateNameCheckFailed": {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"CertificateExpired":         {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"SSLHandshakeError":          {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"SSLInvalidRootCA":           {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"SSLInvalidCipher":           {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"SSLMismatchedSNI":           {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"ClientDisconnected":         {fact.ClientGone, "", ""},
	"ClientGeoBlocked":           {fact.Denied, fact.WriterSelf, ""},
	"RestrictedIP":               {fact.Denied, fact.WriterSelf, ""},
}

type reader struct {
	env    *source.Env
	parser fastjson.Parser
	req    fact.Request
	attrs  map[string]string
	told   bool
}

func newReader(env *source.Env) *reader { return &reader{env: env, attrs: map[string]string{}} }

// object reads one parsed record, or the records within it.
func (r *reader) object(v *fastjson.Value, out source.Sink) bool {
	if list := v.GetArray("records"); list != nil {
		read := false
		for _, x := range list {
			read = r.object(x, out) || read
		}
		return read
	}
	var e entry
	collect(v, &e)
	if p := v.Get("properties"); p != nil {
		if p.Type() == fastjson.TypeString { // some exports hold the object as a text
			if inner, err := fastjson.ParseBytes(p.GetStringBytes()); err == nil {
				collect(inner, &e)
			}
		}
		collect(p, &e)
	}
	switch {
	case source.Has(e.category, "Firewall"):
		r.firewall(&e, out)
	case source.Has(e.category, "HealthProbe"):
		r.probe(&e, out)
	case len(e.status) == 0:
		return false
	default:
		r.request(&e, out)
	}
	return true
}

// collect picks the fields of an object.
func collect(v *fastjson.Value, e *entry) {
	o, err := v.Object()
	if err != nil {
		return
	}
	o.Visit(func(k []byte, x *fastjson.Value) {
		var b []byte
		switch x.Type() {
		case fastjson.TypeString:
			b = x.GetStringBytes()
		case fastjson.TypeNumber:
			b = bytes.TrimSuffix(x.MarshalTo(nil), []byte(".0"))
		default:
			return
		}
		if len(b) == 0 || len(b) == 1 && b[0] == '-' || string(b) == "N/A" {
			return
		}
		var name [40]byte
		n := 0
		k = bytes.TrimSuffix(bytes.TrimSuffix(bytes.TrimSuffix(k, []byte("_s")), []byte("_d")), []byte("_g"))
		for _, c := range k {
			if c == '_' {
				continue
			}
			if n == len(name) {
				return
			}
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			name[n] = c
			n++
		}
		e.set(string(name[:n]), b)
	})
}

// version1 says whether the record is of the first SKU, whose times are
// milliseconds and which hides the member in the query.
func (e *entry) version1() bool {
	return source.HasPrefix(e.instance, "ApplicationGatewayRole") || source.Has(e.query, "X-AzureApplicationGateway-")
}

func (r *reader) stamp(e *entry, h *fact.Header) {
	if t, res, _, ok := source.ISOTime(r.env, e.stamp); ok {
		h.Time = t
		if res >= time.Millisecond {
			h.Res = fact.Lasting(res)
		}
	}
}

// request states an access record.
func (r *reader) request(e *entry, out source.Sink) {
	q := &r.req
	q.Reset()
	q.Party = fact.Party{Role: fact.RoleGateway, Tech: tech, Name: source.View(e.gateway[bytes.LastIndexByte(e.gateway, '/')+1:])}
	r.stamp(e, &q.Header)
	q.Duration = source.Secs(e.taken)
	if e.v1 = e.version1(); e.v1 {
		q.Duration = millis(e.taken)
		version1Query(e)
	}
	q.Client = source.View(e.client)
	if len(e.port) > 0 && len(e.client) > 0 && string(e.port) != "0" && bytes.IndexByte(e.client, ':') < 0 {
		q.Client = string(e.client) + ":" + string(e.port)
	}
	q.Method, q.UserAgent = source.View(e.method), source.View(e.agent)
	target(e, q)
	q.Status = source.Int(e.status)
	q.Bytes, q.ReqBytes = source.Int(e.sent), source.Int(e.received)
	if v := bytes.TrimPrefix(e.version, []byte("HTTP/")); len(v) > 0 {
		if len(v) == 3 && v[0] > '1' && v[2] == '0' {
			v = v[:1]
		}
		if len(v) <= 3 {
			q.Proto = source.View(v)
		}
	}
	if len(e.id) > 0 {
		q.IDs = append(q.IDs, source.View(e.id))
	}
	q.Upstream = source.View(e.pool)
	r.judge(e, q)
	if !r.told && !q.Time.IsZero() {
		r.told = true
		stateDefaults(q.Party, source.Has(e.category, "FrontDoor") || source.Has(e.category, "Frontdoor"), e.v1, out)
	}
	out.State(q)
}

// target reads the URL: whole (Front Door), or path and host apart.
func target(e *entry, q *fact.Request) {
	u := e.uri
	if len(e.original) > 0 {
		u = e.original
	}
	q.Host = source.View(first(e.originalHost, e.host))
	if i := bytes.Index(u, []byte("://")); i >= 0 && i < 8 {
		u = u[i+3:]
		j := bytes.IndexAny(u, "/?")
		if j < 0 {
			q.Host, q.Path = source.View(u), "/"
			return
		}
		host := u[:j]
		if k := bytes.LastIndexByte(host, ':'); k > 0 {
			host = host[:k]
		}
		q.Host, q.Path = source.View(host), source.View(u[j:])
		return
	}
	q.Path = source.View(u)
	if len(e.original) == 0 && len(e.query) > 0 && bytes.IndexByte(u, '?') < 0 {
		q.Path = string(u) + "?" + string(e.query)
	}
}

func first(a, b []byte) []byte {
	if len(a) > 0 {
		return a
	}
	return b
}

// version1Query takes the member's address and status out of the query.
func version1Query(e *entry) {
	rest := e.query
	for len(rest) > 0 {
		var pair []byte
		pair, rest, _ = bytes.Cut(rest, []byte{'&'})
		k, v, _ := bytes.Cut(pair, []byte{'='})
		switch string(k) {
		case "SERVER-ROUTED":
			e.routed = v
		case "SERVER-STATUS":
			e.serverStatus = v
		case "X-AzureApplicationGateway-LOG-ID":
			e.id = v
		}
	}
	e.query = nil
}

// millis reads milliseconds with a fraction.
func millis(b []byte) fact.Dur {
	d := source.Secs(b)
	if d.Known {
		d.D /= 1000
	}
	return d
}

// judge says how a request ended; several members are listed with commas.
func (r *reader) judge(e *entry, q *fact.Request) {
	word := e.errorInfo
	x, ok := errorWords(word)
	if len(word) > 0 && string(word) != "ERRORINFO_NO_ERROR" && string(word) != "NoError" {
		q.Code = source.View(word)
	}
	addrs, codes := e.routed, e.serverStatus
	lats, conns, heads := e.latency, e.connect, e.header
	for len(addrs) > 0 {
		var a fact.Attempt
		a.Address = source.View(next(&addrs))
		if a.Status = source.Int(next(&codes)); a.Status.Is(0) {
			a.Status = fact.Int{}
		}
		a.Took, a.Connect, a.Header = source.Secs(next(&lats)), source.Secs(next(&conns)), source.Secs(next(&heads))
		q.Attempts = append(q.Attempts, a)
	}
	status := q.Status.Or(-1)
	var last *fact.Attempt
	if n := len(q.Attempts); n > 0 {
		last = &q.Attempts[n-1]
	}
	switch {
	case ok:
		q.Ended, q.Writer, q.Phase = x.ended, x.writer, x.phase
		if q.Ended == fact.ReplyTimedOut && last != nil && len(e.connect) == 0 && len(e.header) > 0 {
			q.Ended, q.Phase = fact.ConnectTimedOut, fact.PhaseConnecting
		}
	case status == 499, status == 0:
		q.Ended = fact.ClientGone
	case last != nil && last.Status.Is(status) && len(word) == 0 && !last.Header.Known && (status == 502 || status == 504):
		// Before there was error_info, the gateway noted its own code as the
		// member's.
	case last != nil && last.Status.Is(status):
		q.Writer = fact.WriterBackend
		if status >= 500 {
			q.Ended = fact.AppAnswered
		}
	case status >= 500 && (last == nil || !last.Status.Known) && len(e.cache) == 0:
		q.Writer = fact.WriterSelf
		if e.v1 && status == 502 && q.Duration.Or(0) >= gatewayReply-time.Second {
			q.Ended, q.Phase = fact.ReplyTimedOut, fact.PhaseWaiting // v1 answers 502 where v2 answers 504
		}
	}
	if q.Writer == fact.WriterSelf && q.Ended != fact.Denied && q.Ended != fact.NoBackend {
		for i := range q.Attempts {
			a := &q.Attempts[i]
			if a.Status.Is(502) || a.Status.Is(504) {
				a.Status = fact.Int{} // the gateway notes its own code there
			}
			if !a.Status.Known {
				a.Ended = q.Ended
			}
		}
	}
	if hit := strings.ToUpper(string(e.cache)); strings.Contains(hit, "HIT") {
		clear(r.attrs)
		r.attrs[fact.AttrCacheStatus] = "HIT"
		q.Attrs = r.attrs
	}
}

// next takes the front of a list.
func next(list *[]byte) []byte {
	v, rest, _ := bytes.Cut(*list, []byte{','})
	*list = bytes.TrimLeft(rest, " ")
	return bytes.TrimSpace(v)
}

// firewall states that a rule refused a request.
func (r *reader) firewall(e *entry, out source.Sink) {
	ev := &fact.Event{Kind: fact.RequestRejected, Reason: "waf", Detail: string(e.message), Method: string(e.method), Path: string(e.uri), Client: string(e.client)}
	r.stamp(e, &ev.Header)
	ev.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	if id := string(e.id); id != "" {
		ev.IDs = []string{id}
	}
	if a := strings.ToLower(string(e.action)); a != "blocked" && a != "block" {
		out.Seen(ev.Time)
		return
	}
	out.State(ev)
}

// probe states a failed health probe of Front Door.
func (r *reader) probe(e *entry, out source.Sink) {
	ev := &fact.Event{Kind: fact.ProbeFailed, Reason: "health-check", Detail: string(e.result), Path: string(e.uri), Method: string(e.method)}
	r.stamp(e, &ev.Header)
	ev.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Name: string(e.pool), Address: string(e.routed)}
	if n := source.Int(e.status); n.Known && n.N >= 400 {
		ev.Attrs = map[string]string{fact.AttrWhy: "status"}
	}
	if strings.EqualFold(ev.Detail, "Success") || ev.Detail == "" {
		out.Seen(ev.Time)
		return
	}
	out.State(ev)
}

// Documents and numbers of the gateways' own time-outs.
const (
	docGateway   = "https://learn.microsoft.com/azure/application-gateway/configuration-http-settings"
	docKeepAlive = "https://learn.microsoft.com/azure/application-gateway/application-gateway-faq"
	docFrontDoor = "https://learn.microsoft.com/azure/frontdoor/troubleshoot-issues"

	gatewayReply   = 20 * time.Second
	frontDoorReply = 30 * time.Second
	keepAliveV1    = 120 * time.Second
	keepAliveV2    = 75 * time.Second
)

func stateDefaults(p fact.Party, frontDoor, version1 bool, out source.Sink) {
	set := func(s fact.Setting, url string) {
		s.Basis, s.Party, s.Origin.URL = fact.Default, p, url
		out.State(&s)
	}
	if frontDoor {
		set(fact.Setting{Knob: fact.UpstreamReply, Dur: fact.Lasting(frontDoorReply), Spelling: "az afd profile update --origin-response-timeout-seconds {s}", Where: "profile"}, docFrontDoor)
		return
	}
	idle := keepAliveV2
	if version1 {
		idle = keepAliveV1
	}
	set(fact.Setting{Knob: fact.UpstreamReply, Dur: fact.Lasting(gatewayReply), Spelling: "az network application-gateway http-settings update --timeout {s}", Where: "backend settings"}, docGateway)
	set(fact.Setting{Knob: fact.KeepAliveIdle, Dur: fact.Lasting(idle)}, docKeepAlive)
}
