package nginx

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestDuration(t *testing.T) {
	f := func(in string, want time.Duration, ok bool) {
		t.Helper()
		got, k := duration(in)
		if k != ok || got.D != want {
			t.Errorf("duration(%q) = %v, %v, want %v, %v", in, got.D, k, want, ok)
		}
	}
	f("60", 60*time.Second, true)
	f("60s", 60*time.Second, true)
	f("500ms", 500*time.Millisecond, true)
	f("1m30s", 90*time.Second, true)
	f("1h 30m", 90*time.Minute, true)
	f("0", 0, true)
	f("1M", 30*24*time.Hour, true)
	f("", 0, false)
	f("s", 0, false)
	f("-1", 0, false)
	f("10x", 0, false)
	f("99999999999", 0, false)
}

func TestSize(t *testing.T) {
	f := func(in string, want int64, ok bool) {
		t.Helper()
		if got := size(in); got.Known != ok || got.N != want {
			t.Errorf("size(%q) = %v, want %v, %v", in, got, want, ok)
		}
	}
	f("4k", 4096, true)
	f("8K", 8192, true)
	f("1m", 1<<20, true)
	f("16384", 16384, true)
	f("", 0, false)
	f("k", 0, false)
}

func TestSniffConf(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		if got := sniffConf([]byte(text), "x") != source.No; got != want {
			t.Errorf("sniffConf(%q) = %v, want %v", text, got, want)
		}
	}
	f("proxy_next_upstream_tries 1;\n", true)
	f("keepalive 320;\nkeepalive_timeout 60s;\n", true)
	f("# after\nresolver 127.0.0.11 valid=5s;\nset $api st2api:9101;\nproxy_pass http://$api;\n", true)
	f("upstream a {\n  server b:1;\n}\n", true)
	f("location / { proxy_pass http://a:1; }", true)
	f("const server = http.createServer();\nserver.listen(80);\n", false)
	f("listen stats\n    bind :9000\n    mode http\n    server a 10.0.0.1:80 check\n", false)
	f("server:\n  port: 80\n", false)
	f("int main() {\n  return 0;\n}\n", false)
	f("", false)
}

// read returns the settings of a configuration by "object knob".
func settings(t *testing.T, text string) map[string]*fact.Setting {
	t.Helper()
	facts, rep, err := sourcetest.Read(Formats, nil, "nginx.conf", []byte(text))
	if err != nil || rep.Err != nil {
		t.Fatal(err, rep.Err)
	}
	out := map[string]*fact.Setting{}
	for _, x := range facts {
		if s, ok := x.(*fact.Setting); ok {
			out[strings.TrimSpace(s.Object+" "+string(s.Knob))] = s
		}
	}
	return out
}

func TestPool(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		s := settings(t, "upstream app { server 10.0.0.1:80; "+text)["upstream app pool-idle"]
		got := "nothing"
		if s != nil {
			if got = s.Text; s.Dur.Known {
				got = s.Dur.D.String()
			}
			got += " " + string(s.Basis)
		}
		if got != want {
			t.Errorf("%s: pool-idle %q, want %q", text, got, want)
		}
	}
	f(`} server { location / { proxy_pass http://app; } }`, "off default")
	f(`keepalive 8; } server { location / { proxy_pass http://app; } }`, "off default")
	f(`keepalive 8; } server { location / { proxy_http_version 1.1; proxy_pass http://app; } }`, "off default")
	f(`keepalive 8; } server { location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://app; } }`, "1m0s default")
	f(`keepalive 8; keepalive_timeout 15; } server { proxy_http_version 1.1; proxy_set_header Connection ''; location / { proxy_pass http://app/x; } }`, "15s configured")
	// A location's own headers replace all that it would inherit.
	f(`keepalive 8; } server { proxy_http_version 1.1; proxy_set_header Connection ""; location / { proxy_set_header Host x; proxy_pass http://app; } }`, "off default")
	f(`keepalive 8; } server { location / { fastcgi_keep_conn on; fastcgi_pass app; } }`, "1m0s default")
	f(`keepalive 8; } server { location / { grpc_pass grpc://app; } }`, "1m0s default")
	f(`keepalive 8; }`, "1m0s default")
}

func TestResolve(t *testing.T) {
	f := func(pass, want string) {
		t.Helper()
		got := ""
		if s := settings(t, "server { location /x { "+pass+" } }")["location /x upstream-resolve"]; s != nil {
			got = s.Text
		}
		if got != want {
			t.Errorf("%s: upstream-resolve %q, want %q", pass, got, want)
		}
	}
	f("proxy_pass http://app:8080;", "start")
	f("proxy_pass http://app.example.com;", "start")
	f("proxy_pass http://10.0.0.1:8080;", "")
	f("proxy_pass http://[::1]:8080;", "")
	f("proxy_pass http://localhost:8080;", "")
	f("resolver 10.0.0.2; set $a app:8080; proxy_pass http://$a;", "runtime")
	f("fastcgi_pass php:9000;", "start")
	f("fastcgi_pass unix:/run/php.sock;", "")
}

// TestForgiving: pieces and mistakes are read as far as they go.
func TestForgiving(t *testing.T) {
	f := func(text, object string, line int) {
		t.Helper()
		for k, s := range settings(t, text) {
			if k == object && s.Origin.Line == line {
				return
			}
		}
		t.Errorf("%q: no %s at line %d", text, object, line)
	}
	f("location / {\n proxy_read_timeout 5s\n}\n location /b { proxy_read_timeout 6s; }", "location / upstream-reply", 2)
	f("location / {\n proxy_read_timeout 5s\n proxy_connect_timeout 3s;\n}", "location / upstream-connect", 3)
	f("server {\n location / { proxy_read_timeout 5s;", "location / upstream-reply", 2)
	f("}\nproxy_read_timeout 5s;\n", "upstream-reply", 2)
	f("location ~ \"^/a{2}\" {\n proxy_read_timeout 5s; }\n", "location ~ ^/a{2} upstream-reply", 2)
	f("server { set $x \"a;b}\"; # }\n location /y { proxy_read_timeout 5s; } }", "location /y upstream-reply", 2)
	f("location /l { content_by_lua_block {\n local s = [[ } ]] -- }\n local t = {a = '}'}\n } proxy_read_timeout 5s; }", "location /l upstream-reply", 4)
}

// TestSharedConfigs compares with lists of directives that others made.
func TestSharedConfigs(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/configs")
	f, err := os.Open(filepath.Join(dir, "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var truth struct {
			File, Kind string
			Directives []struct {
				Line int
				Name string
				Args string
			}
		}
		if err := json.Unmarshal(sc.Bytes(), &truth); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, "files", truth.File))
		if err != nil {
			t.Fatal(err)
		}
		if truth.Kind != "nginx" {
			if c := sniffConf(data, truth.File); c != source.No {
				t.Errorf("%s: claimed with %d", truth.File, c)
			}
			continue
		}
		if sniffConf(data, truth.File) == source.No && len(truth.Directives) > 0 {
			t.Errorf("%s: not recognised", truth.File)
		}
		root := parseConf(data, &confFile{skip: func(int, string) {}}, 1)
		for _, want := range truth.Directives {
			if !has(root, want.Line, want.Name, want.Args) {
				t.Errorf("%s:%d: no %s %s", truth.File, want.Line, want.Name, want.Args)
			}
		}
	}
}

func has(d *directive, line int, name, args string) bool {
	for _, x := range d.body {
		if x.line == line && x.name == name && strings.Join(x.args, " ") == args || has(x, line, name, args) {
			return true
		}
	}
	return false
}

func TestLogFormatHint(t *testing.T) {
	env := &source.Env{}
	conf := "http { log_format odd '$status~$request_time~' '$request_method~$request_uri~$upstream_addr~$time_iso8601~$upstream_header_time'; }"
	if err := readConf(env, &source.Doc{Path: "nginx.conf", Data: []byte(conf), Skip: func(int, string) {}}, nobody{}); err != nil {
		t.Fatal(err)
	}
	r := newAccessReader(env)
	var got keeper
	line := "502~0.004~POST~/a?b=c~10.0.0.1:80~2026-03-09T12:00:00+00:00~-"
	if r.Line(&source.Line{Text: []byte(line)}, &got) != source.Mine {
		t.Fatal("not read")
	}
	q := got.last
	if !q.Status.Is(502) || q.Method != "POST" || q.Writer != fact.WriterSelf || len(q.Attempts) != 1 || q.Time.IsZero() {
		t.Errorf("read %+v", q)
	}
}

type keeper struct {
	nobody
	last *fact.Request
}

func (k *keeper) State(f fact.Fact) {
	if q, ok := f.(*fact.Request); ok {
		k.last = q.Clone().(*fact.Request)
	}
}
