package gclb

import (
	"bytes"
	"time"

	"culprit/internal/fact"
)

// outcome is what a statusDetails word says about a request.
type outcome struct {
	ended  fact.Mechanism
	writer fact.Writer
	phase  fact.Phase
}

// statusDetails are the words of jsonPayload.statusDetails and of details in
// jsonPayload.proxyStatus, as Google documents them. A word that is not here
// is kept as the request's code.
var statusDetails = map[string]outcome{
	"response_sent_by_backend":        {"", fact.WriterBackend, ""},
	"response_from_cache":             {"", "", ""},
	"byte_range_caching":              {"", "", ""},
	"via_upstream":                    {"", fact.WriterBackend, ""},
	"direct_response":                 {"", fact.WriterSelf, ""},
	"fault_filter_abort":              {"", fact.WriterSelf, ""},
	"redirect":                        {"", fact.WriterSelf, ""},
	"url_rewrite":                     {"", fact.WriterSelf, ""},
	"handled_by_identity_aware_proxy": {"", fact.WriterSelf, ""},

	"response_from_cache_validated": {"", "", ""},

	"backend_connection_closed_before_data_sent_to_client":  {fact.ClosedBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"backend_connection_closed":                             {fact.ClosedBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"backend_connection_closed_after_partial_response_sent": {fact.CutMidReply, fact.WriterBackend, fact.PhaseReading},
	"backend_reset":                          {fact.ResetBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"failed_to_connect_to_backend":           {"", fact.WriterSelf, fact.PhaseConnecting},
	"failed_to_pick_backend":                 {fact.NoBackend, fact.WriterSelf, ""},
	"no_healthy_upstream":                    {fact.NoBackend, fact.WriterSelf, ""},
	"no_healthy_backend":                     {fact.NoBackend, fact.WriterSelf, ""},
	"backend_timeout":                        {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"backend_response_timeout":               {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"upstream_response_timeout":              {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"backend_response_corrupted":             {fact.BadReply, fact.WriterSelf, fact.PhaseReading},
	"backend_response_headers_too_long":      {fact.ReplyTooBig, fact.WriterSelf, fact.PhaseWaiting},
	"backend_interim_response_not_supported": {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},
	"error_uncompressing_gzipped_body":       {fact.BadReply, fact.WriterSelf, fact.PhaseReading},

	"backend_early_response_with_non_error_status":  {fact.EarlyReply, fact.WriterSelf, fact.PhaseSending},
	"aborted_request_due_to_backend_early_response": {fact.EarlyReply, fact.WriterBackend, fact.PhaseSending},

	"failed_to_negotiate_alpn":                  {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"ssl_certificate_san_verification_failed":   {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"ssl_certificate_chain_verification_failed": {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"ssl_san_verification_failed":               {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"config_not_found":                          {fact.GatewayFault, fact.WriterSelf, ""},
	"retriable_error":                           {fact.GatewayFault, fact.WriterSelf, ""},
	"internal_error":                            {fact.GatewayFault, fact.WriterSelf, ""},
	"request_loop_detected":                     {fact.GatewayFault, fact.WriterSelf, ""},
	"serverless_neg_routing_failed":             {fact.GatewayFault, fact.WriterSelf, ""},
	"invalid_external_origin_endpoint":          {fact.GatewayFault, fact.WriterSelf, ""},
	"multiple_iap_policies":                     {fact.GatewayFault, fact.WriterSelf, ""},
	"malformed_chunked_body":                    {"", fact.WriterSelf, ""},
	"service_extension_error":                   {fact.GatewayFault, fact.WriterSelf, ""},

	"client_disconnected_before_any_response":    {fact.ClientGone, fact.WriterSelf, ""},
	"client_disconnected_after_partial_response": {fact.ClientGone, fact.WriterBackend, fact.PhaseReading},
	"client_disconnected":                        {fact.ClientGone, fact.WriterSelf, ""},
	"client_timed_out":                           {fact.ClientGone, fact.WriterSelf, ""},

	"denied_by_security_policy":    {fact.Denied, fact.WriterSelf, ""},
	"banned_by_security_policy":    {fact.Denied, fact.WriterSelf, ""},
	"throttled_by_security_policy": {fact.Denied, fact.WriterSelf, ""},
	"early_data_rejected":          {fact.Denied, fact.WriterSelf, ""},

	"body_not_allowed":                    {"", fact.WriterSelf, ""},
	"failed_parsing_client_headers":       {"", fact.WriterSelf, ""},
	"headers_too_long":                    {"", fact.WriterSelf, ""},
	"http_version_not_supported":          {"", fact.WriterSelf, ""},
	"invalid_chunk_framing":               {"", fact.WriterSelf, ""},
	"invalid_request_headers":             {"", fact.WriterSelf, ""},
	"invalid_http2_client_header_format":  {"", fact.WriterSelf, ""},
	"unsupported_method":                  {"", fact.WriterSelf, ""},
	"unsupported_100_continue":            {"", fact.WriterSelf, ""},
	"upgrade_header_rejected":             {"", fact.WriterSelf, ""},
	"uri_too_long":                        {"", fact.WriterSelf, ""},
	"required_body_but_no_content_length": {"", fact.WriterSelf, ""},
	"missing_or_invalid_content_length":   {"", fact.WriterSelf, ""},
	"secure_url_rejected":                 {"", fact.WriterSelf, ""},
	"ssl_san_not_found":                   {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"websocket_closed":                    {"", fact.WriterBackend, ""},
	"websocket_handshake_failed":          {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},

	"byte_range_caching_aborted":                                              {fact.CutMidReply, fact.WriterSelf, fact.PhaseReading},
	"byte_range_caching_forwarded_backend_response":                           {"", fact.WriterBackend, ""},
	"byte_range_caching_retrieval_abandoned":                                  {"", fact.WriterBackend, ""},
	"byte_range_caching_retrieval_from_backend_failed_after_partial_response": {fact.CutMidReply, fact.WriterSelf, fact.PhaseReading},
	"cache_lookup_failed_after_partial_response":                              {fact.GatewayFault, fact.WriterSelf, fact.PhaseReading},
	"cache_lookup_timeout_after_partial_response":                             {fact.ClientGone, fact.WriterSelf, fact.PhaseReading},
}

// proxyErrors are the error types of RFC 9209 as the regional and internal
// balancers write them before details.
var proxyErrors = map[string]outcome{
	"dns_timeout":                       {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"dns_error":                         {fact.NameNotResolved, fact.WriterSelf, fact.PhaseResolving},
	"destination_not_found":             {fact.GatewayFault, fact.WriterSelf, ""},
	"destination_unavailable":           {fact.NoBackend, fact.WriterSelf, ""},
	"destination_ip_prohibited":         {fact.GatewayFault, fact.WriterSelf, ""},
	"destination_ip_unroutable":         {fact.Unreachable, fact.WriterSelf, fact.PhaseConnecting},
	"connection_refused":                {fact.Refused, fact.WriterSelf, fact.PhaseConnecting},
	"connection_terminated":             {fact.ClosedBeforeReply, fact.WriterSelf, fact.PhaseWaiting},
	"connection_timeout":                {fact.ConnectTimedOut, fact.WriterSelf, fact.PhaseConnecting},
	"connection_read_timeout":           {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"connection_write_timeout":          {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseSending},
	"connection_limit_reached":          {fact.LimitHit, fact.WriterSelf, ""},
	"tls_protocol_error":                {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"tls_certificate_error":             {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"tls_alert_received":                {fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS},
	"http_request_error":                {"", fact.WriterSelf, ""},
	"http_request_denied":               {fact.Denied, fact.WriterSelf, ""},
	"http_response_incomplete":          {fact.CutMidReply, fact.WriterSelf, fact.PhaseReading},
	"http_response_timeout":             {fact.ReplyTimedOut, fact.WriterSelf, fact.PhaseWaiting},
	"http_response_header_section_size": {fact.ReplyTooBig, fact.WriterSelf, fact.PhaseWaiting},
	"http_response_header_size":         {fact.ReplyTooBig, fact.WriterSelf, fact.PhaseWaiting},
	"http_response_body_size":           {fact.ReplyTooBig, fact.WriterSelf, fact.PhaseReading},
	"http_response_transfer_coding":     {fact.BadReply, fact.WriterSelf, fact.PhaseReading},
	"http_response_content_coding":      {fact.BadReply, fact.WriterSelf, fact.PhaseReading},
	"http_upgrade_failed":               {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},
	"http_protocol_error":               {fact.BadReply, fact.WriterSelf, fact.PhaseWaiting},
	"proxy_internal_response":           {"", fact.WriterSelf, ""},
	"proxy_internal_error":              {fact.GatewayFault, fact.WriterSelf, ""},
	"proxy_configuration_error":         {fact.GatewayFault, fact.WriterSelf, ""},
	"proxy_loop_detected":               {fact.GatewayFault, fact.WriterSelf, ""},
}

// lookup finds the outcome of a details word; families that share a beginning
// are known by it.
func lookup(word []byte) (outcome, bool) {
	if o, ok := statusDetails[string(word)]; ok {
		return o, true
	}
	switch {
	case bytes.HasPrefix(word, []byte("server_cert_")), bytes.HasPrefix(word, []byte("backend_cert_")):
		return outcome{fact.TLSFailed, fact.WriterSelf, fact.PhaseTLS}, true
	case bytes.HasPrefix(word, []byte("client_cert_")), bytes.HasPrefix(word, []byte("denied_by_")):
		return outcome{fact.Denied, fact.WriterSelf, ""}, true
	case bytes.HasPrefix(word, []byte("websocket_")):
		return outcome{"", "", ""}, true
	}
	return outcome{}, false
}

// slowConnect separates a connection that was refused (it takes one round
// trip) from one that nobody answered (the first SYN is repeated after 1 s).
const slowConnect = time.Second

// judge fills r's outcome from its code, its status and how long it took.
func judge(r *fact.Request, details, proxyError []byte) {
	o, ok := lookup(details)
	if !ok || o == (outcome{}) {
		if p, known := proxyErrors[string(proxyError)]; known {
			o = p
		}
	} else if p, known := proxyErrors[string(proxyError)]; known && o.ended == "" && o.writer == fact.WriterSelf {
		o = p
	}
	r.Ended, r.Writer, r.Phase = o.ended, o.writer, o.phase
	if o.phase == fact.PhaseConnecting && o.ended == "" && r.Duration.Known {
		r.Ended = fact.Refused
		if r.Duration.D >= slowConnect {
			r.Ended = fact.ConnectTimedOut
		}
	}
	switch {
	case r.Status.Is(101) && (r.Ended == fact.ClosedBeforeReply || r.Ended == fact.ReplyTimedOut):
		// A websocket was open: its end is what the word tells of.
		r.Ended, r.Writer, r.Phase = fact.CutMidReply, fact.WriterBackend, fact.PhaseReading
	case r.Writer == fact.WriterBackend && r.Ended == "" && r.Status.Or(0) >= 500:
		r.Ended = fact.AppAnswered
	}
	if !r.Status.Known && r.Ended == fact.ClientGone {
		r.Status = fact.Num(0)
	}
}

// splitProxyStatus reads `error="x"; details="y"`; quotes may be missing.
func splitProxyStatus(b []byte) (err, details []byte) {
	for len(b) > 0 {
		var part []byte
		if i := bytes.IndexByte(b, ';'); i >= 0 {
			part, b = b[:i], b[i+1:]
		} else {
			part, b = b, nil
		}
		part = bytes.TrimSpace(part)
		if i := bytes.IndexByte(part, '='); i >= 0 {
			v := bytes.Trim(part[i+1:], `"' `)
			switch string(bytes.TrimSpace(part[:i])) {
			case "error":
				err = v
			case "details":
				details = v
			}
		}
	}
	return err, details
}
