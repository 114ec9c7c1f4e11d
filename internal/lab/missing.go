package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// A MissingError says which server is not installed and which Debian package
// brings it.
type MissingError struct {
	Program string
	Package string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed; try: apt-get install %s", e.Program, e.Package)
}

// packages names the Debian package of each program that scenarios start.
var packages = map[string]string{
	"nginx":       "nginx",
	"haproxy":     "haproxy",
	"apache2":     "apache2",
	"caddy":       "caddy",
	"varnishd":    "varnish",
	"varnishncsa": "varnish",
	"varnishlog":  "varnish",
	"node":        "nodejs",
	"gunicorn":    "gunicorn",
	"php-fpm8.2":  "php8.2-fpm",
	"uwsgi":       "uwsgi",
	"ss":          "iproute2",
	"ip":          "iproute2",
	"puma":        "puma",
	"tcpdump":     "tcpdump",
}

// systemDirs are searched before $PATH: servers are in sbin, which users'
// paths lack, and evidence should name the distribution's binaries.
var systemDirs = []string{"/usr/sbin", "/usr/bin"}

// program returns the path of an installed program, or a *MissingError.
func program(name string) (string, error) {
	for _, dir := range systemDirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", &MissingError{Program: name, Package: packages[name]}
}

// A PrivilegeError says what the lab may not do.
type PrivilegeError struct{ Why string }

func (e *PrivilegeError) Error() string {
	return fmt.Sprintf("must be root to %s; try: sudo", e.Why)
}
