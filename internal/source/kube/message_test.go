package kube

import (
	"testing"

	"culprit/internal/fact"
)

func TestMessage(t *testing.T) {
	f := func(text string, kind fact.EventKind, name, reason string) {
		t.Helper()
		h, ok := message([]byte(text))
		if !ok {
			t.Errorf("%q: not known", text)
			return
		}
		e := h.fact()
		if e == nil || e.Kind != kind || e.Party.Name != name || e.Reason != reason {
			t.Errorf("%q: %+v", text, e)
		}
	}
	f("Readiness probe failed: HTTP probe failed with statuscode: 503", fact.ProbeFailed, "", "readiness")
	f("Startup probe failed: dial tcp 10.2.0.7:80: connect: connection refused", fact.ProbeFailed, "", "startup")
	f("Back-off restarting failed container web in pod api-0_prod(1)", fact.RestartBackoff, "api-0", "")
	f("Back-off pulling image \"shop:2\"", fact.BootFailed, "", "image")
	f("Container web failed liveness probe, will be restarted", fact.ProcessStopping, "", "liveness")
	f("System OOM encountered, victim process: java, pid: 77", fact.OOMKilled, "java", "OOMKilled")
	f("The node was low on resource: memory.", fact.PodEvicted, "", "memory")
	f("Scaled down replica set shop-7d9f8b6c5d from 3 to 2", fact.Rollout, "shop", "scale-down")
	f("Successfully assigned prod/api-0 to node-a", fact.PodPlaced, "api-0", "")
	f("0/5 nodes are available: 5 Insufficient cpu.", fact.BootFailed, "", "unschedulable")
	f("Node node-a status is now: NodeNotReady", fact.NodeLost, "node-a", "not-ready")
	f("node/node-a cordoned", fact.NodeTerminating, "node-a", "cordon")
	f("evicting pod prod/api-0", fact.PodEvicted, "api-0", "evicted")
	f("pod \"api-0\" deleted", fact.ProcessStopping, "api-0", "deleted")
	f("deployment.apps/shop restarted", fact.Rollout, "shop", "deploy")
	f("deployment.apps/shop rolled back", fact.Rollout, "shop", "rollback")
	f(`{"time":"2026-03-09T14:00:05Z","severity":"info","app":"preemptible-killer","host":"pool-x1","message":"1 pod(s) pending deletion, sleeping 10s"}`, fact.NodeTerminating, "pool-x1", "drain")

	f(`2026/03/09 14:00:05 INF Adding new event to the event store event={"Kind":"SPOT_ITN","Monitor":"SPOT_ITN_MONITOR","NodeName":"ip-10-0-0-9.ec2.internal"}`, fact.NodeTerminating, "ip-10-0-0-9.ec2.internal", "preemption")

	for _, text := range []string{"", "the readiness of a probe", "node is ready", "pod deleted", "Container web"} {
		if h, ok := message([]byte(text)); ok {
			t.Errorf("%q: taken for %+v", text, h)
		}
	}
}
