package tcpdump

import (
	"bytes"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Flags of a segment.
const (
	syn = 1 << iota
	ack
	fin
	rst
	other // there were flags, none of these
)

// packet is what one line tells.
type packet struct {
	time      time.Time
	clock     time.Duration // since midnight, or since the first packet
	clocked   bool
	src, dst  string // "10.0.0.5:8080"
	flags     int
	length    int64
	http      []byte // request or status line
	icmp      []byte
	truncated bool
	line      int
}

// since is the time between two packets.
func (p *packet) since(q *packet) fact.Dur {
	switch {
	case !p.time.IsZero() && !q.time.IsZero() && !p.time.Before(q.time):
		return fact.Lasting(p.time.Sub(q.time))
	case p.clocked && q.clocked && p.clock >= q.clock:
		return fact.Lasting(p.clock - q.clock)
	}
	return fact.Dur{}
}

// parse reads one line.
func parse(env *source.Env, b []byte) (p packet, ok bool) {
	b = bytes.TrimSpace(b)
	if p.dump(b) || p.shark(b) {
		p.stamp(env, b)
		return p, true
	}
	return p, false
}

// stamp reads the front of a line: a date and a time, a time, or seconds.
func (p *packet) stamp(env *source.Env, b []byte) {
	if t, _, _, ok := source.ISOTime(env, b); ok {
		p.time = t
		return
	}
	for range 2 { // tshark's number may stand before
		f, rest := source.Field(b)
		if len(f) > 9 && f[2] == ':' && f[5] == ':' && f[8] == '.' {
			h, m, s := source.Int(f[:2]), source.Int(f[3:5]), source.Secs(f[6:])
			if h.Known && m.Known && s.Known && h.N >= 0 && m.N >= 0 {
				p.clock, p.clocked = time.Duration(h.N)*time.Hour+time.Duration(m.N)*time.Minute+s.D, true
			}
			return
		}
		if s := source.Secs(f); s.Known && bytes.IndexByte(f, '.') > 0 {
			if p.clock, p.clocked = s.D, true; s.D > 1e18 { // seconds since 1970
				p.time = time.Unix(0, int64(s.D)).UTC()
			}
			return
		}
		b = rest
	}
}

// dump reads tcpdump's "IP 10.0.0.1.5000 > 10.0.0.2.80: Flags [S], seq 1,
// length 0".
func (p *packet) dump(b []byte) bool {
	i := bytes.Index(b, []byte(" > "))
	if i < 0 {
		return false
	}
	j := bytes.Index(b[i:], []byte(": "))
	if j < 0 {
		return false
	}
	src, dst, rest := b[bytes.LastIndexByte(b[:i], ' ')+1:i], b[i+3:i+j], b[i+j+2:]
	ip := bytes.HasPrefix(b, []byte("IP")) || source.Has(b[:i], " IP ") || source.Has(b[:i], " IP6 ")
	p.truncated = source.Has(b[:i], "truncated-ip")
	switch {
	case bytes.IndexByte(dst, ' ') >= 0:
		return false
	case source.HasPrefix(rest, "ICMP"):
		p.icmp = rest
		return ip
	case !source.HasPrefix(rest, "Flags ["):
		return ip && (p.truncated || source.HasPrefix(rest, "VXLAN") || source.HasPrefix(rest, "UDP") || source.HasPrefix(rest, "ip-proto-"))
	}
	flags, rest, ok := source.Bracketed(rest[len("Flags "):])
	if !ok || len(flags) > 6 {
		return false
	}
	p.flags = other
	for _, c := range flags {
		switch c {
		case 'S':
			p.flags |= syn
		case '.':
			p.flags |= ack
		case 'F':
			p.flags |= fin
		case 'R':
			p.flags |= rst
		}
	}
	if n, ok := source.Between(rest, "length ", ""); ok {
		end := 0
		for end < len(n) && n[end] >= '0' && n[end] <= '9' {
			end++
		}
		p.length = source.Int(n[:end]).Or(0)
		if h, ok := source.Between(n[end:], "HTTP: ", ""); ok {
			p.http = h
		}
	}
	p.src, p.dst = dotted(src), dotted(dst)
	return p.src != "" && p.dst != ""
}

// dotted makes "10.0.0.5:8080" of "10.0.0.5.8080".
func dotted(b []byte) string {
	i := bytes.LastIndexByte(b, '.')
	if i <= 0 || i+1 == len(b) || len(b) > 100 {
		return ""
	}
	return string(b[:i]) + ":" + string(b[i+1:])
}

// shark reads tshark's and Wireshark's columns: number, time, source,
// destination, protocol, length, and "38912 → 8080 [RST, ACK] Seq=1 Len=0" or a
// line of HTTP.
func (p *packet) shark(b []byte) bool {
	for _, proto := range [...]string{"TCP", "HTTP"} {
		i := bytes.Index(b, []byte(" "+proto+" "))
		if i < 0 {
			continue
		}
		hosts := bytes.Fields(bytes.ReplaceAll(bytes.ReplaceAll(b[:i], []byte("\u2192"), nil), []byte("->"), nil))
		if len(hosts) < 3 || !address(hosts[len(hosts)-1]) || !address(hosts[len(hosts)-2]) {
			continue
		}
		src, dst := string(hosts[len(hosts)-2]), string(hosts[len(hosts)-1])
		size, rest := source.Field(bytes.TrimLeft(b[i+len(proto)+2:], " "))
		if !source.Int(size).Known {
			continue
		}
		rest = bytes.TrimSpace(rest)
		if proto == "HTTP" {
			if i := bytes.Index(rest, []byte("  (")); i > 0 {
				rest = rest[:i]
			}
			p.src, p.dst, p.http = src, dst, rest
			return source.HasPrefix(rest, "HTTP/") || source.Has(rest, " HTTP/")
		}
		return p.segment(src, dst, rest)
	}
	return false
}

// segment reads what tshark tells of a TCP segment.
func (p *packet) segment(src, dst string, b []byte) bool {
	for len(b) > 0 && b[0] == '[' { // "[TCP Retransmission] "
		_, rest, ok := source.Bracketed(b)
		if !ok {
			return false
		}
		b = rest
	}
	f := bytes.Fields(b)
	if len(f) < 4 || len(f[3]) == 0 || f[3][0] != '[' || !source.Int(f[0]).Known || !source.Int(f[2]).Known {
		return false
	}
	flags, _, ok := source.Bracketed(b[bytes.IndexByte(b, '['):])
	if !ok {
		return false
	}
	p.flags = other
	for _, x := range [...]struct {
		name string
		bit  int
	}{{"SYN", syn}, {"ACK", ack}, {"FIN", fin}, {"RST", rst}} {
		if source.Has(flags, x.name) {
			p.flags |= x.bit
		}
	}
	if n, ok := source.Between(append(b[:len(b):len(b)], ' '), "Len=", " "); ok {
		p.length = source.Int(n).Or(0)
	}
	p.src, p.dst = src+":"+string(f[0]), dst+":"+string(f[2])
	return true
}

// address reports whether b may be an address of IPv4 or IPv6.
func address(b []byte) bool {
	if len(b) < 3 || bytes.Count(b, []byte{'.'}) != 3 && bytes.Count(b, []byte{':'}) < 2 {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') && c != '.' && c != ':' {
			return false
		}
	}
	return true
}
