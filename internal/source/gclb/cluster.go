package gclb

import (
	"strings"

	"github.com/valyala/fastjson"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// eventKinds are the reasons of cluster events that bear on requests. What is
// not here is ordinary.
var eventKinds = map[string]fact.EventKind{
	"Unhealthy":                 fact.ProbeFailed,
	"ProbeWarning":              fact.ProbeFailed,
	"Killing":                   fact.ProcessStopping,
	"ExceededGracePeriod":       fact.ProcessStopping,
	"FailedPreStopHook":         fact.ProcessStopping,
	"BackOff":                   fact.RestartBackoff,
	"CrashLoopBackOff":          fact.RestartBackoff,
	"Failed":                    fact.BootFailed,
	"FailedCreatePodSandBox":    fact.BootFailed,
	"FailedPostStartHook":       fact.BootFailed,
	"Started":                   fact.ProcessStarted,
	"OOMKilling":                fact.OOMKilled,
	"SystemOOM":                 fact.OOMKilled,
	"Evicted":                   fact.PodEvicted,
	"TaintManagerEviction":      fact.PodEvicted,
	"Preempted":                 fact.PodEvicted,
	"EvictionByEvictionAPI":     fact.PodEvicted,
	"Scheduled":                 fact.PodPlaced,
	"FailedScheduling":          fact.NotReady,
	"NodeNotReady":              fact.NodeLost,
	"NodeNotFound":              fact.NodeLost,
	"NodeReady":                 fact.NodeBack,
	"Rebooted":                  fact.NodeLost,
	"NodeShutdown":              fact.NodeTerminating,
	"Shutdown":                  fact.NodeTerminating,
	"NodeNotSchedulable":        fact.NodeTerminating,
	"RemovingNode":              fact.NodeTerminating,
	"DeletingNode":              fact.NodeTerminating,
	"ScaleDown":                 fact.NodeTerminating,
	"PreemptScheduled":          fact.NodeTerminating,
	"TerminateScheduled":        fact.NodeTerminating,
	"NodeHasDiskPressure":       fact.NodePressure,
	"NodeHasInsufficientMemory": fact.NodePressure,
	"NodeHasInsufficientPID":    fact.NodePressure,
	"EvictionThresholdMet":      fact.NodePressure,
	"ScalingReplicaSet":         fact.Rollout,
	"SuccessfulRescale":         fact.Rollout,
	"DeploymentRollback":        fact.Rollout,
	"Attach":                    fact.EndpointAdded,
	"Detach":                    fact.EndpointGone,
}

// clusterEvent states a Kubernetes event that was exported as an entry.
func (r *reader) clusterEvent(h fact.Header, p *fastjson.Value, out source.Sink) {
	reason, msg := text(p, "reason"), text(p, "message")
	kind, ok := eventKinds[reason]
	if !ok {
		return
	}
	object := text(p, "involvedObject", "kind")
	name := text(p, "involvedObject", "name")
	node := first(text(p, "source", "host"), text(p, "reportingInstance"))
	ev := &fact.Event{Header: h, Kind: kind, Reason: reason, Detail: msg, Count: p.GetInt("count")}
	ev.Party = fact.Party{Role: fact.RoleOrchestrator, Tech: "kube", Name: name}
	ev.Attrs = map[string]string{fact.AttrObject: object + "/" + name}
	if ns := text(p, "involvedObject", "namespace"); ns != "" {
		ev.Attrs[fact.AttrNamespace] = ns
	}
	if _, c, ok := strings.Cut(text(p, "involvedObject", "fieldPath"), "{"); ok {
		ev.Attrs[fact.AttrContainer] = strings.TrimSuffix(c, "}")
	}
	if t, _, _, ok := source.ISOTime(r.env, p.GetStringBytes("lastTimestamp")); ok {
		ev.Time, ev.Res = t, fact.Seconds(1)
	}
	if t, _, _, ok := source.ISOTime(r.env, p.GetStringBytes("firstTimestamp")); ok && ev.Count > 1 {
		ev.First = t
	}
	switch object {
	case "Pod":
		ev.Party.Role, ev.Party.Host = fact.RoleBackend, node
	case "Node":
		ev.Party.Role, ev.Party.Host = fact.RoleHost, name
	}
	if !refine(ev, reason, msg) {
		return
	}
	out.State(ev)
}

// refine reads what an event's message tells; false means that the event is
// ordinary after all.
func refine(ev *fact.Event, reason, msg string) bool {
	low := strings.ToLower(msg)
	switch ev.Kind {
	case fact.ProbeFailed:
		for _, probe := range []string{"readiness", "liveness", "startup"} {
			if strings.HasPrefix(low, probe) {
				ev.Reason = probe
			}
		}
		switch {
		case strings.Contains(low, "statuscode"):
			ev.Attrs[fact.AttrWhy] = "status"
		case strings.Contains(low, "refused"):
			ev.Attrs[fact.AttrWhy] = "refused"
		case strings.Contains(low, "deadline exceeded"), strings.Contains(low, "timeout"), strings.Contains(low, "timed out"):
			ev.Attrs[fact.AttrWhy] = "timeout"
		case strings.Contains(low, "reset by peer"), strings.HasSuffix(low, "eof"):
			ev.Attrs[fact.AttrWhy] = "reset"
		}
	case fact.ProcessStopping:
		for _, probe := range []string{"liveness", "startup"} {
			if strings.Contains(low, probe+" probe") {
				ev.Reason = probe
			}
		}
	case fact.RestartBackoff:
		if strings.Contains(low, "pulling image") {
			ev.Kind = fact.BootFailed
		}
	case fact.OOMKilled:
		ev.Attrs[fact.AttrScope] = "host"
		if strings.Contains(low, "memory cgroup") {
			ev.Attrs[fact.AttrScope] = "cgroup"
		}
	case fact.PodPlaced:
		i := strings.LastIndex(msg, " to ")
		if i < 0 {
			return false
		}
		ev.Party.Host = strings.TrimSpace(msg[i+4:])
	case fact.Rollout:
		switch {
		case reason == "DeploymentRollback":
			ev.Reason = "rollback"
		case strings.HasPrefix(low, "scaled down"), strings.Contains(low, "below target"):
			ev.Reason = "scale-down"
		case strings.HasPrefix(low, "scaled up"), strings.Contains(low, "above target"):
			ev.Reason = "scale-up"
		default:
			ev.Reason = "deploy"
		}
	}
	return true
}
