package source

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestLineReader: lines come out whole wherever reads cut them.
func TestLineReader(t *testing.T) {
	var in bytes.Buffer
	var want []string
	for _, n := range []int{0, 1, 100, restSize - 1, restSize, restSize + 1, 3, blockSize - 1, blockSize, 7, 2 * blockSize, 0, MaxLine - 1, 5} {
		s := strings.Repeat("x", n)
		want = append(want, s)
		in.WriteString(s + "\r\n")
	}
	want = append(want, "the last, unended")
	in.WriteString("the last, unended")
	for name, r := range map[string]io.Reader{
		"whole":           bytes.NewReader(in.Bytes()),
		"halves":          iotest.HalfReader(bytes.NewReader(in.Bytes())),
		"pieces":          &pieces{b: in.Bytes(), n: 4096},
		"data with error": iotest.DataErrReader(bytes.NewReader(in.Bytes())),
	} {
		l := newLineReader(r)
		for i, w := range want {
			if got, err := l.next(); err != nil || string(got) != w {
				t.Errorf("%s: line %d has %d bytes (%v), want %d", name, i, len(got), err, len(w))
			}
		}
		if got, err := l.next(); !errors.Is(err, io.EOF) || l.cut != 1 {
			t.Errorf("%s: %d bytes, %v after the last line; %d cut", name, len(got), err, l.cut)
		}
	}
}

// TestLineReaderError: what stood before an error is read, and the error told.
func TestLineReaderError(t *testing.T) {
	l := newLineReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	for _, want := range []string{"a", "b"} {
		if got, err := l.next(); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if _, err := l.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// pieces gives n bytes a read.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(p.n, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}
