package failure_test

import (
	"fmt"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// legs are the two captured legs of n failed requests: the client's, which was
// answered 502, and the gateway's, which was reset. The clock of the second is
// ahead.
func legs(n int, ahead time.Duration) []fact.Fact {
	start := time.Date(2026, 3, 9, 14, 0, 0, 0, time.UTC)
	var out []fact.Fact
	for i := range n {
		at := start.Add(time.Duration(i*i+3*i) * 7 * time.Second)
		front := &fact.Request{Wire: true, ConnID: fmt.Sprint(i), Client: fmt.Sprintf("203.0.113.7:%d", 40000+i), Method: "POST", Path: "/orders", Status: fact.Num(502), Duration: fact.Lasting(12 * time.Millisecond)}
		front.Time, front.Party = at.Add(12*time.Millisecond), fact.Party{Role: fact.RoleGateway, Tech: "nginx", Address: "10.0.0.1:80"}
		front.Origin = fact.Origin{Path: "front.pcap", Line: 10 + 10*i}
		back := &fact.Request{Wire: true, ConnID: fmt.Sprint(i), Method: "POST", Path: "/orders", Ended: fact.ResetBeforeReply, Duration: fact.Lasting(time.Millisecond),
			Attempts: []fact.Attempt{{Address: "10.0.0.5:8080", Ended: fact.ResetBeforeReply, ConnID: fmt.Sprint(i), Idle: fact.Lasting(5 * time.Second)}}}
		back.Time, back.Party = at.Add(ahead+6*time.Millisecond), fact.Party{Role: fact.RoleClient, Address: "10.0.0.1"}
		back.Origin = fact.Origin{Path: "back.pcap", Line: 20 + 10*i}
		conn := &fact.Conn{ID: fmt.Sprint(i), Client: "10.0.0.1:5000", Server: "10.0.0.5:8080", Packets: []fact.Packet{{N: 20 + 10*i, Time: back.Time, Flags: "RST", FromServer: true}}}
		conn.Time, conn.Origin = back.Time, fact.Origin{Path: "back.pcap", Line: 20 + 10*i}
		lead := conn.Clone().(*fact.Conn)
		lead.Server, lead.Client, lead.Origin, lead.Time = "10.0.0.1:80", front.Client, front.Origin, front.Time
		out = append(out, front, back, conn, lead)
	}
	return out
}

func judged(facts []fact.Fact) *failure.World {
	var j failure.Joiner
	for _, f := range facts {
		j.Add(f.Clone())
	}
	return j.Take(time.Time{})
}

// The legs of two captures are one failure each, whatever their clocks say, and
// the packets of both lie in one time.
func TestLegsOfTwoCaptures(t *testing.T) {
	for _, ahead := range []time.Duration{0, 80 * time.Millisecond, 3 * time.Second, -40 * time.Second} {
		w := judged(legs(5, ahead))
		if len(w.Failures) != 5 {
			t.Errorf("%v ahead: %d failures, want 5", ahead, len(w.Failures))
			continue
		}
		for _, f := range w.Failures {
			if len(f.Seen) != 2 || f.Mechanism != fact.ResetBeforeReply || !f.Status.Is(502) || f.Gateway.Tech != "nginx" || f.Try.Address != "10.0.0.5:8080" {
				t.Errorf("%v ahead: %d records, %s, status %v, gateway %+v, try %+v", ahead, len(f.Seen), f.Mechanism, f.Status, f.Gateway, f.Try)
			}
			if len(f.Conns) != 2 {
				t.Fatalf("%v ahead: %d connections, want 2", ahead, len(f.Conns))
			}
			if off := f.Conns[1].Packets[0].Time.Sub(f.Conns[0].Time); off.Abs() > 100*time.Millisecond {
				t.Errorf("%v ahead: the legs' packets lie %v apart", ahead, off)
			}
		}
	}
}

// One that agrees by chance tells nothing of the clocks.
func TestTooFewForASkew(t *testing.T) {
	if w := judged(legs(2, 3*time.Second)); len(w.Skews) != 0 {
		t.Errorf("skews %+v of two requests", w.Skews)
	}
}

// A refused connection that no logged request tells of, while the gateway's
// log covers the time, failed nobody: health checks look like that.
func TestRefusedHealthCheck(t *testing.T) {
	at := time.Date(2026, 3, 9, 14, 0, 0, 0, time.UTC)
	dial := &fact.Request{Wire: true, ConnID: "1", Ended: fact.Refused, Attempts: []fact.Attempt{{Address: "10.0.0.5:8080", Ended: fact.Refused}}}
	dial.Time, dial.Party, dial.Origin = at, fact.Party{Role: fact.RoleClient, Address: "10.0.0.1"}, fact.Origin{Path: "a.pcap", Line: 3}
	alone := judged([]fact.Fact{dial})
	if len(alone.Failures) != 1 {
		t.Errorf("%d failures by the capture alone, want 1", len(alone.Failures))
	}
	gateway := fact.Party{Role: fact.RoleGateway, Tech: "nginx"}
	cover := &fact.Sample{Name: fact.SampleCoverage, Interval: fact.Lasting(time.Hour)}
	cover.Time, cover.Party, cover.Origin.Path = at.Add(30*time.Minute), gateway, "access.log"
	requests := &fact.Sample{Name: fact.SampleRequests, Interval: fact.Lasting(time.Minute), Count: 60}
	requests.Time, requests.Party, requests.Origin.Path = at, gateway, "access.log"
	if w := judged([]fact.Fact{dial, cover, requests}); len(w.Failures) != 0 || len(w.Recovered) != 1 {
		t.Errorf("%d failures and %d recovered beside the log, want none and 1", len(w.Failures), len(w.Recovered))
	}
}
