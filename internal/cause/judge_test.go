package cause

import (
	"math"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

var noon = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

// world has n failures of one mechanism, ten seconds apart.
func world(n int, m fact.Mechanism) *failure.World {
	var j failure.Joiner
	for i := range n {
		r := &fact.Request{Method: "GET", Path: "/", Status: fact.Num(502), Ended: m, Writer: fact.WriterSelf}
		r.Time, r.Party = noon.Add(time.Duration(i)*10*time.Second), fact.Party{Role: fact.RoleGateway, Tech: "nginx"}
		r.Origin = fact.Origin{Path: "access.log", Line: i + 1}
		j.Add(r)
	}
	return j.Take(time.Time{})
}

// saying makes a cause that gives one signal.
func saying(id string, kind Kind, prior, weight float64, over ...string) *Cause {
	return &Cause{
		ID: id, Kind: kind, Prior: prior, Over: over, Mechanisms: []fact.Mechanism{fact.Refused},
		Explain: func(e *failure.Episode) Opinion {
			return Opinion{Signals: []Signal{For(weight, "test", id+" seen", e.Failures[0].Facts()...).AsProof()}}
		},
	}
}

func try(w *failure.World, causes ...*Cause) []*Verdict {
	return (&Judge{Causes: causes}).Try(w)
}

func TestDeepOutranksShallow(t *testing.T) {
	shallow := saying("refused", Shallow, 9, 0)
	v := try(world(3, fact.Refused), shallow, saying("oom", Deep, 0, 15))
	if len(v) != 1 || v[0].ID() != "oom" || v[0].N != 3 || v[0].Grade != Proven {
		t.Errorf("%+v", v[0])
	}
	v = try(world(3, fact.Refused), shallow, saying("oom", Deep, -20, 5))
	if v[0].ID() != "refused" || v[0].Grade != Likely {
		t.Errorf("%s %s %.2f", v[0].ID(), v[0].Grade, v[0].Confidence)
	}
}

func TestUndetermined(t *testing.T) {
	v := try(world(2, fact.Refused), saying("weak", Deep, 0, -6))
	if len(v) != 1 || v[0].ID() != UndeterminedID || v[0].Grade != Undetermined || v[0].N != 2 {
		t.Errorf("%+v", v[0])
	}
	if v := try(world(0, "")); len(v) != 0 {
		t.Errorf("nothing failed, and %d verdicts", len(v))
	}
}

func TestDeeperCauseTakesOver(t *testing.T) {
	v := try(world(1, fact.Refused), saying("crash", Deep, 0, 15), saying("oom", Deep, 0, 10, "crash"))
	if v[0].ID() != "oom" {
		t.Errorf("%s", v[0].ID())
	}
	// 10 and 15 dB together against unknown.
	if want := 41.62 / 42.62; math.Abs(v[0].Confidence-want) > 0.001 {
		t.Errorf("confidence %.4f, want %.4f", v[0].Confidence, want)
	}
}

func TestGroupsCountOnce(t *testing.T) {
	s := []Signal{For(5, "w", "a").In("g"), For(8, "w", "b").In("g"), Against(3, "w", "c").In("g"), For(1, "w", "d")}
	if got := sum(s); got != 6 {
		t.Errorf("sum = %v, want 8 - 3 + 1", got)
	}
}

func TestEpisodeIsSplit(t *testing.T) {
	part := saying("part", Deep, 0, 20)
	inner := part.Explain
	part.Explain = func(e *failure.Episode) Opinion {
		o := inner(e)
		o.Claims = []*failure.Failure{}
		for _, f := range e.Failures {
			if f.Time.Before(noon.Add(15 * time.Second)) {
				o.Claims = append(o.Claims, f)
			}
		}
		return o
	}
	v := try(world(5, fact.Refused), part, saying("refused", Shallow, 9, 0))
	if len(v) != 2 || v[0].ID() != "refused" || v[0].N != 3 || v[1].ID() != "part" || v[1].N != 2 {
		for _, x := range v {
			t.Errorf("%s %d", x.ID(), x.N)
		}
	}
}

func TestNearEventsWeighsChance(t *testing.T) {
	var j failure.Joiner
	r := &fact.Request{Status: fact.Num(502), Ended: fact.Refused}
	r.Time = noon
	j.Add(r)
	one := &fact.Event{Kind: fact.Crashed}
	one.Time = noon.Add(-time.Second)
	j.Add(one)
	w := j.Take(time.Time{})
	e := w.Episodes(func(*fact.Event) bool { return false })[0]
	says := func(int, *fact.Event) string { return "x" }
	rare, _, ok := NearEvents(e, w.Of(fact.Crashed), 3*time.Second, time.Second, says)
	if !ok || rare.Weight < 20 {
		t.Errorf("one crash in an hour, a second before the failure: %.1f dB", rare.Weight)
	}
	// A crash every five seconds lies near any instant.
	var often []*fact.Event
	for i := range 1000 {
		x := &fact.Event{Kind: fact.Crashed}
		x.Time = noon.Add(time.Duration(i-500) * 5 * time.Second)
		often = append(often, x)
	}
	if s, _, ok := NearEvents(e, often, 3*time.Second, time.Second, says); ok && s.Weight > 3 {
		t.Errorf("a crash every five seconds weighs %.1f dB", s.Weight)
	}
}

func TestCommandsForTheStack(t *testing.T) {
	var j failure.Joiner
	x := &fact.Event{Kind: fact.ProcessExited}
	x.Party = fact.Party{Role: fact.RoleHost, Tech: "journal"}
	j.Add(x)
	w := j.Take(time.Time{})
	for in, want := range map[string]string{
		"kubectl logs POD; journalctl -u UNIT": "journalctl -u UNIT",
		"kubectl get pods":                     "kubectl get pods",
		"ss -ltn; docker ps":                   "ss -ltn",
		"kubectl exec POD -- sh -c 'a; b'":     "kubectl exec POD -- sh -c 'a; b'",
	} {
		if got := forStack(w, in); got != want {
			t.Errorf("forStack(%q) = %q, want %q", in, got, want)
		}
	}
	if in := "kubectl logs POD; journalctl -u UNIT"; forStack(world(1, fact.Refused), in) != in {
		t.Error("nothing tells which stack it is: all are named")
	}
}
