package crash

import (
	"slices"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Packets show that a process ended, and not of what: one that crashed, one
// that the kernel killed for its memory and one that a deployment stopped at
// once look alike. Each is as common as the others, so that packets alone leave
// a crash at one in three, which names nobody.
const (
	endedAlone = 1
	endedToo   = 4
)

// endings are those that failed requests of the episode, and these.
func endings(e *failure.Episode) (hit []*failure.Failure, by []*cause.Ending) {
	all := cause.Endings(e.World)
	mine := map[*cause.Ending]bool{}
	for _, f := range e.Failures {
		for _, x := range all {
			if len(x.Cut) > 0 && x.Hits(f) {
				hit = append(hit, f)
				mine[x] = true
				break
			}
		}
	}
	return hit, slices.DeleteFunc(all, func(x *cause.Ending) bool { return !mine[x] })
}

// ended judges what packets alone show.
func ended(e *failure.Episode) (cause.Opinion, bool) {
	hit, by := endings(e)
	if len(hit) == 0 {
		return cause.Opinion{}, false
	}
	o := cause.Opinion{Claims: hit, Blame: hit[0].Backend}
	if len(hit) == len(e.Failures) {
		o.Claims = nil
	}
	s := cause.For(endedAlone, "a process that ends cuts what is in flight and is refused afterwards; of those a third have crashed, others were killed or restarted", saysEndings(by), factsOf(by)...)
	s.Plain = true
	o.Signals = append(o.Signals, s)
	o.Fix = fix(&fact.Event{Kind: fact.Crashed, Header: fact.Header{Party: hit[0].Backend}})
	o.Fix.Summary = "Find out why the server went away at that moment: its own last lines, and its supervisor's."
	o.Next = wireNext
	return o, true
}

// wireNext is what tells a crash from a kill and from a restart.
var wireNext = []cause.Next{
	{
		Evidence: "the server's own log and its supervisor's", Command: "kubectl describe pod POD; kubectl logs POD --previous; journalctl -u UNIT -o short-iso; docker events --since 1h",
		WouldTell: "whether the process crashed, was killed, or was restarted by a deployment: packets show only that it ended",
	},
	{
		Evidence: "the kernel's log", Command: "journalctl -k -o short-iso --since ... | grep -iE 'killed process|segfault|oom'",
		WouldTell: "whether the kernel killed it for its memory, or it ended by a fault of its own",
	},
}

func saysEndings(by []*cause.Ending) string {
	s := by[0].Says()
	if len(by) > 1 {
		s += "; the like happened " + cause.Count(len(by)-1, "more time")
	}
	return s
}

func factsOf(by []*cause.Ending) []fact.Fact {
	out := by[0].Facts()
	for _, x := range by[1:] {
		if fs := x.Facts(); len(out) < 2*cause.MaxCited {
			out = append(out, fs[0])
		}
	}
	return out
}
