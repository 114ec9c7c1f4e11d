package recorder

import (
	"encoding/binary"
	"io"

	"culprit/internal/wire"
)

// ngWriter writes pcapng: one section, one interface, times in nanoseconds.
// The format is draft-ietf-opsawg-pcapng. It is written by hand, since
// gopacket's writer brings all of gopacket's layers into the binary.
type ngWriter struct {
	w   io.Writer
	buf []byte // of one block
	n   int64  // bytes written
}

// The block types and options that are written.
const (
	ngSection   = 0x0a0d0d0a
	ngInterface = 1
	ngPacket    = 6
	ngOrder     = 0x1a2b3c4d

	optEnd      = 0
	optComment  = 1
	shbOS       = 3
	shbApp      = 4
	ifName      = 2
	ifTSResol   = 9
	ifFilter    = 11
	maxNGOption = 4000 // bytes of one option; a comment is cut there
)

// ngFile is what a capture file says about itself.
type ngFile struct {
	comment, os, app string
	iface, filter    string
	link             wire.LinkType
	snaplen          int
}

// begin writes the section and the interface.
func (w *ngWriter) begin(f ngFile) error {
	w.start(ngSection)
	w.u32(ngOrder)
	w.u16(1) // version 1.0
	w.u16(0)
	w.u32(0xffffffff, 0xffffffff) // the section's length is not told
	w.option(optComment, f.comment)
	w.option(shbOS, f.os)
	w.option(shbApp, f.app)
	w.u16(optEnd, 0)
	if err := w.end(); err != nil {
		return err
	}
	w.start(ngInterface)
	w.u16(uint16(f.link), 0)
	w.u32(uint32(f.snaplen))
	w.option(ifName, f.iface)
	w.option(ifTSResol, "\x09") // 10^-9 s
	if f.filter != "" {
		w.option(ifFilter, "\x00"+f.filter)
	}
	w.u16(optEnd, 0)
	return w.end()
}

// packet writes one frame; data may be shorter than the frame was.
func (w *ngWriter) packet(time int64, orig int, data []byte, comment string) error {
	w.start(ngPacket)
	w.u32(0, uint32(uint64(time)>>32), uint32(time), uint32(len(data)), uint32(orig))
	w.buf = append(w.buf, data...)
	w.pad()
	if comment != "" {
		w.option(optComment, comment)
		w.u16(optEnd, 0)
	}
	return w.end()
}

func (w *ngWriter) start(kind uint32) {
	w.buf = w.buf[:0]
	w.u32(kind, 0)
}

// end sets the block's length at its front and its end, and writes it.
func (w *ngWriter) end() error {
	n := uint32(len(w.buf) + 4)
	w.u32(n)
	binary.LittleEndian.PutUint32(w.buf[4:], n)
	k, err := w.w.Write(w.buf)
	w.n += int64(k)
	return err
}

func (w *ngWriter) option(code uint16, text string) {
	if text == "" {
		return
	}
	if len(text) > maxNGOption {
		text = text[:maxNGOption]
	}
	w.u16(code, uint16(len(text)))
	w.buf = append(w.buf, text...)
	w.pad()
}

func (w *ngWriter) pad() {
	for len(w.buf)%4 != 0 {
		w.buf = append(w.buf, 0)
	}
}

func (w *ngWriter) u32(vs ...uint32) {
	for _, v := range vs {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, v)
	}
}

func (w *ngWriter) u16(vs ...uint16) {
	for _, v := range vs {
		w.buf = binary.LittleEndian.AppendUint16(w.buf, v)
	}
}
