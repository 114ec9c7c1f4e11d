package lab

import (
	"context"
	"os"
	"strings"
	"time"
)

var files = []Scenario{
	{
		Name: "nginx-socket-permission", Front: "nginx", Backend: "gunicorn",
		Fault: "socket-permission", Blame: Backend,
		Doc: "gunicorn listens on a unix socket. After a restart with another umask the socket belongs to another user alone, and nginx " +
			"gets 13 (Permission denied) at connect, until someone corrects its mode fourteen seconds later.",
		Run: socketPermission,
	},
	{
		Name: "nginx-tempdir-missing", Front: "nginx", Backend: "node",
		Fault: "tempdir-missing", Blame: Proxy,
		Doc: "A cleaner of old temporary files removes the folder in which nginx keeps bodies that do not fit its buffer. Uploads of " +
			"photos end as 500, everything else goes on, until the folder is made again.",
		Run: tempDirMissing,
	},
}

const socketConfig = `bind = "unix:@dir@/gunicorn.sock"
workers = 3
umask = 0o@umask@
accesslog = "@dir@/gunicorn-access.log"
errorlog = "@dir@/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
`

// otherUser is whom the application runs as: not the user of nginx.
const otherUser = "nobody"

func socketPermission(ctx context.Context, st *Stage) error {
	if os.Geteuid() != 0 {
		return &PrivilegeError{Why: "run nginx and the application as two users"}
	}
	cred, err := credential(otherUser)
	if err != nil {
		return err
	}
	if err := os.Chmod(st.dir, 0o777); err != nil { // both users write here
		return err
	}
	if err := st.Write("app.py", appFile("app.py")); err != nil {
		return err
	}
	st.Keep("gunicorn-access.log", "gunicorn.log")
	start := func(umask string) (*Process, error) {
		st.Set("umask", umask)
		if err := st.Write("gunicorn.conf.py", socketConfig); err != nil {
			return nil, err
		}
		return st.Start(Command{Program: "gunicorn", Args: []string{"-c", "gunicorn.conf.py", "app:app"}, Cred: cred})
	}
	app, err := start("000")
	if err != nil {
		return err
	}
	if err := waitListening(ctx, "unix", st.Path("gunicorn.sock")); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{
		HTTP:     "upstream shop {\n    server unix:@dir@/gunicorn.sock;\n}\n",
		Location: proxyHeaders + "proxy_pass http://shop;\n"}); err != nil {
		return err
	}
	restart := func() error {
		app.Stop()
		if _, err := start("077"); err != nil {
			return err
		}
		if err := pause(ctx, 14*time.Second); err != nil {
			return err
		}
		return os.Chmod(st.Path("gunicorn.sock"), 0o777)
	}
	return during(ctx, 40*time.Second, restart, func() error { return st.traffic.Run(ctx, 95*time.Second, 7, shop) })
}

// photo is longer than client_body_buffer_size, 16 KB.
var photo = strings.Repeat("\xff\xd8 not really a photo ", 2000)

func tempDirMissing(ctx context.Context, st *Stage) error {
	if _, err := startNode(ctx, st, nodeApp{Host: 11}); err != nil {
		return err
	}
	if _, err := startNginx(ctx, st, nginx{Location: plainProxy}); err != nil {
		return err
	}
	clean := func() error {
		if err := os.RemoveAll(st.Path("tmp/body")); err != nil {
			return err
		}
		if err := pause(ctx, 35*time.Second); err != nil {
			return err
		}
		return st.mkdir("tmp/body")
	}
	mix := with(Route{Method: "POST", Path: "/api/photos", Weight: 7, Body: photo})
	return during(ctx, 30*time.Second, clean, func() error { return st.traffic.Run(ctx, 95*time.Second, 7, mix) })
}
