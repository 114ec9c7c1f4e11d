package source

import (
	"bytes"
	"fmt"
	"io"
	"sort"

	"culprit/internal/fact"
)

// MaxDoc bounds an input that is read as a whole, in bytes: the pods of a
// cluster of five thousand, as JSON. Of documents that are read together, no
// more are taken once they have as much in all.
const MaxDoc = 256 << 20

// together reads those of the inputs numbered in which whose format takes all
// its documents at once, and returns the others.
func (f *feeder) together(which []int, inputs []*opened, reports []Report, found [][]fact.Fact) (rest []int) {
	byFormat := map[*Format][]int{}
	for _, i := range which {
		if x := inputs[i].doc; x.ReadDocs != nil {
			byFormat[x] = append(byFormat[x], i)
		} else {
			rest = append(rest, i)
		}
	}
	for n := range f.formats {
		x := &f.formats[n]
		group := byFormat[x]
		sort.SliceStable(group, func(a, b int) bool { return reports[group[a]].Path < reports[group[b]].Path })
		var docs []*Doc
		var outs []Sink
		var ends []func(error)
		size := 0
		for k, i := range group {
			if size >= MaxDoc {
				rest = append(rest, group[k:]...) // each for itself
				break
			}
			out := f.sink(&reports[i])
			doc, end := f.load(inputs[i], out)
			inputs[i].close()
			if doc == nil {
				continue
			}
			size += len(doc.Data)
			docs, outs = append(docs, doc), append(outs, out)
			ends = append(ends, func(err error) {
				end(err)
				found[i] = out.end()
			})
		}
		if len(docs) == 0 {
			continue
		}
		err := x.ReadDocs(f.env, docs, outs)
		for _, end := range ends {
			end(err)
		}
	}
	return rest
}

// readDoc reads one document.
func (f *feeder) readDoc(o *opened, out *sink) {
	if doc, end := f.load(o, out); doc != nil {
		end(o.doc.ReadDoc(f.env, doc, out))
	}
}

// streamBlock is how much of a binary input is handed from one processor to
// the other at once, in bytes: waking it for less costs as much as reading.
const streamBlock = 1 << 20

// readStream reads one binary input.
func (f *feeder) readStream(o *opened, out *sink) {
	rep := out.rep
	out.format, out.line = o.stream, &Line{Path: o.in.Path}
	ahead := readAhead(o.r, streamBlock)
	defer ahead.Close()
	in := &Stream{Path: o.in.Path, R: ahead, At: func(n int) {
		rep.Lines = max(rep.Lines, n)
		out.line.N, out.offset = n, int64(n)
	}, Skip: func(n int, why string) { out.skip(n, why) }, Count: func(what string, n int) {
		if rep.Counts == nil {
			rep.Counts = map[string]int{}
		}
		rep.Counts[what] = n
	}}
	err := o.stream.ReadStream(f.env, in, out)
	rep.Backwards = 0 // facts of a stream are stated when they are known, not in the order of their times
	rep.Err = err
	if rep.Lines > 0 || err == nil {
		out.tally[o.stream] += max(rep.Lines, 1)
	}
}

// load gets a document's data and makes out ready to take its facts. It
// returns nil where the data cannot be had. end is to be called with the
// error of the reader.
func (f *feeder) load(o *opened, out *sink) (doc *Doc, end func(error)) {
	rep := out.rep
	if o.r == nil {
		if rep.Err = o.reopen(f.opt.Progress); rep.Err != nil {
			return nil, nil
		}
	}
	data, err := io.ReadAll(io.LimitReader(o.r, MaxDoc+1))
	if len(data) > MaxDoc {
		rep.Err = fmt.Errorf("read %s: larger than %d MiB", o.doc.Title, MaxDoc>>20)
		return nil, nil
	}
	if err != nil && len(data) == 0 {
		rep.Err = err
		return nil, nil
	}
	rep.Lines = bytes.Count(data, []byte{'\n'})
	if len(data) > 0 && data[len(data)-1] != '\n' {
		rep.Lines++
	}
	out.format, out.line = o.doc, &Line{Path: o.in.Path}
	doc = &Doc{Path: o.in.Path, Data: data, Skip: func(n int, why string) { out.skip(n, why) }}
	return doc, func(e error) {
		if rep.Err = e; e != nil {
			return
		}
		out.tally[o.doc] += max(rep.Lines, 1)
		if err != nil {
			rep.Err = fmt.Errorf("read to its end: %w", err)
		}
	}
}
