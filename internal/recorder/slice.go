package recorder

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"culprit/internal/wire"
)

// slice is a pcapng file while it is written: the frames of one failed
// connection and its twins, or of a few that failed together.
type slice struct {
	name    string
	file    *os.File
	buf     *bufio.Writer
	ng      ngWriter
	kind    string
	server  wire.Endpoint
	begun   int64 // when the first of its failures was
	members []*member
	ends    [][2]wire.Endpoint // of those that failed: client and server
	notes   map[note]string    // why frames are here, until they are written
	over    bool               // no more may be written
}

// member is a connection of a slice.
type member struct {
	flow  flowID
	from  int64 // frames from this ring position on are not yet written
	since int64 // and none older than this
	until int64 // nor any younger
	whole bool  // all of them are written
	masks [2]masker
}

// note names a frame.
type note struct {
	flow flowID
	time int64
}

// The bounds of slices.
const (
	// maxOpen is how many are written at a time; a failure over it ends the
	// one that was begun first.
	maxOpen = 64
	// maxMembers is how many connections share one.
	maxMembers = 64
	// maxSlice is how long one may get, in bytes.
	maxSlice = 64 << 20
	// sliceBuffer is how much of one is in memory before it is on disk.
	sliceBuffer = 32 << 10
	// maxNotes is how many frames of one have a reason beside them.
	maxNotes = 256
	// maxTurn is how many frames are written to one at a time: the last of a
	// connection that filled the ring alone. turnBytes is how many bytes are to
	// all of them: a tenth of a second's work.
	maxTurn   = 1 << 16
	turnBytes = 8 << 20
)

// member is a connection of the slice, or nil.
func (s *slice) member(flow flowID) *member {
	for _, m := range s.members {
		if m.flow == flow {
			return m
		}
	}
	return nil
}

// gateway reports whether a failure may be the other side of one in the slice:
// one's client has the address of the other's server.
func (s *slice) gateway(f *Failure) bool {
	for _, e := range s.ends {
		if e[1] != f.Server && (e[0].IP == f.Server.IP || e[1].IP == f.Client.IP) {
			return true
		}
	}
	return false
}

// join takes a connection in, or keeps it longer.
func (s *slice) join(flow flowID, since, until int64) bool {
	if m := s.member(flow); m != nil {
		if until > m.until {
			m.until, m.whole = until, false
		}
		return true
	}
	if len(s.members) >= maxMembers {
		return false
	}
	s.members = append(s.members, &member{flow: flow, since: since, until: until})
	return true
}

// speaksH2 has both directions masked as HTTP/2.
func (m *member) speaksH2() {
	for i := range m.masks {
		if m.masks[i].h2 == nil {
			m.masks[i].h2 = &h2mask{}
		}
	}
}

// tell has a comment written with a frame.
func (s *slice) tell(flow flowID, time int64, text string) {
	if len(s.notes) < maxNotes {
		n := note{flow, time}
		if old := s.notes[n]; old != "" && old != text {
			text = old + "\n" + text
		}
		s.notes[n] = text
	}
}

// ended reports whether all there is to come is written.
func (s *slice) ended() bool {
	return !slices.ContainsFunc(s.members, func(m *member) bool { return !m.whole })
}

// slicer writes slices from the ring.
type slicer struct {
	ring    *ring
	shelf   *shelf
	reasons *reasons
	front   ngFile // what all slices say about themselves
	link    wire.LinkType
	secrets bool // they are left as they are
	stats   *Stats
	open    []*slice
	frames  []frame // scratch
	copied  []byte  // scratch
	text    []byte  // scratch of the maskers
}

// begin makes a slice's file and writes what it says about itself.
func (w *slicer) begin(s *slice, why []string) error {
	if err := w.shelf.room(sliceBuffer); err != nil {
		return err
	}
	f, name, err := w.shelf.create(s.begun, s.kind, s.server)
	if err != nil {
		return err
	}
	s.file, s.name, s.buf = f, name, bufio.NewWriterSize(f, sliceBuffer)
	s.ng.w = s.buf
	front := w.front
	front.comment = "culprit capture kept this:\n" + strings.Join(why, "\n") + "\n" + front.comment
	if err := s.ng.begin(front); err != nil {
		return errors.Join(fmt.Errorf("write slice: %w", err), f.Close(), os.Remove(f.Name()))
	}
	w.shelf.grew(s.ng.n)
	w.open = append(w.open, s)
	w.stats.Slices++
	return nil
}

// flush writes the members' frames up to a time, in the order in which they
// came, and no more than so many bytes. It tells how many are left to write.
func (w *slicer) flush(s *slice, upTo int64, budget int64) (left int64, err error) {
	if s.over {
		return budget, nil
	}
	w.frames = w.frames[:0]
	for _, m := range s.members {
		if m.whole {
			continue
		}
		m.whole = m.until <= upTo
		n := len(w.frames)
		var lost bool
		w.frames, lost = w.ring.of(w.frames, m.flow, m.from, m.since, max(maxTurn-n, maxTurn/maxMembers))
		if lost && m.from > 0 && w.ring.oldest() <= m.until {
			w.stats.Lost++
		}
		got := w.frames[n:]
		for len(got) > 0 && got[len(got)-1].time > min(upTo, m.until) {
			got = got[:len(got)-1]
		}
		w.frames = w.frames[:n+len(got)]
	}
	slices.SortFunc(w.frames, func(a, b frame) int { return cmp.Compare(a.pos, b.pos) })
	before := s.ng.n
	defer func() { w.shelf.grew(s.ng.n - before) }()
	for _, f := range w.frames {
		m := s.member(f.flow)
		if budget <= 0 { // the rest has its turn later
			m.whole = false
			continue
		}
		if err := w.write(s, m, f); err != nil {
			return budget, err
		}
		m.from = f.pos + 1
		budget -= int64(len(f.data))
	}
	return budget, nil
}

// write writes one frame.
func (w *slicer) write(s *slice, m *member, f frame) error {
	need := int64(len(f.data)) + maxNGOption
	if s.ng.n+need > min(maxSlice, w.shelf.most/4) {
		s.over = true
		w.stats.Cut++
		return nil
	}
	if s.over {
		return nil
	}
	n := note{f.flow, f.time}
	comment := s.notes[n]
	delete(s.notes, n)
	w.copied = append(w.copied[:0], f.data...)
	var seg wire.Segment
	if wire.Decode(w.link, w.copied, f.orig, &seg) == wire.TCP {
		if seg.Flags&wire.RST != 0 {
			if why := w.reasons.of(seg.Src, seg.Dst, f.time); why != "" {
				comment = strings.TrimPrefix(comment+"\nkernel: "+why, "\n")
			}
		}
		if !w.secrets {
			mask := &m.masks[direction(&seg)]
			mask.text = &w.text
			if seg.Flags&wire.SYN != 0 {
				mask.begin(seg.Seq + 1)
			}
			mask.mask(seg.Payload, seg.Seq, seg.Len)
			if mask.h2 != nil {
				m.speaksH2()
			}
		}
	}
	if err := s.ng.packet(f.time, f.orig, w.copied, comment); err != nil {
		return fmt.Errorf("write slice: %w", err)
	}
	w.stats.FramesKept++
	return nil
}

// direction is 0 or 1, the same for all segments of one sender.
func direction(s *wire.Segment) int {
	if c := s.Src.Addr().Compare(s.Dst.Addr()); c < 0 || c == 0 && s.Src.Port < s.Dst.Port {
		return 0
	}
	return 1
}

// end closes a slice; what it has is on disk afterwards.
func (w *slicer) end(s *slice) error {
	w.open = slices.DeleteFunc(w.open, func(o *slice) bool { return o == s })
	err := s.buf.Flush()
	err = errors.Join(err, s.file.Close())
	w.shelf.finished(s.name, s.ng.n)
	if err != nil {
		return fmt.Errorf("write slice %s: %w", s.name, err)
	}
	return nil
}

// turn writes what came since the last turn, up to a time, and ends the slices
// that are whole. It writes no more than so many bytes, since frames wait
// meanwhile in the kernel. It gives each slice's first error, after which that
// slice has ended.
func (w *slicer) turn(upTo, budget int64) (errs error) {
	for _, s := range slices.Clone(w.open) {
		before := s.ng.n
		var err error
		budget, err = w.flush(s, upTo, budget)
		if err == nil && s.ng.n > before {
			err = errors.Join(w.shelf.room(0), s.buf.Flush())
		}
		if err != nil || s.over || s.ended() {
			errs = errors.Join(errs, err, w.end(s))
		}
	}
	return errs
}
