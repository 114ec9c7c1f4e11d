package lab

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
)

// An Answer is what a NameServer says.
type Answer int32

// What a NameServer can say.
const (
	Address       Answer = iota // the address, if the name is known
	NoSuchName                  // NXDOMAIN
	ServerFailure               // SERVFAIL
	Silence                     // nothing at all
)

// A NameServer answers questions for IPv4 addresses over UDP, and falls ill
// when told to.
type NameServer struct {
	conn   net.PacketConn
	answer atomic.Int32
	done   chan struct{}

	mu    sync.Mutex
	names map[string]netip.Addr // by lower-case name with a final dot
}

// NewNameServer listens on addr and knows the given names, each with a final
// dot.
func NewNameServer(addr string, names map[string]string) (*NameServer, error) {
	s := &NameServer{names: map[string]netip.Addr{}, done: make(chan struct{})}
	for name, text := range names {
		if err := s.Move(name, text); err != nil {
			return nil, err
		}
	}
	var err error
	if s.conn, err = net.ListenPacket("udp", addr); err != nil {
		return nil, err
	}
	go s.serve()
	return s, nil
}

// Addr returns the address the server listens on.
func (s *NameServer) Addr() string { return s.conn.LocalAddr().String() }

// Set changes what the server says from now on.
func (s *NameServer) Set(a Answer) { s.answer.Store(int32(a)) }

// Move gives a name an address.
func (s *NameServer) Move(name, addr string) error {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names[strings.ToLower(name)] = ip
	return nil
}

// Close ends the server.
func (s *NameServer) Close() error {
	err := s.conn.Close()
	<-s.done
	return err
}

func (s *NameServer) serve() {
	defer close(s.done)
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		a := Answer(s.answer.Load())
		if a == Silence {
			continue
		}
		if reply, err := s.reply(buf[:n], a); err == nil {
			s.conn.WriteTo(reply, from) // a lost answer is asked for again
		}
	}
}

// The parts of a DNS message (RFC 1035, section 4.1) that are used here.
const (
	dnsHeader   = 12
	dnsResponse = 1 << 15 // QR
	dnsRecurse  = 1 << 8  // RD, copied from the question
	dnsAvail    = 1 << 7  // RA
	dnsServFail = 2
	dnsNXDomain = 3
	dnsTypeA    = 1
	dnsClassIN  = 1
	dnsTTL      = 5      // seconds
	dnsPointer  = 0xc00c // the name of the question
	maxLabel    = 63
)

var errQuestion = errors.New("not a DNS question")

func (s *NameServer) reply(query []byte, a Answer) ([]byte, error) {
	name, end, err := questionName(query)
	if err != nil {
		return nil, err
	}
	reply := append([]byte(nil), query[:end]...)
	flags := uint16(dnsResponse|dnsAvail) | binary.BigEndian.Uint16(query[2:])&dnsRecurse
	s.mu.Lock()
	ip, known := s.names[strings.ToLower(name)]
	s.mu.Unlock()
	answers := uint16(0)
	switch {
	case a == ServerFailure:
		flags |= dnsServFail
	case a == NoSuchName || !known:
		flags |= dnsNXDomain
	case binary.BigEndian.Uint16(query[end-4:]) == dnsTypeA:
		answers = 1
		reply = binary.BigEndian.AppendUint16(reply, dnsPointer)
		reply = binary.BigEndian.AppendUint16(reply, dnsTypeA)
		reply = binary.BigEndian.AppendUint16(reply, dnsClassIN)
		reply = binary.BigEndian.AppendUint32(reply, dnsTTL)
		raw := ip.As4()
		reply = binary.BigEndian.AppendUint16(reply, uint16(len(raw)))
		reply = append(reply, raw[:]...)
	}
	binary.BigEndian.PutUint16(reply[2:], flags)
	binary.BigEndian.PutUint16(reply[4:], 1) // one question
	binary.BigEndian.PutUint16(reply[6:], answers)
	binary.BigEndian.PutUint32(reply[8:], 0) // no authority, nothing more
	return reply, nil
}

// questionName returns the name asked for, with a final dot, and where the
// question ends.
func questionName(query []byte) (string, int, error) {
	var name strings.Builder
	at := dnsHeader
	for {
		if at >= len(query) {
			return "", 0, errQuestion
		}
		n := int(query[at])
		at++
		if n == 0 {
			break
		}
		if n > maxLabel || at+n > len(query) {
			return "", 0, errQuestion
		}
		name.Write(query[at : at+n])
		name.WriteByte('.')
		at += n
	}
	if at+4 > len(query) { // type and class
		return "", 0, errQuestion
	}
	return name.String(), at + 4, nil
}
