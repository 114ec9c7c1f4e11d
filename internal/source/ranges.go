package source

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"culprit/internal/fact"
)

// rangeSize is into how large pieces a file is cut to be read on all
// processors, in bytes. It does not depend on how many there are, so that the
// result does not either.
const rangeSize = 16 << 20

// readRanges reads a plain file of one format whose lines stand alone, piece
// by piece, on all processors. It reports false for any other input.
func (f *feeder) readRanges(o *opened, out *sink) bool {
	file, ok := o.file.(io.ReaderAt)
	if !ok || !o.raw || o.pin == nil || !o.pin.Independent || o.in.Size < 2*rangeSize || f.opt.All {
		return false
	}
	n := int((o.in.Size + rangeSize - 1) / rangeSize)
	parts := make([]*sink, n)
	var mu sync.Mutex
	merged := 0
	var idle []*lineReader // their memory serves one range after the other
	reader := func(r io.Reader) *lineReader {
		mu.Lock()
		defer mu.Unlock()
		if n := len(idle); n > 0 {
			lr := idle[n-1]
			idle = idle[:n-1]
			lr.reset(r)
			return lr
		}
		return newLineReader(r)
	}
	parallel(n, true, func(i int) {
		rep := &Report{Path: out.rep.Path}
		part := f.sink(rep)
		from := int64(i) * rangeSize
		r := &rangeReader{file: file, at: from, end: min(from+rangeSize, o.in.Size), size: o.in.Size, progress: f.opt.Progress}
		lr := reader(r)
		part.offset = from
		err := r.begin(lr)
		if err == nil {
			f.scan(lr, o, part)
		} else if !errors.Is(err, io.EOF) {
			rep.Err = fmt.Errorf("read to its end: %w", err)
		}
		part.machine.closeAll()
		mu.Lock()
		defer mu.Unlock()
		parts[i] = part
		idle = append(idle, lr)
		for merged < n && parts[merged] != nil {
			out.merge(parts[merged])
			parts[merged] = &sink{} // lets its memory go
			merged++
		}
	})
	return true
}

// rangeReader reads the lines that begin in a range of a file: from the first
// line end at or after its beginning to the first at or after its end.
type rangeReader struct {
	file     io.ReaderAt
	at       int64
	end      int64
	size     int64
	last     bool // the tail after end is being read
	done     bool
	progress func(int)
}

// begin skips the rest of the line that the range before reads.
func (r *rangeReader) begin(lr *lineReader) error {
	if r.at == 0 {
		return nil
	}
	var b [1]byte
	if _, err := r.file.ReadAt(b[:], r.at-1); err != nil {
		return err
	}
	if b[0] == '\n' {
		return nil
	}
	_, err := lr.next()
	lr.cut = 0 // it is the other's
	return err
}

// Read implements [io.Reader].
func (r *rangeReader) Read(p []byte) (int, error) {
	if r.done {
		return 0, io.EOF
	}
	if r.at < r.end {
		n, err := r.file.ReadAt(p[:min(int64(len(p)), r.end-r.at)], r.at)
		r.at += int64(n)
		if r.progress != nil {
			r.progress(n)
		}
		if r.at == r.end && n > 0 {
			r.last = p[n-1] != '\n'
			r.done = !r.last
		}
		if errors.Is(err, io.EOF) && n > 0 {
			err = nil
		}
		return n, err
	}
	// The line that begins in the range and ends after it.
	n, err := r.file.ReadAt(p[:min(len(p), 4096)], r.at)
	if i := indexNewline(p[:n]); i >= 0 {
		n, r.done, err = i+1, true, nil
	}
	r.at += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func indexNewline(b []byte) int {
	for i, c := range b {
		if c == '\n' {
			return i
		}
	}
	return -1
}

// merge adds what a later range of the same input yielded.
func (s *sink) merge(p *sink) {
	base := s.rep.Lines
	r, q := s.rep, p.rep
	r.Lines += q.Lines
	if r.FirstSkipped.N == 0 && q.FirstSkipped.N > 0 {
		r.FirstSkipped = Excerpt{q.FirstSkipped.N + base, q.FirstSkipped.Text}
	}
	if r.FirstUnknown.N == 0 && q.FirstUnknown.N > 0 {
		r.FirstUnknown = Excerpt{q.FirstUnknown.N + base, q.FirstUnknown.Text}
	}
	r.Skipped += q.Skipped
	r.Unknown += q.Unknown
	r.Cut += q.Cut
	r.Requests += q.Requests
	r.Backwards += q.Backwards
	if r.Err == nil {
		r.Err = q.Err
	}
	s.cover(q.First)
	s.cover(q.Last)
	for x, n := range p.tally {
		s.tally[x] += n
	}
	for x, c := range p.cov {
		if s.cov == nil {
			s.cov = map[*Format]*span{}
		}
		if d := s.cov[x]; d == nil {
			s.cov[x] = c
		} else {
			d.lines += c.lines
			if c.first.Before(d.first) {
				d.first = c.first
			}
			if c.last.After(d.last) {
				d.last = c.last
			}
		}
	}
	for _, x := range p.facts {
		x.Head().Origin.Line += base
		s.facts = append(s.facts, x)
	}
	for _, x := range p.order {
		fo := p.folds[x]
		fo.shift(base)
		if s.folds[x] == nil {
			if s.folds == nil {
				s.folds, s.parties = map[*Format]*fold{}, map[*Format]fact.Party{}
			}
			s.folds[x], s.parties[x] = fo, p.parties[x]
			s.order = append(s.order, x)
			continue
		}
		s.folds[x].merge(fo)
	}
}

// aheadBlocks is how many blocks the unpacking may be ahead of the reading.
const aheadBlocks = 8

// readAhead reads r on a processor of its own, in blocks of size bytes.
func readAhead(r io.Reader, size int) *ahead {
	a := &ahead{full: make(chan block, aheadBlocks), free: make(chan []byte, aheadBlocks), stop: make(chan struct{})}
	for range aheadBlocks {
		a.free <- make([]byte, size)
	}
	go func() {
		defer close(a.full)
		for {
			var b []byte
			select {
			case b = <-a.free:
			case <-a.stop:
				return
			}
			// Not io.ReadFull: it says the same of a short end and of a stream
			// that was cut.
			n, err := 0, error(nil)
			for n < size && err == nil {
				var k int
				k, err = r.Read(b[n:size])
				n += k
			}
			select {
			case a.full <- block{b, n, err}:
			case <-a.stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return a
}

type block struct {
	b   []byte
	n   int
	err error
}

type ahead struct {
	full chan block
	free chan []byte
	stop chan struct{}
	cur  block
	pos  int
}

// Block returns what is next, without copying it. It is valid until the next
// call.
func (a *ahead) Block() ([]byte, error) {
	for a.pos == a.cur.n {
		if a.cur.err != nil {
			return nil, a.cur.err
		}
		if a.cur.b != nil {
			a.free <- a.cur.b
		}
		b, ok := <-a.full
		if !ok {
			return nil, io.EOF
		}
		a.cur, a.pos = b, 0
	}
	b := a.cur.b[a.pos:a.cur.n]
	a.pos = a.cur.n
	return b, nil
}

// Read implements [io.Reader].
func (a *ahead) Read(p []byte) (int, error) {
	b, err := a.Block()
	n := copy(p, b)
	a.pos -= len(b) - n
	return n, err
}

// Close ends the reading.
func (a *ahead) Close() error {
	close(a.stop)
	return nil
}
