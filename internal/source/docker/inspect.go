package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// inspected has what is read of a container's record.
type inspected struct {
	ID    string `json:"Id"`
	Name  string
	State *struct {
		Status              string
		Running, Restarting bool
		OOMKilled           bool
		Pid                 int
		ExitCode            *int64
		Error               string
		StartedAt           time.Time
		FinishedAt          time.Time
		Health              *struct {
			Status        string
			FailingStreak int
			Log           []healthRun
		}
	}
	RestartCount int
	Config       struct {
		Labels      map[string]string
		StopTimeout *int64
		Healthcheck *struct {
			Test              []string
			Interval, Timeout int64 // nanoseconds
			Retries           int
		}
	}
	HostConfig struct {
		RestartPolicy struct {
			Name              string
			MaximumRetryCount int
		}
		Memory, NanoCpus int64
		PortBindings     map[string][]struct{ HostPort string }
	}
	NetworkSettings struct {
		IPAddress string
		Networks  map[string]struct{ IPAddress string }
	}
}

type healthRun struct {
	End      time.Time
	ExitCode int64
	Output   string
}

func sniffInspect(head []byte, _ string) source.Confidence {
	t := bytes.TrimLeft(head, " \t\r\n")
	if len(t) == 0 || t[0] != '[' && t[0] != '{' {
		return source.No
	}
	if source.Has(t, `"Id"`) && source.Has(t, `"State"`) && source.Has(t, `"OOMKilled"`) && source.Has(t, `"ExitCode"`) {
		return source.Sure
	}
	return source.No
}

// readInspect reads the records one by one: an array, or objects in a row.
func readInspect(_ *source.Env, doc *source.Doc, out source.Sink) error {
	dec := json.NewDecoder(bytes.NewReader(doc.Data))
	read, lines := 0, lineCounter{data: doc.Data}
	inArray := false
	for {
		if inArray && !dec.More() {
			if _, err := dec.Token(); err != nil {
				break
			}
			inArray = false
			continue
		}
		if !inArray && nextByte(doc.Data, dec.InputOffset()) == '[' {
			dec.Token()
			inArray = true
			continue
		}
		line := lines.at(dec.InputOffset())
		var c inspected
		err := dec.Decode(&c)
		if err == io.EOF {
			break
		}
		if err != nil {
			if read == 0 {
				return fmt.Errorf("read containers: %w", err)
			}
			doc.Skip(line, err.Error())
			break
		}
		if c.State == nil {
			doc.Skip(line, "an object that is no container")
			continue
		}
		read++
		s := inspection{c: &c, out: out, line: line, party: container(strings.TrimPrefix(c.Name, "/"))}
		if pod := c.Config.Labels["io.kubernetes.pod.name"]; pod != "" {
			s.party.Name = pod
		}
		s.party.PID = c.State.Pid
		s.addresses()
		s.state()
		s.settings()
	}
	return nil
}

// lineCounter tells the number of the line at rising offsets.
type lineCounter struct {
	data     []byte
	off, num int
}

// at is the line of the first byte after offset that is no blank or comma.
func (c *lineCounter) at(offset int64) int {
	to := int(offset)
	for to < len(c.data) && strings.IndexByte(" \t\r\n,", c.data[to]) >= 0 {
		to++
	}
	c.num += bytes.Count(c.data[c.off:to], []byte{'\n'})
	c.off = to
	return c.num + 1
}

func nextByte(data []byte, offset int64) byte {
	t := bytes.TrimLeft(data[offset:], " \t\r\n")
	if len(t) == 0 {
		return 0
	}
	return t[0]
}

// inspection states the facts of one container.
type inspection struct {
	c     *inspected
	out   source.Sink
	line  int
	party fact.Party
}

func (s *inspection) event(kind fact.EventKind, at time.Time) *fact.Event {
	if at.Year() < 2000 {
		at = time.Time{} // "0001-01-01T00:00:00Z": never
	}
	e := &fact.Event{Kind: kind}
	e.Time, e.Party = at.UTC(), s.party
	e.Origin = fact.Origin{Line: s.line, Text: "docker inspect " + s.party.Name}
	if kind != fact.ProcessStarted {
		e.Party.PID = 0
	}
	return e
}

func (s *inspection) addresses() {
	nets := s.c.NetworkSettings
	for _, n := range slices.Sorted(maps.Keys(nets.Networks)) {
		ip := nets.Networks[n].IPAddress
		if ip == "" {
			continue
		}
		if s.party.Address == "" {
			s.party.Address = ip
		}
		s.setting(fact.UpstreamAddress, "network "+n, func(x *fact.Setting) { x.Text, x.Basis = ip, fact.Measured })
	}
	if s.party.Address == "" && nets.IPAddress != "" {
		s.party.Address = nets.IPAddress
		s.setting(fact.UpstreamAddress, "", func(x *fact.Setting) { x.Text, x.Basis = nets.IPAddress, fact.Measured })
	}
}

func (s *inspection) state() {
	st := s.c.State
	ended := st.FinishedAt.Year() >= 2000
	switch {
	case st.OOMKilled:
		at := st.FinishedAt
		if st.Running {
			at = time.Time{} // a process of it, while its first lived on
		}
		e := s.event(fact.OOMKilled, at)
		e.Reason, e.Attrs = "OOMKilled", map[string]string{fact.AttrScope: "cgroup"}
		if st.ExitCode != nil && !st.Running {
			exited(e, *st.ExitCode)
		}
		e.Count = s.c.RestartCount
		s.out.State(e)
	case ended && !st.Running:
		e := s.event(fact.ProcessExited, st.FinishedAt)
		if st.ExitCode != nil {
			exited(e, *st.ExitCode)
		}
		if d := st.FinishedAt.Sub(st.StartedAt); d > 0 && st.StartedAt.Year() >= 2000 {
			e.Lasted = fact.Lasting(d)
		}
		s.out.State(e)
	case ended && st.FinishedAt.Before(st.StartedAt):
		e := s.event(fact.ProcessExited, st.FinishedAt)
		e.Reason, e.Count = "restarted", s.c.RestartCount
		s.out.State(e)
	}
	if st.Error != "" {
		e := s.event(fact.BootFailed, time.Time{})
		e.Detail = st.Error
		s.out.State(e)
	}
	if st.Restarting {
		e := s.event(fact.RestartBackoff, st.FinishedAt)
		e.Count = s.c.RestartCount
		s.out.State(e)
	}
	if st.Running && !st.Restarting {
		s.out.State(s.event(fact.ProcessStarted, st.StartedAt))
	}
	if st.Health == nil {
		return
	}
	for _, run := range st.Health.Log {
		if run.ExitCode == 0 {
			continue
		}
		e := s.event(fact.ProbeFailed, run.End)
		e.Reason, e.Detail, e.Exit = "health-check", strings.TrimSpace(cut(run.Output)), fact.Num(run.ExitCode)
		e.Attrs = map[string]string{fact.AttrWhy: "exec"}
		if run.ExitCode < 0 || strings.Contains(run.Output, "exceeded timeout") {
			e.Attrs[fact.AttrWhy] = "timeout"
		}
		s.out.State(e)
	}
}

// maxOutput bounds what is kept of a health check's output, in bytes.
const maxOutput = 300

func cut(s string) string { return s[:min(len(s), maxOutput)] }

// stopGrace is how long docker stop waits before it kills, in seconds:
// docs.docker.com/reference/cli/docker/container/stop.
const stopGrace = 10

func (s *inspection) settings() {
	h := s.c.HostConfig
	s.setting(fact.RestartPolicy, "restart: POLICY", func(x *fact.Setting) {
		if x.Text = h.RestartPolicy.Name; x.Text == "" {
			x.Text = "no"
		}
		if n := h.RestartPolicy.MaximumRetryCount; n > 0 {
			x.Text += ":" + strconv.Itoa(n)
		}
	})
	s.setting(fact.MemoryLimit, "mem_limit: {n}", func(x *fact.Setting) {
		if x.Num = fact.Num(h.Memory); h.Memory == 0 {
			x.Num, x.Text = fact.Int{}, "none"
		}
	})
	if h.NanoCpus > 0 {
		s.setting(fact.CPULimit, "--cpus", func(x *fact.Setting) { x.Num = fact.Num(h.NanoCpus / 1e6) })
	}
	s.setting(fact.GracePeriod, "stop_grace_period: {s}s", func(x *fact.Setting) {
		if t := s.c.Config.StopTimeout; t != nil {
			x.Dur = fact.Seconds(float64(*t))
			return
		}
		x.Dur, x.Basis = fact.Seconds(stopGrace), fact.Default
		x.Origin.URL = "https://docs.docker.com/reference/cli/docker/container/stop/"
	})
	for _, port := range slices.Sorted(maps.Keys(h.PortBindings)) {
		for _, b := range h.PortBindings[port] {
			s.setting(fact.PortMapping, "", func(x *fact.Setting) {
				inner, _, _ := strings.Cut(port, "/")
				x.Text = b.HostPort + "->" + inner
			})
		}
	}
	if hc := s.c.Config.Healthcheck; hc != nil && len(hc.Test) > 0 && hc.Test[0] != "NONE" {
		s.setting(fact.ProbePeriod, "interval: {s}s", func(x *fact.Setting) { x.Dur = nanos(hc.Interval, 30*time.Second, &x.Basis) })
		s.setting(fact.ProbeTimeout, "timeout: {s}s", func(x *fact.Setting) { x.Dur = nanos(hc.Timeout, 30*time.Second, &x.Basis) })
		s.setting(fact.ProbeThreshold, "retries: {n}", func(x *fact.Setting) {
			if x.Num = fact.Num(hc.Retries); hc.Retries == 0 {
				x.Num, x.Basis = fact.Num(3), fact.Default
			}
		})
	}
}

// nanos is a duration of a health check; zero stands for the default (30 s, 30
// s, 3 tries: docs.docker.com/reference/dockerfile/#healthcheck).
func nanos(n int64, normal time.Duration, basis *fact.Basis) fact.Dur {
	if n == 0 {
		*basis = fact.Default
		return fact.Lasting(normal)
	}
	return fact.Lasting(time.Duration(n))
}

func (s *inspection) setting(k fact.Knob, spelling string, fill func(*fact.Setting)) {
	x := &fact.Setting{Knob: k, Basis: fact.Configured, Spelling: spelling, Object: "container/" + s.party.Name}
	if k == fact.UpstreamAddress {
		x.Spelling, x.Where = "", spelling
	}
	x.Party = s.party
	x.Party.PID = 0
	x.Origin = fact.Origin{Line: s.line, Text: "docker inspect " + s.party.Name}
	fill(x)
	s.out.State(x)
}
