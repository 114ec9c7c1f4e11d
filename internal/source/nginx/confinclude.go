package nginx

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
)

// The bounds of includes.
const (
	maxIncludeDepth = 16
	maxCopied       = 1_000_000  // directives, each counted wherever it is included
	maxCompared     = 50_000_000 // paths compared with patterns: two seconds
)

// includes calls do for each include of the file.
func (f *confFile) includes(do func(*directive)) { f.root.includes(do) }

func (d *directive) includes(do func(*directive)) {
	for _, x := range d.body {
		if x.name == "include" {
			do(x)
		}
		x.includes(do)
	}
}

// expand copies the directives of src into block dst, with the files that
// they include in their place. It reports whether any was found.
func (s *confSet) expand(dst, src *directive, root *confFile, chain []*confFile) (found bool) {
	for _, x := range src.body {
		if s.copied++; s.copied > maxCopied {
			root.skip(x.line, "includes too much")
			return found
		}
		if x.name == "include" {
			files := s.resolve(root, x)
			for _, f := range files {
				if s.copied++; slices.Contains(chain, f) || len(chain) > maxIncludeDepth {
					continue
				}
				f.times++
				s.expand(dst, f.root, root, append(chain, f))
			}
			if len(files) > 0 {
				found = true
				continue
			}
		}
		y := &directive{name: x.name, args: x.args, line: x.line, file: x.file, up: dst}
		dst.body = append(dst.body, y)
		found = s.expand(y, x, root, chain) || found
	}
	return found
}

// claim finds out which files are included by their folder and name, and
// leaves each of the others to the first include that knows only its name.
func (s *confSet) claim() {
	for _, f := range s.files {
		f.includes(func(d *directive) {
			for _, x := range s.byPath(f, d.arg(0)) {
				s.strong[x] = true
			}
		})
	}
	for _, globs := range []bool{false, true} {
		for _, f := range s.files {
			f.includes(func(d *directive) {
				if isGlob(d.arg(0)) != globs || s.dump || len(s.byPath(f, d.arg(0))) > 0 {
					return
				}
				for _, x := range s.byName(f, d) {
					if x != f && !s.strong[x] && s.claimed[x] == "" {
						s.claimed[x] = d.arg(0)
					}
				}
			})
		}
	}
}

// resolve returns the files that an include stands for where nginx began to
// read at root, in the order in which it reads them.
func (s *confSet) resolve(root *confFile, d *directive) []*confFile {
	if files := s.byPath(root, d.arg(0)); len(files) > 0 || s.dump {
		return files
	}
	var out []*confFile
	for _, x := range s.byName(root, d) {
		if s.claimed[x] == d.arg(0) {
			out = append(out, x)
		}
	}
	return out
}

func isGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?[") }

// base is the folder to which includes are relative: the main file's.
func (f *confFile) base() string {
	if f.owned {
		return f.home
	}
	return f.dir
}

// foreignTo reports whether x is of another instance than root: it has a main
// file of its own.
func foreignTo(root, x *confFile) bool {
	return x.owned && (!root.owned || x.home != root.home)
}

// byPath returns the files whose paths end as the pattern does, in two parts
// at least; all of them from the one folder that fits best.
func (s *confSet) byPath(root *confFile, pattern string) []*confFile {
	key := root.base() + "\x00" + pattern
	if !root.owned {
		key = "\x00" + key
	}
	if files, ok := s.resolved[key]; ok {
		return files
	}
	files := s.bestFolder(root, pattern)
	if len(files) == 0 && !s.dump && strings.Contains(pattern, enabled+"/") {
		// Links are lost where a folder is packed; the sites are still there.
		files = s.bestFolder(root, strings.Replace(pattern, enabled+"/", available+"/", 1))
		files = slices.DeleteFunc(files, s.idle)
	}
	s.resolved[key] = files
	return files
}

// place tells how well a file's path fits a pattern.
type place struct {
	exact  bool   // it is where the pattern says
	common int    // parts that its folder shares with the main file's
	tail   int    // parts that match, from the last
	prefix string // what stands before them
}

func (a place) compare(b place) int {
	if a.exact != b.exact {
		if a.exact {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(a.common, b.common), cmp.Compare(a.tail, b.tail),
		cmp.Compare(len(b.prefix), len(a.prefix)), strings.Compare(b.prefix, a.prefix))
}

func (s *confSet) bestFolder(root *confFile, pattern string) []*confFile {
	base := root.base()
	want := pathParts(pattern)
	for len(want) > 1 && want[0] == ".." {
		want, base = want[1:], parentDir(base)
	}
	var best place
	var out []*confFile
	for _, x := range s.called(want[len(want)-1]) {
		if !s.compare(x) {
			return nil
		}
		p := place{tail: tail(x.parts, want)}
		if p.tail < 2 && len(want) > 1 {
			continue
		}
		p.prefix = strings.Join(x.parts[:len(x.parts)-p.tail], "/")
		all := p.tail == len(want)
		real := false
		if isAbsolute(pattern) {
			real = all && p.prefix == "" && isAbsolute(x.name)
			p.exact = all && under(base, p.prefix)
		} else {
			p.exact = all && p.prefix == base
		}
		switch {
		case real:
		case foreignTo(root, x), s.dump && !p.exact, p.tail < 2 && !p.exact:
			continue
		}
		p.common = common(x.dir, base)
		if c := p.compare(best); c > 0 || len(out) == 0 {
			best, out = p, append(out[:0:0], x)
		} else if c == 0 {
			out = append(out, x)
		}
	}
	return out
}

// byName returns the files that only the last part of a pattern names: copies
// that lost their folders.
func (s *confSet) byName(root *confFile, d *directive) []*confFile {
	want := pathParts(d.arg(0))
	last := want[len(want)-1]
	glob := isGlob(last)
	key := strings.Join([]string{root.base(), strconv.FormatBool(root.owned), d.file.dir, d.up.name, last}, "\x00")
	if files, ok := s.loose[key]; ok {
		return files
	}
	var out []*confFile
	for _, x := range s.called(last) {
		if !s.compare(x) {
			return nil
		}
		if s.strong[x] || x.main || foreignTo(root, x) || !x.fits(d.up.name) {
			continue
		}
		near := x.dir == root.base() || x.dir == d.file.dir || !root.owned && x.dir == parentDir(d.file.dir)
		if glob && strings.Trim(last, "*") == "" && !x.tops["server"] && !x.tops["upstream"] {
			near = false // any file at all: too little to go by
		}
		if near || !glob && under(x.dir, root.base()) {
			out = append(out, x)
		}
	}
	s.loose[key] = out
	return out
}

// called returns the files whose base names match.
func (s *confSet) called(pattern string) []*confFile {
	if !isGlob(pattern) {
		return s.byBase[pattern]
	}
	if files, ok := s.byGlob[pattern]; ok {
		return files
	}
	var out []*confFile
	for _, x := range s.files {
		if !s.compare(x) {
			return nil
		}
		if matches(pattern, x.parts[len(x.parts)-1]) {
			out = append(out, x)
		}
	}
	s.byGlob[pattern] = out
	return out
}

// compare counts the comparison of a file's path with a pattern, and reports
// false where there were too many.
func (s *confSet) compare(x *confFile) bool {
	if s.compared++; s.compared == maxCompared {
		x.skip(1, "too many files for too many includes")
	}
	return s.compared < maxCompared
}

// tail counts the last parts of a path that match the last of a pattern, given
// that the very last does.
func tail(parts, pattern []string) int {
	n := 1
	for n < len(parts) && n < len(pattern) && matches(pattern[len(pattern)-1-n], parts[len(parts)-1-n]) {
		n++
	}
	return n
}

// matches is the match of glob(3), in one part of a path.
func matches(pattern, name string) bool {
	if pattern == name {
		return true
	}
	if strings.HasPrefix(name, ".") && !strings.HasPrefix(pattern, ".") {
		return false
	}
	if !isGlob(pattern) {
		return false
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// common counts the first parts that two folders share.
func common(a, b string) int {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	return n
}

// under reports whether a folder is another or lies in it.
func under(dir, other string) bool {
	return other == "" || dir == other || strings.HasPrefix(dir, other+"/")
}
