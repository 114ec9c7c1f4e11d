package nginx

import (
	"bytes"
	"strings"
)

// directive is one directive of a configuration, with its block if it has one.
type directive struct {
	name string
	args []string
	line int       // in the input, from 1
	file *confFile // where it stands
	body []*directive
	up   *directive // the block it stands in; nil at the top

	index map[string]*directive // last of each name in body, made when asked
}

// arg returns argument i, "" if there are fewer.
func (d *directive) arg(i int) string {
	if i < len(d.args) {
		return d.args[i]
	}
	return ""
}

// find returns the last directive called name directly in d's block.
func (d *directive) find(name string) *directive {
	if d.index == nil {
		d.index = make(map[string]*directive, len(d.body))
		for _, x := range d.body {
			d.index[x.name] = x
		}
	}
	return d.index[name]
}

// inherited returns the nearest directive called name that holds in block d:
// its own, or one of the blocks around it.
func (d *directive) inherited(name string) *directive {
	for ; d != nil; d = d.up {
		if x := d.find(name); x != nil {
			return x
		}
	}
	return nil
}

// The bounds of a configuration that is read.
const (
	maxDirectives = 500_000
	maxNesting    = 64
	maxArgs       = 4096
)

// confParser reads a configuration. It forgives what nginx would not: a
// missing semicolon before a brace or a known directive, a missing brace at
// the end, since evidence comes in pieces.
type confParser struct {
	b    []byte
	pos  int
	line int
	n    int
	skip func(line int, why string)
}

// parseConf reads b as the text of file, from a line on.
func parseConf(b []byte, file *confFile, line int) *directive {
	p := &confParser{b: b, line: line, skip: file.skip}
	root := &directive{file: file}
	p.block(root, 0)
	return root
}

// block reads directives into d until its closing brace.
func (p *confParser) block(d *directive, depth int) {
	for p.n < maxDirectives {
		p.blank()
		if p.pos >= len(p.b) {
			if depth > 0 {
				p.skip(d.line, "block without its end")
			}
			return
		}
		switch p.b[p.pos] {
		case '}':
			p.pos++
			if depth == 0 {
				p.skip(p.line, "a brace closes nothing")
				continue
			}
			return
		case ';', '{':
			p.pos++
			continue
		}
		x := &directive{line: p.line, file: d.file, up: d}
		p.n++
		open := p.words(x)
		if x.name == "" {
			return // no progress is possible
		}
		d.body = append(d.body, x)
		if !open {
			continue
		}
		switch {
		case strings.HasSuffix(x.name, "_by_lua_block"):
			p.lua()
		case depth >= maxNesting:
			p.skip(x.line, "blocks too deep")
			return
		default:
			p.block(x, depth+1)
		}
	}
}

// words reads a directive's name and arguments; open: a block follows.
func (p *confParser) words(d *directive) (open bool) {
	for {
		before := p.line
		p.blank()
		if p.pos >= len(p.b) {
			return false
		}
		switch p.b[p.pos] {
		case ';':
			p.pos++
			return false
		case '{':
			p.pos++
			return true
		case '}':
			if d.name != "" {
				p.skip(d.line, "directive without a semicolon")
			}
			return false
		}
		start, line := p.pos, p.line
		w, quoted := p.word()
		if d.name == "" {
			d.name = w
			if w == "" {
				d.name = `""`
			}
			continue
		}
		if line > before && !quoted && len(d.args) > 0 && starts(w) && p.startsLine(start) {
			p.skip(d.line, "directive without a semicolon")
			p.pos, p.line = start, line
			return false
		}
		if len(d.args) < maxArgs {
			d.args = append(d.args, w)
		}
	}
}

// startsLine reports whether nothing but blanks stands before pos in its line.
func (p *confParser) startsLine(pos int) bool {
	for pos--; pos >= 0 && (p.b[pos] == ' ' || p.b[pos] == '\t'); pos-- {
	}
	return pos < 0 || p.b[pos] == '\n'
}

// blank skips white space and comments.
func (p *confParser) blank() {
	for p.pos < len(p.b) {
		switch c := p.b[p.pos]; c {
		case '\n':
			p.line++
			p.pos++
		case ' ', '\t', '\r', '\f', '\v', 0xEF, 0xBB, 0xBF:
			p.pos++
		case '#':
			end := bytes.IndexByte(p.b[p.pos:], '\n')
			if end < 0 {
				end = len(p.b) - p.pos
			}
			p.pos += end
		default:
			return
		}
	}
}

// word reads one word, quoted or bare.
func (p *confParser) word() (w string, quoted bool) {
	if q := p.b[p.pos]; q == '"' || q == '\'' {
		var out []byte
		for i := p.pos + 1; i < len(p.b); i++ {
			switch c := p.b[i]; {
			case c == '\\' && i+1 < len(p.b) && (p.b[i+1] == q || p.b[i+1] == '\\'):
				i++
				out = append(out, p.b[i])
			case c == q:
				p.pos = i + 1
				return string(out), true
			default:
				if c == '\n' {
					p.line++
				}
				out = append(out, c)
			}
		}
		p.skip(p.line, "quote without its end")
		p.pos = len(p.b)
		return string(out), true
	}
	i := p.pos
loop:
	for i < len(p.b) {
		switch c := p.b[i]; c {
		case ' ', '\t', '\r', '\n', ';', '}':
			break loop
		case '{':
			if i == p.pos || p.b[i-1] != '$' {
				break loop
			}
			for i < len(p.b) && p.b[i] != '}' && p.b[i] != '\n' { // ${name}
				i++
			}
			if i < len(p.b) && p.b[i] == '}' {
				i++
			}
		case '\\':
			if i++; i < len(p.b) && p.b[i] != '\n' {
				i++
			}
		default:
			i++
		}
	}
	w = string(p.b[p.pos:i])
	p.pos = i
	return w, false
}

// lua skips a block of Lua: braces within its strings and comments do not
// count.
func (p *confParser) lua() {
	for depth := 1; p.pos < len(p.b); {
		switch c := p.b[p.pos]; {
		case c == '\n':
			p.line++
			p.pos++
		case c == '{':
			depth++
			p.pos++
		case c == '}':
			p.pos++
			if depth--; depth == 0 {
				return
			}
		case c == '"' || c == '\'':
			p.luaString(c)
		case c == '-' && bytes.HasPrefix(p.b[p.pos:], []byte("--[[")), c == '[' && bytes.HasPrefix(p.b[p.pos:], []byte("[[")):
			p.past("]]")
		case c == '-' && bytes.HasPrefix(p.b[p.pos:], []byte("--")):
			if end := bytes.IndexByte(p.b[p.pos:], '\n'); end >= 0 {
				p.pos += end
			} else {
				p.pos = len(p.b)
			}
		default:
			p.pos++
		}
	}
}

func (p *confParser) luaString(q byte) {
	for p.pos++; p.pos < len(p.b); p.pos++ {
		switch p.b[p.pos] {
		case '\\':
			p.pos++
		case '\n':
			return // a string without its end
		case q:
			p.pos++
			return
		}
	}
}

func (p *confParser) past(end string) {
	i := bytes.Index(p.b[p.pos:], []byte(end))
	if i < 0 {
		p.pos = len(p.b)
		return
	}
	p.line += bytes.Count(p.b[p.pos:p.pos+i], []byte{'\n'})
	p.pos += i + len(end)
}
