package docker

import (
	"strings"
	"testing"
	"time"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats, Wrappers...) }

func FuzzEvents(f *testing.F)  { sourcetest.Fuzz(f, Formats[0]) }
func FuzzInspect(f *testing.F) { sourcetest.Fuzz(f, Formats[1]) }
func FuzzCompose(f *testing.F) { sourcetest.Fuzz(f, Formats[2]) }
func FuzzDaemon(f *testing.F)  { sourcetest.Fuzz(f, Formats[3]) }
func FuzzTable(f *testing.F)   { sourcetest.Fuzz(f, Formats[4]) }

func unwrap(l *source.Line) (ids string) {
	env := &source.Env{}
	for range 4 {
		took := false
		for _, w := range Wrappers {
			if w.Unwrap(env, l) {
				ids, took = ids+" "+w.ID, true
				break
			}
		}
		if !took {
			break
		}
	}
	return strings.TrimSpace(ids)
}

func TestWrappers(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	stamp := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	f := func(path, line, by, text, container string, at time.Time) {
		t.Helper()
		l := source.Line{Text: []byte(line), Path: path}
		ids := unwrap(&l)
		if ids != by || string(l.Text) != text || l.Container != container || !l.Time.Equal(at) {
			t.Errorf("%q:\n got %q text %q container %q at %v\nwant %q text %q container %q at %v",
				line, ids, l.Text, l.Container, l.Time, by, text, container, at)
		}
	}
	var never time.Time

	// json-file
	f("", `{"log":"plain\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}`, "docker-json", "plain", "", stamp)
	f("", `{"log":"a \"q\" \\ \u0041\ud83d\ude00\t\u001b[31mred\u001b[0m\r\n","stream":"stderr","time":"2026-01-02T03:04:05.678901234Z"}`, "docker-json", "a \"q\" \\ A😀\tred", "", stamp)
	f("/var/lib/docker/containers/"+id+"/"+id+"-json.log", `{"log":"x\n","stream":"stderr","attrs":{"tag":"web"},"time":"2026-01-02T03:04:05.678901234Z"}`, "docker-json", "x", "web", stamp)
	f("/var/lib/docker/containers/"+id+"/"+id+"-json.log", `{"log":"x\n","stream":"stderr","time":"2026-01-02T03:04:05.678901234Z"}`, "docker-json", "x", "0123456789ab", stamp)
	f("", `{"log": "x \"q\"\n", "stream": "stderr", "time": "2026-01-02T03:04:05.678901234Z"}`, "docker-json", `x "q"`, "", stamp)
	f("", `{"stream":"stdout","attrs":{"tag":"web"},"time":"2026-01-02T03:04:05.678901234Z","log":"x\n"}`, "docker-json", "x", "web", stamp)
	f("", `{ "time": "2026-01-02T03:04:05.678901234Z", "log": "x", "stream": "stdout" }`, "docker-json", "x", "", stamp)
	f("", `{"log":"x\n","time": "2026-01-02T03:04:05.678901234Z","stream":"stdout"}`, "docker-json", "x", "", stamp)
	f("", `{"log": "x", "stream": "orders", "time": "2026-01-02T03:04:05Z"}`, "", `{"log": "x", "stream": "orders", "time": "2026-01-02T03:04:05Z"}`, "", never)
	f("", `{"log": "x", "stream": "stdout", "time": "2026-01-02T03:04:05Z", "level": "info"}`, "", `{"log": "x", "stream": "stdout", "time": "2026-01-02T03:04:05Z", "level": "info"}`, "", never)
	f("", `{"log":"cut \"in the mid`, "docker-json", `cut "in the mid`, "", never)
	f("", `{"log":"an application's own record","level":"info"}`, "", `{"log":"an application's own record","level":"info"}`, "", never)
	f("", `{"log":`, "", `{"log":`, "", never)

	// log shippers
	f("", `{"log":"x \"y\"\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z","kubernetes":{"pod_name":"shop-1","namespace_name":"prod","host":"node-a"}}`, "docker-json", `x "y"`, "", stamp)
	f("", `{"@timestamp":"2026-01-02T03:04:05.678901234Z","log":"x","kubernetes":{"pod_name":"shop-1"}}`, "kubernetes-record", "x", "shop-1", stamp)

	// CRI
	f("/var/log/pods/prod_shop-7d9f8b6c5d-x2k4q_0f1e/web/0.log", "2026-01-02T03:04:05.678901234Z stderr F   indented", "cri", "  indented", "shop-7d9f8b6c5d-x2k4q", stamp)
	f("/var/log/containers/shop-0_prod_web-"+id+".log", "2026-01-02T04:04:05.678901234+01:00 stdout P half a li", "cri", "half a li", "shop-0", stamp)
	f("", "2026-01-02T03:04:05.678901234Z stdout F", "cri", "", "", stamp)
	f("", "2026-01-02T03:04:05.678901234Z stdout X no", "container-stamp", "stdout X no", "", stamp)

	// stamps alone
	f("must-gather/pods/shop-0/web/web/logs/current.log", "2026-01-02T03:04:05.678901234Z text", "container-stamp", "text", "shop-0", stamp)
	f("", "2026-01-02T03:04:05.678901Z host app: a program's own", "", "2026-01-02T03:04:05.678901Z host app: a program's own", "", never)

	// prefixes
	f("", "web-1  | text", "compose", "text", "web-1", never)
	f("", "my_app_1    |   indented", "compose", "  indented", "my_app_1", never)
	f("", "\x1b[36mweb-1  | \x1b[0m2026-01-02T03:04:05.678901234Z  two", "ansi compose container-stamp", " two", "web-1", stamp)
	f("", "web-1  |", "compose", "", "web-1", never)
	f("", "web.1.k3x@node-a    | text", "compose", "text", "web.1.k3x", never)
	f("", "12:00:01 web.1   | text", "compose", "text", "web.1", never)
	f("", "0|web  | text", "compose", "text", "web", never)
	f("", "INFO     | app:run:3 - text", "", "INFO     | app:run:3 - text", "", never)
	f("", "10.0.0.9 | - | GET /", "", "10.0.0.9 | - | GET /", "", never)
	f("", "a|b", "", "a|b", "", never)
	f("", "| id | name |", "", "| id | name |", "", never)
	f("", "[pod/shop-0/web] 2026-01-02T03:04:05.678901234Z text", "kubectl-prefix container-stamp", "text", "shop-0", stamp)
	f("", "[shop-7d9f8b6c5d-x2k4q web] text", "kubectl-prefix", "text", "shop-7d9f8b6c5d-x2k4q", never)
	f("", "[error] text", "", "[error] text", "", never)
	f("", "shop-7d9f8b6c5d-x2k4q web GET /", "stern", "GET /", "shop-7d9f8b6c5d-x2k4q", never)
	f("", "no-such-thing web GET /", "", "no-such-thing web GET /", "", never)

	// control sequences
	f("", "\x1b]0;title\x07a\x1b[1;31mb\x1b[mc\x1b(Bd\x1b", "ansi", "abcd", "", never)
}

func FuzzWrappers(f *testing.F) {
	f.Add([]byte(`{"log":"a\u00e9\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}`))
	f.Add([]byte("\x1b[36mweb-1  | \x1b[0m2026-01-02T03:04:05.678901234Z two"))
	f.Add([]byte("2026-01-02T03:04:05.678901234Z stderr F text"))
	f.Add([]byte("[pod/shop-0/web] text"))
	f.Add([]byte("shop-7d9f8b6c5d-x2k4q web GET /"))
	f.Add([]byte("0|web  | text"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := source.Line{Text: b, Path: "/var/log/pods/a_b_c/d/0.log"}
		unwrap(&l)
		if len(l.Text) > len(b) {
			t.Errorf("a frame was taken off %q and %q is longer", b, l.Text)
		}
	})
}

func BenchmarkUnwrap(b *testing.B) {
	for name, text := range map[string]string{
		"none": `10.0.0.9 - - [09/Mar/2026:14:00:00 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8" 0.010`,
		"json": `{"log":"10.0.0.9 - - [09/Mar/2026:14:00:00 +0000] \"GET /a HTTP/1.1\" 200 12 \"-\" \"curl/8\" 0.010\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}`,
		"cri":  `2026-01-02T03:04:05.678901234Z stdout F 10.0.0.9 - - [09/Mar/2026:14:00:00 +0000] "GET /a HTTP/1.1" 200 12 "-" "curl/8" 0.010`,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				l := source.Line{Text: []byte(text)}
				unwrap(&l)
			}
		})
	}
}

func TestSaid(t *testing.T) {
	f := func(text string, want bool) {
		t.Helper()
		l := source.Line{Text: []byte(text)}
		if got := sniffSaid(&l) != source.No; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	f("web-1 exited with code 1", true)
	f("shop_web_2 exited with code 0", true)
	f("child exited with code 1", false)
	f("worker process 29 exited with code 1", false)
	f("dependency failed to start: container db exited (1)", true)
	f(" Container web  Started", true)
	f("Container web started", false)
}
