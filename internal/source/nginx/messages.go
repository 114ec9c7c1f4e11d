package nginx

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// message is what is done with one of nginx's messages. telling: its words
// prove nginx even without a frame around them.
type message struct {
	do      func(*report)
	telling bool
}

// ends makes a message that ends a try as m; the phase is what nginx was doing.
func ends(m fact.Mechanism) message {
	return message{func(x *report) { x.fail(m, x.phase()) }, true}
}

// quiet messages are read and state nothing.
var quiet = message{func(*report) {}, false}

// messageRules are nginx's messages, the special before the general.
var messageRules = source.NewRules(
	// What a member did.
	source.Rule[message]{Words: "no live upstreams", Do: message{(*report).noLive, true}},
	source.Rule[message]{Words: "upstream server temporarily disabled", Do: message{(*report).ejected, true}},
	source.Rule[message]{Words: "upstream timed out", Do: message{(*report).timedOut, true}},
	source.Rule[message]{Words: "upstream time out (", Do: message{(*report).timedOut, true}},
	source.Rule[message]{Words: "upstream prematurely closed", Do: message{(*report).closed, true}},
	source.Rule[message]{Words: "upstream closed prematurely", Do: message{(*report).closed, true}},
	source.Rule[message]{Words: "upstream sent too big header", Do: message{(*report).tooBig, true}},
	source.Rule[message]{Words: "upstream sent more data than specified", Do: quiet}, // the rest is dropped, the answer stands
	source.Rule[message]{Words: "upstream sent goaway", Do: message{(*report).reset, true}},
	source.Rule[message]{Words: "upstream rejected request with error", Do: message{(*report).reset, true}},
	source.Rule[message]{Words: "upstream sent ", Do: ends(fact.BadReply)},
	source.Rule[message]{Words: "upstream prematurely sent response", Do: ends(fact.BadReply)},
	source.Rule[message]{Words: "upstream buffer is too small", Do: ends(fact.ReplyTooBig)},
	source.Rule[message]{Words: "upstream SSL certificate verify error: (%s)", Do: message{(*report).certificate, true}},
	source.Rule[message]{Words: "upstream SSL certificate does not match %s", Do: message{(*report).certificate, true}},
	source.Rule[message]{Words: "SSL_do_handshake() failed (SSL: %s", Do: message{(*report).handshake, true}},
	source.Rule[message]{Words: "peer closed connection in SSL handshake", Do: message{(*report).handshake, true}},
	source.Rule[message]{Words: "no resolver defined to resolve %w", Do: message{(*report).unresolved, true}},
	source.Rule[message]{Words: "^%w could not be resolved (%s)", Do: message{(*report).unresolved, true}},
	source.Rule[message]{Words: " could not be resolved (%d: %s)", Do: message{(*report).unresolvedLate, true}},
	source.Rule[message]{Words: "no port in upstream", Do: ends(fact.GatewayFault)},
	source.Rule[message]{Words: "invalid port in upstream", Do: ends(fact.GatewayFault)},
	source.Rule[message]{Words: "no host in upstream", Do: ends(fact.GatewayFault)},
	source.Rule[message]{Words: "invalid URL prefix in", Do: ends(fact.GatewayFault)},
	source.Rule[message]{Words: "an upstream response is buffered to a temporary file", Do: message{quiet.do, true}},
	source.Rule[message]{Words: "a client request body is buffered to a temporary file", Do: message{quiet.do, true}},
	source.Rule[message]{Words: "auth request unexpected status: %d", Do: message{(*report).authFailed, true}},

	// What FastCGI wrote.
	source.Rule[message]{Words: `FastCGI sent in stderr: "%s`, Do: message{(*report).stderr, true}},

	// Limits.
	source.Rule[message]{Words: "%d worker_connections are not enough", Do: message{(*report).connections, true}},
	source.Rule[message]{Words: "%d worker_connections exceed open file resource limit: %d", Do: message{(*report).fileLimit, true}},
	source.Rule[message]{Words: "limiting requests, dry run", Do: quiet},
	source.Rule[message]{Words: "limiting connections by zone, dry run", Do: quiet},
	source.Rule[message]{Words: "limiting requests, excess: %f by zone \"%s\"", Do: message{(*report).rate, true}},
	source.Rule[message]{Words: "limiting connections by zone \"%s\"", Do: message{(*report).rate, true}},
	source.Rule[message]{Words: "delaying request, excess:", Do: quiet},
	source.Rule[message]{Words: "ModSecurity: Access denied with code %d", Do: message{(*report).firewall, true}},
	source.Rule[message]{Words: "NAXSI_FMT: %s", Do: message{(*report).firewall, true}},
	source.Rule[message]{Words: "access forbidden by rule", Do: message{(*report).forbidden, false}},
	source.Rule[message]{Words: "client intended to send too large %s: %d bytes", Do: message{(*report).tooLarge, true}},
	source.Rule[message]{Words: "client intended to send too large", Do: message{(*report).tooLarge, true}},
	source.Rule[message]{Words: "rewrite or internal redirection cycle", Do: ends(fact.GatewayFault)},
	source.Rule[message]{Words: "subrequests cycle while processing", Do: ends(fact.GatewayFault)},

	// What a client did.
	source.Rule[message]{Words: "client prematurely closed connection", Do: message{(*report).left, true}},
	source.Rule[message]{Words: "client closed prematurely connection", Do: message{(*report).left, true}},
	source.Rule[message]{Words: "client canceled stream", Do: message{(*report).left, true}},
	source.Rule[message]{Words: "client timed out", Do: message{(*report).left, false}},
	source.Rule[message]{Words: "^client closed keepalive connection", Do: quiet},
	source.Rule[message]{Words: "^client %d.%d.%d.%d closed keepalive connection", Do: quiet},
	source.Rule[message]{Words: "^client sent ", Do: quiet},

	// The process.
	source.Rule[message]{Words: "process %d exited on signal %d", Do: message{(*report).crashed, true}},
	source.Rule[message]{Words: "process %d exited with fatal code %d", Do: message{(*report).exited, true}},
	source.Rule[message]{Words: "worker process %d exited with code %d", Do: message{(*report).exited, true}},
	source.Rule[message]{Words: "start worker process %d", Do: message{(*report).started, false}},
	source.Rule[message]{Words: "^nginx/%s", Do: message{(*report).version, false}},
	source.Rule[message]{Words: "^openresty/%s", Do: message{(*report).version, false}},
	source.Rule[message]{Words: "getrlimit(RLIMIT_NOFILE): %d:%d", Do: message{(*report).rlimit, true}},
	source.Rule[message]{Words: "signal %d (SIG%w) received", Do: message{(*report).signal, false}},
	source.Rule[message]{Words: "^reconfiguring", Do: quiet}, // said by the signal's own line
	source.Rule[message]{Words: "signal process started", Do: quiet},

	// Starting and configuration.
	source.Rule[message]{Words: "host not found in upstream \"%s\" in %w", Do: message{(*report).unknownHost, true}},
	source.Rule[message]{Words: "host not found in upstream \"%s\"", Do: message{(*report).unknownHost, true}},
	source.Rule[message]{Words: "bind() to %w failed (", Do: message{(*report).bind, true}},
	source.Rule[message]{Words: "still could not bind()", Do: message{(*report).bind, true}},

	// Lua: ingress-nginx, Kong, APISIX.
	source.Rule[message]{Words: "no peer was returned, balancer", Do: message{(*report).noPeer, true}},
	source.Rule[message]{Words: "failure to get a peer from the ring-balancer", Do: message{(*report).noPeer, true}},
	source.Rule[message]{Words: "no balancer found for", Do: message{(*report).noPeer, true}},
	source.Rule[message]{Words: "all upstream nodes is unhealthy", Do: message{(*report).noPeer, true}},
	source.Rule[message]{Words: "no valid upstream node", Do: message{(*report).noPeer, true}},
	source.Rule[message]{Words: `Service "%w" does not have any active Endpoint`, Do: message{(*report).noEndpoints, true}},
	source.Rule[message]{Words: "attempted to proxy to self, balancer", Do: ends(fact.GatewayFault)},
	source.Rule[message]{Words: "target status '%w(%w)' from 'true' to 'false'", Do: message{(*report).targetDown, true}},
	source.Rule[message]{Words: "target status '(%w)' from 'true' to 'false'", Do: message{(*report).targetDown, true}},
	source.Rule[message]{Words: "target status '%w(%w)' from 'false' to 'true'", Do: message{(*report).targetUp, true}},
	source.Rule[message]{Words: "target status '(%w)' from 'false' to 'true'", Do: message{(*report).targetUp, true}},
	source.Rule[message]{Words: "unhealthy %w increment (%d/%d) for '%s(%w)'", Do: message{(*report).probed, true}},
	source.Rule[message]{Words: "failed the initial dns/balancer resolve for '%s' with: %s", Do: message{(*report).kongDNS, true}},
	source.Rule[message]{Words: "querying dns for %w failed: %s", Do: message{(*report).kongDNS, true}},
	source.Rule[message]{Words: "DNS resolution failed: %s. Tried: [\"(short)%w:", Do: message{(*report).kongTried, true}},
	source.Rule[message]{Words: "DNS resolution failed: %s", Do: message{(*report).kongTried, false}},
	source.Rule[message]{Words: "failed to parse domain: %w, error: %s", Do: message{(*report).kongDNS, true}},
	source.Rule[message]{Words: "failed to resolve domain %w: %s", Do: message{(*report).kongDNS, false}},
	source.Rule[message]{Words: "failed to query the DNS server: %s", Do: message{(*report).kongTried, false}},
	source.Rule[message]{Words: "dns server error: %d %s", Do: message{(*report).dnsAnswer, true}},
	source.Rule[message]{Words: "name resolution failed", Do: message{(*report).nameless, true}},
	source.Rule[message]{Words: "no available targets", Do: message{(*report).noPeer, false}},
	source.Rule[message]{Words: "handle_upstream(): failed to set u", Do: message{(*report).noPeer, true}},
	source.Rule[message]{Words: "failed to pick server: ", Do: message{(*report).noPeer, false}},

	// Health checks: nginx plus, the upstream_check module of Tengine and
	// others, lua-resty-upstream-healthcheck.
	source.Rule[message]{Words: "peer is unhealthy %shealth check \"%s\" of peer %w in upstream \"%w\"", Do: message{(*report).plusDown, true}},
	source.Rule[message]{Words: "peer is healthy %shealth check \"%s\" of peer %w in upstream \"%w\"", Do: message{(*report).plusUp, true}},
	source.Rule[message]{Words: "disable check peer: %w", Do: message{(*report).peerDown, true}},
	source.Rule[message]{Words: "enable check peer: %w", Do: message{(*report).peerUp, true}},
	source.Rule[message]{Words: "check time out with peer: %w", Do: message{(*report).peerSlow, true}},
	source.Rule[message]{Words: "healthcheck: peer %w is turned down after %d failure", Do: message{(*report).peerDown, true}},
	source.Rule[message]{Words: "healthcheck: peer %w is turned up after %d success", Do: message{(*report).peerUp, true}},
	source.Rule[message]{Words: "lua entry thread aborted: %s", Do: message{(*report).lua, true}},
	source.Rule[message]{Words: "lua tcp socket connect timed out, when connecting to %w", Do: message{(*report).cosocket, true}},
	source.Rule[message]{Words: "lua tcp socket %w timed out", Do: message{(*report).cosocket, true}},
	source.Rule[message]{Words: "[lua] %s", Do: quiet},

	// System calls: "connect() failed (111: ...)", "open() "/x" failed (13: ...)".
	source.Rule[message]{Words: "has written only %d of %d", Do: message{(*report).shortWrite, true}},
	source.Rule[message]{Words: "connect() failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "connect() to %s failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "recv() failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "readv() failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "writev() failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "sendfile() failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "accept4() failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "%w() %s failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "%w() failed (%d: ", Do: message{(*report).syscall, true}},
	source.Rule[message]{Words: "^%w(%s) failed (%d: ", Do: message{(*report).syscall, false}},
	source.Rule[message]{Words: "^failed (%d: %s) while ", Do: message{(*report).headless, true}},
	source.Rule[message]{Words: "^(%d: %s) while ", Do: message{(*report).headless, true}},
	source.Rule[message]{Words: "^(99: %s)", Do: message{(*report).bareErrno, true}},
	source.Rule[message]{Words: "^(111: %s)", Do: message{(*report).bareErrno, true}},
	source.Rule[message]{Words: "^(113: %s)", Do: message{(*report).bareErrno, true}},
	source.Rule[message]{Words: "^(24: %s)", Do: message{(*report).bareErrno, true}},
	source.Rule[message]{Words: "^(104: %s)", Do: message{(*report).headless, true}},
	source.Rule[message]{Words: "%w() failed (SSL: %s", Do: message{(*report).tlsBroken, true}},
)
