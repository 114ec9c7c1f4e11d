// Command record makes the faults of package lab with real servers and writes
// the evidence they leave to examples/NAME.
//
//	go run ./examples/record            all of them, some 90 minutes
//	go run ./examples/record NAME...    the named ones
//	go run ./examples/record -list      the names
//	go run ./examples/record -index     only README.md, from what is recorded
//
// It runs as root or as a user; as root it starts the servers as www-data, and
// only then can it record those scenarios that need two users, the kernel's
// memory limits or a network namespace. Where the wire is recorded, a user needs
// CAP_NET_RAW.
//
// It exits with 0 if all were recorded, with 1 if one was not, and with 2 for
// an unknown name.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"culprit/internal/lab"
)

const (
	exitDone = iota
	exitFailed
	exitUsage
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("record", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := flags.Bool("list", false, "print the names and record nothing")
	index := flags.Bool("index", false, "write README.md from what is recorded and record nothing")
	dir := flags.String("dir", "examples", "folder to write to")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	chosen, err := choose(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	switch {
	case *list:
		for _, s := range chosen {
			fmt.Fprintln(stdout, s.Name)
		}
		return exitDone
	case !*index:
		if !recordAll(ctx, chosen, *dir, stdout, stderr) {
			return exitFailed
		}
	}
	if err := lab.WriteIndex(*dir); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitDone
}

func choose(names []string) ([]lab.Scenario, error) {
	if len(names) == 0 {
		return lab.Scenarios(), nil
	}
	var chosen []lab.Scenario
	for _, name := range names {
		s, ok := lab.Find(name)
		if !ok {
			return nil, fmt.Errorf("no scenario is called %q\ntry: go run ./examples/record -list", name)
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

// recordAll records one scenario after the other and tells whether all could
// be recorded.
func recordAll(ctx context.Context, chosen []lab.Scenario, dir string, stdout, stderr io.Writer) bool {
	logf := func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) }
	ok := true
	for _, s := range chosen {
		_, err := lab.Record(ctx, s, filepath.Join(dir, s.Name), logf)
		var missing *lab.MissingError
		var privilege *lab.PrivilegeError
		switch {
		case errors.As(err, &missing):
			fmt.Fprintf(stderr, "%s: left out: %v\n", s.Name, missing)
			ok = false
		case errors.As(err, &privilege):
			fmt.Fprintf(stderr, "%s: left out: %v\n", s.Name, privilege)
			ok = false
		case err != nil:
			fmt.Fprintln(stderr, err)
			ok = false
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return ok
}
