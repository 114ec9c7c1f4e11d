package recorder

import "culprit/internal/wire"

// twins remembers which connections carried which requests lately, so that a
// failed one's twin is found: the other leg of the same gateway. It is the
// connection that carried the same request id; where no ids are sent, the one
// whose client has the failed one's server's address, or the reverse, and
// which carried the same request line at the same time.
type twins struct {
	recent []leg // a ring
	next   uint64
	byID   map[uint64]uint64 // the newest leg with it, and by that the others
	byLine map[uint64]uint64
}

// leg is a request on a connection.
type leg struct {
	n              uint64 // its number; recent[n%len] is it, unless overwritten
	client, server wire.Endpoint
	begin          int64
	ids            [maxLegIDs]idLink
	line           uint64
	before         uint64 // the leg before with the same line
	h2             bool
}

type idLink struct {
	id     uint64 // a hash; 0 if there is none
	before uint64 // the leg before with the same id
}

// The bounds of looking for twins.
const (
	// maxLegs is how many requests are remembered.
	maxLegs = 1 << 16
	// maxLegIDs is how many ids of a request are.
	maxLegIDs = 3
	// maxTwins is how many twins a failure has: a gateway tries a handful of
	// upstreams.
	maxTwins = 8
	// maxSteps is how many requests with the same line are looked at.
	maxSteps = 256
	// legEarly is how much later the front leg's request may be stamped than
	// the back leg's, where two interfaces or processors stamp them, and
	// legLate how long a gateway may sit on a request before it sends it on.
	legEarly = int64(2e6)
	legLate  = int64(2e9)
)

func newTwins() *twins {
	return &twins{recent: make([]leg, maxLegs), next: 1, byID: map[uint64]uint64{}, byLine: map[uint64]uint64{}}
}

// add remembers a request.
func (t *twins) add(client, server wire.Endpoint, r Request) {
	slot := &t.recent[t.next%maxLegs]
	t.forget(slot)
	*slot = leg{n: t.next, client: client, server: server, begin: r.Begin, line: lineHash(r), h2: r.h2}
	slot.before = t.byLine[slot.line]
	t.byLine[slot.line] = t.next
	for i, id := range r.IDs[:min(len(r.IDs), maxLegIDs)] {
		h := textHash(id)
		slot.ids[i] = idLink{h, t.byID[h]}
		t.byID[h] = t.next
	}
	t.next++
}

// forget takes an overwritten leg out of the indexes.
func (t *twins) forget(l *leg) {
	if l.n == 0 {
		return
	}
	if t.byLine[l.line] == l.n {
		delete(t.byLine, l.line)
	}
	for _, x := range l.ids {
		if x.id != 0 && t.byID[x.id] == l.n {
			delete(t.byID, x.id)
		}
	}
}

// at is a leg by its number, or nil if it was overwritten.
func (t *twins) at(n uint64) *leg {
	if l := &t.recent[n%maxLegs]; n != 0 && l.n == n {
		return l
	}
	return nil
}

// of finds a failure's twins.
func (t *twins) of(f *Failure) (found []*leg) {
	r := f.Request
	if r.Method == "" {
		return nil
	}
	own := flowOf(f.Client, f.Server)
	for _, id := range r.IDs[:min(len(r.IDs), maxLegIDs)] {
		h := textHash(id)
		for l := t.at(t.byID[h]); l != nil && len(found) < maxTwins; {
			if flowOf(l.client, l.server) != own && !hasLeg(found, l) {
				found = append(found, l)
			}
			var before uint64
			for _, x := range l.ids {
				if x.id == h {
					before = x.before
				}
			}
			if before >= l.n {
				break
			}
			l = t.at(before)
		}
	}
	if len(found) > 0 {
		return found
	}
	return t.byTime(f, own)
}

// byTime finds the nearest leg before and behind the failed one that has the
// same request line and shares the gateway's address.
func (t *twins) byTime(f *Failure, own flowID) (found []*leg) {
	var front, back *leg
	at := f.Request.Begin
	l := t.at(t.byLine[lineHash(f.Request)])
	for range maxSteps {
		if l == nil || l.begin < at-legLate {
			break
		}
		switch {
		case flowOf(l.client, l.server) == own || l.server == f.Server:
		case l.ids[0].id != 0 && len(f.Request.IDs) > 0: // both have ids, and they differ
		case l.server.IP == f.Client.IP && l.begin <= at+legEarly && (front == nil || l.begin > front.begin):
			front = l
		case l.client.IP == f.Server.IP && l.begin >= at-legEarly && l.begin <= at+legLate && (back == nil || l.begin < back.begin):
			back = l
		}
		if l.before >= l.n {
			break
		}
		l = t.at(l.before)
	}
	for _, l := range []*leg{front, back} {
		if l != nil {
			found = append(found, l)
		}
	}
	return found
}

func hasLeg(ls []*leg, l *leg) bool {
	for _, x := range ls {
		if x.client == l.client && x.server == l.server {
			return true
		}
	}
	return false
}

func lineHash(r Request) uint64 { return mix(textHash(r.Method)) ^ textHash(r.Target) }

// textHash is FNV-1a, finished; never 0.
func textHash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h) | 1
}
