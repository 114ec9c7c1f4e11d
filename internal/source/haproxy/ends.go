package haproxy

import (
	"culprit/internal/fact"
)

// judge turns the termination state into how the request ended. The first
// letter says who ended the session, the second in which phase it was; the
// third and fourth speak of persistence cookies and are of no matter here.
func (r *accessReader) judge(n *line) {
	q := &r.req
	who, phase := n.state[0], n.state[1]
	q.Phase = phases[phase&0x7f]
	answered := n.http() && n.header() >= 0 && q.Status.Known && q.Status.N > 0
	asked := len(q.Attempts) > 0
	switch {
	case answered && asked && (phase == '-' || phase == 'D' || phase == 'L' || who == 'C' || who == 'c'):
		q.Writer = fact.WriterBackend
		q.Attempts[0].Status = q.Status
	case q.Status.Known && q.Status.N > 0:
		q.Writer = fact.WriterSelf
	}
	q.Ended = ended(n, who, phase, asked, q.Status.Or(0))
	if who == '-' {
		q.Phase = ""
		if q.Writer == fact.WriterBackend && q.Status.N >= 500 {
			q.Ended = fact.AppAnswered
		}
	}
	if asked && membersDoing(q.Ended) {
		q.Attempts[0].Ended = q.Ended
	}
	if q.Ended == fact.NoBackend && !asked {
		q.Attempts = append(q.Attempts, fact.Attempt{Address: q.Upstream, Ended: fact.NoBackend})
	}
}

// phases is what HAProxy was doing, by the second letter of the state.
var phases = [128]fact.Phase{
	'Q': fact.PhaseQueued, 'C': fact.PhaseConnecting, 'H': fact.PhaseWaiting, 'D': fact.PhaseReading, 'L': fact.PhaseReading,
}

// membersDoing reports whether an end is one of the try at the server, rather
// than of the client or of HAProxy itself.
func membersDoing(m fact.Mechanism) bool {
	return m != "" && m != fact.ClientGone && m != fact.Denied && m != fact.GatewayFault
}

// ended reads the first two letters of the state.
func ended(n *line, who, phase byte, asked bool, status int64) fact.Mechanism {
	switch who {
	case 'C':
		return fact.ClientGone // closed or reset
	case 'c':
		return fact.ClientGone // let `timeout client` or `timeout http-request` pass
	case 'S':
		return serverClosed(n, phase, asked, status)
	case 's':
		return serverSlow(n, phase, status)
	case 'P':
		return proxyStopped(phase, status)
	case 'R':
		return fact.LimitHit // memory, sockets or source ports of this machine
	case 'I':
		return fact.GatewayFault // an internal check failed
	case 'D', 'U': // the server was marked down, or a better one came back, and its sessions were killed
		if phase == 'D' || phase == 'L' {
			return fact.CutMidReply
		}
		return fact.NoBackend
	case 'L':
		if status >= 500 {
			return fact.Denied // `http-request return` with an error: a page for maintenance
		}
	}
	return fact.MechanismUnknown
}

// serverClosed: the server, or something between, refused or closed.
func serverClosed(n *line, phase byte, asked bool, status int64) fact.Mechanism {
	switch phase {
	case 'C', 'Q':
		if !asked {
			return fact.NoBackend
		}
		return fact.Refused // RST or ICMP, or no route to it
	case 'H':
		return fact.ClosedBeforeReply // FIN and RST look the same here
	case 'D', 'L':
		if status == 101 {
			return fact.MechanismUnknown // a tunnel's end
		}
		return fact.CutMidReply
	}
	return fact.MechanismUnknown
}

// serverSlow: a time-out towards the server.
func serverSlow(n *line, phase byte, status int64) fact.Mechanism {
	switch phase {
	case 'Q':
		return fact.LimitHit // `timeout queue`: every server was at its maxconn
	case 'C':
		return fact.ConnectTimedOut
	case 'H':
		return fact.ReplyTimedOut
	case 'D', 'L':
		if status == 101 || !n.http() {
			return fact.MechanismUnknown // a tunnel that nobody used
		}
		return fact.CutMidReply
	}
	return fact.MechanismUnknown
}

// proxyStopped: HAProxy itself ended it.
func proxyStopped(phase byte, status int64) fact.Mechanism {
	switch phase {
	case 'R', 'T':
		if status == 400 {
			return fact.MechanismUnknown // a request that is no HTTP
		}
		return fact.Denied
	case 'C', 'Q':
		return fact.LimitHit // the process's own limit of sockets
	case 'H':
		if status == 500 {
			return fact.GatewayFault // could not rewrite the header
		}
		return fact.BadReply
	case 'D':
		return fact.BadReply // chunks that are no chunks
	}
	return fact.MechanismUnknown
}
