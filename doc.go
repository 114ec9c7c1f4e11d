// Package culprit is the map; there is no code here.
//
// culprit names who caused intermittent HTTP 502s, 503s and 504s, and shows
// the proof. One sentence is the architecture:
//
//	sources state facts; facts make failures; causes judge failures; reports tell.
//
// Each noun is a package:
//
//	cmd/culprit         main and one file a subcommand; the only place of wiring
//	internal/fact       what a vantage point recorded: Request, Conn, Event, Sample, Setting
//	internal/source     opens and unpacks evidence, recognises its format, folds ordinary requests
//	  source/nginx ...  one folder a technology: log formats, configuration, documented defaults
//	  source/pcap       packets: facts of what internal/wire saw
//	  source/all        the list of them
//	  source/sourcetest the suite each of them passes
//	internal/wire       reads packets: capture files, encapsulations, TCP connections, HTTP pairing
//	internal/recorder   culprit capture: a ring of frames, and slices of what failed
//	internal/failure    joins facts into failed requests with a mechanism, groups them into episodes
//	internal/cause      the contract of a cause, signals, verdicts, the Judge
//	  cause/oomkill ... one folder a cause: text, weights, fix, cases that fire and cases that stay silent
//	  cause/all         the list of them
//	  cause/causetest   the suite each of them passes
//	internal/report     verdicts as terminal text, JSON, Markdown and one-file HTML
//	internal/lab        makes faults with real servers and records what a user would have in hand
//	examples            what the lab recorded; go run ./examples/record renews it
//
// Who may import whom is a table in arch_test.go, and a test.
//
// # Three ideas
//
// Mechanism is not cause. A log shows that a connection was closed before the
// reply (fact.Mechanism); whether the server crashed, was killed, or lost a
// race for an idle connection is what causes weigh. Where none of them is
// shown, the verdict is the mechanism and what would settle it.
//
// What a technology knows travels as facts. The folder of Node states
// Setting{KeepAliveIdle, 5 s, Default, "server.keepAliveTimeout = {ms};"}; so a
// cause compares the time-outs of two parties and prints the line to change,
// and imports neither.
//
// The Judge weighs, and shows the weights. A cause returns signals in decibans
// with the facts they rest on; the Judge adds them, lets deep causes take over
// the shallow ones that they explain, keeps "unknown" in the running, and says
// how sure it is.
//
// Where to begin: internal/fact/fact.go, then internal/cause/cause.go, then one
// cause (internal/cause/keepaliverace) and one source. CONTRIBUTING.md adds a
// cause in ten minutes.
package culprit
