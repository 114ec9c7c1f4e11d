package nginx

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// tree parts a text into files: each begins with a line "== NAME".
func tree(text string) []source.Input {
	var in []source.Input
	for _, part := range strings.Split(strings.TrimPrefix(text, "== "), "\n== ") {
		name, body, _ := strings.Cut(part, "\n")
		in = append(in, sourcetest.Input(name, []byte(body+"\n")))
	}
	return in
}

// told is what a setting tells, without where it stands.
func told(s *fact.Setting) string {
	v := s.Text
	switch {
	case s.Dur.Known:
		v = s.Dur.D.String()
	case s.Num.Known:
		v = fmt.Sprint(s.Num.N)
	}
	return fmt.Sprintf("%s|%s|%s|%s|%s|%s", s.Party.Role, s.Object, s.Knob, v, s.Basis, s.Spelling)
}

// readTree returns what the settings of files tell, sorted, and in which file
// and line the first of each stands.
func readTree(t *testing.T, in []source.Input) (all []string, where map[string]string) {
	t.Helper()
	facts, reports, err := sourcetest.ReadFiles(Formats, nil, in...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if r.Err != nil || r.Skipped > 0 {
			t.Errorf("%s: %v, skipped %+v", r.Path, r.Err, r.FirstSkipped)
		}
	}
	where = map[string]string{}
	for _, x := range facts {
		if s, ok := x.(*fact.Setting); ok {
			all = append(all, told(s))
			if where[told(s)] == "" {
				where[told(s)] = fmt.Sprintf("%s:%d", s.Origin.Path, s.Origin.Line)
			}
		}
	}
	slices.Sort(all)
	return all, where
}

// same compares what two readings tell.
func same(t *testing.T, title string, got, want []string) {
	t.Helper()
	for _, x := range got {
		if !slices.Contains(want, x) {
			t.Errorf("%s: tells %s", title, x)
		}
	}
	for _, x := range want {
		if !slices.Contains(got, x) {
			t.Errorf("%s: does not tell %s", title, x)
		}
	}
	if !t.Failed() && len(got) != len(want) {
		t.Errorf("%s: tells %d settings, want %d", title, len(got), len(want))
	}
}

const (
	wholeShop = `== nginx.conf
worker_processes 2;
events { worker_connections 4096; }
http {
    include mime.types;
    log_format main '$remote_addr $status $upstream_addr';
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 20s;
    map $http_upgrade $upgrade { default upgrade; '' close; }
    upstream shop { server shop1.internal:8080; server 10.1.0.6:8080 max_fails=0; keepalive 16; keepalive_timeout 50s; }
    upstream chat { server 10.1.0.9:9000; keepalive 4; }
    server {
        server_name shop.example.net;
        listen 80;
        location / { proxy_pass http://shop; proxy_connect_timeout 3s; proxy_next_upstream error timeout http_502; }
        location /chat { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade; proxy_pass http://chat; }
        location /pay { proxy_pass http://pay.example.org; proxy_buffer_size 16k; }
    }
}`
	partedShop = `== nginx.conf
worker_processes 2;
events { worker_connections 4096; }
http {
    include mime.types;
    log_format main '$remote_addr $status $upstream_addr';
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    include /etc/nginx/conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
== conf.d/timeouts.conf
# for all
proxy_read_timeout 20s;
== conf.d/upstreams.conf
map $http_upgrade $upgrade { default upgrade; '' close; }
upstream shop { include /etc/nginx/members/shop; keepalive 16; keepalive_timeout 50s; }
upstream chat { server 10.1.0.9:9000; keepalive 4; }
== members/shop
server shop1.internal:8080;
server 10.1.0.6:8080 max_fails=0;
== sites-enabled/shop
server {
    server_name shop.example.net;
    listen 80;
    include snippets/locations.conf;
}
== snippets/locations.conf
location / {
    proxy_pass http://shop;
    include /etc/nginx/snippets/fast.conf;
}
location /chat { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade; proxy_pass http://chat; }
location /pay { proxy_pass http://pay.example.org; proxy_buffer_size 16k; }
== snippets/fast.conf

proxy_connect_timeout 3s;
proxy_next_upstream error timeout http_502;`
)

// moved puts the files of a tree into a folder.
func moved(dir, text string) string { return strings.ReplaceAll(text, "== ", "== "+dir) }

// TestParted: a configuration tells the same, whole or in files.
func TestParted(t *testing.T) {
	want, _ := readTree(t, tree(wholeShop))
	if !slices.Contains(want, "gateway|upstream shop|pool-idle|50s|configured|keepalive_timeout {s}s;") ||
		!slices.Contains(want, `gateway|upstream chat|pool-idle|off|default|proxy_http_version 1.1; proxy_set_header Connection "";`) {
		t.Fatalf("the whole tells\n%s", strings.Join(want, "\n"))
	}
	for _, dir := range []string{"", "./nginx/", "/etc/nginx/", "web1/etc/nginx/", "evidence/nginx-web1/"} {
		in := tree(moved(dir, partedShop))
		got, where := readTree(t, in)
		same(t, dir, got, want)
		for what, file := range map[string]string{
			"gateway|location /|upstream-connect|3s|configured|proxy_connect_timeout {s}s;":     "snippets/fast.conf:2",
			"gateway|http|upstream-reply|20s|configured|proxy_read_timeout {s}s;":               "conf.d/timeouts.conf:2",
			"gateway|upstream shop|upstream-address|10.1.0.6:8080|configured|server ADDRESS;":   "members/shop:2",
			"gateway|upstream shop|pool-idle|50s|configured|keepalive_timeout {s}s;":            "conf.d/upstreams.conf:2",
			"gateway|server shop.example.net|listen-address|80|configured|listen ADDRESS;":      "sites-enabled/shop:3",
			"gateway|location /pay|upstream-header-max|16384|configured|proxy_buffer_size {n};": "snippets/locations.conf:6",
		} {
			if where[what] != dir+file {
				t.Errorf("%s stands in %s, want %s", what, where[what], dir+file)
			}
		}
		slices.Reverse(in)
		turned, _ := readTree(t, in)
		same(t, dir+" in another order", turned, want)
	}
	t.Run("one folder", func(t *testing.T) {
		flat := partedShop
		for _, dir := range []string{"conf.d/", "sites-enabled/", "snippets/", "members/"} {
			flat = strings.ReplaceAll(flat, "== "+dir, "== ")
		}
		// Two files called shop cannot lie in one folder.
		flat = strings.Replace(strings.ReplaceAll(flat, "members/shop", "members/shop.members"), "== shop\nserver shop1", "== shop.members\nserver shop1", 1)
		got, _ := readTree(t, tree(flat))
		same(t, "flat", got, want)
	})
	t.Run("dump", func(t *testing.T) {
		dump := strings.ReplaceAll(moved("/etc/nginx/", partedShop), "== /etc", "# configuration file /etc")
		var b strings.Builder
		b.WriteString("nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n")
		for _, line := range strings.Split(dump, "\n") {
			if strings.HasPrefix(line, "# configuration file") {
				line += ":"
			}
			b.WriteString(line + "\n")
		}
		got, where := readTree(t, []source.Input{sourcetest.Input("dump.txt", []byte(b.String()))})
		same(t, "dump", got, want)
		n := 1 + strings.Count(b.String()[:strings.Index(b.String(), "proxy_connect_timeout")], "\n")
		what := "gateway|location /|upstream-connect|3s|configured|proxy_connect_timeout {s}s;"
		if where[what] != fmt.Sprintf("dump.txt:%d", n) {
			t.Errorf("in a dump: %s, want line %d", where[what], n)
		}
	})
}

// TestInstances: two folders, each with its own nginx.conf, do not mix.
func TestInstances(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		got, _ := readTree(t, tree(text))
		for _, w := range want {
			if what, not := strings.CutPrefix(w, "not "); not == slices.Contains(got, what) {
				t.Errorf("%s\nin\n%s\ntold\n%s", w, text, strings.Join(got, "\n"))
			}
		}
	}
	main := "events {}\nhttp { %sinclude /etc/nginx/conf.d/*.conf; }\n"
	one := fmt.Sprintf(main, `proxy_http_version 1.1; proxy_set_header Connection ""; `)
	two := fmt.Sprintf(main, "")
	site := "upstream %s { server 10.0.0.1:80; keepalive 2; }\nserver { location /%[1]s { proxy_pass http://%[1]s; } }\n"
	a, b := fmt.Sprintf(site, "a"), fmt.Sprintf(site, "b")
	kept := "gateway|upstream %s|pool-idle|1m0s|default|keepalive_timeout {s}s;"
	closed := `gateway|upstream %s|pool-idle|off|default|proxy_http_version 1.1; proxy_set_header Connection "";`
	f("== web1/nginx.conf\n"+one+"== web1/conf.d/a.conf\n"+a+"== web2/nginx.conf\n"+two+"== web2/conf.d/b.conf\n"+b,
		fmt.Sprintf(kept, "a"), fmt.Sprintf(closed, "b"), "not "+fmt.Sprintf(kept, "b"), "not "+fmt.Sprintf(closed, "a"))
	// The second has no conf.d: it does not take the first's.
	f("== web1/nginx.conf\n"+one+"== web1/conf.d/a.conf\n"+a+"== web2/nginx.conf\n"+two,
		fmt.Sprintf(kept, "a"), "not "+fmt.Sprintf(closed, "a"))
	// One folder within the other's.
	f("== etc/nginx.conf\n"+one+"== etc/conf.d/a.conf\n"+a+"== etc/inner/nginx.conf\n"+two+"== etc/inner/conf.d/b.conf\n"+b,
		fmt.Sprintf(kept, "a"), fmt.Sprintf(closed, "b"), "not "+fmt.Sprintf(kept, "b"))
	// What is not Debian's enabled is not read; what is, once.
	f("== nginx/nginx.conf\nhttp { include sites-enabled/*; }\n== nginx/sites-enabled/a\n"+a+"== nginx/sites-available/a\n"+a+"== nginx/sites-available/b\n"+b,
		fmt.Sprintf(closed, "a"), "not "+fmt.Sprintf(closed, "b"))
	// Where the links were lost, the sites are there.
	f("== nginx/nginx.conf\n"+strings.Replace(one, "conf.d/*.conf", "sites-enabled/*", 1)+"== nginx/sites-available/a\n"+a, fmt.Sprintf(kept, "a"))
	// A copy elsewhere is not taken where there is one at hand.
	f("== nginx/nginx.conf\n"+one+"== nginx/conf.d/a.conf\n"+a+"== nginx/old/conf.d/b.conf\n"+b, fmt.Sprintf(kept, "a"), fmt.Sprintf(closed, "b"))
	// What a package left beside nginx.conf is not read.
	f("== nginx/nginx.conf\n"+one+"== nginx/conf.d/a.conf\n"+a+"== nginx/nginx.conf.dpkg-old\n"+two+"== nginx/nginx.conf~\n"+two, fmt.Sprintf(kept, "a"), "not "+fmt.Sprintf(closed, "a"))
	// Absolute folders outside of nginx' own.
	f("== ev/etc/nginx/nginx.conf\n"+strings.Replace(one, "/etc/nginx/conf.d", "/opt/shop/conf.d", 1)+"== ev/etc/nginx/conf.d/b.conf\n"+b+"== ev/opt/shop/conf.d/a.conf\n"+a,
		fmt.Sprintf(kept, "a"), fmt.Sprintf(closed, "b"))
}

// TestWithoutMain: files whose nginx.conf is not there.
func TestWithoutMain(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, _ := readTree(t, tree(text))
		if !slices.Contains(got, want) {
			t.Errorf("%s\ndoes not tell %s, but\n%s", text, want, strings.Join(got, "\n"))
		}
	}
	up := "upstream app { server 10.0.0.1:80; keepalive 2; keepalive_timeout 7s; }\n"
	site := "server { location / { %sproxy_pass http://app; } }\n"
	reuse := "proxy_http_version 1.1;\nproxy_set_header Connection \"\";\n"
	const kept = "gateway|upstream app|pool-idle|7s|configured|keepalive_timeout {s}s;"
	const closed = `gateway|upstream app|pool-idle|off|default|proxy_http_version 1.1; proxy_set_header Connection "";`
	f("== conf.d/a.conf\n"+up+"== conf.d/b.conf\n"+fmt.Sprintf(site, ""), closed)
	f("== conf.d/a.conf\n"+up+"== conf.d/b.conf\n"+fmt.Sprintf(site, reuse), kept)
	f("== conf.d/a.conf\n"+up+"== conf.d/b.conf\n"+fmt.Sprintf(site, "")+"== conf.d/reuse.conf\n"+reuse, kept)
	f("== n/conf.d/a.conf\n"+up+"== n/sites-enabled/b\n"+fmt.Sprintf(site, "include snippets/reuse.conf; ")+"== n/snippets/reuse.conf\n"+reuse, kept)
	f("== app-upstream.conf\n"+up+"== app-server.conf\n"+fmt.Sprintf(site, ""), closed)
	f("== app-upstream.conf\n"+up+"== app-location.conf\n"+reuse+"location / { proxy_pass http://app; }\n", kept)
	// Another file's directives are not inherited where nothing says that
	// both stand in one block.
	f("== app-upstream.conf\n"+up+"== app-server.conf\n"+fmt.Sprintf(site, "")+"== other.conf\n"+reuse, closed)
	// Two define it: of two instances.
	f("== a.conf\n"+up+"== b.conf\n"+up+"== c.conf\n"+fmt.Sprintf(site, ""), kept)
}

// TestIncludeBounds: circles and bombs end.
func TestIncludeBounds(t *testing.T) {
	got, _ := readTree(t, tree("== a.conf\nproxy_read_timeout 5s;\ninclude b.conf;\n== b.conf\nproxy_connect_timeout 6s;\ninclude a.conf;\ninclude b.conf;\n"))
	if len(got) != 2 {
		t.Errorf("a circle tells %q", got)
	}
	var b strings.Builder
	b.WriteString("== nginx.conf\nhttp { include f0; }\n")
	for i := range 20 {
		fmt.Fprintf(&b, "== f%d\nproxy_read_timeout %ds;\n%s", i, i+1, strings.Repeat(fmt.Sprintf("include f%d;\n", i+1), 30))
	}
	facts, _, err := sourcetest.ReadFiles(Formats, nil, tree(strings.TrimSuffix(b.String(), "\n"))...)
	if err != nil || len(facts) == 0 {
		t.Errorf("%d facts, %v", len(facts), err)
	}
}

// BenchmarkSites reads many sites, each a file with the same snippet, with an
// upstream block of its own.
func BenchmarkSites(b *testing.B) {
	const sites = 2000
	text := "== nginx/nginx.conf\nevents {}\nhttp { include conf.d/*.conf; }\n== nginx/snippets/proxy.conf\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\nproxy_read_timeout 9s;"
	for i := range sites {
		text += fmt.Sprintf("\n== nginx/conf.d/%04d.conf\nupstream app%[1]d { server 10.0.0.1:80; keepalive 2; }\nserver { server_name h%[1]d; include snippets/proxy.conf; location / { proxy_pass http://app%[1]d; } }", i)
	}
	in := tree(text)
	for b.Loop() {
		if _, _, err := sourcetest.ReadFiles(Formats, nil, in...); err != nil {
			b.Fatal(err)
		}
	}
}

// TestRealDump compares what nginx itself dumps with its files read apart.
func TestRealDump(t *testing.T) {
	bin, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed; try: apt-get install nginx")
	}
	dir := t.TempDir()
	temp := ""
	for _, of := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += of + "_temp_path " + dir + "/" + of + "; "
	}
	var in []source.Input
	for _, x := range tree(strings.NewReplacer("/etc/nginx/", dir+"/", "worker_processes 2;", "pid "+dir+"/pid;\nerror_log stderr;", "shop1.internal", "127.0.0.3", "pay.example.org", "127.0.0.4", "listen 80", "listen 127.0.0.1:8099",
		"proxy_buffer_size 16k;", "proxy_buffer_size 16k; proxy_busy_buffers_size 20k;", "include mime.types;", temp+"include mime.types;").Replace(partedShop + "\n== mime.types\ntypes { text/html html; }")) {
		r, _ := x.Open()
		var data bytes.Buffer
		if _, err := data.ReadFrom(r); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, x.Path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		in = append(in, sourcetest.Input(file, data.Bytes()))
	}
	cmd := exec.Command(bin, "-T", "-c", filepath.Join(dir, "nginx.conf"))
	var said bytes.Buffer
	cmd.Stderr = &said
	dump, err := cmd.Output()
	if err != nil {
		t.Fatalf("nginx does not take the configuration: %v\n%s", err, said.String())
	}
	apart, stands := readTree(t, in)
	got, at := readTree(t, []source.Input{sourcetest.Input("nginx-T.txt", dump)})
	same(t, "dump", got, apart)
	got, _ = readTree(t, []source.Input{sourcetest.Input("nginx-T.txt", append(said.Bytes(), dump...))})
	same(t, "dump with messages", got, apart)
	lines := strings.Split(string(dump), "\n")
	for what, place := range at {
		var n, m int
		file, line, _ := strings.Cut(strings.TrimPrefix(place, "nginx-T.txt:"), ":")
		fmt.Sscan(file+line, &n)
		file, line, _ = strings.Cut(stands[what], ":")
		fmt.Sscan(line, &m)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && lines[n-1] != strings.Split(string(text), "\n")[m-1] {
			t.Errorf("%s: the dump's line %d is %q, line %d of %s is not", what, n, lines[n-1], m, file)
		}
	}
}
