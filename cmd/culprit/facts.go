package main

import (
	"bufio"

	"github.com/spf13/cobra"

	"culprit/internal/fact"
	"culprit/internal/source"
)

func factsCommand(io stdio) *cobra.Command {
	var flags evidenceFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "facts [flags] PATH...",
		Short: "print what diagnose sees in logs, one JSON line a fact",
		Long: `facts prints what diagnose sees: failed and neighbouring requests, events,
settings, and samples that count the ordinary rest. One JSON object a line;
diagnose reads them again.

Exit status: 0 done; 2 wrong usage; 3 nothing could be read.`,
		Example: "  culprit facts error.log | jq -c 'select(.event)'",
		Args:    wantPaths,
		RunE: func(cmd *cobra.Command, args []string) error {
			ev, err := flags.read(cmd.Context(), io, args, source.Options{All: all})
			if err != nil {
				return err
			}
			w := bufio.NewWriter(io.out)
			for _, f := range ev.facts {
				if err := fact.Encode(w, f); err != nil {
					return err
				}
			}
			if err := w.Flush(); err != nil {
				return err
			}
			return ev.unread()
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every request whole, instead of counting the ordinary ones")
	flags.add(cmd)
	return cmd
}
