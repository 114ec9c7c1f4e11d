package applog

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// ecsRules are service events and stopped reasons of Amazon ECS, as its guide
// lists them.
var ecsRules = source.NewRules(
	source.Rule[act]{Words: "is unhealthy in (target-group %w) due to (reason %s)", Do: ecsProbe(0, 1)},
	source.Rule[act]{Words: "is unhealthy in (target-group %w)", Do: ecsProbe(0, -1)},
	source.Rule[act]{Words: "unhealthy due to (reason %s)", Do: ecsProbe(-1, 0)},
	source.Rule[act]{Words: "Task failed ELB health checks in (%w %s)", Do: ecsProbe(1, -1)},
	source.Rule[act]{Words: "Task failed ELB health checks", Do: ecsProbe(-1, -1)},
	source.Rule[act]{Words: "Task failed container health checks", Do: ecsProbe(-1, -1)},
	source.Rule[act]{Words: "OutOfMemoryError: %wontainer killed due to memory usage", Do: ecs(fact.OOMKilled, "OutOfMemoryError")},
	source.Rule[act]{Words: "Essential container in task exited", Do: ecs(fact.ProcessExited, "essential container")},
	source.Rule[act]{Words: "has stopped %d running task", Do: ecs(fact.ProcessStopping, "stopped")},
	source.Rule[act]{Words: "has begun draining connections on %d task", Do: ecs(fact.EndpointGone, "draining")},
	source.Rule[act]{Words: "has started %d task", Do: ecs(fact.ProcessStarted, "")},
	source.Rule[act]{Words: "deregistered %d target", Do: ecs(fact.EndpointGone, "deregistered")},
	source.Rule[act]{Words: "registered %d target", Do: ecs(fact.EndpointAdded, "")},
	source.Rule[act]{Words: "was unable to place a task because", Do: ecs(fact.NotReady, "not placed")},
	source.Rule[act]{Words: "is unable to consistently start tasks successfully", Do: ecs(fact.RestartBackoff, "")},
	source.Rule[act]{Words: "CannotPullContainerError: ", Do: ecs(fact.BootFailed, "image")},
)

// service reads such events.
var service = source.Format{
	ID: "ecs-events", Tech: tech, Title: "events of Amazon ECS services and tasks",
	Sniff: func(l *source.Line) source.Confidence {
		b := l.Text
		if !source.Has(b, "service") && !source.Has(b, "ask") && !source.Has(b, "ontainer") {
			return source.No
		}
		var h source.Holes
		if _, ok := ecsRules.Match(b, &h); ok {
			return source.Possible
		}
		return source.No
	},
	NewReader: func(env *source.Env) source.LineReader { return ruleReader{env, ecsRules} },
}

// task is the container that an event is about: named in brackets as its
// service, or not at all.
func (s *said) task() fact.Party {
	p := fact.Party{Role: fact.RoleBackend, Tech: "ecs"}
	if name, ok := source.Between(s.msg, "(service ", ")"); ok {
		p.Name = string(name)
	} else if name, ok := source.Between(s.msg, "service ", " "); ok && len(name) < 100 {
		p.Name = string(name)
	}
	return p
}

func ecs(kind fact.EventKind, reason string) act {
	return func(s *said) {
		e := event(s.l, kind, reason, s.task(), s.msg)
		if kind == fact.OOMKilled {
			e.Signal, e.Attrs = 9, map[string]string{fact.AttrScope: "cgroup"}
		}
		s.out.State(e)
	}
}

// ecsProbe: the balancer's or the container's own check failed. The group and
// the reason are holes, -1 where they are not told.
func ecsProbe(group, reason int) act {
	return func(s *said) {
		e := event(s.l, fact.ProbeFailed, "health-check", s.task(), s.msg)
		if group >= 0 {
			e.Attrs = map[string]string{fact.AttrObject: strings.TrimRight(string(s.h[group]), ").")}
		}
		if reason >= 0 {
			why := strings.ToLower(string(s.h[reason]))
			word := ""
			switch {
			case strings.Contains(why, "timed out"), strings.Contains(why, "timeout"):
				word = "timeout"
			case strings.Contains(why, "codes"):
				word = "status"
			case strings.Contains(why, "refused"):
				word = "refused"
			}
			if word != "" {
				if e.Attrs == nil {
					e.Attrs = map[string]string{}
				}
				e.Attrs[fact.AttrWhy] = word
			}
		}
		s.out.State(e)
	}
}
