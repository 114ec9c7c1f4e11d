package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/ulikunitz/xz"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"culprit": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pack": pack, "longline": longLine, "cutfile": cutFile, "exits": exits, "narrow": narrow,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" { // root reads what nobody may
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
	})
}

// pack FORM FROM TO writes a file packed or encoded otherwise.
func pack(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: pack FORM FROM TO")
	}
	data := []byte(ts.ReadFile(args[1]))
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch args[0] {
	case "gz":
		w = gzip.NewWriter(&b)
	case "zst":
		w, err = zstd.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "utf16":
		binary.Write(&b, binary.LittleEndian, append([]uint16{0xfeff}, utf16.Encode([]rune(string(data)))...))
	case "latin1":
		for _, r := range string(data) {
			b.WriteByte(byte(r))
		}
	case "binary":
		rnd := rand.New(rand.NewPCG(3, 4))
		for range 4096 {
			b.WriteByte(byte(rnd.Uint32()))
		}
	case "pcap":
		head := append([]byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0}, make([]byte, 12)...)
		b.Write(append(head, 1, 0, 0, 0))                                                // Ethernet
		b.Write(append(make([]byte, 8), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)) // a packet of 4 GiB
	default:
		ts.Fatalf("no form %q", args[0])
	}
	ts.Check(err)
	if w != nil {
		_, err = w.Write(data)
		ts.Check(err)
		ts.Check(w.Close())
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), b.Bytes(), 0o644))
}

// longline N FILE writes a file of one line of N megabytes, then the lines of
// the file given third.
func longLine(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	mega := bytes.Repeat([]byte("x"), 1<<20)
	for range n {
		_, err = f.Write(mega)
		ts.Check(err)
	}
	_, err = f.WriteString("\n" + ts.ReadFile(args[2]))
	ts.Check(err)
	ts.Check(f.Close())
}

// cutfile FILE N cuts a file's last N bytes off.
func cutFile(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	data := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(data[:len(data)-n]), 0o644))
}

// exits STATUS ARGS... runs culprit and checks its exit status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec("culprit", args[1:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// narrow FILE checks that no line is over 80 characters.
func narrow(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			ts.Fatalf("%d columns: %s", n, line)
		}
	}
}

// TestOrderDoesNotMatter: the same evidence, named in any order and read
// twice, gives the same bytes.
func TestOrderDoesNotMatter(t *testing.T) {
	examples, err := filepath.Glob("../../examples/*/*")
	if err != nil {
		t.Fatal(err)
	}
	byDir := map[string][]string{}
	for _, p := range examples {
		if filepath.Base(filepath.Dir(p)) != "expected" && filepath.Ext(p) != ".go" {
			byDir[filepath.Dir(p)] = append(byDir[filepath.Dir(p)], p)
		}
	}
	for dir, files := range byDir {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, form := range []string{"json", "text"} {
				var first string
				for n := range 3 {
					shuffled := slices.Clone(files)
					rand.New(rand.NewPCG(uint64(n), 7)).Shuffle(len(shuffled), func(i, k int) { shuffled[i], shuffled[k] = shuffled[k], shuffled[i] })
					var out, errs bytes.Buffer
					if code := run(t.Context(), append([]string{"diagnose", "--output", form}, shuffled...), stdio{strings.NewReader(""), &out, &errs}); code != exitDone {
						t.Fatalf("status %d: %s", code, errs.String())
					}
					if first == "" {
						first = out.String()
					} else if out.String() != first {
						t.Fatalf("%s: another order of files, other bytes", form)
					}
				}
			}
		})
	}
}

// endless is standard input to which nobody writes.
type endless struct{ asked chan struct{} }

func (e endless) Read([]byte) (int, error) {
	close(e.asked)
	select {}
}

func TestInterruptEndsCleanly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := endless{make(chan struct{})}
	go func() {
		<-in.asked
		cancel()
	}()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"diagnose", "-"}, stdio{in, &out, &errs}); code != exitInterrupted {
		t.Errorf("status %d, want %d", code, exitInterrupted)
	}
	if out.Len() > 0 || errs.String() != "culprit: interrupted\n" {
		t.Errorf("wrote %q and %q", out.String(), errs.String())
	}
}

func TestEveryHelpTellsItsExitStatus(t *testing.T) {
	for _, verb := range []string{"diagnose", "explain", "facts", "formats", "capture", "version"} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{verb, "--help"}, stdio{strings.NewReader(""), &out, &errs}); code != exitDone || !strings.Contains(out.String(), "Exit status: 0 done") {
			t.Errorf("%s --help: status %d\n%s", verb, code, out.String())
		}
		for line := range strings.Lines(out.String()) {
			if len(strings.TrimSuffix(line, "\n")) > 80 {
				t.Errorf("%s --help has a line of %d columns: %s", verb, len(line), line)
			}
		}
	}
}
