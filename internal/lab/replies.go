package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"syscall"
	"time"
)

var replies = []Scenario{
	{
		Name: "nginx-header-too-big", Front: "nginx", Backend: "node",
		Fault: "header-too-big", Blame: Proxy,
		Doc: "At login the application puts all roles of the user in cookies. For most that is short; operators have 180 roles, the " +
			"answer's header is longer than proxy_buffer_size (4 KB) and nginx answers 502.",
		Run: headerTooBig,
	},
	{
		Name: "nginx-uwsgi-bad-header", Front: "nginx", Backend: "uwsgi",
		Fault: "protocol-error", Blame: Backend,
		Doc: "The application puts the customer's name in a header; some names were imported with a line break in them. What follows " +
			"the break is no header, nginx says `upstream sent invalid header` and answers 502.",
		Run: badHeader,
	},
	{
		Name: "haproxy-puma-cut", Front: "haproxy", Backend: "puma",
		Fault: "reset-mid-response", Also: []string{"protocol-error"}, Blame: Backend,
		Doc: "An export raises an exception after half of its rows; Puma writes an error page into the middle of the chunked body and " +
			"closes. Where HAProxy has passed on the beginning it logs 200 with SD and the client holds half a file; where all came " +
			"in one piece it logs 502 with PH.",
		Played: "syslog.",
		Wire:   []Capture{{File: "legs.pcap", Of: []string{"front", "app"}, Snap: wholePackets}},
		Run:    midResponse,
	},
	{
		Name: "nginx-tls-expired", Front: "nginx", Backend: "node",
		Fault: "tls-handshake", Blame: Backend,
		Doc: "nginx speaks TLS to the application and verifies its certificate, which expires in mid-traffic and is renewed twelve " +
			"seconds later; meanwhile every handshake fails and nginx answers 502.",
		Played: "the authority that issued the certificates.",
		Wire:   []Capture{{File: "backend.pcap", Of: []string{"app"}, Snap: wholePackets, From: 40 * time.Second, To: 66 * time.Second}},
		Run:    tlsExpired,
	},
}

const loginRoutes = `
  if (url.pathname === '/login') {
    const { user } = JSON.parse(body);
    const roles = rolesOf(user);
    const half = Math.ceil(roles.length / 2);
    return {
      status: 200,
      headers: { 'Set-Cookie': [cookie('roles_a', roles.slice(0, half)), cookie('roles_b', roles.slice(half))] },
      body: { user },
    };
  }
`

const loginSetup = `
const rolesOf = (user) => Array.from({ length: user.startsWith('ops-') ? 180 : 6 }, (_, n) => 'shop/stock-' + n + '/write');
const cookie = (name, value) => name + '=' + Buffer.from(JSON.stringify(value)).toString('base64url') + '; Path=/; HttpOnly';
`

func headerTooBig(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11, Setup: loginSetup, Routes: loginRoutes}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 90*time.Second, 8, with(
		Route{Method: "POST", Path: "/login", Weight: 9, Body: `{"user":"anna","password":"x"}`},
		Route{Method: "POST", Path: "/login", Weight: 3, Body: `{"user":"ops-lee","password":"x"}`},
	))
}

func badHeader(ctx context.Context, st *Stage) error {
	if err := st.Write("app.py", appFile("customers.py")); err != nil {
		return err
	}
	if err := startUWSGI(ctx, st, uwsgiConfig); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 90*time.Second, 6, with(Route{Method: "GET", Path: "/customers/#", Weight: 14}))
}

func midResponse(ctx context.Context, st *Stage) error {
	addr, err := st.Addr("app", 11, 9292)
	if err != nil {
		return err
	}
	if err := st.Write("config.ru", appFile("config.ru")); err != nil {
		return err
	}
	log, err := st.create("puma.log")
	if err != nil {
		return err
	}
	if _, err := st.Start(Command{
		Program: "puma", Args: []string{"-e", "production", "-t", "8:8", "-b", "tcp://" + addr, "config.ru"},
		Stdout: log, Stderr: log,
	}); err != nil {
		return err
	}
	if err := waitListening(ctx, "tcp", addr); err != nil {
		return err
	}
	if _, err := startHAProxy(ctx, st, "timeout server 30s\n", "server app1 @app@ maxconn 200\n"); err != nil {
		return err
	}
	return st.traffic.Run(ctx, 90*time.Second, 8, with(Route{Method: "GET", Path: "/exports/#", Weight: 9}))
}

const tlsOptions = `tls()`

const tlsSetup = `const fs = require('fs');

const tls = () => ({ key: fs.readFileSync('shop.key'), cert: fs.readFileSync('shop.crt') });
`

const tlsReload = `
process.on('SIGHUP', () => {
  server.setSecureContext(tls());
  log({ level: 'info', msg: 'certificate reloaded' });
});
`

// certLife is how long after its start the application's certificate expires.
const certLife = 48 * time.Second

func tlsExpired(ctx context.Context, st *Stage) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	if err := st.WriteQuiet("ca.crt", ca.pem); err != nil {
		return err
	}
	expiry := time.Now().Add(certLife)
	if err := ca.issue(st, "shop", expiry); err != nil {
		return err
	}
	node, err := startNode(ctx, st, nodeApp{Host: 11, TLS: tlsOptions, Setup: tlsSetup, Listen: tlsReload})
	if err != nil {
		return err
	}
	_, err = startNginx(ctx, st, nginx{Location: proxyHeaders + `proxy_pass https://@app@;
proxy_ssl_name shop.internal;
proxy_ssl_server_name on;
proxy_ssl_verify on;
proxy_ssl_trusted_certificate @dir@/ca.crt;
proxy_ssl_session_reuse off;
`})
	if err != nil {
		return err
	}
	renew := func() error {
		if err := ca.issue(st, "shop", time.Now().Add(90*24*time.Hour)); err != nil {
			return err
		}
		return node.Signal(syscall.SIGHUP)
	}
	return during(ctx, time.Until(expiry)+12*time.Second, renew, func() error { return st.traffic.Run(ctx, 100*time.Second, 7, shop) })
}

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Shop internal CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert: cert, key: key, pem: pemText("CERTIFICATE", der)}, err
}

// issue writes NAME.crt and NAME.key for NAME.internal; only the certificate is
// public, and neither is evidence.
func (ca *authority) issue(st *Stage, name string, until time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(until.Unix()), Subject: pkix.Name{CommonName: name + ".internal"},
		DNSNames:  []string{name + ".internal"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := st.WriteQuiet(name+".key", pemText("PRIVATE KEY", raw)); err != nil {
		return err
	}
	return st.WriteQuiet(name+".crt", pemText("CERTIFICATE", der))
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
