package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"culprit/internal/source"
)

// trouble says why an input gave nothing, and what to try.
func trouble(r *source.Report) *plight {
	name := r.Path
	if name == "-" {
		name = "standard input"
	}
	p := &plight{status: exitUnread}
	switch err := r.Err; {
	case errors.Is(err, os.ErrNotExist):
		p.says = name + ": no such file or folder"
		p.try = []string{"ls -l " + parent(r.Path)}
	case errors.Is(err, os.ErrPermission):
		p.says = name + ": permission denied"
		p.try = []string{"sudo culprit diagnose " + r.Path, "or copy the file to where you may read it"}
	case errors.Is(err, source.ErrBinary):
		p.says, p.try = unreadable(r.Path, name)
	case errors.Is(err, io.ErrUnexpectedEOF):
		p.says = name + ": the packed file ends early, and nothing could be unpacked"
		p.try = []string{"fetch the file again; its writer may not have finished"}
	case damage(r) != "":
		p.says = name + ": " + damage(r)
		p.try = []string{"fetch the file again, or rename it if it is not packed"}
	case err != nil:
		p.says = name + ": " + err.Error()
	case r.Lines == 0:
		p.says = name + ": empty"
		p.try = []string{"the log that holds the failing minutes; the one before rotation is often access.log.1 or access.log.1.gz"}
	default:
		p.says = name + ": no format recognised"
		if x := r.FirstUnknown; x.N > 0 {
			p.says += fmt.Sprintf("; line %d reads\n  %s", x.N, printable(x.Text, 76))
		}
		p.try = []string{"culprit formats", "culprit diagnose --as FORMAT " + r.Path}
	}
	return p
}

// packings are how files begin that are unpacked here.
var packings = [][]byte{{0x1f, 0x8b}, {0x28, 0xb5, 0x2f, 0xfd}, []byte("BZh"), {0xfd, '7', 'z', 'X', 'Z', 0}}

// damage says that an input is packed and could not be unpacked to its end;
// empty if something else is wrong. Those that unpack have many words for it;
// what the system says of a file it cannot read is a [fs.PathError].
func damage(r *source.Report) string {
	var path *fs.PathError
	if r.Err == nil || errors.As(r.Err, &path) || errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, io.ErrUnexpectedEOF) || errors.Is(r.Err, source.ErrBinary) {
		return ""
	}
	says := r.Err.Error()
	if r.Path != "-" {
		front := fileFront(r.Path)
		if !slices.ContainsFunc(packings, func(m []byte) bool { return bytes.HasPrefix(front, m) }) {
			return ""
		}
	} else if !slices.ContainsFunc([]string{"unpack ", "read to its end: ", "flate: ", "bzip2 ", "xz: ", "lzma: ", "invalid input: "}, func(p string) bool { return strings.HasPrefix(says, p) }) {
		return ""
	}
	if r.Lines == 0 {
		return "the packed file is damaged, and nothing could be unpacked"
	}
	return "the packed file is damaged: what came before the damage was read"
}

// fileFront is the front of a file, as far as it can be read.
func fileFront(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	front := make([]byte, 512)
	n, _ := io.ReadFull(f, front) // an error leaves less of it
	return front[:n]
}

func parent(p string) string {
	if i := strings.LastIndexByte(p, '/'); i > 0 {
		return p[:i]
	}
	return "."
}

// packed are kinds of files that hold others.
var packed = []struct {
	magic []byte
	says  string
	try   string
}{
	{[]byte("PK\x03\x04"), "a zip archive", "unzip it into a folder and name that"},
	{[]byte("7z\xbc\xaf"), "a 7z archive", "unpack it into a folder and name that"},
	{[]byte{0x04, 0x22, 0x4d, 0x18}, "packed with lz4", "lz4 -dc FILE | culprit diagnose -"},
	{[]byte("LPKSHHRH"), "a systemd journal as it lies on disk", "journalctl --file FILE -o json | culprit diagnose -"},
	{[]byte("\x7fELF"), "a program", "its log, or its configuration"},
}

// unreadable says what kind of binary data a file is.
func unreadable(path, name string) (says string, try []string) {
	front := fileFront(path)
	for _, k := range packed {
		if bytes.HasPrefix(front, k.magic) {
			return name + ": " + k.says + ", which is not read", []string{k.try}
		}
	}
	if len(front) > 262 && string(front[257:262]) == "ustar" {
		return name + ": a tar archive, which is not read", []string{"tar -xf it into a folder and name that"}
	}
	return name + ": binary data, no text", []string{"the text log; if it is packed, gz, zst, bz2 and xz are unpacked by themselves"}
}

// printable cuts a text for an error line and takes out control characters.
func printable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > n {
		return string(r[:n-3]) + "..."
	}
	return s
}
