package report

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"culprit/internal/cause"
	"culprit/internal/fact"
)

// captured reports whether an input holds packets instead of lines.
func (in *Input) captured() bool { return in.Format == "pcap" || in.Format == "pcapng" }

// unit is what an input is counted in.
func (in *Input) unit() string {
	if in.captured() {
		return "packet"
	}
	return "line"
}

// Amount says how much there was to read.
func (in Input) Amount() string {
	return plural(in.Lines, in.unit(), in.unit()+"s")
}

// count is a number in a column of lines.
func (in *Input) count() string {
	if in.captured() {
		return in.Amount()
	}
	return number(in.Lines)
}

// isPacket reports whether a fact's origin is a packet's number.
func (d *digest) isPacket(x fact.Fact) bool {
	switch x := x.(type) {
	case *fact.Conn:
		return true
	case *fact.Request:
		if x.Wire {
			return true
		}
	}
	return d.captures[x.Head().Origin.Path]
}

// pathWords is a file as people are told of it.
func (d *digest) pathWords(p string) string {
	p = d.short(p)
	if p == "-" {
		return "standard input"
	}
	if cells(p) > columns-16 {
		return ".../" + path.Base(p)
	}
	return p
}

// at writes a number in a file: "access.log:12", "shop.pcapng packet 12".
func (c *cite) at(file string) string {
	switch {
	case file == "" || c.Line == 0:
		return file
	case c.Packet:
		return fmt.Sprintf("%s%s%d", file, packetWord, c.Line)
	}
	return fmt.Sprintf("%s:%d", file, c.Line)
}

// connSays tells a connection that has no words of its own.
func connSays(c *fact.Conn) string {
	parts := []string{orUnknown(c.Client) + " → " + orUnknown(c.Server)}
	if c.ID != "" {
		parts[0] = "stream " + c.ID + ", " + parts[0]
	}
	if c.Idle.Known && c.Idle.D > 0 {
		parts = append(parts, "idle for "+exactly(c.Idle.D))
	}
	how := map[string]string{"fin": "FIN", "rst": "RST", "timeout": "no answer", "icmp": "an ICMP error"}[c.How]
	switch by := strings.TrimPrefix(roleWords[c.ClosedBy], "the "); {
	case how != "" && by != "":
		parts = append(parts, "ended by the "+by+" with "+how)
	case how != "":
		parts = append(parts, "ended with "+how)
	}
	return strings.Join(parts, "; ")
}

// filter shows the packets of a verdict in Wireshark.
type filter struct {
	Path    string
	Streams []uint64 // sorted
	More    int      // streams beyond [maxStreams]
}

// maxStreams bounds the streams of one display filter: a line that a person
// still reads.
const maxStreams = 8

// Expr is the display filter.
func (f filter) Expr() string {
	if len(f.Streams) == 1 {
		return fmt.Sprintf("tcp.stream == %d", f.Streams[0])
	}
	var list []string
	for _, s := range f.Streams {
		list = append(list, strconv.FormatUint(s, 10))
	}
	return "tcp.stream in {" + strings.Join(list, ", ") + "}"
}

// Command opens the packets, ready to paste.
func (f filter) Command() string {
	if f.Path == "" || f.Path == "-" {
		return "wireshark -Y '" + f.Expr() + "'"
	}
	return "wireshark " + shellWord(f.Path) + " -Y '" + f.Expr() + "'"
}

// Rest says what the filter leaves out; empty if nothing.
func (f filter) Rest() string {
	if f.More == 0 {
		return ""
	}
	return "and " + plural(f.More, "more stream", "more streams")
}

// shellWord quotes a path for a shell, where it needs that.
func shellWord(s string) string {
	if strings.HasPrefix(s, "-") {
		s = "./" + s
	}
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%=") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// filtersOf collects the streams of a verdict by capture, those drawn first.
func filtersOf(v *cause.Verdict, drawn []*wire) []filter {
	var out []filter
	type stream struct {
		file int
		n    uint64
	}
	seen := map[stream]bool{}
	add := func(file, id string) {
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return
		}
		i := slices.IndexFunc(out, func(f filter) bool { return f.Path == file })
		if i < 0 {
			i, out = len(out), append(out, filter{Path: file})
		}
		if seen[stream{i, n}] {
			return
		}
		seen[stream{i, n}] = true
		if len(out[i].Streams) == maxStreams {
			out[i].More++
			return
		}
		out[i].Streams = append(out[i].Streams, n)
	}
	of := func(x fact.Fact) {
		file := clean(x.Head().Origin.Path)
		switch x := x.(type) {
		case *fact.Conn:
			add(file, x.ID)
		case *fact.Request:
			if !x.Wire {
				return
			}
			add(file, x.ConnID)
			for _, a := range x.Attempts {
				add(file, a.ConnID)
			}
		}
	}
	for _, w := range drawn {
		for _, l := range w.Legs {
			add(l.Path, l.Stream)
		}
	}
	for _, f := range v.Failures {
		for _, c := range f.Conns {
			if c != nil {
				of(c)
			}
		}
		if len(f.Conns) == 0 {
			for _, r := range f.Seen {
				of(r)
			}
		}
	}
	for _, s := range v.Signals {
		for _, x := range s.Facts {
			of(x)
		}
	}
	for i := range out {
		slices.SortFunc(out[i].Streams, cmp.Compare[uint64])
	}
	return out
}

// showFilters bounds the captures for which text prints a filter.
const showFilters = 3

func (t *text) filters(list []filter, in int) {
	for i, f := range list {
		if i == showFilters && !t.verbose {
			t.wrap(dim, in, "", "and "+plural(len(list)-i, "more capture", "more captures"))
			return
		}
		t.block(f.Command(), green, in+4, ` \`)
		if s := f.Rest(); s != "" {
			t.wrap(dim, in+4, "", s)
		}
	}
}

type jsonFilter struct {
	Path   string `json:"path"`
	Filter string `json:"filter"`
	More   int    `json:"streams_left_out,omitempty"`
}

type jsonConn struct {
	Stream     string       `json:"stream"`
	Path       string       `json:"path"`
	Client     string       `json:"client"`
	Server     string       `json:"server"`
	ServerName string       `json:"server_name,omitempty"`
	Opened     instant      `json:"opened"`
	Idle       fact.Dur     `json:"idle_s"`
	ClosedBy   fact.Role    `json:"closed_by"`
	How        string       `json:"how"`
	Protocol   string       `json:"protocol"`
	Foreign    string       `json:"foreign_reset,omitempty"`
	Packets    []jsonPacket `json:"packets"`
	LeftOut    int          `json:"packets_left_out,omitempty"`
}

type jsonPacket struct {
	N          int     `json:"n"`
	Time       instant `json:"time"`
	FromServer bool    `json:"from_server"`
	Flags      string  `json:"flags"`
	Bytes      int     `json:"bytes"`
	More       int     `json:"more,omitempty"`
	Says       string  `json:"says"`
}

// maxPackets bounds the packets written of one connection.
const maxPackets = 200

// jsonConns are the connections of a finding's examples.
func jsonConns(list []*wire) []jsonConn {
	var out []jsonConn
	seen := map[*fact.Conn]bool{}
	for _, w := range list {
		for _, l := range w.Legs {
			if seen[l.conn] {
				continue
			}
			seen[l.conn] = true
			out = append(out, jsonConnOf(l.conn))
		}
	}
	return out
}

func jsonConnOf(c *fact.Conn) jsonConn {
	j := jsonConn{
		Stream: clean(c.ID), Path: clean(c.Origin.Path), Client: clean(c.Client), Server: clean(c.Server), ServerName: clean(c.ServerName),
		Opened: year(c.Opened), Idle: c.Idle, ClosedBy: c.ClosedBy, How: clean(c.How), Protocol: clean(c.Protocol), Foreign: clean(c.Foreign), Packets: []jsonPacket{},
	}
	for i, p := range c.Packets {
		if i >= maxPackets/2 && i < len(c.Packets)-maxPackets/2 {
			j.LeftOut += 1 + max(p.More, 0)
			continue
		}
		j.Packets = append(j.Packets, jsonPacket{p.N, year(p.Time), p.FromServer, clean(p.Flags), p.Bytes, p.More, clean(p.Says)})
	}
	return j
}

// year is an instant that RFC 3339 can write; others are not known.
func year(t time.Time) instant {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return instant{}
	}
	return instant{t}
}
