package report

import (
	"fmt"
	"io"

	"culprit/internal/cause"
)

// Catalogue lists causes, those that accuse somebody apart from those that do
// not.
func Catalogue(w io.Writer, faults, others []*cause.Cause) error {
	var p page
	wide := 0
	for _, c := range faults {
		wide = max(wide, len(c.ID))
	}
	for _, c := range others {
		wide = max(wide, len(c.ID))
	}
	for _, c := range faults {
		p.wrap(noPaint, 0, pad(c.ID, wide)+"  ", c.Title)
	}
	if len(others) > 0 {
		p.head("Not faults of the infrastructure")
		for _, c := range others {
			p.wrap(noPaint, 0, pad(c.ID, wide)+"  ", c.Title)
		}
	}
	return p.flush(w)
}

// Cause writes one record of the catalogue whole.
func Cause(w io.Writer, c *cause.Cause) error {
	var p page
	p.wrap(noPaint, 0, "", c.ID)
	p.wrap(noPaint, 0, "", c.Title)
	p.blank()
	p.wrap(noPaint, 0, "", c.What)
	p.list("How it shows", c.Shows)
	p.list("How it is mended", c.Fixes)
	p.list("How it ends a request, on the wire", mechanismList(c))
	p.list("Where it is shown, it explains", c.Over)
	if len(c.Links) > 0 {
		p.head("More")
		for _, l := range c.Links {
			p.b.WriteString("  " + l + "\n") // never broken: it is to be opened
		}
	}
	return p.flush(w)
}

func mechanismList(c *cause.Cause) []string {
	var out []string
	for _, m := range c.Mechanisms {
		out = append(out, mechanismWords(m))
	}
	return out
}

func (p *page) list(head string, items []string) {
	if len(items) == 0 {
		return
	}
	p.head(head)
	for _, s := range items {
		p.wrap(noPaint, 2, "- ", s)
	}
}

func (p *page) flush(w io.Writer) error {
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
