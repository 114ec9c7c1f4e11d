package lab

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// record runs a scenario and returns its evidence, or skips if a server that
// it needs is not installed or packets may not be captured.
func record(t *testing.T, s Scenario) map[string]string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real servers")
	}
	dir := filepath.Join(t.TempDir(), s.Name)
	_, err := Record(t.Context(), s, dir, t.Logf)
	var missing *MissingError
	if errors.As(err, &missing) {
		t.Skip(missing)
	}
	var privilege *PrivilegeError
	if errors.As(err, &privilege) {
		t.Skip(privilege)
	}
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	evidence := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		evidence[e.Name()] = string(text)
	}
	text, err := os.ReadFile(ExpectedPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	evidence[ExpectedDir] = string(text)
	return evidence
}

func wantIn(t *testing.T, evidence map[string]string, file string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(evidence[file], part) {
			t.Errorf("%s lacks %q:\n%s", file, part, evidence[file])
		}
	}
}

func TestCrashBehindNginxShows(t *testing.T) {
	evidence := record(t, Scenario{Name: "quick-crash", Fault: "crash", Blame: Backend, Run: func(ctx context.Context, st *Stage) error {
		return crashOnCoupon(ctx, st, []time.Duration{3 * time.Second, 6 * time.Second})
	}})
	wantIn(t, evidence, "access.log", `" 502 `, `us="201"`)
	wantIn(t, evidence, "error.log", "while reading response header from upstream")
	wantIn(t, evidence, "journal.log", "TypeError: Cannot read properties of undefined", "Main process exited, code=exited, status=1/FAILURE", "restart counter is at 1")
	wantIn(t, evidence, "nginx.conf", "pid "+Home+"/nginx.pid;")
	wantIn(t, evidence, ExpectedDir, `"cause":"crash","blame":"backend","control":false`)
	for name, text := range evidence {
		if strings.Contains(text, os.TempDir()+"/lab-") {
			t.Errorf("%s names the temporary directory", name)
		}
	}
}

func TestSlowBackendBehindHAProxyShows(t *testing.T) {
	evidence := record(t, Scenario{Name: "quick-timeout", Fault: "response-timeout", Blame: Backend, Run: func(ctx context.Context, st *Stage) error {
		if _, err := startNode(ctx, st, nodeApp{Host: 11, Routes: searchRoutes}); err != nil {
			return err
		}
		if _, err := startHAProxy(ctx, st, "timeout server 200ms\n", "server app1 @app@\n"); err != nil {
			return err
		}
		return st.traffic.Run(ctx, 2*time.Second, 20, with(Route{Method: "GET", Path: "/api/search?q=#", Weight: 10}))
	}})
	wantIn(t, evidence, "haproxy.log", " shop/app1 ", " 504 ", " sH-- ", " ---- ")
	wantIn(t, evidence, "app.log", `"status":200`)
}

func TestHealthyControlMustNotFail(t *testing.T) {
	err := plausible(Scenario{Control: true}, Expected{Requests: 100, Failed: 1})
	if err == nil {
		t.Error("a failure in a healthy control was accepted")
	}
	if err := plausible(Scenario{Fault: "crash"}, Expected{Requests: 100}); err == nil {
		t.Error("a fault without a failure was accepted")
	}
	if err := plausible(Scenario{Fault: "crash"}, Expected{Requests: 100, Failed: 60}); err == nil {
		t.Error("an outage was accepted as intermittent")
	}
	if err := plausible(Scenario{Fault: "crash"}, Expected{Requests: 100, Failed: 6}); err != nil {
		t.Error(err)
	}
}

func TestScenariosAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Scenarios() {
		if seen[s.Name] {
			t.Errorf("%s is listed twice", s.Name)
		}
		seen[s.Name] = true
		if s.Front == "" || s.Backend == "" || s.Blame == "" || s.Doc == "" || s.Run == nil {
			t.Errorf("%s is not whole", s.Name)
		}
		if s.Fault == "" && !s.Control {
			t.Errorf("%s has no fault and is no control", s.Name)
		}
	}
}

// maxExample is about what a folder of evidence may weigh in a repository.
const maxExample = 600 << 10 // bytes

func TestExamplesAgreeWithTheirScenarios(t *testing.T) {
	const examples = "../../examples"
	found, err := filepath.Glob(filepath.Join(examples, ExpectedDir, "*.json"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no examples in %s: %v", examples, err)
	}
	for _, path := range found {
		dir := filepath.Join(examples, strings.TrimSuffix(filepath.Base(path), ".json"))
		s, ok := Find(filepath.Base(dir))
		if !ok {
			t.Errorf("%s has no scenario", dir)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var truth Expected
		if err := json.Unmarshal(text, &truth); err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if truth.Cause != s.Fault || !slices.Equal(truth.Also, s.Also) || truth.Blame != s.Blame || truth.Control != s.Control {
			t.Errorf("%s says %+v, its scenario %q %q %q %t", path, truth, s.Fault, s.Also, s.Blame, s.Control)
		}
		if err := plausible(s, truth); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		checkCaptures(t, s, truth, dir)
		checkEvidence(t, dir)
	}
}

// checkCaptures finds recordings of the wire that are not there or not told of.
func checkCaptures(t *testing.T, s Scenario, truth Expected, dir string) {
	t.Helper()
	if len(truth.Captures) != len(s.Wire) {
		t.Errorf("%s has captures %q, its scenario %d", dir, truth.Captures, len(s.Wire))
	}
	for _, name := range truth.Captures {
		data, err := unpackedFile(filepath.Join(dir, name))
		if err != nil || len(data) < 24 {
			t.Errorf("%s/%s: %d bytes, %v", dir, name, len(data), err)
		}
	}
	if s.Fault == "keepalive-race" && truth.ServerIdle <= 0 {
		t.Errorf("%s does not say how long the server keeps idle connections", dir)
	}
}

// checkEvidence finds evidence that is too much, or that names the machine.
func checkEvidence(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, e := range entries {
		text, err := unpackedFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		size += int(info.Size())
		for _, path := range []string{"/tmp/", "/root/", "/home/"} {
			if strings.Contains(string(text), path) && !strings.Contains(string(text), Home+path) {
				t.Errorf("%s/%s names %s", dir, e.Name(), path)
			}
		}
	}
	if size > maxExample {
		t.Errorf("%s has %d bytes, more than %d", dir, size, maxExample)
	}
}

func TestMissingProgramNamesItsPackage(t *testing.T) {
	packages["no-such-server"] = "no-such-package"
	defer delete(packages, "no-such-server")
	_, err := program("no-such-server")
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v, want a *MissingError", err)
	}
	if got, want := err.Error(), "no-such-server is not installed; try: apt-get install no-such-package"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSyslogLine(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(syslogLine([]byte(in), "lb1")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f("<134>Nov 21 14:30:00 haproxy[7]: a b\n", "Nov 21 14:30:00 lb1 haproxy[7]: a b\n")
	f("<134>Nov  1 04:30:00 haproxy[7]: x", "Nov  1 04:30:00 lb1 haproxy[7]: x\n")
	f("short", "short\n")
	f("", "\n")
}
