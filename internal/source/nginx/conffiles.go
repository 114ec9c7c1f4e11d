package nginx

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"culprit/internal/source"
)

// confFile is one file of a configuration: a document, or the part of a dump
// that shows one.
type confFile struct {
	name  string // the document's path, or as the dump names it
	out   source.Sink
	skip  func(line int, why string)
	lines [][]byte // of the document
	root  *directive

	parts []string // of its path
	dir   string   // its path without the last part
	main  bool     // it holds http or events: where nginx begins to read
	owned bool     // a main file stands in its folder or one above
	home  string   // the nearest such folder
	tops  map[string]bool

	times int // how often it was read
}

// newConfFile parses text, which begins at a line of doc, as the file called
// name.
func newConfFile(name string, doc *source.Doc, out source.Sink, lines [][]byte, text []byte, line int) *confFile {
	f := &confFile{name: name, out: out, skip: doc.Skip, lines: lines, tops: map[string]bool{}}
	f.parts = pathParts(name)
	f.dir = strings.Join(f.parts[:len(f.parts)-1], "/")
	f.root = parseConf(text, f, line)
	for _, d := range f.root.body {
		top := d.name
		if top == "server" && len(d.args) > 0 {
			top = "member"
		}
		f.tops[top] = true
	}
	f.main = f.tops["http"] || f.tops["events"]
	return f
}

// pathParts parts a path; that of the root folder is left out.
func pathParts(name string) []string {
	clean := path.Clean(strings.ReplaceAll(name, `\`, "/"))
	return strings.Split(strings.TrimPrefix(clean, "/"), "/")
}

func isAbsolute(name string) bool {
	return strings.HasPrefix(name, "/") || len(name) > 2 && name[1] == ':'
}

// fits reports whether the file may stand for an include in a block called
// context, to judge by its directives.
func (f *confFile) fits(context string) bool {
	t := f.tops
	switch context {
	case "http", "stream":
		return !f.main && !t["location"] && !t["member"] && !t["keepalive"]
	case "server", "location", "if", "limit_except":
		return !f.main && !t["server"] && !t["upstream"] && !t["member"] && !t["log_format"]
	case "upstream":
		return t["member"] || t["keepalive"]
	case "":
		return !f.main
	}
	return false
}

// dumpMark stands before each file in what `nginx -T` writes, the file's name
// and a colon after it.
const dumpMark = "# configuration file "

// dumpName returns the file's name if line is such a mark.
func dumpName(line []byte) string {
	if rest, ok := bytes.CutPrefix(line, []byte(dumpMark)); ok {
		if name, ok := bytes.CutSuffix(bytes.TrimSpace(rest), []byte{':'}); ok {
			return string(name)
		}
	}
	return ""
}

// confFiles returns the files of a document: itself, or those that it dumps.
func confFiles(doc *source.Doc, out source.Sink) (files []*confFile, dump bool) {
	lines := bytes.Split(doc.Data, []byte{'\n'})
	name, first, begin, pos := doc.Path, 1, 0, 0
	end := func(to int) {
		text := doc.Data[begin:to]
		// Before the first mark stands at most that the syntax is ok.
		if !dump || name != doc.Path || bytes.ContainsAny(text, "{;") {
			files = append(files, newConfFile(name, doc, out, lines, text, first))
		}
	}
	for i, line := range lines {
		if next := dumpName(line); next != "" {
			dump = true
			end(pos)
			name, first, begin = next, i+1, pos
		}
		pos += len(line) + 1
	}
	end(len(doc.Data))
	return files, dump
}

// readConf reads one configuration, or a dump of one with all its files.
func readConf(env *source.Env, doc *source.Doc, out source.Sink) error {
	return readConfs(env, []*source.Doc{doc}, []source.Sink{out})
}

// readConfs reads configurations that may be spread over files.
func readConfs(env *source.Env, docs []*source.Doc, outs []source.Sink) error {
	var all []*confFile
	for i, doc := range docs {
		env.Hint(hintConfigured, doc.Path)
		files, dump := confFiles(doc, outs[i])
		if dump {
			newConfSet(env, files, true).read()
			continue
		}
		all = append(all, files...)
	}
	newConfSet(env, all, false).read()
	return nil
}

// confSet is the files among which includes are looked for.
type confSet struct {
	env    *source.Env
	files  []*confFile // in the order of their names
	byBase map[string][]*confFile
	byGlob map[string][]*confFile
	dump   bool            // all the files there are, by their true names
	dirs   map[string]bool // folders that hold any

	strong   map[*confFile]bool     // an include names its folder too
	claimed  map[*confFile]string   // by the include of this pattern, by its base name alone
	resolved map[string][]*confFile // by path
	loose    map[string][]*confFile // by name
	compared int

	copied int // directives
	stated map[stated]bool
}

func newConfSet(env *source.Env, files []*confFile, dump bool) *confSet {
	s := &confSet{env: env, files: slices.Clone(files), dump: dump, byBase: map[string][]*confFile{}, dirs: map[string]bool{},
		strong: map[*confFile]bool{}, claimed: map[*confFile]string{}, resolved: map[string][]*confFile{}, loose: map[string][]*confFile{}, byGlob: map[string][]*confFile{}, stated: map[stated]bool{}}
	slices.SortStableFunc(s.files, func(a, b *confFile) int { return strings.Compare(a.name, b.name) })
	mains := map[string]bool{}
	for _, f := range s.files {
		base := f.parts[len(f.parts)-1]
		s.byBase[base] = append(s.byBase[base], f)
		s.dirs[f.dir] = true
		mains[f.dir] = mains[f.dir] || f.main
	}
	for _, f := range s.files {
		for dir := f.dir; ; dir = parentDir(dir) {
			if mains[dir] {
				f.owned, f.home = true, dir
			}
			if f.owned || dir == "" {
				break
			}
		}
	}
	return s
}

func parentDir(dir string) string { return dir[:max(strings.LastIndexByte(dir, '/'), 0)] }

// read states the settings of all files: of those where nginx would begin to
// read with what they include, then of the others.
func (s *confSet) read() {
	s.claim()
	included := map[*confFile]bool{}
	for _, f := range s.files {
		f.includes(func(d *directive) {
			for _, x := range s.resolve(f, d) {
				if x != f {
					included[x] = true
				}
			}
		})
	}
	for _, f := range s.files {
		if f.main && !included[f] && !s.idle(f) {
			s.one(f)
		}
	}
	var rest []*confFile
	for _, f := range s.files {
		if f.times == 0 && !included[f] && !s.idle(f) {
			rest = append(rest, f)
		}
	}
	for _, f := range s.join(rest) {
		s.one(f)
	}
	for _, f := range s.files {
		if f.times == 0 && !s.idle(f) {
			s.one(f) // of a circle, or included by what nobody reads
		}
	}
}

// The folders of Debian, of which nginx reads only the one.
const (
	available = "sites-available"
	enabled   = "sites-enabled"
)

// idle reports whether nginx does not read a file unless it is included: a
// site of Debian's that is not enabled, or is through a link of the same name;
// a copy that an editor or a package left beside the original.
func (s *confSet) idle(f *confFile) bool {
	if path.Base(f.dir) == available && s.dirs[strings.TrimSuffix(f.dir, available)+enabled] {
		return true
	}
	base := f.parts[len(f.parts)-1]
	name := strings.TrimRight(base, "~")
	for _, end := range []string{".bak", ".old", ".orig", ".default", ".save", ".dpkg-", ".rpm", ".ucf-"} {
		if i := strings.LastIndex(name, end); i > 0 && (strings.HasSuffix(name, end) || strings.HasSuffix(end, "-") || end == ".rpm") {
			name = name[:i]
		}
	}
	return name != base && slices.ContainsFunc(s.byBase[name], func(x *confFile) bool { return x.dir == f.dir })
}

// one reads a file with what it includes.
func (s *confSet) one(f *confFile) {
	f.times++
	has := false
	f.includes(func(*directive) { has = true })
	c := &conf{set: s, env: s.env, file: f, root: f.root}
	if has {
		c.root = &directive{file: f}
		c.whole = s.expand(c.root, f.root, f, []*confFile{f}) || s.dump
	}
	c.read()
}
