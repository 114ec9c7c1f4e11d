// Package nginx reads what nginx and its kin (ingress-nginx, OpenResty, Kong,
// APISIX, Nginx Proxy Manager) write: access lines in any log_format, error
// logs, and nginx.conf.
//
// Access lines: the format is a log_format found in a configuration or given
// by the user ([HintLogFormat]), else a known one, else one inferred from the
// lines themselves. Upstream fields hold one value for each try, parted by
// ", ", and by " : " between passes of an internal redirect. $upstream_status
// is nginx's own 502 or 504 where a member did not answer: with
// $upstream_header_time "-" or nothing received, the gateway wrote it.
//
// Error lines tell of one try each: a line at [error] is not a failed request,
// since nginx tries idempotent requests again. System calls' errors are told
// by number; the words differ by libc. Messages and levels are those of
// src/http/ngx_http_upstream.c, the modules beside it and src/os/unix of
// nginx 1.22 and 1.31; ingress-nginx' from its Lua balancer and controller.
package nginx

import "culprit/internal/source"

// Formats are the formats of nginx.
var Formats = []source.Format{
	{
		ID: "nginx-error", Tech: "nginx", Title: "nginx error log",
		Sniff: sniffError, NewReader: newErrorReader,
	},
	{
		ID: "nginx-access", Tech: "nginx", Title: "nginx access log",
		Sniff: sniffAccess, NewReader: newAccessReader, Independent: true,
	},
	{
		ID: "nginx-conf", Tech: "nginx", Title: "nginx configuration",
		SniffDoc: sniffConf, ReadDoc: readConf, ReadDocs: readConfs, Config: true,
	},
}
