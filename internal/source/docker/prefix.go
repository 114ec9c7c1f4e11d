package docker

import (
	"bytes"
	"strings"

	"culprit/internal/source"
)

// unwrapPrefix reads "[pod/shop-7d9/web] text" of kubectl logs --prefix, and
// "[shop-7d9f8b6c5d-x2k4q web] text" of kubetail.
func unwrapPrefix(_ *source.Env, l *source.Line) bool {
	b := l.Text
	if len(b) < 5 || b[0] != '[' {
		return false
	}
	end := bytes.IndexByte(b, ']')
	if end < 0 || end > maxName*2 {
		return false
	}
	inner, pod := b[1:end], []byte(nil)
	switch {
	case source.HasPrefix(inner, "pod/"):
		var ok bool
		if pod, _, ok = bytes.Cut(inner[4:], []byte{'/'}); !ok {
			return false
		}
	default:
		if pod, _ = source.Field(inner); !isPod(pod) {
			return false
		}
	}
	if !isName(pod) {
		return false
	}
	l.Container = string(pod)
	l.Text = oneBlank(b[end+1:])
	return true
}

// unwrapCompose reads the prefix of compose ("web-1  | text", "web_1 | text"),
// of swarm services ("web.1.k3x@host | text"), of foreman ("12:00:01 web.1 |
// text") and of pm2 ("0|web  | text").
func unwrapCompose(_ *source.Env, l *source.Line) bool {
	b := l.Text
	bar := bytes.IndexByte(b[:min(len(b), maxName*2)], '|')
	if bar < 1 {
		return false
	}
	front := b[:bar]
	if isNumber(front) { // pm2
		rest := b[bar+1:]
		n := bytes.IndexByte(rest[:min(len(rest), maxName*2)], '|')
		if n < 1 {
			return false
		}
		front, bar = rest[:n], bar+1+n
	} else if len(front) > 9 && front[2] == ':' && front[5] == ':' && front[8] == ' ' && isNumber(front[:2]) && isNumber(front[6:8]) {
		front = front[9:]
	}
	if front[len(front)-1] != ' ' || bar+1 < len(b) && b[bar+1] != ' ' {
		return false
	}
	who, host, _ := bytes.Cut(bytes.TrimRight(front, " "), []byte{'@'})
	if !isName(who) || len(bytes.Trim(who, "0123456789.-_")) == 0 || isLevel(who) {
		return false
	}
	l.Container = string(who)
	if len(host) > 0 && isName(host) {
		l.Host = string(host)
	}
	l.Text = oneBlank(b[bar+1:])
	return true
}

// unwrapStern reads "shop-7d9f8b6c5d-x2k4q web text". Only names that a
// deployment gives its pods are taken for one.
func unwrapStern(_ *source.Env, l *source.Line) bool {
	b := l.Text
	i := bytes.IndexByte(b[:min(len(b), maxName)], ' ')
	if i < 0 || !isPod(b[:i]) {
		return false
	}
	rest := b[i+1:]
	j := bytes.IndexByte(rest[:min(len(rest), 64)], ' ') // containers are DNS labels: 63
	if j < 1 || !isLabel(rest[:j]) {
		return false
	}
	l.Container = string(b[:i])
	l.Text = rest[j+1:]
	return true
}

// maxName is the longest name of a pod, a DNS subdomain.
const maxName = 253

// isName reports whether b may name a container, pod or host.
func isName(b []byte) bool {
	if len(b) == 0 || len(b) > maxName || !isAlnum(b[0]) {
		return false
	}
	for _, c := range b {
		if !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isLabel(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(b) > 0 && b[0] != '-' && b[len(b)-1] != '-'
}

// isPod reports whether b ends as the names of a deployment's pods do: the
// hash of the replica set and five letters, both from an alphabet without
// vowels.
func isPod(b []byte) bool {
	i := bytes.LastIndexByte(b, '-')
	if i < 1 || len(b)-i-1 != 5 || !isSafe(b[i+1:]) || len(b) > maxName {
		return false
	}
	j := bytes.LastIndexByte(b[:i], '-')
	return j > 0 && i-j-1 >= 8 && i-j-1 <= 10 && isSafe(b[j+1:i]) && isName(b)
}

// safe is the alphabet of generated names: it can spell no words.
const safe = "bcdfghjklmnpqrstvwxz2456789"

func isSafe(b []byte) bool {
	for _, c := range b {
		if strings.IndexByte(safe, c) < 0 {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// isLevel: loggers write a bar after these.
func isLevel(b []byte) bool {
	switch strings.ToLower(source.View(b)) {
	case "trace", "debug", "info", "notice", "warn", "warning", "error", "err", "critical", "fatal", "success", "status":
		return true
	}
	return false
}

// oneBlank takes off the blank that belongs to the frame; the text's own
// indent stays.
func oneBlank(b []byte) []byte {
	if len(b) > 0 && b[0] == ' ' {
		return b[1:]
	}
	return b
}

// name fills the container's name from the name of the input, as the kubelet
// and docker lay their files out:
//
//	.../pods/NAMESPACE_POD_UID/CONTAINER/0.log
//	.../pods/POD/CONTAINER/CONTAINER/logs/current.log
//	.../containers/POD_NAMESPACE_CONTAINER-ID.log
//	.../containers/ID/ID-json.log
//
// In a cluster it is the pod's name, which everything else there speaks of.
func name(l *source.Line) {
	if l.Container == "" {
		l.Container = containerOf(l.Path)
	}
}

// idHex is the length of a container's id; shortID is what docker shows of it.
const (
	idHex   = 64
	shortID = 12
)

func containerOf(path string) string {
	if rest, ok := after(path, "pods/"); ok {
		dir, _, ok := strings.Cut(rest, "/")
		if !ok {
			return ""
		}
		if parts := strings.Split(dir, "_"); len(parts) == 3 {
			return parts[1]
		}
		if strings.Contains(rest, "/logs/") {
			return dir
		}
		return ""
	}
	if rest, ok := after(path, "containers/"); ok {
		if i := strings.IndexByte(rest, '_'); i > 0 && strings.Count(rest, "_") == 2 {
			return rest[:i]
		}
		if i := strings.IndexByte(rest, '/'); i == idHex {
			return rest[:shortID]
		}
		return ""
	}
	if i := strings.LastIndexByte(path, '/') + 1; strings.HasSuffix(path, "-json.log") && len(path)-i == idHex+len("-json.log") {
		return path[i : i+shortID]
	}
	return ""
}

// after returns what follows the folder dir in path.
func after(path, dir string) (string, bool) {
	if i := strings.LastIndex(path, "/"+dir); i >= 0 {
		return path[i+1+len(dir):], true
	}
	return strings.CutPrefix(path, dir)
}
