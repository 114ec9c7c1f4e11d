package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Who is to blame for a fault. None is for what is nobody's fault.
const (
	Backend = "backend"
	Proxy   = "proxy"
	DNS     = "dns"
	Client  = "client"
	Network = "network"
	None    = "none"
)

// A Scenario is one fault made with real servers.
type Scenario struct {
	Name    string    // folder of the evidence
	Front   string    // the proxy, by its package's name
	Backend string    // the application server
	Fault   string    // id of the true cause; empty where nothing failed
	Also    []string  // ids that are no worse a name for it
	Blame   string    // Backend, Proxy, DNS, Client, Network or None
	Control bool      // true where the infrastructure is healthy
	Doc     string    // what happens and why, one paragraph
	Played  string    // which parts are not the real thing; empty if none
	Wire    []Capture // what is recorded of the wire; empty if it has no part in the story
	Run     func(ctx context.Context, st *Stage) error
}

// Expected is the truth about a recording. It is no evidence, so it is written
// apart from it: see [ExpectedPath].
type Expected struct {
	Cause    string   `json:"cause"`
	Also     []string `json:"also,omitempty"` // ids that are no worse a name for the same
	Blame    string   `json:"blame"`
	Control  bool     `json:"control"`
	Requests int      `json:"requests"` // sent by the clients
	Failed   int      `json:"failed"`   // answered 5xx or not at all, as the clients saw it
	Aborted  int      `json:"aborted"`  // given up by the client
	// ServerIdle is how long the application keeps an idle connection: the
	// median of several, measured at its own port. 0 is not measured.
	ServerIdle float64  `json:"server_idle_s,omitempty"`
	IdleSpread float64  `json:"server_idle_spread_s,omitempty"` // between the shortest and the longest of them
	Captures   []string `json:"captures,omitempty"`             // recordings of the wire
}

// ExpectedDir is the folder, beside those of the evidence, that holds the truth
// about each of them.
const ExpectedDir = "expected"

// ExpectedPath is the file that holds the Expected of the evidence in dir.
func ExpectedPath(dir string) string {
	return filepath.Join(filepath.Dir(dir), ExpectedDir, filepath.Base(dir)+".json")
}

// Scenarios returns all scenarios in the order in which they are recorded.
func Scenarios() []Scenario {
	var all []Scenario
	for _, family := range [][]Scenario{
		keepAlive, workerDeath, limits, overload, absence, restarts, slowness, replies, files, wireFaults, roads, controls,
	} {
		all = append(all, family...)
	}
	return all
}

// Find returns the scenario of that name.
func Find(name string) (Scenario, bool) {
	for _, s := range Scenarios() {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// Record runs s and replaces the folder dir by its evidence. It fails with a
// *MissingError if a server is not installed, and with an error that says so if
// the fault did not show: then dir is left as it was.
func Record(ctx context.Context, s Scenario, dir string, logf func(format string, args ...any)) (Expected, error) {
	st, err := newStage(s.Name, logf)
	if err != nil {
		return Expected{}, err
	}
	defer st.close()
	st.traffic.begin = func() error { return st.startCaptures(ctx, s.Wire) }
	if err := s.Run(ctx, st); err != nil {
		return Expected{}, fmt.Errorf("%s: %w\n%s", s.Name, err, st.lastWords())
	}
	// The evidence is taken before the servers end: their last lines would tell
	// of a shutdown that is not part of the story.
	if err := pause(ctx, flushTime); err != nil {
		return Expected{}, err
	}
	if err := st.stopCaptures(); err != nil {
		return Expected{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	tally := st.traffic.Tally()
	truth := Expected{
		Cause: s.Fault, Also: s.Also, Blame: s.Blame, Control: s.Control,
		Requests: tally.Requests, Failed: tally.Failed, Aborted: tally.Aborted,
		ServerIdle: tenths(st.serverIdle), IdleSpread: tenths(st.idleSpread),
	}
	logf("%s: %v", s.Name, tally)
	if err := plausible(s, truth); err != nil {
		return truth, fmt.Errorf("%s: %w\n%s", s.Name, err, st.lastWords())
	}
	return truth, st.collect(dir, truth)
}

// tenths returns seconds, rounded to tenths of a millisecond.
func tenths(d time.Duration) float64 { return math.Round(d.Seconds()*1e4) / 1e4 }

// flushTime is how long log readers may lag behind their servers.
const flushTime = time.Second

// maxFailedShare is the share of failures above which a fault is an outage and
// no longer intermittent.
const maxFailedShare = 0.35

// plausible tells whether the recording shows an intermittent fault.
func plausible(s Scenario, truth Expected) error {
	switch {
	case truth.Requests == 0:
		return fmt.Errorf("no request was sent")
	case s.Fault == "" && truth.Failed > 0:
		return fmt.Errorf("%d of %d requests failed in a healthy control", truth.Failed, truth.Requests)
	case s.Fault != "" && truth.Failed+truth.Aborted == 0:
		return fmt.Errorf("the fault did not show in %d requests", truth.Requests)
	case float64(truth.Failed) > maxFailedShare*float64(truth.Requests):
		return fmt.Errorf("%d of %d requests failed: an outage, not an intermittent fault", truth.Failed, truth.Requests)
	}
	return nil
}

func writeExpected(dir string, truth Expected) error {
	text, err := json.Marshal(truth)
	if err != nil {
		return err
	}
	path := ExpectedPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
