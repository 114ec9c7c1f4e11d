package lab

import (
	"context"
	"embed"
	"net"
	"strconv"
	"strings"
)

//go:embed app
var appFiles embed.FS

func appFile(name string) string {
	text, err := appFiles.ReadFile("app/" + name)
	if err != nil {
		panic(err) // embedded: present or the package does not build
	}
	return string(text)
}

// A nodeApp is the little shop in Node, with what is special in a scenario.
type nodeApp struct {
	Name   string // of its address and its log; "app" if empty
	Host   int    // last number of its address
	IP     string // the whole address, instead of Host; may be empty
	Far    bool   // on the far host of the stage's Road
	Flags  []string
	Setup  string // source after the first lines
	Routes string // source at the head of the handler
	Listen string // source before listen
	TLS    string // source of the options; makes it https
	Env    []string
	Cred   bool // run as the lab's own user instead of the servers'
}

func (a nodeApp) name() string {
	if a.Name == "" {
		return "app"
	}
	return a.Name
}

const nodePort = 3000

// address reserves an address; those of a far host are all free.
func (a nodeApp) address(st *Stage) (string, error) {
	switch {
	case a.Far:
		addr := net.JoinHostPort(st.road.Far, strconv.Itoa(nodePort))
		st.Set(a.name(), addr)
		return addr, nil
	case a.IP != "":
		return st.addrOf(a.name(), a.IP, nodePort)
	}
	return st.Addr(a.name(), a.Host, nodePort)
}

// prepare reserves the address, writes server.js and opens the log.
func (a nodeApp) prepare(st *Stage) (Command, string, error) {
	addr, err := a.address(st)
	if err != nil {
		return Command{}, "", err
	}
	scheme, options := "http", ""
	if a.TLS != "" {
		scheme, options = "https", a.TLS+", "
	}
	source := strings.NewReplacer(
		"@http@", scheme, "@options@", options, "@setup@\n", spaced(block(a.Setup)),
		"@routes@\n", block(a.Routes), "@listen@", block(a.Listen),
	).Replace(appFile("server.js"))
	if err := st.Write("server.js", source); err != nil {
		return Command{}, "", err
	}
	log, err := st.create(a.name() + ".log")
	if err != nil {
		return Command{}, "", err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return Command{}, "", err
	}
	return Command{
		Program: "node",
		Args:    append(a.Flags, "server.js"),
		Env:     append([]string{"HOST=" + host, "PORT=" + port}, a.Env...),
		Stdout:  log,
		Stderr:  log,
		Far:     a.Far,
	}, addr, nil
}

func block(source string) string {
	if source == "" {
		return ""
	}
	return strings.Trim(source, "\n") + "\n"
}

// startNode starts the shop and waits until it answers.
func startNode(ctx context.Context, st *Stage, a nodeApp) (*Process, error) {
	c, addr, err := a.prepare(st)
	if err != nil {
		return nil, err
	}
	p, err := st.Start(c)
	if err != nil {
		return nil, err
	}
	return p, waitListening(ctx, "tcp", addr)
}

// superviseNode starts the shop under a Supervisor.
func superviseNode(ctx context.Context, st *Stage, a nodeApp, u Unit, j *Journal) (*Supervisor, error) {
	c, addr, err := a.prepare(st)
	if err != nil {
		return nil, err
	}
	c.Stderr = nil
	u.Command = c
	u.Description = "Shop"
	exec := strings.Join(append([]string{"/usr/bin/node"}, c.Args...), " ")
	env := ""
	for _, e := range c.Env {
		env += "Environment=" + e + "\n"
	}
	env += "StandardOutput=append:@dir@/" + a.name() + ".log\n"
	if err := st.Write(u.Name+".service", u.unitFile(exec, env)); err != nil {
		return nil, err
	}
	s, err := st.Supervise(u, j)
	if err != nil {
		return nil, err
	}
	return s, waitListening(ctx, "tcp", addr)
}

// startGunicorn starts the Python shop with the given configuration, which may
// use @app@ for its address.
func startGunicorn(ctx context.Context, st *Stage, config string, env ...string) (*Process, error) {
	addr, err := st.Addr("app", 11, 8000)
	if err != nil {
		return nil, err
	}
	if err := st.Write("app.py", appFile("app.py")); err != nil {
		return nil, err
	}
	if err := st.Write("gunicorn.conf.py", config); err != nil {
		return nil, err
	}
	st.Keep("gunicorn-access.log", "gunicorn.log")
	return restartGunicorn(ctx, st, addr, env...)
}

func restartGunicorn(ctx context.Context, st *Stage, addr string, env ...string) (*Process, error) {
	p, err := st.Start(Command{Program: "gunicorn", Args: []string{"-c", "gunicorn.conf.py", "app:app"}, Env: env})
	if err != nil {
		return nil, err
	}
	return p, waitListening(ctx, "tcp", addr)
}

// startPHP starts php-fpm with one pool on a unix socket.
func startPHP(ctx context.Context, st *Stage, pool, reportMicros string) error {
	st.Set("report", reportMicros)
	if err := st.Write("index.php", appFile("index.php")); err != nil {
		return err
	}
	if err := st.Write("www.conf", pool); err != nil {
		return err
	}
	if err := st.WriteQuiet("php-fpm.conf", "[global]\nerror_log = @dir@/php-fpm.log\npid = @dir@/php-fpm.pid\ndaemonize = no\ninclude = @dir@/www.conf\n"); err != nil {
		return err
	}
	st.Keep("php-fpm.log", "php-access.log")
	if _, err := st.Start(Command{Program: "php-fpm8.2", Args: []string{"-F", "-y", "@dir@/php-fpm.conf"}}); err != nil {
		return err
	}
	return waitListening(ctx, "unix", st.Path("php-fpm.sock"))
}

const uwsgiConfig = `[uwsgi]
plugin = python3
wsgi-file = @dir@/app.py
callable = app
master = true
processes = 4
socket = @dir@/uwsgi.sock
chmod-socket = 666
vacuum = true
logto = @dir@/uwsgi.log
`

// startUWSGI starts app.py under uWSGI, and nginx in front of it.
func startUWSGI(ctx context.Context, st *Stage, config string, env ...string) error {
	if err := st.Write("uwsgi.ini", config); err != nil {
		return err
	}
	st.Keep("uwsgi.log")
	if _, err := st.Start(Command{Program: "uwsgi", Args: []string{"--ini", "@dir@/uwsgi.ini", "--die-on-term"}, Env: env}); err != nil {
		return err
	}
	if err := waitListening(ctx, "unix", st.Path("uwsgi.sock")); err != nil {
		return err
	}
	_, err := startNginx(ctx, st, nginx{Location: "include /etc/nginx/uwsgi_params;\nuwsgi_pass unix:@dir@/uwsgi.sock;\n"})
	return err
}
