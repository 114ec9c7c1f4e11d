package source

import (
	"io"
	"runtime"
	"strconv"
	"testing"
	"time"

	"culprit/internal/fact"
)

// lines is a log of n requests that nobody holds in memory.
type lines struct {
	n, at int
	line  func(b []byte, i int) []byte
	rest  []byte
	buf   []byte
}

func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		l.buf = l.buf[:0]
		for ; l.at < l.n && len(l.buf) < 64<<10; l.at++ {
			l.buf = append(l.line(l.buf, l.at), '\n')
		}
		if l.rest = l.buf; len(l.rest) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// flat reads "req STATUS MEMBER" lines, four hundred a second.
var flat = Format{
	ID: "flat", Tech: "flat", Title: "test lines",
	Sniff:     kv.Sniff,
	NewReader: func(*Env) LineReader { return &flatReader{} },
}

type flatReader struct{ r fact.Request }

func (k *flatReader) Line(l *Line, out Sink) Took {
	b := l.Text
	if !HasPrefix(b, "req ") || len(b) < 9 {
		return NotMine
	}
	k.r.Reset()
	k.r.Status, k.r.Method = Int(b[4:7]), "GET"
	k.r.Time = time.Unix(1_700_000_000+int64(l.N)/400, 0).UTC()
	k.r.Party = fact.Party{Role: fact.RoleGateway, Tech: "flat"}
	k.r.Attempts = append(k.r.Attempts, fact.Attempt{Address: View(b[8:])})
	out.State(&k.r)
	return Mine
}

func (k *flatReader) Close(Sink) {}

// TestFlatMemory: what is held of a log does not grow with it, whatever is
// wrong in it.
func TestFlatMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads millions of lines")
	}
	// One line in a hundred failed, or all; of thirty members, or as many as
	// lines.
	for name, line := range map[string]func([]byte, int) []byte{
		"ordinary": func(b []byte, i int) []byte { return member(status(b, i%100 == 0), i%30) },
		"failed":   func(b []byte, i int) []byte { return member(status(b, true), i%30) },
		"distinct": func(b []byte, i int) []byte { return member(status(b, i%2 == 0), i) },
	} {
		t.Run(name, func(t *testing.T) {
			const n = 2_000_000
			const bound = 48 << 20 // bytes: maxKept requests, controls and samples, three times over
			var most uint64
			before := heap()
			in := Input{Path: "x", Open: func() (io.ReadCloser, error) {
				return io.NopCloser(&lines{n: n, line: func(b []byte, i int) []byte {
					if i%(n/4) == n/4-1 {
						most = max(most, heap())
					}
					return line(b, i)
				}}), nil
			}}
			failed := 0
			reps, err := Feed(&Env{}, []Format{flat}, nil, []Input{in}, Options{}, func(f fact.Fact) {
				if r, ok := f.(*fact.Request); ok && !r.Control {
					failed += r.N()
				}
			})
			if err != nil || reps[0].Requests != n {
				t.Fatalf("%+v, %v", reps, err)
			}
			want := map[string]int{"ordinary": n / 100, "failed": n, "distinct": n / 2}[name]
			if failed != want {
				t.Errorf("%d failures told of, want %d", failed, want)
			}
			if grown := int64(most) - int64(before); grown > bound {
				t.Errorf("the heap grew by %d MiB, more than %d", grown>>20, bound>>20)
			}
		})
	}
}

func status(b []byte, failed bool) []byte {
	if failed {
		return append(b, "req 502 "...)
	}
	return append(b, "req 200 "...)
}

func member(b []byte, i int) []byte {
	return append(strconv.AppendInt(append(b, "10.0.0."...), int64(i), 10), ":8080"...)
}

// heap is what is in use after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
