package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

var keepAlive = []Scenario{
	{
		Name: "nginx-node-keepalive-race", Front: "nginx", Backend: "node",
		Fault: "keepalive-race", Blame: Backend,
		Doc: "nginx keeps idle connections to Node for 60 s, Node closes them after about 6 s (it says 5). " +
			"A request that crosses the close on the wire is lost: GETs are sent again and succeed, POSTs end as 502.",
		Played: "the 40 ms between the two hosts (a user-space relay); the idle gaps are aimed at the close.",
		Wire:   []Capture{{File: "legs.pcap", Of: []string{"front", "app"}}},
		Run:    nginxRace,
	},
	{
		Name: "haproxy-node-keepalive-race", Front: "haproxy", Backend: "node",
		Fault: "keepalive-race", Blame: Backend,
		Doc: "HAProxy re-uses idle connections that Node closes after about 6 s. When a request crosses the close, HAProxy " +
			"closes the client's connection without an answer and without a log line; only the load balancer in front reports a 502.",
		Played: "the load balancer in front (a Go proxy that logs in the form of Google's), the 40 ms to Node (a relay), syslog; the idle gaps are aimed.",
		Wire:   []Capture{{File: "backend.pcap", Of: []string{"app"}, Snap: wholePackets}},
		Run:    haproxyRace,
	},
	{
		Name: "gclb-node-keepalive-race", Front: "gclb", Backend: "node",
		Fault: "keepalive-race", Blame: Backend,
		Doc: "A load balancer keeps idle connections for 600 s, Node closes them after about 6 s. POSTs that cross the close end as " +
			"502 backend_connection_closed_before_data_sent_to_client, GETs are tried again.",
		Played: "the load balancer (a Go reverse proxy with a pool of 600 s that logs in the form of Google's), the 40 ms to Node (a relay); the idle gaps are aimed.",
		Wire:   atBackend,
		Run:    edgeRace,
	},
	{
		Name: "apache-node-keepalive-race", Front: "apache2", Backend: "node",
		Fault: "keepalive-race", Blame: Backend,
		Doc: "Apache keeps idle connections to Node without limit, Node closes them after about 6 s. A request that crosses the close " +
			"gets 502 if it is the first on its client connection; on a later one Apache closes the client's connection without an answer.",
		Played: "the 40 ms between the two hosts (a user-space relay); the idle gaps are aimed at the close.",
		Wire:   []Capture{{File: "front.pcap", Of: []string{"front"}}, {File: "backend.pcap", Of: []string{"app"}}},
		Run:    apacheRace,
	},
	{
		Name: "nginx-gunicorn-keepalive-race", Front: "nginx", Backend: "gunicorn",
		Fault: "keepalive-race", Blame: Backend,
		Doc: "gunicorn's threads close idle connections after keepalive = 2 s (in truth up to a second later), nginx keeps them for 60. " +
			"POSTs that cross the close end as 502, GETs are sent again.",
		Played: "the 40 ms between the two hosts (a user-space relay); the idle gaps are aimed at the close.",
		Wire:   atBackend,
		Run:    gunicornRace,
	},
}

// wireDelay is one way between proxy and application in the races: two sites of
// one region, and a window wide enough to be hit on purpose.
const wireDelay = 40 * time.Millisecond

// startFarNode starts Node behind a relay; @wire@ is the address that a proxy
// connects to. It returns how long an idle connection lives as seen from there.
func startFarNode(ctx context.Context, st *Stage) (time.Duration, error) {
	if _, err := startNode(ctx, st, nodeApp{Host: 11}); err != nil {
		return 0, err
	}
	return startWire(ctx, st)
}

// startWire puts a relay in front of @app@ and measures through it, and beside
// it, which is the truth about the server.
func startWire(ctx context.Context, st *Stage) (time.Duration, error) {
	if err := startRelay(st); err != nil {
		return 0, err
	}
	beside := make(chan error, 1)
	go func() {
		var err error
		st.serverIdle, st.idleSpread, err = medianIdle(ctx, st.Word("app"))
		beside <- err
	}()
	idle, err := measureIdle(ctx, st.Word("wire"))
	err = errors.Join(err, <-beside)
	st.logf("an idle connection lives %v, at the server itself %v within %v", idle, st.serverIdle, st.idleSpread)
	return idle, err
}

const (
	idleProbes = 9
	// probeGap sets the probes apart: servers that look for idle connections
	// once a second close them at once or nearly a second late.
	probeGap = 130 * time.Millisecond
)

// medianIdle measures the idle time-out of addr with several connections, and
// how far apart their ends were.
func medianIdle(ctx context.Context, addr string) (median, spread time.Duration, err error) {
	var lives [idleProbes]time.Duration
	var errs [idleProbes]error
	var wg sync.WaitGroup
	for i := range lives {
		if err := pause(ctx, probeGap); err != nil {
			return 0, 0, err
		}
		wg.Go(func() { lives[i], errs[i] = measureIdle(ctx, addr) })
	}
	wg.Wait()
	slices.Sort(lives[:])
	return lives[idleProbes/2], lives[idleProbes-1] - lives[0], errors.Join(errs[:]...)
}

// startRelay puts a relay, @wire@, in front of @app@.
func startRelay(st *Stage) error {
	app := st.Word("app")
	_, port, err := net.SplitHostPort(app)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	wire, err := st.Addr("wire", 10, n)
	if err != nil {
		return err
	}
	relay, err := NewRelay(wire, app, wireDelay)
	if err != nil {
		return err
	}
	relay.from = net.ParseIP(st.subnet + "1")
	st.onClose(func() { relay.Close() })
	return nil
}

// maxIdle bounds the measurement of a server's idle timeout.
const maxIdle = 30 * time.Second

// measureIdle sends one request to addr and returns how long after the answer
// the server closes the connection.
func measureIdle(ctx context.Context, addr string) (time.Duration, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(maxIdle)); err != nil {
		return 0, err
	}
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: shop.example\r\n\r\n"); err != nil {
		return 0, err
	}
	buf := make([]byte, 16<<10)
	last := time.Now()
	for {
		_, err := c.Read(buf)
		if errors.Is(err, io.EOF) {
			return time.Since(last), nil
		}
		if err != nil {
			return 0, fmt.Errorf("wait for the idle close of %s: %w", addr, err)
		}
		last = time.Now()
	}
}

// raceRounds times there is traffic, a lull that ends about when the server
// closes, and traffic again.
const raceRounds = 14

// edgeRate keeps the load balancer's long entries within what a repository
// should hold.
const edgeRate = 2.8 // requests a second

// race sends ordinary traffic with lulls as long as the idle timeout. A request
// races the close if it leaves less than one round trip before the close is
// seen here.
func race(ctx context.Context, st *Stage, idle time.Duration, rate float64) error {
	return raceWith(ctx, st, idle, rate, shop, []Route{shop[0], shop[2], shop[5], shop[6]})
}

// raceWith is race with a mix for the ordinary traffic and one for the requests
// after a lull.
func raceWith(ctx context.Context, st *Stage, idle time.Duration, rate float64, mix, begins []Route) error {
	rnd := mrand.New(mrand.NewPCG(3, 5))
	ends := []Route{shop[0], shop[2], shop[4]}
	begins = slices.Clone(begins)
	for i := range begins {
		begins[i].Weight = 1
	}
	for range raceRounds {
		if err := st.traffic.Run(ctx, 3*time.Second, rate, mix); err != nil {
			return err
		}
		st.traffic.Burst(ctx, 4, ends)
		window := 2 * wireDelay
		early := time.Duration(rnd.Float64() * 1.2 * float64(window))
		if err := pause(ctx, time.Until(st.traffic.LastEnd().Add(idle-early))); err != nil {
			return err
		}
		st.traffic.Burst(ctx, 3+rnd.IntN(2), begins)
	}
	return st.traffic.Run(ctx, 5*time.Second, rate, mix)
}

func nginxRace(ctx context.Context, st *Stage) error {
	idle, err := startFarNode(ctx, st)
	if err != nil {
		return err
	}
	if err := startPooledNginx(ctx, st); err != nil {
		return err
	}
	return race(ctx, st, idle, 8)
}

// startPooledNginx starts an nginx that keeps connections to @wire@.
func startPooledNginx(ctx context.Context, st *Stage) error {
	_, err := startNginx(ctx, st, nginx{
		HTTP: `
upstream shop {
    server @wire@;
    keepalive 16;
    keepalive_timeout 60s;
}
`,
		Location: proxyHeaders + `proxy_pass http://shop;
proxy_http_version 1.1;
proxy_set_header Connection "";
`})
	return err
}

func apacheRace(ctx context.Context, st *Stage) error {
	idle, err := startFarNode(ctx, st)
	if err != nil {
		return err
	}
	if err := startApache(ctx, st, "http://@wire@", ""); err != nil {
		return err
	}
	return race(ctx, st, idle, 8)
}

func gunicornRace(ctx context.Context, st *Stage) error {
	const config = `bind = "@app@"
workers = 1
threads = 16
keepalive = 2
accesslog = "@dir@/gunicorn-access.log"
errorlog = "@dir@/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
`
	if _, err := startGunicorn(ctx, st, config); err != nil {
		return err
	}
	idle, err := startWire(ctx, st)
	if err != nil {
		return err
	}
	if err := startPooledNginx(ctx, st); err != nil {
		return err
	}
	return race(ctx, st, idle, 7)
}

func haproxyRace(ctx context.Context, st *Stage) error {
	idle, err := startFarNode(ctx, st)
	if err != nil {
		return err
	}
	_, err = startHAProxy(ctx, st, "timeout server 30s\ntimeout http-keep-alive 620s\n",
		"server app1 @wire@ maxconn 200 pool-purge-delay 60s\n")
	if err != nil {
		return err
	}
	if err := startEdge(ctx, st, st.Word("front")); err != nil {
		return err
	}
	return race(ctx, st, idle, edgeRate)
}

func edgeRace(ctx context.Context, st *Stage) error {
	idle, err := startFarNode(ctx, st)
	if err != nil {
		return err
	}
	if err := startEdge(ctx, st, st.Word("wire")); err != nil {
		return err
	}
	return race(ctx, st, idle, edgeRate)
}
