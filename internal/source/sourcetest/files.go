package sourcetest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"culprit/internal/fact"
	"culprit/internal/source"
)

// Input makes an input called name of data.
func Input(name string, data []byte) source.Input {
	return source.Input{Path: name, Size: int64(len(data)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}}
}

// ReadFiles reads several inputs together, as a user's folder of evidence is
// read, and returns their facts and a report on each. Every request is stated
// whole.
func ReadFiles(formats []source.Format, wrappers []source.Wrapper, inputs ...source.Input) ([]fact.Fact, []source.Report, error) {
	var facts []fact.Fact
	reports, err := source.Feed(&source.Env{Reference: Reference}, formats, wrappers, inputs, source.Options{All: true}, func(f fact.Fact) { facts = append(facts, f) })
	return facts, reports, err
}

// goldenFolders reads each folder testdata/golden/NAME.d, all its files
// together, and compares with NAME.facts.
func goldenFolders(t *testing.T, formats []source.Format, wrappers []source.Wrapper) {
	dirs, err := filepath.Glob("testdata/golden/*.d")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var inputs []source.Input
			for _, in := range source.Inputs([]string{dir}, nil) {
				data, err := os.ReadFile(in.Path)
				if err != nil {
					t.Fatal(err)
				}
				name, err := filepath.Rel(dir, in.Path)
				if err != nil {
					t.Fatal(err)
				}
				inputs = append(inputs, Input(filepath.ToSlash(name), data))
			}
			facts, reports, err := ReadFiles(formats, wrappers, inputs...)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, strings.TrimSuffix(dir, ".d")+".facts", render(t, facts, reports...))
		})
	}
}

// compare compares with a golden file, or writes it anew.
func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; `go test -update` writes it", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("facts differ from %s:\n%s", path, diff(want, got))
	}
}
