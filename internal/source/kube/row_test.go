package kube

import (
	"testing"
	"time"

	"culprit/internal/fact"
)

func TestRow(t *testing.T) {
	f := func(text, kind, name, reason, message string, age, first time.Duration, count int) {
		t.Helper()
		h, ok := row(text)
		if !ok {
			t.Errorf("%q: no row", text)
			return
		}
		if h.kind != kind || h.name != name || h.reason != reason || h.message != message || h.age.Or(0) != age || h.firstAge.Or(0) != first || h.count != count {
			t.Errorf("%q:\n got %s/%s %s %q %v %v %d", text, h.kind, h.name, h.reason, h.message, h.age.Or(0), h.firstAge.Or(0), h.count)
		}
	}
	const day = 24 * time.Hour
	f("Warning  Unhealthy  2m (x289 over 12d)  kubelet, node-a  Readiness probe failed: x", "", "", "Unhealthy", "Readiness probe failed: x", 2*time.Minute, 12*day, 289)
	f("Warning Unhealthy 2m (x289 over 12d) kubelet, node-a Readiness probe failed: x", "", "", "Unhealthy", "Readiness probe failed: x", 2*time.Minute, 12*day, 289)
	f("\tWarning\tUnhealthy\t2m\tkubelet\tReadiness probe failed: x", "", "", "Unhealthy", "Readiness probe failed: x", 2*time.Minute, 0, 0)
	f("2m  Warning  Unhealthy  pod/api-0  Readiness probe failed: x", "Pod", "api-0", "Unhealthy", "Readiness probe failed: x", 2*time.Minute, 0, 0)
	f("prod  2m  Warning  Unhealthy  pod/api-0  Readiness probe failed: x", "Pod", "api-0", "Unhealthy", "Readiness probe failed: x", 2*time.Minute, 0, 0)
	f("prod  <unknown>  Normal  Killing  pod/api-0  Stopping container api", "Pod", "api-0", "Killing", "Stopping container api", 0, 0, 0)
	f("3m30s (x256 over 58m)   Warning   BackOff     Pod/api-0   Back-off restarting failed container", "Pod", "api-0", "BackOff", "Back-off restarting failed container", 210*time.Second, 58*time.Minute, 256)
	f("2m    Warning  Unhealthy  Pod    Readiness probe failed: x", "Pod", "", "Unhealthy", "Readiness probe failed: x", 2*time.Minute, 0, 0)
	f("58m  3m  17  kubelet, node-a  spec.containers{web}  Warning  Unhealthy  x", "", "", "Unhealthy", "x", 3*time.Minute, 58*time.Minute, 17)
	f("2m   12d   289   api-0.153a1b2c3d4e5f60   Pod   spec.containers{api}   Warning   Unhealthy   kubelet, node-b   x y", "Pod", "api-0", "Unhealthy", "x y", 2*time.Minute, 12*day, 289)
	f("2m   Warning   Unhealthy   pod/api-0   spec.containers{api}   kubelet, node-b   x y   12d   289   api-0.17a", "Pod", "api-0", "Unhealthy", "x y", 2*time.Minute, 12*day, 289)
	f("4m   Normal   ScalingReplicaSet   deployment/shop      deployment-controller   Scaled up replica set shop-6c5d7d9f8b to 1   4m   1   shop.17a", "Deployment", "shop", "ScalingReplicaSet", "Scaled up replica set shop-6c5d7d9f8b to 1", 4*time.Minute, 4*time.Minute, 1)
	f("Warning Unhealthy pod/api-0 Readiness probe failed: x", "Pod", "api-0", "Unhealthy", "Readiness probe failed: x", 0, 0, 0)
	f("2026-03-09T14:00:05Z prod Warning Unhealthy Pod/api-0 kubelet,node-a Readiness probe failed: x", "Pod", "api-0", "Unhealthy", "Readiness probe failed: x", 0, 0, 0)

	for _, text := range []string{
		"", "Warning", "Normal people sleep", "Warning: this is deprecated", "a Warning was given to all who listened",
		"2m", "Normal Unhealthy", "2026-03-09 14:00:05 Warning Unhealthy", "[Warning] Unhealthy 2m kubelet x",
	} {
		if h, ok := row(text); ok {
			t.Errorf("%q: taken for a row: %+v", text, h)
		}
	}
}

func TestAge(t *testing.T) {
	f := func(s string, want time.Duration, ok bool) {
		t.Helper()
		if got, o := age(s); o != ok || got.Or(0) != want {
			t.Errorf("%q: %v %v, want %v %v", s, got.Or(0), o, want, ok)
		}
	}
	f("2m40s", 160*time.Second, true)
	f("5h43m", 5*time.Hour+43*time.Minute, true)
	f("3y45d", (3*365+45)*24*time.Hour, true)
	f("0s", 0, true)
	f("500ms", 500*time.Millisecond, true)
	f("", 0, false)
	f("12", 0, false)
	f("m", 0, false)
	f("2m40", 0, false)
	f("12dx", 0, false)
	f("99999999999y", 0, false)
	f("999999y", 0, false)
}

func TestQuantity(t *testing.T) {
	f := func(s string, want int64, ok bool) {
		t.Helper()
		if got, o := quantity(s); o != ok || got != want {
			t.Errorf("%q: %d %v, want %d %v", s, got, o, want, ok)
		}
	}
	f("512Mi", 512<<20*1000, true)
	f("1.5Gi", 3<<29*1000, true)
	f("500m", 500, true)
	f("2", 2000, true)
	f("0.1", 100, true)
	f("128974848", 128974848000, true)
	f("1e3", 0, false)
	f("Mi", 0, false)
	f("", 0, false)
	f("{{ x }}", 0, false)
}

func TestProbeWhy(t *testing.T) {
	f := func(text, why string) {
		t.Helper()
		e := &fact.Event{}
		if probeFailed(e, text); e.Attrs[fact.AttrWhy] != why {
			t.Errorf("%q: %q, want %q", text, e.Attrs[fact.AttrWhy], why)
		}
	}
	f("HTTP probe failed with statuscode: 503", "status")
	f(`Get "http://10.2.0.7:8080/": dial tcp 10.2.0.7:8080: connect: connection refused`, "refused")
	f("dial tcp 10.2.0.7:8080: getsockopt: connection refused", "refused")
	f(`Get "http://10.2.0.7:8080/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, "timeout")
	f(`Get "http://10.2.0.7:8080/": net/http: request canceled while waiting for connection`, "timeout")
	f("dial tcp 10.2.0.7:8080: i/o timeout", "timeout")
	f(`command "x" timed out after 1s`, "timeout")
	f(`Get "http://10.2.0.7:8080/": EOF`, "reset")
	f(`Get "http://10.2.0.7:8080/": read tcp 10.2.0.1:1->10.2.0.7:8080: read: connection reset by peer`, "reset")
	f(`Get "http://10.2.0.7:8080/": dial tcp 10.2.0.7:8080: connect: no route to host`, "unreachable")
	f(`Get "https://10.2.0.7:8080/": http: server gave HTTP response to HTTPS client`, "tls")
	f(`Get "http://shop.local/": dial tcp: lookup shop.local: no such host`, "dns")
	f("cat: /tmp/healthy: No such file or directory", "exec")
	f("", "")
}

func TestOwner(t *testing.T) {
	f := func(pod, owner string) {
		t.Helper()
		if got := ownerByName(pod); got != owner {
			t.Errorf("%q: %q, want %q", pod, got, owner)
		}
	}
	f("shop-7d9f8b6c5d-x2k4q", "Deployment/shop")
	f("my-shop-api-7d9f8b6c5d-x2k4q", "Deployment/my-shop-api")
	f("shop-0", "")
	f("shop-x2k4q", "")
	f("node-exporter-jobs-daily", "")
	f("", "")
}
