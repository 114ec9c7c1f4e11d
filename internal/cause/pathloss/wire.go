package pathloss

import (
	"fmt"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// What packets show of a lossy way.
const (
	// tooBig: a router said that packets are too large, and the connection
	// hung all the same.
	tooBig = 16
	// largeOnly: large segments were sent again and again, while small ones
	// passed.
	largeOnly = 11
	// anyLost: segments of any size were.
	anyLost = 5
	// large is a segment that fills a packet, or nearly (bytes).
	large = 1000
	// leastAgain is from how many repeats of one segment it is lost rather
	// than late.
	leastAgain = 2
)

// onWire judges failures by what was sent again on their connections.
func onWire(e *failure.Episode) (cause.Signal, []*failure.Failure) {
	var icmp, holes, big, lost []*failure.Failure
	words := ""
	for _, f := range e.Failures {
		c := cause.LastConn(f)
		if c == nil || c.Foreign != "" {
			continue
		}
		again, size, says := cause.SentAgain(c)
		if c.Missing.Or(0) >= large {
			holes = append(holes, f)
			continue
		}
		switch {
		case again < leastAgain:
		case says != "":
			icmp, words = append(icmp, f), says
		case size >= large && smallPassed(c, size):
			big = append(big, f)
		default:
			lost = append(lost, f)
		}
	}
	n := len(e.Failures)
	switch {
	case len(icmp) > 0:
		return cause.For(tooBig, "the network says so itself, and the connection went on sending what does not fit", fmt.Sprintf("%s hung after %s", cause.Count(len(icmp), "connection"), words), cause.CiteConns(icmp)...).AsProof(), icmp
	case len(holes) > 0:
		s := cause.For(largeOnly, "a busy or dead server sends nothing at all; what came behind the missing part passed the same way", fmt.Sprintf("on %s large segments never arrived, and smaller ones after them did", cause.Count(len(holes), "connection")), cause.CiteConns(holes)...)
		if len(holes) == 1 {
			s.Weight /= 2
		}
		s.Plain = true
		return s, holes
	case len(big) > 0:
		s := cause.For(largeOnly, "a busy or dead server takes segments of any size or none; only the way knows their size", fmt.Sprintf("on %s large segments were sent again and again without being acknowledged, while small ones passed", cause.Count(len(big), "connection")), cause.CiteConns(big)...)
		if len(hung(e.World)) == 1 {
			s.Weight /= 2 // one connection's peer may just have died
		}
		s.Plain = true
		return s, big
	case len(lost) > 1 && len(lost)*2 > n:
		s := cause.For(anyLost, "a server's machine acknowledges what arrives, however busy the application is", fmt.Sprintf("on %d of %d connections segments were sent again and again", len(lost), n), cause.CiteConns(lost)...)
		s.Plain = true
		return s, lost
	}
	return cause.Signal{}, nil
}

// hung are all failures on whose connections large segments were lost.
func hung(w *failure.World) (out []*failure.Failure) {
	for _, f := range w.Failures {
		if c := cause.LastConn(f); c != nil {
			if again, size, _ := cause.SentAgain(c); again >= leastAgain && size >= large && smallPassed(c, size) {
				out = append(out, f)
			}
		}
	}
	return out
}

// smallPassed: the other side answered something smaller before.
func smallPassed(c *fact.Conn, size int) bool {
	sent := map[bool]bool{}
	for _, p := range c.Packets {
		if p.Flags == "SYN ACK" || p.Bytes > 0 && p.Bytes < size/2 {
			sent[p.FromServer] = true
		}
	}
	return sent[true]
}
