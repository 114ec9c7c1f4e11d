package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"culprit/internal/wire"
)

// recorder is everything behind the tap. It reads no clock: time is what
// frames and [recorder.tick] say.
type recorder struct {
	opt     Options
	link    wire.LinkType
	ring    *ring
	track   tracker
	twins   *twins
	reasons *reasons
	slicer  slicer
	stats   Stats

	seg     wire.Segment
	n       int
	now     int64
	turned  int64 // when the last turn was
	pending []Failure
	noticed int64 // since when notices are counted
	notices int

	seen, forgotten int // connections of trackers before this one
}

// tracker follows connections. Segments come in the order of the capture; it
// calls back while it is given one, or the time.
type tracker interface {
	// segment tells of a TCP segment or an ICMP error on one.
	segment(n int, time int64, kind wire.Kind, s *wire.Segment)
	// tick tells the time where no frame does.
	tick(now int64)
	// counts are how many connections were seen, and how many let go.
	counts() (seen, forgotten int)
}

// The recorder's pace, in nanoseconds, and its bounds.
const (
	// turnEvery is how often failures are taken up and slices written.
	turnEvery = int64(100e6)
	// settle is how long a failure waits: for the failures that belong to it,
	// and for the kernel's word on its reset.
	settle = int64(150e6)
	// lag is how far writing stays behind, so that what is known of a frame a
	// little later can be written beside it: the tracker's own wait, and settle.
	lag = int64(600e6)
	// maxPending bounds the failures that wait.
	maxPending = 4096
	// clockStep is how far time may go back between two frames: what two
	// processors stamp lies closer, and a clock that is steered never goes back.
	clockStep = int64(2e9)
	// maxNotices bounds the lines of a minute on what goes wrong.
	maxNotices = 20
)

func newRecorder(opt Options, link wire.LinkType, why *reasons) (*recorder, error) {
	opt.Ring = cmp.Or(opt.Ring, DefaultRing)
	opt.Before = cmp.Or(opt.Before, DefaultBefore)
	opt.After = cmp.Or(opt.After, DefaultAfter)
	opt.MaxDisk = cmp.Or(opt.MaxDisk, DefaultMaxDisk)
	opt.Snaplen = cmp.Or(opt.Snaplen, DefaultSnaplen)
	shelf, err := openShelf(opt.Dir, opt.MaxDisk)
	if err != nil {
		return nil, err
	}
	r := &recorder{
		opt: opt, link: link, reasons: why, twins: newTwins(),
		ring:  newRing(int(opt.Ring), int64(opt.Before)+2*lag),
		stats: Stats{Schema: statsSchema, Interface: opt.Interface, Ports: opt.Ports, Failures: map[string]int{}},
	}
	comment := "Secrets in headers and queries are overwritten with x; checksums are those of the original."
	if opt.ShowSecrets {
		comment = "Secrets are left as they were sent."
	}
	r.slicer = slicer{
		ring: r.ring, shelf: shelf, reasons: why, link: link, secrets: opt.ShowSecrets, stats: &r.stats,
		front: ngFile{
			comment: comment, os: runtime.GOOS, app: strings.TrimSpace("culprit " + opt.Version),
			iface: opt.Interface, link: link, snaplen: opt.Snaplen, filter: filterText(opt.Ports),
		},
	}
	r.track = newTracker(r)
	return r, nil
}

func filterText(ports []uint16) string {
	if len(ports) == 0 {
		return "tcp or icmp or icmp6"
	}
	var s []string
	for _, p := range ports {
		s = append(s, fmt.Sprintf("tcp port %d", p))
	}
	return strings.Join(append(s, "icmp", "icmp6"), " or ")
}

// frame takes one frame in. Its data is copied.
func (r *recorder) frame(c captured) {
	at := c.time.UnixNano()
	r.stats.Frames++
	r.pass(at)
	kind := wire.Decode(r.link, c.data, c.orig, &r.seg)
	if kind == wire.TCP || kind == wire.Unreachable {
		syn := kind == wire.TCP && r.seg.Flags&(wire.SYN|wire.ACK) == wire.SYN
		r.ring.put(frame{
			time: at, flow: flowOf(r.seg.Src, r.seg.Dst), orig: c.orig,
			data: c.data[:min(len(c.data), r.opt.Snaplen)],
		}, syn, r.seg.Seq)
		r.n++
		r.track.segment(r.n, at, kind, &r.seg)
	}
	if r.now-r.turned >= turnEvery {
		r.turn()
	}
}

// pass lets time go on. Where the clock was set back, what was open is written
// as it is, and following begins anew: else nothing would be due until the
// clock is again where it was.
func (r *recorder) pass(now int64) {
	if now > r.now-clockStep {
		r.now = max(r.now, now)
		return
	}
	r.notice(fmt.Errorf("the clock went back by %v; connections that were open are followed anew", time.Duration(r.now-now).Round(time.Second)))
	r.finish()
	seen, forgotten := r.track.counts()
	r.seen, r.forgotten = r.seen+seen, r.forgotten+forgotten
	r.track, r.twins = newTracker(r), newTwins()
	r.now, r.turned, r.noticed = now, now, now
}

// tick tells the time where no frame does.
func (r *recorder) tick(now time.Time) {
	r.pass(now.UnixNano())
	r.track.tick(r.now)
	if r.now-r.turned >= turnEvery {
		r.turn()
	}
}

// failed is how the tracker tells of a failure.
func (r *recorder) failed(f Failure) {
	r.stats.Failures[f.kind()]++
	if len(r.pending) >= maxPending {
		r.stats.NotKept++
		return
	}
	r.pending = append(r.pending, f)
}

// requested is how it tells of a request that began.
func (r *recorder) requested(client, server wire.Endpoint, q Request) { r.twins.add(client, server, q) }

// closed is how it tells that a connection is over, since a time.
func (r *recorder) closed(client, server wire.Endpoint, at int64) {
	flow := flowOf(client, server)
	for _, s := range r.slicer.open {
		if m := s.member(flow); m != nil {
			m.until = min(m.until, at+lag)
		}
	}
	for i := range r.pending {
		if f := &r.pending[i]; f.Client == client && f.Server == server {
			f.over = true
		}
	}
}

// turn takes up the failures that have settled, and writes.
func (r *recorder) turn() {
	r.turned = r.now
	n := 0
	for n < len(r.pending) && r.pending[n].Time.UnixNano() <= r.now-settle {
		n++
	}
	if n > 0 {
		r.keep(r.pending[:n])
		r.pending = slices.Delete(r.pending, 0, n)
	}
	r.notice(r.slicer.turn(r.now-lag, turnBytes))
}

// finish writes all there is.
func (r *recorder) finish() {
	r.keep(r.pending)
	r.pending = nil
	r.notice(r.slicer.turn(r.now, math.MaxInt64))
	for _, s := range slices.Clone(r.slicer.open) {
		r.notice(r.slicer.end(s))
	}
}

// notice tells of an error, and of no more than maxNotices a minute.
func (r *recorder) notice(err error) {
	if err == nil || r.opt.OnNotice == nil {
		return
	}
	if r.now-r.noticed >= int64(time.Minute) {
		if n := r.notices - maxNotices; n > 0 {
			r.opt.OnNotice(fmt.Sprintf("%d more such lines are left out", n))
		}
		r.noticed, r.notices = r.now, 0
	}
	if r.notices++; r.notices <= maxNotices {
		r.opt.OnNotice(err.Error())
	}
}

// keep puts failures that came together into slices: those of a connection
// that is being written into its slice, those of one kind and server into one,
// and a gateway's two sides into one.
func (r *recorder) keep(fs []Failure) {
	slices.SortStableFunc(fs, func(a, b Failure) int { return a.Time.Compare(b.Time) })
	var fresh []*slice
	var why [][]string
	kept := make([]*slice, len(fs))
	twins := make([]int, len(fs))
	for i := range fs {
		f := &fs[i]
		at := f.Time.UnixNano()
		flow := flowOf(f.Client, f.Server)
		since, after := at-int64(r.opt.Before), at+int64(r.opt.After)
		until := after
		if f.over {
			until = min(after, at+lag)
		}
		legs := r.twins.of(f)
		s := r.sliceFor(f, flow, legs, fresh)
		if s == nil || !s.join(flow, since, until) {
			s = &slice{kind: f.kind(), server: f.Server, begun: at, notes: map[note]string{}}
			s.join(flow, since, until)
			fresh, why = append(fresh, s), append(why, nil)
		}
		if m := s.member(flow); m != nil && f.Request.h2 {
			m.speaksH2()
		}
		s.tell(flow, at, "culprit: "+f.sentence())
		for _, l := range legs {
			if s.join(flowOf(l.client, l.server), since, after) {
				twins[i]++
				if m := s.member(flowOf(l.client, l.server)); l.h2 {
					m.speaksH2()
				}
			}
		}
		if len(s.ends) < maxMembers {
			s.ends = append(s.ends, [2]wire.Endpoint{f.Client, f.Server})
		}
		if k := slices.Index(fresh, s); k >= 0 && len(why[k]) < maxMembers {
			why[k] = append(why[k], f.Time.UTC().Format(time.RFC3339Nano)+" "+f.sentence())
		}
		kept[i] = s
	}
	for i, s := range fresh {
		if len(r.slicer.open) >= maxOpen {
			r.stats.Cut++
			r.notice(r.slicer.end(r.slicer.open[0]))
		}
		r.notice(r.slicer.begin(s, why[i]))
	}
	for i, s := range kept {
		if s.file == nil {
			r.stats.NotKept++
			continue
		}
		r.told(&fs[i], s, twins[i])
	}
}

// sliceFor chooses the slice that a failure belongs to, or nil.
func (r *recorder) sliceFor(f *Failure, flow flowID, legs []*leg, fresh []*slice) *slice {
	all := slices.Concat(r.slicer.open, fresh)
	for _, s := range all {
		if !s.over && s.member(flow) != nil {
			return s
		}
	}
	for _, s := range all {
		if !s.over && len(s.members) < maxMembers && slices.ContainsFunc(legs, func(l *leg) bool { return s.member(flowOf(l.client, l.server)) != nil }) {
			return s
		}
	}
	for _, s := range fresh {
		if len(s.members) < maxMembers && (s.kind == f.kind() && s.server == f.Server || s.gateway(f)) {
			return s
		}
	}
	return nil
}

func (r *recorder) told(f *Failure, s *slice, twins int) {
	if r.opt.OnKept == nil {
		return
	}
	k := &Kept{Failure: *f, File: s.name, Twins: twins}
	switch f.What {
	case Refused, Reset, Cut, ClientReset:
		k.Kernel = cmp.Or(r.reasons.of(f.Server, f.Client, f.Time.UnixNano()), r.reasons.of(f.Client, f.Server, f.Time.UnixNano()))
	}
	r.opt.OnKept(k)
}

// count brings the stats up to date.
func (r *recorder) count(now time.Time) *Stats {
	s := &r.stats
	s.Updated = now
	s.Connections, s.Forgotten = r.track.counts()
	s.Connections, s.Forgotten = s.Connections+r.seen, s.Forgotten+r.forgotten
	s.DiskBytes, s.Deleted = r.slicer.shelf.bytes, r.slicer.shelf.deleted
	s.RingBytes, s.RingSpan = r.ring.used(), "0s"
	if r.ring.used() > 0 {
		s.RingSpan = time.Duration(r.now - r.ring.oldest()).Round(time.Millisecond).String()
	}
	return s
}

// Run records until the context ends, then writes what there is. The error is
// [ErrNoInterface], [*MissingError], [ErrNoLinux], or of the folder; once it
// records, what goes wrong is told by OnNotice, and it goes on.
func Run(ctx context.Context, opt Options) (*Stats, error) {
	t, err := openTap(opt.Interface, opt.Ports)
	if err != nil {
		return nil, err
	}
	var why *reasons
	if opt.Kernel {
		why = &reasons{}
		k, err := watchResets(opt.Ports, why)
		switch {
		case err == nil:
			defer k.close()
		case opt.OnNotice != nil:
			opt.OnNotice("recording without the kernel's reasons: " + err.Error())
		}
	}
	r, err := newRecorder(opt, t.link, why)
	if err != nil {
		t.close()
		return nil, err
	}
	if opt.OnStart != nil {
		opt.OnStart()
	}
	l := loop{r: r, tap: t}
	return l.run(ctx)
}

// loop is the recorder at a tap that may go away and come back.
type loop struct {
	r     *recorder
	tap   *tap
	drops int64 // of taps before this one
	told  int64 // drops that a line told of
	state time.Time
}

const (
	// stateEvery is how often capture.json is written and drops are told.
	stateEvery = time.Minute
	// reopenEvery is how often an interface that went down is tried again.
	reopenEvery = time.Second
	// checkEvery is how many frames are read between two looks at the clock.
	checkEvery = 1024
)

func (l *loop) run(ctx context.Context) (*Stats, error) {
	now := time.Now()
	l.r.stats.Started = now
	l.keepState(now)
	for n := 1; ctx.Err() == nil && l.tap != nil; n++ {
		c, err := l.tap.next()
		switch {
		case err == nil:
			l.r.frame(c)
		case errors.Is(err, errQuiet):
			l.r.tick(time.Now())
		default:
			l.reopen(ctx, err)
		}
		if err != nil || n%checkEvery == 0 {
			if now := time.Now(); now.Sub(l.state) >= stateEvery {
				l.keepState(now)
			}
		}
	}
	if l.tap != nil {
		l.drain() // frames that were sent before the end are in the slices
	}
	now = time.Now()
	l.r.tick(now)
	l.r.finish()
	l.r.stats.Ended = &now
	l.keepState(now)
	if l.tap != nil {
		l.tap.close()
	}
	return l.r.count(now), nil
}

// keepState writes the state, and tells of drops.
func (l *loop) keepState(now time.Time) {
	l.state = now
	s := l.r.count(now)
	s.KernelDrops = l.drops
	if l.tap != nil {
		s.KernelDrops += l.tap.drops()
	}
	l.r.notice(s.write(l.r.opt.Dir))
	if n := s.KernelDrops - l.told; n > 0 {
		l.told = s.KernelDrops
		l.r.notice(fmt.Errorf("%d frames were dropped by the kernel, of %d: what is kept may have gaps", n, s.Frames+s.KernelDrops))
	}
}

// drain takes in what the kernel still holds: it hands a block over when it
// has been filling for tapRetire, whether or not more comes.
func (l *loop) drain() {
	for end := time.Now().Add(2 * tapRetire); time.Now().Before(end); {
		switch c, err := l.tap.next(); {
		case err == nil:
			l.r.frame(c)
		case errors.Is(err, errDown):
			time.Sleep(tapRetire / 4) // asking such an interface does not wait
		default:
			return
		}
	}
}

// reopen waits for an interface that went down.
func (l *loop) reopen(ctx context.Context, why error) {
	l.drain()
	l.drops += l.tap.drops()
	l.tap.close()
	l.tap = nil
	l.r.notice(fmt.Errorf("%s: %w; waiting for it", l.r.opt.Interface, why))
	for ctx.Err() == nil {
		t, err := openTap(l.r.opt.Interface, l.r.opt.Ports)
		if err == nil && t.link == l.r.link {
			if c, err := t.next(); err == nil || errors.Is(err, errQuiet) {
				l.tap = t
				if err == nil {
					l.r.frame(c)
				}
				l.r.notice(fmt.Errorf("%s: recording again", l.r.opt.Interface))
				return
			}
		}
		if t != nil {
			t.close()
		}
		now := time.Now()
		l.r.tick(now)
		if now.Sub(l.state) >= stateEvery {
			l.keepState(now)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reopenEvery):
		}
	}
}
