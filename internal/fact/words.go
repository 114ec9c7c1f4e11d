package fact

// Mechanism is the proximate thing that ended a request: what a wire would
// show, before anybody asks why.
type Mechanism string

// The mechanisms. The list is closed.
const (
	MechanismUnknown  Mechanism = ""
	Refused           Mechanism = "refused"             // the member's machine answered the SYN with RST, or nobody listens on the socket
	Unreachable       Mechanism = "unreachable"         // ICMP: no route, host, or prohibited
	ConnectTimedOut   Mechanism = "connect-timed-out"   // nobody answered the SYN in time
	TLSFailed         Mechanism = "tls-failed"          // handshake or certificate towards the member
	NameNotResolved   Mechanism = "name-not-resolved"   // DNS towards the member
	NoBackend         Mechanism = "no-backend"          // the gateway had no member it would ask
	LimitHit          Mechanism = "limit-reached"       // a limit of the gateway or its host: connections, descriptors, ports, queue, rate
	ResetBeforeReply  Mechanism = "reset-before-reply"  // RST after the request was sent, before any byte of an answer
	ClosedBeforeReply Mechanism = "closed-before-reply" // FIN instead of an answer
	ReplyTimedOut     Mechanism = "reply-timed-out"     // the member took the request and did not answer in time
	BadReply          Mechanism = "bad-reply"           // an answer that is not valid HTTP, or not this protocol
	ReplyTooBig       Mechanism = "reply-too-big"       // an answer whose header is over the gateway's limit
	CutMidReply       Mechanism = "cut-mid-reply"       // the answer began and did not end
	EarlyReply        Mechanism = "early-reply"         // an answer before the request's body was taken
	ClientGone        Mechanism = "client-gone"         // the client left first
	AppAnswered       Mechanism = "app-answered"        // the member itself answered with the error
	GatewayFault      Mechanism = "gateway-fault"       // the gateway could not do its own part: its disk, its configuration
	Denied            Mechanism = "denied"              // a rule refused it: firewall, rate limit
)

// Phase is what a gateway was doing when a request met trouble.
type Phase string

// The phases.
const (
	PhaseResolving  Phase = "resolving"
	PhaseQueued     Phase = "queued"
	PhaseConnecting Phase = "connecting"
	PhaseTLS        Phase = "tls-handshake"
	PhaseSending    Phase = "sending-request"
	PhaseWaiting    Phase = "waiting-for-header"
	PhaseReading    Phase = "reading-body"
)

// EventKind is what happened. The list is closed: a source chooses the nearest
// kind and puts what is special into Detail, Reason, Limit and Attrs.
type EventKind string

// The kinds of events.
const (
	// Processes. Party is the process (its PID, the program or unit as Name).
	ProcessStarted  EventKind = "process-started"  // also: container, pod, service, server is ready to serve
	ProcessExited   EventKind = "process-exited"   // Exit, Signal; ordinary or not
	ProcessStopping EventKind = "process-stopping" // was told to stop (SIGTERM, docker stop, systemd stop, Killing)
	WorkerStarted   EventKind = "worker-started"
	WorkerExited    EventKind = "worker-exited"    // Exit, Signal, Lasted
	WorkerTimedOut  EventKind = "worker-timed-out" // a master killed a worker because its request took too long; Lasted = the limit
	WorkerRecycled  EventKind = "worker-recycled"  // max_requests and the like
	Crashed         EventKind = "crashed"          // segfault, abort, panic, uncaught error: Reason = "SIGSEGV", "panic", "uncaught"
	HeapExhausted   EventKind = "heap-exhausted"   // the run time's own limit (V8, JVM, PHP memory_limit)
	OOMKilled       EventKind = "oom-killed"       // by the kernel; Attrs "scope" = "cgroup" or "host"
	RestartBackoff  EventKind = "restart-backoff"  // crash loop; Count = restarts
	RestartPlanned  EventKind = "restart-planned"  // the supervisor will restart it
	AppError        EventKind = "app-error"        // the application logged an error or trace of its own
	BootFailed      EventKind = "boot-failed"      // it could not start: port in use, import error, bad configuration

	// Limits. Limit names it.
	LimitReached EventKind = "limit-reached"
	LimitNear    EventKind = "limit-near"

	// Health as somebody judged it. Party is the one judged.
	ProbeFailed    EventKind = "probe-failed"    // Reason: "readiness", "liveness", "startup", "health-check"; Attrs "why" = "timeout", "refused", "status"
	BackendDown    EventKind = "backend-down"    // a gateway took it out
	BackendUp      EventKind = "backend-up"      // and put it back
	BackendEjected EventKind = "backend-ejected" // passive: after failed requests
	NoBackendLeft  EventKind = "no-backend-left" // no member of the group is healthy
	EndpointGone   EventKind = "endpoint-removed"
	EndpointAdded  EventKind = "endpoint-added"
	NotReady       EventKind = "not-ready" // a state: pod or container is up and not ready

	// Machines and rollouts.
	NodeLost        EventKind = "node-lost"        // NotReady, unknown, gone
	NodeTerminating EventKind = "node-terminating" // shutdown notice, preemption, drain
	NodeBack        EventKind = "node-back"
	PodPlaced       EventKind = "pod-placed" // a pod and the node it is on (Party.Host)
	PodEvicted      EventKind = "pod-evicted"
	Rollout         EventKind = "rollout" // new version, scale down; Reason: "deploy", "scale-down", "scale-up", "rollback"
	ConfigReloaded  EventKind = "config-reloaded"
	ConfigBroken    EventKind = "config-broken"
	NodePressure    EventKind = "node-pressure" // memory, disk or pid pressure

	// Work that is scheduled.
	JobStarted EventKind = "job-started" // cron, timer, backup
	JobEnded   EventKind = "job-ended"

	// System.
	DiskFull        EventKind = "disk-full"
	DiskPermission  EventKind = "disk-permission" // cannot write or enter a directory it needs; Attrs "path"
	DirMissing      EventKind = "dir-missing"     // a temporary directory is gone; Attrs "path"
	SynFlood        EventKind = "syn-flood"       // the kernel says that a listen queue overflowed
	CPUThrottled    EventKind = "cpu-throttled"
	CPUBusy         EventKind = "cpu-busy" // event loop blocked, soft lockup, load
	DNSFailed       EventKind = "dns-failed"
	TLSTrouble      EventKind = "tls-trouble"
	NetworkTrouble  EventKind = "network-trouble"  // link down, MTU, retransmissions
	SlowRequest     EventKind = "slow-request"     // an application's own slow log
	RequestRejected EventKind = "request-rejected" // WAF, rate limit: Reason = "rate-limit", "waf"
	DependencyDown  EventKind = "dependency-down"  // the application's database, cache or own upstream does not answer
	ClientLeft      EventKind = "client-left"      // the application wrote to a connection that had gone
)

// Limit is something that can run out.
type Limit string

// The limits.
const (
	LimitFiles       Limit = "file-descriptors"
	LimitConnections Limit = "connections" // of a proxy: worker_connections, maxconn
	LimitWorkers     Limit = "workers"     // of an application server: all busy
	LimitQueue       Limit = "listen-queue"
	LimitPorts       Limit = "ports" // ephemeral ports
	LimitConntrack   Limit = "conntrack"
	LimitMemory      Limit = "memory"
	LimitDisk        Limit = "disk"
	LimitRate        Limit = "rate"
	LimitRequests    Limit = "requests-in-flight" // circuit breaker, concurrency limit
	LimitProcesses   Limit = "processes"
)

// SampleName says what a Sample counts.
type SampleName string

// The samples.
const (
	// SampleRequests: Value requests ended in the interval; Labels "upstream",
	// "method", "class" ("2xx").
	SampleRequests SampleName = "requests"
	// SampleCoverage: the input speaks of the interval, even where it states
	// nothing; Count lines.
	SampleCoverage SampleName = "coverage"
	SampleCPU      SampleName = "cpu"
	SampleMemory   SampleName = "memory"
	SampleThrottle SampleName = "cpu-throttled-share"
)

// Knob is something a user can set. Knobs of the side that answers are named
// for what they do there; those of the side that asks begin with Pool or
// Upstream.
type Knob string

// The knobs. The unit is that of the Setting field named in brackets.
const (
	KeepAliveIdle     Knob = "keepalive-idle"      // server: closes an idle connection after [Dur]; Dur unknown and Text "none" = never
	MaxConnRequests   Knob = "max-conn-requests"   // server: closes a connection after [Num] requests
	AcceptDelay       Knob = "accept-delay"        // server: a connection that is asked for is there after [Dur]
	PoolIdle          Knob = "pool-idle"           // gateway: drops an idle connection to a member after [Dur]; Text "none" = never, "off" = does not reuse
	PoolSize          Knob = "pool-size"           // gateway: idle connections kept [Num]
	UpstreamReply     Knob = "upstream-reply"      // gateway: waits [Dur] for an answer
	UpstreamConnect   Knob = "upstream-connect"    // gateway: waits [Dur] for a connection
	UpstreamQueue     Knob = "upstream-queue"      // gateway: lets a request wait [Dur] for a free member
	UpstreamRetry     Knob = "upstream-retry"      // gateway: [Text] on what it tries again
	UpstreamHeaderMax Knob = "upstream-header-max" // gateway: largest response header in bytes [Num]
	UpstreamMax       Knob = "upstream-max"        // gateway: connections to one member [Num]
	UpstreamAddress   Knob = "upstream-address"    // gateway: [Text] is a member of Object
	UpstreamResolve   Knob = "upstream-resolve"    // gateway: [Text] "start" = names are looked up once, "runtime" = again
	MaxFails          Knob = "max-fails"           // gateway: passive ejection after [Num] failures
	FailTimeout       Knob = "fail-timeout"        // gateway: ejected for [Dur]
	HealthPeriod      Knob = "health-period"       // gateway: checks every [Dur]
	HealthTimeout     Knob = "health-timeout"      // gateway: a check may take [Dur]
	HealthThreshold   Knob = "health-threshold"    // gateway: failures in a row [Num] until down
	MaxConnections    Knob = "max-connections"     // connections it takes [Num]
	FileLimit         Knob = "file-limit"          // descriptors it may open [Num]
	Workers           Knob = "workers"             // requests it serves at once [Num]
	ListenBacklog     Knob = "listen-backlog"      // accept queue [Num]
	WorkerTimeout     Knob = "worker-timeout"      // a worker is killed after [Dur] in one request
	WorkerMaxRequests Knob = "worker-max-requests" // a worker is replaced after [Num] requests
	GracefulTimeout   Knob = "graceful-timeout"    // on stop, in-flight requests have [Dur]
	HeaderTimeout     Knob = "header-timeout"      // server: a client has [Dur] to send its header
	RequestTimeout    Knob = "request-timeout"     // server: a request may take [Dur]
	RateLimit         Knob = "rate-limit"          // [Text]
	MemoryLimit       Knob = "memory-limit"        // bytes [Num]
	HeapLimit         Knob = "heap-limit"          // bytes [Num]
	CPULimit          Knob = "cpu-limit"           // thousandths of a core [Num]
	Replicas          Knob = "replicas"            // [Num]
	Spread            Knob = "spread"              // [Text] "none", "hostname", "zone", "preferred"
	LivenessProbe     Knob = "liveness-probe"      // [Text] "none", "http /path", "tcp", "exec cmd"
	ReadinessProbe    Knob = "readiness-probe"     // [Text] as above
	StartupProbe      Knob = "startup-probe"       // [Text] as above
	ProbeTimeout      Knob = "probe-timeout"       // [Dur]; Object names probe and container
	ProbePeriod       Knob = "probe-period"        // [Dur]
	ProbeThreshold    Knob = "probe-threshold"     // failures in a row [Num]
	PreStop           Knob = "pre-stop"            // [Dur] of sleep, or Text "none"
	GracePeriod       Knob = "grace-period"        // [Dur]
	DisruptionBudget  Knob = "disruption-budget"   // [Text]
	MaxUnavailable    Knob = "max-unavailable"     // [Text]
	RestartPolicy     Knob = "restart-policy"      // [Text]
	ListenAddress     Knob = "listen-address"      // [Text]
	PortMapping       Knob = "port-mapping"        // [Text] "80->8080"
	ErrorInterception Knob = "error-interception"  // [Text] gateway rewrites errors
	TempDir           Knob = "temp-dir"            // [Text]
	PortRange         Knob = "port-range"          // host: ephemeral ports towards one address [Num], [Text] "32768-60999"
	ConntrackMax      Knob = "conntrack-max"       // host: connections it can track [Num]
	NodeClass         Knob = "node-class"          // host: [Text] "spot": its provider may take it away at short notice
)

// Names of values in Attrs that causes ask for.
const (
	// AttrVersion is the software's version, on ProcessStarted.
	AttrVersion = "version"
	// AttrScope is "cgroup" or "host" on OOMKilled.
	AttrScope = "scope"
	// AttrWhy is "timeout", "refused", "status", "reset", "dns",
	// "unreachable", "tls" or "exec" on ProbeFailed.
	AttrWhy = "why"
	// AttrPath is a file or directory name.
	AttrPath = "path"
	// AttrCacheStatus is a cache's word on a Request: "HIT", "MISS", "Error".
	AttrCacheStatus = "cache_status"
	// AttrObject is the object an event is about, "Pod/shop-7d9".
	AttrObject = "object"
	// AttrNamespace is its Kubernetes namespace.
	AttrNamespace = "namespace"
	// AttrDependency is what the application could not reach.
	AttrDependency = "dependency"
	// AttrProtocol is what the member is asked in, if not HTTP/1.x: "fastcgi",
	// "uwsgi", "scgi", "grpc", "https", "h2".
	AttrProtocol = "protocol"
	// AttrQueue is how many requests waited before a Request, as a number.
	AttrQueue = "queue"
	// AttrRetries is how often a gateway tried to connect, as a number.
	AttrRetries = "retries"
	// AttrCut is "head" where a capture kept only the front of a request's
	// head: it may carry more ids than are known.
	AttrCut = "cut"
	// AttrTLS is a TLS alert, reason or certificate error.
	AttrTLS = "tls"
	// AttrOwner is the workload a pod or container belongs to,
	// "Deployment/shop".
	AttrOwner = "owner"
	// AttrContainer is the container within the pod that Party names.
	AttrContainer = "container"
	// AttrJob is a job's schedule or command.
	AttrJob = "job"
)
