package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"culprit/internal/cause"
	causes "culprit/internal/cause/all"
	"culprit/internal/fact"
	"culprit/internal/failure"
	"culprit/internal/report"
)

type diagnosis struct {
	evidenceFlags
	output, file, color string
	since, until, id    string
	exitCode, verbose   bool
}

// writers are the forms of output.
var outputs = []struct {
	name  string
	write func(io.Writer, *report.Report) error
}{
	{"text", report.Text},
	{"json", report.JSON},
	{"markdown", report.Markdown},
	{"html", report.HTML},
}

func diagnoseCommand(io stdio) *cobra.Command {
	var d diagnosis
	cmd := &cobra.Command{
		Use:   "diagnose [flags] PATH...",
		Short: "say who caused the failed requests in logs and captures, and show the proof",
		Long: `diagnose reads whatever is at hand and says of every failed request who caused
it.

A PATH is a file, a folder (read with all below it) or - for standard input.
gz, zst, bz2 and xz are unpacked. What a file is, is told by its content. More
is better: the proxy's access and error log, the application's log, the journal,
the configurations, kubectl output, all of the same minutes.

Exit status: 0 done; 1 failures were found and --exit-code was given;
2 wrong usage; 3 nothing could be read.`,
		Example: `  culprit diagnose /var/log/nginx /etc/nginx app.log
  culprit diagnose front.pcap backend.pcap access.log
  culprit diagnose --since 2h --output markdown incident/ > ticket.md
  journalctl -u shop -o short-iso | culprit diagnose - access.log error.log`,
		Args: wantPaths,
		RunE: func(cmd *cobra.Command, args []string) error {
			return d.run(cmd.Context(), io, args)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&d.output, "output", "text", "`FORM` of the report: text, json, markdown, html")
	fs.StringVarP(&d.file, "out", "o", "", "write the report to `FILE`; its ending tells the form")
	fs.StringVar(&d.since, "since", "", "look only at failures from `TIME` on: 2026-03-09T14:00:00Z, 2026-03-09, 14:00, 2h (before the end)")
	fs.StringVar(&d.until, "until", "", "look only at failures up to `TIME`")
	fs.BoolVar(&d.exitCode, "exit-code", false, "end with status 1 if requests failed")
	fs.StringVar(&d.id, "id", "", "tell the whole story of the request that carries this id `VALUE`")
	fs.StringVar(&d.color, "color", "auto", "`WHEN` to colour text: auto, always, never")
	fs.BoolVarP(&d.verbose, "verbose", "v", false, "show every line, weight and reason")
	d.add(cmd)
	fixed(cmd, "output", "text", "json", "markdown", "html")
	fixed(cmd, "color", "auto", "always", "never")
	return cmd
}

// fixed has the shell complete a flag from a few words.
func fixed(cmd *cobra.Command, flag string, words ...string) {
	must(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

func wantPaths(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usage("culprit "+cmd.Name()+" /var/log/nginx", "%s: no PATH was given", cmd.Name())
	}
	return nil
}

// check refuses wrong flags before anything is read.
func (d *diagnosis) check() error {
	if d.file != "" && d.output == "text" {
		for end, form := range map[string]string{".html": "html", ".htm": "html", ".json": "json", ".md": "markdown"} {
			if strings.HasSuffix(strings.ToLower(d.file), end) {
				d.output = form
			}
		}
	}
	if d.writer() == nil {
		return usage("--output text, --output json, --output markdown, --output html", "no form of output %q", d.output)
	}
	if !slices.Contains([]string{"auto", "always", "never"}, d.color) {
		return usage("--color auto, --color always, --color never", "--color: %q is none of its words", d.color)
	}
	if d.showSecrets && (d.output != "text" || d.file != "" && d.file != "-") {
		return secretsElsewhere()
	}
	for _, m := range d.bounds() {
		if err := m.check(); err != nil {
			return err
		}
	}
	return nil
}

func (d *diagnosis) bounds() [2]moment {
	return [2]moment{{"since", d.since}, {"until", d.until}}
}

func (d *diagnosis) writer() func(io.Writer, *report.Report) error {
	for _, o := range outputs {
		if o.name == d.output {
			return o.write
		}
	}
	return nil
}

func (d *diagnosis) run(ctx context.Context, io stdio, paths []string) error {
	if err := d.check(); err != nil {
		return err
	}
	story := story{id: d.id}
	ev, err := d.read(ctx, io, paths, story.options())
	if err != nil {
		return err
	}
	if err := ev.unread(); err != nil {
		if d.output == "json" { // programs want to see the inputs too
			rep := d.judge(ev, time.Time{}, time.Time{})
			if err := report.JSON(io.out, rep); err != nil {
				return err
			}
		}
		return err
	}
	var bound [2]time.Time
	for i, m := range d.bounds() {
		if bound[i], err = m.at(ev.end(), ev.env.Zone); err != nil {
			return err
		}
	}
	if !bound[1].IsZero() && bound[1].Before(bound[0]) {
		return usage("--since earlier than --until", "--until %s is before --since %s", d.until, d.since)
	}
	rep := d.judge(ev, bound[0], bound[1])
	write := d.writer()
	if d.id != "" {
		story.narrow(rep)
		if len(story.found) == 0 && len(rep.Verdicts) == 0 {
			return &plight{exitUnread, fmt.Sprintf("nothing carries the id %q", d.id), []string{"--id-header NAME, if the id stands in a header of your own", "grep -r " + d.id + " " + strings.Join(paths, " ")}}
		}
		rep.Story = story.facts()
	}
	if err := d.tell(io, write, rep); err != nil {
		return err
	}
	if d.exitCode && rep.World.Failed > 0 {
		return &plight{status: exitFailures}
	}
	return nil
}

// judge joins the facts and weighs the causes.
func (d *diagnosis) judge(ev *evidence, since, until time.Time) *report.Report {
	var j failure.Joiner
	for _, f := range ev.facts {
		if within(f, since, until) {
			j.Add(f)
		}
	}
	world := j.Take(time.Time{})
	judge := cause.Judge{Causes: causes.Causes()}
	verdicts := slices.DeleteFunc(judge.Try(world), func(v *cause.Verdict) bool {
		return len(v.Failures) == 0 && (!since.IsZero() && v.Last.Before(since) || !until.IsZero() && v.First.After(until))
	})
	return &report.Report{World: world, Verdicts: verdicts, Inputs: ev.inputs(), Options: report.Options{
		Since: since, Until: until, Zone: ev.env.Zone, ZoneAssumed: ev.env.AssumedZone(), Verbose: d.verbose,
	}}
}

// within reports whether a fact counts where only some hours are looked at:
// requests and their counts in it, and everything that may explain them.
func within(f fact.Fact, since, until time.Time) bool {
	t := f.Head().Time
	if t.IsZero() {
		return true
	}
	switch f := f.(type) {
	case *fact.Request, *fact.Conn:
	case *fact.Sample:
		if f.Name != fact.SampleRequests {
			return true
		}
		// Counts are of whole intervals: one that reaches into the hours
		// counts.
		if !until.IsZero() && t.Add(-f.Interval.Or(0)).After(until) {
			return false
		}
		return since.IsZero() || t.After(since)
	default:
		return true
	}
	return (since.IsZero() || !t.Before(since)) && (until.IsZero() || !t.After(until))
}

// tell writes the report to where it belongs.
func (d *diagnosis) tell(io stdio, write func(io.Writer, *report.Report) error, rep *report.Report) error {
	if d.file == "" || d.file == "-" {
		rep.Color = d.color == "always" || d.color == "auto" && d.output == "text" && isTerminal(io.out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		return write(io.out, rep)
	}
	var b bytes.Buffer
	if err := write(&b, rep); err != nil {
		return err
	}
	if err := os.WriteFile(d.file, b.Bytes(), 0o644); err != nil {
		return &plight{exitUsage, fmt.Sprintf("write %s: %s", d.file, why(err)), nil}
	}
	says := "written to " + d.file
	if end := strings.ToLower(filepath.Ext(d.file)); d.output == "text" && !slices.Contains([]string{"", ".txt", ".text", ".log"}, end) {
		says += ", as text: its ending " + end + " tells no form"
	}
	fmt.Fprintln(io.err, says)
	return nil
}
