package lab

import (
	"context"
	"net"
	"time"
)

// varnishFormat is the form of `varnishncsa -a` with the time to the first byte
// and how the request was handled.
const varnishFormat = `%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i" %{Varnish:time_firstbyte}x %{Varnish:handling}x %{Varnish:vxid}x`

// startVarnish starts Varnish in front of @app@, with its two log readers.
func startVarnish(ctx context.Context, st *Stage, vcl string) (string, error) {
	host, port, err := net.SplitHostPort(st.Word("app"))
	if err != nil {
		return "", err
	}
	st.Set("host", host)
	st.Set("port", port)
	addr, err := st.Addr("front", 1, frontPort)
	if err != nil {
		return "", err
	}
	if err := st.Write("default.vcl", vcl); err != nil {
		return "", err
	}
	if _, err := st.Start(Command{Program: "varnishd", Args: []string{
		"-F", "-j", "none", "-n", "@dir@/varnish", "-a", addr, "-f", "@dir@/default.vcl", "-s", "malloc,32m", "-T", "none",
	}}); err != nil {
		return "", err
	}
	if err := waitListening(ctx, "tcp", addr); err != nil {
		return "", err
	}
	access, err := st.create("varnishncsa.log")
	if err != nil {
		return "", err
	}
	if _, err := st.Start(Command{Program: "varnishncsa", Args: []string{"-n", "@dir@/varnish", "-F", varnishFormat}, Stdout: access}); err != nil {
		return "", err
	}
	shared, err := st.create("varnishlog.txt")
	if err != nil {
		return "", err
	}
	if _, err := st.Start(Command{Program: "varnishlog", Args: []string{
		"-n", "@dir@/varnish", "-g", "request", "-q", "FetchError or BerespStatus >= 500",
	}, Stdout: shared}); err != nil {
		return "", err
	}
	return addr, pause(ctx, time.Second) // until the readers have attached
}
