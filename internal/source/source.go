// Package source opens evidence and turns it into facts: it walks paths,
// unpacks, recognises formats by content, feeds lines to readers and folds
// ordinary requests into samples. It holds the contract that each technology's
// folder fulfils; it knows no technology itself.
//
// # Adding a format
//
// A technology is one folder with one exported list:
//
//	var Formats = []source.Format{access, errorLog, config}
//
// and one line in source/all. A [Format] reads lines (Sniff and NewReader) or
// whole documents (SniffDoc and ReadDoc). It states what it reads as facts in
// a [Sink]. The suite in sourcetest checks the rest.
package source

import (
	"io"
	"time"

	"culprit/internal/fact"
)

// Confidence is how sure a format is that a line or a document is its own.
// The surest format gets it; between equals, the first in source/all.
type Confidence int

// What the grades mean.
const (
	No Confidence = 0
	// Fragment: words this technology writes, without the frame that would
	// prove it: a pasted piece of a message, or a line whose prefix an unknown
	// logger replaced.
	Fragment Confidence = 10
	// Possible: the shape fits, and so would other formats.
	Possible Confidence = 30
	// Likely: the shape fits and few others have it.
	Likely Confidence = 60
	// Sure: nobody else writes this.
	Sure Confidence = 90
)

// A Format is one kind of text that a technology writes.
type Format struct {
	ID    string // "nginx-access": names it in reports and for --as
	Tech  string // the folder's name: "nginx"
	Title string // "nginx access log"
	// Role is whose log it is, where its facts are about others: the host's,
	// the orchestrator's. Empty: that of the party its facts name.
	Role fact.Role

	// Sniff says whether one line is of this format. It is called on every
	// line nobody recognised so far, so it must be cheap; it must not keep
	// the line. Wrappers are already taken off.
	Sniff func(l *Line) Confidence
	// NewReader makes a reader for one input.
	NewReader func(env *Env) LineReader
	// Independent: lines mean the same in any order, so an input may be cut
	// into ranges at line ends, each with a reader of its own.
	Independent bool

	// SniffDoc, instead of Sniff, says whether a whole input that begins with
	// head (at most [HeadSize] bytes) is of this format.
	SniffDoc func(head []byte, path string) Confidence
	// ReadDoc reads a whole document. An error means that nothing could be
	// read; a part that is wrong is reported with doc.Skip.
	ReadDoc func(env *Env, doc *Doc, out Sink) error
	// SniffBytes, instead of Sniff, says whether an input that begins with head
	// (at most [HeadSize] bytes) is of this format, which is binary.
	SniffBytes func(head []byte) bool
	// ReadStream reads such an input from its front to its end. An error means
	// that it broke off; what was stated before stands.
	ReadStream func(env *Env, in *Stream, out Sink) error
	// Config: read before all logs, because it may tell how to read them
	// (see [Env.Hint]).
	Config bool
	// ReadDocs, if set, is called once for all documents of a Config format
	// together, in the order of their names, because one may include others.
	// It states each fact to that one of outs whose document it stands in;
	// docs[i] and outs[i] belong together. An error means that nothing of any
	// could be read. ReadDoc is then for a document by itself.
	ReadDocs func(env *Env, docs []*Doc, outs []Sink) error
}

// HeadSize is how much of an input SniffDoc sees, in bytes.
const HeadSize = 64 << 10

// Took is a reader's answer to a line.
type Took int

// The answers.
const (
	NotMine Took = iota // the line is of another format
	Mine                // read
	Broken              // of this format, and unreadable: counted as skipped
)

// A LineReader reads lines of one format from one input, in order, from one
// goroutine.
type LineReader interface {
	// Line reads one line. Neither l nor l.Text may be kept; what is stated to
	// out may point into l.Text.
	Line(l *Line, out Sink) Took
	// Close states what is pending after the last line.
	Close(out Sink)
}

// Sink takes what a reader finds. Facts may share memory with the line and be
// reused by the reader after the call: the sink copies what it keeps. It fills
// Origin where it is empty, and Party.Host, Party.Name and Party.PID of facts
// from the line's wrapper where the reader left them empty. The core's own is a
// [Folder] too.
type Sink interface {
	// State takes one fact. Every request of a log is stated as a
	// *fact.Request; the sink folds ordinary ones into samples.
	State(f fact.Fact)
	// Inner hands over a line that stood inside another format's record, to be
	// recognised and read as if it stood in the file itself.
	Inner(l *Line)
	// Seen says that the input speaks of instant t although nothing is stated.
	Seen(t time.Time)
}

// Line is one line of an input, without its line end, and what its wrappers
// said of it.
type Line struct {
	Text []byte
	Path string
	N    int // from 1; for a record of several lines, its first

	// From wrappers (docker, CRI, syslog, journal, compose); zero if unknown.
	Time      time.Time
	Res       fact.Dur // resolution of Time
	Host      string
	Program   string // syslog tag, journal identifier
	PID       int
	Unit      string // systemd unit
	Container string // container or pod name
	Wrapped   bool   // some wrapper was taken off
}

// A Wrapper takes a container's or a logger's frame off a line.
type Wrapper struct {
	ID string // "docker-json"
	// Unwrap narrows l.Text to the inner text, fills the fields it knows and
	// reports true; or leaves l as it is and reports false. It must be cheap
	// on lines that are not its own. The inner text may point into the old or
	// be new.
	Unwrap func(env *Env, l *Line) bool
	// Front, if set, says that all Unwrap does to a line is to take its front
	// off, given what is then left; and that from the same front it always
	// reads the same. Lines of one second are then not unwrapped one by one.
	Front func(rest []byte) bool
}

// Stream is a binary input that is read from front to end.
type Stream struct {
	Path string
	// R is the input, unpacked. It has a method Block() ([]byte, error), which
	// returns what is next without copying it, valid until the next call.
	R io.Reader
	// At says which record is read now, from 1: facts that are stated next
	// have it for a line, where they name none.
	At func(record int)
	// Skip counts a record that could not be read.
	Skip func(record int, why string)
	// Count tells how many of something there were: "streams", "resets".
	Count func(what string, n int)
}

// Keen is a [Sink] that follows some requests, even ordinary ones. The core's
// own is one.
type Keen interface {
	// Keen reports whether r is one, so that what belongs to it is worth
	// telling. It does not keep r.
	Keen(r *fact.Request) bool
}

// Doc is an input that is read as a whole.
type Doc struct {
	Path string
	Data []byte
	// Skip counts a part that could not be read.
	Skip func(line int, why string)
}
