package lab

import (
	"context"
	"encoding/binary"
	"sync"
	"time"
)

// roads are scenarios in which the proxy and the application are two hosts with
// a Road between them.
var roads = []Scenario{
	{
		Name: "nginx-node-far-race", Front: "nginx", Backend: "node",
		Fault: "keepalive-race", Blame: Backend,
		Doc: "As nginx-node-keepalive-race, but request and close cross as packets on their way between two hosts: on the proxy's host " +
			"the request leaves before the FIN arrives, on the application's it arrives after the FIN has left.",
		Played: "the road between the two hosts (the lab carries packets between two network namespaces, 30 ms and four hops each way); the idle gaps are aimed at the close.",
		Wire: []Capture{
			{File: "proxy.pcap", Of: []string{"front", "app"}, Any: true},
			{File: "backend.pcap", Of: []string{"app"}, Far: true},
		},
		Run: farRace,
	},
	{
		Name: "nginx-middlebox-reset", Front: "nginx", Backend: "node",
		Fault: "waf-or-rate-limit", Blame: Network,
		Doc: "A firewall between nginx and the application forgets connections that were silent for 8 s. nginx and Node both keep them " +
			"for a minute and more. A request on a forgotten one is answered with a reset that the firewall sends in Node's name; GETs are " +
			"sent again and succeed, POSTs end as 502. Node never sees them and keeps its half open.",
		Played: "the firewall, and the road between the two hosts (the lab carries packets between two network namespaces, 10 ms and four hops each way).",
		Wire:   []Capture{{File: "proxy.pcap", Of: []string{"app"}, Near: true}},
		Run:    middleboxReset,
	},
	{
		Name: "nginx-path-mtu", Front: "nginx", Backend: "node",
		Fault: "path-loss", Blame: Network,
		Doc: "A tunnel on the way carries no packet over 1,400 bytes and sends no ICMP. Connections are made, small answers pass, and " +
			"of reports over that size only the short last packet arrives: nginx waits 5 s and answers 504.",
		Played: "the tunnel, and the road between the two hosts (the lab carries packets between two network namespaces, 10 ms and four hops each way).",
		Wire:   []Capture{{File: "proxy.pcap", Of: []string{"app"}, Near: true}},
		Run:    pathMTU,
	},
}

func farRace(ctx context.Context, st *Stage) error {
	const oneWay = 30 * time.Millisecond
	if _, err := startRoad(st, oneWay, nil); err != nil {
		return err
	}
	if _, err := startNode(ctx, st, nodeApp{Far: true}); err != nil {
		return err
	}
	// Answer and close travel the same way, so its length is in both.
	var err error
	if st.serverIdle, st.idleSpread, err = medianIdle(ctx, st.Word("app")); err != nil {
		return err
	}
	st.Set("wire", st.Word("app"))
	if err := startPooledNginx(ctx, st); err != nil {
		return err
	}
	return race(ctx, st, st.serverIdle, 6)
}

// forgetAfter is how long the firewall remembers a silent connection.
const forgetAfter = 8 * time.Second

// A forgetfulBox is a stateful firewall on a Road.
type forgetfulBox struct {
	mu    sync.Mutex
	known map[[2]uint16]time.Time // ports of both hosts, and when the connection was last heard of
}

// rule answers what belongs to no connection that is known with a reset.
func (b *forgetfulBox) rule(packet []byte, toFar bool) (bool, []byte) {
	seg := segmentOf(packet)
	if seg == nil {
		return true, nil
	}
	key := [2]uint16{binary.BigEndian.Uint16(seg[0:]), binary.BigEndian.Uint16(seg[2:])}
	if !toFar {
		key[0], key[1] = key[1], key[0]
	}
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	last, known := b.known[key]
	switch {
	case seg[tcpFlags]&flagSYN != 0 || known && now.Sub(last) < forgetAfter:
		b.known[key] = now
		return true, nil
	case seg[tcpFlags]&flagRST != 0:
		return false, nil // a reset is not answered
	}
	delete(b.known, key)
	return false, resetFor(packet)
}

func middleboxReset(ctx context.Context, st *Stage) error {
	box := &forgetfulBox{known: map[[2]uint16]time.Time{}}
	if _, err := startRoad(st, 10*time.Millisecond, box.rule); err != nil {
		return err
	}
	const patient = "server.keepAliveTimeout = 75000;\n"
	if _, err := startNode(ctx, st, nodeApp{Far: true, Listen: patient}); err != nil {
		return err
	}
	st.Set("wire", st.Word("app"))
	if err := startPooledNginx(ctx, st); err != nil {
		return err
	}
	orders := []Route{shop[0], shop[5], shop[6]}
	for i := range orders {
		orders[i].Weight = 1
	}
	for i := range 8 {
		if err := st.traffic.Run(ctx, 4*time.Second, 8, shop); err != nil {
			return err
		}
		st.traffic.Burst(ctx, 4, shop[:5])
		if err := pause(ctx, forgetAfter+time.Duration(i%4)*time.Second/2+200*time.Millisecond); err != nil {
			return err
		}
		st.traffic.Burst(ctx, 3, orders)
	}
	return st.traffic.Run(ctx, 5*time.Second, 8, shop)
}

// tunnelMTU is the longest packet that passes the tunnel.
const tunnelMTU = 1400 // bytes

// longReports are answers of many rows for some years.
const longReports = `
  if (url.pathname.startsWith('/api/reports/')) {
    const year = Number(url.pathname.split('/').pop());
    const days = year % 4 === 0 ? 90 : 10;
    return { status: 200, body: Array.from({ length: days }, (_, day) => ({ day, sold: day * 7 })) };
  }
`

func pathMTU(ctx context.Context, st *Stage) error {
	rule := func(packet []byte, toFar bool) (bool, []byte) { return len(packet) <= tunnelMTU, nil }
	if _, err := startRoad(st, 10*time.Millisecond, rule); err != nil {
		return err
	}
	if _, err := startNode(ctx, st, nodeApp{Far: true, Routes: longReports}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy + "proxy_read_timeout 5s;\n"}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 70*time.Second, 6, with(Route{Method: "GET", Path: "/api/reports/#", Weight: 8}))
}
