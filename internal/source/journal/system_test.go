package journal

import (
	"bufio"
	"os"
	"path/filepath"
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

// Lines of a syslog daemon that nobody here wrote: each that begins with a
// stamp loses its frame, and the frame tells host and program.
func TestSharedSyslog(t *testing.T) {
	dir := sourcetest.Testdata(t, "testdata/system/files")
	names, err := filepath.Glob(filepath.Join(dir, "*syslog*"))
	if err != nil || len(names) == 0 {
		t.Skipf("no syslog files in %s", dir)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(f)
		for n := 1; sc.Scan(); n++ {
			if len(sc.Bytes()) < 16 || source.Month(sc.Bytes()) == 0 {
				continue
			}
			l := source.Line{Text: sc.Bytes(), N: n}
			if !unwrap(&l) || l.Host == "" || l.Program == "" || l.Time.IsZero() {
				t.Errorf("%s:%d: host %q, program %q, time %v: %q", filepath.Base(name), n, l.Host, l.Program, l.Time, sc.Bytes())
			}
		}
		f.Close()
	}
}
