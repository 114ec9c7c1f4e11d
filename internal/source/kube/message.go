package kube

import (
	"strings"

	"culprit/internal/source"
)

// bare are messages that say without a frame what happened, and the reason
// each stands for.
var bare = source.NewRules(
	source.Rule[string]{Words: "^Readiness probe failed", Do: "Unhealthy"},
	source.Rule[string]{Words: "^Liveness probe failed", Do: "Unhealthy"},
	source.Rule[string]{Words: "^Startup probe failed", Do: "Unhealthy"},
	source.Rule[string]{Words: "^Readiness probe errored", Do: "Unhealthy"},
	source.Rule[string]{Words: "^Liveness probe errored", Do: "Unhealthy"},
	source.Rule[string]{Words: "^Back-off restarting failed container", Do: "BackOff"},
	source.Rule[string]{Words: "^back-off %w restarting failed container", Do: "BackOff"},
	source.Rule[string]{Words: "^Back-off pulling image", Do: "BackOff"},
	source.Rule[string]{Words: "^Container %w failed liveness probe, will be restarted", Do: "Killing"},
	source.Rule[string]{Words: "^Container %w failed startup probe, will be restarted", Do: "Killing"},
	source.Rule[string]{Words: "^Killing container with id ", Do: "Killing"},
	source.Rule[string]{Words: "^System OOM encountered, victim process", Do: "SystemOOM"},
	source.Rule[string]{Words: "^The node was low on resource: ", Do: "Evicted"},
	source.Rule[string]{Words: "^The node had condition: [%w]", Do: "Evicted"},
	source.Rule[string]{Words: "^Scaled up replica set %w ", Do: "ScalingReplicaSet"},
	source.Rule[string]{Words: "^Scaled down replica set %w ", Do: "ScalingReplicaSet"},
	source.Rule[string]{Words: "^Successfully assigned %w to %w", Do: "Scheduled"},
	source.Rule[string]{Words: "^Container runtime did not kill the pod within specified grace period", Do: "ExceededGracePeriod"},
	source.Rule[string]{Words: "^Marking for deletion Pod %w", Do: "TaintManagerEviction"},
	source.Rule[string]{Words: "^%d/%d nodes are available", Do: "FailedScheduling"},
	source.Rule[string]{Words: "^Pod was terminated in response to imminent node shutdown", Do: "NodeShutdown"},
	source.Rule[string]{Words: "^Shutdown manager detected %w shutdown event", Do: "NodeShutdown"},
	source.Rule[string]{Words: "^Node %w status is now: NodeNotReady", Do: "NodeNotReady"},
	source.Rule[string]{Words: "^New size: %d; reason: ", Do: "SuccessfulRescale"},
	source.Rule[string]{Words: "^Waiting for pod to become healthy in at least one", Do: "LoadBalancerNegNotReady"},
	source.Rule[string]{Words: "^Timeout waiting for pod to become healthy in at least one", Do: "LoadBalancerNegTimeout"},
)

// answers are what kubectl prints when it was told to do something, and
// controllers' logs that tell of a node's end.
var answers = source.NewRules(
	source.Rule[answer]{Words: "^node/%w cordoned", Do: answer{"Node", "NodeNotSchedulable"}},
	source.Rule[answer]{Words: "^node/%w drained", Do: answer{"Node", "Drain"}},
	source.Rule[answer]{Words: "^evicting pod %w", Do: answer{"Pod", "Evicted"}},
	source.Rule[answer]{Words: "^pod/%w evicted", Do: answer{"Pod", "Evicted"}},
	source.Rule[answer]{Words: "^pod \"%w\" deleted", Do: answer{"Pod", asked}},
	source.Rule[answer]{Words: "^pod \"%w\" force deleted", Do: answer{"Pod", asked}},
	source.Rule[answer]{Words: "^deployment.apps/%w restarted", Do: answer{"Deployment", "RolloutCompleted"}},
	source.Rule[answer]{Words: "^deployment.apps/%w image updated", Do: answer{"Deployment", "RolloutCompleted"}},
	source.Rule[answer]{Words: "^deployment.apps/%w configured", Do: answer{"Deployment", "RolloutCompleted"}},
	source.Rule[answer]{Words: "^deployment.apps/%w rolled back", Do: answer{"Deployment", "DeploymentRollback"}},
	source.Rule[answer]{Words: "^deployment \"%w\" successfully rolled out", Do: answer{"Deployment", "RolloutCompleted"}},
	source.Rule[answer]{Words: "^statefulset.apps/%w restarted", Do: answer{"StatefulSet", "RolloutCompleted"}},
	source.Rule[answer]{Words: "^Waiting for deployment %w rollout to finish: ", Do: answer{"Deployment", "RolloutCompleted"}},
	source.Rule[answer]{Words: "preemptible-killer%spod(s) pending deletion", Do: answer{"Node", "Drain"}},
	source.Rule[answer]{Words: "preemptible-killer%sraining", Do: answer{"Node", "Drain"}},
	source.Rule[answer]{Words: "preemptible-killer%sode deleted", Do: answer{"Node", "Drain"}},
	source.Rule[answer]{Words: "\"Kind\":\"SPOT_ITN\"%s\"NodeName\":\"%w\"", Do: answer{"Node", "SpotInterruption"}},
)

// asked stands for a pod that somebody deleted by hand.
const asked = "DeletedByHand"

type answer struct{ kind, reason string }

// answered reads one of the answers.
func answered(text []byte) (h happening, ok bool) {
	var holes source.Holes
	a, ok := answers.Match(text, &holes)
	if !ok {
		return h, false
	}
	h.kind, h.reason, h.message = a.kind, a.reason, string(text)
	h.name = strings.Trim(string(holes[0]), `"`)
	if a.reason == "SpotInterruption" {
		h.name = string(holes[1])
	} else if a.reason == "Drain" && text[0] == '{' {
		host, _ := source.Between(text, `"host":"`, `"`)
		at, _ := source.Between(text, `"time":"`, `"`)
		h.name, h.last, h.res = string(host), stamp(string(at)), second
	}
	if a.kind == "Pod" {
		h.namespace, h.name = splitName(h.name)
	}
	return h, isDNSName(h.name)
}

// mayBeMessage rules out by its first byte nearly all that others write.
func mayBeMessage(text []byte) bool {
	if len(text) < 12 {
		return false
	}
	switch c := text[0]; {
	case c >= '0' && c <= '9':
		return source.Has(text[:min(len(text), 60)], " nodes are available") || source.Has(text, "SPOT_ITN")
	case c == '{', c == '[':
		return source.Has(text, "preemptible-killer") || source.Has(text, "SPOT_ITN")
	default:
		return strings.IndexByte("RLSBbCKTMNWPnepds", c) >= 0 || source.Has(text, "SPOT_ITN")
	}
}

// message reads an event's message that stands alone.
func message(text []byte) (h happening, ok bool) {
	if !mayBeMessage(text) {
		return h, false
	}
	var holes source.Holes
	reason, ok := bare.Match(text, &holes)
	if !ok {
		return answered(text)
	}
	h.reason, h.message = reason, string(text)
	if reason == "NodeNotReady" {
		h.kind, h.name = "Node", string(holes[0])
	}
	return h, true
}
