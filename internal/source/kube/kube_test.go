package kube

import (
	"testing"

	"culprit/internal/source/sourcetest"
)

func TestFormats(t *testing.T) { sourcetest.Run(t, Formats) }

func FuzzObjects(f *testing.F)   { sourcetest.Fuzz(f, Formats[0]) }
func FuzzText(f *testing.F)      { sourcetest.Fuzz(f, Formats[1]) }
func FuzzEventJSON(f *testing.F) { sourcetest.Fuzz(f, Formats[2]) }
func FuzzLog(f *testing.F)       { sourcetest.Fuzz(f, Formats[3]) }
