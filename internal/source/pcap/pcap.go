// Package pcap reads packet captures: what internal/wire saw of connections
// and exchanges becomes facts.
//
// A capture has no party: it looks on. A request whose two legs are both in it
// (the client's to the gateway, the gateway's to the server) is stated once, as
// the gateway would log it, with its tries. Of other requests the one who asked
// is the party. What can be measured of servers and of those who ask them (how
// long they keep idle connections, how many requests one carries) is stated as
// Settings of Basis Measured.
package pcap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"culprit/internal/source"
	"culprit/internal/wire"
)

// Formats is what captures are written in.
var Formats = []source.Format{
	{ID: "pcap", Tech: "pcap", Title: "packet capture (pcap)", SniffBytes: sniff("pcap"), ReadStream: read},
	{ID: "pcapng", Tech: "pcap", Title: "packet capture (pcapng)", SniffBytes: sniff("pcapng"), ReadStream: read},
}

func sniff(kind string) func([]byte) bool {
	return func(head []byte) bool {
		k, ok := wire.IsCapture(head)
		return ok && k == kind
	}
}

// reader makes facts of one capture.
type reader struct {
	env   *source.Env
	in    *source.Stream
	out   source.Sink
	fold  source.Folder // nil if there is none
	keen  source.Keen
	table *wire.Table
	now   int64
	n     int // packets read

	calls    []*call        // in flight, by tag
	asked    [buckets]*call // the same, by what is asked for
	inFlight int
	spare    []*call
	servers  map[wire.Endpoint]*server
	order    []*server                // the same, in the order of their appearance
	on       map[netip.Addr][]*server // and by machine
	named    map[string]*server       // the same
	edges    map[edge]bool            // who asked whom
	kin      map[netip.Addr]*kin
	notes    map[int]string // comments, by packet
	askers   map[asker]*rests
	late     []*call // failed, and stated when what belongs to them is known
	wake     int64   // when these are looked at next
	dials    []*dial // connections that did not come about, likewise
	opens    []open  // that did, of late
	conns    map[told]bool
	quieted  int // of these, for no request
	counts   counts
	// Packets with payload, and those of which some was captured.
	carry, carried int
}

// counts are what a capture holds.
type counts struct {
	refused, unanswered, tls int
}

// maxConns bounds the connections stated with their packets: as many failures
// as anybody reads, and some more.
const maxConns = 2000

// read reads a capture.
func read(env *source.Env, in *source.Stream, out source.Sink) error {
	src, err := wire.NewReader(in.R)
	if err != nil {
		return err
	}
	r := &reader{
		env: env, in: in, out: out, servers: map[wire.Endpoint]*server{}, named: map[string]*server{}, on: map[netip.Addr][]*server{},
		askers: map[asker]*rests{}, edges: map[edge]bool{}, notes: map[int]string{}, kin: map[netip.Addr]*kin{}, conns: map[told]bool{},
	}
	r.fold, _ = out.(source.Folder)
	r.keen, _ = out.(source.Keen)
	r.table = wire.NewTable(wire.Options{
		IDHeaders: slices.Concat(source.IDHeaders, env.IDHeaders), OnOpen: r.onOpen, OnRequest: r.onRequest, OnAnswer: r.onAnswer, OnExchange: r.onExchange, OnConn: r.onConn,
	})
	err = r.follow(src)
	r.table.Close()
	r.settle(0)
	r.measured()
	s := &r.table.Stats
	for what, n := range map[string]int{
		"tcp_packets": s.Segments, "streams": s.Streams, "requests": s.Requests, "responses": s.Answers, "http2_requests": s.Requests2, "http2_responses": s.Answers2, "resets": s.Resets, "refused": r.counts.refused,
		"unanswered": r.counts.unanswered, "copies": s.Copies, "retransmissions": s.Retransmits, "gaps": s.Gaps, "evicted": s.Evicted, "tls": r.counts.tls,
	} {
		in.Count(what, n)
	}
	var bad *wire.CorruptError
	switch {
	case errors.Is(err, io.EOF) && r.carry > 0 && r.carried*100 < r.carry:
		return errHeaders
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &bad):
		return err // it names the packet
	}
	return fmt.Errorf("packet %d: %w", r.n+1, err)
}

// errHeaders says that a capture shows connections and nothing of requests.
var errHeaders = errors.New("its packets are cut before what they carry, so requests cannot be read: record with tcpdump -s 256 or more")

// legible is how much of a packet's payload tells what it is, in bytes.
const legible = 16

// follow follows every packet.
func (r *reader) follow(src *wire.Reader) error {
	var p wire.Packet
	var s wire.Segment
	for {
		if err := src.Next(&p); err != nil {
			r.n = p.N
			r.in.At(p.N)
			return err
		}
		if len(p.Comment) > 0 {
			r.note(p.N, p.Comment)
		}
		switch wire.Decode(p.Link, p.Data, p.Orig, &s) {
		case wire.TCP:
			if r.now = p.Time; s.Len > 0 {
				r.carry++
				if len(s.Payload) >= min(s.Len, legible) {
					r.carried++
				}
			}
			r.table.Segment(p.N, p.Time, &s)
		case wire.Unreachable:
			r.now = p.Time
			r.table.Unreachable(p.N, p.Time, &s)
		case wire.Broken:
			r.in.At(p.N)
			r.in.Skip(p.N, "a packet whose headers are cut or wrong")
		}
		if p.Time >= r.wake && (len(r.late) > 0 || len(r.dials) > 0) {
			r.settle(p.Time)
			r.wake = p.Time + settleEvery
		}
	}
}

// settleEvery is how often what is held back is looked at, in nanoseconds of
// the capture.
const settleEvery = int64(50e6)

// kernelSays begins the line in which the recorder notes why the kernel itself
// sent a reset.
const kernelSays = "kernel: "

// maxNotes bounds the comments that are kept, maxNote one of them, in bytes.
const (
	maxNotes = 10_000
	maxNote  = 200
)

// note keeps what is noted on a packet.
func (r *reader) note(n int, comment []byte) {
	if k := bytes.Index(comment, []byte(kernelSays)); k >= 0 && len(r.notes) < maxNotes {
		line, _, _ := bytes.Cut(comment[k:], []byte{'\n'})
		r.notes[n] = string(line[:min(len(line), maxNote)])
	}
}

func at(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// machine is a host as packets name it: all loopback addresses are one.
func machine(a netip.Addr) netip.Addr {
	if a.IsLoopback() {
		return netip.IPv6Loopback()
	}
	return a
}
