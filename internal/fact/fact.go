// Package fact is the vocabulary in which sources speak and causes listen.
//
// A fact is what one vantage point recorded. There are five kinds and there
// will be no sixth: [Request], [Conn], [Event], [Sample] and [Setting]. Each
// says when, by whom and where it is written down. The words of one technology
// stop at its source folder; here are only words that fit all of them.
//
// "Not known" is a value: [Dur] and [Int] carry whether they are known, an
// empty string is an unknown string, the zero time is an unknown time.
//
// Facts travel as JSON lines, one object a fact (see [Encode] and [Decode]).
// Names follow OpenTelemetry's semantic conventions where one exists.
//
// The package is pure: no clock, no network, no environment.
package fact

import (
	"strings"
	"time"
)

// A Fact is one of *Request, *Conn, *Event, *Sample, *Setting.
type Fact interface {
	// Head returns the part all kinds share; it may be changed through the
	// pointer.
	Head() *Header
	// Clone returns a deep copy that shares no memory with the receiver.
	Clone() Fact
}

// Header is what every fact carries.
type Header struct {
	// Time is the instant of the fact in UTC; zero if it is not known. For a
	// Request it is the instant at which it ended, for a Sample the end of its
	// interval.
	Time time.Time `json:"time,omitzero"`
	// Res is the resolution of Time: a log written in whole seconds has one
	// second. Zero means exact to what Time shows.
	Res Dur `json:"time_resolution_s,omitzero"`
	// Party is who recorded the fact, or, for an Event and a Setting, whom it
	// is about.
	Party Party `json:"party,omitzero"`
	// Origin is where the fact is written down.
	Origin Origin `json:"origin,omitzero"`
}

// Head returns the header itself, so that embedding it makes a [Fact].
func (h *Header) Head() *Header { return h }

func (h *Header) own() {
	h.Party.own()
	h.Origin.Path = strings.Clone(h.Origin.Path)
	h.Origin.Text = strings.Clone(h.Origin.Text)
	h.Origin.URL = strings.Clone(h.Origin.URL)
}

// Origin says where a fact can be looked up.
type Origin struct {
	Path string `json:"path,omitempty"` // input file as the user named it
	Line int    `json:"line,omitempty"` // line or packet number, from 1
	// Text is the line itself, cut to [MaxText] bytes, secrets taken out.
	Text string `json:"text,omitempty"`
	URL  string `json:"url,omitempty"` // documentation of a default
}

// MaxText bounds Origin.Text, in bytes: enough for any proxy's log line that
// a person would read, little enough to keep ten thousand of them.
const MaxText = 2048

// Role is the place of a party in the path of a request.
type Role string

// The roles.
const (
	RoleClient       Role = "client"
	RoleGateway      Role = "gateway"      // balancer, proxy, ingress, CDN
	RoleBackend      Role = "backend"      // application server
	RoleHost         Role = "host"         // kernel, init system
	RoleOrchestrator Role = "orchestrator" // Kubernetes, docker, supervisor
	RoleResolver     Role = "resolver"     // DNS
)

// Party is somebody who took part or looked on.
type Party struct {
	Role    Role   `json:"role,omitempty"`
	Tech    string `json:"tech,omitempty"`    // "nginx", "node", "linux": the source folder's name
	Name    string `json:"name,omitempty"`    // service, backend, pod, unit, container or pool
	Address string `json:"address,omitempty"` // "10.8.0.5:8080", "unix:/run/app.sock"
	Host    string `json:"host,omitempty"`    // machine or node it runs on
	PID     int    `json:"pid,omitempty"`
}

func (p *Party) own() {
	p.Tech, p.Name = strings.Clone(p.Tech), strings.Clone(p.Name)
	p.Address, p.Host = strings.Clone(p.Address), strings.Clone(p.Host)
}

// Request is one HTTP exchange as one party saw it.
type Request struct {
	Header
	// Partial: the fact tells of one attempt or one trouble of a request (an
	// error-log line), not of its outcome.
	Partial bool `json:"partial,omitempty"`
	// Control: an ordinary request, stated as one of a random sample to
	// compare failures with.
	Control bool `json:"control,omitempty"`
	// Wire: a capture saw it pass; no party wrote it down. Party is then who
	// asked, as far as packets tell, and Origin.Line a packet's number.
	Wire bool `json:"wire,omitempty"`
	// Count is how many like requests this one stands for; 0 means one.
	Count int `json:"count,omitempty"`

	IDs       []string `json:"ids,omitempty"`     // X-Request-Id, traceparent, ...: values only
	ConnID    string   `json:"conn_id,omitempty"` // the party's own number of the client connection, unique with its pid; on the wire [Conn].ID
	Client    string   `json:"client.address,omitempty"`
	Method    string   `json:"http.request.method,omitempty"`
	Path      string   `json:"url.path,omitempty"` // with query
	Host      string   `json:"server.address,omitempty"`
	Proto     string   `json:"network.protocol.version,omitempty"` // "1.1", "2"
	UserAgent string   `json:"user_agent.original,omitempty"`
	Status    Int      `json:"http.response.status_code,omitzero"` // sent to the client; 0 = known to be none
	Bytes     Int      `json:"http.response.size,omitzero"`
	ReqBytes  Int      `json:"http.request.size,omitzero"`
	Duration  Dur      `json:"duration_s,omitzero"` // from first request byte to last response byte

	// Upstream is the name of the group or service asked; Attempts are the
	// tries at its members, in order.
	Upstream string    `json:"upstream,omitempty"`
	Attempts []Attempt `json:"attempts,omitempty"`

	// Writer is who made the status: the party itself or somebody behind it.
	Writer Writer `json:"writer,omitempty"`
	// Ended is how it ended as this party saw it; empty if well, or not told.
	Ended Mechanism `json:"ended,omitempty"`
	// Phase is what the party was doing then.
	Phase Phase `json:"phase,omitempty"`
	Errno int   `json:"errno,omitempty"` // as on Linux; numbers of other systems are translated
	// Code is the party's own short code, untranslated: HAProxy's
	// termination state, Envoy's response flags, Google's statusDetails,
	// Heroku's H code.
	Code string `json:"code,omitempty"`
	// Detail is the party's own error text without the parts that vary.
	Detail string `json:"detail,omitempty"`
	// Attrs holds further values a cause may ask for by the names documented
	// at the Attr constants.
	Attrs map[string]string `json:"attrs,omitempty"`
}

// Clone implements [Fact].
func (r *Request) Clone() Fact {
	c := *r
	c.own()
	c.IDs = cloneStrings(r.IDs)
	c.ConnID, c.Client = strings.Clone(r.ConnID), strings.Clone(r.Client)
	c.Method, c.Path, c.Host = strings.Clone(r.Method), strings.Clone(r.Path), strings.Clone(r.Host)
	c.Proto, c.UserAgent = strings.Clone(r.Proto), strings.Clone(r.UserAgent)
	c.Upstream = strings.Clone(r.Upstream)
	c.Code, c.Detail = strings.Clone(r.Code), strings.Clone(r.Detail)
	c.Attrs = cloneMap(r.Attrs)
	c.Attempts = nil
	if len(r.Attempts) > 0 {
		c.Attempts = make([]Attempt, len(r.Attempts))
		for i, a := range r.Attempts {
			a.Address, a.ConnID = strings.Clone(a.Address), strings.Clone(a.ConnID)
			c.Attempts[i] = a
		}
	}
	return &c
}

// N is how many requests the fact stands for, at least one.
func (r *Request) N() int { return max(r.Count, 1) }

// Start is when the request began, if both its end and its duration are known.
func (r *Request) Start() (time.Time, bool) {
	if r.Time.IsZero() || !r.Duration.Known {
		return time.Time{}, false
	}
	return r.Time.Add(-r.Duration.D), true
}

// Attempt is one try of a gateway at one member of its upstream.
type Attempt struct {
	Address string `json:"network.peer.address,omitempty"` // "10.0.0.5:8080"; the group's name if no member was chosen
	Status  Int    `json:"status,omitzero"`                // what the member answered; unknown if it did not
	Connect Dur    `json:"connect_s,omitzero"`             // time to connect; unknown if it did not connect
	Header  Dur    `json:"header_s,omitzero"`              // time to the response header; unknown if none came
	Took    Dur    `json:"took_s,omitzero"`                // the whole try
	// Reused: the try went out on a kept connection (1) or on a fresh one
	// (0).
	Reused Int `json:"reused,omitzero"`
	// Idle is how long that connection, or, as a lower bound, anything
	// towards that member, had been silent before.
	Idle  Dur `json:"idle_s,omitzero"`
	Index Int `json:"index,omitzero"` // the request's place on that connection, from 1
	// ConnID names the connection as [Conn].ID does, where a capture saw it.
	ConnID string `json:"conn_id,omitempty"`
	// ClosedAgo is how long before this try was sent the member had closed the
	// connection, where a capture shows it: negative if it closed after.
	ClosedAgo Dur       `json:"closed_ago_s,omitzero"`
	Ended     Mechanism `json:"ended,omitempty"`
	Errno     int       `json:"errno,omitempty"`
}

// Writer is who made the status line that the client got.
type Writer string

// Who may have written a status.
const (
	WriterUnknown Writer = ""
	WriterSelf    Writer = "self"    // the party made it: the member did not answer properly
	WriterBackend Writer = "backend" // relayed from the member
)

// Conn is one TCP connection as a capture saw it, or a client that opened it.
// Header.Time is its last packet.
type Conn struct {
	Header
	// ID is the connection's number within Origin.Path, as Wireshark counts
	// them (tcp.stream); it is the ConnID of the requests and attempts on it.
	ID     string `json:"conn_id,omitempty"`
	Client string `json:"client.address,omitempty"` // who opened it
	Server string `json:"server.address,omitempty"`
	// Opened is its SYN; zero if it began before the capture.
	Opened time.Time `json:"opened,omitzero"`
	// Connect is from the (last) SYN to the answer: the round-trip time from
	// where the capture was taken, and the listen queue's.
	Connect Dur `json:"connect_s,omitzero"`
	// SYNs is how often the connection was asked for.
	SYNs     Int `json:"syns,omitzero"`
	Requests Int `json:"requests,omitzero"`
	// Idle is the silence before the close, or before the last request where
	// that met the close.
	Idle     Dur       `json:"idle_s,omitzero"`
	Closed   time.Time `json:"closed,omitzero"`      // the first FIN or RST
	ClosedBy Role      `json:"closed_by,omitempty"`  // who sent it: client or backend
	How      string    `json:"closed_how,omitempty"` // "fin", "rst", "timeout", "icmp"
	Ended    Mechanism `json:"ended,omitempty"`
	// BytesIn and BytesOut are the payload from the server and to it.
	BytesIn     Int `json:"bytes_in,omitzero"`
	BytesOut    Int `json:"bytes_out,omitzero"`
	Retransmits Int `json:"retransmits,omitzero"`
	ZeroWindows Int `json:"zero_windows,omitzero"` // times a receiver said it had no room
	// Missing bytes never arrived at the other side, though later ones did.
	Missing Int `json:"missing_bytes,omitzero"`
	// Together is how many other connections of the server its side closed
	// within a hundredth of a second of this one, those apart that it closed
	// because the answer was given.
	Together Int `json:"closed_together,omitzero"`
	// Foreign: the reset came with a time to live or an IP id unlike those of
	// the party in whose name it was sent: a middlebox sent it.
	Foreign string `json:"foreign_reset,omitempty"` // "ttl 57, its other packets have 64"
	// Protocol is what was spoken: "http", "h2c", "tls", "" if neither.
	Protocol string `json:"protocol,omitempty"`
	// ServerName is what the TLS client asked for.
	ServerName string `json:"tls.server_name,omitempty"`
	// Packets are those that mattered, in their order.
	Packets []Packet `json:"packets,omitempty"`
}

// Packet is a packet of a connection, or several in a row of one direction that
// are told as one.
type Packet struct {
	N    int       `json:"n"` // as Wireshark counts (frame.number), from 1
	Time time.Time `json:"time"`
	// FromServer: sent by the server's side.
	FromServer bool `json:"from_server,omitempty"`
	// Flags are the TCP flags that matter: "SYN", "SYN ACK", "FIN", "RST",
	// "ACK"; empty for data.
	Flags string `json:"flags,omitempty"`
	Bytes int    `json:"bytes,omitempty"` // payload
	// After: packets between the one told before and this one are not told.
	After bool `json:"after_others,omitempty"`
	More  int  `json:"more,omitempty"` // how many packets after N it stands for too
	// Says is what it carried: "POST /orders", "200 OK", "TLS alert: handshake
	// failure", "SYN again", "no room (window 0)", "ICMP port unreachable".
	Says string `json:"says,omitempty"`
}

// Clone implements [Fact].
func (c *Conn) Clone() Fact {
	d := *c
	d.own()
	d.ID, d.Client, d.Server, d.How = strings.Clone(c.ID), strings.Clone(c.Client), strings.Clone(c.Server), strings.Clone(c.How)
	d.Foreign, d.Protocol, d.ServerName = strings.Clone(c.Foreign), strings.Clone(c.Protocol), strings.Clone(c.ServerName)
	d.Packets = nil
	if len(c.Packets) > 0 {
		d.Packets = make([]Packet, len(c.Packets))
		for i, p := range c.Packets {
			p.Flags, p.Says = strings.Clone(p.Flags), strings.Clone(p.Says)
			d.Packets[i] = p
		}
	}
	return &d
}

// Event is something that changed or happened, apart from any one request.
type Event struct {
	Header
	Kind EventKind `json:"event.name"`
	// Detail is the recorder's own text, without the parts that vary.
	Detail string `json:"detail,omitempty"`
	// Reason is a short word: "OOMKilled", "SIGSEGV", "readiness", "timeout".
	Reason string `json:"reason,omitempty"`
	// Limit names what ran out, for [LimitReached] and [LimitNear]: one of the
	// Limit constants.
	Limit  Limit `json:"limit,omitempty"`
	Used   Int   `json:"used,omitzero"`
	Max    Int   `json:"max,omitzero"`
	Exit   Int   `json:"process.exit.code,omitzero"`
	Signal int   `json:"signal,omitempty"` // number as on Linux
	// Lasted is how long what ended had gone on: a worker's age, a request's
	// run time, a probe's time-out.
	Lasted Dur `json:"lasted_s,omitzero"`
	// Count is how often it happened, where the recorder folds repeats; 0
	// means once. First is then when it began; Age and FirstAge are how long
	// before the recording the last and the first was, where only that is
	// told.
	Count    int       `json:"count,omitempty"`
	First    time.Time `json:"first,omitzero"`
	Age      Dur       `json:"age_s,omitzero"`
	FirstAge Dur       `json:"first_age_s,omitzero"`
	// Method, Path and Client are those of the request it names, if any.
	Method string            `json:"http.request.method,omitempty"`
	Path   string            `json:"url.path,omitempty"`
	Client string            `json:"client.address,omitempty"`
	IDs    []string          `json:"ids,omitempty"`
	Attrs  map[string]string `json:"attrs,omitempty"`
}

// Clone implements [Fact].
func (e *Event) Clone() Fact {
	c := *e
	c.own()
	c.Detail, c.Reason = strings.Clone(e.Detail), strings.Clone(e.Reason)
	c.Method, c.Path, c.Client = strings.Clone(e.Method), strings.Clone(e.Path), strings.Clone(e.Client)
	c.IDs, c.Attrs = cloneStrings(e.IDs), cloneMap(e.Attrs)
	return &c
}

// N is how often the event happened, at least once.
func (e *Event) N() int { return max(e.Count, 1) }

// Sample is a number over an interval that ends at Time.
type Sample struct {
	Header
	Name     SampleName        `json:"name"`
	Interval Dur               `json:"interval_s,omitzero"`
	Value    float64           `json:"value"`
	Count    int               `json:"count,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// Clone implements [Fact].
func (s *Sample) Clone() Fact {
	c := *s
	c.own()
	c.Labels = cloneMap(s.Labels)
	return &c
}

// Setting is the value of a knob of a party.
type Setting struct {
	Header
	Knob  Knob   `json:"knob"`
	Dur   Dur    `json:"duration_s,omitzero"`
	Num   Int    `json:"number,omitzero"`
	Text  string `json:"value,omitempty"`
	Basis Basis  `json:"basis"`
	// Note tells of a Measured value how: "8 of 8 idle connections ...". Count
	// is on how many measurements that agree it rests.
	Note  string `json:"note,omitempty"`
	Count int    `json:"count,omitempty"`
	// Spelling is how this party's user writes the knob, with {s}, {ms} or
	// {n} for the value: "keepalive_timeout {s}s;".
	Spelling string `json:"spelling,omitempty"`
	// Where is what the spelling belongs into: a file or block name.
	Where string `json:"where,omitempty"`
	// Object is the thing that is configured: "Deployment/shop", "upstream
	// app".
	Object string `json:"object,omitempty"`
}

// Clone implements [Fact].
func (s *Setting) Clone() Fact {
	c := *s
	c.own()
	c.Text, c.Spelling = strings.Clone(s.Text), strings.Clone(s.Spelling)
	c.Where, c.Object = strings.Clone(s.Where), strings.Clone(s.Object)
	return &c
}

// Basis says how a Setting is known. A better basis outranks a worse one.
type Basis string

// From best to worst.
const (
	Measured   Basis = "measured"
	Configured Basis = "configured"
	Default    Basis = "default"
)

// Outranks reports whether b is better founded than c.
func (b Basis) Outranks(c Basis) bool { return b.rank() > c.rank() }

func (b Basis) rank() int {
	switch b {
	case Measured:
		return 3
	case Configured:
		return 2
	case Default:
		return 1
	}
	return 0
}

func cloneStrings(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.Clone(s)
	}
	return out
}

func cloneMap(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[strings.Clone(k)] = strings.Clone(v)
	}
	return out
}

// Reset empties r and keeps the memory of its lists, for readers that fill one
// Request again and again.
func (r *Request) Reset() {
	ids, at := r.IDs[:0], r.Attempts[:0]
	*r = Request{IDs: ids, Attempts: at}
}
