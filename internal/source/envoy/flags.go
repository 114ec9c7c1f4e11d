package envoy

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// outcome is what a flag or a detail says about a request.
type outcome struct {
	ended  fact.Mechanism
	writer fact.Writer
	phase  fact.Phase
}

// flags are Envoy's response flags, short and long.
var flags = map[string]outcome{
	"UH":    {fact.NoBackend, fact.WriterSelf, ""},
	"UF":    {"", fact.WriterSelf, fact.PhaseConnecting},
	"UC":    {fact.ClosedBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"UR":    {fact.ResetBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"LR":    {"", fact.WriterSelf, ""},
	"UT":    {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"UO":    {fact.LimitHit, fact.WriterSelf, fact.PhaseQueued},
	"URX":   {"", "", ""},
	"UPE":   {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},
	"UMSDR": {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseReading},
	"NR":    {"", fact.WriterSelf, ""},
	"NC":    {fact.GatewayFault, fact.WriterSelf, ""},
	"NFCF":  {fact.GatewayFault, fact.WriterSelf, ""},
	"DC":    {fact.ClientGone, "", ""},
	"DR":    {fact.ClientGone, "", ""},
	"DPE":   {"", fact.WriterSelf, ""},
	"LH":    {"", fact.WriterSelf, ""},
	"SI":    {"", fact.WriterSelf, ""},
	"DT":    {fact.GatewayFault, fact.WriterSelf, ""},
	"OM":    {fact.LimitHit, fact.WriterSelf, ""},
	"DF":    {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"DO":    {fact.LimitHit, fact.WriterSelf, ""},
	"UDO":   {fact.LimitHit, fact.WriterSelf, ""},
	"RL":    {fact.Denied, fact.WriterSelf, ""},
	"RLSE":  {fact.GatewayFault, fact.WriterSelf, ""},
	"UAEX":  {fact.Denied, fact.WriterSelf, ""},
	"IH":    {"", fact.WriterSelf, ""},
	"DI":    {"", "", ""},
	"FI":    {"", fact.WriterSelf, ""},
	"RFCF":  {"", "", ""},
}

// longFlags are the names that RESPONSE_FLAGS_LONG prints.
var longFlags = map[string]string{
	"NoHealthyUpstream": "UH", "UpstreamConnectionFailure": "UF", "UpstreamConnectionTermination": "UC", "UpstreamRemoteReset": "UR",
	"LocalReset": "LR", "UpstreamRequestTimeout": "UT", "UpstreamOverflow": "UO", "UpstreamRetryLimitExceeded": "URX",
	"UpstreamProtocolError": "UPE", "UpstreamMaxStreamDurationReached": "UMSDR", "NoRouteFound": "NR", "NoClusterFound": "NC",
	"NoFilterConfigFound": "NFCF", "DownstreamConnectionTermination": "DC", "DownstreamRemoteReset": "DR", "DownstreamProtocolError": "DPE",
	"FailedLocalHealthCheck": "LH", "StreamIdleTimeout": "SI", "DurationTimeout": "DT", "OverloadManagerTerminated": "OM", "OverloadManager": "OM",
	"DnsResolutionFailed": "DF", "DropOverload": "DO", "UnconditionalDropOverload": "UDO", "RateLimited": "RL", "RateLimitServiceError": "RLSE",
	"UnauthorizedExternalService": "UAEX", "InvalidEnvoyRequestHeaders": "IH", "DelayInjected": "DI", "FaultInjected": "FI", "ResponseFromCacheFilter": "RFCF",
}

// isFlags says whether f is "-" or a list of response flags.
func isFlags(f []byte) bool {
	if len(f) == 0 {
		return false
	}
	if len(f) == 1 && f[0] == '-' {
		return true
	}
	for len(f) > 0 {
		var one []byte
		one, f, _ = bytes.Cut(f, []byte{','})
		if _, ok := flagOf(one); !ok {
			return false
		}
	}
	return true
}

func flagOf(f []byte) (outcome, bool) {
	if o, ok := flags[string(f)]; ok {
		return o, true
	}
	if short, ok := longFlags[string(f)]; ok {
		return flags[short], true
	}
	return outcome{}, false
}

// details are RESPONSE_CODE_DETAILS, without what stands in braces.
var details = map[string]outcome{
	"via_upstream":                                   {"", fact.WriterBackend, ""},
	"direct_response":                                {"", fact.WriterSelf, ""},
	"internal_redirect":                              {"", fact.WriterSelf, ""},
	"admin_filter_response":                          {"", fact.WriterSelf, ""},
	"health_check_ok":                                {"", fact.WriterSelf, ""},
	"health_check_failed":                            {"", fact.WriterSelf, ""},
	"no_healthy_upstream":                            {fact.NoBackend, fact.WriterSelf, ""},
	"upstream_response_timeout":                      {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"response_timeout":                               {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"upstream_per_try_timeout":                       {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"upstream_per_try_idle_timeout":                  {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"upstream_max_stream_duration_reached":           {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseReading},
	"cluster_not_found":                              {fact.GatewayFault, fact.WriterSelf, ""},
	"filter_chain_not_found":                         {fact.GatewayFault, fact.WriterSelf, ""},
	"route_configuration_not_found":                  {fact.GatewayFault, fact.WriterSelf, ""},
	"route_not_found":                                {"", fact.WriterSelf, ""},
	"maintenance_mode":                               {fact.Denied, fact.WriterSelf, ""},
	"overload":                                       {fact.LimitHit, fact.WriterSelf, ""},
	"drop_overload":                                  {fact.LimitHit, fact.WriterSelf, ""},
	"unconditional_drop_overload":                    {fact.LimitHit, fact.WriterSelf, ""},
	"overload_error_reset":                           {fact.LimitHit, fact.WriterSelf, ""},
	"overload_manager_reset":                         {fact.LimitHit, fact.WriterSelf, ""},
	"adaptive_concurrency_limit_reached":             {fact.LimitHit, fact.WriterSelf, ""},
	"reached_concurrency_limit":                      {fact.LimitHit, fact.WriterSelf, ""},
	"request_rate_limited":                           {fact.Denied, fact.WriterSelf, ""},
	"local_rate_limited":                             {fact.Denied, fact.WriterSelf, ""},
	"ext_authz_denied":                               {fact.Denied, fact.WriterSelf, ""},
	"ext_authz_error":                                {fact.GatewayFault, fact.WriterSelf, ""},
	"rate_limiter_error":                             {fact.GatewayFault, fact.WriterSelf, ""},
	"rbac_access_denied":                             {fact.Denied, fact.WriterSelf, ""},
	"fault_filter_abort":                             {"", fact.WriterSelf, ""},
	"dns_resolution_failure":                         {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"dynamic_forward_proxy_dns_failure":              {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"dns_cache_overflow":                             {fact.LimitHit, fact.WriterSelf, fact.PhaseResolving},
	"dynamic_forward_proxy_pending_request_overflow": {fact.LimitHit, fact.WriterSelf, ""},
	"stream_idle_timeout":                            {"", fact.WriterSelf, ""},
	"request_overall_timeout":                        {"", fact.WriterSelf, ""},
	"request_header_timeout":                         {"", fact.WriterSelf, ""},
	"max_duration_timeout":                           {fact.GatewayFault, fact.WriterSelf, ""},
	"duration_timeout":                               {fact.GatewayFault, fact.WriterSelf, ""},
	"downstream_remote_disconnect":                   {fact.ClientGone, "", ""},
	"downstream_local_disconnect":                    {"", "", ""},
	"http2.remote_reset":                             {fact.ClientGone, "", ""},
	"http2.remote_refuse":                            {fact.ClientGone, "", ""},
	"http3.remote_reset":                             {fact.ClientGone, "", ""},
	"http3.remote_refuse":                            {fact.ClientGone, "", ""},
	"request_payload_too_large":                      {"", fact.WriterSelf, ""},
	"request_payload_exceeded_retry_buffer_limit":    {"", fact.WriterSelf, ""},
	"response_payload_too_large":                     {fact.ReplyTooBig, fact.WriterSelf, fact.PhaseReading},
	"response_headers_too_large":                     {fact.ReplyTooBig, fact.WriterSelf, fact.PhaseWaiting},
	"http1.invalid_characters":                       {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},
	"http1.unexpected_underscore":                    {"", fact.WriterSelf, ""},
	"missing_host_header":                            {"", fact.WriterSelf, ""},
	"path_normalization_failed":                      {"", fact.WriterSelf, ""},
	"early_upstream_response":                        {fact.EarlyReply, fact.WriterBackend, fact.PhaseSending},
}

// resets are the reasons in braces of upstream_reset_before_response_started
// and upstream_reset_after_response_started, and those that Envoy tells a
// client, with blanks made underscores.
var resets = map[string]outcome{
	"connection_failure":          {"", fact.WriterSelf, fact.PhaseConnecting},
	"remote_connection_failure":   {"", fact.WriterSelf, fact.PhaseConnecting},
	"local_connection_failure":    {"", fact.WriterSelf, fact.PhaseConnecting},
	"connect_error":               {"", fact.WriterSelf, fact.PhaseConnecting},
	"connection_timeout":          {fact.ConnectTimedOut, fact.WriterSelf, fact.PhaseConnecting},
	"connection_termination":      {fact.ClosedBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"remote_reset":                {fact.ResetBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"remote_refused_stream_reset": {fact.ResetBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"local_reset":                 {"", fact.WriterSelf, ""},
	"local_refused_stream_reset":  {"", fact.WriterSelf, ""},
	"overflow":                    {fact.LimitHit, fact.WriterSelf, fact.PhaseQueued},
	"protocol_error":              {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},
	"overload_manager_reset":      {fact.LimitHit, fact.WriterSelf, ""},
	"http1_response_incomplete":   {fact.CutMidReply, fact.WriterSelf, fact.PhaseReading},
}

// slowConnect separates a connection that was refused (it takes one round
// trip) from one that nobody answered (the first SYN is repeated after 1 s).
const slowConnect = time.Second

// judge fills r's outcome from response flags, details and the transport's
// failure reason.
func judge(r *fact.Request, flagList, detail, transport []byte) {
	var o outcome
	known, after := false, false
	name, inside := splitDetail(detail)
	switch {
	case source.HasPrefix(name, "upstream_reset_"):
		after = source.Has(name, "_after_response")
		reason, rest, _ := bytes.Cut(inside, []byte{','})
		reason, more, _ := bytes.Cut(reason, []byte{'|'})
		if len(rest) == 0 {
			rest = more
		}
		if len(transport) == 0 || string(transport) == "-" {
			transport = rest
		}
		o, known = resets[string(reason)]
	case len(name) > 0:
		o, known = detailOf(name)
	}
	if !known || o == (outcome{}) {
		o = flagged(flagList)
	}
	if o.phase == fact.PhaseConnecting {
		connectFailed(r, &o, transport, string(name) == "")
	}
	switch {
	case o.ended == fact.ClientGone, o.ended == "":
	case after, o.writer == fact.WriterSelf && r.Status.Known && r.Status.N > 0 && r.Status.N < 400:
		// The answer had begun: what follows cut it.
		o = outcome{fact.CutMidReply, fact.WriterBackend, fact.PhaseReading}
	}
	if o.ended == "" && o.writer == fact.WriterSelf && r.Status.Is(504) && (string(name) == "stream_idle_timeout" || source.Has(flagList, "SI")) {
		o.ended, o.phase = fact.ReplyTimedOut, fact.PhaseWaiting
	}
	r.Ended, r.Writer, r.Phase = o.ended, o.writer, o.phase
	if r.Writer == fact.WriterBackend && r.Ended == "" && r.Status.Or(0) >= 500 {
		r.Ended = fact.AppAnswered
	}
}

// connectFailed settles how a connection was not made: by the error number, by
// the words, or, where an old line has neither, by how long it took.
func connectFailed(r *fact.Request, o *outcome, transport []byte, bare bool) {
	if n := errnoIn(transport); n != 0 {
		r.Errno = n
		o.ended = source.ErrnoMechanism(n, fact.PhaseConnecting)
		return
	}
	if isTLS(transport) {
		o.ended, o.phase = fact.TLSFailed, fact.PhaseTLS
		return
	}
	if len(transport) > 1 {
		if m, p, n, ok := source.NetError(bytes.ReplaceAll(transport, []byte{'_'}, []byte{' '})); ok {
			o.ended, o.phase, r.Errno = m, p, n
			return
		}
	}
	if o.ended != "" || !r.Duration.Known {
		return
	}
	switch {
	case r.Duration.D >= slowConnect:
		o.ended = fact.ConnectTimedOut
	case bare:
		o.ended = fact.Refused
	}
}

func isTLS(b []byte) bool {
	return source.Has(b, "TLS") || source.Has(b, "OPENSSL") || source.Has(b, "CERTIFICATE") || source.Has(b, "SSL routines")
}

// flagged is the first of some flags that tells how a request ended.
func flagged(list []byte) outcome {
	var best outcome
	for len(list) > 0 {
		var one []byte
		one, list, _ = bytes.Cut(list, []byte{','})
		if o, ok := flagOf(bytes.TrimSpace(one)); ok && (best.ended == "" && o.ended != "" || best == (outcome{}) || best.ended == "" && best.phase == "" && o.phase != "") {
			best = o
		}
	}
	return best
}

// detailOf finds a detail; families are known by their beginning.
func detailOf(name []byte) (outcome, bool) {
	if o, ok := details[string(name)]; ok {
		return o, true
	}
	switch {
	case source.HasPrefix(name, "rbac_access_denied"), source.HasPrefix(name, "jwt_authn"), source.HasPrefix(name, "ext_authz"):
		return outcome{fact.Denied, fact.WriterSelf, ""}, true
	case source.HasPrefix(name, "http1."), source.HasPrefix(name, "http2."), source.HasPrefix(name, "http3."):
		return outcome{}, false // of either side: the flags tell which
	case source.HasPrefix(name, "upstream_local_"), source.HasPrefix(name, "lua_"), source.HasPrefix(name, "wasm_"):
		return outcome{"", fact.WriterSelf, ""}, true
	}
	return outcome{}, false
}

// splitDetail cuts "name{inside}".
func splitDetail(d []byte) (name, inside []byte) {
	if string(d) == "-" {
		return nil, nil
	}
	i := bytes.IndexByte(d, '{')
	if i < 0 {
		return d, nil
	}
	return d[:i], bytes.TrimSuffix(d[i+1:], []byte{'}'})
}

// errnoIn reads the number of "delayed_connect_error:_111" and "delayed connect
// error: 111"; 0 if there is none.
func errnoIn(b []byte) int {
	i := bytes.Index(b, []byte("connect"))
	if i < 0 {
		return 0
	}
	b = b[i:]
	j := bytes.Index(b, []byte("error:"))
	if j < 0 {
		return 0
	}
	b = bytes.TrimLeft(b[j+len("error:"):], " _")
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1000 {
			break
		}
		n = n*10 + int(c-'0')
	}
	if n > 200 {
		return 0
	}
	return n
}
