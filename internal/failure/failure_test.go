package failure

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"culprit/internal/fact"
)

var noon = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

func at(sec float64) time.Time { return noon.Add(time.Duration(sec * float64(time.Second))) }

// access is a record of a gateway.
func access(sec float64, tech, method, path string, status int64, line int) *fact.Request {
	r := &fact.Request{Method: method, Path: path, Status: fact.Num(status), Client: "203.0.113.7", Writer: fact.WriterSelf}
	r.Time, r.Res = at(sec), fact.Lasting(time.Second)
	r.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	r.Origin = fact.Origin{Path: tech + ".access", Line: line}
	return r
}

// trouble is a line of a gateway's error log.
func trouble(sec float64, tech, conn, method, path string, m fact.Mechanism, line int) *fact.Request {
	r := &fact.Request{Partial: true, Method: method, Path: path, Client: "203.0.113.7", ConnID: conn, Ended: m, Attempts: []fact.Attempt{{Address: "10.0.0.5:80", Ended: m}}}
	r.Time, r.Res = at(sec), fact.Lasting(time.Second)
	r.Party = fact.Party{Role: fact.RoleGateway, Tech: tech}
	r.Origin = fact.Origin{Path: tech + ".error", Line: line}
	return r
}

func coverage(tech string, role fact.Role, path string, from, to float64) []fact.Fact {
	c := &fact.Sample{Name: fact.SampleCoverage, Interval: fact.Seconds(to - from), Count: 100}
	c.Time, c.Party, c.Origin.Path = at(to), fact.Party{Role: role, Tech: tech}, path
	n := &fact.Sample{Name: fact.SampleRequests, Interval: fact.Seconds(60), Count: 100, Value: 100}
	n.Time, n.Party, n.Origin.Path = at(to), c.Party, path
	return []fact.Fact{c, n}
}

func join(facts ...fact.Fact) *World {
	var j Joiner
	for _, f := range facts {
		j.Add(f)
	}
	return j.Take(time.Time{})
}

func TestErrorLineBelongsToItsRecord(t *testing.T) {
	w := join(
		access(10, "nginx", "POST", "/order", 502, 1),
		access(10, "nginx", "POST", "/other", 502, 2),
		trouble(10, "nginx", "7*1", "POST", "/order", fact.ResetBeforeReply, 1),
	)
	if len(w.Failures) != 2 {
		t.Fatalf("%d failures, want 2", len(w.Failures))
	}
	f := w.Failures[0]
	if f.Mechanism != fact.ResetBeforeReply || len(f.Seen) != 2 || f.Backend.Address != "10.0.0.5:80" {
		t.Errorf("%+v", f)
	}
	if w.Failures[1].Mechanism != "" {
		t.Errorf("the other record has the mechanism %q", w.Failures[1].Mechanism)
	}
}

func TestRetriedRequestIsNoFailure(t *testing.T) {
	r := access(10, "nginx", "GET", "/", 200, 1)
	r.Attempts = []fact.Attempt{{Address: "10.0.0.5:80", Ended: fact.ResetBeforeReply}, {Address: "10.0.0.5:80", Status: fact.Num(200)}}
	w := join(r)
	if len(w.Failures) != 0 || len(w.Recovered) != 1 || w.Recovered[0].Mechanism != fact.ResetBeforeReply {
		t.Errorf("failures %d, recovered %d", len(w.Failures), len(w.Recovered))
	}
}

func TestErrorLineThatTheAccessLogDoesNotConfirm(t *testing.T) {
	facts := coverage("nginx", fact.RoleGateway, "nginx.access", 0, 60)
	facts = append(facts,
		access(10, "nginx", "POST", "/order", 502, 1),
		trouble(10, "nginx", "7*1", "POST", "/order", fact.ResetBeforeReply, 1),
		trouble(20, "nginx", "7*2", "GET", "/", fact.ResetBeforeReply, 2), // made good: the access log has a 200, folded away
	)
	w := join(facts...)
	if len(w.Failures) != 1 || len(w.Recovered) != 1 {
		t.Errorf("failures %d, recovered %d; want 1 and 1", len(w.Failures), len(w.Recovered))
	}
}

func TestErrorLinesOfOneConnectionAreTries(t *testing.T) {
	w := join(
		trouble(10, "nginx", "7*1", "GET", "/", fact.Refused, 1),
		trouble(10, "nginx", "7*1", "GET", "/", fact.Refused, 2),
		trouble(10, "nginx", "7*2", "GET", "/", fact.Refused, 3),
	)
	if len(w.Failures) != 2 || w.Failed != 2 {
		t.Errorf("%d failures, want 2", len(w.Failures))
	}
}

func TestTwoPartiesOneRequest(t *testing.T) {
	outer := access(10, "gclb", "POST", "https://shop.example.com/order?x=1", 502, 1)
	outer.Ended, outer.Writer = fact.AppAnswered, fact.WriterBackend
	outer.IDs = []string{"abc"}
	inner := access(10.2, "nginx", "POST", "/order?x=1", 502, 1)
	inner.Ended = fact.ClosedBeforeReply
	for name, ids := range map[string][]string{"by id": {"abc"}, "by time": nil} {
		in := *inner
		in.IDs = ids
		w := join(outer, &in)
		if len(w.Failures) != 1 {
			t.Fatalf("%s: %d failures, want 1", name, len(w.Failures))
		}
		if f := w.Failures[0]; f.Mechanism != fact.ClosedBeforeReply || f.Gateway.Tech != "nginx" {
			t.Errorf("%s: %s by %s", name, f.Mechanism, f.Gateway.Tech)
		}
	}
}

func TestSkew(t *testing.T) {
	var facts []fact.Fact
	for i := range 5 {
		a := access(float64(i*10), "gclb", "GET", "/", 502, i+1)
		b := access(float64(i*10)+42, "nginx", "GET", "/", 502, i+1)
		a.IDs, b.IDs = []string{fmt.Sprint(i)}, []string{fmt.Sprint(i)}
		facts = append(facts, a, b)
	}
	w := join(facts...)
	if len(w.Skews) != 1 || w.Skews[0].Ahead != -42*time.Second || w.Skews[0].Matched != 5 || len(w.Failures) != 5 {
		t.Errorf("skews %+v, %d failures", w.Skews, len(w.Failures))
	}
}

func TestBackendSaw(t *testing.T) {
	seen := &fact.Request{Method: "POST", Path: "/order", Status: fact.Num(201), Duration: fact.Seconds(3)}
	seen.Time, seen.Res = at(13), fact.Lasting(0)
	seen.Party, seen.Origin = fact.Party{Role: fact.RoleBackend, Tech: "node"}, fact.Origin{Path: "app.log", Line: 1}
	gw := access(11, "nginx", "POST", "/order", 504, 1)
	gw.Duration = fact.Seconds(1)
	lost := access(31, "nginx", "POST", "/order", 502, 2)
	late := access(500, "nginx", "POST", "/order", 502, 3)
	w := join(append(coverage("node", fact.RoleBackend, "app.log", 0, 60), gw, lost, late, seen)...)
	if len(w.Failures) != 3 {
		t.Fatalf("%d failures", len(w.Failures))
	}
	for i, want := range []Tri{Yes, No, Unknown} {
		if got := w.Failures[i].BackendSaw; got != want {
			t.Errorf("failure %d: %v, want %v", i, got, want)
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	var facts []fact.Fact
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		sec := float64(r.IntN(50))
		facts = append(facts, access(sec, "nginx", []string{"GET", "POST"}[i%2], fmt.Sprint("/", i%7), []int64{200, 502}[i%2], i+1))
		facts = append(facts, trouble(sec, "nginx", fmt.Sprint(i/2), []string{"GET", "POST"}[i%2], fmt.Sprint("/", i%7), fact.Refused, i+1))
	}
	tell := func() string {
		out := ""
		w := join(facts...)
		for _, f := range append(w.Failures, w.Recovered...) {
			out += fmt.Sprint(f.Time.Unix(), f.Mechanism, f.Path, len(f.Seen), f.Seen[0].Origin.Line, ";")
		}
		return out
	}
	want := tell()
	for range 20 {
		r.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		if got := tell(); got != want {
			t.Fatalf("order matters:\n%s\n%s", want, got)
		}
	}
}

func event(kind fact.EventKind, sec float64) *fact.Event {
	e := &fact.Event{Kind: kind}
	e.Time = at(sec)
	e.Origin = fact.Origin{Path: "events", Line: int(sec) + 1}
	return e
}

func TestNear(t *testing.T) {
	w := join(access(100, "nginx", "GET", "/", 502, 1), access(2000, "nginx", "GET", "/", 502, 2), event(fact.OOMKilled, 99), event(fact.OOMKilled, 5000))
	n := w.Near(w.Failures, w.Of(fact.OOMKilled), 2*time.Second, 2*time.Second)
	if len(n.Hit) != 1 || n.By[0].Time != at(99) {
		t.Errorf("%+v", n)
	}
	if n.Chance < 0.001 || n.Chance > 0.01 {
		t.Errorf("chance %v: two windows of six seconds in 82 minutes", n.Chance)
	}
}

func TestNumbers(t *testing.T) {
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-4 {
			t.Errorf("%s = %v, want %v", what, got, want)
		}
	}
	near("Fisher(3,1,1,3)", Fisher(3, 1, 1, 3), 17.0/70)
	near("Fisher(5,0,0,5)", Fisher(5, 0, 0, 5), 1.0/252)
	near("Binomial(2,3,0.5)", Binomial(2, 3, 0.5), 0.5)
	near("Decibans(1,1,0.09)", Decibans(1, 1, 0.09, 25), 10)
	near("Decibans capped", Decibans(9, 9, 0.001, 25), 25)
	near("Decibans none", Decibans(0, 0, 0.5, 25), 0)
}

func TestContrasts(t *testing.T) {
	var facts []fact.Fact
	for i := range 12 {
		r := access(float64(i*5), "nginx", "GET", "/", 502, i+1)
		r.Attempts = []fact.Attempt{{Address: "10.0.0.3:80", Ended: fact.Refused}}
		facts = append(facts, r)
	}
	for i := range 100 {
		r := access(float64(i), "nginx", "GET", "/", 200, 100+i)
		r.Control = true
		r.Attempts = []fact.Attempt{{Address: fmt.Sprintf("10.0.0.%d:80", i%4+1), Status: fact.Num(200)}}
		facts = append(facts, r)
	}
	w := join(facts...)
	cs := w.Episodes(func(*fact.Event) bool { return false })[0].Contrasts()
	if len(cs) != 1 || cs[0].Property != "backend" || cs[0].Value != "10.0.0.3:80" || cs[0].Probability > 1e-4 {
		t.Errorf("%+v", cs)
	}
}

func TestClock(t *testing.T) {
	var facts []fact.Fact
	for h := range 6 {
		for i := range 4 {
			facts = append(facts, access(float64(h*3600+5*60+i*3), "nginx", "GET", "/", 502, h*10+i+1))
		}
	}
	w := join(facts...)
	c, ok := w.Episodes(func(*fact.Event) bool { return false })[0].Clock()
	if !ok || c.Every != time.Hour || c.At != 5*time.Minute || c.Bursts != 6 {
		t.Errorf("%+v, %v", c, ok)
	}
}

func TestTroublesWithoutFailures(t *testing.T) {
	is := func(e *fact.Event) bool { return e.Kind == fact.OOMKilled }
	w := join(event(fact.OOMKilled, 10), event(fact.OOMKilled, 20), event(fact.OOMKilled, 7200))
	if got := len(w.Episodes(is)); got != 2 {
		t.Errorf("%d episodes, want 2: two kills of one incident, one two hours later", got)
	}
	// A log of requests covers the instant, and none failed: nobody was hurt.
	w = join(append(coverage("nginx", fact.RoleGateway, "nginx.access", 0, 60), event(fact.OOMKilled, 10))...)
	if got := len(w.Episodes(is)); got != 0 {
		t.Errorf("%d episodes, want none", got)
	}
}

// A combined log whose only client is the proxy is the application's, whoever
// the reader took to have written it.
func TestLogBehindTheProxy(t *testing.T) {
	err := trouble(10, "nginx", "7*1", "POST", "/upload", fact.ResetBeforeReply, 1)
	app := access(10, "nginx", "POST", "/upload", 413, 1)
	app.Client, app.Origin.Path, app.Writer = "10.8.0.2", "app.log", fact.WriterUnknown
	w := join(err, app)
	if len(w.Failures) != 1 || w.Failures[0].BackendSaw != Yes {
		t.Fatalf("%d failures; backend saw: %v", len(w.Failures), w.Failures[0].BackendSaw)
	}
	// The same client as the proxy's own: it may be the proxy's access log.
	app.Client = err.Client
	if w := join(err, app); len(w.Failures) == 1 && w.Failures[0].BackendSaw == Yes {
		t.Error("the proxy's own log was taken for the application's")
	}
}

// An error log in a storm: the reader kept one line and counted the others on
// it. Each failed record has its mechanism all the same.
func TestLineThatStandsForMany(t *testing.T) {
	p := trouble(10, "apache", "", "", "", fact.NoBackend, 1)
	p.Count, p.Client = 5, ""
	facts := []fact.Fact{p}
	for i := range 5 {
		facts = append(facts, access(8+float64(i), "apache", "GET", fmt.Sprint("/", i), 503, i+1))
	}
	w := join(facts...)
	if len(w.Failures) != 5 || w.Failed != 5 {
		t.Errorf("%d failures for %d requests", len(w.Failures), w.Failed)
	}
	for _, f := range w.Failures {
		if f.Mechanism != fact.NoBackend {
			t.Errorf("%s: mechanism %q", f.Path, f.Mechanism)
		}
	}
}

// A page that somebody pasted beside the log is no failure of its own.
func TestPageBesideLog(t *testing.T) {
	page := &fact.Request{Status: fact.Num(502)}
	page.Party, page.Origin = fact.Party{Role: fact.RoleGateway, Tech: "nginx"}, fact.Origin{Path: "page.html", Line: 1}
	w := join(page, trouble(10, "nginx", "7*1", "GET", "/", fact.Refused, 1))
	if len(w.Failures) != 1 || w.Failures[0].Mechanism != fact.Refused || len(w.Failures[0].Seen) != 2 {
		t.Errorf("%d failures", len(w.Failures))
	}
	if w := join(page); len(w.Failures) != 1 {
		t.Errorf("alone, it is %d failures", len(w.Failures))
	}
}

// One party's two logs of the same requests, or a log given twice, count once;
// two clients' like requests in two logs do not.
func TestTwoLogsOfOneParty(t *testing.T) {
	a := access(10, "varnish", "GET", "http://shop.example.com/r/1", 503, 1)
	b := access(10, "varnish", "GET", "/r/1", 503, 7)
	b.Origin.Path, b.Ended = "varnishlog", fact.ReplyTimedOut
	if w := join(a, b); len(w.Failures) != 1 || w.Failures[0].Mechanism != fact.ReplyTimedOut {
		t.Errorf("%d failures", len(w.Failures))
	}
	b.Client = "198.51.100.1"
	if w := join(a, b); len(w.Failures) != 2 {
		t.Errorf("two clients: %d failures", len(w.Failures))
	}
}

// nginx writes its error log in local time and names no zone.
func TestErrorLogInLocalTime(t *testing.T) {
	var facts []fact.Fact
	for i := range 6 {
		sec := float64(i * 30)
		facts = append(facts, access(sec, "nginx", "POST", fmt.Sprint("/order/", i), 502, i+1))
		facts = append(facts, trouble(sec+2*3600, "nginx", fmt.Sprint(i), "POST", fmt.Sprint("/order/", i), fact.ResetBeforeReply, i+1))
	}
	e := event(fact.ConfigReloaded, 2*3600+10)
	e.Origin.Path = "nginx.error"
	facts = append(facts, e)
	w := join(facts...)
	if len(w.Failures) != 6 || w.Moved["nginx.error"] != -2*time.Hour {
		t.Fatalf("%d failures, moved %v", len(w.Failures), w.Moved)
	}
	if f := w.Failures[0]; f.Mechanism != fact.ResetBeforeReply || !w.Events[0].Time.Equal(at(10)) {
		t.Errorf("%s; event at %v", f.Mechanism, w.Events[0].Time)
	}
}
