package nginx

import (
	"path"
	"slices"
	"strings"
)

// siteFolders are folders all of whose files the http block of nginx.conf
// includes, by the custom of Debian, Alpine, the docker images and others.
var siteFolders = []string{"conf.d", "http.d", enabled, available, "vhosts", "vhosts.d", "sites"}

// join reads those of files that belong together although what includes them
// is not there, and returns the others: the files of one instance's site
// folders, and files of one folder of which one defines the group that the
// other passes to.
func (s *confSet) join(files []*confFile) (rest []*confFile) {
	sites := map[string][]*confFile{}
	var folders []string
	for _, f := range files {
		if f.owned || !slices.Contains(siteFolders, path.Base(f.dir)) || !f.fits("http") {
			rest = append(rest, f)
			continue
		}
		up := parentDir(f.dir)
		if sites[up] == nil {
			folders = append(folders, up)
		}
		sites[up] = append(sites[up], f)
	}
	for _, up := range folders {
		group := sites[up]
		if len(group) < 2 || ambiguous(group) {
			rest = append(rest, group...)
			continue
		}
		s.many(group, true)
	}
	return s.linked(rest)
}

// ambiguous reports whether two files define one group: nginx would not take
// both.
func ambiguous(files []*confFile) bool {
	for _, by := range definers(files) {
		if len(by) > 1 {
			return true
		}
	}
	return false
}

// definers returns which files define each group.
func definers(files []*confFile) map[string][]*confFile {
	by := map[string][]*confFile{}
	for _, f := range files {
		f.root.each(func(d *directive) {
			if name := d.arg(0); d.name == "upstream" && name != "" && !slices.Contains(by[name], f) {
				by[name] = append(by[name], f)
			}
		})
	}
	return by
}

// each calls do for each directive within d.
func (d *directive) each(do func(*directive)) {
	for _, x := range d.body {
		do(x)
		x.each(do)
	}
}

// linked reads files of one folder together that pass to each other's groups,
// and returns the others.
func (s *confSet) linked(files []*confFile) (rest []*confFile) {
	folders := map[string][]*confFile{}
	for _, f := range files {
		folders[f.dir] = append(folders[f.dir], f)
	}
	first := map[*confFile]*confFile{} // a file that f is linked with
	for _, group := range folders {
		if len(group) > 1 {
			link(group, first)
		}
	}
	groups := map[*confFile][]*confFile{}
	for _, f := range files {
		x := follow(first, f)
		groups[x] = append(groups[x], f)
	}
	for _, f := range files {
		switch group := groups[follow(first, f)]; {
		case len(group) == 1:
			rest = append(rest, f)
		case group[0] == f:
			s.many(group, false)
		}
	}
	return rest
}

// link finds the files of a folder that pass to each other's groups.
func link(files []*confFile, first map[*confFile]*confFile) {
	by := definers(files)
	for _, f := range files {
		f.root.each(func(d *directive) {
			if !strings.HasSuffix(d.name, "_pass") {
				return
			}
			_, host := passTarget(d)
			if u := by[host]; len(u) == 1 {
				if a, b := follow(first, f), follow(first, u[0]); a != b {
					first[a] = b
				}
			}
		})
	}
}

// follow returns the one file that stands for all that f is linked with.
func follow(first map[*confFile]*confFile, f *confFile) *confFile {
	for first[f] != nil {
		f = first[f]
	}
	return f
}

// many reads files as if one block included them all: a common one, whose
// directives all inherit, or else one of its own for each.
func (s *confSet) many(files []*confFile, common bool) {
	c := &conf{set: s, env: s.env, file: files[0], root: &directive{file: files[0]}}
	for _, f := range files {
		f.times++
		dst := c.root
		if !common {
			dst = &directive{file: f, up: c.root}
			if f.tops["keepalive"] {
				dst.name = "upstream"
			}
			c.root.body = append(c.root.body, dst)
		}
		c.whole = s.expand(dst, f.root, f, []*confFile{f}) || c.whole
	}
	c.read()
}
