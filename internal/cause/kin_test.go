package cause_test

import (
	"testing"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

var noon = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

// world joins failed requests, each refused by an address at so many seconds
// after noon, and events.
func world(t *testing.T, upstream, address string, seconds []float64, events ...*fact.Event) *failure.Episode {
	t.Helper()
	var j failure.Joiner
	for i, s := range seconds {
		r := &fact.Request{Method: "GET", Path: "/", Status: fact.Num(502), Upstream: upstream, Ended: fact.Refused, Writer: fact.WriterSelf}
		r.Party = fact.Party{Role: fact.RoleGateway, Tech: "nginx"}
		r.Time = noon.Add(time.Duration(s * float64(time.Second)))
		r.Duration = fact.Lasting(time.Millisecond)
		r.Attempts = []fact.Attempt{{Address: address, Ended: fact.Refused}}
		r.Origin = fact.Origin{Path: "access.log", Line: i + 1}
		j.Add(r)
	}
	for _, x := range events {
		j.Add(x)
	}
	w := j.Take(time.Time{})
	es := w.Episodes(func(*fact.Event) bool { return false })
	if len(es) != 1 {
		t.Fatalf("%d episodes, want 1", len(es))
	}
	return es[0]
}

func event(kind fact.EventKind, after float64, p fact.Party, attrs ...string) *fact.Event {
	x := &fact.Event{Kind: kind}
	x.Party = p
	x.Time = noon.Add(time.Duration(after * float64(time.Second)))
	for i := 0; i+1 < len(attrs); i += 2 {
		if x.Attrs == nil {
			x.Attrs = map[string]string{}
		}
		x.Attrs[attrs[i]] = attrs[i+1]
	}
	return x
}

func TestKin(t *testing.T) {
	pod := func(name, ip, node string) *fact.Event {
		return event(fact.PodPlaced, -60, fact.Party{Role: fact.RoleBackend, Tech: "kube", Name: name, Address: ip, Host: node})
	}
	placed := []*fact.Event{pod("web-a", "10.8.1.5", "node-a"), pod("mail-b", "10.8.2.6", "node-b")}
	node := event(fact.ProcessStarted, -600, fact.Party{Role: fact.RoleBackend, Tech: "node"})
	f := func(name, upstream, address string, around []*fact.Event, p fact.Party, want cause.Kin) {
		t.Run(name, func(t *testing.T) {
			x := event(fact.Crashed, 0, p)
			e := world(t, upstream, address, []float64{0, 1}, append(around, x)...)
			if got := cause.Ask(e).Kin(x); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
	f("pod by address", "", "10.8.1.5:8080", placed, fact.Party{Role: fact.RoleBackend, Tech: "kube", Name: "web-a"}, cause.Own)
	f("another pod", "", "10.8.1.5:8080", placed, fact.Party{Role: fact.RoleBackend, Tech: "kube", Name: "mail-b"}, cause.Stranger)
	f("its node", "", "10.8.1.5:8080", placed, fact.Party{Role: fact.RoleHost, Host: "node-a"}, cause.Own)
	f("another node", "", "10.8.1.5:8080", placed, fact.Party{Role: fact.RoleHost, Host: "node-b"}, cause.Stranger)
	f("some node", "", "10.8.1.5:8080", nil, fact.Party{Role: fact.RoleHost, Host: "node-b"}, cause.Unclear)
	f("unit of that name", "shop", "127.0.0.1:3000", nil, fact.Party{Tech: "journal", Name: "shop-3"}, cause.Own)
	f("service of that name", "prod-shop-80", "", nil, fact.Party{Tech: "journal", Name: "shop"}, cause.Own)
	f("no name of ours", "backend", "127.0.0.1:3000", nil, fact.Party{Tech: "journal", Name: "worker"}, cause.Unclear)
	f("a database", "", "127.0.0.1:3000", nil, fact.Party{Role: fact.RoleBackend, Tech: "linux", Name: "mysqld"}, cause.Stranger)
	f("a tool", "", "127.0.0.1:3000", nil, fact.Party{Role: fact.RoleBackend, Tech: "linux", Name: "tar"}, cause.Stranger)
	f("no tool", "", "127.0.0.1:3000", nil, fact.Party{Role: fact.RoleBackend, Tech: "linux", Name: "target"}, cause.Unclear)
	f("its run time", "", "127.0.0.1:3000", []*fact.Event{node}, fact.Party{Role: fact.RoleBackend, Tech: "linux", Name: "node"}, cause.Own)
	f("another run time", "", "127.0.0.1:3000", []*fact.Event{node}, fact.Party{Role: fact.RoleBackend, Tech: "linux", Name: "java"}, cause.Stranger)
	f("the gateway", "", "127.0.0.1:3000", nil, fact.Party{Role: fact.RoleGateway, Tech: "nginx"}, cause.Own)
}

func TestNearEventsWeighsOutagesNotRequests(t *testing.T) {
	says := func(int, *fact.Event) string { return "x" }
	weigh := func(seconds []float64, at ...float64) float64 {
		var xs []*fact.Event
		for _, s := range at {
			xs = append(xs, event(fact.Crashed, s, fact.Party{}))
		}
		e := world(t, "", "10.8.1.5:8080", seconds, xs...)
		s, _, ok := cause.NearEvents(e, e.World.Of(fact.Crashed), 90*time.Second, 3*time.Second, says)
		if !ok {
			return 0
		}
		return s.Weight
	}
	one := weigh([]float64{0}, -0.5)
	burst := weigh([]float64{0, .1, .2, .3, .4}, -0.5)
	far := weigh([]float64{0, .1, .2, .3, .4}, -80)
	two := weigh([]float64{0, 600}, -10, 590)
	single := weigh([]float64{0}, -10)
	half := weigh([]float64{0, 300, 600, 900, 1200, 1500, 1800, 2100}, -10)
	if one != burst {
		t.Errorf("a burst weighs %.1f, one of it %.1f: want the same", burst, one)
	}
	if far >= burst {
		t.Errorf("an event 80 s before weighs %.1f, one half a second before %.1f: want less", far, burst)
	}
	if two <= single {
		t.Errorf("two outages, each with its event, weigh %.1f, one %.1f: want more", two, single)
	}
	if half >= single {
		t.Errorf("one of eight outages near an event weighs %.1f, one of one %.1f: want less", half, single)
	}
	if none := weigh([]float64{0}, -300); none != 0 {
		t.Errorf("an event outside the window weighs %.1f", none)
	}
}

func TestOutageLastsUntilTheServerRunsAgain(t *testing.T) {
	up := event(fact.ProcessStarted, 200, fact.Party{Tech: "journal", Name: "shop"})
	e := world(t, "shop", "127.0.0.1:3000", []float64{1, 2, 100, 190, 900}, up)
	got := cause.Outage(e, e.Failures[:2])
	if len(got) != 4 {
		t.Errorf("the outage has %d failures, want the 4 before the start", len(got))
	}
}
