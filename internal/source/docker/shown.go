package docker

import (
	"bytes"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// shown reads pieces of what docker prints that lost their heading: a row of
// `docker ps` or of an old `docker-compose ps`, a line of `docker inspect`, and
// the daemon's own word that it starts a container again.
func shown(b []byte, out source.Sink) bool {
	b = bytes.TrimSpace(b)
	if len(b) < 8 || len(b) > 1<<10 {
		return false
	}
	switch {
	case source.Has(b, "restarting container"):
		return restarted(b, out)
	case b[0] == '"':
		return inspectRow(b, out)
	case source.Has(b, "Exited ("), source.Has(b, "Restarting ("), source.Has(b, "(unhealthy)"):
		return psRow(b, out)
	}
	return composeRow(b, out)
}

// restarted: msg="restarting container" exitCode=139 restartCount=6.
func restarted(b []byte, out source.Sink) bool {
	end := append(b[:len(b):len(b)], ' ')
	code, ok := source.Between(end, "exitCode=", " ")
	if !ok {
		if code, ok = source.Between(end, `exitStatus="{`, " "); !ok {
			return false
		}
	}
	n := source.Int(code)
	if !n.Known {
		return false
	}
	name, _ := source.Between(end, " container=", " ")
	if len(name) == idHex && isHex(name) {
		name = name[:shortID]
	}
	e := &fact.Event{Kind: fact.ProcessExited, Detail: "restarting container"}
	e.Party = container(string(name))
	exited(e, n.N)
	out.State(e)
	again := &fact.Event{Kind: fact.RestartPlanned, Detail: "restarting container"}
	again.Party = container(string(name))
	if c, ok := source.Between(end, "restartCount=", " "); ok && n.N != 0 {
		if c := source.Int(c); c.N > 1 && c.N < 1<<20 {
			again.Kind, again.Count = fact.RestartBackoff, int(c.N)
		}
	}
	out.State(again)
	return true
}

// inspectRow: one member of a container's state.
func inspectRow(b []byte, out source.Sink) bool {
	key, value, ok := bytes.Cut(b, []byte(":"))
	value = bytes.Trim(value, " ,")
	e := &fact.Event{}
	e.Party = container("")
	switch {
	case !ok:
		return false
	case string(key) == `"OOMKilled"` && string(value) == "true":
		e.Kind, e.Reason, e.Signal = fact.OOMKilled, "OOMKilled", 9
		e.Attrs = map[string]string{fact.AttrScope: "cgroup"}
	case string(key) == `"ExitCode"`:
		n := source.Int(value)
		if !n.Known || n.N == 0 {
			return n.Known
		}
		e.Kind = fact.ProcessExited
		exited(e, n.N)
	default:
		return false
	}
	out.State(e)
	return true
}

// psRow: a row of `docker ps -a`, or the name and status alone.
func psRow(b []byte, out source.Sink) bool {
	first, _ := source.Field(b)
	listed := len(first) == shortID && isHex(first)
	i := -1
	for _, word := range [...]string{"Exited (", "Restarting (", "Up "} {
		if j := bytes.LastIndex(b, []byte(word)); j >= 0 && (i < 0 || word != "Up ") {
			i = j
		}
	}
	if i < 0 || !listed && (source.HasPrefix(b[i:], "Up ") || !source.Has(b[i:], " ago")) {
		return false
	}
	text, name := string(b[i:]), ""
	switch before := bytes.TrimSpace(b[:i]); {
	case listed:
		cells := bytes.Split(b[i:], []byte("  "))
		text = string(bytes.TrimSpace(cells[0]))
		name = string(b[bytes.LastIndexByte(b, ' ')+1:])
	case len(before) == 0:
	case bytes.IndexByte(before, ' ') < 0 && isName(before):
		name = string(before)
	default:
		return false
	}
	status(name, text, out)
	return true
}

// composeRow: a row of `docker-compose ps` version 1, which ends in "Exit 137".
func composeRow(b []byte, out source.Sink) bool {
	i := bytes.LastIndex(b, []byte("  Exit "))
	if i < 0 {
		return false
	}
	name, _ := source.Field(b)
	n := source.Int(bytes.TrimSpace(b[i+len("  Exit "):]))
	if !isReplica(name) || !isName(name) || !n.Known {
		return false
	}
	e := &fact.Event{Kind: fact.ProcessExited}
	e.Party = container(string(name))
	exited(e, n.N)
	out.State(e)
	return true
}

// nobody drops facts: Sniff asks only whether a line is read.
type nobody struct{ source.Sink }

func (nobody) State(fact.Fact) {}
