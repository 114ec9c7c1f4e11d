// Package wire reads packets: it opens capture files, takes encapsulations
// off, follows TCP connections and pairs the HTTP requests and answers on
// them. Captures as evidence (source/pcap) and the flight recorder stand on it.
//
//	r, err := wire.NewReader(file)        // pcap or pcapng
//	t := wire.NewTable(wire.Options{OnExchange: ..., OnConn: ...})
//	for r.Next(&p) == nil {
//		if d.Decode(p.Link, p.Data, p.Orig, &seg) == wire.TCP {
//			t.Segment(p.N, p.Time, &seg)
//		}
//	}
//	t.Close()
//
// Times are nanoseconds since 1970 in UTC. Packets are numbered as Wireshark
// numbers them, and connections as its tcp.stream. Input is hostile: lengths
// are checked, and every buffer has a bound with a name.
//
// The package is pure: it opens no file and no socket and reads no clock.
package wire
