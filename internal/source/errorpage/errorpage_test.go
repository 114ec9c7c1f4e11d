package errorpage_test

import (
	"testing"

	"culprit/internal/source/errorpage"
	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, errorpage.Formats) }

func FuzzPage(f *testing.F) { sourcetest.Fuzz(f, errorpage.Formats[0]) }
