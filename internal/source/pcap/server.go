package pcap

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/wire"
)

// server is what was seen of one address that answers.
type server struct {
	name    string // its address
	end     wire.Endpoint
	gateway bool // it answers by asking others
	inner   bool // a gateway asks it
	// tech is who wrote its answers, relayer who passed them on.
	tech, relayer   string
	version         string
	banner          *source.Banner
	looked          int
	passes          *source.Banner
	oneSided        bool // packets of one direction alone were captured
	conns, requests int
	rests           []rest // idle connections that it closed
	counted         []counted
	most            int // answered requests on one connection
	connect         []time.Duration
	closings        []int64 // when it closed connections, the last of them; not those closed because the answer was given
	atOnce          int     // connections closed right after an answer
	first           counted // of them
}

// rest is how long a connection had been idle when it was closed.
type rest struct {
	d   time.Duration
	rst bool
	n   int // the packet
	at  int64
}

// counted is how many requests a connection had carried that was closed right
// after an answer.
type counted struct {
	requests, n int
	at          int64
}

// asker is one machine's connections to one server.
type asker struct {
	client, server wire.Endpoint // the client's port is 0
}

// rests are the idle connections that the asking side closed.
type rests struct{ list []rest }

// The bounds of what is measured.
const (
	// maxServers bounds those told apart; further ones share what is not
	// measured.
	maxServers = 4096
	// maxSamples bounds the measurements of one kind of one server: enough for
	// a median, the first ones.
	maxSamples = 2048
	// maxLooks bounds how many answers of a server are looked at for who it is.
	maxLooks = 40
)

// server finds what is known of an address.
func (r *reader) server(e wire.Endpoint) *server {
	s := r.servers[e]
	if s == nil {
		if len(r.servers) >= maxServers {
			e = wire.Endpoint{}
			if s = r.servers[e]; s != nil {
				s.name = "" // several
				return s
			}
		}
		s = &server{name: e.String(), end: e}
		r.servers[e], r.named[s.name] = s, s
		r.order = append(r.order, s)
		m := machine(e.Addr())
		r.on[m] = append(r.on[m], s)
	}
	return s
}

// fronts: it is known to stand in front of others.
func (s *server) fronts() bool {
	return s.gateway || s.banner != nil && s.banner.Role == fact.RoleGateway || s.passes != nil
}

// answers: it is known to answer itself.
func (s *server) answers() bool {
	return s.inner && !s.gateway || s.banner != nil && s.banner.Role == fact.RoleBackend && s.passes == nil
}

// onAnswer looks at who answers.
func (r *reader) onAnswer(f wire.Flow, e *wire.Exchange, head, body []byte) {
	c := r.call(e)
	var s *server
	if c != nil {
		s = c.at
	} else {
		_, end := f.Ends()
		s = r.server(end)
	}
	if s.looked >= maxLooks && e.Status < 500 || s.looked >= 2*maxLooks || len(r.env.Banners) == 0 {
		return
	}
	s.looked++
	a := answer(e, head, body)
	if b := source.Relayer(r.env.Banners, a); b != nil && s.passes == nil {
		s.passes, s.relayer = b, b.Tech
	}
	b := source.Recognise(r.env.Banners, a)
	if c != nil && e.Status >= 500 {
		c.own = b != nil && b.Role != fact.RoleBackend && b.Wrote(a) >= source.Likely
	}
	if b != nil && (s.banner == nil || e.Status >= 500) {
		s.banner, s.tech = b, b.Tech
		if b.Version != nil {
			s.version = b.Version(a)
		}
	}
}

// answer makes an [source.Answer] of a head.
func answer(e *wire.Exchange, head, body []byte) *source.Answer {
	a := &source.Answer{Proto: "HTTP/1." + string('0'+e.Proto), Status: e.Status, Body: body}
	if line, _, _ := bytes.Cut(head, []byte{'\r'}); len(line) > 13 {
		a.Reason = string(line[13:])
	}
	a.Header = func(name string) string { return string(wire.Header(head, name)) }
	a.Has = func(name string) bool { return wire.Header(head, name) != nil }
	return a
}

// asked counts a request.
func (s *server) asked(e *wire.Exchange) {
	s.requests++
	if e.Status > 0 {
		s.most = max(s.most, e.Index)
	}
}

// soon is how soon after an answer a close belongs to it.
const soon = 50 * time.Millisecond

// over takes what a connection's end tells of its server.
func (s *server) over(c *wire.Conn) {
	s.conns++
	s.oneSided = s.oneSided || c.OneSided
	if c.Answered > c.LastSYN && len(s.connect) < maxSamples {
		s.connect = append(s.connect, time.Duration(c.Answered-c.Opened))
	}
	if c.ClosedBy != wire.Server {
		return
	}
	if !c.Idle || c.Rest < 0 || c.Rest >= soon {
		if len(s.closings) >= maxSamples {
			s.closings = append(s.closings[:0], s.closings[maxSamples/2:]...)
		}
		s.closings = append(s.closings, c.Closed)
	}
	if !c.Idle || c.Rest < 0 || c.OneSided || c.Foreign != nil {
		return
	}
	if c.Rest < soon {
		if s.atOnce++; s.atOnce == 1 {
			s.first = counted{c.Requests, int(c.ClosedN), c.Closed}
		}
		if c.Begun && len(s.counted) < maxSamples {
			s.counted = append(s.counted, counted{c.Requests, int(c.ClosedN), c.Closed})
		}
	} else if len(s.rests) < maxSamples {
		s.rests = append(s.rests, rest{c.Rest, c.How == "rst", int(c.ClosedN), c.Closed})
	}
}

// askerOver takes what it tells of who asked.
func (r *reader) askerOver(c *wire.Conn) {
	if c.ClosedBy != wire.Client || !c.Idle || c.Rest < soon || c.OneSided {
		return
	}
	k := asker{wire.Endpoint{IP: c.Client.IP}, c.Server}
	x := r.askers[k]
	if x == nil {
		if len(r.askers) >= maxServers {
			return
		}
		x = &rests{}
		r.askers[k] = x
	}
	if len(x.list) < maxSamples {
		x.list = append(x.list, rest{c.Rest, c.How == "rst", int(c.ClosedN), c.Closed})
	}
}

// together is how many other connections the server closed within a hundredth
// of a second of at, those apart that it closed because the answer was given.
func (s *server) together(at int64) int {
	if s == nil {
		return 0
	}
	n := -1
	for _, x := range s.closings {
		if d := x - at; d < 10e6 && d > -10e6 {
			n++
		}
	}
	return max(n, 0)
}

// measured states what was measured of servers and of those who ask them.
func (r *reader) measured() {
	for _, s := range r.order {
		if s.name == "" || s.requests == 0 && len(s.rests) == 0 && len(s.connect) < leastConnects {
			continue
		}
		p := fact.Party{Role: fact.RoleBackend, Tech: s.tech, Address: s.name}
		if s.fronts() {
			if p.Role = fact.RoleGateway; s.passes != nil {
				p.Tech = s.relayer
			}
			continue // how a gateway treats its clients is not asked
		}
		if s.banner != nil && s.banner.Defaults != nil {
			s.banner.Defaults(p, s.version, func(x *fact.Setting) { r.setting(x, p, 0, 0) })
		}
		r.idle(s, p)
		r.recycles(s, p)
		r.accepts(s, p)
	}
	keys := make([]asker, 0, len(r.askers))
	for k := range r.askers {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b asker) int {
		return cmp.Or(bytes.Compare(a.client.IP[:], b.client.IP[:]), bytes.Compare(a.server.IP[:], b.server.IP[:]), cmp.Compare(a.server.Port, b.server.Port))
	})
	for _, k := range keys {
		if r.server(k.server).fronts() {
			continue // its clients are nobody's pool
		}
		if x, ok := gather(r.askers[k].list); ok {
			p := r.whoAsked(&call{client: k.client})
			p.Role = fact.RoleGateway
			r.setting(&fact.Setting{Knob: fact.PoolIdle, Dur: fact.Lasting(x.median), Basis: fact.Measured, Object: "to " + k.server.String(), Note: x.says(), Count: x.n}, p, x.last.n, x.last.at)
		}
	}
}

// setting states a setting of a party.
func (r *reader) setting(x *fact.Setting, p fact.Party, n int, when int64) {
	x.Party = p
	x.Time = at(when)
	if n > 0 {
		x.Origin.Line = n
		x.Origin.Text = x.Note
	}
	r.in.At(max(n, 1))
	r.out.State(x)
}

// idle states how long a server keeps idle connections.
func (r *reader) idle(s *server, p fact.Party) {
	if s.atOnce*10 > s.conns*8 && s.atOnce >= leastCloses && s.most == 1 {
		r.setting(&fact.Setting{Knob: fact.KeepAliveIdle, Text: "off", Basis: fact.Measured, Count: s.atOnce, Note: fmt.Sprintf("it closed %d of %d connections right after the answer", s.atOnce, s.conns)}, p, s.first.n, s.first.at)
		return
	}
	if x, ok := gather(s.rests); ok {
		r.setting(&fact.Setting{Knob: fact.KeepAliveIdle, Dur: fact.Lasting(x.median), Basis: fact.Measured, Note: x.says(), Count: x.n}, p, x.last.n, x.last.at)
	}
}

// leastCloses is from how many closes something is told of them.
const leastCloses = 3

// recycles states after how many requests a server closes a connection.
func (r *reader) recycles(s *server, p fact.Party) {
	same, last := 0, counted{}
	for _, c := range s.counted {
		if c.requests == s.most || c.requests == s.most+1 { // one more may have run into the close
			same, last = same+1, c
		}
	}
	if s.most > 1 && same >= leastCloses && same*10 >= len(s.counted)*6 {
		r.setting(&fact.Setting{Knob: fact.MaxConnRequests, Num: fact.Num(s.most), Basis: fact.Measured, Count: same, Note: fmt.Sprintf("it closed %d connections after request %d, and none carried more", same, s.most)}, p, last.n, last.at)
	}
}

// leastConnects is from how many connections the time to connect is told.
const leastConnects = 3

// accepts states how long a connection takes to come about.
func (r *reader) accepts(s *server, p fact.Party) {
	if len(s.connect) < leastConnects {
		return
	}
	slices.Sort(s.connect)
	n := len(s.connect)
	r.setting(&fact.Setting{Knob: fact.AcceptDelay, Dur: fact.Lasting(s.connect[n/2]), Basis: fact.Measured, Count: n, Note: fmt.Sprintf("from SYN to its answer, of %d connections: median %s, longest %s", n, short(s.connect[n/2]), short(s.connect[n-1]))}, p, 0, 0)
}

// cluster are measurements that agree.
type cluster struct {
	n, of       int
	least, most time.Duration
	median      time.Duration
	resets      int
	last        rest
}

// The width within which idle closes agree: servers look at their connections
// once a second, or so often that a twentieth of the time goes by; where they
// keep them for less than two seconds, it is half of that time.
func agree(d time.Duration) time.Duration {
	return max(min(1100*time.Millisecond, d/2), d/20)
}

// leastRest is the shortest time-out of idle connections that is believed: no
// server has a shorter one by default, and restarts close connections that had
// rested for any time.
const leastRest = 900 * time.Millisecond

// together is within what time connections are closed that are closed together.
const together = int64(100 * time.Millisecond)

// apart leaves out the connections that were closed together though they had
// rested for times that no one time-out explains: a restart closes all.
func apart(list []rest) []rest {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b rest) int { return cmp.Compare(a.at, b.at) })
	kept := list[:0]
	for from := 0; from < len(list); {
		to := from + 1
		least, most := list[from].d, list[from].d
		for ; to < len(list) && list[to].at-list[to-1].at < together; to++ {
			least, most = min(least, list[to].d), max(most, list[to].d)
		}
		if most-least <= agree(most) {
			kept = append(kept, list[from:to]...)
		}
		from = to
	}
	return kept
}

// gather finds the idle time at which most connections were closed. One close
// alone tells only if it is near a whole second, as time-outs are.
func gather(list []rest) (cluster, bool) {
	list = slices.DeleteFunc(apart(list), func(x rest) bool { return x.d < leastRest })
	slices.SortFunc(list, func(a, b rest) int { return cmp.Or(cmp.Compare(a.d, b.d), cmp.Compare(a.at, b.at)) })
	best := cluster{of: len(list)}
	from := 0
	for i := range list {
		for list[i].d-list[from].d > agree(list[i].d) {
			from++
		}
		if n := i - from + 1; n > best.n {
			in := list[from : i+1]
			best = cluster{n: n, of: len(list), least: in[0].d, most: in[n-1].d, median: in[n/2].d, last: in[n-1]}
			for _, x := range in {
				if x.rst {
					best.resets++
				}
			}
		}
	}
	if best.n == 1 {
		off := best.median % time.Second
		return best, best.of == 1 && best.median >= time.Second && (off < 60*time.Millisecond || off > 990*time.Millisecond)
	}
	return best, best.n >= 2 && best.n*2 >= best.of
}

// says tells a cluster in words.
func (c *cluster) says() string {
	how := "FIN"
	switch {
	case c.resets == c.n:
		how = "RST"
	case c.resets > 0:
		how = "FIN or RST"
	}
	if c.n == 1 {
		return fmt.Sprintf("measured: one idle connection closed after %s, by %s", short(c.median), how)
	}
	return fmt.Sprintf("measured: %d of %d idle connections closed after %s to %s, by %s", c.n, c.of, short(c.least), short(c.most), how)
}
