package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand(io stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Long:  "version prints the version, the commit and the Go release it was built with.\n\nExit status: 0 done; 2 wrong usage.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(io.out, version())
			return err
		},
	}
}

// version is what the build recorded: module version, commit, Go release.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "culprit (built without module information)"
	}
	s := "culprit " + info.Main.Version
	set := map[string]string{}
	for _, kv := range info.Settings {
		set[kv.Key] = kv.Value
	}
	if rev := set["vcs.revision"]; len(rev) >= 12 {
		s += " " + rev[:12]
		if set["vcs.modified"] == "true" {
			s += " (modified)"
		}
	}
	return s + " " + info.GoVersion
}
