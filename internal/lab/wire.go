package lab

import (
	"context"
	"net"
	"strings"
	"time"
)

// wireFaults are scenarios whose story is in the packets more than in the logs.
var wireFaults = []Scenario{
	{
		Name: "nginx-node-early-response", Front: "nginx", Backend: "node",
		Fault: "early-response", Blame: Backend,
		Doc: "The application answers uploads over 256 KB with 413 as soon as it has their header, and closes without reading them. " +
			"Where nginx meets the reset while it still sends the body, the answer is lost and the client gets 502.",
		Wire: atBackend,
		Run:  earlyResponse,
	},
	{
		Name: "nginx-wrong-port", Front: "nginx", Backend: "node",
		Fault: "misrouted-port", Blame: Proxy,
		Doc: "nginx speaks TLS to two applications, of which the second listens there without TLS: it answers the handshake with a " +
			"plain 400. nginx asks it once in ten seconds (fail_timeout), answers 502 and sets it aside again.",
		Played: "the authority that issued the certificate.",
		Wire:   atPair,
		Run:    wrongPort,
	},
	{
		Name: "control-ipv6-fallback", Front: "nginx", Backend: "node",
		Blame: None, Control: true,
		Doc: "Everybody asks localhost and tries ::1 first, where nobody listens, then 127.0.0.1: the clients with each new connection " +
			"to nginx, nginx with its upstream once in ten seconds. Refused connections and errors in the log, and not one failed request.",
		Wire: []Capture{{File: "legs.pcap", Of: []string{"front", "front6", "app", "app6"}}},
		Run:  ipv6Fallback,
	},
}

const refuseLarge = `
const MAX_UPLOAD = 256 * 1024;

server.prependListener('request', (req, res) => {
  if (Number(req.headers['content-length']) > MAX_UPLOAD) {
    log({ level: 'warn', msg: 'upload too large', method: req.method, url: req.url, status: 413, id: req.headers['x-request-id'] });
    const reply = '{"error":"photo too large"}';
    res.writeHead(413, { 'Content-Type': 'application/json', 'Content-Length': reply.length, Connection: 'close' });
    res.end(reply, () => req.socket.destroy());
  }
});
`

// largePhoto is longer than what the sockets between nginx and Node hold.
const largePhoto = 12 << 20 // bytes

func earlyResponse(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Listen: refuseLarge}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: "client_max_body_size 32m;\n" + plainProxy}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 80*time.Second, 6, with(
		Route{Method: "POST", Path: "/api/photos", Weight: 8, Body: photo},
		Route{Method: "POST", Path: "/api/photos", Weight: 8, Body: strings.Repeat(photo, largePhoto/len(photo))},
	))
}

func wrongPort(ctx context.Context, st *Stage) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	if err := ca.issue(st, "shop", time.Now().AddDate(0, 3, 0)); err != nil {
		return err
	}
	// server.js is written twice; the evidence is that of the second, which
	// has no TLS.
	for _, app := range []nodeApp{
		{Name: "app-1", Host: 11, TLS: tlsOptions, Setup: tlsSetup},
		{Name: "app-2", Host: 12},
	} {
		if _, err := startNode(ctx, st, app); err != nil {
			return err
		}
	}
	_, err = startNginx(ctx, st, nginx{
		HTTP: `
upstream shop {
    server @app-1@;
    server @app-2@;
    keepalive 8;
    keepalive_timeout 3s;
}
`,
		Location: proxyHeaders + `proxy_pass https://shop;
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_next_upstream off;
`})
	if err != nil {
		return err
	}
	return st.traffic.Run(ctx, 100*time.Second, 4, shop)
}

func ipv6Fallback(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{IP: "127.0.0.1"}); err != nil {
		return err
	}
	if err := nobodyOnIPv6(st, "app"); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{
		IP:       "127.0.0.1",
		HTTP:     "upstream shop {\n    server @app6@;\n    server @app@;\n}\n",
		Location: proxyHeaders + "proxy_pass http://shop;\n"}); err != nil {
		return err
	}
	if err := nobodyOnIPv6(st, "front"); err != nil {
		return err
	}
	st.traffic.tryFirst(st.Word("front6"))
	return st.traffic.Run(ctx, 60*time.Second, 6, shop)
}

// nobodyOnIPv6 gives the port of an address on ::1 the name with 6 at its end.
func nobodyOnIPv6(st *Stage, name string) error {
	_, port, err := net.SplitHostPort(st.Word(name))
	if err != nil {
		return err
	}
	st.Set(name+"6", net.JoinHostPort("::1", port))
	return nil
}
