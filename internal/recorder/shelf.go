package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"culprit/internal/wire"
)

// shelf is the folder of slices. It keeps them within a number of bytes by
// deleting the oldest; it deletes only files with names it gave itself.
type shelf struct {
	dir  string
	most int64 // bytes
	// done are the slices that are written to their end, oldest first.
	done []stored
	// bytes are those of all slices, the open ones included.
	bytes   int64
	deleted int64
}

type stored struct {
	name string
	size int64
}

// sliceName is how slices are called: time, what failed, where. An address has
// _ for the colons of IPv6, which scp takes for a host's end.
var sliceName = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ-[a-z0-9]+(?:-[a-z0-9]+)*-[0-9a-f._]+-\d+(?:\.\d+)?\.pcapng$`)

// maxSlices bounds how many files lie in the folder, as some tools and shells
// do not take more; the oldest are deleted.
const maxSlices = 20000

// errFull says that what is open already takes all the bytes there may be.
var errFull = errors.New("no room within the limit of the folder")

// openShelf makes the folder if need be, and counts what lies there. What was
// recorded may hold secrets, so nobody else may read it.
func openShelf(dir string, most int64) (*shelf, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder for slices: %w", err)
	}
	s := &shelf{dir: dir, most: most}
	entries, err := os.ReadDir(dir) // sorted by name, and so by time
	if err != nil {
		return nil, fmt.Errorf("list folder for slices: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.Type().IsRegular() || !sliceName.MatchString(e.Name()) {
			continue
		}
		s.done = append(s.done, stored{e.Name(), info.Size()})
		s.bytes += info.Size()
	}
	return s, s.room(0)
}

// room deletes the oldest slices until n more bytes fit.
func (s *shelf) room(n int64) error {
	for s.bytes+n > s.most || len(s.done) >= maxSlices {
		if len(s.done) == 0 {
			return errFull
		}
		d := s.done[0]
		if err := os.Remove(filepath.Join(s.dir, d.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("delete oldest slice: %w", err)
		}
		s.done = s.done[1:]
		s.bytes -= d.size
		s.deleted++
	}
	return nil
}

// create makes a new slice's file. Its name has what can be seen without
// opening it; a second one of the same second and server gets a number.
func (s *shelf) create(at int64, kind string, server wire.Endpoint) (*os.File, string, error) {
	base := fmt.Sprintf("%s-%s-%s-%d", time.Unix(0, at).UTC().Format("2006-01-02T15-04-05Z"), kind, strings.ReplaceAll(server.Addr().String(), ":", "_"), server.Port)
	for n := 1; ; n++ {
		name := base + ".pcapng"
		if n > 1 {
			name = fmt.Sprintf("%s.%d.pcapng", base, n)
		}
		f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, "", fmt.Errorf("make slice: %w", err)
		}
		return f, name, nil
	}
}

// grew counts bytes written to an open slice.
func (s *shelf) grew(n int64) { s.bytes += n }

// finished takes in a slice that is written to its end.
func (s *shelf) finished(name string, size int64) {
	at := sort.Search(len(s.done), func(i int) bool { return s.done[i].name >= name })
	s.done = append(s.done, stored{})
	copy(s.done[at+1:], s.done[at:])
	s.done[at] = stored{name, size}
}
