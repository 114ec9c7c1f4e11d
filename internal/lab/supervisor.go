package lab

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A Journal is written in the form of `journalctl -o short-iso-precise`.
type Journal struct {
	mu   sync.Mutex
	w    io.Writer
	host string
}

// Journal creates a file of evidence that a Supervisor can write to.
func (st *Stage) Journal(name, host string) (*Journal, error) {
	f, err := st.create(name)
	if err != nil {
		return nil, err
	}
	return &Journal{w: f, host: host}, nil
}

// journalStamp is the time in short-iso-precise.
const journalStamp = "2006-01-02T15:04:05.000000+0000"

func (j *Journal) print(tag string, pid int, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(j.w, "%s %s %s[%d]: %s\n", time.Now().UTC().Format(journalStamp), j.host, tag, pid, fmt.Sprintf(format, args...))
}

// A journalPipe gives each line that a process writes to the journal.
type journalPipe struct {
	j    *Journal
	tag  string
	pid  func() int
	rest []byte
}

func (p *journalPipe) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, found := bytes.Cut(p.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		p.rest = rest
		if len(line) > 0 {
			p.j.print(p.tag, p.pid(), "%s", line)
		}
	}
}

// A Unit is a service that a Supervisor runs.
type Unit struct {
	Name        string // without ".service"
	Description string
	Command     Command       // Stderr goes to the journal
	Restart     time.Duration // RestartSec; 0 means that it is not restarted
	StopTimeout time.Duration // TimeoutStopSec; 0 means stopGrace
	Memory      *memoryLimit  // nil means no limit
}

// A Supervisor plays systemd: it starts a unit, restarts it when it ends by
// itself, and writes to the journal the lines that systemd 252 writes for the
// same exit status. systemd itself cannot run where the lab runs.
type Supervisor struct {
	st      *Stage
	unit    Unit
	journal *Journal

	mu       sync.Mutex
	proc     *Process
	stopping bool
	restarts int
	quit     chan struct{}
	ended    chan struct{}
}

// Supervise starts a unit and keeps it running until the stage ends.
func (st *Stage) Supervise(u Unit, j *Journal) (*Supervisor, error) {
	s := &Supervisor{st: st, unit: u, journal: j}
	if err := s.Start(); err != nil {
		return nil, err
	}
	st.onClose(s.silentStop)
	return s, nil
}

func (s *Supervisor) name() string { return s.unit.Name + ".service" }

func (s *Supervisor) systemd(format string, args ...any) {
	s.journal.print("systemd", 1, format, args...)
}

// Start starts the unit, as `systemctl start` does.
func (s *Supervisor) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = false
	s.quit, s.ended = make(chan struct{}), make(chan struct{})
	if err := s.spawn(); err != nil {
		return err
	}
	go s.watch(s.quit, s.ended)
	return nil
}

// spawn starts the process; s.mu is held.
func (s *Supervisor) spawn() error {
	c := s.unit.Command
	var pid int
	var known sync.WaitGroup
	known.Add(1)
	c.Stderr = &journalPipe{j: s.journal, tag: c.Program, pid: func() int { known.Wait(); return pid }}
	p, err := s.st.launch(c)
	if err != nil {
		known.Done()
		return err
	}
	pid = p.Pid()
	known.Done()
	s.proc = p
	if s.unit.Memory != nil {
		if err := s.unit.Memory.add(pid); err != nil {
			return err
		}
	}
	s.systemd("Started %s - %s.", s.name(), s.unit.Description)
	return nil
}

func (s *Supervisor) watch(quit <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	for {
		s.mu.Lock()
		p := s.proc
		s.mu.Unlock()
		<-p.done
		s.mu.Lock()
		stopping := s.stopping
		s.mu.Unlock()
		if stopping {
			return
		}
		s.reportExit(p)
		if s.unit.Restart == 0 {
			return
		}
		select {
		case <-time.After(s.unit.Restart):
		case <-quit:
			return
		}
		s.mu.Lock()
		if s.stopping {
			s.mu.Unlock()
			return
		}
		s.restarts++
		s.systemd("%s: Scheduled restart job, restart counter is at %d.", s.name(), s.restarts)
		s.systemd("Stopped %s - %s.", s.name(), s.unit.Description)
		err := s.spawn()
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// reportExit writes what systemd says of a main process that ended by itself.
func (s *Supervisor) reportExit(p *Process) {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return
	}
	code, number, result := "exited", strconv.Itoa(status.ExitStatus())+"/n/a", "exit-code"
	switch {
	case status.Signaled() && status.CoreDump():
		code, number, result = "dumped", signalName(status.Signal()), "core-dump"
	case status.Signaled():
		code, number, result = "killed", signalName(status.Signal()), "signal"
	case status.ExitStatus() == 1:
		number = "1/FAILURE"
	}
	if s.unit.Memory != nil && s.unit.Memory.killed() {
		result = "oom-kill"
		s.systemd("%s: A process of this unit has been killed by the OOM killer.", s.name())
	}
	s.systemd("%s: Main process exited, code=%s, status=%s", s.name(), code, number)
	s.systemd("%s: Failed with result '%s'.", s.name(), result)
}

func signalName(sig syscall.Signal) string {
	names := map[syscall.Signal]string{
		syscall.SIGABRT: "ABRT", syscall.SIGKILL: "KILL", syscall.SIGSEGV: "SEGV",
		syscall.SIGTERM: "TERM", syscall.SIGBUS: "BUS",
	}
	return fmt.Sprintf("%d/%s", int(sig), names[sig])
}

// Stop stops the unit, as `systemctl stop` does.
func (s *Supervisor) Stop() {
	s.systemd("Stopping %s - %s...", s.name(), s.unit.Description)
	s.silentStop()
	s.systemd("%s: Deactivated successfully.", s.name())
	s.systemd("Stopped %s - %s.", s.name(), s.unit.Description)
}

func (s *Supervisor) silentStop() {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		return
	}
	s.stopping = true
	p := s.proc
	close(s.quit)
	s.mu.Unlock()
	grace := s.unit.StopTimeout
	if grace == 0 {
		grace = stopGrace
	}
	p.stopWithin(grace)
	<-s.ended
}

// Restart stops and starts the unit, as `systemctl restart` does.
func (s *Supervisor) Restart() error {
	s.Stop()
	return s.Start()
}

// Signal sends a signal to the main process.
func (s *Supervisor) Signal(sig os.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.Signal(sig)
}

// unitFile renders the unit as systemd would read it.
func (u Unit) unitFile(exec, extra string) string {
	restart := ""
	if u.Memory != nil {
		restart = fmt.Sprintf("MemoryMax=%dM\n", u.Memory.bytes>>20)
	}
	if u.Restart > 0 {
		restart += fmt.Sprintf("Restart=on-failure\nRestartSec=%g\n", u.Restart.Seconds())
	}
	return fmt.Sprintf(`[Unit]
Description=%s
After=network-online.target

[Service]
WorkingDirectory=@dir@
ExecStart=%s
%s%sUser=www-data

[Install]
WantedBy=multi-user.target
`, u.Description, exec, extra, restart)
}
