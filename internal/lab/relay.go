package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Relay is a wire between two hosts: it hands every byte, every end of stream
// and every reset on to the other side after a delay, in order. On loopback a
// closing server is seen at once; the race between a request and the close that
// crosses it needs a distance, and the kernels the lab runs on need not have a
// delaying queue (netem).
type Relay struct {
	listener net.Listener
	target   string
	delay    time.Duration
	from     net.IP // dials from here for a proxy that has no address of its own; may be nil

	wg     sync.WaitGroup
	ctx    context.Context
	cancel context.CancelFunc
}

// NewRelay listens on addr and joins each connection with one to target. Delay
// is for one way.
func NewRelay(addr, target string, delay time.Duration) (*Relay, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: l, target: target, delay: delay}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.wg.Go(r.accept)
	return r, nil
}

// Addr returns the address the relay listens on.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Close ends the relay and all its connections.
func (r *Relay) Close() error {
	err := r.listener.Close()
	r.cancel()
	r.wg.Wait()
	return err
}

func (r *Relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.join(near.(*net.TCPConn)) })
	}
}

func (r *Relay) join(near *net.TCPConn) {
	defer near.Close()
	d := net.Dialer{LocalAddr: r.source(near)}
	c, err := d.DialContext(r.ctx, "tcp", r.target)
	if err != nil {
		reset(near)
		return
	}
	far := c.(*net.TCPConn)
	defer far.Close()
	stop := context.AfterFunc(r.ctx, func() { near.Close(); far.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { r.pump(near, far) })
	wg.Go(func() { r.pump(far, near) })
	wg.Wait()
}

// source is the address that the target sees: that of the proxy, since a wire
// has none.
func (r *Relay) source(near net.Conn) net.Addr {
	ip := near.RemoteAddr().(*net.TCPAddr).IP
	if r.from != nil && ip.Equal(net.IPv4(127, 0, 0, 1)) {
		ip = r.from
	}
	return &net.TCPAddr{IP: ip}
}

// A segment is what one read brought: bytes, or the end of the stream.
type segment struct {
	due  time.Time
	data []byte
	err  error
}

// relayWindow is how many segments may be on the wire in one direction.
const relayWindow = 256

// pump carries one direction. A peer that closes without reading what is
// already on its way is answered by the kernel with a reset, as on a real wire.
func (r *Relay) pump(from, to *net.TCPConn) {
	wire := make(chan segment, relayWindow)
	go func() {
		defer close(wire)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			wire <- segment{due: time.Now().Add(r.delay), data: buf[:n], err: err}
			if err != nil {
				return
			}
		}
	}()
	for s := range wire {
		time.Sleep(time.Until(s.due))
		if len(s.data) > 0 {
			if _, err := to.Write(s.data); err != nil {
				// The far host answers bytes for a dead connection with a
				// reset, which needs one more trip back.
				time.AfterFunc(r.delay, func() { reset(from) })
			}
		}
		switch {
		case errors.Is(s.err, io.EOF):
			_ = to.CloseWrite() // may be gone already
		case errors.Is(s.err, syscall.ECONNRESET):
			reset(to)
		}
	}
}

// reset closes a connection so that its peer receives RST.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}
