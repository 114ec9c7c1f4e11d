package culprit

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// law is the import law: what a package of ours may import of ours. A trailing
// /* stands for each folder directly below. It parses the files itself: a test
// that asks the go command is served from the test cache and stays green after
// a forbidden import.
var law = []struct {
	pkg    string
	mayUse []string
}{
	{"internal/fact", nil},
	{"internal/failure", []string{"internal/fact"}},
	{"internal/cause", []string{"internal/fact", "internal/failure"}},
	{"internal/cause/all", []string{"internal/cause", "internal/cause/*"}},
	{"internal/cause/causetest", []string{"internal/fact", "internal/failure", "internal/cause", "internal/cause/all", "internal/source", "internal/source/all"}},
	{"internal/cause/*", []string{"internal/fact", "internal/failure", "internal/cause"}}, // never a source
	{"internal/source", []string{"internal/fact"}},
	{"internal/wire", nil},
	{"internal/wire/wiretest", nil},                                     // nor wire, whose own tests use it
	{"internal/recorder", []string{"internal/wire", "internal/source"}}, // source: its words for secrets
	{"internal/source/pcap", []string{"internal/fact", "internal/source", "internal/wire"}},
	{"internal/source/all", []string{"internal/fact", "internal/source", "internal/source/*"}}, // fact in its benchmark
	{"internal/source/sourcetest", []string{"internal/fact", "internal/source"}},
	{"internal/source/*", []string{"internal/fact", "internal/source"}}, // never failure or cause, never another technology
	{"internal/report", []string{"internal/fact", "internal/failure", "internal/cause"}},
	{"internal/lab", []string{"internal/fact", "internal/failure", "internal/cause", "internal/source", "internal/probe"}},
	{"examples/record", []string{"internal/lab"}},
	{"cmd/culprit", []string{"internal/*", "internal/cause/all", "internal/source/all"}},
	{".", nil},
}

func TestImportLaw(t *testing.T) {
	walk(t, func(dir, file string) {
		rule := ruleFor(dir)
		if rule < 0 {
			t.Errorf("%s has no place in the import law (arch_test.go)", dir)
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, im := range f.Imports {
			p, err := strconv.Unquote(im.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			ours, ok := strings.CutPrefix(p, "culprit/")
			if !ok || ours == dir {
				continue
			}
			if strings.HasSuffix(file, "_test.go") && isTestHelper(ours) {
				continue
			}
			if !allowed(law[rule].mayUse, ours) {
				t.Errorf("%s: %s may not import %s", file, dir, ours)
			}
		}
	})
}

// isTestHelper: tests may use the suites, and the suites' registries.
func isTestHelper(p string) bool {
	return strings.HasSuffix(p, "test") && strings.Count(p, "/") == 2 || strings.HasSuffix(p, "/all")
}

func ruleFor(dir string) int {
	return slices.IndexFunc(law, func(r struct {
		pkg    string
		mayUse []string
	}) bool {
		ok, _ := path.Match(r.pkg, dir)
		return ok
	})
}

func allowed(patterns []string, p string) bool {
	for _, m := range patterns {
		if ok, _ := path.Match(m, p); ok {
			return true
		}
	}
	return false
}

func TestPackagesHaveComments(t *testing.T) {
	has := map[string]bool{}
	walk(t, func(dir, file string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		has[dir] = has[dir] || f.Doc != nil
	})
	for dir, ok := range has {
		if !ok {
			t.Errorf("package %s has no comment", dir)
		}
	}
}

// TestEveryPluginIsListed names folders of causes and sources that are not in
// their registry.
func TestEveryPluginIsListed(t *testing.T) {
	for _, kind := range []string{"internal/cause", "internal/source"} {
		list, err := os.ReadFile(filepath.Join(kind, "all", "all.go"))
		if err != nil {
			t.Fatal(err)
		}
		dirs, err := os.ReadDir(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dirs {
			if !d.IsDir() || d.Name() == "all" || strings.HasSuffix(d.Name(), "test") || d.Name() == "testdata" {
				continue
			}
			if !strings.Contains(string(list), `"culprit/`+kind+"/"+d.Name()+`"`) {
				t.Errorf("%s/%s is not listed in %s/all", kind, d.Name(), kind)
			}
		}
	}
}

// TestFileSizes keeps files readable in one sitting.
func TestFileSizes(t *testing.T) {
	const most = 700
	walk(t, func(_, file string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(b), "\n"); n > most {
			t.Errorf("%s has %d lines, over %d: split it by noun", file, n, most)
		}
	})
}

func walk(t *testing.T, f func(dir, file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && p != ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(p, ".go") {
			f(filepath.ToSlash(filepath.Dir(p)), p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
