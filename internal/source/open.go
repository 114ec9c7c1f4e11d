package source

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Input is one file, or standard input.
type Input struct {
	Path string // as the user named it; "-" for standard input
	Size int64  // bytes on disk, 0 if unknown
	Time time.Time
	Err  error // it cannot be opened
	// Open begins to read it, packed as it is.
	Open func() (io.ReadCloser, error)
}

// Inputs lists what stands under paths, files as they are and folders
// recursively, each once, in the order of their names. A path that cannot be
// read is listed with its error.
func Inputs(paths []string, stdin io.Reader) []Input {
	var in []Input
	seen := map[string]bool{}
	add := func(i Input) {
		if !seen[i.Path] {
			seen[i.Path] = true
			in = append(in, i)
		}
	}
	for _, p := range paths {
		if p == "-" {
			add(Input{Path: "-", Open: func() (io.ReadCloser, error) { return io.NopCloser(stdin), nil }})
			continue
		}
		err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				add(Input{Path: path, Err: err})
				return nil
			}
			if d.IsDir() {
				if d.Name() == ".git" {
					return filepath.SkipDir
				}
				return nil
			}
			fi, err := os.Stat(path) // follows links, unlike d.Info
			if err != nil {
				add(Input{Path: path, Err: err})
				return nil
			}
			if fi.IsDir() {
				return nil // a link to a folder: not followed, it may be a loop
			}
			if path != p && !fi.Mode().IsRegular() {
				return nil // sockets and devices in a folder are not evidence
			}
			add(Input{Path: path, Size: fi.Size(), Time: fi.ModTime(), Open: func() (io.ReadCloser, error) { return os.Open(path) }})
			return nil
		})
		if err != nil {
			add(Input{Path: p, Err: err})
		}
	}
	sort.SliceStable(in, func(i, j int) bool { return in[i].Path < in[j].Path })
	return in
}

// ErrBinary says that an input is no text of any kind known here.
var ErrBinary = errors.New("binary data")

// blockSize is how much is read at once, in bytes: larger gains nothing, and
// mapping files into memory is slower and counts as memory used.
const blockSize = 256 << 10

// unpack looks at the front of r and takes off gzip, zstd, bzip2 or xz, and
// UTF-16; raw tells that there was nothing to take off. counted is called with the number of packed bytes as they are read.
func unpack(r io.Reader, counted func(int)) (out io.Reader, raw bool, err error) {
	br := bufio.NewReaderSize(&countReader{r, counted}, blockSize)
	magic, err := br.Peek(6)
	if err != nil && len(magic) == 0 {
		if errors.Is(err, io.EOF) {
			return br, true, nil
		}
		return nil, false, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(br)
		if err != nil {
			return nil, false, fmt.Errorf("unpack gzip: %w", err)
		}
		return bufio.NewReaderSize(z, blockSize), false, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(br, zstd.WithDecoderMaxMemory(256<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, false, fmt.Errorf("unpack zstd: %w", err)
		}
		return bufio.NewReaderSize(z, blockSize), false, nil
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bufio.NewReaderSize(bzip2.NewReader(br), blockSize), false, nil
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		z, err := xz.NewReader(br)
		if err != nil {
			return nil, false, fmt.Errorf("unpack xz: %w", err)
		}
		return bufio.NewReaderSize(z, blockSize), false, nil
	case bytes.HasPrefix(magic, []byte{0xff, 0xfe}):
		return bufio.NewReaderSize(&utf16Reader{r: br, order: binary.LittleEndian}, blockSize), false, nil
	case bytes.HasPrefix(magic, []byte{0xfe, 0xff}):
		return bufio.NewReaderSize(&utf16Reader{r: br, order: binary.BigEndian}, blockSize), false, nil
	case bytes.HasPrefix(magic, []byte{0xef, 0xbb, 0xbf}):
		_, err := br.Discard(3)
		return br, false, err
	}
	return br, true, nil
}

type countReader struct {
	r io.Reader
	f func(int)
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.f != nil {
		c.f(n)
	}
	return n, err
}

// utf16Reader turns UTF-16 into UTF-8: what a Windows shell makes of
// redirected output.
type utf16Reader struct {
	r     io.Reader
	order binary.ByteOrder
	raw   [4096]byte
	nraw  int
	out   []byte
	err   error
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		n, err := u.r.Read(u.raw[u.nraw:])
		u.err = err
		n += u.nraw
		units := make([]uint16, 0, n/2)
		i := 0
		for ; i+1 < n; i += 2 {
			units = append(units, u.order.Uint16(u.raw[i:]))
		}
		// A high surrogate at the end waits for its other half.
		if k := len(units); k > 0 && err == nil && units[k-1] >= 0xd800 && units[k-1] < 0xdc00 {
			units = units[:k-1]
			i -= 2
		}
		u.nraw = copy(u.raw[:], u.raw[i:n])
		for _, r := range utf16.Decode(units) {
			if r != 0xfeff {
				u.out = utf8.AppendRune(u.out, r)
			}
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// isBinary judges the front of an unpacked input: text has no NUL and few
// other control bytes.
func isBinary(head []byte) bool {
	if HasPrefix(head, "__CURSOR=") {
		return false // a journal's export, which may hold fields of any bytes
	}
	if len(head) > 4096 {
		head = head[:4096]
	}
	odd := 0
	for _, c := range head {
		switch {
		case c == 0:
			return true
		case c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != 0x1b && c != '\f' && c != '\b':
			odd++
		}
	}
	return odd*20 > len(head)
}
