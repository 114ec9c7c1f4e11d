// Package all lists every technology whose evidence can be read. A new one is
// one line in [Formats], if it wraps other texts, one in [Wrappers], and if it
// answers requests, one in [Banners].
package all

import (
	"slices"

	"culprit/internal/source"
	"culprit/internal/source/alb"
	"culprit/internal/source/apache"
	"culprit/internal/source/applog"
	"culprit/internal/source/azure"
	"culprit/internal/source/caddy"
	"culprit/internal/source/cloudflare"
	"culprit/internal/source/cloudfront"
	"culprit/internal/source/docker"
	"culprit/internal/source/envoy"
	"culprit/internal/source/errorpage"
	"culprit/internal/source/gclb"
	"culprit/internal/source/golang"
	"culprit/internal/source/gunicorn"
	"culprit/internal/source/haproxy"
	"culprit/internal/source/heroku"
	"culprit/internal/source/journal"
	"culprit/internal/source/jvm"
	"culprit/internal/source/kube"
	"culprit/internal/source/linkerd"
	"culprit/internal/source/linux"
	"culprit/internal/source/nginx"
	"culprit/internal/source/node"
	"culprit/internal/source/pcap"
	"culprit/internal/source/phpfpm"
	"culprit/internal/source/python"
	"culprit/internal/source/ruby"
	"culprit/internal/source/tcpdump"
	"culprit/internal/source/traefik"
	"culprit/internal/source/uvicorn"
	"culprit/internal/source/uwsgi"
	"culprit/internal/source/varnish"
)

// Formats returns all formats, in the order in which equals are preferred: the
// special before the general.
func Formats() []source.Format {
	return slices.Concat[[]source.Format](
		pcap.Formats,
		alb.Formats,
		apache.Formats,
		caddy.Formats,
		docker.Formats,
		kube.Formats,
		envoy.Formats,
		azure.Formats,
		cloudflare.Formats,
		cloudfront.Formats,
		heroku.Formats,
		gclb.Formats,
		haproxy.Formats,
		journal.Formats,
		linkerd.Formats,
		linux.Formats,
		nginx.Formats,
		node.Formats,
		gunicorn.Formats,
		phpfpm.Formats,
		traefik.Formats,
		uwsgi.Formats,
		ruby.Formats,
		uvicorn.Formats,
		golang.Formats,
		varnish.Formats,
		python.Formats,
		jvm.Formats,
		errorpage.Formats,
		tcpdump.Formats,
		applog.Formats,
	)
}

// Wrappers returns what may be wrapped around a line, the outermost first.
func Wrappers() []source.Wrapper {
	return slices.Concat[[]source.Wrapper](
		docker.Wrappers,
		journal.Wrappers,
	)
}

// Banners returns how technologies show themselves in the answers they give,
// in the order in which equals are preferred: what is made of another before
// it, names before shapes.
func Banners() []source.Banner {
	return slices.Concat[[]source.Banner](
		linkerd.Banners,
		cloudflare.Banners,
		cloudfront.Banners,
		gclb.Banners,
		alb.Banners,
		azure.Banners,
		heroku.Banners,
		envoy.Banners,
		varnish.Banners,
		haproxy.Banners,
		traefik.Banners,
		caddy.Banners,
		gunicorn.Banners,
		uvicorn.Banners,
		python.Banners,
		ruby.Banners,
		uwsgi.Banners,
		jvm.Banners,
		node.Banners,
		phpfpm.Banners,
		golang.Banners,
		nginx.Banners,
		apache.Banners,
	)
}
