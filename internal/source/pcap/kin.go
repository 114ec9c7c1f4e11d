package pcap

import (
	"net/netip"

	"culprit/internal/wire"
)

// kin tells whether an address that asks is another one of a gateway whose
// clients know it by a different address: a machine of two networks.
type kin struct {
	requests int
	with     map[wire.Endpoint]int // how many had the like of them in flight at a server
	is       wire.Endpoint         // the gateway's, once that is settled
}

// What settles that two addresses are of one machine: of some requests nearly
// all have the one request of the same target in flight at the gateway.
const (
	kinFrom  = 5
	kinShare = 0.8
	// maxKin bounds the addresses that are looked at.
	maxKin = 1024
)

// kindred reports whether c is sent on behalf of x, the request of the same
// target that is in flight at another address; several says that there are
// more. A shared id tells at once.
func (r *reader) kindred(c, x *call, several bool) bool {
	k := r.kin[c.client.Addr()]
	if k == nil {
		if len(r.kin) >= maxKin {
			return false
		}
		k = &kin{with: map[wire.Endpoint]int{}}
		r.kin[c.client.Addr()] = k
	}
	k.requests++
	if x == nil || x.client.IP == c.client.IP {
		return false
	}
	shared := len(x.ids) > 0 && len(c.ids) > 0 // and they agree
	if !several && len(k.with) < maxAlike {
		k.with[x.server]++
	}
	if n := k.with[x.server]; n >= kinFrom && float64(n) >= kinShare*float64(k.requests) {
		k.is = x.server
	}
	return k.is == x.server || shared && !several
}

// kinOf is the known address of the machine that an address belongs to.
func (r *reader) kinOf(a netip.Addr) netip.Addr {
	if k := r.kin[a]; k != nil && k.is != (wire.Endpoint{}) {
		return machine(k.is.Addr())
	}
	return machine(a)
}
