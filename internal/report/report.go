// Package report tells verdicts: as text for a terminal of 80 columns, as JSON
// for programs (schema culprit.report/v1), as Markdown for a ticket and as one
// HTML file.
//
// All four tell the same [Report]. It is first turned into a digest, in which
// every text is free of control characters: evidence is hostile input, and a
// log line must not steer the terminal or the page that shows it.
//
// The package is pure: the same report gives the same bytes.
package report

import (
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
	"culprit/internal/failure"
)

// Report is what is told.
type Report struct {
	World    *failure.World
	Verdicts []*cause.Verdict // sorted, as [cause.Judge.Try] returns them
	Inputs   []Input          // in the order in which they are listed
	// Story is all that was said of one request, in the order of time; nil if
	// none was asked for.
	Story []fact.Fact
	Options
}

// Options steer how it is told. The zero value tells everything in UTC,
// without colour.
type Options struct {
	// Since and Until bound what was looked at; zero means no bound.
	Since, Until time.Time
	// Zone is that in which people read times; nil means UTC. JSON is always
	// in UTC.
	Zone *time.Location
	// ZoneAssumed: some stamps name no zone and were taken to be in Zone.
	ZoneAssumed bool
	// Verbose shows weights, their reasons and every cited line in text.
	Verbose bool
	// Color allows ANSI colours in text.
	Color bool
}

// Input says what became of one file.
type Input struct {
	Path     string
	Format   string // id of the format read; empty if none was recognised
	Title    string // the format's title
	Lines    int    // or packets, of a capture
	Requests int
	// Skipped lines are of a known format and unreadable, Unrecognised ones of
	// none; the first of each as an example.
	Skipped, Unrecognised           int
	FirstSkipped, FirstUnrecognised Excerpt
	// Counts are what else a reader counted, by its word for it: "streams".
	Counts      map[string]int
	CutEnd      bool // the one line skipped or unrecognised is the last, which has no end
	Cut         int  // lines too long to be read whole
	Backwards   int  // lines stamped over a minute before the line above
	First, Last time.Time
	Err         string // why it, or its end, could not be read
}

// Excerpt is a line with its number, from 1.
type Excerpt struct {
	Line int
	Text string
}

// Read reports whether anything was read from the input.
func (in *Input) Read() bool { return in.Format != "" }
