package wire

import "time"

// Side is an end of a connection.
type Side uint8

// The sides.
const (
	Nobody Side = iota
	Client
	Server
)

// Conn is what was seen of a connection.
type Conn struct {
	Stream         int // as Wireshark counts, from 0
	Client, Server Endpoint
	// Begun: its first SYN was seen, at Opened, in packet FirstN (which is
	// else the first packet seen of it).
	Begun  bool
	Opened int64
	FirstN uint32
	// SYNs and SYNACKs count how often it was asked for, and answered.
	SYNs, SYNACKs int
	// LastSYN and Answered are when it was asked for last, and when that was
	// answered; 0 if it was not.
	LastSYN, Answered int64
	// ClosedBy sent the first FIN or RST, How says which, at Closed, in packet
	// ClosedN; Nobody if it was open when it was seen last.
	ClosedBy Side
	How      string // "fin", "rst"
	Closed   int64
	ClosedN  uint32
	// Rest is how long before Closed nothing had been sent; negative if
	// nothing ever was.
	Rest time.Duration
	// Idle: an answer had been given and no request was open when it closed.
	Idle bool
	// Refused: the SYN was answered by a reset. Unanswered: by nothing.
	Refused, Unanswered bool
	// OneSided: of the other side no packet was captured, though it is
	// acknowledged.
	OneSided bool
	// Reset is who sent a reset, after whichever close, in packet ResetN.
	Reset  Side
	ResetN uint32
	// Foreign tells of that reset how it differs from other packets of the
	// side in whose name it came: a middlebox sent it.
	Foreign *Foreign
	// ICMP is an error that named this connection, in packet ICMPN at ICMPTime.
	ICMP     *ICMP
	ICMPN    uint32
	ICMPTime int64
	Requests int
	Protocol Protocol
	TLS      TLS
	Last     int64 // when its last packet was seen
	LastN    uint32
	// By side: from the client, from the server.
	Bytes       [2]uint64
	Retransmits [2]int
	ZeroWindows [2]int
	// Missing bytes never arrived at the other side, though later ones did.
	Missing [2]int
	Gaps    int
	Marks   []Mark // the last that mattered, in their order
	Lost    int    // marks before those
}

// Foreign says how a reset differs.
type Foreign struct {
	TTL, Usual     uint8
	ID, UsualAbout uint16 // IPv4 identifications
}

// Protocol is what was spoken.
type Protocol uint8

// The protocols.
const (
	protoNone  Protocol = iota
	ProtoHTTP           // HTTP/1 in clear
	ProtoTLS            // TLS, whatever is in it
	ProtoH2             // HTTP/2 in clear
	ProtoOther          // something else
)

// TLS is what a handshake showed.
type TLS struct {
	Hello      bool // the client's hello was seen
	ServerName string
	ALPN       string
	Answered   bool // the server's hello was seen
	Data       bool // application data was sent
	// Foreign is the beginning of what the server sent where a handshake was
	// due: "HTTP/1.1 400 Bad Request".
	Foreign string
	// Alert is the first alert in clear that is not a close, by whom.
	Alert   uint8
	AlertBy Side
	AlertN  uint32
}

// MarkKind is what a mark tells.
type MarkKind uint8

// The kinds of marks.
const (
	MarkNone MarkKind = iota
	MarkSYN
	MarkSYNACK
	MarkData
	MarkRequest // Aux is its place on the connection
	MarkAnswer  // Aux is its status
	MarkAgain   // sent again
	MarkFIN
	MarkFINACK // the bare acknowledgement of the other's FIN
	MarkRST
	MarkZero  // no room: a window of 0
	MarkICMP  // Aux is type·256 + code
	MarkHello // TLS hello
	MarkAlert // Aux is its description
	MarkGoAway
	MarkStreamReset // HTTP/2; Aux is the error
)

// Mark is a packet that mattered, or several in a row of one kind.
type Mark struct {
	Time  int64
	N     uint32
	Bytes uint32
	More  uint16 // packets after N that it stands for too
	Aux   uint16
	Kind  MarkKind
	From  Side
}

// ring keeps the last marks of a flow.
const ringSize = 6

type mark struct {
	tHi, tLo uint32
	n, bytes uint32
	aux      uint16
	more     uint8
	kind     uint8 // MarkKind, the upper bit set if from the server
}

const fromServer = 0x80

// mark notes a packet, or adds it to the mark before.
func (f *flow) mark(kind MarkKind, d int, n uint32, ts int64, bytes int, aux uint16) {
	k := uint8(kind)
	if d == 1 {
		k |= fromServer
	}
	if f.marks > 0 {
		m := &f.ring[(f.marks-1)%ringSize]
		if joins(m.kind, k) && m.more < 255 {
			m.more++
			m.bytes += uint32(bytes)
			return
		}
	}
	f.ring[f.marks%ringSize] = mark{uint32(uint64(ts) >> 32), uint32(ts), n, uint32(bytes), aux, 0, k}
	f.marks++
}

// joins: data goes with what begins a message, and repetitions with each
// other.
func joins(have, k uint8) bool {
	if have&fromServer != k&fromServer {
		return false
	}
	switch MarkKind(k &^ fromServer) {
	case MarkData:
		switch MarkKind(have &^ fromServer) {
		case MarkData, MarkRequest, MarkAnswer:
			return true
		}
	case MarkAgain, MarkZero, MarkSYN, MarkSYNACK, MarkRST:
		return have == k
	}
	return false
}

func (f *flow) marksOf(out []Mark) []Mark {
	first := max(0, int(f.marks)-ringSize)
	for i := first; i < int(f.marks); i++ {
		m := &f.ring[i%ringSize]
		x := Mark{Time: int64(uint64(m.tHi)<<32 | uint64(m.tLo)), N: m.n, Bytes: m.bytes, More: uint16(m.more), Aux: m.aux, Kind: MarkKind(m.kind &^ fromServer), From: Client}
		if m.kind&fromServer != 0 {
			x.From = Server
		}
		out = append(out, x)
	}
	return out
}
