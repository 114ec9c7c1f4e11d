package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// edgeIdle is how long Google's load balancer keeps an idle connection to a
// backend, and edgeTimeout its default time for an answer.
const (
	edgeIdle    = 600 * time.Second
	edgeTimeout = 30 * time.Second
)

// startEdge plays a global external Application Load Balancer in front of
// target and writes its log to lb.json, one LogEntry a line.
func startEdge(ctx context.Context, st *Stage, target string) error {
	out, err := st.create("lb.json")
	if err != nil {
		return err
	}
	addr, err := st.Addr("edge", 2, frontPort)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: l.Addr().(*net.TCPAddr).IP}}
	server := &http.Server{Handler: newEdge(target, d, out)}
	go server.Serve(l) // ends with Close
	st.onClose(func() { server.Close() })
	st.traffic.URL = "http://" + addr
	return waitListening(ctx, "tcp", addr)
}

// An edge is a reverse proxy that logs as the load balancer does. Go's
// transport, like Google's, sends a GET again when a re-used connection turns
// out to be dead, and gives up on a POST.
type edge struct {
	proxy *httputil.ReverseProxy

	mu  sync.Mutex
	out *os.File
}

// exchange is what the log needs to know of one request.
type edgeExchange struct {
	status   int
	size     int64
	serverIP string
	details  string
}

type edgeKey struct{}

func newEdge(target string, d *net.Dialer, out *os.File) *edge {
	e := &edge{out: out}
	e.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: target})
			r.Out.Host = r.In.Host
			r.Out.Header["Via"] = []string{"1.1 google"}
		},
		Transport: &http.Transport{
			DialContext:           d.DialContext,
			IdleConnTimeout:       edgeIdle,
			ResponseHeaderTimeout: edgeTimeout,
			MaxIdleConnsPerHost:   64,
			DisableCompression:    true,
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			x := r.Context().Value(edgeKey{}).(*edgeExchange)
			x.details, x.status = edgeDetails(err)
			w.WriteHeader(x.status)
			io.WriteString(w, "<title>502 Server Error</title>")
		},
	}
	return e
}

// edgeDetails gives an error of the transport the load balancer's words.
func edgeDetails(err error) (details string, status int) {
	var dial *net.OpError
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "client_disconnected_before_any_response", 499
	case errors.As(err, &dial) && dial.Op == "dial":
		return "failed_to_connect_to_backend", http.StatusBadGateway
	case errors.As(err, &timeout) && timeout.Timeout():
		return "backend_timeout", http.StatusGatewayTimeout
	}
	return "backend_connection_closed_before_data_sent_to_client", http.StatusBadGateway
}

// A countingWriter notes status and size.
type countingWriter struct {
	http.ResponseWriter
	x *edgeExchange
}

func (w *countingWriter) WriteHeader(status int) {
	w.x.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(b []byte) (int, error) {
	w.x.size += int64(len(b))
	return w.ResponseWriter.Write(b)
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	trace := requestID()
	r.Header.Set("X-Request-ID", trace)
	r.Header.Set("X-Cloud-Trace-Context", trace+"/"+strconv.FormatUint(uint64(start.UnixNano()), 10))
	x := &edgeExchange{status: http.StatusOK, details: "response_sent_by_backend"}
	ctx := context.WithValue(r.Context(), edgeKey{}, x)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
		x.serverIP, _, _ = net.SplitHostPort(c.Conn.RemoteAddr().String())
	}})
	e.proxy.ServeHTTP(&countingWriter{w, x}, r.WithContext(ctx))
	e.log(r, x, trace, start, time.Now())
}

// severity is what the load balancer's entries carry for a status.
func severity(status int) string {
	if status >= http.StatusBadRequest {
		return "WARNING"
	}
	return "INFO"
}

// stampLayout has as many digits as Google's entries.
const stampLayout = "2006-01-02T15:04:05.000000Z"

func (e *edge) log(r *http.Request, x *edgeExchange, trace string, start, end time.Time) {
	remote, _, _ := net.SplitHostPort(r.RemoteAddr)
	request := map[string]any{
		"latency":       fmt.Sprintf("%.6fs", end.Sub(start).Seconds()),
		"remoteIp":      remote,
		"requestMethod": r.Method,
		"requestSize":   strconv.FormatInt(int64(len(r.Method)+len(r.RequestURI))+180+max(0, r.ContentLength), 10),
		"requestUrl":    "http://" + r.Host + r.RequestURI,
		"responseSize":  strconv.FormatInt(x.size+160, 10),
		"status":        x.status,
		"userAgent":     r.UserAgent(),
	}
	if x.serverIP != "" {
		request["serverIp"] = x.serverIP
	}
	entry := map[string]any{
		"httpRequest": request,
		"insertId":    trace[:14],
		"jsonPayload": map[string]any{
			"@type":         "type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry",
			"statusDetails": x.details,
		},
		"logName":          "projects/shop-prod/logs/requests",
		"receiveTimestamp": end.UTC().Add(time.Second).Format(stampLayout),
		"resource": map[string]any{
			"type": "http_load_balancer",
			"labels": map[string]string{
				"backend_service_name": "shop-backend", "forwarding_rule_name": "shop-rule", "project_id": "shop-prod",
				"target_proxy_name": "shop-proxy", "url_map_name": "shop-map", "zone": "global",
			},
		},
		"severity":  severity(x.status),
		"spanId":    trace[16:],
		"timestamp": start.UTC().Format(stampLayout),
		"trace":     "projects/shop-prod/traces/" + trace,
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(entry); err != nil {
		return // strings and numbers always encode
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	io.WriteString(e.out, b.String())
}
