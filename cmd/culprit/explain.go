package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"culprit/internal/cause"
	causes "culprit/internal/cause/all"
	"culprit/internal/report"
)

func explainCommand(io stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [CAUSE]",
		Short: "list the causes, or tell how one shows and how it is mended",
		Long: `explain lists the causes that diagnose knows, or tells of one what happens, by
what one knows it and how it is mended.

Exit status: 0 done; 2 no such cause.`,
		Example: "  culprit explain\n  culprit explain keepalive-race",
		Args:    cobra.MaximumNArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			if len(args) == 0 {
				for _, c := range causes.Causes() {
					ids = append(ids, c.ID+"\t"+c.Title)
				}
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listCauses(io.out)
			}
			for _, c := range causes.Causes() {
				if c.ID == strings.ToLower(args[0]) {
					return report.Cause(io.out, c)
				}
			}
			return noCause(args[0])
		},
	}
}

// noCause refuses an unknown id and names those that resemble it.
func noCause(id string) error {
	p := &plight{exitUsage, fmt.Sprintf("no cause %q", id), nil}
	for _, c := range causes.Causes() {
		for _, part := range strings.Split(strings.ToLower(id), "-") {
			if len(part) > 2 && strings.Contains(c.ID, part) {
				p.try = append(p.try, "culprit explain "+c.ID)
				break
			}
		}
	}
	if len(p.try) == 0 || len(p.try) > 5 {
		p.try = []string{"culprit explain"}
	}
	return p
}

func listCauses(w io.Writer) error {
	var faults, others []*cause.Cause
	for _, c := range causes.Causes() {
		if c.Kind == cause.Innocent {
			others = append(others, c)
		} else {
			faults = append(faults, c)
		}
	}
	return report.Catalogue(w, faults, others)
}
