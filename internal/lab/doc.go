// Package lab makes faults with real servers and keeps what a user would have
// had in hand afterwards: access logs, error logs, the application's own log,
// configurations and the few lines of source that matter.
//
// A Scenario is a value: what stands in front, what stands behind, the one
// fault, and a function that brings the servers up, sends some hundred healthy
// requests through them and lets the fault happen to a few. Record runs one and
// writes its evidence to a folder; `go run ./examples/record` does so for all.
//
// What is real: every server named in Front and Backend is the Debian package
// of that name, started on loopback addresses in a temporary directory, and
// every line of evidence was written by it, by the application or by the
// kernel. What is played, each time named in the scenario's Played: the
// distance between two hosts (Relay, Road), a name server (NameServer), the Google
// load balancer (edge), syslog's and systemd's own lines (syslogSink,
// Supervisor), written when and because the thing they tell of really happened.
//
// Many scenarios have their wire recorded by tcpdump (Capture). Behind a Relay
// that is done at the application's own port: its FIN and its resets are its
// own, while the Relay's kernel acknowledges what the far proxy has not yet seen.
// On a Road all packets, and what crosses among them, are as on a real wire.
//
// In collected files the temporary directory is rewritten to Home; nothing else
// is changed. A capture is not changed at all, and refused if it names the machine.
package lab
