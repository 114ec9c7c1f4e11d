package source

// machine reads the lines of one input, whoever's they are.
type machine struct {
	f       *feeder
	out     *sink
	readers map[*Format]LineReader
	order   []*Format
	pin     *Format // tried first
	wrap    []int   // after these wrappers
	inner   Line    // the line without its wrappers, as they left it
	given   Line    // what of it the reader got, who may change it
	fronts  bool    // they may do no more than take a front off
	front   int     // how long that was at the line before
	held    []byte  // the line whose front they read last
	plain   bool    // the pinned format's lines stand unwrapped
	cur     *Format // read the line before

	last   *Format // what reader and took are of
	lastly LineReader
	took   int // lines it read, not yet in the sink's tally
}

func (f *feeder) machine(o *opened, out *sink) *machine {
	m := &machine{f: f, out: out, readers: map[*Format]LineReader{}}
	if o != nil {
		m.pin, m.wrap, m.plain, m.fronts = o.pin, o.wrap, len(o.wrap) == 0, len(o.wrap) > 0
		for _, i := range o.wrap {
			m.fronts = m.fronts && f.wrappers[i].Front != nil
		}
	}
	out.machine = m
	return m
}

// reader returns the format's reader of this input.
func (m *machine) reader(x *Format) LineReader {
	if m.last == x {
		return m.lastly
	}
	r := m.readers[x]
	if r == nil {
		r = x.NewReader(m.f.env)
		m.readers[x] = r
		m.order = append(m.order, x)
	}
	m.count()
	m.last, m.lastly = x, r
	return r
}

// count brings the number of lines read to the sink's tally.
func (m *machine) count() {
	if m.took > 0 {
		m.out.tally[m.last] += m.took
		m.took = 0
	}
}

// line has one line read by the format that knows it.
func (m *machine) line(l *Line) {
	if m.pin != nil {
		if m.plain {
			if m.offer(m.pin, l) {
				return
			}
		} else if m.wrapped(l) {
			return
		}
	}
	raw := l
	inner := *l
	l = &inner
	m.f.unwrap(l)
	if len(l.Text) == 0 && m.cur == nil {
		return
	}
	if m.try(l) {
		return
	}
	if l.Wrapped {
		// What looked like a wrapper may have been the line's own.
		if m.try(raw) {
			return
		}
		// The frame of a known logger around a text nobody knows is ordinary.
		m.out.seen(l.Time)
	}
	m.out.unknown(raw, l.Wrapped)
}

// wrapped reads l by the wrappers and the format of nearly all lines.
func (m *machine) wrapped(l *Line) bool {
	if n := m.front; n > 0 && len(l.Text) > n && string(l.Text[:n]) == string(m.held[:n]) && m.only(l.Text[n:]) {
		// As the line before.
		m.inner.Text, m.inner.N = l.Text[n:], l.N
		m.given = m.inner
		return m.offer(m.pin, &m.given)
	}
	m.inner, m.front = *l, 0
	if m.fronts {
		// What the wrappers tell may point into the line, which others follow
		// in the same memory.
		m.held = append(m.held[:0], l.Text...)
		m.inner.Text = m.held
	}
	for _, i := range m.wrap {
		if !m.f.wrappers[i].Unwrap(m.f.env, &m.inner) {
			return false
		}
		m.inner.Wrapped = true
	}
	if m.fronts && m.only(m.inner.Text) {
		if n := len(l.Text) - len(m.inner.Text); n > 0 && string(l.Text[n:]) == string(m.inner.Text) {
			m.front, m.inner.Text = n, l.Text[n:]
		}
	}
	m.given = m.inner
	return m.offer(m.pin, &m.given)
}

// only reports whether the wrappers did no more than take a front off, which
// left rest.
func (m *machine) only(rest []byte) bool {
	for _, i := range m.wrap {
		if f := m.f.wrappers[i].Front; f == nil || !f(rest) {
			return false
		}
	}
	return true
}

// try offers l to the format of the line before it, as a continuation, where
// nobody claims it for sure; then to the others, the surest first.
func (m *machine) try(l *Line) bool {
	var not map[*Format]bool
	for range 4 {
		x, c := m.f.best(l, not)
		if x == nil {
			break
		}
		if c < Likely && m.cur != nil && m.cur != x && !not[m.cur] && m.offer(m.cur, l) {
			return true
		}
		if m.offer(x, l) {
			return true
		}
		if not == nil {
			not = map[*Format]bool{}
		}
		not[x] = true
	}
	return m.cur != nil && !not[m.cur] && m.offer(m.cur, l)
}

// offer has x read l, and says whether x took it.
func (m *machine) offer(x *Format, l *Line) bool {
	if x.NewReader == nil {
		return false
	}
	m.out.format, m.out.line = x, l
	switch m.reader(x).Line(l, m.out) {
	case Mine:
		m.read(x)
	case Broken:
		m.read(x)
		m.out.skip(l.N, string(l.Text[:min(len(l.Text), 200)]))
	default:
		return false
	}
	m.cur = x
	return true
}

// read counts one line that x took. Its reader may have handed over an inner
// line, read by another's.
func (m *machine) read(x *Format) {
	if m.last == x {
		m.took++
	} else {
		m.out.tally[x]++
	}
}

// closeAll has every reader state what is pending, once.
func (m *machine) closeAll() {
	m.close()
	m.order, m.readers, m.last = nil, map[*Format]LineReader{}, nil
}

func (m *machine) close() {
	m.count()
	for _, x := range m.order {
		m.out.format = x
		if m.out.line == nil {
			m.out.line = &Line{Path: m.out.rep.Path}
		}
		m.readers[x].Close(m.out)
	}
}
