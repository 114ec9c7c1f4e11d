package nginx

import "strings"

// kind is what a field of an access line holds.
type kind uint8

// The kinds. A layout maps each field to one of them.
const (
	kSkip kind = iota
	kAny       // to be told by its shape
	kClient
	kClientPort
	kForwarded // X-Forwarded-For and the like
	kTimeLocal
	kTimeISO
	kTimeAny // a stamp of unknown style
	kMsec
	kMillis // Unix milliseconds
	kRequest
	kMethod
	kURI // without query, or rewritten
	kTarget
	kURL // scheme://host/path
	kProto
	kHost
	kServerName
	kStatus
	kBytes
	kBytesAll // with header
	kReqBytes
	kDuration
	kDurationMS
	kUpAddr
	kUpStatus
	kUpConnect
	kUpHeader
	kUpTime
	kUpTimeMS
	kUpLength
	kUpReceived
	kUpName
	kProxyHost
	kCache
	kAgent
	kAgentOrUp // "ua": user agent here, upstream address there
	kPID
	kConn
	kLimit
	kHostname
	kText // text in quotes: referer, forwarded for, agent
	kID
	kinds
)

// vars maps nginx's variables to kinds. Those that are not here are read over.
var vars = map[string]kind{
	"remote_addr": kClient, "the_real_ip": kClient, "remote_port": kClientPort,
	"http_x_forwarded_for": kForwarded, "proxy_add_x_forwarded_for": kForwarded, "http_x_real_ip": kForwarded,
	"time_local": kTimeLocal, "time_iso8601": kTimeISO, "msec": kMsec,
	"request": kRequest, "request_method": kMethod, "uri": kURI, "document_uri": kURI, "request_uri": kTarget,
	"server_protocol": kProto, "host": kHost, "http_host": kHost, "server_name": kServerName,
	"status": kStatus, "body_bytes_sent": kBytes, "bytes_sent": kBytesAll, "request_length": kReqBytes,
	"request_time": kDuration, "upstream_addr": kUpAddr, "upstream_status": kUpStatus,
	"upstream_connect_time": kUpConnect, "upstream_header_time": kUpHeader, "upstream_response_time": kUpTime,
	"upstream_response_length": kUpLength, "upstream_bytes_received": kUpReceived,
	"upstream_cache_status": kCache, "http_user_agent": kAgent, "pid": kPID, "connection": kConn,
	"proxy_upstream_name": kUpName, "upstream_name": kUpName, "proxy_host": kProxyHost,
	"limit_req_status": kLimit, "limit_conn_status": kLimit, "hostname": kHostname,
	"request_id": kID, "req_id": kID, "kong_request_id": kID, "opentelemetry_trace_id": kID, "otel_trace_id": kID,
}

// idHeaders are the headers that carry an id of the request, as variables
// write them.
var idHeaders = map[string]bool{
	"x_request_id": true, "x_correlation_id": true, "x_trace_id": true, "traceparent": true, "x_b3_traceid": true,
	"x_amzn_trace_id": true, "x_cloud_trace_context": true, "cf_ray": true, "x_kong_request_id": true,
	"x_amz_cf_id": true, "uber_trace_id": true, "x_my_uuid": true, "request_id": true, "x_req_id": true,
	"correlation_id": true, "trace_id": true, "x_datadog_trace_id": true, "x_ms_request_id": true,
	"x_vercel_id": true, "fly_request_id": true, "x_envoy_request_id": true, "b3": true,
}

// varKind returns the kind of a variable's name, as log_format writes it
// without the dollar sign. more are further id headers, lower case with
// hyphens.
func varKind(name string, more []string) kind {
	if k, ok := vars[name]; ok {
		return k
	}
	for _, pre := range [...]string{"http_", "sent_http_", "upstream_http_"} {
		if h, ok := strings.CutPrefix(name, pre); ok {
			if idHeaders[h] {
				return kID
			}
			for _, m := range more {
				if strings.EqualFold(strings.ReplaceAll(m, "-", "_"), h) {
					return kID
				}
			}
		}
	}
	return kSkip
}

// names maps the keys that people give to fields, in JSON objects and in
// key=value lines, to kinds; lower case, with underscores.
var names = map[string]kind{
	"client": kClient, "client_ip": kClient, "clientip": kClient, "remote_ip": kClient, "remote": kClient, "ip": kClient,
	"client_addr": kClient, "remote_address": kClient, "src_ip": kClient, "source_ip": kClient, "client_address": kClient,
	"real_ip": kClient, "clientrealip": kClient, "network_client_ip": kClient, "remote_host": kClient, "addr": kClient,
	"x_forwarded_for": kForwarded, "xff": kForwarded, "forwarded_for": kForwarded, "x_forward_for": kForwarded, "x_real_ip": kForwarded,
	"time": kTimeAny, "@timestamp": kTimeAny, "timestamp": kTimeAny, "ts": kTimeAny, "date": kTimeAny, "datetime": kTimeAny,
	"t": kTimeAny, "time_iso": kTimeAny, "iso8601": kTimeAny, "access_time": kTimeAny, "log_time": kTimeAny, "local_time": kTimeAny,
	"time_unix": kMsec, "time_ngx": kTimeAny, "start_time": kSkip, "time_msec": kMsec,
	"req": kRequest, "http_request": kRequest, "request_line": kRequest, "full_request": kRequest,
	"method": kMethod, "verb": kMethod, "http_method": kMethod, "http_request_method": kMethod, "request_verb": kMethod,
	"path": kURI, "request_path": kURI, "url_path": kURI, "http_uri": kURI, "http_path": kURI, "resource": kURI,
	"request_url": kTarget, "url": kTarget, "http_url": kTarget, "full_path": kTarget, "url_original": kTarget, "http_request_uri": kTarget,
	"protocol": kProto, "proto": kProto, "http_protocol": kProto, "http_version": kProto, "request_proto": kProto, "httpversion": kProto,
	"server_addr": kSkip, "vhost": kHost, "domain": kHost, "virtual_host": kHost, "hostname": kHostname, "http_hostname": kHost,
	"request_host": kHost, "server": kServerName, "site": kHost, "authority": kHost, "url_domain": kHost,
	"status_code": kStatus, "response": kStatus, "code": kStatus, "response_status": kStatus, "http_status": kStatus, "st": kStatus,
	"response_code": kStatus, "statuscode": kStatus, "http_status_code": kStatus, "http_response_status_code": kStatus, "sc": kStatus,
	"bytes": kBytes, "size": kBytes, "body_bytes": kBytes, "response_size": kBytes, "response_length": kBytes, "body_sent": kBytes,
	"bytes_out": kBytes, "length": kBytes, "content_length": kSkip, "http_response_body_bytes": kBytes, "response_bytes": kBytes,
	"request_size": kReqBytes, "bytes_in": kReqBytes, "bytes_received": kReqBytes, "req_length": kReqBytes, "rl": kReqBytes,
	"rt": kDuration, "request_duration": kDuration, "duration": kDuration, "req_time": kDuration, "reqtime": kDuration, "latency": kDuration,
	"requesttime": kDuration, "response_time": kDuration, "responsetime": kDuration, "took": kDuration, "elapsed": kDuration,
	"total_time": kDuration, "time_taken": kDuration, "resp_time": kDuration, "request_processing_time": kDuration, "req_t": kDuration,
	"request_time_ms": kDurationMS, "duration_ms": kDurationMS, "response_time_ms": kDurationMS, "latency_ms": kDurationMS, "rt_ms": kDurationMS,
	"upstream": kUpAddr, "upstreamaddr": kUpAddr, "upstream_address": kUpAddr, "backend": kUpAddr, "upstream_host": kUpAddr, "up_addr": kUpAddr,
	"uaddr": kUpAddr, "upstream_ip": kUpAddr, "backend_addr": kUpAddr, "upstreamhost": kUpAddr, "up": kUpAddr, "uadd": kUpAddr, "upaddr": kUpAddr,
	"upstream_server": kUpAddr, "backend_address": kUpAddr, "proxy_addr": kUpAddr, "to": kUpAddr, "sent_to": kUpAddr,
	"us": kUpStatus, "upstreamstatus": kUpStatus, "upstream_code": kUpStatus, "ustatus": kUpStatus, "upstream_status_code": kUpStatus,
	"upstream_response_status": kUpStatus, "backend_status": kUpStatus, "ust": kUpStatus, "up_status": kUpStatus, "upstatus": kUpStatus,
	"uct": kUpConnect, "upstream_connect": kUpConnect, "connect_time": kUpConnect, "uc_time": kUpConnect, "ucon": kUpConnect, "upconn": kUpConnect,
	"upstreamconnecttime": kUpConnect, "upstream_conn_time": kUpConnect, "backend_connect_time": kUpConnect,
	"uht": kUpHeader, "upstream_header": kUpHeader, "header_time": kUpHeader, "ttfb": kUpHeader, "uh_time": kUpHeader,
	"upstreamheadertime": kUpHeader, "upstream_ttfb": kUpHeader, "uhead": kUpHeader, "uphead": kUpHeader, "backend_header_time": kUpHeader,
	"urt": kUpTime, "ut": kUpTime, "upstream_time": kUpTime, "upstream_response": kUpTime, "upstreamtime": kUpTime, "ur_time": kUpTime,
	"upstream_rt": kUpTime, "upstreamresponsetime": kUpTime, "upstream_taken_time": kUpTime, "grt": kUpTime, "backend_time": kUpTime,
	"upstream_resp_time": kUpTime, "upstream_duration": kUpTime, "backend_response_time": kUpTime, "uresp": kUpTime, "uptime": kUpTime,
	"upstream_latency": kUpTime, "upstream_response_time_ms": kUpTimeMS, "upstream_time_ms": kUpTimeMS, "upstream_latency_ms": kUpTimeMS,
	"ul": kUpLength, "url_len": kSkip, "upstream_length": kUpLength, "upstream_bytes": kUpReceived, "ubr": kUpReceived,
	"cs": kCache, "cache": kCache, "cache_status": kCache, "ucs": kCache, "upstream_cache": kCache,
	"ua": kAgentOrUp, "user_agent": kAgent, "useragent": kAgent, "agent": kAgent, "http_agent": kAgent, "user_agent_original": kAgent,
	"process": kPID, "conn": kConn, "connection_id": kConn, "limit_req": kLimit,
	"rid": kID, "requestid": kID, "reqid": kID, "x_request_id": kID, "trace": kID, "trace_id": kID, "traceid": kID, "correlation_id": kID,
	"uuid": kID, "id": kID, "x_correlation_id": kID, "http_request_id": kID, "traceparent": kID, "x_trace_id": kID, "tid": kID,
	"referer": kSkip, "referrer": kSkip, "http_referer": kSkip, "http_referrer": kSkip, "query": kSkip, "args": kSkip,
}

// nameKind returns the kind of a key that somebody gave a field, kSkip if it
// is not known.
func nameKind(key string, more []string) (k kind, known bool) {
	key = strings.ToLower(key)
	key = strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == ' ' {
			return '_'
		}
		return r
	}, key)
	if k, ok := vars[key]; ok {
		return k, true
	}
	if k, ok := names[key]; ok {
		return k, true
	}
	for _, pre := range [...]string{"nginx_access_", "nginx_", "http_", "request_headers_"} {
		if rest, ok := strings.CutPrefix(key, pre); ok {
			if k, ok := vars[rest]; ok {
				return k, true
			}
			if k, ok := names[rest]; ok {
				return k, true
			}
		}
	}
	if k := varKind(key, more); k != kSkip {
		return k, true
	}
	for _, m := range more {
		if strings.EqualFold(strings.ReplaceAll(m, "-", "_"), key) {
			return kID, true
		}
	}
	return kSkip, false
}
