//go:build linux

package recorder

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"culprit/internal/wire"
)

// raced: the test runs under the race detector.
var raced bool

// childOptions has this test's program be a recorder, for its memory to be
// measured alone.
const childOptions = "CULPRIT_TEST_RECORDER"

func TestMain(m *testing.M) {
	text := os.Getenv(childOptions)
	if text == "" {
		os.Exit(m.Run())
	}
	var opt Options
	if err := json.Unmarshal([]byte(text), &opt); err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { // standard input ends when the test has had enough
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	opt.OnStart = func() { fmt.Println("started") }
	opt.OnNotice = func(s string) { fmt.Println("notice: " + s) }
	if _, err := Run(ctx, opt); err != nil {
		fmt.Println("notice: " + err.Error())
		os.Exit(1)
	}
}

// The load: how long, how many clients, how many requests a connection, and
// one in how many fails.
// CULPRIT_TEST_SOAK=1h soaks longer.
const (
	soakClients = 16
	soakPerConn = 40
	soakOneIn   = 1000
	// soakPause is before each request of a connection: without, the load takes
	// all processors, and the recorder's share is left to chance.
	soakPause = 2 * time.Millisecond
	// soakGrowth is how much memory may grow in the last quarter, in KB: closed
	// connections are remembered for two minutes, so a short soak ends before
	// there are as many as there will be.
	soakGrowth = 16 << 10
)

var soakFor = func() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("CULPRIT_TEST_SOAK")); err == nil {
		return d
	}
	return 15 * time.Second
}()

// TestBesideRealTraffic puts the recorder beside nginx and Node under load with
// one failing request in a thousand. The ids of the load are the truth: every
// failed connection is in the slices, on both sides of the gateway, nothing
// else is, and memory stays flat.
func TestBesideRealTraffic(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	if raced {
		t.Skip("the race detector makes a recorder too slow for this load: the kernel drops frames")
	}
	needs(t, "nginx", "node")
	dir := t.TempDir()
	g := startGateway(t, dir)
	out := filepath.Join(dir, "slices")
	rec := startRecorder(t, Options{Interface: "lo", Ports: []uint16{g.front, g.back, g.dead}, Dir: out, Ring: 16 << 20, Kernel: true})

	var sizes []int
	stop := time.AfterFunc(soakFor*3/4, func() { sizes = append(sizes, rec.resident(t)) })
	fronts, failed, total := g.load(t)
	stop.Stop()
	time.Sleep(500 * time.Millisecond) // the last answers' packets
	sizes = append(sizes, rec.resident(t))
	stats := rec.end(t, out)
	backs := g.end()
	t.Logf("%d requests, %d failed, %d connections of clients of which %d had a failure; %d frames, %d dropped, %d slices, resident %v KB, failures %v",
		total, failed, g.conns, len(fronts), stats.Frames, stats.KernelDrops, stats.Slices, sizes, stats.Failures)
	if stats.KernelDrops > 0 || stats.Lost > 0 || stats.NotKept > 0 {
		t.Errorf("%d frames dropped, %d lost, %d failures not kept", stats.KernelDrops, stats.Lost, stats.NotKept)
	}
	if len(sizes) != 2 || sizes[1] > sizes[0]+soakGrowth {
		t.Errorf("resident memory went from %v KB", sizes)
	}

	frontPort, backPort, deadPort := strconv.Itoa(int(g.front)), strconv.Itoa(int(g.back)), strconv.Itoa(int(g.dead))
	have := map[string]bool{} // "port of the client's end, port of the server's"
	refused := 0
	for _, conns := range readSlices(t, out) {
		for c := range conns {
			client, server, _ := strings.Cut(strings.ReplaceAll(c, "127.0.0.1:", ""), " ")
			if server != frontPort && server != backPort && server != deadPort {
				client, server = server, client
			}
			if server == deadPort {
				refused++
			} else {
				have[client+" "+server] = true
			}
		}
	}
	want := map[string]bool{}
	for port := range fronts {
		want[port+" "+frontPort] = true
	}
	for port := range backs {
		want[port+" "+backPort] = true
	}
	for c := range want {
		if !have[c] {
			t.Errorf("the failed connection %s is in no slice", c)
		}
	}
	for c := range have {
		if !want[c] {
			t.Errorf("the connection %s is in a slice and had no failure", c)
		}
	}
	if n := g.refused; refused != n {
		t.Errorf("%d refused connections are kept, of %d", refused, n)
	}
	wantSecretsGone(t, out)
}

// wantSecretsGone: the load sends a cookie with every request.
func wantSecretsGone(t *testing.T, dir string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.pcapng"))
	for _, name := range names {
		eachFrame(t, name, func(p *wire.Packet, _ *wire.Segment) {
			if strings.Contains(string(p.Data), "S3CR3T") {
				t.Errorf("%s: packet %d holds a secret", name, p.N)
			}
		})
	}
}

func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s (apt install %s)", p, strings.ReplaceAll(p, "node", "nodejs"))
		}
	}
	if tap, err := openTap("lo", nil); err != nil {
		t.Skipf("needs CAP_NET_RAW: run as root, or sudo setcap cap_net_raw+ep on the test's binary (%v)", err)
	} else {
		tap.close()
	}
}

// gateway is nginx before Node.
type gateway struct {
	front, back, dead uint16
	conns, refused    int

	node, nginx *exec.Cmd
	mu          sync.Mutex
	told        map[string]bool // client ports of the connections Node failed on
	read        chan struct{}
}

const soakNode = `
const http = require('http');
http.createServer((q, r) => {
  const port = q.socket.remotePort;
  const fails = () => process.stdout.write('failed ' + port + '\n');
  switch (q.url.split('?')[0]) {
  case '/fail/close': fails(); q.socket.destroy(); return;
  case '/fail/reset': fails(); q.socket.resetAndDestroy(); return;
  case '/fail/503': fails(); r.writeHead(503, {'Set-Cookie': 'sid=S3CR3T'}); r.end('busy'); return;
  case '/fail/cut': fails(); r.writeHead(200, {'Content-Length': 1000}); r.write('half'); setTimeout(() => q.socket.destroy(), 20); return;
  }
  r.end('fine\n');
}).listen(BACK, '127.0.0.1', () => process.stdout.write('ready\n'));
`

const soakNginx = `
daemon off; worker_processes 1; pid DIR/nginx.pid; error_log DIR/error.log;
events { worker_connections 512; }
http {
  access_log off; client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR;
  upstream app { server 127.0.0.1:BACK; keepalive 32; keepalive_requests 100; }
  server {
    listen 127.0.0.1:FRONT;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off; proxy_buffering off;
    location / { proxy_pass http://app; }
    location /fail/refused { proxy_pass http://127.0.0.1:DEAD; }
  }
}
`

func startGateway(t *testing.T, dir string) *gateway {
	g := &gateway{front: freePort(t), back: freePort(t), dead: freePort(t), told: map[string]bool{}, read: make(chan struct{})}
	fill := strings.NewReplacer("FRONT", fmt.Sprint(g.front), "BACK", fmt.Sprint(g.back), "DEAD", fmt.Sprint(g.dead), "DIR", dir)
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(fill.Replace(soakNginx)), 0o600); err != nil {
		t.Fatal(err)
	}
	g.node = exec.Command("node", "-e", fill.Replace(soakNode))
	stdout, err := g.node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	g.nginx = exec.Command("nginx", "-c", conf, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	for _, c := range []*exec.Cmd{g.node, g.nginx} {
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() {
		t.Fatal("node says nothing")
	}
	go func() {
		defer close(g.read)
		for lines.Scan() {
			if port, ok := strings.CutPrefix(lines.Text(), "failed "); ok {
				g.mu.Lock()
				g.told[port] = true
				g.mu.Unlock()
			}
		}
	}()
	waitFor(t, func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.front))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return g
}

// end stops Node, and gives the client ports of the connections it failed on.
func (g *gateway) end() map[string]bool {
	g.node.Process.Signal(syscall.SIGTERM)
	<-g.read
	return g.told
}

func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return endpointOf(l.Addr()).Port
}

func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not ready after 10 s")
		}
	}
}

var soakFailures = []string{"close", "reset", "503", "cut", "refused"}

// load sends requests, and gives the ports of the client's ends on which one
// failed.
func (g *gateway) load(t *testing.T) (fronts map[string]bool, failed, total int) {
	fronts = map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(soakFor)
	for worker := range soakClients {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(worker), 5))
			for time.Now().Before(end) {
				port, bad, n, err := g.converse(rnd)
				mu.Lock()
				if err != nil {
					t.Errorf("client: %v", err)
				}
				g.conns++
				total += n
				for _, b := range bad {
					fronts[port] = true
					failed++
					if b == "refused" {
						g.refused++
					}
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return fronts, failed, total
}

// converse is one connection of a client.
func (g *gateway) converse(rnd *rand.Rand) (port string, bad []string, n int, err error) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.front))
	if err != nil {
		return "", nil, 0, err
	}
	defer c.Close()
	_, port, _ = net.SplitHostPort(c.LocalAddr().String())
	r := bufio.NewReader(c)
	for range soakPerConn {
		path, fails := "/shop", ""
		if rnd.IntN(soakOneIn) == 0 {
			fails = soakFailures[rnd.IntN(len(soakFailures))]
			path = "/fail/" + fails
			bad = append(bad, fails)
		}
		n++
		time.Sleep(soakPause)
		if _, err := fmt.Fprintf(c, "GET %s?token=S3CR3T HTTP/1.1\r\nHost: shop\r\nX-Request-Id: %016x\r\nCookie: sid=S3CR3T\r\n\r\n", path, rnd.Uint64()); err != nil {
			return port, bad, n, err
		}
		a, err := http.ReadResponse(r, nil)
		if err != nil {
			return port, bad, n, err
		}
		_, err = io.Copy(io.Discard, a.Body)
		a.Body.Close()
		if fails == "cut" {
			if err == nil {
				err = fmt.Errorf("the cut answer was whole")
			} else {
				err = nil
			}
			return port, bad, n, err
		}
		if err != nil || fails == "" && a.StatusCode != 200 || fails != "" && a.StatusCode < 500 {
			return port, bad, n, fmt.Errorf("%s: status %d, %w", path, a.StatusCode, err)
		}
	}
	return port, bad, n, nil
}

// recording is a recorder in a process of its own.
type recording struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Scanner
}

func startRecorder(t *testing.T, opt Options) *recording {
	text, err := json.Marshal(struct {
		Interface, Dir string
		Ports          []uint16
		Ring           int64
		Kernel         bool
	}{opt.Interface, opt.Dir, opt.Ports, opt.Ring, opt.Kernel})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{cmd: exec.Command(self)}
	r.cmd.Env = append(os.Environ(), childOptions+"="+string(text), "GOGC=20")
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill(); r.cmd.Wait() })
	r.out = bufio.NewScanner(stdout)
	for r.out.Scan() {
		if r.out.Text() == "started" {
			return r
		}
		t.Log(r.out.Text())
	}
	t.Fatal("the recorder does not start")
	return nil
}

// resident is the recorder's memory, in KB.
func (r *recording) resident(t *testing.T) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// end has the recorder finish, and gives what it counted.
func (r *recording) end(t *testing.T, dir string) Stats {
	cpu := time.Duration(0)
	r.stdin.Close()
	for r.out.Scan() {
		t.Log(r.out.Text())
	}
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("the recorder: %v", err)
	}
	cpu = r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
	b, err := os.ReadFile(filepath.Join(dir, StateFile))
	if err != nil {
		t.Fatal(err)
	}
	var s Stats
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	t.Logf("the recorder took %v of processor time; kinds %v", cpu.Round(time.Millisecond), slices.Sorted(maps.Keys(s.Failures)))
	return s
}
