// Package sourcetest is the suite that every technology's folder passes:
//
//	func TestFormats(t *testing.T) { sourcetest.Run(t, nginx.Formats) }
//
// It reads each testdata/golden/NAME.in with the folder's own formats and
// compares the facts with NAME.facts; `go test -update` writes them anew, to
// be read by eye before they are committed. The files of a folder
// testdata/golden/NAME.d are read together.
package sourcetest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"culprit/internal/fact"
	"culprit/internal/source"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Reference is the instant near which stamps without a year are taken to lie.
var Reference = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

// Read reads data as an input called name with formats, and returns its facts
// and report. Every request is stated whole.
func Read(formats []source.Format, wrappers []source.Wrapper, name string, data []byte) ([]fact.Fact, source.Report, error) {
	return ReadEnv(&source.Env{Reference: Reference}, formats, wrappers, source.Options{All: true}, name, data)
}

// ReadEnv is [Read] with an environment and options.
func ReadEnv(env *source.Env, formats []source.Format, wrappers []source.Wrapper, opt source.Options, name string, data []byte) ([]fact.Fact, source.Report, error) {
	in := Input(name, data)
	var facts []fact.Fact
	reports, err := source.Feed(env, formats, wrappers, []source.Input{in}, opt, func(f fact.Fact) { facts = append(facts, f) })
	if err != nil {
		return nil, source.Report{}, err
	}
	return facts, reports[0], nil
}

// Run is the suite.
func Run(t *testing.T, formats []source.Format, wrappers ...source.Wrapper) {
	t.Helper()
	t.Run("records", func(t *testing.T) { records(t, formats) })
	t.Run("golden", func(t *testing.T) { golden(t, formats, wrappers) })
	t.Run("folders", func(t *testing.T) { goldenFolders(t, formats, wrappers) })
	t.Run("garbage", func(t *testing.T) { garbage(t, formats) })
}

var idShape = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func records(t *testing.T, formats []source.Format) {
	seen := map[string]bool{}
	for _, f := range formats {
		if !idShape.MatchString(f.ID) || seen[f.ID] {
			t.Errorf("format id %q: want lower-case words joined by hyphens, each once", f.ID)
		}
		seen[f.ID] = true
		if f.Title == "" || f.Tech == "" {
			t.Errorf("%s: Title and Tech must be set", f.ID)
		}
		ways := 0
		for _, way := range [][2]bool{{f.Sniff != nil, f.NewReader != nil}, {f.SniffDoc != nil, f.ReadDoc != nil}, {f.SniffBytes != nil, f.ReadStream != nil}} {
			if way[0] != way[1] {
				ways = 2
			} else if way[0] {
				ways++
			}
		}
		if ways != 1 {
			t.Errorf("%s: want Sniff and NewReader, or SniffDoc and ReadDoc, or SniffBytes and ReadStream", f.ID)
		}
		if f.ReadDocs != nil && (f.ReadDoc == nil || !f.Config) {
			t.Errorf("%s: ReadDocs is beside ReadDoc, in a Config format", f.ID)
		}
	}
}

func golden(t *testing.T, formats []source.Format, wrappers []source.Wrapper) {
	ins, err := filepath.Glob("testdata/golden/*.in")
	if err != nil {
		t.Fatal(err)
	}
	if len(ins) == 0 && len(formats) > 0 {
		t.Fatal("no testdata/golden/*.in: every folder ships golden pairs")
	}
	used := map[string]bool{}
	for _, in := range ins {
		name := strings.TrimSuffix(filepath.Base(in), ".in")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			facts, rep, err := Read(formats, wrappers, name+".in", data)
			if err != nil {
				t.Fatal(err)
			}
			used[rep.Format] = true
			compare(t, strings.TrimSuffix(in, ".in")+".facts", render(t, facts, rep))
		})
	}
	for _, f := range formats {
		if !used[f.ID] && !t.Failed() {
			t.Errorf("format %s is not the main one of any golden pair", f.ID)
		}
	}
}

// render writes facts as lines, and a last line of what was not read. The
// text of an origin is left out: it stands in the input.
func render(t *testing.T, facts []fact.Fact, reps ...source.Report) []byte {
	var b bytes.Buffer
	for _, f := range facts {
		if f.Head().Origin.Path == "" {
			t.Errorf("fact without an origin: %#v", f)
		}
		if s, ok := f.(*fact.Sample); ok && s.Name == fact.SampleCoverage {
			continue
		}
		f.Head().Origin.Text = ""
		if err := fact.Encode(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	for _, rep := range reps {
		of := ""
		if len(reps) > 1 {
			of = rep.Path + ": "
		}
		fmt.Fprintf(&b, "# %sformat %s, %d lines, %d skipped, %d unknown\n", of, rep.Format, rep.Lines, rep.Skipped, rep.Unknown)
		if rep.Err != nil {
			fmt.Fprintf(&b, "# error: %v\n", rep.Err)
		}
	}
	return b.Bytes()
}

// diff shows the first lines that differ.
func diff(want, got []byte) string {
	w, g := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	var b strings.Builder
	for i, n := 0, 0; i < max(len(w), len(g)) && n < 6; i++ {
		var wl, gl string
		if i < len(w) {
			wl = w[i]
		}
		if i < len(g) {
			gl = g[i]
		}
		if wl != gl {
			fmt.Fprintf(&b, "line %d\n  want %s\n  got  %s\n", i+1, wl, gl)
			n++
		}
	}
	return b.String()
}

// garbage: texts that nobody writes are nobody's.
func garbage(t *testing.T, formats []source.Format) {
	for _, text := range []string{"", " ", "hello world", "{}", "[]", "\"", "[", "{\"a\":", "- - -", "0", "lorem ipsum dolor sit amet, consectetur adipiscing elit", "\xff\xfe\x00", strings.Repeat("a ", 4000), strings.Repeat("\"", 999)} {
		l := source.Line{Text: []byte(text), N: 1}
		for _, f := range formats {
			if f.Sniff != nil {
				if c := f.Sniff(&l); c != source.No {
					t.Errorf("%s claims %.40q with %d", f.ID, text, c)
				}
				f.NewReader(&source.Env{}).Line(&l, discard{})
			}
			if f.SniffDoc != nil {
				if c := f.SniffDoc([]byte(text), "x"); c != source.No {
					t.Errorf("%s claims the document %.40q with %d", f.ID, text, c)
				}
			}
			if f.SniffBytes != nil {
				if f.SniffBytes([]byte(text)) {
					t.Errorf("%s claims the bytes %.40q", f.ID, text)
				}
				if err := f.ReadStream(&source.Env{}, stream([]byte(text)), discard{}); err == nil {
					t.Errorf("%s reads %.40q without an error", f.ID, text)
				}
			}
		}
	}
}

// stream is a binary input of data.
func stream(data []byte) *source.Stream {
	return &source.Stream{Path: "x", R: bytes.NewReader(data), At: func(int) {}, Skip: func(int, string) {}, Count: func(string, int) {}}
}

type discard struct{}

func (discard) State(fact.Fact)    {}
func (discard) Inner(*source.Line) {}
func (discard) Seen(time.Time)     {}

// Fuzz feeds hostile lines, documents or binary inputs to one format: it must not panic, and
// what it states must survive its encoding.
func Fuzz(f *testing.F, x source.Format, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	ins, _ := filepath.Glob("testdata/golden/*.in")
	for _, in := range ins {
		if b, err := os.ReadFile(in); err == nil {
			if x.Sniff == nil {
				f.Add(b)
				continue
			}
			for line := range bytes.Lines(b) {
				f.Add(bytes.TrimRight(line, "\n"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		env := &source.Env{Reference: Reference}
		out := &encoder{t: t}
		if x.ReadStream != nil {
			x.SniffBytes(data[:min(len(data), source.HeadSize)])
			x.ReadStream(env, stream(data), out) // an error, or not
			return
		}
		if x.ReadDoc != nil {
			x.SniffDoc(data[:min(len(data), source.HeadSize)], "fuzz")
			x.ReadDoc(env, &source.Doc{Path: "fuzz", Data: data, Skip: func(int, string) {}}, out)
			return
		}
		r := x.NewReader(env)
		n := 0
		for line := range bytes.Lines(data) {
			n++
			l := source.Line{Text: bytes.TrimRight(line, "\r\n"), Path: "fuzz", N: n}
			x.Sniff(&l)
			r.Line(&l, out)
		}
		r.Close(out)
	})
}

type encoder struct{ t *testing.T }

func (e *encoder) State(f fact.Fact) {
	c := f.Clone()
	var b bytes.Buffer
	if err := fact.Encode(&b, c); err != nil {
		e.t.Fatalf("a fact that cannot be encoded: %v", err)
	}
	if _, err := fact.DecodeLine(bytes.TrimSpace(b.Bytes())); err != nil {
		e.t.Fatalf("a fact that cannot be decoded: %v\n%s", err, b.Bytes())
	}
}
func (e *encoder) Inner(*source.Line) {}
func (e *encoder) Seen(time.Time)     {}

// Bench measures a format's reader on lines, in bytes a second, with every
// fact folded away.
func Bench(b *testing.B, x source.Format, lines ...string) {
	env := &source.Env{Reference: Reference}
	r := x.NewReader(env)
	size := 0
	ls := make([]source.Line, len(lines))
	for i, s := range lines {
		ls[i] = source.Line{Text: []byte(s), Path: "bench", N: i + 1}
		size += len(s) + 1
		l := ls[i]
		if r.Line(&l, discard{}) == source.NotMine {
			b.Fatalf("%s does not read %q", x.ID, s)
		}
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for i := range ls {
			l := ls[i]
			r.Line(&l, discard{})
		}
	}
}

// Testdata returns the path of the shared test data called name, and skips the
// test where it is not there.
func Testdata(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		p := filepath.Join(dir, "shared", name)
		if _, err := os.Stat(p); err == nil {
			return p
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skipf("shared/%s is not beside the checkout: this test compares with evidence that cannot be shipped", name)
		}
		dir = up
	}
}
