package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"culprit/internal/fact"
	"culprit/internal/report"
	"culprit/internal/source"
	sources "culprit/internal/source/all"
)

// evidenceFlags are those of all commands that read evidence.
type evidenceFlags struct {
	as          string
	zone        string
	idHeaders   []string
	logFormats  []string
	showSecrets bool
}

func (f *evidenceFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.as, "as", "", "take all input for this `FORMAT` (culprit formats lists them)")
	fs.StringVar(&f.zone, "tz", "", "`ZONE` of stamps that name none, and of times shown: Europe/Berlin, +02:00, local (default UTC)")
	fs.StringSliceVar(&f.idHeaders, "id-header", nil, "further header `NAME` that identifies a request; may be repeated")
	fs.StringArrayVar(&f.logFormats, "nginx-log-format", nil, "the `TEXT` of your nginx log_format; may be repeated")
	fs.BoolVar(&f.showSecrets, "show-secrets", false, "leave tokens, cookies and passwords in what is shown, on a terminal alone")
	must(cmd.RegisterFlagCompletionFunc("as", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, x := range sources.Formats() {
			ids = append(ids, x.ID+"\t"+x.Title)
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}))
}

// secretsElsewhere refuses to write secrets to where others may read them.
func secretsElsewhere() error {
	return usage("the same without --show-secrets, or as text on a terminal", "--show-secrets: secrets are shown on the terminal alone, not written to files, pipes or reports")
}

// must is for what can only fail by a programmer's slip.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// nginxLogFormat is the key under which nginx's reader looks for log formats.
const nginxLogFormat = "nginx.log_format"

// env makes the readers' environment of the flags.
func (f *evidenceFlags) env() (*source.Env, error) {
	env := &source.Env{Banners: sources.Banners()}
	zone, err := parseZone(f.zone)
	if err != nil {
		return nil, err
	}
	env.Zone = zone
	for _, h := range f.idHeaders {
		env.IDHeaders = append(env.IDHeaders, strings.ToLower(strings.TrimSpace(h)))
	}
	for _, s := range f.logFormats {
		env.Hint(nginxLogFormat, s)
	}
	if f.as != "" && !slices.ContainsFunc(sources.Formats(), func(x source.Format) bool { return x.ID == f.as }) {
		return nil, usage("culprit formats", "no format %q", f.as)
	}
	return env, nil
}

// evidence is what was read.
type evidence struct {
	env     *source.Env
	facts   []fact.Fact
	reports []source.Report
}

// read reads paths. What only some of them hold is in the reports; an error is
// returned only if nothing at all could be read.
func (f *evidenceFlags) read(ctx context.Context, io stdio, paths []string, opt source.Options) (*evidence, error) {
	if f.showSecrets && !isTerminal(io.out) {
		return nil, secretsElsewhere()
	}
	env, err := f.env()
	if err != nil {
		return nil, err
	}
	inputs := source.Inputs(paths, io.in)
	if len(inputs) == 0 {
		return nil, &plight{exitUnread, "nothing to read in " + strings.Join(paths, ", "), []string{"name a file, or a folder that holds some"}}
	}
	var total int64
	for i := range inputs {
		total += inputs[i].Size
		inputs[i].Open = stoppable(ctx, inputs[i].Open)
	}
	opt.As, opt.ShowSecrets = f.as, f.showSecrets
	meter := newMeter(io.err, total)
	opt.Progress = meter.add
	ev := &evidence{env: env}
	done := make(chan error, 1)
	go func() {
		var err error
		ev.reports, err = source.Feed(env, sources.Formats(), sources.Wrappers(), inputs, opt, func(x fact.Fact) { ev.facts = append(ev.facts, x) })
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		// A read of standard input may never return: it is left behind, for
		// the program ends.
		meter.end()
		return nil, context.Canceled
	}
	meter.end()
	if ctx.Err() != nil {
		return nil, context.Canceled
	}
	if err != nil {
		return nil, &plight{exitUsage, err.Error(), nil}
	}
	return ev, nil
}

// stoppable makes reading end when ctx does.
func stoppable(ctx context.Context, open func() (io.ReadCloser, error)) func() (io.ReadCloser, error) {
	if open == nil {
		return nil
	}
	return func() (io.ReadCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := open()
		if err != nil {
			return nil, err
		}
		s := &stoppableReader{ctx, r}
		if at, ok := r.(io.ReaderAt); ok {
			return &stoppableFile{s, at}, nil
		}
		return s, nil
	}
}

// stoppableFile can be read in ranges, on all processors.
type stoppableFile struct {
	*stoppableReader
	at io.ReaderAt
}

func (f *stoppableFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.at.ReadAt(p, off)
}

type stoppableReader struct {
	ctx context.Context
	io.ReadCloser
}

func (r *stoppableReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

// unread is the error if nothing at all could be read; nil if something was.
func (ev *evidence) unread() error {
	for _, r := range ev.reports {
		if r.Format != "" {
			return nil
		}
	}
	if len(ev.reports) == 1 {
		return trouble(&ev.reports[0])
	}
	p := &plight{status: exitUnread, says: fmt.Sprintf("nothing could be read of %d inputs", len(ev.reports))}
	for i := range ev.reports {
		if i == 3 {
			p.says += "\n  ..."
			break
		}
		t := trouble(&ev.reports[i])
		p.says += "\n  " + t.says
		for _, s := range t.try {
			if !slices.Contains(p.try, s) {
				p.try = append(p.try, s)
			}
		}
	}
	return p
}

// inputs are the reports in the words of package report.
func (ev *evidence) inputs() []report.Input {
	titles := map[string]string{"facts": "facts, as culprit writes them"}
	for _, x := range sources.Formats() {
		titles[x.ID] = x.Title
	}
	var out []report.Input
	for i := range ev.reports {
		r := &ev.reports[i]
		in := report.Input{
			Path: r.Path, Format: r.Format, Title: titles[r.Format], Lines: r.Lines, Requests: r.Requests, Skipped: r.Skipped, Unrecognised: r.Unknown,
			FirstSkipped: report.Excerpt{Line: r.FirstSkipped.N, Text: r.FirstSkipped.Text}, FirstUnrecognised: report.Excerpt{Line: r.FirstUnknown.N, Text: r.FirstUnknown.Text},
			Cut: r.Cut, Backwards: r.Backwards, Counts: r.Counts, First: r.First, Last: r.Last,
		}
		if r.Err != nil {
			in.Err = cmp.Or(damage(r), why(r.Err))
		}
		in.CutEnd = r.Skipped+r.Unknown == 1 && r.Lines > 1 && max(r.FirstSkipped.N, r.FirstUnknown.N) == r.Lines && openEnded(r.Path)
		out = append(out, in)
	}
	return out
}

// openEnded reports whether a file's last line has no line end.
func openEnded(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	last := make([]byte, 1)
	if _, err := f.Seek(-1, io.SeekEnd); err != nil {
		return false
	}
	_, err = f.Read(last)
	return err == nil && last[0] != '\n'
}

// end is the last instant of which logs speak; zero if none has a time.
func (ev *evidence) end() time.Time {
	var end time.Time
	for _, r := range ev.reports {
		if r.Last.After(end) {
			end = r.Last
		}
	}
	return end
}

// isNotExist and others are told in plain words.
func why(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "no such file or folder"
	case errors.Is(err, os.ErrPermission):
		return "permission denied"
	case errors.Is(err, source.ErrBinary):
		return "binary data, no text"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the packed file ends early: what came before the end was read"
	}
	return err.Error()
}
