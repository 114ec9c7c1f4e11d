package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"culprit/internal/fact"
)

// Options steer a [Feed]. The zero value reads everything.
type Options struct {
	// As names the format that inputs of lines are taken for; empty means that
	// they are recognised.
	As string
	// All states every request whole instead of folding ordinary ones into
	// samples: for `culprit facts` and tests, not for large logs.
	All bool
	// ShowSecrets leaves credentials in texts.
	ShowSecrets bool
	// Follow, if set, is asked about every fact, with the line it is read
	// from, before ordinary requests are folded; Found is given a copy of each
	// it reports true for.
	Follow func(f fact.Fact, line []byte) bool
	Found  func(fact.Fact)
	// Progress, if set, is told how many packed bytes were read since its
	// last call. It is called from several goroutines.
	Progress func(bytes int)
}

// Report says what became of one input.
type Report struct {
	Path   string
	Format string // the one that read most; empty if none did
	Tech   string
	Lines  int
	// Skipped lines are of a known format and unreadable; Unknown ones nobody
	// recognised. First of each: number and text.
	Skipped, Unknown           int
	FirstSkipped, FirstUnknown Excerpt
	Cut                        int // lines over MaxLine, read up to there
	Err                        error
	// Requests is how many requests its lines told of (not those of error
	// logs); First and Last the instants between which it speaks.
	Requests    int
	First, Last time.Time
	// Counts are what else a reader counted, by its word for it.
	Counts    map[string]int
	Backwards int // lines whose stamp is over a minute before the one above
}

// Excerpt is a line with its number.
type Excerpt struct {
	N    int
	Text string
}

// Feed reads inputs and yields their facts, in the order of the inputs'
// names. Configurations are read first. It returns a report on each input; an
// error only for options that make no sense.
func Feed(env *Env, formats []Format, wrappers []Wrapper, inputs []Input, opt Options, yield func(fact.Fact)) ([]Report, error) {
	f := &feeder{env: env, formats: formats, wrappers: wrappers, opt: opt}
	if opt.As != "" {
		if f.as = f.format(opt.As); f.as == nil {
			return nil, fmt.Errorf("no format %q: `culprit formats` lists them", opt.As)
		}
		f.formats = []Format{*f.as}
		f.as = &f.formats[0]
	}
	// A stamp without a year is taken for the year that brings it nearest to
	// the latest date at the front of any input, or, without one, to the time
	// the newest input was written.
	var latest, written time.Time
	reports := make([]Report, len(inputs))
	opened := make([]*opened, len(inputs))
	for i, in := range inputs {
		o := f.open(in)
		latest = later(latest, lastDate(o.head))
		written = later(written, in.Time)
		if in.Path != "-" {
			o.close() // read opens it again: ten thousand inputs are not held open
		}
		opened[i] = o
		reports[i].Path = in.Path
	}
	if env.Reference.IsZero() {
		if env.Reference = latest; latest.IsZero() {
			env.Reference = written
		}
	}
	found := make([][]fact.Fact, len(inputs))
	for _, config := range []bool{true, false} {
		var which []int
		for i, o := range opened {
			if o.config() == config {
				which = append(which, i)
			}
		}
		if config {
			which = f.together(which, opened, reports, found)
		}
		parallel(len(which), !config, func(n int) {
			i := which[n]
			out := f.sink(&reports[i])
			f.read(opened[i], out)
			found[i] = out.end()
			opened[i].close()
		})
	}
	for i := range found {
		for _, x := range found[i] {
			yield(x)
		}
		found[i] = nil
	}
	return reports, nil
}

// parallel calls do for 0 to n-1, on all processors if many is set. What is
// done must not depend on the order.
func parallel(n int, many bool, do func(int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if !many || workers < 2 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}

type feeder struct {
	env      *Env
	formats  []Format
	wrappers []Wrapper
	opt      Options
	as       *Format
	mu       sync.Mutex // guards opt.Found
}

// found hands a followed fact to the caller, from any reader.
func (f *feeder) found(x fact.Fact) {
	if !f.opt.ShowSecrets {
		redactFact(x)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opt.Found(x)
}

func (f *feeder) format(id string) *Format {
	for i := range f.formats {
		if f.formats[i].ID == id {
			return &f.formats[i]
		}
	}
	return nil
}

// opened is an input whose front was looked at.
type opened struct {
	in     Input
	file   io.Closer
	r      *bufio.Reader
	head   []byte
	doc    *Format // it is a document of this format
	stream *Format // it is a binary input of this format
	pin    *Format // nearly all of its first lines are of this format
	wrap   []int   // the wrappers around those lines, by their numbers
	raw    bool    // not packed
	err    error
}

func (o *opened) config() bool { return o.doc != nil && o.doc.Config }

func (o *opened) close() {
	if o.file != nil {
		o.file.Close()
	}
	o.r, o.head, o.file = nil, nil, nil
}

// reopen begins to read the input, unpacked.
func (o *opened) reopen(progress func(int)) error {
	file, err := o.in.Open()
	if err != nil {
		return err
	}
	o.file = file
	r, raw, err := unpack(file, progress)
	if err != nil {
		return err
	}
	o.raw = raw
	o.r = bufio.NewReaderSize(r, blockSize)
	return nil
}

// open looks at the front of an input and recognises documents.
func (f *feeder) open(in Input) *opened {
	o := &opened{in: in, err: in.Err}
	if o.err != nil {
		return o
	}
	if o.err = o.reopen(nil); o.err != nil {
		return o
	}
	head, err := o.r.Peek(HeadSize)
	o.head = head
	if err != nil && !errors.Is(err, io.EOF) {
		if len(o.head) == 0 {
			o.err = err
		}
		return o
	}
	for i := range f.formats {
		if x := &f.formats[i]; x.SniffBytes != nil && x.SniffBytes(o.head) {
			o.stream = x
			return o
		}
	}
	if isBinary(o.head) {
		o.err = ErrBinary
		return o
	}
	if f.as == nil || f.as.SniffDoc != nil {
		best := No
		for i := range f.formats {
			x := &f.formats[i]
			if x.SniffDoc == nil || f.as != nil && f.as != x {
				continue
			}
			if c := x.SniffDoc(o.head, in.Path); c > best || x == f.as {
				best, o.doc = c, x
			}
		}
	}
	if o.doc == nil {
		o.pin = f.pin(o)
	}
	return o
}

// pinLines is how many lines at the front decide whether an input is of one
// format throughout.
const pinLines = 60

// pin finds the format that recognises nine in ten of the first lines best,
// with the wrappers around it; nil where the input is mixed.
func (f *feeder) pin(o *opened) *Format {
	if f.as != nil {
		return f.as
	}
	type shape struct {
		x    *Format
		wrap string
	}
	score := map[shape]int{}
	wraps := map[string][]int{}
	lines := 0
	rest := o.head
	for lines < pinLines && len(rest) > 0 {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			if lines > 0 {
				break
			}
			i = len(rest) - 1
		}
		text := trimEOL(rest[:i+1])
		rest = rest[i+1:]
		if len(text) == 0 {
			continue
		}
		lines++
		l := Line{Text: text, Path: o.in.Path, N: lines}
		chain := f.unwrap(&l)
		key := fmt.Sprint(chain)
		wraps[key] = chain
		if x, _ := f.best(&l, nil); x != nil {
			score[shape{x, key}]++
		}
	}
	for k, n := range score {
		if lines > 1 && n*10 >= lines*9 {
			o.wrap = wraps[k.wrap]
			return k.x
		}
	}
	return nil
}

// unwrap takes wrappers off, at most four, one inside the other, and returns
// their numbers.
func (f *feeder) unwrap(l *Line) (chain []int) {
	for range 4 {
		took := false
		for i := range f.wrappers {
			if f.wrappers[i].Unwrap(f.env, l) {
				l.Wrapped, took = true, true
				chain = append(chain, i)
				break
			}
		}
		if !took {
			break
		}
	}
	return chain
}

// best returns the surest format for a line, leaving out those in not.
func (f *feeder) best(l *Line, not map[*Format]bool) (*Format, Confidence) {
	var best *Format
	top := No
	for i := range f.formats {
		x := &f.formats[i]
		if x.Sniff == nil || not[x] {
			continue
		}
		c := x.Sniff(l)
		if c >= Possible && c < Sure && named(l.Path, x.Tech) {
			c += nameBonus
		}
		if c > top {
			best, top = x, c
		}
	}
	return best, top
}

// nameBonus decides between formats that several servers write alike, such as
// the combined one, for the server whose name the file bears.
const nameBonus = 5

func named(path, tech string) bool {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		path = path[i+1:]
	}
	return len(tech) <= len(path) && strings.Contains(strings.ToLower(path), tech)
}

// read reads one input into out.
func (f *feeder) read(o *opened, out *sink) {
	rep := out.rep
	if o.err == nil && o.r == nil {
		o.err = o.reopen(f.opt.Progress)
	}
	switch {
	case o.err != nil:
		rep.Err = o.err
	case o.doc != nil:
		f.readDoc(o, out)
	case o.stream != nil:
		f.readStream(o, out)
	default:
		f.readLines(o, out)
	}
}

func (f *feeder) readLines(o *opened, out *sink) {
	if f.readFacts(o, out) {
		return
	}
	if f.readRanges(o, out) {
		return
	}
	if !o.raw && o.in.Size > rangeSize/8 {
		ahead := readAhead(o.r, blockSize)
		defer ahead.Close()
		f.scan(newLineReader(ahead), o, out)
		return
	}
	f.scan(newLineReader(o.r), o, out)
}

// scan reads lines to the end.
func (f *feeder) scan(lr *lineReader, o *opened, out *sink) {
	rep := out.rep
	m := f.machine(o, out)
	l := &Line{}
	for {
		text, err := lr.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				rep.Err = fmt.Errorf("read to its end: %w", err)
			}
			break
		}
		rep.Lines++
		if len(text) == 0 && m.cur == nil {
			continue
		}
		*l = Line{Text: text, Path: o.in.Path, N: rep.Lines} // nothing of the line before
		m.line(l)
		out.offset += int64(len(text)) + 1
	}
	rep.Cut = lr.cut
}

// readFacts reads an input that holds facts in their own encoding.
func (f *feeder) readFacts(o *opened, out *sink) bool {
	head, _ := o.r.Peek(HeadSize)
	first, _, _ := bytes.Cut(head, []byte{'\n'})
	if len(first) == 0 || first[0] != '{' || f.as != nil {
		return false
	}
	if _, err := fact.DecodeLine(first); err != nil {
		return false
	}
	out.rep.Format, out.rep.Tech = "facts", "culprit"
	lr := newLineReader(o.r)
	for {
		text, err := lr.next()
		if err != nil {
			break
		}
		out.rep.Lines++
		x, err := fact.DecodeLine(text)
		if err != nil {
			out.skip(out.rep.Lines, string(text[:min(len(text), 200)]))
			continue
		}
		if r, ok := x.(*fact.Request); ok && !r.Partial {
			out.rep.Requests += r.N()
		}
		out.cover(x.Head().Time)
		out.facts = append(out.facts, x)
	}
	return true
}
