package source

import (
	"culprit/internal/fact"
)

// The bounds of failures that are kept whole.
const (
	// alikeAMinute is how many failures that look alike are kept whole in one
	// minute; the others are counted on the last of them.
	alikeAMinute = 50
	// coarselyAMinute is how many where upstream and method are looked over:
	// eight such groups together.
	coarselyAMinute = 8 * alikeAMinute
	// maxKept bounds all those of one input: enough to tell shares of one in a
	// hundred apart, little enough that they and what is made of them take
	// some tens of mebibytes.
	maxKept = 10_000
)

// alike is what failures have in common that are counted on one another.
type alike struct {
	minute         int64
	status         int64
	ended          fact.Mechanism
	partial        bool
	code           string
	upstream, meth string
}

// alikeN are the failures of one kind.
type alikeN struct {
	whole int
	last  *fact.Request // carries the count of those that were not kept
}

// grain is how fine failures are told apart. It gets coarser as they become
// too many, so that each stretch of time keeps its share of them.
type grain struct {
	limit int   // kept whole of one kind
	step  int64 // in how many seconds
	plain bool  // whatever upstream, method and code
}

var finest = grain{limit: alikeAMinute, step: 60}

// coarser is the next coarser grain.
func (g grain) coarser() grain {
	switch {
	case !g.plain:
		return grain{limit: coarselyAMinute, step: g.step, plain: true}
	case g.limit > 1:
		g.limit /= 2
	default:
		g.step *= 10
	}
	return g
}

func (g grain) kind(r *fact.Request) alike {
	k := alike{status: r.Status.Or(-1), ended: r.Ended, partial: r.Partial}
	if !r.Time.IsZero() {
		k.minute = r.Time.Unix() - r.Time.Unix()%g.step
	}
	if g.plain {
		return k
	}
	k.code, k.meth = r.Code, r.Method
	if len(r.Attempts) > 0 {
		k.upstream = r.Attempts[len(r.Attempts)-1].Address
	}
	return k
}

// keep keeps a request that is more than ordinary, or counts it on one like
// it.
func (f *fold) keep(r *fact.Request, own func(*fact.Request) *fact.Request) {
	k := f.grain.kind(r)
	a := f.alike[k]
	if a != nil && a.whole >= f.grain.limit {
		a.last.Count = a.last.N() + r.N()
		return
	}
	r = own(r)
	if a == nil {
		a = &alikeN{}
		f.alike[f.grain.kind(r)] = a // its strings are ours
	}
	a.whole++
	a.last = r
	if f.kept = append(f.kept, r); len(f.kept) > maxKept {
		f.squeeze()
	}
}

// squeeze counts more failures on others like them, until there is room.
func (f *fold) squeeze() {
	for len(f.kept) > maxKept*3/4 && f.grain.step < maxStep {
		f.grain = f.grain.coarser()
		f.alike = map[alike]*alikeN{}
		all := f.kept
		f.kept = nil
		for _, r := range all {
			k := f.grain.kind(r)
			a := f.alike[k]
			if a != nil && a.whole >= f.grain.limit {
				a.last.Count = a.last.N() + r.N()
				continue
			}
			if a == nil {
				a = &alikeN{}
				f.alike[k] = a
			}
			a.whole++
			a.last = r
			f.kept = append(f.kept, r)
		}
	}
}
