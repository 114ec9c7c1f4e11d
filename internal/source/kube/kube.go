// Package kube reads what a Kubernetes cluster tells of itself: objects as
// JSON or YAML (live ones with their status, and manifests), the text that
// kubectl get, describe and events print, pieces of it pasted alone, and the
// log lines of kubelet and the controllers.
//
// Parties are pods, by name, with the pod's IP as address and the node as
// host; nodes; and workloads, by the name of what a user edits: the
// deployment rather than its replica set, whose name is the deployment's and
// a hash. The setting of a container names "Deployment/shop container/web",
// that of a probe "Deployment/shop container/web readiness".
//
// Where a table tells only an age, an event has Age and no Time. Times are in
// whole seconds; those of events.k8s.io in microseconds.
//
// Defaults are those of the API's own documentation: a probe waits one second,
// runs each ten, and gives up after three failures; a pod has 30 s to stop; a
// deployment has one replica and may lack a quarter of them in a rollout.
package kube

import (
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Formats are what Kubernetes and kubectl write.
var Formats = []source.Format{
	{ID: "kube-objects", Tech: tech, Role: fact.RoleOrchestrator, Title: "Kubernetes objects, JSON or YAML", SniffDoc: sniffObjects, ReadDoc: readObjects},
	{ID: "kubectl", Tech: tech, Role: fact.RoleOrchestrator, Title: "kubectl get, describe or events", Sniff: sniffText, NewReader: newText},
	{ID: "kube-event", Tech: tech, Role: fact.RoleOrchestrator, Title: "Kubernetes events, one JSON object a line", Sniff: sniffEventJSON, NewReader: newEventJSON},
	{ID: "kube-log", Tech: tech, Role: fact.RoleOrchestrator, Title: "log of kubelet or a Kubernetes controller", Sniff: sniffLog, NewReader: newLog},
}

const tech = "kube"

// second is the resolution of most of Kubernetes' times.
var second = fact.Lasting(time.Second)

// maxDetail bounds a message that is kept, in bytes; a failed exec probe may
// hold its program's whole output.
const maxDetail = 400

// detail cuts a message at maxDetail and at its first line end.
func detail(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return strings.TrimSpace(s[:min(len(s), maxDetail)])
}

// object names what an event or setting is about.
type object struct {
	namespace, kind, name string
	container             string
	owner                 string // "Deployment/shop"
	address, node         string
}

// party is the fact's party for the object.
func (o *object) party() fact.Party {
	p := fact.Party{Role: fact.RoleBackend, Tech: tech, Name: o.name, Address: o.address, Host: o.node}
	switch o.kind {
	case "Node":
		p.Role, p.Host = fact.RoleHost, o.name
	case "Ingress", "Gateway", "HTTPRoute", "BackendConfig":
		p.Role = fact.RoleGateway
	}
	return p
}

// attrs are what is known of the object beside its party.
func (o *object) attrs() map[string]string {
	m := map[string]string{}
	if o.kind != "" && o.name != "" {
		m[fact.AttrObject] = o.kind + "/" + o.name
	}
	if o.namespace != "" && o.kind != "Node" {
		m[fact.AttrNamespace] = o.namespace
	}
	if o.container != "" {
		m[fact.AttrContainer] = o.container
	}
	owner := o.owner
	if owner == "" && (o.kind == "Pod" || o.kind == "") {
		owner = ownerByName(o.name)
	}
	if owner != "" {
		m[fact.AttrOwner] = owner
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// event makes an event about the object.
func (o *object) event(kind fact.EventKind, at time.Time) *fact.Event {
	e := &fact.Event{Kind: kind, Attrs: o.attrs()}
	e.Time, e.Party = at.UTC(), o.party()
	if at.IsZero() {
		e.Time = time.Time{}
	} else {
		e.Res = second
	}
	return e
}

// exited fills what a container's exit status tells: over 128 it is a signal's
// number plus 128.
func exited(e *fact.Event, status int64) {
	e.Exit = fact.Num(status)
	if status > 128 && status < 128+65 {
		e.Signal = int(status - 128)
	}
}

// generated is the alphabet of generated names: no vowels, nothing that looks
// like another letter.
const generated = "bcdfghjklmnpqrstvwxz2456789"

func isGenerated(s string) bool {
	return s != "" && strings.Trim(s, generated) == ""
}

// ownerByName is the deployment to which a pod's name points,
// "shop-7d9f8b6c5d-x2k4q", or empty.
func ownerByName(pod string) string {
	i := strings.LastIndexByte(pod, '-')
	if i < 1 || len(pod)-i-1 != 5 || !isGenerated(pod[i+1:]) {
		return ""
	}
	if d, ok := deploymentOf(pod[:i]); ok {
		return "Deployment/" + d
	}
	return ""
}

// deploymentOf is the name of the deployment that made the replica set rs.
func deploymentOf(rs string) (string, bool) {
	i := strings.LastIndexByte(rs, '-')
	if i < 1 || len(rs)-i-1 < 5 || len(rs)-i-1 > 10 || !isGenerated(rs[i+1:]) {
		return "", false
	}
	return rs[:i], true
}

// kinds maps the words of kubectl to kinds; those not in it are kept.
var kinds = map[string]string{
	"pod": "Pod", "pods": "Pod", "po": "Pod", "node": "Node", "nodes": "Node",
	"deployment": "Deployment", "deployments": "Deployment", "deploy": "Deployment",
	"replicaset": "ReplicaSet", "statefulset": "StatefulSet", "daemonset": "DaemonSet",
	"horizontalpodautoscaler": "HorizontalPodAutoscaler", "ingress": "Ingress",
	"service": "Service", "job": "Job", "cronjob": "CronJob", "endpoints": "Endpoints",
	"poddisruptionbudget": "PodDisruptionBudget",
}

// kindOf turns "pod" or "deployment.apps" into "Pod", "Deployment".
func kindOf(word string) string {
	low, _, _ := strings.Cut(strings.ToLower(word), ".")
	if k := kinds[low]; k != "" {
		return k
	}
	return word
}
