package lab

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Command describes a server to start.
type Command struct {
	Program string
	Args    []string
	Env     []string  // added to a minimal environment
	Stdout  io.Writer // nil discards
	Stderr  io.Writer // nil is a file that is no evidence, but read when a run fails
	Cred    *syscall.Credential
	Far     bool   // run on the far host of the stage's Road
	Umask   string // shell notation, for example "0177"; empty leaves it alone
}

// A Process is a running server.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been waited for
}

// stopGrace is how long a server may take to end after SIGTERM.
const stopGrace = 3 * time.Second

// Start starts a server, as an unprivileged user where possible, in a process
// group of its own that ends with the stage.
func (st *Stage) Start(c Command) (*Process, error) {
	if c.Stderr == nil {
		f, err := st.open(c.Program + ".stderr.log")
		if err != nil {
			return nil, err
		}
		c.Stderr = f
	}
	p, err := st.launch(c)
	if err != nil {
		return nil, err
	}
	st.onClose(p.Stop)
	return p, nil
}

func (st *Stage) launch(c Command) (*Process, error) {
	path, err := program(c.Program)
	if err != nil {
		return nil, err
	}
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		args[i] = strings.ReplaceAll(a, "@dir@", st.dir)
	}
	if c.Umask != "" {
		args = append([]string{"-c", `umask ` + c.Umask + `; exec "$0" "$@"`, path}, args...)
		path = "/bin/sh"
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = st.dir
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + st.dir, "LANG=C.UTF-8", "TZ=UTC"}, c.Env...)
	cmd.Stdout, cmd.Stderr = c.Stdout, c.Stderr
	cred := st.cred
	if c.Cred != nil {
		cred = c.Cred
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: cred}
	cmd.WaitDelay = stopGrace
	start := cmd.Start
	if c.Far {
		start = func() error { return st.road.inside(cmd.Start) }
	}
	if err := start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Program, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state is read from ProcessState
		close(p.done)
	}()
	return p, nil
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process alone.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the process to end, waits for stopGrace, and then kills its whole
// group.
func (p *Process) Stop() { p.stopWithin(stopGrace) }

func (p *Process) stopWithin(grace time.Duration) {
	_ = p.Signal(syscall.SIGTERM) // already gone is what we want
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
	<-p.done
}

// Kill ends the process group at once, as a crash or an out-of-memory kill
// would.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.Pid(), syscall.SIGKILL)
	<-p.done
}

// run runs a helper program to its end and returns its output.
func (st *Stage) run(name string, args ...string) (string, error) {
	path, err := program(name)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = st.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: st.cred}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s: %w\n%s", name, err, out)
	}
	return string(out), nil
}
