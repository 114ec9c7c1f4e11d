package kube

import (
	"regexp"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// description is a kubectl describe that is being read.
type description struct {
	life
	has    bool // it began with a name, and is no fragment
	events bool // its events have begun
	told   bool

	section string
	indent  int       // of the containers' names, -1 if none was met
	box     *box      // the container that is being read
	sub     string    // "limits", "requests" within it
	state   *boxState // its state that is being read

	machine  nodeLife
	replicas struct {
		want, have fact.Int
		at         fact.Origin
	}
	unavailable string
	pods        []string // namespace/name of a node's pods
}

// keys are the words before a colon that describe prints, and the words of
// YAML for the same.
var keys = map[string]string{
	"lastState": "Last State", "exitCode": "Exit Code", "finishedAt": "Finished", "startedAt": "Started",
	"restartCount": "Restart Count", "reason": "Reason", "message": "Message", "state": "State", "ready": "Ready",
	"signal": "Signal",
}

// isStart reports whether a description begins: "Name:   shop-7d9".
func isStart(line string) bool {
	rest, ok := strings.CutPrefix(line, "Name:")
	if !ok || !strings.HasPrefix(rest, " ") {
		return false
	}
	return isDNSName(strings.TrimSpace(rest))
}

// sniffDescribe grades a line as one of a description, alone.
func sniffDescribe(line string) source.Confidence {
	if isStart(line) {
		if strings.HasPrefix(line, "Name:   ") {
			return source.Likely
		}
		return source.Possible
	}
	k, v, ok := strings.Cut(strings.TrimLeft(line, " \t-"), ":")
	if !ok || len(k) > 16 {
		return source.No
	}
	v = strings.TrimSpace(v)
	switch k {
	case "Last State", "lastState":
		return source.Likely
	case "State":
		if hasAnyPrefix(v, "Terminated", "Waiting", "Running") {
			return source.Possible
		}
	case "Liveness", "Readiness", "Startup":
		if _, ok := readProbeLine(v); ok {
			return source.Likely
		}
	case "Restart Count", "restartCount", "Exit Code", "exitCode":
		if source.Int([]byte(v)).Known {
			return source.Possible
		}
	case "Reason", "reason":
		if v == "OOMKilled" || v == "CrashLoopBackOff" || v == "ContainerCannotRun" || v == "ContainerStatusUnknown" {
			return source.Likely
		}
	case "Replicas":
		if strings.Contains(v, " desired | ") {
			return source.Likely
		}
	case "Default backend":
		return source.Possible
	}
	if isBackendRow(line) {
		return source.Possible
	}
	return source.No
}

func hasAnyPrefix(s string, fronts ...string) bool {
	for _, f := range fronts {
		if strings.HasPrefix(s, f) {
			return true
		}
	}
	return false
}

// sections are the keys that open a part of a description.
var sections = map[string]bool{
	"Containers": true, "Init Containers": true, "Conditions": true, "Volumes": true, "Events": true,
	"Annotations": true, "Labels": true, "Taints": true, "Non-terminated Pods": true, "Allocated resources": true,
	"Pod Template": true, "Rules": true, "Addresses": true, "Capacity": true, "Allocatable": true, "System Info": true,
	"Tolerations": true, "Node-Selectors": true, "Lease": true, "Ephemeral Containers": true,
}

// line reads one line; false if it is no part of a description.
func (d *description) line(line string, l *source.Line, t *teller) bool {
	trimmed := strings.TrimLeft(line, " \t-")
	key, value, ok := strings.Cut(trimmed, ":")
	value = strings.TrimSpace(value)
	if k := keys[key]; k != "" {
		key = k
	}
	top := ok && line[0] != ' ' && line[0] != '\t'
	if isBackendRow(line) {
		d.backendRow(line, t)
		return true
	}
	if sections[key] && ok && (top || key == "Containers" || key == "Init Containers") {
		d.section, d.sub, d.state, d.indent = key, "", nil, -1
		if d.box = nil; key == "Events" {
			d.events = true
		}
		if value == "" || key != "Taints" && key != "Labels" && key != "Annotations" {
			return true
		}
		trimmed = value
	}
	if top && d.section != "Containers" && d.section != "Init Containers" && d.section != "Conditions" && !sections[key] {
		d.section = ""
	}
	if ok && d.field(key, value, l) {
		return true
	}
	switch d.section {
	case "Containers", "Init Containers":
		if ok && d.container(key, value, l) {
			return true
		}
	case "Conditions":
		d.conditionRow(line, l)
	case "Labels":
		d.machine.spot = d.machine.spot || isSpot(trimmed)
	case "Taints":
		d.machine.taints = append(d.machine.taints, taint{key: trimmed})
	case "Non-terminated Pods":
		if c := cells(line); len(c) > 3 && isDNSName(c[0]) && isDNSName(c[1]) {
			d.pods = append(d.pods, c[0]+"/"+c[1])
		}
	case "":
		if ok && d.container(key, value, l) {
			return true
		}
	}
	return d.has && !d.events && (line[0] == ' ' || line[0] == '\t' || ok && isKey(key)) ||
		d.events && (strings.HasPrefix(trimmed, "Type ") || strings.HasPrefix(trimmed, "FirstSeen") || strings.Trim(line, "- \t") == "")
}

// isKey reports whether s looks like describe's keys: words, the first with a
// capital.
func isKey(s string) bool {
	if s == "" || len(s) > 40 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz -()") == ""
}

// field reads a key of the top of a description.
func (d *description) field(key, value string, l *source.Line) bool {
	if d.section == "Containers" || d.section == "Init Containers" {
		if strings.HasPrefix(string(l.Text), " ") {
			return false
		}
	}
	switch key {
	case "Name":
		if d.name != "" || !isDNSName(value) {
			return false
		}
		d.name, d.has, d.at = value, true, originOf(l)
	case "Namespace":
		d.namespace = value
	case "Node":
		d.node, _, _ = strings.Cut(value, "/")
		if d.node == "<none>" {
			d.node = ""
		}
		d.kind = "Pod"
	case "IP":
		if d.address == "" && d.section == "" {
			d.address = value
		}
	case "Controlled By":
		kind, name, _ := strings.Cut(value, "/")
		d.owner = ownerOf(kind, name)
	case "Start Time":
		d.started = longStamp(value)
	case "Status":
		d.phase = value
		if strings.HasPrefix(value, "Terminating") {
			d.deleted = true
		}
	case "Reason":
		if d.section != "" || d.state != nil {
			return false
		}
		d.reason = value
	case "Message":
		if d.section != "" || d.state != nil {
			return false
		}
		d.message = value
	case "Roles", "Unschedulable", "ProviderID", "PodCIDR":
		d.kind = "Node"
		if key == "Unschedulable" && value == "true" {
			d.machine.unschedulable = true
		}
	case "StrategyType":
		d.kind = "Deployment"
	case "Update Strategy":
		d.kind = "StatefulSet"
	case "RollingUpdateStrategy":
		d.unavailable, _, _ = strings.Cut(value, " max unavailable")
	case "Termination Grace Period":
		d.grace, _ = age(value)
	case "Replicas":
		d.replicas.at = originOf(l)
		for part := range strings.SplitSeq(value, " | ") {
			n := source.Int([]byte(digitsAt(part)))
			switch {
			case strings.HasSuffix(part, " desired"):
				d.replicas.want = n
			case strings.HasSuffix(part, " available"):
				d.replicas.have = n
			}
		}
	default:
		return false
	}
	return true
}

// container reads a key of a container.
func (d *description) container(key, value string, l *source.Line) bool {
	indent := len(l.Text) - len(strings.TrimLeft(string(l.Text), " \t"))
	if value == "" && isDNSName(key) && d.section != "" && (d.indent < 0 || d.indent == indent) {
		d.box = &box{name: key, whole: true, init: d.section == "Init Containers", at: originOf(l)}
		d.boxes = append(d.boxes, d.box)
		d.state, d.sub, d.indent = nil, "", indent
		return true
	}
	if d.box == nil {
		d.box = &box{at: originOf(l)}
		d.boxes = append(d.boxes, d.box)
	}
	b := d.box
	switch key {
	case "State", "Last State":
		st := &b.state
		if key == "Last State" {
			st = &b.last
		}
		*st = boxState{at: originOf(l)}
		d.state, d.sub = st, ""
		st.squeezed(value)
	case "terminated", "running", "waiting":
		if d.state == nil {
			return false
		}
		d.state.what = strings.ToUpper(key[:1]) + key[1:]
	case "Reason", "Message", "Exit Code", "Started", "Finished", "Signal":
		if d.state == nil {
			b.last = boxState{what: "Terminated", at: originOf(l)}
			d.state = &b.last
		}
		d.state.set(key, value)
	case "Ready":
		b.ready, d.state = strings.ToLower(value), nil
	case "Restart Count":
		b.restarts, d.state = source.Int([]byte(value)).Or(0), nil
	case "Limits", "Requests":
		d.sub, d.state = strings.ToLower(key), nil
	case "memory", "cpu":
		switch {
		case d.sub == "limits" && key == "memory":
			b.memory = value
		case d.sub == "limits":
			b.cpu = value
		}
	case "Liveness", "Readiness", "Startup":
		p, ok := readProbeLine(value)
		if d.sub = ""; !ok {
			return false
		}
		switch key {
		case "Liveness":
			b.liveness = p
		case "Readiness":
			b.readiness = p
		default:
			b.startup = p
		}
	case "Environment", "Mounts", "Command", "Args", "Container ID":
		d.sub, d.state = strings.ToLower(key), nil
		if key == "Container ID" {
			d.sub = ""
		}
	default:
		return d.section != ""
	}
	return true
}

// set fills one key of a state.
func (s *boxState) set(key, value string) {
	value = strings.Trim(value, `"`)
	switch key {
	case "Reason":
		s.reason = value
	case "Message":
		s.message = detail(value)
	case "Exit Code":
		s.exit = source.Int([]byte(value))
	case "Started":
		s.started = anyStamp(value)
	case "Finished":
		s.finished = anyStamp(value)
	}
}

var squeezedKey = regexp.MustCompile(`\b(Reason|Exit Code|Started|Finished|Message):\s*`)

// squeezed reads a state whose lines were joined: "Terminated Reason:
// OOMKilled Exit Code: 137".
func (s *boxState) squeezed(value string) {
	at := squeezedKey.FindAllStringSubmatchIndex(value, 8)
	if len(at) == 0 {
		s.what = value
		return
	}
	s.what = strings.TrimSpace(value[:at[0][0]])
	for i, m := range at {
		end := len(value)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		s.set(value[m[2]:m[3]], strings.TrimSpace(value[m[1]:end]))
	}
}

func anyStamp(s string) time.Time {
	if t := longStamp(s); !t.IsZero() {
		return t
	}
	return stamp(s)
}

// conditionRow reads a row of a node's conditions, or of a pod's or
// deployment's, which have no times.
func (d *description) conditionRow(line string, l *source.Line) {
	c := cells(line)
	if len(c) < 2 || c[0] == "Type" || strings.HasPrefix(c[0], "--") {
		return
	}
	x := condition{kind: c[0], status: c[1], at: originOf(l)}
	if len(c) >= 5 {
		x.since, x.reason = longStamp(c[3]), c[4]
		x.message = strings.Join(c[5:], " ")
	} else if len(c) == 3 {
		x.reason = c[2]
	}
	if len(d.conditions) < 32 {
		d.conditions = append(d.conditions, x)
	}
}

// isSpot recognises the labels that providers put on nodes that may go at any
// time.
func isSpot(label string) bool {
	switch strings.ReplaceAll(strings.TrimSpace(label), ": ", "=") {
	case "cloud.google.com/gke-spot=true", "cloud.google.com/gke-preemptible=true",
		"eks.amazonaws.com/capacityType=SPOT", "karpenter.sh/capacity-type=spot",
		"kubernetes.azure.com/scalesetpriority=spot", "node.kubernetes.io/lifecycle=spot", "lifecycle=Ec2Spot":
		return true
	}
	return false
}

var backendRow = regexp.MustCompile(`([a-z0-9][-a-z0-9]*:[-a-z0-9]+) \(([^()]*(?:\([^()]*\))?[^()]*)\)\s*$`)

// isBackendRow recognises a line of an ingress' rules, "/  shop:80
// (10.0.0.1:8080,10.0.0.2:8080)".
func isBackendRow(line string) bool {
	if !strings.HasSuffix(line, ")") || len(line) > 4096 {
		return false
	}
	m := backendRow.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	first, _, _ := strings.Cut(m[2], ",")
	_, port, ok := strings.Cut(first, ":")
	return m[2] == "" || m[2] == "<none>" || strings.HasPrefix(m[2], "<error: ") || ok && source.Int([]byte(port)).Known
}

// backendRow states the members of a service that an ingress names.
func (d *description) backendRow(line string, t *teller) {
	m := backendRow.FindStringSubmatch(line)
	service, _, _ := strings.Cut(m[1], ":")
	o := object{namespace: d.namespace, kind: "Service", name: service}
	list := m[2]
	if strings.HasPrefix(list, "<") {
		if strings.Contains(list, "default-http-backend") {
			return // the controller's own default, which most clusters lack
		}
		list = ""
	}
	endpointsRow(&o, list, t)
}
