package kube

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// counter counts facts and keeps none.
type counter struct{ facts int }

func (c *counter) State(fact.Fact)    { c.facts++ }
func (c *counter) Inner(*source.Line) {}
func (c *counter) Seen(time.Time)     {}

func read(t testing.TB, data []byte) (facts, skipped int, grown uint64) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	out := &counter{}
	doc := &source.Doc{Path: "x", Data: data, Skip: func(line int, why string) {
		if skipped++; skipped < 4 {
			t.Logf("line %d: %s", line, why)
		}
	}}
	if err := readObjects(&source.Env{}, doc, out); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc {
		grown = after.HeapAlloc - before.HeapAlloc
	}
	return out.facts, skipped, grown
}

const jsonPod = `        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "shop-7d9f8b6c5d-%05d", "namespace": "prod", "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}}}}}}],
                "ownerReferences": [{"kind": "ReplicaSet", "name": "shop-7d9f8b6c5d"}]},
            "spec": {"nodeName": "node-a", "containers": [{"name": "web", "env": [{"name": "A", "value": "b"}]}]},
            "status": {"phase": "Running", "podIP": "10.2.0.7", "containerStatuses": [{"name": "web", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-03-09T14:00:07Z"}}}]}
        }`

func bigJSON(pods int) []byte {
	var b bytes.Buffer
	b.WriteString("{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n")
	for i := range pods {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, jsonPod, i)
	}
	b.WriteString("\n    ],\n    \"kind\": \"List\"\n}\n")
	return b.Bytes()
}

func bigYAML(events int) []byte {
	var b bytes.Buffer
	b.WriteString("apiVersion: v1\nitems:\n")
	for i := range events {
		fmt.Fprintf(&b, `- apiVersion: v1
  count: 3
  eventTime: null
  firstTimestamp: "2026-03-09T13:00:00Z"
  involvedObject:
    apiVersion: v1
    kind: Pod
    name: api-%d
    namespace: prod
  kind: Event
  lastTimestamp: "2026-03-09T14:00:00Z"
  message: 'Readiness probe failed: HTTP probe failed with statuscode: 503'
  metadata:
    creationTimestamp: "2026-03-09T13:00:00Z"
    managedFields:
    - apiVersion: v1
      fieldsType: FieldsV1
      fieldsV1:
        f:count: {}
        f:message: {}
      manager: kubelet
    name: api-%d.1
  reason: Unhealthy
  source:
    component: kubelet
    host: node-a
  type: Warning
`, i, i)
	}
	b.WriteString("kind: List\nmetadata:\n  resourceVersion: \"\"\n")
	return b.Bytes()
}

// A list is read item by item: nothing of it stays.
func TestBigList(t *testing.T) {
	const pods = 5000
	data := bigJSON(pods)
	facts, skipped, grown := read(t, data)
	if facts < 2*pods || skipped != 0 {
		t.Errorf("%d facts, %d skipped of %d pods", facts, skipped, pods)
	}
	if limit := uint64(len(data) / 2); grown > limit {
		t.Errorf("%d bytes held after reading %d", grown, len(data))
	}
	facts, skipped, _ = read(t, bigYAML(200))
	if facts != 200 || skipped != 0 {
		t.Errorf("%d facts, %d skipped of 200 events in YAML", facts, skipped)
	}
}

func BenchmarkJSON(b *testing.B) {
	data := bigJSON(500)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		read(b, data)
	}
}

func BenchmarkYAML(b *testing.B) {
	data := bigYAML(200)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		read(b, data)
	}
}
