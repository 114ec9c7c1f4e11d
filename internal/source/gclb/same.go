package gclb

import "bytes"

// The bounds of what is compared with the entry before.
const (
	maxKeys     = 64   // keys; a balancer's entry has under fifty
	maxKey      = 64   // bytes of a key
	maxResource = 4096 // bytes of a resource; a balancer's has three to four hundred
)

// entryType is the payload's type in a balancer's entries.
const entryType = "type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry"

// lastResource is the resource of an entry before, and what stood in it: of
// one balancer, all entries have the same.
type lastResource struct {
	text []byte
	e    entry // its fields point into text
	keys int
	miss int // entries since that had another
}

// keepEach is how many entries with other resources pass before one of those
// is kept instead, so that logs of several balancers are not kept anew with
// each line.
const keepEach = 16

// sameResource reads a resource, without a walk if the entry before had the
// same.
func (w *walker) sameResource(e *entry) bool {
	w.blank()
	last := &w.of
	if n := len(last.text); n > 0 && bytes.HasPrefix(w.b[w.i:], last.text) {
		w.i += n
		w.n += last.keys
		e.placed(&last.e)
		return true
	}
	last.miss++
	if last.miss%keepEach != 1 {
		return w.object(e, (*walker).resource)
	}
	var found entry
	from, keys, buf := w.i, w.n, len(w.buf)
	ok := w.object(&found, (*walker).resource)
	e.placed(&found)
	if text := w.b[from:w.i]; ok && len(w.buf) == buf && len(text) < maxResource && bytes.HasPrefix(text, []byte{'{'}) {
		last.text = append(last.text[:0], text...)
		last.keys = w.n - keys
		last.e = entry{}
		again := walker{b: last.text}
		again.object(&last.e, (*walker).resource)
	}
	return ok
}

// placed takes over what a resource told.
func (e *entry) placed(r *entry) {
	e.lb = e.lb || r.lb
	for _, x := range [...]struct{ to, from *[]byte }{
		{&e.resource, &r.resource}, {&e.service, &r.service}, {&e.rule, &r.rule}, {&e.urlMap, &r.urlMap}, {&e.pod, &r.pod},
	} {
		if *x.from != nil {
			*x.to = *x.from
		}
	}
}
