package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// A Road joins this host with a far one, a network namespace of its own, packet
// by packet: what a Relay cannot show, a request and a close that cross on the
// wire, a packet that is lost, a box that answers in another's name, happens
// here between two real TCP stacks. It needs root and lives as long as the
// stage.
type Road struct {
	Near, Far string // addresses of the two hosts
	device    string // of this host; that of the far one is farDevice
	delay     time.Duration
	rule      Rule

	jobs      chan func() // done by the thread that is in the far host's network
	near, far *os.File    // tunnel devices
	wg        sync.WaitGroup
}

// A Rule is what lies on the road: it is shown each packet, already with the
// time to live that it has half-way, and says whether it passes and what is sent
// back to where it came from. It is called from two goroutines, one a direction.
type Rule func(packet []byte, toFar bool) (pass bool, back []byte)

const (
	farDevice = "lab0" // the first one there
	// roadHops is how many routers the road has, the rule in their middle.
	roadHops = 4
	// roadMTU is that of Ethernet.
	roadMTU = 1500
	// roadWindow is how many packets may be under way in one direction.
	roadWindow = 1024
)

// startRoad makes a far host at @far@ whose packets take delay one way. A nil
// rule lets all pass.
func startRoad(st *Stage, delay time.Duration, rule Rule) (*Road, error) {
	if os.Geteuid() != 0 {
		return nil, &PrivilegeError{Why: "make a network namespace"}
	}
	if rule == nil {
		rule = func([]byte, bool) (bool, []byte) { return true, nil }
	}
	net4 := "10." + strings.TrimPrefix(st.subnet, "127.")
	r := &Road{Near: net4 + "1", Far: net4 + "2", delay: delay, rule: rule, jobs: make(chan func())}
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		for job := range r.jobs {
			job()
		}
	}()
	err := r.inside(func() error {
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		var err error
		r.far, _, err = tunnel(r.Far, r.Near)
		return err
	})
	if err == nil {
		r.near, r.device, err = tunnel(r.Near, r.Far)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.wg.Go(func() { r.carry(r.near, r.far, true) })
	r.wg.Go(func() { r.carry(r.far, r.near, false) })
	st.Set("far", r.Far)
	st.road = r
	st.onClose(func() { r.Close() })
	return r, nil
}

// Close ends the road and both tunnel devices.
func (r *Road) Close() error {
	var errs []error
	close(r.jobs)
	for _, f := range []*os.File{r.near, r.far} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	r.wg.Wait()
	return errors.Join(errs...)
}

// inside runs f in the far host's network.
func (r *Road) inside(f func() error) error {
	done := make(chan error)
	r.jobs <- func() { done <- f() }
	return <-done
}

// tunnel makes a tunnel device in the network of the calling thread, and
// returns its name, too.
func tunnel(local, peer string) (*os.File, string, error) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", &PrivilegeError{Why: "open /dev/net/tun"}
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lab%d") // the kernel counts
	const iffTun, iffNoPI = 0x1, 0x1000
	request.flags = iffTun | iffNoPI
	const tunSetIff = 0x400454ca
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunSetIff, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return nil, "", errors.Join(fmt.Errorf("make a tunnel device: %w", errno), syscall.Close(fd))
	}
	name := string(bytes.TrimRight(request.name[:], "\x00"))
	f := os.NewFile(uintptr(fd), name)
	ip, err := program("ip")
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	for _, line := range []string{
		"addr add " + local + " peer " + peer + " dev " + name,
		fmt.Sprintf("link set %s mtu %d up", name, roadMTU),
	} {
		if out, err := exec.Command(ip, strings.Fields(line)...).CombinedOutput(); err != nil {
			return nil, "", errors.Join(fmt.Errorf("ip %s: %w: %s", line, err, out), f.Close())
		}
	}
	return f, name, nil
}

// carry takes packets from one device to the other.
func (r *Road) carry(from, to *os.File, toFar bool) {
	type parcel struct {
		due    time.Time
		packet []byte
		to     *os.File
	}
	way := make(chan parcel, roadWindow)
	go func() {
		defer close(way)
		for {
			packet := make([]byte, roadMTU)
			n, err := from.Read(packet)
			if err != nil {
				return
			}
			packet = packet[:n]
			if !isIPv4(packet) {
				continue
			}
			hop(packet, roadHops/2)
			pass, back := r.rule(packet, toFar)
			due := time.Now().Add(r.delay)
			if back != nil { // it was half-way, and so is its answer
				hop(back, roadHops/2)
				way <- parcel{due, back, from}
			}
			if pass {
				hop(packet, roadHops/2)
				way <- parcel{due, packet, to}
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		_, _ = p.to.Write(p.packet) // lost where the device is gone
	}
}

// Offsets in the headers of IPv4 and TCP.
const (
	ipTTL, ipProto, ipSum, ipSrc, ipDst = 8, 9, 10, 12, 16
	tcpSeq, tcpAck, tcpFlags, tcpSum    = 4, 8, 13, 16
	ipHeader, tcpHeader                 = 20, 20
	flagFIN, flagSYN, flagRST, flagACK  = 1, 2, 4, 16
)

func isIPv4(p []byte) bool { return len(p) >= ipHeader && p[0]>>4 == 4 }

// hop takes n routers off the time to live.
func hop(p []byte, n byte) {
	p[ipTTL] -= n
	ipChecksum(p)
}

func ipChecksum(p []byte) {
	head := p[:int(p[0]&15)*4]
	binary.BigEndian.PutUint16(head[ipSum:], 0)
	binary.BigEndian.PutUint16(head[ipSum:], ^sum16(head, 0))
}

// sum16 is the sum of RFC 1071, begun with start.
func sum16(b []byte, start uint32) uint16 {
	s := start
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// segmentOf returns the TCP part of an IPv4 packet, nil for anything else.
func segmentOf(p []byte) []byte {
	head := int(p[0]&15) * 4
	if p[ipProto] != syscall.IPPROTO_TCP || len(p) < head+tcpHeader {
		return nil
	}
	return p[head:]
}

// resetFor is the reset with which a box on the road answers a packet in the
// name of the one it was sent to.
func resetFor(p []byte) []byte {
	seg := segmentOf(p)
	data := len(seg) - int(seg[12]>>4)*4
	if seg[tcpFlags]&(flagSYN|flagFIN) != 0 {
		data++
	}
	q := make([]byte, ipHeader+tcpHeader)
	q[0], q[ipTTL], q[ipProto] = 0x45, 64, syscall.IPPROTO_TCP
	binary.BigEndian.PutUint16(q[2:], uint16(len(q)))
	copy(q[ipSrc:], p[ipDst:ipDst+net.IPv4len])
	copy(q[ipDst:], p[ipSrc:ipSrc+net.IPv4len])
	t := q[ipHeader:]
	copy(t[0:], seg[2:4])
	copy(t[2:], seg[0:2])
	copy(t[tcpSeq:], seg[tcpAck:tcpAck+4])
	binary.BigEndian.PutUint32(t[tcpAck:], binary.BigEndian.Uint32(seg[tcpSeq:])+uint32(data))
	t[12], t[tcpFlags] = tcpHeader/4<<4, flagRST|flagACK
	pseudo := uint32(sum16(q[ipSrc:ipSrc+8], uint32(syscall.IPPROTO_TCP)+tcpHeader))
	binary.BigEndian.PutUint16(t[tcpSum:], ^sum16(t, pseudo))
	ipChecksum(q)
	return q
}
