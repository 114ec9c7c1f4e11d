package cause

import (
	"slices"
	"strings"

	"culprit/internal/fact"
	"culprit/internal/failure"
)

// stackTools are the commands by which people look at what runs, and the
// technology whose traces show that they have it.
var stackTools = map[string]string{"kubectl": "kube", "docker": "docker", "journalctl": "journal", "systemctl": "journal"}

// forStack leaves of a line of alternative commands, parted by semicolons,
// those for the stack that the evidence shows; all where it shows none.
func forStack(w *failure.World, command string) string {
	var have []string
	for _, role := range []fact.Role{fact.RoleOrchestrator, fact.RoleHost, fact.RoleBackend, ""} {
		have = append(have, w.Techs(role)...)
	}
	shown := func(tool string) bool { return slices.Contains(have, stackTools[tool]) }
	if !shown("kubectl") && !shown("docker") && !shown("journalctl") {
		return command
	}
	var kept []string
	for _, part := range strings.Split(command, "; ") {
		if strings.Count(part, "'")%2 != 0 {
			return command // a semicolon inside quotes
		}
		tool, _, _ := strings.Cut(strings.TrimSpace(part), " ")
		if stackTools[tool] == "" || shown(tool) {
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		return command
	}
	return strings.Join(kept, "; ")
}
