// Command culprit names who caused intermittent HTTP 502s, 503s and 504s, and
// shows the proof.
//
// This is the only place of wiring: which sources read, which causes judge and
// which report tells. Each subcommand has a file of its own; what an exit
// status means is in each help text, and the errors carry it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// stdio is what the program reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// The exit statuses. They are part of the interface.
const (
	exitDone        = 0
	exitFailures    = 1   // failures were found, and --exit-code was given
	exitUsage       = 2   // wrong usage
	exitUnread      = 3   // nothing could be read
	exitInterrupted = 130 // as shells count it: 128 + SIGINT
)

// plight is an error that a person can do something about: one line, then what
// to try.
type plight struct {
	status int
	says   string
	try    []string
}

func (p *plight) Error() string { return p.says }

func usage(try string, format string, args ...any) error {
	return &plight{exitUsage, fmt.Sprintf(format, args...), []string{try}}
}

// run runs one command line and returns its exit status.
func run(ctx context.Context, args []string, io stdio) int {
	root := rootCommand(io)
	root.SetArgs(args)
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	err := root.ExecuteContext(ctx)
	return tell(io.err, err)
}

// tell writes an error for people and returns its exit status.
func tell(w io.Writer, err error) int {
	var p *plight
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(w, "culprit: interrupted")
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE):
		return exitDone // whoever read the output has seen enough
	case errors.As(err, &p):
		if p.says != "" {
			fmt.Fprintln(w, "culprit: "+p.says)
		}
		for _, s := range p.try {
			fmt.Fprintln(w, "try: "+s)
		}
		return p.status
	}
	// What is left are cobra's own words on flags and arguments.
	fmt.Fprintln(w, "culprit: "+strings.TrimSpace(err.Error()))
	fmt.Fprintln(w, "try: culprit --help")
	return exitUsage
}

func rootCommand(io stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "culprit",
		Short: "names who caused intermittent 502s, 503s and 504s, and shows the proof",
		Long: `culprit names who caused intermittent HTTP 502s, 503s and 504s, and shows the
proof.

Point it at whatever is at hand: logs of proxies and applications, journals,
kubectl output, configurations, packed or not, in one folder or many.

  culprit diagnose /var/log/nginx /etc/nginx app.log
  kubectl logs deploy/shop --timestamps | culprit diagnose - access.log`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return cmd.Help()
		},
	}
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 80"))
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(diagnoseCommand(io), explainCommand(io), factsCommand(io), formatsCommand(io), captureCommand(io), versionCommand(io))
	return root
}
