package lab

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervised runs a shell script as a unit until the journal contains want,
// and returns the journal.
func supervised(t *testing.T, script string, restart time.Duration, want string, act func(s *Supervisor)) string {
	t.Helper()
	st, err := newStage(t.Name(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	j, err := st.Journal("journal.log", "app1")
	if err != nil {
		t.Fatal(err)
	}
	s, err := st.Supervise(Unit{
		Name: "app", Description: "Application", Restart: restart,
		Command: Command{Program: "sh", Args: []string{"-c", script}},
	}, j)
	if err != nil {
		t.Fatal(err)
	}
	if act != nil {
		act(s)
	}
	deadline := time.Now().Add(startTimeout)
	for {
		text, err := os.ReadFile(st.Path("journal.log"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), want) {
			return string(text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the journal lacks %q:\n%s", want, text)
		}
		if err := pause(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSupervisorRestartsWhatFails(t *testing.T) {
	text := supervised(t, "echo oops >&2; exit 1", 20*time.Millisecond, "restart counter is at 2.", nil)
	for _, want := range []string{
		"]: oops\n",
		"systemd[1]: Started app.service - Application.\n",
		"systemd[1]: app.service: Main process exited, code=exited, status=1/FAILURE\n",
		"systemd[1]: app.service: Failed with result 'exit-code'.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the journal lacks %q:\n%s", want, text)
		}
	}
}

func TestSupervisorNamesTheSignal(t *testing.T) {
	kill := func(s *Supervisor) {
		if err := s.Signal(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	text := supervised(t, "sleep 60", 0, "Failed with result 'signal'.", kill)
	if want := "Main process exited, code=killed, status=9/KILL\n"; !strings.Contains(text, want) {
		t.Errorf("the journal lacks %q:\n%s", want, text)
	}
}

func TestSupervisorStopsWithoutComplaint(t *testing.T) {
	text := supervised(t, "sleep 60", time.Second, "Stopped app.service", func(s *Supervisor) { s.Stop() })
	if strings.Contains(text, "Main process exited") {
		t.Errorf("a stop on demand reads as a failure:\n%s", text)
	}
}
