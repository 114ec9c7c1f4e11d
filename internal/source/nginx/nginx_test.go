package nginx

import (
	"testing"

	"culprit/internal/source"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

// format returns the format called id.
func format(id string) source.Format {
	for _, f := range Formats {
		if f.ID == id {
			return f
		}
	}
	panic("no format " + id)
}
