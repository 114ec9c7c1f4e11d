package kube

import (
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// happening is one Kubernetes event, however it was written.
type happening struct {
	object
	reason, message string
	source          string
	first, last     time.Time
	res             fact.Dur
	age, firstAge   fact.Dur
	count           int
	origin          fact.Origin // empty: the line that is read
}

// rule says what a reason means. Where with is set, it may change or refuse.
type rule struct {
	kind   fact.EventKind
	reason string
	limit  fact.Limit
	with   func(e *fact.Event, h *happening) bool
}

// ordinary reasons are the cluster's, and tell of nothing that matters here.
var ordinary = rule{}

// rules maps the reasons of events to what happened. The reasons are those of
// the kubelet, the controllers and the scheduler, of Google's and Amazon's
// balancer controllers, the autoscalers, node-problem-detector and handlers of
// spot nodes.
var rules = map[string]rule{
	// kubelet, pods
	"Unhealthy":              {kind: fact.ProbeFailed, with: unhealthy},
	"ProbeWarning":           {kind: fact.ProbeFailed, with: unhealthy},
	"Killing":                {kind: fact.ProcessStopping, with: killing},
	"Started":                {kind: fact.ProcessStarted, with: containerWord},
	"BackOff":                {kind: fact.RestartBackoff, with: backOff},
	"CrashLoopBackOff":       {kind: fact.RestartBackoff},
	"Failed":                 {kind: fact.BootFailed, reason: "start"},
	"FailedPostStartHook":    {kind: fact.BootFailed, reason: "post-start"},
	"FailedPreStopHook":      {kind: fact.ProcessStopping, reason: "pre-stop-failed"},
	"ExceededGracePeriod":    {kind: fact.ProcessStopping, reason: "grace-period-exceeded"},
	"FailedKillPod":          {kind: fact.ProcessStopping, reason: "kill-failed"},
	"ErrImagePull":           {kind: fact.BootFailed, reason: "image"},
	"ErrImageNeverPull":      {kind: fact.BootFailed, reason: "image"},
	"ImagePullBackOff":       {kind: fact.BootFailed, reason: "image"},
	"InspectFailed":          {kind: fact.BootFailed, reason: "image"},
	"FailedMount":            {kind: fact.BootFailed, reason: "volume"},
	"FailedMapVolume":        {kind: fact.BootFailed, reason: "volume"},
	"FailedAttachVolume":     {kind: fact.BootFailed, reason: "volume"},
	"FailedCreatePodSandBox": {kind: fact.BootFailed, reason: "sandbox"},
	"FailedPodSandBoxStatus": {kind: fact.BootFailed, reason: "sandbox"},
	"NetworkNotReady":        {kind: fact.NetworkTrouble, reason: "network-not-ready"},
	"NetworkUnavailable":     {kind: fact.NetworkTrouble, reason: "network-unavailable"},
	"HostPortConflict":       {kind: fact.BootFailed, reason: "port"},
	"FailedCreate":           {kind: fact.BootFailed, reason: "create"},
	"FailedScheduling":       {kind: fact.BootFailed, reason: "unschedulable"},
	"Scheduled":              {kind: fact.PodPlaced, with: scheduled},
	"SuccessfulDelete":       {kind: fact.ProcessStopping, reason: "deleted", with: deleted},

	// memory and pressure
	"OOMKilling":                  {kind: fact.OOMKilled, with: oom},
	"OOMKilled":                   {kind: fact.OOMKilled, reason: "OOMKilled", with: cgroupOOM},
	"PodOOMKilling":               {kind: fact.OOMKilled, with: oom},
	"SystemOOM":                   {kind: fact.OOMKilled, with: oom},
	"Evicted":                     {kind: fact.PodEvicted, with: evicted},
	"EvictionThresholdMet":        {kind: fact.NodePressure, with: pressure},
	"NodeHasInsufficientMemory":   {kind: fact.NodePressure, reason: "memory", limit: fact.LimitMemory},
	"NodeUnderMemoryPressure":     {kind: fact.NodePressure, reason: "memory", limit: fact.LimitMemory},
	"NodeHasDiskPressure":         {kind: fact.NodePressure, reason: "disk", limit: fact.LimitDisk},
	"NodeUnderDiskPressure":       {kind: fact.NodePressure, reason: "disk", limit: fact.LimitDisk},
	"NodeOutOfDisk":               {kind: fact.DiskFull, limit: fact.LimitDisk},
	"FreeDiskSpaceFailed":         {kind: fact.NodePressure, reason: "disk", limit: fact.LimitDisk},
	"ImageGCFailed":               {kind: fact.NodePressure, reason: "disk", limit: fact.LimitDisk},
	"NodeHasInsufficientPID":      {kind: fact.NodePressure, reason: "pid", limit: fact.LimitProcesses},
	"TaskHung":                    {kind: fact.CPUBusy, reason: "hung-task"},
	"ConntrackFull":               {kind: fact.LimitReached, limit: fact.LimitConntrack},
	"FilesystemIsReadOnly":        {kind: fact.DiskPermission, reason: "read-only"},
	"Ext4Error":                   {kind: fact.DiskPermission, reason: "filesystem"},
	"KernelOops":                  {kind: fact.Crashed, reason: "kernel"},
	"DockerHung":                  {kind: fact.NodePressure, reason: "runtime-hung"},
	"ContainerRuntimeUnhealthy":   {kind: fact.NodeLost, reason: "runtime"},
	"KubeletUnhealthy":            {kind: fact.NodeLost, reason: "kubelet"},
	"FrequentKubeletRestart":      {kind: fact.NodeLost, reason: "kubelet-restarts"},
	"FrequentContainerdRestart":   {kind: fact.NodeLost, reason: "runtime-restarts"},
	"NodeNotReady":                {kind: fact.NodeLost, reason: "not-ready", with: nodeNotReady},
	"NodeReady":                   {kind: fact.NodeBack},
	"Rebooted":                    {kind: fact.NodeLost, reason: "rebooted"},
	"NodeRebooted":                {kind: fact.NodeLost, reason: "rebooted"},
	"RemovingNode":                {kind: fact.NodeLost, reason: "removed"},
	"DeletingNode":                {kind: fact.NodeLost, reason: "removed"},
	"TaintManagerEviction":        {kind: fact.PodEvicted, reason: "taint", with: tainted},
	"NodeControllerEviction":      {kind: fact.PodEvicted, reason: "node-lost"},
	"NodeNotSchedulable":          {kind: fact.NodeTerminating, reason: "cordon"},
	"Drain":                       {kind: fact.NodeTerminating, reason: "drain"},
	"NodeShutdown":                {kind: fact.NodeTerminating, reason: "shutdown"},
	"Shutdown":                    {kind: fact.NodeTerminating, reason: "shutdown"},
	"Terminated":                  {kind: fact.NodeTerminating, reason: "shutdown", with: shutdownWords},
	"PreemptScheduled":            {kind: fact.NodeTerminating, reason: "preemption"},
	"TerminateScheduled":          {kind: fact.NodeTerminating, reason: "terminate"},
	"RebootScheduled":             {kind: fact.NodeTerminating, reason: "reboot"},
	"RedeployScheduled":           {kind: fact.NodeTerminating, reason: "redeploy"},
	"FreezeScheduled":             {kind: fact.NodeTerminating, reason: "freeze"},
	"SpotInterruption":            {kind: fact.NodeTerminating, reason: "preemption"},
	"SpotInterrupted":             {kind: fact.NodeTerminating, reason: "preemption"},
	"RebalanceRecommendation":     {kind: fact.NodeTerminating, reason: "rebalance"},
	"SpotRebalanceRecommendation": {kind: fact.NodeTerminating, reason: "rebalance"},
	"TerminatingOnInterruption":   {kind: fact.NodeTerminating, reason: "preemption"},
	"DisruptionTerminating":       {kind: fact.NodeTerminating, reason: "consolidation"},
	"InstanceTerminating":         {kind: fact.NodeTerminating, reason: "terminate"},
	"InstanceStopping":            {kind: fact.NodeTerminating, reason: "terminate"},
	"ScaleDown":                   {kind: fact.NodeTerminating, reason: "scale-down", with: scaledDown},
	"ScaleDownEmpty":              {kind: fact.NodeTerminating, reason: "scale-down", with: scaledDown},
	"Preempted":                   {kind: fact.PodEvicted, reason: "preempted"},
	"PreemptedByScheduler":        {kind: fact.PodEvicted, reason: "preempted"},
	"Preempting":                  {kind: fact.PodEvicted, reason: "preempted"},
	"EvictedByVPA":                {kind: fact.PodEvicted, reason: "vpa"},

	// rollouts
	"ScalingReplicaSet":  {kind: fact.Rollout, with: scaling},
	"SuccessfulRescale":  {kind: fact.Rollout, with: rescaled},
	"DeploymentRollback": {kind: fact.Rollout, reason: "rollback"},
	"RolloutCompleted":   {kind: fact.Rollout, reason: "deploy"},
	"ScalingDown":        {kind: fact.Rollout, reason: "scale-down"},

	// balancers
	"LoadBalancerNegNotReady": {kind: fact.NotReady, reason: "neg"},
	"LoadBalancerNegTimeout":  {kind: fact.NotReady, reason: "neg-timeout"},
	"LoadBalancerNegReady":    {kind: fact.BackendUp, reason: "neg"},
	"Attach":                  {kind: fact.EndpointAdded, reason: "neg", with: endpoints},
	"Detach":                  {kind: fact.EndpointGone, reason: "neg", with: endpoints},
	"AttachFailed":            {kind: fact.NetworkTrouble, reason: "neg-attach"},
	"DetachFailed":            {kind: fact.NetworkTrouble, reason: "neg-detach"},
	"Translate":               {kind: fact.ConfigBroken, reason: "translate"},
	"Sync":                    {kind: fact.ConfigBroken, reason: "sync", with: failedSync},
	"SyncError":               {kind: fact.ConfigBroken, reason: "sync"},
	"SyncLoadBalancerFailed":  {kind: fact.ConfigBroken, reason: "sync"},
	"FailedDeployModel":       {kind: fact.ConfigBroken, reason: "deploy-model"},
	"FailedBuildModel":        {kind: fact.ConfigBroken, reason: "build-model"},
	"UnAvailableLoadBalancer": {kind: fact.NoBackendLeft, reason: "no-nodes"},
	"UnavailableLoadBalancer": {kind: fact.NoBackendLeft, reason: "no-nodes"},
	asked:                     {kind: fact.ProcessStopping, reason: "deleted"},
	noEndpoint:                {kind: fact.NoBackendLeft, reason: "no-endpoints"},
	"RELOAD":                  {kind: fact.ConfigReloaded},
	"AddedOrUpdated":          {kind: fact.ConfigReloaded},
	"Rejected":                {kind: fact.ConfigBroken, reason: "rejected"},

	// jobs
	"SuccessfulCreate":     {kind: fact.JobStarted, with: jobCreated},
	"SawCompletedJob":      {kind: fact.JobEnded},
	"Completed":            {kind: fact.JobEnded, with: onlyJob},
	"BackoffLimitExceeded": {kind: fact.JobEnded, reason: "failed"},

	"Pulled": ordinary, "Pulling": ordinary, "Created": ordinary, "RegisteredNode": ordinary, "Starting": ordinary,
	"NodeHasSufficientMemory": ordinary, "NodeHasNoDiskPressure": ordinary, "NodeHasSufficientPID": ordinary,
	"NodeAllocatableEnforced": ordinary, "InvalidDiskCapacity": ordinary, "NodeSchedulable": ordinary,
	"SandboxChanged": ordinary, "DNSConfigForming": ordinary, "SuccessfulAttachVolume": ordinary,
	"FailedGetScale": ordinary, "FailedComputeMetricsReplicas": ordinary, "FailedGetResourceMetric": ordinary,
	"TriggeredScaleUp": ordinary, "NotTriggerScaleUp": ordinary, "NoPods": ordinary, "CalculateExpectedPodCountFailed": ordinary,
	"LeaderElection": ordinary, "FailedToUpdateEndpoint": ordinary, "FailedToUpdateEndpointSlices": ordinary,
	"EnsuringLoadBalancer": ordinary, "EnsuredLoadBalancer": ordinary, "UpdatedLoadBalancer": ordinary,
	"CREATE": ordinary, "UPDATE": ordinary, "DELETE": ordinary, "SuccessfullyReconciled": ordinary, "IPChanged": ordinary,
	"LoadBalancerNegWithoutHealthCheck": ordinary, "DeadlineExceeded": ordinary, "Provisioning": ordinary,
	"ProvisioningSucceeded": ordinary, "ExternalProvisioning": ordinary, "WaitForFirstConsumer": ordinary, "Issuing": ordinary,
}

// terminating are parts of reasons, on nodes, of the many programs that watch
// for the end of a spot machine.
var terminating = []string{"Preempt", "Interrupt", "Terminat", "Shutdown", "Drain", "Cordon", "Evict"}

// means finds the rule for a reason.
func means(h *happening) rule {
	r, ok := rules[h.reason]
	if !ok && h.kind == "Node" {
		for _, part := range terminating {
			if strings.Contains(h.reason, part) {
				return rule{kind: fact.NodeTerminating, reason: strings.ToLower(h.reason)}
			}
		}
	}
	return r
}

// fact makes the fact of an event, nil for one that matters not.
func (h *happening) fact() *fact.Event {
	r := means(h)
	if r.kind == "" {
		return nil
	}
	e := h.event(r.kind, h.last)
	if h.res.Known && !h.last.IsZero() {
		e.Res = h.res
	}
	e.Reason, e.Limit, e.Detail = r.reason, r.limit, detail(h.message)
	e.Age, e.FirstAge, e.First, e.Count = h.age, h.firstAge, h.first, h.count
	if e.Count <= 1 { // told once: the first is the last
		e.Count, e.First, e.FirstAge = 0, time.Time{}, fact.Dur{}
	}
	e.Origin = h.origin
	if r.with != nil && !r.with(e, h) {
		return nil
	}
	return e
}

func unhealthy(e *fact.Event, h *happening) bool {
	reason, text, ok := probeOf(h.message)
	if !ok {
		return h.message != ""
	}
	e.Reason = reason
	probeFailed(e, text)
	return true
}

// killing: the kubelet says why only if a probe made it do so.
func killing(e *fact.Event, h *happening) bool {
	low := strings.ToLower(h.message)
	switch {
	case strings.Contains(low, "failed liveness probe"), strings.Contains(low, "container is unhealthy"):
		e.Reason = "liveness"
	case strings.Contains(low, "failed startup probe"):
		e.Reason = "startup"
	case strings.Contains(low, "definition changed"):
		e.Reason = "definition-changed"
	default:
		e.Reason = "stop"
	}
	return containerWord(e, h)
}

// containerWord takes the container's name out of "Started container web",
// "Container web failed liveness probe", "container id docker://web:...".
func containerWord(e *fact.Event, h *happening) bool {
	if h.container != "" {
		return true
	}
	for _, front := range [...]string{"with id docker://", "ontainer "} {
		if _, rest, ok := strings.Cut(h.message, front); ok {
			name, _, _ := strings.Cut(rest, " ")
			name, _, _ = strings.Cut(name, ":")
			if name = strings.Trim(name, `"'.,`); isDNSName(name) && name != "runtime" {
				if e.Attrs == nil {
					e.Attrs = map[string]string{}
				}
				e.Attrs[fact.AttrContainer] = name
			}
			return true
		}
	}
	return true
}

// backOff: of a container that fails, or of a pull.
func backOff(e *fact.Event, h *happening) bool {
	if strings.Contains(h.message, "pulling image") {
		e.Kind, e.Reason = fact.BootFailed, "image"
		return true
	}
	if _, rest, ok := strings.Cut(h.message, " in pod "); ok && e.Party.Name == "" {
		e.Party.Name, _, _ = strings.Cut(rest, "_")
	}
	return true
}

// scheduled reads "Successfully assigned shop/shop-7d9-x to node-a".
func scheduled(e *fact.Event, h *happening) bool {
	rest, ok := strings.CutPrefix(h.message, "Successfully assigned ")
	pod, node, found := strings.Cut(rest, " to ")
	if !ok || !found {
		return false
	}
	if i := strings.IndexByte(pod, '/'); i >= 0 {
		pod = pod[i+1:]
	}
	if h.name == "" {
		h.kind, h.name = "Pod", pod
		e.Party.Name, e.Attrs = pod, h.attrs()
	}
	e.Party.Host, e.Detail = strings.TrimSpace(node), ""
	return isDNSName(e.Party.Host)
}

// deleted: a replica set says that it deleted a pod. The pod is whom it is
// about.
func deleted(e *fact.Event, h *happening) bool {
	_, pod, ok := strings.Cut(h.message, "eleted pod: ")
	if !ok {
		if _, pod, ok = strings.Cut(h.message, "delete Pod "); !ok {
			return false
		}
	}
	pod, _, _ = strings.Cut(strings.TrimSpace(pod), " ")
	o := object{namespace: h.namespace, kind: "Pod", name: pod}
	e.Party, e.Attrs = o.party(), o.attrs()
	return true
}

// oom reads the kernel's line as node-problem-detector and the kubelet repeat
// it: the victim is whom it is about, on the node.
func oom(e *fact.Event, h *happening) bool {
	e.Reason = "OOMKilled"
	if e.Attrs == nil {
		e.Attrs = map[string]string{}
	}
	e.Attrs[fact.AttrScope] = "host"
	if strings.Contains(strings.ToLower(h.message), "memory cgroup") || h.reason == "PodOOMKilling" {
		e.Attrs[fact.AttrScope] = "cgroup"
	}
	if h.kind == "Node" {
		e.Party = fact.Party{Role: fact.RoleBackend, Tech: tech, Host: h.name}
	}
	b := []byte(h.message)
	if name, ok := source.Between(b, "victim process: ", ","); ok {
		e.Party.Name = string(name)
		if pid, ok := source.Between(b, "pid: ", ""); ok {
			e.Party.PID = source.PID([]byte(digitsAt(string(pid))))
		}
		return true
	}
	for _, front := range [...]string{"Killed process ", "Kill process "} {
		_, rest, ok := strings.Cut(h.message, front)
		if !ok {
			continue
		}
		pid := digitsAt(rest)
		e.Party.PID = source.PID([]byte(pid))
		if name, ok := source.Between([]byte(rest), "(", ")"); ok && h.kind == "Node" {
			e.Party.Name = string(name)
		}
		break
	}
	return true
}

func cgroupOOM(e *fact.Event, _ *happening) bool {
	if e.Attrs == nil {
		e.Attrs = map[string]string{}
	}
	e.Attrs[fact.AttrScope] = "cgroup"
	return true
}

// lowOn is the resource of "The node was low on resource: memory."
func lowOn(e *fact.Event, message string) {
	low := strings.ToLower(message)
	switch {
	case strings.Contains(low, "memory"):
		e.Reason, e.Limit = "memory", fact.LimitMemory
	case strings.Contains(low, "ephemeral"), strings.Contains(low, "disk"), strings.Contains(low, "inodes"), strings.Contains(low, "fs"):
		e.Reason, e.Limit = "disk", fact.LimitDisk
	case strings.Contains(low, "pid"):
		e.Reason, e.Limit = "pid", fact.LimitProcesses
	}
}

func evicted(e *fact.Event, h *happening) bool {
	e.Reason = "evicted"
	lowOn(e, h.message)
	return true
}

func pressure(e *fact.Event, h *happening) bool {
	lowOn(e, h.message)
	return true
}

// nodeNotReady: said of the node, and of each pod on it.
func nodeNotReady(e *fact.Event, h *happening) bool {
	if h.kind == "Pod" {
		e.Kind, e.Reason = fact.NotReady, "node-not-ready"
	}
	return true
}

// tainted reads "Marking for deletion Pod shop/shop-7d9-x".
func tainted(e *fact.Event, h *happening) bool {
	if strings.HasPrefix(h.message, "Cancelling") {
		return false
	}
	if _, pod, ok := strings.Cut(h.message, "Pod "); ok && h.name == "" {
		e.Party.Name = pod[strings.IndexByte(pod, '/')+1:]
	}
	return true
}

func shutdownWords(_ *fact.Event, h *happening) bool {
	return strings.Contains(h.message, "shutdown") || h.kind == "Node"
}

// scaledDown: the cluster autoscaler removes a node, and evicts its pods.
func scaledDown(e *fact.Event, h *happening) bool {
	if h.kind == "Pod" {
		e.Kind = fact.PodEvicted
	}
	return h.kind == "Pod" || h.kind == "Node"
}

// rescaled reads the autoscaler's "New size: 3; reason: cpu resource
// utilization (percentage of request) above target".
func rescaled(e *fact.Event, h *happening) bool {
	if _, n, ok := strings.Cut(h.message, "New size: "); ok {
		e.Used = source.Int([]byte(digitsAt(n)))
	}
	e.Reason = "scale-up"
	if strings.Contains(h.message, "below target") || strings.Contains(h.message, "All metrics") {
		e.Reason = "scale-down"
	}
	return true
}

// endpoints reads "Attach 2 network endpoint(s) (NEG "k8s1-..." in zone "a")".
func endpoints(e *fact.Event, h *happening) bool {
	_, rest, _ := strings.Cut(h.message, " ")
	e.Used = source.Int([]byte(digitsAt(rest)))
	return e.Used.Known
}

func failedSync(_ *fact.Event, h *happening) bool {
	return strings.Contains(h.message, "rror") && !strings.HasPrefix(h.message, "Scheduled for sync")
}

func jobCreated(_ *fact.Event, h *happening) bool { return h.kind == "CronJob" }

func onlyJob(_ *fact.Event, h *happening) bool { return h.kind == "Job" }

// isDNSName reports whether s may name an object.
func isDNSName(s string) bool {
	if s == "" || len(s) > 253 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
		return false
	}
	return s[0] != '-' && s[0] != '.'
}
