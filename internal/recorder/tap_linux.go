package recorder

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gopacket/gopacket/afpacket"
	"golang.org/x/sys/unix"

	"culprit/internal/wire"
)

// tap reads the frames of an interface, or of all, through the port filter.
type tap struct {
	h     *afpacket.TPacket
	link  wire.LinkType
	since time.Time // the filter works from here on
}

// Kinds of interfaces, as /sys/class/net/*/type numbers them (linux/if_arp.h).
const (
	arpEthernet = 1
	arpLoopback = 772
)

// openTap opens a tap. Errors that a person can do something about are
// [ErrNoInterface] and [*MissingError].
func openTap(iface string, ports []uint16) (*tap, error) {
	t := &tap{link: wire.LinkRaw}
	kind, loopback, err := interfaceKind(iface)
	if err != nil {
		return nil, err
	}
	name, socket := iface, afpacket.SocketDgram
	if iface == AnyInterface {
		name = ""
	} else if kind == arpEthernet || kind == arpLoopback {
		t.link, socket = wire.LinkEthernet, afpacket.SocketRaw
	}
	prog, err := filterFor(t.link, ports, loopback)
	if err != nil {
		return nil, fmt.Errorf("assemble port filter: %w", err)
	}
	t.h, err = afpacket.NewTPacket(
		afpacket.OptInterface(name), socket, afpacket.TPacketVersion3,
		afpacket.OptBlockSize(tapBlock), afpacket.OptNumBlocks(tapBlocks), afpacket.OptFrameSize(os.Getpagesize()),
		afpacket.OptBlockTimeout(tapRetire), afpacket.OptPollTimeout(tapPoll), afpacket.OptAddVLANHeader(t.link == wire.LinkEthernet),
	)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, capNetRaw(iface, err)
	case err != nil:
		return nil, fmt.Errorf("open AF_PACKET on %s: %w", iface, err)
	}
	if err := t.h.SetBPF(prog); err != nil {
		t.h.Close()
		return nil, fmt.Errorf("set port filter: %w", err)
	}
	t.since = time.Now()
	return t, nil
}

// interfaceKind tells what an interface is, and the index of the one that sees
// its own packets twice.
func interfaceKind(iface string) (kind, loopback int, err error) {
	if iface == AnyInterface {
		all, err := net.Interfaces()
		if err != nil {
			return 0, 0, fmt.Errorf("list interfaces: %w", err)
		}
		for _, i := range all {
			if i.Flags&net.FlagLoopback != 0 {
				loopback = i.Index
			}
		}
		return 0, loopback, nil
	}
	i, err := net.InterfaceByName(iface)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", iface, ErrNoInterface)
	}
	kind = arpEthernet
	if b, err := os.ReadFile("/sys/class/net/" + iface + "/type"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			kind = n
		}
	}
	if i.Flags&net.FlagLoopback != 0 {
		kind, loopback = arpLoopback, i.Index
	}
	return kind, loopback, nil
}

// next waits for a frame. What came before the filter was set is left out.
func (t *tap) next() (c captured, err error) {
	for {
		data, ci, err := t.h.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, afpacket.ErrTimeout):
			return c, errQuiet
		case errors.Is(err, afpacket.ErrPoll):
			return c, errDown
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return c, fmt.Errorf("read frame: %w", err)
		}
		if ci.Timestamp.Before(t.since) {
			continue
		}
		return captured{ci.Timestamp, ci.Length, data}, nil
	}
}

// drops is how many frames the kernel had no room for, since the tap opened.
func (t *tap) drops() int64 {
	_, v3, err := t.h.SocketStats()
	if err != nil {
		return 0
	}
	return int64(v3.Drops())
}

func (t *tap) close() { t.h.Close() }
