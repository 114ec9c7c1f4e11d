// Package docker reads what container run times write: the frames they put
// around a container's lines ([Wrappers]: docker's json-file, containerd's and
// CRI-O's log lines, the prefixes of compose, kubectl logs, stern and others),
// the events of docker and podman, compose files, and what docker inspect, ps
// and stats print.
//
// A container's party is named by its name; in a cluster, by its pod's. Exit
// statuses over 128 are the signal's number plus 128. Docker's event stream
// shows for `docker stop`: kill (signal 15), perhaps kill (signal 9) after the
// grace period of ten seconds, die, stop; for a kernel's out-of-memory kill:
// oom, die (exitCode 137).
package docker

import (
	"culprit/internal/fact"
	"culprit/internal/source"
)

// Formats are what a container run time tells of itself.
var Formats = []source.Format{
	{ID: "docker-events", Tech: tech, Role: fact.RoleOrchestrator, Title: "docker or podman events", Sniff: sniffEvent, NewReader: newEvents},
	{ID: "docker-inspect", Tech: tech, Role: fact.RoleOrchestrator, Title: "docker inspect", SniffDoc: sniffInspect, ReadDoc: readInspect},
	{ID: "compose-file", Tech: tech, Role: fact.RoleOrchestrator, Title: "compose file", SniffDoc: sniffCompose, ReadDoc: readCompose},
	{ID: "docker-log", Tech: tech, Role: fact.RoleOrchestrator, Title: "what compose and the docker daemon say", Sniff: sniffSaid, NewReader: newSaid},
	{ID: "docker-table", Tech: tech, Role: fact.RoleOrchestrator, Title: "docker ps, docker stats", Sniff: sniffTable, NewReader: newTable},
}

const tech = "docker"

// container makes the party of a container.
func container(name string) fact.Party {
	return fact.Party{Role: fact.RoleBackend, Tech: tech, Name: name}
}

// exited fills what an exit status tells.
func exited(e *fact.Event, status int64) {
	e.Exit = fact.Num(status)
	if status > 128 && status < 128+65 { // 64 signals
		e.Signal = int(status - 128)
	}
}
