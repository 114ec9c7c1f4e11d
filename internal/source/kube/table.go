package kube

import (
	"strings"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// cells cuts a row where two blanks or a tab stand. If there is no such place,
// blanks were squeezed, and single ones cut.
func cells(text string) []string {
	var out []string
	for _, part := range strings.Split(strings.ReplaceAll(text, "\t", "  "), "  ") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	if len(out) > 1 {
		return out
	}
	out = strings.Fields(text)
	for i := 0; i+2 <= len(out)-1; i++ { // "4 (57s ago)" is one cell
		if strings.HasPrefix(out[i+1], "(") && out[i+2] == "ago)" {
			out[i] += " " + out[i+1] + " ago)"
			out = append(out[:i+1], out[i+3:]...)
		}
	}
	return out
}

// headers are the titles by which a table is known, the special first.
var headers = []struct{ kind, titles string }{
	{"events", "TYPE REASON MESSAGE"},
	{"events", "Type Reason Message"},
	{"pods", "NAME READY STATUS RESTARTS"},
	{"nodes", "NAME STATUS ROLES VERSION"},
	{"nodes", "NAME STATUS AGE VERSION"},
	{"daemonsets", "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE"},
	{"deployments", "NAME UP-TO-DATE AVAILABLE"},
	{"replicasets", "NAME DESIRED CURRENT READY"},
	{"endpoints", "NAME ENDPOINTS"},
	{"pdb", "NAME ALLOWED"},
	{"hpa", "NAME REFERENCE TARGETS REPLICAS"},
	{"services", "NAME TYPE CLUSTER-IP"},
	{"ingresses", "NAME HOSTS ADDRESS"},
	{"top", "NAME CPU(cores) MEMORY(bytes)"},
	{"statefulsets", "NAME READY AGE"},
}

// header says whether text heads a table of kubectl, and of what.
func header(text string) (kind string, titles []string) {
	t := strings.TrimSpace(text)
	if !strings.HasPrefix(t, "NAME") && !strings.HasPrefix(t, "LAST") && !strings.HasPrefix(t, "Type") && !strings.HasPrefix(t, "First") && !strings.HasPrefix(t, "TIME") {
		return "", nil
	}
	words := strings.Fields(t)
	has := map[string]bool{}
	for _, w := range words {
		has[w] = true
	}
next:
	for _, h := range headers {
		for w := range strings.FieldsSeq(h.titles) {
			if !has[w] {
				continue next
			}
		}
		return h.kind, cells(t)
	}
	return "", nil
}

// table reads the rows of kubectl get.
type table struct {
	kind   string
	titles []string
}

// row states what one row tells; false if it is none of the table.
func (t *table) row(text string, tell *teller) bool {
	c := cells(text)
	if len(c) != len(t.titles) {
		return false
	}
	v := map[string]string{}
	for i, title := range t.titles {
		if c[i] != "<none>" && c[i] != "<unset>" {
			v[title] = c[i]
		}
	}
	o := object{namespace: v["NAMESPACE"], name: v["NAME"]}
	if i := strings.LastIndexByte(o.name, '/'); i >= 0 { // kubectl get all
		o.name = o.name[i+1:]
	}
	if o.name == "" {
		return false
	}
	switch t.kind {
	case "pods":
		ready, total, ok := strings.Cut(v["READY"], "/")
		if !ok {
			return false
		}
		p := podRow{object: o, ready: ready, total: total, status: v["STATUS"], restarts: v["RESTARTS"]}
		p.kind, p.address, p.node = "Pod", v["IP"], v["NODE"]
		p.tell(tell)
	case "nodes":
		o.kind = "Node"
		nodeRow(&o, v["STATUS"], tell)
	case "deployments", "statefulsets":
		o.kind = map[string]string{"deployments": "Deployment", "statefulsets": "StatefulSet"}[t.kind]
		workloadRow(&o, v, tell)
	case "endpoints":
		list := v["ENDPOINTS"]
		if _, slice := v["ADDRESSTYPE"]; slice {
			if i := strings.LastIndexByte(o.name, '-'); i > 0 && isGenerated(o.name[i+1:]) {
				o.name = o.name[:i]
			}
			if port := v["PORTS"]; source.Int([]byte(port)).Known && list != "" {
				list, _, _ = strings.Cut(list, " +")
				list = strings.ReplaceAll(list, ",", ":"+port+",") + ":" + port
			}
		}
		endpointsRow(&o, list, tell)
	case "pdb":
		o.kind = "PodDisruptionBudget"
		budgetRow(&o, v, tell)
	case "top":
		topRow(&o, v, tell)
	}
	return true
}

// podRow is a row of kubectl get pods.
type podRow struct {
	object
	ready, total, status, restarts string
}

// loosePod reads such a row without its header. The name, the fraction, the
// state, the number and the age together are no other table's.
func loosePod(text string) (p podRow, ok bool) {
	i := strings.IndexByte(text[:min(len(text), 2*maxRow)], '/')
	if i < 1 || i+1 >= len(text) || !isDigit(text[i-1]) || !isDigit(text[i+1]) {
		return p, false
	}
	c := cells(text)
	for i := range min(len(c), 2) {
		rest := c[i:]
		if len(rest) < 5 || !isDNSName(rest[0]) || i == 1 && !isDNSName(c[0]) {
			continue
		}
		ready, total, cut := strings.Cut(rest[1], "/")
		n, _, _ := strings.Cut(rest[3], " ")
		_, aged := age(rest[4])
		if !cut || !source.Int([]byte(ready)).Known || !source.Int([]byte(total)).Known || !source.Int([]byte(n)).Known || !aged {
			continue
		}
		if state := strings.TrimPrefix(rest[2], "Init:"); !isReason(state) && !strings.Contains(state, "/") && !strings.Contains(state, ":") {
			continue
		}
		p = podRow{ready: ready, total: total, status: rest[2], restarts: rest[3]}
		if p.kind, p.name = "Pod", rest[0]; i == 1 {
			p.namespace = c[0]
		}
		if len(rest) > 6 && rest[5] != "<none>" {
			p.address = rest[5]
			if rest[6] != "<none>" {
				p.node = rest[6]
			}
		}
		return p, true
	}
	return p, false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// tell states a pod's place, its restarts and its state.
func (p *podRow) tell(t *teller) {
	if p.node != "" && t.once("placed "+p.namespace+"/"+p.name+" "+p.node) {
		t.out.State(p.event(fact.PodPlaced, noTime))
	}
	count, ago := restarts(p.restarts)
	ready, total := source.Int([]byte(p.ready)), source.Int([]byte(p.total))
	e := p.event("", noTime)
	status := strings.TrimPrefix(p.status, "Init:")
	e.Reason = status
	switch {
	case status == "Running" && ready.N < total.N:
		e.Kind, e.Reason, e.Used, e.Max = fact.NotReady, "readiness", ready, total
	case status == "CrashLoopBackOff":
		e.Kind = fact.RestartBackoff
	case status == "OOMKilled":
		e.Kind, e.Attrs[fact.AttrScope] = fact.OOMKilled, "cgroup"
		exited(e, 137)
	case status == "Error", strings.HasPrefix(status, "ExitCode:"), strings.HasPrefix(status, "Signal:"):
		e.Kind = fact.ProcessExited
		if n := source.Int([]byte(strings.TrimPrefix(status, "ExitCode:"))); n.Known {
			exited(e, n.N)
		}
		e.Signal = int(source.Int([]byte(strings.TrimPrefix(status, "Signal:"))).Or(int64(e.Signal)))
	default:
		e.Kind = podStates[status]
	}
	if (e.Kind == fact.NodeLost || e.Kind == fact.NodeTerminating) && p.node != "" {
		o := object{kind: "Node", name: p.node}
		e.Party, e.Attrs = o.party(), o.attrs()
	}
	if e.Kind != "" {
		e.Count, e.Age = int(min(count, 1<<31)), ago
		t.out.State(e)
	}
	if count > 0 && e.Kind != fact.OOMKilled && e.Kind != fact.ProcessExited {
		x := p.event(fact.ProcessExited, noTime)
		x.Reason, x.Count, x.Age = "restarted", int(min(count, 1<<31)), ago
		t.out.State(x)
	}
}

// podStates are kubectl's words for the state of a pod.
var podStates = map[string]fact.EventKind{
	"Terminating": fact.ProcessStopping, "Evicted": fact.PodEvicted, "Preempting": fact.PodEvicted,
	"NodeLost": fact.NodeLost, "Unknown": fact.NodeLost, "ContainerStatusUnknown": fact.NodeLost,
	"NodeShutdown": fact.NodeTerminating, "Shutdown": fact.NodeTerminating, "Terminated": fact.NodeTerminating,
	"ImagePullBackOff": fact.BootFailed, "ErrImagePull": fact.BootFailed, "InvalidImageName": fact.BootFailed,
	"CreateContainerConfigError": fact.BootFailed, "CreateContainerError": fact.BootFailed, "RunContainerError": fact.BootFailed,
	"ContainerCannotRun": fact.BootFailed, "StartError": fact.BootFailed,
	"Pending": fact.NotReady, "ContainerCreating": fact.NotReady, "PodInitializing": fact.NotReady,
}

// restarts reads "4 (57s ago)".
func restarts(s string) (n int64, ago fact.Dur) {
	num, rest, _ := strings.Cut(s, " (")
	ago, _ = age(strings.TrimSuffix(rest, " ago)"))
	return source.Int([]byte(num)).Or(0), ago
}

// nodeRow reads the state of a node, "NotReady,SchedulingDisabled".
func nodeRow(o *object, status string, t *teller) {
	e := o.event("", noTime)
	switch {
	case strings.HasPrefix(status, "NotReady"), strings.HasPrefix(status, "Unknown"):
		e.Kind, e.Reason = fact.NodeLost, "not-ready"
	case strings.Contains(status, "SchedulingDisabled"):
		e.Kind, e.Reason = fact.NodeTerminating, "cordon"
	default:
		return
	}
	t.out.State(e)
}

// workloadRow reads "1/3" ready, or older kubectls' columns.
func workloadRow(o *object, v map[string]string, t *teller) {
	have, want, ok := strings.Cut(v["READY"], "/")
	if !ok {
		have, want = v["AVAILABLE"], v["DESIRED"]
	}
	t.replicas(o, source.Int([]byte(want)), source.Int([]byte(have)), fact.Origin{})
}

// replicas states how many members a workload should have, and that they are
// not there.
func (t *teller) replicas(o *object, want, have fact.Int, at fact.Origin) {
	if !want.Known {
		return
	}
	s := o.setting(fact.Replicas, "replicas: {n}", "spec")
	s.Num, s.Origin = want, at
	t.out.State(s)
	if !have.Known || have.N >= want.N {
		return
	}
	e := o.event(fact.NotReady, noTime)
	if have.N == 0 {
		e.Kind = fact.NoBackendLeft
	}
	e.Reason, e.Used, e.Max, e.Origin = "unavailable-replicas", have, want, at
	t.out.State(e)
}

// endpointsRow reads "10.0.0.5:8080,10.0.0.6:8080 + 2 more...".
func endpointsRow(o *object, list string, t *teller) {
	o.kind = "Service"
	if list == "" {
		e := o.event(fact.NoBackendLeft, noTime)
		e.Reason = "no-endpoints"
		t.out.State(e)
		return
	}
	list, _, _ = strings.Cut(list, " +")
	for addr := range strings.SplitSeq(list, ",") {
		s := o.setting(fact.UpstreamAddress, "", "")
		s.Text, s.Basis = strings.TrimSpace(addr), fact.Measured
		t.out.State(s)
	}
}

func budgetRow(o *object, v map[string]string, t *teller) {
	s := o.setting(fact.DisruptionBudget, "", "")
	switch {
	case v["MIN AVAILABLE"] != "" && v["MIN AVAILABLE"] != "N/A":
		s.Text, s.Spelling = "minAvailable "+v["MIN AVAILABLE"], "minAvailable: {n}"
	case v["MAX UNAVAILABLE"] != "" && v["MAX UNAVAILABLE"] != "N/A":
		s.Text, s.Spelling = "maxUnavailable "+v["MAX UNAVAILABLE"], "maxUnavailable: {n}"
	default:
		return
	}
	t.out.State(s)
}

// topRow reads what kubectl top measured.
func topRow(o *object, v map[string]string, t *teller) {
	o.kind = "Pod"
	for _, x := range [...]struct {
		title string
		name  fact.SampleName
	}{{"CPU(cores)", fact.SampleCPU}, {"MEMORY(bytes)", fact.SampleMemory}} {
		milli, ok := quantity(v[x.title])
		if !ok {
			continue
		}
		s := &fact.Sample{Name: x.name, Value: float64(milli) / 1000}
		s.Party = o.party()
		t.out.State(s)
	}
}

// setting makes a setting of the object, Configured until said otherwise.
func (o *object) setting(k fact.Knob, spelling, where string) *fact.Setting {
	s := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Where: where}
	if o.name != "" {
		s.Object = o.kind + "/" + o.name
	}
	s.Party = o.party()
	return s
}
