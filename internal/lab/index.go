package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const indexHead = `# Examples

Evidence of real faults, as a user would have it in hand. Each folder was recorded by
` + "`go run ./examples/record NAME`" + ` from real servers (the Debian packages of nginx, HAProxy, Apache,
Caddy, Varnish, Node, gunicorn, php-fpm and others) under light traffic; ` + "`internal/lab`" + ` holds the scenarios.
Client, proxy and application have addresses of their own in 127.0.0.0/8. The directory the servers
ran in reads ` + "`" + Home + "`" + ` here, the kernel's release ` + Kernel + `; nothing else was edited.

` + "`" + ExpectedDir + "/NAME.json`" + ` is the truth about each folder and no evidence: the cause's id (and, under ` + "`also`" + `, ids that
are no worse a name for the same), who is to blame (backend, proxy, dns, client, network or none), whether it is a
control in which the infrastructure is healthy, and what the clients counted: requests, failures (answered
5xx or not at all), requests given up by the client. ` + "`server_idle_s`" + ` is how long the application keeps an
idle connection: the median of several, measured at its own port before the traffic begins;
` + "`server_idle_spread_s`" + ` is how far apart they were.

` + "`captures`" + ` names what tcpdump recorded of the wire, on the loopback interface and with packets cut to 400 bytes
where nothing else is said. Where a wire between two hosts is played by a relay, the capture at the
application's port has the application's own FIN and RST, while the proxy's side is the relay's: it
acknowledges a FIN before the proxy has seen it. Folders of a "road" have two TCP stacks and a network
between them, in 10.0.0.0/8.

`

// WriteIndex writes README.md in the folder of examples: what happened in each
// recorded one, and the truth.
func WriteIndex(dir string) error {
	var b strings.Builder
	b.WriteString(indexHead)
	b.WriteString("| example | cause | blame | requests | failed | aborted |\n|---|---|---|---|---|---|\n")
	var told strings.Builder
	for _, s := range Scenarios() {
		text, err := os.ReadFile(ExpectedPath(filepath.Join(dir, s.Name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var truth Expected
		if err := json.Unmarshal(text, &truth); err != nil {
			return fmt.Errorf("read truth of %s: %w", s.Name, err)
		}
		cause := truth.Cause
		if cause == "" {
			cause = "nothing failed"
		}
		if len(truth.Also) > 0 {
			cause += " (or " + strings.Join(truth.Also, ", ") + ")"
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %d | %d | %d |\n", s.Name, s.Name, cause, truth.Blame, truth.Requests, truth.Failed, truth.Aborted)
		fmt.Fprintf(&told, "\n## %s\n%s in front of %s. %s\n", s.Name, s.Front, s.Backend, s.Doc)
		if s.Played != "" {
			fmt.Fprintf(&told, "\nPlayed: %s\n", s.Played)
		}
		for i, name := range truth.Captures {
			if i < len(s.Wire) {
				fmt.Fprintf(&told, "\nCapture: %s, %s.\n", name, s.Wire[i].told())
			}
		}
	}
	b.WriteString(told.String())
	return os.WriteFile(filepath.Join(dir, "README.md"), []byte(b.String()), 0o644)
}
