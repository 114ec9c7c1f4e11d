package recorder

import (
	"net"
	"net/netip"

	"culprit/internal/wire"
)

func endpointOf(a net.Addr) wire.Endpoint {
	ap := netip.MustParseAddrPort(a.String())
	return wire.Endpoint{IP: ap.Addr().As16(), Port: ap.Port()}
}
