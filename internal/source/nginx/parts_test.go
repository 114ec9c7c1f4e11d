package nginx

import (
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

func TestSplit(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		var got []string
		for _, x := range split([]byte(in), new([maxTries][]byte)) {
			got = append(got, string(x))
		}
		if s := strings.Join(got, "|"); s != want {
			t.Errorf("split(%q) = %q, want %q", in, s, want)
		}
	}
	f("10.0.0.1:80", "10.0.0.1:80")
	f("10.0.0.1:80, 10.0.0.2:80", "10.0.0.1:80|10.0.0.2:80")
	f("10.0.0.1:80, 10.0.0.2:80 : unix:/a.sock", "10.0.0.1:80|10.0.0.2:80|unix:/a.sock")
	f("[2001:db8::1]:80, -", "[2001:db8::1]:80|-")
	f("502,200", "502|200")
	f("- : 0.003", "-|0.003")
	f("", "")
	f(strings.Repeat("1, ", 99), strings.TrimSuffix(strings.Repeat("1|", maxTries), "|"))
}

func TestAddress(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(address([]byte(in))); got != want {
			t.Errorf("address(%q) = %q, want %q", in, got, want)
		}
	}
	f("http://10.0.0.1:8080/path:1", "10.0.0.1:8080")
	f("https://[2001:db8::1]:443/", "[2001:db8::1]:443")
	f("fastcgi://unix:/run/php.sock:", "unix:/run/php.sock")
	f("http://unix:/run/app.sock:/path", "unix:/run/app.sock")
	f("uwsgi://unix:///run/app.sock:", "unix:/run/app.sock")
	f("unix:///run/app.sock", "unix:/run/app.sock")
	f("http://app_servers/x", "app_servers")
	f("10.0.0.1:443", "10.0.0.1:443")
	f("", "")
}

func TestErrno(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		if got := errnoIn([]byte(in)); got != want {
			t.Errorf("errnoIn(%q) = %d, want %d", in, got, want)
		}
	}
	f("connect() failed (111: Connection refused)", 111)
	f("connect() failed (61: Connection refused)", 111)
	f("connect() failed (10061: No connection could be made)", 111)
	f("upstream timed out (110: Unknown error)", 110)
	f("upstream timed out (60: Operation timed out)", 110)
	f("recv() failed (54: Connection reset by peer)", 104)
	f(`open() "/a(1: b" failed (13: x)`, 1) // what cannot be told apart stays as it is
	f("x could not be resolved (3: Host not found)", 0)
	f("upstream SSL certificate verify error: (10:certificate has expired)", 0)
	f("no number", 0)
	f("((((", 0)
}

func TestShape(t *testing.T) {
	f := func(in string, want shape) {
		t.Helper()
		if got := shapeOf([]byte(in)); got != want {
			t.Errorf("shapeOf(%q) = %d, want %d", in, got, want)
		}
	}
	f("-", shapeNone)
	f("-, -", shapeNone)
	f("", shapeNone)
	f("0.001", shapeTime)
	f("-, 0.001", shapeTime)
	f("60.001, 0.002", shapeTime)
	f("2.50", shapeOther)
	f("502", shapeInt)
	f("10.0.0.1:80", shapeAddr)
	f("[::1]:80", shapeAddr)
	f("unix:/run/x.sock", shapeAddr)
	f("app:9000", shapeAddr)
	f("10.0.0.1", shapeIP)
	f("2001:db8::1", shapeIP)
	f("4b214376388d16b93f7e111904eb797f", shapeID)
	f("123e4567-e89b-12d3-a456-426614174000", shapeID)
	f("HIT", shapeCache)
	f("curl/8.5.0", shapeAgent)
	f("shop.example.com", shapeHost)
}

func TestCompile(t *testing.T) {
	f := func(format, line string, check func(*fact.Request) bool) {
		t.Helper()
		env := &source.Env{IDHeaders: []string{"x-shop-id"}}
		env.Hint(HintLogFormat, format)
		var k keeper
		if newAccessReader(env).Line(&source.Line{Text: []byte(line)}, &k) != source.Mine {
			t.Errorf("%s: not read: %s", format, line)
			return
		}
		if !check(k.last) {
			t.Errorf("%s: %s: read %+v", format, line, k.last)
		}
	}
	f(`$msec|$remote_addr:$remote_port|$scheme://$host$request_uri|$status`, "1773057605.123|10.0.0.1:5123|https://a.example/x?y=1|504",
		func(q *fact.Request) bool {
			return q.Host == "a.example" && q.Path == "/x?y=1" && q.Client == "10.0.0.1:5123" && q.Time.Equal(time.UnixMilli(1773057605123))
		})
	f(`$request_method $uri$is_args$args $status ${request_time}s`, "GET /x?y=1 200 0.005s",
		func(q *fact.Request) bool { return q.Path == "/x?y=1" && q.Duration.D == 5*time.Millisecond })
	f(`$time_local $request $status $upstream_addr $upstream_status`, "09/Mar/2026:12:00:00 +0000 GET /a b HTTP/1.1 502 10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80 502, 502 : 502",
		func(q *fact.Request) bool { return q.Path == "/a b" && len(q.Attempts) == 3 })
	f(`escape=json {"s":$status,"u":"$request_uri","pid":$pid,"c":$connection,"id":"$http_x_shop_id"}`, `{"s":502,"u":"/a\"b","pid":7,"c":12,"id":"abcdef"}`,
		func(q *fact.Request) bool {
			return q.Path == `/a"b` && q.ConnID == "7*12" && len(q.IDs) == 1 && q.IDs[0] == "abcdef"
		})
	f(`$status "$http_traceparent" $request_uri`, `500 "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" /`,
		func(q *fact.Request) bool { return q.IDs[0] == "4bf92f3577b34da6a3ce929d0e0e4736" })
}

// TestLearns: what healthy lines taught helps to read failed ones.
func TestLearns(t *testing.T) {
	r := newAccessReader(&source.Env{})
	var k keeper
	for _, line := range []string{
		`10.0.0.1 [2026-03-09T12:00:00+00:00] "GET /a HTTP/1.1" 200 5 0.000 0.001 0.002 0.004 10.0.0.9:80 200`,
		`10.0.0.1 [2026-03-09T12:00:01+00:00] "GET /a HTTP/1.1" 200 5 0.001 0.003 0.004 0.004 10.0.0.9:80 200`,
		`10.0.0.1 [2026-03-09T12:00:02+00:00] "GET /a HTTP/1.1" 502 5 - - 0.000 0.000 group 502`,
	} {
		if r.Line(&source.Line{Text: []byte(line)}, &k) != source.Mine {
			t.Fatalf("not read: %s", line)
		}
	}
	if q := k.last; q.Ended != fact.NoBackend || q.Writer != fact.WriterSelf || q.Upstream != "group" {
		t.Errorf("read %+v", q)
	}
}

func TestLogsKeepQuietAboutConfigured(t *testing.T) {
	env := &source.Env{}
	env.Hint(hintConfigured, "nginx.conf")
	var n counter
	line := `2026/03/09 12:00:00 [error] 1#1: *1 upstream timed out (110: x) while reading response header from upstream, client: 10.0.0.1, server: _, request: "GET / HTTP/1.1", upstream: "http://10.0.0.2:80/"`
	newErrorReader(env).Line(&source.Line{Text: []byte(line)}, &n)
	if n.settings != 0 || n.requests != 1 {
		t.Errorf("%d settings, %d requests, want 0, 1", n.settings, n.requests)
	}
}

type counter struct {
	nobody
	settings, requests int
}

func (c *counter) State(f fact.Fact) {
	switch f.(type) {
	case *fact.Setting:
		c.settings++
	case *fact.Request:
		c.requests++
	}
}
