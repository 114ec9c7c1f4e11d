package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	mrand "math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Route is one kind of request.
type Route struct {
	Method string
	Path   string // # is replaced by a number
	Weight int
	Body   string
	Header map[string]string
	Client int // sent by this client, counted from 1; 0 means any
	// Patience is when the client gives up; 0 means clientPatience.
	Patience time.Duration
}

// shop is the ordinary mix of a small web shop.
var shop = []Route{
	{Method: "GET", Path: "/", Weight: 20},
	{Method: "GET", Path: "/products?page=#", Weight: 20},
	{Method: "GET", Path: "/products/#", Weight: 25},
	{Method: "GET", Path: "/static/app.css", Weight: 8},
	{Method: "GET", Path: "/api/cart", Weight: 10},
	{Method: "POST", Path: "/api/cart", Weight: 8, Body: `{"sku":"A-1031","quantity":1}`},
	{Method: "POST", Path: "/api/orders", Weight: 6, Body: `{"payment":"card"}`},
	{Method: "PUT", Path: "/api/orders/#", Weight: 2, Body: `{"note":"ring twice"}`},
	{Method: "DELETE", Path: "/api/cart/#", Weight: 1},
}

// with returns shop plus more routes.
func with(more ...Route) []Route { return append(slices.Clone(shop), more...) }

// userAgents are those that the clients send, one each.
var userAgents = []string{
	"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
	"shop-android/4.2 okhttp/4.12.0",
	"shop-ios/4.1 CFNetwork/1494 Darwin/23.4.0",
	"curl/7.88.1",
	"python-requests/2.28.1",
}

const (
	clientCount    = 12
	clientPatience = 40 * time.Second
	firstClient    = 100 // last number of the first client's address
)

// Traffic sends requests from several client addresses and counts what became
// of them. Its methods may be called concurrently.
type Traffic struct {
	URL string // of the front, without a path

	clients []*http.Client
	wg      sync.WaitGroup
	begin   func() error // called once, before Run sends its first request; may be nil
	begun   bool
	first   string // asked before the front with each new connection; may be empty

	mu    sync.Mutex
	rnd   *mrand.Rand
	tally Tally
	last  time.Time // end of the last exchange
}

// A Tally counts requests as the clients saw them.
type Tally struct {
	Requests int
	Failed   int // 5xx, or no answer
	Aborted  int // the client gave up
	ByStatus map[string]int
}

func (t Tally) String() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(t.ByStatus)) {
		parts = append(parts, fmt.Sprintf("%s %d", k, t.ByStatus[k]))
	}
	return fmt.Sprintf("%d requests, %d failed, %d aborted (%s)", t.Requests, t.Failed, t.Aborted, strings.Join(parts, ", "))
}

func newTraffic(subnet string) *Traffic {
	t := &Traffic{rnd: mrand.New(mrand.NewPCG(7, 11)), tally: Tally{ByStatus: map[string]int{}}}
	for i := range clientCount {
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(subnet + strconv.Itoa(firstClient+i))}}
		t.clients = append(t.clients, &http.Client{
			Transport:     &http.Transport{DialContext: t.dialer(d), IdleConnTimeout: 15 * time.Second, MaxIdleConnsPerHost: 2},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		})
	}
	return t
}

// tryFirst makes each client try addr whenever it connects, as browsers try the
// IPv6 address of a name before the other.
func (t *Traffic) tryFirst(addr string) { t.first = addr }

func (t *Traffic) dialer(d *net.Dialer) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if t.first != "" {
			var any net.Dialer
			if c, err := any.DialContext(ctx, network, t.first); err == nil {
				return c, nil
			}
		}
		return d.DialContext(ctx, network, addr)
	}
}

// Run sends rate requests a second of the given mix for d, at random
// intervals, and waits for the last answer. The first Run of a scenario is not
// concurrent with another.
func (t *Traffic) Run(ctx context.Context, d time.Duration, rate float64, mix []Route) error {
	if t.begin != nil && !t.begun {
		t.begun = true
		if err := t.begin(); err != nil {
			return err
		}
	}
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		t.send(ctx, mix)
		t.mu.Lock()
		gap := time.Duration((0.2 + 1.6*t.rnd.Float64()) / rate * float64(time.Second))
		t.mu.Unlock()
		if err := pause(ctx, gap); err != nil {
			return err
		}
	}
	t.wg.Wait()
	return ctx.Err()
}

// Burst sends n requests of the mix at once, and waits for the answers.
func (t *Traffic) Burst(ctx context.Context, n int, mix []Route) {
	var wg sync.WaitGroup
	for range n {
		route, client := t.pick(mix)
		wg.Go(func() { t.exchange(ctx, route, client) })
	}
	wg.Wait()
}

// LastEnd returns when the last exchange ended.
func (t *Traffic) LastEnd() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// Tally returns the counts so far.
func (t *Traffic) Tally() Tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	tally := t.tally
	tally.ByStatus = maps.Clone(tally.ByStatus)
	return tally
}

func (t *Traffic) send(ctx context.Context, mix []Route) {
	route, client := t.pick(mix)
	t.wg.Go(func() { t.exchange(ctx, route, client) })
}

// pick chooses a route by weight, fills in its number, and chooses a client.
func (t *Traffic) pick(mix []Route) (Route, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	total := 0
	for _, r := range mix {
		total += r.Weight
	}
	n, route := t.rnd.IntN(total), mix[0]
	for _, r := range mix {
		if n < r.Weight {
			route = r
			break
		}
		n -= r.Weight
	}
	route.Path = strings.ReplaceAll(route.Path, "#", strconv.Itoa(1+t.rnd.IntN(400)))
	if route.Client > 0 {
		return route, route.Client - 1
	}
	return route, t.rnd.IntN(len(t.clients))
}

func (t *Traffic) exchange(ctx context.Context, r Route, client int) {
	patience := r.Patience
	if patience == 0 {
		patience = clientPatience
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	result := t.once(ctx, r, client)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = time.Now()
	t.tally.Requests++
	t.tally.ByStatus[result]++
	switch {
	case result == "aborted":
		t.tally.Aborted++
	case result >= "500":
		t.tally.Failed++
	}
}

// once sends one request and returns its status, "aborted" or "no answer".
func (t *Traffic) once(ctx context.Context, r Route, client int) string {
	req, err := http.NewRequestWithContext(ctx, r.Method, t.URL+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return "not sent"
	}
	if r.Body == "" {
		req.Body, req.GetBody = nil, nil
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Host = "shop.example"
	req.Header.Set("User-Agent", userAgents[client%len(userAgents)])
	for k, v := range r.Header {
		req.Header.Set(k, v)
	}
	resp, err := t.clients[client].Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return "aborted"
	case err != nil:
		return "no answer"
	}
	return strconv.Itoa(resp.StatusCode)
}

func (t *Traffic) closeIdle() {
	for _, c := range t.clients {
		c.CloseIdleConnections()
	}
}

// requestID returns a new id in the form of nginx's $request_id.
func requestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
