package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	sources "culprit/internal/source/all"
)

func formatsCommand(io stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "formats",
		Short: "list the formats that can be read",
		Long: `formats lists what can be read, as --as takes it. All of them are recognised by
their content; what is wrapped around a line (docker, CRI, syslog, journal) and
gz, zst, bz2 and xz are taken off first.

Exit status: 0 done; 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w := bufio.NewWriter(io.out)
			wide := 0
			for _, x := range sources.Formats() {
				wide = max(wide, len(x.ID))
			}
			for _, x := range sources.Formats() {
				fmt.Fprintf(w, "%-*s  %s\n", wide, x.ID, x.Title)
			}
			return w.Flush()
		},
	}
}
